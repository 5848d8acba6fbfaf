// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/db_trash.h"

#include <string.h>
#include <time.h>

#include "engine/db_trash_rows.h"

void db_trash_list_clear(struct db_trash_list *l)
{
    for (size_t i = 0; i < l->n; i++) {
        free(l->items[i].command);
        free(l->items[i].names);
    }
    free(l->items);
    *l = (struct db_trash_list){ 0 };
}

fallible db_trash_list(struct db *db, struct db_trash_list *ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    struct db_trash_list l = { 0 };
    int code;
    TRY(db_prepare(
        db,
        "SELECT t.id, at_ns, command, bytes + image_bytes, TOTAL(p.c), TOTAL(p.v), TOTAL(p.p), TOTAL(p.i), "
        "GROUP_CONCAT(p.name, ' '),"
        " image_bytes, TOTAL(p.n)"
        " FROM trash t LEFT JOIN (SELECT entry, name, 0 AS c, 0 AS v, 1 AS p, 0 AS i, 0 AS n FROM trash_pod UNION ALL"
        " SELECT entry, name, 1, 0, 0, 0, 0 FROM trash_container UNION ALL"
        " SELECT entry, name, 0, 1, 0, 0, 0 FROM trash_volume UNION ALL"
        " SELECT entry, name, 0, 0, 0, 0, 1 FROM trash_network UNION ALL"
        " SELECT entry, COALESCE(name, id), 0, 0, 0, 1, 0 FROM trash_image) p ON p.entry = t.id"
        " GROUP BY t.id ORDER BY t.id",
        &s));
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        l.items = mem_array(l.items, l.n + 1, sizeof *l.items);
        l.items[l.n++] = (struct db_trash){ .id = sqlite3_column_int64(s, 0),
                                            .at_ns = sqlite3_column_int64(s, 1),
                                            .command = db_column(s, 2),
                                            .bytes = sqlite3_column_int64(s, 3),
                                            .containers = sqlite3_column_int64(s, 4),
                                            .volumes = sqlite3_column_int64(s, 5),
                                            .pods = sqlite3_column_int64(s, 6),
                                            .images = sqlite3_column_int64(s, 7),
                                            .names = db_column(s, 8),
                                            .image_bytes = sqlite3_column_int64(s, 9),
                                            .networks = sqlite3_column_int64(s, 10) };
    }
    if (code != SQLITE_DONE) {
        db_trash_list_clear(&l);
        return db_fail(db, "list the trash");
    }
    *ret = l;
    return NULL;
}

fallible db_trash_bounds(struct db *db, struct db_trash_list *ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    struct db_trash_list l = { 0 };
    int code;
    TRY(db_prepare(db, "SELECT id, at_ns, bytes + image_bytes FROM trash ORDER BY id", &s));
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        l.items = mem_array(l.items, l.n + 1, sizeof *l.items);
        l.items[l.n++] = (struct db_trash){ .id = sqlite3_column_int64(s, 0),
                                            .at_ns = sqlite3_column_int64(s, 1),
                                            .bytes = sqlite3_column_int64(s, 2) };
    }
    if (code != SQLITE_DONE) {
        db_trash_list_clear(&l);
        return db_fail(db, "list the trash");
    }
    *ret = l;
    return NULL;
}

fallible db_trash_change(struct db *db, const char *sql, const char *one, const char *two, int64_t three)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, sql, &s));
    int n = sqlite3_bind_parameter_count(s);
    db_bind_text(s, 1, one);
    if (n > 1)
        db_bind_text(s, 2, two);
    if (n > 2)
        (void)sqlite3_bind_int64(s, 3, three);
    int code = sqlite3_step(s);
    if (code == SQLITE_CONSTRAINT)
        return err_new(ERR_EXISTS, "the name '%s' is taken meanwhile: remove or rename that, or say --name", two);
    return code == SQLITE_DONE ? NULL : db_fail(db, "move a row to or from the trash");
}

fallible db_trash_enter(struct db *db, const char *command, int64_t bytes, int64_t *entry)
{
    own(stmt) sqlite3_stmt *s = NULL;
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &now);
    TRY(db_prepare(db,
                   *entry ? "UPDATE trash SET bytes = bytes + ?1 WHERE id = ?2"
                          : "INSERT INTO trash (bytes, at_ns, command) VALUES (?1, ?2, ?3)",
                   &s));
    (void)sqlite3_bind_int64(s, 1, bytes);
    (void)sqlite3_bind_int64(s, 2, *entry ? *entry : (int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
    if (!*entry)
        db_bind_text(s, 3, command);
    TRY(db_finish(db, s, "add to the trash"));
    if (!*entry)
        *entry = sqlite3_last_insert_rowid(db->handle);
    return NULL;
}

/* The lists of columns: the tables' own may be in another order. */
#define CONTAINER_COLUMNS "image, image_id, manifest, created_ns, config, pod"
#define VOLUME_COLUMNS    "created_ns, anonymous, labels, options, project"
#define ENDPOINT_COLUMNS  "container, network, position, interface, want_ip4, want_ip6, want_mac, aliases, options"
#define PORT_COLUMNS      "container, proto, container_port, host_ip, want_port, host_port"

fallible db_trash_move_container(struct db *db, const char *id, int64_t entry)
{
    bool used = false;
    TRY(db_trash_change(db,
                        "INSERT INTO trash_container (entry, id, name, " CONTAINER_COLUMNS ")"
                        " SELECT ?3, id, name, " CONTAINER_COLUMNS " FROM container WHERE id = ?1 AND ?2 IS NULL",
                        id, NULL, entry));
    if (sqlite3_changes(db->handle) == 0)
        return err_new(ERR_NOT_FOUND, "no such container: '%s'", id);
    TRY(db_container_is_used(db, id, &used));
    if (!used)
        return db_delete_by(db, "DELETE FROM container WHERE id = ?", id);
    TRY(db_trash_change(db, "INSERT INTO trash_use SELECT container, volume FROM volume_use WHERE container = ?1", id,
                        NULL, 0));
    TRY(db_trash_change(db,
                        "INSERT INTO trash_endpoint (" ENDPOINT_COLUMNS ") SELECT " ENDPOINT_COLUMNS
                        " FROM endpoint WHERE container = ?1",
                        id, NULL, 0));
    TRY(db_trash_change(
        db, "INSERT INTO trash_port (" PORT_COLUMNS ") SELECT " PORT_COLUMNS " FROM port WHERE container = ?1", id,
        NULL, 0));
    return db_container_forget(db, id);
}

fallible db_trash_container(struct db *db, const char *id, const char *command, int64_t bytes, int64_t *entry)
{
    int64_t in = *entry;
    TRY(db_run(db, "BEGIN IMMEDIATE"));
    err *e = db_trash_enter(db, command, bytes, &in);
    TRY(db_commit_or_undo(db, e ? e : db_trash_move_container(db, id, in)));
    *entry = in;
    return NULL;
}

static fallible move_volume(struct db *db, const char *name, int64_t entry, int64_t *ret_item)
{
    own_strv struct strv users = { 0 };
    TRY(db_volume_users(db, name, &users));
    if (users.n)
        return db_volume_in_use(name, users.items[0]);
    TRY(db_trash_change(db,
                        "INSERT INTO trash_volume (entry, name, " VOLUME_COLUMNS ") SELECT ?3, name, " VOLUME_COLUMNS
                        " FROM volume WHERE name = ?1 AND ?2 IS NULL",
                        name, NULL, entry));
    if (sqlite3_changes(db->handle) == 0)
        return err_new(ERR_NOT_FOUND, "no such volume: '%s'", name);
    *ret_item = sqlite3_last_insert_rowid(db->handle);
    return db_delete_by(db, "DELETE FROM volume WHERE name = ?", name);
}

fallible db_trash_volume(struct db *db, const char *name, const char *command, int64_t bytes, int64_t *entry,
                         int64_t *ret_item)
{
    int64_t in = *entry;
    TRY(db_run(db, "BEGIN IMMEDIATE"));
    err *e = db_trash_enter(db, command, bytes, &in);
    TRY(db_commit_or_undo(db, e ? e : move_volume(db, name, in, ret_item)));
    *entry = in;
    return NULL;
}

void db_trash_parts_clear(struct db_trash_parts *p)
{
    for (size_t i = 0; i < p->containers_n; i++)
        db_container_clear(&p->containers[i]);
    for (size_t i = 0; i < p->volumes_n; i++)
        free(p->volumes[i].name);
    for (size_t i = 0; i < p->pods_n; i++)
        db_pod_clear(&p->pods[i]);
    for (size_t i = 0; i < p->images_n; i++) {
        free(p->images[i].name);
        free(p->images[i].id);
        free(p->images[i].target);
    }
    for (size_t i = 0; i < p->networks_n; i++)
        db_network_clear(&p->networks[i].row);
    free(p->networks);
    free(p->containers);
    free(p->volumes);
    free(p->pods);
    free(p->images);
    *p = (struct db_trash_parts){ 0 };
}

static fallible read_parts(struct db *db, int64_t entry, struct db_trash_parts *p)
{
    own(stmt) sqlite3_stmt *c = NULL, *v = NULL;
    int code;
    TRY(db_prepare(db,
                   "SELECT id, name, image, image_id, manifest, created_ns, config, pod FROM trash_container"
                   " WHERE ?1 = 0 OR entry = ?1",
                   &c));
    (void)sqlite3_bind_int64(c, 1, entry);
    while ((code = sqlite3_step(c)) == SQLITE_ROW) {
        p->containers = mem_array(p->containers, p->containers_n + 1, sizeof *p->containers);
        p->containers[p->containers_n++] = (struct db_container){
            .id = db_column(c, 0),
            .name = db_column(c, 1),
            .image = db_column(c, 2),
            .image_id = db_column(c, 3),
            .manifest = db_column(c, 4),
            .created_ns = sqlite3_column_int64(c, 5),
            .config = db_column(c, 6),
            .pod = db_column(c, 7),
        };
    }
    if (code != SQLITE_DONE)
        return db_fail(db, "read the trash");
    TRY(db_prepare(db, "SELECT item, name, project FROM trash_volume WHERE ?1 = 0 OR entry = ?1", &v));
    (void)sqlite3_bind_int64(v, 1, entry);
    while ((code = sqlite3_step(v)) == SQLITE_ROW) {
        p->volumes = mem_array(p->volumes, p->volumes_n + 1, sizeof *p->volumes);
        p->volumes[p->volumes_n++] = (struct db_trash_volume){ .item = sqlite3_column_int64(v, 0),
                                                               .name = db_column(v, 1),
                                                               .project = sqlite3_column_int64(v, 2) };
    }
    if (code != SQLITE_DONE)
        return db_fail(db, "read the trash");
    TRY(db_trash_read_pods(db, entry, p));
    TRY(db_trash_read_networks(db, entry, p));
    return db_trash_read_images(db, entry, p);
}

fallible db_trash_parts(struct db *db, int64_t entry, struct db_trash_parts *ret)
{
    own(db_trash_parts) struct db_trash_parts p = { 0 };
    TRY(read_parts(db, entry, &p));
    *ret = p;
    p = (struct db_trash_parts){ 0 };
    return NULL;
}

static fallible forget_container(struct db *db, const char *id)
{
    TRY(db_delete_by(db, "DELETE FROM trash_use WHERE container = ?", id));
    TRY(db_delete_by(db, "DELETE FROM trash_endpoint WHERE container = ?", id));
    TRY(db_delete_by(db, "DELETE FROM trash_port WHERE container = ?", id));
    return db_delete_by(db, "DELETE FROM trash_container WHERE id = ?", id);
}

fallible db_trash_bring_container(struct db *db, const char *id, const char *name)
{
    TRY(db_trash_change(db,
                        "INSERT INTO container (id, name, " CONTAINER_COLUMNS ") SELECT id, ?2, " CONTAINER_COLUMNS
                        " FROM trash_container WHERE id = ?1",
                        id, name, 0));
    if (sqlite3_changes(db->handle) == 0)
        return err_new(ERR_NOT_FOUND, "container %.12s is not in the trash any more", id);
    TRY(db_trash_change(db, "INSERT INTO volume_use SELECT container, volume FROM trash_use WHERE container = ?1", id,
                        NULL, 0));
    TRY(db_trash_change(db,
                        "INSERT INTO endpoint (" ENDPOINT_COLUMNS ") SELECT " ENDPOINT_COLUMNS
                        " FROM trash_endpoint WHERE container = ?1",
                        id, NULL, 0));
    TRY(db_trash_change(
        db, "INSERT INTO port (" PORT_COLUMNS ") SELECT " PORT_COLUMNS " FROM trash_port WHERE container = ?1", id,
        NULL, 0));
    return forget_container(db, id);
}

fallible db_untrash_container(struct db *db, const char *id, const char *name)
{
    TRY(db_run(db, "BEGIN IMMEDIATE"));
    return db_commit_or_undo(db, db_trash_bring_container(db, id, name));
}

static fallible bring_volume(struct db *db, const char *item, const char *name)
{
    TRY(db_trash_change(db,
                        "INSERT INTO volume (name, " VOLUME_COLUMNS ") SELECT ?2, " VOLUME_COLUMNS
                        " FROM trash_volume WHERE item = ?1",
                        item, name, 0));
    if (sqlite3_changes(db->handle) == 0)
        return err_new(ERR_NOT_FOUND, "volume '%s' is not in the trash any more", name);
    return db_delete_by(db, "DELETE FROM trash_volume WHERE item = ?", item);
}

fallible db_untrash_volume(struct db *db, int64_t item, const char *name)
{
    own_mem char *key = mem_printf("%lld", (long long)item);
    TRY(db_run(db, "BEGIN IMMEDIATE"));
    return db_commit_or_undo(db, bring_volume(db, key, name));
}

static fallible forget(struct db *db, int64_t entry, const struct db_trash_parts *p)
{
    own_mem char *key = mem_printf("%lld", (long long)entry);
    for (size_t i = 0; i < p->containers_n; i++)
        TRY(forget_container(db, p->containers[i].id));
    TRY(db_delete_by(db, "DELETE FROM trash_volume WHERE entry = ?", key));
    TRY(db_delete_by(db, "DELETE FROM trash_pod WHERE entry = ?", key));
    TRY(db_delete_by(db, "DELETE FROM trash_network WHERE entry = ?", key));
    TRY(db_delete_by(db, "DELETE FROM trash_image WHERE entry = ?", key));
    return db_delete_by(db, "DELETE FROM trash WHERE id = ?", key);
}

fallible db_trash_forget(struct db *db, int64_t entry)
{
    own(db_trash_parts) struct db_trash_parts p = { 0 };
    TRY(db_run(db, "BEGIN IMMEDIATE"));
    err *e = db_trash_parts(db, entry, &p);
    return db_commit_or_undo(db, e ? e : forget(db, entry, &p));
}

bool db_trash_has_container(struct db *db, const char *id)
{
    return db_has_row(db, "SELECT 1 FROM trash_container WHERE id = ?", id);
}

bool db_trash_has_item(struct db *db, const char *item)
{
    return db_has_row(db, "SELECT 1 FROM trash_volume WHERE item = ?", item);
}

fallible db_trash_item_of(struct db *db, const char *name, int64_t *ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "SELECT MAX(item) FROM trash_volume WHERE name = ?", &s));
    db_bind_text(s, 1, name);
    if (sqlite3_step(s) != SQLITE_ROW)
        return db_fail(db, "find a volume in the trash");
    *ret = sqlite3_column_int64(s, 0);
    return NULL;
}

fallible db_trash_lacks(struct db *db, const char *id, int64_t entry, char **ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db,
                   "SELECT 'network ' || COALESCE((SELECT '''' || name || '''' FROM trash_network t"
                   " WHERE t.id = network), substr(network, 1, 12)) FROM trash_endpoint WHERE container = ?1"
                   " AND network NOT IN (SELECT id FROM network)"
                   " AND network NOT IN (SELECT id FROM trash_network WHERE entry = ?2) UNION ALL"
                   " SELECT 'volume ''' || volume || '''' FROM trash_use WHERE container = ?1"
                   " AND volume NOT IN (SELECT name FROM volume)"
                   " AND volume NOT IN (SELECT name FROM trash_volume WHERE entry = ?2) UNION ALL"
                   " SELECT 'pod ' || substr(pod, 1, 12) FROM trash_container WHERE id = ?1"
                   " AND pod IS NOT NULL AND pod NOT IN (SELECT id FROM pod)"
                   " AND pod NOT IN (SELECT id FROM trash_pod WHERE entry = ?2) LIMIT 1",
                   &s));
    db_bind_text(s, 1, id);
    (void)sqlite3_bind_int64(s, 2, entry);
    int code = sqlite3_step(s);
    *ret = code == SQLITE_ROW ? db_column(s, 0) : NULL;
    return code == SQLITE_ROW || code == SQLITE_DONE ? NULL : db_fail(db, "look at what a container needs");
}

fallible db_trash_port_taken(struct db *db, const char *id, char **ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db,
                   "SELECT 'port ' || t.want_port || '/' || t.proto || ' of the host is published by container ''' ||"
                   " c.name || ''' too' FROM trash_port t JOIN port p ON p.proto = t.proto"
                   " AND t.want_port IN (p.want_port, p.host_port) AND (p.host_ip = t.host_ip OR p.host_ip = ''"
                   " OR t.host_ip = '') JOIN container c ON c.id = p.container"
                   " WHERE t.container = ?1 AND t.want_port > 0 LIMIT 1",
                   &s));
    db_bind_text(s, 1, id);
    int code = sqlite3_step(s);
    *ret = code == SQLITE_ROW ? db_column(s, 0) : NULL;
    return code == SQLITE_ROW || code == SQLITE_DONE ? NULL : db_fail(db, "look at a container's ports");
}
