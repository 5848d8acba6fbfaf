// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/mount.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#ifndef __GLIBC__
#include <linux/stat.h> /* struct statx; glibc has it */
#endif

#include "base/mem.h"
#include "os/fs.h"

/* The kernel explains a refused option on the fs descriptor itself: "e overlay: No changes allowed in reconfigure". */
static fallible explained(int fs, int errnum, const char *act, const char *what)
{
    char line[256];
    ssize_t n = read(fs, line, sizeof line - 1);
    if (n <= 0)
        return err_sys(errnum, "%s '%s'", act, what);
    line[n] = '\0';
    line[strcspn(line, "\n")] = '\0';
    return err_sys(errnum, "%s '%s': %s", act, what, n > 2 ? line + 2 : line);
}

static fallible finish(int fs, const char *fstype, uint64_t attrs, int *ret_mount_fd)
{
    if (fsconfig(fs, FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
        return explained(fs, errno, "make file system", fstype);
    int fd = fsmount(fs, FSMOUNT_CLOEXEC, (unsigned)attrs);
    if (fd < 0)
        return explained(fs, errno, "mount file system", fstype);
    *ret_mount_fd = fd;
    return NULL;
}

static fallible open_fs(const char *fstype, const char *source, int *ret_fs)
{
    own_fd int fs = fsopen(fstype, FSOPEN_CLOEXEC);
    if (fs < 0)
        return err_sys(errno, "open file system '%s'", fstype);
    if (source && fsconfig(fs, FSCONFIG_SET_STRING, "source", source, 0) < 0)
        return explained(fs, errno, "set the source of", fstype);
    *ret_fs = take_fd(&fs);
    return NULL;
}

static fallible set_option(int fs, const char *key, const char *value)
{
    int r = value ? fsconfig(fs, FSCONFIG_SET_STRING, key, value, 0) : fsconfig(fs, FSCONFIG_SET_FLAG, key, NULL, 0);
    return r < 0 ? explained(fs, errno, "set mount option", key) : NULL;
}

fallible mount_make(const char *fstype, const char *source, const struct mount_option *options, size_t n,
                    uint64_t attrs, int *ret_mount_fd)
{
    own_fd int fs = -1;
    TRY(open_fs(fstype, source, &fs));
    for (size_t i = 0; i < n; i++)
        TRY(set_option(fs, options[i].key, options[i].value));
    return finish(fs, fstype, attrs, ret_mount_fd);
}

/* Up to the next comma that is not in double quotes. */
static size_t option_length(const char *at)
{
    bool quoted = false;
    size_t n = 0;
    for (; at[n] && (quoted || at[n] != ','); n++)
        quoted ^= at[n] == '"';
    return n;
}

static void unquote(char *value)
{
    size_t n = strlen(value);
    if (n >= 2 && value[0] == '"' && value[n - 1] == '"') {
        memmove(value, value + 1, n - 2);
        value[n - 2] = '\0';
    }
}

fallible mount_make_data(const char *fstype, const char *source, const char *data, uint64_t attrs, int *ret_mount_fd)
{
    own_fd int fs = -1;
    TRY(open_fs(fstype, source, &fs));
    for (const char *at = data ? data : ""; *at;) {
        size_t n = option_length(at);
        own_mem char *option = mem_strndup(at, n);
        char *value = strchr(option, '=');
        if (value)
            *value++ = '\0';
        if (value)
            unquote(value);
        if (*option)
            TRY(set_option(fs, option, value));
        at += n + (at[n] == ',');
    }
    return finish(fs, fstype, attrs, ret_mount_fd);
}

fallible mount_copy(int fd, enum mount_depth depth, int *ret_mount_fd)
{
    unsigned flags =
        OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH | (depth == MOUNT_RECURSIVE ? AT_RECURSIVE : 0);
    int copy = open_tree(fd, "", flags);
    if (copy < 0) {
        own_mem char *path = fs_fd_path(fd);
        return err_sys(errno, "copy the mount of '%s'", path);
    }
    *ret_mount_fd = copy;
    return NULL;
}

fallible mount_copy_path(const char *path, enum mount_depth depth, int *ret_mount_fd)
{
    unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (depth == MOUNT_RECURSIVE ? AT_RECURSIVE : 0);
    int copy = open_tree(AT_FDCWD, path, flags);
    if (copy < 0)
        return err_sys(errno, "copy the mount of '%s'", path);
    *ret_mount_fd = copy;
    return NULL;
}

static fallible set_attr(int mount_fd, enum mount_depth depth, struct mount_attr *attr, const char *act)
{
    unsigned flags = AT_EMPTY_PATH | (depth == MOUNT_RECURSIVE ? AT_RECURSIVE : 0);
    if (mount_setattr(mount_fd, "", flags, attr, sizeof *attr) < 0)
        return err_sys(errno, "%s", act);
    return NULL;
}

fallible mount_set(int mount_fd, enum mount_depth depth, uint64_t attr_set, uint64_t attr_clr, uint64_t propagation)
{
    struct mount_attr attr = { .attr_set = attr_set, .attr_clr = attr_clr, .propagation = propagation };
    return set_attr(mount_fd, depth, &attr, "set mount attributes");
}

fallible mount_idmap(int mount_fd, int userns_fd, enum mount_depth depth)
{
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)(unsigned)userns_fd };
    err *e = set_attr(mount_fd, depth, &attr, "id-map a mount");
    if (err_errno(e) == EINVAL) {
        err_free(e);
        return err_new(ERR_UNSUPPORTED, "id-map a mount: its file system cannot be id-mapped on this kernel");
    }
    return e;
}

/* Two looks at descriptors, where their paths would be two names in /proc, each with an inode of its own. Linux before
 * 5.8 tells no mount: the paths then. */
fallible mount_same_place(int a_fd, int b_fd, bool *ret)
{
    struct statx a, b;
    const unsigned want = STATX_INO | STATX_MNT_ID;
    if (syscall(SYS_statx, a_fd, "", AT_EMPTY_PATH, want, &a) < 0 ||
        syscall(SYS_statx, b_fd, "", AT_EMPTY_PATH, want, &b) < 0)
        return err_sys(errno, "look at a mount");
    if ((a.stx_mask & b.stx_mask & want) == want) {
        *ret = a.stx_mnt_id == b.stx_mnt_id && a.stx_ino == b.stx_ino;
        return NULL;
    }
    own_mem char *a_path = fs_fd_path(a_fd), *b_path = fs_fd_path(b_fd);
    *ret = str_eq(a_path, b_path);
    return NULL;
}

/* move_mount(2) calls a file on a directory invalid; mount(2) said which rule that breaks, and engines look for it. */
static int place_errno(int errnum, int mount_fd, int target_fd)
{
    struct stat a, b;
    if (errnum == EINVAL && fstat(mount_fd, &a) == 0 && fstat(target_fd, &b) == 0 &&
        S_ISDIR(a.st_mode) != S_ISDIR(b.st_mode))
        return ENOTDIR;
    return errnum;
}

fallible mount_place(int mount_fd, int target_fd)
{
    if (move_mount(mount_fd, "", target_fd, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) < 0) {
        int errnum = place_errno(errno, mount_fd, target_fd);
        return err_sys(errnum,
                       errnum == ENOTDIR ? "mount a file on a directory, or a directory on a file" : "place the mount");
    }
    return NULL;
}
