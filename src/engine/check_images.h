/*
 * check_images.h: the part of check.h that looks at the image store: is all there that a name promises?
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_CHECK_IMAGES_H
#define HUSK_ENGINE_CHECK_IMAGES_H

#include "engine/engine.h"

enum check_image_kind {
    CHECK_IMAGE_BROKEN,  /* a document, a layer or a blob is missing or has the wrong size; name: the image's */
    CHECK_IMAGE_STAGING, /* killed commands left work in staging */
};
typedef err *check_image_problem(void *ctx, enum check_image_kind kind, const char *name, const char *text);
/* By what is there and by sizes; contents are husk verify's business. Nothing is changed. */
fallible check_images(struct engine *e, check_image_problem *problem, void *ctx);

#endif
