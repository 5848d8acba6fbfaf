/*
 * userns.h: --userns auto for root: each container has ids of its own that mean nothing outside of it.
 *
 * The ids are root's subordinate ranges of /etc/subuid and /etc/subgid, handed out in blocks of 65536; which block a
 * container has is part of its configuration. Layers stay as they are: they are id-mapped where they are mounted.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_USERNS_H
#define HUSK_ENGINE_USERNS_H

#include "engine/config.h"
#include "engine/engine.h"
#include "os/ids.h"

enum { USERNS_IDS = 65536 };

/**
 * userns_allocate - choose a block that no other container has; config's userns_first is set.
 * @ret_lock: held until the container has its row, so that two at once do not choose the same.
 * Errors: UNSUPPORTED without subordinate ids, with the lines that cure it; EXHAUSTED.
 */
fallible userns_allocate(struct engine *e, struct container_config *config, int *ret_lock);

/* The container_config's "INSIDE:OUTSIDE:COUNT" as a map. */
fallible userns_map_read(const struct strv *texts, struct id_map *ret);
/* The maps of a container of root's that has some (userns_first is set). */
fallible userns_maps_of(const struct container_config *c, struct id_map *uids, struct id_map *gids);

#endif
