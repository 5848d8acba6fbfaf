/*
 * hostfs.h: a root file system made of programs of this machine: each with its loader, its libraries and what those
 * look for when they run (NSS modules, terminfo, certificates), as a tar.
 *
 * Nothing is run to find out: ELF files are read (codec/elf.h), libraries are looked for where ld.so(8) looks. Links on
 * the way stay links. Files of the host that say who its users are (passwd, group) are not taken: the root gets its
 * own.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_HOSTFS_H
#define HUSK_LAYERS_HOSTFS_H

#include "base/err.h"
#include "base/mem.h"

struct hostfs;
struct hostfs *hostfs_new(void);
void hostfs_free(struct hostfs *h);
OWN_TYPE(hostfs, struct hostfs *, hostfs_free)
/**
 * hostfs_add - a program, library, script or other file, or a whole directory, by its absolute path; with what it
 * needs. Errors: NOT_FOUND (it, or a library that it needs and that is nowhere: both are named), DENIED, CORRUPT.
 */
fallible hostfs_add(struct hostfs *h, const char *path);
/* What those that were added look for at run time, and the directories and users that a root has. */
fallible hostfs_finish(struct hostfs *h);
/* All of it as a tar: owner 0:0. Sorted, so that the same files make the same layer. */
fallible hostfs_write(struct hostfs *h, int fd);
/* What is in it, sorted; borrowed. */
const struct strv *hostfs_paths(struct hostfs *h);

#endif
