// SPDX-License-Identifier: GPL-2.0-or-later
#include "init/pid1.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <linux/prctl.h>
#include <signal.h>
#include <sys/wait.h>

/* Raised by the kernel for init's own faults: they must kill it, not be passed on. TTIN and TTOU would stop it:
 * ignored. */
#define OWN_FAULTS                                                                                                     \
    (SIGNAL_BIT(SIGFPE) | SIGNAL_BIT(SIGILL) | SIGNAL_BIT(SIGSEGV) | SIGNAL_BIT(SIGBUS) | SIGNAL_BIT(SIGABRT) |        \
     SIGNAL_BIT(SIGTRAP) | SIGNAL_BIT(SIGSYS))
#define TERMINAL_STOPS (SIGNAL_BIT(SIGTTIN) | SIGNAL_BIT(SIGTTOU))

static const int changed[] = { SIGCHLD, SIGTTIN, SIGTTOU };
enum { CHANGED = sizeof changed / sizeof changed[0] };

/* What the program gets back as it was. */
struct signals {
    uint64_t mask;
    struct kernel_sigaction actions[CHANGED];
};

static void take_signals(struct signals *ret_before)
{
    uint64_t mine = ~(OWN_FAULTS | TERMINAL_STOPS);
    struct kernel_sigaction ignore = { .handler = (void *)SIG_IGN }, dfl = { 0 };
    (void)sys(__NR_rt_sigprocmask, SIG_SETMASK, &mine, &ret_before->mask, sizeof mine);
    for (int i = 0; i < CHANGED; i++) /* an ignored SIGCHLD would leave nothing to wait for */
        (void)sys(__NR_rt_sigaction, changed[i], changed[i] == SIGCHLD ? &dfl : &ignore, &ret_before->actions[i],
                  sizeof mine);
}

static void give_signals_back(const struct signals *before)
{
    for (int i = 0; i < CHANGED; i++)
        (void)sys(__NR_rt_sigaction, changed[i], &before->actions[i], 0, sizeof before->mask);
    (void)sys(__NR_rt_sigprocmask, SIG_SETMASK, &before->mask, 0, sizeof before->mask);
}

/* Its own process group, in the terminal's foreground if there is one: ^C reaches the program and not init. */
static void child(struct pid1 *p, const struct signals *before)
{
    (void)sys(__NR_setpgid, 0, 0);
    int group = (int)sys(__NR_getpid);
    (void)sys(__NR_ioctl, 0, TIOCSPGRP, &group);
    give_signals_back(before);
    p->spawn(p->ctx);
    leave(127);
}

static long start(struct pid1 *p, const struct signals *before)
{
    /* not clone3: a filter cannot look into its struct, so most refuse it */
    long pid = sys(__NR_clone, SIGCHLD, 0, 0, 0, 0);
    if (pid == 0)
        child(p, before);
    return pid;
}

static int exit_status(const struct pid1 *p, int status)
{
    int code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
    return p->zero_statuses[code / 64] >> code % 64 & 1 ? 0 : code;
}

/* Signals coalesce: each SIGCHLD stands for any number of ended children. */
static void reap(const struct pid1 *p, long program)
{
    for (;;) {
        int status = 0;
        long pid = sys(__NR_wait4, -1, &status, WNOHANG, 0);
        if (pid == -EINTR)
            continue;
        if (pid <= 0)
            return;
        if (pid == program)
            leave(exit_status(p, status)); /* the kernel ends what is left in the pid namespace */
    }
}

static _Noreturn void serve(const struct pid1 *p, long program)
{
    uint64_t waited = ~(OWN_FAULTS | TERMINAL_STOPS);
    for (;;) {
        reap(p, program);
        long sig = sys(__NR_rt_sigtimedwait, &waited, 0, 0, sizeof waited);
        if (sig <= 0 || sig == SIGCHLD)
            continue;
        if (p->pause && (sig == SIGTERM || sig == SIGINT))
            leave(0);
        if (program > 0) /* ESRCH: it has just ended, and the next turn sees it */
            (void)sys(__NR_kill, p->whole_group ? -program : program, sig);
    }
}

static void let_go_of_things(void)
{
    (void)sys(__NR_close_range, 3, 0x7fffffff, 0);
    (void)sys(__NR_chdir, "/"); /* or it would keep a mount busy */
}

_Noreturn void pid1_run(struct pid1 *p)
{
    struct signals before;
    if (sys(__NR_getpid) != 1)
        (void)sys(__NR_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
    if (p->parent_death_signal)
        (void)sys(__NR_prctl, PR_SET_PDEATHSIG, p->parent_death_signal, 0, 0, 0);
    take_signals(&before);
    long program = p->pause ? 0 : start(p, &before);
    if (program < 0) {
        struct text t = { 0 };
        text_add(&t, "husk-init: start the program: ");
        text_add_errno(&t, (int)-program);
        text_add(&t, "\n");
        (void)sys(__NR_write, 2, t.bytes, t.n);
        leave(125);
    }
    if (p->spawned)
        p->spawned(p->ctx);
    let_go_of_things();
    serve(p, program);
}
