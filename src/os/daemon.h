/*
 * daemon.h: starting a program that outlives the command that starts it: the resolver, a user's network holder, pasta.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_DAEMON_H
#define HUSK_OS_DAEMON_H

#include <sys/types.h>

#include "base/err.h"

enum { DAEMON_FDS_MAX = 8 };

/* What the child does before its exec; an error is the start's. */
typedef err *daemon_prepare(void *ctx);
/**
 * daemon_start - run it in a session of its own, with /dev/null for stdio and no descriptor of ours but fds, which
 * become 3, 4 ... It is nobody's child but init's, or the next subreaper's. Returns when its exec has succeeded.
 * @argv: argv[0] is a path.
 * @prepare: NULL: nothing.
 */
fallible daemon_start(char *const *argv, const int *fds, size_t n, daemon_prepare *prepare, void *ctx, pid_t *ret_pid);

#endif
