// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/network_door.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "base/log.h"
#include "engine/network_lease.h"
#include "engine/paths.h"
#include "engine/resolver.h"
#include "os/fault.h"
#include "os/netlink.h"

/* ---- containers that outlived their holder ----------------------------------------------------------------------- */

typedef err *running_fn(struct container *c, pid_t pid, void *ctx);

/* Each that is connected and runs, until one fails. */
static fallible each_running(struct engine *e, running_fn *fn, void *ctx)
{
    struct db *db = NULL;
    struct db_container *rows = NULL;
    size_t n = 0;
    err *failed = NULL;
    TRY(engine_db_if_there(e, &db));
    if (db)
        TRY(db_container_list(db, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        struct container_state s = { 0 };
        if (failed || !network_is_connected(e, rows[i].id)) {
            db_container_clear(&rows[i]);
            continue;
        }
        own(container) struct container *c = container_new(e, &rows[i]);
        failed = container_state(c, &s);
        if (!failed && (s.status == CONTAINER_RUNNING || s.status == CONTAINER_PAUSED))
            failed = fn(c, s.init.pid, ctx);
        container_state_clear(&s);
    }
    free(rows);
    return failed;
}

/* The user namespace that it was made in. */
static err *find_parent(struct container *c, pid_t pid, void *ctx)
{
    int *fd = ctx;
    (void)c;
    if (*fd < 0)
        err_ignore(usernet_parent_of(pid, fd), "the next one's, then");
    return NULL;
}

/* Its interfaces were in the namespace that is gone; where that is still going, its end in the container is in the way.
 */
static fallible link_again(struct network_link *l, pid_t pid)
{
    own_fd int sock = -1;
    TRY(netlink_open(&sock));
    TRY(network_link_remove(l->name, pid, -1));
    TRY(link_index(sock, l->parent, &l->index));
    return network_link_make(l, pid, -1);
}

static fallible connect_again(struct engine *e, struct container *c, pid_t pid)
{
    struct container_network n = { .dns_sock = -1 };
    own(db_endpoints) struct db_endpoints endpoints = { 0 };
    TRY(db_endpoint_list(e->db, c->row.id, NULL, &endpoints));
    for (size_t i = 0; i < endpoints.n; i++) {
        own(network) struct network *network = NULL;
        struct network_kernel kernel;
        TRY(network_find(e, endpoints.items[i].network, &network));
        TRY(network_ensure(e, network, &kernel));
    }
    TRY(network_look(c, &n));
    err *failed = NULL;
    for (size_t i = 0; i < n.plan.links_n && !failed; i++)
        failed = link_again(&n.plan.links[i], pid);
    container_network_clear(&n);
    return failed ? failed : network_publish_user_again(c);
}

static err *connect_or_say(struct container *c, pid_t pid, void *ctx)
{
    err *failed = err_wrap(connect_again(ctx, c, pid), "connect container '%s' again", c->row.name);
    if (failed)
        log_warn("%s", err_text(failed));
    err_ignore(failed, "the others, and what is to be started now, are connected all the same");
    return NULL;
}

/* The resolver's sockets would keep the old namespace. */
static void forget_sockets(struct engine *e)
{
    struct network_list l = { 0 };
    own_fd int sock = -1;
    err *failed = resolver_find(e, &sock);
    if (!failed && sock >= 0)
        failed = network_list(e, &l);
    for (size_t i = 0; i < l.n && !failed; i++)
        failed = resolver_forget(sock, l.items[i]->row.id);
    network_list_clear(&l);
    err_ignore(failed, "it ends when nobody is there any more");
}

static fallible make(struct engine *e, struct usernet *u)
{
    own_fd int parent = -1, run = -1;
    TRY(paths_open_run(e->run, &run));
    err *failed = usernet_find_at(run, u);
    if (!err_is(failed, ERR_NOT_FOUND))
        return failed;
    err_free(failed);
    TRY(each_running(e, find_parent, &parent));
    return usernet_open(e->run, parent, u);
}

/* What ran under another holder is not in this one's namespace: until all is, whoever comes waits or does it. */
static fallible repair(struct engine *e)
{
    struct db *db;
    own_fd int lock = -1;
    bool whole;
    TRY(engine_db(e, &db));
    TRY(usernet_lock_whole(e->usernet, e->run, &lock, &whole));
    if (whole)
        return NULL;
    forget_sockets(e);
    TRY(each_running(e, connect_or_say, e));
    fault_here(FAULT_WHOLE);
    return usernet_say_whole(e->usernet);
}

fallible network_door(struct engine *e, enum network_door how)
{
    if (!usernet_needed())
        return NULL;
    if (!e->usernet) {
        struct usernet u = USERNET_NONE;
        TRY(how == NETWORK_DOOR_FIND ? usernet_find(e->run, &u) : make(e, &u));
        e->usernet = mem_alloc(sizeof u);
        *e->usernet = u;
        usernet_set_door(e->usernet);
        if (!u.whole)
            TRY(repair(e));
    }
    return how == NETWORK_DOOR_OUTSIDE ? usernet_outside(e->usernet, e->run) : NULL;
}

/* ---- ports ------------------------------------------------------------------------------------------------------- */

static void set_target(union usernet_address *a, const struct ip *ip, uint16_t port)
{
    *a = (union usernet_address){ 0 };
    a->any.sa_family = (sa_family_t)ip->family;
    if (ip->family == AF_INET6) {
        a->v6.sin6_port = htons(port);
        memcpy(&a->v6.sin6_addr, ip->bytes, 16);
    } else {
        a->v4.sin_port = htons(port);
        memcpy(&a->v4.sin_addr, ip->bytes, 4);
    }
}

static bool is_at(const struct firewall_port *p, const union usernet_address *bound)
{
    bool v6 = bound->any.sa_family == AF_INET6;
    if (ntohs(v6 ? bound->v6.sin6_port : bound->v4.sin_port) != p->host)
        return false;
    if (!ip_is_set(&p->at))
        return true;
    return (p->at.family == AF_INET6) == v6 &&
           memcmp(p->at.bytes, v6 ? (const void *)&bound->v6.sin6_addr : (const void *)&bound->v4.sin_addr,
                  ip_size(&p->at)) == 0;
}

static fallible publish_one(struct container *c, const struct network_plan *plan, int fd)
{
    union usernet_address bound = { 0 }, target;
    socklen_t n = sizeof bound, size = sizeof(int);
    int protocol = 0;
    if (getsockname(fd, &bound.any, &n) < 0 || getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &size) < 0)
        return err_sys(errno, "look at a published port");
    for (size_t i = 0; i < plan->ports_n; i++) {
        const struct firewall_port *p = &plan->ports[i];
        bool v6 = bound.any.sa_family == AF_INET6;
        if (p->proto != protocol || !is_at(p, &bound))
            continue;
        const struct ip *to = (v6 && ip_is_set(&p->ip6)) || !ip_is_set(&p->ip4) ? &p->ip6 : &p->ip4;
        set_target(&target, to, p->container);
        err *e = usernet_publish(c->engine->usernet, c->row.id, fd, &target);
        if (!err_is(e, ERR_CONFLICT))
            return e;
        err_free(e);
        return err_new(ERR_CONFLICT, "port %u/%s of the host is taken by another that was started in the same moment",
                       p->host, proto_word(p->proto));
    }
    return NULL;
}

fallible network_publish_user(struct container *c, const struct network_plan *p, const struct reserve *r)
{
    if (r->n)
        TRY(network_door(c->engine, NETWORK_DOOR_INSIDE));
    for (size_t i = 0; i < r->n; i++)
        TRY(publish_one(c, p, r->fds[i]));
    return NULL;
}

fallible network_publish_user_again(struct container *c)
{
    struct container_network n = { .dns_sock = -1 };
    struct reserve r = { 0 };
    TRY(network_look(c, &n));
    err *failed = usernet_withdraw(c->engine->usernet, c->row.id, 0, NULL); /* who began this may have been killed */
    for (size_t i = 0; i < n.plan.ports_n && !failed; i++) {
        const struct firewall_port *p = &n.plan.ports[i];
        uint16_t port = p->host;
        failed = reserve_port(&r, p->proto, &p->at, true, &port);
    }
    if (!failed)
        failed = network_publish_user(c, &n.plan, &r);
    reserve_clear(&r);
    container_network_clear(&n);
    return failed;
}

/* ---- names ------------------------------------------------------------------------------------------------------- */

bool network_has_names(const struct network *n)
{
    return str_eq(n->row.driver, "bridge") && !n->config->no_dns;
}

fallible network_gateways(const struct network *n, struct ip ret[2], size_t *ret_n)
{
    static const int families[] = { AF_INET, AF_INET6 };
    *ret_n = 0;
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        struct network_range r;
        TRY(network_range(n, families[i], &r));
        if (ip_is_set(&r.gateway))
            ret[(*ret_n)++] = r.gateway;
    }
    return NULL;
}

fallible network_all_gateways(struct engine *e, struct ip **ret, size_t *ret_n)
{
    struct network_list l = { 0 };
    err *failed = NULL;
    *ret = NULL;
    *ret_n = 0;
    TRY(network_list(e, &l));
    for (size_t i = 0; i < l.n && !failed; i++) {
        size_t n = 0;
        *ret = mem_array(*ret, *ret_n + 2, sizeof **ret);
        if (network_has_names(l.items[i]))
            failed = network_gateways(l.items[i], *ret + *ret_n, &n);
        *ret_n += n;
    }
    network_list_clear(&l);
    return failed;
}

enum { GIVE_TRIES = 40, GIVE_PAUSE_NS = 50000000 };

/* Another store's resolver, or a name server of the host's that listens on all addresses. */
static fallible port_is_taken(const struct network *n, const struct ip *gateway, err *take_e)
{
    char text[IP_TEXT];
    own_mem char *holder = reserve_holder(IPPROTO_UDP, gateway, FIREWALL_NAMES_PORT);
    if (!*holder)
        return err_wrap(take_e, "network '%s'", n->row.name);
    err_free(take_e);
    return err_new(
        ERR_CONFLICT,
        "network '%s': port %d of its gateway %s, where containers ask for names, is taken by %s: free it, or "
        "make a network with --disable-dns",
        n->row.name, FIREWALL_NAMES_PORT, ip_text(gateway, text), holder);
}

/* Another start may be giving the bridge its address yet, or a resolver that is just ending has the sockets: then it is
 * tried again. */
static fallible give_patiently(struct engine *e, const struct network *n, int sock, const struct ip *gateways,
                               size_t count, int most)
{
    for (int tries = 1;; tries++) {
        err *failed = resolver_give(e->usernet, sock, n->row.id, gateways, count);
        bool again = err_errno(failed) == EADDRINUSE || err_errno(failed) == EADDRNOTAVAIL;
        if (!again || tries == most)
            return err_errno(failed) == EADDRINUSE ? port_is_taken(n, &gateways[0], failed)
                                                   : err_wrap(failed, "network '%s'", n->row.name);
        err_ignore(failed, "asked again in a moment");
        (void)nanosleep(&(struct timespec){ .tv_nsec = GIVE_PAUSE_NS }, NULL);
    }
}

static fallible give_names(struct engine *e, const struct network *n, int most, int *sock, bool *fresh)
{
    struct ip gateways[2];
    size_t count = 0;
    own_fd int lock = -1;
    if (!network_has_names(n))
        return NULL;
    TRY(network_gateways(n, gateways, &count));
    if (!count)
        return NULL;
    if (*sock < 0)
        TRY(resolver_connect(e, sock, fresh));
    if (resolver_has(*sock, n->row.id))
        return NULL;
    TRY(resolver_lock(e, &lock));
    return resolver_has(*sock, n->row.id) ? NULL : give_patiently(e, n, *sock, gateways, count, most);
}

/* One that was killed had the sockets of all networks. What another network lacks (its bridge's address was taken away)
 * is said, and keeps nobody from this one. */
static fallible give_all(struct engine *e, int *sock)
{
    struct network_list l = { 0 };
    own_fd int route = -1;
    bool fresh;
    TRY(netlink_open(&route));
    TRY(network_list(e, &l));
    err *failed = NULL;
    for (size_t i = 0; i < l.n && !failed; i++) {
        unsigned index = 0;
        if (!network_has_names(l.items[i]))
            continue;
        failed = link_index(route, l.items[i]->config->link, &index);
        err *lacks = !failed && index ? give_names(e, l.items[i], 1, sock, &fresh) : NULL;
        if (lacks)
            log_warn("%s", err_text(lacks));
        err_ignore(lacks, "those who are on it hear it from their own start");
    }
    network_list_clear(&l);
    return failed;
}

fallible network_names(struct engine *e, const struct db_endpoints *endpoints, int *ret_sock)
{
    own_fd int sock = -1;
    bool fresh = false;
    for (size_t i = 0; i < endpoints->n; i++) {
        own(network) struct network *n = NULL;
        TRY(network_find(e, endpoints->items[i].network, &n));
        TRY(give_names(e, n, GIVE_TRIES, &sock, &fresh));
    }
    if (sock < 0 && e->usernet && endpoints->n) /* names or not: it watches the user's networks */
        TRY(resolver_connect(e, &sock, &fresh));
    if (fresh)
        TRY(give_all(e, &sock));
    *ret_sock = take_fd(&sock);
    return NULL;
}

/* A firewall that was loaded anew took our table with it, which is why the resolver ended. */
static fallible mend_firewall(struct engine *e, const struct db_endpoints *endpoints)
{
    own_fd int sock = -1;
    bool there = true;
    for (size_t i = 0; i < endpoints->n && there; i++) {
        own(network) struct network *n = NULL;
        TRY(network_find(e, endpoints->items[i].network, &n));
        if (!str_eq(n->row.driver, "bridge"))
            continue;
        if (sock < 0)
            TRY(nft_open(&sock));
        TRY(firewall_has(sock, n->config->link, &there));
    }
    return there ? NULL : network_reload(e);
}

fallible network_names_again(struct container *c, int *ret_sock)
{
    own(db_endpoints) struct db_endpoints endpoints = { 0 };
    struct db *db;
    *ret_sock = -1;
    if (!network_is_connected(c->engine, c->row.id))
        return NULL;
    TRY(network_door(c->engine, NETWORK_DOOR_INSIDE));
    if (c->engine->usernet && c->engine->usernet->lost) {
        err *failed = network_door(c->engine, NETWORK_DOOR_OUTSIDE);
        if (failed)
            log_warn("%s", err_text(failed));
        err_ignore(failed, "neighbours have their names all the same");
    }
    TRY(engine_db(c->engine, &db));
    TRY(db_endpoint_list(db, c->row.id, NULL, &endpoints));
    TRY(mend_firewall(c->engine, &endpoints));
    return network_names(c->engine, &endpoints, ret_sock);
}
