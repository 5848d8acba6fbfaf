/*
 * husk network rm, husk network prune.
 * Compatible with: docker network rm and prune, podman network rm and prune
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "cli/network.h"
#include "monitor/events.h"

struct rm_opts {
    bool force, dry_run, no_trash;
    struct opt_i64 time;
    struct strv filter;
};
#define T struct rm_opts
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
#undef T

struct each {
    struct engine *engine;
    const struct rm_opts *opts;
    struct trash *trash;
};

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
    const struct rm_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    if (o->time.set)
        return err_new(ERR_UNSUPPORTED,
                       "--time: what is on a network is disconnected (--force) and not stopped: stop it "
                       "first with `husk stop --time`");
    struct trash trash;
    TRY(engine_open(&engine));
    TRY(trash_begin(engine, "network rm", o->no_trash, &trash));
    err *e = command_each("husk network rm", args, rm_one, &(struct each){ engine, o, &trash });
    if (!o->dry_run)
        err_ignore(trash_end(&trash), "what was asked is done; the next removal tries again");
    return e;
}

static fallible prune_one(struct engine *e, struct network *n, const struct network_pruning *p, struct strv *ret)
{
    bool used = true, wanted = true;
    if (str_eq(n->row.name, NETWORK_DEFAULT) || n->config->config_only) /* no container will ever be on that */
        return NULL;
    TRY(network_is_used(e, n, p->without, &used));
    TRY(network_passes(e, n, p->filters, &wanted));
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
    TRY(network_filters_check(p->filters));
    TRY(network_list(e, &l));
    for (size_t i = 0; i < l.n && !failed; i++)
        failed = prune_one(e, l.items[i], p, ret);
    network_list_clear(&l);
    if (!failed && !p->dry_run)
        event_say_pruned(e->run, "network", 0);
    return failed;
}

static fallible prune_run(const void *opts_, struct args args)
{
    const struct rm_opts *o = opts_;
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

NETWORK_COMMAND(rm, struct rm_opts, "rm", "Remove networks that no container is on", "NETWORK...", 1, -1, NULL);
NETWORK_COMMAND(prune, struct rm_opts, "prune", "Remove all networks that no container is on", NULL, 0, 0, NULL);
