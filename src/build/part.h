/*
 * part.h: what --output writes where a user said, until it is whole: "NAME.husk-part-PID" beside the name, or
 * ".husk-part-PID" in a directory that is filled.
 *
 * It is locked (flock(2)) for as long as its build is at work. One that nobody holds and whose process is gone is the
 * rest of a build that was killed: the next one to the same name removes it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_PART_H
#define HUSK_BUILD_PART_H

#include "base/err.h"
#include "base/mem.h"

enum part_kind { PART_FILE, PART_DIR };
struct part {
    int dir_fd;        /* where it is, and its name will be */
    char *name, *path; /* its own, in dir_fd; for open(2) */
    char *final;       /* what it gets; "": it is in the directory that is filled */
    int fd;            /* it, locked */
};
/* What killed builds left of this name is removed first. dest ends in no slash; @in_dir: dest is the directory. */
fallible part_begin(const char *dest, enum part_kind kind, bool in_dir, struct part *ret);
/* It gets its name. */
fallible part_finish(struct part *p);
/* All that is in it goes into the directory around it, or nothing does. */
fallible part_spill(struct part *p);
/* The same into one that is not empty: directories of both become one, files of the same name are replaced, each at
 * once. CONFLICT, before anything is moved: one has a directory where the other has none. */
fallible part_merge(struct part *p);
/* Closes; what has no name yet is removed. */
void part_clear(struct part *p);
static inline void own_drop_part(struct part *p)
{
    part_clear(p);
}
/* Is it a name of a part in a directory that is filled? */
bool part_is_inside(const char *name);

#endif
