// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/untar.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "base/log.h"
#include "base/mem.h"
#include "base/parse.h"
#include "layers/untar_dirs.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/root.h"

#define LIMIT_BYTES   (64ULL << 30)
#define LIMIT_ENTRIES (4ULL << 20)
#define LIMIT_DEVICES (1ULL << 16)

#define WHITEOUT_PREFIX ".wh."
#define WHITEOUT_OPAQUE ".wh..wh..opq"
#define WHITEOUT_META   ".wh..wh." /* aufs's own files */

struct untar {
    struct tar *tar;
    int root_fd;
    const struct untar_limits *limits;
    uint64_t entries, devices;
    bool in_userns;
    const char *opaque_name;
    struct untar_dirs *dirs;
    size_t lost_xattrs;
    char *lost_example;
    struct untar_origin *origin; /* or NULL */
    const struct untar_watch *watch;
};

/* Where an entry goes: a name in a directory. */
struct place {
    int dir_fd;
    const char *name; /* "": the root itself */
    const char *path; /* cleaned, relative to the root */
};

static fallible limit_from(const char *variable, uint64_t otherwise, uint64_t *limit)
{
    if (*limit)
        return NULL;
    const char *text = getenv(variable);
    int64_t bytes = 0;
    if (text && *text) {
        TRY_AS(parse_bytes(text, &bytes), "%s", variable);
        if (bytes <= 0)
            return err_new(ERR_INVALID, "%s: '%s' is no limit", variable, text);
    }
    *limit = bytes > 0 ? (uint64_t)bytes : otherwise;
    return NULL;
}

fallible untar_limits_fill(struct untar_limits *limits)
{
    TRY(limit_from("HUSK_MAX_LAYER_BYTES", LIMIT_BYTES, &limits->bytes));
    TRY(limit_from("HUSK_MAX_LAYER_ENTRIES", LIMIT_ENTRIES, &limits->entries));
    if (!limits->devices)
        limits->devices = LIMIT_DEVICES;
    return NULL;
}

/* ---- names ---- */

/* buf holds the cleaned path and must live as long as the place. */
static fallible find_place(struct untar *u, const char *path, char buf[TAR_NAME_MAX + 1], struct place *ret)
{
    if (!tar_clean_path(path, buf))
        return err_new(ERR_INVALID, "the name leads out of the layer");
    const char *slash = strrchr(buf, '/');
    ret->path = buf;
    ret->name = slash ? slash + 1 : buf;
    return untar_dirs_open(u->dirs, buf, slash ? (size_t)(slash - buf) : 0, &ret->dir_fd);
}

/* ---- what is in the way ---- */

static bool is_whiteout(const struct stat *st)
{
    return S_ISCHR(st->st_mode) && st->st_rdev == 0;
}

/* A later entry replaces an earlier one, whatever that was. */
static fallible clear_place(struct untar *u, const struct place *at)
{
    struct stat st;
    if (fstatat(at->dir_fd, at->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "look at what is there");
    /* Directories below it, or reached through it, are not where the cache says any more. */
    if (S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode))
        untar_dirs_forget(u->dirs);
    return fs_remove_tree_at(at->dir_fd, at->name);
}

/* ---- attributes ---- */

static fallible owner_error(int errnum, const struct tar_entry *e)
{
    if (errnum == EINVAL)
        return err_sys_as(
            ERR_EXHAUSTED, 0,
            "its owner %u:%u is not among the ids of this user namespace: give the user more of them in "
            "/etc/subuid and /etc/subgid (usermod --add-subuids FIRST-LAST --add-subgids FIRST-LAST USER)",
            e->uid, e->gid);
    return err_sys(errnum, "give it to %u:%u", e->uid, e->gid);
}

/* In a user namespace, or on a file system without them, some attributes cannot be. Any other failure is one. */
static bool may_be_lost(const char *name, int errnum)
{
    return errnum == EPERM || errnum == EOPNOTSUPP ||
           (errnum == EINVAL && str_starts(name, "security.") && !str_eq(name, "security.capability"));
}

/* fd of the thing itself, or -1: by name in a directory, for what cannot be opened. */
static fallible set_xattrs(struct untar *u, int fd, int dir_fd, const char *name, const struct tar_xattr *xattrs,
                           size_t n)
{
    own_mem char *path = fd < 0 ? mem_printf("/proc/self/fd/%d/%s", dir_fd, name) : NULL;
    for (size_t i = 0; i < n; i++) {
        const struct tar_xattr *x = &xattrs[i];
        /* These are ours to set: a layer's could send overlayfs to other files. */
        if (str_starts(x->name, "trusted.overlay.") || str_starts(x->name, "user.overlay.")) {
            log_debug("untar: '%s': attribute %s is overlayfs's own and not kept", name, x->name);
            continue;
        }
        int r = fd >= 0 ? fsetxattr(fd, x->name, x->value, x->n, 0) : lsetxattr(path, x->name, x->value, x->n, 0);
        if (r == 0)
            continue;
        if (!may_be_lost(x->name, errno))
            return err_sys(errno, "set its attribute '%s'", x->name);
        if (u->lost_xattrs++ == 0)
            u->lost_example = mem_strdup(x->name);
    }
    return NULL;
}

static void entry_times(const struct tar_entry *e, struct timespec times[2])
{
    times[0] = times[1] = (struct timespec){ .tv_sec = e->mtime_s, .tv_nsec = e->mtime_ns };
}

/* Of what was just made by name with its mode, and belongs to 0:0. chown(2) takes setuid bits and capabilities away, so
 * owner, mode, attributes in this order. */
static fallible finish_named(struct untar *u, const struct place *at, const struct tar_entry *e)
{
    struct timespec times[2];
    bool owned = e->uid != 0 || e->gid != 0;
    if (owned && fchownat(at->dir_fd, at->name, e->uid, e->gid, AT_SYMLINK_NOFOLLOW) < 0)
        return owner_error(errno, e);
    if (e->type != TAR_SYMLINK && (e->mode & 06000) && fchmodat(at->dir_fd, at->name, e->mode, 0) < 0)
        return err_sys(errno, "set its mode");
    if (e->xattrs_n > 0)
        TRY(set_xattrs(u, -1, at->dir_fd, at->name, e->xattrs, e->xattrs_n));
    entry_times(e, times);
    if (utimensat(at->dir_fd, at->name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(errno, "set its time");
    return NULL;
}

static fallible finish_file(struct untar *u, int fd, const struct tar_entry *e)
{
    struct timespec times[2];
    if ((e->uid != 0 || e->gid != 0) && fchown(fd, e->uid, e->gid) < 0)
        return owner_error(errno, e);
    if ((e->mode & 06000) && fchmod(fd, e->mode) < 0)
        return err_sys(errno, "set its mode");
    if (e->xattrs_n > 0)
        TRY(set_xattrs(u, fd, -1, e->path, e->xattrs, e->xattrs_n));
    entry_times(e, times);
    if (futimens(fd, times) < 0)
        return err_sys(errno, "set its time");
    return NULL;
}

/* ---- kinds of entries ---- */

static fallible write_at(int fd, const unsigned char *p, size_t n, uint64_t offset)
{
    while (n > 0) {
        ssize_t w = pwrite(fd, p, n, (off_t)offset);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return err_sys(errno, "write it");
        p += w;
        n -= (size_t)w;
        offset += (uint64_t)w;
    }
    return NULL;
}

static fallible write_contents(struct untar *u, int fd, const struct tar_entry *e)
{
    bool watched = u->watch && !e->sparse && e->size >= u->watch->min;
    for (;;) {
        uint64_t offset = 0;
        const unsigned char *bytes;
        size_t n;
        TRY(tar_data(u->tar, &offset, &bytes, &n));
        if (n == 0)
            break;
        TRY(write_at(fd, bytes, n, offset));
        if (watched)
            u->watch->bytes(u->watch->ctx, bytes, n);
    }
    if (watched)
        u->watch->file(u->watch->ctx, e->path, e->size);
    if (e->sparse && ftruncate(fd, (off_t)e->size) < 0)
        return err_sys(errno, "make it %llu bytes long", (unsigned long long)e->size);
    return NULL;
}

/* ---- files that are there already ---- */

/* The file that the archive's entry was made into over there, or -1. Its contents are what the archive's bytes are read
 * from, and those are hashed. */
static int open_origin(const struct untar *u, const struct place *at, const struct tar_entry *e, struct stat *st)
{
    own_fd int fd = -1;
    if (!u->origin || !e->size || e->sparse)
        return -1;
    err_ignore(root_open(u->origin->fd, at->path, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, &fd), "it is written then");
    if (fd < 0 || fstat(fd, st) < 0 || !S_ISREG(st->st_mode) || (uint64_t)st->st_size != e->size)
        return -1;
    return take_fd(&fd);
}

/* A link has the other's owner, mode, time and attributes: only where they are what the archive says. */
static bool is_the_same(int fd, const struct stat *st, const struct tar_entry *e)
{
    char names[256];
    ssize_t n = flistxattr(fd, names, sizeof names);
    bool bare = n == 0 || (n > 0 && (size_t)n == strlen("security.selinux") + 1 && str_eq(names, "security.selinux"));
    return (st->st_mode & 07777) == e->mode && st->st_uid == e->uid && st->st_gid == e->gid &&
           st->st_mtim.tv_sec == e->mtime_s && st->st_mtim.tv_nsec == (long)e->mtime_ns && !e->xattrs_n &&
           (bare || (n < 0 && errno == EOPNOTSUPP));
}

static fallible link_origin(struct untar *u, int from, const struct stat *st, const struct place *at,
                            const struct tar_entry *e, bool *ret_done)
{
    *ret_done = false;
    if (from < 0 || !u->origin->link || !is_the_same(from, st, e))
        return NULL;
    TRY(u->origin->link(u->origin->ctx, from, at->dir_fd, at->name, ret_done));
    u->origin->linked += *ret_done;
    return NULL;
}

static fallible fill_file(struct untar *u, int from, int fd, const struct tar_entry *e)
{
    if (from >= 0 && ioctl(fd, FICLONE, from) == 0) {
        u->origin->cloned++;
        return NULL;
    }
    if (u->origin)
        u->origin->copied++;
    return write_contents(u, fd, e);
}

static fallible make_file(struct untar *u, const struct place *at, const struct tar_entry *e)
{
    enum { FLAGS = O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC };
    struct stat st;
    bool linked = false;
    own_fd int from = open_origin(u, at, e, &st);
    TRY(link_origin(u, from, &st, at, e, &linked));
    if (linked)
        return NULL;
    own_fd int fd = openat(at->dir_fd, at->name, FLAGS, e->mode);
    if (fd < 0 && errno == EEXIST) {
        TRY(clear_place(u, at));
        fd = openat(at->dir_fd, at->name, FLAGS, e->mode);
    }
    if (fd < 0)
        return err_sys(errno, "create it");
    TRY(fill_file(u, from, fd, e));
    return finish_file(u, fd, e);
}

static fallible make_opaque(struct untar *u, int dir_fd, const char *name)
{
    own_fd int fd = openat(dir_fd, *name ? name : ".", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fsetxattr(fd, u->opaque_name, "y", 1, 0) < 0)
        return err_sys(errno, "make directory opaque (%s)", u->opaque_name);
    return NULL;
}

/* Mode, owner, time and attributes come last (untar_dirs_finish): what is made in it must not inherit from it, and
 * changes its time. */
static fallible make_dir(struct untar *u, const struct place *at, const struct tar_entry *e)
{
    struct stat st;
    if (!*at->name)
        return untar_dirs_remember(u->dirs, at->path, e);
    if (mkdirat(at->dir_fd, at->name, 0700) < 0) {
        if (errno != EEXIST)
            return err_sys(errno, "make it");
        if (fstatat(at->dir_fd, at->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return err_sys(errno, "look at what is there");
        if (!S_ISDIR(st.st_mode)) {
            TRY(clear_place(u, at));
            if (mkdirat(at->dir_fd, at->name, 0700) < 0)
                return err_sys(errno, "make it");
            /* The whiteout hid what lower layers have there: so must the directory. */
            if (is_whiteout(&st))
                TRY(make_opaque(u, at->dir_fd, at->name));
        }
    }
    return untar_dirs_remember(u->dirs, at->path, e);
}

static fallible make_symlink(struct untar *u, const struct place *at, const struct tar_entry *e)
{
    if (symlinkat(e->link, at->dir_fd, at->name) < 0) {
        if (errno != EEXIST)
            return err_sys(errno, "link it to '%s'", e->link);
        TRY(clear_place(u, at));
        if (symlinkat(e->link, at->dir_fd, at->name) < 0)
            return err_sys(errno, "link it to '%s'", e->link);
    }
    return finish_named(u, at, e);
}

static bool same_file(const struct place *a, const struct place *b)
{
    struct stat sa, sb;
    return fstatat(a->dir_fd, a->name, &sa, AT_SYMLINK_NOFOLLOW) == 0 &&
           fstatat(b->dir_fd, b->name, &sb, AT_SYMLINK_NOFOLLOW) == 0 && sa.st_dev == sb.st_dev &&
           sa.st_ino == sb.st_ino;
}

static fallible make_hard_link(struct untar *u, const struct place *at, const struct tar_entry *e)
{
    char buf[TAR_NAME_MAX + 1];
    struct place to = { 0 };
    /* Opening the second place may throw the first one's directory out of the cache. */
    own_fd int dir_fd = fcntl(at->dir_fd, F_DUPFD_CLOEXEC, 0);
    if (dir_fd < 0)
        return err_sys(errno, "keep its directory open");
    struct place from = { .dir_fd = dir_fd, .name = at->name, .path = at->path };
    TRY_AS(find_place(u, e->link, buf, &to), "hard link to '%s'", e->link);
    int r = linkat(to.dir_fd, to.name, from.dir_fd, from.name, 0);
    if (r < 0 && errno == EEXIST) {
        if (same_file(&from, &to))
            return NULL;
        /* Clearing may remove the target too, when it lies below: then the second try says so. */
        TRY(clear_place(u, &from));
        TRY_AS(find_place(u, e->link, buf, &to), "hard link to '%s'", e->link);
        r = linkat(to.dir_fd, to.name, from.dir_fd, from.name, 0);
    }
    if (r < 0 && (errno == ENOENT || errno == EPERM))
        return err_new(ERR_INVALID, "hard link to '%s', which is no file of this layer", e->link);
    return r < 0 ? err_sys(errno, "hard link to '%s'", e->link) : NULL;
}

static fallible make_node(struct untar *u, const struct place *at, const struct tar_entry *e)
{
    mode_t type = e->type == TAR_FIFO ? S_IFIFO : e->type == TAR_CHAR ? S_IFCHR : S_IFBLK;
    dev_t device = e->type == TAR_FIFO ? 0 : makedev(e->major, e->minor);
    if (e->type != TAR_FIFO && ++u->devices > u->limits->devices)
        return err_new(ERR_EXHAUSTED, "the layer has more than %llu device files",
                       (unsigned long long)u->limits->devices);
    TRY(clear_place(u, at));
    if (mknodat(at->dir_fd, at->name, type | e->mode, device) == 0)
        return finish_named(u, at, e);
    /* As podman and rootless docker do; a container's /dev is made fresh and never the image's. */
    if (errno == EPERM && e->type != TAR_FIFO && u->in_userns) {
        log_debug("untar: '%s': device %u:%u cannot be made in a user namespace, left out", at->path, e->major,
                  e->minor);
        return NULL;
    }
    return err_sys(errno, "make device %u:%u", e->major, e->minor);
}

/* ---- whiteouts ---- */

static fallible make_whiteout(struct untar *u, const struct place *at)
{
    const char *hidden = at->name + strlen(WHITEOUT_PREFIX);
    struct stat st;
    if (str_eq(at->name, WHITEOUT_OPAQUE))
        return make_opaque(u, at->dir_fd, "");
    if (str_starts(at->name, WHITEOUT_META)) {
        log_debug("untar: '%s' is aufs's own and not kept", at->path);
        return NULL;
    }
    if (!*hidden || str_eq(hidden, ".") || str_eq(hidden, ".."))
        return err_new(ERR_INVALID, "a whiteout of no name");
    if (mknodat(at->dir_fd, hidden, S_IFCHR, 0) == 0)
        return NULL;
    if (errno != EEXIST)
        return err_sys(errno, "make the whiteout");
    /* This layer's own file of that name stays: a whiteout is about lower layers, which a file hides anyway. */
    if (fstatat(at->dir_fd, hidden, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(errno, "look at what is there");
    return S_ISDIR(st.st_mode) ? make_opaque(u, at->dir_fd, hidden) : NULL;
}

/* ---- all ---- */

static fallible make_entry(struct untar *u, const struct tar_entry *e)
{
    char buf[TAR_NAME_MAX + 1];
    struct place at = { 0 };
    TRY(find_place(u, e->path, buf, &at));
    if (!*at.name && e->type != TAR_DIR)
        return err_new(ERR_INVALID, "the layer's root would be no directory");
    if (str_starts(at.name, WHITEOUT_PREFIX))
        return make_whiteout(u, &at);
    switch (e->type) {
    case TAR_FILE:
        return make_file(u, &at, e);
    case TAR_DIR:
        return make_dir(u, &at, e);
    case TAR_SYMLINK:
        return make_symlink(u, &at, e);
    case TAR_HARD_LINK:
        return make_hard_link(u, &at, e);
    case TAR_CHAR:
    case TAR_BLOCK_DEVICE:
    case TAR_FIFO:
        return make_node(u, &at, e);
    }
    return err_new(ERR_INTERNAL, "an entry of kind %d", (int)e->type);
}

static fallible set_dir(void *ctx, int fd, const struct tar_entry *e)
{
    struct untar *u = ctx;
    struct timespec times[2];
    /* What is root's is, for who is not, his own, as files are: he is the root of what he runs from there. */
    bool own = !e->uid && !e->gid && geteuid() != 0;
    if (!own && fchown(fd, e->uid, e->gid) < 0)
        return owner_error(errno, e);
    if (fchmod(fd, e->mode) < 0)
        return err_sys(errno, "set its mode");
    TRY(set_xattrs(u, fd, -1, e->path, e->xattrs, e->xattrs_n));
    entry_times(e, times);
    if (futimens(fd, times) < 0)
        return err_sys(errno, "set its time");
    return NULL;
}

static fallible all_entries(struct untar *u)
{
    for (;;) {
        const struct tar_entry *e;
        TRY(tar_next(u->tar, &e));
        if (!e)
            break;
        if (++u->entries > u->limits->entries)
            return err_new(ERR_EXHAUSTED, "the layer has more than %llu entries",
                           (unsigned long long)u->limits->entries);
        TRY_AS(make_entry(u, e), "'%.*s'", 200, e->path);
    }
    return untar_dirs_finish(u->dirs, set_dir, u);
}

fallible untar_from(struct tar *t, int dir_fd, const struct untar_limits *limits, struct untar_origin *origin,
                    const struct untar_watch *watch)
{
    struct untar u = { .tar = t, .root_fd = dir_fd, .limits = limits, .origin = origin, .watch = watch };
    u.in_userns = ids_in_userns();
    u.opaque_name = u.in_userns ? "user.overlay.opaque" : "trusted.overlay.opaque";
    /* Files get their mode when they are made: the mask of this thread, and of no other, goes. In a container whose
     * filter refuses that (docker's default) all threads': whatever makes files here says their modes anyway. */
    if (unshare(CLONE_FS) < 0 && errno != EPERM)
        return err_sys(errno, "have a file-creation mask of our own");
    (void)umask(0);
    u.dirs = untar_dirs_new(dir_fd);
    err *e = all_entries(&u);
    if (u.lost_xattrs > 0)
        log_warn("%zu extended attributes of the layer cannot be set here, such as '%s'", u.lost_xattrs,
                 u.lost_example);
    free(u.lost_example);
    untar_dirs_free(u.dirs);
    return e;
}

fallible untar(struct tar *t, int dir_fd, const struct untar_limits *limits)
{
    return untar_from(t, dir_fd, limits, NULL, NULL);
}
