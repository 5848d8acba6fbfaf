/*
 * deliver.h: where a finished image goes beside the store: --output, --push and --metadata-file.
 *
 * local and tar are the last stage's files, the layers over each other (layers/flatten.h). Archives and pushes are
 * husk-image's, as `husk save` and `husk push` make them. Of several platforms each has a directory of its own in local
 * and tar ("linux_arm64"), and archives have the index. Source: docker buildx build, "--output"; podman build.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_DELIVER_H
#define HUSK_BUILD_DELIVER_H

#include "base/err.h"
#include "base/mem.h"
#include "codec/stream.h"

struct build;
struct oci_descriptor;

enum deliver_kind { DELIVER_IMAGE, DELIVER_LOCAL, DELIVER_TAR, DELIVER_OCI, DELIVER_DOCKER, DELIVER_REGISTRY };
struct deliver {
    enum deliver_kind kind;
    char *dest; /* "-": standard output; NULL: an image */
    bool push;  /* registry: an image that is pushed */
};
/* How the image's layers shall be packed, if --output says so: the same for all of them, since the image is one. */
struct build_packing {
    bool set, force; /* force: those of the base image too */
    enum stream_form form;
    int level;   /* as codec/stream.h has it; 0: the store's own packing will do */
    bool docker; /* oci-mediatypes=false */
};
/* Runs husk-image: what it says on standard output goes there, to standard error, or nowhere. */
enum deliver_out { DELIVER_TO_STDERR, DELIVER_TO_STDOUT, DELIVER_UNHEARD };
fallible deliver_image_program(const struct strv *args, enum deliver_out out);
/* @texts: what --output says, each. @names: those of name= are added. @packing: zeroed. INVALID says what is wrong and
 * what is right. */
fallible deliver_parse(const struct strv *texts, struct strv *names, struct build_packing *packing,
                       struct deliver **ret, size_t *ret_n);
void deliver_clear(struct deliver *items, size_t n);
/* Is standard output taken, so that the image's ID cannot go there? */
bool deliver_takes_stdout(const struct deliver *items, size_t n);
/* Carries all of them out. The image is in the store already, and stays there when this fails. */
fallible build_deliver(struct build *b, const char *id, const struct oci_descriptor *image);

#endif
