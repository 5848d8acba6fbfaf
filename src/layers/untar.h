/*
 * untar.h: the files of one layer's tar into an empty directory, so that no entry can reach anything outside of it.
 *
 * Parents are opened with openat2(RESOLVE_IN_ROOT) and kept in a small cache; everything is made by (directory
 * descriptor, last name). A later entry replaces an earlier one of the same name; a link that an earlier entry made is
 * followed as the container would follow it, inside the root. Whiteouts (".wh.NAME", ".wh..wh..opq") become what
 * overlayfs wants: a character device 0:0, and the xattr {trusted,user}.overlay.opaque.
 * Source: image-spec layer.md; overlayfs.rst "whiteouts and opaque directories".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_UNTAR_H
#define HUSK_LAYERS_UNTAR_H

#include "codec/tar.h"

/* What a layer may cost. 0: the default. */
struct untar_limits {
    uint64_t bytes;   /* of the uncompressed tar: 64 GiB, or HUSK_MAX_LAYER_BYTES */
    uint64_t entries; /* 4 Mi, or HUSK_MAX_LAYER_ENTRIES */
    uint64_t devices; /* 65,536 */
};
/* Fills what is 0 from the environment and the defaults. INVALID names a variable with a bad value. */
fallible untar_limits_fill(struct untar_limits *limits);

/* Files that are there already, in another store: they are linked or cloned instead of written, where they are as the
 * archive says. */
struct untar_origin {
    int fd; /* the directory whose files are the archive's; borrowed */
    /* A hard link of a file into a directory; *ret_done false: it cannot be. NULL: none are made. */
    err *(*link)(void *ctx, int from_fd, int dir_fd, const char *name, bool *ret_done);
    void *ctx;
    uint64_t linked, cloned, copied; /* files, so far */
    uint64_t layers_here;            /* for layers/foreign.h: those that needed nothing */
};

/* Told of each file that is written: its bytes as they come, then the file. Not of sparse ones, nor of those below a
 * size. */
struct untar_watch {
    uint64_t min;
    void (*bytes)(void *ctx, const unsigned char *bytes, size_t n);
    void (*file)(void *ctx, const char *path, uint64_t size);
    void *ctx;
};

/**
 * untar - all entries of the archive, into the directory.
 * @dir_fd: empty; owned by us; not O_PATH.
 * @limits: entries and devices are held; bytes are the stream's business.
 * The calling thread gets a file-creation mask of 0, its own (unshare(CLONE_FS)) where that is allowed.
 * Errors: CORRUPT, INVALID (a name that leads out, an unknown kind), EXHAUSTED (a limit, the disk, an owner that is
 * not mapped), DENIED. They name the entry. What was made so far stays: remove the directory.
 */
fallible untar(struct tar *t, int dir_fd, const struct untar_limits *limits);
/* The same with files from elsewhere; origin NULL: none. watch NULL: nobody is told. */
fallible untar_from(struct tar *t, int dir_fd, const struct untar_limits *limits, struct untar_origin *origin,
                    const struct untar_watch *watch);

#endif
