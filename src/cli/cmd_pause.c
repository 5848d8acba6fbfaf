/*
 * husk pause, husk unpause: freeze all processes of containers, and let them go on.
 * Compatible with: docker pause, docker unpause, podman pause, podman unpause.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"

struct pause_opts {
    struct container_selection select;
};

#define T struct pause_opts
static const struct opt pause_options[] = { SELECT_OPTIONS(T, 'a', "Every one that runs", 'f'), OPT_END };
static const struct opt unpause_options[] = { SELECT_OPTIONS(T, 'a', "Every one that is paused", 'f'), OPT_END };
#undef T

static err *pause_one(struct container *c, const void *ctx)
{
    return container_pause(c);
}

static err *unpause_one(struct container *c, const void *ctx)
{
    return container_unpause(c);
}

static fallible pause_run(const void *opts_, struct args args)
{
    const struct pause_opts *o = opts_;
    return each_selected("husk pause", &o->select, SELECT_RUNNING, args, pause_one, NULL);
}

static fallible unpause_run(const void *opts_, struct args args)
{
    const struct pause_opts *o = opts_;
    return each_selected("husk unpause", &o->select, SELECT_PAUSED, args, unpause_one, NULL);
}

#define PAUSE_COMMAND(word, what, verb, which)                                                                         \
    {                                                                                                                  \
        .name = word, .args = "[CONTAINER...]", .summary = what, .opts = verb##_options,                               \
        .opts_size = sizeof(struct pause_opts), .max_args = -1, .complete_args = which, .fail_exit = 1,                \
        .run = verb##_run,                                                                                             \
    }
const struct command cmd_pause = PAUSE_COMMAND("pause", "Freeze all processes of containers", pause, COMPLETE_RUNNING);
const struct command cmd_unpause = PAUSE_COMMAND("unpause", "Let paused containers go on", unpause, COMPLETE_PAUSED);
