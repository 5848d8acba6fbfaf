/*
 * tar.h: read a tar archive, one entry after the other, from chunks of bytes, without copying file contents.
 *
 * Reads v7, ustar, GNU (long names, base-256 numbers, sparse files), star and PAX (extended headers, nanoseconds,
 * xattrs, sparse 0.0, 0.1, 1.0). The archive is a stranger's: each number is checked before it is used, memory is
 * bounded (TAR_META_MAX, TAR_SPARSE_MAX), and an error says at which byte of the archive it is.
 *
 * Why not libarchive: docs/adr/ "tar reader". Source: tar(5) of libarchive, POSIX pax, GNU tar manual "Sparse Formats".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CODEC_TAR_H
#define HUSK_CODEC_TAR_H

#include <stdint.h>

#include "base/err.h"

enum { TAR_BLOCK = 512, TAR_META_MAX = 1 << 20, TAR_SPARSE_MAX = 1 << 17, TAR_XATTRS_MAX = 256, TAR_NAME_MAX = 4095 };

/* The next bytes of the archive, any number at a time; they stay valid until the next call. *ret_n 0: the end. */
struct tar_source {
    err *(*next)(void *ctx, const unsigned char **ret_bytes, size_t *ret_n);
    void *ctx;
};

enum tar_type { TAR_FILE, TAR_HARD_LINK, TAR_SYMLINK, TAR_CHAR, TAR_BLOCK_DEVICE, TAR_DIR, TAR_FIFO };

struct tar_xattr {
    const char *name;
    const void *value;
    size_t n;
};
struct tar_entry {
    enum tar_type type;
    const char *path; /* as written in the archive: may be absolute, or hold ".." */
    const char *link; /* target of a link; "" otherwise */
    uint32_t mode;    /* 07777 */
    uint32_t uid, gid;
    uint64_t size; /* of a file, holes included; 0 for all else */
    bool sparse;   /* what tar_data() does not give is a hole */
    int64_t mtime_s;
    uint32_t mtime_ns;
    uint32_t major, minor;
    const struct tar_xattr *xattrs;
    size_t xattrs_n;
    uint64_t at; /* byte of the archive where its last header is */
};

struct tar;
struct tar *tar_new(struct tar_source source);
void tar_free(struct tar *t);
OWN_TYPE(tar, struct tar *, tar_free)

/**
 * tar_next - go to the next entry; contents of the last one that were not read are passed over.
 * @ret: borrowed, valid until the next call. NULL at the end of the archive.
 * Errors: CORRUPT with the place ("tar: byte 1536: ..."), the source's own. After an error: only tar_free().
 */
fallible tar_next(struct tar *t, const struct tar_entry **ret);
/**
 * tar_data - the next piece of the entry's contents: bytes that belong at *ret_offset of the file.
 * *ret_n 0: that was all. Offsets only grow. The bytes stay valid until the next call.
 */
fallible tar_data(struct tar *t, uint64_t *ret_offset, const unsigned char **ret_bytes, size_t *ret_n);
/* After the last entry: reads what follows in the source to its end, so that a digest covers all of it. */
fallible tar_drain(struct tar *t);

/* "/a/./b/../c" -> "a/c"; false when ".." leads out of the archive. out: room for as much as path has. */
bool tar_clean_path(const char *path, char *out);

/* Writing, for the few archives that husk makes itself: a ustar header (PAX records before it where ustar is too
 * narrow) for an entry, appended to out. The contents and tar_pad() follow; tar_end() closes the archive. */
struct str;
void tar_write_header(struct str *out, const struct tar_entry *entry);
/* A file with holes, as GNU tar writes it (PAX, sparse 1.0): the header and the map; the pieces' bytes follow one after
 * the other, and then tar_pad() of their sum. A hole at the end is an empty piece there. n is at most TAR_SPARSE_MAX.
 */
struct tar_piece {
    uint64_t offset, bytes;
};
void tar_write_sparse_header(struct str *out, const struct tar_entry *entry, const struct tar_piece *pieces, size_t n);
void tar_pad(struct str *out, uint64_t size);
void tar_end(struct str *out);

#endif
