/*
 * husk pod ps, ls: which pods there are.
 * Compatible with: podman pod.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "cli/pod.h"
#include "cli/table.h"
#include "engine/filter.h"

struct pod_ps_opts {
    bool quiet, no_trunc, noheading, latest, ctr_ids, ctr_names, ctr_status, ns;
    const char *format, *sort;
    struct strv filter;
};
static const char *const words_sort[] = { "created", "id", "name", "number", "status", NULL };

#define T struct pod_ps_opts
static const struct opt ps_options[] = {
    OPT_FLAG('q', "quiet", T, quiet, "Only IDs"),
    OPT_STRS(
        'f', "filter", T, filter, "KEY=VALUE",
        "id, name (a regular expression), label, label!, status, ctr-ids, ctr-names, ctr-number, ctr-status, network, "
        "until"),
    OPT_STR(0, "format", T, format, "FORMAT", "table, json, or a template such as '{{.Id}} {{.Name}}'"),
    OPT_FLAG('l', "latest", T, latest, "Only the one that was made last"),
    OPT_FLAG(0, "no-trunc", T, no_trunc, "Whole IDs"),
    OPT_FLAG(0, "ctr-ids", T, ctr_ids, "With the IDs of its containers"),
    OPT_FLAG(0, "ctr-names", T, ctr_names, "With the names of its containers"),
    OPT_FLAG(0, "ctr-status", T, ctr_status, "With the states of its containers"),
    OPT_FLAG(0, "ns", T, ns, "With what is shared"),
    OPT_FLAG(0, "namespace", T, ns, "The same as --ns"),
    OPT_FLAG('n', "noheading", T, noheading, "Without the line above the table"),
    OPT_STR(0, "sort", T, sort, "FIELD", "The order (default: the newest first)", .words = words_sort),
    OPT_END,
};
#undef T

static void put_take(json_t *row, const char *key, char *take_text)
{
    (void)json_object_set_new(row, key, json_string(take_text ? take_text : ""));
    free(take_text);
}

static char *joined(const struct strv *v)
{
    struct str s = { 0 };
    for (size_t i = 0; i < v->n; i++)
        str_printf(&s, "%s%s", i ? "," : "", v->items[i]);
    return str_take(&s);
}

void pod_look_clear(struct pod_look *l)
{
    pod_members_clear(&l->m);
    strv_free(&l->ids);
    strv_free(&l->names);
    strv_free(&l->states);
}

fallible pod_look_at(const struct pod *p, bool whole, struct pod_look *ret)
{
    TRY(pod_members(p, &ret->m));
    for (size_t i = 0; i < ret->m.n; i++) {
        const struct container *c = ret->m.items[i];
        strv_add_take(&ret->ids, whole ? mem_strdup(c->row.id) : mem_strndup(c->row.id, 12));
        strv_add(&ret->names, c->row.name);
        strv_add(&ret->states, container_state_word(&ret->m.states[i]));
    }
    return NULL;
}

static fallible on_network(const struct pod_look *l, const char *name, bool *ret)
{
    struct container_list list = { 0 };
    own_mem char *wish = mem_printf("network=%s", name);
    own_strv struct strv filters = { 0 };
    strv_add(&filters, wish);
    if (!l->m.n)
        return NULL;
    TRY(container_list(l->m.items[0]->engine, &(struct list_options){ .all = true, .filters = &filters }, &list));
    for (size_t i = 0; i < list.n; i++)
        *ret |= strcmp(list.items[i]->row.id, l->m.items[0]->row.id) == 0;
    container_list_clear(&list);
    return NULL;
}

struct subject {
    const struct pod *p;
    const struct pod_look *l;
};

static fallible any_member(const struct pod_look *l, const char *key, const char *value, bool *ret)
{
    *ret = false;
    for (size_t i = 0; i < l->m.n && !*ret; i++)
        if (strcmp(key, "ctr-ids") == 0)
            *ret = str_starts(l->m.items[i]->row.id, value);
        else
            TRY(filter_name(l->m.items[i]->row.name, value, ret));
    return NULL;
}

static err *fits(void *ctx, const char *key, const char *value, bool *ret)
{
    const struct subject *s = ctx;
    int64_t n;
    if (strcmp(key, "id") == 0)
        *ret = str_starts(s->p->row.id, value);
    else if (strcmp(key, "name") == 0)
        return filter_name(s->p->row.name, value, ret);
    else if (strcmp(key, "label") == 0)
        *ret = filter_label(&s->p->config->labels, value);
    else if (strcmp(key, "label!") == 0)
        *ret = !filter_label(&s->p->config->labels, value);
    else if (strcmp(key, "status") == 0)
        *ret = strcasecmp(pod_status(&s->l->m), value) == 0 ||
               (strcmp(value, "stopped") == 0 && strcmp(pod_status(&s->l->m), "Exited") == 0);
    else if (strcmp(key, "ctr-number") == 0) {
        TRY(parse_i64(value, 0, INT64_MAX, &n));
        *ret = (size_t)n == s->l->m.n;
    } else if (strcmp(key, "ctr-status") == 0)
        *ret = strv_has(&s->l->states, strcmp(value, "stopped") == 0 ? "exited" : value);
    else if (strcmp(key, "network") == 0)
        return on_network(s->l, value, ret);
    else if (strcmp(key, "until") == 0) {
        TRY(parse_when_ns(value, &n));
        *ret = s->p->row.created_ns < n;
    } else
        return any_member(s->l, key, value, ret);
    return NULL;
}

static fallible check_number(const char *value)
{
    int64_t unused;
    return parse_i64(value, 0, INT64_MAX, &unused);
}

static const char *const words_status[] = { "created", "running", "degraded", "exited",
                                            "stopped", "paused",  "dead",     NULL },
                         *const words_member[] = { "created", "running",     "exited", "stopped",
                                                   "paused",  "initialized", NULL };
static const struct filter_key filter_keys[] = {
    { "id", NULL, NULL },
    { "name", NULL, filter_regex },
    { "label", NULL, NULL },
    { "label!", NULL, NULL },
    { "status", words_status, NULL },
    { "ctr-ids", NULL, NULL },
    { "ctr-names", NULL, filter_regex },
    { "ctr-number", NULL, check_number },
    { "ctr-status", words_member, NULL },
    { "network", NULL, NULL },
    { "until", NULL, filter_when },
    { 0 },
};

static long long restarts_of(const struct pod_members *m)
{
    long long n = 0;
    for (size_t i = 0; i < m->n; i++)
        n += container_restarts(m->items[i]);
    return n;
}

static fallible add_row(const struct pod *p, const struct pod_ps_opts *o, json_t *rows)
{
    own(pod_look) struct pod_look l = { 0 };
    char when[96], iso[40];
    bool wanted;
    TRY(pod_look_at(p, o->no_trunc, &l));
    TRY(filters_pass(&o->filter, filter_keys, fits, &(struct subject){ p, &l }, &wanted));
    if (!wanted)
        return NULL;
    json_t *row = json_object();
    put_take(row, "Id", mem_printf(o->no_trunc ? "%s" : SHORT_ID, p->row.id));
    put_take(row, "ID", mem_printf(o->no_trunc ? "%s" : SHORT_ID, p->row.id));
    put_take(row, "Name", mem_strdup(p->row.name));
    put_take(row, "Status", mem_strdup(pod_status(&l.m)));
    put_take(row, "Created", mem_strdup(ago(p->row.created_ns, when)));
    put_take(row, "CreatedAt", mem_strdup(format_time_ns(p->row.created_ns, iso)));
    put_take(row, "InfraId", p->row.infra ? mem_printf(o->no_trunc ? "%s" : SHORT_ID, p->row.infra) : NULL);
    put_take(row, "InfraID", p->row.infra ? mem_printf(o->no_trunc ? "%s" : SHORT_ID, p->row.infra) : NULL);
    put_take(row, "Cgroup", p->config->cgroup ? mem_strdup(p->config->cgroup) : NULL);
    put_take(row, "Networks", l.m.n ? container_networks_text(l.m.items[0]) : NULL);
    put_take(row, "Restarts", mem_printf("%lld", restarts_of(&l.m)));
    put_take(row, "NumberOfContainers", mem_printf("%zu", l.m.n));
    put_take(row, "ContainerIds", joined(&l.ids));
    put_take(row, "ContainerNames", joined(&l.names));
    put_take(row, "ContainerStatuses", joined(&l.states));
    put_take(row, "Namespaces", joined(&p->config->share));
    put_take(row, "RestartPolicy", mem_strdup(p->config->restart ? p->config->restart : "no"));
    table_set_labels(row, &p->config->labels);
    (void)json_array_append_new(rows, row);
    return NULL;
}

static const char *sort_key(const char *field)
{
    static const char *const keys[] = { "CreatedAt", "Id", "Name", "NumberOfContainers", "Status" };
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (strcmp(field, words_sort[i]) == 0)
            return keys[i];
    return keys[0];
}

static bool is_after(const json_t *a, const json_t *b, const char *key)
{
    const char *x = json_string_value(json_object_get(a, key)), *y = json_string_value(json_object_get(b, key));
    if (strcmp(key, "NumberOfContainers") == 0 && strlen(x) != strlen(y))
        return strlen(x) > strlen(y);
    return strcmp(x, y) > 0;
}

static json_t *sorted(const json_t *rows, const char *field)
{
    json_t *out = json_array(), *row;
    size_t i;
    json_array_foreach ((json_t *)rows, i, row) {
        size_t at = json_array_size(out);
        while (field && at && is_after(json_array_get(out, at - 1), row, sort_key(field)))
            at--;
        (void)json_array_insert(out, at, row);
    }
    return out;
}

static fallible ps_run(const void *opts_, struct args args)
{
    const struct pod_ps_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(pod_list) struct pod_list list = { 0 };
    own_json json_t *rows = json_array();
    struct table_column columns[11] = {
        { "POD ID", "Id" },       { "NAME", "Name" },        { "STATUS", "Status" },
        { "CREATED", "Created" }, { "INFRA ID", "InfraId" },
    };
    size_t n = 5;
    TRY(filters_check(&o->filter, filter_keys));
    TRY(engine_open_to_look(&engine));
    TRY(pod_list(engine, &list));
    for (size_t i = 0; i < list.n && (!o->latest || i == 0); i++)
        TRY(add_row(list.items[i], o, rows));
    own_json json_t *ordered = sorted(rows, o->sort);
    if (o->ctr_ids)
        columns[n++] = (struct table_column){ "IDS", "ContainerIds" };
    if (o->ctr_names)
        columns[n++] = (struct table_column){ "NAMES", "ContainerNames" };
    if (o->ctr_status)
        columns[n++] = (struct table_column){ "STATUSES", "ContainerStatuses" };
    if (o->ns)
        columns[n++] = (struct table_column){ "NAMESPACES", "Namespaces" };
    columns[n++] = (struct table_column){ "# OF CONTAINERS", "NumberOfContainers" };
    if (o->quiet && !o->format)
        return table_print(columns, ordered, "{{.Id}}");
    return o->noheading ? table_print_bare(columns, ordered, o->format) : table_print(columns, ordered, o->format);
}

const struct command cmd_pod_ps = {
    .name = "ps",
    .summary = "List pods",
    .opts = ps_options,
    .opts_size = sizeof(struct pod_ps_opts),
    .max_args = 0,
    .fail_exit = 1,
    .run = ps_run,
};

const struct command cmd_pod_ls = {
    .name = "ls",
    .summary = "List pods",
    .opts = ps_options,
    .opts_size = sizeof(struct pod_ps_opts),
    .max_args = 0,
    .fail_exit = 1,
    .run = ps_run,
};
