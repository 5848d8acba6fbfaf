// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/flatten.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/openat2.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/log.h"
#include "layers/diff_walk.h"
#include "os/fs.h"

enum { DEPTH_MAX = 1000, XATTRS_MAX = 64 << 10, LINK_TEXT_MAX = 4096 };

/* ---- attributes: of what a name in a directory is, never of where a link leads ---- */

static char *magic_path(int dir, const char *name)
{
    return *name ? mem_printf("/proc/self/fd/%d/%s", dir, name) : mem_printf("/proc/self/fd/%d/.", dir);
}

static bool is_overlays_own(const char *key)
{
    return str_starts(key, "trusted.overlay.") || str_starts(key, "user.overlay.") ||
           str_starts(key, "user.fuseoverlayfs.");
}

static fallible copy_xattrs(int from, int to, const char *name)
{
    own_mem char *source = magic_path(from, name), *target = magic_path(to, name);
    own_mem char *keys = mem_alloc(XATTRS_MAX), *value = mem_alloc(XATTRS_MAX);
    ssize_t n = llistxattr(source, keys, XATTRS_MAX);
    for (const char *key = keys; n > 0 && key < keys + n; key += strlen(key) + 1) {
        ssize_t len = is_overlays_own(key) ? -1 : lgetxattr(source, key, value, XATTRS_MAX);
        if (len < 0 || lsetxattr(target, key, value, (size_t)len, 0) == 0)
            continue;
        if (errno != EPERM && errno != ENOTSUP)
            return err_sys(errno, "copy attribute '%s' of '%s'", key, name);
        log_debug("copy: attribute '%s' of '%s' cannot be set here", key, name);
    }
    return NULL;
}

static bool same_xattrs(int a, int b, const char *name)
{
    own_mem char *one = magic_path(a, name), *other = magic_path(b, name);
    own_mem char *keys = mem_alloc(XATTRS_MAX), *keys2 = mem_alloc(XATTRS_MAX);
    own_mem char *value = mem_alloc(XATTRS_MAX), *value2 = mem_alloc(XATTRS_MAX);
    ssize_t n = llistxattr(one, keys, XATTRS_MAX), n2 = llistxattr(other, keys2, XATTRS_MAX);
    if (n <= 0 && n2 <= 0)
        return true;
    if (n != n2)
        return false;
    for (const char *key = keys; key < keys + n; key += strlen(key) + 1) {
        ssize_t len = lgetxattr(one, key, value, XATTRS_MAX), len2 = lgetxattr(other, key, value2, XATTRS_MAX);
        if (len != len2 || (len > 0 && memcmp(value, value2, (size_t)len) != 0))
            return false;
    }
    return true;
}

/* The owner first, which drops setuid and capabilities; the time last. */
static fallible copy_attributes(int from, int to, const char *name, const struct stat *st)
{
    const struct timespec times[2] = { st->st_atim, st->st_mtim };
    if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(errno, "copy the owner of '%s'", name);
    if (!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) < 0)
        return err_sys(errno, "copy the mode of '%s'", name);
    TRY(copy_xattrs(from, to, name));
    if (utimensat(to, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(errno, "copy the time of '%s'", name);
    return NULL;
}

/* ---- layers over each other ---- */

/* The first name of a file that has several in its layer. */
struct first {
    ino_t ino;
    dev_t dev;
    char *path;
};
struct flat {
    int top;                  /* the directory that all goes into */
    const struct strv *below; /* it is an upper directory over these layers: marks are made; NULL: it is none */
    struct first *firsts;
    size_t firsts_n;
    struct str path; /* of the directory at hand, "etc/"; "": the top */
};

static void forget_firsts(struct flat *f)
{
    for (size_t i = 0; i < f->firsts_n; i++)
        free(f->firsts[i].path);
    f->firsts_n = 0;
}

static fallible open_list(int dir, DIR **ret)
{
    int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    *ret = copy < 0 ? NULL : fdopendir(copy);
    if (*ret)
        return NULL;
    err *e = err_sys(errno, "list a directory");
    close_now(&copy);
    return e;
}

static bool is_dots(const char *name)
{
    return str_eq(name, ".") || str_eq(name, "..");
}

static fallible copy_bytes(int in, int out, const char *name)
{
    if (ioctl(out, FICLONE, in) == 0)
        return NULL;
    for (;;) {
        ssize_t n = copy_file_range(in, NULL, out, NULL, 1 << 30, 0);
        if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP))
            n = sendfile(out, in, NULL, 1 << 30);
        if (n < 0)
            return err_sys(errno, "copy '%s'", name);
        if (n == 0)
            return NULL;
    }
}

/* Has it another name already? Then this is one more. */
static fallible link_to_first(struct flat *f, const struct stat *st, int to, const char *name, bool *ret_done)
{
    *ret_done = false;
    if (st->st_nlink < 2)
        return NULL;
    for (size_t i = 0; i < f->firsts_n; i++) {
        if (f->firsts[i].ino != st->st_ino || f->firsts[i].dev != st->st_dev)
            continue;
        const char *slash = strrchr(f->firsts[i].path, '/');
        own_mem char *parent =
            slash ? mem_strndup(f->firsts[i].path, (size_t)(slash - f->firsts[i].path)) : mem_strdup(".");
        struct open_how how = { .flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
                                .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
        own_fd int dir = (int)syscall(SYS_openat2, f->top, parent, &how, sizeof how);
        if (dir < 0 || linkat(dir, slash ? slash + 1 : f->firsts[i].path, to, name, 0) < 0)
            return err_sys(errno, "link '%s'", name);
        *ret_done = true;
        return NULL;
    }
    f->firsts = mem_array(f->firsts, f->firsts_n + 1, sizeof *f->firsts);
    f->firsts[f->firsts_n++] =
        (struct first){ st->st_ino, st->st_dev, mem_printf("%s%s", f->path.len ? f->path.text : "", name) };
    return NULL;
}

static fallible copy_file(int from, int to, const char *name)
{
    own_fd int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    own_fd int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (in < 0 || out < 0)
        return err_sys(errno, "copy '%s'", name);
    return copy_bytes(in, out, name);
}

static fallible copy_link(int from, int to, const char *name)
{
    char text[LINK_TEXT_MAX];
    ssize_t n = readlinkat(from, name, text, sizeof text - 1);
    if (n < 0)
        return err_sys(errno, "read link '%s'", name);
    text[n] = '\0';
    return symlinkat(text, to, name) < 0 ? err_sys(errno, "copy link '%s'", name) : NULL;
}

static fallible copy_other(struct flat *f, int from, int to, const char *name, const struct stat *st)
{
    bool linked = false;
    TRY(fs_remove_tree_at(to, name));
    TRY(link_to_first(f, st, to, name, &linked));
    if (linked || S_ISSOCK(st->st_mode))
        return NULL;
    if (S_ISREG(st->st_mode)) {
        TRY(copy_file(from, to, name));
    } else if (S_ISLNK(st->st_mode)) {
        TRY(copy_link(from, to, name));
    } else if (mknodat(to, name, st->st_mode & (S_IFMT | 07777), st->st_rdev) < 0) {
        if (errno == EPERM) /* a device, in a user namespace */
            return NULL;
        return err_sys(errno, "make device '%s'", name);
    }
    return copy_attributes(from, to, name, st);
}

static bool is_opaque(int dir)
{
    char value[4];
    return diff_mark(dir, "", "opaque", value, sizeof value) == 1 && value[0] == 'y';
}

/* As unpacking does: in a user namespace the kernel keeps trusted.* for itself. */
static fallible make_opaque(int dir, const char *name)
{
    if (fsetxattr(dir, "trusted.overlay.opaque", "y", 1, 0) == 0 ||
        fsetxattr(dir, "user.overlay.opaque", "y", 1, 0) == 0)
        return NULL;
    return err_sys(errno, "hide what lies below directory '%s'", name);
}

static fallible lay_dir(struct flat *f, int from, int to, int depth);

static fallible lay_subdir(struct flat *f, int from, int to, const char *name, const struct stat *st, int depth)
{
    struct stat was;
    size_t len = f->path.len;
    own_fd int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (in < 0)
        return err_sys(errno, "open directory '%s'", name);
    bool there = fstatat(to, name, &was, AT_SYMLINK_NOFOLLOW) == 0;
    bool merge = there && S_ISDIR(was.st_mode) && !is_opaque(in);
    if (!merge)
        TRY(fs_remove_tree_at(to, name));
    if (!merge && mkdirat(to, name, 0700) < 0)
        return err_sys(errno, "make directory '%s'", name);
    own_fd int out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (out < 0)
        return err_sys(errno, "open directory '%s'", name);
    if (f->below && !merge && (there || is_opaque(in)))
        TRY(make_opaque(out, name));
    str_printf(&f->path, "%s/", name);
    err *e = lay_dir(f, in, out, depth + 1);
    f->path.text[f->path.len = len] = '\0';
    TRY(e);
    return copy_attributes(from, to, name, st);
}

/* Where no layer has it there is nothing to hide, and in a directory of one layer alone the kernel would show the mark.
 */
static bool is_below(const struct flat *f, const char *name)
{
    const struct open_how how = { .flags = O_PATH | O_NOFOLLOW | O_CLOEXEC,
                                  .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS };
    own_mem char *path = mem_printf("%s%s", f->path.len ? f->path.text : "", name);
    for (size_t i = 0; f->below && i < f->below->n; i++) {
        own_fd int layer = open(f->below->items[i], O_PATH | O_DIRECTORY | O_CLOEXEC);
        own_fd int at = layer < 0 ? -1 : (int)syscall(SYS_openat2, layer, path, &how, sizeof how);
        if (at >= 0)
            return true;
    }
    return false;
}

static fallible lay_one(struct flat *f, int from, int to, const char *name, int depth)
{
    struct stat st;
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(errno, "look at '%s'", name);
    if (S_ISCHR(st.st_mode) && st.st_rdev == 0) {
        TRY(fs_remove_tree_at(to, name));
        return is_below(f, name) && mknodat(to, name, S_IFCHR, 0) < 0 ? err_sys(errno, "hide '%s'", name) : NULL;
    }
    if (S_ISDIR(st.st_mode))
        return lay_subdir(f, from, to, name, &st, depth);
    return copy_other(f, from, to, name, &st);
}

static fallible lay_dir(struct flat *f, int from, int to, int depth)
{
    own_dir DIR *dir = NULL;
    if (depth > DEPTH_MAX)
        return err_new(ERR_EXHAUSTED, "directories deeper than %d", DEPTH_MAX);
    TRY(open_list(from, &dir));
    for (struct dirent *entry; (entry = readdir(dir));)
        if (!is_dots(entry->d_name))
            TRY(lay_one(f, from, to, entry->d_name, depth));
    return NULL;
}

static fallible lay(struct flat *f, const char *layer)
{
    struct stat st;
    own_fd int from = open(layer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (from < 0 || fstat(from, &st) < 0)
        return err_sys(errno, "open it");
    TRY(lay_dir(f, from, f->top, 0));
    return copy_attributes(from, f->top, ".", &st);
}

static fallible lay_all(const struct strv *lowers, const char *dir, const struct strv *below)
{
    own_fd int top = open(dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (top < 0)
        return err_sys(errno, "open '%s'", dir);
    struct flat f = { .top = top, .below = below };
    err *e = NULL;
    for (size_t i = lowers->n; !e && i-- > 0;) {
        e = lay(&f, lowers->items[i]);
        if (e)
            e = err_wrap(e, "copy layer '%s'", lowers->items[i]);
        forget_firsts(&f); /* a hard link never leads into another layer */
    }
    free(f.firsts);
    str_free(&f.path);
    return e;
}

fallible flatten(const struct strv *lowers, const char *dir)
{
    return lay_all(lowers, dir, NULL);
}

fallible flatten_over(const struct strv *lowers, const struct strv *below, const char *upper)
{
    return lay_all(lowers, upper, below);
}

/* ---- what is different ---- */

/* A directory on the way, and its counterpart in upper once something in it is different. */
struct level {
    struct level *above;
    const char *name;
    int changed, base, upper; /* base: -1 when it was not there */
    bool names;               /* one more name is a difference */
};

static fallible need_upper(struct level *l)
{
    if (l->upper >= 0)
        return NULL;
    TRY(need_upper(l->above));
    if (mkdirat(l->above->upper, l->name, 0700) < 0)
        return err_sys(errno, "make directory '%s'", l->name);
    l->upper = openat(l->above->upper, l->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return l->upper < 0 ? err_sys(errno, "open directory '%s'", l->name) : NULL;
}

static bool same_target(int a, int b, const char *name)
{
    char one[LINK_TEXT_MAX], other[LINK_TEXT_MAX];
    ssize_t n = readlinkat(a, name, one, sizeof one), n2 = readlinkat(b, name, other, sizeof other);
    return n == n2 && n >= 0 && memcmp(one, other, (size_t)n) == 0;
}

static bool same(const struct level *l, const char *name, const struct stat *a, const struct stat *b)
{
    if (a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid || a->st_rdev != b->st_rdev ||
        a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec)
        return false;
    if (l->names && !S_ISDIR(a->st_mode) && a->st_nlink > b->st_nlink)
        return false;
    if (S_ISREG(a->st_mode) && a->st_size != b->st_size)
        return false;
    if (S_ISLNK(a->st_mode) && !same_target(l->changed, l->base, name))
        return false;
    return same_xattrs(l->changed, l->base, name);
}

static fallible compare_dir(struct level *l, int depth);

static fallible compare_subdir(struct level *l, const char *name, const struct stat *st, bool was_dir, bool differs,
                               int depth)
{
    struct level below = { .above = l, .name = name, .base = -1, .upper = -1, .names = l->names };
    own_fd int changed = openat(l->changed, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    own_fd int base = was_dir ? openat(l->base, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (changed < 0 || (was_dir && base < 0))
        return err_sys(errno, "open directory '%s'", name);
    below.changed = changed;
    below.base = base;
    err *e = differs ? need_upper(&below) : NULL;
    if (!e)
        e = compare_dir(&below, depth + 1);
    if (!e && below.upper >= 0)
        e = copy_attributes(l->changed, l->upper, name, st);
    close_now(&below.upper);
    return e;
}

static fallible compare_one(struct level *l, const char *name, int depth)
{
    struct stat now, was;
    if (fstatat(l->changed, name, &now, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "look at '%s'", name);
    bool there = l->base >= 0 && fstatat(l->base, name, &was, AT_SYMLINK_NOFOLLOW) == 0;
    bool differs = !there || !same(l, name, &now, &was);
    if (S_ISDIR(now.st_mode))
        return compare_subdir(l, name, &now, there && S_ISDIR(was.st_mode), differs, depth);
    if (!differs || S_ISSOCK(now.st_mode))
        return NULL;
    TRY(need_upper(l));
    return linkat(l->changed, name, l->upper, name, 0) < 0 ? err_sys(errno, "link '%s'", name) : NULL;
}

static fallible whiteout_one(struct level *l, const char *name)
{
    struct stat st;
    if (fstatat(l->changed, name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        return NULL;
    TRY(need_upper(l));
    return mknodat(l->upper, name, S_IFCHR, makedev(0, 0)) < 0 ? err_sys(errno, "make a whiteout for '%s'", name)
                                                               : NULL;
}

static fallible compare_dir(struct level *l, int depth)
{
    own_dir DIR *now = NULL, *was = NULL;
    if (depth > DEPTH_MAX)
        return err_new(ERR_EXHAUSTED, "directories deeper than %d", DEPTH_MAX);
    TRY(open_list(l->changed, &now));
    for (struct dirent *entry; (entry = readdir(now));)
        if (!is_dots(entry->d_name))
            TRY(compare_one(l, entry->d_name, depth));
    if (l->base < 0)
        return NULL;
    TRY(open_list(l->base, &was));
    for (struct dirent *entry; (entry = readdir(was));)
        if (!is_dots(entry->d_name))
            TRY(whiteout_one(l, entry->d_name));
    return NULL;
}

fallible flatten_compare(const char *base, const char *changed, const char *upper, bool names)
{
    struct stat st;
    own_fd int a = open(changed, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    own_fd int b = open(base, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    own_fd int u = open(upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (a < 0 || b < 0 || u < 0 || fstat(a, &st) < 0)
        return err_sys(errno, "open '%s'", a < 0 ? changed : b < 0 ? base : upper);
    struct level top = { .name = "", .changed = a, .base = b, .upper = u, .names = names };
    TRY_AS(compare_dir(&top, 0), "compare '%s' with its image", changed);
    return copy_attributes(a, u, ".", &st);
}
