// SPDX-License-Identifier: GPL-2.0-or-later
#include "network/conntrack.h"

#include <endian.h>
#include <errno.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

#define CT_MESSAGE(message) ((uint16_t)(NFNL_SUBSYS_CTNETLINK << 8 | (message)))

enum {
    AT_ONCE = 64,     /* deletions: their verdicts must have room in the socket's buffer */
    FILTERS_MAX = 32, /* so many looks for filled places take as long as one that stops at every place */
};

/* Which parts of a tuple a filter compares: bits of CTA_FILTER_ORIG_FLAGS, which no header of the kernel's has; they
 * are those of its net/netfilter/nf_internals.h. */
enum {
    FILTER_FROM = 1 << 0,
    FILTER_TO = 1 << 1,
    FILTER_PROTO = 1 << 3,
    FILTER_TO_PORT = 1 << 5,
};

void conntrack_stale_clear(struct conntrack_stale *s)
{
    free(s->ips);
    free(s->udp);
    *s = (struct conntrack_stale){ 0 };
}

void conntrack_add_ip(struct conntrack_stale *s, const struct ip *ip)
{
    for (size_t i = 0; i < s->ips_n; i++)
        if (ip_equal(&s->ips[i], ip))
            return;
    s->ips = mem_array(s->ips, s->ips_n + 1, sizeof *s->ips);
    s->ips[s->ips_n++] = *ip;
}

void conntrack_add_udp(struct conntrack_stale *s, const struct conntrack_udp *u)
{
    s->udp = mem_array(s->udp, s->udp_n + 1, sizeof *s->udp);
    s->udp[s->udp_n++] = *u;
}

/* ---- what the kernel tells of one ---- */

/* One direction: who sends, to whom. */
struct tuple {
    struct ip from, to;
    uint16_t from_port, to_port;
    uint8_t proto;
};

static void copy_out(const struct nlattr *in, uint16_t attribute, void *to, size_t n)
{
    size_t len = 0;
    const struct nlattr *a = in ? netlink_find_in(in, attribute, &len) : NULL;
    if (a && len >= n)
        memcpy(to, a + 1, n);
}

static bool read_tuple(const struct nlmsghdr *m, uint16_t attribute, struct tuple *ret)
{
    size_t len = 0;
    const struct nlattr *t = netlink_find(m, sizeof(struct nfgenmsg), attribute, &len);
    const struct nlattr *ip = t ? netlink_find_in(t, CTA_TUPLE_IP, &len) : NULL;
    const struct nlattr *proto = t ? netlink_find_in(t, CTA_TUPLE_PROTO, &len) : NULL;
    const bool v4 = ip && netlink_find_in(ip, CTA_IP_V4_SRC, &len);
    *ret = (struct tuple){ .from.family = v4 ? AF_INET : AF_INET6, .to.family = v4 ? AF_INET : AF_INET6 };
    if (!ip || !proto)
        return false;
    copy_out(ip, v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, ret->from.bytes, ip_size(&ret->from));
    copy_out(ip, v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, ret->to.bytes, ip_size(&ret->to));
    copy_out(proto, CTA_PROTO_NUM, &ret->proto, sizeof ret->proto);
    copy_out(proto, CTA_PROTO_SRC_PORT, &ret->from_port, sizeof ret->from_port);
    copy_out(proto, CTA_PROTO_DST_PORT, &ret->to_port, sizeof ret->to_port);
    ret->from_port = be16toh(ret->from_port);
    ret->to_port = be16toh(ret->to_port);
    return true;
}

static uint32_t status_of(const struct nlmsghdr *m)
{
    size_t len = 0;
    uint32_t v = 0;
    const struct nlattr *a = netlink_find(m, sizeof(struct nfgenmsg), CTA_STATUS, &len);
    if (a && len >= sizeof v)
        memcpy(&v, a + 1, sizeof v);
    return be32toh(v);
}

/* One that is masqueraded and leads elsewhere by no rule is to another host, whatever its port. */
static bool is_to_port(const struct conntrack_udp *u, const struct tuple *there, const struct tuple *back,
                       uint32_t status)
{
    if (there->proto != IPPROTO_UDP || there->to.family != u->at.family || there->to_port != u->port)
        return false;
    if (u->any ? (status & (IPS_SRC_NAT | IPS_DST_NAT)) == IPS_SRC_NAT : !ip_equal(&there->to, &u->at))
        return false;
    return !ip_is_set(&u->to) || !ip_equal(&back->from, &u->to) || back->from_port != u->to_port;
}

bool conntrack_is_stale(const struct conntrack_stale *s, const struct nlmsghdr *m)
{
    struct tuple there, back;
    if (!read_tuple(m, CTA_TUPLE_ORIG, &there) || !read_tuple(m, CTA_TUPLE_REPLY, &back))
        return false;
    for (size_t i = 0; i < s->ips_n; i++)
        if (ip_equal(&there.from, &s->ips[i]) || ip_equal(&back.from, &s->ips[i]))
            return true;
    for (size_t i = 0; i < s->udp_n; i++)
        if (is_to_port(&s->udp[i], &there, &back, status_of(m)))
            return true;
    return false;
}

/* ---- looking at each ---- */

struct found {
    const struct conntrack_stale *stale;
    struct netlink_batch *deletions; /* AT_ONCE in each */
    size_t n;
};

static void copy_attribute(struct netlink_batch *b, const struct nlmsghdr *m, uint16_t attribute)
{
    size_t len = 0;
    const struct nlattr *a = netlink_find(m, sizeof(struct nfgenmsg), attribute, &len);
    if (a)
        netlink_batch_add(b, a->nla_type, a + 1, len);
}

static err *look_at_one(void *ctx, const struct nlmsghdr *m)
{
    struct found *f = ctx;
    const struct nfgenmsg *is = NLMSG_DATA(m);
    if (m->nlmsg_len < NLMSG_LENGTH(sizeof *is) || !conntrack_is_stale(f->stale, m))
        return NULL;
    if (!f->n || f->deletions[f->n - 1].n == AT_ONCE) {
        f->deletions = mem_array(f->deletions, f->n + 1, sizeof *f->deletions);
        f->deletions[f->n++] = (struct netlink_batch){ 0 };
    }
    struct netlink_batch *b = &f->deletions[f->n - 1];
    const struct nfgenmsg head = { .nfgen_family = is->nfgen_family, .version = NFNETLINK_V0 };
    netlink_batch_begin(b, "forget a connection", CT_MESSAGE(IPCTNL_MSG_CT_DELETE), 0, &head, sizeof head);
    copy_attribute(b, m, CTA_TUPLE_ORIG);
    copy_attribute(b, m, CTA_ZONE);
    copy_attribute(b, m, CTA_ID); /* one that began anew meanwhile is another, and stays */
    return NULL;
}

/* ---- deletion by filter ---- */

static void begin_filter(struct netlink_batch *b, int family, uint32_t orig, uint32_t reply)
{
    const struct nfgenmsg head = { .nfgen_family = (uint8_t)family, .version = NFNETLINK_V0 };
    netlink_batch_begin(b, "forget connections", CT_MESSAGE(IPCTNL_MSG_CT_DELETE), 0, &head, sizeof head);
    size_t nest = netlink_batch_nest(b, CTA_FILTER);
    netlink_batch_add_u32(b, CTA_FILTER_ORIG_FLAGS, orig);
    netlink_batch_add_u32(b, CTA_FILTER_REPLY_FLAGS, reply);
    netlink_batch_end_nest(b, nest);
}

/* What begins at an address, in one of its directions. */
static void filter_from(struct netlink_batch *b, const struct ip *ip, uint16_t direction)
{
    const bool orig = direction == CTA_TUPLE_ORIG;
    begin_filter(b, ip->family, orig ? FILTER_FROM : 0, orig ? 0 : FILTER_FROM);
    size_t tuple = netlink_batch_nest(b, direction), part = netlink_batch_nest(b, CTA_TUPLE_IP);
    netlink_batch_add(b, ip->family == AF_INET ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, ip->bytes, ip_size(ip));
    netlink_batch_end_nest(b, part);
    netlink_batch_end_nest(b, tuple);
}

/* status: its bits among mask. */
static void filter_port(struct netlink_batch *b, const struct conntrack_udp *u, uint32_t mask, uint32_t status)
{
    begin_filter(b, u->at.family, FILTER_PROTO | FILTER_TO_PORT | (u->any ? 0 : FILTER_TO), 0);
    size_t tuple = netlink_batch_nest(b, CTA_TUPLE_ORIG), part = netlink_batch_nest(b, CTA_TUPLE_IP);
    if (!u->any)
        netlink_batch_add(b, u->at.family == AF_INET ? CTA_IP_V4_DST : CTA_IP_V6_DST, u->at.bytes, ip_size(&u->at));
    netlink_batch_end_nest(b, part);
    part = netlink_batch_nest(b, CTA_TUPLE_PROTO);
    netlink_batch_add_u8(b, CTA_PROTO_NUM, IPPROTO_UDP);
    netlink_batch_add_u16(b, CTA_PROTO_DST_PORT, htobe16(u->port));
    netlink_batch_end_nest(b, part);
    netlink_batch_end_nest(b, tuple);
    if (!mask)
        return;
    netlink_batch_add_u32(b, CTA_STATUS, htobe32(status));
    netlink_batch_add_u32(b, CTA_STATUS_MASK, htobe32(mask));
}

/* What is_to_port() says of a port, in filters: those that are masqueraded alone are left out by two that need them not
 * to be. There is none for what leads elsewhere than somewhere. */
static bool add_filters(const struct conntrack_stale *s, struct netlink_batch *b)
{
    for (size_t i = 0; i < s->ips_n; i++) {
        filter_from(b, &s->ips[i], CTA_TUPLE_ORIG);
        filter_from(b, &s->ips[i], CTA_TUPLE_REPLY);
    }
    for (size_t i = 0; i < s->udp_n && b->n <= FILTERS_MAX; i++) {
        const struct conntrack_udp *u = &s->udp[i];
        if (ip_is_set(&u->to) && !s->fresh)
            return false;
        if (u->any) {
            filter_port(b, u, IPS_SRC_NAT | IPS_DST_NAT, 0);
            filter_port(b, u, IPS_DST_NAT, IPS_DST_NAT);
        } else {
            filter_port(b, u, 0, 0);
        }
    }
    return b->n <= FILTERS_MAX;
}

/* *ret: whether that was possible. Kernels before 6.8 take the filter for a whole tuple, and miss parts of it. */
static fallible delete_by_filter(int sock, const struct conntrack_stale *s, bool *ret)
{
    own(netlink_batch) struct netlink_batch b = { 0 };
    *ret = add_filters(s, &b);
    if (!*ret)
        return NULL;
    err *e = netlink_batch_ask(sock, &b);
    *ret = err_errno(e) != EINVAL;
    if (*ret)
        return e;
    err_free(e);
    return NULL;
}

/* ---- asking ---- */

static err *read_count(void *ctx, const struct nlmsghdr *m)
{
    size_t len = 0;
    uint32_t n = 0;
    const struct nlattr *a = netlink_find(m, sizeof(struct nfgenmsg), CTA_STATS_GLOBAL_ENTRIES, &len);
    if (a && len >= sizeof n)
        memcpy(&n, a + 1, sizeof n);
    *(uint32_t *)ctx = be32toh(n);
    return NULL;
}

static fallible delete_each(int sock, const struct conntrack_stale *s)
{
    static const struct nfgenmsg any = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 };
    struct netlink_request r;
    struct found f = { .stale = s };
    netlink_begin(&r, CT_MESSAGE(IPCTNL_MSG_CT_GET), NLM_F_DUMP, &any, sizeof any);
    err *e = netlink_ask(sock, &r, look_at_one, &f);
    for (size_t i = 0; i < f.n; i++) {
        if (!e)
            e = netlink_batch_ask(sock, &f.deletions[i]);
        if (err_errno(e) == ENOENT) { /* it ended by itself */
            err_free(e);
            e = NULL;
        }
        netlink_batch_clear(&f.deletions[i]);
    }
    free(f.deletions);
    return e;
}

fallible conntrack_forget(int sock, const struct conntrack_stale *s)
{
    static const struct nfgenmsg any = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 };
    struct netlink_request r;
    uint32_t count = 0;
    bool done = false;
    if (!s->ips_n && !s->udp_n)
        return NULL;
    netlink_begin(&r, CT_MESSAGE(IPCTNL_MSG_CT_GET_STATS), 0, &any, sizeof any);
    TRY_AS(netlink_ask(sock, &r, read_count, &count), "count the kernel's connections");
    if (!count)
        return NULL;
    TRY_AS(delete_by_filter(sock, s, &done), "the kernel's connections");
    return done ? NULL : err_wrap(delete_each(sock, s), "the kernel's connections");
}
