// SPDX-License-Identifier: GPL-2.0-or-later
#include "rootfs/source.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "rootfs/rootfs_parts.h"

void rootfs_source_free(struct rootfs_source *s)
{
    free(s->dir);
    strv_free(&s->lowers);
    free(s->upper);
    free(s->work);
    free(s->uid_shift);
    free(s->gid_shift);
    *s = (struct rootfs_source){ 0 };
}

enum { FSCONFIG_TEXT_MAX = 255 }; /* fsconfig(2) takes no longer string */

/* ':' and '\\' divide and quote layers, ',' divides options; a number in /proc/self/fd needs no quoting. */
static bool plain_path(const char *path)
{
    return strlen(path) <= FSCONFIG_TEXT_MAX && !strpbrk(path, ":\\,");
}

static fallible open_layer(const char *path, int *ret_fd)
{
    int fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open layer '%s'", path);
    *ret_fd = fd;
    return NULL;
}

/* The kernel's words on the descriptor: "e overlay: ..." */
static fallible refused(int fs, int errnum, const char *what)
{
    char line[256];
    ssize_t n = read(fs, line, sizeof line - 1);
    if (n <= 2)
        return err_sys(errnum, "overlay: %s", what);
    line[n] = '\0';
    line[strcspn(line, "\n")] = '\0';
    if (strstr(line, "not supported as upperdir"))
        return err_sys(errnum, "overlay: %s: %s: put the store elsewhere; in a container, on a volume", what, line + 2);
    return err_sys(errnum, "overlay: %s: %s", what, line + 2);
}

/* Descriptors that must stay open until the file system is made. */
struct held {
    int *fds;
    size_t n;
};
static void own_drop_held(struct held *h)
{
    for (size_t i = 0; i < h->n; i++)
        (void)close(h->fds[i]);
    free(h->fds);
}
static void hold(struct held *h, int fd)
{
    h->fds = mem_array(h->fds, h->n + 1, sizeof *h->fds);
    h->fds[h->n++] = fd;
}

static fallible set_layer(int fs, const char *key, const char *path, int fd, struct held *held)
{
    char magic[32];
    const char *value = path;
    if (fd < 0 && !plain_path(path)) {
        TRY(open_layer(path, &fd));
        hold(held, fd);
    }
    if (fd >= 0) {
        (void)snprintf(magic, sizeof magic, "/proc/self/fd/%d", fd);
        value = magic;
    }
    if (fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0) < 0)
        return refused(fs, errno, path);
    return NULL;
}

static fallible overlay_finish(int fs, const struct rootfs_source *s, bool in_userns, const char *label,
                               int *ret_mount_fd)
{
    /* In a user namespace trusted.* attributes cannot be written: whiteout and opaque marks live in user.* */
    if (in_userns && fsconfig(fs, FSCONFIG_SET_FLAG, "userxattr", NULL, 0) < 0)
        return refused(fs, errno, "userxattr");
    if (s->throw_away && s->upper && fsconfig(fs, FSCONFIG_SET_FLAG, "volatile", NULL, 0) < 0)
        log_debug("overlay: this kernel knows no 'volatile'"); /* before 5.10 */
    if (label && fsconfig(fs, FSCONFIG_SET_STRING, "context", label, 0) < 0)
        return refused(fs, errno, "context");
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return refused(fs, errno, "make the file system");
    int fd = fsmount(fs, FSMOUNT_CLOEXEC, 0);
    if (fd < 0)
        return refused(fs, errno, "mount it");
    *ret_mount_fd = fd;
    return NULL;
}

static fallible open_overlay(int *ret_fs)
{
    int fs = fsopen("overlay", FSOPEN_CLOEXEC);
    if (fs < 0)
        return err_sys(errno, "open file system 'overlay'");
    (void)fsconfig(fs, FSCONFIG_SET_STRING, "source", "husk", 0); /* only shown in mountinfo */
    *ret_fs = fs;
    return NULL;
}

fallible overlay_mount_new(const struct rootfs_source *s, const int *lower_fds, bool in_userns, const char *label,
                           int *ret_mount_fd)
{
    own_fd int fs = -1;
    own(held) struct held held = { 0 };
    TRY(open_overlay(&fs));
    for (size_t i = 0; i < s->lowers.n; i++)
        TRY(set_layer(fs, "lowerdir+", s->lowers.items[i], lower_fds ? lower_fds[i] : -1, &held));
    if (s->upper) {
        TRY(set_layer(fs, "upperdir", s->upper, -1, &held));
        TRY(set_layer(fs, "workdir", s->work, -1, &held));
    }
    return overlay_finish(fs, s, in_userns, label, ret_mount_fd);
}

/* Layers as the numbers of their descriptors, with /proc/self/fd as the working directory: "7:8:9". */
static fallible join_lowers(const struct rootfs_source *s, const int *lower_fds, struct held *held, struct str *out)
{
    for (size_t i = 0; i < s->lowers.n; i++) {
        int fd = lower_fds ? lower_fds[i] : -1;
        if (fd < 0) {
            TRY(open_layer(s->lowers.items[i], &fd));
            hold(held, fd);
        }
        str_printf(out, i ? ":%d" : "%d", fd);
    }
    return NULL;
}

fallible overlay_mount_old(const struct rootfs_source *s, const int *lower_fds, bool in_userns, const char *label,
                           int *ret_mount_fd)
{
    own_fd int fs = -1;
    own_fd int here = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
    own(held) struct held held = { 0 };
    own_str struct str lowers = { 0 };
    TRY(join_lowers(s, lower_fds, &held, &lowers));
    if (lowers.len > FSCONFIG_TEXT_MAX)
        return err_new(ERR_UNSUPPORTED, "overlay: %zu layers: more than this kernel takes; Linux 6.7 takes 500",
                       s->lowers.n);
    if (here < 0 || chdir("/proc/self/fd") < 0)
        return err_sys(errno, "enter '/proc/self/fd'");
    err *e = open_overlay(&fs);
    if (!e && fsconfig(fs, FSCONFIG_SET_STRING, "lowerdir", lowers.text, 0) < 0)
        e = refused(fs, errno, "lowerdir");
    if (!e && s->upper)
        e = set_layer(fs, "upperdir", s->upper, -1, &held);
    if (!e && s->upper)
        e = set_layer(fs, "workdir", s->work, -1, &held);
    if (!e)
        e = overlay_finish(fs, s, in_userns, label, ret_mount_fd);
    if (fchdir(here) < 0 && !e)
        e = err_sys(errno, "come back from '/proc/self/fd'");
    return e;
}

/* Each layer through an id-mapped mount of its own: files of the image's user 0 belong to the container's user 0. */
static fallible idmap_lowers(const struct rootfs_source *s, int userns_fd, int *fds)
{
    for (size_t i = 0; i < s->lowers.n; i++) {
        TRY(mount_copy_path(s->lowers.items[i], MOUNT_ONE, &fds[i]));
        TRY_AS(mount_idmap(fds[i], userns_fd, MOUNT_ONE), "layer '%s'", s->lowers.items[i]);
    }
    return NULL;
}

static fallible overlay_mount(const struct rootfs_source *s, const int *lower_fds, bool in_userns, const char *label,
                              int *ret_mount_fd)
{
    err *e = overlay_mount_new(s, lower_fds, in_userns, label, ret_mount_fd);
    if (err_errno(e) != EINVAL)
        return e;
    /* Before 6.7 there was no "lowerdir+". A real EINVAL comes back from the other way too. */
    log_debug("overlay: one layer at a time was refused, all at once is tried: %s", err_text(e));
    err *e2 = overlay_mount_old(s, lower_fds, in_userns, label, ret_mount_fd);
    if (e2 && s->lowers.n > 60) {
        err_free(e2);
        return e;
    }
    err_free(e);
    return e2;
}

/* overlayfs marks a volatile layer, and refuses one that is marked: after a power cut it may be damaged. But what is
 * thrown away is gone then anyway, and any other end leaves the layer whole. */
static void unmark_volatile(const struct rootfs_source *s)
{
    static const char *const marks[] = { "work/incompat/volatile/dirty", "work/incompat/volatile", "work/incompat" };
    own_fd int work = open(s->work, O_PATH | O_DIRECTORY | O_CLOEXEC);
    for (size_t i = faccessat(work, marks[2], F_OK, 0) < 0 ? 3 : 0; i < ARRAY_SIZE(marks); i++)
        (void)unlinkat(work, marks[i], i == 0 ? 0 : AT_REMOVEDIR);
}

static fallible overlay_source(const struct rootfs_source *s, int userns_fd, bool in_userns, const char *label,
                               int *ret_mount_fd)
{
    own(held) struct held lowers = { 0 };
    if (s->lowers.n == 0)
        return err_new(ERR_INTERNAL, "overlay: no layer");
    if (s->fuse && s->idmap)
        return err_new(ERR_UNSUPPORTED,
                       "fuse-overlayfs: its files cannot be id-mapped: leave out --userns auto, or set "
                       "driver = vfs in [storage] of husk.conf");
    if (s->fuse)
        return userns_fd >= 0 ? fuse_overlay_mount_in(s, userns_fd, ret_mount_fd) : fuse_overlay_mount(s, ret_mount_fd);
    if (s->idmap && userns_fd >= 0) {
        for (size_t i = 0; i < s->lowers.n; i++)
            hold(&lowers, -1);
        TRY(idmap_lowers(s, userns_fd, lowers.fds));
    }
    if (!s->upper && s->lowers.n == 1) { /* overlayfs wants two directories */
        if (lowers.n)
            *ret_mount_fd = take_fd(&lowers.fds[0]);
        else
            TRY(mount_copy_path(s->lowers.items[0], MOUNT_ONE, ret_mount_fd));
        return mount_set(*ret_mount_fd, MOUNT_ONE, MOUNT_ATTR_RDONLY, 0, 0);
    }
    if (s->throw_away && s->upper)
        unmark_volatile(s);
    return overlay_mount(s, lowers.n ? lowers.fds : NULL, in_userns, label, ret_mount_fd);
}

static fallible dir_source(const struct rootfs_source *s, int userns_fd, int *ret_mount_fd)
{
    own_fd int fd = -1;
    struct stat st;
    TRY(mount_copy_path(s->dir, MOUNT_RECURSIVE, &fd));
    if (fstat(fd, &st) < 0 || !S_ISDIR(st.st_mode))
        return err_new(ERR_INVALID, "root file system '%s' is not a directory", s->dir);
    if (s->idmap && userns_fd >= 0)
        TRY_AS(mount_idmap(fd, userns_fd, MOUNT_RECURSIVE), "root file system '%s'", s->dir);
    *ret_mount_fd = take_fd(&fd);
    return NULL;
}

fallible source_mount(const struct rootfs_source *source, int userns_fd, bool in_userns, const char *label,
                      int *ret_mount_fd)
{
    switch (source->kind) {
    case ROOTFS_DIR:
        return dir_source(source, userns_fd, ret_mount_fd);
    case ROOTFS_OVERLAY:
        return overlay_source(source, userns_fd, in_userns, label, ret_mount_fd);
    }
    return err_new(ERR_INTERNAL, "a root of no kind");
}
