// SPDX-License-Identifier: GPL-2.0-or-later
#include "namespaces/netdev.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <string.h>

#include "base/log.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/netlink.h"

#ifndef IFA_PROTO
#define IFA_PROTO 11 /* Linux 5.18 */
#endif

/* An address as the kernel told it. */
struct address {
    size_t len;
    struct nlmsghdr *message;
};

struct netdev_moved {
    char name[IFNAMSIZ]; /* on the host */
    unsigned index;      /* where it is now */
    bool was_up;
    struct address *addresses;
    size_t addresses_n;
};

static void forget_addresses(struct netdev_moved *m)
{
    for (size_t i = 0; i < m->addresses_n; i++)
        free(m->addresses[i].message);
    free(m->addresses);
    m->addresses = NULL;
    m->addresses_n = 0;
}

void netdevs_clear(struct netdevs *d)
{
    close_now(&d->host);
    close_now(&d->inside);
    close_now(&d->host_ns);
    for (size_t i = 0; i < d->moved_n; i++)
        forget_addresses(&d->moved[i]);
    free(d->moved);
    *d = (struct netdevs){ .host = -1, .inside = -1, .host_ns = -1 };
}

/* Source: dev_valid_name() of the kernel. */
static bool valid_name(const char *name)
{
    size_t n = strlen(name);
    return n && n < IFNAMSIZ && !str_eq(name, ".") && !str_eq(name, "..") && !strpbrk(name, "/: \t\n\v\f\r");
}

static bool valid_template(const char *name)
{
    const char *percent = strchr(name, '%');
    return !percent || (percent[1] == 'd' && !strchr(percent + 1, '%'));
}

static const char *inside_name(const char *host_name, const json_t *v)
{
    const char *name = json_string_value(json_object_get(v, "name"));
    return name && *name ? name : host_name;
}

fallible netdev_check(const struct oci_spec *spec, const struct namespaces *ns)
{
    const char *name, *other;
    json_t *v, *w;
    json_t *all = spec->linux_ ? spec->linux_->net_devices : NULL;
    if (!all || !json_object_size(all))
        return NULL;
    if (!namespaces_has(ns, CLONE_NEWNET))
        return err_new(ERR_INVALID, "linux.netDevices: they need a network namespace of the container's own in "
                                    "linux.namespaces");
    if (!ids_is_root())
        return err_new(ERR_DENIED, "linux.netDevices: only root can take a device out of the host's network");
    json_object_foreach (all, name, v) {
        const char *inside = inside_name(name, v);
        if (!valid_name(name) || strchr(name, '%'))
            return err_new(ERR_INVALID, "linux.netDevices: '%s' is not the name of a network device", name);
        if (!valid_name(inside) || !valid_template(inside))
            return err_new(ERR_INVALID, "linux.netDevices: %s: name: '%s' is not the name of a network device", name,
                           inside);
        json_object_foreach (all, other, w)
            if (other != name && str_eq(inside_name(other, w), inside) && !strchr(inside, '%'))
                return err_new(ERR_INVALID, "linux.netDevices: two devices with the name '%s'", inside);
    }
    return NULL;
}

struct link {
    bool found;
    unsigned index, flags;
};

static err *read_link(void *ctx, const struct nlmsghdr *m)
{
    struct link *l = ctx;
    struct ifinfomsg info;
    if (m->nlmsg_type != RTM_NEWLINK || m->nlmsg_len < NLMSG_LENGTH(sizeof info))
        return NULL;
    memcpy(&info, NLMSG_DATA(m), sizeof info);
    *l = (struct link){ .found = true, .index = (unsigned)info.ifi_index, .flags = info.ifi_flags };
    return NULL;
}

static fallible find_link(int sock, const char *name, struct link *ret)
{
    struct netlink_request r;
    const struct ifinfomsg any = { 0 };
    *ret = (struct link){ 0 };
    netlink_begin(&r, RTM_GETLINK, 0, &any, sizeof any);
    netlink_add_text(&r, IFLA_IFNAME, name);
    err *e = netlink_ask(sock, &r, read_link, ret);
    if (err_errno(e) == ENODEV) {
        err_free(e);
        return err_new(ERR_NOT_FOUND, "there is no such device");
    }
    return e;
}

/* Permanent addresses of global scope: those that somebody set. Source: the specification; RFC 3549, 2.3.3.2. */
static err *read_address(void *ctx, const struct nlmsghdr *m)
{
    struct netdev_moved *to = ctx;
    struct ifaddrmsg a;
    size_t n = 0;
    uint32_t flags;
    if (m->nlmsg_type != RTM_NEWADDR || m->nlmsg_len < NLMSG_LENGTH(sizeof a))
        return NULL;
    memcpy(&a, NLMSG_DATA(m), sizeof a);
    flags = a.ifa_flags;
    const struct nlattr *more = netlink_find(m, sizeof a, IFA_FLAGS, &n);
    if (more && n >= sizeof flags)
        memcpy(&flags, more + 1, sizeof flags);
    if (a.ifa_index != to->index || a.ifa_scope != RT_SCOPE_UNIVERSE || !(flags & IFA_F_PERMANENT))
        return NULL;
    struct address keep = { .len = m->nlmsg_len, .message = mem_alloc(m->nlmsg_len) };
    memcpy(keep.message, m, m->nlmsg_len);
    to->addresses = mem_array(to->addresses, to->addresses_n + 1, sizeof *to->addresses);
    to->addresses[to->addresses_n++] = keep;
    return NULL;
}

static fallible read_addresses(int sock, struct netdev_moved *to)
{
    struct netlink_request r;
    const struct ifaddrmsg any = { .ifa_family = AF_UNSPEC };
    netlink_begin(&r, RTM_GETADDR, NLM_F_DUMP, &any, sizeof any);
    return netlink_ask(sock, &r, read_address, to);
}

/* Everything that says what the address is; not its label, which holds the device's old name. */
static fallible add_address(int sock, unsigned index, const struct address *from)
{
    static const uint16_t kept[] = { IFA_ADDRESS, IFA_LOCAL, IFA_BROADCAST, IFA_FLAGS, IFA_RT_PRIORITY, IFA_PROTO };
    enum { OF_THE_MOMENT = IFA_F_TENTATIVE | IFA_F_DADFAILED | IFA_F_DEPRECATED };
    struct netlink_request r;
    struct ifaddrmsg a;
    memcpy(&a, NLMSG_DATA(from->message), sizeof a);
    a.ifa_index = index;
    a.ifa_flags &= (uint8_t)~OF_THE_MOMENT;
    netlink_begin(&r, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, &a, sizeof a);
    for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
        size_t n = 0;
        uint32_t flags;
        const struct nlattr *attribute = netlink_find(from->message, sizeof a, kept[i], &n);
        if (attribute && kept[i] == IFA_FLAGS && n == sizeof flags) {
            memcpy(&flags, attribute + 1, sizeof flags);
            flags &= ~(uint32_t)OF_THE_MOMENT;
            netlink_add(&r, kept[i], &flags, sizeof flags);
        } else if (attribute) {
            netlink_add(&r, kept[i], attribute + 1, n);
        }
    }
    return netlink_ask(sock, &r, NULL, NULL);
}

static fallible set_up(int sock, unsigned index)
{
    struct netlink_request r;
    const struct ifinfomsg up = { .ifi_index = (int)index, .ifi_flags = IFF_UP, .ifi_change = IFF_UP };
    netlink_begin(&r, RTM_NEWLINK, 0, &up, sizeof up);
    return netlink_ask(sock, &r, NULL, NULL);
}

/* netns_fd -1: only the name. The move takes the device down. */
static fallible change(int sock, unsigned index, int netns_fd, const char *name)
{
    struct netlink_request r;
    const struct ifinfomsg link = { .ifi_index = (int)index };
    netlink_begin(&r, RTM_NEWLINK, 0, &link, sizeof link);
    if (netns_fd >= 0) {
        uint32_t fd = (uint32_t)netns_fd;
        netlink_add(&r, IFLA_NET_NS_FD, &fd, sizeof fd);
    }
    netlink_add_text(&r, IFLA_IFNAME, name);
    err *e = netlink_ask(sock, &r, NULL, NULL);
    if (err_errno(e) == EEXIST) {
        err_free(e);
        return err_new(ERR_EXISTS, "there is a device '%s' already", name);
    }
    if (err_errno(e) == EPERM)
        return err_wrap(e, "moving a device needs CAP_NET_ADMIN on the host and in the container");
    return e;
}

static fallible settle(int sock, struct netdev_moved *m)
{
    TRY_AS(set_up(sock, m->index), "bring it up");
    for (size_t i = 0; i < m->addresses_n; i++)
        TRY_AS(add_address(sock, m->index, &m->addresses[i]), "keep its addresses");
    return NULL;
}

static fallible give_one_back(const struct netdevs *d, struct netdev_moved *m)
{
    struct link link;
    TRY(change(d->inside, m->index, d->host_ns, m->name));
    TRY(find_link(d->host, m->name, &link));
    m->index = link.index;
    return m->was_up ? settle(d->host, m) : NULL;
}

void netdev_give_back(struct netdevs *d)
{
    for (size_t i = d->moved_n; i-- > 0;) {
        err *e = give_one_back(d, &d->moved[i]);
        if (e)
            log_warn("network device '%s' is not given back: %s", d->moved[i].name, err_text(e));
        err_free(e);
        forget_addresses(&d->moved[i]);
    }
    d->moved_n = 0;
}

/* Through a name that nobody has: so no name of the container's can stop the move half way, and it is found again
 * when the kernel has chosen the name (eth%d) or another index. */
static fallible move_one(struct netdevs *d, int inside_ns, const char *name, const char *inside)
{
    struct link link, there;
    char between[IFNAMSIZ] = "husk", random[2 * 5 + 1];
    random_hex(random, 5);
    memcpy(between + 4, random, sizeof random);
    TRY(find_link(d->host, name, &link));
    if (!strchr(inside, '%')) {
        err *e = find_link(d->inside, inside, &there);
        if (!e)
            return err_new(ERR_EXISTS, "the container has a device '%s' already", inside);
        if (!err_is(e, ERR_NOT_FOUND))
            return e;
        err_free(e);
    }
    d->moved = mem_array(d->moved, d->moved_n + 1, sizeof *d->moved);
    struct netdev_moved *m = &d->moved[d->moved_n];
    *m = (struct netdev_moved){ .index = link.index, .was_up = link.flags & IFF_UP };
    memcpy(m->name, name, strlen(name) + 1);
    err *e = read_addresses(d->host, m);
    if (!e)
        e = change(d->host, link.index, inside_ns, between);
    if (e) {
        forget_addresses(m);
        return e;
    }
    d->moved_n++;
    TRY(find_link(d->inside, between, &there));
    m->index = there.index;
    TRY(change(d->inside, m->index, -1, inside));
    return settle(d->inside, m);
}

static fallible open_inside(const struct namespaces *ns, pid_t pid, int *ret_fd)
{
    char path[48];
    (void)snprintf(path, sizeof path, "/proc/%d/ns/net", (int)pid);
    int joined = namespaces_join_fd(ns, "network");
    int fd = joined >= 0 ? fcntl(joined, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open the container's network namespace");
    *ret_fd = fd;
    return NULL;
}

static fallible move_all(const struct oci_spec *spec, const struct namespaces *ns, pid_t pid, struct netdevs *d)
{
    const char *name;
    json_t *v;
    own_fd int inside_ns = -1;
    TRY(open_inside(ns, pid, &inside_ns));
    d->host_ns = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (d->host_ns < 0)
        return err_sys(errno, "open '/proc/self/ns/net'");
    TRY(netlink_open(&d->host));
    TRY(netlink_open_in(inside_ns, &d->inside));
    json_object_foreach (spec->linux_->net_devices, name, v)
        TRY_AS(move_one(d, inside_ns, name, inside_name(name, v)), "network device '%s'", name);
    return NULL;
}

fallible netdev_move(const struct oci_spec *spec, const struct namespaces *ns, pid_t pid, struct netdevs *d)
{
    err *e = move_all(spec, ns, pid, d);
    if (e)
        netdev_give_back(d);
    return e;
}
