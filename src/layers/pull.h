/*
 * pull.h: an image from a registry into the store. Its name appears in index.json only when the manifest, the config,
 * every layer's blob and every unpacked layer are there and verified.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_PULL_H
#define HUSK_LAYERS_PULL_H

#include "image/layout.h"
#include "image/ref.h"
#include "image/registry.h"
#include "layers/progress.h"

struct pull_options {
    const char *platform; /* NULL: this machine's */
    struct registry_options registry;
    struct progress progress;
    size_t downloads; /* side by side; 0: 3, or 8 where that many are hashed at once (docs/adr/0026) */
    /* Asked about the documents before any of the blobs: the signature policy. NULL: all is welcome. */
    err *(*admit)(void *ctx, const struct registry_manifest *top, const struct registry_manifest *chosen);
    void *admit_ctx;
    bool drop_packed; /* a layer that is unpacked need not be fetched to be kept ([storage] keep_blobs = no) */
};
struct pull_result {
    char *name;   /* the full name it now has */
    char *digest; /* of what the registry has under that name: an index's or a manifest's */
    bool changed; /* false: the name pointed there already */
};
void pull_result_free(struct pull_result *r);
OWN_TYPE(pull_result, struct pull_result *, pull_result_free)

/**
 * pull_image - fetch what is missing and set the name. Within layout_begin_adding().
 * Errors: those of registry.h; NOT_FOUND also when no manifest is for the platform (the error lists those there are);
 * CORRUPT, EXHAUSTED.
 */
fallible pull_image(struct layout *l, const struct ref *ref, const struct pull_options *options,
                    struct pull_result **ret);

/**
 * pull_some - an image's config, and of its layers those that are named; no name is set, so the next sweep takes away
 * what nobody else uses by then. Within layout_begin_adding().
 * @diff_ids: NULL: none. Those that the image does not have are passed over.
 * @ret_config: its text; NULL: it is not asked for. Caller frees.
 * Errors: as of pull_image().
 */
fallible pull_some(struct layout *l, const struct ref *ref, const struct pull_options *options,
                   const struct strv *diff_ids, char **ret_config);

#endif
