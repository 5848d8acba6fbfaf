/*
 * layer.h: unpacked layers, by diffID, each once whoever uses it.
 *
 *   <store>/layers/<hex of diffID>/fs/    the files; whiteouts as overlayfs wants them: a character device 0:0, and
 *                                         the xattr trusted.overlay.opaque (rootless: user.overlay.opaque) = "y"
 *   <store>/layers/<hex of diffID>/size   decimal bytes of the uncompressed tar
 *
 * A layer exists whole or not at all: it is unpacked in <store>/tmp/, synced, and renamed here. Owners on disk are the
 * image's own ids as the store's owner may write them: for root the ids themselves, for an ordinary user the ids
 * inside the user namespace of ids_rootless_maps().
 *
 * This header is the reading side and needs no libraries; layers/unpack.h writes.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_LAYER_H
#define HUSK_LAYERS_LAYER_H

#include "image/layout.h"

/* Is it there? */
bool layer_exists(struct layout *l, const char *diff_id);
/* "<store>/layers/<hex>/fs"; caller frees. */
char *layer_path(struct layout *l, const char *diff_id);
/* Its root directory, for reading by descriptor. NOT_FOUND. */
fallible layer_open(struct layout *l, const char *diff_id, int *ret_fd);
/* Bytes of the uncompressed tar; NOT_FOUND. */
fallible layer_size(struct layout *l, const char *diff_id, int64_t *ret);
/* The image's layer directories, topmost first, as overlayfs wants them. NOT_FOUND names the missing layer. */
fallible layer_paths(struct layout *l, const struct image *image, struct strv *ret_paths);
/* Removes unreferenced blobs, layers and old staging: what no name, and none of the kept manifests and diffIDs, needs.
 * keep_digests: manifest digests that containers still use. Takes the store's lock exclusively; frees bytes. */
fallible layers_sweep(struct layout *l, const struct strv *keep_digests, uint64_t *ret_freed_bytes);

#endif
