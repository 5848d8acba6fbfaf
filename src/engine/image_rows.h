/*
 * image_rows.h: what a list shows of every image, without reading every image's documents each time.
 *
 * The answer is remembered in <run>/images, a file in memory that is gone after a reboot. It is used only while nothing
 * that went into it can have changed: index.json is byte for byte the same, and no blob and no layer has come or gone
 * since (the times of their directories, of which none is so young that a change after our look could have left it the
 * same). Documents are named by their digests, so they cannot change: after a change only those images are read that
 * the file does not have; of the others it is asked whether their documents are there. A file that is missing, of
 * another store, or no such file at all is made anew.
 *
 *   "husk images 2" NUL, stamp NUL, bytes of index.json (decimal) NUL, index.json NUL, then for each image
 *   name NUL (empty: none), digest in index.json NUL, ID NUL, manifest's digest NUL, created NUL, bytes NUL,
 *   labels n NUL, n times KEY=VALUE NUL, layers n NUL, n times DIFFID NUL
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
    char *text; /* all of the above point into these two */
    const char **labels;
};
/* Images that cannot be read are passed over with a warning, and nothing is remembered then. */
fallible image_rows(struct engine *e, struct image_rows **ret);
void image_rows_free(struct image_rows *r);
OWN_TYPE(image_rows, struct image_rows *, image_rows_free)

#endif
