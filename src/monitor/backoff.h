/*
 * backoff.h: the monitor between the end of its container and the next start.
 *
 * The monitor waits itself, since it is the smallest process there is, and then becomes "husk container-restart ID",
 * which looks again, with the container's lock, whether the start is still wanted. All that time monitor.lock is held:
 * that is how others know that the container is restarting. Who ends the wait leaves the mark RESTART_STOPPED in the
 * container's folder and connects to attach.sock; the socket's close is the answer.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_BACKOFF_H
#define HUSK_MONITOR_BACKOFF_H

#include "monitor/monitor.h"
#include "monitor/restart.h"
#include "os/loop.h"

struct backoff {
    struct restart restart;
    int64_t count, delay_ns; /* restarts so far, and the last wait */
    bool chosen;             /* there will be another start */
    bool over;               /* the time is up */
    bool given_up;           /* somebody wants it no more */
    int dir_fd, listen_fd;   /* borrowed */
    void (*changed)(void *ctx);
    void *ctx;
};

/* At the container's end: whether it will be started again; says so in the record. */
bool backoff_choose(struct backoff *b, struct monitor_exit *record);
/* Waits in the loop; changed() is called when it is over or given up. */
fallible backoff_begin(struct backoff *b, struct loop *loop);
/* The same without a loop. */
void backoff_sleep(struct backoff *b);

#endif
