// SPDX-License-Identifier: GPL-2.0-or-later
#include "init/pid1.h"

#include <asm/ioctls.h>
#include <errno.h>
#include <linux/prctl.h>
#include <signal.h>
#include <sys/wait.h>

#include "init/speak.h"

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
    if (sys(__NR_ioctl, 0, TIOCSPGRP, &group) < 0)
        speak(p, SPEAK_DEBUG, "standard input is no terminal of ours: nothing to put in the foreground", NULL, -1,
              NULL);
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
    if (WIFSIGNALED(status))
        speak_signal(p, SPEAK_INFO, "the program was ended by ", WTERMSIG(status));
    else
        speak(p, SPEAK_INFO, "the program ended with status ", NULL, code, NULL);
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
        if (pid <= 0) {
            speak(p, SPEAK_TRACE, pid ? "no child to wait for" : "no child to reap", NULL, -1, NULL);
            return;
        }
        speak(p, SPEAK_DEBUG, "reaped process ", NULL, pid, NULL);
        if (pid == program)
            leave(exit_status(p, status)); /* the kernel ends what is left in the pid namespace */
        if (p->warn_reap)
            speak(p, SPEAK_WARN, "reaped zombie process with pid=", NULL, pid, NULL);
    }
}

/* A program that has made another group its own, or has not come to lead one yet, is not to miss its signal. */
static void pass_on(const struct pid1 *p, long program, long sig)
{
    speak_signal(p, SPEAK_DEBUG, "passing on ", sig);
    long ret = p->whole_group ? sys(__NR_kill, -program, sig) : -ESRCH;
    if (ret == -ESRCH)
        ret = sys(__NR_kill, program, sig);
    if (ret == -EPERM)
        speak_signal(p, SPEAK_WARN, "the program is another user's: it did not get ", sig);
}

static _Noreturn void serve(const struct pid1 *p, long program)
{
    uint64_t waited = ~(OWN_FAULTS | TERMINAL_STOPS);
    for (;;) {
        reap(p, program);
        long sig = sys(__NR_rt_sigtimedwait, &waited, 0, 0, sizeof waited);
        if (sig == SIGCHLD)
            speak(p, SPEAK_DEBUG, "a child ended", NULL, -1, NULL);
        if (sig <= 0 || sig == SIGCHLD)
            continue;
        if (p->pause && (sig == SIGTERM || sig == SIGINT))
            leave(0);
        if (program > 0)
            pass_on(p, program, sig);
    }
}

static void let_go_of_things(void)
{
    (void)sys(__NR_close_range, 3, 0x7fffffff, 0);
    (void)sys(__NR_chdir, "/"); /* or it would keep a mount busy */
}

void pid1_variables(struct pid1 *p, char *const *envp)
{
    static const char level[] = "TINI_VERBOSITY=";
    for (; *envp; envp++) {
        long n = text_starts(*envp, level) ? text_number(*envp + sizeof level - 1) : -1;
        if (n >= 0)
            p->verbosity = (int)n;
        p->whole_group |= text_starts(*envp, "TINI_KILL_PROCESS_GROUP=");
    }
}

static void become_reaper(const struct pid1 *p)
{
    if (sys(__NR_getpid) == 1)
        return;
    if (sys(__NR_prctl, PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) == 0)
        speak(p, SPEAK_TRACE, "registered as a subreaper", NULL, -1, NULL);
    else
        speak(p, SPEAK_WARN, "neither PID 1 nor a subreaper, which the kernel refuses: orphans are not reaped", NULL,
              -1, NULL);
}

_Noreturn void pid1_run(struct pid1 *p)
{
    struct signals before;
    if (p->parent_death_signal)
        (void)sys(__NR_prctl, PR_SET_PDEATHSIG, p->parent_death_signal, 0, 0, 0);
    take_signals(&before); /* before a word is said: a closed pipe or a terminal's TTOU would end or stop us */
    become_reaper(p);
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
    if (program > 0) {
        speak(p, SPEAK_INFO, "started ", p->name, -1, NULL);
        speak(p, SPEAK_INFO, "the program is process ", NULL, program, NULL);
    }
    let_go_of_things();
    serve(p, program);
}
