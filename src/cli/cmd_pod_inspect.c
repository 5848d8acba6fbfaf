/*
 * husk pod inspect: everything about pods, in podman's shape.
 * Compatible with: podman pod.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/inspect_docs.h"
#include "cli/pod.h"

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
    TRY(pod_look_at(p, true, &l));
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
    TRY(engine_open_to_look(&engine));
    TRY(pod_select(engine, &(struct pod_selection){ .latest = o->latest }, args, &names));
    err *e = command_each("husk pod inspect", (struct args){ names.items, (int)names.n }, inspect_one,
                          &(struct inspecting){ engine, docs });
    return inspect_print(docs, o->format, e);
}

const struct command cmd_pod_inspect = {
    .name = "inspect",
    .args = "[POD...]",
    .summary = "Show everything about pods",
    .opts = inspect_options,
    .opts_size = sizeof(struct pod_inspect_opts),
    .max_args = -1,
    .fail_exit = 1,
    .run = inspect_run,
};
