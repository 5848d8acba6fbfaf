// SPDX-License-Identifier: GPL-2.0-or-later
/* Questions about what is there, and how the kernel's answers are read. */
#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <string.h>

#include "base/mem.h"
#include "network/nft_parts.h"

static const struct nfgenmsg inet = { .nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0 };

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
    netlink_begin(&r, NFT_MESSAGE(NFT_MSG_GETGEN), 0, &inet, sizeof inet);
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
    return nft_has_in(sock, NFPROTO_INET, table, set, key, len, ret);
}

fallible nft_has_in(int sock, uint8_t family, const char *table, const char *set, const void *key, size_t len,
                    bool *ret)
{
    own(nft) struct nft n = { .table = table, .family = family };
    nft_message(&n, set, NFT_MSG_GETSETELEM, 0);
    netlink_batch_add_text(&n.batch, NFTA_SET_ELEM_LIST_TABLE, table);
    netlink_batch_add_text(&n.batch, NFTA_SET_ELEM_LIST_SET, set);
    size_t list = netlink_batch_nest(&n.batch, NFTA_SET_ELEM_LIST_ELEMENTS);
    size_t item = netlink_batch_nest(&n.batch, NFTA_LIST_ELEM);
    nft_add_value(&n, NFTA_SET_ELEM_KEY, key, len);
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
    const struct nlattr *a = in ? netlink_find_in(in, attribute, &len) : NULL;
    if (a && len >= sizeof v)
        memcpy(&v, a + 1, sizeof v);
    return be64toh(v);
}

static void read_counter(const struct nlattr *item, struct nft_element *e)
{
    size_t len = 0;
    const struct nlattr *expression = netlink_find_in(item, NFTA_SET_ELEM_EXPR, &len);
    const struct nlattr *name = expression ? netlink_find_in(expression, NFTA_EXPR_NAME, &len) : NULL;
    if (!is_text(name, name ? len : 0) || strcmp((const char *)(name + 1), "counter") != 0)
        return;
    const struct nlattr *data = netlink_find_in(expression, NFTA_EXPR_DATA, &len);
    e->packets = long_of(data, NFTA_COUNTER_PACKETS);
    e->bytes = long_of(data, NFTA_COUNTER_BYTES);
}

/* As add_comment() wrote it; whatever else others keep there is none. */
static const char *comment_of(const struct nlattr *item)
{
    size_t len = 0;
    const struct nlattr *a = netlink_find_in(item, NFTA_SET_ELEM_USERDATA, &len);
    const unsigned char *bytes = a ? (const void *)(a + 1) : NULL;
    bool fits = bytes && len >= 3 && bytes[0] == 0 && (size_t)bytes[1] + 2 <= len && bytes[1];
    return fits && bytes[1 + bytes[1]] == '\0' ? (const char *)bytes + 2 : NULL;
}

static err *read_element(const struct each *each, const struct nlattr *item)
{
    struct nft_element e = { 0 };
    size_t len = 0, end_len = 0;
    const struct nlattr *key = netlink_find_in(item, NFTA_SET_ELEM_KEY, &len);
    const struct nlattr *last = netlink_find_in(item, NFTA_SET_ELEM_KEY_END, &len);
    const struct nlattr *data = netlink_find_in(item, NFTA_SET_ELEM_DATA, &len);
    const struct nlattr *k = key ? netlink_find_in(key, NFTA_DATA_VALUE, &e.key_len) : NULL;
    const struct nlattr *l = last ? netlink_find_in(last, NFTA_DATA_VALUE, &end_len) : NULL;
    const struct nlattr *d = data ? netlink_find_in(data, NFTA_DATA_VALUE, &e.data_len) : NULL;
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
    netlink_begin(&r, NFT_MESSAGE(NFT_MSG_GETSETELEM), NLM_F_DUMP, &inet, sizeof inet);
    netlink_add_text(&r, NFTA_SET_ELEM_LIST_TABLE, table);
    netlink_add_text(&r, NFTA_SET_ELEM_LIST_SET, set);
    TRY_AS(netlink_ask(sock, &r, read_elements, &each), "nf_tables: '%s'", set);
    return NULL;
}

fallible nft_each_stored(const void *bytes, size_t len, const char *set, nft_each_fn *fn, void *ctx)
{
    struct each each = { fn, ctx };
    for (size_t at = 0; at < len;) {
        const struct nlmsghdr *m = (const void *)((const char *)bytes + at);
        size_t name_len = 0;
        size_t step = nft_step(m, len - at);
        if (!step)
            return err_new(ERR_CORRUPT, "a batch for nf_tables that is cut short");
        at += step;
        if (m->nlmsg_type != NFT_MESSAGE(NFT_MSG_DELSETELEM))
            continue;
        const struct nlattr *name = netlink_find(m, sizeof(struct nfgenmsg), NFTA_SET_ELEM_LIST_SET, &name_len);
        if (is_text(name, name_len) && str_eq((const char *)(name + 1), set))
            TRY(read_elements(&each, m));
    }
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
    const struct nlattr *number = netlink_find_in(hook, NFTA_HOOK_HOOKNUM, &len);
    return each->fn(each->ctx, head->nfgen_family, (const char *)(table + 1), (const char *)(chain + 1),
                    number_of(number, len), number_of(policy, policy_len));
}

fallible nft_each_chain(int sock, nft_chain_fn *fn, void *ctx)
{
    struct each_chain each = { fn, ctx };
    struct netlink_request r;
    const struct nfgenmsg any = { .nfgen_family = NFPROTO_UNSPEC, .version = NFNETLINK_V0 };
    netlink_begin(&r, NFT_MESSAGE(NFT_MSG_GETCHAIN), NLM_F_DUMP, &any, sizeof any);
    TRY_AS(netlink_ask(sock, &r, read_chain, &each), "nf_tables");
    return NULL;
}
