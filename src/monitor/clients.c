// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/clients.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/mem.h"
#include "monitor/monitor.h"
#include "os/sock.h"

static uint64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void drop(struct client *client)
{
    loop_remove(client->source);
    own_drop_fd(&client->fd);
    client->source = NULL;
}

static bool lags(const struct client *client)
{
    return client->fd >= 0 && (client->next < client->all->frames_n || client->wants_input || client->wants_log);
}

/* ---- sending ---- */

enum sent { SENT, SENT_LATER, SENT_NEVER };

static enum sent send_frame(int fd, const struct client_frame *f, int pass_fd)
{
    char kind = f->kind;
    struct iovec iov[] = { { &kind, 1 }, { (void *)(uintptr_t)f->bytes, f->n } };
    union {
        char bytes[CMSG_SPACE(sizeof(int))];
        struct cmsghdr align;
    } control = { 0 };
    struct msghdr msg = { .msg_iov = iov, .msg_iovlen = f->n ? 2 : 1 };
    if (pass_fd >= 0) {
        msg.msg_control = control.bytes;
        msg.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&msg);
        *c = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int)) };
        memcpy(CMSG_DATA(c), &pass_fd, sizeof pass_fd);
    }
    if (sendmsg(fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
        return SENT;
    return errno == EAGAIN || errno == ENOBUFS || errno == EINTR ? SENT_LATER : SENT_NEVER;
}

static enum sent send_input(struct client *client)
{
    const struct client_owner *owner = &client->all->owner;
    enum sent sent =
        send_frame(client->fd, &(struct client_frame){ .kind = MONITOR_INPUT_FD }, owner->input(owner->ctx));
    if (sent == SENT) {
        client->wants_input = false;
        owner->input_given(owner->ctx);
    }
    return sent;
}

/* What has no bytes is not sent. */
static enum sent send_log(struct client *client)
{
    const struct client_owner *owner = &client->all->owner;
    struct client_frame f = owner->log(owner->ctx, client->wants_log);
    enum sent sent = f.n ? send_frame(client->fd, &f, -1) : SENT;
    client->wants_log -= sent == SENT;
    return sent;
}

static err *on_patience(void *ctx)
{
    struct clients *c = ctx;
    bool stuck = false, dropped = false;
    uint64_t now = now_ns();
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &c->client[i];
        if (client->fd < 0 || client->first || !client->stuck_ns)
            continue;
        if (now - client->stuck_ns >= CLIENTS_PATIENCE_NS) {
            drop(client);
            dropped = true;
        } else {
            stuck = true;
        }
    }
    if (stuck)
        TRY(loop_set_timer(c->timer, CLIENTS_PATIENCE_NS / 10));
    if (dropped)
        c->owner.moved(c->owner.ctx);
    return NULL;
}

/* An error here costs the client, never the container. */
static bool wait_for(struct client *client)
{
    struct clients *c = client->all;
    err *e = loop_set_events(client->source, EPOLLIN | EPOLLOUT);
    if (!e && !client->stuck_ns) {
        client->stuck_ns = now_ns();
        if (!client->first)
            e = c->timer ? loop_set_timer(c->timer, CLIENTS_PATIENCE_NS)
                         : loop_add_timer(c->loop, CLIENTS_PATIENCE_NS, on_patience, c, &c->timer);
    }
    if (!e)
        return true;
    err_ignore(e, "the client is dropped instead");
    return false;
}

static bool is_unwanted(const struct client *client, const struct client_frame *f)
{
    return (f->kind == MONITOR_STDOUT && client->no_stdout) || (f->kind == MONITOR_STDERR && client->no_stderr);
}

static void deliver(struct client *client)
{
    enum sent sent = SENT;
    while (sent == SENT && lags(client)) {
        if (client->wants_input) {
            sent = send_input(client);
        } else if (client->wants_log && client->next >= client->all->frames_n) {
            sent = send_log(client);
        } else {
            const struct client_frame *f = &client->all->frames[client->next];
            sent = is_unwanted(client, f) ? SENT : send_frame(client->fd, f, -1);
            client->next += sent == SENT;
        }
        if (sent == SENT)
            client->stuck_ns = 0;
    }
    if (sent == SENT_NEVER || (sent == SENT_LATER && !wait_for(client)))
        drop(client);
    else if (sent == SENT)
        err_ignore(loop_set_events(client->source, EPOLLIN), "it is woken for nothing");
}

static void deliver_all(struct clients *c)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (c->client[i].fd >= 0 && !c->client[i].stuck_ns)
            deliver(&c->client[i]);
}

/* ---- hearing ---- */

static void hear(struct client *client, const char *frame, size_t n)
{
    const struct client_owner *owner = &client->all->owner;
    uint16_t size[2];
    uint32_t signal = 0;
    switch ((enum monitor_frame)frame[0]) {
    case MONITOR_INPUT:
        client->wants_input = true;
        return;
    case MONITOR_RESIZE:
        if (n == 1 + sizeof size) {
            memcpy(size, frame + 1, sizeof size);
            owner->resize(owner->ctx, size[0], size[1]);
        }
        return;
    case MONITOR_SIGNAL:
        if (n == 1 + sizeof signal) {
            memcpy(&signal, frame + 1, sizeof signal);
            owner->signal(owner->ctx, (int)signal);
        }
        return;
    case MONITOR_WITHOUT:
        client->no_stdout = n == 2 && frame[1] & 1;
        client->no_stderr = n == 2 && frame[1] & 2;
        return;
    case MONITOR_LOG:
        client->wants_log = CLIENTS_LOG_STEPS;
        return;
    case MONITOR_CLEANED:
        owner->cleaned(owner->ctx);
        return;
    case MONITOR_RESTART: {
        own_mem char *policy = mem_strndup(frame + 1, n - 1);
        owner->restart(owner->ctx, policy);
        return;
    }
    case MONITOR_LEASES:
        owner->leases(owner->ctx);
        return;
    case MONITOR_STDOUT:
    case MONITOR_STDERR:
    case MONITOR_EXIT:
        return; /* ours to say */
    }
}

/* Everything that is there, so that words sent before a close are heard. */
static bool listen_to(struct client *client)
{
    char frame[64];
    for (;;) {
        ssize_t n = recv(client->fd, frame, sizeof frame, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return errno == EAGAIN;
        if (n == 0)
            return false;
        hear(client, frame, (size_t)n);
    }
}

static err *on_client(void *ctx, uint32_t events)
{
    struct client *client = ctx;
    struct clients *c = client->all;
    bool lagged = lags(client);
    if (events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !listen_to(client))
        drop(client);
    else if (events & EPOLLOUT || client->wants_input || client->wants_log)
        deliver(client);
    if (client->fd < 0 || (lagged && !lags(client)))
        c->owner.moved(c->owner.ctx);
    return NULL;
}

/* ---- coming ---- */

static fallible add(struct clients *c, int take_fd_, bool first)
{
    own_fd int fd = take_fd_;
    for (size_t i = 0; i < CLIENTS_MAX; i++) {
        struct client *client = &c->client[i];
        if (client->fd >= 0)
            continue;
        *client = (struct client){ .fd = fd, .all = c, .first = first, .next = c->frames_n };
        err *e = loop_add_fd(c->loop, fd, EPOLLIN, on_client, client, &client->source);
        if (e)
            client->fd = -1;
        else
            (void)take_fd(&fd);
        return e;
    }
    return err_new(ERR_EXHAUSTED, "the container has %d clients already", CLIENTS_MAX);
}

static err *on_knock(void *ctx, uint32_t events)
{
    struct clients *c = ctx;
    int fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0)
        err_ignore(add(c, fd, false), "the client sees its socket close");
    return NULL;
}

fallible clients_open(struct clients *c, struct loop *loop, int listen_fd, int first_fd,
                      const struct client_owner *owner)
{
    c->loop = loop;
    c->listen_fd = listen_fd;
    c->owner = *owner;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        c->client[i].fd = -1;
    if (first_fd >= 0)
        TRY(add(c, first_fd, true));
    if (listen_fd >= 0)
        TRY(loop_add_fd(loop, listen_fd, EPOLLIN, on_knock, c, &c->listener));
    return NULL;
}

/* ---- the monitor's side ---- */

bool clients_busy(const struct clients *c)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (lags(&c->client[i]))
            return true;
    return false;
}

bool clients_any(const struct clients *c)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (c->client[i].fd >= 0)
            return true;
    return false;
}

bool clients_first_gone(const struct clients *c)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (c->client[i].fd >= 0 && c->client[i].first)
            return false;
    return true;
}

void clients_send(struct clients *c, char kind, const char *bytes, size_t n)
{
    if (!clients_any(c))
        return;
    c->one = (struct client_frame){ .kind = kind, .bytes = bytes, .n = n };
    c->frames = &c->one;
    c->frames_n = 1;
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        c->client[i].next = 0;
    deliver_all(c);
}

const struct client_frame *clients_under_way(const struct clients *c)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (c->client[i].fd >= 0 && c->client[i].next < c->frames_n)
            return &c->one;
    return NULL;
}

void clients_last(struct clients *c, const struct client_frame *frames, size_t n, enum clients_socket socket)
{
    bool under_way = clients_under_way(c) != NULL;
    for (int fd; c->listen_fd >= 0 && (fd = accept4(c->listen_fd, NULL, NULL, SOCK_CLOEXEC)) >= 0;)
        err_ignore(add(c, fd, false), "the client sees its socket close");
    loop_remove(c->listener);
    c->listener = NULL;
    if (socket == CLIENTS_CLOSE_SOCKET)
        own_drop_fd(&c->listen_fd);
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        c->client[i].next = under_way && c->client[i].next >= c->frames_n ? 1 : 0;
    c->frames = frames;
    c->frames_n = n;
    deliver_all(c);
}

void clients_dismiss(struct clients *c)
{
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (c->client[i].fd >= 0 && !lags(&c->client[i]))
            drop(&c->client[i]);
}
