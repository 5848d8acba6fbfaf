/*
 * cache.h: what steps made, by what went into them, so that none is done twice.
 *
 *   <root>/build/cache/<hex>   JSON: the layer that a step left (struct build_cached). The name is the sha256 of the
 *                              step's parts: the layers below, the instruction with its variables, the environment,
 *                              the digest of the files that it takes. The time of the file is that of its last use.
 *   <root>/build/last/<hex>    the parts of the last run of one step of one Dockerfile, a line each: --explain-cache
 *   <root>/build/files/<hex>   build/hashes.h
 *   <root>/build/mounts/<hex>/ RUN --mount=type=cache
 *
 * A layer that an entry names is kept by sweeps (build_cache_keep()), so the entries are bounded: BUILD_CACHE_MAX of
 * them, the longest unused going first. An entry is a whole file, renamed in place: a killed build leaves all or none.
 * An entry whose layer is gone is a miss.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_CACHE_H
#define HUSK_BUILD_CACHE_H

#include "build/state.h"

enum { BUILD_CACHE_MAX = 1000 };

/* What goes into a step: named parts, in order. */
struct step_parts {
    struct strv lines; /* "name value" */
    struct strv notes; /* more, for --explain-cache: not in the key */
};
void step_part(struct step_parts *p, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
void step_parts_clear(struct step_parts *p);
/* 64 hex digits; caller frees. */
char *step_key(const struct step_parts *p);

struct build_cache {
    struct layout *layout; /* borrowed */
    int fd, cache_fd, last_fd, files_fd;
    int64_t since_s; /* --cache-ttl: what was made before is a miss; 0: nothing is */
};
/* Makes the folders. */
fallible build_cache_open(struct layout *l, struct build_cache *ret);
void build_cache_close(struct build_cache *c);

struct build_cached {
    struct build_layer layer;
    int64_t newest_s; /* struct build_state: after the step */
    char *what;       /* the instruction, for people */
    int64_t made_s;   /* by this machine's clock; 0: not known. For --cache-ttl alone: it goes nowhere else */
};
void build_cached_clear(struct build_cached *c);
static inline void own_drop_build_cached(struct build_cached *c)
{
    build_cached_clear(c);
}
/* *ret_hit: and its layer is there, and stays while this session adds. */
fallible build_cache_find(struct build_cache *c, const char *key, struct build_cached *ret, bool *ret_hit);
fallible build_cache_put(struct build_cache *c, const char *key, const struct build_cached *what);
/* Removes the longest unused entries beyond the limit, and files of contexts that nobody built for a long time. */
void build_cache_trim(struct build_cache *c);

/* The first part that is not as it was in the last run of this slot; "never built" when there was none. Caller frees.
 */
char *build_cache_why(struct build_cache *c, const char *slot, const struct step_parts *now);
void build_cache_note(struct build_cache *c, const char *slot, const struct step_parts *now);

#endif
