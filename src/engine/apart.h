/*
 * apart.h: the same work on several containers at the same time, each in a process of its own.
 *
 * What waits (a stop signal's ten seconds) then waits once for all of them. A process and not a thread, for a container
 * is found, locked and settled through one database connection that its process has for itself.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_APART_H
#define HUSK_ENGINE_APART_H

#include <sys/types.h>

#include "engine/container.h"

typedef err *apart_fn(struct container *c, const void *ctx);

struct apart {
    pid_t pid;  /* 0: nothing was begun */
    int answer; /* where its error comes from */
};

/* A child finds the container and does it; it prints nothing. The work goes on when the caller is killed. */
fallible apart_begin(const char *name, apart_fn *fn, const void *ctx, struct apart *ret);
/* Until it is done. The child's error, or one of our own when it was killed. Nothing begun is no error. */
fallible apart_end(struct apart *a);

#endif
