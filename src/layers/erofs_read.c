// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/log.h"
#include "base/mem.h"
#include "layers/erofs_tree.h"

#define WHITEOUT_OPAQUE ".wh..wh..opq"
#define WHITEOUT_META   ".wh..wh."
#define WHITEOUT_PREFIX ".wh."

enum { LINKS_MAX = 40, XATTRS_BYTES_MAX = 64 << 10 };

struct reader {
    struct erofs *e;
    uint16_t device;
    /* the directory of the entry before: the next one is often in it too */
    char dir[TAR_NAME_MAX + 1];
    size_t dir_n;
    struct erofs_inode *dir_inode;
};

/* ---- directories on the way ---- */

/*
 * As untar_dirs_open() does by openat2(RESOLVE_IN_ROOT): links that the layer itself made are followed inside it, what
 * is missing is made.
 */
static fallible walk(struct reader *r, const char *path, size_t len, struct erofs_inode **ret)
{
    own_mem char *left = mem_strndup(path, len);
    struct erofs_inode *stack[TAR_NAME_MAX / 2 + 2];
    size_t depth = 0;
    int links = 0;
    stack[0] = r->e->root;
    for (char *p = left; *p;) {
        p += strspn(p, "/");
        size_t n = strcspn(p, "/");
        if (n == 0)
            break;
        if ((n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.')) {
            depth -= n == 2 && depth > 0;
            p += n;
            continue;
        }
        if (n > NAME_MAX)
            return err_sys(ENAMETOOLONG, "open its directory");
        struct erofs_inode *dir = stack[depth];
        struct erofs_entry *x = erofs_find(dir, p, n);
        struct erofs_inode *next = x ? x->inode : NULL;
        if (!next || next->whiteout) {
            bool was_whiteout = next != NULL;
            next = erofs_inode_new(r->e, S_IFDIR | 0755);
            next->opaque = was_whiteout; /* what the mark hid stays hidden */
            erofs_put(r->e, dir, p, n, next);
        }
        if (S_ISLNK(next->mode)) {
            if (++links > LINKS_MAX)
                return err_sys(ELOOP, "open its directory");
            char *joined = mem_printf("%s%s", next->target, p + n);
            if (strlen(joined) > PATH_MAX) {
                free(joined);
                return err_sys(ENAMETOOLONG, "open its directory");
            }
            if (joined[0] == '/')
                depth = 0;
            free(left);
            left = p = joined;
            continue;
        }
        if (!S_ISDIR(next->mode))
            return err_sys(ENOTDIR, "open its directory");
        if (depth + 1 >= ARRAY_SIZE(stack))
            return err_sys(ENAMETOOLONG, "open its directory");
        stack[++depth] = next;
        p += n;
    }
    *ret = stack[depth];
    return NULL;
}

static fallible find_dir(struct reader *r, const char *path, size_t n, struct erofs_inode **ret)
{
    if (!r->dir_inode || r->dir_n != n || memcmp(r->dir, path, n) != 0) {
        r->dir_inode = NULL;
        TRY(walk(r, path, n, &r->dir_inode));
        memcpy(r->dir, path, n);
        r->dir_n = n;
    }
    *ret = r->dir_inode;
    return NULL;
}

/* ---- attributes ---- */

static const struct {
    const char *prefix;
    unsigned char index;
    bool whole; /* the prefix is the name */
} namespaces[] = {
    { "user.", 1, false },
    { "system.posix_acl_access", 2, true },
    { "system.posix_acl_default", 3, true },
    { "trusted.", 4, false },
    { "security.", 6, false },
};

static void encode(struct str *out, unsigned char index, const char *name, const void *value, size_t n)
{
    size_t len = strlen(name);
    unsigned char head[4] = { (unsigned char)len, index, (unsigned char)n, (unsigned char)(n >> 8) };
    str_add_n(out, head, 4);
    str_add_n(out, name, len);
    str_add_n(out, value, n);
    while (out->len % 4)
        str_add_char(out, '\0');
}

static fallible set_xattrs(struct reader *r, struct erofs_inode *i, const struct tar_entry *t)
{
    own_str struct str out = { 0 };
    for (size_t k = 0; k < t->xattrs_n; k++) {
        const struct tar_xattr *x = &t->xattrs[k];
        /* These are ours to set: a layer's could send overlayfs to other files. */
        if (str_starts(x->name, "trusted.overlay.") || str_starts(x->name, "user.overlay."))
            continue;
        size_t kind = 0;
        while (kind < ARRAY_SIZE(namespaces) &&
               !(namespaces[kind].whole ? str_eq(x->name, namespaces[kind].prefix)
                                        : str_starts(x->name, namespaces[kind].prefix)))
            kind++;
        if (kind == ARRAY_SIZE(namespaces)) {
            log_debug("erofs: '%s': attribute %s is of no kind that is kept", t->path, x->name);
            continue;
        }
        const char *name = namespaces[kind].whole ? "" : x->name + strlen(namespaces[kind].prefix);
        if (strlen(name) > UINT8_MAX || x->n > UINT16_MAX)
            return err_sys(ENOSPC, "set its attribute '%s'", x->name);
        encode(&out, namespaces[kind].index, name, x->value, x->n);
    }
    if (out.len > XATTRS_BYTES_MAX)
        return err_sys(ENOSPC, "set its attributes");
    i->xattrs = out.len ? (unsigned char *)erofs_text(r->e, out.text, out.len) : NULL;
    i->xattrs_n = (uint32_t)out.len;
    return NULL;
}

static fallible fill(struct reader *r, struct erofs_inode *i, const struct tar_entry *t)
{
    i->mode = (i->mode & S_IFMT) | (S_ISLNK(i->mode) ? 0777 : t->mode);
    i->uid = t->uid;
    i->gid = t->gid;
    i->mtime = t->mtime_s;
    i->nsec = t->mtime_ns;
    return set_xattrs(r, i, t);
}

/* ---- entries ---- */

static mode_t type_of(enum tar_type type)
{
    switch (type) {
    case TAR_FILE:
    case TAR_HARD_LINK:
        return S_IFREG;
    case TAR_SYMLINK:
        return S_IFLNK;
    case TAR_CHAR:
        return S_IFCHR;
    case TAR_BLOCK_DEVICE:
        return S_IFBLK;
    case TAR_DIR:
        return S_IFDIR;
    case TAR_FIFO:
        return S_IFIFO;
    }
    return S_IFREG;
}

static fallible add_hard_link(struct reader *r, struct erofs_inode *dir, const char *name, const struct tar_entry *t)
{
    char clean[TAR_NAME_MAX + 1];
    struct erofs_inode *to_dir = NULL;
    if (!tar_clean_path(t->link, clean))
        return err_new(ERR_INVALID, "hard link to '%s': the name leads out of the layer", t->link);
    const char *slash = strrchr(clean, '/'), *last = slash ? slash + 1 : clean;
    TRY_AS(walk(r, clean, slash ? (size_t)(slash - clean) : 0, &to_dir), "hard link to '%s'", t->link);
    struct erofs_entry *to = erofs_find(to_dir, last, strlen(last));
    if (!to || S_ISDIR(to->inode->mode))
        return err_new(ERR_INVALID, "hard link to '%s', which is no file of this layer", t->link);
    r->dir_inode = NULL;
    erofs_put(r->e, dir, name, strlen(name), to->inode);
    return NULL;
}

static fallible add_whiteout(struct reader *r, struct erofs_inode *dir, const char *name)
{
    if (str_eq(name, WHITEOUT_OPAQUE)) {
        dir->opaque = true;
        return NULL;
    }
    if (str_starts(name, WHITEOUT_META))
        return NULL; /* aufs's own files */
    const char *hidden = name + strlen(WHITEOUT_PREFIX);
    if (!*hidden || str_eq(hidden, ".") || str_eq(hidden, ".."))
        return err_new(ERR_INVALID, "a whiteout of nothing");
    /* A layer that both removes and makes a name: the file is there, and hides. A directory hides as an opaque one. */
    struct erofs_entry *made = erofs_find(dir, hidden, strlen(hidden));
    if (made && !made->inode->whiteout) {
        made->inode->opaque |= S_ISDIR(made->inode->mode);
        return NULL;
    }
    struct erofs_inode *i = erofs_inode_new(r->e, S_IFCHR);
    i->whiteout = true;
    erofs_put(r->e, dir, hidden, strlen(hidden), i);
    return NULL;
}

static fallible add_dir(struct reader *r, struct erofs_inode *dir, const char *name, const struct tar_entry *t)
{
    struct erofs_entry *x = erofs_find(dir, name, strlen(name));
    struct erofs_inode *i = x && S_ISDIR(x->inode->mode) ? x->inode : NULL;
    if (!i) {
        i = erofs_inode_new(r->e, S_IFDIR);
        i->opaque = x && x->inode->whiteout;
        if (x)
            r->dir_inode = NULL;
        erofs_put(r->e, dir, name, strlen(name), i);
    }
    return fill(r, i, t);
}

static fallible add_other(struct reader *r, struct erofs_inode *dir, const char *name, const struct tar_entry *t)
{
    struct erofs_inode *i = erofs_inode_new(r->e, type_of(t->type));
    struct erofs_entry *x = erofs_find(dir, name, strlen(name));
    if (x && (S_ISDIR(x->inode->mode) || S_ISLNK(x->inode->mode)))
        r->dir_inode = NULL;
    if (t->type == TAR_SYMLINK) {
        i->size = strlen(t->link);
        i->target = erofs_text(r->e, t->link, i->size);
        if (!i->size || i->size >= PATH_MAX)
            return err_sys(i->size ? ENAMETOOLONG : ENOENT, "link it to '%.200s'", t->link);
    } else if (t->type == TAR_FILE) {
        i->size = t->size;
        i->offset = t->at + TAR_BLOCK;
        i->device = r->device;
    } else {
        i->rdev = (uint32_t)makedev(t->major, t->minor);
        /* a character device 0:0 is overlayfs's mark; no image has a use for one */
        if (t->type == TAR_CHAR && !t->major && !t->minor)
            return err_new(ERR_UNSUPPORTED, "a character device 0:0");
    }
    TRY(fill(r, i, t));
    erofs_put(r->e, dir, name, strlen(name), i);
    return NULL;
}

static fallible add_entry(struct reader *r, const struct tar_entry *t)
{
    char clean[TAR_NAME_MAX + 1];
    struct erofs_inode *dir = NULL;
    if (!tar_clean_path(t->path, clean))
        return err_new(ERR_INVALID, "the name leads out of the layer");
    const char *slash = strrchr(clean, '/'), *name = slash ? slash + 1 : clean;
    if (t->sparse)
        return err_new(ERR_UNSUPPORTED, "a sparse file");
    TRY(find_dir(r, clean, slash ? (size_t)(slash - clean) : 0, &dir));
    if (!*name) { /* the root itself */
        if (t->type != TAR_DIR)
            return err_new(ERR_INVALID, "the root is no directory");
        return fill(r, r->e->root, t);
    }
    if (strlen(name) > NAME_MAX)
        return err_sys(ENAMETOOLONG, "create it");
    if (str_starts(name, WHITEOUT_PREFIX))
        return add_whiteout(r, dir, name);
    if (t->type == TAR_HARD_LINK)
        return add_hard_link(r, dir, name, t);
    return t->type == TAR_DIR ? add_dir(r, dir, name, t) : add_other(r, dir, name, t);
}

fallible erofs_read_tar(struct erofs *e, struct tar *t, const struct untar_limits *limits, uint16_t device)
{
    own_mem struct reader *r = mem_zalloc(sizeof *r);
    const struct tar_entry *entry;
    uint64_t entries = 0, devices = 0;
    r->e = e;
    r->device = device;
    for (;;) {
        TRY(tar_next(t, &entry));
        if (!entry)
            return NULL;
        if (++entries > limits->entries)
            return err_new(ERR_EXHAUSTED, "more than %llu entries", (unsigned long long)limits->entries);
        if ((entry->type == TAR_CHAR || entry->type == TAR_BLOCK_DEVICE) && ++devices > limits->devices)
            return err_new(ERR_EXHAUSTED, "more than %llu devices", (unsigned long long)limits->devices);
        TRY_AS(add_entry(r, entry), "'%.*s'", 200, entry->path);
    }
}
