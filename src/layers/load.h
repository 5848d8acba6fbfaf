/*
 * load.h: images out of an archive or directory into the store, as `docker load` does: docker-archive (manifest.json),
 * oci-archive and OCI layout (index.json). A docker-archive's image becomes an OCI manifest over the same config, so
 * its ID stays what it was. A name is set when all blobs and unpacked layers are there and verified.
 * Source: image-spec image-layout.md; docker's image/spec/v1.2.md, "Combined Image JSON + Filesystem Changeset Format".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_LOAD_H
#define HUSK_LAYERS_LOAD_H

#include "codec/stream.h"
#include "layers/bundle.h"
#include "layers/progress.h"

struct load_options {
    const char *platform; /* NULL: this machine's */
    struct progress progress;
};
struct loaded {
    char *name; /* as people read it; NULL: it has none */
    char *id;
};
struct load_result {
    struct loaded *images;
    size_t n;
};
void load_result_clear(struct load_result *r);

/**
 * load_images - all images of a bundle. Within layout_begin_adding().
 * Errors: INVALID (no image archive), CORRUPT, NOT_FOUND (a part is missing; no such platform), UNSUPPORTED, EXHAUSTED.
 * Images before the one that failed are loaded and in ret.
 */
fallible load_images(struct layout *l, struct bundle *b, const struct load_options *o, struct load_result *ret);

/* The layers of an image whose blobs are all in the store: unpacked, side by side. */
fallible load_unpack(struct layout *l, const struct oci_manifest *manifest, const struct oci_image_config *config,
                     const struct progress *progress);

/* A row of a docker-archive's manifest.json. */
struct docker_image {
    char *config; /* paths in the archive */
    struct strv repo_tags, layers;
};
fallible docker_image_read(json_t *row, struct docker_image **ret);
void docker_image_free(struct docker_image *d);
OWN_TYPE(docker_image, struct docker_image *, docker_image_free)
/* The media type of a layer that is packed so; UNSUPPORTED for xz and bzip2. */
fallible load_layer_media_type(enum stream_form form, const char **ret);

#endif
