/*
 * tar_read.h: what the files of the tar reader share: its state, the header block and the bytes of the archive.
 *
 * tar.c takes the archive apart into entries, tar_number.c reads the numbers in it, tar_extended.c what PAX and GNU
 * headers say of the entry that follows, tar_sparse.c the maps of files with holes. The formats' sources are named in
 * tar.h.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CODEC_TAR_READ_H
#define HUSK_CODEC_TAR_READ_H

#include "codec/tar.h"

/* The header block: field, offset, length. POSIX ustar; the last rows are GNU's and star's. */
#define H_NAME        0, 100
#define H_MODE        100, 8
#define H_UID         108, 8
#define H_GID         116, 8
#define H_SIZE        124, 12
#define H_MTIME       136, 12
#define H_CHECKSUM    148, 8
#define H_LINK        157, 100
#define H_MAJOR       329, 8
#define H_MINOR       337, 8
#define H_PREFIX      345, 155
#define H_STAR_PREFIX 345, 131
#define H_REALSIZE    483, 12
enum {
    AT_TYPE = 156,
    AT_MAGIC = 257,
    AT_STAR_TRAILER = 508,
    AT_SPARSE = 386, /* in an old GNU sparse header: 4 pairs of 12 + 12 bytes, then "there is more" */
    SPARSE_PAIRS = 4,
    AT_MORE = 482,
    EXTENSION_PAIRS = 21, /* in each block that follows */
    AT_EXTENSION_MORE = 504,
};

struct tar_segment {
    uint64_t offset, bytes;
};

/* What extended headers said about the entry that follows them. */
struct tar_pending {
    char *path, *link;         /* PAX */
    char *gnu_path, *gnu_link; /* 'L', 'K': they win, as in Go's reader */
    char *sparse_name;
    bool has_size, has_uid, has_gid, has_mtime, has_real_size;
    uint64_t size, uid, gid, real_size, sparse_offset;
    int64_t mtime_s;
    uint32_t mtime_ns;
    int sparse_major, sparse_minor;
    bool sparse, sparse_map_in_data, has_sparse_offset;
};

struct tar {
    struct tar_source source;
    const unsigned char *chunk; /* n bytes not used yet, the first of them at byte `at` of the archive */
    size_t n;
    uint64_t at;
    bool ended;
    unsigned char block[TAR_BLOCK];
    uint64_t block_at;

    uint64_t left; /* bytes of contents in the archive not given out yet */
    size_t pad;    /* and what fills the last block */
    uint64_t offset;
    struct tar_segment *map;
    size_t map_n, map_room, map_at;

    struct tar_pending pending;
    struct tar_xattr *xattrs;
    size_t xattrs_n;
    char *path, *link;
    struct tar_entry entry;
};

/* Contents and headers are filled up to whole blocks: by how many bytes. */
static inline size_t tar_padding(uint64_t size)
{
    return (size_t)(-size & (TAR_BLOCK - 1));
}
fallible tar_corrupt(const struct tar *t, const char *what); /* with the place of the last header */
/* Exactly n bytes of the archive; CORRUPT where it ends before. */
fallible tar_copy_bytes(struct tar *t, void *to, size_t n);
fallible tar_skip(struct tar *t, uint64_t n);

/* A number as header blocks have it, octal or GNU's base 256; false: it is none, or too large. */
bool tar_number(const unsigned char *block, size_t at, size_t n, int64_t *ret);
/* A field of the last header block that cannot be negative. */
fallible tar_field(const struct tar *t, size_t at, size_t n, const char *what, uint64_t *ret);
/* Digits only, and at least one. */
bool tar_decimal(const char *p, size_t n, uint64_t *ret);
/* "-12.5" is 12.5 seconds before the epoch: the nanoseconds count upward from the second below. */
bool tar_seconds(const char *p, size_t n, int64_t *ret_s, uint32_t *ret_ns);

/* An extended header of size bytes: what it says of the next entry goes to t->pending, t->xattrs, t->map. */
fallible tar_read_pax(struct tar *t, uint64_t size);
fallible tar_read_gnu_name(struct tar *t, uint64_t size, char **slot);

fallible tar_add_segment(struct tar *t, uint64_t offset, uint64_t bytes);
/* GNU.sparse.map of PAX: "offset,bytes,offset,bytes" */
fallible tar_sparse_map(struct tar *t, const char *p, size_t n);
/* The map of an old GNU sparse file: in its header block and the blocks behind it. */
fallible tar_gnu_sparse(struct tar *t);
/* PAX sparse 1.0: the map is the first thing in the contents, filled up to whole blocks. */
fallible tar_sparse_1_0(struct tar *t);
/* In order, within the file, and exactly as many bytes as there are. */
fallible tar_check_map(struct tar *t);

#endif
