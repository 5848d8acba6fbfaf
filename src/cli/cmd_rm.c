/*
 * husk rm, husk rename, husk container prune; and what a monitor becomes: container-cleanup, container-restart.
 * Compatible with: docker rm, docker rename, docker container prune; podman's likewise.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <linux/close_range.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "engine/depend.h"
#include "engine/pod.h"
#include "engine/trash.h"
#include "monitor/events.h"
#include "monitor/monitor.h"
#include "os/linux.h"

struct rm_opts {
    struct container_selection select;
    bool force, volumes, depend, dry_run, no_trash, link;
    struct opt_i64 time;
};

#define T struct rm_opts
static const struct opt rm_options[] = {
    OPT_FLAG('f', "force", T, force, "Kill a running one first; a missing one is no error"),
    OPT_FLAG('v', "volumes", T, volumes, "Remove its anonymous volumes too"),
    OPT_FLAG(0, "depend", T, depend, "And all that depend on it: in its namespaces, or started after it; its pod"),
    OPT_I64('t', "time", T, time, "SECONDS", "With --force: stop it gently first, for as long"),
    OPT_FLAG(0, "dry-run", T, dry_run, "Only say what would be removed"),
    TRASH_OPTION(T),
    SELECT_OPTIONS(T, 'a', "Every one that does not run; with --force, every one", 0),
    OPT_FLAG(0, "link", T, link, "Refused: a link goes with the container that has it"),
    OPT_END,
};
#undef T

static const struct opt no_options[] = { OPT_END };

/* What rm and prune --dry-run say: the container, what would go with it, and how much room that makes. */
static fallible print_removal(struct container *c, bool force, bool volumes)
{
    struct removal r = { 0 };
    char size[32];
    TRY(container_removal(c, force, volumes, &r));
    printf("%s\t%s\t%s\n", c->row.id, c->row.name, format_bytes(r.bytes, size));
    for (size_t i = 0; i < r.volumes.n; i++)
        printf("volume %s\n", r.volumes.items[i]);
    strv_free(&r.volumes);
    return NULL;
}

struct rm {
    struct engine *engine;
    const struct rm_opts *opts;
    struct trash trash;
    struct strv gone; /* with --depend: what went with an earlier one */
};

/* An infra has nothing to show: it goes with its pod. */
static fallible print_removals(struct engine *e, const struct strv *ids, const struct rm_opts *o)
{
    for (size_t i = 0; i < ids->n; i++) {
        own(container) struct container *c = NULL;
        TRY(container_find(e, ids->items[i], &c));
        if (c->row.pod && strstr(c->row.config, "\"infra\":true"))
            printf("%s\t%s\n", c->row.id, c->row.name);
        else
            TRY(print_removal(c, o->force, o->volumes));
    }
    return NULL;
}

/* Nothing is touched before it is known of all that they may go. */
static fallible rm_with_dependents(struct rm *rm, const struct container *named)
{
    const struct rm_opts *o = rm->opts;
    own_strv struct strv ids = { 0 };
    TRY(container_dependents(rm->engine, named->row.id, &ids));
    TRY(container_may_go_with(rm->engine, &ids, o->force));
    if (o->dry_run)
        return print_removals(rm->engine, &ids, o);
    for (size_t i = 0; i < ids.n; i++) {
        own(container) struct container *c = NULL;
        err *e = container_find(rm->engine, ids.items[i], &c);
        if (err_is(e, ERR_NOT_FOUND)) { /* with --rm it went by itself when what it was in was stopped */
            err_free(e);
            continue;
        }
        TRY(e);
        if (o->time.set && o->force)
            TRY(container_stop(c, &(struct stop_options){ .timeout_s = o->time }));
        TRY(container_remove_any(c, &(struct remove_options){ o->force, o->volumes, &rm->trash }));
        printf("%s\n", ids.items[i]);
        strv_add(&rm->gone, ids.items[i]);
        strv_add(&rm->gone, c->row.name);
    }
    return NULL;
}

static err *rm_one(const char *arg, void *ctx)
{
    struct rm *rm = ctx;
    const struct rm_opts *o = rm->opts;
    own(container) struct container *c = NULL;
    err *e = container_find(rm->engine, arg, &c);
    if ((o->force || strv_has(&rm->gone, arg)) && err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    if (o->depend)
        return rm_with_dependents(rm, c);
    if (o->dry_run)
        return print_removal(c, o->force, o->volumes);
    if (o->time.set && o->force)
        TRY(container_stop(c, &(struct stop_options){ .timeout_s = o->time }));
    TRY(container_remove(c, &(struct remove_options){ o->force, o->volumes, &rm->trash }));
    printf("%s\n", arg);
    return NULL;
}

static fallible rm_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    const struct rm_opts *o = opts_;
    if (o->link)
        return err_new(ERR_UNSUPPORTED, "--link: a link goes with the container that has it: husk network disconnect "
                                        "takes one off a network");
    TRY(engine_open(&engine));
    struct rm rm = { .engine = engine, .opts = o };
    own_strv struct strv names = { 0 };
    TRY(trash_begin(engine, "rm", o->no_trash, &rm.trash));
    TRY(container_select(engine, &o->select, o->force ? SELECT_ALL : SELECT_NOT_RUNNING, args.v, (size_t)args.n,
                         &names));
    err *e = command_each("husk rm", (struct args){ names.items, (int)names.n }, rm_one, &rm);
    strv_free(&rm.gone);
    TRY(e);
    if (!o->dry_run) {
        err_ignore(container_sweep(engine, NULL), "what was asked is done");
        err_ignore(trash_end(&rm.trash), "what was asked is done; the next removal tries again");
    }
    return NULL;
}

static fallible rename_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    TRY(engine_open(&engine));
    TRY(container_find(engine, args.v[0], &c));
    TRY(container_rename(c, args.v[1]));
    engine_settle(engine, NULL);
    return NULL;
}

struct prune_opts {
    bool force, dry_run, no_trash;
    struct strv filter;
};

#define T struct prune_opts
static const struct opt prune_options[] = {
    OPT_FLAG('f', "force", T, force, "As with docker: husk never asks"),
    OPT_STRS(0, "filter", T, filter, "KEY=VALUE", "Only these, as with `husk ps`; until=TIME, label!=KEY[=VALUE]"),
    OPT_FLAG(0, "dry-run", T, dry_run, "Only say what would be removed"),
    TRASH_OPTION(T),
    OPT_END,
};
#undef T

static fallible prune_one(struct container *c, bool dry_run, struct trash *trash, uint64_t *bytes)
{
    struct removal r = { 0 };
    if (dry_run)
        return print_removal(c, false, false);
    TRY(container_removal(c, false, false, &r));
    TRY(container_remove(c, &(struct remove_options){ .trash = trash }));
    printf("%s\n", c->row.id);
    *bytes += r.bytes;
    return NULL;
}

static fallible prune_run(const void *opts_, struct args args)
{
    const struct prune_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    struct container_list list;
    err *first = NULL;
    uint64_t bytes = 0;
    char size[32];
    struct trash trash;
    TRY(engine_open(&engine));
    TRY(trash_begin(engine, "container prune", o->no_trash, &trash));
    TRY(container_list(engine, &(struct list_options){ .all = true, .filters = &o->filter }, &list));
    for (size_t i = 0; i < list.n; i++) {
        if (list.states[i].status == CONTAINER_RUNNING || list.states[i].status == CONTAINER_PAUSED ||
            (list.items[i]->row.pod && strstr(list.items[i]->row.config, "\"infra\":true"))) /* it goes with its pod */
            continue;
        err *e = prune_one(list.items[i], o->dry_run, &trash, &bytes);
        if (e && first) /* the first is reported */
            err_ignore(e, "one that cannot be removed does not keep the others");
        else if (e)
            first = e;
    }
    container_list_clear(&list);
    if (!o->dry_run) {
        event_say_pruned(engine->run, "container", bytes);
        err_ignore(trash_end(&trash), "what was asked is done; the next removal tries again");
    }
    printf("Total reclaimed space: %s\n", format_bytes(bytes, size));
    say_kept(&trash);
    return first;
}

/* What the monitor of a --rm container runs at its end, when nobody else removes it. */
static fallible restart_run(const void *opts, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    (void)close_range(3, ~0u, CLOSE_RANGE_CLOEXEC); /* the old monitor's lock ends with this process */
    TRY(engine_open(&engine));
    err *e = container_find(engine, args.v[0], &c);
    if (err_is(e, ERR_NOT_FOUND)) { /* removed while its monitor waited */
        err_free(e);
        return NULL;
    }
    TRY(e);
    return container_restart_again(c);
}

static fallible cleanup_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    const struct container_config *config;
    TRY(engine_open(&engine));
    err *e = container_find(engine, args.v[0], &c);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    TRY(container_config(c, &config));
    own_mem char *pod = config->pod_ends ? mem_strdup(c->row.pod) : NULL;
    if (config->auto_remove)
        e = container_remove(c, &(struct remove_options){ .volumes = true });
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        e = NULL;
    }
    TRY(e);
    return pod ? pod_settle(engine, pod) : NULL;
}

const struct command cmd_rm = {
    .name = "rm",
    .args = "[CONTAINER...]",
    .summary = "Remove containers",
    .opts = rm_options,
    .opts_size = sizeof(struct rm_opts),
    .max_args = -1,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = rm_run,
};

const struct command cmd_rename = {
    .name = "rename",
    .args = "CONTAINER NAME",
    .summary = "Give a container another name",
    .opts = no_options,
    .opts_size = 1,
    .min_args = 2,
    .max_args = 2,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = rename_run,
};

const struct command cmd_container_prune = {
    .name = "prune",
    .summary = "Remove every container that does not run",
    .detail =
        "They are kept for `husk undo`: the space that is told is free with --no-trash, after `husk trash empty`, or\n"
        "when they expire.",
    .opts = prune_options,
    .opts_size = sizeof(struct prune_opts),
    .max_args = 0,
    .fail_exit = 1,
    .run = prune_run,
};

const struct command cmd_container_restart = {
    .name = "container-restart",
    .args = "CONTAINER",
    .summary = "Start a container again as its restart policy wants it",
    .opts = no_options,
    .opts_size = 1,
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .hidden = true,
    .run = restart_run,
};

const struct command cmd_container_cleanup = {
    .name = "container-cleanup",
    .args = "CONTAINER",
    .summary = "Remove a --rm container that has ended",
    .opts = no_options,
    .opts_size = 1,
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .hidden = true,
    .run = cleanup_run,
};
