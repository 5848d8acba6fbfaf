/*
 * hashes.h: the sha256 of the context's files, each read once: a stat cache remembers.
 *
 *   <root>/build/files/<hex of the context's path>   records of 72 bytes, sorted by (device, inode):
 *     0 u64 device   8 u64 inode   16 u64 size   24 i64 mtime ns   32 i64 ctime ns   40 u8[32] sha256
 *
 * A record counts when all five numbers are those of now. The change time cannot be set by anybody, so a file that was
 * written differs in it; one that changed in the last second is not remembered, for the clock's grain.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_HASHES_H
#define HUSK_BUILD_HASHES_H

#include <stdbool.h>
#include <sys/stat.h>

#include "base/err.h"

enum { HASH_SIZE = 32 };
struct hashes;
/* @dir_fd: <root>/build/files; borrowed for the hashes' life. A file that is not there or broken is an empty cache. */
struct hashes *hashes_open(int dir_fd, const char *context_path);
/* The digest of a regular file, if it is remembered. */
bool hashes_known(const struct hashes *h, const struct stat *st, unsigned char ret[HASH_SIZE]);
/* By reading it to its end. name: for messages. buffer: room bytes to read into. Any thread may. */
fallible hashes_sum(int fd, const char *name, unsigned char *buffer, size_t room, unsigned char ret[HASH_SIZE]);
/* st: as it was before it was read. */
void hashes_remember(struct hashes *h, const struct stat *st, const unsigned char hash[HASH_SIZE]);
/* Writes what is new. A failure costs time at the next build and nothing else. */
void hashes_save(struct hashes *h);
void hashes_free(struct hashes *h);
OWN_TYPE(hashes, struct hashes *, hashes_free)

#endif
