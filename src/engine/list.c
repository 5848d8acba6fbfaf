// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/log.h"
#include "engine/container_parts.h"
#include "engine/filter.h"
#include "engine/health.h"
#include "engine/network.h"
#include "engine/network_wish.h"
#include "image/ref.h"
#include "monitor/monitor.h"
#include "monitor/restart.h"

struct subject {
    struct container *c;
    const struct container_state *state;
    const struct container_config *config;
};

/* before= and since=: the creation time of another container */
static fallible other_created(struct engine *e, const char *what, int64_t *ret)
{
    own(container) struct container *other = NULL;
    TRY(container_find(e, what, &other));
    *ret = other->row.created_ns;
    return NULL;
}

static bool status_matches(const struct container_state *s, const char *value)
{
    return strcmp(container_state_word(s), value) == 0 ||
           (strcmp(value, "stopped") == 0 && s->status == CONTAINER_EXITED);
}

static bool volume_matches(const struct container_config *config, const char *wish)
{
    for (size_t i = 0; i < config->mounts_n; i++)
        if (str_eq(config->mounts[i].source, wish) || str_eq(config->mounts[i].target, wish))
            return true;
    return false;
}

static bool ancestor_matches(const struct container *c, const char *wish)
{
    own(ref) struct ref *wanted = NULL, *have = NULL;
    if (c->row.image_id && strlen(wish) >= 2 &&
        (str_starts(c->row.image_id, wish) || str_starts(digest_hex(c->row.image_id), wish)))
        return true;
    err *e = ref_parse(wish, &wanted);
    if (!e && c->row.image)
        e = ref_parse(c->row.image, &have);
    if (e || !have) {
        err_ignore(e, "what is no reference matches by ID only");
        return false;
    }
    own_mem char *a = ref_full(wanted), *b = ref_full(have);
    return strcmp(a, b) == 0;
}

/* 80, 80/tcp, 8000-8010/udp */
static fallible check_port(const char *text)
{
    size_t n = strspn(text, "0123456789-");
    const char *protocol = text + n;
    if (!n ||
        (*protocol && strcmp(protocol, "/tcp") != 0 && strcmp(protocol, "/udp") != 0 && strcmp(protocol, "/sctp") != 0))
        return err_new(ERR_INVALID, "'%s' is no port, such as 80 or 8000-8010/udp", text);
    return NULL;
}

static fallible network_matches(struct container *c, const struct container_config *config, const char *value,
                                bool *ret)
{
    own(db_endpoints) struct db_endpoints l = { 0 };
    own(network) struct network *n = NULL;
    struct db *db;
    *ret = str_eq(config->network, value);
    if (*ret || !network_mode_is_ours(config->network))
        return NULL;
    err *e = network_find(c->engine, value, &n);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    TRY(engine_db(c->engine, &db));
    TRY(db_endpoint_list(db, c->row.id, n->row.id, &l));
    *ret = l.n > 0;
    return NULL;
}

/* Whether one of the ports that are meant is among the container's. */
static fallible port_matches(struct container *c, const struct container_config *config, const char *key,
                             const char *value, bool *ret)
{
    own_strv struct strv wanted = { 0 };
    own(db_ports) struct db_ports l = { 0 };
    struct db *db;
    *ret = false;
    TRY(network_expose_parse(value, &wanted));
    TRY(engine_db(c->engine, &db));
    TRY(db_port_list(db, c->row.id, &l));
    for (size_t i = 0; i < l.n; i++) {
        own_mem char *port = mem_printf("%lld/%s", (long long)l.items[i].container_port, l.items[i].proto);
        own_mem char *host = mem_printf("%lld/%s", (long long)l.items[i].host_port, l.items[i].proto);
        *ret |= strv_has(&wanted, port) || strv_has(&wanted, host);
    }
    for (size_t i = 0; str_eq(key, "expose") && i < config->exposed.n; i++)
        *ret |= strv_has(&wanted, config->exposed.items[i]);
    return NULL;
}

/* A pod that is not there has no containers. */
static fallible pod_matches(struct container *c, const char *value, bool *ret)
{
    own(db_pod) struct db_pod pod = { 0 };
    struct db *db;
    *ret = false;
    if (!c->row.pod)
        return NULL;
    TRY(engine_db(c->engine, &db));
    err *e = db_pod_find(db, value, &pod);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    *ret = strcmp(pod.id, c->row.pod) == 0;
    return NULL;
}

static err *matches(void *ctx, const char *key, const char *value, bool *ret)
{
    const struct subject *s = ctx;
    struct engine *e = s->c->engine;
    int64_t n;
    if (strcmp(key, "id") == 0)
        *ret = str_starts(s->c->row.id, value);
    else if (strcmp(key, "name") == 0)
        return filter_name(s->c->row.name, value, ret);
    else if (strcmp(key, "label") == 0)
        *ret = filter_label(&s->config->labels, value);
    else if (strcmp(key, "label!") == 0)
        *ret = !filter_label(&s->config->labels, value);
    else if (strcmp(key, "network") == 0)
        return network_matches(s->c, s->config, value, ret);
    else if (strcmp(key, "volume") == 0)
        *ret = volume_matches(s->config, value);
    else if (strcmp(key, "pod") == 0)
        return pod_matches(s->c, value, ret);
    else if (strcmp(key, "ancestor") == 0)
        *ret = ancestor_matches(s->c, value);
    else if (strcmp(key, "status") == 0)
        *ret = status_matches(s->state, value);
    else if (strcmp(key, "exited") == 0) {
        TRY(parse_i64(value, 0, 255, &n));
        *ret = s->state->status == CONTAINER_EXITED && s->state->exit_code == n;
    } else if (strcmp(key, "restart-policy") == 0) {
        struct restart wish = { 0 }, has = { 0 };
        TRY(restart_parse(value, &wish));
        if (s->config->restart)
            TRY(restart_parse(s->config->restart, &has));
        *ret = wish.policy == has.policy;
    } else if (strcmp(key, "until") == 0) {
        TRY(parse_when_ns(value, &n));
        *ret = s->c->row.created_ns < n;
    } else if (strcmp(key, "health") == 0) {
        *ret = strcmp(value, health_word(s->c)) == 0;
    } else if (strcmp(key, "is-task") == 0) {
        bool task;
        TRY(parse_bool(value, &task));
        *ret = !task;
    } else if (strcmp(key, "publish") == 0 || strcmp(key, "expose") == 0) {
        return port_matches(s->c, s->config, key, value, ret);
    } else if (strcmp(key, "before") == 0) {
        TRY(other_created(e, value, &n));
        *ret = s->c->row.created_ns < n;
    } else {
        TRY(other_created(e, value, &n));
        *ret = s->c->row.created_ns > n;
    }
    return NULL;
}

static fallible check_exited(const char *value)
{
    int64_t unused;
    return parse_i64(value, 0, 255, &unused);
}

static fallible check_policy(const char *value)
{
    struct restart unused = { 0 };
    return restart_parse(value, &unused);
}

/* No container of husk's is ever removing or dead; the words are docker's all the same. */
static const char *const words_status[] = { "created", "running",    "paused",   "exited",      "stopped",
                                            "dead",    "restarting", "removing", "initialized", NULL },
                         *const words_health[] = { "none", "starting", "healthy", "unhealthy", NULL };
static const struct filter_key keys[] = {
    { "id", NULL, NULL },
    { "name", NULL, filter_regex },
    { "label", NULL, NULL },
    { "label!", NULL, NULL },
    { "volume", NULL, NULL },
    { "ancestor", NULL, NULL },
    { "status", words_status, NULL },
    { "exited", NULL, check_exited },
    { "before", NULL, NULL },
    { "since", NULL, NULL },
    { "until", NULL, filter_when },
    { "health", words_health, NULL },
    { "network", NULL, NULL },
    { "publish", NULL, check_port },
    { "expose", NULL, check_port },
    { "is-task", NULL, filter_bool },
    { "restart-policy", NULL, check_policy },
    { "pod", NULL, NULL },
    { 0 },
};

/* What has to be there though no container is held against it. */
static fallible check_others(struct engine *e, const struct strv *filters)
{
    for (size_t i = 0; filters && i < filters->n; i++) {
        const char *f = filters->items[i];
        int64_t unused;
        if (str_starts(f, "before=") || str_starts(f, "since="))
            TRY_AS(other_created(e, strchr(f, '=') + 1, &unused), "--filter %.*s", (int)strcspn(f, "="), f);
    }
    return NULL;
}

/* A --rm container whose monitor and client were both killed: it is removed by who sees it next. */
static bool is_leftover(struct container *c, const struct container_state *s)
{
    const struct container_config *config;
    if (s->status != CONTAINER_EXITED || !strstr(c->row.config, "\"autoRemove\":true"))
        return false;
    err *e = container_config(c, &config);
    if (e) {
        err_ignore(e, "its own command will say so");
        return false;
    }
    return config->auto_remove && !monitor_alive(c->state_dir);
}

static bool has_status_filter(const struct strv *filters)
{
    for (size_t i = 0; filters && i < filters->n; i++)
        if (str_starts(filters->items[i], "status=") || str_starts(filters->items[i], "exited="))
            return true;
    return false;
}

static fallible consider(struct container *c, const struct list_options *o, struct container_state *state, bool *ret)
{
    static const struct remove_options rm = { .force = false, .volumes = true };
    struct subject s = { c, state, NULL };
    *ret = false;
    container_mend(c);
    TRY(container_state(c, state));
    if (is_leftover(c, state)) {
        err_ignore(container_remove(c, &rm), "somebody else removes it, or the next command does");
        return NULL;
    }
    bool any_state = o->all || o->last || has_status_filter(o->filters);
    if (!any_state && state->waits)
        return NULL;
    if (!any_state && state->status != CONTAINER_RUNNING && state->status != CONTAINER_PAUSED &&
        state->status != CONTAINER_RESTARTING)
        return NULL;
    if (!o->filters || !o->filters->n) {
        *ret = true;
        return NULL;
    }
    TRY(container_config(c, &s.config));
    return filters_pass(o->filters, keys, matches, &s, ret);
}

void container_list_clear(struct container_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        container_free(l->items[i]);
        container_state_clear(&l->states[i]);
    }
    free(l->items);
    free(l->states);
    *l = (struct container_list){ 0 };
}

static fallible add_row(struct engine *e, const struct list_options *o, struct db_container *row,
                        struct container_list *l)
{
    own(container) struct container *c = container_new(e, row);
    struct container_state state = { 0 };
    bool wanted = false;
    if (o->last && (int64_t)l->n >= o->last)
        return NULL;
    err *failed = consider(c, o, &state, &wanted);
    if (failed || !wanted) {
        container_state_clear(&state);
        return failed;
    }
    l->items[l->n] = take(c);
    l->states[l->n++] = state;
    return NULL;
}

fallible container_list(struct engine *e, const struct list_options *o, struct container_list *ret)
{
    struct db *db = NULL;
    struct db_container *rows = NULL;
    struct container_list l = { 0 };
    size_t n = 0;
    TRY(filters_check(o->filters, keys));
    TRY(check_others(e, o->filters));
    TRY(engine_db_if_there(e, &db));
    if (db)
        TRY(db_container_list(db, &rows, &n));
    l.items = mem_array(NULL, n + 1, sizeof *l.items);
    l.states = mem_array(NULL, n + 1, sizeof *l.states);
    err *first = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!first)
            first = add_row(e, o, &rows[i], &l);
        db_container_clear(&rows[i]);
    }
    free(rows);
    if (first) {
        container_list_clear(&l);
        return first;
    }
    *ret = l;
    return NULL;
}
