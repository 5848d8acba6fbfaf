/*
 * image_remove.h: names of images go; what no name and no container needs goes with them.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_IMAGE_REMOVE_H
#define HUSK_ENGINE_IMAGE_REMOVE_H

#include "engine/engine.h"

/**
 * image_remove - by name or ID.
 * @force: also while a container uses it (the container keeps what it needs), and an ID with several names.
 * @ret_lines: "Untagged: NAME", and "Deleted: ID" when that was its last name.
 * Errors: NOT_FOUND, CONFLICT (in use, several names).
 */
fallible image_remove(struct engine *e, const char *what, bool force, struct strv *ret_lines);
/* Another name for an image. */
fallible image_tag(struct engine *e, const char *what, const char *name);
/* With all: names that no container uses go first. Then everything that nothing needs. */
fallible image_prune(struct engine *e, bool all, struct strv *ret_lines, uint64_t *ret_bytes);
/* Manifests and layers that containers need: for layers_sweep(). */
fallible image_kept(struct engine *e, struct strv *ret_digests);

#endif
