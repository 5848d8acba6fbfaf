/*
 * unpack.h: a layer's blob becomes <store>/layers/<diffID>: unpacked in staging, verified, synced, renamed. In one
 * pass: unpack (codec/stream.h), hash for the diffID (in a second thread), write files (layers/untar.h).
 *
 * The caller is root, really or in a user namespace (os/userns.h), within layout_begin_adding(). Several layers
 * may be unpacked at once in several threads. Two processes with the same layer: the first to finish wins. A killed one
 * leaves staging that nobody holds: layout_sweep_staging().
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_UNPACK_H
#define HUSK_LAYERS_UNPACK_H

#include "codec/stream.h"
#include "image/layout.h"
#include "layers/untar.h"

struct unpack {
    struct stream_source source; /* the blob's bytes, packed or plain */
    const char *diff_id;         /* what the uncompressed bytes must hash to; NULL: answer what they hash to */
    bool verified;               /* the source is a plain tar that the caller already hashed to diff_id */
    struct untar_limits limits;
    struct untar_origin *origin; /* NULL, or where its files are already; the layer is made of files then */
    /* NULL, or asked when all is unpacked and right, before any of it is visible: an error takes it all back. */
    err *(*admit)(void *ctx);
    void *admit_ctx;
    /* NULL, or told now and then how many packed bytes were read. May run in another thread than the caller's. */
    void (*progress)(void *ctx, uint64_t bytes_in);
    void *progress_ctx;
};

/**
 * layer_unpack - unpack and publish a layer; one that is there already is a success without reading anything.
 * @ret_diff_id: may be NULL; caller frees.
 * Errors: CORRUPT (not the diffID, broken tar or packing), INVALID (hostile), EXHAUSTED, DENIED; wrapped with
 * "unpack layer <12 digits>". Nothing is left in staging.
 */
fallible layer_unpack(struct layout *l, const struct unpack *u, char **ret_diff_id);
/* The same from a blob in the store (a pull's last step). */
fallible layer_unpack_blob(struct layout *l, const char *blob_digest, const char *diff_id,
                           void (*progress)(void *ctx, uint64_t bytes_in), void *progress_ctx);

/**
 * layer_unpack_aside - the same into staging, and no further: to compare with what is there, or to take its place.
 * @form: UNPACK_FILES: of files whatever the store's new layers are; UNPACK_AS_SET: as those are.
 * @ret_name: "tmp/...", caller frees, and removes the tree unless it was renamed. @ret_fd: holds it; fs/ is in it.
 */
enum unpack_form { UNPACK_AS_SET, UNPACK_FILES };
fallible layer_unpack_aside(struct layout *l, const char *blob_digest, const char *diff_id, enum unpack_form form,
                            char **ret_name, int *ret_fd);

/* A staged directory with all that a layer has (fs/, size), synced, is put in place: one that was made elsewhere.
 * *ret_ours false: another process was first with the same layer, and the staged one is still there. */
fallible layer_publish(struct layout *l, const char *staged, const char *diff_id, bool *ret_ours);

#endif
