/*
 * image_mount.h: an image's files in another place than a container's root: `--mount type=image`, `husk image mount`.
 *
 * A container's mount of an image keeps the image's layers, not its name: they stay until the container is removed.
 * `husk image mount` mounts at <run>/mounts/NS/HEX (engine/mounts.h), HEX being the manifest's digest: read-only, in
 * the mount namespace of the caller (an ordinary user's is that of `husk unshare`). It is the one mount that outlives
 * its command, because that is what it is for; the image can be removed all the same, after which a running look at it
 * goes on.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_IMAGE_MOUNT_H
#define HUSK_ENGINE_IMAGE_MOUNT_H

#include "engine/config.h"
#include "engine/engine.h"

/**
 * image_mount_resolve - what the images of a new container's mounts are now: sets their layers. As with docker and
 * podman they are not pulled. The caller holds the store's lock until the container has its row.
 * Errors: NOT_FOUND; UNSUPPORTED (the storage driver cannot mount it); INVALID (the subpath).
 */
fallible image_mount_resolve(struct engine *e, struct container_config *config);
/**
 * image_mount_lowers - the directories of a container's mount, topmost first; with a subpath that path in each layer,
 * as far as overlayfs would look. One that is a file comes alone. Errors: NOT_FOUND, INVALID (a link on the way).
 */
fallible image_mount_lowers(struct engine *e, const struct container_mount *m, struct strv *ret_paths);

/* Mounts it, or finds it mounted. @ret_path: where; caller frees. DENIED for an ordinary user outside `husk unshare`.
 */
fallible image_mount(struct engine *e, const char *what, char **ret_path);
/* NOT_FOUND when it is not mounted. NULL: all. Adds the images' digests. */
fallible image_unmount(struct engine *e, const char *what, struct strv *ret_digests);
/* Digests of the manifests that are mounted. */
fallible image_mounts(struct engine *e, struct strv *ret_digests);
/* Where; caller frees. */
char *image_mount_path(const struct engine *e, const char *digest);

#endif
