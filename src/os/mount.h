/*
 * mount.h: mounts by descriptor. A mount is made detached, given its attributes, and placed on a descriptor; it dies
 * with the process if it is never placed. Source: fsopen(2), fsmount(2), open_tree(2), mount_setattr(2), move_mount(2).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OS_MOUNT_H
#define HUSK_OS_MOUNT_H

#include "os/linux.h"
#include <stdint.h>

#include "base/err.h"

/* A file system under construction: fsopen, then options, then mount_make(). */
struct mount_option {
    const char *key, *value; /* value NULL: a flag */
};
/**
 * mount_make - a new file system as a detached mount.
 * @attrs: MOUNT_ATTR_RDONLY, _NOSUID, _NODEV, _NOEXEC, _NOATIME ...
 * Errors: the kernel's own message for the file system (read from the fs descriptor) is in the text.
 */
fallible mount_make(const char *fstype, const char *source, const struct mount_option *options, size_t n,
                    uint64_t attrs, int *ret_mount_fd);
/* Same, from a "key=value,flag" string as in fstab and config.json (data options only, no rw/nosuid flags). A value in
 * double quotes may hold commas, as SELinux labels do. */
fallible mount_make_data(const char *fstype, const char *source, const char *data, uint64_t attrs, int *ret_mount_fd);
/* A copy of an existing mount (bind), detached. recursive: with what is mounted below. */
enum mount_depth { MOUNT_ONE, MOUNT_RECURSIVE };
fallible mount_copy(int fd, enum mount_depth depth, int *ret_mount_fd);
fallible mount_copy_path(const char *path, enum mount_depth depth, int *ret_mount_fd);
/* The same of a path as a process sees it, whatever its mount namespace: a link in it leads nowhere but there. */
fallible mount_copy_of_process(pid_t pid, const char *path, enum mount_depth depth, int *ret_mount_fd);
/* "/proc/PID/root/PATH": the process, and PATH with its slash (borrowed). */
bool mount_path_of_process(const char *path, pid_t *ret_pid, const char **ret_inside);
/* Attributes and propagation (MS_PRIVATE, MS_SLAVE, MS_SHARED, 0: as it is) of a mount by descriptor. */
fallible mount_set(int mount_fd, enum mount_depth depth, uint64_t attr_set, uint64_t attr_clr, uint64_t propagation);
/* Id-maps a detached mount by a user namespace. UNSUPPORTED when the file system cannot. */
fallible mount_idmap(int mount_fd, int userns_fd, enum mount_depth depth);
/* Whether two descriptors are of one file or directory, reached through one mount. */
fallible mount_same_place(int a_fd, int b_fd, bool *ret);
/* Puts a detached mount on top of what a descriptor names (directory on directory, file on file). */
fallible mount_place(int mount_fd, int target_fd);

#endif
