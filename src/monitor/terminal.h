/*
 * terminal.h: what a client changes about its own process while it is attached: the terminal goes raw, signals are
 * caught. Everything is put back by terminal_end(), and by the signals that end or stop the process.
 *
 * All of it happens in the signal handlers, which only call send(2), ioctl(2), tcsetattr(3) and pidfd_send_signal(2):
 * a client that is blocked on its output still passes signals and sizes on.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_TERMINAL_H
#define HUSK_MONITOR_TERMINAL_H

#include "base/err.h"

struct terminal {
    int sock;        /* signals and sizes go here as frames; -1: */
    int master_fd;   /* sizes go here; -1: none */
    int pidfd;       /* and signals here; -1: none */
    bool raw, sizes; /* our terminal goes raw; its size is passed on */
    bool sig_proxy;
};
/* One at a time in a process. */
fallible terminal_begin(const struct terminal *t);
void terminal_end(void);

#endif
