/*
 * plan.h: struct monitor_plan <-> the arguments of husk-monitor.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_PLAN_H
#define HUSK_MONITOR_PLAN_H

#include "base/mem.h"
#include "monitor/monitor.h"

/* The monitor's descriptors keep their numbers over the exec; "fds=3,-1,5,..." says which is what. */
enum plan_fd {
    PLAN_FD_PIDFD,
    PLAN_FD_STDIN,
    PLAN_FD_STDOUT,
    PLAN_FD_STDERR,
    PLAN_FD_CONSOLE,
    PLAN_FD_CLIENT,
    PLAN_FD_LISTEN,
    PLAN_FD_LOCK,
    PLAN_FDS,
};

/* Adds "name=value" for each field that is not empty, and the descriptors. */
void plan_write(const struct monitor_plan *plan, const int fds[PLAN_FDS], struct strv *args);
/* Texts are borrowed from argv (after the program's name). INVALID for a word that is no field. */
fallible plan_read(char *const *argv, struct monitor_plan *ret, int ret_fds[PLAN_FDS]);

/* The descriptors in plan->hold, one after the other: *at begins as that. */
bool plan_next_hold(const char **at, int *ret_fd);

#endif
