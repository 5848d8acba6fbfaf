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
#include "network/nft_parts.h"

#ifndef NFT_SET_CONCAT
#define NFT_SET_CONCAT 0x80
#endif

enum { ERRNO_MAX = 4095 }; /* the kernel's MAX_ERRNO */

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

void nft_message(struct nft *n, const char *what, uint16_t message, uint16_t flags)
{
    const struct nfgenmsg head = { .nfgen_family = n->family ? n->family : NFPROTO_INET, .version = NFNETLINK_V0 };
    n->empty = false;
    netlink_batch_begin(&n->batch, what, NFT_MESSAGE(message), flags, &head, sizeof head);
}

void nft_add_value(struct nft *n, uint16_t attribute, const void *bytes, size_t len)
{
    size_t nest = netlink_batch_nest(&n->batch, attribute);
    netlink_batch_add(&n->batch, NFTA_DATA_VALUE, bytes, len);
    netlink_batch_end_nest(&n->batch, nest);
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
            size_t step = NLMSG_ALIGN(m->nlmsg_len);
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
        if (len - at < sizeof *last || last->nlmsg_len < sizeof *last ||
            NLMSG_ALIGN((size_t)last->nlmsg_len) > len - at)
            return err_new(ERR_CORRUPT, "a batch for nf_tables that is cut short");
        at += NLMSG_ALIGN((size_t)last->nlmsg_len);
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
        size_t step = nft_step(m, len - at);
        if (!step)
            return err_new(ERR_CORRUPT, "a batch for nf_tables that is cut short");
        at += step;
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
    nft_message(n, "table", what == NFT_ADD ? NFT_MSG_NEWTABLE : NFT_MSG_DELTABLE, what == NFT_ADD ? NLM_F_CREATE : 0);
    netlink_batch_add_text(&n->batch, NFTA_TABLE_NAME, n->table);
}

void nft_add_chain(struct nft *n, const struct nft_chain *c)
{
    nft_message(n, c->name, NFT_MSG_NEWCHAIN, NLM_F_CREATE);
    netlink_batch_add_text(&n->batch, NFTA_CHAIN_TABLE, n->table);
    netlink_batch_add_text(&n->batch, NFTA_CHAIN_NAME, c->name);
    if (!c->type)
        return;
    size_t hook = netlink_batch_nest(&n->batch, NFTA_CHAIN_HOOK);
    nft_add_number(n, NFTA_HOOK_HOOKNUM, c->hook);
    nft_add_number(n, NFTA_HOOK_PRIORITY, (uint32_t)c->priority);
    netlink_batch_end_nest(&n->batch, hook);
    nft_add_number(n, NFTA_CHAIN_POLICY, NF_ACCEPT);
    netlink_batch_add_text(&n->batch, NFTA_CHAIN_TYPE, c->type);
}

static void name_chain(struct nft *n, uint16_t message, uint16_t table, uint16_t name, const char *chain)
{
    nft_message(n, chain, message, 0);
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
    nft_add_number(n, type_attribute, type);
    nft_add_number(n, len_attribute, len);
}

static void add_fields(struct nft *n, const struct nft_set *s)
{
    size_t concat = netlink_batch_nest(&n->batch, NFTA_SET_DESC_CONCAT);
    for (size_t i = 0; i < sizeof s->key / sizeof *s->key && s->key[i]; i++) {
        size_t field = netlink_batch_nest(&n->batch, NFTA_LIST_ELEM);
        nft_add_number(n, NFTA_SET_FIELD_LEN, type_size(s->key[i]));
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
        nft_add_number(n, NFTA_SET_DESC_SIZE, s->size);
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
    nft_message(n, s->name, NFT_MSG_NEWSET, NLM_F_CREATE);
    netlink_batch_add_text(&n->batch, NFTA_SET_TABLE, n->table);
    netlink_batch_add_text(&n->batch, NFTA_SET_NAME, s->name);
    nft_add_number(n, NFTA_SET_FLAGS,
                   (s->interval ? NFT_SET_INTERVAL : 0) | (s->interval && several ? NFT_SET_CONCAT : 0) |
                       (s->data[0] ? NFT_SET_MAP : 0) | (s->timeout ? NFT_SET_TIMEOUT : 0) |
                       (s->default_ms ? NFT_SET_EVAL : 0));
    add_types(n, NFTA_SET_KEY_TYPE, NFTA_SET_KEY_LEN, s->key, sizeof s->key / sizeof *s->key);
    if (s->data[0])
        add_types(n, NFTA_SET_DATA_TYPE, NFTA_SET_DATA_LEN, s->data, sizeof s->data / sizeof *s->data);
    nft_add_number(n, NFTA_SET_ID, ++n->sets);
    if (s->key[0] == NFT_TYPE_IFNAME && !several) /* how nft(8) is to read the names: byte order of the host's */
        netlink_batch_add(&n->batch, NFTA_SET_USERDATA, host_order, sizeof host_order);
    add_description(n, s);
    if (s->default_ms)
        add_time(n, NFTA_SET_TIMEOUT, s->default_ms);
}

static void begin_elements(struct nft *n, enum nft_what what, const char *set)
{
    nft_message(n, set, what == NFT_ADD ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM, what == NFT_ADD ? NLM_F_CREATE : 0);
    netlink_batch_add_text(&n->batch, NFTA_SET_ELEM_LIST_TABLE, n->table);
    netlink_batch_add_text(&n->batch, NFTA_SET_ELEM_LIST_SET, set);
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
    nft_add_value(n, NFTA_SET_ELEM_KEY, e->key, e->key_len);
    if (e->end)
        nft_add_value(n, NFTA_SET_ELEM_KEY_END, e->end, e->key_len);
    if (e->data && what == NFT_ADD)
        nft_add_value(n, NFTA_SET_ELEM_DATA, e->data, e->data_len);
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
    nft_add_value(n, NFTA_SET_ELEM_KEY, first, len);
    netlink_batch_end_nest(&n->batch, item);
    item = netlink_batch_nest(&n->batch, NFTA_LIST_ELEM);
    nft_add_value(n, NFTA_SET_ELEM_KEY, after_last, len);
    nft_add_number(n, NFTA_SET_ELEM_FLAGS, NFT_SET_ELEM_INTERVAL_END);
    netlink_batch_end_nest(&n->batch, item);
    netlink_batch_end_nest(&n->batch, list);
}
