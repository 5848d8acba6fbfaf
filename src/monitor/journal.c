// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/journal.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "base/own.h"

enum { PATIENCE_MS = 1000 };

void journal_open(struct journal *j, const char *socket, const char *fields, int64_t buffer)
{
    *j = (struct journal){ .socket = socket, .fields = fields ? fields : "", .fd = -1 };
    if (!socket || buffer <= 0)
        return;
    void *at = mmap(NULL, (size_t)buffer, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (at == MAP_FAILED)
        return; /* as without: the program may wait */
    j->buffer = at;
    j->room = (size_t)buffer;
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

/* The first of two tries finds out that the journal was restarted. ret_full: it takes no more now. */
static bool send_entry(struct journal *j, const struct msghdr *msg, int patience_ms, bool *ret_full)
{
    *ret_full = false;
    for (int i = 0; i < 2; i++) {
        if (!connect_to(j))
            return false;
        ssize_t n = sendmsg(j->fd, msg, MSG_NOSIGNAL);
        if (n < 0 && (errno == EAGAIN || errno == ENOBUFS)) {
            struct pollfd p = { .fd = j->fd, .events = POLLOUT };
            *ret_full = poll(&p, 1, patience_ms) <= 0;
            if (*ret_full)
                return false;
            n = sendmsg(j->fd, msg, MSG_NOSIGNAL);
        }
        if (n >= 0)
            return true;
        own_drop_fd(&j->fd);
    }
    return false;
}

/* The oldest that waits; its length stands before it. */
static bool send_waiting(struct journal *j, int patience_ms, bool *ret_full)
{
    uint32_t n;
    memcpy(&n, j->buffer + j->at, sizeof n);
    struct iovec iov = { j->buffer + j->at + sizeof n, n };
    struct msghdr msg = { .msg_iov = &iov, .msg_iovlen = 1 };
    bool sent = send_entry(j, &msg, patience_ms, ret_full);
    if (sent || !*ret_full) {
        j->dropped += !sent;
        j->at += sizeof n + n;
    }
    return sent || !*ret_full;
}

static void empty(struct journal *j)
{
    j->at = j->used = 0;
    (void)madvise(j->buffer, j->room, MADV_DONTNEED);
}

bool journal_retry(struct journal *j)
{
    bool full = false;
    while (j->at < j->used && send_waiting(j, 0, &full))
        ;
    if (j->used && j->at == j->used)
        empty(j);
    return j->used > 0;
}

void journal_end(struct journal *j)
{
    bool full = false;
    while (j->at < j->used && send_waiting(j, PATIENCE_MS, &full))
        ;
    for (uint32_t n; j->at < j->used; j->at += sizeof n + n, j->dropped++)
        memcpy(&n, j->buffer + j->at, sizeof n);
}

static bool keep(struct journal *j, const struct msghdr *msg)
{
    size_t n = 0;
    for (size_t i = 0; i < msg->msg_iovlen; i++)
        n += msg->msg_iov[i].iov_len;
    if (j->at && j->room - j->used < sizeof(uint32_t) + n) {
        memmove(j->buffer, j->buffer + j->at, j->used - j->at);
        j->used -= j->at;
        j->at = 0;
    }
    if (!j->buffer || j->room - j->used < sizeof(uint32_t) + n)
        return false;
    uint32_t length = (uint32_t)n;
    memcpy(j->buffer + j->used, &length, sizeof length);
    j->used += sizeof length;
    for (size_t i = 0; i < msg->msg_iovlen; i++) {
        memcpy(j->buffer + j->used, msg->msg_iov[i].iov_base, msg->msg_iov[i].iov_len);
        j->used += msg->msg_iov[i].iov_len;
    }
    return true;
}

static bool send_or_keep(struct journal *j, const struct msghdr *msg)
{
    bool full = false;
    if (!j->buffer)
        return send_entry(j, msg, PATIENCE_MS, &full);
    if (journal_retry(j)) /* in their order */
        return keep(j, msg);
    return send_entry(j, msg, 0, &full) || (full && keep(j, msg));
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
    if (!send_or_keep(j, &msg))
        j->dropped++;
}
