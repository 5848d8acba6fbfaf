/*
 * check_images.h: the part of check.h that looks at the image store: is all there that a name promises?
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_CHECK_IMAGES_H
#define HUSK_ENGINE_CHECK_IMAGES_H

#include "engine/engine.h"

enum check_image_kind {
    CHECK_IMAGE_BROKEN,     /* a document, a layer or a blob is missing or has the wrong size; name: the image's */
    CHECK_IMAGE_STAGING,    /* killed commands left work in staging */
    CHECK_IMAGE_EXTENTS,    /* the index of shared extents is lost or damaged */
    CHECK_IMAGE_BUILD_NAME, /* a name that a killed build had given for its own length; name: that */
};
typedef err *check_image_problem(void *ctx, enum check_image_kind kind, const char *name, const char *text);
/* By what is there and by sizes; contents are husk verify's business. Nothing is changed. */
fallible check_images(struct engine *e, check_image_problem *problem, void *ctx);
/* Takes a CHECK_IMAGE_BUILD_NAME away. CONFLICT when a build has begun meanwhile. */
fallible check_images_drop_build_name(struct engine *e, const char *name);

#endif
