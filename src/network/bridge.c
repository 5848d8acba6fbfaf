// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/if_bridge.h>
#include <linux/rtnetlink.h>
#include <string.h>

#include "base/parse.h"
#include "network/big_tcp.h"
#include "network/connect_parts.h"
#include "os/fs.h"
#include "os/netlink.h"

/* ---- looking ------------------------------------------------------------------------------------------------------
 */

static err *read_index(void *ctx, const struct nlmsghdr *m)
{
    struct ifinfomsg info;
    if (m->nlmsg_type == RTM_NEWLINK && m->nlmsg_len >= NLMSG_LENGTH(sizeof info)) {
        memcpy(&info, NLMSG_DATA(m), sizeof info);
        *(unsigned *)ctx = (unsigned)info.ifi_index;
    }
    return NULL;
}

fallible link_index(int sock, const char *name, unsigned *ret)
{
    struct netlink_request r;
    const struct ifinfomsg any = { 0 };
    *ret = 0;
    netlink_begin(&r, RTM_GETLINK, 0, &any, sizeof any);
    netlink_add_text(&r, IFLA_IFNAME, name);
    err *e = netlink_ask(sock, &r, read_index, ret);
    if (err_errno(e) != ENODEV)
        return err_wrap(e, "find '%s'", name);
    err_free(e);
    return NULL;
}

struct look {
    unsigned index;
    uint32_t mtu;
    bool can_big, is_big;
    char kind[16];
};

static err *read_look(void *ctx, const struct nlmsghdr *m)
{
    struct look *look = ctx;
    size_t n = 0;
    TRY(read_index(&look->index, m));
    const struct nlattr *info = netlink_find(m, sizeof(struct ifinfomsg), IFLA_LINKINFO, &n);
    const struct nlattr *kind = info ? netlink_find_in(info, IFLA_INFO_KIND, &n) : NULL;
    if (kind)
        (void)snprintf(look->kind, sizeof look->kind, "%.*s", (int)n, (const char *)(kind + 1));
    const struct nlattr *mtu = netlink_find(m, sizeof(struct ifinfomsg), IFLA_MTU, &n);
    if (mtu && n >= sizeof look->mtu)
        memcpy(&look->mtu, mtu + 1, sizeof look->mtu);
    look->can_big = big_tcp_is_known(m);
    look->is_big = big_tcp_is_set(m);
    return NULL;
}

static fallible look_at(int sock, const char *name, struct look *ret)
{
    struct netlink_request r;
    const struct ifinfomsg any = { 0 };
    *ret = (struct look){ 0 };
    netlink_begin(&r, RTM_GETLINK, 0, &any, sizeof any);
    netlink_add_text(&r, IFLA_IFNAME, name);
    err *e = netlink_ask(sock, &r, read_look, ret);
    if (err_errno(e) != ENODEV)
        return err_wrap(e, "find '%s'", name);
    err_free(e);
    return NULL;
}

fallible link_look(int sock, const char *name, unsigned *ret_index, bool *ret_bridge)
{
    struct look look;
    TRY(look_at(sock, name, &look));
    *ret_index = look.index;
    *ret_bridge = str_eq(look.kind, "bridge");
    return NULL;
}

struct address {
    unsigned index;
    const struct prefix *within;
    struct prefix *ret;
};

static err *read_address(void *ctx, const struct nlmsghdr *m)
{
    const struct address *a = ctx;
    struct ifaddrmsg info;
    struct prefix p = { 0 };
    size_t n = 0;
    if (m->nlmsg_type != RTM_NEWADDR || m->nlmsg_len < NLMSG_LENGTH(sizeof info) || ip_is_set(&a->ret->ip))
        return NULL;
    memcpy(&info, NLMSG_DATA(m), sizeof info);
    p.ip.family = info.ifa_family;
    p.len = info.ifa_prefixlen;
    const struct nlattr *local = netlink_find(m, sizeof info, IFA_LOCAL, &n);
    if (!local)
        local = netlink_find(m, sizeof info, IFA_ADDRESS, &n);
    if (info.ifa_index != a->index || info.ifa_scope != RT_SCOPE_UNIVERSE || !local ||
        (p.ip.family != AF_INET && p.ip.family != AF_INET6) || n < ip_size(&p.ip))
        return NULL;
    memcpy(p.ip.bytes, local + 1, ip_size(&p.ip));
    if (!a->within || prefix_has(a->within, &p.ip))
        *a->ret = p;
    return NULL;
}

fallible link_address(int sock, unsigned index, int family, const struct prefix *within, struct prefix *ret)
{
    struct netlink_request r;
    const struct ifaddrmsg any = { .ifa_family = (uint8_t)family };
    *ret = (struct prefix){ 0 };
    netlink_begin(&r, RTM_GETADDR, NLM_F_DUMP, &any, sizeof any);
    return netlink_ask(sock, &r, read_address, &(struct address){ index, within, ret });
}

struct ports {
    unsigned bridge;
    struct strv *ret;
};

static err *read_port(void *ctx, const struct nlmsghdr *m)
{
    struct ports *ports = ctx;
    size_t n = 0;
    uint32_t master = 0;
    if (m->nlmsg_type != RTM_NEWLINK)
        return NULL;
    const struct nlattr *name = netlink_find(m, sizeof(struct ifinfomsg), IFLA_IFNAME, &n);
    if (!name || !n)
        return NULL;
    const struct nlattr *of = netlink_find(m, sizeof(struct ifinfomsg), IFLA_MASTER, &n);
    if (of && n >= sizeof master)
        memcpy(&master, of + 1, sizeof master);
    if (master == ports->bridge)
        strv_add(ports->ret, (const char *)(name + 1));
    return NULL;
}

fallible bridge_ports(int sock, unsigned index, struct strv *ret)
{
    struct netlink_request r;
    const struct ifinfomsg any = { 0 };
    netlink_begin(&r, RTM_GETLINK, NLM_F_DUMP, &any, sizeof any);
    return netlink_ask(sock, &r, read_port, &(struct ports){ index, ret });
}

struct clash {
    const struct prefix *subnet;
    unsigned but; /* routes through this one do not count */
    char *ret;
};

static err *read_route(void *ctx, const struct nlmsghdr *m)
{
    struct clash *c = ctx;
    struct rtmsg r;
    size_t n = 0, oif_n = 0;
    uint32_t oif = 0;
    if (m->nlmsg_type != RTM_NEWROUTE || m->nlmsg_len < NLMSG_LENGTH(sizeof r) || *c->ret)
        return NULL;
    memcpy(&r, NLMSG_DATA(m), sizeof r);
    struct prefix to = { .ip.family = r.rtm_family, .len = r.rtm_dst_len };
    const struct nlattr *dst = netlink_find(m, sizeof r, RTA_DST, &n);
    if (!dst || !r.rtm_dst_len || (r.rtm_family != AF_INET && r.rtm_family != AF_INET6) || n < ip_size(&to.ip) ||
        r.rtm_type == RTN_MULTICAST || r.rtm_type == RTN_BROADCAST || r.rtm_type == RTN_ANYCAST)
        return NULL;
    memcpy(to.ip.bytes, dst + 1, ip_size(&to.ip));
    const struct nlattr *via = netlink_find(m, sizeof r, RTA_OIF, &oif_n);
    if (via && oif_n >= sizeof oif)
        memcpy(&oif, via + 1, sizeof oif);
    char text[PREFIX_TEXT], name[IFNAMSIZ] = "";
    if (prefix_overlaps(&to, c->subnet) && (!oif || oif != c->but))
        (void)snprintf(c->ret, PREFIX_TEXT + 24, "%s%s%s", prefix_text(&to, text), oif ? " dev " : "",
                       oif && if_indextoname(oif, name) ? name : "");
    return NULL;
}

fallible route_clash(int sock, const struct prefix *subnet, const char *link, char ret[PREFIX_TEXT + 24])
{
    struct netlink_request r;
    struct clash c = { .subnet = subnet, .ret = ret };
    const struct rtmsg any = { .rtm_family = (unsigned char)subnet->ip.family };
    ret[0] = '\0';
    if (link)
        TRY(link_index(sock, link, &c.but));
    netlink_begin(&r, RTM_GETROUTE, NLM_F_DUMP, &any, sizeof any);
    return netlink_ask(sock, &r, read_route, &c);
}

/* ---- making -------------------------------------------------------------------------------------------------------
 */

static fallible write_switch(const char *value, const char *format, const char *name)
{
    own_mem char *path = mem_printf(format, name);
    own_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open '%s'", path);
    return fs_write_fd(fd, value, 1, path);
}

/* What is sent to a bridge for somewhere else must be passed on, and the loopback's address may pass it. */
static fallible set_switches(const struct network_bridge *b)
{
    if (netlink_has_door()) /* /proc/sys is our own namespace's; there, forwarding is on, and nothing comes from
                               loopback */
        return NULL;
    if (!b->internal && ip_is_set(&b->address4.ip))
        TRY(write_switch("1", "/proc/sys/net/ipv4/%s", "ip_forward"));
    if (!b->internal && ip_is_set(&b->address6.ip))
        TRY(write_switch("1", "/proc/sys/net/ipv6/conf/%s/forwarding", "all"));
    if (b->loopback && ip_is_set(&b->address4.ip))
        TRY(write_switch("1", "/proc/sys/net/ipv4/conf/%s/route_localnet", b->name));
    return NULL;
}

void network_add_address(struct netlink_batch *batch, unsigned index, const struct prefix *p)
{
    if (!ip_is_set(&p->ip))
        return;
    const struct ifaddrmsg a = {
        .ifa_family = (uint8_t)p->ip.family,
        .ifa_prefixlen = (uint8_t)p->len,
        .ifa_flags =
            IFA_F_PERMANENT | (p->ip.family == AF_INET6 ? IFA_F_NODAD : 0), /* the database keeps them unique */
        .ifa_index = index,
    };
    netlink_batch_begin(batch, "add an address", RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &a, sizeof a);
    netlink_batch_add(batch, IFA_LOCAL, p->ip.bytes, ip_size(&p->ip));
    netlink_batch_add(batch, IFA_ADDRESS, p->ip.bytes, ip_size(&p->ip));
    if (p->ip.family == AF_INET && p->len < 31) {
        struct ip last = prefix_last(p);
        netlink_batch_add(batch, IFA_BROADCAST, last.bytes, 4);
    }
}

/* Without IPv6 there are no link-local addresses either: each would cost the kernel its detection of duplicates. The
 * kernel takes that word only for an interface that is there, and it comes too late for one that is up. */
void network_set_up(struct netlink_batch *batch, unsigned index, bool ipv6)
{
    enum { NONE = 1 }; /* IN6_ADDR_GEN_MODE_NONE */
    const struct ifinfomsg link = { .ifi_index = (int)index };
    const struct ifinfomsg up = { .ifi_index = (int)index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
    if (!ipv6) {
        netlink_batch_begin(batch, "keep it from IPv6", RTM_SETLINK, 0, &link, sizeof link);
        size_t spec = netlink_batch_nest(batch, IFLA_AF_SPEC);
        size_t inet6 = netlink_batch_nest(batch, AF_INET6);
        netlink_batch_add_u8(batch, IFLA_INET6_ADDR_GEN_MODE, NONE);
        netlink_batch_end_nest(batch, inet6);
        netlink_batch_end_nest(batch, spec);
    }
    netlink_batch_begin(batch, "set it up", RTM_SETLINK, 0, &up, sizeof up);
}

static void bridge_mac(const struct network_bridge *b, uint8_t mac[6])
{
    mac_of_ip(ip_is_set(&b->address4.ip) ? &b->address4.ip : &b->address6.ip, mac);
}

/* The kernel's own link-local address (RFC 4291, appendix A), but at once: the kernel looks for duplicates of its own
 * for up to two seconds, and asks nobody for a hardware address before. What came by IPv6 for a container that had not
 * yet sent anything itself, through a published port, was lost in that time. */
static void add_link_local(struct netlink_batch *batch, unsigned index, const struct network_bridge *b)
{
    struct prefix p = { .ip = { .family = AF_INET6, .bytes = { 0xfe, 0x80 } }, .len = 64 };
    uint8_t mac[6];
    bridge_mac(b, mac);
    const uint8_t low[8] = { mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5] };
    memcpy(p.ip.bytes + 8, low, sizeof low);
    network_add_address(batch, index, &p);
}

static void add_bridge(struct netlink_batch *batch, const struct network_bridge *b)
{
    const struct ifinfomsg link = { 0 };
    uint8_t mac[6];
    netlink_batch_begin(batch, "make the bridge", RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link);
    netlink_batch_add_text(batch, IFLA_IFNAME, b->name);
    if (ip_is_set(&b->address4.ip) || ip_is_set(&b->address6.ip)) {
        bridge_mac(b, mac);
        netlink_batch_add(batch, IFLA_ADDRESS, mac, sizeof mac); /* else it would be that of its lowest port */
    }
    if (b->mtu)
        netlink_batch_add_u32(batch, IFLA_MTU, (uint32_t)b->mtu);
    size_t info = netlink_batch_nest(batch, IFLA_LINKINFO);
    netlink_batch_add_text(batch, IFLA_INFO_KIND, "bridge");
    if (b->vlan) {
        size_t data = netlink_batch_nest(batch, IFLA_INFO_DATA);
        netlink_batch_add_u8(batch, IFLA_BR_VLAN_FILTERING, 1);
        netlink_batch_add_u16(batch, IFLA_BR_VLAN_DEFAULT_PVID, (uint16_t)b->vlan);
        netlink_batch_end_nest(batch, data);
    }
    netlink_batch_end_nest(batch, info);
}

/* Said of a bridge that is there, it holds: an MTU of its making would go with its last port. */
static void set_mtu(struct netlink_batch *batch, unsigned index, int mtu)
{
    const struct ifinfomsg link = { .ifi_index = (int)index };
    netlink_batch_begin(batch, "set its MTU", RTM_SETLINK, 0, &link, sizeof link);
    netlink_batch_add_u32(batch, IFLA_MTU, (uint32_t)mtu);
}

static fallible make_bridge(int sock, const struct network_bridge *b, struct look *ret)
{
    own(netlink_batch) struct netlink_batch link = { 0 }, addresses = { 0 };
    add_bridge(&link, b);
    err *e = netlink_batch_ask(sock, &link);
    if (err_errno(e) == EOPNOTSUPP && b->vlan) {
        err_free(e);
        return err_new(ERR_UNSUPPORTED,
                       "this kernel's bridges know no VLANs (CONFIG_BRIDGE_VLAN_FILTERING): make the network without "
                       "--opt vlan");
    }
    if (err_errno(e) == EOPNOTSUPP) {
        err_free(e);
        return err_new(ERR_UNSUPPORTED,
                       "this kernel has no bridges: load its module 'bridge', or use --network host or "
                       "none");
    }
    if (err_errno(e) != EEXIST) /* another start was faster: it sets the addresses too, and the same */
        TRY(e);
    err_free(e);
    TRY(look_at(sock, b->name, ret));
    if (b->big && ret->can_big && !b->mtu) {
        ret->mtu = BIG_TCP_MTU;
        set_mtu(&addresses, ret->index, BIG_TCP_MTU);
    }
    network_set_up(&addresses, ret->index, false);
    if (ip_is_set(&b->address6.ip))
        add_link_local(&addresses, ret->index, b);
    network_add_address(&addresses, ret->index, &b->address4);
    network_add_address(&addresses, ret->index, &b->address6);
    TRY(netlink_batch_ask(sock, &addresses));
    if (ret->mtu == BIG_TCP_MTU && b->loopback)
        err_ignore(big_tcp_widen_loopback(sock), "then the host's own way to a port is as fast as without");
    return set_switches(b);
}

static fallible has_address(int sock, const struct network_bridge *b, unsigned index, const struct prefix *want)
{
    const struct prefix exactly = { want->ip, ip_bits(&want->ip) };
    struct prefix found;
    char text[PREFIX_TEXT];
    if (!ip_is_set(&want->ip))
        return NULL;
    TRY(link_address(sock, index, want->ip.family, &exactly, &found));
    if (ip_is_set(&found.ip))
        return NULL;
    return err_new(ERR_CONFLICT,
                   "the bridge '%s' is the host's own and has not the address %s: give it that (ip address add %s dev "
                   "%s)",
                   b->name, prefix_text(want, text), text, b->name);
}

static fallible take_theirs(int sock, const struct network_bridge *b, unsigned index)
{
    if (!index)
        return err_new(ERR_NOT_FOUND, "the bridge '%s' is the host's own and is not there any more: make it again",
                       b->name);
    if (b->names) {
        TRY(has_address(sock, b, index, &b->address4));
        TRY(has_address(sock, b, index, &b->address6));
    }
    return set_switches(b);
}

static void tell(const struct network_bridge *b, const struct look *look, struct bridge_state *ret)
{
    ret->index = look->index;
    ret->mtu = (int)look->mtu;
    ret->big = b->big && look->can_big;
    ret->small = ret->big && !look->is_big;
}

fallible bridge_ensure(int sock, const struct network_bridge *b, struct bridge_state *ret)
{
    struct look look;
    *ret = (struct bridge_state){ 0 };
    TRY(look_at(sock, b->name, &look));
    if (look.index && !str_eq(look.kind, "bridge"))
        return err_new(ERR_CONFLICT, "'%s' is an interface that is there already and no bridge", b->name);
    ret->made = !look.index && !b->theirs;
    if (b->theirs)
        TRY(take_theirs(sock, b, look.index));
    err *e = ret->made ? make_bridge(sock, b, &look) : NULL;
    if (e) {
        err_ignore(link_remove(sock, b->name), "the first error says what went wrong");
        return err_wrap(e, "bridge '%s'", b->name);
    }
    tell(b, &look, ret);
    return NULL;
}

fallible bridge_look(int sock, const struct network_bridge *b, struct bridge_state *ret)
{
    struct look look, any;
    *ret = (struct bridge_state){ 0 };
    TRY(look_at(sock, b->name, &look));
    if (!look.index && b->big && !b->theirs) {
        TRY(look_at(sock, "lo", &any)); /* says what the kernel can */
        look.can_big = any.can_big;
        look.mtu = b->mtu ? (uint32_t)b->mtu : look.can_big ? BIG_TCP_MTU : 0;
    }
    tell(b, &look, ret);
    return NULL;
}

fallible link_remove(int sock, const char *name)
{
    struct netlink_request r;
    const struct ifinfomsg any = { 0 };
    netlink_begin(&r, RTM_DELLINK, 0, &any, sizeof any);
    netlink_add_text(&r, IFLA_IFNAME, name);
    err *e = netlink_ask(sock, &r, NULL, NULL);
    if (err_errno(e) != ENODEV)
        return err_wrap(e, "remove '%s'", name);
    err_free(e);
    return NULL;
}

fallible bridge_remove(int sock, const char *name)
{
    own_strv struct strv ports = { 0 };
    unsigned index;
    bool is_bridge;
    TRY(link_look(sock, name, &index, &is_bridge));
    if (!index || !is_bridge)
        return NULL;
    TRY(bridge_ports(sock, index, &ports));
    for (size_t i = 0; i < ports.n; i++)
        if (!str_starts(ports.items[i], NETWORK_HOST_PREFIX))
            return err_new(ERR_CONFLICT, "the bridge '%s' has the port '%s', which is not husk's: take it off first",
                           name, ports.items[i]);
    for (size_t i = 0; i < ports.n; i++)
        TRY(link_remove(sock, ports.items[i]));
    return link_remove(sock, name);
}

/* ---- VLANs --------------------------------------------------------------------------------------------------------
 */

/* "eth0.100": device and number; false: it is no such name. */
static bool split_vlan(const char *name, char **ret_device, uint16_t *ret_id)
{
    const char *dot = strrchr(name, '.');
    int64_t id = 0;
    err *e = dot ? parse_i64(dot + 1, 1, 4094, &id) : NULL;
    bool ok = dot && dot > name && !e;
    err_free(e);
    if (!ok)
        return false;
    *ret_device = mem_strndup(name, (size_t)(dot - name));
    *ret_id = (uint16_t)id;
    return true;
}

fallible parent_ensure(int sock, const char *name, unsigned *ret_index)
{
    own(netlink_batch) struct netlink_batch b = { 0 };
    own_mem char *device = NULL;
    const struct ifinfomsg link = { .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
    unsigned below = 0;
    uint16_t id;
    TRY(link_index(sock, name, ret_index));
    if (*ret_index || !split_vlan(name, &device, &id))
        return NULL;
    TRY(link_index(sock, device, &below));
    if (!below)
        return NULL;
    netlink_batch_begin(&b, "make the VLAN", RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &link, sizeof link);
    netlink_batch_add_text(&b, IFLA_IFNAME, name);
    netlink_batch_add_u32(&b, IFLA_LINK, below);
    size_t info = netlink_batch_nest(&b, IFLA_LINKINFO);
    netlink_batch_add_text(&b, IFLA_INFO_KIND, "vlan");
    size_t data = netlink_batch_nest(&b, IFLA_INFO_DATA);
    netlink_batch_add_u16(&b, IFLA_VLAN_ID, id);
    netlink_batch_end_nest(&b, data);
    netlink_batch_end_nest(&b, info);
    err *e = netlink_batch_ask(sock, &b);
    if (err_errno(e) == EOPNOTSUPP) {
        err_free(e);
        return err_new(ERR_UNSUPPORTED, "'%s': this kernel has no VLANs: load its module '8021q'", name);
    }
    if (err_errno(e) != EEXIST)
        TRY_AS(e, "'%s'", name);
    err_free(e);
    return link_index(sock, name, ret_index);
}

fallible parent_check(int sock, const char *name)
{
    own_mem char *device = NULL;
    unsigned index;
    uint16_t id;
    TRY(link_index(sock, name, &index));
    if (!index && split_vlan(name, &device, &id))
        TRY(link_index(sock, device, &index));
    if (index)
        return NULL;
    return err_new(ERR_NOT_FOUND, "the host has no network device '%s'%s%s%s", name, device ? ", and no '" : "",
                   device ? device : "", device ? "' to make it of" : ": say one that it has, or DEVICE.N for a VLAN");
}

fallible parent_remove(int sock, const char *name)
{
    own_mem char *device = NULL;
    struct look look;
    uint16_t id;
    if (!split_vlan(name, &device, &id))
        return NULL;
    TRY(look_at(sock, name, &look));
    return str_eq(look.kind, "vlan") ? link_remove(sock, name) : NULL;
}
