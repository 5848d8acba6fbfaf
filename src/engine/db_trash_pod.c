// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/db_trash_rows.h"

#define POD_COLUMNS "created_ns, infra, config"

fallible db_trash_read_pods(struct db *db, int64_t entry, struct db_trash_parts *p)
{
    own(stmt) sqlite3_stmt *s = NULL;
    int code;
    TRY(db_prepare(db, "SELECT id, name, " POD_COLUMNS " FROM trash_pod WHERE ?1 = 0 OR entry = ?1", &s));
    (void)sqlite3_bind_int64(s, 1, entry);
    while ((code = sqlite3_step(s)) == SQLITE_ROW) {
        p->pods = mem_array(p->pods, p->pods_n + 1, sizeof *p->pods);
        p->pods[p->pods_n++] = (struct db_pod){
            .id = db_column(s, 0),
            .name = db_column(s, 1),
            .created_ns = sqlite3_column_int64(s, 2),
            .infra = db_column(s, 3),
            .config = db_column(s, 4),
        };
    }
    return code == SQLITE_DONE ? NULL : db_fail(db, "read the trash");
}

static fallible move_pod(struct db *db, const struct db_pod *pod, int64_t entry)
{
    TRY(db_pod_must_be_empty(db, pod));
    TRY(db_trash_change(db,
                        "INSERT INTO trash_pod (entry, id, name, " POD_COLUMNS ") SELECT ?3, id, name, " POD_COLUMNS
                        " FROM pod WHERE id = ?1 AND ?2 IS NULL",
                        pod->id, NULL, entry));
    if (sqlite3_changes(db->handle) == 0)
        return err_new(ERR_NOT_FOUND, "no such pod: '%s'", pod->name);
    if (pod->infra)
        TRY(db_trash_move_container(db, pod->infra, entry));
    return db_delete_by(db, "DELETE FROM pod WHERE id = ?", pod->id);
}

fallible db_trash_pod(struct db *db, const struct db_pod *pod, const char *command, int64_t bytes, int64_t *entry)
{
    int64_t in = *entry;
    TRY(db_run(db, "BEGIN IMMEDIATE"));
    err *e = db_trash_enter(db, command, bytes, &in);
    TRY(db_commit_or_undo(db, e ? e : move_pod(db, pod, in)));
    *entry = in;
    return NULL;
}

static fallible infra_name(struct db *db, const char *id, char **ret)
{
    own(stmt) sqlite3_stmt *s = NULL;
    TRY(db_prepare(db, "SELECT name FROM trash_container WHERE id = ?", &s));
    db_bind_text(s, 1, id);
    if (sqlite3_step(s) != SQLITE_ROW)
        return err_new(ERR_NOT_FOUND, "container %.12s is not in the trash any more", id);
    *ret = db_column(s, 0);
    return NULL;
}

static fallible bring_pod(struct db *db, const struct db_pod *pod, const char *name)
{
    own_mem char *infra = NULL;
    TRY(db_trash_change(
        db, "INSERT INTO pod (id, name, " POD_COLUMNS ") SELECT id, ?2, " POD_COLUMNS " FROM trash_pod WHERE id = ?1",
        pod->id, name, 0));
    if (sqlite3_changes(db->handle) == 0)
        return err_new(ERR_NOT_FOUND, "pod %.12s is not in the trash any more", pod->id);
    if (pod->infra) {
        TRY(infra_name(db, pod->infra, &infra));
        TRY(db_trash_bring_container(db, pod->infra, infra));
    }
    return db_delete_by(db, "DELETE FROM trash_pod WHERE id = ?", pod->id);
}

fallible db_untrash_pod(struct db *db, const struct db_pod *pod, const char *name)
{
    TRY(db_run(db, "BEGIN IMMEDIATE"));
    return db_commit_or_undo(db, bring_pod(db, pod, name));
}
