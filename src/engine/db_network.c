// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/db_network.h"

#include <string.h>

#include "engine/db_parts.h"

void db_network_clear(struct db_network *n)
{
    free(n->id);
    free(n->name);
    free(n->driver);
    free(n->config);
    *n = (struct db_network){ 0 };
}

void db_endpoint_clear(struct db_endpoint *e)
{
    free(e->container);
    free(e->network);
    free(e->interface);
    free(e->want_mac);
    free(e->options);
    strv_free(&e->aliases);
    *e = (struct db_endpoint){ 0 };
}

void db_endpoints_clear(struct db_endpoints *l)
{
    for (size_t i = 0; i < l->n; i++)
        db_endpoint_clear(&l->items[i]);
    free(l->items);
    *l = (struct db_endpoints){ 0 };
}

void db_ports_clear(struct db_ports *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->items[i].container);
        free(l->items[i].proto);
        free(l->items[i].host_ip);
    }
    free(l->items);
    *l = (struct db_ports){ 0 };
}

static void bind_ip(sqlite3_stmt *s, int i, const struct ip *ip)
{
    if (ip->family == AF_INET)
        (void)sqlite3_bind_int64(s, i, ip4_number(ip));
    else if (ip->family == AF_INET6)
        (void)sqlite3_bind_blob(s, i, ip->bytes, 16, SQLITE_STATIC);
    else
        (void)sqlite3_bind_null(s, i);
}

static struct ip column_ip(sqlite3_stmt *s, int i)
{
    struct ip ip = { 0 };
    if (sqlite3_column_type(s, i) == SQLITE_INTEGER)
        return ip4_of((uint32_t)sqlite3_column_int64(s, i));
    if (sqlite3_column_type(s, i) == SQLITE_BLOB && sqlite3_column_bytes(s, i) == 16) {
        ip.family = AF_INET6;
        memcpy(ip.bytes, sqlite3_column_blob(s, i), 16);
    }
    return ip;
}

/* ---- networks -------------------------------------------------------------------------------------------------- */

fallible db_network_add(struct db *db, const struct db_network *n)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "INSERT INTO network VALUES (?,?,?,?,?)", &s));
    db_bind_text(s, 1, n->id);
    db_bind_text(s, 2, n->name);
    db_bind_text(s, 3, n->driver);
    (void)sqlite3_bind_int64(s, 4, n->created_ns);
    db_bind_text(s, 5, n->config);
    int code = sqlite3_step(s);
    if (code == SQLITE_CONSTRAINT)
        return err_new(ERR_EXISTS, "there already is a network '%s'", n->name);
    return code == SQLITE_DONE ? NULL : db_fail(db, "add a network");
}

static void read_network(sqlite3_stmt *s, struct db_network *ret)
{
    *ret = (struct db_network){
        .id = db_column(s, 0),
        .name = db_column(s, 1),
        .driver = db_column(s, 2),
        .created_ns = sqlite3_column_int64(s, 3),
        .config = db_column(s, 4),
    };
}

fallible db_network_find(struct db *db, const char *what, struct db_network *ret)
{
    own(stmt) sqlite3_stmt *s = NULL, *prefix = NULL;
    TRY(db_prepare(db, "SELECT * FROM network WHERE name = ?1 OR id = ?1", &s));
    db_bind_text(s, 1, what);
    int code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        read_network(s, ret);
        return NULL;
    }
    if (code != SQLITE_DONE)
        return db_fail(db, "find a network");
    if (!*what || strspn(what, "0123456789abcdef") != strlen(what))
        return err_new(ERR_NOT_FOUND, "no such network: '%s'", what);
    TRY(db_prepare(db, "SELECT * FROM network WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2", &prefix));
    db_bind_text(prefix, 1, what);
    code = sqlite3_step(prefix);
    if (code == SQLITE_DONE)
        return err_new(ERR_NOT_FOUND, "no such network: '%s'", what);
    if (code != SQLITE_ROW)
        return db_fail(db, "find a network");
    own(db_network) struct db_network found = { 0 };
    read_network(prefix, &found);
    if (sqlite3_step(prefix) == SQLITE_ROW)
        return err_new(ERR_CONFLICT, "several networks have an ID that begins with '%s': give more of it", what);
    *ret = found;
    found = (struct db_network){ 0 };
    return NULL;
}

fallible db_network_list(struct db *db, struct db_network **ret, size_t *ret_n)
{
    own(stmt) sqlite3_stmt *s = NULL;
    struct db_network *rows = NULL;
    size_t n = 0;
    int code;
    TRY(db_prepare(db, "SELECT * FROM network ORDER BY name", &s));
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        rows = mem_array(rows, n + 1, sizeof *rows);
        read_network(s, &rows[n++]);
    }
    if (code != SQLITE_DONE) {
        for (size_t i = 0; i < n; i++)
            db_network_clear(&rows[i]);
        free(rows);
        return db_fail(db, "list networks");
    }
    *ret = rows;
    *ret_n = n;
    return NULL;
}

fallible db_network_set_config(struct db *db, const char *id, const char *config)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "UPDATE network SET config = ? WHERE id = ?", &s));
    db_bind_text(s, 1, config);
    db_bind_text(s, 2, id);
    return db_finish(db, s, "change a network");
}

fallible db_network_must_be_unused(struct db *db, const char *id, const char *name)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db,
                   "SELECT container.name FROM endpoint JOIN container ON container.id = endpoint.container"
                   " WHERE network = ? LIMIT 1",
                   &s));
    db_bind_text(s, 1, id);
    if (sqlite3_step(s) != SQLITE_ROW)
        return NULL;
    return err_new(ERR_CONFLICT,
                   "network '%s' is in use by container '%s': disconnect or remove that first, or force with -f", name,
                   (const char *)sqlite3_column_text(s, 0));
}

fallible db_network_remove(struct db *db, const char *id, const char *name, enum db_users users)
{
    TRY(db_begin(db));
    err *e = users == DB_WITH_USERS ? NULL : db_network_must_be_unused(db, id, name);
    if (!e)
        e = db_delete_by(db, "DELETE FROM endpoint WHERE network = ?", id);
    if (!e)
        e = db_delete_by(db, "DELETE FROM network WHERE id = ?", id);
    return db_end(db, e);
}

/* ---- endpoints ------------------------------------------------------------------------------------------------- */

static char *join_words(const struct strv *words)
{
    struct str s = { 0 };
    for (size_t i = 0; i < words->n; i++)
        str_printf(&s, "%s%s", i ? " " : "", words->items[i]);
    return words->n ? str_take(&s) : NULL;
}

fallible db_endpoint_holder(struct db *db, const char *network, const struct ip *ip, char **ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    *ret = NULL;
    TRY(db_prepare(db,
                   ip->family == AF_INET ? "SELECT container FROM endpoint WHERE network = ? AND ip4 = ?"
                                         : "SELECT container FROM endpoint WHERE network = ? AND ip6 = ?",
                   &s));
    db_bind_text(s, 1, network);
    bind_ip(s, 2, ip);
    int code = sqlite3_step(s);
    if (code == SQLITE_ROW)
        *ret = db_column(s, 0);
    return code == SQLITE_ROW || code == SQLITE_DONE ? NULL : db_fail(db, "find an address");
}

static fallible endpoint_clash(struct db *db, const struct db_endpoint *e)
{
    own(db_endpoints) struct db_endpoints there = { 0 };
    TRY(db_endpoint_list(db, e->container, e->network, &there));
    return there.n ? err_new(ERR_EXISTS, "the container is on that network already")
                   : err_new(ERR_CONFLICT, "the address is another's");
}

fallible db_endpoint_add(struct db *db, const struct db_endpoint *e)
{
    own(stmt) sqlite3_stmt *s = NULL;
    own_mem char *aliases = join_words(&e->aliases);
    TRY(db_prepare(db, "INSERT INTO endpoint VALUES (?,?,?,?,?,?,?,?,?,?,?)", &s));
    db_bind_text(s, 1, e->container);
    db_bind_text(s, 2, e->network);
    (void)sqlite3_bind_int64(s, 3, e->position);
    db_bind_text(s, 4, e->interface);
    bind_ip(s, 5, &e->want_ip4);
    bind_ip(s, 6, &e->want_ip6);
    db_bind_text(s, 7, e->want_mac);
    db_bind_text(s, 8, aliases);
    db_bind_text(s, 9, e->options);
    bind_ip(s, 10, &e->ip4);
    bind_ip(s, 11, &e->ip6);
    int code = sqlite3_step(s);
    return code == SQLITE_CONSTRAINT ? endpoint_clash(db, e)
           : code == SQLITE_DONE     ? NULL
                                     : db_fail(db, "add a connection");
}

fallible db_endpoint_remove(struct db *db, const char *container, const char *network)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "DELETE FROM endpoint WHERE container = ? AND network = ?", &s));
    db_bind_text(s, 1, container);
    db_bind_text(s, 2, network);
    return db_finish(db, s, "remove a connection");
}

static void read_endpoint(sqlite3_stmt *s, struct db_endpoint *ret)
{
    const char *aliases = (const char *)sqlite3_column_text(s, 7);
    *ret = (struct db_endpoint){
        .container = db_column(s, 0),
        .network = db_column(s, 1),
        .position = sqlite3_column_int64(s, 2),
        .interface = db_column(s, 3),
        .want_ip4 = column_ip(s, 4),
        .want_ip6 = column_ip(s, 5),
        .want_mac = db_column(s, 6),
        .options = db_column(s, 8),
        .ip4 = column_ip(s, 9),
        .ip6 = column_ip(s, 10),
    };
    if (aliases)
        strv_split(&ret->aliases, aliases, ' ');
}

fallible db_endpoint_list(struct db *db, const char *container, const char *network, struct db_endpoints *ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    own(db_endpoints) struct db_endpoints l = { 0 };
    own_mem char *sql = mem_printf("SELECT * FROM endpoint WHERE %s AND %s ORDER BY container, position",
                                   container ? "container = ?1" : "1", network ? "network = ?2" : "1");
    int code;
    TRY(db_prepare(db, sql, &s));
    if (container)
        db_bind_text(s, 1, container);
    if (network)
        db_bind_text(s, 2, network);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        l.items = mem_array(l.items, l.n + 1, sizeof *l.items);
        read_endpoint(s, &l.items[l.n++]);
    }
    if (code != SQLITE_DONE)
        return db_fail(db, "list connections");
    *ret = l;
    l = (struct db_endpoints){ 0 };
    return NULL;
}

fallible db_endpoint_lease(struct db *db, const char *container, const char *network, const struct ip *ip4,
                           const struct ip *ip6)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "UPDATE endpoint SET ip4 = ?, ip6 = ? WHERE container = ? AND network = ?", &s));
    bind_ip(s, 1, ip4);
    bind_ip(s, 2, ip6);
    db_bind_text(s, 3, container);
    db_bind_text(s, 4, network);
    int code = sqlite3_step(s);
    if (code == SQLITE_CONSTRAINT)
        return err_new(ERR_CONFLICT, "the address is another's");
    return code == SQLITE_DONE ? NULL : db_fail(db, "lease an address");
}

fallible db_endpoint_highest(struct db *db, const char *network, const struct ip *first, const struct ip *last,
                             struct ip *ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    *ret = (struct ip){ 0 };
    TRY(db_prepare(db,
                   first->family == AF_INET ? "SELECT MAX(ip4) FROM endpoint WHERE network = ? AND ip4 BETWEEN ? AND ?"
                                            : "SELECT MAX(ip6) FROM endpoint WHERE network = ? AND ip6 BETWEEN ? AND ?",
                   &s));
    db_bind_text(s, 1, network);
    bind_ip(s, 2, first);
    bind_ip(s, 3, last);
    if (sqlite3_step(s) != SQLITE_ROW)
        return db_fail(db, "find an address");
    *ret = column_ip(s, 0);
    return NULL;
}

/* ---- ports ----------------------------------------------------------------------------------------------------- */

static void bind_port(sqlite3_stmt *s, const struct db_port *p)
{
    db_bind_text(s, 1, p->container);
    db_bind_text(s, 2, p->proto);
    (void)sqlite3_bind_int64(s, 3, p->container_port);
    db_bind_text(s, 4, p->host_ip);
    (void)sqlite3_bind_int64(s, 5, p->want_port);
}

fallible db_port_add(struct db *db, const struct db_port *p)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "INSERT OR IGNORE INTO port VALUES (?,?,?,?,?,?)", &s));
    bind_port(s, p);
    (void)sqlite3_bind_int64(s, 6, p->host_port);
    return db_finish(db, s, "publish a port");
}

fallible db_port_remove(struct db *db, const struct db_port *p)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db,
                   "DELETE FROM port WHERE container = ? AND proto = ? AND container_port = ? AND host_ip = ?"
                   " AND want_port = ?",
                   &s));
    bind_port(s, p);
    return db_finish(db, s, "withdraw a port");
}

fallible db_port_set(struct db *db, const struct db_port *p)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db,
                   "UPDATE port SET host_port = ?6 WHERE container = ?1 AND proto = ?2 AND container_port = ?3"
                   " AND host_ip = ?4 AND want_port = ?5",
                   &s));
    bind_port(s, p);
    (void)sqlite3_bind_int64(s, 6, p->host_port);
    return db_finish(db, s, "note a port");
}

static fallible read_ports(struct db *db, sqlite3_stmt *s, struct db_ports *ret)
{
    own(db_ports) struct db_ports l = { 0 };
    int code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        l.items = mem_array(l.items, l.n + 1, sizeof *l.items);
        l.items[l.n++] = (struct db_port){
            .container = db_column(s, 0),
            .proto = db_column(s, 1),
            .container_port = sqlite3_column_int64(s, 2),
            .host_ip = db_column(s, 3),
            .want_port = sqlite3_column_int64(s, 4),
            .host_port = sqlite3_column_int64(s, 5),
        };
    }
    if (code != SQLITE_DONE)
        return db_fail(db, "list ports");
    *ret = l;
    l = (struct db_ports){ 0 };
    return NULL;
}

fallible db_port_list(struct db *db, const char *container, struct db_ports *ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db,
                   container
                       ? "SELECT * FROM port WHERE container = ? ORDER BY container_port, proto, host_ip, want_port"
                       : "SELECT * FROM port ORDER BY container, container_port, proto, host_ip, want_port",
                   &s));
    if (container)
        db_bind_text(s, 1, container);
    return read_ports(db, s, ret);
}

fallible db_port_find(struct db *db, const char *proto, int64_t host_port, struct db_ports *ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "SELECT * FROM port WHERE host_port = ? AND proto = ?", &s));
    (void)sqlite3_bind_int64(s, 1, host_port);
    db_bind_text(s, 2, proto);
    return read_ports(db, s, ret);
}

fallible db_begin(struct db *db)
{
    return db_run(db, "BEGIN IMMEDIATE");
}

fallible db_end(struct db *db, err *take_e)
{
    return db_commit_or_undo(db, take_e);
}
