// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/pack.h"

#include <signal.h>
#include <unistd.h>

#include "base/own.h"
#include "monitor/child.h"
#include "os/proc.h"

/* The program is found before the fork: what fails is tried again with the next rotation, and the files stay. */
void pack_when_rotated(struct pack *p, const struct logfile *f)
{
    own_mem char *program = NULL;
    if (!f->packs || p->pid || p->seen == f->rotations)
        return;
    p->seen = f->rotations;
    err *e = self_find_program("husk-pack", &program);
    if (e) {
        err_ignore(e, "the files stay as they are");
        return;
    }
    pid_t pid = fork();
    if (pid == 0) {
        sigset_t none;
        char *argv[] = { program, (char *)(uintptr_t)p->plan->dir, (char *)(uintptr_t)(f->max_files > 2 ? "2" : "1"),
                         NULL };
        child_set_signals(SIG_DFL);
        sigemptyset(&none);
        (void)sigprocmask(SIG_SETMASK, &none, NULL);
        (void)execve(program, argv, environ);
        _exit(1);
    }
    p->pid = pid > 0 ? pid : 0;
}

void pack_reaped(struct pack *p, const struct logfile *f, pid_t pid)
{
    if (!p->pid || pid != p->pid)
        return;
    p->pid = 0;
    pack_when_rotated(p, f);
}
