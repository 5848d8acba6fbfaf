// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/erofs_tree.h"

#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"

enum { CHUNK = 256 << 10 };

struct chunk {
    struct chunk *next;
    size_t used, room;
    /* the bytes follow */
};

void *erofs_memory(struct erofs *e, size_t n)
{
    struct chunk *c = e->chunks;
    n = (n + 15) & ~(size_t)15;
    if (!c || c->room - c->used < n) {
        size_t room = n > CHUNK ? n : CHUNK;
        c = mem_zalloc(sizeof *c + room);
        c->room = room;
        c->next = e->chunks;
        e->chunks = c;
    }
    void *p = (char *)(c + 1) + c->used;
    c->used += n;
    return p;
}

char *erofs_text(struct erofs *e, const char *text, size_t n)
{
    char *copy = erofs_memory(e, n + 1);
    memcpy(copy, text, n);
    return copy;
}

struct erofs_inode *erofs_inode_new(struct erofs *e, mode_t mode)
{
    struct erofs_inode *i = erofs_memory(e, sizeof *i);
    i->mode = mode;
    e->inodes_n++;
    return i;
}

struct erofs *erofs_new(void)
{
    struct erofs *e = mem_zalloc(sizeof *e);
    e->root = erofs_inode_new(e, S_IFDIR | 0755);
    return e;
}

void erofs_free(struct erofs *e)
{
    if (!e)
        return;
    for (struct chunk *c = e->chunks, *next; c; c = next) {
        next = c->next;
        free(c);
    }
    free(e);
}

/* ---- names ---- */

static uint32_t hash(const char *name, size_t n)
{
    uint64_t h = 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)name[i]) * 0x100000001b3ULL;
    return (uint32_t)(h ^ h >> 32);
}

static uint32_t *slot_of(const struct erofs_inode *dir, const char *name, size_t n)
{
    uint32_t at = hash(name, n) & (dir->table_n - 1);
    while (dir->table[at]) {
        const struct erofs_entry *x = &dir->entries[dir->table[at] - 1];
        if (strncmp(x->name, name, n) == 0 && !x->name[n])
            break;
        at = (at + 1) & (dir->table_n - 1);
    }
    return &dir->table[at];
}

struct erofs_entry *erofs_find(const struct erofs_inode *dir, const char *name, size_t n)
{
    if (!dir->table_n)
        return NULL;
    uint32_t slot = *slot_of(dir, name, n);
    return slot && dir->entries[slot - 1].inode ? &dir->entries[slot - 1] : NULL;
}

static void grow(struct erofs *e, struct erofs_inode *dir)
{
    uint32_t room = dir->entries_room ? 2 * dir->entries_room : 8;
    struct erofs_entry *entries = erofs_memory(e, room * sizeof *entries);
    if (dir->entries_n)
        memcpy(entries, dir->entries, dir->entries_n * sizeof *entries);
    dir->entries = entries;
    dir->entries_room = room;
    dir->table_n = 2 * room;
    dir->table = erofs_memory(e, dir->table_n * sizeof *dir->table);
    for (uint32_t i = 0; i < dir->entries_n; i++)
        *slot_of(dir, entries[i].name, strlen(entries[i].name)) = i + 1;
}

void erofs_put(struct erofs *e, struct erofs_inode *dir, const char *name, size_t n, struct erofs_inode *inode)
{
    if (dir->entries_n == dir->entries_room)
        grow(e, dir);
    uint32_t *slot = slot_of(dir, name, n);
    if (*slot) {
        dir->entries[*slot - 1].inode = inode;
        return;
    }
    dir->entries[dir->entries_n] = (struct erofs_entry){ erofs_text(e, name, n), inode };
    *slot = ++dir->entries_n;
}

/* ---- one layer over another ---- */

/* Recursion ends where the tree does: as deep as a path is long (TAR_NAME_MAX / 2). */
static void merge_dir(struct erofs *e, struct erofs_inode *lower, struct erofs_inode *upper)
{
    for (uint32_t i = 0; i < upper->entries_n; i++) {
        struct erofs_entry *x = &upper->entries[i];
        size_t n = strlen(x->name);
        if (!x->inode)
            continue;
        struct erofs_entry *old = erofs_find(lower, x->name, n);
        if (x->inode->whiteout) {
            if (old)
                old->inode = NULL;
        } else if (S_ISDIR(x->inode->mode) && old && S_ISDIR(old->inode->mode) && !x->inode->opaque) {
            merge_dir(e, old->inode, x->inode);
        } else {
            /* marks below would hide files of layers that cannot be seen from here any more: nothing is there */
            if (S_ISDIR(x->inode->mode)) {
                struct erofs_inode *empty = erofs_inode_new(e, S_IFDIR);
                merge_dir(e, empty, x->inode);
                erofs_put(e, lower, x->name, n, empty);
            } else {
                erofs_put(e, lower, x->name, n, x->inode);
            }
        }
    }
    lower->mode = upper->mode;
    lower->uid = upper->uid;
    lower->gid = upper->gid;
    lower->mtime = upper->mtime;
    lower->nsec = upper->nsec;
    lower->xattrs = upper->xattrs;
    lower->xattrs_n = upper->xattrs_n;
}

void erofs_merge(struct erofs *e, struct erofs *upper)
{
    if (upper->root->opaque)
        e->root = erofs_inode_new(e, S_IFDIR | 0755);
    merge_dir(e, e->root, upper->root);
    /* its inodes are ours now: so is the memory */
    struct chunk **last = &upper->chunks;
    while (*last)
        last = &(*last)->next;
    *last = e->chunks;
    e->chunks = upper->chunks;
    e->inodes_n += upper->inodes_n;
    upper->chunks = NULL;
    upper->root = NULL;
}

bool erofs_opaque(const struct erofs *e)
{
    return e->root->opaque;
}
