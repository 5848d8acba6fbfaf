// SPDX-License-Identifier: GPL-2.0-or-later
/* The expressions of a rule. */
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>

#include "network/nft_parts.h"
#include "os/fault.h"

void nft_rule_begin(struct nft *n, const char *chain)
{
    nft_message(n, chain, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
    netlink_batch_add_text(&n->batch, NFTA_RULE_TABLE, n->table);
    netlink_batch_add_text(&n->batch, NFTA_RULE_CHAIN, chain);
    n->list = netlink_batch_nest(&n->batch, NFTA_RULE_EXPRESSIONS);
}

void nft_rule_end(struct nft *n)
{
    netlink_batch_end_nest(&n->batch, n->list);
}

struct expression {
    size_t item, data;
};

static struct expression open_expression(struct nft *n, const char *name)
{
    struct expression x;
    x.item = netlink_batch_nest(&n->batch, NFTA_LIST_ELEM);
    netlink_batch_add_text(&n->batch, NFTA_EXPR_NAME, name);
    x.data = netlink_batch_nest(&n->batch, NFTA_EXPR_DATA);
    return x;
}

static void close_expression(struct nft *n, struct expression x)
{
    netlink_batch_end_nest(&n->batch, x.data);
    netlink_batch_end_nest(&n->batch, x.item);
}

void nft_meta(struct nft *n, uint32_t key, uint32_t reg)
{
    struct expression x = open_expression(n, "meta");
    nft_add_number(n, NFTA_META_KEY, key);
    nft_add_number(n, NFTA_META_DREG, reg);
    close_expression(n, x);
}

void nft_payload(struct nft *n, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg)
{
    struct expression x = open_expression(n, "payload");
    nft_add_number(n, NFTA_PAYLOAD_DREG, reg);
    nft_add_number(n, NFTA_PAYLOAD_BASE, base);
    nft_add_number(n, NFTA_PAYLOAD_OFFSET, offset);
    nft_add_number(n, NFTA_PAYLOAD_LEN, len);
    close_expression(n, x);
}

void nft_payload_write(struct nft *n, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg, uint32_t checksum_at)
{
    struct expression x = open_expression(n, "payload");
    nft_add_number(n, NFTA_PAYLOAD_SREG, reg);
    nft_add_number(n, NFTA_PAYLOAD_BASE, base);
    nft_add_number(n, NFTA_PAYLOAD_OFFSET, offset);
    nft_add_number(n, NFTA_PAYLOAD_LEN, len);
    nft_add_number(n, NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_INET);
    nft_add_number(n, NFTA_PAYLOAD_CSUM_OFFSET, checksum_at);
    close_expression(n, x);
}

void nft_ct(struct nft *n, uint32_t key, uint32_t reg)
{
    struct expression x = open_expression(n, "ct");
    nft_add_number(n, NFTA_CT_KEY, key);
    nft_add_number(n, NFTA_CT_DREG, reg);
    close_expression(n, x);
}

void nft_transparent(struct nft *n, uint32_t reg)
{
    struct expression x = open_expression(n, "socket");
    nft_add_number(n, NFTA_SOCKET_KEY, NFT_SOCKET_TRANSPARENT);
    nft_add_number(n, NFTA_SOCKET_DREG, reg);
    close_expression(n, x);
}

void nft_set_mark(struct nft *n, enum nft_mark what, uint32_t reg)
{
    bool packet = what == NFT_MARK_OF_PACKET;
    struct expression x = open_expression(n, packet ? "meta" : "ct");
    const uint32_t of_connection = fault_lacks(LACKS_CT_MARK) ? UINT8_MAX : NFT_CT_MARK;
    nft_add_number(n, packet ? NFTA_META_KEY : NFTA_CT_KEY, packet ? NFT_META_MARK : of_connection);
    nft_add_number(n, packet ? NFTA_META_SREG : NFTA_CT_SREG, reg);
    close_expression(n, x);
}

void nft_number(struct nft *n, uint32_t reg, uint32_t v)
{
    struct expression x = open_expression(n, "immediate");
    nft_add_number(n, NFTA_IMMEDIATE_DREG, reg);
    nft_add_value(n, NFTA_IMMEDIATE_DATA, &v, sizeof v);
    close_expression(n, x);
}

void nft_bits(struct nft *n, uint32_t reg, uint32_t mask)
{
    const uint32_t zero = 0;
    struct expression x = open_expression(n, "bitwise");
    nft_add_number(n, NFTA_BITWISE_SREG, reg);
    nft_add_number(n, NFTA_BITWISE_DREG, reg);
    nft_add_number(n, NFTA_BITWISE_LEN, sizeof mask);
    nft_add_value(n, NFTA_BITWISE_MASK, &mask, sizeof mask);
    nft_add_value(n, NFTA_BITWISE_XOR, &zero, sizeof zero);
    close_expression(n, x);
}

void nft_compare(struct nft *n, enum nft_compare how, uint32_t reg, const void *bytes, size_t len)
{
    struct expression x = open_expression(n, "cmp");
    nft_add_number(n, NFTA_CMP_SREG, reg);
    nft_add_number(n, NFTA_CMP_OP, how == NFT_EQUAL ? NFT_CMP_EQ : NFT_CMP_NEQ);
    nft_add_value(n, NFTA_CMP_DATA, bytes, len);
    close_expression(n, x);
}

void nft_address_type(struct nft *n, uint32_t reg)
{
    struct expression x = open_expression(n, "fib");
    nft_add_number(n, NFTA_FIB_DREG, reg);
    nft_add_number(n, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    nft_add_number(n, NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
    close_expression(n, x);
}

void nft_lookup(struct nft *n, const char *set, uint32_t reg, uint32_t to)
{
    struct expression x = open_expression(n, "lookup");
    netlink_batch_add_text(&n->batch, NFTA_LOOKUP_SET, set);
    nft_add_number(n, NFTA_LOOKUP_SREG, reg);
    if (to)
        nft_add_number(n, NFTA_LOOKUP_DREG, to);
    close_expression(n, x);
}

void nft_unless(struct nft *n, const char *set, uint32_t reg)
{
    struct expression x = open_expression(n, "lookup");
    netlink_batch_add_text(&n->batch, NFTA_LOOKUP_SET, set);
    nft_add_number(n, NFTA_LOOKUP_SREG, reg);
    nft_add_number(n, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
    close_expression(n, x);
}

void nft_dnat(struct nft *n, int family, uint32_t address_reg, uint32_t port_reg)
{
    struct expression x = open_expression(n, "nat");
    nft_add_number(n, NFTA_NAT_TYPE, NFT_NAT_DNAT);
    nft_add_number(n, NFTA_NAT_FAMILY, (uint32_t)family);
    nft_add_number(n, NFTA_NAT_REG_ADDR_MIN, address_reg);
    nft_add_number(n, NFTA_NAT_REG_PROTO_MIN, port_reg);
    close_expression(n, x);
}

void nft_masquerade(struct nft *n)
{
    close_expression(n, open_expression(n, "masq"));
}

void nft_reject(struct nft *n)
{
    struct expression x = open_expression(n, "reject");
    nft_add_number(n, NFTA_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
    netlink_batch_add_u8(&n->batch, NFTA_REJECT_ICMP_CODE, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
    close_expression(n, x);
}

void nft_reset(struct nft *n)
{
    struct expression x = open_expression(n, "reject");
    nft_add_number(n, NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST);
    close_expression(n, x);
}

static void add_verdict(struct nft *n, int verdict, const char *chain)
{
    struct expression x = open_expression(n, "immediate");
    nft_add_number(n, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    size_t data = netlink_batch_nest(&n->batch, NFTA_IMMEDIATE_DATA);
    size_t inner = netlink_batch_nest(&n->batch, NFTA_DATA_VERDICT);
    nft_add_number(n, NFTA_VERDICT_CODE, (uint32_t)verdict);
    if (chain)
        netlink_batch_add_text(&n->batch, NFTA_VERDICT_CHAIN, chain);
    netlink_batch_end_nest(&n->batch, inner);
    netlink_batch_end_nest(&n->batch, data);
    close_expression(n, x);
}

void nft_verdict(struct nft *n, int verdict)
{
    add_verdict(n, verdict, NULL);
}

void nft_goto(struct nft *n, const char *chain)
{
    add_verdict(n, NFT_GOTO, chain);
}

void nft_jump(struct nft *n, const char *chain)
{
    add_verdict(n, NFT_JUMP, chain);
}

void nft_count(struct nft *n, const char *set, uint32_t reg)
{
    struct expression x = open_expression(n, "dynset");
    netlink_batch_add_text(&n->batch, NFTA_DYNSET_SET_NAME, set);
    nft_add_number(n, NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
    nft_add_number(n, NFTA_DYNSET_SREG_KEY, reg);
    size_t counter = netlink_batch_nest(&n->batch, NFTA_DYNSET_EXPR);
    netlink_batch_add_text(&n->batch, NFTA_EXPR_NAME, "counter");
    netlink_batch_end_nest(&n->batch, netlink_batch_nest(&n->batch, NFTA_EXPR_DATA));
    netlink_batch_end_nest(&n->batch, counter);
    close_expression(n, x);
}
