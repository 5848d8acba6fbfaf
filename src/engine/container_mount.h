/*
 * container_mount.h: `husk mount`: a container's root in the caller's own tree.
 *
 * Of a container that runs it is the very mount that its programs see as "/", without what is mounted on it; of another
 * it is made. A start takes what is mounted here in the place of a second overlay over the same directories, which the
 * kernel calls undefined; where it is mounted by an ordinary user's `husk unshare`, out of reach of a start outside,
 * that start is refused.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_CONTAINER_MOUNT_H
#define HUSK_ENGINE_CONTAINER_MOUNT_H

#include "engine/container.h"

/* Mounts it, or finds it mounted. @ret_path: caller frees. DENIED for an ordinary user outside `husk unshare`. */
fallible container_mount(struct container *c, char **ret_path);
/* NOT_FOUND: it is not mounted here. */
fallible container_unmount(struct container *c);
char *container_mount_path(const struct engine *e, const char *id);
/* IDs of those that are mounted in this mount namespace. */
fallible container_mounts(const struct engine *e, struct strv *ret_ids);
/* Sets *root to what is mounted, if it is. CONFLICT: mounted where this process cannot reach it. */
fallible container_mounted_root(const struct container *c, struct rootfs_source *root);

#endif
