// SPDX-License-Identifier: GPL-2.0-or-later
#include "dns/forward.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>

#include "base/log.h"

/* A client's own patience is 5 s (resolv.conf(5), timeout): two servers must be heard in that. */
enum { UDP_WAIT_MS = 1500, TCP_WAIT_MS = 2500, ROUNDS = 2, TICK_MS = 100 };

struct question {
    struct question *next;
    struct forwarder *forwarder;
    struct dns_query query;
    struct forward_client client;
    struct resolvers servers;
    forward_done *done;
    void *ctx;
    unsigned char *bytes; /* with two bytes of length in front, as TCP has them */
    size_t n;             /* without those */
    unsigned attempt;
    uint16_t id;
    int fd;
    struct loop_source *source;
    int64_t deadline_ms;
    size_t moved;          /* TCP: bytes sent, then bytes of the answer received */
    bool sent;             /* TCP: all of it is; now the answer */
    unsigned char *answer; /* TCP */
    size_t answer_n;       /* with its length in front; 0: not known yet */
    unsigned char head[2]; /* TCP: the length as it comes */
};

struct forwarder {
    struct loop *loop;
    struct loop_source *ticks;
    struct question *first;
    size_t n;
};

static int64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void hang_up(struct question *q)
{
    if (q->source)
        loop_remove(q->source);
    q->source = NULL;
    close_now(&q->fd);
    free(q->answer);
    q->answer = NULL;
    q->answer_n = q->moved = 0;
    q->sent = false;
}

static void unlist(struct question *q)
{
    struct forwarder *f = q->forwarder;
    for (struct question **at = &f->first; *at; at = &(*at)->next)
        if (*at == q) {
            *at = q->next;
            f->n--;
            return;
        }
}

static void question_free(struct question *q)
{
    unlist(q);
    hang_up(q);
    free(q->bytes);
    free(q);
}

/* The answer, or NULL when there is none. Whoever hears it may close the connection, and so forget its questions: this
 * one is not among them any more. */
static void finish(struct question *q, unsigned char *bytes, size_t n)
{
    unlist(q);
    if (bytes) {
        bytes[0] = (unsigned char)(q->query.id >> 8);
        bytes[1] = (unsigned char)q->query.id;
    }
    q->done(q->ctx, &q->client, &q->query, bytes, n);
    question_free(q);
}

static bool is_last(const struct question *q)
{
    return q->attempt >= q->servers.n * ROUNDS;
}

static void next_server(struct question *q);

/* A server that fails or refuses may have a neighbour that does not; when all do, that is the answer. */
static void judge(struct question *q, unsigned char *bytes, size_t n)
{
    enum dns_rcode rcode = dns_reply_rcode(bytes);
    bool fails = rcode == DNS_SERVFAIL || rcode == DNS_REFUSED || rcode == DNS_NOTIMP;
    if (fails && !is_last(q))
        next_server(q);
    else
        finish(q, bytes, n);
}

static err *udp_readable(void *ctx, uint32_t events)
{
    struct question *q = ctx;
    unsigned char bytes[DNS_UDP_MAX];
    ssize_t n = recv(q->fd, bytes, sizeof bytes, MSG_DONTWAIT | MSG_TRUNC);
    (void)events;
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return NULL;
    if (n < 0) /* ECONNREFUSED: nobody listens there */
        next_server(q);
    else if ((size_t)n <= sizeof bytes && dns_reply_fits(bytes, (size_t)n, &q->query, q->id))
        judge(q, bytes, (size_t)n);
    return NULL;
}

/* Sends what is left. False: the connection is no good. */
static bool tcp_send(struct question *q)
{
    size_t all = q->n + 2;
    ssize_t n = send(q->fd, q->bytes + q->moved, all - q->moved, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR || errno == EINPROGRESS || errno == ENOTCONN;
    q->moved += (size_t)n;
    if (q->moved == all) {
        q->moved = 0;
        q->sent = true;
        err *e = loop_set_events(q->source, EPOLLIN);
        err_ignore(e, "then the attempt times out");
    }
    return true;
}

/* Receives what is there: first the length, then as much. False: the connection is no good. */
static bool tcp_receive(struct question *q)
{
    bool head = q->moved < 2;
    unsigned char *to = head ? q->head + q->moved : q->answer + (q->moved - 2);
    size_t want = head ? 2 - q->moved : q->answer_n - (q->moved - 2);
    ssize_t n = recv(q->fd, to, want, MSG_DONTWAIT);
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    if (n == 0)
        return false;
    q->moved += (size_t)n;
    if (head && q->moved == 2) {
        q->answer_n = (size_t)q->head[0] << 8 | q->head[1];
        if (q->answer_n < DNS_HEADER)
            return false;
        q->answer = mem_alloc(q->answer_n);
    }
    return true;
}

static err *tcp_ready(void *ctx, uint32_t events)
{
    struct question *q = ctx;
    bool good = q->sent ? tcp_receive(q) : !(events & (EPOLLERR | EPOLLHUP)) && tcp_send(q);
    if (!good) {
        next_server(q);
    } else if (q->answer && q->moved - 2 == q->answer_n) {
        unsigned char *answer = take(q->answer);
        size_t n = q->answer_n;
        if (dns_reply_fits(answer, n, &q->query, q->id))
            judge(q, answer, n);
        else
            next_server(q);
        free(answer);
    }
    return NULL;
}

static bool over_tcp(const struct question *q)
{
    return q->client.conn != NULL;
}

static bool begin(struct question *q, const union resolver_address *server)
{
    bool tcp = over_tcp(q);
    q->fd = socket(server->any.sa_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (q->fd < 0)
        return false;
    if (getrandom(&q->id, sizeof q->id, 0) != sizeof q->id)
        return false;
    q->bytes[2] = (unsigned char)(q->id >> 8);
    q->bytes[3] = (unsigned char)q->id;
    q->deadline_ms = now_ms() + (tcp ? TCP_WAIT_MS : UDP_WAIT_MS);
    if (connect(q->fd, &server->any, resolver_size(server)) < 0 && errno != EINPROGRESS)
        return false;
    if (!tcp && send(q->fd, q->bytes + 2, q->n, MSG_NOSIGNAL) != (ssize_t)q->n)
        return false;
    err *e =
        loop_add_fd(q->forwarder->loop, q->fd, tcp ? EPOLLOUT : EPOLLIN, tcp ? tcp_ready : udp_readable, q, &q->source);
    bool ok = !e;
    err_ignore(e, "as a server that cannot be reached");
    return ok;
}

static void next_server(struct question *q)
{
    while (!is_last(q)) {
        hang_up(q);
        if (begin(q, &q->servers.servers[q->attempt++ % q->servers.n]))
            return;
    }
    finish(q, NULL, 0);
}

static err *tick(void *ctx)
{
    struct forwarder *f = ctx;
    int64_t now = now_ms();
    for (struct question *q = f->first; q;) {
        struct question *next = q->next;
        if (q->deadline_ms <= now)
            next_server(q);
        q = next;
    }
    return loop_set_timer(f->ticks, f->first ? (uint64_t)TICK_MS * 1000000 : 0);
}

fallible forwarder_new(struct loop *loop, struct forwarder **ret)
{
    own(forwarder) struct forwarder *f = mem_zalloc(sizeof *f);
    f->loop = loop;
    TRY(loop_add_timer(loop, 0, tick, f, &f->ticks));
    *ret = take(f);
    return NULL;
}

void forwarder_free(struct forwarder *f)
{
    if (!f)
        return;
    while (f->first)
        question_free(f->first);
    if (f->ticks)
        loop_remove(f->ticks);
    free(f);
}

static bool same_asker(const union resolver_address *a, const union resolver_address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0;
}

static bool has_room(const struct forwarder *f, const struct forward_client *client)
{
    size_t of_one = 0;
    if (f->n >= FORWARD_MAX)
        return false;
    for (const struct question *q = f->first; q; q = q->next)
        of_one += same_asker(&q->client.from, &client->from);
    return of_one < FORWARD_MAX_OF_ONE;
}

bool forward_start(struct forwarder *f, const struct resolvers *servers, const unsigned char *bytes, size_t n,
                   const struct dns_query *query, const struct forward_client *client, forward_done *done, void *ctx)
{
    if (!servers->n) {
        done(ctx, client, query, NULL, 0);
        return true;
    }
    if (!has_room(f, client))
        return false;
    struct question *q = mem_zalloc(sizeof *q);
    *q = (struct question){
        .next = f->first,
        .forwarder = f,
        .query = *query,
        .client = *client,
        .servers = *servers,
        .done = done,
        .ctx = ctx,
        .bytes = mem_alloc(n + 2),
        .n = n,
        .fd = -1,
    };
    q->bytes[0] = (unsigned char)(n >> 8);
    q->bytes[1] = (unsigned char)n;
    memcpy(q->bytes + 2, bytes, n);
    if (!f->first) {
        err *e = loop_set_timer(f->ticks, (uint64_t)TICK_MS * 1000000);
        err_ignore(e, "the next question sets it");
    }
    f->first = q;
    f->n++;
    next_server(q);
    return true;
}

void forward_forget(struct forwarder *f, const void *conn)
{
    for (struct question *q = f->first; q;) {
        struct question *next = q->next;
        if (q->client.conn == conn)
            question_free(q);
        q = next;
    }
}

bool forward_waits(const struct forwarder *f, const void *conn)
{
    for (const struct question *q = f->first; q; q = q->next)
        if (q->client.conn == conn)
            return true;
    return false;
}
