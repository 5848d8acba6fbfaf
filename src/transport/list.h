/*
 * list.h: an index of several platforms that is put together by hand: `husk manifest`. It lies in the store as any
 * other OCI index and has a name in index.json, so skopeo reads it. The images that it names need not be here: the
 * annotation dev.husk.manifest.origins of its entry in index.json says in which repository each of them is.
 * Source: image-spec image-index.md; docker-manifest(1), podman-manifest(1).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_TRANSPORT_LIST_H
#define HUSK_TRANSPORT_LIST_H

#include "transport/transport.h"

enum { LIST_MANIFESTS_MAX = 200 };

struct list {
    char *name; /* the full one */
    struct oci_index *index;
    struct strmap origins; /* digest -> "REGISTRY/REPOSITORY"; where it is, too or only */
};
void list_free(struct list *l);
OWN_TYPE(list, struct list *, list_free)

/* One without manifests; full_name: borrowed. */
struct list *list_new(const char *full_name);
/* NOT_FOUND; INVALID: the name stands for an image. */
fallible list_read(struct layout *l, const char *full_name, struct list **ret);
/* Into the store, under its name. @ret_digest: may be NULL. The caller holds list_lock(). */
fallible list_write(struct layout *l, const struct list *list, char **ret_digest);
/* Held from reading to writing: two who add at once would lose one. */
fallible list_lock(struct layout *l, int *ret_fd);

/* What a user says of one entry; NULL and empty: nothing. */
struct list_words {
    const char *os, *arch, *variant, *os_version;
    const struct strv *os_features, *annotations; /* "KEY=VALUE" */
};
/* Changes the entry with this digest (all of those with it). NOT_FOUND lists those there are. */
fallible list_annotate(struct list *list, const char *digest, const struct list_words *words);
/* Annotations of the index itself. INVALID: not KEY=VALUE. */
fallible list_annotate_self(struct list *list, const struct strv *annotations);
/* A digest that is there already is replaced. origin: "REGISTRY/REPOSITORY", or NULL: it is in the store. */
fallible list_add(struct list *list, const struct oci_descriptor *d, const char *origin);
fallible list_remove(struct list *list, const char *digest);
/* Without annotations, as Docker's manifest list. UNSUPPORTED: there are some, which would be lost. */
fallible list_as_docker(struct list *list);

/**
 * list_entries - what an image adds to a list: itself, this machine's platform of an index, or all of an index.
 * The platform of a single image is that of its config, which is fetched.
 * @ret: an index with the descriptors, annotations left out. Caller frees.
 */
fallible list_entries(struct source *from, bool all, struct oci_index **ret);

/**
 * source_list - a list with all its images, from the store and from where the others are.
 * @open: makes the source of a repository ("REGISTRY/REPOSITORY") and its reference; called once for each.
 */
typedef err *list_open(void *ctx, const char *repository, struct source **ret);
fallible source_list(struct layout *l, const struct list *list, list_open *open, void *ctx, struct source **ret);

#endif
