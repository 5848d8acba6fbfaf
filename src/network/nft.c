// SPDX-License-Identifier: GPL-2.0-or-later
#include "network/nft.h"

#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/mem.h"

#ifndef NFT_SET_CONCAT
#define NFT_SET_CONCAT 0x80
#endif

enum { ERRNO_MAX = 4095 }; /* the kernel's MAX_ERRNO */

#define TYPE(message) ((uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | (message)))

static const struct nfgenmsg inet = { .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 };

void nft_clear(struct nft *n)
{
    netlink_batch_clear(&n->batch);
    *n = (struct nft){ 0 };
}

fallible nft_open(int *ret_sock)
{
    err *e = netlink_open_protocol(NETLINK_NETFILTER, ret_sock);
    if (err_errno(e) != EPROTONOSUPPORT)
        return e;
    err_free(e);
    return err_new(ERR_UNSUPPORTED,
                   "this kernel has no nf_tables (CONFIG_NF_TABLES): published ports and bridges need it");
}

/* Numbers of nf_tables are in network order. */
static void add_number(struct nft *n, uint16_t attribute, uint32_t v)
{
    netlink_batch_add_u32(&n->batch, attribute, htobe32(v));
}

static void begin(struct nft *n, const char *what, uint16_t message, uint16_t flags)
{
    const struct nfgenmsg head = { .nfgen_family = n->family ? n->family : NFPROTO_INET, .version = NFNETLINK_V0 };
    n->empty = false;
    netlink_batch_begin(&n->batch, what, TYPE(message), flags, &head, sizeof head);
}

void nft_begin(struct nft *n, const char *table, uint32_t generation)
{
    const struct nfgenmsg head = { .nfgen_family = AF_UNSPEC,
                                   .version = NFNETLINK_V0,
                                   .res_id = htobe16(NFNL_SUBSYS_NFTABLES) };
    *n = (struct nft){ .table = table, .empty = true };
    netlink_batch_begin(&n->batch, "begin", NFNL_MSG_BATCH_BEGIN, 0, &head, sizeof head);
    if (generation)
        netlink_batch_add_u32(&n->batch, NFNL_BATCH_GENID, htobe32(generation));
}

const void *nft_bytes(struct nft *n, size_t *ret_len)
{
    const struct nfgenmsg head = { .nfgen_family = AF_UNSPEC,
                                   .version = NFNETLINK_V0,
                                   .res_id = htobe16(NFNL_SUBSYS_NFTABLES) };
    struct nlmsghdr *last = (void *)(n->batch.bytes + n->batch.last);
    last->nlmsg_flags |= NLM_F_ACK; /* so there is one answer at least */
    netlink_batch_begin(&n->batch, "commit", NFNL_MSG_BATCH_END, 0, &head, sizeof head);
    *ret_len = n->batch.len;
    return n->batch.bytes;
}

/* The kernel carries a batch out within send(2): all answers are there. The first error counts. */
static int read_answers(int sock, uint32_t *ret_seq)
{
    union {
        char bytes[16384];
        struct nlmsghdr align;
    } in;
    int first = 0;
    ssize_t got;
    while ((got = recv(sock, in.bytes, sizeof in.bytes, MSG_DONTWAIT)) > 0)
        for (size_t at = 0; (size_t)got - at >= NLMSG_LENGTH(sizeof(int));) {
            const struct nlmsghdr *m = (const void *)(in.bytes + at);
            int verdict = 0;
            if (m->nlmsg_len < NLMSG_LENGTH(sizeof verdict) || m->nlmsg_len > (size_t)got - at)
                break;
            memcpy(&verdict, NLMSG_DATA(m), sizeof verdict);
            if (m->nlmsg_type == NLMSG_ERROR && verdict && !first) {
                first = verdict < 0 && verdict >= -ERRNO_MAX ? -verdict : EPROTO;
                *ret_seq = m->nlmsg_seq;
            }
            size_t step = NLMSG_ALIGN((size_t)m->nlmsg_len);
            at = step > (size_t)got - at ? (size_t)got : at + step;
        }
    return first;
}

fallible nft_commit(int sock, struct nft *n)
{
    size_t len;
    uint32_t seq = 0;
    if (n->empty)
        return NULL;
    const void *bytes = nft_bytes(n, &len);
    if (send(sock, bytes, len, 0) < 0)
        return err_sys(errno, "send a batch to nf_tables");
    int failed = read_answers(sock, &seq);
    if (failed == ERESTART)
        return err_sys_as(ERR_CONFLICT, ERESTART, "the firewall was changed meanwhile");
    if (failed)
        return err_sys(failed, "nf_tables: %s", seq >= 1 && seq <= n->batch.n ? n->batch.whats[seq - 1] : "batch");
    return NULL;
}

/* One message of a batch as a batch of its own; it may be about what is not there. */
static fallible send_alone(int sock, const struct nlmsghdr *m, const struct nlmsghdr *first,
                           const struct nlmsghdr *last)
{
    own_str struct str out = { 0 };
    uint32_t seq;
    str_add_n(&out, first, NLMSG_ALIGN(first->nlmsg_len));
    size_t at = out.len;
    str_add_n(&out, m, NLMSG_ALIGN(m->nlmsg_len));
    ((struct nlmsghdr *)(void *)(out.text + at))->nlmsg_flags |= NLM_F_ACK;
    str_add_n(&out, last, NLMSG_ALIGN(last->nlmsg_len));
    if (send(sock, out.text, out.len, 0) < 0)
        return err_sys(errno, "send a batch to nf_tables");
    int failed = read_answers(sock, &seq);
    return failed && failed != ENOENT ? err_sys(failed, "nf_tables: take an element out") : NULL;
}

fallible nft_send(int sock, void *bytes, size_t len)
{
    const struct nlmsghdr *first = bytes, *last = NULL;
    uint32_t seq;
    for (size_t at = 0; at < len;) {
        last = (const void *)((const char *)bytes + at);
        if (len - at < sizeof *last || last->nlmsg_len < sizeof *last || NLMSG_ALIGN(last->nlmsg_len) > len - at)
            return err_new(ERR_CORRUPT, "a batch for nf_tables that is cut short");
        at += NLMSG_ALIGN(last->nlmsg_len);
    }
    if (!last || first == last)
        return NULL;
    if (send(sock, bytes, len, 0) < 0)
        return err_sys(errno, "send a batch to nf_tables");
    int failed = read_answers(sock, &seq);
    if (failed != ENOENT)
        return failed ? err_sys(failed, "nf_tables: take elements out") : NULL;
    for (const struct nlmsghdr *m = first;;) {
        m = (const void *)((const char *)m + NLMSG_ALIGN(m->nlmsg_len));
        if (m == last)
            return NULL;
        TRY(send_alone(sock, m, first, last));
    }
}

fallible nft_add_bytes(struct nft *n, const void *bytes, size_t len)
{
    for (size_t at = 0; at < len;) {
        const struct nlmsghdr *m = (const void *)((const char *)bytes + at);
        if (len - at < sizeof *m || m->nlmsg_len < sizeof *m || NLMSG_ALIGN(m->nlmsg_len) > len - at)
            return err_new(ERR_CORRUPT, "a batch for nf_tables that is cut short");
        at += NLMSG_ALIGN(m->nlmsg_len);
        if (m->nlmsg_type >> 8 != NFNL_SUBSYS_NFTABLES) /* where it begins or ends */
            continue;
        n->empty = false;
        netlink_batch_begin(&n->batch, "element", m->nlmsg_type, m->nlmsg_flags & (uint16_t)~NLM_F_ACK, NLMSG_DATA(m),
                            m->nlmsg_len - NLMSG_HDRLEN);
    }
    return NULL;
}

/* ---- objects --------------------------------------------------------------------------------------------------- */

void nft_table(struct nft *n, enum nft_what what)
{
    begin(n, "table", what == NFT_ADD ? NFT_MSG_NEWTABLE : NFT_MSG_DELTABLE, what == NFT_ADD ? NLM_F_CREATE : 0);
    netlink_batch_add_text(&n->batch, NFTA_TABLE_NAME, n->table);
}

void nft_add_chain(struct nft *n, const struct nft_chain *c)
{
    begin(n, c->name, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    netlink_batch_add_text(&n->batch, NFTA_CHAIN_TABLE, n->table);
    netlink_batch_add_text(&n->batch, NFTA_CHAIN_NAME, c->name);
    if (!c->type)
        return;
    size_t hook = netlink_batch_nest(&n->batch, NFTA_CHAIN_HOOK);
    add_number(n, NFTA_HOOK_HOOKNUM, c->hook);
    add_number(n, NFTA_HOOK_PRIORITY, (uint32_t)c->priority);
    netlink_batch_end_nest(&n->batch, hook);
    add_number(n, NFTA_CHAIN_POLICY, NF_ACCEPT);
    netlink_batch_add_text(&n->batch, NFTA_CHAIN_TYPE, c->type);
}

static void name_chain(struct nft *n, uint16_t message, uint16_t table, uint16_t name, const char *chain)
{
    begin(n, chain, message, 0);
    netlink_batch_add_text(&n->batch, table, n->table);
    netlink_batch_add_text(&n->batch, name, chain);
}

void nft_flush_chain(struct nft *n, const char *chain)
{
    name_chain(n, NFT_MSG_DELRULE, NFTA_RULE_TABLE, NFTA_RULE_CHAIN, chain); /* no rule named: all */
}

void nft_delete_chain(struct nft *n, const char *chain)
{
    name_chain(n, NFT_MSG_DELCHAIN, NFTA_CHAIN_TABLE, NFTA_CHAIN_NAME, chain);
}

static uint32_t type_size(enum nft_type t)
{
    switch (t) {
    case NFT_TYPE_IP4:
    case NFT_TYPE_MARK:
        return 4;
    case NFT_TYPE_IP6:
        return 16;
    case NFT_TYPE_PROTO:
        return 1;
    case NFT_TYPE_PORT:
        return 2;
    case NFT_TYPE_IFNAME:
        return 16;
    }
    return 0;
}

/* Several types are one number of six bits each, and each part is padded to 4 bytes. */
static void add_types(struct nft *n, uint16_t type_attribute, uint16_t len_attribute, const enum nft_type *types,
                      size_t max)
{
    uint32_t type = 0, len = 0;
    bool several = max > 1 && types[1];
    for (size_t i = 0; i < max && types[i]; i++) {
        type = type << 6 | types[i];
        len += several ? NLA_ALIGN(type_size(types[i])) : type_size(types[i]);
    }
    add_number(n, type_attribute, type);
    add_number(n, len_attribute, len);
}

static void add_fields(struct nft *n, const struct nft_set *s)
{
    size_t concat = netlink_batch_nest(&n->batch, NFTA_SET_DESC_CONCAT);
    for (size_t i = 0; i < sizeof s->key / sizeof *s->key && s->key[i]; i++) {
        size_t field = netlink_batch_nest(&n->batch, NFTA_LIST_ELEM);
        add_number(n, NFTA_SET_FIELD_LEN, type_size(s->key[i]));
        netlink_batch_end_nest(&n->batch, field);
    }
    netlink_batch_end_nest(&n->batch, concat);
}

static void add_description(struct nft *n, const struct nft_set *s)
{
    bool fields = s->interval && s->key[1];
    if (!fields && !s->size)
        return;
    size_t desc = netlink_batch_nest(&n->batch, NFTA_SET_DESC);
    if (s->size)
        add_number(n, NFTA_SET_DESC_SIZE, s->size);
    if (fields)
        add_fields(n, s);
    netlink_batch_end_nest(&n->batch, desc);
}

static void add_time(struct nft *n, uint16_t attribute, uint64_t ms)
{
    const uint64_t v = htobe64(ms);
    netlink_batch_add(&n->batch, attribute, &v, sizeof v);
}

void nft_add_set(struct nft *n, const struct nft_set *s)
{
    /* libnftnl's udata.h: NFTNL_UDATA_SET_KEYBYTEORDER, four bytes, host endian */
    static const uint8_t host_order[] = { 0, 4, 1, 0, 0, 0 };
    bool several = s->key[1];
    begin(n, s->name, NFT_MSG_NEWSET, NLM_F_CREATE);
    netlink_batch_add_text(&n->batch, NFTA_SET_TABLE, n->table);
    netlink_batch_add_text(&n->batch, NFTA_SET_NAME, s->name);
    add_number(n, NFTA_SET_FLAGS,
               (s->interval ? NFT_SET_INTERVAL : 0) | (s->interval && several ? NFT_SET_CONCAT : 0) |
                   (s->data[0] ? NFT_SET_MAP : 0) | (s->timeout ? NFT_SET_TIMEOUT : 0) |
                   (s->default_ms ? NFT_SET_EVAL : 0));
    add_types(n, NFTA_SET_KEY_TYPE, NFTA_SET_KEY_LEN, s->key, sizeof s->key / sizeof *s->key);
    if (s->data[0])
        add_types(n, NFTA_SET_DATA_TYPE, NFTA_SET_DATA_LEN, s->data, sizeof s->data / sizeof *s->data);
    add_number(n, NFTA_SET_ID, ++n->sets);
    if (s->key[0] == NFT_TYPE_IFNAME && !several) /* how nft(8) is to read the names: byte order of the host's */
        netlink_batch_add(&n->batch, NFTA_SET_USERDATA, host_order, sizeof host_order);
    add_description(n, s);
    if (s->default_ms)
        add_time(n, NFTA_SET_TIMEOUT, s->default_ms);
}

static void begin_elements(struct nft *n, enum nft_what what, const char *set)
{
    begin(n, set, what == NFT_ADD ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM, what == NFT_ADD ? NLM_F_CREATE : 0);
    netlink_batch_add_text(&n->batch, NFTA_SET_ELEM_LIST_TABLE, n->table);
    netlink_batch_add_text(&n->batch, NFTA_SET_ELEM_LIST_SET, set);
}

void nft_flush_set(struct nft *n, const char *set)
{
    begin_elements(n, NFT_DELETE, set); /* none named: all */
}

static void add_value(struct nft *n, uint16_t attribute, const void *bytes, size_t len)
{
    size_t nest = netlink_batch_nest(&n->batch, attribute);
    netlink_batch_add(&n->batch, NFTA_DATA_VALUE, bytes, len);
    netlink_batch_end_nest(&n->batch, nest);
}

/* libnftnl's udata.h: type NFTNL_UDATA_SET_ELEM_COMMENT, length, text with its NUL. */
static void add_comment(struct nft *n, const char *text)
{
    unsigned char bytes[2 + NFT_COMMENT_MAX + 1] = { 0 };
    size_t len = strnlen(text, NFT_COMMENT_MAX);
    bytes[1] = (unsigned char)(len + 1);
    memcpy(bytes + 2, text, len);
    netlink_batch_add(&n->batch, NFTA_SET_ELEM_USERDATA, bytes, 2 + len + 1);
}

void nft_element(struct nft *n, enum nft_what what, const char *set, const struct nft_element *e)
{
    begin_elements(n, what, set);
    size_t list = netlink_batch_nest(&n->batch, NFTA_SET_ELEM_LIST_ELEMENTS);
    size_t item = netlink_batch_nest(&n->batch, NFTA_LIST_ELEM);
    add_value(n, NFTA_SET_ELEM_KEY, e->key, e->key_len);
    if (e->end)
        add_value(n, NFTA_SET_ELEM_KEY_END, e->end, e->key_len);
    if (e->data && what == NFT_ADD)
        add_value(n, NFTA_SET_ELEM_DATA, e->data, e->data_len);
    if (e->timeout_ms && what == NFT_ADD)
        add_time(n, NFTA_SET_ELEM_TIMEOUT, e->timeout_ms);
    if (e->comment && what == NFT_ADD)
        add_comment(n, e->comment);
    netlink_batch_end_nest(&n->batch, item);
    netlink_batch_end_nest(&n->batch, list);
}

void nft_interval(struct nft *n, enum nft_what what, const char *set, const void *first, const void *after_last,
                  size_t len)
{
    begin_elements(n, what, set);
    size_t list = netlink_batch_nest(&n->batch, NFTA_SET_ELEM_LIST_ELEMENTS);
    size_t item = netlink_batch_nest(&n->batch, NFTA_LIST_ELEM);
    add_value(n, NFTA_SET_ELEM_KEY, first, len);
    netlink_batch_end_nest(&n->batch, item);
    item = netlink_batch_nest(&n->batch, NFTA_LIST_ELEM);
    add_value(n, NFTA_SET_ELEM_KEY, after_last, len);
    add_number(n, NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
    netlink_batch_end_nest(&n->batch, item);
    netlink_batch_end_nest(&n->batch, list);
}

/* ---- rules ----------------------------------------------------------------------------------------------------- */

void nft_rule_begin(struct nft *n, const char *chain)
{
    begin(n, chain, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
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
    add_number(n, NFTA_META_KEY, key);
    add_number(n, NFTA_META_DREG, reg);
    close_expression(n, x);
}

void nft_payload(struct nft *n, uint32_t base, uint32_t offset, uint32_t len, uint32_t reg)
{
    struct expression x = open_expression(n, "payload");
    add_number(n, NFTA_PAYLOAD_DREG, reg);
    add_number(n, NFTA_PAYLOAD_BASE, base);
    add_number(n, NFTA_PAYLOAD_OFFSET, offset);
    add_number(n, NFTA_PAYLOAD_LEN, len);
    close_expression(n, x);
}

void nft_ct(struct nft *n, uint32_t key, uint32_t reg)
{
    struct expression x = open_expression(n, "ct");
    add_number(n, NFTA_CT_KEY, key);
    add_number(n, NFTA_CT_DREG, reg);
    close_expression(n, x);
}

void nft_transparent(struct nft *n, uint32_t reg)
{
    struct expression x = open_expression(n, "socket");
    add_number(n, NFTA_SOCKET_KEY, NFT_SOCKET_TRANSPARENT);
    add_number(n, NFTA_SOCKET_DREG, reg);
    close_expression(n, x);
}

void nft_set_mark(struct nft *n, enum nft_mark what, uint32_t reg)
{
    bool packet = what == NFT_MARK_OF_PACKET;
    struct expression x = open_expression(n, packet ? "meta" : "ct");
    add_number(n, packet ? NFTA_META_KEY : NFTA_CT_KEY, packet ? NFT_META_MARK : NFT_CT_MARK);
    add_number(n, packet ? NFTA_META_SREG : NFTA_CT_SREG, reg);
    close_expression(n, x);
}

void nft_number(struct nft *n, uint32_t reg, uint32_t v)
{
    struct expression x = open_expression(n, "immediate");
    add_number(n, NFTA_IMMEDIATE_DREG, reg);
    add_value(n, NFTA_IMMEDIATE_DATA, &v, sizeof v);
    close_expression(n, x);
}

void nft_bits(struct nft *n, uint32_t reg, uint32_t mask)
{
    const uint32_t zero = 0;
    struct expression x = open_expression(n, "bitwise");
    add_number(n, NFTA_BITWISE_SREG, reg);
    add_number(n, NFTA_BITWISE_DREG, reg);
    add_number(n, NFTA_BITWISE_LEN, sizeof mask);
    add_value(n, NFTA_BITWISE_MASK, &mask, sizeof mask);
    add_value(n, NFTA_BITWISE_XOR, &zero, sizeof zero);
    close_expression(n, x);
}

void nft_compare(struct nft *n, enum nft_compare how, uint32_t reg, const void *bytes, size_t len)
{
    struct expression x = open_expression(n, "cmp");
    add_number(n, NFTA_CMP_SREG, reg);
    add_number(n, NFTA_CMP_OP, how == NFT_EQUAL ? NFT_CMP_EQ : NFT_CMP_NEQ);
    add_value(n, NFTA_CMP_DATA, bytes, len);
    close_expression(n, x);
}

void nft_address_type(struct nft *n, uint32_t reg)
{
    struct expression x = open_expression(n, "fib");
    add_number(n, NFTA_FIB_DREG, reg);
    add_number(n, NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    add_number(n, NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
    close_expression(n, x);
}

void nft_lookup(struct nft *n, const char *set, uint32_t reg, uint32_t to)
{
    struct expression x = open_expression(n, "lookup");
    netlink_batch_add_text(&n->batch, NFTA_LOOKUP_SET, set);
    add_number(n, NFTA_LOOKUP_SREG, reg);
    if (to)
        add_number(n, NFTA_LOOKUP_DREG, to);
    close_expression(n, x);
}

void nft_unless(struct nft *n, const char *set, uint32_t reg)
{
    struct expression x = open_expression(n, "lookup");
    netlink_batch_add_text(&n->batch, NFTA_LOOKUP_SET, set);
    add_number(n, NFTA_LOOKUP_SREG, reg);
    add_number(n, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
    close_expression(n, x);
}

void nft_dnat(struct nft *n, int family, uint32_t address_reg, uint32_t port_reg)
{
    struct expression x = open_expression(n, "nat");
    add_number(n, NFTA_NAT_TYPE, NFT_NAT_DNAT);
    add_number(n, NFTA_NAT_FAMILY, (uint32_t)family);
    add_number(n, NFTA_NAT_REG_ADDR_MIN, address_reg);
    add_number(n, NFTA_NAT_REG_PROTO_MIN, port_reg);
    close_expression(n, x);
}

void nft_masquerade(struct nft *n)
{
    close_expression(n, open_expression(n, "masq"));
}

void nft_reject(struct nft *n)
{
    struct expression x = open_expression(n, "reject");
    add_number(n, NFTA_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
    netlink_batch_add_u8(&n->batch, NFTA_REJECT_ICMP_CODE, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
    close_expression(n, x);
}

void nft_reset(struct nft *n)
{
    struct expression x = open_expression(n, "reject");
    add_number(n, NFTA_REJECT_TYPE, NFT_REJECT_TCP_RST);
    close_expression(n, x);
}

static void add_verdict(struct nft *n, int verdict, const char *chain)
{
    struct expression x = open_expression(n, "immediate");
    add_number(n, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
    size_t data = netlink_batch_nest(&n->batch, NFTA_IMMEDIATE_DATA);
    size_t inner = netlink_batch_nest(&n->batch, NFTA_DATA_VERDICT);
    add_number(n, NFTA_VERDICT_CODE, (uint32_t)verdict);
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
    add_number(n, NFTA_DYNSET_OP, NFT_DYNSET_OP_UPDATE);
    add_number(n, NFTA_DYNSET_SREG_KEY, reg);
    size_t counter = netlink_batch_nest(&n->batch, NFTA_DYNSET_EXPR);
    netlink_batch_add_text(&n->batch, NFTA_EXPR_NAME, "counter");
    netlink_batch_end_nest(&n->batch, netlink_batch_nest(&n->batch, NFTA_EXPR_DATA));
    netlink_batch_end_nest(&n->batch, counter);
    close_expression(n, x);
}

/* ---- questions ------------------------------------------------------------------------------------------------- */

static uint32_t number_of(const struct nlattr *a, size_t len)
{
    uint32_t v = 0;
    if (a && len >= sizeof v)
        memcpy(&v, a + 1, sizeof v);
    return be32toh(v);
}

static bool is_text(const struct nlattr *a, size_t len)
{
    return a && len && memchr(a + 1, '\0', len);
}

/* An attribute within another; NULL: not there. */
static const struct nlattr *find_in(const struct nlattr *in, uint16_t attribute, size_t *ret_len)
{
    const char *at = (const char *)(in + 1), *end = (const char *)in + in->nla_len;
    while (end - at >= (ptrdiff_t)sizeof(struct nlattr)) {
        const struct nlattr *a = (const void *)at;
        if (a->nla_len < NLA_HDRLEN || a->nla_len > end - at)
            break;
        if ((a->nla_type & NLA_TYPE_MASK) == attribute) {
            *ret_len = (size_t)a->nla_len - NLA_HDRLEN;
            return a;
        }
        size_t step = NLA_ALIGN((size_t)a->nla_len);
        at = step > (size_t)(end - at) ? end : at + step;
    }
    return NULL;
}

static err *read_generation(void *ctx, const struct nlmsghdr *m)
{
    size_t len = 0;
    const struct nlattr *a = netlink_find(m, sizeof(struct nfgenmsg), NFTA_GEN_ID, &len);
    if (a)
        *(uint32_t *)ctx = number_of(a, len);
    return NULL;
}

fallible nft_generation(int sock, uint32_t *ret)
{
    struct netlink_request r;
    *ret = 0;
    netlink_begin(&r, TYPE(NFT_MSG_GETGEN), 0, &inet, sizeof inet);
    TRY_AS(netlink_ask(sock, &r, read_generation, ret), "nf_tables");
    return NULL;
}

/* The request is written as a batch of one, since it nests; the answer is read by netlink_ask()'s rules. */
static fallible ask(int sock, struct netlink_batch *b, uint16_t flags, netlink_answer *fn, void *ctx)
{
    struct netlink_request r = { .full = b->len > sizeof r.bytes };
    if (!r.full)
        memcpy(r.bytes, b->bytes, b->len);
    r.head.nlmsg_flags |= flags;
    return netlink_ask(sock, &r, fn, ctx);
}

fallible nft_has(int sock, const char *table, const char *set, const void *key, size_t len, bool *ret)
{
    own(nft) struct nft n = { .table = table };
    begin(&n, set, NFT_MSG_GETSETELEM, 0);
    netlink_batch_add_text(&n.batch, NFTA_SET_ELEM_LIST_TABLE, table);
    netlink_batch_add_text(&n.batch, NFTA_SET_ELEM_LIST_SET, set);
    size_t list = netlink_batch_nest(&n.batch, NFTA_SET_ELEM_LIST_ELEMENTS);
    size_t item = netlink_batch_nest(&n.batch, NFTA_LIST_ELEM);
    add_value(&n, NFTA_SET_ELEM_KEY, key, len);
    netlink_batch_end_nest(&n.batch, item);
    netlink_batch_end_nest(&n.batch, list);
    err *e = ask(sock, &n.batch, 0, NULL, NULL);
    *ret = !e;
    if (err_errno(e) != ENOENT)
        return err_wrap(e, "nf_tables");
    err_free(e);
    return NULL;
}

struct each {
    nft_each_fn *fn;
    void *ctx;
};

static uint64_t long_of(const struct nlattr *in, uint16_t attribute)
{
    uint64_t v = 0;
    size_t len = 0;
    const struct nlattr *a = in ? find_in(in, attribute, &len) : NULL;
    if (a && len >= sizeof v)
        memcpy(&v, a + 1, sizeof v);
    return be64toh(v);
}

static void read_counter(const struct nlattr *item, struct nft_element *e)
{
    size_t len = 0;
    const struct nlattr *expression = find_in(item, NFTA_SET_ELEM_EXPR, &len);
    const struct nlattr *name = expression ? find_in(expression, NFTA_EXPR_NAME, &len) : NULL;
    if (!is_text(name, name ? len : 0) || strcmp((const char *)(name + 1), "counter") != 0)
        return;
    const struct nlattr *data = find_in(expression, NFTA_EXPR_DATA, &len);
    e->packets = long_of(data, NFTA_COUNTER_PACKETS);
    e->bytes = long_of(data, NFTA_COUNTER_BYTES);
}

/* As add_comment() wrote it; whatever else others keep there is none. */
static const char *comment_of(const struct nlattr *item)
{
    size_t len = 0;
    const struct nlattr *a = find_in(item, NFTA_SET_ELEM_USERDATA, &len);
    const unsigned char *bytes = a ? (const void *)(a + 1) : NULL;
    bool fits = bytes && len >= 3 && bytes[0] == 0 && (size_t)bytes[1] + 2 <= len && bytes[1];
    return fits && bytes[1 + bytes[1]] == '\0' ? (const char *)bytes + 2 : NULL;
}

static err *read_element(const struct each *each, const struct nlattr *item)
{
    struct nft_element e = { 0 };
    size_t len = 0, end_len = 0;
    const struct nlattr *key = find_in(item, NFTA_SET_ELEM_KEY, &len);
    const struct nlattr *last = find_in(item, NFTA_SET_ELEM_KEY_END, &len);
    const struct nlattr *data = find_in(item, NFTA_SET_ELEM_DATA, &len);
    const struct nlattr *k = key ? find_in(key, NFTA_DATA_VALUE, &e.key_len) : NULL;
    const struct nlattr *l = last ? find_in(last, NFTA_DATA_VALUE, &end_len) : NULL;
    const struct nlattr *d = data ? find_in(data, NFTA_DATA_VALUE, &e.data_len) : NULL;
    if (!k || (l && end_len != e.key_len))
        return NULL;
    e.key = k + 1;
    e.end = l ? l + 1 : NULL;
    e.data = d ? d + 1 : NULL;
    read_counter(item, &e);
    e.comment = comment_of(item);
    e.expires_ms = long_of(item, NFTA_SET_ELEM_EXPIRATION);
    return each->fn(each->ctx, &e);
}

static err *read_elements(void *ctx, const struct nlmsghdr *m)
{
    size_t len = 0;
    const struct nlattr *list = netlink_find(m, sizeof(struct nfgenmsg), NFTA_SET_ELEM_LIST_ELEMENTS, &len);
    if (!list)
        return NULL;
    const char *at = (const char *)(list + 1), *end = at + len;
    while (end - at >= (ptrdiff_t)sizeof(struct nlattr)) {
        const struct nlattr *item = (const void *)at;
        if (item->nla_len < NLA_HDRLEN || item->nla_len > end - at)
            break;
        TRY(read_element(ctx, item));
        size_t step = NLA_ALIGN((size_t)item->nla_len);
        at = step > (size_t)(end - at) ? end : at + step;
    }
    return NULL;
}

fallible nft_each(int sock, const char *table, const char *set, nft_each_fn *fn, void *ctx)
{
    struct each each = { fn, ctx };
    struct netlink_request r;
    netlink_begin(&r, TYPE(NFT_MSG_GETSETELEM), NLM_F_DUMP, &inet, sizeof inet);
    netlink_add_text(&r, NFTA_SET_ELEM_LIST_TABLE, table);
    netlink_add_text(&r, NFTA_SET_ELEM_LIST_SET, set);
    TRY_AS(netlink_ask(sock, &r, read_elements, &each), "nf_tables: '%s'", set);
    return NULL;
}

struct each_chain {
    nft_chain_fn *fn;
    void *ctx;
};

static err *read_chain(void *ctx, const struct nlmsghdr *m)
{
    const struct each_chain *each = ctx;
    size_t len = 0, table_len = 0, chain_len = 0, policy_len = 0;
    const size_t fixed = sizeof(struct nfgenmsg);
    const struct nfgenmsg *head = NLMSG_DATA(m);
    const struct nlattr *hook = netlink_find(m, fixed, NFTA_CHAIN_HOOK, &len);
    const struct nlattr *table = netlink_find(m, fixed, NFTA_CHAIN_TABLE, &table_len);
    const struct nlattr *chain = netlink_find(m, fixed, NFTA_CHAIN_NAME, &chain_len);
    const struct nlattr *policy = netlink_find(m, fixed, NFTA_CHAIN_POLICY, &policy_len);
    if (!hook || !policy || !is_text(table, table_len) || !is_text(chain, chain_len))
        return NULL;
    const struct nlattr *number = find_in(hook, NFTA_HOOK_HOOKNUM, &len);
    return each->fn(each->ctx, head->nfgen_family, (const char *)(table + 1), (const char *)(chain + 1),
                    number_of(number, len), number_of(policy, policy_len));
}

fallible nft_each_chain(int sock, nft_chain_fn *fn, void *ctx)
{
    struct each_chain each = { fn, ctx };
    struct netlink_request r;
    const struct nfgenmsg any = { .nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0 };
    netlink_begin(&r, TYPE(NFT_MSG_GETCHAIN), NLM_F_DUMP, &any, sizeof any);
    TRY_AS(netlink_ask(sock, &r, read_chain, &each), "nf_tables");
    return NULL;
}
