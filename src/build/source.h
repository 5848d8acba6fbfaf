/*
 * source.h: what COPY and ADD take out of a tree (the context, a stage, an image): names and wildcards become a walk
 * over files, each with the name that it shall have below the destination.
 *
 * A directory stands for what is in it, as the reference has it. Files that .dockerignore keeps out are not there.
 * The walk is sorted by bytes of the names, a directory before what is in it: digests and layers depend on the tree
 * alone. Links on the way to a source are followed inside the tree, links below it are taken as links.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_SOURCE_H
#define HUSK_BUILD_SOURCE_H

#include <sys/stat.h>

#include "build/ignore.h"

struct sources {
    int root_fd;                  /* borrowed */
    const struct ignore *ignore;  /* NULL: nothing */
    const struct ignore *exclude; /* --exclude; NULL: nothing */
    const struct strv *patterns;
    bool parents;               /* --parents: directories on the way are taken along */
    const char *what;           /* for messages: "the context" */
    const struct stat *without; /* this directory is not there, wherever it is met; NULL: none */
};
struct source_entry {
    int dir_fd;       /* where it is; of a file that is a source by itself, the file (O_PATH) */
    const char *name; /* there; "" for such a file */
    const char *path; /* in the tree */
    const char *to;   /* below the destination; "": it is the destination itself (a directory's own) */
    struct stat st;
    bool top; /* a source by itself, not found in a directory that is one */
};
/* A regular file's contents. */
fallible source_open(const struct source_entry *e, int *ret_fd);
typedef err *source_fn(void *ctx, const struct source_entry *e);
struct source_visitor {
    source_fn *enter; /* a directory before what is in it */
    source_fn *leave; /* a directory, after; may be NULL */
    void *ctx;
};
/**
 * sources_walk - every file of every source, in the order of the patterns.
 * @ret_several: more than one source was found, so the destination is a directory; may be NULL.
 * Errors: NOT_FOUND names the source; the visitor's own.
 */
fallible sources_walk(const struct sources *s, const struct source_visitor *v);
/* How many things the patterns name, without walking into them; *ret_dir: the only one is a directory. */
fallible sources_count(const struct sources *s, size_t *ret_n, bool *ret_dir);

struct hashes;
/**
 * sources_digest - one digest over names, kinds, modes, link targets and contents; owners and times do not count.
 * @h: NULL: contents are not read, for trees that are known by other means.
 * @ret_newest_s: the newest modification time among them.
 * @ret_list: NULL, or "PATH DIGEST" of each is added, for who wants to know what changed.
 */
fallible sources_digest(const struct sources *s, struct hashes *h, char **ret_digest, int64_t *ret_newest_s,
                        struct strv *ret_list);

#endif
