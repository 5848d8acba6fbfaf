/*
 * husk unshare: a program as root of the user namespace that an ordinary user's containers have.
 * Compatible with: podman unshare.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <unistd.h>

#include "cli/cli.h"
#include "os/userns.h"

static const struct opt no_options[] = { OPT_END };

static fallible unshare_run(const void *unused, struct args args)
{
    const char *shell = getenv("SHELL");
    char *own[] = { (char *)(uintptr_t)(shell && *shell ? shell : "/bin/sh"), NULL };
    char **argv = args.n ? args.v : own;
    if (userns_is_root())
        return err_new(ERR_INVALID,
                       "you are root already: this is for ordinary users, whose containers' files belong to "
                       "their subordinate ids");
    TRY(userns_enter());
    (void)execvp(argv[0], argv);
    return err_sys_as(errno == ENOENT ? ERR_EXEC_MISSING : ERR_EXEC_DENIED, errno, "run '%s'", argv[0]);
}

const struct command cmd_unshare = {
    .name = "unshare",
    .args = "[PROGRAM [ARGUMENT...]]",
    .summary = "Run a program as root of your containers' user namespace",
    .detail =
        "For looking at and removing files that belong to your subordinate ids, such as those in volumes. Without a "
        "program: $SHELL.",
    .opts = no_options,
    .opts_size = 1,
    .max_args = -1,
    .stop_at_arg = true,
    .fail_exit = 125,
    .run = unshare_run,
};
