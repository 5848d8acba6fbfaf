// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/network.h"

#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "network/cni.h"
#include "usernet/usernet.h"

#define T struct network_subnet
static const struct bind_field subnet_fields[] = {
    BIND_STR(T, subnet, "subnet"),
    BIND_STR(T, gateway, "gateway"),
    BIND_STR(T, range, "range"),
    BIND_MAP(T, others, "others"),
    BIND_END,
};
#undef T
static const struct bind_type subnet_type = { "subnet", sizeof(struct network_subnet), subnet_fields, false };

#define T struct network_config
static const struct bind_field config_fields[] = {
    BIND_OBJS(T, subnets, subnets_n, "subnets", subnet_type),
    BIND_STR(T, link, "link"),
    BIND_BOOL(T, link_theirs, "linkTheirs"),
    BIND_STR(T, mode, "mode"),
    BIND_BOOL(T, ipv6, "ipv6"),
    BIND_BOOL(T, internal, "internal"),
    BIND_BOOL(T, no_isolate, "noIsolate"),
    BIND_BOOL(T, no_masquerade, "noMasquerade"),
    BIND_BOOL(T, no_icc, "noIcc"),
    BIND_BOOL(T, no_dns, "noDns"),
    BIND_BOOL(T, policy_deny, "policyDeny"),
    BIND_STRS(T, policy, "policy"),
    BIND_BOOL(T, flows, "flows"),
    BIND_I64(T, bridge_filtered, "bridgeFiltered"),
    BIND_I64(T, mtu, "mtu"),
    BIND_I64(T, vlan, "vlan"),
    BIND_I64(T, metric, "metric"),
    BIND_BOOL(T, no_default_route, "noDefaultRoute"),
    BIND_BOOL(T, unguarded4, "unguarded4"),
    BIND_BOOL(T, unguarded6, "unguarded6"),
    BIND_BOOL(T, routed4, "routed4"),
    BIND_BOOL(T, routed6, "routed6"),
    BIND_BOOL(T, isolated4, "isolated4"),
    BIND_BOOL(T, isolated6, "isolated6"),
    BIND_BOOL(T, unmanaged, "unmanaged"),
    BIND_STRS(T, trusted, "trusted"),
    BIND_STR(T, binding, "binding"),
    BIND_STRS(T, dns, "dns"),
    BIND_STRS(T, routes, "routes"),
    BIND_MAP(T, labels, "labels"),
    BIND_MAP(T, options, "options"),
    BIND_BOOL(T, dhcp, "dhcp"),
    BIND_BOOL(T, config_only, "configOnly"),
    BIND_STRS(T, words, "words"),
    BIND_STR(T, config_from, "configFrom"),
    BIND_END,
};
#undef T
const struct bind_type network_config_type = { "network", sizeof(struct network_config), config_fields, false };

void network_free(struct network *n)
{
    if (!n)
        return;
    db_network_clear(&n->row);
    bind_free(&network_config_type, n->config);
    free(n);
}

static fallible network_of_row(struct db_network *take_row, struct network **ret)
{
    own(network) struct network *n = mem_zalloc(sizeof *n);
    void *config = NULL;
    n->row = *take_row;
    *take_row = (struct db_network){ 0 };
    TRY_AS(bind_read(&network_config_type, n->row.config, strlen(n->row.config), &config), "network '%s'", n->row.name);
    n->config = config;
    *ret = take(n);
    return NULL;
}

static fallible find_default(struct engine *e, struct network **ret)
{
    const struct network_options none = { 0 };
    err *failed = network_find(e, NETWORK_DEFAULT, ret);
    for (int attempt = 0; err_is(failed, ERR_NOT_FOUND) && attempt < 2; attempt++) {
        err_free(failed);
        failed = network_create(e, NETWORK_DEFAULT, &none, ret);
        if (!err_is(failed, ERR_EXISTS) && !err_is(failed, ERR_CONFLICT))
            return failed;
        err_free(failed); /* another was faster */
        failed = network_find(e, NETWORK_DEFAULT, ret);
    }
    return failed;
}

fallible network_find(struct engine *e, const char *what, struct network **ret)
{
    struct db *db = NULL;
    if (str_eq(what, "bridge"))
        return find_default(e, ret);
    if (str_eq(what, "host") || str_eq(what, "none"))
        return err_new(ERR_NOT_FOUND,
                       "'%s' is no network that is made or joined later: a container has it from the start, by "
                       "--network %s",
                       what, what);
    own(db_network) struct db_network row = { 0 };
    TRY(engine_db_if_there(e, &db));
    if (!db)
        return err_new(ERR_NOT_FOUND, "no such network: '%s'", what);
    TRY(db_network_find(db, what, &row));
    return network_of_row(&row, ret);
}

void network_list_clear(struct network_list *l)
{
    for (size_t i = 0; i < l->n; i++)
        network_free(l->items[i]);
    free(l->items);
    *l = (struct network_list){ 0 };
}

fallible network_list(struct engine *e, struct network_list *ret)
{
    struct db *db = NULL;
    struct db_network *rows = NULL;
    size_t n = 0;
    struct network_list l = { 0 };
    err *failed = NULL;
    TRY(engine_db_if_there(e, &db));
    if (db)
        TRY(db_network_list(db, &rows, &n));
    l.items = mem_array(NULL, n + 1, sizeof *l.items);
    for (size_t i = 0; i < n; i++) {
        if (!failed && !(failed = network_of_row(&rows[i], &l.items[l.n])))
            l.n++;
        db_network_clear(&rows[i]);
    }
    free(rows);
    if (failed) {
        network_list_clear(&l);
        return failed;
    }
    *ret = l;
    return NULL;
}

bool network_is_connected(const struct engine *e, const char *container)
{
    own_mem char *path = mem_printf("%s/%s/network", e->run, container);
    return access(path, F_OK) == 0;
}

bool network_is_published(const struct engine *e, const char *container)
{
    own_mem char *pasta = mem_printf("%s/%s/" PASTA_PID_FILE, e->run, container);
    own_mem char *cni = mem_printf("%s/%s/" CNI_FILE, e->run, container);
    return network_is_connected(e, container) || access(pasta, F_OK) == 0 || access(cni, F_OK) == 0;
}

void neighbours_clear(struct neighbours *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->items[i].container);
        free(l->items[i].name);
        strv_free(&l->items[i].names);
    }
    free(l->items);
    *l = (struct neighbours){ 0 };
}

static bool known_as(const struct strv *names, const char *name)
{
    for (size_t i = 0; i < names->n; i++)
        if (strcasecmp(names->items[i], name) == 0)
            return true;
    return false;
}

/* Takes what it keeps of the endpoint. */
static void add_neighbour(struct neighbours *l, struct db_endpoint *e, const char *name, const char *only)
{
    struct strv names = { 0 };
    strv_add(&names, name);
    strv_add_take(&names, mem_strndup(e->container, 12));
    strv_add(&names, e->container);
    strv_copy(&names, e->aliases.items, e->aliases.n);
    if (only && !known_as(&names, only)) {
        strv_free(&names);
        return;
    }
    char *container = take(e->container);
    l->items = mem_array(l->items, l->n + 1, sizeof *l->items);
    l->items[l->n++] = (struct neighbour){
        .container = container, .name = mem_strdup(name), .names = names, .ip4 = e->ip4, .ip6 = e->ip6
    };
}

fallible network_neighbours(struct engine *e, const char *network, const char *name, const struct ip *ip,
                            struct neighbours *ret)
{
    struct db *db = NULL;
    own(db_endpoints) struct db_endpoints endpoints = { 0 };
    own(neighbours) struct neighbours l = { 0 };
    TRY(engine_db_if_there(e, &db));
    if (db)
        TRY(db_endpoint_list(db, NULL, network, &endpoints));
    for (size_t i = 0; i < endpoints.n; i++) {
        struct db_container row;
        struct db_endpoint *at = &endpoints.items[i];
        if ((ip && !ip_equal(ip, &at->ip4) && !ip_equal(ip, &at->ip6)) || !network_is_connected(e, at->container))
            continue;
        err *failed = db_container_find(db, at->container, &row);
        if (err_is(failed, ERR_NOT_FOUND)) { /* it was removed meanwhile */
            err_free(failed);
            continue;
        }
        TRY(failed);
        add_neighbour(&l, at, row.name, name);
        db_container_clear(&row);
    }
    *ret = l;
    l = (struct neighbours){ 0 };
    return NULL;
}
