/*
 * husk wait: wait until containers end, and print their exit status.
 * Compatible with: docker wait, podman wait.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"

static const struct opt no_options[] = { OPT_END };

static err *wait_one(const char *arg, void *ctx)
{
    own(container) struct container *c = NULL;
    int code = 0;
    TRY(container_find(ctx, arg, &c));
    TRY(container_wait(c, &code));
    printf("%d\n", code);
    (void)fflush(stdout);
    return NULL;
}

static fallible wait_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    TRY(engine_open(&engine));
    return command_each("husk wait", args, wait_one, engine);
}

const struct command cmd_wait = {
    .name = "wait",
    .args = "CONTAINER...",
    .summary = "Wait until containers end and print their exit status",
    .opts = no_options,
    .opts_size = 1,
    .min_args = 1,
    .max_args = -1,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = wait_run,
};
