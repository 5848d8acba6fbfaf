// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/mountpoints.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "os/fs.h"

#define NAME "mountpoints"

static const char *const dirs[] = { "dev", "etc", "proc", "sys" };
static const char *const files[] = { "etc/hostname", "etc/hosts", "etc/resolv.conf" };

static fallible fill(int fd)
{
    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
        if (mkdirat(fd, dirs[i], 0755) < 0 || fchmodat(fd, dirs[i], 0755, 0) < 0)
            return err_sys(errno, "make '%s'", dirs[i]);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        own_fd int file = openat(fd, files[i], O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
        if (file < 0 || fchmod(file, 0644) < 0)
            return err_sys(errno, "make '%s'", files[i]);
    }
    return NULL;
}

/* Made in staging and renamed, so it is there whole or not at all; another husk may have been faster. */
static fallible make(struct layout *l)
{
    own_mem char *staged = layout_stage_name(NAME), *path = mem_printf("tmp/%s", staged);
    own_fd int fd = -1;
    TRY(layout_stage(l, staged, LAYOUT_STAGE_DIR, &fd));
    err *e = fill(fd);
    if (!e && fchmod(fd, 0755) < 0)
        e = err_sys(errno, "make '%s'", path);
    if (!e && renameat(l->fd, path, l->fd, NAME) == 0)
        return NULL;
    if (!e && errno != EEXIST && errno != ENOTEMPTY)
        e = err_sys(errno, "make '%s/%s'", l->path, NAME);
    err_ignore(fs_remove_tree_at(l->fd, path), "rubbish in staging is swept");
    return e;
}

fallible mountpoints_path(struct layout *l, char **ret)
{
    if (faccessat(l->fd, NAME, F_OK, 0) < 0)
        TRY_AS(make(l), "the layer of mount points");
    *ret = mem_printf("%s/" NAME, l->path);
    return NULL;
}
