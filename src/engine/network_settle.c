// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/network_settle.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/hosts.h"
#include "engine/network_dhcp.h"
#include "engine/network_door.h"
#include "engine/network_parts.h"
#include "engine/network_start.h"
#include "os/fault.h"
#include "os/fs.h"
#include "os/netlink.h"

enum { CHANGE_MAX = 256 };

fallible network_running_pid(struct container *c, pid_t *ret)
{
    struct container_state s = { 0 };
    TRY(container_state(c, &s));
    bool runs = s.status == CONTAINER_RUNNING || s.status == CONTAINER_PAUSED;
    *ret = runs && network_is_connected(c->engine, c->row.id) ? s.init.pid : 0;
    container_state_clear(&s);
    return NULL;
}

fallible network_open_state(const struct container *c, int *ret_fd)
{
    *ret_fd = open(c->state_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *ret_fd < 0 ? err_sys(errno, "open '%s'", c->state_dir) : NULL;
}

fallible network_change_begin(struct container *c, const struct network *n, const struct db_endpoint *at)
{
    own_fd int dir = -1;
    char host[IFNAMSIZ] = "";
    if (at && str_eq(n->row.driver, "bridge"))
        network_host_name(c->row.id, at->position, host);
    own_mem char *text = at ? mem_printf("%s\n%s\n%s\n", at->interface, n->row.id, host) : mem_strdup("");
    TRY(network_open_state(c, &dir));
    TRY(fs_replace_at(dir, NETWORK_CHANGE_FILE, text, strlen(text), 0600, FS_SYNC_NONE));
    fault_here(FAULT_CHANGE_BEGUN);
    return NULL;
}

static fallible forget_change(int dir)
{
    return unlinkat(dir, NETWORK_CHANGE_FILE, 0) < 0 && errno != ENOENT
               ? err_sys(errno, "remove '%s'", NETWORK_CHANGE_FILE)
               : NULL;
}

/* A container whose files are another user's (--userns keep-id, as an ordinary user) has names anew with its restart.
 */
static void follow_files(struct container *c, const struct container_network *n)
{
    err *e = hosts_follow(c, n);
    if (e)
        log_warn("container '%s' keeps its /etc/hosts and /etc/resolv.conf until it is restarted: %s", c->row.name,
                 err_text(e));
    err_free(e);
}

static fallible follow_rows(struct container *c, int dir, pid_t pid)
{
    struct container_network n = { .dns_sock = -1 };
    TRY(network_look(c, &n));
    const struct firewall_part part = network_plan_part(&n.plan);
    err *e = firewall_replace(dir, &part);
    for (size_t i = 0; !e && i < n.plan.links_n; i++) {
        e = network_link_routes(&n.plan.links[i], pid);
        if (!e && n.plan.links[i].hairpin)
            e = network_link_hairpin(&n.plan.links[i]);
    }
    if (!e)
        follow_files(c, &n);
    container_network_clear(&n);
    return e;
}

fallible network_change_end(struct container *c, pid_t pid)
{
    own_fd int dir = -1;
    TRY(network_open_state(c, &dir));
    TRY(follow_rows(c, dir, pid));
    fault_here(FAULT_CHANGE_DONE);
    return forget_change(dir);
}

/* By its end on the host, whose name is ours alone: inside, somebody else's may have that name. */
static fallible remove_link(pid_t pid, const char *interface, const char *host, int dir)
{
    own_fd int sock = -1;
    if (!*host)
        return network_link_remove(interface, pid, dir);
    dhcp_file_remove(dir, interface); /* what it leased ends by itself */
    TRY(netlink_open(&sock));
    return link_remove(sock, host);
}

/* Made anew where it has a row: the one that is there may be half of one. */
static fallible settle_link(struct container *c, pid_t pid, const char *interface, const char *network,
                            const char *host)
{
    own(db_endpoints) struct db_endpoints l = { 0 };
    own(network) struct network *n = NULL;
    struct network_kernel kernel;
    struct network_link link;
    struct db *db;
    own_fd int sock = -1, dir = -1;
    TRY(engine_db(c->engine, &db));
    TRY(db_endpoint_list(db, c->row.id, network, &l));
    TRY(network_open_state(c, &dir));
    TRY(remove_link(pid, interface, host, dir));
    if (!l.n || !str_eq(l.items[0].interface, interface))
        return NULL;
    TRY(network_find(c->engine, network, &n));
    TRY(network_ensure(c->engine, n, &kernel));
    TRY(network_link_of(n, &l.items[0], &kernel, NETWORK_NO_DEFAULT_ROUTE, &link));
    err *e = network_dhcp_name(c, &link);
    if (!e)
        e = network_link_make(&link, pid, dir);
    if (!e && link.dhcp)
        e = network_dhcp_tell(c);
    network_link_clear(&link);
    if (err_is(e, ERR_EXISTS)) { /* it could not have been connected so */
        err_free(e);
        return db_endpoint_remove(db, c->row.id, network);
    }
    return e ? e : network_names(c->engine, &l, &sock);
}

static fallible carry_out(struct container *c, pid_t pid, const struct strv *lines)
{
    TRY(network_door(c->engine, NETWORK_DOOR_INSIDE));
    if (lines->n >= 3)
        TRY(settle_link(c, pid, lines->items[0], lines->items[1], lines->items[2]));
    if (c->engine->usernet)
        TRY(network_publish_user_again(c));
    return network_change_end(c, pid);
}

static fallible read_change(const struct container *c, bool *ret_there, struct strv *ret)
{
    own_fd int dir = -1;
    own_mem char *text = NULL;
    TRY(network_open_state(c, &dir));
    err *e = fs_read_at(dir, NETWORK_CHANGE_FILE, CHANGE_MAX, &text, NULL);
    *ret_there = !e;
    if (!e)
        strv_split(ret, text, '\n');
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    return NULL;
}

fallible network_settle(struct container *c, pid_t pid, char **ret_network)
{
    own_strv struct strv lines = { 0 };
    bool there = false;
    *ret_network = NULL;
    TRY(read_change(c, &there, &lines));
    if (!there)
        return NULL;
    TRY_AS(carry_out(c, pid, &lines), "finish what a killed command began");
    *ret_network = mem_strdup(lines.n >= 3 ? lines.items[1] : "");
    return NULL;
}

void network_change_undo(struct container *c, pid_t pid)
{
    own_mem char *network = NULL;
    err_ignore(network_settle(c, pid, &network), "the first error says what went wrong; the next command tries again");
}

/* Under its lock: who is just changing something has not been killed. */
static fallible settle_one(struct container *c, bool finish, int64_t *n)
{
    own_mem char *file = mem_printf("%s/" NETWORK_CHANGE_FILE, c->state_dir), *network = NULL;
    pid_t pid = 0;
    if (access(file, F_OK) < 0)
        return NULL;
    TRY(container_lock(c));
    TRY(network_running_pid(c, &pid));
    if (!pid || access(file, F_OK) < 0)
        return NULL;
    ++*n;
    return finish ? network_settle(c, pid, &network) : NULL;
}

fallible network_settle_all(struct engine *e, bool finish, int64_t *ret_n)
{
    struct db *db = NULL;
    struct db_container *rows = NULL;
    size_t n = 0;
    err *failed = NULL;
    *ret_n = 0;
    TRY(engine_db_if_there(e, &db));
    if (db)
        TRY(db_container_list(db, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        own(container) struct container *c = container_new(e, &rows[i]);
        if (!failed)
            failed = settle_one(c, finish, ret_n);
    }
    free(rows);
    return failed;
}
