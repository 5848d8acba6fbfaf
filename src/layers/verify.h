/*
 * verify.h: are the bytes of the store still those that were verified when they came?
 *
 * Blobs are hashed again. A layer's files are compared with what its blob unpacks to, by the digest of the tar that
 * layers/diff.h writes of either; that digest is kept in layers/HEX/tree, so that the next time only the files are
 * read. A repair fetches a blob from the registry of the image's name and unpacks a layer anew; what is good is never
 * touched, and what is bad goes only when something better is there.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_VERIFY_H
#define HUSK_LAYERS_VERIFY_H

#include "image/layout.h"
#include "image/registry.h"

struct verify_options {
    bool repair;
    bool quick; /* only what is missing or has the wrong size; nothing is hashed */
    /* Where a name's blobs may be fetched: its registry. Error: none. Called in the calling thread. */
    err *(*open_registry)(void *ctx, const char *full_name, struct registry **ret);
    void (*tell)(void *ctx, const char *line); /* each finding */
    void *ctx;
};
struct verify_result {
    size_t blobs, layers; /* that were looked at */
    uint64_t bytes;       /* that were hashed */
    size_t bad, repaired;
    size_t unknown; /* layers whose blob was not kept and whose files were never compared */
};
/* Some of index.json's images; each blob and layer once, whoever has it. names: full names or digests; NULL: all. */
fallible verify_images(struct layout *l, const struct strv *names, const struct verify_options *o,
                       struct verify_result *ret);

#endif
