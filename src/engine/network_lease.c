// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/network_lease.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

fallible network_range(const struct network *n, int family, struct network_range *ret)
{
    struct network_range r = { 0 };
    for (size_t i = 0; i < n->config->subnets_n && !ip_is_set(&r.first); i++) {
        const struct network_subnet *s = &n->config->subnets[i];
        struct prefix range;
        struct ip step;
        TRY(prefix_parse(s->subnet, &r.subnet));
        if (r.subnet.ip.family != family) {
            r = (struct network_range){ 0 };
            continue;
        }
        r.subnet.ip = prefix_first(&r.subnet);
        int host_bits = ip_bits(&r.subnet.ip) - r.subnet.len;
        r.first = ip_add(r.subnet.ip, host_bits > 1 ? 1 : 0);
        step = prefix_last(&r.subnet);
        r.last = ip_add(step, family == AF_INET && host_bits > 1 ? -1 : 0);
        if (s->gateway)
            TRY(ip_parse(s->gateway, &r.gateway));
        const char *dash = s->range ? strchr(s->range, '-') : NULL;
        if (dash) {
            own_mem char *first = mem_strndup(s->range, (size_t)(dash - s->range));
            TRY(ip_parse(first, &r.first));
            TRY(ip_parse(dash + 1, &r.last));
        } else if (s->range) {
            struct ip low = r.first, high = r.last;
            TRY(prefix_parse(s->range, &range));
            r.first = prefix_first(&range);
            r.last = prefix_last(&range);
            if (ip_compare(&r.first, &low) < 0)
                r.first = low;
            if (ip_compare(&r.last, &high) > 0)
                r.last = high;
        }
    }
    *ret = r;
    return NULL;
}

static bool is_reserved(const struct network *n, const struct network_range *r, const struct ip *ip)
{
    if (ip_equal(ip, &r->gateway))
        return true;
    for (size_t i = 0; i < n->config->subnets_n; i++) {
        const struct strmap *others = &n->config->subnets[i].others;
        for (size_t j = 0; j < others->n; j++) {
            struct ip other = { 0 };
            err_ignore(ip_parse(others->items[j].value, &other), "it was checked when the network was made");
            if (ip_equal(ip, &other))
                return true;
        }
    }
    return false;
}

static bool is_locked(const char *dir)
{
    own_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* It runs, or somebody is at work in it: perhaps starting it. A build's step has its run-time folder alone. */
static bool is_in_use(const struct engine *e, const char *container)
{
    own_mem char *dir = mem_printf("%s/containers/%s", e->root, container);
    own_mem char *run = mem_printf("%s/%s", e->run, container);
    return network_is_connected(e, container) || is_locked(dir) || is_locked(run);
}

/* From a container that does not run and did not ask for it: it gets another when it starts. */
static fallible take_from(struct db *db, const char *holder, const struct network *n, const struct ip *ip)
{
    own(db_endpoints) struct db_endpoints l = { 0 };
    const struct ip none = { 0 };
    TRY(db_endpoint_list(db, holder, n->row.id, &l));
    if (!l.n)
        return NULL;
    bool v4 = ip->family == AF_INET;
    return db_endpoint_lease(db, holder, n->row.id, v4 ? &none : &l.items[0].ip4, v4 ? &l.items[0].ip6 : &none);
}

static fallible taken_by(struct db *db, const char *holder, const struct network *n, const struct ip *ip)
{
    struct db_container row;
    char text[IP_TEXT];
    err *e = db_container_find(db, holder, &row);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return err_new(ERR_CONFLICT, "address %s of network '%s' is taken by a build", ip_text(ip, text), n->row.name);
    }
    TRY(e);
    e = err_new(ERR_CONFLICT, "address %s of network '%s' is taken by container '%s'", ip_text(ip, text), n->row.name,
                row.name);
    db_container_clear(&row);
    return e;
}

static fallible lease_wish(struct engine *e, struct db *db, const struct network *n, const struct network_range *r,
                           const struct db_endpoint *at, const struct ip *want, struct ip *ret)
{
    own_mem char *holder = NULL;
    char text[IP_TEXT], subnet[PREFIX_TEXT];
    struct ip first = prefix_first(&r->subnet), last = prefix_last(&r->subnet);
    if (!prefix_has(&r->subnet, want))
        return err_new(ERR_INVALID, "address %s is not in network '%s' (%s)", ip_text(want, text), n->row.name,
                       ip_is_set(&r->subnet.ip) ? prefix_text(&r->subnet, subnet) : "it has no subnet of that family");
    if (ip_equal(want, &r->gateway) ||
        (want->family == AF_INET && r->subnet.len < 31 && (ip_equal(want, &first) || ip_equal(want, &last))))
        return err_new(ERR_CONFLICT, "address %s of network '%s' is the network's own", ip_text(want, text),
                       n->row.name);
    TRY(db_endpoint_holder(db, n->row.id, want, &holder));
    if (holder && !str_eq(holder, at->container)) {
        if (is_in_use(e, holder))
            return taken_by(db, holder, n, want);
        TRY(take_from(db, holder, n, want));
    }
    *ret = *want;
    return NULL;
}

static fallible is_free(struct db *db, const struct network *n, const struct network_range *r, const struct ip *ip,
                        bool *ret)
{
    own_mem char *holder = NULL;
    *ret = false;
    if (ip_compare(ip, &r->first) < 0 || ip_compare(ip, &r->last) > 0 || is_reserved(n, r, ip))
        return NULL;
    TRY(db_endpoint_holder(db, n->row.id, ip, &holder));
    *ret = !holder;
    return NULL;
}

/* From the first address on: one that is free, or else one of a container that does not run. */
static fallible search(struct engine *e, struct db *db, const struct network *n, const struct network_range *r,
                       struct ip *ret)
{
    enum { TRIES = 1 << 16 };
    char first[IP_TEXT], last[IP_TEXT];
    struct ip ip = r->first;
    for (int pass = 0; pass < 2; pass++, ip = r->first)
        for (int i = 0; i < TRIES && ip_compare(&ip, &r->last) <= 0; i++, ip = ip_add(ip, 1)) {
            own_mem char *holder = NULL;
            bool ok;
            TRY(is_free(db, n, r, &ip, &ok));
            if (!ok && pass && !is_reserved(n, r, &ip)) {
                TRY(db_endpoint_holder(db, n->row.id, &ip, &holder));
                if ((ok = holder && !is_in_use(e, holder)))
                    TRY(take_from(db, holder, n, &ip));
            }
            if (ok) {
                *ret = ip;
                return NULL;
            }
        }
    return err_new(ERR_EXHAUSTED,
                   "network '%s' has no free address from %s to %s: remove containers, or make a network with a "
                   "larger subnet",
                   n->row.name, ip_text(&r->first, first), ip_text(&r->last, last));
}

/* The one after the highest is nearly always free, and found without looking at the others. */
static fallible lease_any(struct engine *e, struct db *db, const struct network *n, const struct network_range *r,
                          struct ip *ret)
{
    struct ip ip;
    bool ok;
    TRY(db_endpoint_highest(db, n->row.id, &r->first, &r->last, &ip));
    for (ip = ip_is_set(&ip) ? ip_add(ip, 1) : r->first; ip_compare(&ip, &r->last) <= 0 && is_reserved(n, r, &ip);)
        ip = ip_add(ip, 1);
    TRY(is_free(db, n, r, &ip, &ok));
    if (!ok)
        return search(e, db, n, r, ret);
    *ret = ip;
    return NULL;
}

/* The same place in both subnets, where that is free: easier to read. */
static fallible lease_beside(struct engine *e, struct db *db, const struct network *n, const struct network_range *r4,
                             const struct network_range *r6, const struct ip *ip4, struct ip *ret)
{
    struct ip ip = ip_add(r6->subnet.ip, ip_distance(&r4->subnet.ip, ip4));
    bool ok;
    TRY(is_free(db, n, r6, &ip, &ok));
    if (!ok)
        return lease_any(e, db, n, r6, ret);
    *ret = ip;
    return NULL;
}

/* One made of an address of the subnet's comes with that address, else it would be the next one's who gets it. */
static fallible wish_of_mac(const struct network *n, const struct network_range *r4, const struct db_endpoint *at,
                            struct ip *ret)
{
    uint8_t mac[6], made[6];
    char text[IP_TEXT];
    struct ip ip = { .family = AF_INET };
    *ret = at->want_ip4;
    if (!at->want_mac || !ip_is_set(&r4->first))
        return NULL;
    TRY(mac_parse(at->want_mac, mac));
    memcpy(ip.bytes, mac + 2, 4);
    mac_of_ip(&ip, made);
    if (memcmp(mac, made, sizeof mac) != 0 || !prefix_has(&r4->subnet, &ip) || ip_equal(&ip, ret))
        return NULL;
    if (ip_is_set(ret))
        return err_new(ERR_CONFLICT,
                       "hardware address %s is that of address %s on network '%s': ask for both, or for "
                       "another",
                       at->want_mac, ip_text(&ip, text), n->row.name);
    *ret = ip;
    return NULL;
}

fallible network_mac(const struct db_endpoint *at, uint8_t ret[6])
{
    if (at->want_mac)
        return mac_parse(at->want_mac, ret);
    if (ip_is_set(&at->ip4) || ip_is_set(&at->ip6))
        mac_of_ip(ip_is_set(&at->ip4) ? &at->ip4 : &at->ip6, ret);
    return NULL;
}

static fallible same_mac(struct engine *e, const struct network *n, const struct db_endpoint *at,
                         const struct db_endpoint *other)
{
    uint8_t mine[6] = { 0 }, theirs[6] = { 0 };
    struct db_container row;
    struct db *db;
    if (str_eq(at->container, other->container))
        return NULL;
    TRY(network_mac(at, mine));
    TRY(network_mac(other, theirs));
    if (memcmp(mine, theirs, sizeof mine) != 0 || !is_in_use(e, other->container))
        return NULL;
    TRY(engine_db(e, &db));
    TRY(db_container_find(db, other->container, &row));
    err *taken = err_new(ERR_CONFLICT, "hardware address %s on network '%s' is taken by container '%s'", at->want_mac,
                         n->row.name, row.name);
    db_container_clear(&row);
    return taken;
}

fallible network_mac_is_free(struct engine *e, const struct network *n, const struct db_endpoint *at)
{
    own(db_endpoints) struct db_endpoints l = { 0 };
    struct db *db;
    if (!at->want_mac) /* an address is nobody else's, and so is what is made of it */
        return NULL;
    TRY(engine_db(e, &db));
    TRY(db_endpoint_list(db, NULL, n->row.id, &l));
    for (size_t i = 0; i < l.n; i++)
        TRY(same_mac(e, n, at, &l.items[i]));
    return NULL;
}

fallible network_lease(struct engine *e, const struct network *n, struct db_endpoint *at)
{
    if (n->config->config_only)
        return err_new(ERR_INVALID,
                       "network '%s' is only a configuration: make a network of it first: husk network create "
                       "--config-from %s NAME",
                       n->row.name, n->row.name);
    struct network_range r4, r6;
    struct ip want4;
    struct db *db;
    TRY(engine_db(e, &db));
    TRY(network_range(n, AF_INET, &r4));
    TRY(network_range(n, AF_INET6, &r6));
    TRY(wish_of_mac(n, &r4, at, &want4));
    if (ip_is_set(&want4)) {
        if (!ip_equal(&at->ip4, &want4))
            TRY(lease_wish(e, db, n, &r4, at, &want4, &at->ip4));
    } else if (ip_is_set(&r4.first) && !ip_is_set(&at->ip4)) {
        TRY(lease_any(e, db, n, &r4, &at->ip4));
    }
    if (ip_is_set(&at->want_ip6)) {
        if (!ip_equal(&at->ip6, &at->want_ip6))
            TRY(lease_wish(e, db, n, &r6, at, &at->want_ip6, &at->ip6));
    } else if (ip_is_set(&r6.first) && !ip_is_set(&at->ip6)) {
        TRY(ip_is_set(&at->ip4) ? lease_beside(e, db, n, &r4, &r6, &at->ip4, &at->ip6)
                                : lease_any(e, db, n, &r6, &at->ip6));
    }
    return NULL;
}
