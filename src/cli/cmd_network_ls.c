/*
 * husk network ls: networks, and which of them a filter means.
 * Compatible with: docker network ls, podman network ls
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/parse.h"
#include "cli/cli.h"
#include "cli/network.h"
#include "cli/table.h"
#include "engine/filter.h"

struct ls_opts {
    struct strv filter;
    const char *format;
    bool quiet, no_trunc, no_heading;
};
#define T struct ls_opts
static const struct opt ls_options[] = {
    OPT_FLAG('q', "quiet", T, quiet, "Only IDs"),
    OPT_FLAG(0, "no-trunc", T, no_trunc, "Whole IDs"),
    OPT_FLAG('n', "noheading", T, no_heading, "Without the heading"),
    OPT_STRS('f', "filter", T, filter, "KEY=VALUE",
             "name=, id=, driver=, label=KEY[=VALUE], dangling=BOOL, type=builtin|custom, until=TIME"),
    OPT_STR(0, "format", T, format, "FORMAT", "table, json, or a template such as '{{.Name}}'"),
    OPT_END,
};
#undef T

fallible network_is_used(struct engine *e, const struct network *n, const struct strv *without, bool *ret)
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
        TRY(network_is_used(s->e, n, NULL, &used));
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

fallible network_passes(struct engine *e, const struct network *n, const struct strv *filters, bool *ret)
{
    return filters_pass(filters, keys, fits, &(struct subject){ e, n }, ret);
}

fallible network_filters_check(const struct strv *filters)
{
    return filters_check(filters, keys);
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
    const struct ls_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    struct network_list l = { 0 };
    own_json json_t *rows = json_array();
    TRY(network_filters_check(&o->filter));
    TRY(engine_open_to_look(&engine));
    TRY(network_list(engine, &l));
    err *e = NULL;
    for (size_t i = 0; i < l.n && !e; i++) {
        bool wanted = true;
        e = network_passes(engine, l.items[i], &o->filter, &wanted);
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

NETWORK_COMMAND(ls, struct ls_opts, "ls", "List networks", NULL, 0, 0, NULL);
