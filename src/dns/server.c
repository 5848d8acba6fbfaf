// SPDX-License-Identifier: GPL-2.0-or-later
#include "dns/server.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/log.h"

enum { BATCH = 16, TICK_MS = 1000 };

struct dns_socket {
    struct dns_socket *next;
    struct dns_server *server;
    char *network;
    int fd;
    bool tcp;
    union resolver_address own;
    struct loop_source *source;
    uint64_t serial; /* of the names by which index was found */
    size_t index;
    bool known;
};

/* One client over TCP: a question at a time, since answers must not mix. */
struct conn {
    struct conn *next;
    struct dns_server *server;
    struct dns_socket *socket;
    int fd;
    union resolver_address from;
    struct loop_source *source;
    int64_t idle_ms; /* since when */
    unsigned char head[2];
    unsigned char *in, *out;
    size_t in_n, in_at, out_n, out_at; /* in_at counts the two bytes of length */
    bool waits;                        /* its question is on its way */
};

struct dns_server {
    struct loop *loop;
    struct dns_server_hooks hooks;
    struct forwarder *forwarder;
    struct host_resolvers host;
    struct dns_socket *sockets;
    struct conn *conns;
    size_t conns_n;
    struct loop_source *ticks;
    unsigned turn;
    struct dns_found found;
    unsigned char in[BATCH][DNS_UDP_MAX], out[BATCH][DNS_UDP_MAX], large[DNS_TCP_MAX];
};

static int64_t now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static struct ip address_of(const union resolver_address *a)
{
    struct ip r = { .family = a->any.sa_family };
    if (r.family == AF_INET6)
        memcpy(r.bytes, &a->v6.sin6_addr, 16);
    else
        memcpy(r.bytes, &a->v4.sin_addr, 4);
    return r;
}

/* ---- one question ---- */

static size_t plain_answer(const struct dns_query *q, enum dns_rcode rcode, size_t limit, unsigned char *out)
{
    return dns_answer_write(q, &(struct dns_answer){ .rcode = rcode }, limit, out);
}

static size_t local_answer(const struct dns_server *s, const struct dns_query *q, size_t limit, unsigned char *out)
{
    const char *names[DNS_ANSWERS_MAX];
    for (size_t i = 0; i < s->found.names_n; i++)
        names[i] = s->found.names[i];
    return dns_answer_write(q,
                            &(struct dns_answer){
                                .addresses = s->found.addresses,
                                .addresses_n = s->found.addresses_n,
                                .names = names,
                                .names_n = s->found.names_n,
                            },
                            limit, out);
}

/* A server of the host's that is one of our own sockets would ask us again, for ever. */
static void without_us(const struct dns_server *s, struct resolvers *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        bool us = false;
        for (const struct dns_socket *k = s->sockets; k && !us; k = k->next)
            us = resolver_equal(&k->own, &r->servers[i]);
        if (!us)
            r->servers[n++] = r->servers[i];
    }
    r->n = n;
}

static void answer_client(void *ctx, const struct forward_client *client, const struct dns_query *q,
                          unsigned char *bytes, size_t n);

static size_t ask_outside(struct dns_server *s, const struct dns_query *q, const unsigned char *bytes, size_t n,
                          struct forward_client *client)
{
    struct resolvers servers;
    if (s->found.servers)
        resolvers_of(s->found.servers, &servers);
    else
        servers = *host_resolvers(&s->host, now_ns());
    without_us(s, &servers);
    if (s->found.container)
        (void)snprintf(client->container, sizeof client->container, "%s", s->found.container);
    if (!forward_start(s->forwarder, &servers, bytes, n, q, client, answer_client, s))
        log_debug("dns: too many questions on their way: one of '%s' is dropped", client->container);
    return 0;
}

/* The names as of now, and the socket's network among them; NULL: neither. */
static const struct dns_names *names_for(struct dns_server *s, struct dns_socket *k)
{
    uint64_t serial = 0;
    const struct dns_names *names = s->hooks.names(s->hooks.ctx, &serial);
    if (names && k->serial != serial) {
        k->known = dns_names_network(names, k->network, &k->index);
        k->serial = serial;
    }
    return names && k->known ? names : NULL;
}

/* Answers the length of what is in out; 0: nothing now. */
static size_t answer(struct dns_server *s, struct dns_socket *k, const struct dns_names *names,
                     const unsigned char *bytes, size_t n, struct forward_client *client, size_t limit,
                     unsigned char *out)
{
    struct dns_query q;
    switch (dns_query_read(bytes, n, &q)) {
    case DNS_ASKED:
        break;
    case DNS_DROP:
        return 0;
    case DNS_MALFORMED:
        return dns_refuse(bytes, DNS_FORMERR, out);
    case DNS_UNKNOWN:
        return dns_refuse(bytes, DNS_NOTIMP, out);
    case DNS_VERSION:
        return plain_answer(&q, DNS_BADVERS, limit, out);
    }
    if (!client->conn && limit > q.udp_size)
        limit = q.udp_size;
    if (!names)
        return plain_answer(&q, DNS_SERVFAIL, limit, out);
    const struct ip from = address_of(&client->from);
    switch (dns_names_find(names, k->index, &from, &q, s->turn++, &s->found)) {
    case DNS_HERE:
        return local_answer(s, &q, limit, out);
    case DNS_NOWHERE:
        return plain_answer(&q, DNS_NXDOMAIN, limit, out);
    case DNS_FORBID:
        return plain_answer(&q, DNS_REFUSED, limit, out);
    case DNS_OUTSIDE:
        return ask_outside(s, &q, bytes, n, client);
    }
    return 0;
}

/* ---- UDP ---- */

static void send_batch(const struct dns_socket *k, struct mmsghdr *messages, size_t n)
{
    for (size_t done = 0; done < n;) {
        int sent = sendmmsg(k->fd, messages + done, (unsigned)(n - done), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        done += sent > 0 ? (size_t)sent : 1; /* one that cannot be sent is lost, as packets are */
    }
}

static err *udp_readable(void *ctx, uint32_t events)
{
    struct dns_socket *k = ctx;
    struct dns_server *s = k->server;
    struct mmsghdr in[BATCH] = { 0 }, out[BATCH] = { 0 };
    struct iovec in_bytes[BATCH], out_bytes[BATCH];
    union resolver_address from[BATCH];
    size_t answers = 0;
    (void)events;
    for (size_t i = 0; i < BATCH; i++) {
        in_bytes[i] = (struct iovec){ s->in[i], sizeof s->in[i] };
        in[i].msg_hdr = (struct msghdr){
            .msg_name = &from[i], .msg_namelen = sizeof from[i], .msg_iov = &in_bytes[i], .msg_iovlen = 1
        };
    }
    int n = recvmmsg(k->fd, in, BATCH, MSG_DONTWAIT, NULL);
    if (n <= 0)
        return NULL;
    const struct dns_names *names = names_for(s, k); /* after the questions are there: never older than they are */
    for (int i = 0; i < n; i++) {
        struct forward_client client = { .socket = k, .from = from[i] };
        if (in[i].msg_hdr.msg_flags & MSG_TRUNC)
            continue;
        size_t size = answer(s, k, names, s->in[i], in[i].msg_len, &client, DNS_UDP_MAX, s->out[answers]);
        if (!size)
            continue;
        out_bytes[answers] = (struct iovec){ s->out[answers], size };
        out[answers].msg_hdr = (struct msghdr){ .msg_name = &from[i],
                                                .msg_namelen = in[i].msg_hdr.msg_namelen,
                                                .msg_iov = &out_bytes[answers],
                                                .msg_iovlen = 1 };
        answers++;
    }
    send_batch(k, out, answers);
    return NULL;
}

/* ---- TCP ---- */

static void conn_free(struct conn *c)
{
    struct dns_server *s = c->server;
    for (struct conn **at = &s->conns; *at; at = &(*at)->next)
        if (*at == c) {
            *at = c->next;
            s->conns_n--;
            break;
        }
    forward_forget(s->forwarder, c);
    loop_remove(c->source);
    close_now(&c->fd);
    free(c->in);
    free(c->out);
    free(c);
}

/* False: it is closed and gone. */
static bool conn_flush(struct conn *c)
{
    while (c->out_at < c->out_n) {
        ssize_t n = send(c->fd, c->out + c->out_at, c->out_n - c->out_at, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && errno == EAGAIN)
            break;
        if (n < 0) {
            conn_free(c);
            return false;
        }
        c->out_at += (size_t)n;
    }
    bool more = c->out_at < c->out_n;
    if (!more) {
        free(c->out);
        c->out = NULL;
        c->out_n = c->out_at = 0;
    }
    err *e = loop_set_events(c->source, more ? EPOLLOUT : c->waits ? 0 : EPOLLIN);
    if (e) {
        err_ignore(e, "a connection that cannot be waited for is closed");
        conn_free(c);
        return false;
    }
    return true;
}

static bool conn_say(struct conn *c, const unsigned char *bytes, size_t n)
{
    free(c->out);
    c->out = mem_alloc(n + 2);
    c->out[0] = (unsigned char)(n >> 8);
    c->out[1] = (unsigned char)n;
    memcpy(c->out + 2, bytes, n);
    c->out_n = n + 2;
    c->out_at = 0;
    c->waits = false;
    c->idle_ms = now_ns() / 1000000;
    return conn_flush(c);
}

/* A whole question is there. False: closed. */
static bool conn_question(struct conn *c)
{
    struct dns_server *s = c->server;
    struct forward_client client = { .socket = c->socket, .conn = c, .from = c->from };
    own_mem unsigned char *bytes = take(c->in);
    size_t n = c->in_n;
    c->in_at = c->in_n = 0;
    c->waits = true; /* an answer may come before forward_start() returns; conn_say() takes it back */
    size_t size = answer(s, c->socket, names_for(s, c->socket), bytes, n, &client, DNS_TCP_MAX, s->large);
    if (size)
        return conn_say(c, s->large, size);
    bool there = false;
    for (const struct conn *k = s->conns; k && !there; k = k->next)
        there = k == c;
    if (!there) /* it was answered at once, and the client had gone */
        return false;
    if (c->waits && !forward_waits(s->forwarder, c)) { /* dropped: the client need not wait for it */
        conn_free(c);
        return false;
    }
    return conn_flush(c);
}

static err *conn_ready(void *ctx, uint32_t events)
{
    struct conn *c = ctx;
    if (events & (EPOLLERR | EPOLLHUP)) {
        conn_free(c);
        return NULL;
    }
    if (c->out) {
        (void)conn_flush(c);
        return NULL;
    }
    if (c->waits)
        return NULL;
    bool head = c->in_at < 2;
    ssize_t n = recv(c->fd, head ? c->head + c->in_at : c->in + (c->in_at - 2),
                     head ? 2 - c->in_at : c->in_n - (c->in_at - 2), MSG_DONTWAIT);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return NULL;
    if (n <= 0) {
        conn_free(c);
        return NULL;
    }
    c->in_at += (size_t)n;
    c->idle_ms = now_ns() / 1000000;
    if (head && c->in_at == 2) {
        c->in_n = (size_t)c->head[0] << 8 | c->head[1];
        if (c->in_n < DNS_HEADER || c->in_n > DNS_UDP_MAX) { /* no question is that long */
            conn_free(c);
            return NULL;
        }
        c->in = mem_alloc(c->in_n);
    } else if (!head && c->in_at - 2 == c->in_n) {
        (void)conn_question(c);
    }
    return NULL;
}

static bool conn_room(const struct dns_server *s, const union resolver_address *from)
{
    const struct ip a = address_of(from);
    size_t of_one = 0;
    for (const struct conn *c = s->conns; c; c = c->next) {
        const struct ip b = address_of(&c->from);
        of_one += ip_equal(&a, &b);
    }
    return s->conns_n < SERVER_CONNS_MAX && of_one < SERVER_CONNS_MAX_OF_ONE;
}

static err *tcp_acceptable(void *ctx, uint32_t events)
{
    struct dns_socket *k = ctx;
    struct dns_server *s = k->server;
    union resolver_address from = { 0 };
    socklen_t n = sizeof from;
    (void)events;
    own_fd int fd = accept4(k->fd, &from.any, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd < 0 || !conn_room(s, &from))
        return NULL;
    struct conn *c = mem_zalloc(sizeof *c);
    *c = (struct conn){ .server = s, .socket = k, .from = from, .fd = -1, .idle_ms = now_ns() / 1000000 };
    err *e = loop_add_fd(s->loop, fd, EPOLLIN, conn_ready, c, &c->source);
    if (e) {
        err_ignore(e, "as a connection that was not accepted");
        free(c);
        return NULL;
    }
    c->fd = take_fd(&fd);
    c->next = s->conns;
    s->conns = c;
    return s->conns_n++ ? NULL : loop_set_timer(s->ticks, (uint64_t)TICK_MS * 1000000);
}

static err *tick(void *ctx)
{
    struct dns_server *s = ctx;
    int64_t now = now_ns() / 1000000;
    for (struct conn *c = s->conns; c;) {
        struct conn *next = c->next;
        if (!c->waits && now - c->idle_ms > SERVER_IDLE_MS)
            conn_free(c);
        c = next;
    }
    return loop_set_timer(s->ticks, s->conns ? (uint64_t)TICK_MS * 1000000 : 0);
}

/* ---- answers from outside ---- */

static void answer_client(void *ctx, const struct forward_client *client, const struct dns_query *q,
                          unsigned char *bytes, size_t n)
{
    struct dns_server *s = ctx;
    struct dns_socket *k = client->socket;
    unsigned char none[DNS_UDP_PLAIN];
    if (!bytes) {
        n = plain_answer(q, DNS_SERVFAIL, sizeof none, none);
        bytes = none;
    } else if (s->hooks.outside && *client->container) {
        s->hooks.outside(s->hooks.ctx, client->container, q, bytes, n);
    }
    if (client->conn) {
        (void)conn_say(client->conn, bytes, n);
        return;
    }
    if (n > q->udp_size)
        n = dns_reply_cut(bytes, n);
    bool there = false;
    for (const struct dns_socket *i = s->sockets; i && !there; i = i->next)
        there = i == k;
    if (there && n)
        (void)sendto(k->fd, bytes, n, MSG_DONTWAIT | MSG_NOSIGNAL, &client->from.any, resolver_size(&client->from));
}

/* ---- sockets come and go ---- */

fallible dns_server_new(struct loop *loop, const struct dns_server_hooks *hooks, struct dns_server **ret)
{
    own(dns_server) struct dns_server *s = mem_zalloc(sizeof *s);
    s->loop = loop;
    s->hooks = *hooks;
    TRY(forwarder_new(loop, &s->forwarder));
    TRY(loop_add_timer(loop, 0, tick, s, &s->ticks));
    *ret = take(s);
    return NULL;
}

static void socket_free(struct dns_socket *k)
{
    struct dns_server *s = k->server;
    for (struct conn *c = s->conns; c;) {
        struct conn *next = c->next;
        if (c->socket == k)
            conn_free(c);
        c = next;
    }
    for (struct dns_socket **at = &s->sockets; *at; at = &(*at)->next)
        if (*at == k) {
            *at = k->next;
            break;
        }
    loop_remove(k->source);
    close_now(&k->fd);
    free(k->network);
    free(k);
}

void dns_server_free(struct dns_server *s)
{
    if (!s)
        return;
    while (s->sockets)
        socket_free(s->sockets);
    forwarder_free(s->forwarder);
    if (s->ticks)
        loop_remove(s->ticks);
    free(s);
}

fallible dns_server_add(struct dns_server *s, const char *network, int take_fd_)
{
    int type = 0;
    socklen_t n = sizeof type;
    struct dns_socket *k = mem_zalloc(sizeof *k);
    *k = (struct dns_socket){ .server = s, .network = mem_strdup(network), .fd = take_fd_, .next = s->sockets };
    s->sockets = k;
    err *e = NULL;
    socklen_t own_n = sizeof k->own;
    if (getsockopt(k->fd, SOL_SOCKET, SO_TYPE, &type, &n) < 0 || getsockname(k->fd, &k->own.any, &own_n) < 0)
        e = err_sys(errno, "look at a socket of network '%s'", network);
    k->tcp = type == SOCK_STREAM;
    if (!e)
        e = loop_add_fd(s->loop, k->fd, EPOLLIN, k->tcp ? tcp_acceptable : udp_readable, k, &k->source);
    if (e)
        socket_free(k);
    return e;
}

bool dns_server_has(const struct dns_server *s, const char *network)
{
    for (const struct dns_socket *k = s->sockets; k; k = k->next)
        if (strcmp(k->network, network) == 0)
            return true;
    return false;
}

void dns_server_sweep(struct dns_server *s)
{
    for (struct dns_socket *k = s->sockets; k;) {
        struct dns_socket *next = k->next;
        uint64_t serial = 0;
        size_t index;
        const struct dns_names *names = s->hooks.names(s->hooks.ctx, &serial);
        if (names && !dns_names_network(names, k->network, &index))
            socket_free(k);
        k = next;
    }
}

void dns_server_remove(struct dns_server *s, const char *network)
{
    for (struct dns_socket *k = s->sockets; k;) {
        struct dns_socket *next = k->next;
        if (strcmp(k->network, network) == 0)
            socket_free(k);
        k = next;
    }
}
