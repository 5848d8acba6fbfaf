// SPDX-License-Identifier: GPL-2.0-or-later
/* Which of the kernel's connections a container's elements make stale: network/conntrack.h. */
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>

#include "base/log.h"
#include "network/conntrack.h"
#include "network/firewall_parts.h"

/* An element's key is [address .] protocol . port, its data address . port, each field at a multiple of 4 bytes. */
static bool udp_of(const char *map, const void *key_, size_t key_len, const void *data_, size_t data_len,
                   struct conntrack_udp *ret)
{
    const uint8_t *key = key_, *data = data_;
    struct conntrack_udp u = { .at.family = strchr(map, '6') ? AF_INET6 : AF_INET };
    const size_t size = ip_size(&u.at), skip = str_starts(map, "at") ? size : 0;
    if (key_len != skip + 8 || key[skip] != IPPROTO_UDP)
        return false;
    u.any = !skip;
    memcpy(u.at.bytes, key, skip);
    memcpy(&u.port, key + skip + 4, sizeof u.port);
    u.port = be16toh(u.port);
    if (data && data_len >= size + 2) {
        u.to.family = u.at.family;
        memcpy(u.to.bytes, data, size);
        memcpy(&u.to_port, data + size, sizeof u.to_port);
        u.to_port = be16toh(u.to_port);
    }
    *ret = u;
    return true;
}

static void add_entry(struct conntrack_stale *s, const struct firewall_entry *e)
{
    struct conntrack_udp u;
    if (udp_of(e->map, e->key, e->key_len, e->data, e->data_len, &u))
        conntrack_add_udp(s, &u);
}

struct stored {
    struct conntrack_stale *stale;
    const char *set;
};

/* A port that is still there leads where it is to: then the new element speaks for it. */
static err *add_stored_port(void *ctx, const struct nft_element *e)
{
    struct stored *at = ctx;
    struct conntrack_udp u;
    bool known = !udp_of(at->set, e->key, e->key_len, NULL, 0, &u);
    for (size_t i = 0; i < at->stale->udp_n && !known; i++)
        known = at->stale->udp[i].port == u.port && at->stale->udp[i].any == u.any &&
                ip_equal(&at->stale->udp[i].at, &u.at);
    if (!known)
        conntrack_add_udp(at->stale, &u);
    return NULL;
}

static err *note_stored_ip(void *ctx, const struct nft_element *e)
{
    struct ip ip = { .family = e->key_len == 4 ? AF_INET : AF_INET6 };
    if (e->key_len == ip_size(&ip)) {
        memcpy(ip.bytes, e->key, e->key_len);
        conntrack_add_ip(ctx, &ip);
    }
    return NULL;
}

static void add_ip_unless(struct conntrack_stale *s, const struct ip *ip, const struct conntrack_stale *but)
{
    for (size_t i = 0; i < but->ips_n; i++)
        if (ip_equal(&but->ips[i], ip))
            return;
    conntrack_add_ip(s, ip);
}

static fallible gather(const struct firewall_part *part, const void *old, size_t old_len, struct conntrack_stale *s)
{
    static const char *const sets[] = { "who4", "who6", "egress4", "egress6" };
    s->fresh = !old_len; /* a start: the container's program does not run yet */
    own(conntrack_stale) struct conntrack_stale before = { 0 };
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
        TRY(nft_each_stored(old, old_len, sets[i], note_stored_ip, &before));
    for (size_t i = 0; part && i < part->who_n; i++)
        add_ip_unless(s, &part->who[i].ip, &before);
    for (size_t i = 0; part && i < part->reach_n; i++)
        if (ip_is_set(&part->reach[i].from) && !ip_is_set(&part->reach[i].to))
            add_ip_unless(s, &part->reach[i].from, &before);
    for (size_t i = 0; part && i < part->ports_n; i++) {
        struct firewall_entry entries[2];
        size_t n = firewall_port_entries(&part->ports[i], entries);
        for (size_t j = 0; j < n; j++)
            add_entry(s, &entries[j]);
    }
    for (const char *const *map = firewall_port_maps; *map; map++)
        TRY(nft_each_stored(old, old_len, *map, add_stored_port, &(struct stored){ s, *map }));
    return NULL;
}

/* A kernel that cannot say which connections there are (CONFIG_NF_CT_NETLINK) cannot be made to forget one. */
static fallible forget(int sock, const struct conntrack_stale *s)
{
    err *e = conntrack_forget(sock, s);
    if (err_errno(e) != EINVAL && err_errno(e) != EOPNOTSUPP)
        return e;
    if (s->ips_n)
        log_warn("connections of whoever had this container's address before may go on past its rules: load the "
                 "kernel's module 'nf_conntrack_netlink'");
    else
        log_info("clients of UDP that keep their port may be led to where it led before: the kernel has no "
                 "nf_conntrack_netlink");
    err_free(e);
    return NULL;
}

fallible firewall_forget_stale(int sock, const struct firewall_part *part, const void *old, size_t old_len)
{
    own(conntrack_stale) struct conntrack_stale s = { 0 };
    TRY(gather(part, old, old_len, &s));
    return forget(sock, &s);
}

fallible firewall_forget_clients(int sock, const struct firewall_entry *entries, size_t n)
{
    own(conntrack_stale) struct conntrack_stale s = { 0 };
    for (size_t i = 0; i < n; i++)
        add_entry(&s, &entries[i]);
    return forget(sock, &s);
}
