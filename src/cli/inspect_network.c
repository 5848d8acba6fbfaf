// SPDX-License-Identifier: GPL-2.0-or-later
/* Networks in docker's shape. Source: Docker Engine API 1.50, Network, NetworkSettings. */
#include <fcntl.h>
#include <string.h>

#include "base/parse.h"
#include "cli/inspect_docs.h"
#include "engine/network_dhcp.h"
#include "engine/network_parts.h"
#include "engine/network_start.h"
#include "engine/network_wish.h"
#include "network/cni.h"

static void put(json_t *o, const char *key, json_t *take_v)
{
    (void)json_object_set_new(o, key, take_v);
}

static json_t *map_doc(const struct strmap *m)
{
    json_t *o = json_object();
    for (size_t i = 0; i < m->n; i++)
        put(o, m->items[i].key, json_string(m->items[i].value));
    return o;
}

static json_t *ipam_doc(const struct network_config *c)
{
    json_t *list = json_array();
    for (size_t i = 0; i < c->subnets_n; i++) {
        const struct network_subnet *s = &c->subnets[i];
        json_t *o = json_pack("{s:s}", "Subnet", s->subnet);
        if (s->range)
            put(o, "IPRange", json_string(s->range));
        if (s->gateway)
            put(o, "Gateway", json_string(s->gateway));
        if (s->others.n)
            put(o, "AuxiliaryAddresses", map_doc(&s->others));
        (void)json_array_append_new(list, o);
    }
    return json_pack("{s:s, s:{}, s:o}", "Driver", c->dhcp ? "dhcp" : "default", "Options", "Config", list);
}

static bool is_within(const char *subnet, const char *address)
{
    struct prefix p = { .len = -1 };
    struct ip ip = { 0 };
    err *e = prefix_parse(subnet, &p);
    if (!e)
        e = ip_parse(address, &ip);
    bool within = !e && prefix_has(&p, &ip);
    err_free(e);
    return within;
}

/* What a configuration alone says of addresses. */
static json_t *ipam_of_words(const struct strv *words)
{
    json_t *list = json_array(), *s;
    size_t at;
    for (size_t i = 0; i < words->n; i++)
        if (str_starts(words->items[i], "subnet="))
            (void)json_array_append_new(list, json_pack("{s:s}", "Subnet", words->items[i] + strlen("subnet=")));
    for (size_t i = 0; i < words->n; i++) {
        const char *gateway = words->items[i] + strlen("gateway=");
        json_array_foreach (list, at, s)
            if (str_starts(words->items[i], "gateway=") &&
                is_within(json_string_value(json_object_get(s, "Subnet")), gateway))
                put(s, "Gateway", json_string(gateway));
    }
    return json_pack("{s:s, s:{}, s:o}", "Driver", "default", "Options", "Config", list);
}

static json_t *options_of_words(const struct strv *words)
{
    json_t *o = json_object();
    for (size_t i = 0; i < words->n; i++) {
        const char *key = words->items[i] + strlen("opt="), *equals = strchr(words->items[i], '=');
        equals = equals ? strchr(equals + 1, '=') : NULL;
        if (!str_starts(words->items[i], "opt=") || !equals)
            continue;
        own_mem char *name = mem_strndup(key, (size_t)(equals - key));
        put(o, name, json_string(equals + 1));
    }
    return o;
}

static json_t *prefix_doc(const struct prefix *p)
{
    char text[PREFIX_TEXT];
    return json_string(prefix_text(p, text));
}

static fallible members_doc(struct engine *e, const struct network *n, json_t **ret)
{
    own(neighbours) struct neighbours l = { 0 };
    own(db_endpoints) struct db_endpoints endpoints = { 0 };
    struct db *db;
    TRY(network_neighbours(e, n->row.id, NULL, NULL, &l));
    TRY(engine_db(e, &db));
    TRY(db_endpoint_list(db, NULL, n->row.id, &endpoints));
    own_json json_t *members = json_object();
    const struct network_kernel none = { 0 }; /* its addresses alone are asked for */
    for (size_t i = 0; i < l.n; i++)
        for (size_t j = 0; j < endpoints.n; j++) {
            struct network_link link;
            char mac[MAC_TEXT];
            if (!str_eq(endpoints.items[j].container, l.items[i].container))
                continue;
            TRY(network_link_of(n, &endpoints.items[j], &none, NETWORK_NO_DEFAULT_ROUTE, &link));
            network_dhcp_look(e, &endpoints.items[j], &link);
            json_t *aliases = json_array();
            for (size_t a = 0; a < endpoints.items[j].aliases.n; a++)
                (void)json_array_append_new(aliases, json_string(endpoints.items[j].aliases.items[a]));
            json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "Name", l.items[i].name, "EndpointID", "",
                                  "MacAddress", mac_text(link.mac, mac), "IPv4Address", prefix_doc(&link.ip4),
                                  "IPv6Address", prefix_doc(&link.ip6), "Aliases", aliases);
            network_link_clear(&link);
            put(members, l.items[i].container, o);
        }
    *ret = take(members);
    return NULL;
}

static bool has_ipv4(const struct network_config *c)
{
    bool has = !c->subnets_n;
    for (size_t i = 0; i < c->subnets_n; i++)
        has |= !strchr(c->subnets[i].subnet, ':');
    return has;
}

fallible inspect_network(struct engine *e, const struct network *n, json_t **ret)
{
    const struct network_config *c = n->config;
    char when[40];
    own_json json_t *members = NULL;
    own_str struct str obstacles = { 0 };
    TRY(members_doc(e, n, &members));
    err_ignore(network_obstacles(&obstacles), "then none is known");
    if (!c->internal)
        network_lacks(&obstacles);
    json_t *o =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:b}", "Name", n->row.name, "Id", n->row.id, "Created",
                  format_time_ns(n->row.created_ns, when), "Scope", "local", "Driver", n->row.driver, "EnableIPv4",
                  has_ipv4(c), "EnableIPv6", c->ipv6, "Internal", c->internal, "Attachable", 0, "Ingress", 0);
    put(o, "IPAM", c->config_only ? ipam_of_words(&c->words) : ipam_doc(c));
    put(o, "ConfigFrom", json_pack("{s:s}", "Network", c->config_from ? c->config_from : ""));
    put(o, "ConfigOnly", json_boolean(c->config_only));
    put(o, "Containers", take(members));
    put(o, "Options", c->config_only ? options_of_words(&c->words) : map_doc(&c->options));
    put(o, "Labels", map_doc(&c->labels));
    put(o, "NetworkInterface", json_string(c->link ? c->link : ""));
    put(o, "Isolated", json_boolean(!c->no_isolate));
    json_t *rules = json_array();
    for (size_t i = 0; i < c->policy.n; i++)
        (void)json_array_append_new(rules, json_string(c->policy.items[i]));
    put(o, "Policy", json_pack("{s:s, s:o}", "Default", c->policy_deny ? "deny" : "allow", "Rules", rules));
    put(o, "Flows", json_boolean(c->flows));
    put(o, "DNSEnabled", json_boolean(!c->no_dns));
    if (c->mtu)
        put(o, "MTU", json_integer(c->mtu));
    if (c->vlan)
        put(o, "VLAN", json_integer(c->vlan));
    json_t *dns = json_array();
    for (size_t i = 0; i < c->dns.n; i++)
        (void)json_array_append_new(dns, json_string(c->dns.items[i]));
    put(o, "DNSServers", dns);
    if (obstacles.len)
        put(o, "Obstacles", json_string(obstacles.text));
    *ret = o;
    return NULL;
}

/* ---- a container's ----------------------------------------------------------------------------------------------- */

static json_t *ip_doc(const struct ip *ip)
{
    char text[IP_TEXT];
    return json_string(ip_text(ip, text));
}

static json_t *lease_doc(const struct dhcp_lease *l)
{
    json_t *dns = json_array(), *routes = json_array();
    char text[PREFIX_TEXT];
    for (size_t i = 0; i < l->dns_n; i++)
        (void)json_array_append_new(dns, ip_doc(&l->dns[i]));
    for (size_t i = 0; i < l->routes_n; i++)
        (void)json_array_append_new(routes, json_pack("{s:s, s:o}", "Destination", prefix_text(&l->routes[i].to, text),
                                                      "Gateway", ip_doc(&l->routes[i].via)));
    return json_pack("{s:o, s:I, s:I, s:I, s:o, s:s, s:o, s:i}", "Server", ip_doc(&l->server), "LeaseSeconds",
                     (json_int_t)l->lease_s, "RenewSeconds", (json_int_t)l->renew_s, "RebindSeconds",
                     (json_int_t)l->rebind_s, "DNS", dns, "Search", l->search, "Routes", routes, "MTU", l->mtu);
}

static json_t *link_doc(const struct network_link *l, const struct db_endpoint *at, bool connected)
{
    static const struct network_link none = { 0 };
    char mac[MAC_TEXT] = "";
    json_t *aliases = json_array(), *ipam = json_object();
    for (size_t i = 0; i < at->aliases.n; i++)
        (void)json_array_append_new(aliases, json_string(at->aliases.items[i]));
    if (ip_is_set(&at->want_ip4))
        put(ipam, "IPv4Address", ip_doc(&at->want_ip4));
    if (ip_is_set(&at->want_ip6))
        put(ipam, "IPv6Address", ip_doc(&at->want_ip6));
    if (connected)
        mac_text(l->mac, mac);
    const struct network_link *now = connected ? l : &none;
    json_t *o = json_pack("{s:o, s:o, s:s, s:s, s:s}", "IPAMConfig", ipam, "Aliases", aliases, "NetworkID", at->network,
                          "MacAddress", mac, "InterfaceName", at->interface);
    put(o, "GwPriority", json_integer(network_gateway_priority(at)));
    put(o, "Gateway", ip_doc(&now->gateway4));
    put(o, "IPAddress", ip_doc(&now->ip4.ip));
    put(o, "IPPrefixLen", json_integer(ip_is_set(&now->ip4.ip) ? now->ip4.len : 0));
    if (now->lease)
        put(o, "DHCP", lease_doc(now->lease));
    put(o, "IPv6Gateway", ip_doc(&now->gateway6));
    put(o, "GlobalIPv6Address", ip_doc(&now->ip6.ip));
    put(o, "GlobalIPv6PrefixLen", json_integer(ip_is_set(&now->ip6.ip) ? now->ip6.len : 0));
    return o;
}

json_t *inspect_ports(const struct container_config *config, const struct db_ports *ports, bool connected)
{
    json_t *o = json_object();
    for (size_t i = 0; i < config->exposed.n; i++)
        put(o, config->exposed.items[i], json_null());
    for (size_t i = 0; i < ports->n; i++) {
        const struct db_port *p = &ports->items[i];
        own_mem char *key = mem_printf("%lld/%s", (long long)p->container_port, p->proto);
        json_t *list = json_object_get(o, key);
        int64_t host = connected ? p->host_port : p->want_port;
        own_mem char *number = host ? mem_printf("%lld", (long long)host) : mem_strdup("");
        if (!json_is_array(list))
            put(o, key, list = json_array());
        (void)json_array_append_new(
            list, json_pack("{s:s, s:s}", "HostIp", *p->host_ip ? p->host_ip : "0.0.0.0", "HostPort", number));
    }
    return o;
}

/* HostConfig.PortBindings: with docker's "" for any port and any address. */
static json_t *bindings_doc(const struct container_config *config, const struct db_ports *ports)
{
    json_t *o = json_object();
    for (size_t i = 0; i < ports->n; i++) {
        const struct db_port *p = &ports->items[i];
        own_mem char *key = mem_printf("%lld/%s", (long long)p->container_port, p->proto);
        own_mem char *number = p->want_port ? mem_printf("%lld", (long long)p->want_port) : mem_strdup("");
        json_t *list = json_object_get(o, key);
        if (!p->want_port && config->publish_all) /* which says it */
            continue;
        if (!list)
            put(o, key, list = json_array());
        (void)json_array_append_new(list, json_pack("{s:s, s:s}", "HostIp", p->host_ip, "HostPort", number));
    }
    return o;
}

static fallible networks_doc(struct container *c, struct container_network *n, bool connected, json_t *networks)
{
    own(db_endpoints) struct db_endpoints endpoints = { 0 };
    struct db *db;
    TRY(engine_db(c->engine, &db));
    TRY(db_endpoint_list(db, c->row.id, NULL, &endpoints));
    for (size_t i = 0; i < endpoints.n && i < n->plan.links_n; i++) {
        own(network) struct network *network = NULL;
        TRY(network_find(c->engine, endpoints.items[i].network, &network));
        put(networks, network->row.name, link_doc(&n->plan.links[i], &endpoints.items[i], connected));
    }
    return NULL;
}

/* docker's fields of a network: without one of husk's they are there all the same, empty. */
static json_t *no_link_doc(void)
{
    return json_pack("{s:n, s:n, s:s, s:s, s:s, s:i, s:s, s:s, s:i, s:s, s:s, s:i}", "IPAMConfig", "Aliases",
                     "NetworkID", "", "MacAddress", "", "InterfaceName", "", "GwPriority", 0, "Gateway", "",
                     "IPAddress", "", "IPPrefixLen", 0, "IPv6Gateway", "", "GlobalIPv6Address", "",
                     "GlobalIPv6PrefixLen", 0);
}

/* As of a bridge network, of what the plugins answered; empty where nothing is known. */
static json_t *cni_doc(const struct strv *addresses)
{
    json_t *o = no_link_doc();
    for (size_t i = 0; i < addresses->n; i++) {
        struct prefix p = { .len = -1 };
        err *e = prefix_parse(addresses->items[i], &p);
        bool v6 = p.ip.family == AF_INET6;
        if (!e && !*json_string_value(json_object_get(o, v6 ? "GlobalIPv6Address" : "IPAddress"))) {
            put(o, v6 ? "GlobalIPv6Address" : "IPAddress", ip_doc(&p.ip));
            put(o, v6 ? "GlobalIPv6PrefixLen" : "IPPrefixLen", json_integer(p.len));
        }
        err_ignore(e, "a plugin said it");
    }
    return o;
}

fallible inspect_container_network(struct container *c, json_t **ret, json_t **ret_bindings)
{
    const struct container_config *config;
    struct container_network n = { 0 };
    own(db_ports) struct db_ports ports = { 0 };
    own_json json_t *networks = json_object();
    bool connected = network_is_published(c->engine, c->row.id);
    static const struct network_link none = { 0 };
    char mac[MAC_TEXT] = "";
    struct db *db;
    TRY(container_config(c, &config));
    if (!network_mode_is_ours(config->network)) {
        if (network_pasta(config->network, NULL)) {
            TRY(engine_db(c->engine, &db));
            TRY(db_port_list(db, c->row.id, &ports));
        }
        own_strv struct strv addresses = { 0 };
        if (network_cni(config->network)) {
            TRY(engine_db(c->engine, &db));
            TRY(db_port_list(db, c->row.id, &ports));
            own_fd int dir = open(c->state_dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
            cni_addresses(dir, &addresses);
        }
        put(networks, config->network, cni_doc(&addresses));
    } else {
        TRY(engine_db(c->engine, &db));
        TRY(db_port_list(db, c->row.id, &ports));
        err *e = network_look(c, &n);
        if (!e)
            e = networks_doc(c, &n, connected, networks);
        if (e) {
            container_network_clear(&n);
            return e;
        }
    }
    const struct network_link *first = connected && n.plan.links_n ? &n.plan.links[0] : &none;
    if (first != &none)
        mac_text(first->mac, mac);
    json_t *o = json_pack("{s:s, s:s, s:s}", "Bridge", "", "SandboxKey", "", "MacAddress", mac);
    put(o, "Ports", inspect_ports(config, &ports, connected));
    put(o, "Gateway", ip_doc(&first->gateway4));
    put(o, "IPAddress", ip_doc(&first->ip4.ip));
    put(o, "IPPrefixLen", json_integer(ip_is_set(&first->ip4.ip) ? first->ip4.len : 0));
    put(o, "IPv6Gateway", ip_doc(&first->gateway6));
    put(o, "GlobalIPv6Address", ip_doc(&first->ip6.ip));
    put(o, "GlobalIPv6PrefixLen", json_integer(ip_is_set(&first->ip6.ip) ? first->ip6.len : 0));
    put(o, "Networks", take(networks));
    container_network_clear(&n);
    *ret_bindings = bindings_doc(config, &ports);
    *ret = o;
    return NULL;
}
