// SPDX-License-Identifier: GPL-2.0-or-later
#include "network/big_tcp.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <string.h>

/* linux/if_link.h, by number: the headers that this is built with may be older than the kernel that it runs on. */
enum { GSO_MAX_SEGS = 40, GSO_MAX_SIZE = 41, GSO_IPV4_MAX_SIZE = 63 };
/* The kernel's own. */
enum { GSO_LEGACY_MAX_SIZE = 65536, GSO_LEGACY_MAX_SEGS = 65535 };

/* 0: the kernel does not say. */
static uint32_t limit_of(const struct nlmsghdr *m, uint16_t attribute)
{
    size_t n = 0;
    uint32_t limit = 0;
    const struct nlattr *a =
        m->nlmsg_type == RTM_NEWLINK ? netlink_find(m, sizeof(struct ifinfomsg), attribute, &n) : NULL;
    if (a && n >= sizeof limit)
        memcpy(&limit, a + 1, sizeof limit);
    return limit;
}

bool big_tcp_is_known(const struct nlmsghdr *m)
{
    return limit_of(m, GSO_IPV4_MAX_SIZE) != 0;
}

bool big_tcp_is_set(const struct nlmsghdr *m)
{
    return limit_of(m, GSO_MAX_SIZE) >= BIG_TCP_SIZE && limit_of(m, GSO_IPV4_MAX_SIZE) >= BIG_TCP_SIZE;
}

void big_tcp_add(struct netlink_batch *b)
{
    netlink_batch_add_u32(b, GSO_MAX_SIZE, BIG_TCP_SIZE);
    netlink_batch_add_u32(b, GSO_IPV4_MAX_SIZE, BIG_TCP_SIZE);
}

void big_tcp_add_sender(struct netlink_batch *b)
{
    big_tcp_add(b);
    netlink_batch_add_u32(b, GSO_MAX_SEGS, BIG_TCP_SEGMENTS);
}

fallible big_tcp_set(int sock, unsigned index)
{
    own(netlink_batch) struct netlink_batch b = { 0 };
    const struct ifinfomsg link = { .ifi_index = (int)index };
    netlink_batch_begin(&b, "let it send larger packets", RTM_SETLINK, 0, &link, sizeof link);
    big_tcp_add(&b);
    err *e = netlink_batch_ask(sock, &b);
    if (err_errno(e) != EINVAL) /* more than its ports take */
        return e;
    err_free(e);
    return NULL;
}

struct loopback {
    int index;
    bool untouched;
};

static err *read_loopback(void *ctx, const struct nlmsghdr *m)
{
    struct loopback *lo = ctx;
    struct ifinfomsg info;
    if (m->nlmsg_type != RTM_NEWLINK || m->nlmsg_len < NLMSG_LENGTH(sizeof info))
        return NULL;
    memcpy(&info, NLMSG_DATA(m), sizeof info);
    lo->index = info.ifi_index;
    lo->untouched =
        limit_of(m, GSO_IPV4_MAX_SIZE) == GSO_LEGACY_MAX_SIZE && limit_of(m, GSO_MAX_SEGS) == GSO_LEGACY_MAX_SEGS;
    return NULL;
}

fallible big_tcp_widen_loopback(int sock)
{
    own(netlink_batch) struct netlink_batch b = { 0 };
    struct netlink_request r;
    struct loopback lo = { 0 };
    const struct ifinfomsg any = { 0 };
    netlink_begin(&r, RTM_GETLINK, 0, &any, sizeof any);
    netlink_add_text(&r, IFLA_IFNAME, "lo");
    TRY(netlink_ask(sock, &r, read_loopback, &lo));
    if (!lo.untouched)
        return NULL;
    const struct ifinfomsg link = { .ifi_index = lo.index };
    netlink_batch_begin(&b, "let it send larger packets", RTM_SETLINK, 0, &link, sizeof link);
    netlink_batch_add_u32(&b, GSO_IPV4_MAX_SIZE, BIG_TCP_SIZE);
    netlink_batch_add_u32(&b, GSO_MAX_SEGS, BIG_TCP_SEGMENTS);
    return netlink_batch_ask(sock, &b);
}
