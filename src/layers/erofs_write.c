// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/mem.h"
#include "layers/erofs_tree.h"
#include "os/fs.h"
#include "spec/oci_image.h"

/* Byte offsets of fs/erofs/erofs_fs.h; all numbers are little-endian. */
enum {
    BLOCK = 512,
    BLOCK_BITS = 9,
    NID = 32, /* an inode's number is its place in units of this */
    SUPER = 1024,
    SUPER_SIZE = 128,
    SLOT_SIZE = 128,
    INODE = 64,
    XATTR_HEADER = 12,
    DIRENT = 12,
    MAGIC = 0xE0F5E1E2,
    COMPAT_MTIME = 2,
    INCOMPAT_DEVICE_TABLE = 8,
    LAYOUT_PLAIN = 0,
    LAYOUT_INLINE = 2,
};
enum { NO_BLOCK = 0xffffffff };

struct writer {
    struct erofs *e;
    struct erofs_inode **inodes; /* in the order of the index */
    size_t n;
    unsigned char *out;
    uint64_t room;
    uint64_t block; /* next free, from the base on */
    uint64_t base;  /* block of the file where out will be */
};

static void own_drop_writer(struct writer *w)
{
    free(w->inodes);
    free(w->out);
}

static void put16(unsigned char *p, uint64_t v)
{
    p[0] = (unsigned char)v;
    p[1] = (unsigned char)(v >> 8);
}
static void put32(unsigned char *p, uint64_t v)
{
    put16(p, v);
    put16(p + 2, v >> 16);
}
static void put64(unsigned char *p, uint64_t v)
{
    put32(p, v);
    put32(p + 4, v >> 32);
}

static uint64_t up(uint64_t n, uint64_t to)
{
    return (n + to - 1) / to * to;
}

/* ---- order: each directory before what is in it ---- */

static int by_name(const void *a, const void *b)
{
    return strcmp(((const struct erofs_entry *)a)->name, ((const struct erofs_entry *)b)->name);
}

/* Removed entries go, the rest is in the order in which the kernel looks: of bytes. Names are not found by hash after.
 */
static void settle(struct erofs_inode *dir)
{
    uint32_t kept = 0;
    for (uint32_t i = 0; i < dir->entries_n; i++)
        if (dir->entries[i].inode)
            dir->entries[kept++] = dir->entries[i];
    dir->entries_n = kept;
    dir->table_n = 0;
    if (kept)
        qsort(dir->entries, kept, sizeof *dir->entries, by_name);
}

static void collect(struct writer *w, struct erofs_inode *i, struct erofs_inode *parent)
{
    i->parent = parent;
    i->links = S_ISDIR(i->mode) ? 2 : 1;
    i->number = (uint32_t)w->n + 1;
    i->seen = true;
    w->inodes[w->n++] = i;
    if (!S_ISDIR(i->mode))
        return;
    settle(i);
    for (uint32_t k = 0; k < i->entries_n; k++) {
        struct erofs_inode *x = i->entries[k].inode;
        if (x->seen) {
            x->links++;
            continue;
        }
        collect(w, x, i);
        i->links += S_ISDIR(x->mode);
    }
}

/* ---- places ---- */

static const unsigned char opaque_mark[20] = { 14,  4,   1,   0,   'o', 'v', 'e', 'r', 'l', 'a',
                                               'y', '.', 'o', 'p', 'a', 'q', 'u', 'e', 'y', 0 };

static uint32_t xattrs_bytes(const struct erofs_inode *i)
{
    uint32_t n = i->xattrs_n + (i->opaque ? (uint32_t)sizeof opaque_mark : 0);
    return n ? n + XATTR_HEADER : 0;
}

/* A short target stands behind its inode, and may not cross a block. */
static bool is_inline(const struct erofs_inode *i)
{
    return S_ISLNK(i->mode) && i->size + xattrs_bytes(i) + INODE <= BLOCK;
}

static uint64_t place_inodes(struct writer *w, uint64_t at)
{
    for (size_t k = 0; k < w->n; k++) {
        struct erofs_inode *i = w->inodes[k];
        uint64_t n = INODE + xattrs_bytes(i);
        at = up(at, INODE);
        if (is_inline(i)) {
            n += i->size;
            if (at % BLOCK + n > BLOCK)
                at = up(at, BLOCK);
        }
        i->at = at;
        at += n;
    }
    return at;
}

static unsigned char *bytes_at(struct writer *w, uint64_t at, uint64_t n)
{
    if (at + n > w->room) {
        uint64_t room = 2 * (at + n);
        w->out = mem_realloc(w->out, room);
        memset(w->out + w->room, 0, room - w->room);
        w->room = room;
    }
    return w->out + at;
}

/* ---- directories ---- */

struct name {
    const char *text;
    const struct erofs_inode *inode;
};

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct name *)a)->text, ((const struct name *)b)->text);
}

static unsigned char file_type(mode_t mode)
{
    return S_ISREG(mode)    ? 1
           : S_ISDIR(mode)  ? 2
           : S_ISCHR(mode)  ? 3
           : S_ISBLK(mode)  ? 4
           : S_ISFIFO(mode) ? 5
           : S_ISSOCK(mode) ? 6
           : S_ISLNK(mode)  ? 7
                            : 0;
}

/* One block: a table of entries, then their names without NULs; answers how many bytes are used. */
static size_t write_dir_block(unsigned char *b, const struct name *names, size_t n)
{
    size_t text = n * DIRENT;
    for (size_t k = 0; k < n; k++) {
        unsigned char *d = b + k * DIRENT;
        size_t len = strlen(names[k].text);
        put64(d, names[k].inode->at / NID);
        put16(d + 8, text);
        d[10] = file_type(names[k].inode->mode);
        memcpy(b + text, names[k].text, len);
        text += len;
    }
    return text;
}

static void write_dir(struct writer *w, struct erofs_inode *dir)
{
    size_t n = dir->entries_n + 2;
    own_mem struct name *names = mem_array(NULL, n, sizeof *names);
    names[0] = (struct name){ ".", dir };
    names[1] = (struct name){ "..", dir->parent ? dir->parent : dir };
    for (uint32_t k = 0; k < dir->entries_n; k++)
        names[k + 2] = (struct name){ dir->entries[k].name, dir->entries[k].inode };
    qsort(names, n, sizeof *names, by_text);
    dir->block = w->block;
    for (size_t k = 0; k < n;) {
        size_t end = k, bytes = 0;
        while (end < n && bytes + DIRENT + strlen(names[end].text) <= BLOCK)
            bytes += DIRENT + strlen(names[end++].text);
        size_t used = write_dir_block(bytes_at(w, w->block * BLOCK, BLOCK), names + k, end - k);
        dir->size = (w->block - dir->block) * BLOCK + (end == n ? used : BLOCK);
        w->block++;
        k = end;
    }
}

static void write_target(struct writer *w, struct erofs_inode *i)
{
    uint64_t blocks = up(i->size, BLOCK) / BLOCK;
    memcpy(bytes_at(w, w->block * BLOCK, blocks * BLOCK), i->target, i->size);
    i->block = w->block;
    w->block += blocks;
}

/* ---- inodes ---- */

/* new_decode_dev() of the kernel */
static uint32_t encode_device(uint32_t rdev)
{
    uint32_t major_n = major(rdev), minor_n = minor(rdev);
    return (minor_n & 0xff) | major_n << 8 | (minor_n & ~0xffU) << 12;
}

/* tars: the first block of each */
static void write_inode(struct writer *w, const struct erofs_inode *i, const uint64_t *tars)
{
    uint32_t xattrs = xattrs_bytes(i), where = 0;
    int layout = is_inline(i) ? LAYOUT_INLINE : LAYOUT_PLAIN;
    unsigned char *p = bytes_at(w, i->at, INODE + xattrs + (layout == LAYOUT_INLINE ? i->size : 0));
    if (S_ISDIR(i->mode) || (S_ISLNK(i->mode) && layout == LAYOUT_PLAIN))
        where = (uint32_t)(w->base + i->block);
    else if (S_ISREG(i->mode))
        where = i->size ? (uint32_t)(tars[i->device] + i->offset / BLOCK) : NO_BLOCK;
    else if (S_ISCHR(i->mode) || S_ISBLK(i->mode))
        where = encode_device(i->rdev);
    put16(p, (uint64_t)(1 | layout << 1));
    put16(p + 2, xattrs ? (xattrs - XATTR_HEADER) / 4 + 1 : 0);
    put16(p + 4, i->mode);
    put64(p + 8, i->size);
    put32(p + 16, where);
    put32(p + 20, i->number);
    put32(p + 24, i->uid);
    put32(p + 28, i->gid);
    put64(p + 32, (uint64_t)i->mtime);
    put32(p + 40, i->nsec);
    put32(p + 44, i->links);
    p += INODE;
    if (xattrs) {
        if (i->xattrs_n)
            memcpy(p + XATTR_HEADER, i->xattrs, i->xattrs_n);
        if (i->opaque)
            memcpy(p + XATTR_HEADER + i->xattrs_n, opaque_mark, sizeof opaque_mark);
        p += xattrs;
    }
    if (layout == LAYOUT_INLINE)
        memcpy(p, i->target, i->size);
}

static void write_super(const struct writer *w, unsigned char *s, size_t devices)
{
    put32(s, MAGIC);
    put32(s + 8, COMPAT_MTIME);
    s[12] = BLOCK_BITS;
    put16(s + 14, w->e->root->at / NID);
    put64(s + 16, w->n);
    put32(s + 36, w->base + w->block);
    put32(s + 40, w->base);
    put32(s + 80, devices ? INCOMPAT_DEVICE_TABLE : 0);
    put16(s + 86, devices);
    put16(s + 88, devices ? (SUPER + SUPER_SIZE) / SLOT_SIZE : 0);
}

static void write_slots(unsigned char *slot, const struct erofs_device *devices, size_t n, const uint64_t *tars)
{
    for (size_t k = 0; k < n; k++, slot += SLOT_SIZE) {
        const char *hex = digest_hex(devices[k].diff_id);
        memcpy(slot, hex, strnlen(hex, 64));
        put32(slot + 64, up(devices[k].bytes, BLOCK) / BLOCK);
        put32(slot + 68, tars[k] - devices[k].before / BLOCK);
    }
}

/* Places for all, and contents of what has blocks of its own. @from: bytes that are left free. */
static void lay_out(struct writer *w, uint64_t from)
{
    w->inodes = mem_array(NULL, w->e->inodes_n + 1, sizeof(struct erofs_inode *));
    collect(w, w->e->root, NULL);
    w->block = up(place_inodes(w, from), BLOCK) / BLOCK;
    (void)bytes_at(w, 0, w->block * BLOCK + w->n * 16);
    for (size_t k = 0; k < w->n; k++)
        if (S_ISDIR(w->inodes[k]->mode))
            write_dir(w, w->inodes[k]);
        else if (S_ISLNK(w->inodes[k]->mode) && !is_inline(w->inodes[k]))
            write_target(w, w->inodes[k]);
}

fallible erofs_write(struct erofs *e, const struct erofs_device *devices, size_t n, int fd)
{
    own(writer) struct writer w = { .e = e };
    own_mem uint64_t *tars = mem_array(NULL, n + 1, sizeof *tars);
    lay_out(&w, SUPER + SUPER_SIZE + n * SLOT_SIZE);
    uint64_t next = w.block;
    for (size_t k = 0; k < n; k++) {
        tars[k] = next + devices[k].before / BLOCK;
        next += up(devices[k].bytes, BLOCK) / BLOCK;
    }
    if (next >= NO_BLOCK || n > UINT16_MAX)
        return err_new(ERR_UNSUPPORTED, "EROFS: more than 2 TiB");
    for (size_t k = 0; k < w.n; k++)
        write_inode(&w, w.inodes[k], tars);
    unsigned char *super = bytes_at(&w, SUPER, SUPER_SIZE + n * SLOT_SIZE);
    write_super(&w, super, n);
    write_slots(super + SUPER_SIZE, devices, n, tars);
    return fs_write_fd(fd, bytes_at(&w, 0, w.block * BLOCK), w.block * BLOCK, "EROFS index");
}

static fallible write_at(int fd, const void *bytes, uint64_t n, uint64_t at)
{
    if (lseek(fd, (off_t)at, SEEK_SET) < 0)
        return err_sys(errno, "write the EROFS index");
    return fs_write_fd(fd, bytes, n, "EROFS index");
}

fallible erofs_write_layer(struct erofs *e, uint64_t tar_bytes, int fd)
{
    own(writer) struct writer w = { .e = e, .base = up(EROFS_TAR_AT + tar_bytes, BLOCK) / BLOCK };
    const uint64_t tar = EROFS_TAR_AT / BLOCK;
    unsigned char head[EROFS_TAR_AT] = EROFS_HEAD_MAGIC;
    lay_out(&w, INODE); /* number 0 stays free */
    if (w.base + w.block >= NO_BLOCK)
        return err_new(ERR_UNSUPPORTED, "EROFS: more than 2 TiB");
    for (size_t k = 0; k < w.n; k++)
        write_inode(&w, w.inodes[k], &tar);
    put64(head + 8, tar_bytes);
    write_super(&w, head + SUPER, 0);
    TRY(write_at(fd, bytes_at(&w, 0, w.block * BLOCK), w.block * BLOCK, w.base * BLOCK));
    return write_at(fd, head, sizeof head, 0);
}
