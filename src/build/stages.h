/*
 * stages.h: a Dockerfile's stages, what each needs of the others, and which of them the target needs at all.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_STAGES_H
#define HUSK_BUILD_STAGES_H

#include "build/dockerfile.h"

enum { STAGE_NONE = -1 };
enum stage_base { BASE_SCRATCH, BASE_STAGE, BASE_IMAGE };

struct stage {
    const struct df_instruction *from;
    size_t first, end; /* its instructions in the file, without FROM */
    char *name;        /* NULL: it has only its number */
    enum stage_base base_kind;
    int base;       /* BASE_STAGE: its number */
    char *image;    /* BASE_IMAGE */
    char *platform; /* --platform; NULL: not given */
    bool *needs;    /* parallel to the stages: is one of them its base, or copied or mounted from */
    bool used;      /* the target needs it */
};
struct stages {
    const struct dockerfile *file; /* borrowed */
    struct stage *items;
    size_t n, target;
    struct strv globals;         /* ARG before FROM, "NAME=VALUE" */
    const struct strv *contexts; /* borrowed */
};
struct stages_input {
    const struct strv *build_args;    /* "NAME=VALUE" */
    const struct strv *platform_args; /* TARGETPLATFORM=... and so on */
    const char *target;               /* NULL: the last */
    const struct strv *contexts;      /* names that mean something else than a stage; NULL: none */
    bool all;                         /* every stage is used */
    const char *from;                 /* the image of the first FROM, instead of its own; NULL: its own */
};
/* Errors: INVALID with the place; NOT_FOUND: no such target, with those that there are. */
fallible stages_of(const struct dockerfile *f, const struct stages_input *in, struct stages **ret);
/**
 * stages_add_needs - an instruction that a stage has from its base image (ONBUILD): the stages that it names are used.
 * @name: what stands in front of the place in an error.
 */
fallible stages_add_needs(struct stages *s, size_t index, const char *name, const struct df_instruction *i);
void stages_free(struct stages *s);
OWN_TYPE(stages, struct stages *, stages_free)

/* The stage that a word of --from or from= means, among those before `before`; STAGE_NONE: it is an image. */
int stages_find(const struct stages *s, const char *word, size_t before);
/* "build-1" or its name. Written into the caller's buffer. */
const char *stage_title(const struct stages *s, size_t i, char buf[64]);

#endif
