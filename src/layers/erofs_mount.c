// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layers/erofs_tree.h"
#include "os/ids.h"
#include "os/mount.h"

static fallible refused(int fs, int errnum, const char *what)
{
    char line[256];
    ssize_t n = read(fs, line, sizeof line - 1);
    if (n <= 2)
        return err_sys(errnum, "EROFS: %s", what);
    line[n] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return err_sys(errnum, "EROFS: %s: %s", what, line + 2);
}

/* The kernel opens them by name: a descriptor has one in /proc. */
static fallible set_file(int fs, const char *key, int fd)
{
    char path[32];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    return fsconfig(fs, FSCONFIG_SET_STRING, key, path, 0) < 0 ? refused(fs, errno, key) : NULL;
}

fallible erofs_mount(int index_fd, const int *tar_fds, size_t n, int *ret_mount_fd)
{
    own_fd int fs = fsopen("erofs", FSOPEN_CLOEXEC);
    if (fs < 0 && errno == ENODEV)
        return err_new(ERR_UNSUPPORTED, "this kernel has no EROFS");
    if (fs < 0)
        return err_sys(errno, "open file system 'erofs'");
    TRY(set_file(fs, "source", index_fd));
    for (size_t i = 0; i < n; i++)
        TRY(set_file(fs, "device", tar_fds[i]));
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0) {
        if (errno == ENOTBLK)
            return err_new(ERR_UNSUPPORTED,
                           "this kernel mounts EROFS from block devices only: Linux 6.12 does from files");
        return refused(fs, errno, "make the file system");
    }
    int fd = fsmount(fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV);
    if (fd < 0)
        return refused(fs, errno, "mount it");
    *ret_mount_fd = fd;
    return NULL;
}

fallible erofs_tar_bytes(int fd, uint64_t *ret)
{
    unsigned char head[16];
    struct stat st;
    uint64_t n = 0;
    if (fstat(fd, &st) < 0)
        return err_sys(errno, "look at the layer's file");
    if (pread(fd, head, sizeof head, 0) != sizeof head || memcmp(head, EROFS_HEAD_MAGIC, 8) != 0)
        return err_new(ERR_CORRUPT, "the layer's file does not begin as one");
    for (int i = 15; i >= 8; i--)
        n = n << 8 | head[i];
    if (st.st_size < EROFS_TAR_AT || n > (uint64_t)st.st_size - EROFS_TAR_AT)
        return err_new(ERR_CORRUPT, "the layer's file is shorter than its tar");
    *ret = n;
    return NULL;
}

bool erofs_works(int dir_fd)
{
    own(erofs) struct erofs *e = erofs_new();
    own_fd int index = -1;
    own_fd int mount_fd = -1;
    if (geteuid() != 0 || ids_in_userns())
        return false;
    index = openat(dir_fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    err *failed = index < 0 ? err_sys(errno, "make a file") : NULL;
    if (!failed)
        failed = erofs_write(e, NULL, 0, index);
    if (!failed)
        failed = erofs_mount(index, NULL, 0, &mount_fd);
    err_ignore(failed, "it does not work here");
    return mount_fd >= 0;
}
