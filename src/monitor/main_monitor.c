// SPDX-License-Identifier: GPL-2.0-or-later
/* husk-monitor: watches one container. Started by monitor_exec(), never by hand. */
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "monitor/watch.h"
#include "os/linux.h"

/*
 * SIGTERM and friends come to a whole session or group ("kill 0", a terminal that hangs up), or from a user who means
 * the container and is to say "husk stop". A monitor that ended would lose the exit code; so none of them is heard, and
 * none is passed on: a container that is to end when the machine does gets its own.
 */
static void set_signals(void (*how)(int))
{
    static const int deaf[] = { SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2,   SIGALRM,
                                SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU, SIGXFSZ, SIGVTALRM, SIGPROF };
    for (size_t i = 0; i < ARRAY_SIZE(deaf); i++)
        (void)signal(deaf[i], how);
}

/* word: what husk is to do with the container. */
static int become_husk(const struct monitor_plan *plan, const char *word)
{
    sigset_t none;
    char *argv[] = { (char *)(uintptr_t)plan->husk, (char *)(uintptr_t)word, (char *)(uintptr_t)plan->id, NULL };
    set_signals(SIG_DFL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execve(plan->husk, argv, environ);
    return 1;
}

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
    set_signals(SIG_IGN);
    (void)close_range(3, ~0u, CLOSE_RANGE_CLOEXEC);
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    e = watch_run(&plan, fds, &end);
    if (end == WATCH_RESTART && plan.husk) {
        if (fds[PLAN_FD_LOCK] >= 0) /* until the next start it is held: the container is restarting */
            (void)fcntl(fds[PLAN_FD_LOCK], F_SETFD, 0);
        return become_husk(&plan, "container-restart");
    }
    if (plan.remove && end != WATCH_CLEANED && plan.husk)
        return become_husk(&plan, "container-cleanup");
    return e ? 1 : 0;
}
