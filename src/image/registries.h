/*
 * registries.h: containers-registries.conf(5): where a registry's images really come from, and what a name without a
 * registry means.
 *
 * Read: $CONTAINERS_REGISTRIES_CONF, else ~/.config/containers/registries.conf, else /etc/containers/registries.conf;
 * then the drop-ins *.conf of /etc/containers/registries.conf.d and ~/.config/containers/registries.conf.d, in the
 * order of their names, each overriding what came before: a [[registry]] with the same prefix, an alias, the search
 * list. Last the aliases that podman noted when it asked somebody which registry is meant: ~/.cache/containers/
 * short-name-aliases.conf, root's in /var/cache/containers. Strict: version 2 alone, unknown keys are refused with the
 * nearest known one. Without any file nothing is rewritten, and a name without a registry is Docker Hub's.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_REGISTRIES_H
#define HUSK_IMAGE_REGISTRIES_H

#include "base/mem.h"
#include "image/ref.h"

struct registries;
fallible registries_load(struct registries **ret);
void registries_free(struct registries *r);
OWN_TYPE(registries, struct registries *, registries_free)
/* A file's text over what is there already; @name is for messages. For registries_load(), tests and fuzzing. */
fallible registries_add(struct registries *r, const char *name, const char *text, size_t len);
struct registries *registries_new(void);

/* "credential-helpers": asked in this order, "containers-auth.json" for the files. Borrowed. */
const struct strv *registries_helpers(const struct registries *r);

/* "unqualified-search-registries". Borrowed. */
const struct strv *registries_search_list(const struct registries *r);

/* A place where an image may be. */
struct registry_place {
    char *registry, *repository;
    bool insecure;
    bool mirror;
    enum place_for { PLACE_FOR_ALL, PLACE_FOR_DIGESTS, PLACE_FOR_TAGS } use;
};
struct registry_places {
    struct registry_place *items;
    size_t n;
};
void registry_places_clear(struct registry_places *p);

/**
 * registries_places - where to pull a reference from: its mirrors in their order, then its own location.
 * Errors: DENIED (blocked), INVALID (the location leads to no valid name).
 */
fallible registries_places(const struct registries *r, const struct ref *ref, struct registry_places *ret);
/* Where to push it: as it is named. The same errors. */
fallible registries_push_place(const struct registries *r, const struct ref *ref, struct registry_places *ret);

/**
 * registries_resolve - what a user typed, as full references in the order in which they are tried: one, but for a name
 *                      without a registry when several are searched.
 * Errors: INVALID (no name; or ambiguous, and short-name-mode is "enforcing").
 */
fallible registries_resolve(const struct registries *r, const char *text, struct strv *ret_names);

#endif
