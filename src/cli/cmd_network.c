/*
 * husk network: what containers are connected to.
 * Compatible with: docker network, podman network.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/parse.h"
#include "cli/cli.h"
#include "cli/inspect_docs.h"
#include "cli/network.h"
#include "cli/table.h"
#include "engine/container_parts.h"
#include "engine/filter.h"
#include "engine/link.h"
#include "engine/network.h"
#include "engine/network_door.h"
#include "engine/network_policy.h"
#include "engine/network_start.h"
#include "os/fs.h"

struct network_opts {
    struct network_options create;
    struct opt_bool ipv4;
    struct strv filter, ipam_opt, alias, dns_add, dns_drop, link, link_local_ip, driver_opt;
    const char *format, *ip, *ip6, *mac, *interface, *scope;
    bool ingress, quiet, force, all, no_trunc, attachable, verbose, no_heading, dry_run, latest, no_trash;
    struct opt_i64 time, gw_priority;
};

#define T struct network_opts
static const struct opt create_options[] = {
    OPT_STR('d', "driver", T, create.driver, "DRIVER", "bridge (default), macvlan, ipvlan"),
    OPT_STRS(0, "subnet", T, create.subnet, "SUBNET",
             "Its addresses: 10.9.0.0/24; one of each family (default: chosen)"),
    OPT_STRS(0, "gateway", T, create.gateway, "IP", "The address of the way out (default: a subnet's first)"),
    OPT_STRS(0, "ip-range", T, create.range, "RANGE",
             "Containers get addresses from it alone: 10.9.0.128/25, or FIRST-LAST"),
    OPT_STRS(0, "aux-address", T, create.aux_address, "[NAME=]IP", "An address that no container gets"),
    OPT_FLAG(0, "ipv6", T, create.ipv6, "IPv6 too: a unique local subnet, where none is given"),
    OPT_SWITCH(0, "ipv4", T, ipv4, "IPv4 (default true)"),
    OPT_FLAG(0, "internal", T, create.internal, "Its containers reach each other and the host, nothing beyond"),
    OPT_STRS('o', "opt", T, create.opt, "KEY=VALUE",
             "mtu= (default: 9000 among its containers, 1500 beyond), vlan=, isolate=, metric=, no_default_route=, "
             "parent= and mode= (macvlan, ipvlan), and docker's "
             "com.docker.network.bridge. name=, enable_icc=, enable_ip_masquerade=, host_binding_ipv4=, "
             "gateway_mode_ipv4=, gateway_mode_ipv6=, trusted_host_interfaces="),
    OPT_STR(0, "interface-name", T, create.interface_name, "NAME",
            "The bridge's name on the host, or the parent device"),
    OPT_STRS(0, "route", T, create.route, "DESTINATION,GATEWAY[,METRIC]", "A further route of its containers"),
    OPT_STRS(0, "dns", T, create.dns, "IP", "A name server for what is not on the network, instead of the host's"),
    OPT_FLAG(0, "disable-dns", T, create.disable_dns, "Its containers do not know each other by name"),
    OPT_STR(0, "ipam-driver", T, create.ipam_driver, "DRIVER", "default, or none: no addresses are given"),
    OPT_STR(0, "policy", T, create.policy, "POLICY",
            "allow (default): its containers reach each other; deny: as its rules allow (husk network policy)",
            .words = (const char *const[]){ "allow", "deny", NULL }),
    OPT_FLAG(0, "flows", T, create.flows, "Count who speaks to whom on it (husk network flows)"),
    OPT_STRS(0, "label", T, create.label, "KEY=VALUE", "A label"),
    OPT_FLAG(0, "ignore", T, create.ignore, "One of that name that is there already is fine"),
    OPT_FLAG(0, "attachable", T, attachable, "As every network of husk's is"),
    OPT_STR(0, "scope", T, scope, "SCOPE", "local, as every network of husk's is"),
    OPT_FLAG(0, "config-only", T, create.config_only, "No network, but what others are made of with --config-from"),
    OPT_STR(0, "config-from", T, create.config_from, "NETWORK", "Make it of one that was made with --config-only"),
    OPT_GROUP("Refused"),
    OPT_FLAG(0, "ingress", T, ingress, "Refused: it is for swarms"),
    OPT_STRS(0, "ipam-opt", T, ipam_opt, "KEY=VALUE", "Refused: addresses have --subnet, --ip-range and --aux-address"),
    OPT_END,
};
static const struct opt ls_options[] = {
    OPT_FLAG('q', "quiet", T, quiet, "Only IDs"),
    OPT_FLAG(0, "no-trunc", T, no_trunc, "Whole IDs"),
    OPT_FLAG('n', "noheading", T, no_heading, "Without the heading"),
    OPT_STRS('f', "filter", T, filter, "KEY=VALUE",
             "name=, id=, driver=, label=KEY[=VALUE], dangling=BOOL, type=builtin|custom, until=TIME"),
    OPT_STR(0, "format", T, format, "FORMAT", "table, json, or a template such as '{{.Name}}'"),
    OPT_END,
};
static const struct opt inspect_options[] = {
    OPT_STR('f', "format", T, format, "FORMAT", "json, or a template such as '{{.Driver}}'"),
    OPT_FLAG('v', "verbose", T, verbose, "As it always is"),
    OPT_END,
};
static const struct opt rm_options[] = {
    OPT_FLAG('f', "force", T, force, "Disconnect what is on it; a missing one is no error"),
    OPT_I64('t', "time", T, time, "SECONDS", "Refused: no container is stopped for it"),
    OPT_FLAG(0, "dry-run", T, dry_run, "Only say what would be removed"),
    OPT_FLAG(0, "no-trash", T, no_trash, "Keep nothing for husk undo"),
    OPT_END,
};
static const struct opt prune_options[] = {
    OPT_FLAG('f', "force", T, force, "As with docker: husk never asks"),
    OPT_STRS(0, "filter", T, filter, "KEY=VALUE", "name=, label=KEY[=VALUE], until=TIME"),
    OPT_FLAG(0, "dry-run", T, dry_run, "Only say what would be removed"),
    OPT_FLAG(0, "no-trash", T, no_trash, "Keep nothing for husk undo"),
    OPT_END,
};
static const struct opt connect_options[] = {
    OPT_STRS(0, "alias", T, alias, "NAME", "Another name of it on the network"),
    OPT_STRS(0, "link", T, link, "CONTAINER[:ALIAS]", "What it calls a neighbour"),
    OPT_STRS(0, "link-local-ip", T, link_local_ip, "IP", "A further address: of 169.254.0.0/16 or fe80::/10"),
    OPT_STRS(0, "driver-opt", T, driver_opt, "KEY=VALUE",
             "com.docker.network.endpoint.ifname=NAME: the interface's name"),
    OPT_I64(0, "gw-priority", T, gw_priority, "N",
            "The default route leads through the network with the highest (default 0; of equal ones the first)"),
    OPT_STR(0, "ip", T, ip, "IP", "Its IPv4 address there"),
    OPT_STR(0, "ip6", T, ip6, "IP", "Its IPv6 address there"),
    OPT_STR(0, "mac-address", T, mac, "MAC", "Its hardware address there"),
    OPT_STR(0, "interface", T, interface, "NAME", "The interface's name (default: the next of eth0, eth1 ...)"),
    OPT_END,
};
static const struct opt disconnect_options[] = {
    OPT_FLAG('f', "force", T, force, "A container that is not on it is no error"),
    OPT_END,
};
static const struct opt update_options[] = {
    OPT_STRS(0, "dns-add", T, dns_add, "IP", "One name server more"),
    OPT_STRS(0, "dns-drop", T, dns_drop, "IP", "One less"),
    OPT_END,
};
static const struct opt reload_options[] = {
    OPT_FLAG('a', "all", T, all, "As without a name: of all"),
    OPT_FLAG('l', "latest", T, latest, "The container that was made last: all networks are made anew anyway"),
    OPT_END,
};
static const struct opt exists_options[] = { OPT_END };
static const struct opt policy_add_options[] = { OPT_END };
static const struct opt policy_rm_options[] = { OPT_END };
static const struct opt policy_default_options[] = { OPT_END };
static const struct opt policy_ls_options[] = {
    OPT_STR(0, "format", T, format, "FORMAT", "table, json, or a template such as '{{.Rule}}'"),
    OPT_END,
};
#undef T

static fallible check_refused(const struct network_opts *o)
{
    if (o->ingress || (o->scope && !str_eq(o->scope, "local")))
        return err_new(ERR_UNSUPPORTED,
                       "--%s: networks are of one host, and published ports lead to its containers: "
                       "leave it out",
                       o->ingress ? "ingress" : "scope");
    if (o->ipam_opt.n)
        return err_new(ERR_UNSUPPORTED,
                       "--ipam-opt: addresses are given by --subnet, --ip-range and --aux-address, "
                       "which know no option '%s'",
                       o->ipam_opt.items[0]);
    return NULL;
}

static fallible create_run(const void *opts_, struct args args)
{
    const struct network_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(network) struct network *n = NULL;
    struct network_options wish = o->create;
    own_mem char *name = NULL;
    char hex[9];
    if (wish.ipam_driver && !str_eq(wish.ipam_driver, "default") && !str_eq(wish.ipam_driver, "host-local") &&
        !str_eq(wish.ipam_driver, "none")) {
        if (str_eq(wish.ipam_driver, "dhcp"))
            return err_new(ERR_UNSUPPORTED,
                           "--ipam-driver dhcp: nobody here asks for addresses: say none, and run a client in the "
                           "container, or give addresses of the network's that its DHCP server does not: --ip-range");
        return err_new(ERR_UNSUPPORTED, "--ipam-driver: '%s' is not one of default, none", wish.ipam_driver);
    }
    TRY(check_refused(o));
    wish.ipv4_off = o->ipv4.set && !o->ipv4.v;
    TRY(engine_open(&engine));
    random_hex(hex, 4);
    name = args.n ? mem_strdup(args.v[0]) : mem_printf("net-%s", hex);
    err *e = network_create(engine, name, &wish, &n);
    if (err_is(e, ERR_EXISTS) && wish.ignore) {
        err_free(e);
        e = network_find(engine, name, &n);
    }
    TRY(e);
    engine_settle(engine, NULL);
    printf("%s\n", n->row.id);
    return NULL;
}

/* ---- listing ------------------------------------------------------------------------------------------------------
 */

/* without: IDs of containers that do not count; may be NULL. */
static fallible is_used_but(struct engine *e, const struct network *n, const struct strv *without, bool *ret)
{
    own(db_endpoints) struct db_endpoints l = { 0 };
    struct db *db;
    TRY(engine_db(e, &db));
    TRY(db_endpoint_list(db, NULL, n->row.id, &l));
    *ret = false;
    for (size_t i = 0; i < l.n; i++)
        *ret |= !without || !strv_has(without, l.items[i].container);
    return NULL;
}

static fallible is_used(struct engine *e, const struct network *n, bool *ret)
{
    return is_used_but(e, n, NULL, ret);
}

struct subject {
    struct engine *e;
    const struct network *n;
};

static err *fits(void *ctx, const char *key, const char *value, bool *ret)
{
    const struct subject *s = ctx;
    const struct network *n = s->n;
    int64_t when;
    bool yes, used;
    if (str_eq(key, "name"))
        return filter_name(n->row.name, value, ret);
    if (str_eq(key, "id")) {
        *ret = str_starts(n->row.id, value);
    } else if (str_eq(key, "driver")) {
        *ret = str_eq(n->row.driver, value);
    } else if (str_eq(key, "label")) {
        *ret = filter_label(&n->config->labels, value);
    } else if (str_eq(key, "label!")) {
        *ret = !filter_label(&n->config->labels, value);
    } else if (str_eq(key, "type")) {
        *ret = str_eq(n->row.name, NETWORK_DEFAULT) == str_eq(value, "builtin");
    } else if (str_eq(key, "scope")) {
        *ret = str_eq(value, "local");
    } else if (str_eq(key, "dangling")) {
        TRY(parse_bool(value, &yes));
        TRY(is_used(s->e, n, &used));
        *ret = used != yes;
    } else { /* until */
        TRY(parse_when_ns(value, &when));
        *ret = n->row.created_ns < when;
    }
    return NULL;
}

static const char *const words_type[] = { "builtin", "custom", NULL }, *const words_scope[] = { "local", "global",
                                                                                                "swarm", NULL };
static const struct filter_key keys[] = {
    { "name", NULL, filter_regex }, { "id", NULL, NULL },
    { "driver", NULL, NULL },       { "label", NULL, NULL },
    { "label!", NULL, NULL },       { "type", words_type, NULL },
    { "scope", words_scope, NULL }, { "dangling", NULL, filter_bool },
    { "until", NULL, filter_when }, { 0 },
};

static fallible passes(struct engine *e, const struct network *n, const struct strv *filters, bool *ret)
{
    return filters_pass(filters, keys, fits, &(struct subject){ e, n }, ret);
}

/* Podman's fields, and docker's newest. */
static void add_unprinted(json_t *o, const struct network_config *c)
{
    bool ipv4 = false;
    json_t *subnets = json_array();
    for (size_t i = 0; i < c->subnets_n; i++) {
        const struct network_subnet *s = &c->subnets[i];
        ipv4 = ipv4 || !strchr(s->subnet, ':');
        (void)json_array_append_new(subnets, json_pack("{s:s, s:s?}", "Subnet", s->subnet, "Gateway", s->gateway));
    }
    (void)json_object_update_new(o, json_pack("{s:s, s:b, s:b, s:s, s:o}", "IPv4", ipv4 ? "true" : "false",
                                              "DNSEnabled", !c->no_dns, "IPv6Enabled", c->ipv6, "NetworkInterface",
                                              c->link ? c->link : "", "Subnets", subnets));
}

static json_t *row_of(const struct network *n, bool no_trunc)
{
    char when[40];
    own_mem char *id = mem_printf(no_trunc ? "%s" : SHORT_ID, n->row.id);
    json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s, s:s}", "ID", id, "Name", n->row.name, "Driver", n->row.driver,
                            "Scope", "local", "IPv6", n->config->ipv6 ? "true" : "false", "Internal",
                            n->config->internal ? "true" : "false");
    table_set_labels(row, &n->config->labels);
    (void)json_object_set_new(row, "CreatedAt", json_string(format_time_local(n->row.created_ns, when)));
    (void)json_object_set_new(table_unprinted(row), "Created", json_string(when));
    add_unprinted(table_unprinted(row), n->config);
    return row;
}

static const struct table_column columns[] = {
    { "NETWORK ID", "ID" }, { "NAME", "Name" }, { "DRIVER", "Driver" }, { "SCOPE", "Scope" }, { 0 }
};

static fallible ls_run(const void *opts_, struct args args)
{
    const struct network_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    struct network_list l = { 0 };
    own_json json_t *rows = json_array();
    TRY(filters_check(&o->filter, keys));
    TRY(engine_open(&engine));
    TRY(network_list(engine, &l));
    err *e = NULL;
    for (size_t i = 0; i < l.n && !e; i++) {
        bool wanted = true;
        e = passes(engine, l.items[i], &o->filter, &wanted);
        if (!e && wanted)
            (void)json_array_append_new(rows, row_of(l.items[i], o->no_trunc));
    }
    network_list_clear(&l);
    TRY(e);
    if (!o->quiet || o->format)
        return o->no_heading
                   ? table_print(columns, rows, o->format ? o->format : "{{.ID}}  {{.Name}}  {{.Driver}}  {{.Scope}}")
                   : table_print(columns, rows, o->format);
    for (size_t i = 0; i < json_array_size(rows); i++)
        printf("%s\n", json_string_value(json_object_get(json_array_get(rows, i), "ID")));
    return NULL;
}

struct each {
    struct engine *engine;
    const struct network_opts *opts;
    json_t *docs;
    struct trash *trash;
};

static err *inspect_one(const char *name, void *ctx)
{
    struct each *each = ctx;
    own(network) struct network *n = NULL;
    json_t *doc = NULL;
    TRY(network_find(each->engine, name, &n));
    TRY(inspect_network(each->engine, n, &doc));
    (void)json_array_append_new(each->docs, doc);
    return NULL;
}

static fallible inspect_run(const void *opts_, struct args args)
{
    const struct network_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_json json_t *docs = json_array();
    TRY(engine_open(&engine));
    err *e = command_each("husk network inspect", args, inspect_one, &(struct each){ engine, o, docs, NULL });
    return inspect_print(docs, o->format, e);
}

static fallible exists_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(network) struct network *n = NULL;
    TRY(engine_open(&engine));
    err *e = network_find(engine, args.v[0], &n);
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    return err_exit(1);
}

/* ---- changing ------------------------------------------------------------------------------------------------------
 */

static err *rm_one(const char *name, void *ctx)
{
    const struct each *each = ctx;
    own(network) struct network *n = NULL;
    err *e = network_find(each->engine, name, &n);
    if (err_is(e, ERR_NOT_FOUND) && each->opts->force) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    TRY(each->opts->dry_run ? network_removal(each->engine, n, each->opts->force)
                            : network_remove(each->engine, n, each->opts->force, each->trash));
    printf("%s\n", name);
    return NULL;
}

static fallible rm_run(const void *opts_, struct args args)
{
    const struct network_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    if (o->time.set)
        return err_new(ERR_UNSUPPORTED,
                       "--time: what is on a network is disconnected (--force) and not stopped: stop it "
                       "first with `husk stop --time`");
    struct trash trash;
    TRY(engine_open(&engine));
    TRY(trash_begin(engine, "network rm", o->no_trash, &trash));
    err *e = command_each("husk network rm", args, rm_one, &(struct each){ engine, o, NULL, &trash });
    if (!o->dry_run)
        err_ignore(trash_end(&trash), "what was asked is done; the next removal tries again");
    return e;
}

static fallible prune_one(struct engine *e, struct network *n, const struct network_pruning *p, struct strv *ret)
{
    bool used = true, wanted = true;
    if (str_eq(n->row.name, NETWORK_DEFAULT) || n->config->config_only) /* no container will ever be on that */
        return NULL;
    TRY(is_used_but(e, n, p->without, &used));
    TRY(passes(e, n, p->filters, &wanted));
    if (used || !wanted)
        return NULL;
    err *failed = p->dry_run ? NULL : network_remove(e, n, false, p->trash);
    if (err_is(failed, ERR_CONFLICT)) { /* somebody connects just now */
        err_free(failed);
        return NULL;
    }
    TRY(failed);
    strv_add(ret, n->row.name);
    return NULL;
}

fallible network_prune_unused(struct engine *e, const struct network_pruning *p, struct strv *ret)
{
    struct network_list l = { 0 };
    err *failed = NULL;
    TRY(filters_check(p->filters, keys));
    TRY(network_list(e, &l));
    for (size_t i = 0; i < l.n && !failed; i++)
        failed = prune_one(e, l.items[i], p, ret);
    network_list_clear(&l);
    return failed;
}

static fallible prune_run(const void *opts_, struct args args)
{
    const struct network_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_strv struct strv names = { 0 };
    TRY(engine_open(&engine));
    struct trash trash;
    TRY(trash_begin(engine, "network prune", o->no_trash, &trash));
    const struct network_pruning wish = { .filters = &o->filter, .dry_run = o->dry_run, .trash = &trash };
    err *e = network_prune_unused(engine, &wish, &names);
    for (size_t i = 0; i < names.n; i++)
        printf("%s%s\n", i ? "" : "Deleted Networks:\n", names.items[i]);
    if (!o->dry_run)
        err_ignore(trash_end(&trash), "what was asked is done; the next removal tries again");
    return e;
}

static fallible connect_run(const void *opts_, struct args args)
{
    const struct network_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(network) struct network *n = NULL;
    own(container) struct container *c = NULL;
    own_str struct str text = { 0 };
    struct db_endpoint at = { 0 };
    str_printf(&text, "name=%s", args.v[0]);
    for (size_t i = 0; i < o->alias.n; i++)
        str_printf(&text, ",alias=%s", o->alias.items[i]);
    for (size_t i = 0; i < o->link_local_ip.n; i++)
        str_printf(&text, ",link-local-ip=%s", o->link_local_ip.items[i]);
    for (size_t i = 0; i < o->driver_opt.n; i++)
        str_printf(&text, ",\"driver-opt=%s\"", o->driver_opt.items[i]);
    const char *const words[][2] = {
        { "ip", o->ip }, { "ip6", o->ip6 }, { "mac", o->mac }, { "interface", o->interface }
    };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (words[i][1])
            str_printf(&text, ",%s=%s", words[i][0], words[i][1]);
    if (o->gw_priority.set)
        str_printf(&text, ",gw-priority=%lld", (long long)o->gw_priority.v);
    TRY(network_wish_parse(text.text, &at));
    err *e = network_has_sysctls(&at)
                 ? err_new(ERR_UNSUPPORTED, "--driver-opt: settings of an interface are said when the container is "
                                            "made: --network NAME:driver-opt=com.docker.network.endpoint.sysctls=...")
                 : engine_open(&engine);
    if (!e)
        e = network_find(engine, args.v[0], &n);
    if (!e)
        e = container_find(engine, args.v[1], &c);
    if (!e)
        for (size_t i = 0; i < o->link.n && !e; i++)
            e = link_add(c, o->link.items[i]);
    if (!e)
        e = network_connect_container(engine, n, c, &at);
    db_endpoint_clear(&at);
    return e;
}

static fallible disconnect_run(const void *opts_, struct args args)
{
    const struct network_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(network) struct network *n = NULL;
    own(container) struct container *c = NULL;
    TRY(engine_open(&engine));
    TRY(network_find(engine, args.v[0], &n));
    TRY(container_find(engine, args.v[1], &c));
    err *e = network_disconnect(engine, n, c);
    if (!err_is(e, ERR_NOT_FOUND) || !o->force)
        return e;
    err_free(e);
    return NULL;
}

static fallible update_run(const void *opts_, struct args args)
{
    const struct network_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(network) struct network *n = NULL;
    TRY(engine_open(&engine));
    TRY(network_find(engine, args.v[0], &n));
    TRY(network_set_dns(engine, n, &o->dns_add, &o->dns_drop));
    printf("%s\n", args.v[0]);
    return NULL;
}

static fallible reload_run(const void *opts_, struct args args)
{
    const struct network_opts *o = opts_;
    own_mem char *latest = NULL;
    own(engine) struct engine *engine = NULL;
    own_str struct str obstacles = { 0 };
    struct network_list l = { 0 };
    int64_t finished;
    TRY(engine_open(&engine));
    for (int i = 0; i < args.n; i++) { /* podman names containers: all are reloaded, but a wrong name is said */
        own(container) struct container *c = NULL;
        TRY(container_find(engine, args.v[i], &c));
    }
    if (o->latest)
        TRY(only_one(engine, true, &args, &latest));
    TRY(network_reload(engine));
    TRY(network_cni_reload(engine));
    TRY(network_settle_all(engine, true, &finished));
    TRY(network_obstacles(&obstacles));
    network_lacks(&obstacles);
    if (obstacles.len)
        fprintf(stderr, "husk network reload: %s\n", obstacles.text);
    network_list_clear(&l);
    return NULL;
}

/* ---- rules among the containers of one ---- */

static fallible open_network(const char *name, struct engine **ret_engine, struct network **ret)
{
    TRY(engine_open(ret_engine));
    return network_find(*ret_engine, name, ret);
}

static void words_of(struct args args, struct strv *ret)
{
    for (int i = 1; i < args.n; i++)
        strv_add(ret, args.v[i]);
}

static fallible policy_ls_run(const void *opts_, struct args args)
{
    static const struct table_column rule_columns[] = { { "NUMBER", "Number" }, { "RULE", "Rule" }, { 0 } };
    const struct network_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(network) struct network *n = NULL;
    own_json json_t *rows = json_array();
    TRY(open_network(args.v[0], &engine, &n));
    for (size_t i = 0; i < n->config->policy.n; i++)
        (void)json_array_append_new(rows, json_pack("{s:s, s:I, s:s}", "Network", n->row.name, "Number",
                                                    (json_int_t)i + 1, "Rule", n->config->policy.items[i]));
    if (!o->format)
        printf("default: %s%s\n", n->config->policy_deny ? "deny" : "allow",
               !n->config->policy_deny && n->config->policy.n ? ", so these rules change nothing" : "");
    return table_print(rule_columns, rows, o->format);
}

static fallible policy_add_run(const void *opts, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(network) struct network *n = NULL;
    own_strv struct strv words = { 0 };
    own_mem char *text = NULL;
    words_of(args, &words);
    TRY(open_network(args.v[0], &engine, &n));
    TRY(network_policy_add(engine, n, &words, &text));
    printf("%s\n", text);
    if (!n->config->policy_deny)
        fprintf(stderr,
                "husk network policy: '%s' allows everything: the rule holds once you say: husk network policy "
                "default %s deny\n",
                n->row.name, n->row.name);
    return NULL;
}

static fallible policy_rm_run(const void *opts, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(network) struct network *n = NULL;
    own_strv struct strv words = { 0 };
    words_of(args, &words);
    TRY(open_network(args.v[0], &engine, &n));
    return network_policy_remove(engine, n, &words);
}

static fallible policy_default_run(const void *opts, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(network) struct network *n = NULL;
    TRY(open_network(args.v[0], &engine, &n));
    return network_policy_default(engine, n, args.v[1]);
}

#define NETWORK_COMMAND(id, word, what, arguments, min, max, more)                                                     \
    static const struct command cmd_network_##id = {                                                                   \
        .name = word,                                                                                                  \
        .args = arguments,                                                                                             \
        .summary = what,                                                                                               \
        .detail = more,                                                                                                \
        .opts = id##_options,                                                                                          \
        .opts_size = sizeof(struct network_opts),                                                                      \
        .min_args = min,                                                                                               \
        .max_args = max,                                                                                               \
        .fail_exit = 1,                                                                                                \
        .run = id##_run,                                                                                               \
    }
NETWORK_COMMAND(create, "create", "Make a network", "[NAME]", 0, 1, NULL);
NETWORK_COMMAND(ls, "ls", "List networks", NULL, 0, 0, NULL);
NETWORK_COMMAND(inspect, "inspect", "Show everything about networks", "NETWORK...", 1, -1, NULL);
NETWORK_COMMAND(rm, "rm", "Remove networks that no container is on", "NETWORK...", 1, -1, NULL);
NETWORK_COMMAND(prune, "prune", "Remove all networks that no container is on", NULL, 0, 0, NULL);
NETWORK_COMMAND(connect, "connect", "Connect a container to one network more", "NETWORK CONTAINER", 2, 2, NULL);
NETWORK_COMMAND(disconnect, "disconnect", "Disconnect a container from a network", "NETWORK CONTAINER", 2, 2, NULL);
NETWORK_COMMAND(exists, "exists", "Say by the exit status whether there is a network", "NETWORK", 1, 1, NULL);
NETWORK_COMMAND(update, "update", "Change a network's name servers", "NETWORK", 1, 1, NULL);
NETWORK_COMMAND(
    reload, "reload", "Make the firewall's part of all networks anew", "[CONTAINER...]", 0, -1,
    "After the host's firewall was loaded anew, which takes husk's table with it. Every start of a container "
    "looks for\nthat by itself and does the same.");

NETWORK_COMMAND(policy_ls, "ls", "List a network's rules", "NETWORK", 1, 1, NULL);
NETWORK_COMMAND(
    policy_add, "add", "Allow some of its containers to reach others", "NETWORK from=WHO to=WHO [port=PORT,...]", 3, 4,
    "WHO is a container's name or alias, label=KEY[=VALUE], or * for anybody. PORT is 80, 8000-8010, 53/udp, "
    "tcp,\nudp, sctp or icmp (ping); without it everything may pass. Answers need no rule. What passes already "
    "goes on.");
NETWORK_COMMAND(policy_rm, "rm", "Remove a rule, by its number or its words", "NETWORK RULE", 2, 4, NULL);
NETWORK_COMMAND(policy_default, "default", "What holds without a rule: allow or deny", "NETWORK allow|deny", 2, 2,
                NULL);
static const struct command *const policy_commands[] = { &cmd_network_policy_add, &cmd_network_policy_default,
                                                         &cmd_network_policy_ls, &cmd_network_policy_rm, NULL };
static const struct command cmd_network_policy = {
    .name = "policy",
    .args = "COMMAND",
    .summary = "Manage who reaches whom within a network",
    .sub = policy_commands,
};

static const struct command *const network_commands[] = {
    &cmd_network_connect,    &cmd_network_create,
    &cmd_network_disconnect, &cmd_network_exists,
    &cmd_network_flows,      &cmd_network_graph,
    &cmd_network_inspect,    &cmd_network_ls,
    &cmd_network_policy,     &cmd_network_prune,
    &cmd_network_reload,     &cmd_network_rm,
    &cmd_network_update,     NULL,
};

const struct command cmd_network = {
    .name = "network",
    .args = "COMMAND",
    .summary = "Manage networks",
    .sub = network_commands,
};

static const struct opt names_options[] = { OPT_END };

static fallible names_run(const void *opts, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    own_fd int sock = -1;
    TRY(engine_open(&engine));
    TRY(container_find(engine, args.v[0], &c));
    return network_names_again(c, &sock);
}

const struct command cmd_network_names = {
    .name = "network-names",
    .args = "CONTAINER",
    .summary = "The resolver of names again, for a container's monitor",
    .opts = names_options,
    .opts_size = 1,
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .hidden = true,
    .run = names_run,
};
