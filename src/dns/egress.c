// SPDX-License-Identifier: GPL-2.0-or-later
#include "dns/egress.h"

#include <string.h>
#include <time.h>

#include "base/log.h"
#include "network/flows.h"

/* What was put in, and until when. */
struct known {
    struct firewall_reach reach;
    uint64_t until_ms;
};
/* A name that was put in, and until when it need not be put in again: one for each place of a hash. */
struct called {
    struct ip from, to;
    uint64_t until_ms;
};
struct dns_egress {
    int sock;
    struct known *items;
    size_t n;
    struct called called[EGRESS_CALLED_MAX];
};

struct dns_egress *dns_egress_new(void)
{
    struct dns_egress *e = mem_zalloc(sizeof *e);
    e->sock = -1;
    return e;
}

void dns_egress_free(struct dns_egress *e)
{
    if (!e)
        return;
    close_now(&e->sock);
    free(e->items);
    free(e);
}

void dns_egress_set_socket(struct dns_egress *e, int take_fd_)
{
    close_now(&e->sock);
    e->sock = take_fd_;
    e->n = 0; /* perhaps another network namespace's */
    memset(e->called, 0, sizeof e->called);
}

int dns_egress_socket(const struct dns_egress *e)
{
    return e->sock;
}

static uint64_t now_ms(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static bool is_same(const struct firewall_reach *a, const struct firewall_reach *b)
{
    return ip_equal(&a->from, &b->from) && ip_equal(&a->to, &b->to) && a->first == b->first && a->last == b->last;
}

/* Whether it is in there yet; what has gone by itself is forgotten on the way. */
static bool take_known(struct dns_egress *e, const struct firewall_reach *r)
{
    uint64_t now = now_ms();
    bool found = false;
    for (size_t i = 0; i < e->n;) {
        bool same = is_same(&e->items[i].reach, r), gone = e->items[i].until_ms <= now;
        found |= same && !gone;
        if (same || gone)
            e->items[i] = e->items[--e->n];
        else
            i++;
    }
    return found;
}

static void remember(struct dns_egress *e, const struct firewall_reach *r)
{
    if (e->n == EGRESS_KNOWN_MAX)
        e->items[0] = e->items[--e->n]; /* its time is not renewed once */
    e->items = mem_array(e->items, e->n + 1, sizeof *e->items);
    e->items[e->n++] = (struct known){ *r, now_ms() + r->timeout_ms };
}

static fallible put_in(struct dns_egress *e, const struct firewall_reach *r)
{
    own(nft) struct nft out = { 0 }, in = { 0 };
    size_t len;
    if (take_known(e, r)) {
        firewall_begin(&out);
        firewall_reach(&out, NFT_DELETE, r);
        void *bytes = (void *)(uintptr_t)nft_bytes(&out, &len);
        TRY(nft_send(e->sock, bytes, len));
    }
    firewall_begin(&in);
    firewall_reach(&in, NFT_ADD, r);
    TRY(nft_commit(e->sock, &in));
    remember(e, r);
    return NULL;
}

struct learn {
    struct dns_egress *egress;
    const struct dns_names *names;
    const char *container;
    const struct dns_query *query;
};

static void reach(void *ctx, const struct firewall_reach *r)
{
    err *e = put_in(ctx, r);
    if (e)
        log_warn("dns: let a container reach what it asked for: %s", err_text(e));
    err_free(e);
}

static void learn_address(void *ctx, const struct ip *a, uint32_t ttl_s)
{
    const struct learn *l = ctx;
    uint64_t s = ttl_s < EGRESS_MIN_S ? EGRESS_MIN_S : ttl_s > EGRESS_MAX_S ? EGRESS_MAX_S : ttl_s;
    dns_names_reach(l->names, l->container, l->query->name, a, s * 1000, reach, l->egress);
}

/* ---- names of what is counted ---- */

struct call {
    struct dns_egress *egress;
    const char *name;
    const struct ip *to;
};

static size_t place_of(const struct ip *a, const struct ip *b)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (size_t i = 0; i < 16; i++)
        h = ((h ^ a->bytes[i]) * 16777619u ^ b->bytes[i]) * 16777619u;
    return h % EGRESS_CALLED_MAX;
}

/* Put in once while it is known here; the kernel keeps the first name that an address had, for its day. */
static void call(void *ctx, const struct ip *own)
{
    const struct call *c = ctx;
    struct called *place = &c->egress->called[place_of(own, c->to)];
    own(nft) struct nft in = { 0 };
    uint64_t now = now_ms();
    if (own->family != c->to->family ||
        (ip_equal(&place->from, own) && ip_equal(&place->to, c->to) && place->until_ms > now))
        return;
    firewall_begin(&in);
    flows_name(&in, NFT_ADD, own, c->to, c->name, (uint64_t)FLOWS_KEPT_S * 1000);
    err *e = nft_commit(c->egress->sock, &in);
    if (e)
        log_debug("dns: name what is counted: %s", err_text(e));
    err_ignore(e, "it is shown by its address");
    *place = (struct called){ *own, *c->to, now + (uint64_t)FLOWS_KEPT_S * 1000 };
}

static void call_address(void *ctx, const struct ip *a, uint32_t ttl_s)
{
    const struct learn *l = ctx;
    struct call c = { l->egress, l->query->name, a };
    dns_names_counted(l->names, l->container, call, &c);
}

static void some_address(void *ctx, const struct ip *own)
{
    *(bool *)ctx = true;
}

void dns_egress_learn(struct dns_egress *e, const struct dns_names *names, const char *container,
                      const struct dns_query *q, const unsigned char *bytes, size_t n)
{
    struct learn l = { e, names, container, q };
    bool counted = false;
    if (e->sock < 0 || (q->type != DNS_A && q->type != DNS_AAAA))
        return;
    if (dns_names_is_limited(names, container))
        dns_reply_addresses(bytes, n, learn_address, &l);
    dns_names_counted(names, container, some_address, &counted);
    if (counted)
        dns_reply_addresses(bytes, n, call_address, &l);
}
