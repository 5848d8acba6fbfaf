/*
 * relay.h: our standard input -> a descriptor that does not block, and output in pieces: the moving parts of attach.c
 * and console.c.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_RELAY_H
#define HUSK_MONITOR_RELAY_H

#include <poll.h>

#include "base/err.h"
#include "monitor/keys.h"

enum { RELAY_READ = 65536, RELAY_BUFFER = RELAY_READ + KEYS_MAX };

struct relay_input {
    int fd;        /* where it goes; -1: nowhere (yet, or any more) */
    bool terminal; /* it is one: a hangup there may pass */
    char *buffer;
    size_t at, n;
    bool ended; /* ours has ended; what is left in the buffer still goes */
    struct keys keys;
};
void relay_input_init(struct relay_input *in, char *buffer);
void relay_input_open(struct relay_input *in, int take_fd_);
void relay_input_close(struct relay_input *in);
bool relay_input_active(const struct relay_input *in);
/* What to wait for, and what to do after: at the end of our input the descriptor is closed. */
void relay_input_poll(const struct relay_input *in, struct pollfd *from, struct pollfd *to);
void relay_input_move(struct relay_input *in, short from_events, short to_events, bool *ret_detached);

fallible relay_write_all(int fd, const char *bytes, size_t n);
/* After POLLOUT: as much as certainly does not block. */
fallible relay_write_some(int fd, const char *bytes, size_t *at, size_t n);

#endif
