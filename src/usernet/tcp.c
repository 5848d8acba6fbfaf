// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <linux/sockios.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"
#include "usernet/pump.h"

/*
 * Bytes are copied through memory, LARGE at a time. splice(2) would copy nothing, but what it sends is pages, 17 of
 * them in a packet at most (MAX_SKB_FRAGS), and each packet's way into the container costs more than its bytes'
 * copies: docs/design/rootless-network.md. Memory is held only while the other side is slow: LARGE_MAX large pieces,
 * small ones beyond.
 */
enum { LARGE = 1 << 18, SMALL = 1 << 14, LARGE_MAX = 256, MOVES_PER_EVENT = 8, KEPT = 2 };

/* One way of a connection: from a socket into memory and on. */
struct way {
    char *memory;
    size_t size;     /* of memory */
    size_t at, held; /* bytes that are in it, and where they begin */
    bool ended;      /* nothing more comes; passed on once it is empty */
    bool passed;
};
struct end {
    struct connection *connection;
    int fd;
    struct loop_source *source;
    uint32_t events; /* as registered */
};
struct connection {
    struct connection *next;
    struct pump_tcp *owner;
    struct end outer, inner;
    struct way in, out; /* outer to inner, and back */
    bool connected;     /* the inner one */
    struct end *broken; /* reset by its peer, or out of reach: what it sent before goes on to the other one still */
};
struct pump_tcp {
    struct loop *loop;
    struct connection *first;
    size_t n;
    char *spare[KEPT]; /* large pieces that nobody holds */
    size_t spare_n, large_n;
};

/* Pages of their own, which the kernel has back at once: of thousands of small pieces from a heap a third stayed. */
static char *pages_take(size_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        abort(); /* as mem_alloc() */
    return p;
}

static void take_memory(struct pump_tcp *t, struct way *w)
{
    bool large = t->spare_n || t->large_n < LARGE_MAX;
    w->size = large ? LARGE : SMALL;
    if (t->spare_n) {
        w->memory = t->spare[--t->spare_n];
        return;
    }
    t->large_n += large;
    w->memory = pages_take(w->size);
}

static void give_memory(struct pump_tcp *t, struct way *w)
{
    if (w->memory && w->size == LARGE && t->spare_n < KEPT) {
        t->spare[t->spare_n++] = w->memory;
    } else {
        t->large_n -= w->memory && w->size == LARGE;
        if (w->memory)
            (void)munmap(w->memory, w->size);
    }
    w->memory = NULL;
    w->held = 0;
}

static void connection_free(struct connection *c)
{
    struct pump_tcp *t = c->owner;
    for (struct connection **at = &t->first; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            t->n--;
            break;
        }
    loop_remove(c->outer.source);
    loop_remove(c->inner.source);
    close_now(&c->outer.fd);
    close_now(&c->inner.fd);
    give_memory(t, &c->in);
    give_memory(t, &c->out);
    free(c);
}

/* What one side broke off, the other hears as such; and by then what came before. */
static void reset(struct connection *c)
{
    const struct linger now = { .l_onoff = 1, .l_linger = 0 };
    for (int i = 0; i < 2; i++) {
        int fd = i ? c->inner.fd : c->outer.fd, queued = 0;
        if (ioctl(fd, SIOCOUTQ, &queued) == 0 && queued > 0)
            continue; /* a reset would take away what is still under way: an end says enough */
        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    connection_free(c);
}

enum moved { MOVED_SOME, MOVED_NONE, MOVED_BROKEN };

static enum moved fill(struct pump_tcp *t, int from, struct way *w)
{
    if (w->ended || w->held)
        return MOVED_NONE;
    if (!w->memory)
        take_memory(t, w);
    ssize_t n = recv(from, w->memory, w->size, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? MOVED_NONE : MOVED_BROKEN;
    w->ended = n == 0;
    w->at = 0;
    w->held = (size_t)n;
    return MOVED_SOME;
}

static enum moved drain(struct way *w, int to)
{
    if (!w->held) {
        if (!w->ended || w->passed)
            return MOVED_NONE;
        w->passed = true;
        (void)shutdown(to, SHUT_WR);
        return MOVED_SOME;
    }
    ssize_t n = send(to, w->memory + w->at, w->held, MSG_DONTWAIT | MSG_NOSIGNAL);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR ? MOVED_NONE : MOVED_BROKEN;
    w->at += (size_t)n;
    w->held -= (size_t)n;
    return MOVED_SOME;
}

/* Answers the end that turned out to be broken, or NULL. */
static struct end *move(struct pump_tcp *t, struct end *from, struct way *w, struct end *to)
{
    for (int i = 0; i < MOVES_PER_EVENT; i++) {
        enum moved a = fill(t, from->fd, w);
        if (a == MOVED_BROKEN)
            return from;
        enum moved b = drain(w, to->fd);
        if (b == MOVED_BROKEN)
            return to;
        if (a == MOVED_NONE && b == MOVED_NONE)
            break;
    }
    if (!w->held) /* idle connections hold nothing */
        give_memory(t, w);
    return NULL;
}

/* done: nothing will be read from it or written to it. Then its hang-up, which cannot be switched off, is no news. */
static fallible listen_to(struct end *e, uint32_t events, bool done)
{
    if (!e->source)
        return NULL;
    if (!done)
        return loop_set_events(e->source, events);
    loop_remove(e->source);
    e->source = NULL;
    return NULL;
}

static fallible set_interest(struct connection *c)
{
    uint32_t outer = (!c->in.ended && !c->in.held ? EPOLLIN : 0) | (c->out.held ? EPOLLOUT : 0);
    uint32_t inner = (!c->out.ended && !c->out.held ? EPOLLIN : 0) | (c->in.held ? EPOLLOUT : 0);
    TRY(listen_to(&c->outer, outer, c->in.ended && c->out.passed));
    return listen_to(&c->inner, inner, c->out.ended && c->in.passed);
}

static bool is_connected(struct connection *c)
{
    int error = 0;
    socklen_t n = sizeof error;
    return getsockopt(c->inner.fd, SOL_SOCKET, SO_ERROR, &error, &n) == 0 && error == 0;
}

/* One end is broken: what it sent before that, which the kernel still has, is brought to the other. Answers false when
 * there is nothing more to bring, or nobody to bring it to. */
static bool bring_the_rest(struct connection *c)
{
    bool inner = c->broken == &c->inner;
    struct end *to = inner ? &c->outer : &c->inner;
    struct way *w = inner ? &c->out : &c->in;
    for (;;) {
        if (!w->held && fill(c->owner, c->broken->fd, w) != MOVED_SOME)
            return false;
        if (!w->held) /* its end */
            return false;
        switch (drain(w, to->fd)) {
        case MOVED_SOME:
            break;
        case MOVED_NONE: { /* the other one is slow: go on when it has room */
            err *e = listen_to(c->broken, 0, true);
            if (!e)
                e = listen_to(to, EPOLLOUT, false);
            bool waits = !e;
            err_ignore(e, "a connection that cannot be waited for is closed");
            return waits;
        }
        case MOVED_BROKEN:
            return false;
        }
    }
}

static err *ready(void *ctx, uint32_t events)
{
    struct end *end = ctx;
    struct connection *c = end->connection;
    if (!c->connected) {
        if (end != &c->inner || events & (EPOLLERR | EPOLLHUP) || !is_connected(c)) {
            reset(c);
            return NULL;
        }
        c->connected = true;
    }
    if (c->broken && events & EPOLLERR) { /* the other one, too */
        reset(c);
        return NULL;
    }
    if (!c->broken && events & EPOLLERR)
        c->broken = end;
    if (!c->broken)
        c->broken = move(c->owner, &c->outer, &c->in, &c->inner);
    if (!c->broken)
        c->broken = move(c->owner, &c->inner, &c->out, &c->outer);
    if (c->broken) {
        if (!bring_the_rest(c))
            reset(c);
        return NULL;
    }
    if (c->in.passed && c->out.passed) {
        connection_free(c);
        return NULL;
    }
    err *e = set_interest(c);
    if (e) {
        err_ignore(e, "a connection that cannot be waited for is closed");
        reset(c);
    }
    return NULL;
}

void pump_tcp_add(struct pump_tcp *t, const union usernet_address *client, const union usernet_address *target,
                  int take_fd_)
{
    struct connection *c = mem_zalloc(sizeof *c);
    *c = (struct connection){
        .owner = t,
        .next = t->first,
    };
    c->outer = (struct end){ .connection = c, .fd = take_fd_ };
    c->inner = (struct end){ .connection = c, .fd = -1 };
    t->first = c;
    t->n++;
    if (t->n <= PUMP_TCP_MAX)
        c->inner.fd = pump_inner(SOCK_STREAM, client, target);
    err *e = c->inner.fd < 0 ? err_sys(errno, "reach the container") : NULL;
    if (!e)
        e = loop_add_fd(t->loop, c->outer.fd, 0, ready, &c->outer, &c->outer.source);
    if (!e)
        e = loop_add_fd(t->loop, c->inner.fd, EPOLLOUT, ready, &c->inner, &c->inner.source);
    if (e) {
        log_debug("usernet: %s", err_text(e));
        err_ignore(e, "the client sees that it was refused");
        reset(c);
    }
}

fallible pump_tcp_new(struct loop *loop, struct pump_tcp **ret)
{
    struct pump_tcp *t = mem_zalloc(sizeof *t);
    t->loop = loop;
    *ret = t;
    return NULL;
}

void pump_tcp_free(struct pump_tcp *t)
{
    if (!t)
        return;
    while (t->first)
        connection_free(t->first);
    for (size_t i = 0; i < t->spare_n; i++)
        (void)munmap(t->spare[i], LARGE);
    free(t);
}
