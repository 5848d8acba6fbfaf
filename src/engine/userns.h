/*
 * userns.h: the user namespaces of containers: ranges that no other container has (--userns auto), and whose the files
 * of an image are where a container's map is not the one in which the store's files belong to whom the image says.
 *
 * The ids of auto are subordinate ones of /etc/subuid and /etc/subgid, root's or the caller's; which a container has is
 * part of its configuration. Root's layers stay as they are: they are id-mapped where they are mounted. An ordinary
 * user may not id-map what is on disk. His store is right in his default map (inside 0 is he, the rest are his
 * subordinate ids); for every other map fuse-overlayfs tells the owners, from a user namespace above the container's
 * that has the default map ("shifted", docs/design/userns.md). So on disk all is in the default map.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_USERNS_H
#define HUSK_ENGINE_USERNS_H

#include "engine/container.h"
#include "os/ids.h"

enum { USERNS_IDS = 65536, USERNS_USER_IDS = 1024 };

/**
 * userns_allocate - choose ranges for auto that no other container has; for root in userns_first, with ranges of the
 * user's own choice (already in uid_map, gid_map), and for an ordinary user, in uid_map and gid_map.
 * @ret_lock: held until the container has its row, so that two at once do not choose the same.
 * Errors: UNSUPPORTED without subordinate ids, with the lines that cure it; EXHAUSTED.
 */
fallible userns_allocate(struct container *c, int *ret_lock);

/* The container_config's "INSIDE:OUTSIDE:COUNT" as a map, and back. */
fallible userns_map_read(const struct strv *texts, struct id_map *ret);
void userns_map_write(const struct id_map *map, struct strv *ret);
/* The part of a map at [inside, inside+count) is taken out: what is put there comes instead. */
void userns_map_cut(struct id_map *map, uint32_t inside, uint32_t count);
/* The same with what is the host's: no id of that may be two of the container's. */
void userns_map_cut_outside(struct id_map *map, uint32_t outside, uint32_t count);
/* The caller's own id is `id` inside; those below and above are the subordinate ones. */
void userns_map_keep(const struct id_map *base, uint32_t id, struct id_map *to);
/* The kernel wants no id in two ranges, and at most 340 of them. */
fallible userns_map_check(const struct id_map *map, const char *option);
/* The maps of a container that has some (userns_first or uid_map is set). */
fallible userns_maps_of(const struct container_config *c, struct id_map *uids, struct id_map *gids);
/* "ns:PATH": the maps that the namespace has, as this process counts. */
fallible userns_maps_at(const char *path, struct id_map *uids, struct id_map *gids);

/* An ordinary user's container with a map other than the default: how its root is made is chosen (c->config->storage).
 * Errors: UNSUPPORTED where only fuse-overlayfs could show its files and cannot be had. */
fallible userns_choose_storage(struct container *c);
/* An ordinary user's container whose program is another user than root, and which may write to the caller's files: what
 * it writes there is his. Nothing to do where that cannot be had. Not for one that joins another's namespaces. */
fallible userns_keep_user(struct container *c);
/* Whether it is shifted. */
bool userns_is_shifted(const struct container_config *c);
/* The shift of a root that will be mounted in the default map. */
fallible userns_shift(const struct container_config *c, struct rootfs_source *root);
/* A user or group of such a container in the default map; others stay as they are. INVALID when it has no such. */
fallible userns_in_default(const struct container_config *c, uint32_t *uid, uint32_t *gid);

/* Held while ids are leased, so that nobody else has them meanwhile. */
fallible userns_lock(struct engine *e, int *ret_fd);
/* CONFLICT when ids that this configuration leased are another container's: it was in the trash meanwhile. */
fallible userns_must_be_free(struct engine *e, const struct container_config *c);

#endif
