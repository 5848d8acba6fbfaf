/*
 * husk pod ps, inspect, logs, top, stats: what pods are and do.
 * Compatible with: podman pod.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli/inspect_docs.h"
#include "cli/pod.h"
#include "cli/table.h"
#include "engine/filter.h"
#include "engine/top.h"
#include "os/proc.h"

/* ---- ps ---------------------------------------------------------------------------------------------------------- */

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

struct pod_look {
    struct pod_members m;
    struct strv ids, names, states;
};
static void own_drop_pod_look(struct pod_look *l)
{
    pod_members_clear(&l->m);
    strv_free(&l->ids);
    strv_free(&l->names);
    strv_free(&l->states);
}

static fallible look_at(const struct pod *p, bool whole, struct pod_look *ret)
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

static void add_labels(json_t *row, const struct strmap *labels)
{
    own_str struct str text = { 0 };
    json_t *map = json_object();
    for (size_t i = 0; i < labels->n; i++) {
        str_printf(&text, "%s%s=%s", i ? "," : "", labels->items[i].key, labels->items[i].value);
        (void)json_object_set_new(map, labels->items[i].key, json_string(labels->items[i].value));
    }
    put_take(row, "Labels", str_take(&text));
    (void)json_object_set_new(row, "", json_pack("{s:o}", "Label", map)); /* what {{.Label "key"}} answers */
}

static fallible add_row(const struct pod *p, const struct pod_ps_opts *o, json_t *rows)
{
    own(pod_look) struct pod_look l = { 0 };
    char when[96], iso[40];
    bool wanted;
    TRY(look_at(p, o->no_trunc, &l));
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
    add_labels(row, &p->config->labels);
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
    TRY(engine_open(&engine));
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

/* ---- inspect ----------------------------------------------------------------------------------------------------- */

struct pod_inspect_opts {
    const char *format;
    bool latest;
};

#define T struct pod_inspect_opts
static const struct opt inspect_options[] = {
    OPT_STR('f', "format", T, format, "FORMAT", "json, or a template such as '{{.State}}'"),
    OPT_FLAG('l', "latest", T, latest, "The one that was made last"),
    OPT_END,
};
#undef T

static json_t *words(const struct strv *v)
{
    json_t *a = json_array();
    for (size_t i = 0; i < v->n; i++)
        (void)json_array_append_new(a, json_string(v->items[i]));
    return a;
}

static json_t *text_or_empty(const char *text)
{
    return json_string(text ? text : "");
}

static json_t *number(struct opt_i64 v)
{
    return json_integer(v.set ? v.v : 0);
}

fallible pod_inspect(const struct pod *p, json_t **ret)
{
    own(pod_look) struct pod_look l = { 0 };
    char iso[40];
    TRY(look_at(p, true, &l));
    json_t *doc = json_object(), *labels = json_object(), *members = json_array();
    for (size_t i = 0; i < p->config->labels.n; i++)
        (void)json_object_set_new(labels, p->config->labels.items[i].key,
                                  json_string(p->config->labels.items[i].value));
    for (size_t i = 0; i < l.m.n; i++)
        (void)json_array_append_new(members, json_pack("{s:s, s:s, s:s}", "Id", l.m.items[i]->row.id, "Name",
                                                       l.m.items[i]->row.name, "State", l.states.items[i]));
    const struct container_resources *r = p->config->resources;
    static const struct container_resources no_limits;
    if (!r)
        r = &no_limits;
    const struct {
        const char *key;
        json_t *value;
    } rows[] = {
        { "Id", json_string(p->row.id) },
        { "Name", json_string(p->row.name) },
        { "Created", json_string(format_time_ns(p->row.created_ns, iso)) },
        { "State", json_string(pod_status(&l.m)) },
        { "Labels", labels },
        { "ExitPolicy", text_or_empty(p->config->exit_policy) },
        { "RestartPolicy", text_or_empty(p->config->restart) },
        { "CreateCgroup", json_boolean(p->config->cgroup != NULL) },
        { "CgroupPath", text_or_empty(p->config->cgroup) },
        { "CreateInfra", json_boolean(p->row.infra != NULL) },
        { "InfraContainerID", text_or_empty(p->row.infra) },
        { "SharedNamespaces", words(&p->config->share) },
        { "devices", words(&p->config->devices) },
        { "security_opt", words(&p->config->security) },
        { "memory_limit", number(r->memory) },
        { "memory_swap", number(r->memory_swap) },
        { "cpu_period", number(r->cpu_period) },
        { "cpu_quota", number(r->cpu_quota) },
        { "cpu_shares", number(r->cpu_shares) },
        { "cpuset_cpus", text_or_empty(r->cpuset_cpus) },
        { "NumContainers", json_integer((json_int_t)l.m.n) },
        { "Containers", members },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        (void)json_object_set_new(doc, rows[i].key, rows[i].value);
    *ret = doc;
    return NULL;
}

struct inspecting {
    struct engine *engine;
    json_t *docs;
};

static err *inspect_one(const char *name, void *ctx)
{
    const struct inspecting *i = ctx;
    own(pod) struct pod *p = NULL;
    json_t *doc = NULL;
    TRY(pod_find(i->engine, name, &p));
    TRY(pod_inspect(p, &doc));
    (void)json_array_append_new(i->docs, doc);
    return NULL;
}

static fallible inspect_run(const void *opts_, struct args args)
{
    const struct pod_inspect_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_strv struct strv names = { 0 };
    own_json json_t *docs = json_array();
    TRY(engine_open(&engine));
    TRY(pod_select(engine, &(struct pod_selection){ .latest = o->latest }, args, &names));
    err *e = command_each("husk pod inspect", (struct args){ names.items, (int)names.n }, inspect_one,
                          &(struct inspecting){ engine, docs });
    return inspect_print(docs, o->format, e);
}

/* ---- what goes to the commands about containers ------------------------------------------------------------------ */

fallible pod_container_ids(struct engine *e, const struct strv *pods, bool running, struct strv *ret)
{
    for (size_t i = 0; i < pods->n; i++) {
        own(pod) struct pod *p = NULL;
        own(pod_members) struct pod_members m = { 0 };
        TRY(pod_find(e, pods->items[i], &p));
        TRY(pod_members(p, &m));
        for (size_t k = 0; k < m.n; k++)
            if (!m.items[k]->config->infra &&
                (!running || m.states[k].status == CONTAINER_RUNNING || m.states[k].status == CONTAINER_PAUSED))
                strv_add(ret, m.items[k]->row.id);
    }
    return NULL;
}

/* The same program with the words of the command about containers. */
static fallible become(struct strv *words_of)
{
    own_mem char *self = NULL;
    own_mem char **argv = mem_zalloc((words_of->n + 2) * sizeof *argv);
    static char name[] = "husk";
    TRY(self_path(&self));
    argv[0] = name;
    memcpy(argv + 1, words_of->items, words_of->n * sizeof *argv);
    (void)execv(self, argv);
    return err_sys(errno, "run '%s'", self);
}

struct pod_logs_opts {
    bool follow, timestamps, latest, names, color;
    const char *tail, *since, *until, *container;
};

#define T struct pod_logs_opts
static const struct opt logs_options[] = {
    OPT_STR('c', "container", T, container, "CONTAINER", "Only of this one"),
    OPT_FLAG('f', "follow", T, follow, "Go on until the containers end"),
    OPT_STR(0, "tail", T, tail, "N", "Only the last lines (default: all)"),
    OPT_FLAG('l', "latest", T, latest, "Of the pod that was made last"),
    OPT_FLAG('n', "names", T, names, "With the container's name before each line"),
    OPT_FLAG('t', "timestamps", T, timestamps, "With the time of each line"),
    OPT_FLAG(0, "color", T, color, "Each container in its own colour"),
    OPT_STR(0, "since", T, since, "TIME", "Since a time or as long ago"),
    OPT_STR(0, "until", T, until, "TIME", "Before a time or as long ago"),
    OPT_END,
};
#undef T

/* Only of a member: the name of another pod's container is a mistake. */
static fallible only_member(struct engine *e, const char *name, struct strv *ids)
{
    own(container) struct container *c = NULL;
    TRY_AS(container_find(e, name, &c), "--container");
    if (!strv_has(ids, c->row.id))
        return err_new(ERR_NOT_FOUND, "--container: '%s' is not in the pod", name);
    strv_free(ids);
    *ids = (struct strv){ 0 };
    strv_add(ids, c->row.id);
    return NULL;
}

static fallible logs_run(const void *opts_, struct args args)
{
    const struct pod_logs_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_strv struct strv pods = { 0 }, ids = { 0 }, call = { 0 };
    TRY(engine_open(&engine));
    TRY(pod_select(engine, &(struct pod_selection){ .latest = o->latest }, args, &pods));
    TRY(pod_container_ids(engine, &pods, false, &ids));
    if (o->container)
        TRY(only_member(engine, o->container, &ids));
    if (!ids.n)
        return NULL;
    strv_add(&call, "logs");
    const struct {
        bool said;
        const char *word;
    } flags[] = {
        { o->follow, "--follow" }, { o->names, "--names" }, { o->timestamps, "--timestamps" }, { o->color, "--color" }
    };
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (flags[i].said)
            strv_add(&call, flags[i].word);
    if (o->tail)
        strv_add_printf(&call, "--tail=%s", o->tail);
    if (o->since)
        strv_add_printf(&call, "--since=%s", o->since);
    if (o->until)
        strv_add_printf(&call, "--until=%s", o->until);
    strv_copy(&call, ids.items, ids.n);
    return become(&call);
}

struct pod_top_opts {
    bool latest;
};

#define T struct pod_top_opts
static const struct opt top_options[] = { OPT_FLAG('l', "latest", T, latest, "Of the one that was made last"),
                                          OPT_END };
#undef T

static fallible top_run(const void *opts_, struct args args)
{
    const struct pod_top_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_strv struct strv pods = { 0 }, ids = { 0 };
    int skip = o->latest ? 0 : 1;
    TRY(engine_open(&engine));
    TRY(pod_select(engine, &(struct pod_selection){ .latest = o->latest },
                   (struct args){ args.v, args.n < skip ? 0 : skip }, &pods));
    TRY(pod_container_ids(engine, &pods, true, &ids));
    if (!ids.n)
        return err_new(ERR_CONFLICT, "no container of the pod runs");
    struct top all = { 0 };
    err *e = NULL;
    for (size_t i = 0; !e && i < ids.n; i++) {
        own(container) struct container *c = NULL;
        struct top_wish wish = { 0 };
        struct top top = { 0 };
        if ((e = container_find(engine, ids.items[i], &c)) ||
            (e = top_parse(args.v + skip, (size_t)(args.n - skip), &wish)))
            break;
        e = container_top(c, &wish, &top);
        top_wish_clear(&wish);
        if (e)
            break;
        all.rows = mem_array(all.rows, all.n + top.n + 1, sizeof *all.rows);
        for (size_t k = 0; k < top.n; k++) {
            all.rows[all.n] = (struct strv){ 0 };
            strv_copy(&all.rows[all.n], top.rows[k].items, top.rows[k].n);
            all.n++;
        }
        if (!all.titles.n)
            strv_copy(&all.titles, top.titles.items, top.titles.n);
        top_clear(&top);
    }
    if (!e)
        table_print_cells(&all.titles, all.rows, all.n);
    top_clear(&all);
    return e;
}

struct pod_stats_opts {
    bool all, latest, no_reset, no_stream;
    const char *format;
};

#define T struct pod_stats_opts
static const struct opt stats_options[] = {
    OPT_FLAG('a', "all", T, all, "Of every pod"),
    OPT_FLAG('l', "latest", T, latest, "Of the pod that was made last"),
    OPT_FLAG(0, "no-stream", T, no_stream, "Once, and not again and again"),
    OPT_FLAG(0, "no-reset", T, no_reset, "Do not clear the screen between two looks"),
    OPT_STR(0, "format", T, format, "FORMAT", "As for `husk stats`"),
    OPT_END,
};
#undef T

static fallible stats_run(const void *opts_, struct args args)
{
    const struct pod_stats_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_strv struct strv pods = { 0 }, ids = { 0 }, call = { 0 };
    struct pod_selection select = { .all = o->all || (!args.n && !o->latest), .latest = o->latest };
    TRY(engine_open(&engine));
    TRY(pod_select(engine, &select, args, &pods));
    TRY(pod_container_ids(engine, &pods, true, &ids));
    if (!ids.n)
        return err_new(ERR_CONFLICT, "no container of a pod runs");
    strv_add(&call, "stats");
    if (o->no_stream)
        strv_add(&call, "--no-stream");
    if (o->no_reset)
        strv_add(&call, "--no-reset");
    if (o->format)
        strv_add_printf(&call, "--format=%s", o->format);
    strv_copy(&call, ids.items, ids.n);
    return become(&call);
}

#define LOOK_COMMAND(id, word, what, arguments, options, max)                                                          \
    const struct command cmd_pod_##id = {                                                                              \
        .name = word,                                                                                                  \
        .args = arguments,                                                                                             \
        .summary = what,                                                                                               \
        .opts = options##_options,                                                                                     \
        .opts_size = sizeof(struct pod_##options##_opts),                                                              \
        .max_args = max,                                                                                               \
        .fail_exit = 1,                                                                                                \
        .run = options##_run,                                                                                          \
    }
LOOK_COMMAND(ps, "ps", "List pods", NULL, ps, 0);
LOOK_COMMAND(ls, "ls", "List pods", NULL, ps, 0);
LOOK_COMMAND(inspect, "inspect", "Show everything about pods", "[POD...]", inspect, -1);
LOOK_COMMAND(logs, "logs", "Show what the containers of pods printed", "[POD...]", logs, -1);
LOOK_COMMAND(stats, "stats", "Show what the containers of pods use", "[POD...]", stats, -1);

const struct command cmd_pod_top = {
    .name = "top",
    .args = "[POD] [OPTION OF ps | COLUMN...]",
    .summary = "Show the processes of a pod",
    .opts = top_options,
    .opts_size = sizeof(struct pod_top_opts),
    .max_args = -1,
    .stop_at_arg = true,
    .fail_exit = 1,
    .run = top_run,
};
