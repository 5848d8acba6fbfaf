// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "codec/tar.h"
#include "engine/copy.h"
#include "layers/diff.h"
#include "os/fs.h"
#include "os/root.h"

static err *write_out(void *ctx, const void *bytes, size_t n)
{
    return fs_write_fd(*(const int *)ctx, bytes, n, "the archive");
}

/* The last name of a path; "." for the root. */
static char *name_of(const char *path)
{
    size_t end = strlen(path), start;
    while (end && (path[end - 1] == '/' || (path[end - 1] == '.' && (end == 1 || path[end - 2] == '/'))))
        end--;
    for (start = end; start && path[start - 1] != '/';)
        start--;
    return end > start ? mem_strndup(path + start, end - start) : mem_strdup("");
}

/* The same file again for reading: by its descriptor, so that a name changed meanwhile leads nowhere else. */
static fallible reopen(int fd, int flags, int *ret_fd)
{
    char path[48];
    (void)snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    *ret_fd = open(path, flags | O_CLOEXEC);
    return *ret_fd < 0 ? err_sys(errno, "open it for reading") : NULL;
}

static fallible out_dir(int fd, const char *name, int tar_fd)
{
    own_fd int dir = -1;
    TRY(reopen(fd, O_RDONLY | O_DIRECTORY, &dir));
    struct diff d = { .upper_fd = dir, .whole = true, .prefix = *name ? name : NULL };
    return diff_tar(&d, write_out, &tar_fd);
}

/* Exactly as many bytes as the header says, whatever happens to the file meanwhile. */
static fallible out_content(int fd, uint64_t size, int tar_fd)
{
    own_mem char *buffer = mem_alloc(1 << 16);
    while (size) {
        ssize_t n = read(fd, buffer, size < 1 << 16 ? (size_t)size : 1 << 16);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read it");
        if (n == 0)
            return err_new(ERR_CONFLICT, "it became shorter while it was read: pause the container");
        TRY(fs_write_fd(tar_fd, buffer, (size_t)n, "the archive"));
        size -= (uint64_t)n;
    }
    return NULL;
}

enum { SMALL = 4096, MADE_UP_MAX = 16 << 20 };

/* The kernel's own files (/proc, /sys) say a size of 0, or of a page, and have another. */
static bool may_be_made_up(const struct stat *st)
{
    return S_ISREG(st->st_mode) && st->st_blocks == 0 && st->st_size <= SMALL;
}

static fallible read_link(int fd, char **ret)
{
    own_mem char *text = mem_zalloc(4096 + 1);
    if (readlinkat(fd, "", text, 4096) < 0)
        return err_sys(errno, "read the link");
    *ret = take(text);
    return NULL;
}

static fallible out_one(int fd, const char *name, const struct stat *st, int tar_fd)
{
    own_str struct str text = { 0 };
    own_mem char *link = NULL;
    own_mem char *content = NULL;
    own_fd int file = -1;
    size_t n = 0;
    struct tar_entry t = {
        .path = name,
        .mode = st->st_mode & 07777,
        .uid = st->st_uid,
        .gid = st->st_gid,
        .mtime_s = st->st_mtim.tv_sec,
        .mtime_ns = (uint32_t)st->st_mtim.tv_nsec,
    };
    switch (st->st_mode & S_IFMT) {
    case S_IFREG:
        t.size = (uint64_t)st->st_size;
        TRY(reopen(fd, O_RDONLY | O_NONBLOCK, &file));
        if (may_be_made_up(st)) {
            TRY(fs_read_fd(file, name, MADE_UP_MAX, &content, &n));
            t.size = n;
        }
        break;
    case S_IFLNK:
        t.type = TAR_SYMLINK;
        TRY(read_link(fd, &link));
        t.link = link;
        break;
    case S_IFIFO:
        t.type = TAR_FIFO;
        break;
    case S_IFCHR:
    case S_IFBLK:
        t.type = S_ISCHR(st->st_mode) ? TAR_CHAR : TAR_BLOCK_DEVICE;
        t.major = major(st->st_rdev);
        t.minor = minor(st->st_rdev);
        break;
    default:
        return err_new(ERR_UNSUPPORTED, "a socket cannot be copied");
    }
    tar_write_header(&text, &t);
    TRY(fs_write_fd(tar_fd, text.text, text.len, "the archive"));
    str_free(&text);
    if (content)
        TRY(fs_write_fd(tar_fd, content, n, "the archive"));
    else if (file >= 0)
        TRY(out_content(file, t.size, tar_fd));
    tar_pad(&text, t.size);
    tar_end(&text);
    return fs_write_fd(tar_fd, text.text, text.len, "the archive");
}

static fallible out(int root_fd, const char *path, bool follow, int tar_fd)
{
    own_fd int fd = -1;
    own_mem char *name = name_of(path);
    struct stat st;
    bool dir = str_ends(path, "/") || str_ends(path, "/.") || strcmp(path, ".") == 0;
    TRY(root_open(root_fd, path, O_PATH | (follow || dir ? 0 : O_NOFOLLOW) | (dir ? O_DIRECTORY : 0), &fd));
    if (fstat(fd, &st) < 0)
        return err_sys(errno, "look at it");
    return S_ISDIR(st.st_mode) ? out_dir(fd, name, tar_fd) : out_one(fd, name, &st, tar_fd);
}

fallible copy_out(int root_fd, const char *path, bool follow, int tar_fd)
{
    TRY_AS(out(root_fd, path, follow, tar_fd), "copy '%s'", path);
    return NULL;
}
