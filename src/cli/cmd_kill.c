/*
 * husk kill: send a signal to containers.
 * Compatible with: docker kill, podman kill.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"

struct kill_opts {
    struct container_selection select;
    const char *signal;
};

#define T struct kill_opts
static const struct opt kill_options[] = {
    OPT_STR('s', "signal", T, signal, "SIGNAL", "Signal to send: a name or a number (default KILL)"),
    SELECT_OPTIONS(T, 'a', "Every one that runs", 'f'),
    OPT_END,
};
#undef T

static err *kill_one(struct container *c, const void *ctx)
{
    return container_kill(c, *(const int *)ctx);
}

static fallible kill_run(const void *opts_, struct args args)
{
    const struct kill_opts *o = opts_;
    int signal = 0;
    TRY_AS(signal_parse(o->signal ? o->signal : "KILL", &signal), "--signal");
    return each_selected("husk kill", &o->select, SELECT_RUNNING, args, kill_one, &signal);
}

const struct command cmd_kill = {
    .name = "kill",
    .args = "[CONTAINER...]",
    .summary = "Send a signal to containers",
    .opts = kill_options,
    .opts_size = sizeof(struct kill_opts),
    .max_args = -1,
    .complete_args = COMPLETE_RUNNING,
    .fail_exit = 1,
    .run = kill_run,
};
