/*
 * source.h: where a container's root file system comes from.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ROOTFS_SOURCE_H
#define HUSK_ROOTFS_SOURCE_H

#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

enum rootfs_kind {
    ROOTFS_DIR,     /* a directory, used in place */
    ROOTFS_OVERLAY, /* read-only layers under a writable directory */
};
struct rootfs_source {
    enum rootfs_kind kind;
    char *dir;          /* ROOTFS_DIR */
    struct strv lowers; /* ROOTFS_OVERLAY: absolute paths, topmost first */
    char *upper, *work; /* absolute; NULL: no writable layer (a read-only overlay) */
    bool idmap;         /* map the image's ids by the container's user namespace with idmapped mounts (root only) */
    bool fuse;          /* ROOTFS_OVERLAY by fuse-overlayfs, a program that lives as long as the mount */
    /* fuse: the container's map differs from the one in which the files belong to whom the image says.
     * "ID:SHOWN:COUNT", in the user namespace that the mount is made in, as often as needed; NULL: they are shown as
     * they are. */
    char *uid_shift, *gid_shift;
    bool throw_away; /* nobody needs what is written after a power cut: overlayfs may leave out every sync */
};
void rootfs_source_free(struct rootfs_source *s);

/* The source as one detached mount. userns_fd: for source->idmap, else -1. in_userns: file attributes as user.* */
fallible source_mount(const struct rootfs_source *source, int userns_fd, bool in_userns, const char *label,
                      int *ret_mount_fd);
/* A user namespace that holds maps and nothing else: for userns_fd above. */
struct id_map;
fallible source_userns(const struct id_map *uids, const struct id_map *gids, int *ret_fd);
/* Copies a directory's content (directories, files, links; owners and modes too) into an empty one: into a new tmpfs
 * before it covers it, into a volume when it is first used. */
fallible copy_up(int from_fd, int to_fd);

#endif
