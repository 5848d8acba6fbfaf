/*
 * husk container: the commands for containers, under docker's longer names.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"

static const struct command *const container_commands[] = {
    &cmd_attach, &cmd_commit,  &cmd_cp,
    &cmd_create, &cmd_diff,    &cmd_export,
    &cmd_stats,  &cmd_exec,    &cmd_container_inspect,
    &cmd_kill,   &cmd_logs,    &cmd_container_ls,
    &cmd_pause,  &cmd_port,    &cmd_container_prune,
    &cmd_rename, &cmd_restart, &cmd_rm,
    &cmd_run,    &cmd_start,   &cmd_stop,
    &cmd_top,    &cmd_unpause, &cmd_update,
    &cmd_wait,   NULL,
};

const struct command cmd_container = {
    .name = "container",
    .args = "COMMAND",
    .summary = "Manage containers",
    .sub = container_commands,
};
