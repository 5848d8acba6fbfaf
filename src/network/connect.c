// SPDX-License-Identifier: GPL-2.0-or-later
#include "network/connect.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_bridge.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <string.h>
#include <time.h>

#include "network/big_tcp.h"
#include "network/connect_parts.h"
#include "network/dhcp_client.h"
#include "os/fault.h"
#include "os/fs.h"
#include "os/netlink.h"

void network_link_clear(struct network_link *l)
{
    free(l->parent);
    free(l->name);
    free(l->routes);
    free(l->mode);
    free(l->hostname);
    free(l->lease);
    *l = (struct network_link){ 0 };
}

void network_plan_clear(struct network_plan *p)
{
    for (size_t i = 0; i < p->links_n; i++)
        network_link_clear(&p->links[i]);
    free(p->links);
    free(p->ports);
    free(p->reach);
    free(p->who);
    *p = (struct network_plan){ 0 };
}

struct firewall_part network_plan_part(const struct network_plan *p)
{
    return (struct firewall_part){ p->ports, p->reach, p->ports_n, p->reach_n, p->who, p->who_n };
}

void network_host_name(const char *id, int64_t position, char ret[IFNAMSIZ])
{
    (void)snprintf(ret, IFNAMSIZ, NETWORK_HOST_PREFIX "%.9s.%u", id, (unsigned char)position);
}

fallible network_open_netns(pid_t pid, int *ret)
{
    char path[48];
    (void)snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    *ret = open(path, O_RDONLY | O_CLOEXEC);
    return *ret < 0 ? err_sys(errno, "open '%s'", path) : NULL;
}

/* The container's end, as it is to be there: on both ways to make it. */
static void add_inside(struct netlink_batch *b, const struct network_link *l)
{
    netlink_batch_add_text(b, IFLA_IFNAME, l->name);
    if (l->kind != NETWORK_IPVLAN) /* which has its parent's */
        netlink_batch_add(b, IFLA_ADDRESS, l->mac, sizeof l->mac);
    if (l->mtu)
        netlink_batch_add_u32(b, IFLA_MTU, (uint32_t)l->mtu);
    if (l->big)
        big_tcp_add_sender(b);
}

static const struct ifinfomsg down = { 0 };

static void add_pair(struct netlink_batch *b, const struct network_link *l, int netns)
{
    netlink_batch_begin(b, "make the pair of interfaces", RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &down, sizeof down);
    netlink_batch_add_text(b, IFLA_IFNAME, l->host);
    netlink_batch_add_u32(b, IFLA_MASTER, l->index);
    if (l->mtu)
        netlink_batch_add_u32(b, IFLA_MTU, (uint32_t)l->mtu);
    if (l->big)
        big_tcp_add(b);
    size_t info = netlink_batch_nest(b, IFLA_LINKINFO);
    netlink_batch_add_text(b, IFLA_INFO_KIND, "veth");
    size_t data = netlink_batch_nest(b, IFLA_INFO_DATA);
    size_t peer = netlink_batch_nest(b, VETH_INFO_PEER);
    netlink_batch_add_raw(b, &down, sizeof down);
    add_inside(b, l);
    netlink_batch_add_u32(b, IFLA_NET_NS_FD, (uint32_t)netns);
    netlink_batch_end_nest(b, peer);
    netlink_batch_end_nest(b, data);
    netlink_batch_end_nest(b, info);
}

static uint32_t macvlan_mode(const char *mode)
{
    static const char *const words[] = { "bridge", "private", "vepa", "passthru" };
    static const uint32_t modes[] = { MACVLAN_MODE_BRIDGE, MACVLAN_MODE_PRIVATE, MACVLAN_MODE_VEPA,
                                      MACVLAN_MODE_PASSTHRU };
    for (size_t i = 0; mode && i < ARRAY_SIZE(words); i++)
        if (str_eq(mode, words[i]))
            return modes[i];
    return MACVLAN_MODE_BRIDGE;
}

static uint16_t ipvlan_mode(const char *mode)
{
    return str_eq(mode, "l3") ? IPVLAN_MODE_L3 : str_eq(mode, "l3s") ? IPVLAN_MODE_L3S : IPVLAN_MODE_L2;
}

static void add_child(struct netlink_batch *b, const struct network_link *l, int netns)
{
    netlink_batch_begin(b, "make the interface", RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &down, sizeof down);
    netlink_batch_add_u32(b, IFLA_LINK, l->index);
    netlink_batch_add_u32(b, IFLA_NET_NS_FD, (uint32_t)netns);
    add_inside(b, l);
    size_t info = netlink_batch_nest(b, IFLA_LINKINFO);
    netlink_batch_add_text(b, IFLA_INFO_KIND, l->kind == NETWORK_MACVLAN ? "macvlan" : "ipvlan");
    size_t data = netlink_batch_nest(b, IFLA_INFO_DATA);
    if (l->kind == NETWORK_MACVLAN)
        netlink_batch_add_u32(b, IFLA_MACVLAN_MODE, macvlan_mode(l->mode));
    else
        netlink_batch_add_u16(b, IFLA_IPVLAN_MODE, ipvlan_mode(l->mode));
    netlink_batch_end_nest(b, data);
    netlink_batch_end_nest(b, info);
}

/* The container's last run may be over while the kernel still takes its namespace down, and the host's end with it. */
static fallible remove_stale(int host, const struct network_link *l, bool *ret_there)
{
    unsigned index;
    TRY(link_index(host, l->host, &index));
    *ret_there = index != 0;
    return index ? link_remove(host, l->host) : NULL;
}

static fallible make_interface(int host, const struct network_link *l, int netns)
{
    own(netlink_batch) struct netlink_batch b = { 0 };
    if (l->kind == NETWORK_BRIDGE)
        add_pair(&b, l, netns);
    else
        add_child(&b, l, netns);
    err *e = netlink_batch_ask(host, &b);
    bool again = false;
    if (err_errno(e) == EEXIST && l->kind == NETWORK_BRIDGE) {
        TRY(remove_stale(host, l, &again));
        if (again) {
            err_free(e);
            e = netlink_batch_ask(host, &b);
        }
    }
    if (err_errno(e) == EEXIST) {
        err_free(e);
        return err_new(ERR_EXISTS,
                       "there already is an interface '%s': choose another with --network ...:interface=NAME", l->name);
    }
    if (err_errno(e) == EOPNOTSUPP) {
        static const char *const kinds[] = { "veth", "macvlan", "ipvlan" };
        err_free(e);
        return err_new(ERR_UNSUPPORTED,
                       "this kernel has no %s interfaces: load its module '%s', or use a network of another "
                       "driver",
                       kinds[l->kind], kinds[l->kind]);
    }
    return e;
}

/*
 * Of the host's end. Where the container is, the bridge is told: a container that was there a moment ago may have had
 * the same address, and what is sent to it before it has sent anything itself would go to the other's end. For good
 * ("sticky", Linux 4.20; older kernels pass over the word): else a neighbour that sends from this address, for which
 * NET_RAW is enough, would be sent what is meant for this one.
 */
static fallible set_port(int host, const struct network_link *l)
{
    own(netlink_batch) struct netlink_batch b = { 0 };
    unsigned index;
    if (l->kind != NETWORK_BRIDGE)
        return NULL;
    TRY(link_index(host, l->host, &index));
    const struct ndmsg where = {
        .ndm_family = PF_BRIDGE,
        .ndm_ifindex = (int)index,
        .ndm_state = NUD_NOARP,
        .ndm_flags = NTF_MASTER | NTF_STICKY,
    };
    network_set_up(&b, index, false); /* a bridge's port needs no address */
    if (l->hairpin || l->apart) {
        const struct ifinfomsg port = { .ifi_family = PF_BRIDGE, .ifi_index = (int)index };
        netlink_batch_begin(&b, "set the bridge's port", RTM_SETLINK, 0, &port, sizeof port);
        size_t info = netlink_batch_nest(&b, IFLA_PROTINFO);
        if (l->hairpin)
            netlink_batch_add_u8(&b, IFLA_BRPORT_MODE, 1);
        if (l->apart)
            netlink_batch_add_u8(&b, IFLA_BRPORT_ISOLATED, 1);
        netlink_batch_end_nest(&b, info);
    }
    netlink_batch_begin(&b, "tell the bridge where it is", RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE, &where,
                        sizeof where);
    netlink_batch_add(&b, NDA_LLADDR, l->mac, sizeof l->mac);
    return netlink_batch_ask(host, &b);
}

struct way {
    const struct prefix *to; /* NULL: the default route */
    const struct ip *via;
    uint32_t metric; /* 0: the kernel's */
};

static void add_route(struct netlink_batch *b, uint16_t how, unsigned index, const struct way *w, int mtu)
{
    const struct prefix *to = w->to;
    const struct ip *via = w->via;
    const struct rtmsg r = {
        .rtm_family = (unsigned char)via->family,
        .rtm_dst_len = to ? (unsigned char)to->len : 0,
        .rtm_table = RT_TABLE_MAIN,
        .rtm_protocol = RTPROT_STATIC,
        .rtm_type = RTN_UNICAST,
        .rtm_flags = RTNH_F_ONLINK, /* a gateway may be outside of the subnet */
    };
    netlink_batch_begin(b, "add a route", RTM_NEWROUTE, NLM_F_CREATE | how, &r, sizeof r);
    if (to)
        netlink_batch_add(b, RTA_DST, to->ip.bytes, ip_size(&to->ip));
    netlink_batch_add(b, RTA_GATEWAY, via->bytes, ip_size(via));
    netlink_batch_add_u32(b, RTA_OIF, index);
    if (w->metric)
        netlink_batch_add_u32(b, RTA_PRIORITY, w->metric);
    if (mtu) {
        size_t metrics = netlink_batch_nest(b, RTA_METRICS);
        netlink_batch_add_u32(b, RTAX_MTU, (uint32_t)mtu);
        netlink_batch_end_nest(b, metrics);
    }
}

static fallible configure_inside(int inside, const struct network_link *l)
{
    own(netlink_batch) struct netlink_batch b = { 0 };
    unsigned index;
    TRY(link_index(inside, l->name, &index));
    network_set_up(&b, index, ip_is_set(&l->ip6.ip));
    network_add_address(&b, index, &l->ip4);
    network_add_address(&b, index, &l->ip6);
    for (size_t i = 0; i < l->further_n; i++)
        network_add_address(&b, index, &l->further[i]);
    if (ip_is_set(&l->gateway4))
        add_route(&b, NLM_F_EXCL, index, &(struct way){ .via = &l->gateway4, .metric = l->metric }, l->outer_mtu);
    if (ip_is_set(&l->gateway6))
        add_route(&b, NLM_F_EXCL, index, &(struct way){ .via = &l->gateway6, .metric = l->metric }, l->outer_mtu);
    for (size_t i = 0; i < l->routes_n; i++)
        add_route(&b, NLM_F_EXCL, index, &(struct way){ &l->routes[i].to, &l->routes[i].via, l->routes[i].metric },
                  l->outer_mtu);
    return netlink_batch_ask(inside, &b);
}

/* What comes to the container is what the host's end sends; what leaves it, its own. */
static fallible limit_rate(int host, int inside, const struct network_link *l)
{
    unsigned index;
    if (l->rate.in) {
        if (l->kind != NETWORK_BRIDGE)
            return err_new(ERR_UNSUPPORTED, "limit the rate: what comes in by macvlan or ipvlan passes no queue of the "
                                            "host's: give out= alone, or use a bridge");
        TRY(link_index(host, l->host, &index));
        TRY(rate_set(host, index, l->rate.in));
    }
    if (!l->rate.out)
        return NULL;
    TRY(link_index(inside, l->name, &index));
    return rate_set(inside, index, l->rate.out);
}

enum { UP_TRIES = 100, UP_PAUSE_NS = 50000000 };

/* A macvlan is refused while its parent has another of that hardware address. The container's own of its last run is
 * there until the kernel has taken that namespace down, in a moment of its own; a stranger's stays. */
static fallible set_up_patiently(int inside, const struct network_link *l)
{
    unsigned index;
    TRY(link_index(inside, l->name, &index));
    for (int tries = 1;; tries++) {
        own(netlink_batch) struct netlink_batch b = { 0 };
        network_set_up(&b, index, ip_is_set(&l->ip6.ip));
        err *e = netlink_batch_ask(inside, &b);
        if (err_errno(e) != EADDRINUSE || tries == UP_TRIES)
            return e;
        err_ignore(e, "asked again in a moment");
        (void)nanosleep(&(struct timespec){ .tv_nsec = UP_PAUSE_NS }, NULL);
    }
}

static fallible make_link(int host, int inside, int netns, const struct network_link *l)
{
    TRY(make_interface(host, l, netns));
    err *e = set_port(host, l);
    if (!e && l->small)
        e = big_tcp_set(host, l->index);
    if (!e && l->kind == NETWORK_MACVLAN)
        e = set_up_patiently(inside, l);
    if (!e)
        e = configure_inside(inside, l);
    if (!e)
        e = limit_rate(host, inside, l);
    if (e)
        err_ignore(link_remove(inside, l->name), "the first error says what went wrong");
    return err_wrap(e, "interface '%s'", l->name);
}

/* ---- leases ------------------------------------------------------------------------------------------------------ */

/* The file first: who is killed behind it has noted what is to be given back. */
static fallible keep_lease(struct dhcp_client *c, int inside, int dir_fd)
{
    TRY(dhcp_acquire(c));
    TRY(dhcp_file_write(dir_fd, c));
    fault_here(FAULT_LEASED);
    return dhcp_apply(inside, c, NULL);
}

/* Without an error where there is none. */
static void give_back(const char *interface, int netns, int dir_fd)
{
    struct dhcp_client c, at = { 0 };
    err *e = dir_fd < 0 ? err_new(ERR_NOT_FOUND, "no folder") : dhcp_file_read(dir_fd, interface, &c);
    if (!e)
        e = dhcp_client_open(&at, netns, interface);
    if (!e) {
        c.sock = at.sock;
        c.index = at.index;
        dhcp_client_release(&c);
        dhcp_client_close(&c);
        dhcp_file_remove(dir_fd, interface);
    }
    err_ignore(e, "there is none, or it ends by itself");
}

static fallible get_lease(const struct network_link *l, int netns, int inside, int dir_fd, struct dhcp_lease *ret,
                          int *ret_sock)
{
    struct dhcp_client c = { .gateway = l->dhcp_route };
    (void)snprintf(c.hostname, sizeof c.hostname, "%.64s", l->hostname ? l->hostname : "");
    err *e = dhcp_client_open(&c, netns, l->name);
    if (!e)
        e = keep_lease(&c, inside, dir_fd);
    *ret = c.lease;
    if (e || !ret_sock)
        dhcp_client_close(&c);
    if (e) {
        give_back(l->name, netns, dir_fd);
        return err_wrap(e, "interface '%s'", l->name);
    }
    if (ret_sock)
        *ret_sock = c.sock;
    return NULL;
}

static fallible get_leases(const struct network_plan *p, int netns, int inside, int dir_fd)
{
    for (size_t i = 0; i < p->links_n; i++) {
        struct dhcp_lease lease;
        int sock = -1;
        if (!p->links[i].dhcp)
            continue;
        TRY(get_lease(&p->links[i], netns, inside, dir_fd, &lease, p->leased ? &sock : NULL));
        if (p->leased)
            TRY(p->leased(p->leased_ctx, i, &lease, sock));
    }
    return NULL;
}

/* ---- one link, and all ------------------------------------------------------------------------------------------- */

fallible network_link_make(const struct network_link *l, pid_t pid, int dir_fd)
{
    struct dhcp_lease lease;
    own_fd int netns = -1, host = -1, inside = -1;
    TRY(network_open_netns(pid, &netns));
    TRY(netlink_open(&host));
    TRY(netlink_open_in(netns, &inside));
    TRY(make_link(host, inside, netns, l));
    err *e = l->dhcp ? get_lease(l, netns, inside, dir_fd, &lease, NULL) : NULL;
    if (e)
        err_ignore(link_remove(inside, l->name), "the first error says what went wrong");
    return e;
}

fallible network_link_remove(const char *name, pid_t pid, int dir_fd)
{
    own_fd int netns = -1, inside = -1;
    TRY(network_open_netns(pid, &netns));
    give_back(name, netns, dir_fd);
    TRY(netlink_open_in(netns, &inside));
    return link_remove(inside, name);
}

static fallible add_default(int inside, unsigned index, const struct ip *gateway, const struct network_link *l)
{
    own(netlink_batch) struct netlink_batch b = { 0 };
    if (!ip_is_set(gateway))
        return NULL;
    add_route(&b, l->preferred ? NLM_F_REPLACE : NLM_F_EXCL, index,
              &(struct way){ .via = gateway, .metric = l->metric }, l->outer_mtu);
    err *e = netlink_batch_ask(inside, &b);
    if (err_errno(e) != EEXIST)
        return e;
    err_free(e);
    return NULL;
}

fallible network_link_routes(const struct network_link *l, pid_t pid)
{
    own_fd int netns = -1, inside = -1;
    unsigned index;
    TRY(network_open_netns(pid, &netns));
    TRY(netlink_open_in(netns, &inside));
    TRY(link_index(inside, l->name, &index));
    if (!index)
        return NULL;
    TRY(add_default(inside, index, &l->gateway4, l));
    return add_default(inside, index, &l->gateway6, l);
}

fallible network_link_hairpin(const struct network_link *l)
{
    own_fd int host = -1;
    TRY(netlink_open(&host));
    return set_port(host, l);
}

fallible network_connect(const struct network_plan *p, int netns, int dir_fd)
{
    own_fd int host = -1, inside = -1;
    size_t made = 0;
    TRY(netlink_open(&host));
    TRY(netlink_open_in(netns, &inside));
    const struct firewall_part part = network_plan_part(p);
    TRY(firewall_note(dir_fd, &part));
    fault_here(FAULT_NOTED);
    err *e = NULL;
    while (!e && made < p->links_n)
        if (!(e = make_link(host, inside, netns, &p->links[made])))
            made++;
    fault_here(FAULT_LINKED);
    if (!e)
        e = get_leases(p, netns, inside, dir_fd);
    if (!e)
        e = firewall_add_part(&part);
    fault_here(FAULT_PUBLISHED);
    if (!e)
        return NULL;
    while (made-- > 0) {
        give_back(p->links[made].name, netns, p->links[made].dhcp ? dir_fd : -1);
        err_ignore(link_remove(inside, p->links[made].name), "the first error says what went wrong");
    }
    err_ignore(firewall_withdraw(dir_fd, NULL), "the first error says what went wrong");
    return e;
}
