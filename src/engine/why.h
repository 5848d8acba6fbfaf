/*
 * why.h: why a container is as it is: why it ended, was killed, was refused something, was not started, or is unwell.
 *
 * What is known comes from the exit record (what the kernel told the monitor, what the limits did), from the note of
 * who of husk's sent the last signal, from the answers of its health check, and from the kernel's log where it can be
 * read. What is only likely comes from the program's last lines, and is said to be likely. What cannot be known is said
 * too: the kernel tells a parent the signal that killed its child, never who sent it, and a refused system call leaves
 * no trace unless a filter was told to log it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_WHY_H
#define HUSK_ENGINE_WHY_H

#include "engine/container.h"

struct why_fact {
    char *label, *text;
};
struct why {
    char *headline;         /* one sentence */
    struct why_fact *facts; /* what is known */
    size_t facts_n;
    struct strv likely;  /* what the program's last words suggest */
    struct strv unknown; /* what cannot be known, and the reason */
    struct strv cures;   /* commands and options that would change it */
};
void why_free(struct why *w);
OWN_TYPE(why, struct why *, why_free)

fallible container_why(struct container *c, struct why **ret);

#endif
