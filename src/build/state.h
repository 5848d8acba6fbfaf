/*
 * state.h: what a stage is after an instruction: an image's config, its layers and the arguments in scope.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_STATE_H
#define HUSK_BUILD_STATE_H

#include "image/layout.h"

/* A layer as a step left it; parallel to the config's diffIDs. */
struct build_layer {
    char *diff_id, *digest, *media_type;
    int64_t size, tar_size; /* tar_size 0: not known (an image's) */
    bool empty;             /* the step changed nothing: there is no layer */
};
void build_layer_clear(struct build_layer *l);
static inline void own_drop_build_layer(struct build_layer *l)
{
    build_layer_clear(l);
}

struct build_state {
    struct oci_image_config *config; /* its config, rootfs and rootfs->diff_ids are there always */
    struct build_layer *layers;
    size_t layers_n;
    int64_t newest_s;              /* the newest time that any input so far had: later ones are written as this */
    struct strv args;              /* ARG in scope: "NAME=VALUE" */
    struct strv unset_args;        /* declared, without a value */
    struct strmap annotations;     /* of the manifest that it stands on */
    char *base_name, *base_digest; /* of the image that it stands on; NULL: scratch */
};
void build_state_free(struct build_state *s);
OWN_TYPE(build_state, struct build_state *, build_state_free)

/* FROM scratch. platform: "linux/arm64". */
struct build_state *build_state_scratch(const char *platform);
fallible build_state_of_image(const struct image *image, struct build_state **ret);
/* FROM a stage: without its arguments. */
fallible build_state_copy(const struct build_state *from, struct build_state **ret);
/* layer: copied; NULL or an empty one: the history alone. created_by, comment: copied. */
void build_state_add(struct build_state *s, const struct build_layer *layer, const char *created_by, int64_t time_s);
/* A digest of the layers: what a step's files begin with. Caller frees. */
char *build_state_key(const struct build_state *s);
/* "2026-11-26T00:00:00Z". Written into the caller's buffer. */
const char *build_time(int64_t s, char buf[40]);

#endif
