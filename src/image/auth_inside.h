/*
 * auth_inside.h: what auth.c, auth_save.c and helper.c share. Inside the chapter only.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_AUTH_INSIDE_H
#define HUSK_IMAGE_AUTH_INSIDE_H

#include <jansson.h>

#include "base/mem.h"
#include "image/auth.h"

#define AUTH_HUB_SERVER                                                                                                \
    "https://index.docker.io/v1/" /* docker's name for docker.io in its files and to its helpers                       \
                                   */

enum { AUTH_FILE_MAX = 1 << 20 };

/* A key of "auths" as a reference has the registry: "https://x.io/v1/" is "x.io". Caller frees. */
char *auth_normal_key(const char *key);
/* The longest key that is the repository or a path above it; NULL: none. Borrowed. */
json_t *auth_longest_match(json_t *map, const char *full);
/* The files that are looked through, in order. */
void auth_default_files(struct strv *files);

/* Programs docker-credential-NAME. Source: docker-credential-helpers' README. INVALID: a path.
 * wait_ns: one that takes longer is killed: TIMEOUT; 0: two minutes, since it may ask a person. */
fallible helper_check_name(const char *name);
/* *ret NULL: it does not know the registry. */
fallible helper_get(const char *name, const char *registry, uint64_t wait_ns, struct credentials **ret);
fallible helper_store(const char *name, const char *registry, const struct credentials *c, uint64_t wait_ns);
fallible helper_erase(const char *name, const char *registry);

#endif
