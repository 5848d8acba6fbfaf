/*
 * pack.h: the monitor's side of packed logs: after a rotation husk-pack is run, never two at a time.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_PACK_H
#define HUSK_MONITOR_PACK_H

#include "monitor/logfile.h"
#include "monitor/monitor.h"

struct pack {
    const struct monitor_plan *plan;
    pid_t pid;    /* 0: none runs */
    int64_t seen; /* rotations when the last one was started */
};
/* After lines were written, and after one has ended. */
void pack_when_rotated(struct pack *p, const struct logfile *f);
void pack_reaped(struct pack *p, const struct logfile *f, pid_t pid);

#endif
