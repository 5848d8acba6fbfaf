/*
 * merged.h: layers in EROFS's form, in the store.
 *
 *   <store>/layers/<hex>/tar     the layer's uncompressed tar, byte for byte
 *   <store>/layers/<hex>/index   EROFS over that tar (layers/erofs.h); the two stand in the place of fs/
 *   <store>/merged/<key>         EROFS over the tars of all layers of an image: one directory for a container. It may
 * be missing: each layer can be mounted by itself. <key> is a hash of the layers' diffIDs, which the index itself
 * names.
 *
 * What auto, the default, means: docs/adr/0025-erofs-layers.md.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_MERGED_H
#define HUSK_LAYERS_MERGED_H

#include "image/layout.h"

enum layer_form { LAYER_FILES, LAYER_EROFS };
/* Sets l->erofs: HUSK_LAYERS (erofs, files, auto), else the settings' [storage] layers; and l->share_extents. Before
 * the caller confines itself. INVALID: another word; UNSUPPORTED: erofs, and that cannot be here. */
fallible layer_form_choose(struct layout *l);
/* What this one is; LAYER_FILES also when it is not there. */
enum layer_form layer_form_of(struct layout *l, const char *diff_id);

/* A layer's index, mounted: detached, read-only. */
fallible layer_mount(struct layout *l, const char *diff_id, int *ret_mount_fd);

/* 16 hex digits and a NUL: of the layers, lowest first. */
void merged_key(const struct strv *diff_ids, char ret[17]);
/* *ret_mount_fd -1: there is none, or it is of other layers. */
fallible merged_mount(struct layout *l, const struct strv *diff_ids, int *ret_mount_fd);
bool merged_exists(struct layout *l, const struct strv *diff_ids);
/* Is the layer's index what its tar makes? layer_fd: of <store>/layers/<hex>; borrowed. */
fallible layer_index_fits(int layer_fd, const char *diff_id, bool *ret);
/* Makes it when there are several layers, all are EROFS and it is missing; needs the tars, and no other library. */
fallible merged_make(struct layout *l, const struct strv *diff_ids);

#endif
