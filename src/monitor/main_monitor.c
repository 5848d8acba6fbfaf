// SPDX-License-Identifier: GPL-2.0-or-later
/* husk-monitor: watches one container. Started by monitor_exec(), never by hand. */
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "monitor/child.h"
#include "monitor/watch.h"
#include "os/linux.h"

int main(int argc, char **argv)
{
    struct monitor_plan plan;
    int fds[PLAN_FDS];
    enum watch_end end = WATCH_ENDED;
    own(err) err *e = plan_read(argv + (argc > 0), &plan, fds);
    if (e) {
        fprintf(stderr, "%s\n", err_text(e));
        return 2;
    }
    /*
     * SIGTERM and friends come to a whole session or group ("kill 0", a terminal that hangs up), or from a user who
     * means the container and is to say "husk stop". A monitor that ended would lose the exit code; so none of them is
     * heard, and none is passed on: a container that is to end when the machine does gets its own.
     */
    child_set_signals(SIG_IGN);
    (void)close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    e = watch_run(&plan, fds, &end);
    if (end == WATCH_RESTART && plan.husk) {
        if (fds[PLAN_FD_LOCK] >= 0) /* until the next start it is held: the container is restarting */
            (void)fcntl(fds[PLAN_FD_LOCK], F_SETFD, 0);
        child_become_husk(&plan, "container-restart");
    }
    if (((plan.remove && end != WATCH_CLEANED) || plan.settle) && plan.husk)
        child_become_husk(&plan, "container-cleanup");
    return e ? 1 : 0;
}
