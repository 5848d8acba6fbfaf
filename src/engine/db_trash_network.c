// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/db_trash_rows.h"

fallible db_trash_read_networks(struct db *db, int64_t entry, struct db_trash_parts *p)
{
    own(stmt) sqlite3_stmt *s = NULL;
    int code;
    TRY(db_prepare(db,
                   "SELECT item, id, name, driver, created_ns, config FROM trash_network WHERE ?1 = 0 OR entry = ?1"
                   " ORDER BY item",
                   &s));
    (void)sqlite3_bind_int64(s, 1, entry);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        p->networks = mem_array(p->networks, p->networks_n + 1, sizeof *p->networks);
        p->networks[p->networks_n++] = (struct db_trash_network){
            .item = sqlite3_column_int64(s, 0),
            .row = { .id = db_column(s, 1),
                     .name = db_column(s, 2),
                     .driver = db_column(s, 3),
                     .created_ns = sqlite3_column_int64(s, 4),
                     .config = db_column(s, 5) },
        };
    }
    return code == SQLITE_DONE ? NULL : db_fail(db, "read the trash");
}

static fallible move_network(struct db *db, const struct db_network *n, int64_t entry)
{
    TRY(db_network_must_be_unused(db, n->id, n->name));
    TRY(db_trash_change(db,
                        "INSERT INTO trash_network (entry, id, name, driver, created_ns, config)"
                        " SELECT ?3, id, name, driver, created_ns, config FROM network WHERE id = ?1 AND ?2 IS NULL",
                        n->id, NULL, entry));
    if (sqlite3_changes(db->handle) == 0)
        return err_new(ERR_NOT_FOUND, "no such network: '%s'", n->name);
    TRY(db_delete_by(db, "DELETE FROM endpoint WHERE network = ?", n->id)); /* of containers that are no more */
    return db_delete_by(db, "DELETE FROM network WHERE id = ?", n->id);
}

fallible db_trash_network(struct db *db, const struct db_network *n, const char *command, int64_t *entry)
{
    int64_t in = *entry;
    TRY(db_run(db, "BEGIN IMMEDIATE"));
    err *e = db_trash_enter(db, command, 0, &in);
    TRY(db_commit_or_undo(db, e ? e : move_network(db, n, in)));
    *entry = in;
    return NULL;
}

static fallible bring_network(struct db *db, const char *item, const char *name)
{
    TRY(db_trash_change(db,
                        "INSERT INTO network (id, name, driver, created_ns, config)"
                        " SELECT id, ?2, driver, created_ns, config FROM trash_network WHERE item = ?1",
                        item, name, 0));
    if (sqlite3_changes(db->handle) == 0)
        return err_new(ERR_NOT_FOUND, "network '%s' is not in the trash any more", name);
    return db_delete_by(db, "DELETE FROM trash_network WHERE item = ?", item);
}

fallible db_untrash_network(struct db *db, int64_t item, const char *name)
{
    own_mem char *key = mem_printf("%lld", (long long)item);
    TRY(db_run(db, "BEGIN IMMEDIATE"));
    return db_commit_or_undo(db, bring_network(db, key, name));
}
