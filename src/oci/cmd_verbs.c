/*
 * husk-oci start, state, kill, delete, pause, resume: the verbs of one line each.
 * Compatible with: runc's.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>

#include "oci/oci.h"
#include "os/fs.h"

static const struct opt no_options[] = { OPT_END };

static fallible start_run(const void *opts, struct args args)
{
    (void)opts;
    own_mem char *dir = NULL;
    own(runtime_state) struct runtime_state *s = NULL;
    own_fd int notify = -1;
    own_fd int pidfd = -1;
    TRY(oci_state_dir(args.v[0], &dir));
    if (getenv("NOTIFY_SOCKET")) {
        TRY(runtime_state_read(dir, &s));
        if (s->status == RUNTIME_CREATED) {
            TRY(oci_notify_listen(dir, &notify));
            TRY(proc_open(s->init, &pidfd));
        }
    }
    TRY(runtime_start(dir));
    return oci_notify_wait(notify, pidfd, s ? s->init.pid : 0);
}

static fallible state_run(const void *opts, struct args args)
{
    (void)opts;
    own_mem char *dir = NULL;
    own(runtime_state) struct runtime_state *s = NULL;
    char created[40];
    TRY(oci_state_dir(args.v[0], &dir));
    TRY(runtime_state_read(dir, &s));
    own_mem char *text = runtime_state_text(s);
    own_json json_t *doc = NULL;
    TRY(json_parse("state", text, strlen(text), &doc));
    if (!json_object_get(doc, "pid"))
        json_object_set_new(doc, "pid", json_integer(0));
    if (s->rootfs)
        json_object_set_new(doc, "rootfs", json_string(s->rootfs));
    json_object_set_new(doc, "created", json_string(format_time_ns(s->created_ns, created)));
    json_object_set_new(doc, "owner", json_string(""));
    own_mem char *out = json_text(doc, BIND_INDENTED);
    printf("%s\n", out);
    return NULL;
}

static fallible pause_run(const void *opts, struct args args)
{
    (void)opts;
    own_mem char *dir = NULL;
    TRY(oci_state_dir(args.v[0], &dir));
    return runtime_pause(dir);
}

static fallible resume_run(const void *opts, struct args args)
{
    (void)opts;
    own_mem char *dir = NULL;
    TRY(oci_state_dir(args.v[0], &dir));
    return runtime_resume(dir);
}

struct kill_opts {
    bool all, regex;
    int signal; /* no option */
};
#define T struct kill_opts
static const struct opt kill_options[] = {
    OPT_FLAG('a', "all", T, all, "Send it to every process of the container"),
    OPT_FLAG('r', "regex", T, regex, "ID is a regular expression: all containers that it matches"),
    OPT_END,
};
#undef T

static err *kill_one(const char *id, void *ctx)
{
    const struct kill_opts *o = ctx;
    own_mem char *dir = NULL;
    TRY(oci_state_dir(id, &dir));
    return runtime_kill(dir, o->signal, o->all);
}

static fallible kill_run(const void *opts, struct args args)
{
    struct kill_opts o = *(const struct kill_opts *)opts;
    o.signal = SIGTERM;
    if (args.n > 1 && str_eq(args.v[1], "0")) /* only asks whether it is there: kill(2) */
        o.signal = 0;
    else if (args.n > 1)
        TRY(signal_parse(args.v[1], &o.signal));
    return oci_each(args.v[0], o.regex, kill_one, &o);
}

struct delete_opts {
    bool force, regex;
};
#define T struct delete_opts
static const struct opt delete_options[] = {
    OPT_FLAG('f', "force", T, force, "Kill it first; a container that is not there is no error"),
    OPT_FLAG('r', "regex", T, regex, "ID is a regular expression: all containers that it matches"),
    OPT_END,
};
#undef T

static err *delete_one(const char *id, void *ctx)
{
    const struct delete_opts *o = ctx;
    own_mem char *dir = NULL;
    err *e = oci_state_dir(id, &dir);
    if (err_is(e, ERR_NOT_FOUND) && o->force) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    TRY(runtime_delete(dir, o->force));
    return fs_remove_tree_at(AT_FDCWD, dir);
}

static fallible delete_run(const void *opts, struct args args)
{
    struct delete_opts o = *(const struct delete_opts *)opts;
    return oci_each(args.v[0], o.regex, delete_one, &o);
}

const struct command oci_cmd_start = {
    .name = "start",
    .args = "ID",
    .summary = "Start a container that was created",
    .opts = no_options,
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .run = start_run,
};
const struct command oci_cmd_state = {
    .name = "state",
    .args = "ID",
    .summary = "Print a container's state as JSON",
    .opts = no_options,
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .run = state_run,
};
const struct command oci_cmd_pause = {
    .name = "pause",
    .args = "ID",
    .summary = "Freeze a container's processes",
    .opts = no_options,
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .run = pause_run,
};
const struct command oci_cmd_resume = {
    .name = "resume",
    .args = "ID",
    .summary = "Let a frozen container go on",
    .opts = no_options,
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .run = resume_run,
};
const struct command oci_cmd_kill = {
    .name = "kill",
    .args = "ID [SIGNAL]",
    .summary = "Send a signal to a container (default TERM)",
    .opts = kill_options,
    .opts_size = sizeof(struct kill_opts),
    .min_args = 1,
    .max_args = 2,
    .fail_exit = 1,
    .run = kill_run,
};
const struct command oci_cmd_delete = {
    .name = "delete",
    .args = "ID",
    .summary = "Remove a container that has ended",
    .opts = delete_options,
    .opts_size = sizeof(struct delete_opts),
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .run = delete_run,
};
