// SPDX-License-Identifier: GPL-2.0-or-later
/* One rule after the other; the first that fits says the headline. The surer rules come first. */
#include <linux/audit.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/chain.h"
#include "engine/why_parts.h"

#define SECOND_NS 1000000000ll

static const char *bytes(int64_t n, char buf[32])
{
    if (n >= 1 << 20)
        (void)snprintf(buf, 32, n % (1 << 20) ? "%.1f MiB" : "%.0f MiB", (double)n / (1 << 20));
    else
        (void)snprintf(buf, 32, "%lld bytes", (long long)n);
    return buf;
}

/* Twice as much, as a word for --memory. */
static char *twice(int64_t n)
{
    return mem_printf("%lldm", (long long)((n * 2 + (1 << 20) - 1) >> 20));
}

/* ---- who sent it ---- */

static const char *verb_text(const struct container_sender *s)
{
    return str_eq(s->verb, "healthcheck") ? "its health check's action" : NULL;
}

static bool sent_by_husk(const struct evidence *e)
{
    return e->sender && e->record &&
           (e->record->signal == e->sender->signal || e->record->exit_code == 128 + e->sender->signal ||
            e->record->exit_code == 128 + e->sender->first_signal);
}

static void sender_fact(const struct evidence *e, struct why *w)
{
    const struct container_sender *s = e->sender;
    if (!s)
        return;
    why_fact(w, "signal from", "husk %s (pid %lld, uid %lld%s%s)", s->verb, (long long)s->pid, (long long)s->uid,
             s->caller ? ", called by " : "", s->caller ? s->caller : "");
}

/* ---- the rules ---- */

static bool rule_unseen(const struct evidence *e, struct why *w)
{
    if (e->record && !(e->record->error && e->record->exit_code == 255) && e->record->finished_ns)
        return false;
    why_headline(w, "%s ended and nobody saw how: its monitor was killed, or the machine went down", e->name);
    strv_add(&w->unknown, "the exit code and the signal: the kernel tells them only to the parent, which was gone");
    strv_add_printf(&w->cures,
                    "husk start %s    starts it again; with --restart always and husk autostart install it "
                    "comes back by itself",
                    e->name);
    return true;
}

static bool rule_restart_failed(const struct evidence *e, struct why *w)
{
    if (!e->record || !e->record->error || e->record->started_ns)
        return false;
    why_fact(w, "the reason", "%s", e->record->error);
    if (!why_program(e, e->record->exit_code, w))
        why_headline(w, "%s could not be started again", e->name);
    return true;
}

static bool rule_timeout(const struct evidence *e, struct why *w)
{
    if (!e->record->timed_out)
        return false;
    why_headline(w, "%s was killed: it ran longer than its --timeout of %lld second%s", e->name,
                 (long long)e->config->timeout_s, e->config->timeout_s == 1 ? "" : "s");
    strv_add_printf(&w->cures, "husk run --timeout %lld ...    gives it more time; 0 any",
                    (long long)e->config->timeout_s * 2);
    return true;
}

static bool rule_oom(const struct evidence *e, struct why *w)
{
    const struct monitor_exit *x = e->record;
    const struct kernel_entry *k = why_kernel(e, KERNEL_OOM, WHY_ANY_PROCESS);
    bool fatal = x->signal == SIGKILL || x->exit_code == 137;
    char limit[32], peak[32];
    if (!x->oom_killed)
        return false;
    if (k)
        why_fact(w, "killed process", "'%s' (pid %lld)%s, by the kernel", k->task, (long long)k->pid,
                 k->pid == x->pid ? ", its first" : "");
    if (x->memory_peak)
        why_fact(w, "memory at its most", "%s%s%s", bytes(x->memory_peak, peak), x->memory_limit ? " of " : "",
                 x->memory_limit ? bytes(x->memory_limit, limit) : "");
    if (!fatal && !sent_by_husk(e) && x->exit_code == 0)
        return false;
    if (x->oom_limited && x->memory_limit) {
        own_mem char *more = twice(x->memory_limit);
        why_headline(w, "%s %s: it needed more memory than its limit of %s", e->name,
                     fatal ? "was killed" : "ended after one of its processes was killed",
                     bytes(x->memory_limit, limit));
        strv_add_printf(&w->cures, "husk update --memory %s --memory-swap %s %s    and start it again", more, more,
                        e->name);
        strv_add_printf(&w->cures, "husk stats %s    shows what it needs", e->name);
        return true;
    }
    why_headline(w,
                 "%s was killed: the machine, or a group above the container, ran out of memory; its own limit was not "
                 "reached",
                 e->name);
    strv_add(&w->cures, "husk run --oom-score-adj -500 ...    makes the kernel choose others first (root)");
    return true;
}

static bool rule_stopped(const struct evidence *e, struct why *w)
{
    const struct container_sender *s = e->sender;
    if (!sent_by_husk(e))
        return false;
    const char *whose = verb_text(s);
    if (s->first_signal && e->record->signal == SIGKILL) {
        why_headline(w, "%s was killed by husk %s: it did not end within %lld second%s of %s", e->name, s->verb,
                     (long long)s->waited_s, s->waited_s == 1 ? "" : "s", signal_name((int)s->first_signal));
        if (!e->config->init)
            strv_add_printf(&w->cures, "husk run --init ...    when the program, as PID 1, does not hear %s",
                            signal_name((int)s->first_signal));
        strv_add_printf(&w->cures,
                        "husk run --stop-signal SIGNAL ...    when it listens to another; husk stop -t %lld %s    "
                        "waits longer",
                        (long long)(s->waited_s ? s->waited_s * 3 : 30), e->name);
    } else if (whose) {
        why_headline(w, "%s was ended by %s with %s", e->name, whose, signal_name((int)s->signal));
        strv_add_printf(&w->cures, "husk run --on-unhealthy none ...    only says so");
    } else {
        why_headline(w, "%s was ended by husk %s with %s%s", e->name, s->verb, signal_name((int)s->signal),
                     e->record->signal ? "" : ", and ended by itself on that");
        strv_add_printf(&w->cures, "husk start %s", e->name);
    }
    return true;
}

static bool rule_seccomp(const struct evidence *e, struct why *w)
{
    const struct kernel_entry *k = why_kernel(e, KERNEL_SECCOMP, WHY_FIRST_PROCESS);
    if (e->record->signal != SIGSYS && e->record->exit_code != 128 + SIGSYS)
        return false;
    own_mem char *call = k ? why_call_name(k) : NULL;
    why_headline(w, "%s was killed by its seccomp filter: it called %s", e->name,
                 call ? call : "what the filter forbids");
    if (call)
        why_fact(w, "forbidden call", "%s, by '%s' (pid %lld)", call, k->task, (long long)k->pid);
    else if (e->kernel_denied)
        strv_add(&w->unknown,
                 "which system call: the kernel's log says it, and may not be read (kernel.dmesg_restrict)");
    else
        strv_add(&w->unknown, "which system call: the kernel's log has no line about it (any more)");
    strv_add_printf(&w->cures, "husk run --security-opt seccomp=FILE ...    with a profile that allows %s",
                    call ? call : "the call");
    strv_add(&w->cures, "husk run --security-opt seccomp=unconfined ...    shows whether that is all");
    return true;
}

static bool rule_fault(const struct evidence *e, struct why *w)
{
    static const int faults[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT, SIGTRAP };
    const struct kernel_entry *k = why_kernel(e, KERNEL_FAULT, WHY_FIRST_PROCESS);
    int64_t code = e->record->exit_code;
    for (size_t i = 0; i < ARRAY_SIZE(faults); i++) {
        if (e->record->signal != faults[i] && code != 128 + faults[i])
            continue;
        why_headline(w, "%s crashed: %s%s", e->name, signal_name(faults[i]),
                     faults[i] == SIGABRT  ? ", it gave up by itself (abort, a failed assertion)"
                     : faults[i] == SIGBUS ? ", memory that could not be had: a truncated file, or a full /dev/shm"
                     : faults[i] == SIGILL ? ", an instruction that this processor lacks"
                                           : "");
        if (k)
            why_fact(w, "the kernel says", "%s[%lld]: %s", k->task, (long long)k->pid, k->what);
        if (faults[i] == SIGBUS)
            strv_add(&w->cures,
                     "husk run --shm-size 256m ...    when it keeps shared memory in /dev/shm (64m by default)");
        if (faults[i] == SIGILL)
            strv_add(&w->cures, "an image for this machine's processor: husk run --platform ...");
        strv_add(&w->cures,
                 "husk run --ulimit core=-1 -v DIR:DIR ...    keeps a core dump, where kernel.core_pattern is a file");
        return true;
    }
    return false;
}

static bool rule_pids(const struct evidence *e, struct why *w)
{
    const struct monitor_exit *x = e->record;
    if (!x->pids_refused)
        return false;
    why_headline(w, "%s ended with exit code %lld after it could not make processes or threads: its limit is %lld",
                 e->name, (long long)x->exit_code, (long long)x->pids_limit);
    why_fact(w, "refused forks", "%lld", (long long)x->pids_refused);
    strv_add_printf(&w->cures, "husk update --pids-limit %lld %s    and start it again", (long long)x->pids_limit * 2,
                    e->name);
    return true;
}

static bool rule_signal(const struct evidence *e, struct why *w)
{
    int64_t signal = e->record->signal;
    if (!signal)
        return false;
    why_headline(w, "%s was killed by %s, which husk did not send", e->name, signal_name((int)signal));
    strv_add(&w->unknown,
             "who sent it: the kernel tells a parent the signal, never its sender. It came from outside (root, "
             "the same user, the machine's shutdown) or from a process within");
    if (signal == SIGKILL && !e->record->cgroup_gone)
        strv_add(&w->unknown, "whether memory ran out: it had no control group that counts");
    strv_add_printf(&w->cures, "husk start %s; with --restart always it is started again by itself", e->name);
    return true;
}

static bool rule_chain(const struct evidence *e, struct why *w)
{
    const char *helper = chain_helper(e->config, e->record->task);
    if (!helper)
        return false;
    why_headline(w,
                 "%s ended before its program ran: '%s' of its --init-chain ended with exit code %lld and did not run "
                 "the next",
                 e->name, helper, (long long)e->record->exit_code);
    strv_add_printf(&w->cures, "husk logs %s    has all that it said", e->name);
    return true;
}

static bool rule_code(const struct evidence *e, struct why *w)
{
    static const struct {
        int code;
        const char *means;
    } codes[] = {
        { 126, "as shells say that a command is there but cannot be run" },
        { 127, "as shells say that a command was not found" },
        { 130, "as shells say that SIGINT ended a command" },
        { 137, "as shells say that SIGKILL ended a command of theirs: one below the first process was killed" },
        { 139, "as shells say that a command of theirs crashed (SIGSEGV)" },
        { 143, "as shells say that SIGTERM ended a command; or it ended itself on SIGTERM" },
    };
    int64_t code = e->record->exit_code;
    const char *means = NULL;
    if (code == 0) {
        why_headline(w, "%s ended by itself, and well: exit code 0", e->name);
        if (e->record->finished_ns - e->record->started_ns < 2 * SECOND_NS && !e->config->stdin_open && e->config->tty)
            strv_add(&w->likely, "a shell without input ends at once: -it gives it a terminal to read from");
        strv_add_printf(&w->cures, "husk start %s    runs it again; --restart always keeps doing so", e->name);
        return true;
    }
    for (size_t i = 0; i < ARRAY_SIZE(codes); i++)
        if (codes[i].code == code)
            means = codes[i].means;
    why_headline(w, "%s ended by itself with exit code %lld%s%s", e->name, (long long)code, means ? ", " : "",
                 means ? means : "");
    strv_add_printf(&w->cures, "husk logs %s    has all that it said", e->name);
    return true;
}

static void facts(const struct evidence *e, struct why *w)
{
    const struct monitor_exit *x = e->record;
    char words[64], ago[64];
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (!x)
        return;
    int64_t ran = x->started_ns ? (x->finished_ns - x->started_ns) / SECOND_NS : 0;
    int64_t past = now.tv_sec - x->finished_ns / SECOND_NS;
    if (x->signal)
        why_fact(w, "exit code", "%lld: signal %lld, %s", (long long)x->exit_code, (long long)x->signal,
                 signal_name((int)x->signal));
    else
        why_fact(w, "exit code", "%lld", (long long)x->exit_code);
    if (x->finished_ns && x->started_ns)
        why_fact(w, "when", "%s ago, after %s", why_duration(past, ago), why_duration(ran, words));
    int64_t restarts = container_restarts(e->c);
    if (restarts && e->config->restart && e->state.status == CONTAINER_EXITED)
        why_fact(w, "restarts", "%lld, by its policy (%s)", (long long)restarts, e->config->restart);
    sender_fact(e, w);
    for (size_t i = 0; i < e->kernel_n; i++)
        if (e->kernel[i].kind == KERNEL_APPARMOR || e->kernel[i].kind == KERNEL_SELINUX)
            why_fact(w, "refused", "'%s' by %s, to '%s'", e->kernel[i].what,
                     e->kernel[i].kind == KERNEL_APPARMOR ? "AppArmor" : "SELinux", e->kernel[i].task);
    if (x->log_dropped)
        why_fact(w, "log", "%lld lines are missing: its disk was full", (long long)x->log_dropped);
}

void why_ended(const struct evidence *e, struct why *w)
{
    static bool (*const rules[])(const struct evidence *, struct why *) = {
        rule_unseen, rule_restart_failed, rule_timeout, rule_oom,   rule_stopped, rule_seccomp,
        rule_fault,  rule_pids,           rule_signal,  rule_chain, rule_code,
    };
    facts(e, w);
    for (size_t i = 0; i < ARRAY_SIZE(rules) && !w->headline; i++)
        (void)rules[i](e, w);
    if (e->record && e->record->exit_code != 0)
        why_lines(e, w);
    if (e->lines.n && e->record && e->record->exit_code != 0)
        why_fact(w, "its last line", "%s", e->lines.items[e->lines.n - 1]);
}
