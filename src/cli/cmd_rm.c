/*
 * husk rm, husk rename, husk container prune, husk container-cleanup.
 * Compatible with: docker rm, docker rename, docker container prune; podman's likewise.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "monitor/monitor.h"

struct rm_opts {
    bool force, volumes;
};

#define T struct rm_opts
static const struct opt rm_options[] = {
    OPT_FLAG('f', "force", T, force, "Kill a running one first; a missing one is no error"),
    OPT_FLAG('v', "volumes", T, volumes, "Remove its anonymous volumes too"),
    OPT_END,
};
#undef T

static const struct opt no_options[] = { OPT_END };

struct rm {
    struct engine *engine;
    const struct rm_opts *opts;
};

static err *rm_one(const char *arg, void *ctx)
{
    const struct rm *rm = ctx;
    own(container) struct container *c = NULL;
    err *e = container_find(rm->engine, arg, &c);
    if (rm->opts->force && err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    TRY(container_remove(c, &(struct remove_options){ rm->opts->force, rm->opts->volumes }));
    printf("%s\n", arg);
    return NULL;
}

static fallible rm_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    TRY(engine_open(&engine));
    struct rm rm = { engine, opts_ };
    TRY(command_each("husk rm", args, rm_one, &rm));
    err_ignore(container_sweep(engine, NULL), "what was asked is done");
    return NULL;
}

static fallible rename_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    TRY(engine_open(&engine));
    TRY(container_find(engine, args.v[0], &c));
    return container_rename(c, args.v[1]);
}

struct prune_opts {
    bool force;
    struct strv filter;
};

#define T struct prune_opts
static const struct opt prune_options[] = {
    OPT_FLAG('f', "force", T, force, "As with docker: husk never asks"),
    OPT_STRS(0, "filter", T, filter, "KEY=VALUE", "Only these, as with `husk ps`"),
    OPT_END,
};
#undef T

static fallible prune_run(const void *opts_, struct args args)
{
    const struct prune_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    struct container_list list;
    err *first = NULL;
    TRY(engine_open(&engine));
    TRY(container_list(engine, &(struct list_options){ .all = true, .filters = &o->filter }, &list));
    for (size_t i = 0; i < list.n && !first; i++) {
        if (list.states[i].status == CONTAINER_RUNNING || list.states[i].status == CONTAINER_PAUSED)
            continue;
        first = container_remove(list.items[i], &(struct remove_options){ 0 });
        if (!first)
            printf("%s\n", list.items[i]->row.id);
    }
    container_list_clear(&list);
    return first;
}

/* What the monitor of a --rm container runs at its end, when nobody else removes it. */
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
    if (!config->auto_remove)
        return NULL;
    e = container_remove(c, &(struct remove_options){ .volumes = true });
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    return e;
}

const struct command cmd_rm = {
    .name = "rm",
    .args = "CONTAINER...",
    .summary = "Remove containers",
    .opts = rm_options,
    .opts_size = sizeof(struct rm_opts),
    .min_args = 1,
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
    .opts = prune_options,
    .opts_size = sizeof(struct prune_opts),
    .max_args = 0,
    .fail_exit = 1,
    .run = prune_run,
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
