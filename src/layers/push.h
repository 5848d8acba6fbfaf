/*
 * push.h: an image from the store to a registry: its blobs as they lie there, byte for byte, then its manifest. Nothing
 * is named in the registry before all that it needs is there.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_PUSH_H
#define HUSK_LAYERS_PUSH_H

#include "image/layout.h"
#include "image/ref.h"
#include "image/registry.h"
#include "layers/progress.h"

struct push_options {
    const char *platform; /* this platform's manifest alone; NULL: the whole index where all of it is here */
    struct registry_options registry; /* access: REGISTRY_PUSH */
    struct progress progress;
    size_t uploads; /* side by side; 0: 3 */
};
struct push_result {
    char *digest; /* what the registry has under that name now */
    int64_t size; /* of that manifest or index, bytes */
};
void push_result_free(struct push_result *r);
OWN_TYPE(push_result, struct push_result *, push_result_free)

/**
 * push_image - send an image. The caller holds layout_lock(LAYOUT_ADDING).
 * @what: a name or an ID, as for image_find().
 * @to:   where; with a digest alone it must be the image's.
 * Errors: those of push.h in image/; NOT_FOUND: no such image here, or a blob of it is not kept.
 */
fallible push_image(struct layout *l, const char *what, const struct ref *to, const struct push_options *options,
                    struct push_result **ret);

#endif
