/*
 * sock.h: socket pairs and descriptors that travel over them. Source: unix(7), SCM_RIGHTS.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_SOCK_H
#define HUSK_OS_SOCK_H

#include <stddef.h>
#include <sys/types.h>

#include "base/err.h"

/* SOCK_SEQPACKET | SOCK_CLOEXEC */
fallible sock_pair(int ret_fds[2]);
/* One message with up to 16 descriptors. */
fallible sock_send(int sock, const void *bytes, size_t n, const int *fds, size_t fd_n);
/* One message; *ret_len 0 is end of file. fds beyond fd_max are closed. Received ones are close-on-exec. */
fallible sock_recv(int sock, void *bytes, size_t max, size_t *ret_len, int *ret_fds, size_t fd_max, size_t *ret_fd_n);
/* Listen on / connect to a path however long (through /proc/self/fd/N of its directory). mode: of the socket file.
 * SOCK_DGRAM is only bound. */
fallible sock_listen_at(int dir_fd, const char *name, int type, mode_t mode, int *ret_fd);
fallible sock_connect_at(int dir_fd, const char *name, int type, int *ret_fd);
/* Who connected is our user, or root. Source: unix(7), SO_PEERCRED. */
bool sock_peer_is_ours(int fd);

#endif
