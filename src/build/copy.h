/*
 * copy.h: files of a tree into a layer that is being made, as COPY puts them: right into the overlay's upper directory,
 * without mounting anything. What lies below decides only where the way leads: its links are followed, its directories
 * are made again with their modes and owners, and what is no directory cannot become one.
 *
 * Contents go by FICLONE where the file system has it, else by copy_file_range(2). Modification times are the
 * source's. Owners are 0:0 unless said otherwise. Source: dockerfile-reference.md "COPY".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_COPY_H
#define HUSK_BUILD_COPY_H

#include <stdint.h>

#include "build/settle.h"
#include "build/source.h"
#include "image/layout.h"
#include "layers/diff.h"

struct copy_owner {
    bool set, keep; /* keep: the source's own, for trees that are images */
    uint32_t uid, gid;
};
/* --chmod: one after the other. */
struct copy_mode {
    bool set;
    struct copy_mode_part {
        char how;         /* '+', '-', '=' */
        char like;        /* 'u', 'g', 'o': the bits that this class has; 0: those that are named */
        uint32_t who;     /* whose bits it is about: 0700, 0070, 0007 and their special ones */
        uint32_t bits;    /* of who */
        uint32_t if_exec; /* for directories and what somebody may execute: X */
    } parts[16];
    size_t n;
};
/* "0755", "u=rwX,go=rX", "a+x", "g=u", "u+x-w". INVALID. */
fallible copy_mode_parse(const char *text, struct copy_mode *ret);
uint32_t copy_mode_apply(const struct copy_mode *m, uint32_t mode);

struct copy_target;
/**
 * copy_target_open - be ready to put files into an upper directory.
 * @upper_fd: borrowed; the caller's file-creation mask is 0 from here on.
 * @below: diffIDs of the layers below; none, or NULL: --link, nothing below counts.
 */
fallible copy_target_open(struct layout *l, int upper_fd, const struct strv *below, struct copy_target **ret);
void copy_target_free(struct copy_target *t);
OWN_TYPE(copy_target, struct copy_target *, copy_target_free)

/* Is there a directory already? dest: absolute and clean. */
fallible copy_target_has_dir(struct copy_target *t, const char *dest, bool *ret);
/* Makes the directory with its parents. *ret_made false: it was there, and nothing was changed. */
fallible copy_make_dir(struct copy_target *t, const char *dest, const struct copy_owner *owner, bool *ret_made);

struct copy_job {
    const struct sources *sources;
    const char *dest; /* absolute and clean */
    bool dest_is_dir; /* files go into it, else the one file becomes it */
    const struct copy_owner *owner;
    const struct copy_mode *mode;
    struct settle *settle; /* NULL: nothing is written early */
    bool clamps;           /* files that are newer than newest_s get that time; false: all keep theirs */
    int64_t newest_s;
    bool all_at_once; /* and so do all others */
    /* NULL, or *stream: the layer's tar is made as well, of one source that is a directory, into an empty upper
     * directory. Set to NULL: it could not be made on the way, so it is yet to be made. Needs clamps. */
    struct diff_stream **stream;
};
fallible copy_run(struct copy_target *t, const struct copy_job *job);
/* When all is copied: the directories that lead to where things went have this time. */
fallible copy_set_times(struct copy_target *t, int64_t newest_s);
/* A file from memory: a here-document. */
fallible copy_text(struct copy_target *t, const char *dest, const char *text, size_t n, const struct copy_owner *owner,
                   const struct copy_mode *mode);
/* A file from a descriptor: a download. mtime_s: 0 for none. */
fallible copy_file(struct copy_target *t, const char *dest, int fd, uint32_t file_mode, int64_t mtime_s,
                   const struct copy_owner *owner, const struct copy_mode *mode);

#endif
