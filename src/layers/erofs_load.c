// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/mem.h"
#include "layers/erofs_tree.h"

/* The way back of erofs_write.c, and of nothing else: what husk does not write is CORRUPT. The offsets are its. */
enum {
    BLOCK = 512,
    BLOCK_BITS = 9,
    NID = 32,
    SUPER = 1024,
    INODE = 64,
    XATTR_HEADER = 12,
    XATTR_ENTRY = 4,
    DIRENT = 12,
    MAGIC = 0xE0F5E1E2,
    TRUSTED = 4,
    LAYOUT_INLINE = 2,
    DEPTH_MAX = TAR_NAME_MAX / 2 + 2,
};

struct loader {
    struct erofs *e;
    uint16_t device;
    uint64_t tar_bytes;
    uint64_t base; /* block of the file where the bytes begin */
    const unsigned char *bytes;
    uint64_t n;
    struct erofs_inode **known; /* by place / INODE: a file may have several names */
};

static uint32_t get16(const unsigned char *p)
{
    return p[0] | (uint32_t)p[1] << 8;
}
static uint32_t get32(const unsigned char *p)
{
    return get16(p) | get16(p + 2) << 16;
}
static uint64_t get64(const unsigned char *p)
{
    return get32(p) | (uint64_t)get32(p + 4) << 32;
}

static fallible broken(const char *what)
{
    return err_new(ERR_CORRUPT, "the layer's index: %s", what);
}

/* ---- one inode ---- */

struct raw {
    const unsigned char *p; /* INODE bytes */
    const unsigned char *xattrs, *end;
    uint64_t size;
    uint32_t where;
    int layout;
};

static fallible find_raw(const struct loader *o, uint64_t nid, struct raw *ret)
{
    uint64_t at = nid * NID;
    if (nid > o->n / NID || at % INODE || at + INODE > o->n)
        return broken("an inode outside of it");
    const unsigned char *p = o->bytes + at;
    uint32_t format = get16(p), count = get16(p + 2);
    uint64_t xattrs = count ? XATTR_HEADER + (uint64_t)(count - 1) * 4 : 0;
    if (!(format & 1) || at + INODE + xattrs > o->n)
        return broken("an inode of another kind");
    *ret = (struct raw){ .p = p, .size = get64(p + 8), .where = get32(p + 16), .layout = (int)(format >> 1) };
    ret->end = p + INODE + xattrs;
    ret->xattrs = count ? p + INODE + XATTR_HEADER : ret->end;
    return NULL;
}

/* Blocks behind the tar; NULL: not there. */
static const unsigned char *blocks_at(const struct loader *o, uint64_t block, uint64_t n)
{
    if (block < o->base || n > o->n || (block - o->base) * BLOCK > o->n - n)
        return NULL;
    return o->bytes + (block - o->base) * BLOCK;
}

/* The mark of an opaque directory is the last one, and the writer's own. */
static fallible load_xattrs(struct loader *o, const struct raw *r, struct erofs_inode *i)
{
    static const char mark[] = "overlay.opaque";
    const unsigned char *p = r->xattrs;
    while (p < r->end && !i->opaque) {
        size_t left = (size_t)(r->end - p);
        size_t name = left < XATTR_ENTRY ? left : p[0];
        size_t n = left < XATTR_ENTRY ? left : (XATTR_ENTRY + name + get16(p + 2) + 3) / 4 * 4;
        if (n > left || left < XATTR_ENTRY)
            return broken("attributes longer than they are");
        i->opaque = p[1] == TRUSTED && name == sizeof mark - 1 && memcmp(p + XATTR_ENTRY, mark, name) == 0;
        p += i->opaque ? 0 : n;
    }
    i->xattrs_n = (uint32_t)(p - r->xattrs);
    i->xattrs = i->xattrs_n ? (unsigned char *)erofs_text(o->e, (const char *)r->xattrs, i->xattrs_n) : NULL;
    return NULL;
}

static fallible load_file(const struct loader *o, const struct raw *r, struct erofs_inode *i)
{
    enum { TAR = EROFS_TAR_AT / BLOCK };
    i->size = r->size;
    i->device = o->device;
    if (!r->size)
        return NULL;
    i->offset = r->where < TAR ? UINT64_MAX : (uint64_t)(r->where - TAR) * BLOCK;
    if (i->offset > o->tar_bytes || r->size > o->tar_bytes - i->offset)
        return broken("a file outside of the tar");
    return NULL;
}

static fallible load_link(const struct loader *o, const struct raw *r, struct erofs_inode *i)
{
    const unsigned char *text = r->size < PATH_MAX ? blocks_at(o, r->where, r->size) : NULL;
    if (r->layout == LAYOUT_INLINE)
        text = r->size < PATH_MAX && r->size <= (uint64_t)(o->bytes + o->n - r->end) ? r->end : NULL;
    if (!text || !r->size || memchr(text, '\0', r->size))
        return broken("a link to nowhere");
    i->size = r->size;
    i->target = erofs_text(o->e, (const char *)text, r->size);
    return NULL;
}

/* new_decode_dev() of the kernel */
static uint32_t decode_device(uint32_t d)
{
    return (uint32_t)makedev((d & 0xfff00) >> 8, (d & 0xff) | (d >> 12 & 0xfff00));
}

static fallible load_dir(struct loader *o, const struct raw *r, struct erofs_inode *dir, int depth);

static fallible fill(struct loader *o, const struct raw *r, struct erofs_inode *i, int depth)
{
    i->mode = get16(r->p + 4);
    i->uid = get32(r->p + 24);
    i->gid = get32(r->p + 28);
    i->mtime = (int64_t)get64(r->p + 32);
    i->nsec = get32(r->p + 40);
    TRY(load_xattrs(o, r, i));
    switch (i->mode & S_IFMT) {
    case S_IFREG:
        return load_file(o, r, i);
    case S_IFLNK:
        return load_link(o, r, i);
    case S_IFDIR:
        return load_dir(o, r, i, depth);
    case S_IFCHR:
    case S_IFBLK:
        i->rdev = decode_device(r->where);
        i->whiteout = S_ISCHR(i->mode) && !i->rdev;
        return NULL;
    case S_IFIFO:
    case S_IFSOCK:
        return NULL;
    }
    return broken("an inode of no type");
}

static fallible load_inode(struct loader *o, uint64_t nid, int depth, struct erofs_inode **ret)
{
    struct raw r;
    TRY(find_raw(o, nid, &r));
    struct erofs_inode **known = &o->known[nid * NID / INODE];
    if (*known && S_ISDIR((*known)->mode))
        return broken("a directory of two names");
    if (!*known) {
        *known = nid ? erofs_inode_new(o->e, 0) : NULL;
        if (!*known || depth == DEPTH_MAX)
            return broken("deeper than any name");
        TRY(fill(o, &r, *known, depth));
    }
    *ret = *known;
    return NULL;
}

/* ---- directories ---- */

static fallible load_entry(struct loader *o, struct erofs_inode *dir, const char *name, size_t n, uint64_t nid,
                           int depth)
{
    struct erofs_inode *i = NULL;
    if ((n == 1 && name[0] == '.') || (n == 2 && name[0] == '.' && name[1] == '.'))
        return NULL;
    if (!n || n > NAME_MAX || memchr(name, '/', n) || erofs_find(dir, name, n))
        return broken("a name that is none");
    TRY(load_inode(o, nid, depth + 1, &i));
    erofs_put(o->e, dir, name, n, i);
    return NULL;
}

/* One block: a table of entries, then their names; used: how many of its bytes. */
static fallible load_dir_block(struct loader *o, struct erofs_inode *dir, const unsigned char *b, size_t used,
                               int depth)
{
    size_t table = used < DIRENT ? 0 : get16(b + 8);
    if (table < DIRENT || table % DIRENT || table > used)
        return broken("a directory without a table");
    for (size_t k = 0; k < table; k += DIRENT) {
        size_t from = get16(b + k + 8), to = k + DIRENT < table ? get16(b + k + DIRENT + 8) : used;
        if (from < table || from > to || to > used)
            return broken("names that overlap");
        const char *name = (const char *)b + from;
        TRY(load_entry(o, dir, name, strnlen(name, to - from), get64(b + k), depth));
    }
    return NULL;
}

static fallible load_dir(struct loader *o, const struct raw *r, struct erofs_inode *dir, int depth)
{
    const unsigned char *b = blocks_at(o, r->where, r->size);
    if (!b || !r->size)
        return broken("a directory outside of it");
    for (uint64_t at = 0; at < r->size; at += BLOCK)
        TRY(load_dir_block(o, dir, b + at, r->size - at < BLOCK ? (size_t)(r->size - at) : BLOCK, depth));
    return NULL;
}

/* ---- the file ---- */

static fallible read_all(int fd, unsigned char *bytes, uint64_t n, uint64_t at)
{
    for (uint64_t done = 0; done < n;) {
        ssize_t got = pread(fd, bytes + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? err_sys(errno, "read the layer's index") : broken("shorter than it was");
        done += (uint64_t)got;
    }
    return NULL;
}

static fallible load(struct loader *o, uint64_t root)
{
    struct raw r;
    TRY(find_raw(o, root, &r));
    if (!root || !S_ISDIR(get16(r.p + 4)))
        return broken("its root is no directory");
    o->known[root * NID / INODE] = o->e->root;
    return fill(o, &r, o->e->root, 0);
}

fallible erofs_read_index(struct erofs *e, int fd, uint16_t device)
{
    unsigned char super[128];
    struct stat st;
    struct loader o = { .e = e, .device = device };
    TRY(erofs_tar_bytes(fd, &o.tar_bytes));
    o.base = (EROFS_TAR_AT + o.tar_bytes + BLOCK - 1) / BLOCK;
    if (fstat(fd, &st) < 0 || o.base * BLOCK >= (uint64_t)st.st_size)
        return broken("there is none");
    TRY(read_all(fd, super, sizeof super, SUPER));
    if (get32(super) != MAGIC || super[12] != BLOCK_BITS || get32(super + 40) != o.base)
        return broken("another super block");
    o.n = (uint64_t)st.st_size - o.base * BLOCK;
    own_mem unsigned char *bytes = mem_alloc(o.n);
    own_mem struct erofs_inode **known = mem_zalloc((o.n / INODE + 1) * sizeof(struct erofs_inode *));
    o.bytes = bytes;
    o.known = known;
    TRY(read_all(fd, bytes, o.n, o.base * BLOCK));
    return load(&o, get16(super + 14));
}
