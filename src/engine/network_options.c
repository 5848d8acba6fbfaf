// SPDX-License-Identifier: GPL-2.0-or-later
/* What a new network is to be: --opt and its kin, in docker's words and in podman's. */
#include <string.h>

#include "base/parse.h"
#include "engine/grammar.h"
#include "engine/network_making.h"
#include "engine/network_wish.h"
#include "usernet/usernet.h"

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
    bool ok = str_eq(driver, "bridge") && str_eq(value, "managed");
    if (str_eq(driver, "bridge") && str_eq(value, "unmanaged")) {
        c->unmanaged = true;
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(macvlan); i++)
        ok |= str_eq(driver, "macvlan") && str_eq(value, macvlan[i]);
    for (size_t i = 0; i < ARRAY_SIZE(ipvlan); i++)
        ok |= str_eq(driver, "ipvlan") && str_eq(value, ipvlan[i]);
    if (!ok)
        return err_new(ERR_INVALID, "--opt mode: '%s' is no mode of the driver '%s'", value, driver);
    free(c->mode);
    c->mode = str_eq(driver, "bridge") ? NULL : mem_strdup(value);
    return NULL;
}

/*
 * docker's gateway modes, of one family each. In "nat" what is not published is not reached from beyond the host, by
 * those who know the way to a container either; "nat-unprotected" leaves that to others. "routed": others know the way,
 * so nothing is translated, and what is published is open at a container's own address. "isolated": the bridge has no
 * address, so that not even the host is a neighbour.
 */
static fallible set_gateway_mode(const char *key, const char *value, bool *unguarded, bool *routed, bool *isolated)
{
    *unguarded = str_eq(value, "nat-unprotected");
    *routed = str_eq(value, "routed");
    *isolated = str_eq(value, "isolated");
    if (*routed && usernet_needed())
        return err_new(ERR_UNSUPPORTED,
                       "--opt %s: 'routed' needs a host that forwards to the bridge: an ordinary user's networks are "
                       "behind pasta, where no route from beyond leads",
                       key);
    if (str_eq(value, "nat") || *unguarded || *routed || *isolated)
        return NULL;
    return err_new(ERR_INVALID, "--opt %s: '%s' is none of nat, nat-unprotected, routed, isolated", key, value);
}

static fallible set_trusted(const char *key, const char *value, struct network_config *c)
{
    own_strv struct strv names = { 0 };
    strv_split(&names, value, ':');
    for (size_t i = 0; i < names.n; i++)
        TRY_AS(network_interface_check(names.items[i]), "--opt %s", key);
    strv_free(&c->trusted);
    strv_copy(&c->trusted, names.items, names.n);
    return NULL;
}

static fallible set_binding(const char *key, const char *value, struct network_config *c)
{
    struct ip ip;
    char text[IP_TEXT];
    TRY_AS(ip_parse(value, &ip), "--opt %s", key);
    if (ip.family != AF_INET)
        return err_new(ERR_INVALID, "--opt %s: '%s' is no IPv4 address", key, value);
    free(c->binding);
    c->binding = str_eq(value, "0.0.0.0") ? NULL : mem_strdup(ip_text(&ip, text));
    return NULL;
}

/* What others' networks have and a network here cannot, with what is said instead. */
static fallible refuse(const char *key)
{
    static const char *const words[][2] = {
        { "com.docker.network.container_iface_prefix", "say --network NAME:interface=NAME when a container is made" },
        { "com.docker.network.bridge.inhibit_ipv4",
          "make the bridge on the host, and name it with com.docker.network.bridge.name, beside --disable-dns and "
          "--gateway: it is used as it is" },
        { "com.docker.network.bridge.default_bridge", "the default network is 'bridge', and is there by itself" },
        { "com.docker.network.host_ipv4", "what leaves has the address that the host's route has" },
        { "com.docker.network.host_ipv6", "what leaves has the address that the host's route has" },
        { "outbound_addr4", "what leaves has the address that the host's route has" },
        { "outbound_addr6", "what leaves has the address that the host's route has" },
        { "vrf", "a bridge of husk's is in no VRF: put it there yourself, under a name that --interface-name gives" },
        { "host_interface_name", "the host's end of a container's interface has a name that tells whose it is" },
        { "bclim", "a macvlan interface of husk's has the kernel's own limit" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (str_eq(key, words[i][0]))
            return err_new(ERR_UNSUPPORTED, "--opt %s is not here: %s", key, words[i][1]);
    return err_new(ERR_INVALID,
                   "--opt: '%s' is not one of mtu, vlan, isolate, parent, mode, metric, no_default_route, "
                   "com.docker.network.bridge. name, enable_icc, enable_ip_masquerade, host_binding_ipv4, "
                   "gateway_mode_ipv4, gateway_mode_ipv6, trusted_host_interfaces, com.docker.network. driver.mtu, "
                   "enable_ipv4, enable_ipv6",
                   key);
}

/* Those that a bridge alone has. */
static fallible set_option_of_bridge(const char *key, const char *value, struct network_config *c, bool *ret_known)
{
    *ret_known = true;
    if (str_eq(key, "vlan"))
        return parse_number(key, value, 1, 4094, &c->vlan);
    if (str_eq(key, "isolate"))
        return parse_negated(key, str_eq(value, "strict") ? "true" : value, &c->no_isolate);
    if (str_eq(key, "com.docker.network.bridge.enable_icc"))
        return parse_negated(key, value, &c->no_icc);
    if (str_eq(key, "com.docker.network.bridge.enable_ip_masquerade"))
        return parse_negated(key, value, &c->no_masquerade);
    if (str_eq(key, "com.docker.network.bridge.host_binding_ipv4"))
        return set_binding(key, value, c);
    if (str_eq(key, "com.docker.network.bridge.gateway_mode_ipv4"))
        return set_gateway_mode(key, value, &c->unguarded4, &c->routed4, &c->isolated4);
    if (str_eq(key, "com.docker.network.bridge.gateway_mode_ipv6"))
        return set_gateway_mode(key, value, &c->unguarded6, &c->routed6, &c->isolated6);
    if (str_eq(key, "com.docker.network.bridge.trusted_host_interfaces"))
        return set_trusted(key, value, c);
    *ret_known = false;
    return NULL;
}

/* docker's words for --ipv4 and --ipv6. */
static const char word4[] = "com.docker.network.enable_ipv4", word6[] = "com.docker.network.enable_ipv6";

static fallible set_option(const char *driver, const char *key, const char *value, struct network_config *c)
{
    bool known;
    TRY(set_option_of_bridge(key, value, c, &known));
    if (known && !network_driver_has_bridge(driver))
        return err_new(ERR_INVALID, "--opt %s: a network of the driver '%s' has no bridge", key, driver);
    if (known)
        return NULL;
    if (str_eq(key, word4) || str_eq(key, word6)) /* network_options_families() has read them */
        return NULL;
    if (str_eq(key, "mtu") || str_eq(key, "com.docker.network.driver.mtu"))
        return parse_number(key, value, 68, 65535, &c->mtu);
    if (str_eq(key, "metric"))
        return parse_number(key, value, 1, UINT32_MAX, &c->metric);
    if (str_eq(key, "no_default_route")) {
        TRY_AS(parse_bool(value, &c->no_default_route), "--opt %s", key);
        return NULL;
    }
    if (str_eq(key, "com.docker.network.bridge.name") || str_eq(key, "parent")) {
        TRY_AS(network_interface_check(value), "--opt %s", key);
        free(c->link);
        c->link = mem_strdup(value);
        return NULL;
    }
    if (str_eq(key, "mode") || str_eq(key, "macvlan_mode") || str_eq(key, "ipvlan_mode"))
        return set_mode(driver, value, c);
    return refuse(key);
}

fallible network_options_families(struct network_options *o)
{
    for (size_t i = 0; i < o->opt.n; i++) {
        const char *value = strchr(o->opt.items[i], '=');
        own_mem char *key = value ? mem_strndup(o->opt.items[i], (size_t)(value - o->opt.items[i])) : NULL;
        if (str_eq(key, word4))
            TRY(parse_negated(key, value + 1, &o->ipv4_off));
        if (str_eq(key, word6))
            TRY_AS(parse_bool(value + 1, &o->ipv6), "--opt %s", key);
    }
    return NULL;
}

fallible network_options_read(const struct network_options *o, const char *driver, struct network_config *c)
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
    if (c->policy_deny && !network_driver_has_bridge(driver))
        return err_new(ERR_UNSUPPORTED, "--policy deny: what passes by %s passes no firewall of husk's", driver);
    c->flows = o->flows;
    if (c->flows && !network_driver_has_bridge(driver))
        return err_new(ERR_UNSUPPORTED, "--flows: what passes by %s passes no firewall of husk's", driver);
    if (network_is_filtered(c))
        TRY_AS(bridge_filter_check(), c->flows ? "--flows" : "--policy deny");
    c->internal = o->internal;
    if ((c->isolated4 || c->isolated6) && !c->internal)
        return err_new(ERR_INVALID,
                       "--opt com.docker.network.bridge.gateway_mode_ipv%d: 'isolated' is a mode of an --internal "
                       "network: from a bridge without an address nothing leads on",
                       c->isolated4 ? 4 : 6);
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
