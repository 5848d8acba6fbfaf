/*
 * db_trash_rows.h: what the trash's tables share. Of engine/db_trash*.c only.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_DB_TRASH_ROWS_H
#define HUSK_ENGINE_DB_TRASH_ROWS_H

#include "engine/db_parts.h"
#include "engine/db_trash.h"

/* Statements with up to two texts and a number: ?1, ?2, ?3. EXISTS: the name, which is two, is taken. */
fallible db_trash_change(struct db *db, const char *sql, const char *one, const char *two, int64_t three);
/* The rest is within a transaction. *entry: 0: a new one is made, and set; else bytes are added to it. */
fallible db_trash_enter(struct db *db, const char *command, int64_t bytes, int64_t *entry);
/* A container's rows there and back. NOT_FOUND. */
fallible db_trash_move_container(struct db *db, const char *id, int64_t entry);
fallible db_trash_bring_container(struct db *db, const char *id, const char *name);
/* Adds to p; entry 0: of all. */
fallible db_trash_read_networks(struct db *db, int64_t entry, struct db_trash_parts *p);
fallible db_trash_read_pods(struct db *db, int64_t entry, struct db_trash_parts *p);

#endif
