// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/db_trash_rows.h"

fallible db_trash_read_images(struct db *db, int64_t entry, struct db_trash_parts *p)
{
    own(stmt) sqlite3_stmt *s = NULL;
    int code;
    TRY(db_prepare(db, "SELECT item, entry, name, id, target FROM trash_image WHERE ?1 = 0 OR entry = ?1", &s));
    (void)sqlite3_bind_int64(s, 1, entry);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        p->images = mem_array(p->images, p->images_n + 1, sizeof *p->images);
        p->images[p->images_n++] = (struct db_trash_image){
            .item = sqlite3_column_int64(s, 0),
            .entry = sqlite3_column_int64(s, 1),
            .name = db_column(s, 2),
            .id = db_column(s, 3),
            .target = db_column(s, 4),
        };
    }
    return code == SQLITE_DONE ? NULL : db_fail(db, "read the trash");
}

static fallible add(struct db *db, const char *name, const char *id, const char *target, int64_t entry)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "INSERT INTO trash_image (name, id, target, entry) VALUES (?1, ?2, ?3, ?4)", &s));
    db_bind_text(s, 1, name);
    db_bind_text(s, 2, id);
    db_bind_text(s, 3, target);
    (void)sqlite3_bind_int64(s, 4, entry);
    return db_finish(db, s, "add to the trash");
}

fallible db_trash_image(struct db *db, const char *name, const char *id, const char *target, const char *command,
                        int64_t *entry)
{
    int64_t in = *entry;
    TRY(db_run(db, "BEGIN IMMEDIATE"));
    err *e = db_trash_enter(db, command, 0, &in);
    TRY(db_commit_or_undo(db, e ? e : add(db, name, id, target, in)));
    *entry = in;
    return NULL;
}

fallible db_trash_set_image_bytes(struct db *db, int64_t entry, int64_t bytes)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "UPDATE trash SET image_bytes = ?1 WHERE id = ?2", &s));
    (void)sqlite3_bind_int64(s, 1, bytes);
    (void)sqlite3_bind_int64(s, 2, entry);
    return db_finish(db, s, "say what the trash takes");
}

fallible db_untrash_image(struct db *db, int64_t item)
{
    own_mem char *key = mem_printf("%lld", (long long)item);
    return db_delete_by(db, "DELETE FROM trash_image WHERE item = ?", key);
}
