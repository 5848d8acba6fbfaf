/*
 * health.h: when a container's health is asked. The question itself is husk's ("husk health-probe ID", a child of the
 * monitor for as long as it takes), which keeps the answers in <state_dir>/health.json and acts on them; the monitor
 * only has the clock.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_HEALTH_H
#define HUSK_MONITOR_HEALTH_H

#include "monitor/monitor.h"
#include "os/loop.h"

/* What "husk health-probe" ends with. */
enum health_answer { HEALTH_WELL = 0, HEALTH_ILL = 1, HEALTH_STARTING = 2 /* its startup check goes on */ };

struct health {
    const struct monitor_plan *plan;
    struct loop_source *timer;
    pid_t probe;       /* 0: none is under way */
    uint64_t from_ns;  /* CLOCK_MONOTONIC of the beginning */
    bool was_well;     /* once at least: the start period is over */
    bool startup_over; /* the startup check is */
};

/* Nothing to do for a plan without health checks. */
fallible health_begin(struct health *h, const struct monitor_plan *plan, struct loop *loop);
/* A child was reaped. */
void health_reaped(struct health *h, pid_t pid, int wait_status);
void health_end(struct health *h);

#endif
