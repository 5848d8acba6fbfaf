/*
 * images_filter.h: which images `husk images --filter` shows: docker's words and podman's.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_IMAGES_FILTER_H
#define HUSK_CLI_IMAGES_FILTER_H

#include "base/opt.h"
#include "engine/image_rows.h"

/* Read once: what all images are held against. Of references, IDs and digests one must match, of all else each. */
struct images_filter {
    struct strv references, labels, no_labels, ids, digests;
    struct opt_bool dangling, containers, manifest, never; /* never: of a kind of images that husk does not have */
    struct opt_i64 before, since, until;                   /* ns */
};
static inline void own_drop_images_filter(struct images_filter *f)
{
    strv_free(&f->references);
    strv_free(&f->labels);
    strv_free(&f->no_labels);
    strv_free(&f->ids);
    strv_free(&f->digests);
}

/* One "KEY=VALUE". INVALID; NOT_FOUND (before, since: no such image). */
fallible images_filter_read(struct engine *engine, const char *text, struct images_filter *f);
fallible images_filter_passes(struct engine *engine, const struct image_row *image, const struct images_filter *f,
                              bool *ret_passes);
/* pattern: '*' for any text, '?' for one letter; of the familiar name with its tag, or without. */
bool images_filter_reference(const struct image_row *image, const char *pattern);
/* Of a config's "created"; 0: none that can be read. */
int64_t images_created_ns(const char *text);

#endif
