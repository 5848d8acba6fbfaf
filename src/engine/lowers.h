/*
 * lowers.h: the layers of a container's image as directories for overlayfs.
 *
 * Unpacked layers are directories. Layers in EROFS's form (layers/merged.h) must be mounted, and are so once for all
 * containers, under <run>/erofs: a mount for each container would hold the same file's contents in memory as often.
 * Such a mount outlives its users and is taken away with its image, or by a reboot: docs/adr/0025.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_LOWERS_H
#define HUSK_ENGINE_LOWERS_H

#include "engine/engine.h"

/**
 * lowers_of - absolute paths, topmost first, added to ret.
 * @diff_ids: lowest first.
 * Errors: UNSUPPORTED (EROFS layers, and we are not root), those of erofs_mount().
 */
fallible lowers_of(struct engine *e, const struct strv *diff_ids, struct strv *ret_paths);
/* Unmounts what is of no image any more. */
fallible lowers_sweep(struct engine *e);

#endif
