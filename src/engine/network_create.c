// SPDX-License-Identifier: GPL-2.0-or-later
#include <net/if.h>
#include <string.h>
#include <time.h>

#include "base/parse.h"
#include "engine/grammar.h"
#include "engine/network_lease.h"
#include "engine/network_parts.h"
#include "engine/network_template.h"
#include "engine/network_wish.h"
#include "monitor/events.h"
#include "network/connect.h"
#include "os/fs.h"
#include "usernet/usernet.h"

/* Where subnets are chosen from, each of that many bits. Out of the way of docker's (172.17.0.0/16 and on) and podman's
 * (10.88.0.0/16 and on), and of what homes and offices use most. */
static const struct pool {
    const char *from;
    int bits;
} pools[] = { { "10.208.0.0/12", 20 }, { "10.192.0.0/12", 20 }, { "192.168.128.0/17", 24 } };

static bool driver_has_bridge(const char *driver)
{
    return str_eq(driver, "bridge");
}

/* ---- options ------------------------------------------------------------------------------------------------------
 */

static fallible parse_number(const char *key, const char *value, int64_t first, int64_t last, int64_t *ret)
{
    TRY_AS(parse_i64(value, first, last, ret), "--opt %s", key);
    return NULL;
}

static fallible parse_negated(const char *key, const char *value, bool *ret)
{
    bool yes;
    TRY_AS(parse_bool(value, &yes), "--opt %s", key);
    *ret = !yes;
    return NULL;
}

static fallible set_mode(const char *driver, const char *value, struct network_config *c)
{
    static const char *const macvlan[] = { "bridge", "private", "vepa", "passthru" }, *const ipvlan[] = { "l2", "l3",
                                                                                                          "l3s" };
    bool ok = false;
    for (size_t i = 0; i < ARRAY_SIZE(macvlan); i++)
        ok |= str_eq(driver, "macvlan") && str_eq(value, macvlan[i]);
    for (size_t i = 0; i < ARRAY_SIZE(ipvlan); i++)
        ok |= str_eq(driver, "ipvlan") && str_eq(value, ipvlan[i]);
    if (!ok)
        return err_new(ERR_INVALID, "--opt mode: '%s' is no mode of the driver '%s'", value, driver);
    free(c->mode);
    c->mode = mem_strdup(value);
    return NULL;
}

static fallible set_option(const char *driver, const char *key, const char *value, struct network_config *c)
{
    if (str_eq(key, "mtu") || str_eq(key, "com.docker.network.driver.mtu"))
        return parse_number(key, value, 68, 65535, &c->mtu);
    if (str_eq(key, "vlan"))
        return parse_number(key, value, 1, 4094, &c->vlan);
    if (str_eq(key, "isolate"))
        return parse_negated(key, str_eq(value, "strict") ? "true" : value, &c->no_isolate);
    if (str_eq(key, "com.docker.network.bridge.enable_icc"))
        return parse_negated(key, value, &c->no_icc);
    if (str_eq(key, "com.docker.network.bridge.enable_ip_masquerade"))
        return parse_negated(key, value, &c->no_masquerade);
    if (str_eq(key, "com.docker.network.bridge.name") || str_eq(key, "parent") ||
        str_eq(key, "com.docker.network.container_iface_prefix")) {
        if (str_starts(key, "com.docker.network.container"))
            return err_new(ERR_INVALID, "--opt %s: say --network NAME:interface=NAME when a container is made", key);
        TRY_AS(network_interface_check(value), "--opt %s", key);
        free(c->link);
        c->link = mem_strdup(value);
        return NULL;
    }
    if (str_eq(key, "mode") || str_eq(key, "macvlan_mode") || str_eq(key, "ipvlan_mode"))
        return set_mode(driver, value, c);
    return err_new(ERR_INVALID,
                   "--opt: '%s' is not one of mtu, vlan, isolate, parent, mode, com.docker.network.bridge.name, "
                   "com.docker.network.bridge.enable_icc, com.docker.network.bridge.enable_ip_masquerade, "
                   "com.docker.network.driver.mtu",
                   key);
}

static fallible read_options(const struct network_options *o, const char *driver, struct network_config *c)
{
    for (size_t i = 0; i < o->opt.n; i++) {
        const char *equals = strchr(o->opt.items[i], '=');
        if (!equals)
            return err_new(ERR_INVALID, "--opt: '%s' has no value: say %s=...", o->opt.items[i], o->opt.items[i]);
        own_mem char *key = mem_strndup(o->opt.items[i], (size_t)(equals - o->opt.items[i]));
        TRY(set_option(driver, key, equals + 1, c));
        strmap_set(&c->options, key, equals + 1);
    }
    for (size_t i = 0; i < o->label.n; i++)
        TRY_AS(grammar_label(o->label.items[i], &c->labels), "--label");
    for (size_t i = 0; i < o->dns.n; i++) {
        struct ip ip;
        TRY_AS(ip_parse(o->dns.items[i], &ip), "--dns");
        strv_add(&c->dns, o->dns.items[i]);
    }
    if (o->interface_name) {
        TRY_AS(network_interface_check(o->interface_name), "--interface-name");
        free(c->link);
        c->link = mem_strdup(o->interface_name);
    }
    for (size_t i = 0; i < o->route.n; i++) {
        struct network_route r;
        TRY_AS(network_route_parse(o->route.items[i], &r), "--route");
        strv_add(&c->routes, o->route.items[i]);
    }
    c->policy_deny = str_eq(o->policy, "deny");
    if (o->policy && !c->policy_deny && !str_eq(o->policy, "allow"))
        return err_new(ERR_INVALID, "--policy: '%s' is neither allow nor deny", o->policy);
    if (c->policy_deny && !driver_has_bridge(driver))
        return err_new(ERR_UNSUPPORTED, "--policy deny: what passes by %s passes no firewall of husk's", driver);
    c->flows = o->flows;
    if (c->flows && !driver_has_bridge(driver))
        return err_new(ERR_UNSUPPORTED, "--flows: what passes by %s passes no firewall of husk's", driver);
    if (network_is_filtered(c))
        TRY_AS(bridge_filter_check(), c->flows ? "--flows" : "--policy deny");
    c->internal = o->internal;
    c->ipv6 = o->ipv6;
    c->no_dns = o->disable_dns;
    return NULL;
}

fallible network_route_parse(const char *text, struct network_route *ret)
{
    own_strv struct strv parts = { 0 };
    struct network_route r = { 0 };
    int64_t metric = 0;
    strv_split(&parts, text, ',');
    if (parts.n < 2 || parts.n > 3)
        return err_new(ERR_INVALID, "'%s' is not DESTINATION,GATEWAY[,METRIC]", text);
    TRY(prefix_parse(parts.items[0], &r.to));
    TRY(ip_parse(parts.items[1], &r.via));
    if (parts.n == 3)
        TRY(parse_i64(parts.items[2], 0, UINT32_MAX, &metric));
    if (r.to.ip.family != r.via.family)
        return err_new(ERR_INVALID, "'%s': destination and gateway are of different families", text);
    if (r.to.len < 0)
        r.to.len = ip_bits(&r.to.ip);
    r.metric = (uint32_t)metric;
    *ret = r;
    return NULL;
}

/* ---- subnets ------------------------------------------------------------------------------------------------------
 */

/* What a subnet would clash with, as words; "" when with nothing. link: whose routes do not count, or NULL. */
static fallible find_clash(struct network_list *others, int sock, const struct prefix *subnet, const char *link,
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
            TRY(find_clash(others, sock, &p, NULL, &clash));
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

static fallible given_subnet(struct network_list *others, int sock, const char *text, bool clashes_matter,
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
        TRY(find_clash(others, sock, &p, c->link_theirs ? c->link : NULL, &clash));
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
    return given_subnet(others, sock, prefix_text(&p, text), true, c);
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

static fallible set_gateways(const struct network_options *o, const char *driver, int sock, struct network_config *c)
{
    char text[IP_TEXT];
    for (size_t i = 0; i < o->gateway.n; i++) {
        struct ip ip;
        TRY_AS(ip_parse(o->gateway.items[i], &ip), "--gateway");
        struct network_subnet *s = subnet_with(c, &ip);
        if (!s)
            return err_new(ERR_INVALID, "--gateway: '%s' is in no subnet of the network", o->gateway.items[i]);
        free(s->gateway);
        s->gateway = mem_strdup(ip_text(&ip, text));
        TRY(check_gateway(s, &ip));
    }
    for (size_t i = 0; i < c->subnets_n; i++) {
        struct prefix p;
        TRY(prefix_parse(c->subnets[i].subnet, &p));
        if (c->link_theirs && driver_has_bridge(driver)) {
            TRY(set_gateway_of_theirs(sock, c, &c->subnets[i]));
            continue;
        }
        if (c->subnets[i].gateway || (c->internal && !driver_has_bridge(driver)))
            continue;
        struct ip first = ip_add(prefix_first(&p), 1);
        c->subnets[i].gateway = mem_strdup(ip_text(&first, text));
    }
    return NULL;
}

static fallible set_range(const char *text, struct network_config *c)
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

static fallible set_others(const struct network_options *o, struct network_config *c)
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

static fallible set_subnets(struct engine *e, const struct network_options *o, const char *driver, const char *id,
                            struct network_config *c)
{
    struct network_list others = { 0 };
    own_fd int sock = -1;
    bool bridge = driver_has_bridge(driver);
    if (str_eq(o->ipam_driver, "none")) {
        if (o->subnet.n)
            return err_new(ERR_INVALID, "--ipam-driver none: there are no addresses, so no --subnet");
        return NULL;
    }
    TRY(netlink_open_here(&sock));
    TRY(network_list(e, &others));
    err *failed = NULL;
    for (size_t i = 0; !failed && i < o->subnet.n; i++)
        failed = given_subnet(&others, sock, o->subnet.items[i], bridge, c);
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
    TRY(set_gateways(o, driver, sock, c));
    for (size_t i = 0; i < o->range.n; i++)
        TRY_AS(set_range(o->range.items[i], c), "--ip-range");
    return set_others(o, c);
}

/* ---- what must be so ----------------------------------------------------------------------------------------------
 */

static const char *const drivers[] = { "bridge", "macvlan", "ipvlan" };

static fallible check_driver(const char *driver)
{
    for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
        if (str_eq(driver, drivers[i]))
            return NULL;
    return err_new(ERR_UNSUPPORTED, "--driver: '%s' is not one of bridge, macvlan, ipvlan%s", driver,
                   str_eq(driver, "host") || str_eq(driver, "none") || str_eq(driver, "null")
                       ? ": 'host' and 'none' are there without being made"
                       : "");
}

static fallible check_name(const char *name)
{
    static const char *const words[] = { "bridge",    "host", "none",  "default",     "private",
                                         "container", "ns",   "pasta", "slirp4netns", "cni" };
    TRY(grammar_name("network name", name));
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (str_eq(name, words[i]))
            return err_new(ERR_INVALID, "'%s' means something else to --network: choose another name", name);
    return NULL;
}

/* macvlan and ipvlan live on a device of the host's: the one that the default route leads through, unless another is
 * said. */
static fallible set_link(const char *driver, const char *id, const char *name, struct network_config *c)
{
    if (c->link)
        return NULL;
    /* Another store of this host, $HUSK_ROOT, may have its default network at that bridge already. */
    if (driver_has_bridge(driver))
        c->link = str_eq(name, NETWORK_DEFAULT) && !if_nametoindex(NETWORK_DEFAULT_BRIDGE)
                      ? mem_strdup(NETWORK_DEFAULT_BRIDGE)
                      : mem_printf("husk-%.8s", id);
    else
        return err_new(ERR_INVALID, "--driver %s: say --opt parent=DEVICE, a network device of the host's", driver);
    return NULL;
}

static const char *holder_of_bridge(const struct network_list *others, const char *link)
{
    for (size_t i = 0; i < others->n; i++)
        if (driver_has_bridge(others->items[i]->row.driver) && str_eq(others->items[i]->config->link, link))
            return others->items[i]->row.name;
    return NULL;
}

static fallible bridge_is_free(struct engine *e, const char *link)
{
    struct network_list others = { 0 };
    TRY(network_list(e, &others));
    const char *holder = holder_of_bridge(&others, link);
    err *failed =
        holder ? err_new(ERR_CONFLICT, "the bridge '%s' is that of network '%s': choose another", link, holder) : NULL;
    network_list_clear(&others);
    return failed;
}

/* ---- back from the trash ---- */

static fallible must_be_free_among(struct network_list *others, const struct network_config *c, const char *name)
{
    own_fd int sock = -1;
    for (size_t i = 0; i < others->n; i++)
        if (str_eq(others->items[i]->row.name, name))
            return err_new(ERR_EXISTS,
                           "the name '%s' is taken by another network meanwhile: remove that, or say --name", name);
    if (c->link && holder_of_bridge(others, c->link))
        return err_new(ERR_CONFLICT, "network '%s' had the bridge '%s', which is that of network '%s' now: remove that",
                       name, c->link, holder_of_bridge(others, c->link));
    TRY(netlink_open_here(&sock));
    for (size_t i = 0; i < c->subnets_n; i++) {
        own_str struct str clash = { 0 };
        struct prefix p;
        TRY(prefix_parse(c->subnets[i].subnet, &p));
        TRY(find_clash(others, sock, &p, c->link_theirs ? c->link : NULL, &clash));
        if (clash.len)
            return err_new(ERR_CONFLICT,
                           "network '%s' had the addresses %s, which clash with %s now: remove that, or make another "
                           "network",
                           name, c->subnets[i].subnet, clash.text);
    }
    return NULL;
}

fallible network_must_be_free(struct engine *e, const struct db_network *row, const char *name)
{
    struct network_list others = { 0 };
    void *config = NULL;
    TRY(check_name(name));
    TRY_AS(bind_read(&network_config_type, row->config, strlen(row->config), &config), "network '%s'", name);
    err *failed = network_list(e, &others);
    if (!failed)
        failed = must_be_free_among(&others, config, name);
    network_list_clear(&others);
    bind_free(&network_config_type, config);
    return failed;
}

/* ---- making ---- */

/* Whether a device was made for another network of ours, a VLAN to be a parent. */
static fallible is_made_by_us(struct engine *e, const char *link, bool *ret)
{
    struct network_list others = { 0 };
    *ret = false;
    TRY(network_list(e, &others));
    for (size_t i = 0; i < others.n; i++)
        *ret |= str_eq(others.items[i]->config->link, link) && !others.items[i]->config->link_theirs;
    network_list_clear(&others);
    return NULL;
}

/* A device that was named and is there before the network is the host's, and stays so. Of an ordinary user's networks
 * the namespace may not be there yet. */
static fallible look_at_link(struct engine *e, const char *driver, struct network_config *c)
{
    own_fd int sock = -1;
    unsigned index;
    bool is_bridge, ours;
    if (usernet_needed())
        return NULL;
    TRY(netlink_open_here(&sock));
    TRY(link_look(sock, c->link, &index, &is_bridge));
    if (index && driver_has_bridge(driver) && !is_bridge)
        return err_new(ERR_CONFLICT, "'%s' is an interface of the host's and no bridge: choose another name", c->link);
    TRY(is_made_by_us(e, c->link, &ours));
    c->link_theirs = index && !ours;
    return NULL;
}

static fallible add_row(struct engine *e, const char *id, const char *name, const char *driver, struct network *n)
{
    struct timespec now = { 0 };
    struct db *db;
    TRY(engine_db(e, &db));
    (void)clock_gettime(CLOCK_REALTIME, &now);
    n->row = (struct db_network){
        .id = mem_strdup(id),
        .name = mem_strdup(name),
        .driver = mem_strdup(driver),
        .created_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec,
        .config = bind_write(&network_config_type, n->config, BIND_COMPACT),
    };
    TRY(db_network_add(db, &n->row));
    event_say(e->run, "network", "create", n->row.id, "name", name, "type", driver, NULL);
    return NULL;
}

static fallible create(struct engine *e, const char *name, const struct network_options *o, struct network **ret)
{
    own(network) struct network *n = mem_zalloc(sizeof *n);
    const char *driver = o->driver && *o->driver ? o->driver : "bridge";
    char id[65];
    TRY(check_name(name));
    TRY(check_driver(driver));
    if (!driver_has_bridge(driver) && usernet_needed())
        return err_new(ERR_UNSUPPORTED,
                       "--driver %s: the host's devices are root's, and an ordinary user's networks have pasta's "
                       "device alone, which leads to no neighbours: make a bridge",
                       driver);
    random_hex(id, 32);
    n->config = mem_zalloc(sizeof *n->config);
    TRY(read_options(o, driver, n->config));
    const bool named = n->config->link != NULL;
    TRY(set_link(driver, id, name, n->config));
    if (driver_has_bridge(driver))
        TRY(bridge_is_free(e, n->config->link));
    if (named)
        TRY(look_at_link(e, driver, n->config));
    TRY(set_subnets(e, o, driver, id, n->config));
    n->config->config_from = mem_strdup(o->config_from);
    TRY(add_row(e, id, name, driver, n));
    *ret = take(n);
    return NULL;
}

/* Good for one driver at least: which, is said when a network is made of it. */
static fallible check_template(const struct network_options *o)
{
    err *first = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
        struct network_config *c = mem_zalloc(sizeof *c);
        err *e = o->driver && !str_eq(o->driver, drivers[i]) ? err_new(ERR_INVALID, "another driver")
                                                             : read_options(o, drivers[i], c);
        for (size_t j = 0; !e && j < o->subnet.n; j++)
            e = given_subnet(NULL, -1, o->subnet.items[j], false, c);
        if (!e)
            e = set_gateways(o, drivers[i], -1, c);
        for (size_t j = 0; !e && j < o->range.n; j++)
            e = err_wrap(set_range(o->range.items[j], c), "--ip-range");
        if (!e)
            e = set_others(o, c);
        bind_free(&network_config_type, c);
        if (!e) {
            err_free(first);
            return NULL;
        }
        if (!first && !(o->driver && !str_eq(o->driver, drivers[i])))
            first = e;
        else
            err_free(e);
    }
    return first;
}

static fallible create_template(struct engine *e, const char *name, const struct network_options *o,
                                struct network **ret)
{
    own(network) struct network *n = mem_zalloc(sizeof *n);
    char id[65];
    TRY(check_name(name));
    if (o->driver)
        TRY(check_driver(o->driver));
    TRY(check_template(o));
    random_hex(id, 32);
    n->config = mem_zalloc(sizeof *n->config);
    n->config->config_only = true;
    network_template_write(o, &n->config->words);
    for (size_t i = 0; i < o->label.n; i++)
        TRY_AS(grammar_label(o->label.items[i], &n->config->labels), "--label");
    TRY(add_row(e, id, name, NETWORK_TEMPLATE_DRIVER, n));
    *ret = take(n);
    return NULL;
}

fallible network_create(struct engine *e, const char *name, const struct network_options *o, struct network **ret)
{
    own(network) struct network *from = NULL;
    struct network_options all;
    if (o->config_only && o->config_from)
        return err_new(ERR_INVALID, "--config-only and --config-from exclude each other");
    if (o->config_only)
        return create_template(e, name, o, ret);
    if (!o->config_from)
        return create(e, name, o, ret);
    TRY_AS(network_find(e, o->config_from, &from), "--config-from");
    if (!from->config->config_only)
        return err_new(ERR_INVALID, "--config-from: '%s' is a network itself: say one that was made with --config-only",
                       from->row.name);
    TRY(network_template_read(&from->config->words, o, &all));
    all.config_from = from->row.name;
    err *failed = create(e, name, &all, ret);
    network_template_clear(&all);
    return failed;
}

fallible network_set_dns(struct engine *e, struct network *n, const struct strv *add, const struct strv *drop)
{
    struct db *db;
    struct strv kept = { 0 };
    struct ip ip;
    TRY(engine_db(e, &db));
    for (size_t i = 0; i < add->n; i++)
        TRY_AS(ip_parse(add->items[i], &ip), "--dns-add");
    for (size_t i = 0; i < n->config->dns.n; i++)
        if (!strv_has(drop, n->config->dns.items[i]))
            strv_add(&kept, n->config->dns.items[i]);
    for (size_t i = 0; i < add->n; i++)
        if (!strv_has(&kept, add->items[i]))
            strv_add(&kept, add->items[i]);
    strv_free(&n->config->dns);
    n->config->dns = kept;
    own_mem char *text = bind_write(&network_config_type, n->config, BIND_COMPACT);
    return db_network_set_config(db, n->row.id, text);
}
