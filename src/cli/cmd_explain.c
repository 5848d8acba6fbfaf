/*
 * husk explain: how a container is started, row by row, and with which shell commands the same could be done.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "os/fs.h"

struct explain_opts {
    bool script;
};

#define T struct explain_opts
static const struct opt explain_options[] = {
    OPT_FLAG(0, "script", T, script, "A bash script that makes an equivalent container"),
    OPT_END,
};
#undef T

/* Of the last start; NULL when there was none, or another build of husk did it. */
static const struct steps_times *read_times(const struct container *c, struct steps_times *buf)
{
    own_mem char *path = mem_printf("%s/start.times", c->state_dir);
    own_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return NULL;
    err *e = fs_read_exact(fd, buf, sizeof *buf, path);
    if (!e)
        return buf;
    err_ignore(e, "of another build");
    return NULL;
}

static fallible explain_run(const void *opts_, struct args args)
{
    const struct explain_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    struct container_plan plan = CONTAINER_PLAN_NONE;
    struct steps_times times;
    TRY(engine_open_to_look(&engine));
    TRY(container_find(engine, args.v[0], &c));
    TRY(container_plan(c, PLAN_LIMITS, PLAN_NETWORK_LOOK, &plan));
    err *e = o->script ? container_show_files(c, &plan) : NULL;
    if (o->script && !e)
        runtime_explain_script(&plan.create, stdout);
    else if (!o->script)
        runtime_explain(&plan.create, read_times(c, &times), stdout);
    container_plan_clear(&plan);
    return e;
}

const struct command cmd_explain = {
    .name = "explain",
    .args = "CONTAINER",
    .summary = "Show how a container is started, with the shell commands that do the same",
    .opts = explain_options,
    .opts_size = sizeof(struct explain_opts),
    .min_args = 1,
    .max_args = 1,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = explain_run,
};
