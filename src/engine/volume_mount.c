// SPDX-License-Identifier: GPL-2.0-or-later
/* Volumes with a file system of their own: one mount on <root>/volumes/NAME/_data that all containers share. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engine/paths.h"
#include "engine/volume.h"
#include "os/fs.h"
#include "os/mount.h"
#include "rootfs/options.h"

/* A directory of ours on another device than the one that it is in. */
static bool is_mounted(const char *path)
{
    struct stat st, parent;
    own_mem char *above = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
    return lstat(path, &st) == 0 && lstat(above, &parent) == 0 && st.st_dev != parent.st_dev;
}

static fallible make_mount(const struct volume_driver *d, const char *path)
{
    own(mount_options) struct mount_options o = { 0 };
    own_fd int fd = -1;
    own_fd int target = -1;
    const struct oci_mount m = {
        .destination = (char *)path, .type = d->type, .source = d->device, .options = d->options
    };
    TRY(mount_options_read(&m, &o));
    TRY(mount_make_data(d->type, d->device ? d->device : d->type, o.data.text, (o.set | o.set_below), &fd));
    TRY(fs_open_dir_at(AT_FDCWD, path, FS_MUST_EXIST, &target));
    return mount_place(fd, target);
}

static fallible driver_of(struct engine *e, const char *name, struct volume_driver *ret)
{
    struct db_volume row;
    TRY(volume_find(e, name, &row));
    err *failed = volume_driver_of(&row, ret);
    db_volume_clear(&row);
    return failed;
}

static fallible lock(struct engine *e, int *ret_fd)
{
    own_fd int run = -1;
    TRY(paths_open_run(e->run, &run));
    return fs_lock_at(run, "volumes.lock", FS_LOCK_EXCLUSIVE, ret_fd);
}

fallible volume_mount(struct engine *e, const char *name)
{
    own(volume_driver) struct volume_driver d = { 0 };
    own_fd int lock_fd = -1;
    own_mem char *path = volume_path(e, name);
    TRY(driver_of(e, name, &d));
    if (!volume_driver_mounts(&d) || is_mounted(path))
        return NULL;
    if (engine_is_rootless())
        return err_new(ERR_DENIED, "volume '%s': only root may mount '%s' where all containers see it", name, d.type);
    TRY(lock(e, &lock_fd));
    return is_mounted(path) ? NULL : err_wrap(make_mount(&d, path), "mount volume '%s'", name);
}

fallible volume_unmount(struct engine *e, const char *name)
{
    own_fd int lock_fd = -1;
    own_mem char *path = volume_path(e, name);
    if (!is_mounted(path))
        return NULL;
    TRY(lock(e, &lock_fd));
    /* Running containers have copies of the mount: they keep what they see, and the next start mounts it again. */
    if (is_mounted(path) && umount2(path, UMOUNT_NOFOLLOW | MNT_DETACH) < 0)
        return err_sys(errno, "unmount volume '%s'", name);
    return NULL;
}
