/*
 * build_cache.h: the build cache as the engine must know it: its entries name layers that a sweep keeps.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_BUILD_CACHE_H
#define HUSK_ENGINE_BUILD_CACHE_H

#include "codec/bind.h"
#include "image/layout.h"

/* <root>/build/cache/<hex>: build/cache.h explains. */
struct build_entry {
    char *diff_id, *digest, *media_type, *what;
    int64_t size, tar_size, newest, made;
    bool empty;
};
extern const struct bind_type build_entry_type;
void build_entry_free(struct build_entry *e);
OWN_TYPE(build_entry, struct build_entry *, build_entry_free)

/**
 * build_cache_forget - entries whose layer is not in used, or all of them when used is NULL; their layers go with the
 * next sweep, if nothing else has them.
 * @ret_keys: the entries' names; @ret_digests: the diffIDs that no entry keeps then.
 */
fallible build_cache_forget(struct layout *l, const struct strv *used, bool dry_run, struct strv *ret_keys,
                            struct strv *ret_digests);
/* Adds the diffIDs that entries name. An entry that cannot be read keeps nothing: it is a miss. */
fallible build_cache_keep(struct layout *l, struct strv *ret_digests);

#endif
