// SPDX-License-Identifier: GPL-2.0-or-later
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "namespaces/namespaces.h"
#include "os/fs.h"
#include "os/netlink.h"
#include "usernet/usernet.h"

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

/* ---- one rule of nftables: what comes for a transparent socket is marked ----
 *
 *   table inet husk-usernet { chain back { type filter hook prerouting priority mangle;
 *       socket transparent 1 meta mark set 0x68750000 } }
 *
 * Source: linux/netfilter/nf_tables.h, nfnetlink.h; nft(8), "SOCKET EXPRESSION".
 */

#define NFT_NAME "husk-usernet"

/* Messages of one batch, one behind the other. */
struct batch {
    union {
        char bytes[2048];
        struct nlmsghdr align;
    };
    size_t n, message;
    uint32_t seq;
};

static void put(struct batch *b, const void *bytes, size_t n)
{
    if (b->n + NLMSG_ALIGN(n) > sizeof b->bytes)
        abort(); /* what is put here is known: it fits, or the program is wrong */
    memcpy(b->bytes + b->n, bytes, n);
    memset(b->bytes + b->n + n, 0, NLMSG_ALIGN(n) - n);
    b->n += NLMSG_ALIGN(n);
}

static void end_message(struct batch *b)
{
    struct nlmsghdr head;
    memcpy(&head, b->bytes + b->message, sizeof head);
    head.nlmsg_len = (uint32_t)(b->n - b->message);
    memcpy(b->bytes + b->message, &head, sizeof head);
}

static void message(struct batch *b, uint16_t type, uint16_t flags, uint8_t family, uint16_t resource)
{
    const struct nlmsghdr head = { .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags, .nlmsg_seq = b->seq++ };
    const struct nfgenmsg fixed = { .nfgen_family = family, .version = NFNETLINK_V0, .res_id = htons(resource) };
    b->message = b->n;
    put(b, &head, sizeof head);
    put(b, &fixed, sizeof fixed);
}

static void attribute(struct batch *b, uint16_t type, const void *bytes, size_t n)
{
    const struct nlattr a = { .nla_len = (uint16_t)(NLA_HDRLEN + n), .nla_type = type };
    put(b, &a, sizeof a);
    put(b, bytes, n);
}

static void text(struct batch *b, uint16_t type, const char *words)
{
    attribute(b, type, words, strlen(words) + 1);
}

static void number(struct batch *b, uint16_t type, uint32_t n)
{
    const uint32_t be = htonl(n);
    attribute(b, type, &be, sizeof be);
}

static size_t nest(struct batch *b, uint16_t type)
{
    size_t at = b->n;
    attribute(b, (uint16_t)(type | NLA_F_NESTED), "", 0);
    return at;
}

static void nest_end(struct batch *b, size_t at)
{
    struct nlattr a;
    memcpy(&a, b->bytes + at, sizeof a);
    a.nla_len = (uint16_t)(b->n - at);
    memcpy(b->bytes + at, &a, sizeof a);
}

/* The bytes of a constant, as NFTA_DATA_VALUE in a nest. */
static void constant(struct batch *b, uint16_t type, const void *bytes, size_t n)
{
    size_t at = nest(b, type);
    attribute(b, NFTA_DATA_VALUE, bytes, n);
    nest_end(b, at);
}

static size_t expression(struct batch *b, const char *name, size_t *ret_data)
{
    size_t at = nest(b, NFTA_LIST_ELEM);
    text(b, NFTA_EXPR_NAME, name);
    *ret_data = nest(b, NFTA_EXPR_DATA);
    return at;
}

static void expression_end(struct batch *b, size_t at, size_t data)
{
    nest_end(b, data);
    nest_end(b, at);
}

static void rule(struct batch *b)
{
    const uint32_t mark = MARK;
    size_t data, at, list = nest(b, NFTA_RULE_EXPRESSIONS);
    at = expression(b, "socket", &data);
    number(b, NFTA_SOCKET_KEY, NFT_SOCKET_TRANSPARENT);
    number(b, NFTA_SOCKET_DREG, NFT_REG_1);
    expression_end(b, at, data);
    at = expression(b, "cmp", &data);
    number(b, NFTA_CMP_SREG, NFT_REG_1);
    number(b, NFTA_CMP_OP, NFT_CMP_EQ);
    constant(b, NFTA_CMP_DATA, "\1", 1);
    expression_end(b, at, data);
    at = expression(b, "immediate", &data);
    number(b, NFTA_IMMEDIATE_DREG, NFT_REG_1);
    constant(b, NFTA_IMMEDIATE_DATA, &mark, sizeof mark);
    expression_end(b, at, data);
    at = expression(b, "meta", &data);
    number(b, NFTA_META_KEY, NFT_META_MARK);
    number(b, NFTA_META_SREG, NFT_REG_1);
    expression_end(b, at, data);
    nest_end(b, list);
}

enum { NFT = NFNL_SUBSYS_NFTABLES << 8, PRIORITY_MANGLE = -150 };

static void fill(struct batch *b)
{
    message(b, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    end_message(b);
    message(b, NFT | NFT_MSG_NEWTABLE, NLM_F_CREATE, NFPROTO_INET, 0);
    text(b, NFTA_TABLE_NAME, NFT_NAME);
    end_message(b);
    message(b, NFT | NFT_MSG_NEWCHAIN, NLM_F_CREATE, NFPROTO_INET, 0);
    text(b, NFTA_CHAIN_TABLE, NFT_NAME);
    text(b, NFTA_CHAIN_NAME, "back");
    size_t hook = nest(b, NFTA_CHAIN_HOOK);
    number(b, NFTA_HOOK_HOOKNUM, NF_INET_PRE_ROUTING);
    number(b, NFTA_HOOK_PRIORITY, (uint32_t)PRIORITY_MANGLE);
    nest_end(b, hook);
    text(b, NFTA_CHAIN_TYPE, "filter");
    end_message(b);
    message(b, NFT | NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND, NFPROTO_INET, 0);
    text(b, NFTA_RULE_TABLE, NFT_NAME);
    text(b, NFTA_RULE_CHAIN, "back");
    rule(b);
    end_message(b);
    message(b, NFNL_MSG_BATCH_END, NLM_F_ACK, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
    end_message(b);
}

/* A batch is all or nothing: the first message that is refused is what went wrong; when none is, the end of the batch
 * is acknowledged. */
static fallible commit(int sock, const struct batch *b)
{
    union {
        char bytes[8192];
        struct nlmsghdr align;
    } in;
    if (send(sock, b->bytes, b->n, 0) < 0)
        return err_sys(errno, "nftables: send");
    ssize_t n = recv(sock, in.bytes, sizeof in.bytes, 0);
    const struct nlmsgerr *verdict = NLMSG_DATA(&in.align);
    if (n < (ssize_t)NLMSG_LENGTH(sizeof *verdict) || in.align.nlmsg_type != NLMSG_ERROR)
        return err_new(ERR_INTERNAL, "nftables: an answer of %zd bytes", n);
    if (verdict->error)
        return err_sys(-verdict->error, "nftables: mark what comes for published ports (does this kernel have "
                                        "nf_tables, with 'socket'?)");
    return NULL;
}

static fallible mark_answers(void)
{
    struct sockaddr_nl kernel = { .nl_family = AF_NETLINK };
    struct batch b = { .seq = 1 };
    own_fd int sock = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
    if (sock < 0 || connect(sock, (struct sockaddr *)&kernel, sizeof kernel) < 0)
        return err_sys(errno, "open a socket to nftables");
    fill(&b);
    return commit(sock, &b);
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
    TRY(netlink_open(&sock));
    TRY_AS(add_rule(sock, AF_INET), "route answers");
    TRY_AS(add_local(sock, AF_INET), "route answers");
    if (access("/proc/sys/net/ipv6", F_OK) == 0) {
        TRY_AS(add_rule(sock, AF_INET6), "route answers");
        TRY_AS(add_local(sock, AF_INET6), "route answers");
    }
    return mark_answers();
}
