/*
 * db_map.h: the memory that SQLite's readers and writers share is a file's (husk.db-shm), and what a full disk has no
 * block for ends by SIGBUS when it is touched. SQLite makes room by a byte in every page (os_unix.c, unixShmMap()),
 * which is enough where a block is a page; where blocks are smaller, the rest of a page is a hole.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_DB_MAP_H
#define HUSK_ENGINE_DB_MAP_H

#include "base/err.h"

/* From now on what SQLite maps has blocks before it is mapped, or is not mapped: SQLITE_IOERR_SHMMAP then. Once in a
 * process. */
void db_map_with_blocks(void);
/* A failure of SQLite's that does not say why: is there no block left where the file is? */
bool db_disk_is_full(const char *path);

#endif
