/*
 * image_rows_parts.h: what image_rows.c, which remembers, and image_rows_make.c, which reads images, share.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_IMAGE_ROWS_PARTS_H
#define HUSK_ENGINE_IMAGE_ROWS_PARTS_H

#include "engine/image_rows.h"

struct image_memory {
    int64_t entry; /* of index.json */
    bool fixed, whole;
    const char *rest; /* the row as it is remembered, from its name on */
    size_t rest_len;
};
/* What of the store is as it was when the rows were remembered. */
struct image_same {
    bool index, blobs, layers;
};
/* With its NUL. */
void image_rows_add_word(struct str *s, const char *word);
/**
 * image_rows_make - appends the rows of all images of index.json, in the form that is remembered.
 * @old: what is remembered, or NULL.
 * @ret_all: nothing was passed over but artifacts.
 */
fallible image_rows_make(struct layout *l, const struct image_rows *old, const struct image_same *same,
                         const char *index, size_t index_len, struct str *s, bool *ret_all);

#endif
