// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <termios.h>

#include "base/log.h"
#include "os/root.h"
#include "rootfs/rootfs_parts.h"

/* Source: runtime-spec config-linux.md, "Default Devices". */
static const struct {
    const char *name;
    unsigned major, minor;
} default_devices[] = {
    { "null", 1, 3 }, { "zero", 1, 5 }, { "full", 1, 7 }, { "random", 1, 8 }, { "urandom", 1, 9 }, { "tty", 5, 0 },
};

static const struct {
    const char *name, *target;
} links[] = {
    { "fd", "/proc/self/fd" },       { "stdin", "/proc/self/fd/0" }, { "stdout", "/proc/self/fd/1" },
    { "stderr", "/proc/self/fd/2" }, { "ptmx", "pts/ptmx" },
};

/* A node to be, wherever its name is. */
struct node {
    const char *path; /* on the host, for a user namespace */
    mode_t type, mode;
    dev_t rdev;
    uid_t uid;
    gid_t gid;
};

/* What is behind the descriptor is looked at, not what its name promises. */
static fallible check_device(int fd, const struct node *n)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(errno, "look at the device");
    if ((st.st_mode & S_IFMT) != n->type || (n->type != S_IFIFO && st.st_rdev != n->rdev))
        return err_new(ERR_CONFLICT, "something else than device %u:%u is there", major(n->rdev), minor(n->rdev));
    return NULL;
}

static fallible open_node(int dir_fd, const char *name, int *ret_fd)
{
    int fd = openat(dir_fd, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open '%s'", name);
    *ret_fd = fd;
    return NULL;
}

static fallible make_node(int dir_fd, const char *name, const struct node *n)
{
    own_fd int fd = -1;
    if (mknodat(dir_fd, name, n->type | n->mode, n->rdev) == 0) {
        if ((n->uid || n->gid) && fchownat(dir_fd, name, n->uid, n->gid, AT_SYMLINK_NOFOLLOW) < 0)
            return err_sys(errno, "give it to user %u", n->uid);
        return NULL;
    }
    if (errno != EEXIST)
        return err_sys(errno, "make the device");
    TRY(open_node(dir_fd, name, &fd));
    return check_device(fd, n);
}

/* The kernel makes no device nodes in a user namespace, so the host's own are shown. */
static fallible bind_node(int dir_fd, const char *name, const struct node *n)
{
    own_fd int source = open(n->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    own_fd int target = -1;
    own_fd int copy = -1;
    if (source < 0)
        return err_sys(errno, "open the host's '%s', which is shown because a user namespace can make no devices",
                       n->path);
    TRY_AS(check_device(source, n), "the host's '%s'", n->path);
    own_fd int made = openat(dir_fd, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (made < 0 && errno != EEXIST)
        return err_sys(errno, "make its mount point");
    TRY(open_node(dir_fd, name, &target));
    struct stat st;
    if (fstat(target, &st) < 0 || S_ISLNK(st.st_mode) || S_ISDIR(st.st_mode))
        return err_new(ERR_CONFLICT, "something else than a device is there");
    TRY(mount_copy(source, MOUNT_ONE, &copy));
    return mount_place(copy, target);
}

static fallible add_node(const struct rootfs *r, int dir_fd, const char *name, const struct node *n)
{
    if (r->userns && n->type != S_IFIFO)
        return bind_node(dir_fd, name, n);
    return make_node(dir_fd, name, n);
}

static mode_t node_type(char c)
{
    return c == 'b' ? S_IFBLK : c == 'p' ? S_IFIFO : S_IFCHR;
}

/* One that config.json lists is made as it says there: with that mode and that owner. */
static bool is_listed(const struct rootfs *r, const struct node *n)
{
    const struct oci_linux *l = r->spec->linux_;
    for (size_t i = 0; l && i < l->devices_n; i++) {
        const struct oci_device *d = &l->devices[i];
        own_mem char *path = path_normal(d->path);
        if (str_eq(path, n->path) && node_type(d->type[0]) == n->type &&
            makedev((unsigned)d->major, (unsigned)d->minor) == n->rdev)
            return true;
    }
    return false;
}

static fallible default_set(struct rootfs *r)
{
    own_fd int dev = -1;
    TRY(root_open(r->root_fd, "/dev", O_PATH | O_DIRECTORY | O_NOFOLLOW, &dev));
    for (size_t i = 0; i < ARRAY_SIZE(default_devices); i++) {
        char path[32];
        (void)snprintf(path, sizeof path, "/dev/%s", default_devices[i].name);
        struct node n = { .path = path,
                          .type = S_IFCHR,
                          .mode = 0666,
                          .rdev = makedev(default_devices[i].major, default_devices[i].minor) };
        if (!is_listed(r, &n))
            TRY_AS(add_node(r, dev, default_devices[i].name, &n), "device '%s'", path);
    }
    for (size_t i = 0; i < ARRAY_SIZE(links); i++)
        if (symlinkat(links[i].target, dev, links[i].name) < 0 && errno != EEXIST)
            return err_sys(errno, "make link '/dev/%s'", links[i].name);
    return NULL;
}

static fallible spec_device(struct rootfs *r, const struct oci_device *d)
{
    own_fd int dir = -1;
    own_mem char *name = NULL;
    own_mem char *path = path_normal(d->path);
    if (str_eq(path,
               "/dev/ptmx")) /* --privileged of docker and podman lists the host's; here it is our pts instance's */
        return NULL;
    struct node n = {
        .path = d->path,
        .type = node_type(d->type[0]),
        .mode = d->file_mode.set ? (mode_t)(d->file_mode.v & 07777) : 0666,
        .rdev = d->type[0] == 'p' ? 0 : makedev((unsigned)d->major, (unsigned)d->minor),
        .uid = (uid_t)d->uid.v,
        .gid = (gid_t)d->gid.v,
    };
    TRY(root_parent(r->root_fd, path, &dir, &name));
    return add_node(r, dir, name, &n);
}

static bool dev_is_bind(const struct rootfs *r)
{
    const struct oci_mount *m = mount_at(r->spec, "/dev");
    return m && r->options[m - r->spec->mounts].bind;
}

fallible rootfs_make_devices(struct rootfs *r)
{
    const struct oci_linux *l = r->spec->linux_;
    mode_t old = umask(0);
    err *e = dev_is_bind(r) ? NULL : default_set(r); /* the host's own /dev needs and gets nothing from us */
    for (size_t i = 0; !e && l && i < l->devices_n; i++)
        e = err_wrap(spec_device(r, &l->devices[i]), "device '%s'", l->devices[i].path);
    (void)umask(old);
    return e;
}

fallible rootfs_open_terminal(struct rootfs *r, int *ret_master)
{
    own_fd int master = -1;
    own_fd int tty = -1;
    own_fd int copy = -1;
    own_fd int target = -1;
    int unlock = 0;
    struct stat st;
    /* The pts instance that the container sees: through its own /dev/pts, never by a name that the image could lay. */
    TRY(root_open(r->root_fd, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, &master));
    if (fstat(master, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
        return err_new(ERR_INVALID, "'/dev/pts/ptmx' is no terminal master: is a devpts mounted on /dev/pts?");
    if (ioctl(master, TIOCSPTLCK, &unlock) < 0)
        return err_sys(errno, "unlock the terminal");
    tty = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC); /* the peer of this master, not a name */
    if (tty < 0)
        return err_sys(errno, "open the terminal's other end");
    if (r->spec->process && r->spec->process->console_size) {
        const struct oci_console_size *s = r->spec->process->console_size;
        struct winsize w = { .ws_row = (unsigned short)s->height, .ws_col = (unsigned short)s->width };
        if (ioctl(master, TIOCSWINSZ, &w) < 0)
            return err_sys(errno, "set the terminal's size");
    }
    TRY(mount_copy(tty, MOUNT_ONE, &copy));
    own_fd int dev = -1;
    TRY(root_open(r->root_fd, "/dev", O_PATH | O_DIRECTORY | O_NOFOLLOW, &dev));
    own_fd int made = openat(dev, "console", O_CREAT | O_WRONLY | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (made < 0 && errno != EEXIST)
        return err_sys(errno, "make '/dev/console'");
    TRY(open_node(dev, "console", &target));
    if (fstat(target, &st) < 0 || S_ISLNK(st.st_mode) || S_ISDIR(st.st_mode))
        return err_new(ERR_CONFLICT, "'/dev/console' is a link or a directory");
    TRY(mount_place(copy, target));
    r->tty_fd = take_fd(&tty);
    *ret_master = take_fd(&master);
    return NULL;
}
