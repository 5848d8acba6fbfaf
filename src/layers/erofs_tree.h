/*
 * erofs_tree.h: the tree of erofs.h in memory, for those who fill it and who write it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_LAYERS_EROFS_TREE_H
#define HUSK_LAYERS_EROFS_TREE_H

#include <sys/types.h>

#include "layers/erofs.h"

#define EROFS_HEAD_MAGIC "husk:tar" /* 8 bytes, of a layer's file */

struct erofs_inode {
    mode_t mode; /* with the type */
    uint32_t uid, gid, nsec, rdev;
    int64_t mtime;
    uint64_t size;   /* of a file or a link's target */
    uint64_t offset; /* of the contents in the tar: a multiple of 512 */
    uint16_t device;
    bool opaque, whiteout;
    bool seen; /* by the writer */
    char *target;
    unsigned char *xattrs; /* encoded as the index has them, without the header; in the arena */
    uint32_t xattrs_n;     /* bytes */
    /* of a directory */
    struct erofs_entry *entries;
    uint32_t *table; /* entry + 1 by name's hash; a power of two */
    uint32_t entries_n, entries_room, table_n;
    /* of the writer */
    uint64_t at;    /* byte of the inode */
    uint64_t block; /* first block of a directory's or long target's contents */
    uint32_t links, number;
    struct erofs_inode *parent;
};
struct erofs_entry {
    char *name;
    struct erofs_inode *inode; /* NULL: it was removed */
};

struct erofs {
    struct erofs_inode *root;
    struct chunk *chunks; /* memory for inodes and names, freed together */
    uint64_t inodes_n;
};

struct erofs_inode *erofs_inode_new(struct erofs *e, mode_t mode);
void *erofs_memory(struct erofs *e, size_t n);
char *erofs_text(struct erofs *e, const char *text, size_t n);
/* The entry of that name, or NULL; one that was removed counts as none. */
struct erofs_entry *erofs_find(const struct erofs_inode *dir, const char *name, size_t n);
/* Puts the inode there in place of what was. */
void erofs_put(struct erofs *e, struct erofs_inode *dir, const char *name, size_t n, struct erofs_inode *inode);

#endif
