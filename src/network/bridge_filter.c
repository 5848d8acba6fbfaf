// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

#include "network/connect_parts.h"
#include "os/fs.h"

/*
 * Traffic between two ports of a bridge passes the firewall's tables of the family inet only through br_netfilter
 * (docs/adr/0030). Its switch for all bridges is on once the module is loaded, which would give other programs' bridges
 * to firewalls that never saw them: so who loads it turns that off, and each bridge has a switch of its own.
 */

#define SWITCHES "/proc/sys/net/bridge"

static void run_modprobe(void)
{
    char *const words[] = { (char[]){ "modprobe" }, (char[]){ "-q" }, (char[]){ "br_netfilter" }, NULL };
    char *const none[] = { NULL };
    pid_t pid = fork();
    if (pid == 0) {
        (void)execve("/sbin/modprobe", words, none);
        _exit(127);
    }
    while (pid > 0 && waitpid(pid, NULL, 0) < 0 && errno == EINTR)
        continue;
}

static fallible leave_other_bridges(void)
{
    static const char *const names[] = { "bridge-nf-call-iptables", "bridge-nf-call-ip6tables",
                                         "bridge-nf-call-arptables" };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
        own_mem char *path = mem_printf(SWITCHES "/%s", names[i]);
        own_fd int fd = open(path, O_WRONLY | O_CLOEXEC);
        if (fd < 0)
            return err_sys(errno, "open '%s'", path);
        TRY(fs_write_fd(fd, "0", 1, path));
    }
    return NULL;
}

fallible bridge_filter_check(void)
{
    if (access(SWITCHES, F_OK) == 0)
        return NULL;
    if (!netlink_has_door() && geteuid() == 0)
        run_modprobe();
    if (access(SWITCHES, F_OK) == 0)
        return leave_other_bridges();
    return err_new(ERR_UNSUPPORTED,
                   "rules among neighbours need the kernel's module br_netfilter, without which what stays "
                   "on a bridge passes no firewall: as root, 'modprobe br_netfilter'");
}

/* An attribute within another, whose own length netlink_find() has looked at. */
static const struct nlattr *find_in(const struct nlattr *in, uint16_t attribute)
{
    const char *at = (const char *)(in + 1), *end = (const char *)in + in->nla_len;
    while (end - at >= (ptrdiff_t)sizeof(struct nlattr)) {
        const struct nlattr *a = (const void *)at;
        if (a->nla_len < NLA_HDRLEN || a->nla_len > end - at)
            break;
        if ((a->nla_type & NLA_TYPE_MASK) == attribute)
            return a;
        size_t step = NLA_ALIGN((size_t)a->nla_len);
        at = step > (size_t)(end - at) ? end : at + step;
    }
    return NULL;
}

static bool is_on(const struct nlattr *data, uint16_t attribute)
{
    const struct nlattr *a = find_in(data, attribute);
    return a && a->nla_len > NLA_HDRLEN && *(const uint8_t *)(a + 1);
}

static err *read_switches(void *ctx, const struct nlmsghdr *m)
{
    int64_t *families = ctx;
    size_t len;
    const struct nlattr *info = netlink_find(m, sizeof(struct ifinfomsg), IFLA_LINKINFO, &len);
    const struct nlattr *data = info ? find_in(info, IFLA_INFO_DATA) : NULL;
    if (data && is_on(data, IFLA_BR_NF_CALL_IPTABLES))
        *families |= BRIDGE_FILTERED_IP4;
    if (data && is_on(data, IFLA_BR_NF_CALL_IP6TABLES))
        *families |= BRIDGE_FILTERED_IP6;
    return NULL;
}

fallible bridge_filter_read(int sock, const char *name, int64_t *ret_families)
{
    struct netlink_request r;
    const struct ifinfomsg any = { 0 };
    netlink_begin(&r, RTM_GETLINK, 0, &any, sizeof any);
    netlink_add_text(&r, IFLA_IFNAME, name);
    *ret_families = BRIDGE_UNFILTERED;
    err *e = netlink_ask(sock, &r, read_switches, ret_families);
    if (err_errno(e) != ENODEV)
        return e;
    err_free(e);
    return NULL;
}

fallible bridge_filter(int sock, const char *name, int64_t families)
{
    own(netlink_batch) struct netlink_batch b = { 0 };
    struct ifinfomsg link = { 0 };
    unsigned index;
    TRY(link_index(sock, name, &index));
    if (!index)
        return NULL;
    if (families == BRIDGE_FILTERED)
        TRY_AS(bridge_filter_check(), "bridge '%s'", name);
    link.ifi_index = (int)index;
    netlink_batch_begin(&b, "have what stays on it pass the firewall", RTM_NEWLINK, 0, &link, sizeof link);
    size_t info = netlink_batch_nest(&b, IFLA_LINKINFO);
    netlink_batch_add_text(&b, IFLA_INFO_KIND, "bridge");
    size_t data = netlink_batch_nest(&b, IFLA_INFO_DATA);
    netlink_batch_add_u8(&b, IFLA_BR_NF_CALL_IPTABLES, families & BRIDGE_FILTERED_IP4 ? 1 : 0);
    netlink_batch_add_u8(&b, IFLA_BR_NF_CALL_IP6TABLES, families & BRIDGE_FILTERED_IP6 ? 1 : 0);
    netlink_batch_end_nest(&b, data);
    netlink_batch_end_nest(&b, info);
    TRY_AS(netlink_batch_ask(sock, &b), "bridge '%s'", name);
    return NULL;
}

/* What [::1] has sent by a published port comes back by the bridge, and has ::1 as its destination again once the
 * translation is undone. There is no route_localnet for IPv6: the kernel wants a route to ::1 that leads in by that
 * very interface (rt6_need_strict()), and takes one. One for each bridge, all of one metric: of several metrics the
 * kernel tries two. What comes from outside with ::1 in it is dropped before (ip6_rcv_core()), and with br_netfilter
 * that looks behind the translation. */
fallible bridge_lead_loopback(int sock, const char *name)
{
    static const uint8_t loopback[16] = { [15] = 1 };
    own(netlink_batch) struct netlink_batch b = { 0 };
    own_mem char *value = NULL;
    int64_t filtered;
    unsigned index;
    const struct rtmsg r = {
        .rtm_family = AF_INET6,
        .rtm_dst_len = 128,
        .rtm_table = RT_TABLE_LOCAL,
        .rtm_protocol = RTPROT_STATIC,
        .rtm_type = RTN_LOCAL,
    };
    err_ignore(fs_read_at(AT_FDCWD, "/proc/sys/net/bridge/bridge-nf-call-ip6tables", 16, &value, NULL),
               "without br_netfilter there is none");
    TRY(bridge_filter_read(sock, name, &filtered));
    if (filtered & BRIDGE_FILTERED_IP6 || (value && *value == '1'))
        return err_new(
            ERR_UNSUPPORTED,
            "[::1] leads to no container where what passes a bridge passes the firewall of IPv6: publish "
            "on 127.0.0.1, where whoever asks for 'localhost' comes, too%s",
            filtered & BRIDGE_FILTERED_IP6 ? "" : ", or turn that off: sysctl net.bridge.bridge-nf-call-ip6tables=0");
    TRY(link_index(sock, name, &index));
    netlink_batch_begin(&b, "lead [::1] in", RTM_NEWROUTE, NLM_F_CREATE | NLM_F_APPEND, &r, sizeof r);
    netlink_batch_add(&b, RTA_DST, loopback, sizeof loopback);
    netlink_batch_add_u32(&b, RTA_OIF, index);
    err *e = netlink_batch_ask(sock, &b);
    if (err_errno(e) != EEXIST)
        return e;
    err_free(e);
    return NULL;
}
