// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/journal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/own.h"

enum { PATIENCE_MS = 1000 };

void journal_open(struct journal *j, const char *socket, const char *fields)
{
    *j = (struct journal){ .socket = socket, .fields = fields ? fields : "", .fd = -1 };
}

static bool connect_to(struct journal *j)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    size_t n = strlen(j->socket);
    if (j->fd >= 0)
        return true;
    if (n >= sizeof address.sun_path)
        return false;
    memcpy(address.sun_path, j->socket, n);
    j->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (j->fd < 0)
        return false;
    if (connect(j->fd, (struct sockaddr *)&address, sizeof address) == 0)
        return true;
    own_drop_fd(&j->fd);
    return false;
}

/* The first of two tries finds out that the journal was restarted. */
static bool send_entry(struct journal *j, const struct msghdr *msg)
{
    for (int i = 0; i < 2; i++) {
        if (!connect_to(j))
            return false;
        ssize_t n = sendmsg(j->fd, msg, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
            struct pollfd p = { .fd = j->fd, .events = POLLOUT };
            if (poll(&p, 1, PATIENCE_MS) <= 0)
                return false;
            n = sendmsg(j->fd, msg, MSG_NOSIGNAL);
        }
        if (n >= 0)
            return true;
        own_drop_fd(&j->fd);
    }
    return false;
}

/* A line has no newline in it, so the short form of a field fits any text. */
void journal_add(struct journal *j, const char *text, size_t n, bool ended, enum line_stream stream)
{
    static const char out[] = "PRIORITY=6\nMESSAGE=", err_[] = "PRIORITY=3\nMESSAGE=";
    static const char partial[] = "CONTAINER_PARTIAL_MESSAGE=true\n";
    const char *head = stream == LINE_STDOUT ? out : err_;
    bool part = !ended || j->in_piece;
    j->in_piece = !ended;
    if (!n && ended && part)
        return; /* the end of a line whose parts are all there */
    struct iovec iov[] = {
        { (void *)(uintptr_t)j->fields, strlen(j->fields) },
        { (void *)(uintptr_t)partial, part && !ended ? sizeof partial - 1 : 0 },
        { (void *)(uintptr_t)head, strlen(head) },
        { (void *)(uintptr_t)text, n },
        { (void *)(uintptr_t) "\n", 1 },
    };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = sizeof iov / sizeof iov[0] };
    if (!send_entry(j, &msg))
        j->dropped++;
}
