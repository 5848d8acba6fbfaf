/*
 * husk exec: run a command in a running container.
 * Compatible with: docker exec, podman exec.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <unistd.h>

#include "cli/cli.h"
#include "monitor/attach.h"

#define T struct exec_options
static const struct opt exec_options[] = {
    OPT_FLAG('d', "detach", T, detach, "Do not wait for it"),
    OPT_FLAG('i', "interactive", T, interactive, "Keep its standard input open"),
    OPT_FLAG('t', "tty", T, tty, "Give it a terminal"),
    OPT_STRS('e', "env", T, env, "KEY[=VALUE]", "An environment variable; without a value, our own"),
    OPT_STRS(0, "env-file", T, env_file, "FILE", "Environment variables, one a line"),
    OPT_STR('u', "user", T, user, "USER[:GROUP]", "Names of the container's, or numbers"),
    OPT_STR('w', "workdir", T, workdir, "DIR", "Its working directory"),
    OPT_FLAG(0, "privileged", T, privileged, "Every capability, no seccomp"),
    OPT_STR(0, "detach-keys", T, detach_keys, "KEYS", "What leaves it running when typed (default ctrl-p,ctrl-q)"),
    OPT_END,
};
#undef T

static fallible exec_run(const void *opts_, struct args args)
{
    const struct exec_options *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    int code = 0;
    if (o->tty && o->detach)
        return err_new(ERR_INVALID, "--tty and --detach exclude each other");
    if (o->tty && o->interactive && !isatty(STDIN_FILENO))
        return err_new(ERR_INVALID, "--tty and --interactive: our standard input is no terminal");
    if (o->detach_keys)
        TRY_AS(attach_keys_check(o->detach_keys), "--detach-keys");
    TRY(engine_open(&engine));
    TRY(container_find(engine, args.v[0], &c));
    TRY(container_exec(c, o, args.v + 1, (size_t)args.n - 1, &code));
    return code ? err_exit(code) : NULL;
}

const struct command cmd_exec = {
    .name = "exec",
    .args = "CONTAINER COMMAND [ARGUMENT...]",
    .summary = "Run a command in a running container",
    .opts = exec_options,
    .opts_size = sizeof(struct exec_options),
    .min_args = 2,
    .max_args = -1,
    .stop_at_arg = true,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = exec_run,
};
