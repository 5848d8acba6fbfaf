/*
 * husk start, husk init: start containers that were made or have ended.
 * Compatible with: docker start, podman start, podman init.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "engine/chain.h"
#include "engine/checkpoint.h"
#include "engine/events.h"
#include "monitor/attach.h"

struct start_opts {
    struct container_selection select;
    bool attach, interactive;
    const char *detach_keys, *sig_proxy, *checkpoint, *checkpoint_dir;
};

#define T struct start_opts
static const struct opt start_options[] = {
    OPT_FLAG('a', "attach", T, attach, "Show its output, pass signals on, and end with its exit status"),
    OPT_FLAG('i', "interactive", T, interactive, "Attach our standard input as well"),
    OPT_STR(0, "detach-keys", T, detach_keys, "KEYS", "What leaves it running when typed (default ctrl-p,ctrl-q)"),
    OPT_STR(0, "sig-proxy", T, sig_proxy, "BOOL", "With --attach: pass our signals on to it (default true)"),
    OPT_FLAG(0, "all", T, select.all, "Every one that does not run"),
    OPT_FLAG('l', "latest", T, select.latest, "The one that was made last"),
    OPT_STRS('f', "filter", T, select.filter, "KEY=VALUE", "Those that `husk ps --filter` shows"),
    OPT_STR(0, "checkpoint", T, checkpoint, "NAME", "Let it go on where it was at `husk checkpoint create`"),
    OPT_STR(0, "checkpoint-dir", T, checkpoint_dir, "DIR", "Where that checkpoint is (default: with the container)"),
    OPT_END,
};
#undef T

static fallible start_as_said(const struct start_opts *o, struct container *c, int *ret_sock)
{
    struct checkpoint_stats stats;
    const struct checkpoint_options how = { .name = o->checkpoint, .dir = o->checkpoint_dir };
    return o->checkpoint ? container_restore(c, &how, ret_sock, &stats) : container_start(c, ret_sock);
}

static err *start_one(struct container *c, const void *ctx)
{
    err *e = start_as_said(ctx, c, NULL);
    if (err_is(e, ERR_UNCHANGED)) { /* it is as it was asked to be */
        err_free(e);
        return NULL;
    }
    int code;
    return e ? e : chain_await(c, &code);
}

static fallible start_attached(const struct start_opts *o, const char *name)
{
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    const struct container_config *config;
    own_fd int sock = -1;
    bool proxy = true;
    if (o->sig_proxy)
        TRY_AS(parse_bool(o->sig_proxy, &proxy), "--sig-proxy");
    if (o->detach_keys)
        TRY_AS(attach_keys_check(o->detach_keys), "--detach-keys");
    TRY(engine_open(&engine));
    TRY(container_find(engine, name, &c));
    TRY(container_config(c, &config));
    container_say(c, "attach", NULL);
    TRY(start_as_said(o, c, &sock));
    struct attach_wish wish = { .stdin_open = o->interactive && config->stdin_open,
                                .no_sig_proxy = !proxy,
                                .detach_keys = o->detach_keys };
    return attach_and_leave(c, sock, &wish);
}

static fallible start_run(const void *opts_, struct args args)
{
    const struct start_opts *o = opts_;
    if (o->checkpoint_dir && !o->checkpoint)
        return err_new(ERR_INVALID, "--checkpoint-dir: which checkpoint of it? Say --checkpoint");
    if (!o->attach && !o->interactive)
        return each_selected("husk start", &o->select, SELECT_NOT_RUNNING, args, start_one, o);
    if (args.n > 1 || o->select.all || o->select.filter.n)
        return err_new(ERR_INVALID, "one container at a time can be attached to");
    own(engine) struct engine *engine = NULL;
    own_mem char *latest = NULL;
    TRY(engine_open(&engine));
    TRY(only_one(engine, o->select.latest, &args, &latest));
    return start_attached(o, latest ? latest : args.v[0]);
}

#define T struct start_opts
static const struct opt init_options[] = {
    OPT_FLAG('a', "all", T, select.all, "Every one that does not run"),
    OPT_FLAG('l', "latest", T, select.latest, "The one that was made last"),
    OPT_END,
};
#undef T

static err *init_one(struct container *c, const void *ctx)
{
    err *e = container_init(c);
    if (err_is(e, ERR_UNCHANGED)) {
        err_free(e);
        return NULL;
    }
    return e;
}

static fallible init_run(const void *opts_, struct args args)
{
    const struct start_opts *o = opts_;
    return each_selected("husk init", &o->select, SELECT_NOT_RUNNING, args, init_one, NULL);
}

const struct command cmd_init = {
    .name = "init",
    .args = "[CONTAINER...]",
    .summary = "Make all of containers but their programs, which wait for `husk start`",
    .detail =
        "Namespaces, mounts, networks and the first process are there: others can look at them or change them by\n"
        "the first process's number (`husk inspect -f {{.State.Pid}}`). `husk start` does the rest; `husk stop`,\n"
        "`husk kill` and `husk rm` end the wait. The time of --timeout begins here.",
    .opts = init_options,
    .opts_size = sizeof(struct start_opts),
    .max_args = -1,
    .complete_args = COMPLETE_STOPPED,
    .fail_exit = 125,
    .run = init_run,
};

const struct command cmd_start = {
    .name = "start",
    .args = "[CONTAINER...]",
    .summary = "Start containers",
    .opts = start_options,
    .opts_size = sizeof(struct start_opts),
    .max_args = -1,
    .complete_args = COMPLETE_STOPPED,
    .fail_exit = 1,
    .run = start_run,
};
