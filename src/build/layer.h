/*
 * layer.h: an upper directory becomes a layer of the store: packed as a blob, and moved as it is to layers/HEX/fs, so
 * nothing is unpacked again.
 *
 * The same tree makes the same bytes: entries are sorted (layers/diff.h), times later than newest_s are set to it in
 * the tree and so in the tar, all are whole seconds, and the packing is always the same: zstd, level 1.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_LAYER_H
#define HUSK_BUILD_LAYER_H

#include "build/settle.h"
#include "build/state.h"
#include "layers/diff.h"

/* Bytes that must not be in a layer. */
struct build_secret {
    const char *id;
    const char *bytes;
    size_t n;
};
struct layer_input {
    const char *dir;    /* "tmp/build-.../3": has upper/, is consumed. Below the store */
    int64_t newest_s;   /* later times become it */
    bool all_at_once;   /* earlier ones, too */
    bool keep_times;    /* none does */
    bool files_in_time; /* files are so already: directories alone are looked at */
    int64_t begun_s;    /* what was written since is newest_s old, though that is yet to come; 0: nothing was */
    const struct build_secret *secrets;
    size_t secrets_n;
    struct settle *settle; /* NULL: nothing is written early */
    struct diff_stream
        *stream; /* build_layer_stream(), which has been told of everything; NULL: a tar is yet to be made */
};
/* The layer's tar, made while the directory is filled. It is not looked through for secrets. */
fallible build_layer_stream(struct layout *l, int upper_fd, struct diff_stream **ret);
/* Are there any that are looked for? */
bool build_layer_has_secrets(const struct build_secret *secrets, size_t n);
/* Within layout_begin_adding(). Errors: DENIED: a secret is in it; those of diff_put(). */
fallible build_layer_make(struct layout *l, const struct layer_input *in, struct build_layer *ret);
/* A layer whose blob was swept, packed again; CORRUPT when other bytes come out. */
fallible build_layer_repack(struct layout *l, const struct build_layer *layer);

#endif
