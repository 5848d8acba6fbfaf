/*
 * husk unshare: a program as root of the user namespace that an ordinary user's containers have.
 * Compatible with: podman unshare.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdlib.h>
#include <unistd.h>

#include "cli/cli.h"
#include "engine/engine.h"
#include "engine/paths.h"
#include "os/linux.h"
#include "os/userns.h"
#include "usernet/usernet.h"

struct unshare_opts {
    bool rootless_netns;
};
#define T struct unshare_opts
static const struct opt unshare_options[] = {
    OPT_FLAG(0, "rootless-netns", T, rootless_netns,
             "Inside the network namespace that your containers' networks are in, with its way to the outside"),
    OPT_END,
};
#undef T

/* The program has the holder's connection, so that the namespaces stay while it runs. */
static fallible enter_networks(void)
{
    own(engine) struct engine *engine = NULL;
    own_fd int run = -1;
    struct usernet u = USERNET_NONE;
    TRY(engine_open(&engine));
    TRY(paths_open_run(engine->run, &run));
    TRY(usernet_open(engine->run, -1, &u));
    err *e = usernet_outside(&u, engine->run);
    if (!e)
        e = usernet_enter(&u);
    if (!e && (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0))
        e = err_sys(errno, "make mounts private");
    if (!e && fcntl(u.sock, F_SETFD, 0) < 0)
        e = err_sys(errno, "keep the networks");
    if (e)
        usernet_close(&u);
    return e;
}

/* There husk is root, whose store is another: it is to find its caller's. */
static fallible hand_on_paths(void)
{
    own_mem char *root = NULL, *run = NULL;
    TRY(paths_root(&root));
    TRY(paths_run(&run));
    if (setenv("HUSK_ROOT", root, 1) < 0 || setenv("HUSK_RUN", run, 1) < 0)
        return err_sys(errno, "set the environment");
    return NULL;
}

static fallible unshare_run(const void *opts_, struct args args)
{
    const struct unshare_opts *opts = opts_;
    const char *shell = getenv("SHELL");
    char *own[] = { (char *)(uintptr_t)(shell && *shell ? shell : "/bin/sh"), NULL };
    char **argv = args.n ? args.v : own;
    if (userns_is_root())
        return err_new(ERR_INVALID,
                       "you are root already: this is for ordinary users, whose containers' files belong to "
                       "their subordinate ids");
    TRY(hand_on_paths());
    TRY(opts->rootless_netns ? enter_networks() : userns_enter());
    (void)execvp(argv[0], argv);
    return err_sys_as(errno == ENOENT ? ERR_EXEC_MISSING : ERR_EXEC_DENIED, errno, "run '%s'", argv[0]);
}

const struct command cmd_unshare = {
    .name = "unshare",
    .args = "[PROGRAM [ARGUMENT...]]",
    .summary = "Run a program as root of your containers' user namespace",
    .detail =
        "For looking at and removing files that belong to your subordinate ids, such as those in volumes, and for "
        "`husk mount`: husk finds your store there, by HUSK_ROOT and HUSK_RUN. Without a program: $SHELL.",
    .opts = unshare_options,
    .opts_size = sizeof(struct unshare_opts),
    .max_args = -1,
    .stop_at_arg = true,
    .fail_exit = 125,
    .run = unshare_run,
};
