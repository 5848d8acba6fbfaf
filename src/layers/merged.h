/*
 * merged.h: layers in EROFS's form, in the store.
 *
 *   <store>/layers/<hex>/erofs   the layer's uncompressed tar, byte for byte, and EROFS over it (layers/erofs.h); it
 *                                stands in the place of fs/
 *   <store>/layers/<hex>/tar, index   the same as two files, as husk made them until November 2026: read, not written
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

/* Where a layer's tar is. */
struct layer_tar {
    int fd;      /* -1: none; its place in the file means nothing */
    uint64_t at; /* byte of the file */
    uint64_t bytes;
};
/* layer_fd: of <store>/layers/<hex>; borrowed. The caller closes ret->fd. NOT_FOUND: it is not EROFS; CORRUPT. */
fallible layer_tar_open(int layer_fd, struct layer_tar *ret);
/* The same of the folder. */
bool layer_is_erofs(int layer_fd);
/* Reads on from *done, which is what was read already; 0 bytes: the end. */
fallible layer_tar_read(const struct layer_tar *t, uint64_t *done, void *buf, size_t max, size_t *ret_n);

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
