// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/network_start.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/network_door.h"
#include "engine/network_flows.h"
#include "engine/network_lease.h"
#include "engine/network_parts.h"
#include "engine/network_policy.h"
#include "engine/network_wish.h"
#include "engine/resolver.h"
#include "network/big_tcp.h"
#include "network/cni.h"
#include "network/egress.h"
#include "network/flows.h"
#include "os/fault.h"
#include "os/fs.h"
#include "usernet/usernet.h"

void container_network_clear(struct container_network *n)
{
    network_plan_clear(&n->plan);
    reserve_clear(&n->reserve);
    free(n->hold);
    free(n->host_gateway);
    strv_free(&n->dns);
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

/* ---- a network in the kernel ------------------------------------------------------------------------------------- */

fallible network_firewall(const struct network *n, struct firewall_net *ret)
{
    struct network_range r4, r6;
    TRY(network_range(n, AF_INET, &r4));
    TRY(network_range(n, AF_INET6, &r6));
    *ret = (struct firewall_net){
        .bridge = n->config->link,
        .subnet4 = r4.subnet,
        .subnet6 = r6.subnet,
        .isolated = !n->config->no_isolate,
        .internal = n->config->internal,
        .masquerade = !n->config->no_masquerade,
        .guarded4 = !n->config->unguarded4 && !n->config->no_masquerade,
        .guarded6 = !n->config->unguarded6 && !n->config->no_masquerade,
        .trusted = &n->config->trusted,
        .policed = n->config->policy_deny,
        .counted = n->config->flows,
    };
    if (network_has_names(n)) {
        ret->names4 = r4.gateway;
        ret->names6 = r6.gateway;
    }
    return NULL;
}

/* A table that had to be made was flushed, or never was: then all that runs is put into it again. */
static fallible ensure_firewall(struct engine *e, const struct network *n)
{
    own(nft) struct nft nft = { 0 };
    own_fd int sock = -1;
    struct firewall_net net;
    bool there = false, made;
    TRY(nft_open(&sock));
    TRY(firewall_has(sock, n->config->link, &there));
    if (there) {
        TRY(network_policy_is_there(n, sock, &there)); /* not so: killed between the row and the firewall */
        if (there)
            TRY(network_flows_is_there(n, sock, &there));
        return there ? NULL : network_reload(e);
    }
    TRY(firewall_ensure(sock, &made));
    if (made)
        return network_reload(e);
    TRY(network_firewall(n, &net));
    firewall_begin(&nft);
    firewall_net(&nft, NFT_ADD, &net);
    if (net.counted)
        flows_begin(&nft);
    return nft_commit(sock, &nft);
}

static fallible say_obstacles(void)
{
    own_str struct str text = { 0 };
    own_strv struct strv lines = { 0 };
    TRY(network_obstacles(&text));
    strv_split(&lines, text.text ? text.text : "", '\n');
    for (size_t i = 0; i < lines.n; i++)
        log_warn("%s", lines.items[i]);
    return NULL;
}

/* An ordinary user's way out is pasta, which ends TCP connections itself: what comes to it in pieces of 1500 bytes
 * costs it a call each, and its own device takes 65520. */
static int mtu_of(const struct network *n)
{
    return !n->config->mtu && usernet_needed() ? USERNET_MTU : (int)n->config->mtu;
}

static fallible bridge_of(const struct network *n, struct network_bridge *ret)
{
    struct network_range r4, r6;
    TRY(network_range(n, AF_INET, &r4));
    TRY(network_range(n, AF_INET6, &r6));
    *ret = (struct network_bridge){
        .name = n->config->link,
        .address4 = { r4.gateway, r4.subnet.len },
        .address6 = { r6.gateway, r6.subnet.len },
        .mtu = mtu_of(n),
        .big = !n->config->mtu && !n->config->link_theirs,
        .vlan = (int)n->config->vlan,
        .loopback = !n->config->internal,
        .internal = n->config->internal,
        .theirs = n->config->link_theirs,
        .names = network_has_names(n),
    };
    return NULL;
}

/* A bridge of an older husk's, or one whose MTU somebody has set, is as it is. */
static void tell_sizes(const struct network *n, const struct bridge_state *b, struct network_kernel *ret)
{
    ret->index = b->index;
    ret->mtu = mtu_of(n) || !b->big ? mtu_of(n) : b->mtu;
    ret->outer_mtu = !mtu_of(n) && ret->mtu > BIG_TCP_OUTER_MTU ? BIG_TCP_OUTER_MTU : 0;
    ret->big = b->big;
    ret->small = b->small;
}

static fallible ensure_bridge(struct engine *e, const struct network *n, int sock, struct network_kernel *ret)
{
    struct network_bridge b;
    struct bridge_state state;
    TRY(bridge_of(n, &b));
    TRY_AS(bridge_ensure(sock, &b, &state), "network '%s'", n->row.name);
    tell_sizes(n, &state, ret);
    fault_here(FAULT_BRIDGE);
    if (network_is_filtered(n->config))
        TRY(bridge_filter(sock, n->config->link, BRIDGE_FILTERED));
    TRY(ensure_firewall(e, n));
    fault_here(FAULT_NETWORK);
    return state.made && !n->config->internal ? say_obstacles() : NULL;
}

fallible network_ensure(struct engine *e, const struct network *n, struct network_kernel *ret)
{
    own_fd int sock = -1;
    *ret = (struct network_kernel){ .mtu = mtu_of(n) };
    TRY(network_door(e, n->config->internal ? NETWORK_DOOR_INSIDE : NETWORK_DOOR_OUTSIDE));
    TRY(netlink_open(&sock));
    if (str_eq(n->row.driver, "bridge"))
        return ensure_bridge(e, n, sock, ret);
    TRY(parent_ensure(sock, n->config->link, &ret->index));
    if (!ret->index)
        return err_new(ERR_NOT_FOUND, "network '%s': the host has no network device '%s'", n->row.name,
                       n->config->link);
    return NULL;
}

/* What network_ensure() would answer. Of an ordinary user's networks that nobody is on, there is nothing to look at. */
static fallible look_at_kernel(const struct network *n, struct network_kernel *ret)
{
    struct network_bridge b;
    struct bridge_state state = { 0 };
    own_fd int sock = -1;
    *ret = (struct network_kernel){ .mtu = mtu_of(n) };
    if (!str_eq(n->row.driver, "bridge") || (usernet_needed() && !netlink_has_door()))
        return NULL;
    TRY(bridge_of(n, &b));
    TRY(netlink_open(&sock));
    TRY(bridge_look(sock, &b, &state));
    tell_sizes(n, &state, ret);
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

fallible network_port_of(const struct db_port *p, const struct ip *ip4, const struct ip *ip6, struct firewall_port *ret)
{
    struct firewall_port f = {
        .proto = proto_number(p->proto),
        .host = (uint16_t)p->host_port,
        .container = (uint16_t)p->container_port,
        .ip4 = *ip4,
        .ip6 = *ip6,
    };
    if (*p->host_ip)
        TRY(ip_parse(p->host_ip, &f.at));
    if (str_eq(p->host_ip, "::")) { /* all of IPv6 alone */
        f.at = (struct ip){ 0 };
        f.ip4 = (struct ip){ 0 };
    }
    *ret = f;
    return NULL;
}

enum prepare { PREPARE_LOOK, PREPARE_MAKE };

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

static fallible prepare_link(struct engine *e, struct db_endpoint *at, const char *rate, enum prepare how,
                             struct container_network *ret)
{
    own(network) struct network *n = NULL;
    struct network_kernel kernel = { 0 };
    struct network_range r4;
    struct network_plan *p = &ret->plan;
    TRY(network_find(e, at->network, &n));
    if (how == PREPARE_MAKE) {
        TRY(lease_again(e, n, at));
        TRY(network_mac_is_free(e, n, at));
        fault_here(FAULT_LEASED);
        TRY(network_ensure(e, n, &kernel));
        TRY(network_flows_meet(e, n, at));
    } else
        TRY(look_at_kernel(n, &kernel));
    p->links = mem_array(p->links, p->links_n + 1, sizeof *p->links);
    TRY(network_link_of(n, at, &kernel, NETWORK_DEFAULT_ROUTE, &p->links[p->links_n]));
    p->links_n++;
    TRY(how == PREPARE_MAKE ? network_policy_prepare(e, n, at, p) : network_policy_look(e, n, at, p));
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
    return prepare_link(e, at, rate, PREPARE_MAKE, ret);
}

/* Somebody has its lock: it is being started, or stopped. */
static bool is_busy(const struct engine *e, const char *id)
{
    own_mem char *path = mem_printf("%s/containers/%s", e->root, id);
    own_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

/* A container has the port; busy: it has taken it and is not published yet. */
static err *held_by(struct container *c, const struct db_port *p, const struct db_ports *all, bool busy)
{
    for (size_t i = 0; i < all->n; i++) {
        const struct db_port *o = &all->items[i];
        struct db_container row;
        bool same =
            !str_eq(o->container, c->row.id) && (!*o->host_ip || !*p->host_ip || str_eq(o->host_ip, p->host_ip));
        if (!same || (busy ? o->host_port != p->want_port || !is_busy(c->engine, o->container)
                           : !network_is_published(c->engine, o->container)))
            continue;
        err *e = db_container_find(c->engine->db, o->container, &row);
        if (e) {
            err_ignore(e, "it was removed meanwhile");
            continue;
        }
        e = err_new(ERR_CONFLICT, "port %lld/%s of the host is taken by container '%s'%s", (long long)p->want_port,
                    p->proto, row.name, busy ? ", which is just being started" : "");
        db_container_clear(&row);
        return e;
    }
    return NULL;
}

fallible network_port_holder(struct container *c, const struct db_port *p, err *take_taken)
{
    own(db_ports) struct db_ports all = { 0 };
    struct db *db;
    err *e = engine_db(c->engine, &db);
    if (!e)
        e = db_port_find(db, p->proto, p->want_port, &all);
    err_ignore(e, "the port is taken all the same, or it is held by a socket");
    e = held_by(c, p, &all, false);
    if (!e && take_taken)
        e = held_by(c, p, &all, true);
    if (!e)
        return take_taken;
    err_free(take_taken);
    return e;
}

/* The kernel leads from an address to one of the same family; an ordinary user's ports are carried by a process. */
fallible network_port_has_way(const struct db_port *p, bool has4, bool has6)
{
    struct ip at = { 0 };
    if (!*p->host_ip || usernet_needed())
        return NULL;
    TRY(ip_parse(p->host_ip, &at));
    if (at.family == AF_INET ? has4 : has6)
        return NULL;
    return err_new(ERR_CONFLICT,
                   "port %lld/%s on '%s': the container has no IPv%d address that it could lead to: publish on "
                   "another, or make its network with --%s",
                   (long long)p->container_port, p->proto, p->host_ip, at.family == AF_INET ? 4 : 6,
                   at.family == AF_INET ? "subnet" : "ipv6");
}

fallible network_port_loopback(const struct db_port *p, const char *bridge)
{
    own_fd int sock = -1;
    if (!str_eq(p->host_ip, "::1") || usernet_needed())
        return NULL;
    TRY(netlink_open(&sock));
    TRY_AS(bridge_lead_loopback(sock, bridge), "port %lld/%s", (long long)p->container_port, p->proto);
    return NULL;
}

static fallible prepare_port(struct container *c, struct db_port *p, const struct network_link *to, enum prepare how,
                             struct container_network *ret)
{
    struct ip at = { 0 };
    struct db *db;
    uint16_t port = (uint16_t)p->want_port;
    struct network_plan *plan = &ret->plan;
    if (*p->host_ip)
        TRY(ip_parse(p->host_ip, &at));
    if (how == PREPARE_MAKE) {
        /* An ordinary user's are carried by a process, which leads IPv6 to an IPv4 address, too. */
        bool both = ip_is_set(&to->ip6.ip) || usernet_needed();
        own_mem struct ip *shared = NULL;
        if (to->parent) {
            TRY(network_port_has_way(p, ip_is_set(&to->ip4.ip), ip_is_set(&to->ip6.ip)));
            TRY(network_port_loopback(p, to->parent));
        }
        if (port == RESERVE_SHARED_PORT) { /* the kernel does not keep it from two of ours */
            TRY(network_port_holder(c, p, NULL));
            TRY(network_all_gateways(c->engine, &shared, &ret->reserve.shared_n));
        }
        ret->reserve.shared = shared;
        err *e = reserve_port(&ret->reserve, proto_number(p->proto), &at, both, &port);
        ret->reserve.shared = NULL;
        ret->reserve.shared_n = 0;
        if (p->want_port && (!e || err_is(e, ERR_CONFLICT))) /* what 'port add' gave is not held by a socket */
            e = network_port_holder(c, p, e);
        TRY(e);
        fault_here(FAULT_RESERVED);
        if (port != p->host_port) {
            p->host_port = port;
            TRY(engine_db(c->engine, &db));
            TRY(db_port_set(db, p));
        }
    }
    plan->ports = mem_array(plan->ports, plan->ports_n + 1, sizeof *plan->ports);
    TRY(network_port_of(p, &to->ip4.ip, &to->ip6.ip, &plan->ports[plan->ports_n]));
    plan->ports_n++;
    return NULL;
}

static struct ip *gateway_of(struct network_link *l, int family)
{
    return family == AF_INET ? &l->gateway4 : &l->gateway6;
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
}

/* The bridge that leads beyond itself: answers go the same way. */
static struct network_link *published_link(const struct network_plan *p)
{
    struct network_link *found = NULL;
    for (size_t i = p->links_n; i > 0; i--) {
        struct network_link *l = &p->links[i - 1];
        if (l->kind == NETWORK_BRIDGE &&
            (ip_is_set(&l->gateway4) || (ip_is_set(&l->gateway6) && (!found || !ip_is_set(&found->gateway4)))))
            found = l;
    }
    return found;
}

static fallible prepare_ports(struct container *c, enum prepare how, struct container_network *ret)
{
    own(db_ports) struct db_ports ports = { 0 };
    struct db *db;
    TRY(engine_db(c->engine, &db));
    TRY(db_port_list(db, c->row.id, &ports));
    struct network_link *to = published_link(&ret->plan);
    if (!ports.n)
        return NULL;
    if (!to)
        return err_new(ERR_CONFLICT,
                       "a published port needs a network of the driver bridge that is not internal and leads "
                       "beyond the host");
    to->hairpin = true;
    for (size_t i = 0; i < ports.n; i++)
        TRY(prepare_port(c, &ports.items[i], to, how, ret));
    return NULL;
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

/* Ports that pasta leads in: -t and -u, [IP/]HOST:CONTAINER. It binds them itself, so they are only looked at here. */
static fallible prepare_pasta(struct container *c, enum prepare how, struct container_network *ret)
{
    own(db_ports) struct db_ports ports = { 0 };
    struct container_network n = { .dns_sock = -1 };
    const struct network_link none = { 0 };
    struct db *db;
    TRY(engine_db(c->engine, &db));
    TRY(db_port_list(db, c->row.id, &ports));
    err *e = NULL;
    for (size_t i = 0; i < ports.n && !e; i++) {
        struct db_port *p = &ports.items[i];
        e = prepare_port(c, p, &none, how, &n);
        if (!e) {
            strv_add(&n.pasta, str_eq(p->proto, "udp") ? "-u" : "-t");
            strv_add_printf(&n.pasta, "%s%s%lld:%lld", p->host_ip, *p->host_ip ? "/" : "", (long long)p->host_port,
                            (long long)p->container_port);
        }
    }
    if (!e) {
        ret->pasta = n.pasta;
        n.pasta = (struct strv){ 0 };
    }
    container_network_clear(&n);
    return e;
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

static fallible prepare_cni(struct container *c, const struct container_config *config, enum prepare how,
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
        e = prepare_port(c, &ports.items[i], &none, how, &n);
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

static fallible prepare(struct container *c, enum prepare how, struct container_network *ret)
{
    own(db_endpoints) struct db_endpoints endpoints = { 0 };
    const struct container_config *config;
    struct db *db;
    struct container_network n = { .dns_sock = -1 };
    *ret = n;
    TRY(container_config(c, &config));
    if (network_pasta(config->network, NULL))
        return prepare_pasta(c, how, ret);
    if (network_cni(config->network))
        return prepare_cni(c, config, how, ret);
    if (!network_mode_is_ours(config->network))
        return NULL;
    TRY(engine_db(c->engine, &db));
    TRY(db_endpoint_list(db, c->row.id, NULL, &endpoints));
    err *e = NULL;
    for (size_t i = 0; !e && i < endpoints.n; i++)
        e = prepare_link(c->engine, &endpoints.items[i], config->net_rate, how, &n);
    choose_gateway(&endpoints, AF_INET, &n.plan);
    choose_gateway(&endpoints, AF_INET6, &n.plan);
    if (!e)
        e = prepare_ports(c, how, &n);
    if (!e)
        e = prepare_egress(config, &n);
    if (!e && how == PREPARE_MAKE && usernet_needed()) {
        e = network_publish_user(c, &n.plan, &n.reserve);
        reserve_clear(&n.reserve); /* the holder has them */
    }
    if (!e && how == PREPARE_MAKE)
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
    return prepare(c, PREPARE_MAKE, ret);
}

fallible network_look(struct container *c, struct container_network *ret)
{
    return prepare(c, PREPARE_LOOK, ret);
}

static void reserve_again(const struct db_port *p, bool both, struct reserve *r)
{
    struct ip at = { 0 };
    uint16_t port = (uint16_t)p->host_port;
    err *e = *p->host_ip ? ip_parse(p->host_ip, &at) : NULL;
    if (!e && port)
        e = reserve_port(r, proto_number(p->proto), &at, both, &port);
    if (e)
        log_warn("port %lld/%s of the host is not kept for the container any more: %s", (long long)p->host_port,
                 p->proto, err_text(e));
    err_ignore(e, "what comes to it is led to the container all the same");
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
    const struct network_link *to = published_link(&ret->plan);
    own_mem struct ip *shared = NULL;
    if (ports.n)
        TRY(network_all_gateways(c->engine, &shared, &ret->reserve.shared_n));
    ret->reserve.shared = shared;
    for (size_t i = 0; i < ports.n; i++)
        reserve_again(&ports.items[i], to && ip_is_set(&to->ip6.ip), &ret->reserve);
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
