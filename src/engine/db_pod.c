// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "engine/db_parts.h"

void db_pod_clear(struct db_pod *p)
{
    free(p->id);
    free(p->name);
    free(p->infra);
    free(p->config);
    *p = (struct db_pod){ 0 };
}

static void read_pod(sqlite3_stmt *s, struct db_pod *ret)
{
    *ret = (struct db_pod){
        .id = db_column(s, 0),
        .name = db_column(s, 1),
        .created_ns = sqlite3_column_int64(s, 2),
        .infra = db_column(s, 3),
        .config = db_column(s, 4),
    };
}

fallible db_pod_add(struct db *db, const struct db_pod *p)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "INSERT INTO pod VALUES (?,?,?,?,?)", &s));
    db_bind_text(s, 1, p->id);
    db_bind_text(s, 2, p->name);
    (void)sqlite3_bind_int64(s, 3, p->created_ns);
    db_bind_text(s, 4, p->infra);
    db_bind_text(s, 5, p->config);
    int code = sqlite3_step(s);
    if (code == SQLITE_CONSTRAINT)
        return err_new(ERR_EXISTS, "there already is a pod '%s': remove it, or choose another name", p->name);
    return code == SQLITE_DONE ? NULL : db_fail(db, "add a pod");
}

fallible db_pod_find(struct db *db, const char *what, struct db_pod *ret)
{
    own(stmt) sqlite3_stmt *s = NULL, *prefix = NULL;
    TRY(db_prepare(db, "SELECT * FROM pod WHERE name = ?1 OR id = ?1", &s));
    db_bind_text(s, 1, what);
    int code = sqlite3_step(s);
    if (code == SQLITE_ROW) {
        read_pod(s, ret);
        return NULL;
    }
    if (code != SQLITE_DONE)
        return db_fail(db, "find a pod");
    if (!*what || strspn(what, "0123456789abcdef") != strlen(what))
        return err_new(ERR_NOT_FOUND, "no such pod: '%s'", what);
    TRY(db_prepare(db, "SELECT * FROM pod WHERE id >= ?1 AND id < ?1 || 'g' LIMIT 2", &prefix));
    db_bind_text(prefix, 1, what);
    code = sqlite3_step(prefix);
    if (code == SQLITE_DONE)
        return err_new(ERR_NOT_FOUND, "no such pod: '%s'", what);
    if (code != SQLITE_ROW)
        return db_fail(db, "find a pod");
    own(db_pod) struct db_pod found;
    read_pod(prefix, &found);
    if (sqlite3_step(prefix) == SQLITE_ROW)
        return err_new(ERR_CONFLICT, "several pods have an ID that begins with '%s': give more of it", what);
    *ret = found;
    found = (struct db_pod){ 0 };
    return NULL;
}

fallible db_pod_list(struct db *db, struct db_pod **ret, size_t *ret_n)
{
    own(stmt) sqlite3_stmt *s = NULL;
    struct db_pod *rows = NULL;
    size_t n = 0;
    int code;
    TRY(db_prepare(db, "SELECT * FROM pod ORDER BY created_ns DESC", &s));
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        rows = mem_array(rows, n + 1, sizeof *rows);
        read_pod(s, &rows[n++]);
    }
    if (code != SQLITE_DONE) {
        while (n)
            db_pod_clear(&rows[--n]);
        free(rows);
        return db_fail(db, "list pods");
    }
    *ret = rows;
    *ret_n = n;
    return NULL;
}

fallible db_pod_members(struct db *db, const char *id, struct strv *ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    int code;
    TRY(db_prepare(db, "SELECT id FROM container WHERE pod = ? ORDER BY created_ns", &s));
    db_bind_text(s, 1, id);
    while ((code = sqlite3_step(s)) == SQLITE_ROW)
        strv_add(ret, (const char *)sqlite3_column_text(s, 0));
    return code == SQLITE_DONE ? NULL : db_fail(db, "list a pod's containers");
}

fallible db_pod_must_be_empty(struct db *db, const struct db_pod *p)
{
    own_strv struct strv members = { 0 };
    TRY(db_pod_members(db, p->id, &members));
    for (size_t i = 0; i < members.n; i++)
        if (!str_eq(members.items[i], p->infra))
            return err_new(ERR_CONFLICT, "pod '%s' has container %.12s: remove that first, or force with -f", p->name,
                           members.items[i]);
    return NULL;
}

static fallible remove_all(struct db *db, const struct db_pod *p)
{
    TRY(db_pod_must_be_empty(db, p));
    if (p->infra)
        TRY(db_container_forget(db, p->infra));
    return db_delete_by(db, "DELETE FROM pod WHERE id = ?", p->id);
}

fallible db_pod_remove(struct db *db, const struct db_pod *p)
{
    TRY(db_run(db, "BEGIN IMMEDIATE"));
    return db_commit_or_undo(db, remove_all(db, p));
}

fallible db_pod_must_exist(struct db *db, const char *id)
{
    return db_has_row(db, "SELECT 1 FROM pod WHERE id = ?", id)
               ? NULL
               : err_new(ERR_NOT_FOUND, "pod %.12s has been removed meanwhile", id);
}
