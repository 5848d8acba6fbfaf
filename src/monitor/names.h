/*
 * names.h: that the resolver of names comes back when it is killed, and what it watches: an ordinary user's networks.
 * The container's start leaves its connection to it with the monitor (monitor_plan.names_fd): as long as that is open
 * the resolver is needed, and when it breaks, the resolver is gone. Then the monitor connects again, after a moment of
 * its own so that not all do at once, and runs "husk network-names ID" when nobody is there. One that dies again and
 * again is waited for longer and longer.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_NAMES_H
#define HUSK_MONITOR_NAMES_H

#include "monitor/monitor.h"
#include "os/loop.h"

struct names {
    const struct monitor_plan *plan;
    struct loop *loop;
    struct loop_source *source, *timer;
    int state_fd;     /* the run-time folder: the socket is beside it; borrowed */
    pid_t helper;     /* 0: none is under way */
    bool helped;      /* one was, since the connection broke */
    unsigned lost;    /* how often it broke in a row */
    uint64_t lost_ns; /* CLOCK_MONOTONIC of the last time */
};

/* Nothing to do for a plan without a connection. */
fallible names_begin(struct names *n, const struct monitor_plan *plan, struct loop *loop, int state_fd);
/* A child was reaped. */
void names_reaped(struct names *n, pid_t pid);
void names_end(struct names *n);

#endif
