/*
 * share.h: a cache that others have, or shall have: --cache-from and --cache-to.
 *
 * A shared cache is an image: its layers are those that steps made, and its config has the records that lead to them in
 * a member of its own, SHARE_MEMBER: [{"key": HEX, ...struct build_entry}]. With type=inline the image that is built is
 * its own cache. It can be in a registry or in an OCI layout on disk, and is looked at by nobody but husk: a record's
 * key is husk's (build/cache.h), and names contents alone, so it is the same on each machine.
 *
 * Of a registry's the records are read before the build begins, and a layer is fetched when a step is found to be one
 * of theirs, in the step's child; what cannot be fetched then is done. What is taken becomes entries of this store's
 * own cache: of a layout on disk all of it, once. A cache that cannot be had is told and is no error. Source:
 * docs.docker.com/build/cache/backends.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_SHARE_H
#define HUSK_BUILD_SHARE_H

#include "base/err.h"
#include "base/mem.h"
#include "build/cache.h"

#define SHARE_MEMBER "husk.build.cache"

struct build;
struct build_state;
enum share_kind { SHARE_REGISTRY, SHARE_LOCAL, SHARE_INLINE };
struct share {
    enum share_kind kind;
    char *place; /* an image's name, or a directory */
    char *tag;   /* of a directory: "latest" */
    bool all;    /* mode=max: of all stages, not of the target's alone */
    bool ignore_error;
};
/* What --cache-from or --cache-to (option) says. INVALID says what is wrong and what is right. */
fallible share_parse(const char *option, const struct strv *texts, struct share **ret, size_t *ret_n);
void share_clear(struct share *items, size_t n);

/* Takes the records of all --cache-from. */
fallible share_import(struct build *b);
/* One of a cache in a registry whose layer may not be here. */
struct share_record {
    char *key;
    struct build_entry *entry;
    const struct share *from;
};
/* NULL: none has it. Borrowed. */
const struct share_record *share_find(const struct build *b, const char *key);
/* Its layer, into the store; a word of what goes wrong is on standard error. */
fallible share_fetch(struct build *b, const struct share_record *r, struct build_layer *ret);
/* A step's record, for who wants to give it away. target: it is one of the target's stage. */
void share_note(struct build *b, const char *key, const struct build_cached *made, bool target);
void share_drop_notes(struct build *b);
/* Does the image that is built carry its own cache? */
bool share_is_inline(const struct build *b);
/* Adds the records to a config's text; layers: those that the image has. Caller frees. */
fallible share_add_records(const struct build *b, const char *config, const struct build_state *s, char **ret);
/* Carries all --cache-to out but inline. */
fallible share_export(struct build *b);

#endif
