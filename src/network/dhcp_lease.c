// SPDX-License-Identifier: GPL-2.0-or-later
/* What a lease is in a namespace, and in a file. */
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "network/dhcp_client.h"
#include "os/fs.h"
#include "os/netlink.h"

/* ---- in the namespace ---------------------------------------------------------------------------------------------
 */

static uint32_t left_s(const struct dhcp_client *c)
{
    uint64_t held = (dhcp_now_ms() - c->leased_ms) / 1000;
    return held < c->lease.lease_s ? (uint32_t)(c->lease.lease_s - held) : 1;
}

static void address(struct netlink_batch *b, uint16_t type, uint16_t flags, const struct dhcp_client *c,
                    const struct prefix *p)
{
    const struct ifaddrmsg a = { .ifa_family = AF_INET, .ifa_prefixlen = (uint8_t)p->len, .ifa_index = c->index };
    netlink_batch_begin(b, type == RTM_NEWADDR ? "add the address" : "remove the address", type, flags, &a, sizeof a);
    netlink_batch_add(b, IFA_LOCAL, p->ip.bytes, 4);
    netlink_batch_add(b, IFA_ADDRESS, p->ip.bytes, 4);
    if (type != RTM_NEWADDR)
        return;
    if (p->len < 31) {
        struct ip last = prefix_last(p);
        netlink_batch_add(b, IFA_BROADCAST, last.bytes, 4);
    }
    /* 0xffffffff is for ever, to DHCP (RFC 2131, 3.3) as to the kernel. */
    const uint32_t left = c->lease.lease_s == UINT32_MAX ? UINT32_MAX : left_s(c);
    const struct ifa_cacheinfo holds = { .ifa_prefered = left, .ifa_valid = left };
    netlink_batch_add(b, IFA_CACHEINFO, &holds, sizeof holds);
}

/* via none: on the link itself. to none: the default route. */
static void route(struct netlink_batch *b, const struct dhcp_client *c, const struct prefix *to, const struct ip *via)
{
    const struct rtmsg r = {
        .rtm_family = AF_INET,
        .rtm_dst_len = to ? (unsigned char)to->len : 0,
        .rtm_table = RT_TABLE_MAIN,
        .rtm_protocol = RTPROT_DHCP,
        .rtm_type = RTN_UNICAST,
        .rtm_scope = ip_is_set(via) ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK,
        .rtm_flags = ip_is_set(via) ? RTNH_F_ONLINK : 0,
    };
    netlink_batch_begin(b, "add a route of the lease's", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, &r, sizeof r);
    if (to && to->len)
        netlink_batch_add(b, RTA_DST, to->ip.bytes, 4);
    if (ip_is_set(via))
        netlink_batch_add(b, RTA_GATEWAY, via->bytes, 4);
    netlink_batch_add_u32(b, RTA_OIF, c->index);
}

fallible dhcp_take_away(int inside, const struct dhcp_client *c, const struct dhcp_lease *old)
{
    own(netlink_batch) struct netlink_batch b = { 0 };
    address(&b, RTM_DELADDR, 0, c, &old->ip); /* the kernel takes its routes with it */
    err *e = netlink_batch_ask(inside, &b);
    if (err_errno(e) != EADDRNOTAVAIL)
        return e;
    err_free(e);
    return NULL;
}

fallible dhcp_apply(int inside, const struct dhcp_client *c, const struct dhcp_lease *old)
{
    own(netlink_batch) struct netlink_batch b = { 0 };
    const struct ifinfomsg link = { .ifi_index = (int)c->index };
    const struct dhcp_lease *l = &c->lease;
    if (old && (!ip_equal(&old->ip.ip, &l->ip.ip) || old->ip.len != l->ip.len))
        TRY(dhcp_take_away(inside, c, old));
    address(&b, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, c, &l->ip);
    if (l->mtu) {
        netlink_batch_begin(&b, "set the lease's MTU", RTM_SETLINK, 0, &link, sizeof link);
        netlink_batch_add_u32(&b, IFLA_MTU, l->mtu);
    }
    /* First those on the link itself, by which gateways may be reached. */
    for (int on_link = 1; on_link >= 0; on_link--)
        for (size_t i = 0; i < l->routes_n; i++)
            if (ip_is_set(&l->routes[i].via) != on_link && (l->routes[i].to.len || c->gateway))
                route(&b, c, &l->routes[i].to, &l->routes[i].via);
    if (ip_is_set(&l->router) && c->gateway)
        route(&b, c, NULL, &l->router);
    return netlink_batch_ask(inside, &b);
}

/* ---- in a file ----------------------------------------------------------------------------------------------------
 */

static void file_of(const char *interface, char ret[sizeof DHCP_FILE_PREFIX + IFNAMSIZ])
{
    (void)snprintf(ret, sizeof DHCP_FILE_PREFIX + IFNAMSIZ, DHCP_FILE_PREFIX "%s", interface);
}

fallible dhcp_file_write(int dir_fd, const struct dhcp_client *c)
{
    char name[sizeof DHCP_FILE_PREFIX + IFNAMSIZ], bytes[DHCP_FILE_MAX];
    const uint8_t *m = c->server_mac;
    file_of(c->interface, name);
    int n = snprintf(bytes, sizeof bytes, "%llu %02x%02x%02x%02x%02x%02x %d %.64s\n", (unsigned long long)c->leased_ms,
                     m[0], m[1], m[2], m[3], m[4], m[5], c->gateway, c->hostname);
    memcpy(bytes + n, c->message, c->message_n);
    return fs_replace_at(dir_fd, name, bytes, (size_t)n + c->message_n, 0600, FS_SYNC_NONE);
}

/* A line that is not as it was written, or a message that is none. */
static bool parse_file(const char *bytes, size_t n, struct dhcp_client *ret)
{
    const char *end = memchr(bytes, '\n', n);
    unsigned long long leased;
    unsigned mac[6];
    int gateway, at = 0;
    enum dhcp_type type;
    if (!end ||
        sscanf(bytes, "%llu %2x%2x%2x%2x%2x%2x %d %n", &leased, &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5],
               &gateway, &at) != 8 ||
        !at || bytes + at > end || end - bytes - at >= (ptrdiff_t)sizeof ret->hostname)
        return false;
    ret->message_n = n - (size_t)(end + 1 - bytes);
    if (ret->message_n > sizeof ret->message || ret->message_n < 34)
        return false;
    for (size_t i = 0; i < 6; i++)
        ret->server_mac[i] = (uint8_t)mac[i];
    memcpy(ret->hostname, bytes + at, (size_t)(end - bytes - at));
    memcpy(ret->message, end + 1, ret->message_n);
    memcpy(ret->mac, ret->message + 28, sizeof ret->mac);
    ret->gateway = gateway != 0;
    ret->leased_ms = leased;
    return dhcp_read(ret->message, ret->message_n, dhcp_xid(ret->message, ret->message_n), ret->mac, &type,
                     &ret->lease) &&
           type == DHCP_ACK;
}

fallible dhcp_file_read(int dir_fd, const char *interface, struct dhcp_client *ret)
{
    char name[sizeof DHCP_FILE_PREFIX + IFNAMSIZ];
    own_mem char *bytes = NULL;
    size_t n = 0;
    file_of(interface, name);
    *ret = (struct dhcp_client){ .sock = -1, .state = DHCP_BOUND };
    (void)snprintf(ret->interface, sizeof ret->interface, "%s", interface);
    TRY(fs_read_at(dir_fd, name, DHCP_FILE_MAX, &bytes, &n));
    if (!parse_file(bytes, n, ret))
        return err_new(ERR_CORRUPT, "'%s' is no lease", name);
    ret->due_ms = ret->leased_ms + (uint64_t)ret->lease.renew_s * 1000;
    return NULL;
}

void dhcp_file_remove(int dir_fd, const char *interface)
{
    char name[sizeof DHCP_FILE_PREFIX + IFNAMSIZ];
    file_of(interface, name);
    (void)unlinkat(dir_fd, name, 0);
}
