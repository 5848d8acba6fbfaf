// SPDX-License-Identifier: GPL-2.0-or-later
#include "dns/names.h"

#include <string.h>

#include "codec/bind.h"

struct network {
    char *id, *name; /* lower case */
    bool internal, counted;
    struct strv servers;
    struct prefix *subnets;
    size_t subnets_n;
};
struct member {
    char *id;
    struct strv servers;
    struct egress egress;
    struct strmap links; /* what it calls another -> one of that one's names */
    size_t first;        /* of its endpoints; they are one behind the other once sealed */
    size_t endpoints_n;
};
struct endpoint {
    size_t container, network;
    struct ip addresses[2];
    size_t addresses_n;
    char *name; /* the first: what PTR answers */
};
/* A name, or an address, that leads to an endpoint. Chains by hash. */
struct entry {
    char *name;
    struct ip address;
    size_t endpoint, next; /* next: index + 1 */
};

struct dns_names {
    struct network *networks;
    struct member *members;
    struct endpoint *endpoints;
    struct entry *names, *addresses;
    size_t *name_heads, *address_heads; /* index + 1 */
    size_t networks_n, members_n, endpoints_n, names_n, addresses_n, heads_n;
    size_t networks_room, members_room, endpoints_room, names_room, addresses_room;
    dns_connected *connected;
    void *ctx;
};

#define GROW(array, n, room)                                                                                           \
    do {                                                                                                               \
        if ((n) == (room))                                                                                             \
            (array) = mem_array((array), (room) = (room) ? (room)*2 : 16, sizeof *(array));                            \
    } while (0)

struct dns_names *dns_names_new(void)
{
    return mem_zalloc(sizeof(struct dns_names));
}

void dns_names_free(struct dns_names *n)
{
    if (!n)
        return;
    for (size_t i = 0; i < n->networks_n; i++) {
        free(n->networks[i].id);
        free(n->networks[i].name);
        strv_free(&n->networks[i].servers);
        free(n->networks[i].subnets);
    }
    for (size_t i = 0; i < n->members_n; i++) {
        free(n->members[i].id);
        strv_free(&n->members[i].servers);
        egress_clear(&n->members[i].egress);
        strmap_free(&n->members[i].links);
    }
    for (size_t i = 0; i < n->endpoints_n; i++)
        free(n->endpoints[i].name);
    for (size_t i = 0; i < n->names_n; i++)
        free(n->names[i].name);
    free(n->networks);
    free(n->members);
    free(n->endpoints);
    free(n->names);
    free(n->addresses);
    free(n->name_heads);
    free(n->address_heads);
    free(n);
}

/* DNS knows no case, whatever the locale thinks. */
static char *lower(const char *text)
{
    char *copy = mem_strdup(text);
    for (char *c = copy; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    return copy;
}

size_t dns_names_add_network(struct dns_names *n, const char *id, const char *name, bool internal,
                             const struct strv *servers)
{
    GROW(n->networks, n->networks_n, n->networks_room);
    struct network *w = &n->networks[n->networks_n];
    *w = (struct network){ .id = mem_strdup(id), .name = lower(name), .internal = internal };
    strv_copy(&w->servers, servers->items, servers->n);
    return n->networks_n++;
}

void dns_names_add_subnet(struct dns_names *n, size_t network, const struct prefix *subnet)
{
    struct network *w = &n->networks[network];
    w->subnets = mem_array(w->subnets, w->subnets_n + 1, sizeof *w->subnets);
    w->subnets[w->subnets_n++] = *subnet;
}

void dns_names_count_network(struct dns_names *n, size_t network)
{
    n->networks[network].counted = true;
}

size_t dns_names_add_container(struct dns_names *n, const char *id, const struct strv *servers,
                               const struct strv *egress)
{
    GROW(n->members, n->members_n, n->members_room);
    struct member *m = &n->members[n->members_n];
    *m = (struct member){ .id = mem_strdup(id) };
    strv_copy(&m->servers, servers->items, servers->n);
    err *e = egress_read(egress, &m->egress);
    m->egress.limited |= e != NULL;
    err_ignore(e, "it was checked when the container was made; what nobody understands allows nothing");
    return n->members_n++;
}

void dns_names_add_link(struct dns_names *n, size_t container, const char *alias, const char *name)
{
    own_mem char *key = lower(alias), *value = lower(name);
    if (strlen(value) < DNS_NAME_MAX)
        strmap_set(&n->members[container].links, key, value);
}

static void add_name(struct dns_names *n, char *take_name, size_t endpoint)
{
    GROW(n->names, n->names_n, n->names_room);
    n->names[n->names_n++] = (struct entry){ .name = take_name, .endpoint = endpoint };
}

static bool has_name(const struct dns_names *n, const char *name, size_t endpoint)
{
    for (size_t i = n->names_n; i-- > 0 && n->names[i].endpoint == endpoint;)
        if (strcmp(n->names[i].name, name) == 0)
            return true;
    return false;
}

void dns_names_add_endpoint(struct dns_names *n, size_t container, size_t network, const struct ip *addresses,
                            size_t addresses_n, const struct strv *names)
{
    GROW(n->endpoints, n->endpoints_n, n->endpoints_room);
    struct endpoint *e = &n->endpoints[n->endpoints_n];
    *e = (struct endpoint){ .container = container, .network = network };
    for (size_t i = 0; i < addresses_n && i < ARRAY_SIZE(e->addresses); i++) {
        e->addresses[e->addresses_n++] = addresses[i];
        GROW(n->addresses, n->addresses_n, n->addresses_room);
        n->addresses[n->addresses_n++] = (struct entry){ .address = addresses[i], .endpoint = n->endpoints_n };
    }
    if (names->n)
        e->name = mem_printf("%s.%s", names->items[0], n->networks[network].name);
    for (size_t i = 0; i < names->n; i++) {
        char *name = lower(names->items[i]);
        if (!*name || strlen(name) >= DNS_NAME_MAX || has_name(n, name, n->endpoints_n)) {
            free(name);
            continue;
        }
        char *with_network = mem_printf("%s.%s", name, n->networks[network].name);
        add_name(n, name, n->endpoints_n);
        add_name(n, with_network, n->endpoints_n);
    }
    n->endpoints_n++;
}

/* FNV-1a, 64 bits. */
static uint64_t hash(const void *bytes, size_t n)
{
    const unsigned char *b = bytes;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ b[i]) * 0x100000001b3u;
    return h;
}

static void chain(size_t *heads, struct entry *entries, size_t i, size_t slot)
{
    entries[i].next = heads[slot];
    heads[slot] = i + 1;
}

void dns_names_seal(struct dns_names *n, dns_connected *connected, void *ctx)
{
    n->connected = connected;
    n->ctx = ctx;
    size_t most = n->names_n > n->addresses_n ? n->names_n : n->addresses_n;
    for (n->heads_n = 16; n->heads_n < 2 * most;)
        n->heads_n *= 2;
    n->name_heads = mem_zalloc(n->heads_n * sizeof *n->name_heads);
    n->address_heads = mem_zalloc(n->heads_n * sizeof *n->address_heads);
    for (size_t i = 0; i < n->names_n; i++)
        chain(n->name_heads, n->names, i, hash(n->names[i].name, strlen(n->names[i].name)) & (n->heads_n - 1));
    for (size_t i = 0; i < n->addresses_n; i++) {
        const struct ip *a = &n->addresses[i].address;
        chain(n->address_heads, n->addresses, i, hash(a->bytes, ip_size(a)) & (n->heads_n - 1));
    }
    for (size_t i = n->endpoints_n; i-- > 0;) {
        struct member *m = &n->members[n->endpoints[i].container];
        m->first = i;
        m->endpoints_n++;
    }
}

bool dns_names_in_use(const struct dns_names *n)
{
    for (size_t i = 0; i < n->members_n; i++)
        if (n->connected(n->ctx, n->members[i].id))
            return true;
    return false;
}

bool dns_names_network(const struct dns_names *n, const char *id, size_t *ret)
{
    for (size_t i = 0; i < n->networks_n; i++)
        if (strcmp(n->networks[i].id, id) == 0) {
            *ret = i;
            return true;
        }
    return false;
}

static bool is_connected(const struct dns_names *n, const struct endpoint *e)
{
    return n->connected(n->ctx, n->members[e->container].id);
}

/* Who asks: its networks, or only the one that the question came on. */
struct asker {
    const struct member *member;
    size_t network;
};

static bool is_on(const struct dns_names *n, const struct asker *a, size_t network)
{
    if (!a->member)
        return network == a->network;
    for (size_t i = 0; i < a->member->endpoints_n; i++)
        if (n->endpoints[a->member->first + i].network == network)
            return true;
    return false;
}

static const struct member *member_at(const struct dns_names *n, size_t network, const struct ip *address)
{
    size_t slot = hash(address->bytes, ip_size(address)) & (n->heads_n - 1);
    for (size_t i = n->address_heads[slot]; i; i = n->addresses[i - 1].next) {
        const struct endpoint *e = &n->endpoints[n->addresses[i - 1].endpoint];
        if (e->network == network && ip_equal(&n->addresses[i - 1].address, address))
            return &n->members[e->container];
    }
    return NULL;
}

static bool in_network(const struct network *w, const struct ip *a)
{
    for (size_t i = 0; i < w->subnets_n; i++)
        if (prefix_has(&w->subnets[i], a))
            return true;
    return false;
}

static void add_address(struct dns_found *found, const struct ip *a)
{
    for (size_t i = 0; i < found->addresses_n; i++)
        if (ip_equal(&found->addresses[i], a))
            return;
    if (found->addresses_n < DNS_ANSWERS_MAX)
        found->addresses[found->addresses_n++] = *a;
}

/* A different one first each time: whoever takes the first spreads over all. */
static void rotate(struct dns_found *found, unsigned turn)
{
    struct ip copy[DNS_ANSWERS_MAX];
    size_t n = found->addresses_n;
    if (n < 2)
        return;
    memcpy(copy, found->addresses, n * sizeof *copy);
    for (size_t i = 0; i < n; i++)
        found->addresses[i] = copy[(i + turn) % n];
}

static bool find_forward(const struct dns_names *n, const struct asker *asker, const struct dns_query *q, unsigned turn,
                         struct dns_found *found)
{
    size_t slot = hash(q->name, strlen(q->name)) & (n->heads_n - 1);
    bool known = false;
    for (size_t i = n->name_heads[slot]; i; i = n->names[i - 1].next) {
        const struct endpoint *e = &n->endpoints[n->names[i - 1].endpoint];
        if (strcmp(n->names[i - 1].name, q->name) != 0 || !is_on(n, asker, e->network) || !is_connected(n, e))
            continue;
        known = true;
        for (size_t k = 0; k < e->addresses_n; k++)
            if (q->type == (e->addresses[k].family == AF_INET6 ? DNS_AAAA : DNS_A))
                add_address(found, &e->addresses[k]);
    }
    rotate(found, turn);
    return known;
}

/* *ret_ours: it is an address of a network that the asker is on. */
static bool find_reverse(const struct dns_names *n, const struct asker *asker, const struct ip *a,
                         struct dns_found *found, bool *ret_ours)
{
    size_t slot = hash(a->bytes, ip_size(a)) & (n->heads_n - 1);
    for (size_t i = n->address_heads[slot]; i; i = n->addresses[i - 1].next) {
        const struct endpoint *e = &n->endpoints[n->addresses[i - 1].endpoint];
        if (ip_equal(&n->addresses[i - 1].address, a) && is_on(n, asker, e->network) && e->name &&
            strlen(e->name) < DNS_NAME_MAX && found->names_n < DNS_ANSWERS_MAX && is_connected(n, e))
            memcpy(found->names[found->names_n++], e->name, strlen(e->name) + 1);
    }
    *ret_ours = found->names_n > 0;
    for (size_t i = 0; i < n->networks_n && !*ret_ours; i++)
        *ret_ours = is_on(n, asker, i) && in_network(&n->networks[i], a);
    return found->names_n > 0;
}

/* The container's own servers, or those of the first of its networks that has any; NULL: the host's. *ret_inside: none
 * of its networks leads outside, and then neither does a question: names can carry anything out. */
static const struct strv *servers_of(const struct dns_names *n, const struct asker *asker, bool *ret_inside)
{
    const struct strv *servers = asker->member && asker->member->servers.n ? &asker->member->servers : NULL;
    *ret_inside = true;
    for (size_t i = 0; i < n->networks_n; i++) {
        if (!is_on(n, asker, i))
            continue;
        *ret_inside &= n->networks[i].internal;
        if (!servers && n->networks[i].servers.n)
            servers = &n->networks[i].servers;
    }
    return servers;
}

static bool is_about_zones(uint16_t type)
{
    return type == DNS_NS || type == DNS_SOA || type == DNS_DS || type == DNS_DNSKEY;
}

enum dns_outcome dns_names_find(const struct dns_names *n, size_t network, const struct ip *from,
                                const struct dns_query *q, unsigned turn, struct dns_found *ret)
{
    struct asker asker = { .network = network };
    struct ip address;
    bool inside = true, ours = false;
    ret->addresses_n = ret->names_n = 0;
    ret->servers = NULL;
    ret->container = NULL;
    if (network >= n->networks_n || q->class != 1 || !in_network(&n->networks[network], from))
        return DNS_FORBID;
    asker.member = member_at(n, network, from);
    if (asker.member)
        ret->container = asker.member->id;
    ret->servers = servers_of(n, &asker, &inside);
    if (q->plain) {
        const char *linked = asker.member ? strmap_get(&asker.member->links, q->name) : NULL;
        struct dns_query other = { .type = q->type };
        if (linked) {
            memcpy(other.name, linked, strlen(linked) + 1);
            if (find_forward(n, &asker, &other, turn, ret))
                return DNS_HERE;
        }
        if (find_forward(n, &asker, q, turn, ret))
            return DNS_HERE;
        if (dns_reverse_parse(q->name, &address)) {
            bool found = find_reverse(n, &asker, &address, ret, &ours);
            if (found && q->type != DNS_PTR)
                ret->names_n = 0;
            if (found)
                return DNS_HERE;
            if (ours)
                return DNS_NOWHERE;
        }
        if (*q->name && !strchr(q->name, '.') && !is_about_zones(q->type))
            return DNS_NOWHERE;
    }
    if (!inside && asker.member && asker.member->egress.limited &&
        !(q->plain && egress_allows_name(&asker.member->egress, q->name)))
        return DNS_FORBID; /* a name can carry anything out */
    return inside ? DNS_NOWHERE : DNS_OUTSIDE;
}

static const struct member *member_of(const struct dns_names *n, const char *container)
{
    for (size_t i = 0; i < n->members_n; i++)
        if (strcmp(n->members[i].id, container) == 0)
            return &n->members[i];
    return NULL;
}

bool dns_names_is_limited(const struct dns_names *n, const char *container)
{
    const struct member *m = member_of(n, container);
    return m && m->egress.limited;
}

void dns_names_reach(const struct dns_names *n, const char *container, const char *name, const struct ip *a,
                     uint64_t timeout_ms, dns_reach_fn *fn, void *ctx)
{
    const struct member *m = member_of(n, container);
    for (size_t i = 0; m && i < m->egress.n; i++) {
        const struct egress_rule *r = &m->egress.rules[i];
        if (!egress_about(r, name))
            continue;
        for (size_t e = m->first; e < m->first + m->endpoints_n; e++)
            for (size_t j = 0; j < n->endpoints[e].addresses_n; j++)
                if (n->endpoints[e].addresses[j].family == a->family)
                    fn(ctx, &(struct firewall_reach){ n->endpoints[e].addresses[j], *a, *a, r->first, r->last,
                                                      timeout_ms, "" });
    }
}

void dns_names_counted(const struct dns_names *n, const char *container, dns_counted_fn *fn, void *ctx)
{
    const struct member *m = member_of(n, container);
    for (size_t e = m ? m->first : 0; m && e < m->first + m->endpoints_n; e++)
        for (size_t j = 0; n->networks[n->endpoints[e].network].counted && j < n->endpoints[e].addresses_n; j++)
            fn(ctx, &n->endpoints[e].addresses[j]);
}
