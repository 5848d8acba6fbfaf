/*
 * usage.h: what the store takes on disk, as du(1) counts, and what of it could be had back.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_USAGE_H
#define HUSK_ENGINE_USAGE_H

#include "engine/engine.h"

enum usage_kind {
    USAGE_IMAGES,
    USAGE_CONTAINERS,
    USAGE_VOLUMES,
    USAGE_BUILD_CACHE,
    USAGE_TRASH,
    USAGE_OTHER,
    USAGE_KINDS
};
struct usage_row {
    const char *type; /* docker's word; "Trash": engine/trash.h; "Other": database, index, staging, locks */
    size_t total, active;
    uint64_t bytes, reclaimable;
};
struct usage_image {
    char *name, *id, *created;      /* name: NULL: none */
    uint64_t bytes, shared, unique; /* on disk: packed and unpacked; unique: what goes when it is removed */
    size_t containers;
};
struct usage_item { /* a container or a volume */
    char *name, *id, *image;
    uint64_t bytes;
    bool active;
};
struct usage {
    struct usage_row rows[USAGE_KINDS]; /* their bytes add up to what du says of the store */
    struct usage_image *images;
    struct usage_item *containers, *volumes;
    size_t images_n, containers_n, volumes_n;
};
fallible usage_read(struct engine *e, struct usage *ret);
/* Of the blobs and layers alone. */
fallible usage_images(struct engine *e, uint64_t *ret_bytes);
void usage_clear(struct usage *u);

#endif
