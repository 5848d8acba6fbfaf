/*
 * artifact.h: OCI artifacts: manifests whose blobs are any files (SBOMs, charts, models), kept in the store under a
 * name beside the images, never unpacked. push_image() of layers/push.h sends them. Source: image-spec manifest.md,
 * "Guidelines for Artifact Usage"; podman-artifact(1).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_ARTIFACT_H
#define HUSK_LAYERS_ARTIFACT_H

#include "image/ref.h"
#include "layers/pull.h"

#define ARTIFACT_TITLE "org.opencontainers.image.title" /* the annotation of a blob that is its file's name */

struct artifact {
    char *name, *digest; /* the full name; of the manifest */
    char *text;          /* the manifest's document */
    struct oci_manifest *manifest;
    int64_t size; /* bytes of its blobs */
};
void artifact_free(struct artifact *a);
OWN_TYPE(artifact, struct artifact *, artifact_free)

/* Fetch what is missing and set the name. UNSUPPORTED: it is a container image; else pull_image()'s errors. */
fallible artifact_pull(struct layout *l, const struct ref *ref, const struct pull_options *options, char **ret_digest);

/* A file that becomes a blob. */
struct artifact_file {
    int fd; /* from its first byte; a regular file */
    const char *title, *media_type;
};
struct artifact_wish {
    const char *type;                     /* "application/vnd.example.sbom"; NULL: ARTIFACT_TYPE_UNKNOWN */
    const struct strv *annotations;       /* of the manifest: "KEY=VALUE"; NULL: none */
    const char *config, *config_type;     /* a text, or NULL: the empty object */
    const struct oci_descriptor *subject; /* what it is about; NULL: nothing */
    bool no_titles;                       /* layers without their files' names */
};
#define ARTIFACT_TYPE_UNKNOWN "application/vnd.unknown.artifact.v1"
/* The blobs and the manifest, without a name. */
fallible artifact_make(struct layout *l, const struct artifact_wish *wish, const struct artifact_file *files, size_t n,
                       char **ret_digest, int64_t *ret_size);
enum artifact_how { ARTIFACT_NEW, ARTIFACT_REPLACE, ARTIFACT_APPEND };
/* Makes an artifact of files, in the place of the one that has the name, or with its files. Of a wish for
 * ARTIFACT_APPEND annotations count alone. EXISTS: the name is taken, or the artifact has a file of that name;
 * NOT_FOUND: none to append to. */
fallible artifact_add(struct layout *l, const struct ref *ref, enum artifact_how how, const struct artifact_wish *wish,
                      const struct artifact_file *files, size_t n, char **ret_digest);

/* By full name. NOT_FOUND; UNSUPPORTED: an image has that name. */
fallible artifact_find(struct layout *l, const struct ref *ref, struct artifact **ret);
/* All of them; caller frees each and the list. */
fallible artifact_list(struct layout *l, struct artifact ***ret, size_t *ret_n);
/* Writes the blobs' files into a directory under their titles, or those with one title or digest alone (NULL: all).
 * INVALID: a title that is no plain file name. */
fallible artifact_extract(struct layout *l, const struct artifact *a, const char *title, const char *digest, int dir_fd,
                          size_t *ret_files);
/* Writes its only (or the only matching) blob into a descriptor. CONFLICT: there are more. */
fallible artifact_extract_one(struct layout *l, const struct artifact *a, const char *title, const char *digest,
                              int fd);

#endif
