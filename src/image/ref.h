/*
 * ref.h: an image's name. Docker Hub's rules: "busybox" is docker.io/library/busybox:latest; the first part is a
 * registry when it has a dot or a colon or is "localhost". Source: distribution-spec "Pulling manifests" (name and tag
 * grammar), docker's reference normalisation.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_REF_H
#define HUSK_IMAGE_REF_H

#include "spec/oci_image.h" /* digest_valid(), digest_hex() */

struct ref {
    char *registry;   /* "docker.io", "127.0.0.1:5000" */
    char *repository; /* "library/busybox" */
    char *tag;        /* NULL when only a digest was given */
    char *digest;     /* "sha256:..." or NULL */
    bool is_short;    /* no registry was named: docker.io is only the default */
};
void ref_free(struct ref *r);
OWN_TYPE(ref, struct ref *, ref_free)

enum { REF_NAME_MAX = 255 }; /* registry + "/" + repository */

/* INVALID says which part is wrong and what would be right. */
fallible ref_parse(const char *text, struct ref **ret);
/* "docker.io/library/busybox:latest": what index.json and the engine store. With tag and digest, both are in it.
 * Parses back to the same. Caller frees. */
char *ref_full(const struct ref *r);
/* What people read: without docker.io and library/. Caller frees. */
char *ref_familiar(const struct ref *r);

#endif
