/*
 * erofs.h: a layer's tar as a file system without unpacking it: an index in EROFS's form that holds names, modes,
 * owners and times, and points into the tar for the contents. The kernel mounts index and tar from plain files.
 *
 *   byte 0       1,024 bytes of nothing
 *   byte 1,024   struct erofs_super_block, 128 bytes; then one slot of 128 bytes for each tar: its tag is the layer's
 *                diffID in hex, so that an index says which layers it is of
 *   then         inodes of 64 bytes with their attributes and short link targets; directories and long targets in
 *                blocks. Blocks are 512 bytes, as a tar's are, so a file's contents are a run of the tar's blocks.
 *
 * A layer's own index has whiteouts as overlayfs wants them. The index of an image (erofs_merge) has all its layers'
 * files as overlayfs would show them: a container needs one lower directory, however many layers there are.
 *
 * A layer and its index are one file, so that a layer takes two inodes, folder and file; the kernel mounts it alone:
 *
 *   byte 0       "husk:tar" and the tar's bytes as 64 bits, little-endian
 *   byte 1,024   the super block, without slots
 *   byte 4,096   the tar; filled up to 512 bytes
 *   then         inodes and the rest, as above
 *
 * Source: the kernel's Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h; docs/design/erofs.md.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_EROFS_H
#define HUSK_LAYERS_EROFS_H

#include "codec/tar.h"
#include "layers/untar.h"

/* A tree of files whose contents are in tars. */
struct erofs;
struct erofs *erofs_new(void);
void erofs_free(struct erofs *e);
OWN_TYPE(erofs, struct erofs *, erofs_free)

/**
 * erofs_read_tar - all entries of one layer's tar, by untar()'s rules, into an empty tree.
 * @device: which tar of the index it will be, from 0.
 * Errors: those of untar(); UNSUPPORTED for what cannot be pointed to (sparse files): unpack such a layer.
 */
fallible erofs_read_tar(struct erofs *e, struct tar *t, const struct untar_limits *limits, uint16_t device);
/* Puts a layer over what is there, as overlayfs would; upper is empty afterwards. */
void erofs_merge(struct erofs *e, struct erofs *upper);
/* True when the tree's root hides all layers below it. */
bool erofs_opaque(const struct erofs *e);

struct erofs_device {
    const char *diff_id; /* "sha256:<hex>" */
    uint64_t bytes;      /* of the file */
    uint64_t before;     /* of them before the tar: 0 or EROFS_TAR_AT */
};
/* Writes the index. UNSUPPORTED: larger than EROFS's 2^32 blocks of 512 bytes. */
fallible erofs_write(struct erofs *e, const struct erofs_device *devices, size_t n, int fd);
enum { EROFS_TAR_AT = 4096 };
/* Writes what is before and behind the tar in a layer's file: the tree must be of device 0. UNSUPPORTED: as above, and
 * then nothing was written. */
fallible erofs_write_layer(struct erofs *e, uint64_t tar_bytes, int fd);
/**
 * erofs_read_index - the tree that erofs_write_layer() wrote, into an empty tree: reads nothing of the tar.
 * @fd: a layer's file; its place does not matter. @device: which tar of the index it will be.
 * Errors: CORRUPT: it is not what erofs_write_layer() writes. The tree is of no use then.
 */
fallible erofs_read_index(struct erofs *e, int fd, uint16_t device);

/* ---- the reading side: needs no libraries ---- */

/**
 * erofs_mount - index and tars as a detached, read-only mount. For root only: the kernel lets no one else.
 * @index_fd, @tar_fds: open for reading; borrowed.
 * Errors: DENIED, UNSUPPORTED (no EROFS, or none from files: Linux 6.12), CORRUPT.
 */
fallible erofs_mount(int index_fd, const int *tar_fds, size_t n, int *ret_mount_fd);
/* How long the tar in a layer's file is. CORRUPT: it is no such file, or shorter than that. */
fallible erofs_tar_bytes(int fd, uint64_t *ret);
/* Asks the kernel with a small index in a nameless file of the directory: a tmpfs's files cannot be mounted from. */
bool erofs_works(int dir_fd);

#endif
