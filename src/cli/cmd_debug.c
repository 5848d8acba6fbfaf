/*
 * husk debug: a shell with tools of its own in the namespaces of a container that has none.
 * Compatible with: docker debug, kubectl debug.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

struct debug_opts {
    const char *image, *user, *pull;
    struct strv env, volume;
    bool privileged, no_tty;
};

#define T struct debug_opts
static const struct opt debug_options[] = {
    OPT_STR(0, "image", T, image, "IMAGE", "The image with the tools (default busybox)"),
    OPT_STR(0, "pull", T, pull, "POLICY", "Pull it: always, missing (default) or never"),
    OPT_STR('u', "user", T, user, "USER[:GROUP]", "A user of the image's (default root)"),
    OPT_STRS('e', "env", T, env, "KEY[=VALUE]", "An environment variable"),
    OPT_STRS('v', "volume", T, volume, "SOURCE:TARGET", "Something of the host's, such as more tools"),
    OPT_FLAG(0, "privileged", T, privileged, "With every capability"),
    OPT_FLAG('T', "no-tty", T, no_tty, "No terminal, also where we have one"),
    OPT_END,
};
#undef T

/* Its processes, its network and its name; its root is the first process's. */
static void join(const struct container *target, const char *mode, struct create_options *o)
{
    o->pid = o->uts = mode;
    strv_add(&o->network, mode);
    if (target->config->userns_first)
        o->userns = mode;
    strv_add(&o->cap_add, "SYS_PTRACE"); /* what /proc/1/root asks for */
}

static fallible link_root(const struct container *c)
{
    own_mem char *path = mem_printf("%s/upper/container", c->dir);
    if (symlink("/proc/1/root", path) < 0 && errno != EEXIST)
        return err_sys(errno, "make '/container'");
    return NULL;
}

static fallible start(struct engine *engine, struct container *target, const struct create_options *o, bool runs,
                      struct args args)
{
    static char shell[] = "/bin/sh";
    own(container) struct container *c = NULL;
    own_fd int sock = -1;
    struct attach_wish wish = { .stdin_open = true };
    own_strv struct strv words = { 0 };
    (void)target;
    strv_add(&words, o->name); /* the image's place; the name is the container's own business */
    strv_copy(&words, args.v, (size_t)args.n);
    if (!args.n)
        strv_add(&words, shell);
    struct create_options create = *o;
    create.name = NULL;
    TRY(container_create(engine, &create, words.items, words.n, &c));
    err *e = runs ? link_root(c) : NULL;
    if (!e)
        e = container_start(c, &sock);
    if (e) {
        err_ignore(container_remove(c, &(struct remove_options){ .force = true, .volumes = true }),
                   "the first error says what went wrong");
        return e;
    }
    return attach_and_leave(c, sock, &wish);
}

static fallible debug_run(const void *opts_, struct args args)
{
    const struct debug_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *target = NULL;
    const struct container_config *config;
    struct container_state s = { 0 };
    TRY(engine_open(&engine));
    TRY(container_find(engine, args.v[0], &target));
    TRY(container_config(target, &config));
    TRY(container_state(target, &s));
    bool runs = s.status == CONTAINER_RUNNING || s.status == CONTAINER_PAUSED;
    container_state_clear(&s);
    own_mem char *mode = mem_printf("container:%s", target->row.id);
    own_mem char *label = mem_printf("husk.debug=%s", target->row.id);
    struct create_options create = {
        .name = o->image ? o->image : "busybox",
        .pull = o->pull,
        .rm = true,
        .interactive = true,
        .tty = !o->no_tty && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO),
        .user = o->user ? o->user : "0",
        .entrypoint = "",
        .env = o->env,
        .volume = o->volume,
        .privileged = o->privileged,
        .log_driver = "none",
        .debug_of = runs ? NULL : target->row.id,
    };
    strv_add(&create.label, label);
    if (runs)
        join(target, mode, &create);
    err *e = start(engine, target, &create, runs, (struct args){ args.v + 1, args.n - 1 });
    strv_free(&create.label);
    strv_free(&create.cap_add);
    strv_free(&create.network);
    return e;
}

const struct command cmd_debug = {
    .name = "debug",
    .args = "CONTAINER [COMMAND] [ARGUMENT...]",
    .summary = "Run a shell with its own tools beside a container, running or not",
    .detail =
        "A running container's processes, network and name are the shell's too, and its files are in /container (which "
        "is\n"
        "/proc/1/root). Of one that does not run the files are in /container, as they were left; what is changed "
        "there\n"
        "is gone with the shell. Nothing stays in the container: the shell has a root and a control group of its own.",
    .opts = debug_options,
    .opts_size = sizeof(struct debug_opts),
    .min_args = 1,
    .max_args = -1,
    .stop_at_arg = true,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 125,
    .run = debug_run,
};
