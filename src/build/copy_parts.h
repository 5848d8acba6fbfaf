/*
 * copy_parts.h: what the files of copy.h share: where a path leads (copy_target.c), one file (copy_file.c), a walk over
 * the sources (copy.c).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_COPY_PARTS_H
#define HUSK_BUILD_COPY_PARTS_H

#include <sys/stat.h>

#include "build/batch.h"
#include "build/copy.h"
#include "layers/view.h"

/* A file with several names, by where it was: later names become links to the first. */
struct copy_inode {
    dev_t dev;
    ino_t ino;
    char *path;
};
struct copy_target {
    int upper_fd;
    struct view *view; /* NULL: nothing is below */
    struct copy_inode *inodes;
    size_t inodes_n;
    unsigned char *buffer;
    struct strv made;    /* directories on the way to a destination: nobody says what time they have */
    bool no_clone;       /* the file systems cannot; set by whichever thread sees it first */
    bool groups_inherit; /* some directory has S_ISGID: what is made in it has its group, unless it is given another */
};

/* ---- where a path leads: all paths are relative to the upper directory ---- */

enum copy_at_kind { COPY_NOTHING, COPY_DIR, COPY_LINK, COPY_FILE };
struct copy_at {
    enum copy_at_kind kind;
    bool in_upper;
    char *link;     /* where it leads; the caller's */
    struct stat st; /* of a directory */
};
/* path: its parents are no links. fresh: nothing of the layers below is there. */
fallible copy_look(struct copy_target *t, const char *path, bool fresh, struct copy_at *ret);

struct copy_place {
    char *base; /* where the destination really is; ".": the upper directory itself */
    bool fresh; /* nothing of the layers below is there */
    bool made;  /* its last part is new */
    char *file; /* the name of the one file in base; NULL where the destination is a directory */
};
void copy_place_clear(struct copy_place *p);
static inline void own_drop_copy_place(struct copy_place *p)
{
    copy_place_clear(p);
}
/* A path below base; name "" is base itself. The caller frees. */
char *copy_path(const struct copy_place *p, const char *name);
/* Follows a path and makes what is missing. */
fallible copy_make_dirs(struct copy_target *t, const char *path, const struct copy_owner *owner,
                        struct copy_place *ret);
/* The directory that a file is put in, and its name there. A link of that name is followed. */
fallible copy_find_file(struct copy_target *t, const char *dest, const struct copy_owner *owner,
                        struct copy_place *ret);
/* A directory of the layers below, again in this one: as the kernel would copy it up. */
fallible copy_up_dir(struct copy_target *t, const char *path, const struct stat *st);
fallible copy_set_owner(const struct copy_target *t, const char *path, uint32_t uid, uint32_t gid);
fallible copy_set_dir_mode(struct copy_target *t, const char *path, uint32_t mode);
/* Somebody says now what time a directory on the way has: copy_set_times() leaves it alone. */
void copy_forget_made(struct copy_target *t, const char *path);

/* ---- one file ---- */

void copy_owner_of(const struct copy_owner *o, const struct stat *st, uint32_t *uid, uint32_t *gid);
/* What a modification time becomes: see copy_job.clamps. */
struct timespec copy_time_of(const struct copy_job *job, struct timespec t);
/* A second name of a file that is there already. *ret_done. */
fallible copy_link_again(struct copy_target *t, const struct source_entry *e, const char *path, bool *ret_done);

/* What a file became, for the layer's tar. */
struct copy_filled {
    struct stat st;
    bool whole; /* bytes are all that a layer says of it beside st */
    unsigned char bytes[];
};
/**
 * copy_fill_regular - a file with its bytes, owner, attributes and time. In any thread: nothing else knows of it.
 * @buffer: BATCH_BUFFER bytes. @ret: NULL, or what it became; the caller frees, after an error too.
 */
fallible copy_fill_regular(struct copy_target *t, const struct copy_job *job, const struct source_entry *e,
                           const char *path, unsigned char *buffer, struct copy_filled **ret);
/* A link, a device, a pipe. Sockets are left out: nobody listens on a copy. */
fallible copy_put_special(struct copy_target *t, const struct copy_job *job, const struct source_entry *e,
                          const char *path);

#endif
