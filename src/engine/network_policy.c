// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/network_policy.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/parse.h"
#include "engine/network_door.h"
#include "network/acl.h"
#include "os/fault.h"

/* ---- the row ----------------------------------------------------------------------------------------------------- */

static fallible must_be_bridge(const struct network *n)
{
    if (str_eq(n->row.driver, "bridge"))
        return NULL;
    return err_new(ERR_UNSUPPORTED,
                   "network '%s': what passes by %s passes no firewall of husk's: make a network of the "
                   "driver bridge",
                   n->row.name, n->row.driver);
}

static fallible write_row(struct db *db, const struct network *n)
{
    own_mem char *text = bind_write(&network_config_type, n->config, BIND_COMPACT);
    return db_network_set_config(db, n->row.id, text);
}

fallible network_change_row(struct engine *e, const struct network *n, network_change_fn *fn, void *ctx)
{
    own(network) struct network *now = NULL;
    struct db *db;
    TRY(engine_db(e, &db));
    TRY(db_begin(db));
    err *failed = network_find(e, n->row.id, &now);
    if (!failed)
        failed = fn(now->config, ctx);
    if (!failed)
        failed = write_row(db, now);
    return db_end(db, failed);
}

/* And then in the kernel. */
static fallible change(struct engine *e, struct network *n, network_change_fn *fn, void *ctx)
{
    TRY(must_be_bridge(n));
    TRY(network_change_row(e, n, fn, ctx));
    fault_here(FAULT_POLICY_ROW);
    return network_reload(e);
}

struct default_change {
    bool deny;
    int64_t filtered; /* the bridge's switches as they are */
};

static err *set_default(struct network_config *c, void *ctx)
{
    const struct default_change *to = ctx;
    if (to->deny && !network_is_filtered(c))
        c->bridge_filtered = to->filtered;
    c->policy_deny = to->deny;
    return NULL;
}

/* Without an ordinary user's networks there is no bridge. */
static fallible read_filter(struct engine *e, const struct network *n, int64_t *ret)
{
    own_fd int route = -1;
    err *failed = network_door(e, NETWORK_DOOR_FIND);
    if (err_is(failed, ERR_NOT_FOUND)) {
        err_free(failed);
        return NULL;
    }
    TRY(failed);
    TRY(netlink_open(&route));
    return bridge_filter_read(route, n->config->link, ret);
}

fallible network_filter_begin(struct engine *e, const struct network *n, int64_t *ret_was)
{
    TRY(bridge_filter_check());
    return read_filter(e, n, ret_was);
}

fallible network_policy_default(struct engine *e, struct network *n, const char *word)
{
    struct default_change to = { .deny = str_eq(word, "deny") };
    if (!to.deny && !str_eq(word, "allow"))
        return err_new(ERR_INVALID, "'%s' is neither allow nor deny", word);
    TRY(must_be_bridge(n));
    if (to.deny)
        TRY(network_filter_begin(e, n, &to.filtered));
    return change(e, n, set_default, &to);
}

static err *add_rule(struct network_config *c, void *ctx)
{
    const char *text = ctx;
    own(acl) struct acl p = { 0 };
    if (strv_has(&c->policy, text))
        return err_new(ERR_EXISTS, "there is such a rule already: %s", text);
    strv_add(&c->policy, text);
    return acl_read(&c->policy, &p);
}

fallible network_policy_add(struct engine *e, struct network *n, const struct strv *words, char **ret_text)
{
    own_mem char *text = NULL;
    TRY(acl_rule_text(words, &text));
    TRY(change(e, n, add_rule, text));
    *ret_text = take(text);
    return NULL;
}

static err *remove_rule(struct network_config *c, void *ctx)
{
    const struct strv *words = ctx;
    struct strv kept = { 0 };
    own_mem char *text = NULL;
    int64_t number = 0;
    if (words->n == 1 && strspn(words->items[0], "0123456789") == strlen(words->items[0]))
        TRY(parse_i64(words->items[0], 1, INT64_MAX, &number));
    else
        TRY(acl_rule_text(words, &text));
    for (size_t i = 0; i < c->policy.n; i++)
        if (number ? i + 1 != (size_t)number : !str_eq(c->policy.items[i], text))
            strv_add(&kept, c->policy.items[i]);
    if (kept.n == c->policy.n) {
        strv_free(&kept);
        return number ? err_new(ERR_NOT_FOUND, "there is no rule %lld", (long long)number)
                      : err_new(ERR_NOT_FOUND, "there is no such rule: %s", text);
    }
    strv_free(&c->policy);
    c->policy = kept;
    return NULL;
}

fallible network_policy_remove(struct engine *e, struct network *n, const struct strv *words)
{
    return change(e, n, remove_rule, (void *)(uintptr_t)words);
}

/* ---- identities -------------------------------------------------------------------------------------------------- */

/* A build's step, which is no container, is nobody: only rules of "*" are about it. */
static fallible identity_of(struct engine *e, const struct acl *p, const struct network *n,
                            const struct db_endpoint *at, struct acl_identity *ret)
{
    own_strv struct strv names = { 0 };
    own(container) struct container *c = NULL;
    const struct container_config *config = NULL;
    static const struct strmap none = { 0 };
    err *failed = container_find(e, at->container, &c);
    if (!failed)
        failed = container_config(c, &config);
    if (failed && !err_is(failed, ERR_NOT_FOUND))
        return failed;
    err_free(failed);
    if (config) {
        strv_add(&names, c->row.name);
        strv_add_take(&names, mem_strndup(at->container, 12));
        strv_add(&names, at->container);
        strv_copy(&names, at->aliases.items, at->aliases.n);
    }
    *ret = acl_identity(p, n->row.id, &names, config ? &config->labels : &none);
    return NULL;
}

static void add_kept(struct network_plan *plan, const struct db_endpoint *at, const struct ip *ip)
{
    struct firewall_reach r = { .from = *ip, .kept = true };
    network_host_name(at->container, at->position, r.port);
    plan->reach = mem_array(plan->reach, plan->reach_n + 1, sizeof *plan->reach);
    plan->reach[plan->reach_n++] = r;
}

/* It has its own addresses alone, so that nobody takes another's for what that one may do. */
static void add_own(struct network_plan *plan, const struct db_endpoint *at)
{
    struct prefix further[NETWORK_FURTHER];
    size_t n = network_link_locals(at, further);
    add_kept(plan, at, &(struct ip){ 0 });
    if (ip_is_set(&at->ip4))
        add_kept(plan, at, &at->ip4);
    if (ip_is_set(&at->ip6))
        add_kept(plan, at, &at->ip6);
    for (size_t i = 0; i < n; i++)
        add_kept(plan, at, &further[i].ip);
}

static void add_who(struct network_plan *plan, const struct ip *ip, const struct acl_identity *id)
{
    if (!ip_is_set(ip))
        return;
    plan->who = mem_array(plan->who, plan->who_n + 1, sizeof *plan->who);
    plan->who[plan->who_n] = (struct firewall_who){ .ip = *ip };
    memcpy(plan->who[plan->who_n++].identity, id->bytes, sizeof id->bytes);
}

/* Of all that have a place on the network, whether they run or not: so of two that start at once each finds both. */
static fallible all_identities(struct engine *e, const struct acl *p, const struct network *n,
                               struct acl_identity **ret, size_t *ret_n)
{
    own(db_endpoints) struct db_endpoints l = { 0 };
    struct db *db;
    TRY(engine_db(e, &db));
    TRY(db_endpoint_list(db, NULL, n->row.id, &l));
    own_mem struct acl_identity *all = mem_array(NULL, l.n + 1, sizeof *all);
    for (size_t i = 0; i < l.n; i++)
        TRY(identity_of(e, p, n, &l.items[i], &all[i]));
    TRY(acl_distinct(all, l.n));
    *ret_n = l.n;
    *ret = take(all);
    return NULL;
}

static fallible put_all(struct engine *e, const struct acl *p, const struct network *n, const struct acl_identity *only,
                        struct nft *batch)
{
    own_mem struct acl_identity *all = NULL;
    size_t count = 0;
    TRY(all_identities(e, p, n, &all, &count));
    acl_put(p, all, count, only, batch);
    return NULL;
}

fallible network_policy_look(struct engine *e, const struct network *n, const struct db_endpoint *at,
                             struct network_plan *plan)
{
    own(acl) struct acl p = { 0 };
    struct acl_identity id;
    if (!n->config->policy_deny)
        return NULL;
    TRY(acl_read(&n->config->policy, &p));
    TRY(identity_of(e, &p, n, at, &id));
    add_who(plan, &at->ip4, &id);
    add_who(plan, &at->ip6, &id);
    add_own(plan, at);
    return NULL;
}

fallible network_policy_prepare(struct engine *e, const struct network *n, const struct db_endpoint *at,
                                struct network_plan *plan)
{
    own(acl) struct acl p = { 0 };
    own(nft) struct nft batch = { 0 };
    own_fd int sock = -1;
    struct acl_identity id;
    bool known;
    TRY(network_policy_look(e, n, at, plan));
    if (!n->config->policy_deny)
        return NULL;
    TRY(acl_read(&n->config->policy, &p));
    TRY(identity_of(e, &p, n, at, &id));
    TRY(nft_open(&sock));
    TRY(firewall_has_identity(sock, id.bytes, &known));
    if (known)
        return NULL;
    firewall_begin(&batch);
    TRY(put_all(e, &p, n, &id, &batch));
    return nft_commit(sock, &batch);
}

/* ---- the kernel -------------------------------------------------------------------------------------------------- */

fallible network_policy_is_there(const struct network *n, int sock, bool *ret)
{
    bool policed;
    TRY(firewall_is_policed(sock, n->config->link, &policed));
    *ret = policed == n->config->policy_deny;
    return NULL;
}

/* What is taken out at a running container's end is what it has from now on. Before the firewall is changed: what is
 * missing then is no error. */
static fallible note(struct engine *e, const char *container)
{
    struct container_network network = { .dns_sock = -1 };
    own(container) struct container *c = NULL;
    own_fd int dir = -1;
    if (!network_is_connected(e, container))
        return NULL;
    TRY(container_find(e, container, &c));
    dir = open(c->state_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "open '%s'", c->state_dir);
    err *failed = network_look(c, &network);
    const struct firewall_part part = network_plan_part(&network.plan);
    if (!failed)
        failed = firewall_note(dir, &part);
    container_network_clear(&network);
    return failed;
}

/* And what an allowed one has no more: it may have other addresses from now on. What --egress wants of it comes in
 * again in the same batch. */
static fallible forget_own(int sock, const struct db_endpoint *at, struct nft *batch)
{
    struct network_plan plan = { 0 };
    err *failed = NULL;
    add_own(&plan, at);
    for (size_t i = 0; i < plan.reach_n && !failed; i++) {
        bool there = false;
        failed = firewall_bridge_has(sock, &plan.reach[i], &there);
        if (there)
            firewall_reach(batch, NFT_DELETE, &plan.reach[i]);
    }
    network_plan_clear(&plan);
    return failed;
}

static fallible change_own(struct engine *e, const struct network *n, int sock, struct nft *batch)
{
    own(db_endpoints) struct db_endpoints l = { 0 };
    struct db *db;
    TRY(engine_db(e, &db));
    TRY(db_endpoint_list(db, NULL, n->row.id, &l));
    for (size_t i = 0; i < l.n; i++) {
        TRY(note(e, l.items[i].container));
        if (!n->config->policy_deny)
            TRY(forget_own(sock, &l.items[i], batch));
    }
    return NULL;
}

fallible network_policy_put(struct engine *e, const struct network *n, int sock, int route, struct nft *batch)
{
    own(acl) struct acl p = { 0 };
    bool policed;
    TRY(firewall_is_policed(sock, n->config->link, &policed));
    if (!policed && !n->config->policy_deny)
        return NULL;
    TRY(firewall_forget_policy(sock, acl_is_of, n->row.id, batch));
    if (policed != n->config->policy_deny)
        TRY(change_own(e, n, sock, batch));
    if (!n->config->policy_deny) {
        firewall_police(batch, NFT_DELETE, n->config->link);
        return network_is_filtered(n->config) ? NULL
                                              : bridge_filter(route, n->config->link, n->config->bridge_filtered);
    }
    TRY(bridge_filter(route, n->config->link, BRIDGE_FILTERED));
    TRY(acl_read(&n->config->policy, &p));
    return put_all(e, &p, n, NULL, batch);
}

fallible network_policy_renamed(struct container *c)
{
    own(db_endpoints) struct db_endpoints l = { 0 };
    struct db *db;
    if (!network_is_connected(c->engine, c->row.id))
        return NULL;
    TRY(engine_db(c->engine, &db));
    TRY(db_endpoint_list(db, c->row.id, NULL, &l));
    for (size_t i = 0; i < l.n; i++) {
        own(network) struct network *n = NULL;
        TRY(network_find(c->engine, l.items[i].network, &n));
        if (n->config->policy_deny)
            return network_reload(c->engine);
    }
    return NULL;
}
