/*
 * storage.h: how a container's root is made of its image's layers.
 *
 *   overlay          the kernel's overlayfs
 *   fuse-overlayfs   the program of that name, where the kernel's cannot be mounted: no overlayfs in this kernel, no
 *                    "userxattr" for an ordinary user (before 5.11), a store on a file system that cannot hold an upper
 *                    directory (another overlay, NFS, some FUSE)
 *   vfs              nothing is mounted: each container has a copy of all its files (shared extents where the file
 *                    system can, layers/flatten.h); works everywhere
 *
 * Which one is asked of the kernel once a boot, by doing it in the store's own staging, and remembered in
 * <run>/storage; or [storage] driver says so. A container keeps the one that it was made with.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_STORAGE_H
#define HUSK_ENGINE_STORAGE_H

#include "engine/container.h"
#include "image/settings.h"

/**
 * storage_driver - the one for new containers; never SETTINGS_DRIVER_AUTO.
 * @ret_why: why it is not the kernel's overlay, or NULL; caller frees. May be NULL.
 */
fallible storage_driver(struct engine *e, enum settings_driver *ret, char **ret_why);

/**
 * storage_shifts - whether fuse-overlayfs works here, which can show files with other owners than they have.
 * @ret_why: why not, with the cure; caller frees. May be NULL. Source: fuse-overlayfs(1), uidmapping.
 */
fallible storage_shifts(struct engine *e, bool *ret, char **ret_why);

/* vfs: makes the copy, when the container is made. */
fallible storage_copy(struct container *c);
/**
 * storage_upper - the container's changes as an overlay upper directory.
 * @ret_path: its path; caller frees. @ret_hold: with vfs a directory of staging, and that nobody else compares the copy
 * meanwhile, whose hard links would look like the container's. The caller lets go with storage_upper_end().
 */
struct storage_hold {
    int stage, lock; /* -1: nothing is held */
};
#define STORAGE_HOLD_NONE ((struct storage_hold){ -1, -1 })
fallible storage_upper(struct container *c, char **ret_path, struct storage_hold *ret_hold);
void storage_upper_end(const char *path, struct storage_hold *take_hold);

#endif
