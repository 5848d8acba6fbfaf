/*
 * layer.h: unpacked layers, by diffID, each once whoever uses it.
 *
 *   <store>/layers/<hex of diffID>/fs/    the files; whiteouts as overlayfs wants them: a character device 0:0, and
 *                                         the xattr trusted.overlay.opaque (rootless: user.overlay.opaque) = "y"
 *   <store>/layers/<hex of diffID>/size   decimal bytes of the uncompressed tar
 *   <store>/layers/<hex of diffID>/usage  decimal bytes on disk, when somebody asked
 *   <store>/layers/<hex of diffID>/tree   digest of the files, when somebody verified (layers/verify.h)
 * or, in EROFS's form, one file in the place of fs and size (layers/merged.h).
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
/* The same, and from now on it stays while the caller's session adds (image/layout.h). */
bool layer_use(struct layout *l, const char *diff_id);
/* "<store>/layers/<hex>/fs"; caller frees. */
char *layer_path(struct layout *l, const char *diff_id);
/* Its root directory, for reading by descriptor, whatever its form. NOT_FOUND. */
fallible layer_open(struct layout *l, const char *diff_id, int *ret_fd);
/* Bytes of the uncompressed tar; NOT_FOUND. */
fallible layer_size(struct layout *l, const char *diff_id, int64_t *ret);
/* The image's layer directories, topmost first, as overlayfs wants them. NOT_FOUND names the missing layer. */
fallible layer_paths(struct layout *l, const struct image *image, struct strv *ret_paths);
/* Bytes on disk (as du counts) of all that belongs to a layer, if they were measured: layers_measure(). */
bool layer_usage(struct layout *l, const char *diff_id, uint64_t *ret_bytes);
/* The same; if they were not, it counts them, as far as the caller may look. */
bool layer_usage_now(struct layout *l, const char *diff_id, uint64_t *ret_bytes);
/* Measures those that were not yet, and remembers it in layers/HEX/usage: layers never change. */
fallible layers_measure(struct layout *l);

/* What containers and builds need. Apart: the diffID of one image's layer may be the digest of another's blob, where
 * that came as a plain tar. */
struct sweep_kept {
    struct strv indexes, manifests, blobs; /* digests */
    struct strv layers;                    /* diffIDs */
};
void sweep_kept_clear(struct sweep_kept *k);
struct sweep_options {
    /* Adds to it; called under the store's lock. NULL: none. */
    err *(*keep)(void *ctx, struct sweep_kept *ret);
    void *keep_ctx;
    const struct strv *without; /* full names (unnamed images: digests) of index.json that do not count; NULL: none */
    const char *without_part;   /* nor does this manifest where it is one of an index's; NULL: none */
    bool drop_packed;           /* an image's packed layers go when they are unpacked ([storage] keep_blobs = no) */
    bool dry_run;               /* only count */
};
struct sweep_result {
    uint64_t bytes;
    size_t blobs, layers;
};
/**
 * layers_sweep - remove blobs, layers and old staging that no name and nothing kept needs.
 * It waits for nobody but other sweeps and those who give an image a user or a name; see image/layout.h for those who
 * add. Under the lock things are only renamed; they are deleted after it. @ret: may be NULL.
 */
fallible layers_sweep(struct layout *l, const struct sweep_options *o, struct sweep_result *ret);

/**
 * layers_take_back - a session that failed leaves the store as it was: what was put there through l goes, unless a name
 *                    needs it by now or another session that adds has begun to use it.
 * The caller's own session has ended (layout_end_adding()), and it is root of the user namespace whose ids the files
 * have. On a full disk this needs no room.
 */
fallible layers_take_back(struct layout *l);

#endif
