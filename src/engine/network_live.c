// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/network_dhcp.h"
#include "engine/network_door.h"
#include "engine/network_flows.h"
#include "engine/network_lease.h"
#include "engine/network_parts.h"
#include "engine/network_settle.h"
#include "engine/network_start.h"
#include "engine/network_wish.h"
#include "monitor/events.h"
#include "network/cni.h"
#include "os/fault.h"
#include "os/fs.h"

/* ---- what a running container has -------------------------------------------------------------------------------- */

/* What a running container has is where its networks are. */
static fallible running_there(struct engine *e, struct container *c, pid_t *ret, char **ret_settled)
{
    *ret_settled = NULL;
    TRY(network_running_pid(c, ret));
    if (!*ret)
        return NULL;
    TRY(network_door(e, NETWORK_DOOR_INSIDE));
    return network_settle(c, *ret, ret_settled);
}

/* ---- networks ---------------------------------------------------------------------------------------------------- */

static fallible must_be_ours(struct container *c)
{
    const struct container_config *config;
    TRY(container_config(c, &config));
    if (!network_mode_is_ours(config->network))
        return err_new(ERR_CONFLICT, "container '%s' has --network %s, to which no other can be added", c->row.name,
                       config->network);
    return NULL;
}

static bool interface_is_taken(const struct db_endpoints *l, const char *name)
{
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(l->items[i].interface, name))
            return true;
    return false;
}

static fallible place(struct container *c, const struct db_endpoints *there, struct db_endpoint *at)
{
    at->position = 0;
    for (size_t i = 0; i < there->n; i++)
        if (there->items[i].position >= at->position)
            at->position = there->items[i].position + 1;
    if (at->interface && interface_is_taken(there, at->interface))
        return err_new(ERR_CONFLICT, "container '%s' has an interface '%s' already", c->row.name, at->interface);
    for (int i = 0; !at->interface; i++) {
        own_mem char *name = mem_printf("eth%d", i);
        if (!interface_is_taken(there, name))
            at->interface = take(name);
    }
    return NULL;
}

static fallible add_row(struct engine *e, struct network *n, struct db *db, struct db_endpoint *at)
{
    TRY(db_begin(db));
    err *failed = network_lease(e, n, at);
    if (!failed)
        failed = db_endpoint_add(db, at);
    return db_end(db, failed);
}

static fallible connect_live(struct container *c, struct network *n, struct db_endpoint *at, pid_t pid)
{
    struct engine *e = c->engine;
    own_fd int dir = -1;
    struct network_kernel kernel;
    struct network_link link;
    TRY(network_mac_is_free(e, n, at));
    TRY(network_ensure(e, n, &kernel));
    TRY(network_flows_meet(e, n, at));
    TRY(network_link_of(n, at, &kernel, NETWORK_NO_DEFAULT_ROUTE, &link));
    own_fd int sock = -1;
    struct db_endpoints only = { at, 1 };
    err *failed = network_open_state(c, &dir);
    if (!failed)
        failed = network_dhcp_name(c, &link);
    if (!failed)
        failed = network_link_make(&link, pid, dir);
    if (!failed && link.dhcp)
        failed = network_dhcp_tell(c);
    network_link_clear(&link);
    return failed ? failed : network_names(e, &only, &sock);
}

fallible network_connect_container(struct engine *e, struct network *n, struct container *c, struct db_endpoint *at)
{
    own(db_endpoints) struct db_endpoints there = { 0 };
    struct db *db;
    own_mem char *settled = NULL;
    pid_t pid;
    TRY(container_lock(c));
    TRY(must_be_ours(c));
    TRY(engine_db(e, &db));
    TRY(running_there(e, c, &pid, &settled));
    TRY(db_endpoint_list(db, c->row.id, NULL, &there));
    for (size_t i = 0; i < there.n; i++)
        if (str_eq(there.items[i].network, n->row.id))
            return settled && str_eq(settled, n->row.id)
                       ? NULL
                       : err_new(ERR_CONFLICT, "container '%s' is on network '%s' already", c->row.name, n->row.name);
    free(at->container);
    free(at->network);
    at->container = mem_strdup(c->row.id);
    at->network = mem_strdup(n->row.id);
    TRY(place(c, &there, at));
    if (pid)
        TRY(network_change_begin(c, n, at));
    err *failed = add_row(e, n, db, at);
    fault_here(FAULT_CONNECTED_ROW);
    if (!failed && pid)
        failed = connect_live(c, n, at, pid);
    fault_here(FAULT_CONNECTED_LIVE);
    if (!failed && pid)
        failed = network_change_end(c, pid);
    if (failed) {
        err_ignore(db_endpoint_remove(db, c->row.id, n->row.id), "the first error says what went wrong");
        if (pid)
            network_change_undo(c, pid);
        return failed;
    }
    event_say(e->run, "network", "connect", n->row.id, "container", c->row.id, "name", n->row.name, "type",
              n->row.driver, NULL);
    return NULL;
}

fallible network_disconnect(struct engine *e, struct network *n, struct container *c)
{
    own(db_endpoints) struct db_endpoints there = { 0 };
    struct db *db;
    own_mem char *settled = NULL;
    pid_t pid;
    TRY(container_lock(c));
    TRY(engine_db(e, &db));
    TRY(running_there(e, c, &pid, &settled));
    TRY(db_endpoint_list(db, c->row.id, n->row.id, &there));
    if (!there.n && settled && str_eq(settled, n->row.id))
        return NULL;
    if (!there.n)
        return err_new(ERR_NOT_FOUND, "container '%s' is not on network '%s'", c->row.name, n->row.name);
    if (pid)
        TRY(network_change_begin(c, n, &there.items[0]));
    TRY(db_endpoint_remove(db, c->row.id, n->row.id));
    fault_here(FAULT_CHANGE_ROW);
    own_fd int dir = -1;
    err *failed = pid ? network_open_state(c, &dir) : NULL;
    if (!failed && pid)
        failed = network_link_remove(there.items[0].interface, pid, dir);
    if (!failed && pid && n->config->dhcp)
        failed = network_dhcp_tell(c);
    fault_here(FAULT_CHANGE_LINK);
    if (!failed && pid)
        failed = network_change_end(c, pid);
    if (failed) {
        err_ignore(db_endpoint_add(db, &there.items[0]), "the first error says what went wrong");
        if (pid)
            network_change_undo(c, pid);
        return failed;
    }
    event_say(e->run, "network", "disconnect", n->row.id, "container", c->row.id, "name", n->row.name, "type",
              n->row.driver, NULL);
    return NULL;
}

/* ---- ports ---------------------------------------------------------------------------------------------------------
 */

/* Where its networks say that it is, and that it has an address of the kind. */
static fallible bind_port(struct container *c, struct db *db, bool live, struct db_port *p, struct network_link *to)
{
    own(db_endpoints) struct db_endpoints at = { 0 };
    own_mem char *bridge = NULL;
    bool has4 = false, has6 = false;
    TRY(db_endpoint_list(db, c->row.id, NULL, &at));
    for (size_t i = 0; i < at.n; i++) {
        own(network) struct network *n = NULL;
        TRY(network_find(c->engine, at.items[i].network, &n));
        if (!str_eq(n->row.driver, "bridge") || n->config->internal)
            continue;
        if (!bridge)
            network_port_bind(n, p);
        if (!bridge) {
            bridge = mem_strdup(n->config->link);
            *to = (struct network_link){ .routed4 = n->config->routed4,
                                         .routed6 = n->config->routed6,
                                         .ip6 = { at.items[i].ip6, -1 } };
        }
        has4 |= ip_is_set(&at.items[i].ip4);
        has6 |= ip_is_set(&at.items[i].ip6);
    }
    TRY(network_port_has_way(p, has4, has6));
    return live ? network_port_loopback(p, bridge) : NULL;
}

/* The port is looked at, not kept: the monitor of a running container takes no descriptors. */
static fallible check_port(struct container *c, const struct db_ports *there, const struct network_link *to,
                           struct db_port *p)
{
    struct reserve r = { 0 };
    struct ip at = { 0 };
    uint16_t port = (uint16_t)p->want_port;
    bool led;
    if (*p->host_ip)
        TRY(ip_parse(p->host_ip, &at));
    TRY(network_port_is_led(p, to, &at, &led));
    if (!led)
        return NULL;
    own_mem struct ip *shared = NULL;
    for (size_t i = 0; i < there->n && port; i++)
        if (there->items[i].host_port == port && str_eq(there->items[i].proto, p->proto) &&
            (!*p->host_ip || !*there->items[i].host_ip || str_eq(p->host_ip, there->items[i].host_ip)))
            return err_new(ERR_CONFLICT, "port %u/%s of the host is taken by container '%s' itself, for its port %lld",
                           port, p->proto, c->row.name, (long long)there->items[i].container_port);
    if (port) /* what was given like this is in the rows alone */
        TRY(network_port_holder(c, p, NULL));
    if (port == RESERVE_SHARED_PORT)
        TRY(network_all_gateways(c->engine, &shared, &r.shared_n));
    r.shared = shared;
    err *e = reserve_port(&r, proto_number(p->proto), &at, false, &port);
    p->host_port = port;
    reserve_clear(&r);
    return e;
}

/* An ordinary user's are carried by the holder, which is told of each. */
static fallible publish_more(struct container *c, const struct db_ports *ports)
{
    struct container_network n = { .dns_sock = -1 };
    struct reserve r = { 0 };
    if (!usernet_needed())
        return NULL;
    TRY(network_look(c, &n));
    err *e = NULL;
    for (size_t i = 0; i < ports->n && !e; i++) {
        const struct db_port *p = &ports->items[i];
        struct ip at = { 0 };
        uint16_t port = (uint16_t)p->host_port;
        if (*p->host_ip)
            e = ip_parse(p->host_ip, &at);
        if (!e)
            e = reserve_port(&r, proto_number(p->proto), &at, true, &port);
    }
    if (!e)
        e = network_publish_user(c, &n.plan, &r);
    reserve_clear(&r);
    container_network_clear(&n);
    return e;
}

static fallible withdraw_one(struct container *c, const struct db_port *p)
{
    union usernet_address four = { .v4 = { .sin_family = AF_INET, .sin_port = htons((uint16_t)p->host_port) } };
    union usernet_address six = { .v6 = { .sin6_family = AF_INET6, .sin6_port = htons((uint16_t)p->host_port) } };
    struct ip at = { 0 };
    if (*p->host_ip)
        TRY(ip_parse(p->host_ip, &at));
    memcpy(&four.v4.sin_addr, at.bytes, 4);
    memcpy(&six.v6.sin6_addr, at.bytes, 16);
    if (at.family != AF_INET6)
        TRY(usernet_withdraw(c->engine->usernet, c->row.id, proto_number(p->proto), &four));
    return at.family == AF_INET ? NULL : usernet_withdraw(c->engine->usernet, c->row.id, proto_number(p->proto), &six);
}

static const struct db_port *find_port(const struct db_ports *l, const struct db_port *p)
{
    for (size_t i = 0; i < l->n; i++) {
        const struct db_port *o = &l->items[i];
        if (str_eq(o->proto, p->proto) && o->container_port == p->container_port &&
            (!*p->host_ip || str_eq(o->host_ip, p->host_ip)) &&
            (!p->want_port || o->want_port == p->want_port || o->host_port == p->want_port))
            return o;
    }
    return NULL;
}

static bool are_there(const struct db_ports *there, const struct db_ports *ports)
{
    for (size_t i = 0; i < ports->n; i++)
        if (!find_port(there, &ports->items[i]))
            return false;
    return true;
}

static fallible add_port_rows(struct db *db, const struct db_ports *ports)
{
    err *failed = NULL;
    TRY(db_begin(db));
    for (size_t i = 0; i < ports->n && !failed; i++)
        failed = db_port_add(db, &ports->items[i]);
    return db_end(db, failed);
}

fallible network_port_add(struct engine *e, struct container *c, struct db_ports *ports)
{
    own(db_ports) struct db_ports there = { 0 };
    struct db *db;
    own_mem char *settled = NULL;
    pid_t pid;
    TRY(container_lock(c));
    TRY(must_be_ours(c));
    TRY(engine_db(e, &db));
    TRY(running_there(e, c, &pid, &settled));
    TRY(db_port_list(db, c->row.id, &there));
    if (settled && are_there(&there, ports))
        return NULL;
    for (size_t i = 0; i < ports->n; i++) {
        TRY(network_port_check(&ports->items[i]));
        free(ports->items[i].container);
        ports->items[i].container = mem_strdup(c->row.id);
        struct network_link to = { 0 };
        TRY(bind_port(c, db, pid != 0, &ports->items[i], &to));
        if (pid)
            TRY(check_port(c, &there, &to, &ports->items[i]));
    }
    if (pid)
        TRY(network_change_begin(c, NULL, NULL));
    err *failed = add_port_rows(db, ports);
    fault_here(FAULT_CHANGE_ROW);
    if (!failed && pid)
        failed = publish_more(c, ports);
    if (!failed && pid)
        failed = network_change_end(c, pid);
    for (size_t i = 0; failed && i < ports->n; i++)
        err_ignore(db_port_remove(db, &ports->items[i]), "the first error says what went wrong");
    if (failed && pid)
        network_change_undo(c, pid);
    return failed;
}

fallible network_port_remove(struct engine *e, struct container *c, const struct db_ports *ports)
{
    own(db_ports) struct db_ports there = { 0 };
    struct db *db;
    own_mem char *settled = NULL;
    pid_t pid;
    TRY(container_lock(c));
    TRY(engine_db(e, &db));
    TRY(running_there(e, c, &pid, &settled));
    TRY(db_port_list(db, c->row.id, &there));
    for (size_t i = 0; i < ports->n; i++)
        if (!find_port(&there, &ports->items[i]))
            return settled && !*settled
                       ? NULL
                       : err_new(ERR_NOT_FOUND, "container '%s' has not published %lld/%s so", c->row.name,
                                 (long long)ports->items[i].container_port, ports->items[i].proto);
    if (pid)
        TRY(network_change_begin(c, NULL, NULL));
    for (size_t i = 0; i < ports->n; i++) {
        const struct db_port *p = find_port(&there, &ports->items[i]);
        TRY(db_port_remove(db, p));
        fault_here(FAULT_CHANGE_ROW);
        if (pid && c->engine->usernet)
            TRY(withdraw_one(c, p));
    }
    return pid ? network_change_end(c, pid) : NULL;
}

/* ---- networks of CNI plugins ------------------------------------------------------------------------------------- */

static fallible cni_reload_one(struct container *c)
{
    struct container_state s = { 0 };
    own_fd int dir = -1;
    TRY(container_lock(c));
    TRY(container_state(c, &s));
    pid_t pid = s.status == CONTAINER_RUNNING || s.status == CONTAINER_PAUSED ? s.init.pid : 0;
    container_state_clear(&s);
    if (!pid)
        return NULL;
    dir = open(c->state_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return err_sys(errno, "open '%s'", c->state_dir);
    err *e = cni_check(dir, pid);
    if (!e)
        return NULL;
    log_warn("container '%s': %s: it is connected anew", c->row.name, err_text(e));
    err_free(e);
    TRY_AS(cni_again(dir, pid), "container '%s'", c->row.name);
    return NULL;
}

fallible network_cni_reload(struct engine *e)
{
    struct db *db = NULL;
    struct db_container *rows = NULL;
    size_t n = 0;
    err *failed = NULL;
    TRY(engine_db_if_there(e, &db));
    if (db)
        TRY(db_container_list(db, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        own_mem char *file = mem_printf("%s/%s/" CNI_FILE, e->run, rows[i].id);
        if (failed || access(file, F_OK) < 0) {
            db_container_clear(&rows[i]);
            continue;
        }
        own(container) struct container *c = container_new(e, &rows[i]);
        failed = cni_reload_one(c);
    }
    free(rows);
    return failed;
}
