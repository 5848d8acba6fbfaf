// SPDX-License-Identifier: GPL-2.0-or-later
#include "rootfs/rootfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <sched.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "base/log.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/root.h"
#include "os/sock.h"
#include "rootfs/rootfs_parts.h"

fallible rootfs_init(struct rootfs *r, const struct oci_spec *spec, const struct rootfs_source *source)
{
    uint64_t propagation;
    enum mount_depth depth;
    *r = (struct rootfs){ .spec = spec,
                          .source = source,
                          .mounts_ns = -1,
                          .prepared_root = -1,
                          .staging_fd = -1,
                          .root_fd = -1,
                          .null_fd = -1,
                          .proc_fd = -1,
                          .empty_fd = -1,
                          .tty_fd = -1 };
    r->options = mem_zalloc((spec->mounts_n + 1) * sizeof *r->options);
    r->prepared = mem_array(NULL, spec->mounts_n + 1, sizeof *r->prepared);
    for (size_t i = 0; i < spec->mounts_n; i++)
        r->prepared[i] = -1;
    for (size_t i = 0; i < spec->mounts_n; i++)
        TRY(mount_options_read(&spec->mounts[i], &r->options[i]));
    if (spec->linux_)
        TRY(mount_propagation_read(spec->linux_->rootfs_propagation, &propagation, &depth));
    return NULL;
}

void rootfs_clear(struct rootfs *r)
{
    int *fds[] = { &r->prepared_root, &r->staging_fd, &r->root_fd, &r->null_fd, &r->proc_fd, &r->empty_fd, &r->tty_fd };
    for (size_t i = 0; r->spec && i < r->spec->mounts_n; i++) {
        mount_options_clear(&r->options[i]);
        close_now(&r->prepared[i]);
    }
    for (size_t i = 0; r->spec && i < ARRAY_SIZE(fds); i++)
        close_now(fds[i]);
    free(r->options);
    free(r->prepared);
    free(r->root_path);
    *r = (struct rootfs){ 0 };
}

static fallible open_path(const char *path, int *ret_fd)
{
    int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open '%s'", path);
    *ret_fd = fd;
    return NULL;
}

/* With shared propagation asked for, nothing but what lies under our own mount may be seen by the host: the mount that
 * holds the staging directory is made private. Its mount point is the nearest ancestor where the kernel agrees. */
static fallible privatise_around(const char *staging)
{
    own_mem char *path = mem_strdup(staging);
    for (;;) {
        if (mount(NULL, path, NULL, MS_PRIVATE, NULL) == 0)
            return NULL;
        char *slash = strrchr(path, '/');
        if (errno != EINVAL || !slash || str_eq(path, "/"))
            return err_sys(errno, "make the mount around '%s' private", staging);
        slash[slash == path] = '\0';
    }
}

fallible rootfs_enter(struct rootfs *r)
{
    uint64_t propagation = 0;
    enum mount_depth depth = MOUNT_ONE;
    struct stat st;
    if (r->spec->linux_)
        TRY(mount_propagation_read(r->spec->linux_->rootfs_propagation, &propagation, &depth));
    unsigned long flags = propagation ? propagation | (depth == MOUNT_RECURSIVE ? MS_REC : 0) : MS_SLAVE | MS_REC;
    if (propagation == MS_UNBINDABLE) /* nothing could be copied any more: it becomes so when the root is there */
        flags = MS_PRIVATE | MS_REC;
    if (mount(NULL, "/", NULL, flags, NULL) < 0)
        return err_sys(errno, errno == EINVAL
                                  ? "keep mounts from the host: '/' is no mount here, as in a chroot: bind it to "
                                    "itself first (mount --bind DIR DIR; chroot DIR)"
                                  : "keep mounts from the host");
    if (propagation == MS_SHARED)
        TRY(privatise_around(r->staging));
    TRY(open_path(r->staging, &r->staging_fd));
    TRY(open_path("/dev/null", &r->null_fd));
    if (fstat(r->null_fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
        return err_new(ERR_CONFLICT, "the host's '/dev/null' is not device 1:3");
    return open_path("/proc", &r->proc_fd);
}

/* rootfs_init() has read it already. */
static uint64_t asked_propagation(const struct rootfs *r)
{
    uint64_t propagation = 0;
    enum mount_depth depth;
    if (r->spec->linux_)
        err_ignore(mount_propagation_read(r->spec->linux_->rootfs_propagation, &propagation, &depth), "read before");
    return propagation;
}

const char *mount_label(const struct rootfs *r)
{
    const char *label = r->spec->linux_ ? r->spec->linux_->mount_label : NULL;
    return label && *label ? label : NULL;
}

fallible rootfs_mount_root(struct rootfs *r)
{
    own_fd int fd = take_fd(&r->prepared_root);
    if (fd < 0)
        TRY(source_mount(r->source, -1, r->userns, mount_label(r), &fd));
    for (size_t i = 0; i < r->spec->mounts_n; i++) /* their directories may be below what is covered now */
        if (r->prepared[i] < 0 && mount_is_layered(&r->spec->mounts[i]))
            TRY_AS(layered_mount(r, i, -1, r->userns, &r->prepared[i]), "mount '%s'", r->spec->mounts[i].destination);
    TRY(mount_place(fd, r->staging_fd));
    if (asked_propagation(r) == MS_SHARED) /* pivot_root(2) takes no shared root; it becomes so again afterwards */
        TRY(mount_set(fd, MOUNT_ONE, 0, 0, MS_PRIVATE));
    r->root_fd = take_fd(&fd);
    return NULL;
}

static bool prepared_mount(const struct rootfs *r, size_t i)
{
    return r->options[i].bind && !r->options[i].remount;
}

static bool wants_idmap(const struct rootfs *r, size_t i)
{
    return r->options[i].idmap || r->spec->mounts[i].uid_mappings_n;
}

bool rootfs_needs_prepare(const struct rootfs *r, bool parent_is_root)
{
    if (parent_is_root && r->userns)
        return true;
    for (size_t i = 0; i < r->spec->mounts_n; i++)
        if (wants_idmap(r, i))
            return true;
    return (r->source->idmap && r->userns) || r->source->fuse;
}

/* What is copied out of the host's mount namespace is its mount's peer where that is shared, and a mount made on it
 * would come out there; nor does pivot_root(2) take a shared root. As rootfs_enter() does with all that the child
 * finds. */
static fallible part_from_host(const struct rootfs *r, int mount_fd)
{
    uint64_t propagation = asked_propagation(r);
    if (propagation == MS_SHARED && !r->userns)
        return NULL;
    return mount_set(mount_fd, MOUNT_RECURSIVE, 0, 0, propagation == MS_PRIVATE ? MS_PRIVATE : MS_SLAVE);
}

fallible prepare_bind(const struct rootfs *r, size_t i, int userns_fd, int *ret_mount_fd)
{
    own_fd int fd = -1;
    TRY(bind_copy(r, i, userns_fd, &fd));
    TRY(part_from_host(r, fd));
    *ret_mount_fd = take_fd(&fd);
    return NULL;
}

static fallible prepare_root(const struct rootfs *r, int userns_fd, int *ret_mount_fd)
{
    own_fd int fd = -1;
    TRY(source_mount(r->source, userns_fd, false, mount_label(r), &fd));
    if (!r->source->fuse) /* which is new, so nobody's peer, and where an ordinary user may not change it */
        TRY(part_from_host(r, fd));
    *ret_mount_fd = take_fd(&fd);
    return NULL;
}

/* The kernel asks for CAP_SYS_ADMIN where the file system was mounted, which of what is bound is the host. */
static fallible check_idmaps(const struct rootfs *r)
{
    for (size_t i = 0; i < r->spec->mounts_n && !ids_is_root(); i++)
        if (wants_idmap(r, i))
            return err_new(ERR_DENIED,
                           "mount '%s': only root can map a mount's ids: leave its mappings out, or run husk as root",
                           r->spec->mounts[i].destination);
    return NULL;
}

fallible rootfs_prepare(struct rootfs *r, int userns_fd)
{
    TRY(check_idmaps(r));
    bool only_fuse = r->source->fuse && !ids_is_root(); /* an ordinary user's binds are the child's to make, as ever */
    if (r->userns || r->source->fuse)                   /* fuse-overlayfs is no process of the container's */
        TRY_AS(prepare_root(r, userns_fd, &r->prepared_root), "root file system");
    for (size_t i = 0; i < r->spec->mounts_n; i++)
        if (prepared_mount(r, i) && ((r->userns && !only_fuse) || wants_idmap(r, i)))
            TRY_AS(prepare_bind(r, i, userns_fd, &r->prepared[i]), "mount '%s'", r->spec->mounts[i].destination);
        else if (r->userns && ids_is_root() && mount_is_layered(&r->spec->mounts[i]))
            TRY_AS(layered_mount(r, i, userns_fd, ids_in_userns(), &r->prepared[i]), "mount '%s'",
                   r->spec->mounts[i].destination);
    return NULL;
}

/* One message each, the index first: -1 is the root, -2 the end. */
static fallible send_one(int sock, int index, int fd)
{
    int32_t n = index;
    return sock_send(sock, &n, sizeof n, &fd, fd >= 0 ? 1 : 0);
}

fallible rootfs_send_prepared(const struct rootfs *r, int sock)
{
    if (r->prepared_root >= 0)
        TRY(send_one(sock, -1, r->prepared_root));
    for (size_t i = 0; i < r->spec->mounts_n; i++)
        if (r->prepared[i] >= 0)
            TRY(send_one(sock, (int)i, r->prepared[i]));
    return send_one(sock, -2, -1);
}

fallible rootfs_receive_prepared(struct rootfs *r, int sock)
{
    for (;;) {
        int32_t index = 0;
        size_t len = 0, fds = 0;
        own_fd int fd = -1;
        TRY(sock_recv(sock, &index, sizeof index, &len, &fd, 1, &fds));
        if (len != sizeof index || index < -2 || (index >= 0 && (size_t)index >= r->spec->mounts_n))
            return err_new(ERR_UNAVAILABLE, "the other side sent no mounts");
        if (index == -2)
            return NULL;
        int *slot = index == -1 ? &r->prepared_root : &r->prepared[index];
        close_now(slot);
        *slot = take_fd(&fd);
    }
}

/* Hidden and read-only paths. */

static fallible cover_file(const struct rootfs *r, int at)
{
    own_fd int copy = -1;
    TRY(mount_copy(r->null_fd, MOUNT_ONE, &copy));
    return mount_place(copy, at);
}

enum { HIDDEN = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC };

static bool has_entries(int dir_fd)
{
    char entries[256]; /* room for more than "." and ".." */
    uint16_t length = 0;
    int n = 0;
    long bytes = syscall(SYS_getdents64, dir_fd, entries, sizeof entries);
    for (long at = 0; at < bytes; at += length, n++)
        memcpy(&length, entries + at + offsetof(struct dirent, d_reclen), sizeof length);
    return n != 2;
}

/*
 * The kernel keeps a directory of /proc for old programs and never puts anything into it (drivers/tty/tty_ldisc.c):
 * a copy of its mount hides as well as a file system of its own, which would have to be made and taken down again.
 * *ret_fd stays -1 where the container has no such directory.
 */
static fallible empty_of_proc(const struct rootfs *r, int *ret_fd)
{
    struct statfs fs;
    own_fd int dir = -1;
    own_fd int copy = -1;
    err *e = root_open(r->root_fd, "/proc/tty/ldisc", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, &dir);
    if (e || fstatfs(dir, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC || has_entries(dir)) {
        err_ignore(e, "a file system of its own then");
        return NULL;
    }
    TRY(mount_copy(dir, MOUNT_ONE, &copy));
    TRY(mount_set(copy, MOUNT_ONE, HIDDEN, 0, 0));
    *ret_fd = take_fd(&copy);
    return NULL;
}

/* One empty read-only directory for all that are hidden. */
static fallible cover_dir(struct rootfs *r, int at)
{
    static const struct mount_option options[] = { { "size", "0" }, { "nr_inodes", "2" }, { "mode", "555" } };
    own_fd int copy = -1;
    if (r->empty_fd < 0) {
        TRY(empty_of_proc(r, &r->empty_fd));
        if (r->empty_fd < 0)
            TRY(mount_make("tmpfs", "tmpfs", options, ARRAY_SIZE(options), HIDDEN, &r->empty_fd));
        return mount_place(r->empty_fd, at);
    }
    TRY(mount_copy(r->empty_fd, MOUNT_ONE, &copy));
    return mount_place(copy, at);
}

/* NOT_FOUND is no error: what is not there is hidden already. *ret_fd stays -1. */
static fallible open_if_there(const struct rootfs *r, const char *path, int *ret_fd)
{
    err *e = root_open(r->root_fd, path, O_PATH, ret_fd);
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    return NULL;
}

static fallible hide(struct rootfs *r, const char *path)
{
    own_fd int at = -1;
    struct stat st;
    bool root = false;
    TRY(open_if_there(r, path, &at));
    if (at < 0)
        return NULL;
    TRY(mount_same_place(r->root_fd, at, &root));
    if (root)
        return err_new(ERR_INVALID, "the root itself cannot be hidden");
    if (fstat(at, &st) < 0)
        return err_sys(errno, "look at it");
    return S_ISDIR(st.st_mode) ? cover_dir(r, at) : cover_file(r, at);
}

static fallible make_readonly(struct rootfs *r, const char *path)
{
    own_fd int at = -1;
    own_fd int copy = -1;
    bool root = false;
    TRY(open_if_there(r, path, &at));
    if (at < 0)
        return NULL;
    TRY(mount_same_place(r->root_fd, at, &root));
    if (root) /* what is mounted on the root lies above it, where nobody who is in it already would see it */
        return mount_set(r->root_fd, MOUNT_ONE, MOUNT_ATTR_RDONLY, 0, 0);
    TRY(mount_copy(at, MOUNT_RECURSIVE, &copy));
    TRY(mount_set(copy, MOUNT_RECURSIVE, MOUNT_ATTR_RDONLY, 0, 0));
    return mount_place(copy, at);
}

static fallible close_dev(struct rootfs *r)
{
    const struct oci_mount *m = mount_at(r->spec, "/dev");
    own_fd int dev = -1;
    if (!m || r->options[m - r->spec->mounts].bind || !(r->options[m - r->spec->mounts].set & MOUNT_ATTR_RDONLY))
        return NULL;
    TRY(root_open(r->root_fd, "/dev", O_PATH | O_DIRECTORY, &dev));
    return mount_set(dev, MOUNT_ONE, MOUNT_ATTR_RDONLY, 0, 0);
}

fallible rootfs_protect(struct rootfs *r)
{
    const struct oci_linux *l = r->spec->linux_;
    for (size_t i = 0; l && i < l->readonly_paths.n; i++)
        TRY_AS(make_readonly(r, l->readonly_paths.items[i]), "make '%s' read-only", l->readonly_paths.items[i]);
    for (size_t i = 0; l && i < l->masked_paths.n; i++)
        TRY_AS(hide(r, l->masked_paths.items[i]), "hide '%s'", l->masked_paths.items[i]);
    TRY_AS(close_dev(r), "make '/dev' read-only");
    if (r->spec->root && r->spec->root->readonly)
        TRY_AS(mount_set(r->root_fd, MOUNT_ONE, MOUNT_ATTR_RDONLY, 0, 0), "make the root read-only");
    return NULL;
}

/* The change of root. */

static fallible root_propagation(const struct rootfs *r)
{
    uint64_t propagation = 0;
    enum mount_depth depth = MOUNT_ONE;
    if (r->spec->linux_)
        TRY(mount_propagation_read(r->spec->linux_->rootfs_propagation, &propagation, &depth));
    if (propagation && mount(NULL, "/", NULL, propagation | (depth == MOUNT_RECURSIVE ? MS_REC : 0), NULL) < 0)
        return err_sys(errno, "set the root's propagation");
    return NULL;
}

/* For hosts whose root is the initramfs: it cannot be pivoted. The old root stays mounted underneath. */
static fallible move_root(void)
{
    if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0)
        return err_sys(errno, "move the root");
    return NULL;
}

/*
 * Into a mount namespace that others use, with a root that is in none: a detached copy of the tree that was made here.
 * It holds by our root directory alone and goes with the last process in it, whatever happens to us; nothing is ever
 * mounted, hidden or left behind where the others are. And no ".." leads out of it, as one would after a chroot into a
 * mounted directory: it has no parent. Masks and read-only paths are in the copy.
 */
static fallible go_over(const struct rootfs *r)
{
    own_fd int tree = -1;
    TRY(mount_copy(r->root_fd, MOUNT_RECURSIVE, &tree));
    TRY(mount_set(tree, MOUNT_RECURSIVE, 0, 0, MS_PRIVATE));
    if (setns(r->mounts_ns, CLONE_NEWNS) < 0)
        return err_sys(errno, "join the mount namespace");
    if (fchdir(tree) < 0 || chroot(".") < 0)
        return err_sys(errno, "enter the new root");
    return NULL;
}

fallible rootfs_change_root(struct rootfs *r)
{
    own_fd int old_root = -1;
    if (r->mounts_ns >= 0)
        return go_over(r);
    if (asked_propagation(r) == MS_SHARED)
        TRY(open_path("/", &old_root));
    if (fchdir(r->root_fd) < 0)
        return err_sys(errno, "enter the new root");
    if (r->no_pivot) {
        TRY(move_root());
    } else {
        /* both names are ".": the old root lands on top of the new one, and is then taken away */
        if (syscall(SYS_pivot_root, ".", ".") < 0)
            return err_sys(errno, errno == EINVAL
                                      ? "pivot_root: is the host's root an initramfs? --no-pivot moves it instead"
                                      : "pivot_root");
        /* or the host would lose its mounts with us; without shared propagation they are slaves already */
        if (old_root >= 0 && (fchdir(old_root) < 0 || mount(NULL, ".", NULL, MS_SLAVE | MS_REC, NULL) < 0))
            return err_sys(errno, "part from the old root");
        if (umount2(".", MNT_DETACH) < 0)
            return err_sys(errno, "leave the old root");
    }
    if (chdir("/") < 0)
        return err_sys(errno, "enter the new root");
    return root_propagation(r);
}

/* Writing kernel parameters. */

static int open_in_proc(int proc_fd, const char *path)
{
    struct open_how how = { .flags = O_WRONLY | O_CLOEXEC,
                            .resolve =
                                RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS };
    struct statfs fs;
    if (fstatfs(proc_fd, &fs) < 0 || fs.f_type != PROC_SUPER_MAGIC) {
        errno = EXDEV;
        return -1;
    }
    return (int)syscall(SYS_openat2, proc_fd, path, &how, sizeof how);
}

fallible rootfs_write_proc(struct rootfs *r, const char *path, const char *text)
{
    own_fd int fd = open_in_proc(r->proc_fd, path);
    if (fd < 0 && (errno == EXDEV || errno == EROFS)) {
        /* Something is mounted over the host's (we are in a container ourselves): a proc of our own has nothing on it.
         */
        close_now(&r->proc_fd);
        TRY(mount_make("proc", "proc", NULL, 0, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC, &r->proc_fd));
        fd = open_in_proc(r->proc_fd, path);
    }
    if (fd < 0)
        return err_sys(errno, "open '/proc/%s'", path);
    if (write(fd, text, strlen(text)) < 0)
        return err_sys(errno, "write '%s' to '/proc/%s'", text, path);
    return NULL;
}
