// SPDX-License-Identifier: GPL-2.0-or-later
/* A container's published ports: held, and led to its address. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "base/log.h"
#include "engine/network_door.h"
#include "engine/network_start_parts.h"
#include "os/fault.h"
#include "usernet/usernet.h"

/* As the firewall's. */
static fallible port_of(const struct db_port *p, const struct network_link *to, struct firewall_port *ret)
{
    struct firewall_port f = {
        .proto = proto_number(p->proto),
        .host = (uint16_t)p->host_port,
        .container = (uint16_t)p->container_port,
        .ip4 = to->ip4.ip,
        .ip6 = to->ip6.ip,
        .open4 = to->routed4,
        .open6 = to->routed6,
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

fallible network_port_is_led(const struct db_port *p, const struct network_link *to, struct ip *at, bool *ret)
{
    const struct ip all6 = { .family = AF_INET6 };
    bool led4 = !to->routed4, led6 = ip_is_set(&to->ip6.ip) && !to->routed6;
    *ret = true;
    if (ip_is_set(at)) {
        if (at->family == AF_INET ? !to->routed4 : !to->routed6)
            return NULL;
        *ret = false;
        if (ip_equal(at, &all6))
            return NULL;
        return err_new(ERR_CONFLICT,
                       "port %lld/%s on '%s': the network's IPv%d is routed, so the port is open at the container's "
                       "own address: publish it without one of the host's",
                       (long long)p->container_port, p->proto, p->host_ip, at->family == AF_INET ? 4 : 6);
    }
    *ret = led4 || led6;
    if (*ret && !led4)
        *at = all6;
    if (!*ret && p->want_port)
        log_warn("port %lld/%s of the host is not used: the network is routed, and the container's port %lld is open "
                 "at its own address",
                 (long long)p->want_port, p->proto, (long long)p->container_port);
    return NULL;
}

fallible network_port_open_at(struct container *c, struct ip *ret)
{
    own(db_endpoints) struct db_endpoints l = { 0 };
    struct db *db;
    *ret = (struct ip){ 0 };
    TRY(engine_db(c->engine, &db));
    TRY(db_endpoint_list(db, c->row.id, NULL, &l));
    for (size_t i = 0; i < l.n && !ip_is_set(ret); i++) {
        own(network) struct network *n = NULL;
        TRY(network_find(c->engine, l.items[i].network, &n));
        if (n->config->routed4 || n->config->routed6)
            *ret = n->config->routed4 ? l.items[i].ip4 : l.items[i].ip6;
    }
    return NULL;
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

/* It is the container's on the host, too. */
static fallible hold_port(struct container *c, struct db_port *p, const struct network_link *to,
                          struct container_network *ret)
{
    struct ip at = { 0 };
    struct db *db;
    uint16_t port = (uint16_t)p->want_port;
    /* An ordinary user's are carried by a process, which leads IPv6 to an IPv4 address, too. */
    bool both = (ip_is_set(&to->ip6.ip) && !to->routed6) || usernet_needed(), led;
    own_mem struct ip *shared = NULL;
    if (*p->host_ip)
        TRY(ip_parse(p->host_ip, &at));
    if (to->parent)
        TRY(network_port_has_way(p, ip_is_set(&to->ip4.ip), ip_is_set(&to->ip6.ip)));
    TRY(network_port_is_led(p, to, &at, &led));
    if (led && to->parent)
        TRY(network_port_loopback(p, to->parent));
    if (led && port == RESERVE_SHARED_PORT) { /* the kernel does not keep it from two of ours */
        TRY(network_port_holder(c, p, NULL));
        TRY(network_all_gateways(c->engine, &shared, &ret->reserve.shared_n));
    }
    ret->reserve.shared = shared;
    err *e = led ? reserve_port(&ret->reserve, proto_number(p->proto), &at, both, &port) : NULL;
    ret->reserve.shared = NULL;
    ret->reserve.shared_n = 0;
    if (led && p->want_port && (!e || err_is(e, ERR_CONFLICT))) /* what 'port add' gave is not held by a socket */
        e = network_port_holder(c, p, e);
    TRY(e);
    fault_here(FAULT_RESERVED);
    if (!led)
        port = 0;
    if (port == p->host_port)
        return NULL;
    p->host_port = port;
    TRY(engine_db(c->engine, &db));
    return db_port_set(db, p);
}

fallible network_prepare_port(struct container *c, struct db_port *p, const struct network_link *to,
                              enum network_prepare how, struct container_network *ret)
{
    struct network_plan *plan = &ret->plan;
    if (how == NETWORK_MAKE)
        TRY(hold_port(c, p, to, ret));
    plan->ports = mem_array(plan->ports, plan->ports_n + 1, sizeof *plan->ports);
    TRY(port_of(p, to, &plan->ports[plan->ports_n]));
    plan->ports_n++;
    return NULL;
}

/* The bridge that leads beyond itself: answers go the same way. */
struct network_link *network_published_link(const struct network_plan *p)
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

fallible network_prepare_ports(struct container *c, enum network_prepare how, struct container_network *ret)
{
    own(db_ports) struct db_ports ports = { 0 };
    struct db *db;
    TRY(engine_db(c->engine, &db));
    TRY(db_port_list(db, c->row.id, &ports));
    struct network_link *to = network_published_link(&ret->plan);
    if (!ports.n)
        return NULL;
    if (!to)
        return err_new(ERR_CONFLICT,
                       "a published port needs a network of the driver bridge that is not internal and leads "
                       "beyond the host");
    to->hairpin = true;
    for (size_t i = 0; i < ports.n; i++)
        TRY(network_prepare_port(c, &ports.items[i], to, how, ret));
    return NULL;
}

/* Ports that pasta leads in: -t and -u, [IP/]HOST:CONTAINER. It binds them itself, so they are only looked at here. */
fallible network_prepare_pasta(struct container *c, enum network_prepare how, struct container_network *ret)
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
        e = network_prepare_port(c, p, &none, how, &n);
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

void network_reserve_again(const struct db_port *p, const struct network_link *to, struct reserve *r)
{
    const struct network_link none = { 0 };
    struct ip at = { 0 };
    uint16_t port = (uint16_t)p->host_port;
    bool led, both = to && ip_is_set(&to->ip6.ip) && !to->routed6;
    if (!port)
        return;
    err *e = *p->host_ip ? ip_parse(p->host_ip, &at) : NULL;
    if (!e)
        e = network_port_is_led(p, to ? to : &none, &at, &led);
    if (!e)
        e = reserve_port(r, proto_number(p->proto), &at, both, &port);
    if (e)
        log_warn("port %lld/%s of the host is not kept for the container any more: %s", (long long)p->host_port,
                 p->proto, err_text(e));
    err_ignore(e, "what comes to it is led to the container all the same");
}
