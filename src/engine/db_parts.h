/*
 * db_parts.h: what the tables of husk.db share. Of engine/db*.c only.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_DB_PARTS_H
#define HUSK_ENGINE_DB_PARTS_H

#include <sqlite3.h>

#include "engine/db.h"

struct db {
    sqlite3 *handle;
    char *path;
    bool is_look; /* of DB_LOOK, in memory: what is written would be lost, so nothing is */
};

OWN_TYPE(stmt, sqlite3_stmt *, (void)sqlite3_finalize)

/* The last call's error with the file's path; what: "find a container". */
fallible db_fail(struct db *db, const char *what);
/* Statements without parameters. */
fallible db_run(struct db *db, const char *sql);
fallible db_prepare(struct db *db, const char *sql, sqlite3_stmt **ret);
/* text is borrowed until the statement is done; NULL is SQL's NULL. */
void db_bind_text(sqlite3_stmt *s, int i, const char *text);
/* A copy; NULL for SQL's NULL. */
char *db_column(sqlite3_stmt *s, int i);
/* Runs a statement that answers nothing. */
fallible db_finish(struct db *db, sqlite3_stmt *s, const char *what);
/* Ends a transaction: commits without an error, else undoes it and answers the error. */
fallible db_commit_or_undo(struct db *db, err *take_e);
/* sql has one parameter, the key. What cannot be read is not there. */
bool db_has_row(struct db *db, const char *sql, const char *key);
fallible db_delete_by(struct db *db, const char *sql, const char *key);

/* Whether a volume's use, an endpoint or a port names it. */
fallible db_container_is_used(struct db *db, const char *id, bool *ret);
/* CONFLICT while it has a container that is not its infra. */
fallible db_pod_must_be_empty(struct db *db, const struct db_pod *p);
/* A container's rows in every table, within a transaction. */
fallible db_container_forget(struct db *db, const char *id);

#endif
