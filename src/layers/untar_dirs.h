/*
 * untar_dirs.h: the directories of a layer that is being unpacked: opened ones are kept in a small cache, and what they
 * are to look like in the end is remembered until all is made.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_UNTAR_DIRS_H
#define HUSK_LAYERS_UNTAR_DIRS_H

#include "codec/tar.h"

/* What is remembered about directories, at most: some three million of ordinary length. */
enum { UNTAR_DIRS_BYTES_MAX = 256 << 20 };

struct untar_dirs;
/* root_fd: borrowed. */
struct untar_dirs *untar_dirs_new(int root_fd);
void untar_dirs_free(struct untar_dirs *d);
OWN_TYPE(untar_dirs, struct untar_dirs *, untar_dirs_free)

/**
 * untar_dirs_open - the directory that the first len bytes of path name, made (0755) with its parents when missing.
 * Links on the way lead where they would in a container: inside the root.
 * @ret_fd: O_PATH, borrowed until the next call of untar_dirs_open() or untar_dirs_forget().
 */
fallible untar_dirs_open(struct untar_dirs *d, const char *path, size_t len, int *ret_fd);
/* Nothing cached is certain any more: a directory or link was replaced. */
void untar_dirs_forget(struct untar_dirs *d);

/* Copies what the entry says. EXHAUSTED beyond UNTAR_DIRS_BYTES_MAX. */
fallible untar_dirs_remember(struct untar_dirs *d, const char *path, const struct tar_entry *e);
/* Calls set() for all that was remembered and is still a directory. The entry's path is the one remembered. */
fallible untar_dirs_finish(struct untar_dirs *d, err *(*set)(void *ctx, int fd, const struct tar_entry *e), void *ctx);

#endif
