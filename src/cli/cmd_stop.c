/*
 * husk stop, husk restart: end containers gently.
 * Compatible with: docker stop, docker restart, podman stop, podman restart.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"

struct stop_opts {
    struct opt_i64 time, timeout;
};

#define T struct stop_opts
static const struct opt stop_options[] = {
    OPT_I64('t', "time", T, time, "SECONDS", "Until it is killed (default 10, or its own; -1: never)",
            .exclusive = "time"),
    OPT_I64(0, "timeout", T, timeout, "SECONDS", "The same as --time", .exclusive = "time"),
    OPT_END,
};
#undef T

static struct opt_i64 timeout_of(const struct stop_opts *o)
{
    return o->time.set ? o->time : o->timeout;
}

static err *stop_one(struct container *c, const void *ctx)
{
    return container_stop(c, timeout_of(ctx));
}

static err *restart_one(struct container *c, const void *ctx)
{
    TRY(container_stop(c, timeout_of(ctx)));
    return container_start(c, NULL);
}

static fallible stop_run(const void *opts_, struct args args)
{
    return each_container("husk stop", args, stop_one, opts_);
}

static fallible restart_run(const void *opts_, struct args args)
{
    return each_container("husk restart", args, restart_one, opts_);
}

const struct command cmd_stop = {
    .name = "stop",
    .args = "CONTAINER...",
    .summary = "Stop containers: their stop signal, then KILL",
    .opts = stop_options,
    .opts_size = sizeof(struct stop_opts),
    .min_args = 1,
    .max_args = -1,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = stop_run,
};

const struct command cmd_restart = {
    .name = "restart",
    .args = "CONTAINER...",
    .summary = "Stop containers and start them again",
    .opts = stop_options,
    .opts_size = sizeof(struct stop_opts),
    .min_args = 1,
    .max_args = -1,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = restart_run,
};
