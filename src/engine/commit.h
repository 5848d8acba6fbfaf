/*
 * commit.h: a container as an image: its writable layer on top of its image's, with a configuration of its own.
 *
 * The layer is packed and the documents are written by husk-image, which has the libraries for it and confines itself;
 * it is told by a plan in JSON on a descriptor.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_COMMIT_H
#define HUSK_ENGINE_COMMIT_H

#include "engine/container.h"
#include "spec/oci_image.h"

struct commit_options {
    const char *author, *message, *name; /* name NULL: the image has none */
    const struct strv *changes;          /* lines of a Dockerfile, as --change takes them */
    bool pause;                          /* while its files are read */
    bool quiet;
    bool volumes; /* what a volume is mounted at becomes a volume of the image, not only the image's own */
    const char *iidfile;
    const char *config; /* a JSON file of a configuration (docker's and OCI's "config") that goes over the container's;
                           "-": standard input */
};
/* Prints the new image's ID on our standard output. UNSUPPORTED for a container with a directory as its root. */
fallible container_commit(struct container *c, const struct commit_options *o);

/* What husk-image is told. */
struct commit_plan {
    char *upper;      /* absolute */
    char *manifest;   /* digest of the image's */
    int64_t first_id; /* the host's id of the container's 0, when the ids on disk are moved by that; else 0 */
    char *author, *message, *created_by, *name, *container;
    struct strv skip, changes;
    struct oci_image_run *run; /* as the container has it */
};
extern const struct bind_type commit_plan_type;
void commit_plan_free(struct commit_plan *p);
OWN_TYPE(commit_plan, struct commit_plan *, commit_plan_free)

#endif
