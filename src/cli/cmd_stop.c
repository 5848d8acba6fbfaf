/*
 * husk stop, husk restart: end containers gently.
 * Compatible with: docker stop, docker restart, podman stop, podman restart.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "engine/chain.h"

struct stop_opts {
    struct container_selection select;
    struct opt_i64 time, timeout;
    const char *signal;
    bool running;
};

#define T struct stop_opts
#define HOW                                                                                                            \
    OPT_STR('s', "signal", T, signal, "SIGNAL", "Instead of its stop signal"),                                         \
        OPT_I64('t', "time", T, time, "SECONDS", "Until it is killed (default 10, or its own; -1: never)",             \
                .exclusive = "time"),                                                                                  \
        OPT_I64(0, "timeout", T, timeout, "SECONDS", "The same as --time", .exclusive = "time")
static const struct opt stop_options[] = {
    HOW,
    SELECT_OPTIONS(T, 'a', "Every one that runs", 'f'),
    OPT_END,
};
static const struct opt restart_options[] = {
    HOW,
    SELECT_OPTIONS(T, 'a', "Every one, those that have ended too", 'f'),
    OPT_FLAG(0, "running", T, running, "Only those that run"),
    OPT_END,
};
#undef T

static fallible how(const struct stop_opts *o, struct stop_options *ret)
{
    *ret = (struct stop_options){ .timeout_s = o->time.set ? o->time : o->timeout };
    if (o->signal)
        TRY_AS(signal_parse(o->signal, &ret->signal), "--signal");
    return NULL;
}

static err *stop_one(struct container *c, const void *ctx)
{
    return container_stop(c, ctx);
}

static err *restart_one(struct container *c, const void *ctx)
{
    int code;
    TRY(container_restart(c, ctx));
    return chain_await(c, &code);
}

static fallible stop_run(const void *opts_, struct args args)
{
    const struct stop_opts *o = opts_;
    struct stop_options stop;
    TRY(how(o, &stop));
    return each_selected_at_once("husk stop", &o->select, SELECT_RUNNING, args, stop_one, &stop);
}

static fallible restart_run(const void *opts_, struct args args)
{
    const struct stop_opts *o = opts_;
    struct container_selection select = o->select;
    struct stop_options stop;
    TRY(how(o, &stop));
    if (o->running && args.n)
        return err_new(ERR_INVALID, "--running and names exclude each other");
    select.all |= o->running;
    return each_selected("husk restart", &select, o->running ? SELECT_RUNNING : SELECT_ALL, args, restart_one, &stop);
}

#define STOP_COMMAND(word, what, verb)                                                                                 \
    {                                                                                                                  \
        .name = word, .args = "[CONTAINER...]", .summary = what, .opts = verb##_options,                               \
        .opts_size = sizeof(struct stop_opts), .max_args = -1, .complete_args = COMPLETE_CONTAINER, .fail_exit = 1,    \
        .run = verb##_run,                                                                                             \
    }
const struct command cmd_stop =
    STOP_COMMAND("stop", "Stop containers: their stop signal, then KILL; several at the same time", stop);
const struct command cmd_restart = STOP_COMMAND("restart", "Stop containers and start them again", restart);
