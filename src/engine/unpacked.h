/*
 * unpacked.h: an archive that may be packed, as a plain one: husk-image unpacks it, which parses strangers' bytes and
 * confines itself first. A plain one is read as it is, and nothing is started for it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_UNPACKED_H
#define HUSK_ENGINE_UNPACKED_H

#include "base/err.h"
#include "codec/stream.h"

struct unpacked {
    int fd;                                 /* the plain bytes, but for the first; borrowed, or pipe_fd */
    unsigned char begin[STREAM_MAGIC_SIZE]; /* the first, which were read to see what it is */
    size_t begin_n;
    int pipe_fd, pidfd; /* -1: nothing was started */
};
#define UNPACKED_NONE ((struct unpacked){ .fd = -1, .pipe_fd = -1, .pidfd = -1 })
/* gzip, zstd, xz, bzip2 or plain, by its first bytes. fd is borrowed until unpacked_end(). */
fallible unpacked_begin(int fd, struct unpacked *ret);
/* What went wrong with the unpacking, or take_e: the reader's own error, which may follow from it. */
fallible unpacked_end(struct unpacked *u, err *take_e);

#endif
