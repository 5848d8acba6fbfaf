/*
 * husk exec: run a command in a running container.
 * Compatible with: docker exec, podman exec.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <unistd.h>

#include "cli/cli.h"
#include "cli/preserve.h"
#include "monitor/attach.h"

struct exec_opts {
    struct exec_options exec;
    bool latest, no_session;
    const char *cidfile;
    struct strv preserve_fd;
};

#define T struct exec_opts
static const struct opt exec_options[] = {
    OPT_FLAG('d', "detach", T, exec.detach, "Do not wait for it"),
    OPT_FLAG('i', "interactive", T, exec.interactive, "Keep its standard input open"),
    OPT_FLAG('t', "tty", T, exec.tty, "Give it a terminal"),
    OPT_STRS('e', "env", T, exec.env, "KEY[=VALUE]", "An environment variable; without a value, our own"),
    OPT_STRS(0, "env-file", T, exec.env_file, "FILE", "Environment variables, one a line"),
    OPT_STR('u', "user", T, exec.user, "USER[:GROUP]", "Names of the container's, or numbers"),
    OPT_STR('w', "workdir", T, exec.workdir, "DIR", "Its working directory"),
    OPT_FLAG(0, "privileged", T, exec.privileged, "Every capability, no seccomp"),
    OPT_STR(0, "detach-keys", T, exec.detach_keys, "KEYS", "What leaves it running when typed (default ctrl-p,ctrl-q)"),
    OPT_I64(0, "preserve-fds", T, exec.preserve_fds, "N", "Hand on N of our descriptors from 3 on"),
    OPT_STRS(0, "preserve-fd", T, preserve_fd, "FD[,FD...]", "Hand on these of our descriptors"),
    OPT_FLAG(0, "no-session", T, no_session, "Always true: husk keeps no record of what exec runs"),
    OPT_FLAG('l', "latest", T, latest, "The container that was made last"),
    OPT_STR(0, "cidfile", T, cidfile, "FILE", "The container whose ID is in a file"),
    OPT_END,
};
#undef T

static fallible exec_run(const void *opts_, struct args args)
{
    const struct exec_opts *opts = opts_;
    struct exec_options exec = opts->exec;
    const struct exec_options *o = &exec;
    int preserved = 0;
    struct container_selection select = { .latest = opts->latest };
    own_strv struct strv names = { 0 };
    int skip = 0;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    int code = 0;
    if (o->tty && o->interactive && !o->detach && !isatty(STDIN_FILENO))
        return err_new(ERR_INVALID, "--tty and --interactive: our standard input is no terminal");
    TRY(preserve_fds(o->preserve_fds, &opts->preserve_fd, &preserved));
    exec.preserve_fds = (struct opt_i64){ preserved > 0, preserved };
    if (o->detach_keys)
        TRY_AS(attach_keys_check(o->detach_keys), "--detach-keys");
    TRY(engine_open(&engine));
    if (opts->cidfile)
        strv_add(&select.cidfile, opts->cidfile);
    err *e = container_select(engine, &select, SELECT_ALL, args.v, opts->latest || opts->cidfile ? 0 : 1, &names);
    strv_free(&select.cidfile);
    TRY(e);
    skip = opts->latest || opts->cidfile ? 0 : 1;
    if (args.n <= skip)
        return err_new(ERR_INVALID, "which command is to run in it?");
    TRY(container_find(engine, names.items[0], &c));
    TRY(container_exec(c, o, args.v + skip, (size_t)(args.n - skip), &code));
    return code ? err_exit(code) : NULL;
}

const struct command cmd_exec = {
    .name = "exec",
    .args = "[CONTAINER] COMMAND [ARGUMENT...]",
    .summary = "Run a command in a running container",
    .opts = exec_options,
    .opts_size = sizeof(struct exec_opts),
    .min_args = 1,
    .max_args = -1,
    .stop_at_arg = true,
    .complete_args = COMPLETE_RUNNING,
    .fail_exit = 1,
    .run = exec_run,
};
