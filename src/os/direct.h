/*
 * direct.h: a large file is written past the page cache where its file system can (O_DIRECT): nobody is going to read
 * it soon, so it should neither push out what others read nor cost its pages to be made and dropped.
 *
 * Source: open(2) "O_DIRECT".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_DIRECT_H
#define HUSK_OS_DIRECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "base/err.h"

enum { DIRECT_ALIGN = 4096 }; /* of memory, of lengths and of places in the file: whatever the disk's blocks are */

struct direct {
    int fd; /* borrowed */
    uint64_t at, from;
    bool past_cache;
};

/* fd: open for writing, of no one else; at: where the first byte will be, a multiple of DIRECT_ALIGN; from: up to there
 * it is written through the cache: what is small may soon be read and costs little. */
void direct_begin(struct direct *d, int fd, uint64_t at, uint64_t from);
/**
 * direct_write - pieces, one behind the other.
 * @pieces: aligned in memory, and of a multiple of DIRECT_ALIGN bytes; from the first other one on they go through the
 * cache, as all do where the file system refuses O_DIRECT.
 */
fallible direct_write(struct direct *d, const struct iovec *pieces, size_t n, const char *name);
/* The descriptor is an ordinary one again. What is on disk is not told to be there: sync it as any other file. */
void direct_end(struct direct *d);

#endif
