/*
 * rootfs_parts.h: what the files of this chapter share among themselves.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ROOTFS_ROOTFS_PARTS_H
#define HUSK_ROOTFS_ROOTFS_PARTS_H

#include "rootfs/options.h"
#include "rootfs/rootfs.h"

/* For tests: the way of kernels before 6.5, by mount(2) with short paths. Both make the same mount. */
fallible overlay_mount_new(const struct rootfs_source *source, const int *lower_fds, bool in_userns, const char *label,
                           int *ret_mount_fd);
fallible overlay_mount_old(const struct rootfs_source *source, const int *lower_fds, bool in_userns, const char *label,
                           int *ret_mount_fd);

/* A bind mount's source, copied with its options. userns_fd: for idmap without mappings of its own, else -1. */
fallible bind_copy(const struct rootfs *r, size_t i, int userns_fd, int *ret_mount_fd);
/* The same made in the host's mount namespace: what is mounted on the copy does not come out on the host. */
fallible prepare_bind(const struct rootfs *r, size_t i, int userns_fd, int *ret_mount_fd);
/* linux.mountLabel, or NULL. Borrowed. */
const char *mount_label(const struct rootfs *r);
/* An overlay over a directory with directories of its own, each named in one option: "lowerdir=PATH". */
bool mount_is_layered(const struct oci_mount *m);
fallible layered_mount(const struct rootfs *r, size_t i, int userns_fd, bool in_userns, int *ret_mount_fd);
/* Makes and places one of config.json's mounts. */
fallible mount_one(struct rootfs *r, size_t i);
/* Sets what the option words ask of a detached or placed mount. */
fallible mount_apply(int mount_fd, const struct mount_options *o);
/* A user namespace that holds a mount's maps and nothing else, for id-mapping. */
fallible userns_for_maps(const struct oci_mount *m, int *ret_fd);
/* The same for crun's words: "uids=FILE-HOST-COUNT[#...];gids=...". With "@" in front HOST is an id of the container.
 */
fallible userns_for_words(const struct rootfs *r, const char *words, int *ret_fd);

fallible cgroup_view_mount(struct rootfs *r, size_t i, int target_fd);
/* Opens a mount point below the root, making it when missing: as a directory, one that everybody may write to, or a
 * file. */
enum target_kind { TARGET_DIRECTORY, TARGET_OPEN_DIRECTORY, TARGET_FILE };
fallible target_open(const struct rootfs *r, const struct oci_mount *m, enum target_kind kind, int *ret_fd);
/* The path of a descriptor below the container's root as the container will see it; caller frees. */
char *target_path(const struct rootfs *r, int fd);
/* "/dev" for "dev/", "//dev/." and such: by text only. Caller frees. */
char *path_normal(const char *path);
/* The spec's own mount at this path, or NULL. */
const struct oci_mount *mount_at(const struct oci_spec *spec, const char *path);
/* rootfs/fuse.c: the source as a detached mount of fuse-overlayfs. The program ends when the mount is gone. UNSUPPORTED
 * says why it cannot be had. */
fallible fuse_overlay_mount(const struct rootfs_source *s, int *ret_mount_fd);
/* The same, made in a user namespace by a child. */
fallible fuse_overlay_mount_in(const struct rootfs_source *s, int userns_fd, int *ret_mount_fd);

#endif
