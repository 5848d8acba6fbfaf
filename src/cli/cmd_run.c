/*
 * husk run: make a container and run it.
 * Compatible with: docker run, podman run.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/create_more_options.h"
#include "cli/preserve.h"
#include "engine/chain.h"
#include "engine/image_remove.h"
#include "monitor/attach.h"

struct run_opts {
    struct create_options create;
    bool detach, rmi;
    struct opt_i64 preserve_fds;
    struct strv preserve_fd;
    const char *detach_keys, *sig_proxy;
    struct strv attach;
};

#define T struct run_opts
static const struct opt run_options[] = {
    OPT_FLAG('d', "detach", T, detach, "Leave it running and print its ID"),
    OPT_STRS('a', "attach", T, attach, "STREAM", "Only these of stdin, stdout, stderr"),
    OPT_STR(0, "sig-proxy", T, sig_proxy, "BOOL", "Pass our signals on to it (default true)"),
    OPT_STR(0, "detach-keys", T, detach_keys, "KEYS", "What leaves it running when typed (default ctrl-p,ctrl-q)"),
    OPT_I64(0, "preserve-fds", T, preserve_fds, "N", "Our N open descriptors from 3 on are the program's too"),
    OPT_STRS(0, "preserve-fd", T, preserve_fd, "FD[,FD...]", "These of our open descriptors are the program's too"),
    OPT_FLAG(0, "rmi", T, rmi,
             "Remove the image as well when it ends, unless another container needs it; implies --rm"),
    CREATE_OPTIONS(T),
    CREATE_MORE_OPTIONS(T),
    OPT_END,
};
#undef T

static fallible streams(const struct run_opts *o, struct attach_wish *wish)
{
    bool proxy = true;
    wish->stdin_open = o->create.interactive;
    wish->detach_keys = o->detach_keys;
    if (o->sig_proxy)
        TRY_AS(parse_bool(o->sig_proxy, &proxy), "--sig-proxy");
    wish->no_sig_proxy = !proxy;
    if (o->detach_keys)
        TRY_AS(attach_keys_check(o->detach_keys), "--detach-keys");
    if (!o->attach.n)
        return NULL;
    for (size_t i = 0; i < o->attach.n; i++) {
        const char *word = o->attach.items[i];
        if (strcasecmp(word, "stdin") != 0 && strcasecmp(word, "stdout") != 0 && strcasecmp(word, "stderr") != 0)
            return err_new(ERR_INVALID, "--attach: '%s' is not one of stdin, stdout, stderr", word);
    }
    wish->stdin_open &= strv_has(&o->attach, "stdin");
    wish->no_stdout = !strv_has(&o->attach, "stdout");
    wish->no_stderr = !strv_has(&o->attach, "stderr");
    return NULL;
}

static fallible check(const struct run_opts *o, struct args args)
{
    if (!o->create.rootfs && args.n < 1)
        return err_new(ERR_INVALID, "needs IMAGE, or --rootfs DIR: see '--help'");
    if (o->rmi && (o->detach || o->create.rootfs))
        return err_new(ERR_INVALID, "--rmi: it is for an image and without --detach: somebody has to wait for the end");
    if (o->detach && o->attach.n)
        return err_new(ERR_INVALID, "--detach and --attach exclude each other");
    if (o->create.tty && o->create.interactive && !o->detach && !isatty(STDIN_FILENO))
        return err_new(ERR_INVALID, "--tty and --interactive: our standard input is no terminal");
    return NULL;
}

/* A container that could not be started stays for a look at it, unless it was to be removed. */
static fallible undo_rm(struct container *c, const struct run_opts *o, err *take_e)
{
    if (take_e && o->create.rm)
        err_ignore(container_remove(c, &(struct remove_options){ .force = true, .volumes = true }),
                   "the first error says what went wrong");
    return take_e;
}

static void remove_image(struct engine *engine, const char *id)
{
    own_strv struct strv lines = { 0 };
    err *e = image_remove(engine, id, false, NULL, &lines);
    if (err_is(e, ERR_CONFLICT)) {
        err_ignore(e, "others need it, or it has more names");
        return;
    }
    if (e)
        log_warn("--rmi: %s", err_text(e));
    err_ignore(e, "the program's status matters more");
}

/* With --init-chain not before the program runs. A helper that fails is named, and its status is ours. */
static fallible detach(struct container *c)
{
    int code = 0;
    err *e = chain_await(c, &code);
    if (!e) {
        printf("%s\n", c->row.id);
        return NULL;
    }
    fprintf(stderr, "husk run: %s\n", err_text(e));
    err_ignore(e, "said; the status is the helper's");
    return err_exit(code ? code : 125);
}

static fallible run_run(const void *opts_, struct args args)
{
    struct run_opts with_rm = *(const struct run_opts *)opts_;
    const struct run_opts *o = &with_rm;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    own_fd int sock = -1;
    with_rm.create.rm |= with_rm.rmi;
    struct attach_wish wish = { 0 };
    int preserved = 0;
    TRY(check(o, args));
    TRY(preserve_fds(o->preserve_fds, &o->preserve_fd, &preserved));
    TRY(streams(o, &wish));
    TRY(engine_open(&engine));
    TRY(container_create(engine, &o->create, args.v, (size_t)args.n, &c));
    c->preserve_fds = preserved;
    TRY(undo_rm(c, o, container_start(c, o->detach ? NULL : &sock)));
    if (o->detach) {
        if (o->create.restart && !o->create.rm) /* it is to come back */
            container_keep(c);
        return detach(c);
    }
    err *end = attach_and_leave(c, sock, &wish);
    if (o->rmi)
        remove_image(engine, c->row.image_id);
    return end;
}

const struct command cmd_run = {
    .name = "run",
    .args = "IMAGE [COMMAND] [ARGUMENT...]",
    .summary = "Make a container and run a command in it",
    .detail =
        "The network is the default bridge, root's or the user's own (which needs passt; without it there is only\n"
        "a loopback), unless --network says otherwise. Exit status: the command's own; 125 when husk fails, 126\n"
        "when the command cannot be run, 127 when it is not there.",
    .opts = run_options,
    .opts_size = sizeof(struct run_opts),
    .min_args = 0,
    .max_args = -1,
    .stop_at_arg = true,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 125,
    .run = run_run,
};
