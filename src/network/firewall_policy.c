// SPDX-License-Identifier: GPL-2.0-or-later
/* Elements of who may reach whom: --egress, and the rules among neighbours. */
#include "network/firewall.h"

#include <endian.h>
#include <errno.h>
#include <string.h>

#include "base/mem.h"
#include "network/firewall_parts.h"

/* ---- egress ---------------------------------------------------------------------------------------------------- */

void firewall_reach(struct nft *n, enum nft_what what, const struct firewall_reach *r)
{
    const bool v4 = r->from.family == AF_INET;
    const uint16_t first = htobe16(r->first), last = htobe16(r->last);
    uint8_t key[36] = { 0 }, end[36] = { 0 };
    size_t len = 0, end_len = 0;
    if (!ip_is_set(&r->to)) {
        firewall_bridge_put(n, what, r);
        if (!ip_is_set(&r->from) || r->kept)
            return;
        nft_element(n, what, v4 ? "egress4" : "egress6",
                    &(struct nft_element){ .key = r->from.bytes, .key_len = ip_size(&r->from) });
        return;
    }
    add_field(key, &len, r->from.bytes, ip_size(&r->from));
    add_field(key, &len, r->to.bytes, ip_size(&r->to));
    add_field(key, &len, &first, sizeof first);
    add_field(end, &end_len, r->from.bytes, ip_size(&r->from));
    add_field(end, &end_len, r->to_last.bytes, ip_size(&r->to));
    add_field(end, &end_len, &last, sizeof last);
    nft_element(n, what, v4 ? "reach4" : "reach6",
                &(struct nft_element){ .key = key, .end = end, .key_len = len, .timeout_ms = r->timeout_ms });
}

struct forget {
    struct nft *n;
    const struct ip *from;
};

static err *forget_element(void *ctx, const struct nft_element *e)
{
    struct forget *f = ctx;
    size_t size = ip_size(f->from);
    if (e->end && e->key_len > size && memcmp(e->key, f->from->bytes, size) == 0)
        nft_element(f->n, NFT_DELETE, f->from->family == AF_INET ? "reach4" : "reach6", e);
    return NULL;
}

fallible firewall_forget_reach(int sock, const struct ip *from)
{
    own(nft) struct nft n = { 0 };
    struct forget f = { &n, from };
    size_t len;
    firewall_begin(&n);
    err *e = nft_each(sock, FIREWALL_TABLE, from->family == AF_INET ? "reach4" : "reach6", forget_element, &f);
    if (err_errno(e) == ENOENT) { /* no table yet: nothing to forget */
        err_free(e);
        return NULL;
    }
    TRY(e);
    if (n.empty)
        return NULL;
    void *bytes = (void *)(uintptr_t)nft_bytes(&n, &len);
    return nft_send(sock, bytes, len); /* some may go by themselves meanwhile */
}

/* ---- rules among neighbours ------------------------------------------------------------------------------------ */

/* FNV-1a. acl.c sees to it that no two of a network have the same. */
uint32_t firewall_mark(const uint8_t *identity)
{
    uint32_t mark = 2166136261u;
    for (size_t i = 0; i < FIREWALL_IDENTITY; i++)
        mark = (mark ^ identity[i]) * 16777619u;
    return mark;
}

void firewall_who(struct nft *n, enum nft_what what, const struct firewall_who *w)
{
    const uint32_t mark = firewall_mark(w->identity);
    nft_element(n, what, w->ip.family == AF_INET ? "who4" : "who6",
                &(struct nft_element){
                    .key = w->ip.bytes, .key_len = ip_size(&w->ip), .data = &mark, .data_len = sizeof mark });
}

void firewall_allow(struct nft *n, const uint8_t *from, const uint8_t *to, uint8_t proto, uint16_t first, uint16_t last)
{
    const uint8_t last_proto = proto ? proto : UINT8_MAX;
    const uint16_t low = htobe16(first), high = htobe16(last);
    const uint32_t marks[] = { firewall_mark(from), firewall_mark(to) };
    uint8_t key[16] = { 0 }, end[16] = { 0 };
    size_t len = 0, end_len = 0;
    add_field(key, &len, marks, sizeof marks);
    add_field(key, &len, &proto, sizeof proto);
    add_field(key, &len, &low, sizeof low);
    add_field(end, &end_len, marks, sizeof marks);
    add_field(end, &end_len, &last_proto, sizeof last_proto);
    add_field(end, &end_len, &high, sizeof high);
    nft_element(n, NFT_ADD, "allowed", &(struct nft_element){ .key = key, .end = end, .key_len = len });
}

void firewall_identity(struct nft *n, const uint8_t *identity)
{
    nft_element(n, NFT_ADD, "identities", &(struct nft_element){ .key = identity, .key_len = FIREWALL_IDENTITY });
}

fallible firewall_has_identity(int sock, const uint8_t *identity, bool *ret)
{
    return nft_has(sock, FIREWALL_TABLE, "identities", identity, FIREWALL_IDENTITY, ret);
}

fallible firewall_is_policed(int sock, const char *bridge, bool *ret)
{
    char name[IFNAME] = "";
    memcpy(name, bridge, strnlen(bridge, IFNAME - 1));
    return nft_has(sock, FIREWALL_TABLE, "policed", name, sizeof name, ret);
}

void firewall_police(struct nft *n, enum nft_what what, const char *bridge)
{
    char name[IFNAME] = "";
    memcpy(name, bridge, strnlen(bridge, IFNAME - 1));
    nft_element(n, what, "policed", &(struct nft_element){ .key = name, .key_len = sizeof name });
}

struct forget_policy {
    struct nft *n;
    bool (*is_of)(const void *identity, const char *network);
    const char *network, *set;
    uint32_t *marks; /* of the identities that go */
    size_t marks_n;
};

static err *forget_identity(void *ctx, const struct nft_element *e)
{
    struct forget_policy *f = ctx;
    if (e->key_len < FIREWALL_IDENTITY || !f->is_of(e->key, f->network))
        return NULL;
    f->marks = mem_array(f->marks, f->marks_n + 1, sizeof *f->marks);
    f->marks[f->marks_n++] = firewall_mark(e->key);
    nft_element(f->n, NFT_DELETE, f->set, e);
    return NULL;
}

static err *forget_mark(void *ctx, const struct nft_element *e)
{
    struct forget_policy *f = ctx;
    uint32_t mark; /* whose, or from whom */
    if ((e->data ? e->data_len : e->key_len) < sizeof mark)
        return NULL;
    memcpy(&mark, e->data ? e->data : e->key, sizeof mark);
    for (size_t i = 0; i < f->marks_n; i++)
        if (f->marks[i] == mark) {
            nft_element(f->n, NFT_DELETE, f->set, e);
            break;
        }
    return NULL;
}

fallible firewall_forget_policy(int sock, bool (*is_of)(const void *identity, const char *network), const char *network,
                                struct nft *n)
{
    static const struct {
        const char *set;
        err *(*fn)(void *ctx, const struct nft_element *e);
    } of[] = {
        { "identities", forget_identity }, { "who4", forget_mark }, { "who6", forget_mark }, { "allowed", forget_mark }
    };
    struct forget_policy f = { n, is_of, network, NULL, NULL, 0 };
    err *e = NULL;
    for (size_t i = 0; !e && i < ARRAY_SIZE(of); i++) {
        f.set = of[i].set;
        e = nft_each(sock, FIREWALL_TABLE, f.set, of[i].fn, &f);
        if (err_errno(e) == ENOENT) { /* no table: nothing to forget */
            err_free(e);
            e = NULL;
        }
    }
    free(f.marks);
    return e;
}
