/*
 * watch.h: the monitor's life, from the first event to the last.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_WATCH_H
#define HUSK_MONITOR_WATCH_H

#include "monitor/plan.h"

/* Watches until the container is dead, recorded and told. The plan and the descriptors come from plan_read().
 * WATCH_CLEANED: a client has removed the container. WATCH_RESTART: it is to be started again, now.
 * Errors: the record could not be written. */
enum watch_end { WATCH_ENDED, WATCH_CLEANED, WATCH_RESTART };
fallible watch_run(const struct monitor_plan *plan, const int fds[PLAN_FDS], enum watch_end *ret);

#endif
