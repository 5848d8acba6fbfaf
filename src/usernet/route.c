// SPDX-License-Identifier: GPL-2.0-or-later
#include "usernet/usernet.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sched.h>

#include "namespaces/namespaces.h"
#include "network/nft.h"
#include "os/fs.h"
#include "os/userns.h"

/* What is marked so is for a socket of ours although its address is not: the table has one route, "local". */
enum { MARK = 0x68750000, MARK_MASK = 0x7fff0000, TABLE = 26741, RULE_PRIORITY = 26741 };

static fallible add_rule(int sock, int family)
{
    struct netlink_request r;
    const struct fib_rule_hdr fixed = { .family = (uint8_t)family, .table = RT_TABLE_UNSPEC, .action = FR_ACT_TO_TBL };
    const uint32_t mark = MARK, mask = MARK_MASK, table = TABLE, priority = RULE_PRIORITY;
    netlink_begin(&r, RTM_NEWRULE, NLM_F_CREATE | NLM_F_EXCL, &fixed, sizeof fixed);
    netlink_add(&r, FRA_FWMARK, &mark, sizeof mark);
    netlink_add(&r, FRA_FWMASK, &mask, sizeof mask);
    netlink_add(&r, FRA_TABLE, &table, sizeof table);
    netlink_add(&r, FRA_PRIORITY, &priority, sizeof priority);
    return netlink_ask(sock, &r, NULL, NULL);
}

static fallible add_local(int sock, int family)
{
    struct netlink_request r;
    const struct rtmsg fixed = { .rtm_family = (uint8_t)family,
                                 .rtm_table = RT_TABLE_UNSPEC,
                                 .rtm_protocol = RTPROT_STATIC,
                                 .rtm_scope = RT_SCOPE_HOST,
                                 .rtm_type = RTN_LOCAL };
    const uint32_t table = TABLE, loopback = 1; /* lo is the first device of every network namespace */
    netlink_begin(&r, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, &fixed, sizeof fixed);
    netlink_add(&r, RTA_TABLE, &table, sizeof table);
    netlink_add(&r, RTA_OIF, &loopback, sizeof loopback);
    return netlink_ask(sock, &r, NULL, NULL);
}

enum { PRIORITY_RAW = -300, PRIORITY_MANGLE = -150, PRIORITY_FILTER = 0 };

/* Apart from the table of networks (`inet husk`), which goes and comes with them:
 *
 *   table inet husk-usernet {
 *       chain back { type filter hook prerouting priority mangle; socket transparent 1 meta mark set 0x68750000 }
 *       chain lost { type filter hook input priority filter; ct state invalid drop }
 *       chain told { type filter hook prerouting priority raw; tcp doff 5 tcp flags == rst tcp ackseq != 0
 *                    tcp flags set rst | ack } }
 *
 * What comes for a transparent socket is marked. And what conntrack can't match with a connection is not translated to
 * a container's address: it comes for us, who know nothing of the connection, and our reset would end it. pasta of
 * Debian 12 sends such segments, with no flag at all, when the other side takes a few milliseconds to answer. It also
 * says that a connection is refused by a reset which acknowledges the other's number without the flag that says so: a
 * program that connects would not hear it (RFC 9293, 3.10.7.3), and wait two minutes. Other resets without that flag
 * have no such number.
 */
static void add_told(struct nft *n)
{
    const uint8_t tcp = IPPROTO_TCP, reset[2] = { 0x50, 0x04 }; /* five words of header, RST */
    const uint32_t zero = 0, reset_ack = htobe32(0x50140000);
    nft_add_chain(n, &(struct nft_chain){ "told", "filter", NF_INET_PRE_ROUTING, PRIORITY_RAW });
    nft_rule_begin(n, "told");
    nft_meta(n, NFT_META_L4PROTO, NFT_R0);
    nft_compare(n, NFT_EQUAL, NFT_R0, &tcp, sizeof tcp);
    nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 12, sizeof reset, NFT_R0);
    nft_compare(n, NFT_EQUAL, NFT_R0, reset, sizeof reset);
    nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 8, sizeof zero, NFT_R0);
    nft_compare(n, NFT_UNEQUAL, NFT_R0, &zero, sizeof zero);
    nft_number(n, NFT_R0, reset_ack);
    nft_payload_write(n, NFT_PAYLOAD_TRANSPORT_HEADER, 12, sizeof reset, NFT_R0, 16);
    nft_rule_end(n);
}

/* Whole, in the place of what is there: nft flush ruleset in the user's namespace takes it, as it takes the networks'.
 */
fallible usernet_rules(void)
{
    own(nft) struct nft n = { 0 };
    own_fd int sock = -1;
    TRY(nft_open(&sock));
    nft_begin(&n, "husk-usernet", 0);
    nft_table(&n, NFT_ADD); /* first, so that there is one to delete */
    nft_table(&n, NFT_DELETE);
    nft_table(&n, NFT_ADD);
    nft_add_chain(&n, &(struct nft_chain){ "back", "filter", NF_INET_PRE_ROUTING, PRIORITY_MANGLE });
    nft_rule_begin(&n, "back");
    nft_transparent(&n, NFT_R0);
    nft_compare(&n, NFT_EQUAL, NFT_R0, "\1", 1);
    nft_number(&n, NFT_R0, MARK);
    nft_set_mark(&n, NFT_MARK_OF_PACKET, NFT_R0);
    nft_rule_end(&n);
    nft_add_chain(&n, &(struct nft_chain){ "lost", "filter", NF_INET_LOCAL_IN, PRIORITY_FILTER });
    nft_rule_begin(&n, "lost");
    nft_ct(&n, NFT_CT_STATE, NFT_R0);
    nft_bits(&n, NFT_R0, NF_CT_STATE_INVALID_BIT);
    nft_compare(&n, NFT_UNEQUAL, NFT_R0, &(uint32_t){ 0 }, sizeof(uint32_t));
    nft_verdict(&n, NF_DROP);
    nft_rule_end(&n);
    add_told(&n);
    return nft_commit(sock, &n);
}

/* ---- a container alone with its pasta ---- */

static fallible add_told_alone(void *ctx)
{
    const int *net_fd = ctx;
    own(nft) struct nft n = { 0 };
    own_fd int sock = -1;
    if (setns(*net_fd, CLONE_NEWNET) < 0)
        return err_sys(errno, "enter the container's network namespace");
    netlink_set_door(NULL); /* this process's networks are the container's now */
    TRY(nft_open(&sock));
    nft_begin(&n, "husk-alone", 0);
    nft_table(&n, NFT_ADD);
    add_told(&n);
    return nft_commit(sock, &n);
}

fallible usernet_tell_refusals(pid_t pid)
{
    own_mem char *user = mem_printf("/proc/%d/ns/user", (int)pid), *net = mem_printf("/proc/%d/ns/net", (int)pid);
    own_fd int user_fd = open(user, O_RDONLY | O_CLOEXEC), net_fd = open(net, O_RDONLY | O_CLOEXEC);
    if (user_fd < 0 || net_fd < 0)
        return err_sys(errno, "open '%s'", user_fd < 0 ? user : net);
    return userns_call_in(user_fd, add_told_alone, &net_fd);
}

static fallible set(const char *key, const char *value)
{
    own_mem char *path = mem_printf("/proc/sys/net/%s", key);
    err *e = fs_write_at(AT_FDCWD, path, value);
    if (!err_is(e, ERR_NOT_FOUND)) /* a kernel without IPv6 */
        return e;
    err_free(e);
    return NULL;
}

fallible usernet_routes(void)
{
    own_fd int sock = -1;
    TRY(namespaces_loopback_up());
    TRY(set("ipv4/ip_forward", "1"));
    TRY(set("ipv6/conf/all/forwarding", "1"));
    /* What stays on one of the user's bridges need not pass the firewall: each whose neighbours have rules, or are
     * counted, has a switch of its own (network/connect.h). A new namespace has this one on where the kernel knows it.
     */
    TRY(set("bridge/bridge-nf-call-iptables", "0"));
    TRY(set("bridge/bridge-nf-call-ip6tables", "0"));
    TRY(set("bridge/bridge-nf-call-arptables", "0"));
    TRY(netlink_open(&sock));
    TRY_AS(add_rule(sock, AF_INET), "route answers");
    TRY_AS(add_local(sock, AF_INET), "route answers");
    if (access("/proc/sys/net/ipv6", F_OK) == 0) {
        TRY_AS(add_rule(sock, AF_INET6), "route answers");
        TRY_AS(add_local(sock, AF_INET6), "route answers");
    }
    TRY_AS(usernet_rules(), "mark what comes for published ports (does this kernel have nf_tables, with 'socket'?)");
    return NULL;
}
