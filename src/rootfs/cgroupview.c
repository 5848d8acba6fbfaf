// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "rootfs/rootfs_parts.h"

/*
 * What a container sees below /sys/fs/cgroup: its own group in each hierarchy, as bind mounts of the host's
 * directories. A mount of a cgroup file system inside the cgroup namespace shows the same and costs the kernel a
 * superblock per hierarchy. Whether that can be written is what config.json says ("ro"), with a namespace and without
 * one: nothing above its own group can be seen in either.
 */
static fallible place_group(const struct rootfs_cgroup *c, const struct mount_options *o, int target_fd)
{
    own_fd int fd = -1;
    TRY(mount_copy_path(c->dir, MOUNT_ONE, &fd));
    TRY(mount_set(fd, MOUNT_ONE, o->set | o->set_below | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC,
                  o->clear, 0));
    return mount_place(fd, target_fd);
}

/* "cpu" and "cpuacct" for a hierarchy "cpu,cpuacct": where programs look for either. */
static fallible alias(int dir_fd, const char *name)
{
    own_strv struct strv parts = { 0 };
    strv_split(&parts, name, ',');
    for (size_t i = 0; parts.n > 1 && i < parts.n; i++)
        if (symlinkat(name, dir_fd, parts.items[i]) < 0)
            return err_sys(errno, "make link '%s'", parts.items[i]);
    return NULL;
}

static fallible view_v1(struct rootfs *r, const struct mount_options *o, int target_fd)
{
    static const struct mount_option options[] = { { "mode", "755" } };
    uint64_t attrs = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    own_fd int fd = -1;
    TRY(mount_make("tmpfs", "tmpfs", options, ARRAY_SIZE(options), attrs, &fd));
    for (size_t i = 0; i < r->cgroups_n; i++) {
        if (mkdirat(fd, r->cgroups[i].name, 0755) < 0)
            return err_sys(errno, "make directory '%s'", r->cgroups[i].name);
        TRY(alias(fd, r->cgroups[i].name));
    }
    TRY(mount_place(fd, target_fd)); /* before 6.15 nothing can be mounted on a detached mount */
    for (size_t i = 0; i < r->cgroups_n; i++) {
        own_fd int at = openat(fd, r->cgroups[i].name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (at < 0)
            return err_sys(errno, "open '%s'", r->cgroups[i].name);
        TRY_AS(place_group(&r->cgroups[i], o, at), "%s", r->cgroups[i].name);
    }
    return mount_set(fd, MOUNT_ONE, o->set & MOUNT_ATTR_RDONLY, 0, 0);
}

static fallible view_v2(struct rootfs *r, const struct mount_options *o, int target_fd)
{
    own_fd int fd = -1;
    uint64_t attrs = o->set | o->set_below | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
    err *e = mount_make("cgroup2", "cgroup", NULL, 0, attrs, &fd);
    if (e && err_errno(e) != EPERM && err_errno(e) != EBUSY)
        return e;
    if (e) { /* an ordinary user without a cgroup namespace of their own: the host's tree, and only to look at */
        log_debug("cgroup2: the host's is shown read-only: %s", err_text(e));
        err_free(e);
        TRY(mount_copy_path("/sys/fs/cgroup", MOUNT_RECURSIVE, &fd));
        TRY(mount_set(fd, MOUNT_RECURSIVE, attrs | MOUNT_ATTR_RDONLY, 0, 0));
    }
    return mount_place(fd, target_fd);
}

fallible cgroup_view_mount(struct rootfs *r, size_t i, int target_fd)
{
    const struct mount_options *o = &r->options[i];
    if (r->cgroups_n == 0 || str_eq(r->spec->mounts[i].type, "cgroup2") || (r->cgroups_n == 1 && !*r->cgroups[0].name))
        return view_v2(r, o, target_fd);
    return view_v1(r, o, target_fd);
}
