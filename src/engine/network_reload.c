// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "engine/network_door.h"
#include "engine/network_flows.h"
#include "engine/network_lease.h"
#include "engine/network_parts.h"
#include "engine/network_policy.h"
#include "engine/network_start.h"
#include "engine/resolver.h"
#include "engine/trash.h"
#include "monitor/events.h"
#include "network/acl.h"
#include "os/fault.h"
#include "os/fs.h"
#include "usernet/usernet.h"

/*
 * The firewall's part of everything, from the rows, in one batch, so that no packet meets half of it. What is missing
 * is there again, and a published port that leads into one of our subnets without a container that has published it is
 * gone. Elements of another store's networks, which are in the same table, are left alone.
 */

/* Published ports as elements of maps. */
struct entries {
    struct firewall_entry *items;
    size_t n;
    struct firewall_reach *reach; /* and where containers may go */
    size_t reach_n;
    struct firewall_who *who; /* and who they are to their neighbours */
    size_t who_n;
};

static void entries_clear(struct entries *l)
{
    free(l->items);
    free(l->reach);
    free(l->who);
    *l = (struct entries){ 0 };
}

static void add_entry(struct entries *l, const struct firewall_entry *e)
{
    l->items = mem_array(l->items, l->n + 1, sizeof *l->items);
    l->items[l->n++] = *e;
}

static void put_entries(struct nft *n, enum nft_what what, const struct entries *l)
{
    for (size_t i = 0; i < l->n; i++)
        firewall_put(n, what, &l->items[i]);
    for (size_t i = 0; i < l->reach_n; i++)
        firewall_reach(n, what, &l->reach[i]);
    for (size_t i = 0; i < l->who_n; i++)
        firewall_who(n, what, &l->who[i]);
}

static fallible add_networks(struct engine *e, const struct network_list *l, int sock, int route, struct nft *n)
{
    for (size_t i = 0; i < l->n; i++) {
        struct firewall_net net;
        unsigned index = 0;
        if (!str_eq(l->items[i]->row.driver, "bridge"))
            continue;
        TRY(link_index(route, l->items[i]->config->link, &index));
        if (!index)
            continue;
        TRY(network_firewall(l->items[i], &net));
        TRY(network_policy_put(e, l->items[i], sock, route, n));
        TRY(network_flows_put(e, l->items[i], sock, route, n));
        firewall_net(n, NFT_ADD, &net);
    }
    return NULL;
}

static fallible add_container(struct engine *e, struct db_container *take_row, struct entries *ret)
{
    struct container_network network = { .dns_sock = -1 };
    own(container) struct container *c = container_new(e, take_row);
    err *failed = network_look(c, &network);
    for (size_t i = 0; !failed && i < network.plan.ports_n; i++) {
        struct firewall_entry of_one[2];
        size_t n = firewall_port_entries(&network.plan.ports[i], of_one);
        for (size_t j = 0; j < n; j++)
            add_entry(ret, &of_one[j]);
    }
    for (size_t i = 0; !failed && i < network.plan.reach_n; i++) {
        ret->reach = mem_array(ret->reach, ret->reach_n + 1, sizeof *ret->reach);
        ret->reach[ret->reach_n++] = network.plan.reach[i];
    }
    for (size_t i = 0; !failed && i < network.plan.who_n; i++) {
        ret->who = mem_array(ret->who, ret->who_n + 1, sizeof *ret->who);
        ret->who[ret->who_n++] = network.plan.who[i];
    }
    container_network_clear(&network);
    return failed;
}

/* What all connected containers have published. */
static fallible expect_entries(struct engine *e, struct entries *ret)
{
    struct db *db = NULL;
    struct db_container *rows = NULL;
    size_t count = 0;
    err *failed = NULL;
    TRY(engine_db_if_there(e, &db));
    if (db)
        TRY(db_container_list(db, &rows, &count));
    for (size_t i = 0; i < count; i++) {
        if (!failed && network_is_connected(e, rows[i].id))
            failed = add_container(e, &rows[i], ret);
        else
            db_container_clear(&rows[i]);
    }
    free(rows);
    return failed;
}

struct strays {
    const struct entries *expected;
    const struct network_list *networks;
    const char *map; /* that is looked at */
    struct entries found;
};

/* The address that an element leads to is in one of our subnets: it is ours, not another store's. */
static bool is_ours(const struct network_list *l, const uint8_t *address, int family)
{
    struct ip ip = { .family = family };
    memcpy(ip.bytes, address, ip_size(&ip));
    for (size_t i = 0; i < l->n; i++)
        for (size_t j = 0; j < l->items[i]->config->subnets_n; j++) {
            struct prefix p = { .len = -1 };
            err_ignore(prefix_parse(l->items[i]->config->subnets[j].subnet, &p), "it was checked when it was made");
            if (prefix_has(&p, &ip))
                return true;
        }
    return false;
}

static bool is_expected(const struct entries *l, const struct firewall_entry *e)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct firewall_entry *o = &l->items[i];
        if (str_eq(o->map, e->map) && o->key_len == e->key_len && o->data_len == e->data_len &&
            memcmp(o->key, e->key, e->key_len) == 0 && memcmp(o->data, e->data, e->data_len) == 0)
            return true;
    }
    return false;
}

static err *look_at_element(void *ctx, const struct nft_element *in)
{
    struct strays *s = ctx;
    struct firewall_entry e = { .map = s->map, .key_len = in->key_len, .data_len = in->data_len };
    int family = strchr(s->map, '6') ? AF_INET6 : AF_INET;
    const size_t size = family == AF_INET6 ? 16 : 4;
    const bool open = !in->data_len; /* the container's own address is the key's first field */
    if (in->key_len > sizeof e.key || in->data_len > sizeof e.data || (open ? in->key_len : in->data_len) < size ||
        !is_ours(s->networks, open ? in->key : in->data, family))
        return NULL;
    memcpy(e.key, in->key, in->key_len);
    memcpy(e.data, in->data, in->data_len);
    if (!is_expected(s->expected, &e))
        add_entry(&s->found, &e);
    return NULL;
}

/* Somebody who is not there, by an address that the next one may get. */
static err *look_at_who(void *ctx, const struct nft_element *in)
{
    struct strays *s = ctx;
    struct firewall_entry e = { .map = s->map, .key_len = in->key_len };
    int family = strchr(s->map, '6') ? AF_INET6 : AF_INET;
    bool known = in->key_len != (family == AF_INET6 ? 16 : 4) || !is_ours(s->networks, in->key, family);
    for (size_t i = 0; i < s->expected->who_n && !known; i++)
        known = memcmp(s->expected->who[i].ip.bytes, in->key, in->key_len) == 0;
    if (known)
        return NULL;
    memcpy(e.key, in->key, in->key_len);
    add_entry(&s->found, &e);
    return NULL;
}

static fallible find_strangers(int sock, struct strays *s)
{
    for (const char *const *map = firewall_who_maps; *map; map++) {
        s->map = *map;
        err *e = nft_each(sock, FIREWALL_TABLE, *map, look_at_who, s);
        if (err_errno(e) != ENOENT)
            TRY(e);
        err_free(e);
    }
    return NULL;
}

static fallible find_strays_in(int sock, const char *const *names, struct strays *s)
{
    for (const char *const *map = names; *map; map++) {
        s->map = *map;
        err *e = nft_each(sock, FIREWALL_TABLE, *map, look_at_element, s);
        if (err_errno(e) != ENOENT)
            TRY(e);
        err_free(e); /* no table: nothing is stray */
    }
    return NULL;
}

static fallible find_strays(int sock, struct strays *s)
{
    TRY(find_strays_in(sock, firewall_port_maps, s));
    return find_strays_in(sock, firewall_open_sets, s);
}

/* Without a holder there is nothing in the kernel, and nothing to be done about it. */
static fallible is_there(struct engine *e, bool *ret)
{
    err *failed = network_door(e, NETWORK_DOOR_FIND);
    *ret = !failed;
    if (!err_is(failed, ERR_NOT_FOUND))
        return failed;
    err_free(failed);
    return NULL;
}

static fallible reload(struct engine *e, int sock, int route, const struct network_list *networks)
{
    own(nft) struct nft n = { 0 };
    struct entries expected = { 0 };
    struct strays strays = { .expected = &expected, .networks = networks };
    firewall_begin(&n);
    err *failed = expect_entries(e, &expected);
    if (!failed)
        failed = find_strays(sock, &strays);
    if (!failed) {
        put_entries(&n, NFT_DELETE, &strays.found); /* first: another address may have the port now */
        failed = add_networks(e, networks, sock, route, &n);
        if (expected.reach_n)
            firewall_bridge(&n);
        put_entries(&n, NFT_ADD, &expected);
    }
    if (!failed) {
        failed = nft_commit(sock, &n);
        failed = expected.reach_n ? firewall_bridge_why(failed) : failed;
    }
    if (!failed) /* who may have begun to speak while the rules were gone */
        failed = firewall_forget_clients(sock, expected.items, expected.n);
    if (!failed)
        failed = network_flows_sweep(networks, sock);
    entries_clear(&strays.found);
    entries_clear(&expected);
    return failed;
}

fallible network_reload(struct engine *e)
{
    own_fd int sock = -1, route = -1;
    struct network_list l = { 0 };
    bool there, made;
    TRY(is_there(e, &there));
    if (!there)
        return NULL;
    TRY(nft_open(&sock));
    TRY(netlink_open(&route));
    TRY(firewall_ensure(sock, &made));
    if (usernet_needed())
        TRY(usernet_rules());
    TRY(network_list(e, &l));
    err *failed = reload(e, sock, route, &l);
    network_list_clear(&l);
    return failed;
}

fallible network_obstacles(struct str *ret)
{
    own_fd int sock = -1;
    if (usernet_needed() && !netlink_has_door()) /* nothing is there that anything could be in the way of */
        return NULL;
    TRY(nft_open(&sock));
    return firewall_obstacles(sock, ret);
}

/* pasta sends a container's ping by a socket of its own, which the kernel gives to some groups alone: ping(8), icmp(7).
 */
static bool may_ping(const char *range)
{
    own_strv struct strv words = { 0 };
    int64_t first = 1, last = 0;
    gid_t groups[256];
    strv_split(&words, range, '\t');
    err *e = words.n == 2 ? parse_i64(words.items[0], 0, UINT32_MAX, &first) : NULL;
    if (!e && words.n == 2)
        e = parse_i64(words.items[1], 0, UINT32_MAX, &last);
    err_ignore(e, "then it is nobody's");
    int n = getgroups(ARRAY_SIZE(groups), groups);
    bool may = getegid() >= first && getegid() <= last;
    for (int i = 0; i < n && !may; i++)
        may = groups[i] >= first && groups[i] <= last;
    return may;
}

void network_lacks(struct str *ret)
{
    own_mem char *range = NULL;
    if (!usernet_needed())
        return;
    err *e = fs_read_at(AT_FDCWD, "/proc/sys/net/ipv4/ping_group_range", 64, &range, NULL);
    if (!e)
        range[strcspn(range, "\n")] = '\0';
    if (!e && !may_ping(range))
        str_printf(ret, "%sping to the outside needs this of root: sysctl net.ipv4.ping_group_range=\"0 2147483647\"",
                   ret->len ? "\n" : "");
    err_ignore(e, "a kernel without that has no such limit");
}

/* ---- what system check asks ----------------------------------------------------------------------------------------
 */

static fallible count_missing(int sock, int route, const struct network_list *l, int64_t *ret)
{
    for (size_t i = 0; i < l->n; i++) {
        unsigned index = 0;
        bool there = true;
        if (!str_eq(l->items[i]->row.driver, "bridge"))
            continue;
        TRY(link_index(route, l->items[i]->config->link, &index));
        if (index)
            TRY(firewall_has(sock, l->items[i]->config->link, &there));
        if (index && there)
            TRY(network_policy_is_there(l->items[i], sock, &there));
        if (index && there)
            TRY(network_flows_is_there(l->items[i], sock, &there));
        *ret += !there;
    }
    return NULL;
}

static fallible check_networks(struct engine *e, const struct network_list *l, int64_t *ret_missing,
                               int64_t *ret_strays)
{
    own_fd int sock = -1, route = -1;
    struct entries expected = { 0 };
    struct strays s = { .expected = &expected, .networks = l };
    TRY(nft_open(&sock));
    TRY(netlink_open(&route));
    TRY(count_missing(sock, route, l, ret_missing));
    err *failed = expect_entries(e, &expected);
    if (!failed)
        failed = find_strays(sock, &s);
    if (!failed)
        failed = find_strangers(sock, &s);
    *ret_strays = (int64_t)s.found.n;
    entries_clear(&s.found);
    entries_clear(&expected);
    return failed;
}

fallible network_check(struct engine *e, int64_t *ret_missing, int64_t *ret_strays)
{
    struct network_list l = { 0 };
    *ret_missing = *ret_strays = 0;
    TRY(network_list(e, &l));
    err *failed = l.n ? check_networks(e, &l, ret_missing, ret_strays) : NULL;
    network_list_clear(&l);
    return failed;
}

/* ---- removal ----------------------------------------------------------------------------------------------------- */

/* The resolver would keep the gateway's port 53, and the next network may get the same gateway. */
static void forget_names(struct engine *e, const struct network *n)
{
    own_fd int sock = -1;
    err *failed = resolver_find(e, &sock);
    if (!failed && sock >= 0)
        failed = resolver_forget(sock, n->row.id);
    err_ignore(failed, "it ends when nobody is there any more");
}

/* A VLAN that was made for one network is the next one's parent too. */
static fallible forget_parent(struct engine *e, const struct network *n, int route)
{
    struct network_list l = { 0 };
    bool used = false;
    TRY(network_list(e, &l));
    for (size_t i = 0; i < l.n; i++)
        used |= !str_eq(l.items[i]->row.id, n->row.id) && str_eq(l.items[i]->config->link, n->config->link);
    network_list_clear(&l);
    return used || n->config->link_theirs ? NULL : parent_remove(route, n->config->link);
}

static fallible forget_network(struct engine *e, struct network *n)
{
    own(nft) struct nft nft = { 0 };
    own_fd int sock = -1, route = -1;
    struct firewall_net net;
    bool there = false;
    size_t len;
    TRY(netlink_open(&route));
    if (!str_eq(n->row.driver, "bridge"))
        return forget_parent(e, n, route);
    if (!n->config->link_theirs)
        TRY(bridge_remove(route, n->config->link));
    fault_here(FAULT_BRIDGE_GONE);
    TRY(nft_open(&sock));
    TRY(firewall_has(sock, n->config->link, &there));
    if (!there)
        return NULL;
    TRY(network_firewall(n, &net));
    firewall_begin(&nft);
    firewall_net(&nft, NFT_DELETE, &net);
    if (n->config->policy_deny)
        TRY(firewall_forget_policy(sock, acl_is_of, n->row.id, &nft));
    void *bytes = (void *)(uintptr_t)nft_bytes(&nft, &len);
    TRY(nft_send(sock, bytes, len));
    return network_flows_reset(e, n);
}

/* A configuration that a network was made of. */
static fallible must_not_be_a_template(struct engine *e, const struct network *n)
{
    struct network_list l = { 0 };
    err *failed = NULL;
    if (!n->config->config_only)
        return NULL;
    TRY(network_list(e, &l));
    for (size_t i = 0; i < l.n && !failed; i++)
        if (str_eq(l.items[i]->config->config_from, n->row.name))
            failed = err_new(ERR_CONFLICT, "network '%s' was made of the configuration '%s': remove that first",
                             l.items[i]->row.name, n->row.name);
    network_list_clear(&l);
    return failed;
}

static fallible must_be_unused(struct engine *e, const struct network *n)
{
    own(db_endpoints) struct db_endpoints l = { 0 };
    struct db *db;
    struct db_container row;
    TRY(engine_db(e, &db));
    TRY(db_endpoint_list(db, NULL, n->row.id, &l));
    TRY(must_not_be_a_template(e, n));
    for (size_t i = 0; i < l.n; i++) {
        if (db_container_find(db, l.items[i].container, &row))
            continue;
        err *failed = err_new(
            ERR_CONFLICT, "network '%s' is in use by container '%s': disconnect or remove that first, or force with -f",
            n->row.name, row.name);
        db_container_clear(&row);
        return failed;
    }
    return NULL;
}

static fallible disconnect_all(struct engine *e, struct network *n)
{
    own(db_endpoints) struct db_endpoints l = { 0 };
    struct db *db;
    TRY(engine_db(e, &db));
    TRY(db_endpoint_list(db, NULL, n->row.id, &l));
    for (size_t i = 0; i < l.n; i++) {
        own(container) struct container *c = NULL;
        TRY(container_find(e, l.items[i].container, &c));
        TRY(network_disconnect(e, n, c));
    }
    return NULL;
}

fallible network_removal(struct engine *e, struct network *n, bool force)
{
    return force ? must_not_be_a_template(e, n) : must_be_unused(e, n);
}

/* On a full disk it is deleted. */
static fallible remove_row(struct db *db, struct network *n, struct trash *trash)
{
    if (trash_keeps(trash)) {
        err *e = trash_network(trash, &n->row);
        if (!err_is(e, ERR_EXHAUSTED))
            return e;
        err_ignore(e, "then there is no room for a trash");
    }
    return db_network_remove(db, n->row.id, n->row.name, DB_MUST_BE_UNUSED);
}

/* The kernel's part first: killed in between, the row is still there to say what it was, and a start makes it again. */
fallible network_remove(struct engine *e, struct network *n, bool force, struct trash *trash)
{
    struct db *db;
    TRY(engine_db(e, &db));
    if (force)
        TRY(disconnect_all(e, n));
    else
        TRY(must_be_unused(e, n));
    TRY(must_not_be_a_template(e, n));
    bool there = false;
    if (!n->config->config_only)
        TRY(is_there(e, &there));
    if (there)
        forget_names(e, n);
    fault_here(FAULT_NAMES_GONE);
    if (there) /* else the namespace that it was in is gone, and the one that we are in is not an ordinary user's */
        TRY(forget_network(e, n));
    fault_here(FAULT_NETWORK_GONE);
    TRY(remove_row(db, n, trash));
    event_say(e->run, "network", "destroy", n->row.id, "name", n->row.name, "type", n->row.driver, NULL);
    return NULL;
}
