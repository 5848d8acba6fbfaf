/*
 * ssh_socket.h: the socket that a step has of an agent: one of the step's own, with the mode and the owner that the
 * mount says, behind which a process passes on what is said. The agent's own socket is the user's alone to open, and an
 * agent answers nobody but its user, where the step may be another's.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_SSH_SOCKET_H
#define HUSK_BUILD_SSH_SOCKET_H

#include <sys/types.h>

#include "base/err.h"

/**
 * ssh_socket_open - "agent" in a directory, served until the calling process ends.
 * @dir: exists. @agent: the path of the agent's socket.
 */
fallible ssh_socket_open(const char *dir, const char *agent, mode_t mode, uid_t uid, gid_t gid);

#endif
