// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/child.h"

#include <signal.h>
#include <unistd.h>

#include "base/mem.h"

void child_set_signals(void (*how)(int))
{
    static const int deaf[] = { SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2,   SIGALRM,
                                SIGPIPE, SIGTSTP, SIGTTIN, SIGTTOU, SIGXFSZ, SIGVTALRM, SIGPROF };
    for (size_t i = 0; i < ARRAY_SIZE(deaf); i++)
        (void)signal(deaf[i], how);
}

_Noreturn void child_become_husk(const struct monitor_plan *plan, const char *word)
{
    sigset_t none;
    char *argv[] = { (char *)(uintptr_t)plan->husk, (char *)(uintptr_t)word, (char *)(uintptr_t)plan->id, NULL };
    child_set_signals(SIG_DFL);
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)execve(plan->husk, argv, environ);
    _exit(1);
}
