// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/image_places.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "os/fs.h"

static fallible is_empty(int dir_fd, bool *ret)
{
    int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (!dir)
        return err_sys(errno, "list it");
    *ret = true;
    for (struct dirent *entry; (entry = readdir(dir));)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
            *ret = false;
    return NULL;
}

fallible place_make_dir(const char *path, const char *marker, int *ret_fd)
{
    bool empty = false;
    own_fd int fd = -1;
    if (mkdir(path, 0755) < 0 && errno != EEXIST)
        return err_sys(errno, "make directory '%s'", path);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open '%s'", path);
    TRY_AS(is_empty(fd, &empty), "'%s'", path);
    if (!empty && faccessat(fd, marker, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
        return err_new(ERR_CONFLICT, "'%s' has other things in it (and no '%s'): name an empty directory", path,
                       marker);
    *ret_fd = take_fd(&fd);
    return NULL;
}
