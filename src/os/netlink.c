// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/netlink.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

enum {
    ERRNO_MAX = 4095, /* the kernel's MAX_ERRNO */
    ROUNDS = 200      /* each takes as long as the kernel's list; starts side by side change it all the time */
};

fallible netlink_open(int *ret_sock)
{
    return netlink_open_protocol(NETLINK_ROUTE, ret_sock);
}

static const struct netlink_door *the_door;

void netlink_set_door(const struct netlink_door *door)
{
    the_door = door;
}

bool netlink_has_door(void)
{
    return the_door != NULL;
}

static fallible through_door(int netns_fd, int protocol, int *ret_sock)
{
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    own_fd int sock = -1;
    TRY(the_door->open(the_door->ctx, netns_fd, protocol, &sock));
    if (connect(sock, (struct sockaddr *)&kernel, sizeof kernel) < 0)
        return err_sys(errno, "open a netlink socket");
    *ret_sock = take_fd(&sock);
    return NULL;
}

fallible netlink_open_here(int *ret_sock)
{
    const struct netlink_door *door = the_door;
    the_door = NULL;
    err *e = netlink_open_protocol(NETLINK_ROUTE, ret_sock);
    the_door = door;
    return e;
}

fallible netlink_open_protocol(int protocol, int *ret_sock)
{
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    if (the_door && (protocol == NETLINK_ROUTE || protocol == NETLINK_NETFILTER)) /* sockets' owners are the host's */
        return through_door(-1, protocol, ret_sock);
    own_fd int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol);
    if (sock < 0 || connect(sock, (struct sockaddr *)&kernel, sizeof kernel) < 0)
        return err_sys(errno, "open a netlink socket");
    *ret_sock = take_fd(&sock);
    return NULL;
}

fallible netlink_open_in(int netns_fd, int *ret_sock)
{
    if (the_door)
        return through_door(netns_fd, NETLINK_ROUTE, ret_sock);
    own_fd int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (own < 0)
        return err_sys(errno, "open '/proc/self/ns/net'");
    if (setns(netns_fd, CLONE_NEWNET) < 0)
        return err_sys(errno, "enter the network namespace");
    err *e = netlink_open(ret_sock);
    if (setns(own, CLONE_NEWNET) < 0) {
        err_free(e);
        return err_sys(errno, "come back from the network namespace");
    }
    return e;
}

void netlink_begin(struct netlink_request *r, uint16_t type, uint16_t flags, const void *fixed, size_t n)
{
    memset(r, 0, sizeof *r);
    r->head = (struct nlmsghdr){
        .nlmsg_len = (uint32_t)NLMSG_LENGTH(n), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = 1
    };
    memcpy(r->bytes + NLMSG_HDRLEN, fixed, n);
}

void netlink_add(struct netlink_request *r, uint16_t attribute, const void *bytes, size_t n)
{
    size_t at = NLMSG_ALIGN(r->head.nlmsg_len), size = NLA_HDRLEN + NLA_ALIGN(n);
    if (at + size > sizeof r->bytes) {
        r->full = true;
        return;
    }
    const struct nlattr a = { .nla_len = (uint16_t)(NLA_HDRLEN + n), .nla_type = attribute };
    memcpy(r->bytes + at, &a, sizeof a);
    memcpy(r->bytes + at + NLA_HDRLEN, bytes, n);
    r->head.nlmsg_len = (uint32_t)(at + size);
}

void netlink_add_text(struct netlink_request *r, uint16_t attribute, const char *text)
{
    netlink_add(r, attribute, text, strlen(text) + 1);
}

struct answers {
    netlink_answer *fn;
    void *ctx;
    bool end;         /* the verdict was among them */
    bool interrupted; /* the list changed while it was written down */
};

static fallible read_answers(const char *bytes, size_t n, struct answers *a)
{
    for (size_t at = 0; n - at >= sizeof(struct nlmsghdr);) {
        const struct nlmsghdr *m = (const void *)(bytes + at);
        if (m->nlmsg_len < sizeof *m || m->nlmsg_len > n - at)
            return err_new(ERR_CORRUPT, "netlink: a message runs past its end");
        a->interrupted |= (m->nlmsg_flags & NLM_F_DUMP_INTR) != 0;
        if (m->nlmsg_type == NLMSG_ERROR || m->nlmsg_type == NLMSG_DONE) {
            int verdict = 0;
            a->end = true;
            if (m->nlmsg_len >= NLMSG_LENGTH(sizeof verdict))
                memcpy(&verdict, NLMSG_DATA(m), sizeof verdict);
            if (verdict > 0 || verdict < -ERRNO_MAX)
                return err_new(ERR_CORRUPT, "netlink: a verdict of %d", verdict);
            return verdict ? err_sys(-verdict, "the kernel's network stack") : NULL;
        }
        if (a->fn)
            TRY(a->fn(a->ctx, m));
        size_t step = NLMSG_ALIGN((size_t)m->nlmsg_len);
        at = step > n - at ? n : at + step;
    }
    return NULL;
}

/* Room for n bytes, padded, that are zero. */
static char *append(struct netlink_batch *b, size_t n)
{
    size_t size = NLMSG_ALIGN(n);
    if (b->len + size > b->room)
        b->bytes = mem_realloc(b->bytes, b->room = (b->len + size) * 2 + 1024);
    char *at = b->bytes + b->len;
    memset(at, 0, size);
    b->len += size;
    return at;
}

/* One round: what comes is read, or kept in whole when there is where. */
static fallible receive(int sock, struct answers *a, struct netlink_batch *keep)
{
    union {
        char bytes[32768];
        struct nlmsghdr align;
    } in;
    while (!a->end) {
        ssize_t n = recv(sock, in.bytes, sizeof in.bytes, MSG_TRUNC);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "netlink: receive");
        if (n == 0 || (size_t)n > sizeof in.bytes)
            return err_new(ERR_CORRUPT, "netlink: an answer of %zd bytes", n);
        TRY(read_answers(in.bytes, (size_t)n, a));
        if (keep)
            memcpy(append(keep, (size_t)n), in.bytes, (size_t)n);
    }
    return NULL;
}

static fallible ask_for_list(int sock, const struct netlink_request *r, netlink_answer *answer, void *ctx)
{
    for (int round = 0; round < ROUNDS; round++) {
        own(netlink_batch) struct netlink_batch whole = { 0 };
        struct answers look = { 0 }, a = { .fn = answer, .ctx = ctx };
        if (send(sock, r->bytes, r->head.nlmsg_len, 0) < 0)
            return err_sys(errno, "netlink: send");
        TRY(receive(sock, &look, &whole));
        if (!look.interrupted)
            return read_answers(whole.bytes, whole.len, &a);
    }
    return err_new(ERR_UNAVAILABLE, "netlink: what the kernel is to list changed %d times while it did", ROUNDS);
}

fallible netlink_ask(int sock, struct netlink_request *r, netlink_answer *answer, void *ctx)
{
    if (r->full)
        return err_new(ERR_INTERNAL, "netlink: the request is too long");
    if ((r->head.nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP) /* it ends with a verdict of its own */
        return ask_for_list(sock, r, answer, ctx);
    r->head.nlmsg_flags |= NLM_F_ACK;
    if (send(sock, r->bytes, r->head.nlmsg_len, 0) < 0)
        return err_sys(errno, "netlink: send");
    return receive(sock, &(struct answers){ .fn = answer, .ctx = ctx }, NULL);
}

static const struct nlattr *find_between(const char *at, const char *end, uint16_t attribute, size_t *ret_len)
{
    while (at < end && (size_t)(end - at) >= sizeof(struct nlattr)) {
        const struct nlattr *a = (const void *)at;
        if (a->nla_len < NLA_HDRLEN || a->nla_len > end - at)
            break;
        if ((a->nla_type & NLA_TYPE_MASK) == attribute) {
            *ret_len = (size_t)a->nla_len - NLA_HDRLEN;
            return a;
        }
        size_t step = NLA_ALIGN((size_t)a->nla_len);
        if (step > (size_t)(end - at))
            break;
        at += step;
    }
    return NULL;
}

const struct nlattr *netlink_find(const struct nlmsghdr *m, size_t fixed, uint16_t attribute, size_t *ret_len)
{
    return find_between((const char *)m + NLMSG_HDRLEN + NLMSG_ALIGN(fixed), (const char *)m + m->nlmsg_len, attribute,
                        ret_len);
}

const struct nlattr *netlink_find_in(const struct nlattr *in, uint16_t attribute, size_t *ret_len)
{
    return find_between((const char *)(in + 1), (const char *)in + in->nla_len, attribute, ret_len);
}

/* ---- batches --------------------------------------------------------------------------------------------------- */

void netlink_batch_clear(struct netlink_batch *b)
{
    free(b->bytes);
    free(b->whats);
    *b = (struct netlink_batch){ 0 };
}

/* The request is as long as what was added to it so far. */
static void note_length(struct netlink_batch *b)
{
    uint32_t len = (uint32_t)(b->len - b->last);
    memcpy(b->bytes + b->last + offsetof(struct nlmsghdr, nlmsg_len), &len, sizeof len);
}

void netlink_batch_begin(struct netlink_batch *b, const char *what, uint16_t type, uint16_t flags, const void *fixed,
                         size_t n)
{
    const struct nlmsghdr head = { .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = b->n + 1 };
    b->last = b->len;
    b->whats = mem_array(b->whats, b->n + 1, sizeof *b->whats);
    b->whats[b->n++] = what;
    memcpy(append(b, sizeof head), &head, sizeof head);
    netlink_batch_add_raw(b, fixed, n);
}

void netlink_batch_add_raw(struct netlink_batch *b, const void *bytes, size_t n)
{
    memcpy(append(b, n), bytes, n);
    note_length(b);
}

void netlink_batch_add(struct netlink_batch *b, uint16_t attribute, const void *bytes, size_t n)
{
    const struct nlattr a = { .nla_len = (uint16_t)(NLA_HDRLEN + n), .nla_type = attribute };
    char *at = append(b, NLA_HDRLEN + n);
    memcpy(at, &a, sizeof a);
    if (n)
        memcpy(at + NLA_HDRLEN, bytes, n);
    note_length(b);
}

void netlink_batch_add_text(struct netlink_batch *b, uint16_t attribute, const char *text)
{
    netlink_batch_add(b, attribute, text, strlen(text) + 1);
}

void netlink_batch_add_u8(struct netlink_batch *b, uint16_t attribute, uint8_t v)
{
    netlink_batch_add(b, attribute, &v, sizeof v);
}

void netlink_batch_add_u16(struct netlink_batch *b, uint16_t attribute, uint16_t v)
{
    netlink_batch_add(b, attribute, &v, sizeof v);
}

void netlink_batch_add_u32(struct netlink_batch *b, uint16_t attribute, uint32_t v)
{
    netlink_batch_add(b, attribute, &v, sizeof v);
}

size_t netlink_batch_nest(struct netlink_batch *b, uint16_t attribute)
{
    size_t nest = b->len;
    netlink_batch_add(b, attribute | NLA_F_NESTED, NULL, 0);
    return nest;
}

void netlink_batch_end_nest(struct netlink_batch *b, size_t nest)
{
    uint16_t len = (uint16_t)(b->len - nest);
    memcpy(b->bytes + nest + offsetof(struct nlattr, nla_len), &len, sizeof len);
}

/* The verdict of one request, or NULL for what is none. */
static fallible read_verdict(const struct netlink_batch *b, const struct nlmsghdr *m, unsigned *verdicts)
{
    int verdict = 0;
    if (m->nlmsg_type != NLMSG_ERROR || m->nlmsg_len < NLMSG_LENGTH(sizeof verdict))
        return NULL;
    memcpy(&verdict, NLMSG_DATA(m), sizeof verdict);
    ++*verdicts;
    if (!verdict)
        return NULL;
    if (verdict > 0 || verdict < -ERRNO_MAX)
        return err_new(ERR_CORRUPT, "netlink: a verdict of %d", verdict);
    const char *what = m->nlmsg_seq >= 1 && m->nlmsg_seq <= b->n ? b->whats[m->nlmsg_seq - 1] : "a request";
    return err_sys(-verdict, "%s", what);
}

fallible netlink_batch_ask(int sock, struct netlink_batch *b)
{
    union {
        char bytes[8192];
        struct nlmsghdr align;
    } in;
    unsigned verdicts = 0;
    err *first = NULL;
    for (size_t at = 0; at < b->len;) {
        struct nlmsghdr *m = (void *)(b->bytes + at);
        m->nlmsg_flags |= NLM_F_ACK;
        at += NLMSG_ALIGN((size_t)m->nlmsg_len);
    }
    if (b->len && send(sock, b->bytes, b->len, 0) < 0)
        return err_sys(errno, "netlink: send");
    while (verdicts < b->n) {
        ssize_t n = recv(sock, in.bytes, sizeof in.bytes, 0);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            err_free(first);
            return n < 0 ? err_sys(errno, "netlink: receive") : err_new(ERR_CORRUPT, "netlink: an answer of 0 bytes");
        }
        for (size_t at = 0; (size_t)n - at >= sizeof(struct nlmsghdr);) {
            const struct nlmsghdr *m = (const void *)(in.bytes + at);
            if (m->nlmsg_len < sizeof *m || m->nlmsg_len > (size_t)n - at)
                break;
            err *e = read_verdict(b, m, &verdicts);
            if (first)
                err_free(e);
            else
                first = e;
            size_t step = NLMSG_ALIGN((size_t)m->nlmsg_len);
            at = step > (size_t)n - at ? (size_t)n : at + step;
        }
    }
    return first;
}
