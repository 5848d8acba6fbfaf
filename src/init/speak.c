// SPDX-License-Identifier: GPL-2.0-or-later
#include "init/speak.h"

#include <errno.h>
#include <signal.h>

static const char names[][8] = {
    [SIGHUP] = "HUP",       [SIGINT] = "INT",     [SIGQUIT] = "QUIT", [SIGILL] = "ILL",   [SIGTRAP] = "TRAP",
    [SIGABRT] = "ABRT",     [SIGBUS] = "BUS",     [SIGFPE] = "FPE",   [SIGKILL] = "KILL", [SIGUSR1] = "USR1",
    [SIGSEGV] = "SEGV",     [SIGUSR2] = "USR2",   [SIGPIPE] = "PIPE", [SIGALRM] = "ALRM", [SIGTERM] = "TERM",
    [SIGCHLD] = "CHLD",     [SIGCONT] = "CONT",   [SIGSTOP] = "STOP", [SIGTSTP] = "TSTP", [SIGTTIN] = "TTIN",
    [SIGTTOU] = "TTOU",     [SIGURG] = "URG",     [SIGXCPU] = "XCPU", [SIGXFSZ] = "XFSZ", [SIGVTALRM] = "VTALRM",
    [SIGPROF] = "PROF",     [SIGWINCH] = "WINCH", [SIGIO] = "IO",     [SIGPWR] = "PWR",   [SIGSYS] = "SYS",
    [SIGSTKFLT] = "STKFLT",
};
enum { NAMES = sizeof names / sizeof names[0] };

static char upper(char c)
{
    return c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
}

static bool same_word(const char *a, const char *b)
{
    while (*a && upper(*a) == *b)
        a++, b++;
    return !*a && !*b;
}

static bool has_sig(const char *name)
{
    return upper(name[0]) == 'S' && upper(name[1]) == 'I' && upper(name[2]) == 'G';
}

long signal_parse(const char *name)
{
    long n = text_number(name);
    if (n >= 0)
        return n >= 1 && n <= SIGNALS ? n : -1;
    if (has_sig(name))
        name += 3;
    for (n = 1; n < NAMES; n++)
        if (names[n][0] && same_word(name, names[n]))
            return n;
    return -1;
}

/* A reader that has gone makes PIPE of a write, which is ours and not to be passed on. */
static void forget_own_pipe_signal(void)
{
    uint64_t pipe = SIGNAL_BIT(SIGPIPE);
    struct {
        int64_t s, ns;
    } at_once = { 0, 0 };
    (void)sys(__NR_rt_sigtimedwait, &pipe, 0, &at_once, sizeof pipe);
}

void speak(const struct pid1 *p, enum speak_level level, const char *before, const char *object, long number,
           const char *after)
{
    static const char heads[][8] = {
        [SPEAK_WARN] = "[WARN ", [SPEAK_INFO] = "[INFO ", [SPEAK_DEBUG] = "[DEBUG", [SPEAK_TRACE] = "[TRACE"
    };
    if (p->verbosity < (int)level)
        return;
    struct text t = { 0 };
    text_add(&t, heads[level]);
    text_add(&t, " husk-init (");
    text_add_number(&t, sys(__NR_getpid));
    text_add(&t, ")] ");
    text_add(&t, before);
    text_add(&t, object ? object : "");
    if (number >= 0)
        text_add_number(&t, number);
    text_add(&t, after ? after : "");
    t.n -= t.n == sizeof t.bytes; /* one that is cut ends its line all the same */
    text_add(&t, "\n");
    if (sys(__NR_write, level == SPEAK_WARN ? 2 : 1, t.bytes, t.n) == -EPIPE)
        forget_own_pipe_signal();
}

void speak_signal(const struct pid1 *p, enum speak_level level, const char *before, long signal)
{
    char name[sizeof "SIG" + sizeof names[0]] = "SIG";
    if (signal < NAMES && names[signal][0])
        memcpy(name + 3, names[signal], sizeof names[0]);
    else
        name[0] = '\0'; /* a real-time one */
    speak(p, level, before, name[0] ? name : NULL, name[0] ? -1 : signal, NULL);
}
