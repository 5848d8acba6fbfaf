/*
 * husk container: the commands for containers, under docker's longer names.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "cli/elsewhere.h"

struct exists_opts {
    bool external;
};

#define T struct exists_opts
static const struct opt exists_options[] = {
    OPT_FLAG(0, "external", T, external, "Refused: there are no containers of others"),
    OPT_END,
};
#undef T

static fallible exists_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    const struct exists_opts *o = opts_;
    if (o->external)
        return err_new(ERR_UNSUPPORTED, "--external: no other program keeps containers in husk's store: leave it out");
    TRY(engine_open(&engine));
    err *e = container_find(engine, args.v[0], &c);
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    return err_exit(1); /* no word: scripts ask for the status alone */
}

static const struct command cmd_container_exists = {
    .name = "exists",
    .args = "CONTAINER",
    .summary = "Say by the exit status whether there is such a container",
    .opts = exists_options,
    .opts_size = sizeof(struct exists_opts),
    .min_args = 1,
    .max_args = 1,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 125,
    .run = exists_run,
};

static const struct command *const container_commands[] = {
    &cmd_attach,
    &cmd_container_clone,
    &cmd_commit,
    &cmd_cp,
    &cmd_create,
    &cmd_diff,
    &cmd_export,
    &cmd_stats,
    &cmd_exec,
    &cmd_container_inspect,
    &cmd_init,
    &cmd_kill,
    &cmd_logs,
    &cmd_container_ls,
    &cmd_pause,
    &cmd_port,
    &cmd_container_prune,
    &cmd_rename,
    &cmd_restart,
    &cmd_rm,
    &cmd_run,
    &cmd_container_runlabel,
    &cmd_start,
    &cmd_stop,
    &cmd_top,
    &cmd_unpause,
    &cmd_update,
    &cmd_wait,
    &cmd_container_exists,
    &cmd_mount,
    &cmd_unmount,
    &cmd_umount,
    &cmd_container_checkpoint,
    &cmd_container_restore,
    &elsewhere_cleanup,
    NULL,
};

const struct command cmd_container = {
    .name = "container",
    .args = "COMMAND",
    .summary = "Manage containers",
    .sub = container_commands,
};
