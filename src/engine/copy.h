/*
 * copy.h: files into and out of roots as tar streams: the two halves of `husk cp`.
 *
 * Both sides are given a root by descriptor and reach nothing outside of it: links are followed inside the root as its
 * own programs would follow them, and what is made is made in an opened directory by its last name.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_COPY_H
#define HUSK_ENGINE_COPY_H

#include "engine/container.h"

/**
 * copy_out - what is at a path as a tar on a descriptor: one entry, or a directory with all below it; its own name is
 * the first part of each.
 * @follow: a link is what it leads to. A path that ends with a slash, or "/.", is a directory that links are followed
 *          to.
 * Errors: NOT_FOUND, the tar writer's.
 */
fallible copy_out(int root_fd, const char *path, bool follow, int tar_fd);

struct copy_into {
    const char *path; /* in the root; a slash at the end says that it is to be a directory */
    bool contents;    /* what is in the archive's first directory, not that itself ("SOURCE/.") */
    bool as_is;     /* an archive of the user's: its names as they are, below the directory `path`, which must exist */
    bool owners;    /* as in the archive; else ours */
    bool overwrite; /* a directory may take a file's place and the other way round */
    const struct unpacked *unpacked; /* whose first bytes come before those of the descriptor; NULL: none */
};
/**
 * copy_in - a tar from a descriptor into a root, named by the rules of docker cp.
 * Errors: NOT_FOUND and CONFLICT for what is at the target, CORRUPT (the archive), what the file system says.
 */
fallible copy_in(int root_fd, const struct copy_into *into, int tar_fd);

/* One side of a copy: a container's path, the host's (container NULL), or the standard stream (path "-"). */
struct copy_side {
    struct container *container;
    const char *path;
};
struct copy_options {
    bool archive, follow, overwrite;
};
fallible container_copy(const struct copy_side *from, const struct copy_side *to, const struct copy_options *o);

#endif
