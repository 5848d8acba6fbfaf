// SPDX-License-Identifier: GPL-2.0-or-later
#include "network/flows.h"

#include <endian.h>
#include <errno.h>
#include <linux/in.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <stdlib.h>
#include <string.h>

#include "network/firewall_parts.h"

enum { ATTEMPTS = 10 };

#define COUNTS(word, ip)                                                                                               \
    {                                                                                                                  \
        word, { ip, ip, NFT_TYPE_PROTO, NFT_TYPE_PORT }, .timeout = true, .size = FLOWS_MAX,                           \
                                                         .default_ms = (uint64_t)FLOWS_KEPT_S * 1000                   \
    }
const struct nft_set flows_sets[FLOWS_SETS_N] = {
    COUNTS("flows4", NFT_TYPE_IP4),
    COUNTS("flows6", NFT_TYPE_IP6),
    COUNTS("answers4", NFT_TYPE_IP4),
    COUNTS("answers6", NFT_TYPE_IP6),
    COUNTS("refused4", NFT_TYPE_IP4),
    COUNTS("refused6", NFT_TYPE_IP6),
    { "called4", { NFT_TYPE_IP4, NFT_TYPE_IP4 }, .timeout = true, .size = FLOWS_CALLED_MAX },
    { "called6", { NFT_TYPE_IP6, NFT_TYPE_IP6 }, .timeout = true, .size = FLOWS_CALLED_MAX },
    { "counted", { NFT_TYPE_IFNAME } },
    { "ported", { NFT_TYPE_PROTO } },
};

/* ---- rules ------------------------------------------------------------------------------------------------------- */

void flows_constants(struct nft *n)
{
    static const uint8_t ported[] = { IPPROTO_TCP, IPPROTO_UDP, IPPROTO_SCTP, IPPROTO_UDPLITE, IPPROTO_DCCP };
    for (size_t i = 0; i < sizeof ported; i++)
        nft_element(n, NFT_ADD, "ported", &(struct nft_element){ .key = &ported[i], .key_len = 1 });
}

enum way { CLIENT_TO_SERVER, SERVER_TO_CLIENT };

/* ct direction original meta l4proto @ported update @flows4 { ip saddr . ip daddr . meta l4proto . th dport counter };
 * of what came back, the same key from the other side. */
static void add_count(struct nft *n, const char *chain, const char *set, int family, enum way way, bool ported)
{
    const uint32_t words = family == AF_INET ? 1 : 4, port = NFT_R0 + 2 * words + 1;
    bool back = way == SERVER_TO_CLIENT;
    nft_rule_begin(n, chain);
    is_family(n, family);
    nft_meta(n, NFT_META_L4PROTO, NFT_R0);
    if (ported)
        nft_lookup(n, "ported", NFT_R0, 0);
    else
        nft_unless(n, "ported", NFT_R0);
    load_address(n, family, back ? DESTINATION : SOURCE, NFT_R0);
    load_address(n, family, back ? SOURCE : DESTINATION, NFT_R0 + words);
    nft_meta(n, NFT_META_L4PROTO, NFT_R0 + 2 * words);
    if (ported)
        nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, back ? 0 : 2, 2, port);
    else
        nft_number(n, port, 0);
    nft_count(n, set, NFT_R0);
    nft_rule_end(n);
}

void flows_refused(struct nft *n)
{
    for (int ported = 1; ported >= 0; ported--) {
        add_count(n, FLOWS_REFUSED, "refused4", AF_INET, CLIENT_TO_SERVER, ported);
        add_count(n, FLOWS_REFUSED, "refused6", AF_INET6, CLIENT_TO_SERVER, ported);
    }
}

/* Comes back, whether there was room to count it or not. */
void flows_count_refused(struct nft *n, const char *chain)
{
    nft_rule_begin(n, chain); /* iifname @counted jump count_refused */
    interface_in(n, NFT_META_IIFNAME, "counted");
    nft_jump(n, FLOWS_REFUSED);
    nft_rule_end(n);
}

/* Behind what refuses in each hook. Of what comes in before the addresses of answers are put back (priority 100), of
 * what the host sends after those of published ports are put in. */
static const struct nft_chain chains[] = {
    { "count_forward", "filter", NF_INET_FORWARD, 200 },
    { "count_input", "filter", NF_INET_LOCAL_IN, 50 },
    { "count_output", "filter", NF_INET_LOCAL_OUT, 200 },
    { "count", NULL, 0, 0 },
    { "count_answer", NULL, 0, 0 },
};

static void add_entrance(struct nft *n, const char *chain, uint32_t key) /* iifname @counted goto count */
{
    nft_rule_begin(n, chain);
    interface_in(n, key, "counted");
    nft_goto(n, "count");
    nft_rule_end(n);
}

void flows_begin(struct nft *n)
{
    const uint8_t reply = IP_CT_DIR_REPLY;
    for (size_t i = 0; i < ARRAY_SIZE(chains); i++) {
        nft_add_chain(n, &chains[i]);
        nft_flush_chain(n, chains[i].name); /* of one that was there */
    }
    nft_rule_begin(n, "count"); /* ct direction reply goto count_answer */
    nft_ct(n, NFT_CT_DIRECTION, NFT_R0);
    nft_compare(n, NFT_EQUAL, NFT_R0, &reply, sizeof reply);
    nft_goto(n, "count_answer");
    nft_rule_end(n);
    for (int ported = 1; ported >= 0; ported--) {
        add_count(n, "count", "flows4", AF_INET, CLIENT_TO_SERVER, ported);
        add_count(n, "count", "flows6", AF_INET6, CLIENT_TO_SERVER, ported);
        add_count(n, "count_answer", "answers4", AF_INET, SERVER_TO_CLIENT, ported);
        add_count(n, "count_answer", "answers6", AF_INET6, SERVER_TO_CLIENT, ported);
    }
    add_entrance(n, "count_forward", NFT_META_IIFNAME);
    add_entrance(n, "count_forward", NFT_META_OIFNAME);
    add_entrance(n, "count_input", NFT_META_IIFNAME);
    add_entrance(n, "count_output", NFT_META_OIFNAME);
}

static err *seen(void *ctx, const struct nft_element *e)
{
    *(bool *)ctx = true;
    return NULL;
}

fallible flows_end(int sock)
{
    for (int attempt = 0;; attempt++) {
        own(nft) struct nft n = { 0 };
        uint32_t generation;
        bool used = false;
        TRY(nft_generation(sock, &generation));
        err *e = nft_each(sock, FIREWALL_TABLE, "counted", seen, &used);
        if (!e && used)
            return NULL;
        if (!e) {
            nft_begin(&n, FIREWALL_TABLE, generation);
            for (size_t i = 0; i < ARRAY_SIZE(chains); i++) { /* made first: what is not there cannot be removed */
                nft_add_chain(&n, &chains[i]);
                nft_flush_chain(&n, chains[i].name);
            }
            for (size_t i = 0; i < ARRAY_SIZE(chains); i++)
                nft_delete_chain(&n, chains[i].name);
            e = nft_commit(sock, &n);
        }
        if (err_errno(e) == ERESTART && attempt < ATTEMPTS) { /* somebody may have begun to count */
            err_free(e);
            continue;
        }
        if (err_errno(e) != ENOENT) /* no table */
            return e;
        err_free(e);
        return NULL;
    }
}

fallible flows_is_counted(int sock, const char *bridge, bool *ret)
{
    char name[IFNAME] = "";
    memcpy(name, bridge, strnlen(bridge, IFNAME - 1));
    return nft_has(sock, FIREWALL_TABLE, "counted", name, sizeof name, ret);
}

void flows_count(struct nft *n, enum nft_what what, const char *bridge)
{
    char name[IFNAME] = "";
    memcpy(name, bridge, strnlen(bridge, IFNAME - 1));
    nft_element(n, what, "counted", &(struct nft_element){ .key = name, .key_len = sizeof name });
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

enum kind { SENT, ANSWERED, REFUSED };

struct reading {
    struct flows *flows;
    size_t room, of_set;
    int family;
    enum kind kind;
};

static err *read_one(void *ctx, const struct nft_element *e)
{
    struct reading *r = ctx;
    const size_t size = r->family == AF_INET ? 4 : 16;
    const uint8_t *key = e->key;
    const uint64_t kept = (uint64_t)FLOWS_KEPT_S * 1000;
    struct flow f = { .from.family = r->family, .to.family = r->family };
    uint16_t port;
    if (e->key_len < 2 * size + 6)
        return NULL;
    memcpy(f.from.bytes, key, size);
    memcpy(f.to.bytes, key + size, size);
    f.proto = key[2 * size];
    memcpy(&port, key + 2 * size + 4, sizeof port);
    f.port = be16toh(port);
    f.age_ms = e->expires_ms < kept ? kept - e->expires_ms : 0;
    *(r->kind == SENT ? &f.packets : r->kind == ANSWERED ? &f.answer_packets : &f.refused) = e->packets;
    if (r->kind != REFUSED)
        *(r->kind == SENT ? &f.bytes : &f.answer_bytes) = e->bytes;
    if (r->flows->n == r->room)
        r->flows->items = mem_array(r->flows->items, r->room = r->room ? 2 * r->room : 64, sizeof f);
    r->flows->items[r->flows->n++] = f;
    r->flows->full |= ++r->of_set >= FLOWS_MAX;
    return NULL;
}

static int by_key(const void *a_, const void *b_)
{
    const struct flow *a = a_, *b = b_;
    int c = ip_compare(&a->from, &b->from);
    if (!c)
        c = ip_compare(&a->to, &b->to);
    if (!c)
        c = a->proto - b->proto;
    return c ? c : a->port - b->port;
}

static void merge(struct flows *l)
{
    size_t n = 0;
    if (l->n)
        qsort(l->items, l->n, sizeof *l->items, by_key);
    for (size_t i = 0; i < l->n; i++) {
        const struct flow f = l->items[i];
        if (!n || by_key(&l->items[n - 1], &f) != 0) {
            l->items[n++] = f;
            continue;
        }
        struct flow *to = &l->items[n - 1];
        to->packets += f.packets;
        to->bytes += f.bytes;
        to->answer_packets += f.answer_packets;
        to->answer_bytes += f.answer_bytes;
        to->refused += f.refused;
        to->age_ms = f.age_ms < to->age_ms ? f.age_ms : to->age_ms;
    }
    l->n = n;
}

void flows_clear(struct flows *l)
{
    free(l->items);
    *l = (struct flows){ 0 };
}

static const char *const count_sets[][2] = {
    [SENT] = { "flows4", "flows6" }, [ANSWERED] = { "answers4", "answers6" }, [REFUSED] = { "refused4", "refused6" }
};

/* Also when there is no such set: no table, or an older one. */
static fallible each_of(int sock, const char *set, nft_each_fn *fn, void *ctx)
{
    err *e = nft_each(sock, FIREWALL_TABLE, set, fn, ctx);
    if (err_errno(e) != ENOENT)
        return e;
    err_free(e);
    return NULL;
}

fallible flows_read(int sock, struct flows *ret)
{
    own(flows) struct flows all = { 0 };
    struct reading r = { .flows = &all };
    for (r.kind = SENT; r.kind <= REFUSED; r.kind++)
        for (size_t i = 0; i < 2; i++) {
            r.family = i ? AF_INET6 : AF_INET;
            r.of_set = 0;
            TRY(each_of(sock, count_sets[r.kind][i], read_one, &r));
        }
    merge(&all);
    *ret = all;
    all = (struct flows){ 0 };
    return NULL;
}

void flows_forget(struct nft *n, const struct flow *f)
{
    const uint64_t counted[] = { [SENT] = f->packets, [ANSWERED] = f->answer_packets, [REFUSED] = f->refused };
    const size_t size = ip_size(&f->from);
    const uint16_t port = htobe16(f->port);
    uint8_t key[40] = { 0 };
    memcpy(key, f->from.bytes, size);
    memcpy(key + size, f->to.bytes, size);
    key[2 * size] = f->proto;
    memcpy(key + 2 * size + 4, &port, sizeof port);
    for (enum kind kind = SENT; kind <= REFUSED; kind++)
        if (counted[kind])
            nft_element(n, NFT_DELETE, count_sets[kind][f->from.family == AF_INET6],
                        &(struct nft_element){ .key = key, .key_len = 2 * size + 8 });
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

void flows_names_clear(struct flows_names *l)
{
    for (size_t i = 0; i < l->n; i++)
        free(l->items[i].name);
    free(l->items);
    *l = (struct flows_names){ 0 };
}

struct name_reading {
    struct flows_names *names;
    int family;
};

static err *read_name(void *ctx, const struct nft_element *e)
{
    struct name_reading *r = ctx;
    const size_t size = r->family == AF_INET ? 4 : 16;
    struct flows_name name = { .from.family = r->family, .to.family = r->family };
    if (e->key_len != 2 * size || !e->comment)
        return NULL;
    memcpy(name.from.bytes, e->key, size);
    memcpy(name.to.bytes, (const uint8_t *)e->key + size, size);
    name.name = mem_strdup(e->comment);
    r->names->items = mem_array(r->names->items, r->names->n + 1, sizeof name);
    r->names->items[r->names->n++] = name;
    return NULL;
}

static int by_addresses(const void *a_, const void *b_)
{
    const struct flows_name *a = a_, *b = b_;
    int c = ip_compare(&a->from, &b->from);
    return c ? c : ip_compare(&a->to, &b->to);
}

fallible flows_names_read(int sock, struct flows_names *ret)
{
    own(flows_names) struct flows_names all = { 0 };
    TRY(each_of(sock, "called4", read_name, &(struct name_reading){ &all, AF_INET }));
    TRY(each_of(sock, "called6", read_name, &(struct name_reading){ &all, AF_INET6 }));
    if (all.n)
        qsort(all.items, all.n, sizeof *all.items, by_addresses);
    *ret = all;
    all = (struct flows_names){ 0 };
    return NULL;
}

const char *flows_names_find(const struct flows_names *l, const struct ip *from, const struct ip *to)
{
    const struct flows_name wanted = { *from, *to, NULL };
    const struct flows_name *f = l->n ? bsearch(&wanted, l->items, l->n, sizeof wanted, by_addresses) : NULL;
    return f ? f->name : NULL;
}

void flows_name(struct nft *n, enum nft_what what, const struct ip *from, const struct ip *to, const char *name,
                uint64_t timeout_ms)
{
    uint8_t key[32] = { 0 };
    const size_t size = ip_size(from);
    memcpy(key, from->bytes, size);
    memcpy(key + size, to->bytes, size);
    nft_element(n, what, from->family == AF_INET ? "called4" : "called6",
                &(struct nft_element){ .key = key, .key_len = 2 * size, .comment = name, .timeout_ms = timeout_ms });
}
