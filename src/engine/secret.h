/*
 * secret.h: small texts that only containers that name them may read: <root>/secrets/NAME.secret, mode 0600.
 *
 * A secret is one file, replaced by rename, so a killed process leaves the old one, the new one or none: a line of
 * JSON (what `secret inspect` shows), then the bytes as they are. They are not encrypted: who can read the user's
 * files can read them, as with an ssh key. A container has a secret's name and reads the bytes at each start.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_SECRET_H
#define HUSK_ENGINE_SECRET_H

#include "engine/config.h"
#include "engine/engine.h"

enum { SECRET_MAX_BYTES = 512000 }; /* docker's and podman's limit */

struct secret {
    char *name, *id; /* 25 hex digits, as podman's */
    int64_t created_ns, updated_ns;
    struct strmap labels;
    char *data; /* with a NUL behind it */
    size_t len;
};
void secret_clear(struct secret *s);
static inline void own_drop_secret(struct secret *s)
{
    secret_clear(s);
}

/* EXISTS, unless replace is set: then the new one has the old one's place. Caller frees *ret_id. */
fallible secret_create(struct engine *e, const char *name, const void *data, size_t len, const struct strmap *labels,
                       bool replace, char **ret_id);
/* By name, ID or unique prefix of one. NOT_FOUND, CONFLICT. */
fallible secret_find(struct engine *e, const char *what, struct secret *ret);
/* Names, sorted. */
fallible secret_names(struct engine *e, struct strv *ret);
fallible secret_remove(struct engine *e, const char *name);

/* --secret NAME[,type=mount|env,target=,uid=,gid=,mode=]; source= may name it too. */
fallible secret_grammar(const char *text, struct container_secret *ret);
void container_secret_clear(struct container_secret *s);
/* Where the n-th secret of a container is bound from: "DIR/secrets/N". Caller frees. */
char *secret_file(const char *dir, size_t n);

#endif
