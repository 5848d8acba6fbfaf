/*
 * db_look.h: husk.db as it is now, in memory: for a reader where SQLite cannot have its index of the write-ahead log
 * (husk.db-shm), because the disk has no block left for it or is mounted read-only.
 *
 * The two files are read whole, and read again when one of them changed meanwhile: a checkpoint writes into husk.db, a
 * transaction into husk.db-wal. Then the log's committed pages are laid over the file's, as any of SQLite's readers
 * would see them. Source: sqlite.org/fileformat2.html, section 4, "The Write-Ahead Log".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_DB_LOOK_H
#define HUSK_ENGINE_DB_LOOK_H

#include <stddef.h>

#include "base/err.h"

/**
 * db_look - a database of SQLite's that is in the mode of the write-ahead log.
 * @ret_bytes: of a database without a log; from sqlite3_malloc64(), the caller's.
 * Errors: of the files; NOT_FOUND (none, or it is empty); TIMEOUT (it changes all the time); EXHAUSTED (it is larger
 * than what is read so); CORRUPT.
 */
fallible db_look(const char *path, unsigned char **ret_bytes, size_t *ret_len);

#endif
