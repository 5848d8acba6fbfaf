/*
 * diff_walk.h: the walk through an overlay upper directory that both the list and the tar of layers/diff.h are made by.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_DIFF_WALK_H
#define HUSK_LAYERS_DIFF_WALK_H

#include <sys/stat.h>

#include "layers/diff.h"

/* Directories of the lowers that are merged into the one at hand, topmost first. */
struct diff_below {
    int *fds;
    size_t n;
};
struct diff_entry {
    const char *path; /* "etc/passwd"; "": the root. Borrowed, as all here, until the callback returns */
    const char *name; /* its last part */
    int dir_fd;       /* where it is */
    int fd;           /* a directory, opened; -1 for all else */
    struct stat st;
    bool whiteout;
    bool opaque;                    /* a directory that hides what is below it */
    bool hides;                     /* it, or one around it */
    const struct diff_below *below; /* what is below dir_fd, hidden or not */
    const struct diff_below *under; /* a directory: what is below itself */
};
struct diff_visitor {
    err *(*enter)(void *ctx, const struct diff_entry *e); /* everything; a directory before what is in it */
    err *(*leave)(void *ctx, const struct diff_entry *e); /* a directory after what is in it; may be NULL */
    void *ctx;
};
fallible diff_walk(const struct diff *d, const struct diff_visitor *visitor);

/* What the merged lowers have under a name. False when nothing, or a whiteout. ret_layer may be NULL. */
bool diff_below_has(const struct diff_below *below, const char *name, struct stat *ret_st, size_t *ret_layer);
/* Sorted names of a directory; "." and ".." are not among them. */
fallible diff_names(int dir_fd, struct strv *ret);
/* The value of overlayfs's own attribute, by name in a directory (or of fd, when name is ""): its length, or -1. */
ssize_t diff_mark(int dir_fd, const char *name, const char *mark, char *value, size_t size);

#endif
