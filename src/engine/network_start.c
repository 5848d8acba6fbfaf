// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/network_start_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/network_dhcp.h"
#include "engine/network_door.h"
#include "engine/network_flows.h"
#include "engine/network_lease.h"
#include "engine/network_policy.h"
#include "engine/network_wish.h"
#include "engine/resolver.h"
#include "network/cni.h"
#include "network/egress.h"
#include "os/fault.h"
#include "usernet/usernet.h"

void container_network_clear(struct container_network *n)
{
    network_plan_clear(&n->plan);
    reserve_clear(&n->reserve);
    free(n->hold);
    free(n->host_gateway);
    strv_free(&n->dns);
    strv_free(&n->search);
    strv_free(&n->pasta);
    json_decref(n->cni);
    if (n->dns_sock > 0) /* a struct that was only zeroed has none */
        close_now(&n->dns_sock);
    *n = (struct container_network){ .dns_sock = -1 };
}

fallible network_resolve(struct engine *e, struct network_wishes *w)
{
    for (size_t i = 0; i < w->networks.n; i++) {
        own(network) struct network *n = NULL;
        struct db_endpoint *at = &w->networks.items[i];
        TRY_AS(network_find(e, at->network, &n), "--network");
        free(at->network);
        at->network = mem_strdup(n->row.id);
        for (size_t j = 0; j < i; j++)
            if (str_eq(at->network, w->networks.items[j].network))
                return err_new(ERR_INVALID, "--network: '%s' twice", n->row.name);
    }
    return NULL;
}

void network_port_bind(const struct network *n, struct db_port *p)
{
    if (!n->config->binding || *p->host_ip)
        return;
    free(p->host_ip);
    p->host_ip = mem_strdup(n->config->binding);
}

/* A wish for an address that a running container has is no reason not to make this one: it is when it starts. */
fallible network_add_rows(struct engine *e, const char *container, struct network_wishes *w)
{
    struct db *db;
    bool bound = false;
    TRY(engine_db(e, &db));
    for (size_t i = 0; i < w->networks.n; i++) {
        own(network) struct network *n = NULL;
        struct db_endpoint *at = &w->networks.items[i];
        free(at->container);
        at->container = mem_strdup(container);
        at->ip4 = at->ip6 = (struct ip){ 0 };
        TRY(network_find(e, at->network, &n));
        err *failed = network_lease(e, n, at);
        if (err_is(failed, ERR_CONFLICT)) {
            log_debug("container %.12s: %s", container, err_text(failed));
            err_free(failed);
            failed = NULL;
        }
        TRY(failed);
        TRY(db_endpoint_add(db, at));
        for (size_t j = 0; !bound && j < w->ports.n; j++) /* the first one that leads beyond itself has the ports */
            network_port_bind(n, &w->ports.items[j]);
        bound |= str_eq(n->row.driver, "bridge") && !n->config->internal;
    }
    for (size_t i = 0; i < w->ports.n; i++) {
        free(w->ports.items[i].container);
        w->ports.items[i].container = mem_strdup(container);
        TRY(db_port_add(db, &w->ports.items[i]));
    }
    return NULL;
}

/* ---- a container's part ------------------------------------------------------------------------------------------ */

static fallible add_routes(const struct network *n, struct network_link *l)
{
    for (size_t i = 0; i < n->config->routes.n; i++) {
        l->routes = mem_array(l->routes, l->routes_n + 1, sizeof *l->routes);
        TRY(network_route_parse(n->config->routes.items[i], &l->routes[l->routes_n]));
        l->routes_n++;
    }
    return NULL;
}

static enum network_kind kind_of(const char *driver)
{
    return str_eq(driver, "macvlan") ? NETWORK_MACVLAN : str_eq(driver, "ipvlan") ? NETWORK_IPVLAN : NETWORK_BRIDGE;
}

fallible network_link_of(const struct network *n, const struct db_endpoint *at, const struct network_kernel *kernel,
                         enum network_route_wish wish, struct network_link *ret)
{
    struct network_range r4, r6;
    uint8_t random[6] = { 0x02 };
    bool default_route = wish == NETWORK_DEFAULT_ROUTE && !n->config->internal && !n->config->no_default_route;
    TRY(network_range(n, AF_INET, &r4));
    TRY(network_range(n, AF_INET6, &r6));
    struct network_link l = {
        .kind = kind_of(n->row.driver),
        .parent = mem_strdup(n->config->link),
        .index = kernel->index,
        .name = mem_strdup(at->interface),
        .ip4 = { at->ip4, r4.subnet.len },
        .ip6 = { at->ip6, r6.subnet.len },
        .gateway4 = default_route && ip_is_set(&at->ip4) ? r4.gateway : (struct ip){ 0 },
        .gateway6 = default_route && ip_is_set(&at->ip6) ? r6.gateway : (struct ip){ 0 },
        .mtu = kernel->mtu,
        .outer_mtu = kernel->outer_mtu,
        .big = kernel->big,
        .small = kernel->small,
        .mode = mem_strdup(n->config->mode),
        .apart = n->config->no_icc,
        .metric = (uint32_t)n->config->metric,
        .dhcp = n->config->dhcp,
        .dhcp_route = n->config->dhcp && default_route,
        .routed4 = n->config->routed4,
        .routed6 = n->config->routed6,
    };
    network_host_name(at->container, at->position, l.host);
    _Static_assert((int)NETWORK_FURTHER == (int)NETWORK_LINK_LOCALS, "there is room for all");
    l.further_n = network_link_locals(at, l.further);
    memcpy(l.mac, random, sizeof random);
    memcpy(l.mac + 1, at->container + 8, 5); /* without an address: of the ID's digits */
    err *e = network_mac(at, l.mac);
    if (!e)
        e = add_routes(n, &l);
    if (e) {
        network_link_clear(&l);
        return e;
    }
    *ret = l;
    return NULL;
}

static fallible lease_again(struct engine *e, const struct network *n, struct db_endpoint *at)
{
    struct db *db;
    struct network_range r4, r6;
    TRY(network_range(n, AF_INET, &r4));
    TRY(network_range(n, AF_INET6, &r6));
    if (ip_is_set(&r4.first) == ip_is_set(&at->ip4) && ip_is_set(&r6.first) == ip_is_set(&at->ip6))
        return NULL; /* as it was: nothing is written */
    TRY(engine_db(e, &db));
    TRY(db_begin(db));
    err *failed = network_lease(e, n, at);
    if (!failed)
        failed = db_endpoint_lease(db, at->container, at->network, &at->ip4, &at->ip6);
    return db_end(db, failed);
}

static fallible prepare_link(struct engine *e, struct db_endpoint *at, const char *rate, enum network_prepare how,
                             struct container_network *ret)
{
    own(network) struct network *n = NULL;
    struct network_kernel kernel = { 0 };
    struct network_range r4;
    struct network_plan *p = &ret->plan;
    TRY(network_find(e, at->network, &n));
    if (how == NETWORK_MAKE) {
        TRY(lease_again(e, n, at));
        TRY(network_mac_is_free(e, n, at));
        fault_here(FAULT_LEASED);
        TRY(network_ensure(e, n, &kernel));
        TRY(network_flows_meet(e, n, at));
    } else
        TRY(network_kernel_look(n, &kernel));
    p->links = mem_array(p->links, p->links_n + 1, sizeof *p->links);
    TRY(network_link_of(n, at, &kernel, NETWORK_DEFAULT_ROUTE, &p->links[p->links_n]));
    if (how == NETWORK_LOOK)
        network_dhcp_look(e, at, &p->links[p->links_n]);
    p->links_n++;
    TRY(how == NETWORK_MAKE ? network_policy_prepare(e, n, at, p) : network_policy_look(e, n, at, p));
    if (rate)
        TRY_AS(rate_parse(rate, &p->links[p->links_n - 1].rate), "--net-rate");
    TRY(network_range(n, AF_INET, &r4));
    if (!ret->host_gateway && p->links[p->links_n - 1].kind == NETWORK_BRIDGE && ip_is_set(&r4.gateway)) {
        char text[IP_TEXT];
        ret->host_gateway = mem_strdup(ip_text(&r4.gateway, text));
    }
    if (!ret->dns.n && network_has_names(n)) {
        struct ip gateways[2];
        char text[IP_TEXT];
        size_t count = 0;
        TRY(network_gateways(n, gateways, &count));
        for (size_t i = 0; i < count; i++)
            strv_add(&ret->dns, ip_text(&gateways[i], text));
    }
    return NULL;
}

fallible network_prepare_link(struct engine *e, struct db_endpoint *at, const char *rate, struct container_network *ret)
{
    return prepare_link(e, at, rate, NETWORK_MAKE, ret);
}

static struct ip *gateway_of(struct network_link *l, int family)
{
    return family == AF_INET ? &l->gateway4 : &l->gateway6;
}

/* Whether a lease will have a router is not known: the one that comes before the chosen gateway takes its place when it
 * has, the others do not. */
static void choose_lease(const struct db_endpoints *endpoints, size_t best, int64_t highest, struct network_plan *p)
{
    for (size_t i = 0; i < p->links_n; i++) {
        int64_t priority = network_gateway_priority(&endpoints->items[i]);
        if (!p->links[i].dhcp_route || p->links[i].lease)
            continue;
        p->links[i].dhcp_route = best == p->links_n || priority > highest || (priority == highest && i < best);
        if (!p->links[i].dhcp_route)
            continue;
        for (size_t j = 0; j < p->links_n; j++)
            p->links[j].dhcp_route &= j == i;
        best = i;
        highest = priority;
    }
}

/* Each link knows its network's gateway: of each family one keeps it, and its default route. */
static void choose_gateway(const struct db_endpoints *endpoints, int family, struct network_plan *p)
{
    size_t best = p->links_n;
    int64_t highest = 0;
    bool said = false;
    for (size_t i = 0; i < p->links_n; i++) {
        int64_t priority = network_gateway_priority(&endpoints->items[i]);
        said |= priority != 0;
        if (!ip_is_set(gateway_of(&p->links[i], family)) || (best < p->links_n && priority <= highest))
            continue;
        best = i;
        highest = priority;
    }
    for (size_t i = 0; i < p->links_n; i++)
        if (i == best)
            p->links[i].preferred = said;
        else
            *gateway_of(&p->links[i], family) = (struct ip){ 0 };
    if (family == AF_INET)
        choose_lease(endpoints, best, highest, p);
}

/* Every address that it has on a bridge. Other links do not pass the host's firewall. */
static fallible prepare_egress(const struct container_config *config, struct container_network *ret)
{
    own(egress) struct egress e = { 0 };
    TRY(egress_read(&config->egress, &e));
    if (!e.limited)
        return NULL;
    ret->plan.reach_n = 0; /* who is limited is kept to its own addresses, too: nothing is in it twice */
    for (size_t i = 0; i < ret->plan.links_n; i++) {
        const struct network_link *l = &ret->plan.links[i];
        if (l->kind != NETWORK_BRIDGE)
            return err_new(ERR_CONFLICT,
                           "--egress: what leaves by '%s' (macvlan, ipvlan) passes no firewall of husk's: "
                           "use a network of the driver bridge",
                           l->parent);
        if (l->dhcp)
            return err_new(ERR_CONFLICT,
                           "--egress: it limits addresses that husk gives, and those of the network on "
                           "'%s' are a DHCP server's",
                           l->parent);
        egress_port(&e, l->host, &ret->plan.reach, &ret->plan.reach_n);
        egress_elements(&e, &l->ip4.ip, l->host, &ret->plan.reach, &ret->plan.reach_n);
        egress_elements(&e, &l->ip6.ip, l->host, &ret->plan.reach, &ret->plan.reach_n);
        for (size_t j = 0; j < l->further_n; j++)
            egress_elements(&e, &l->further[j].ip, l->host, &ret->plan.reach, &ret->plan.reach_n);
    }
    if (egress_has_names(&e) && !ret->dns.n)
        return err_new(ERR_CONFLICT,
                       "--egress: a name is allowed as the network's resolver answers it, and none of the "
                       "container's networks has one: allow addresses");
    return NULL;
}

/* The descriptors that hold published ports, and the resolver's connection, for the monitor. */
static void set_hold(struct container_network *n)
{
    own_str struct str hold = { 0 };
    for (size_t i = 0; i < n->reserve.n; i++)
        str_printf(&hold, "%s%d", i ? " " : "", n->reserve.fds[i]);
    if (n->dns_sock > 0)
        str_printf(&hold, "%s%d", hold.len ? " " : "", n->dns_sock);
    if (hold.len)
        n->hold = str_take(&hold);
}

static fallible plan_cni(struct container *c, const struct db_endpoint *wish, const char *rate,
                         struct container_network *n)
{
    own_json json_t *list = NULL;
    own_mem char *plugins = NULL;
    struct cni_wish w = {
        .id = c->row.id,
        .ports = n->plan.ports,
        .ports_n = n->plan.ports_n,
        .ips = { wish->want_ip4, wish->want_ip6 },
        .mac = wish->want_mac,
        .aliases = &wish->aliases,
    };
    if (rate)
        TRY_AS(rate_parse(rate, &w.rate), "--net-rate");
    TRY(network_cni_find(wish->network, &list, &plugins));
    w.list = list;
    w.path = plugins;
    return cni_plan(&w, &n->cni);
}

static fallible prepare_cni(struct container *c, const struct container_config *config, enum network_prepare how,
                            struct container_network *ret)
{
    own(db_ports) struct db_ports ports = { 0 };
    struct db_endpoint wish = { 0 };
    struct container_network n = { .dns_sock = -1 };
    const struct network_link none = { 0 };
    struct db *db;
    TRY(engine_db(c->engine, &db));
    TRY(db_port_list(db, c->row.id, &ports));
    err *e = NULL;
    for (size_t i = 0; i < ports.n && !e; i++)
        e = network_prepare_port(c, &ports.items[i], &none, how, &n);
    if (!e)
        e = network_wish_parse(network_cni(config->network), &wish);
    if (!e)
        e = plan_cni(c, &wish, config->net_rate, &n);
    db_endpoint_clear(&wish);
    if (e) {
        container_network_clear(&n);
        return e;
    }
    set_hold(&n);
    *ret = n;
    return NULL;
}

static fallible prepare(struct container *c, enum network_prepare how, struct container_network *ret)
{
    own(db_endpoints) struct db_endpoints endpoints = { 0 };
    const struct container_config *config;
    struct db *db;
    struct container_network n = { .dns_sock = -1 };
    *ret = n;
    TRY(container_config(c, &config));
    if (network_pasta(config->network, NULL))
        return network_prepare_pasta(c, how, ret);
    if (network_cni(config->network))
        return prepare_cni(c, config, how, ret);
    if (!network_mode_is_ours(config->network))
        return NULL;
    TRY(engine_db(c->engine, &db));
    TRY(db_endpoint_list(db, c->row.id, NULL, &endpoints));
    err *e = NULL;
    for (size_t i = 0; !e && i < endpoints.n; i++)
        e = prepare_link(c->engine, &endpoints.items[i], config->net_rate, how, &n);
    network_dhcp_prepare(c, config, &n);
    choose_gateway(&endpoints, AF_INET, &n.plan);
    choose_gateway(&endpoints, AF_INET6, &n.plan);
    if (!e)
        e = network_prepare_ports(c, how, &n);
    if (!e)
        e = prepare_egress(config, &n);
    if (!e && how == NETWORK_MAKE && usernet_needed()) {
        e = network_publish_user(c, &n.plan, &n.reserve);
        reserve_clear(&n.reserve); /* the holder has them */
    }
    if (!e && how == NETWORK_MAKE)
        e = network_names(c->engine, &endpoints, &n.dns_sock);
    fault_here(FAULT_NAMES);
    set_hold(&n);
    if (e) {
        container_network_clear(&n);
        return e;
    }
    *ret = n;
    return NULL;
}

fallible network_prepare(struct container *c, struct container_network *ret)
{
    return prepare(c, NETWORK_MAKE, ret);
}

fallible network_look(struct container *c, struct container_network *ret)
{
    return prepare(c, NETWORK_LOOK, ret);
}

fallible network_hold_again(struct container *c, struct container_network *ret)
{
    own(db_ports) struct db_ports ports = { 0 };
    own(db_endpoints) struct db_endpoints endpoints = { 0 };
    const struct container_config *config;
    struct db *db;
    *ret = (struct container_network){ .dns_sock = -1 };
    TRY(container_config(c, &config));
    bool connected = network_is_connected(c->engine, c->row.id);
    if (usernet_needed()) { /* an ordinary user's ports are the holder's, pasta's are pasta's */
        TRY(network_names_again(c, &ret->dns_sock));
        set_hold(ret);
        return NULL;
    }
    if (!(connected || (network_cni(config->network) && network_is_published(c->engine, c->row.id))))
        return NULL;
    if (connected)
        TRY(network_look(c, ret));
    TRY(engine_db(c->engine, &db));
    TRY(db_port_list(db, c->row.id, &ports));
    TRY(db_endpoint_list(db, c->row.id, NULL, &endpoints));
    const struct network_link *to = network_published_link(&ret->plan);
    own_mem struct ip *shared = NULL;
    if (ports.n)
        TRY(network_all_gateways(c->engine, &shared, &ret->reserve.shared_n));
    ret->reserve.shared = shared;
    for (size_t i = 0; i < ports.n; i++)
        network_reserve_again(&ports.items[i], to, &ret->reserve);
    ret->reserve.shared = NULL;
    ret->reserve.shared_n = 0;
    err *e = connected ? network_names(c->engine, &endpoints, &ret->dns_sock) : NULL;
    set_hold(ret);
    return e;
}

fallible network_withdraw(const char *state_dir)
{
    own_fd int dir = open(state_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "open '%s'", state_dir);
    const char *slash = strrchr(state_dir, '/');
    return usernet_end(slash ? slash + 1 : state_dir, dir, NULL);
}
