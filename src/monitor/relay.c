// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/relay.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum { NEVER_BLOCKS = 4096 }; /* PIPE_BUF: a pipe that polls as writable has room for one page */

void relay_input_init(struct relay_input *in, char *buffer)
{
    *in = (struct relay_input){ .fd = -1, .buffer = buffer };
}

void relay_input_open(struct relay_input *in, int take_fd_)
{
    own_drop_fd(&in->fd);
    in->fd = take_fd_;
    in->terminal = isatty(take_fd_) == 1;
}

void relay_input_close(struct relay_input *in)
{
    own_drop_fd(&in->fd);
}

bool relay_input_active(const struct relay_input *in)
{
    return in->fd >= 0;
}

void relay_input_poll(const struct relay_input *in, struct pollfd *from, struct pollfd *to)
{
    bool full = in->at < in->n;
    *from = (struct pollfd){ .fd = in->fd >= 0 && !full && !in->ended ? STDIN_FILENO : -1, .events = POLLIN };
    /* A reader that is gone shows as POLLERR, whether or not there is something to write. */
    *to = (struct pollfd){ .fd = full || !in->terminal ? in->fd : -1, .events = full ? POLLOUT : 0 };
}

static void fill(struct relay_input *in, bool *ret_detached)
{
    char typed[4096];
    ssize_t n;
    in->at = in->n = 0;
    if (!in->keys.n) {
        n = read(STDIN_FILENO, in->buffer, RELAY_READ);
        in->n = n > 0 ? (size_t)n : 0;
    } else {
        n = read(STDIN_FILENO, typed, sizeof typed);
        if (n > 0)
            *ret_detached = keys_filter(&in->keys, typed, (size_t)n, in->buffer, &in->n);
    }
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        in->ended = true;
}

static void empty(struct relay_input *in)
{
    ssize_t n = write(in->fd, in->buffer + in->at, in->n - in->at);
    if (n > 0)
        in->at += (size_t)n;
    else if (n == 0 || (errno != EAGAIN && errno != EINTR))
        relay_input_close(in); /* the program has closed its input */
}

void relay_input_move(struct relay_input *in, short from_events, short to_events, bool *ret_detached)
{
    if (from_events)
        fill(in, ret_detached);
    if (in->fd >= 0 && in->at < in->n && (from_events || to_events))
        empty(in);
    else if (in->fd >= 0 && to_events & (POLLERR | POLLNVAL))
        relay_input_close(in);
    if (in->ended && in->at == in->n)
        relay_input_close(in);
}

fallible relay_write_all(int fd, const char *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t r = write(fd, bytes + at, n - at);
        if (r >= 0) {
            at += (size_t)r;
        } else if (errno == EAGAIN) { /* somebody made our stdout non-blocking */
            struct pollfd p = { .fd = fd, .events = POLLOUT };
            (void)poll(&p, 1, -1);
        } else if (errno != EINTR) {
            return err_sys(errno, "write to standard %s", fd == STDERR_FILENO ? "error" : "output");
        }
    }
    return NULL;
}

fallible relay_write_some(int fd, const char *bytes, size_t *at, size_t n)
{
    size_t piece = n - *at < NEVER_BLOCKS ? n - *at : NEVER_BLOCKS;
    ssize_t r = write(fd, bytes + *at, piece);
    if (r >= 0)
        *at += (size_t)r;
    else if (errno != EAGAIN && errno != EINTR)
        return err_sys(errno, "write to standard %s", fd == STDERR_FILENO ? "error" : "output");
    return NULL;
}
