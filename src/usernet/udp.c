// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "usernet/pump.h"

enum { DATAGRAM_MAX = 65536, BATCH = 32, TICK_MS = 5000 };

/* One client of one port. */
struct flow {
    struct flow *next; /* of its slot */
    struct pump_udp *owner;
    int port_fd, fd;
    union usernet_address client, target;
    union {
        struct in_pktinfo v4;
        struct in6_pktinfo v6;
    } local; /* the address that the client chose */
    struct loop_source *source;
    int64_t used_ms;
};
enum { SLOTS = 1024 };
struct pump_udp {
    struct loop *loop;
    struct flow *slots[SLOTS];
    size_t n;
    struct loop_source *ticks;
    unsigned char bytes[DATAGRAM_MAX];
};
union control {
    char bytes[CMSG_SPACE(sizeof(struct in6_pktinfo))];
    struct cmsghdr align;
};

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static size_t slot_of(int port_fd, const union usernet_address *client)
{
    uint32_t h = (uint32_t)port_fd * 2654435761u;
    if (client->any.sa_family == AF_INET) {
        h ^= client->v4.sin_addr.s_addr * 2246822519u ^ client->v4.sin_port * 3266489917u;
    } else {
        uint32_t words[4];
        memcpy(words, &client->v6.sin6_addr, sizeof words);
        h ^= (words[0] ^ words[1] ^ words[2] ^ words[3]) * 2246822519u ^ client->v6.sin6_port * 3266489917u;
    }
    return (h ^ h >> 15) % SLOTS;
}

static bool same_client(const union usernet_address *a, const union usernet_address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return a->v6.sin6_port == b->v6.sin6_port &&
           memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0;
}

static void flow_free(struct flow *f)
{
    struct pump_udp *u = f->owner;
    for (struct flow **at = &u->slots[slot_of(f->port_fd, &f->client)]; *at; at = &(*at)->next)
        if (*at == f) {
            *at = f->next;
            u->n--;
            break;
        }
    if (f->source)
        loop_remove(f->source);
    close_now(&f->fd);
    free(f);
}

static void answer(struct flow *f, size_t n)
{
    union control control = { 0 };
    struct iovec iov = { f->owner->bytes, n };
    bool v6 = f->client.any.sa_family == AF_INET6;
    size_t size = v6 ? sizeof f->local.v6 : sizeof f->local.v4;
    struct msghdr m = { .msg_name = &f->client,
                        .msg_namelen = pump_address_size(&f->client),
                        .msg_iov = &iov,
                        .msg_iovlen = 1,
                        .msg_control = control.bytes,
                        .msg_controllen = CMSG_SPACE(size) };
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = v6 ? SOL_IPV6 : SOL_IP;
    c->cmsg_type = v6 ? IPV6_PKTINFO : IP_PKTINFO;
    c->cmsg_len = CMSG_LEN(size);
    memcpy(CMSG_DATA(c), &f->local, size);
    (void)sendmsg(f->port_fd, &m, MSG_DONTWAIT | MSG_NOSIGNAL);
}

static err *inner_readable(void *ctx, uint32_t events)
{
    struct flow *f = ctx;
    (void)events;
    for (int i = 0; i < BATCH; i++) {
        ssize_t n = recv(f->fd, f->owner->bytes, sizeof f->owner->bytes, MSG_DONTWAIT);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            if (errno != EAGAIN) /* ECONNREFUSED: nobody listens in the container; the next datagram tries anew */
                flow_free(f);
            return NULL;
        }
        f->used_ms = now_ms();
        answer(f, (size_t)n);
    }
    return NULL;
}

static struct flow *find(struct pump_udp *u, int port_fd, const union usernet_address *client)
{
    for (struct flow *f = u->slots[slot_of(port_fd, client)]; f; f = f->next)
        if (f->port_fd == port_fd && same_client(&f->client, client))
            return f;
    return NULL;
}

/* Room for one more: whoever was silent longest goes. */
static void make_room(struct pump_udp *u)
{
    struct flow *oldest = NULL;
    if (u->n < PUMP_UDP_MAX)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        for (struct flow *f = u->slots[i]; f; f = f->next)
            if (!oldest || f->used_ms < oldest->used_ms)
                oldest = f;
    if (oldest)
        flow_free(oldest);
}

static struct flow *flow_new(struct pump_udp *u, int port_fd, const union usernet_address *client,
                             const union usernet_address *target)
{
    make_room(u);
    int fd = pump_inner(SOCK_DGRAM, client, target);
    if (fd < 0) {
        log_debug("usernet: a datagram: reach the container: %s", strerror(errno));
        return NULL;
    }
    struct flow *f = mem_zalloc(sizeof *f);
    *f = (struct flow){ .owner = u, .port_fd = port_fd, .fd = fd, .client = *client, .target = *target };
    err *e = loop_add_fd(u->loop, fd, EPOLLIN, inner_readable, f, &f->source);
    if (!e && !u->n)
        e = loop_set_timer(u->ticks, (uint64_t)TICK_MS * 1000000);
    struct flow **slot = &u->slots[slot_of(port_fd, client)];
    f->next = *slot;
    *slot = f;
    u->n++;
    if (e) {
        err_ignore(e, "the datagram is lost, as datagrams are");
        flow_free(f);
        return NULL;
    }
    return f;
}

static void note_local(struct flow *f, struct msghdr *m)
{
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level == SOL_IP && c->cmsg_type == IP_PKTINFO) {
            memcpy(&f->local.v4, CMSG_DATA(c), sizeof f->local.v4);
            f->local.v4.ipi_spec_dst = f->local.v4.ipi_addr; /* what was the destination is to be the source */
            f->local.v4.ipi_ifindex = 0;
        } else if (c->cmsg_level == SOL_IPV6 && c->cmsg_type == IPV6_PKTINFO) {
            memcpy(&f->local.v6, CMSG_DATA(c), sizeof f->local.v6);
            if (!IN6_IS_ADDR_LINKLOCAL(&f->local.v6.ipi6_addr))
                f->local.v6.ipi6_ifindex = 0;
        }
    }
}

void pump_udp_readable(struct pump_udp *u, int fd, const union usernet_address *target)
{
    for (int i = 0; i < BATCH; i++) {
        union control control;
        union usernet_address client = { 0 };
        struct iovec iov = { u->bytes, sizeof u->bytes };
        struct msghdr m = { .msg_name = &client,
                            .msg_namelen = sizeof client,
                            .msg_iov = &iov,
                            .msg_iovlen = 1,
                            .msg_control = control.bytes,
                            .msg_controllen = sizeof control.bytes };
        ssize_t n = recvmsg(fd, &m, MSG_DONTWAIT);
        if (n < 0)
            return;
        struct flow *f = find(u, fd, &client);
        if (!f)
            f = flow_new(u, fd, &client, target);
        if (!f)
            continue;
        note_local(f, &m);
        f->used_ms = now_ms();
        if (send(f->fd, u->bytes, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno == ECONNREFUSED)
            (void)send(f->fd, u->bytes, (size_t)n, MSG_DONTWAIT | MSG_NOSIGNAL); /* the error was the last one's */
    }
}

static void sweep(struct pump_udp *u, int port_fd, int64_t before_ms)
{
    for (size_t i = 0; i < SLOTS; i++)
        for (struct flow *f = u->slots[i]; f;) {
            struct flow *next = f->next;
            if (port_fd >= 0 ? f->port_fd == port_fd : f->used_ms < before_ms)
                flow_free(f);
            f = next;
        }
}

void pump_udp_forget(struct pump_udp *u, int fd)
{
    sweep(u, fd, 0);
}

static err *tick(void *ctx)
{
    struct pump_udp *u = ctx;
    sweep(u, -1, now_ms() - PUMP_UDP_IDLE_MS);
    return loop_set_timer(u->ticks, u->n ? (uint64_t)TICK_MS * 1000000 : 0);
}

fallible pump_udp_new(struct loop *loop, struct pump_udp **ret)
{
    own(pump_udp) struct pump_udp *u = mem_zalloc(sizeof *u);
    u->loop = loop;
    TRY(loop_add_timer(loop, 0, tick, u, &u->ticks));
    *ret = take(u);
    return NULL;
}

void pump_udp_free(struct pump_udp *u)
{
    if (!u)
        return;
    for (size_t i = 0; i < SLOTS; i++)
        while (u->slots[i])
            flow_free(u->slots[i]);
    if (u->ticks)
        loop_remove(u->ticks);
    free(u);
}
