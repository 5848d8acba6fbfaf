/*
 * husk update: change limits and restart policies of containers, also of those that run.
 * Compatible with: docker update, podman update.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"

struct update_opts {
    struct create_options create;
    struct container_selection select;
};

#define T struct update_opts
static const struct opt update_options[] = {
    OPT_BYTES('m', "memory", T, create.memory, "BYTES", "Memory; -1: no limit"),
    OPT_BYTES(0, "memory-swap", T, create.memory_swap, "BYTES", "Memory and swap together; -1: swap without limit"),
    OPT_BYTES(0, "memory-reservation", T, create.memory_reservation, "BYTES", "Memory that it gets under pressure"),
    OPT_I64(0, "memory-swappiness", T, create.memory_swappiness, "N", "How readily it swaps: 0 to 100"),
    OPT_STR(0, "cpus", T, create.cpus, "N", "Processors, such as 1.5"),
    OPT_I64('c', "cpu-shares", T, create.cpu_shares, "N", "Its weight among others (docker's 1024 is 1)"),
    OPT_I64(0, "cpu-period", T, create.cpu_period, "MICROSECONDS", "Period of the CPU quota"),
    OPT_I64(0, "cpu-quota", T, create.cpu_quota, "MICROSECONDS", "Time it may run in each period; -1: no limit"),
    OPT_STR(0, "cpuset-cpus", T, create.cpuset_cpus, "LIST", "The processors it may run on: 0-3,7"),
    OPT_STR(0, "cpuset-mems", T, create.cpuset_mems, "LIST", "The memory nodes it may use"),
    OPT_I64(0, "pids-limit", T, create.pids_limit, "N", "Processes; -1: no limit"),
    OPT_STR(0, "restart", T, create.restart, "POLICY",
            "When it ends, start it again: no, on-failure[:N], always, unless-stopped"),
    OPT_FLAG('l', "latest", T, select.latest, "The one that was made last"),
    OPT_END,
};
#undef T

static err *update_one(struct container *c, const void *ctx)
{
    return container_update(c, ctx);
}

static fallible update_run(const void *opts_, struct args args)
{
    const struct update_opts *o = opts_;
    return each_selected("husk update", &o->select, SELECT_ALL, args, update_one, &o->create);
}

const struct command cmd_update = {
    .name = "update",
    .args = "[CONTAINER...]",
    .summary = "Change limits and restart policies of containers, at once and for later starts",
    .opts = update_options,
    .opts_size = sizeof(struct update_opts),
    .max_args = -1,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = update_run,
};
