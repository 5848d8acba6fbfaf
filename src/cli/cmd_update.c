/*
 * husk update: change limits and restart policies of containers, also of those that run.
 * Compatible with: docker update, podman update.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "cli/limit_options.h"

static const char *const words_unhealthy[] = { "none", "restart", "stop", "kill", NULL };

struct update_opts {
    struct create_options create;
    struct container_selection select;
};

#define T struct update_opts
static const struct opt update_options[] = {
    LIMIT_OPTIONS(T),
    OPT_I64(0, "pids-limit", T, create.pids_limit, "N", "Processes; -1: no limit"),
    OPT_STR(0, "restart", T, create.restart, "POLICY",
            "When it ends, start it again: no, on-failure[:N], always, unless-stopped"),
    OPT_STRS(0, "device-read-iops", T, create.device_read_iops, "DEVICE:N", "Reads a second"),
    OPT_STRS(0, "device-write-iops", T, create.device_write_iops, "DEVICE:N", "Writes a second"),
    OPT_GROUP("Health"),
    OPT_STR(0, "health-cmd", T, create.health.cmd, "COMMAND", "A shell's command, or a JSON list; 'none' for none"),
    OPT_STR(0, "health-interval", T, create.health.interval, "DURATION",
            "Time between checks, from its next start on; 'disable': only by hand"),
    OPT_DURATION(0, "health-timeout", T, create.health.timeout, "DURATION", "A check's time"),
    OPT_I64(0, "health-retries", T, create.health.retries, "N", "Failures until it is unhealthy"),
    OPT_DURATION(0, "health-start-period", T, create.health.start_period, "DURATION",
                 "Time after the start in which failures do not count, from its next start on"),
    OPT_DURATION(0, "health-start-interval", T, create.health.start_interval, "DURATION",
                 "Time between checks in that period, from its next start on"),
    OPT_STR(0, "on-unhealthy", T, create.health.on_unhealthy, "ACTION",
            "When it becomes unhealthy: none, restart, stop or kill it", .words = words_unhealthy),
    OPT_STR(0, "health-on-failure", T, create.health.on_failure, "ACTION", "The same as --on-unhealthy",
            .words = words_unhealthy),
    OPT_STR(0, "health-startup-cmd", T, create.health.startup_cmd, "COMMAND",
            "A check that is asked instead until it has succeeded; 'none' for none"),
    OPT_STR(0, "health-startup-interval", T, create.health.startup_interval, "DURATION",
            "Time between its checks, from its next start on; 'disable': only by hand"),
    OPT_DURATION(0, "health-startup-timeout", T, create.health.startup_timeout, "DURATION",
                 "A check's time (default 30s)"),
    OPT_I64(0, "health-startup-retries", T, create.health.startup_retries, "N",
            "Failures in a row that restart the container (default 0: never)"),
    OPT_I64(0, "health-startup-success", T, create.health.startup_success, "N",
            "Successes in a row that end it (default 0: one)"),
    OPT_I64(0, "health-max-log-count", T, create.health.log_count, "N", "Answers that are kept (default 5; 0: 1000)"),
    OPT_I64(0, "health-max-log-size", T, create.health.log_size, "BYTES",
            "What is kept of each (default 4096; 0: 1 MiB)"),
    OPT_STR(0, "health-log-destination", T, create.health.log_destination, "WHERE",
            "Where answers go besides: local (nowhere), a directory, or events_logger"),
    OPT_FLAG(0, "no-healthcheck", T, create.health.none, "No health check any more"),
    OPT_GROUP("From its next start on"),
    OPT_STRS('e', "env", T, create.env, "KEY[=VALUE]", "An environment variable; without a value, our own"),
    OPT_STRS(0, "unsetenv", T, create.unsetenv, "KEY", "Without this variable"),
    OPT_STRS(0, "ulimit", T, create.ulimit, "NAME=SOFT[:HARD]",
             "A limit of its processes: nofile=1024:2048; of exec at once"),
    OPT_GROUP("Which"),
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
    .summary = "Change limits, restart policies and health checks of containers, at once and for later starts",
    .opts = update_options,
    .opts_size = sizeof(struct update_opts),
    .max_args = -1,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = update_run,
};
