// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/db.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "engine/db_map.h"
#include "engine/db_parts.h"

fallible db_fail(struct db *db, const char *what)
{
    int code = sqlite3_errcode(db->handle);
    int os = sqlite3_system_errno(db->handle);
    if (db->is_look && (code & 0xff) == SQLITE_READONLY)
        return err_sys_as(ERR_EXHAUSTED, db_disk_is_full(db->path) ? ENOSPC : EROFS, "%s in '%s'", what, db->path);
    switch (code & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return err_new(ERR_TIMEOUT, "%s in '%s': another husk holds it for too long", what, db->path);
    case SQLITE_FULL:
        return err_sys_as(ERR_EXHAUSTED, os == EDQUOT ? os : ENOSPC, "%s in '%s'", what, db->path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return err_new(ERR_CORRUPT, "%s in '%s': the file is damaged: %s", what, db->path, sqlite3_errmsg(db->handle));
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_CANTOPEN:
        if (os == ENOENT && access(db->path, F_OK) == 0) /* of the index, which could not be made */
            os = access(db->path, W_OK) < 0 ? errno : EACCES;
        return err_sys(os ? os : EACCES, "%s in '%s'", what, db->path);
    case SQLITE_IOERR:
        if (db_disk_is_full(db->path))
            return err_sys_as(ERR_EXHAUSTED, ENOSPC, "%s in '%s'", what, db->path);
        return err_new(ERR_INTERNAL, "%s in '%s': %s", what, db->path, sqlite3_errmsg(db->handle));
    default:
        return err_new(ERR_INTERNAL, "%s in '%s': %s", what, db->path, sqlite3_errmsg(db->handle));
    }
}

fallible db_run(struct db *db, const char *sql)
{
    if (sqlite3_exec(db->handle, sql, NULL, NULL, NULL) != SQLITE_OK)
        return db_fail(db, "write");
    return NULL;
}

fallible db_prepare(struct db *db, const char *sql, sqlite3_stmt **ret)
{
    if (sqlite3_prepare_v2(db->handle, sql, -1, ret, NULL) != SQLITE_OK)
        return db_fail(db, "read");
    return NULL;
}

void db_bind_text(sqlite3_stmt *s, int i, const char *text)
{
    if (text)
        (void)sqlite3_bind_text(s, i, text, -1, SQLITE_STATIC);
    else
        (void)sqlite3_bind_null(s, i);
}

char *db_column(sqlite3_stmt *s, int i)
{
    return mem_strdup((const char *)sqlite3_column_text(s, i));
}

/* Runs a statement that answers nothing. */
fallible db_finish(struct db *db, sqlite3_stmt *s, const char *what)
{
    if (sqlite3_step(s) != SQLITE_DONE)
        return db_fail(db, what);
    return NULL;
}

void db_container_clear(struct db_container *c)
{
    free(c->id);
    free(c->name);
    free(c->image);
    free(c->image_id);
    free(c->manifest);
    free(c->config);
    free(c->pod);
    *c = (struct db_container){ 0 };
}

static fallible name_is_taken(struct db *db, const char *name)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "SELECT id FROM container WHERE name = ?", &s));
    db_bind_text(s, 1, name);
    const char *id = sqlite3_step(s) == SQLITE_ROW ? (const char *)sqlite3_column_text(s, 0) : "";
    return err_new(ERR_EXISTS, "the name '%s' is taken by container %.12s: remove or rename it, or choose another name",
                   name, id);
}

static fallible insert_container(struct db *db, const struct db_container *c)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "INSERT INTO container VALUES (?,?,?,?,?,?,?,?)", &s));
    db_bind_text(s, 1, c->id);
    db_bind_text(s, 2, c->name);
    db_bind_text(s, 3, c->image);
    db_bind_text(s, 4, c->image_id);
    db_bind_text(s, 5, c->manifest);
    (void)sqlite3_bind_int64(s, 6, c->created_ns);
    db_bind_text(s, 7, c->config);
    db_bind_text(s, 8, c->pod);
    int code = sqlite3_step(s);
    if (code == SQLITE_CONSTRAINT)
        return name_is_taken(db, c->name);
    return code == SQLITE_DONE ? NULL : db_fail(db, "add a container");
}

static fallible insert_uses(struct db *db, const char *id, const struct strv *volumes)
{
    own(stmt) sqlite3_stmt *s = NULL;
    if (!volumes->n)
        return NULL;
    TRY(db_prepare(db, "INSERT OR IGNORE INTO volume_use VALUES (?,?)", &s));
    for (size_t i = 0; i < volumes->n; i++) {
        (void)sqlite3_reset(s);
        db_bind_text(s, 1, id);
        db_bind_text(s, 2, volumes->items[i]);
        TRY(db_finish(db, s, "note a volume's use"));
    }
    return NULL;
}

fallible db_commit_or_undo(struct db *db, err *take_e)
{
    if (!take_e)
        take_e = db_run(db, "COMMIT"); /* on a full disk it fails and leaves the transaction open */
    if (!take_e)
        return NULL;
    err_ignore(db_run(db, "ROLLBACK"), "the first error says what went wrong");
    return take_e;
}

fallible db_container_add(struct db *db, const struct db_container *c, const struct strv *volumes, db_more *more,
                          void *ctx)
{
    if (!volumes->n && !more) /* one statement is its own transaction */
        return insert_container(db, c);
    TRY(db_run(db, "BEGIN IMMEDIATE"));
    err *e = insert_container(db, c);
    if (!e)
        e = insert_uses(db, c->id, volumes);
    if (!e && more)
        e = more(ctx);
    return db_commit_or_undo(db, e);
}

static void read_row(sqlite3_stmt *s, struct db_container *ret)
{
    *ret = (struct db_container){
        .id = db_column(s, 0),
        .name = db_column(s, 1),
        .image = db_column(s, 2),
        .image_id = db_column(s, 3),
        .manifest = db_column(s, 4),
        .created_ns = sqlite3_column_int64(s, 5),
        .config = db_column(s, 6),
        .pod = db_column(s, 7),
    };
}

static bool is_hex(const char *text)
{
    return *text && strspn(text, "0123456789abcdef") == strlen(text);
}

fallible db_container_find(struct db *db, const char *what, struct db_container *ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    const char *name = what[0] == '/' ? what + 1 : what; /* docker prints names so */
    TRY(db_prepare(db, "SELECT * FROM container WHERE name = ?1 OR id = ?1", &s));
    db_bind_text(s, 1, name);
    int code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        read_row(s, ret);
        return NULL;
    }
    if (code != SQLITE_DONE)
        return db_fail(db, "find a container");
    if (!is_hex(what))
        return err_new(ERR_NOT_FOUND, "no such container: '%s'", what);
    own(stmt) sqlite3_stmt *prefix = NULL;
    /* Hexadecimal digits sort before 'g': the range is the prefix, and the primary key finds it. */
    TRY(db_prepare(db, "SELECT * FROM container WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2", &prefix));
    db_bind_text(prefix, 1, what);
    code = sqlite3_step(prefix);
    if (code == SQLITE_DONE)
        return err_new(ERR_NOT_FOUND, "no such container: '%s'", what);
    if (code != SQLITE_ROW)
        return db_fail(db, "find a container");
    struct db_container found;
    read_row(prefix, &found);
    if (sqlite3_step(prefix) == SQLITE_ROW) {
        db_container_clear(&found);
        return err_new(ERR_CONFLICT, "several containers have an ID that begins with '%s': give more of it", what);
    }
    *ret = found;
    return NULL;
}

fallible db_container_list(struct db *db, struct db_container **ret, size_t *ret_n)
{
    own(stmt) sqlite3_stmt *s = NULL;
    struct db_container *rows = NULL;
    size_t n = 0, room = 0;
    TRY(db_prepare(db, "SELECT * FROM container ORDER BY created_ns DESC", &s));
    int code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        if (n == room)
            rows = mem_array(rows, room = room ? room * 2 : 16, sizeof *rows);
        read_row(s, &rows[n++]);
    }
    if (code != SQLITE_DONE) {
        for (size_t i = 0; i < n; i++)
            db_container_clear(&rows[i]);
        free(rows);
        return db_fail(db, "list containers");
    }
    *ret = rows;
    *ret_n = n;
    return NULL;
}

fallible db_container_set_config(struct db *db, const char *id, const char *config)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "UPDATE container SET config = ? WHERE id = ?", &s));
    db_bind_text(s, 1, config);
    db_bind_text(s, 2, id);
    return db_finish(db, s, "change a container");
}

fallible db_container_rename(struct db *db, const char *id, const char *name)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "UPDATE container SET name = ? WHERE id = ?", &s));
    db_bind_text(s, 1, name);
    db_bind_text(s, 2, id);
    int code = sqlite3_step(s);
    if (code == SQLITE_CONSTRAINT)
        return name_is_taken(db, name);
    return code == SQLITE_DONE ? NULL : db_fail(db, "rename a container");
}

fallible db_delete_by(struct db *db, const char *sql, const char *key)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, sql, &s));
    db_bind_text(s, 1, key);
    return db_finish(db, s, "remove a row");
}

bool db_has_row(struct db *db, const char *sql, const char *key)
{
    own(stmt) sqlite3_stmt *s = NULL;
    err *e = db_prepare(db, sql, &s);
    if (e) {
        err_ignore(e, "what cannot be read is not there");
        return false;
    }
    db_bind_text(s, 1, key);
    return sqlite3_step(s) == SQLITE_ROW;
}

/* What names a container beside its own row. */
static const char *const use_tables[] = { "volume_use", "endpoint", "port" };

static fallible find_uses(struct db *db, const char *id, bool has[ARRAY_SIZE(use_tables)], bool *ret_any)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(
        db,
        "SELECT EXISTS (SELECT 1 FROM volume_use WHERE container = ?1),"
        " EXISTS (SELECT 1 FROM endpoint WHERE container = ?1), EXISTS (SELECT 1 FROM port WHERE container = ?1)",
        &s));
    db_bind_text(s, 1, id);
    if (sqlite3_step(s) != SQLITE_ROW)
        return db_fail(db, "find what a container uses");
    *ret_any = false;
    for (size_t i = 0; i < ARRAY_SIZE(use_tables); i++)
        *ret_any |= has[i] = sqlite3_column_int(s, (int)i) != 0;
    return NULL;
}

fallible db_container_remove(struct db *db, const char *id)
{
    bool has[ARRAY_SIZE(use_tables)], any = false;
    TRY(find_uses(db, id, has, &any));
    if (!any) /* one statement is its own transaction */
        return db_delete_by(db, "DELETE FROM container WHERE id = ?", id);
    TRY(db_run(db, "BEGIN IMMEDIATE"));
    return db_commit_or_undo(db, db_container_forget(db, id));
}

fallible db_container_is_used(struct db *db, const char *id, bool *ret)
{
    bool has[ARRAY_SIZE(use_tables)];
    return find_uses(db, id, has, ret);
}

fallible db_container_forget(struct db *db, const char *id)
{
    for (size_t i = 0; i < ARRAY_SIZE(use_tables); i++) {
        own_mem char *sql = mem_printf("DELETE FROM %s WHERE container = ?", use_tables[i]);
        TRY(db_delete_by(db, sql, id));
    }
    return db_delete_by(db, "DELETE FROM container WHERE id = ?", id);
}

bool db_container_has(struct db *db, const char *id)
{
    return db_has_row(db, "SELECT 1 FROM container WHERE id = ?", id);
}

void db_volume_clear(struct db_volume *v)
{
    free(v->name);
    free(v->labels);
    free(v->options);
    *v = (struct db_volume){ 0 };
}

fallible db_volume_add(struct db *db, const struct db_volume *v)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "INSERT INTO volume VALUES (?,?,?,?,?,?)", &s));
    db_bind_text(s, 1, v->name);
    (void)sqlite3_bind_int64(s, 2, v->created_ns);
    (void)sqlite3_bind_int(s, 3, v->anonymous);
    db_bind_text(s, 4, v->labels ? v->labels : "{}");
    db_bind_text(s, 5, v->options ? v->options : "{}");
    (void)sqlite3_bind_int64(s, 6, v->project);
    int code = sqlite3_step(s);
    if (code == SQLITE_CONSTRAINT)
        return err_new(ERR_EXISTS, "there already is a volume '%s'", v->name);
    return code == SQLITE_DONE ? NULL : db_fail(db, "add a volume");
}

static void read_volume(sqlite3_stmt *s, struct db_volume *ret)
{
    *ret = (struct db_volume){
        .name = db_column(s, 0),
        .created_ns = sqlite3_column_int64(s, 1),
        .anonymous = sqlite3_column_int(s, 2) != 0,
        .labels = db_column(s, 3),
        .options = db_column(s, 4),
        .project = sqlite3_column_int64(s, 5),
    };
}

fallible db_volume_find(struct db *db, const char *name, struct db_volume *ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "SELECT * FROM volume WHERE name = ?", &s));
    db_bind_text(s, 1, name);
    int code = sqlite3_step(s);
    if (code == SQLITE_DONE)
        return err_new(ERR_NOT_FOUND, "no such volume: '%s'", name);
    if (code != SQLITE_ROW)
        return db_fail(db, "find a volume");
    read_volume(s, ret);
    return NULL;
}

fallible db_volume_list(struct db *db, struct db_volume **ret, size_t *ret_n)
{
    own(stmt) sqlite3_stmt *s = NULL;
    struct db_volume *rows = NULL;
    size_t n = 0, room = 0;
    TRY(db_prepare(db, "SELECT * FROM volume ORDER BY name", &s));
    int code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        if (n == room)
            rows = mem_array(rows, room = room ? room * 2 : 16, sizeof *rows);
        read_volume(s, &rows[n++]);
    }
    if (code != SQLITE_DONE) {
        for (size_t i = 0; i < n; i++)
            db_volume_clear(&rows[i]);
        free(rows);
        return db_fail(db, "list volumes");
    }
    *ret = rows;
    *ret_n = n;
    return NULL;
}

fallible db_volume_users(struct db *db, const char *name, struct strv *ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "SELECT container FROM volume_use WHERE volume = ?", &s));
    db_bind_text(s, 1, name);
    int code;
    while ((code = sqlite3_step(s)) == SQLITE_ROW)
        strv_add(ret, (const char *)sqlite3_column_text(s, 0));
    return code == SQLITE_DONE ? NULL : db_fail(db, "find a volume's users");
}

fallible db_volume_in_use(const char *name, const char *container)
{
    return err_new(ERR_CONFLICT, "volume '%s' is in use by container %.12s: remove that first", name, container);
}

fallible db_volume_remove(struct db *db, const char *name)
{
    own_strv struct strv users = { 0 };
    TRY(db_run(db, "BEGIN IMMEDIATE"));
    err *e = db_volume_users(db, name, &users);
    if (!e && users.n)
        e = db_volume_in_use(name, users.items[0]);
    if (!e)
        e = db_delete_by(db, "DELETE FROM volume WHERE name = ?", name);
    return db_commit_or_undo(db, e);
}
