/*
 * import.h: a root filesystem's tar becomes an image of one layer, as `docker import` does. The layer's blob is kept as
 * it came when it is packed with gzip or zstd, and packed with zstd otherwise: see docs/design/images.md.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_IMPORT_H
#define HUSK_LAYERS_IMPORT_H

#include "image/layout.h"

struct import {
    int fd;                          /* the tar, packed or not; a file or a pipe; borrowed */
    const struct oci_image_run *run; /* NULL: none; borrowed */
    const char *platform;            /* "os/architecture[/variant]"; NULL: this machine's */
    const char *comment, *created_by;
    int64_t created_ns;
};
/**
 * import_image - make the image; it has no name yet.
 * @ret_target: its manifest, for layout_set_name() or layout_add_unnamed(). @ret_id: its ID. Caller frees both.
 * Errors: those of layer_unpack().
 */
fallible import_image(struct layout *l, const struct import *i, struct oci_descriptor **ret_target, char **ret_id);
void import_target_free(struct oci_descriptor *d);
OWN_TYPE(import_target, struct oci_descriptor *, import_target_free)

/* An image of one layer whose blob is in the store: its config and manifest. */
fallible import_describe(struct layout *l, const struct import *i, const struct oci_descriptor *layer,
                         const char *diff_id, struct oci_descriptor **ret_target, char **ret_id);

#endif
