/*
 * husk-oci start, state, kill, delete, pause, resume: the verbs of one line each.
 * Compatible with: runc's.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <signal.h>

#include "oci/oci.h"
#include "os/fs.h"

static const struct opt no_options[] = { OPT_END };

static fallible start_run(const void *opts, struct args args)
{
    (void)opts;
    own_mem char *dir = NULL;
    TRY(oci_state_dir(args.v[0], &dir));
    return runtime_start(dir);
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
    bool all;
};
#define T struct kill_opts
static const struct opt kill_options[] = {
    OPT_FLAG('a', "all", T, all, "Send it to every process of the container"),
    OPT_END,
};
#undef T

static fallible kill_run(const void *opts_, struct args args)
{
    const struct kill_opts *opts = opts_;
    own_mem char *dir = NULL;
    int signal = SIGTERM;
    if (args.n > 1)
        TRY(signal_parse(args.v[1], &signal));
    TRY(oci_state_dir(args.v[0], &dir));
    return runtime_kill(dir, signal, opts->all);
}

struct delete_opts {
    bool force;
};
#define T struct delete_opts
static const struct opt delete_options[] = {
    OPT_FLAG('f', "force", T, force, "Kill it first; a container that is not there is no error"),
    OPT_END,
};
#undef T

static fallible delete_run(const void *opts_, struct args args)
{
    const struct delete_opts *opts = opts_;
    own_mem char *dir = NULL;
    err *e = oci_state_dir(args.v[0], &dir);
    if (err_is(e, ERR_NOT_FOUND) && opts->force) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    TRY(runtime_delete(dir, opts->force));
    return fs_remove_tree_at(AT_FDCWD, dir);
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
