/*
 * watch.h: the monitor's life, from the first event to the last.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_WATCH_H
#define HUSK_MONITOR_WATCH_H

#include "monitor/plan.h"

/* Watches until the container is dead, recorded and told. The plan and the descriptors come from plan_read().
 * *ret_cleaned: a client has removed the container. Errors: the record could not be written. */
fallible watch_run(const struct monitor_plan *plan, const int fds[PLAN_FDS], bool *ret_cleaned);

#endif
