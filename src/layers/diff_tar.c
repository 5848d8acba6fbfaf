// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "codec/tar.h"
#include "layers/diff_make.h"
#include "layers/diff_walk.h"
#include "os/root.h"

/* Holes of less than this in all are not worth a map. */
enum { BUFFER = 256 << 10, HOLES_MIN = 64 << 10, XATTR_MAX = 64 << 10 };

/* The first name of a file that has several. */
struct first_name {
    dev_t dev;
    ino_t ino;
    char *path; /* NULL: a free place */
};
struct diff_maker {
    const struct diff *d;
    diff_write *write;
    void *ctx;
    unsigned char *buf; /* bytes of the tar that were not written yet */
    size_t have;
    struct first_name *firsts; /* a hash table, at most half full */
    size_t firsts_n, firsts_room;
    char *xattr_names, *xattr_value; /* XATTR_MAX each */
    bool metacopy;                   /* the entry at hand has a mark of overlayfs's: it has no bytes of its own */
};

/* ---- bytes ---- */

static fallible flush(struct diff_maker *m)
{
    size_t n = m->have;
    m->have = 0;
    return n > 0 ? m->write(m->ctx, m->buf, n) : NULL;
}

static fallible put(struct diff_maker *m, const void *bytes, size_t n)
{
    const char *from = bytes;
    while (n > 0) {
        size_t some = n < BUFFER - m->have ? n : BUFFER - m->have;
        memcpy(m->buf + m->have, from, some);
        m->have += some;
        from += some;
        n -= some;
        if (m->have == BUFFER)
            TRY(flush(m));
    }
    return NULL;
}

static fallible put_str(struct diff_maker *m, const struct str *s)
{
    return put(m, s->text, s->len);
}

/* Bytes of a file. One that becomes shorter while it is read is filled up: its header is written already. */
static fallible put_piece(struct diff_maker *m, int fd, uint64_t offset, uint64_t left)
{
    while (left > 0) {
        size_t room = BUFFER - m->have, want = left < room ? (size_t)left : room;
        ssize_t n = pread(fd, m->buf + m->have, want, (off_t)offset);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read it");
        if (n == 0) {
            memset(m->buf + m->have, 0, want);
            n = (ssize_t)want;
        }
        m->have += (size_t)n;
        offset += (uint64_t)n;
        left -= (uint64_t)n;
        if (m->have == BUFFER)
            TRY(flush(m));
    }
    return NULL;
}

/* ---- hard links ---- */

static size_t place_of(const struct diff_maker *m, dev_t dev, ino_t ino)
{
    size_t i = (size_t)((ino * 0x9e3779b97f4a7c15ULL) ^ dev) & (m->firsts_room - 1);
    while (m->firsts[i].path && (m->firsts[i].dev != dev || m->firsts[i].ino != ino))
        i = (i + 1) & (m->firsts_room - 1);
    return i;
}

static void grow_firsts(struct diff_maker *m)
{
    struct first_name *old = m->firsts;
    size_t room = m->firsts_room;
    m->firsts_room = room ? room * 2 : 64;
    m->firsts = mem_zalloc(m->firsts_room * sizeof *m->firsts);
    for (size_t i = 0; i < room; i++)
        if (old[i].path)
            m->firsts[place_of(m, old[i].dev, old[i].ino)] = old[i];
    free(old);
}

/* NULL: this is the first. */
static const char *first_name(struct diff_maker *m, const struct diff_entry *e)
{
    if (e->st.st_nlink < 2)
        return NULL;
    if (m->firsts_n * 2 >= m->firsts_room)
        grow_firsts(m);
    struct first_name *f = &m->firsts[place_of(m, e->st.st_dev, e->st.st_ino)];
    if (f->path)
        return f->path;
    *f = (struct first_name){ e->st.st_dev, e->st.st_ino, mem_strdup(e->path) };
    m->firsts_n++;
    return NULL;
}

/* ---- attributes ---- */

static bool kept_xattr(const char *name)
{
    return !str_starts(name, "trusted.overlay.") && !str_starts(name, "user.overlay.") &&
           !str_starts(name, "user.fuseoverlayfs.") && !str_eq(name, "security.selinux");
}

static void free_xattrs(struct tar_entry *t)
{
    for (size_t i = 0; i < t->xattrs_n; i++) {
        free((void *)(uintptr_t)t->xattrs[i].name);
        free((void *)(uintptr_t)t->xattrs[i].value);
    }
    free((void *)(uintptr_t)t->xattrs);
}

static int compare_xattrs(const void *a, const void *b)
{
    return strcmp(((const struct tar_xattr *)a)->name, ((const struct tar_xattr *)b)->name);
}

/*
 * By descriptor where there is one (>= 0), which is a third of the work; else by name, since not everything can be
 * opened: /proc/self/fd/N/NAME is not followed behind the last slash.
 */
static fallible read_xattrs(struct diff_maker *m, int fd, const char *path, struct tar_entry *t)
{
    ssize_t len = fd >= 0 ? flistxattr(fd, m->xattr_names, XATTR_MAX) : llistxattr(path, m->xattr_names, XATTR_MAX);
    m->metacopy = false;
    if (len < 0 && errno != ENOTSUP && errno != ENOENT)
        return err_sys(errno, "list its attributes");
    struct tar_xattr *all = NULL;
    for (ssize_t at = 0; at < len; at += (ssize_t)strlen(m->xattr_names + at) + 1) {
        const char *name = m->xattr_names + at;
        m->metacopy |= str_eq(name, "trusted.overlay.metacopy") || str_eq(name, "user.overlay.metacopy");
        if (!kept_xattr(name))
            continue;
        ssize_t n =
            fd >= 0 ? fgetxattr(fd, name, m->xattr_value, XATTR_MAX) : lgetxattr(path, name, m->xattr_value, XATTR_MAX);
        if (n < 0 && (errno == ENODATA || errno == ENOENT || errno == EPERM || errno == EACCES))
            continue; /* gone meanwhile, or not for us */
        if (n < 0 || t->xattrs_n == TAR_XATTRS_MAX) {
            t->xattrs = all;
            return n < 0 ? err_sys(errno, "read its attribute '%s'", name)
                         : err_new(ERR_UNSUPPORTED, "it has more than %d attributes", TAR_XATTRS_MAX);
        }
        void *value = mem_alloc((size_t)n + 1);
        memcpy(value, m->xattr_value, (size_t)n);
        all = mem_array(all, t->xattrs_n + 1, sizeof *all);
        all[t->xattrs_n++] = (struct tar_xattr){ mem_strdup(name), value, (size_t)n };
    }
    if (t->xattrs_n > 1)
        qsort(all, t->xattrs_n, sizeof *all, compare_xattrs);
    t->xattrs = all;
    return NULL;
}

static fallible map_id(const struct id_map *map, uint32_t id, const char *what, uint32_t *ret)
{
    *ret = id;
    if (!map)
        return NULL;
    for (size_t i = 0; i < map->n; i++) {
        const struct id_range *r = &map->ranges[i];
        if (id >= r->outside && id - r->outside < r->count) {
            *ret = r->inside + (id - r->outside);
            return NULL;
        }
    }
    return err_new(ERR_INVALID, "it belongs to %s %u, which the container's user namespace does not have", what, id);
}

static fallible describe(struct diff_maker *m, const struct diff_entry *e, struct tar_entry *t)
{
    t->mode = e->st.st_mode & 07777;
    t->mtime_s = e->st.st_mtim.tv_sec;
    t->mtime_ns = (uint32_t)e->st.st_mtim.tv_nsec;
    if (m->d->no_made_times && (S_ISDIR(e->st.st_mode) || (S_ISCHR(e->st.st_mode) && e->st.st_rdev == 0)))
        t->mtime_s = t->mtime_ns = 0;
    if (m->d->newest_s > 0 && t->mtime_s >= m->d->newest_s) {
        t->mtime_s = m->d->newest_s;
        t->mtime_ns = 0;
    }
    TRY(map_id(m->d->uids, e->st.st_uid, "user", &t->uid));
    return map_id(m->d->gids, e->st.st_gid, "group", &t->gid);
}

/* ---- files ---- */

static void add_piece(struct tar_piece **pieces, size_t *n, uint64_t offset, uint64_t bytes)
{
    if ((*n & (*n - 1)) == 0)
        *pieces = mem_array(*pieces, *n ? *n * 2 : 1, sizeof **pieces);
    (*pieces)[(*n)++] = (struct tar_piece){ offset, bytes };
}

/* What is not a hole. A file in very many pieces has its rest in one. *ret NULL: no holes worth it. */
static void find_pieces(int fd, uint64_t size, uint64_t blocks, struct tar_piece **ret, size_t *ret_n)
{
    struct tar_piece *pieces = NULL;
    size_t n = 0;
    uint64_t at = 0;
    if (blocks * 512 + HOLES_MIN > size)
        return;
    while (at < size && n < TAR_SPARSE_MAX - 2) {
        off_t data = lseek(fd, (off_t)at, SEEK_DATA);
        if (data < 0 || (uint64_t)data >= size) /* ENXIO: a hole to the end */
            break;
        off_t hole = lseek(fd, data, SEEK_HOLE);
        uint64_t end = hole < 0 || (uint64_t)hole > size ? size : (uint64_t)hole;
        add_piece(&pieces, &n, (uint64_t)data, end - (uint64_t)data);
        at = end;
    }
    if (n == 1 && pieces[0].offset == 0 && pieces[0].bytes == size) { /* a file system that packs: no holes after all */
        free(pieces);
        return;
    }
    if (at < size && n >= TAR_SPARSE_MAX - 2)
        add_piece(&pieces, &n, at, size - at);
    else if (at < size)
        add_piece(&pieces, &n, size, 0);
    *ret = pieces;
    *ret_n = n;
}

static fallible put_contents(struct diff_maker *m, int fd, const struct stat *st, struct tar_entry *t)
{
    own_str struct str header = { 0 }, pad = { 0 };
    own_mem struct tar_piece *pieces = NULL;
    size_t n = 0;
    uint64_t bytes = 0;
    t->size = (uint64_t)st->st_size;
    find_pieces(fd, t->size, (uint64_t)st->st_blocks, &pieces, &n);
    if (!pieces) {
        tar_write_header(&header, t);
        TRY(put_str(m, &header));
        TRY(put_piece(m, fd, 0, t->size));
        bytes = t->size;
    } else {
        tar_write_sparse_header(&header, t, pieces, n);
        TRY(put_str(m, &header));
    }
    for (size_t i = 0; i < n; i++) {
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): n counts them
        TRY(put_piece(m, fd, pieces[i].offset, pieces[i].bytes));
        bytes += pieces[i].bytes;
    }
    tar_pad(&pad, bytes);
    return pad.len > 0 ? put_str(m, &pad) : NULL;
}

static fallible open_file(int dir_fd, const char *name, int *ret_fd)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME | O_CLOEXEC);
    if (fd < 0 && errno == EPERM)
        fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    *ret_fd = fd;
    return fd < 0 ? err_sys(errno, "open it") : NULL;
}

/* Overlayfs copied up only the attributes (metacopy): the bytes are in a lower, perhaps under another name. */
static fallible open_metacopy(struct diff_maker *m, const struct diff_entry *e, int *ret_fd)
{
    char name[4096], value[4];
    struct stat st;
    ssize_t n = diff_mark(e->dir_fd, e->name, "redirect", name, sizeof name - 1);
    if (n > 0)
        name[n] = '\0';
    for (size_t i = 0; n > 0 && name[0] == '/' && m->d->lowers && i < m->d->lowers->n; i++) {
        own_fd int root = open(m->d->lowers->items[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        own_fd int fd = -1;
        err_ignore(root < 0 ? NULL : root_open(root, name, O_RDONLY | O_NOFOLLOW, &fd), "then it is not there");
        if (fd >= 0 && fstat(fd, &st) == 0 && S_ISREG(st.st_mode) &&
            diff_mark(fd, "", "metacopy", value, sizeof value) < 0) {
            *ret_fd = take_fd(&fd);
            return NULL;
        }
    }
    const char *in_dir = n > 0 ? name : e->name;
    for (size_t i = 0; (n <= 0 || name[0] != '/') && i < e->below->n; i++) {
        int below = e->below->fds[i];
        if (fstatat(below, in_dir, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode) &&
            diff_mark(below, in_dir, "metacopy", value, sizeof value) < 0)
            return open_file(below, in_dir, ret_fd);
    }
    return err_new(ERR_UNSUPPORTED, "overlayfs copied up its attributes only (metacopy=on), and no layer given has it");
}

static fallible put_file(struct diff_maker *m, int fd, const struct diff_entry *e, struct tar_entry *t)
{
    own_fd int below = -1;
    struct stat st;
    if (m->metacopy)
        TRY(open_metacopy(m, e, &below));
    if (fstat(below >= 0 ? below : fd, &st) < 0)
        return err_sys(errno, "look at it");
    if (!S_ISREG(st.st_mode))
        return err_new(ERR_CONFLICT, "it was replaced while it was read: pause the container");
    return put_contents(m, below >= 0 ? below : fd, &st, t);
}

/* ---- entries ---- */

static fallible put_header(struct diff_maker *m, const struct tar_entry *t)
{
    own_str struct str header = { 0 };
    tar_write_header(&header, t);
    return put_str(m, &header);
}

static fallible put_mark(struct diff_maker *m, const char *dir, size_t dir_len, const char *prefix, const char *name)
{
    own_mem char *path = mem_printf("%.*s%s%s", (int)dir_len, dir, prefix, name);
    return put_header(m, &(struct tar_entry){ .type = TAR_FILE, .path = path });
}

static fallible put_symlink(struct diff_maker *m, const struct diff_entry *e, struct tar_entry *t)
{
    own_mem char *target = mem_alloc((size_t)e->st.st_size + 2);
    ssize_t n = readlinkat(e->dir_fd, e->name, target, (size_t)e->st.st_size + 1);
    if (n < 0 || n > e->st.st_size)
        return n < 0 ? err_sys(errno, "read the link") : err_new(ERR_CONFLICT, "it was replaced while it was read");
    target[n] = '\0';
    t->type = TAR_SYMLINK;
    t->link = target;
    t->mode = 0777;
    return put_header(m, t);
}

/* As it is in the archive; caller frees. */
static char *named(const struct diff_maker *m, const char *path)
{
    const char *prefix = m->d->prefix ? m->d->prefix : "";
    return mem_printf("%s%s%s", prefix, *prefix && *path ? "/" : "", path);
}

static fallible put_dir(struct diff_maker *m, const struct diff_entry *e, struct tar_entry *t)
{
    own_mem char *path = mem_printf("%s/", *t->path ? t->path : ".");
    t->type = TAR_DIR;
    t->path = path;
    TRY(put_header(m, t));
    return e->opaque ? put_mark(m, e->path, strlen(e->path), *e->path ? "/" : "", ".wh..wh..opq") : NULL;
}

/* fd: a regular file, opened. */
static fallible put_by_type(struct diff_maker *m, int fd, const struct diff_entry *e, struct tar_entry *t)
{
    t->major = major(e->st.st_rdev);
    t->minor = minor(e->st.st_rdev);
    switch (e->st.st_mode & S_IFMT) {
    case S_IFREG:
        return put_file(m, fd, e, t);
    case S_IFDIR:
        return put_dir(m, e, t);
    case S_IFLNK:
        t->major = t->minor = 0;
        return put_symlink(m, e, t);
    case S_IFIFO:
        t->type = TAR_FIFO;
        t->major = t->minor = 0;
        return put_header(m, t);
    case S_IFCHR:
        t->type = TAR_CHAR;
        return put_header(m, t);
    case S_IFBLK:
        t->type = TAR_BLOCK_DEVICE;
        return put_header(m, t);
    default:
        return NULL; /* a socket: nobody listens on a copy */
    }
}

/* The root of a difference is told only when it is not as the lowers have it. */
static bool root_is_told(const struct diff_maker *m, const struct diff_entry *e)
{
    struct stat st;
    if (m->d->whole || e->opaque)
        return true;
    if (e->under->n == 0 || fstat(e->under->fds[0], &st) < 0)
        return false;
    return e->st.st_mode != st.st_mode || e->st.st_uid != st.st_uid || e->st.st_gid != st.st_gid;
}

static fallible enter(void *ctx, const struct diff_entry *e)
{
    struct diff_maker *m = ctx;
    own_mem char *name = named(m, e->path), *target = NULL;
    struct tar_entry t = { .path = name };
    char path[DIFF_MADE_PATH_MAX + 64];
    if (!*e->path && !root_is_told(m, e))
        return NULL;
    if (e->whiteout)
        return put_mark(m, e->path, strlen(e->path) - strlen(e->name), ".wh.", e->name);
    if (!S_ISDIR(e->st.st_mode) && (t.link = first_name(m, e))) {
        TRY(describe(m, e, &t));
        t.type = TAR_HARD_LINK;
        target = named(m, t.link);
        t.link = target;
        return put_header(m, &t);
    }
    TRY(describe(m, e, &t));
    own_fd int fd = -1;
    if (S_ISREG(e->st.st_mode))
        TRY(open_file(e->dir_fd, e->name, &fd));
    snprintf(path, sizeof path, "/proc/self/fd/%d/%s", e->dir_fd, e->name);
    err *problem = read_xattrs(m, fd, path, &t);
    if (!problem)
        problem = put_by_type(m, fd, e, &t);
    free_xattrs(&t);
    return problem;
}

/* ---- the whole ---- */

struct diff_maker *diff_maker_new(const struct diff *d, diff_write *write, void *ctx)
{
    struct diff_maker *m = mem_zalloc(sizeof *m);
    *m = (struct diff_maker){ .d = d, .write = write, .ctx = ctx, .buf = mem_alloc(BUFFER) };
    m->xattr_names = mem_alloc(XATTR_MAX);
    m->xattr_value = mem_alloc(XATTR_MAX);
    return m;
}

void diff_maker_free(struct diff_maker *m)
{
    if (!m)
        return;
    for (size_t i = 0; i < m->firsts_room; i++)
        free(m->firsts[i].path);
    free(m->firsts);
    free(m->xattr_names);
    free(m->xattr_value);
    free(m->buf);
    free(m);
}

fallible diff_maker_end(struct diff_maker *m)
{
    own_str struct str end = { 0 };
    tar_end(&end);
    TRY(put_str(m, &end));
    return flush(m);
}

fallible diff_tar(const struct diff *d, diff_write *write, void *ctx)
{
    own(diff_maker) struct diff_maker *m = diff_maker_new(d, write, ctx);
    TRY(diff_walk(d, &(struct diff_visitor){ .enter = enter, .ctx = m }));
    return diff_maker_end(m);
}

/* ---- one by one ---- */

bool diff_keeps_xattr(const char *name)
{
    return kept_xattr(name);
}

static fallible add_whole(struct diff_maker *m, const struct diff_entry *e, const void *bytes)
{
    own_str struct str header = { 0 }, pad = { 0 };
    own_mem char *name = named(m, e->path), *target = NULL;
    struct tar_entry t = { .path = name, .link = first_name(m, e) };
    TRY(describe(m, e, &t));
    if (t.link) {
        t.type = TAR_HARD_LINK;
        target = named(m, t.link);
        t.link = target;
        return put_header(m, &t);
    }
    t.size = (uint64_t)e->st.st_size;
    tar_write_header(&header, &t);
    TRY(put_str(m, &header));
    TRY(put(m, bytes, (size_t)t.size));
    tar_pad(&pad, t.size);
    return pad.len > 0 ? put_str(m, &pad) : NULL;
}

fallible diff_maker_add(struct diff_maker *m, const struct diff_made *made)
{
    static const struct diff_below nothing = { 0 };
    struct diff_entry e = { .path = made->path,
                            .name = made->path,
                            .dir_fd = m->d->upper_fd,
                            .fd = -1,
                            .st = made->st,
                            .below = &nothing,
                            .under = &nothing };
    TRY_AS(made->bytes ? add_whole(m, &e, made->bytes) : enter(m, &e), "'/%.200s'", made->path);
    return NULL;
}
