// SPDX-License-Identifier: GPL-2.0-or-later
/* The addresses of a new network: chosen or given, and free. */
#include <string.h>

#include "engine/network_making.h"
#include "usernet/usernet.h"

/* Where subnets are chosen from, each of that many bits. Out of the way of docker's (172.17.0.0/16 and on) and podman's
 * (10.88.0.0/16 and on), and of what homes and offices use most. */
static const struct pool {
    const char *from;
    int bits;
} pools[] = { { "10.208.0.0/12", 20 }, { "10.192.0.0/12", 20 }, { "192.168.128.0/17", 24 } };

fallible network_clash(struct network_list *others, int sock, const struct prefix *subnet, const char *link,
                       struct str *ret)
{
    char route[PREFIX_TEXT + 24] = "";
    for (size_t i = 0; i < others->n; i++)
        for (size_t j = 0; j < others->items[i]->config->subnets_n; j++) {
            struct prefix p;
            TRY(prefix_parse(others->items[i]->config->subnets[j].subnet, &p));
            if (prefix_overlaps(&p, subnet)) {
                str_printf(ret, "network '%s' (%s)", others->items[i]->row.name,
                           others->items[i]->config->subnets[j].subnet);
                return NULL;
            }
        }
    TRY(route_clash(sock, subnet, link, route));
    if (*route)
        str_printf(ret, "the host's route to %s", route);
    return NULL;
}

static struct network_subnet *add_subnet(struct network_config *c, const struct prefix *p)
{
    char text[PREFIX_TEXT];
    c->subnets = mem_array(c->subnets, c->subnets_n + 1, sizeof *c->subnets);
    c->subnets[c->subnets_n] = (struct network_subnet){ .subnet = mem_strdup(prefix_text(p, text)) };
    return &c->subnets[c->subnets_n++];
}

static fallible choose_v4(struct network_list *others, int sock, struct network_config *c)
{
    for (size_t i = 0; i < ARRAY_SIZE(pools); i++) {
        struct prefix pool;
        TRY(prefix_parse(pools[i].from, &pool));
        struct prefix p = { pool.ip, pools[i].bits };
        for (; prefix_has(&pool, &p.ip); p.ip = ip_add(p.ip, 1LL << (32 - p.len))) {
            own_str struct str clash = { 0 };
            TRY(network_clash(others, sock, &p, NULL, &clash));
            if (clash.len)
                continue;
            (void)add_subnet(c, &p);
            return NULL;
        }
    }
    return err_new(ERR_EXHAUSTED, "no free subnet is left of those that husk chooses from: say --subnet");
}

/* A unique local one (RFC 4193): the 40 bits that are to be random are the network's ID. */
static void choose_v6(const char *id, struct network_config *c)
{
    struct prefix p = { .ip = { .family = AF_INET6, .bytes = { 0xfd } }, .len = 64 };
    for (int i = 0; i < 5; i++) {
        char two[3] = { id[2 * i], id[2 * i + 1], 0 };
        p.ip.bytes[1 + i] = (uint8_t)strtoul(two, NULL, 16);
    }
    (void)add_subnet(c, &p);
}

fallible network_subnet_given(struct network_list *others, int sock, const char *text, bool clashes_matter,
                              struct network_config *c)
{
    struct prefix p;
    own_str struct str clash = { 0 };
    TRY_AS(prefix_parse(text, &p), "--subnet");
    if (p.len < 0 || p.len > ip_bits(&p.ip) - 2)
        return err_new(ERR_INVALID, "--subnet: '%s' is not ADDRESS/LENGTH with room for a gateway and a container",
                       text);
    for (size_t i = 0; i < c->subnets_n; i++)
        if (!strchr(c->subnets[i].subnet, ':') == (p.ip.family == AF_INET))
            return err_new(ERR_INVALID, "--subnet: two of one family: one of IPv4 and one of IPv6 can be given");
    p.ip = prefix_first(&p);
    if (p.ip.family == AF_INET ? p.ip.bytes[0] >= 224 || !p.ip.bytes[0] : p.ip.bytes[0] == 0xff)
        return err_new(ERR_INVALID, "--subnet: '%s' is not for single hosts: choose another, such as 10.77.0.0/24",
                       text);
    if (clashes_matter)
        TRY(network_clash(others, sock, &p, c->link_theirs ? c->link : NULL, &clash));
    if (clash.len)
        return err_new(ERR_CONFLICT, "--subnet: '%s' clashes with %s: choose another", text, clash.text);
    c->ipv6 |= p.ip.family == AF_INET6;
    (void)add_subnet(c, &p);
    return NULL;
}

/* The subnet that an address is in. */
static struct network_subnet *subnet_with(struct network_config *c, const struct ip *ip)
{
    for (size_t i = 0; i < c->subnets_n; i++) {
        struct prefix p = { .len = -1 };
        err_ignore(prefix_parse(c->subnets[i].subnet, &p), "it was made from one");
        if (prefix_has(&p, ip))
            return &c->subnets[i];
    }
    return NULL;
}

/* The host's own bridge: its subnet is the network's, and its address the gateway. */
static fallible adopt_subnet(struct network_list *others, int sock, int family, struct network_config *c,
                             bool *ret_adopted)
{
    struct prefix p;
    unsigned index;
    char text[PREFIX_TEXT];
    *ret_adopted = false;
    TRY(link_index(sock, c->link, &index));
    TRY(link_address(sock, index, family, NULL, &p));
    if (!ip_is_set(&p.ip))
        return NULL;
    *ret_adopted = true;
    return network_subnet_given(others, sock, prefix_text(&p, text), true, c);
}

static fallible set_gateway_of_theirs(int sock, struct network_config *c, struct network_subnet *s)
{
    struct prefix subnet, want, found;
    unsigned index;
    char text[IP_TEXT];
    TRY(prefix_parse(s->subnet, &subnet));
    want = subnet;
    if (s->gateway) {
        TRY(ip_parse(s->gateway, &want.ip));
        want.len = ip_bits(&want.ip);
    }
    TRY(link_index(sock, c->link, &index));
    TRY(link_address(sock, index, subnet.ip.family, &want, &found));
    if (ip_is_set(&found.ip)) {
        free(s->gateway);
        s->gateway = mem_strdup(ip_text(&found.ip, text));
        return NULL;
    }
    if (s->gateway && c->no_dns)
        return NULL;
    return err_new(ERR_CONFLICT,
                   "the bridge '%s' is the host's own and has not %s%s: give it that, or say --disable-dns and "
                   "--gateway, an address that others answer",
                   c->link, s->gateway ? "the address " : "an address in ", s->gateway ? s->gateway : s->subnet);
}

static fallible check_gateway(const struct network_subnet *s, const struct ip *ip)
{
    struct prefix p;
    TRY(prefix_parse(s->subnet, &p));
    struct ip first = prefix_first(&p), last = prefix_last(&p);
    if (ip_equal(ip, &first) || (ip->family == AF_INET && ip_equal(ip, &last)))
        return err_new(ERR_INVALID, "--gateway: '%s' is the %s address of %s: choose one between", s->gateway,
                       ip_equal(ip, &first) ? "first" : "last", s->subnet);
    return NULL;
}

fallible network_gateways_set(const struct network_options *o, const char *driver, int sock, struct network_config *c)
{
    char text[IP_TEXT];
    for (size_t i = 0; i < o->gateway.n; i++) {
        struct ip ip;
        TRY_AS(ip_parse(o->gateway.items[i], &ip), "--gateway");
        struct network_subnet *s = subnet_with(c, &ip);
        if (!s)
            return err_new(ERR_INVALID, "--gateway: '%s' is in no subnet of the network", o->gateway.items[i]);
        if (ip.family == AF_INET ? c->isolated4 : c->isolated6)
            return err_new(ERR_INVALID, "--gateway: '%s': an isolated network's bridge has no address",
                           o->gateway.items[i]);
        free(s->gateway);
        s->gateway = mem_strdup(ip_text(&ip, text));
        TRY(check_gateway(s, &ip));
    }
    for (size_t i = 0; i < c->subnets_n; i++) {
        struct prefix p;
        TRY(prefix_parse(c->subnets[i].subnet, &p));
        if (p.ip.family == AF_INET ? c->isolated4 : c->isolated6)
            continue;
        if (c->link_theirs && network_driver_has_bridge(driver)) {
            TRY(set_gateway_of_theirs(sock, c, &c->subnets[i]));
            continue;
        }
        if (c->subnets[i].gateway || (c->internal && !network_driver_has_bridge(driver)))
            continue;
        struct ip first = ip_add(prefix_first(&p), 1);
        c->subnets[i].gateway = mem_strdup(ip_text(&first, text));
    }
    return NULL;
}

fallible network_range_set(const char *text, struct network_config *c)
{
    const char *dash = strchr(text, '-');
    own_mem char *first_text = dash ? mem_strndup(text, (size_t)(dash - text)) : NULL;
    struct prefix p;
    struct ip first, last;
    if (dash) {
        TRY(ip_parse(first_text, &first));
        TRY(ip_parse(dash + 1, &last));
    } else {
        TRY(prefix_parse(text, &p));
        first = prefix_first(&p);
        last = prefix_last(&p);
    }
    struct network_subnet *s = subnet_with(c, &first);
    if (!s || s != subnet_with(c, &last) || ip_compare(&first, &last) > 0)
        return err_new(ERR_INVALID, "'%s' is not within one subnet of the network", text);
    free(s->range);
    s->range = mem_strdup(text);
    return NULL;
}

fallible network_others_set(const struct network_options *o, struct network_config *c)
{
    for (size_t i = 0; i < o->aux_address.n; i++) {
        const char *text = o->aux_address.items[i], *equals = strchr(text, '=');
        struct ip ip;
        TRY_AS(ip_parse(equals ? equals + 1 : text, &ip), "--aux-address");
        struct network_subnet *s = subnet_with(c, &ip);
        own_mem char *key = equals ? mem_strndup(text, (size_t)(equals - text)) : mem_strdup(text);
        if (!s)
            return err_new(ERR_INVALID, "--aux-address: '%s' is in no subnet of the network", text);
        strmap_set(&s->others, key, equals ? equals + 1 : text);
    }
    return NULL;
}

/* What there is of addresses is the server's, and changes with its leases. */
static fallible leave_to_dhcp(const struct network_options *o, const char *driver, struct network_config *c)
{
    if (usernet_needed())
        return err_new(ERR_UNSUPPORTED,
                       "--ipam-driver dhcp: a DHCP server is on the link of one of the host's devices, and the kernel "
                       "lets root alone put a container there");
    if (o->subnet.n || o->gateway.n || o->range.n || o->aux_address.n || o->ipv6 || o->ipv4_off)
        return err_new(ERR_INVALID, "--ipam-driver dhcp: the server has IPv4 addresses, a gateway and ranges of its "
                                    "own: leave --subnet, --gateway, --ip-range, --aux-address, --ipv6 and --ipv4 out");
    if (str_eq(driver, "ipvlan"))
        return err_new(ERR_UNSUPPORTED, "--ipam-driver dhcp: ipvlan's interfaces have one hardware address, by which a "
                                        "server tells its clients apart: say -d macvlan");
    if (network_driver_has_bridge(driver) && !c->unmanaged)
        return err_new(ERR_INVALID, "--ipam-driver dhcp: on a bridge of husk's own there is no server: say -o "
                                    "mode=unmanaged --interface-name BRIDGE, one of the host's, or -d macvlan");
    if (network_is_filtered(c))
        return err_new(ERR_INVALID,
                       "--%s: it tells containers apart by addresses that husk gives: leave out "
                       "--ipam-driver dhcp",
                       c->flows ? "flows" : "policy deny");
    c->dhcp = true;
    c->no_dns = true; /* which is asked at an address of the network's own */
    return NULL;
}

fallible network_subnets_set(struct engine *e, const struct network_options *o, const char *driver, const char *id,
                             struct network_config *c)
{
    struct network_list others = { 0 };
    own_fd int sock = -1;
    bool bridge = network_driver_has_bridge(driver);
    if (str_eq(o->ipam_driver, "dhcp"))
        return leave_to_dhcp(o, driver, c);
    if (str_eq(o->ipam_driver, "none")) {
        if (o->subnet.n)
            return err_new(ERR_INVALID, "--ipam-driver none: there are no addresses, so no --subnet");
        return NULL;
    }
    TRY(netlink_open_here(&sock));
    TRY(network_list(e, &others));
    err *failed = NULL;
    for (size_t i = 0; !failed && i < o->subnet.n; i++)
        failed = network_subnet_given(&others, sock, o->subnet.items[i], bridge, c);
    bool has4 = false, has6 = false;
    for (size_t i = 0; i < c->subnets_n; i++)
        *(strchr(c->subnets[i].subnet, ':') ? &has6 : &has4) = true;
    if (!failed && bridge && c->link_theirs && !has4 && !o->ipv4_off && (!has6 || o->ipv6))
        failed = adopt_subnet(&others, sock, AF_INET, c, &has4);
    if (!failed && bridge && c->link_theirs && !has6 && o->ipv6)
        failed = adopt_subnet(&others, sock, AF_INET6, c, &has6);
    if (!failed && bridge && !has4 && !o->ipv4_off && (!has6 || o->ipv6))
        failed = choose_v4(&others, sock, c);
    if (!failed && o->ipv6 && !has6)
        choose_v6(id, c);
    network_list_clear(&others);
    TRY(failed);
    if (!bridge && !c->subnets_n)
        return err_new(ERR_INVALID,
                       "--driver %s: say --subnet, and --gateway: they are those of the network that its parent is on",
                       driver);
    if (bridge && !c->subnets_n)
        return err_new(ERR_INVALID, "--ipv4=false: without --ipv6 or an IPv6 --subnet there are no addresses; if that "
                                    "is meant, say --ipam-driver none");
    TRY(network_gateways_set(o, driver, sock, c));
    for (size_t i = 0; i < o->range.n; i++)
        TRY_AS(network_range_set(o->range.items[i], c), "--ip-range");
    return network_others_set(o, c);
}
