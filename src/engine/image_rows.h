/*
 * image_rows.h: what a list shows of every image, without reading every image's documents each time.
 *
 * The answer is remembered in <run>/images, a file in memory that is gone after a reboot. It is used only while nothing
 * that went into it can have changed: index.json is byte for byte the same, and no blob and no layer has come or gone
 * since (the times of their directories, of which none is so young that a change after our look could have left it the
 * same). Documents are named by their digests, so they cannot change: after a change only those entries of index.json
 * are parsed, and only those images read, that the file does not have. Where blobs or layers have come or gone, it is
 * asked of the others whether their documents and layers are there. Which image of an index of several platforms is
 * shown depends on what else is here, unless it is the one for this machine: then only its own presence matters.
 * A file that is missing, of another store, or no such file at all is made anew.
 *
 *   "husk images 3" NUL, stamps of store, blobs and layers NUL each, bytes of index.json (decimal) NUL, index.json NUL,
 * then for each image number of its entry in index.json NUL, flags NUL ("f": no other image can take its place while it
 * is here; "w": all of its layers were there), name NUL (empty: none), digest in index.json NUL, ID NUL, manifest's
 * digest NUL, created NUL, bytes NUL, labels n NUL, n times KEY=VALUE NUL, layers n NUL, n times DIFFID NUL
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_IMAGE_ROWS_H
#define HUSK_ENGINE_IMAGE_ROWS_H

#include "engine/engine.h"

struct image_row {
    const char *name; /* the full one, or NULL */
    const char *id, *manifest_digest;
    const char *created;       /* as its config has it; "": not said */
    int64_t bytes;             /* unpacked */
    const char *const *labels; /* "KEY=VALUE" */
    size_t labels_n;
    const char *top;           /* the digest that index.json names: the manifest's, or its index's */
    const char *const *layers; /* diffIDs */
    size_t layers_n;
};
struct image_rows {
    struct image_row *rows; /* in index.json's order, once for each name */
    size_t n;
    char *text; /* all of the above point into this and the next one */
    size_t text_len;
    const char **labels;
    struct image_memory *memory; /* what else is remembered of each row */
    const char *index;           /* the index.json that they are of, in text */
    size_t index_len;
};
/* Images that cannot be read are passed over with a warning, and nothing is remembered then. */
fallible image_rows(struct engine *e, struct image_rows **ret);
void image_rows_free(struct image_rows *r);
OWN_TYPE(image_rows, struct image_rows *, image_rows_free)

#endif
