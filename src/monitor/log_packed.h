/*
 * log_packed.h: rotated files of a log that were packed, as `--log-opt compress=true` asks: log.json.N.gz.
 *
 * The monitor packs nothing itself: after a rotation it runs libexec/husk/husk-pack, one at a time, which packs every
 * file from number 2 on (from 1 where there are but two) into a file without a name, syncs it, and then, with the lock
 * of the folder, gives it the number that its original has by then and removes that. Rotation takes the same lock. So a
 * kill at any point leaves the original, or both; who reads takes the original then.
 *
 * Readers know a file by its inode, which packing changes. What stays is its first line, with a time of nanoseconds:
 * its hash (FNV-1a, 64 bits) is the gzip header's comment, "husk HEX". Source: RFC 1952, 2.3.1.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_LOG_PACKED_H
#define HUSK_MONITOR_LOG_PACKED_H

#include <stdint.h>

#include "base/err.h"

enum { LOG_NAME_MAX = 64, LOG_NUMBER_MAX = 100000 };

/* "log.json", "log.json.3" or "log.json.3.gz"; number 0 is never packed, and its name then is no file's. */
const char *log_name(char name[LOG_NAME_MAX], int64_t number, bool packed);
/* Held while numbers change; -1: it cannot be had (no descriptors). Closing it gives it up. dir_fd may be O_PATH. */
int log_lock(int dir_fd);
/* Of its first line; 0: it has none yet. */
uint64_t log_head(int fd);
/* What a packed file's header says; 0: it was not packed by us. */
uint64_t log_packed_head(int fd);
/* A file without a name, with what was packed, at its beginning. dir_fd: where there is room for it. */
fallible log_unpack(int dir_fd, int packed_fd, int *ret_fd);

#endif
