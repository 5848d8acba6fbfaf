/*
 * top.h: the processes of a container, read from the host's /proc: nothing runs in it, so it needs no ps.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_TOP_H
#define HUSK_ENGINE_TOP_H

#include "engine/container.h"

/* What the user wants to see; docker's columns when nothing is said. */
struct top_wish {
    const struct top_column *columns[32];
    size_t n;
    struct strv titles; /* one for each column */
};
/**
 * top_parse - the words after the container's name.
 * ps(1)'s options as people use them with docker: -ef, -f, -e, -A, a, x, u, aux, axu, -o LIST, o LIST, --format LIST
 * (a LIST has commas or spaces; NAME=TITLE sets a title); or podman's descriptors as words: pid user comm.
 * Errors: INVALID names the word, and for a column the ones that there are.
 */
fallible top_parse(char *const *words, size_t n, struct top_wish *ret);
void top_wish_clear(struct top_wish *w);

struct top {
    struct strv titles;
    struct strv *rows; /* one text for each column */
    size_t n;
};
/* CONFLICT when it does not run; UNSUPPORTED when nothing tells its processes from the host's. */
fallible container_top(struct container *c, const struct top_wish *wish, struct top *ret);
void top_clear(struct top *t);

#endif
