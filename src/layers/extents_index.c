// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "image/ref.h"
#include "layers/extents.h"
#include "os/fs.h"
#include "os/root.h"
#include "os/userns.h"

enum { BLOCK = 4096, CRC_DIGITS = 16 };

/* ---- can it? ---- */

static bool may_share(const struct layout *l)
{
    enum { XFS = 0x58465342, BTRFS = 0x9123683e, BCACHEFS = 0xca451a4e };
    struct statfs fs;
    if (statfs(l->path, &fs) < 0)
        return false;
    uint64_t type = (uint64_t)fs.f_type & UINT32_MAX;
    return type == XFS || type == BTRFS || type == (uint32_t)BCACHEFS;
}

/* xfs may have been made without reflink. */
bool extents_possible(struct layout *l)
{
    static const char block[BLOCK] = "the same";
    if (!may_share(l))
        return false;
    own_fd int a = openat(l->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    own_fd int b = openat(l->fd, ".", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    return a >= 0 && b >= 0 && write(a, block, sizeof block) == sizeof block && ioctl(b, FICLONE, a) == 0;
}

/* ---- entries ---- */

static bool size_of(const char *name, uint64_t *ret)
{
    char *end;
    if (strspn(name, "0123456789abcdef") != CRC_DIGITS || name[CRC_DIGITS] != '-')
        return false;
    *ret = strtoull(name + CRC_DIGITS + 1, &end, 16);
    return end != name + CRC_DIGITS + 1 && !*end;
}

int extents_open(struct layout *l, int index_fd, const char *name)
{
    char text[EXTENTS_ENTRY_MAX];
    struct stat st;
    uint64_t size;
    own_fd int dir = -1, fd = -1;
    ssize_t n = size_of(name, &size) ? readlinkat(index_fd, name, text, sizeof text - 1) : -1;
    char *slash = n > 0 ? memchr(text, '/', (size_t)n) : NULL;
    if (!slash)
        return -1;
    text[n] = '\0';
    *slash = '\0';
    own_mem char *id = mem_printf("sha256:%s", text), *fs = mem_printf("layers/%s/fs", text);
    if (!digest_valid(id))
        return -1;
    dir = openat(l->fd, fs, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir >= 0)
        err_ignore(root_open(dir, slash + 1, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, &fd), "then there is none");
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
        return -1;
    return take_fd(&fd);
}

/* ---- is it as it should be? ---- */

static DIR *open_list(struct layout *l, const char *name)
{
    own_fd int fd = openat(l->fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (dir)
        (void)take_fd(&fd);
    return dir;
}

static bool has_files(struct layout *l)
{
    own_dir DIR *dir = open_list(l, "layers");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        own_mem char *path = mem_printf("%s/fs", entry->d_name);
        if (entry->d_name[0] != '.' && faccessat(dirfd(dir), path, F_OK, 0) == 0)
            return true;
    }
    return false;
}

/* Files of an ordinary user's layers belong to subordinate ids: this runs as root of his namespace. */
static err *look(void *ctx)
{
    struct layout *l = ctx;
    size_t n = 0, bad = 0;
    own_dir DIR *dir = open_list(l, "extents");
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
            continue;
        own_fd int fd = extents_open(l, dirfd(dir), entry->d_name);
        n++;
        bad += fd < 0;
    }
    if (bad)
        return err_new(ERR_CORRUPT, "%zu of %zu entries of the index of shared extents lead to no such file", bad, n);
    return NULL;
}

fallible extents_check(struct layout *l)
{
    struct stat st;
    own_fd int lock = -1;
    if (!l->share_extents)
        return NULL;
    bool there = fstatat(l->fd, "extents", &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!there && errno != ENOENT)
        return err_sys(errno, "look at '%s/extents'", l->path);
    if (!there && (!has_files(l) || !extents_possible(l)))
        return NULL;
    if (!there)
        return err_new(ERR_CORRUPT, "the index of shared extents is not there");
    if (!S_ISDIR(st.st_mode))
        return err_new(ERR_CORRUPT, "the index of shared extents is no folder");
    err *e = userns_call(look, l);
    if (!err_is(e, ERR_CORRUPT))
        return e;
    err_ignore(e, "a sweep may be between a layer and its entries: look again when it is done");
    TRY(layout_lock(l, LAYOUT_REMOVING, &lock));
    return userns_call(look, l);
}
