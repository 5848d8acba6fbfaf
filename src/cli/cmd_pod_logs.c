/*
 * husk pod logs, top, stats: what goes to the commands about containers.
 * Compatible with: podman pod.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/pod.h"
#include "cli/table.h"
#include "engine/top.h"
#include "os/proc.h"

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

const struct command cmd_pod_logs = {
    .name = "logs",
    .args = "[POD...]",
    .summary = "Show what the containers of pods printed",
    .opts = logs_options,
    .opts_size = sizeof(struct pod_logs_opts),
    .max_args = -1,
    .fail_exit = 1,
    .run = logs_run,
};

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

const struct command cmd_pod_stats = {
    .name = "stats",
    .args = "[POD...]",
    .summary = "Show what the containers of pods use",
    .opts = stats_options,
    .opts_size = sizeof(struct pod_stats_opts),
    .max_args = -1,
    .fail_exit = 1,
    .run = stats_run,
};
