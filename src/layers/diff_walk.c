// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/diff_walk.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/xattr.h>

#include "base/log.h"
#include "codec/tar.h"

struct walk {
    const struct diff *d;
    const struct diff_visitor *v;
    struct str path;
};

static void below_free(struct diff_below *b)
{
    for (size_t i = 0; i < b->n; i++)
        (void)close(b->fds[i]);
    free(b->fds);
}
static void own_drop_below(struct diff_below *b)
{
    below_free(b);
}
static void below_add(struct diff_below *b, int take_fd)
{
    b->fds = mem_array(b->fds, b->n + 1, sizeof *b->fds);
    b->fds[b->n++] = take_fd;
}

ssize_t diff_mark(int dir_fd, const char *name, const char *mark, char *value, size_t size)
{
    static const char *const families[] = { "trusted", "user" };
    char path[300], key[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d%s%s", dir_fd, *name ? "/" : "", name);
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        snprintf(key, sizeof key, "%s.overlay.%s", families[i], mark);
        ssize_t n = *name ? lgetxattr(path, key, value, size) : getxattr(path, key, value, size);
        if (n >= 0 || errno == ERANGE)
            return n >= 0 ? n : (ssize_t)size;
    }
    return -1;
}

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

fallible diff_names(int dir_fd, struct strv *ret)
{
    own_fd int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return err_sys(errno, "list it");
    (void)take_fd(&fd);
    errno = 0;
    for (struct dirent *e; (e = readdir(dir)); errno = 0)
        if (!str_eq(e->d_name, ".") && !str_eq(e->d_name, ".."))
            strv_add(ret, e->d_name);
    if (errno != 0)
        return err_sys(errno, "list it");
    if (ret->n > 1)
        qsort(ret->items, ret->n, sizeof *ret->items, compare);
    return NULL;
}

/* A device 0:0; or, where an overlay is made of overlays, an empty file with a mark. */
static bool is_whiteout(int dir_fd, const char *name, const struct stat *st)
{
    char value[4];
    if (S_ISCHR(st->st_mode))
        return st->st_rdev == 0;
    return S_ISREG(st->st_mode) && st->st_size == 0 && diff_mark(dir_fd, name, "whiteout", value, sizeof value) >= 0;
}

/* fuse-overlayfs has a name of its own for it where trusted.* cannot be written. */
static bool is_opaque(int dir_fd)
{
    char value[4], path[64];
    if (diff_mark(dir_fd, "", "opaque", value, sizeof value) == 1)
        return value[0] == 'y';
    snprintf(path, sizeof path, "/proc/self/fd/%d", dir_fd);
    return getxattr(path, "user.fuseoverlayfs.opaque", value, sizeof value) == 1 && value[0] == 'y';
}

/* What it also leaves in an opaque directory, for readers of other kinds. */
static bool is_fuse_mark(const char *name)
{
    return str_eq(name, ".wh..wh..opq") || str_eq(name, ".wh..opq");
}

bool diff_below_has(const struct diff_below *below, const char *name, struct stat *ret_st, size_t *ret_layer)
{
    for (size_t i = 0; i < below->n; i++) {
        if (fstatat(below->fds[i], name, ret_st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        if (ret_layer)
            *ret_layer = i;
        return !is_whiteout(below->fds[i], name, ret_st);
    }
    return false;
}

/* The lowers' directories of that name: down to the first that is opaque or no directory. */
static void below_enter(const struct diff_below *from, const char *name, struct diff_below *ret)
{
    for (size_t i = 0; i < from->n; i++) {
        int fd = openat(from->fds[i], name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (fd < 0 && errno == ENOENT)
            continue;
        if (fd < 0)
            return;
        below_add(ret, fd);
        if (is_opaque(fd))
            return;
    }
}

static fallible walk_dir(struct walk *w, int fd, const struct diff_entry *dir);

static fallible walk_subdir(struct walk *w, struct diff_entry *e)
{
    own(below) struct diff_below under = { 0 };
    char value[4];
    own_fd int fd = openat(e->dir_fd, e->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT || errno == ENOTDIR ? NULL : err_sys(errno, "open it");
    if (diff_mark(fd, "", "redirect", value, sizeof value) >= 0)
        return err_new(ERR_UNSUPPORTED,
                       "overlayfs renamed this directory (redirect_dir=on), so its files are elsewhere: "
                       "mount with redirect_dir=off");
    e->fd = fd;
    e->opaque = !w->d->whole && is_opaque(fd);
    e->hides |= e->opaque;
    below_enter(e->below, e->name, &under);
    e->under = &under;
    err *failed = w->v->enter(w->v->ctx, e);
    if (!failed)
        failed = walk_dir(w, fd, e);
    if (!failed && w->v->leave)
        failed = w->v->leave(w->v->ctx, e);
    e->under = NULL; /* it lives here */
    return failed;
}

static fallible walk_one(struct walk *w, int dir_fd, const char *name, const struct diff_entry *dir)
{
    static const struct diff_below nothing = { 0 };
    struct diff_entry e = { .path = w->path.text,
                            .name = name,
                            .dir_fd = dir_fd,
                            .fd = -1,
                            .hides = dir->hides,
                            .below = dir->under,
                            .under = &nothing };
    if (w->d->skip && strv_has(w->d->skip, e.path))
        return NULL;
    if (fstatat(dir_fd, name, &e.st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "look at it"); /* a running container may have removed it */
    if (!w->d->whole && str_starts(name, ".wh.")) {
        if (is_fuse_mark(name))
            return NULL;
        log_warn("'/%s' is left out: a layer cannot hold a name that begins with '.wh.'", e.path);
        return NULL;
    }
    if (w->path.len > TAR_NAME_MAX)
        return err_new(ERR_UNSUPPORTED, "the path is longer than %d bytes", TAR_NAME_MAX);
    if (S_ISDIR(e.st.st_mode))
        return walk_subdir(w, &e);
    e.whiteout = !w->d->whole && is_whiteout(dir_fd, name, &e.st);
    return w->v->enter(w->v->ctx, &e);
}

static fallible walk_dir(struct walk *w, int fd, const struct diff_entry *dir)
{
    own_strv struct strv names = { 0 };
    size_t len = w->path.len;
    TRY(diff_names(fd, &names));
    for (size_t i = 0; i < names.n; i++) {
        if (len > 0)
            str_add_char(&w->path, '/');
        str_add(&w->path, names.items[i]);
        err *e = walk_one(w, fd, names.items[i], dir);
        if (e) /* the innermost says where it is; those around it pass it on */
            return e;
        w->path.len = len;
        w->path.text[len] = '\0';
    }
    return NULL;
}

static fallible open_lowers(const struct diff *d, struct diff_below *ret)
{
    for (size_t i = 0; d->lowers && i < d->lowers->n; i++) {
        int fd = open(d->lowers->items[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (fd < 0)
            return err_sys(errno, "open layer '%s'", d->lowers->items[i]);
        below_add(ret, fd);
        if (is_opaque(fd))
            break;
    }
    return NULL;
}

static fallible walk_root(struct walk *w)
{
    own(below) struct diff_below below = { 0 };
    own_fd int fd = openat(w->d->upper_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    static const struct diff_below nothing = { 0 };
    struct diff_entry root = { .path = "", .name = ".", .dir_fd = fd, .fd = fd, .below = &nothing, .under = &below };
    if (fd < 0 || fstat(fd, &root.st) < 0)
        return err_sys(errno, "open the directory of changes");
    TRY(open_lowers(w->d, &below));
    root.opaque = root.hides = !w->d->whole && is_opaque(fd);
    str_add(&w->path, "");
    TRY(w->v->enter(w->v->ctx, &root));
    TRY(walk_dir(w, fd, &root));
    return w->v->leave ? w->v->leave(w->v->ctx, &root) : NULL;
}

fallible diff_walk(const struct diff *d, const struct diff_visitor *visitor)
{
    struct walk w = { .d = d, .v = visitor };
    err *e = walk_root(&w);
    if (e && w.path.len > 0)
        e = err_wrap(e, "'/%.200s'", w.path.text);
    str_free(&w.path);
    return e;
}
