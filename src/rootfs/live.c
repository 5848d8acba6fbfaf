/* Mounts that come and go while the container runs: made outside where only that may, placed by a process of ours that
 * has joined its mount namespace. */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <sys/mount.h>
#include <unistd.h>

#include "os/root.h"
#include "rootfs/rootfs_parts.h"

fallible rootfs_live_prepare(struct rootfs *r, int userns_fd)
{
    static const char *const outside[] = { "proc", "sysfs", "cgroup", "cgroup2", "mqueue", "devpts" };
    for (size_t i = 0; i < r->spec->mounts_n; i++) {
        const struct oci_mount *m = &r->spec->mounts[i];
        if (r->options[i].remount)
            return err_new(ERR_UNSUPPORTED,
                           "mount '%s': a running container's mounts are not remounted: remove it, and "
                           "add another",
                           m->destination);
        for (size_t k = 0; !r->options[i].bind && k < ARRAY_SIZE(outside); k++)
            if (str_eq(m->type, outside[k]))
                return err_new(ERR_UNSUPPORTED, "mount '%s': a %s belongs to the container's start", m->destination,
                               m->type);
        if (!r->options[i].bind && (!m->type || !*m->type))
            return err_new(ERR_INVALID, "mount '%s': neither a type nor the option bind", m->destination);
        err *e = r->options[i].bind ? prepare_bind(r, i, userns_fd, &r->prepared[i]) : NULL;
        if (err_is(e, ERR_DENIED) && geteuid() != 0) {
            err_free(e);
            return err_new(ERR_DENIED,
                           "mount '%s': only root may copy a mount of the host into a running container: give the "
                           "volume at its start",
                           m->destination);
        }
        TRY_AS(e, "mount '%s'", m->destination);
    }
    return NULL;
}

static fallible unmount(int root_fd, const char *destination)
{
    own_fd int dir = -1;
    own_mem char *name = NULL;
    own_mem char *path = path_normal(destination);
    TRY(root_parent(root_fd, path, &dir, &name));
    /* by name in its own directory, never through a link: what the container could exchange meanwhile is its own */
    if (fchdir(dir) < 0)
        return err_sys(errno, "enter the directory of the mount point");
    if (umount2(name, MNT_DETACH | UMOUNT_NOFOLLOW) == 0)
        return NULL;
    if (errno == EINVAL)
        return err_new(ERR_INVALID, "nothing is mounted there, or it was mounted at the container's start");
    return err_sys(errno, "unmount it");
}

fallible rootfs_live_mount(struct rootfs *r, int root_fd)
{
    size_t i = 0;
    err *e = NULL;
    r->root_fd = root_fd;
    r->root_path = mem_strdup("/");
    for (; i < r->spec->mounts_n && !e; i++) {
        e = mount_one(r, i);
        if (e)
            e = err_wrap(e, "mount '%s'", r->spec->mounts[i].destination);
    }
    if (e) /* all or none */
        for (i--; i-- > 0;)
            err_ignore(unmount(root_fd, r->spec->mounts[i].destination), "the mount's error matters more");
    return e;
}

fallible rootfs_live_unmount(const struct oci_spec *spec, int root_fd)
{
    for (size_t i = spec->mounts_n; i-- > 0;)
        TRY_AS(unmount(root_fd, spec->mounts[i].destination), "unmount '%s'", spec->mounts[i].destination);
    return NULL;
}
