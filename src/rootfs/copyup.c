// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

#include "rootfs/rootfs_parts.h"

/*
 * What is copied is the image's, so nothing in it is followed and nothing special is made: directories, files and
 * links only, each by descriptor from its parent.
 */
enum { COPY_DEPTH_MAX = 64 };

static fallible copy_dir(int from, int to, int depth);

static fallible same_owner(int fd, const char *name, const struct stat *st)
{
    if (fchownat(fd, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
        return err_sys(errno, "copy the owner of '%s'", name);
    return NULL;
}

static fallible copy_file(int from, int to, const char *name, const struct stat *st)
{
    own_fd int in = openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    own_fd int out = openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (in < 0 || out < 0)
        return err_sys(errno, "copy '%s'", name);
    for (;;) {
        ssize_t n = sendfile(out, in, NULL, 1 << 20);
        if (n < 0)
            return err_sys(errno, "copy '%s'", name);
        if (n == 0)
            break;
    }
    TRY(same_owner(out, "", st));
    if (fchmod(out, st->st_mode & 07777) < 0) /* after the owner: a change of owner drops setuid */
        return err_sys(errno, "copy the mode of '%s'", name);
    return NULL;
}

static fallible copy_link(int from, int to, const char *name, const struct stat *st)
{
    char text[4096];
    ssize_t n = readlinkat(from, name, text, sizeof text - 1);
    if (n < 0)
        return err_sys(errno, "read link '%s'", name);
    text[n] = '\0';
    if (symlinkat(text, to, name) < 0)
        return err_sys(errno, "copy link '%s'", name);
    return same_owner(to, name, st);
}

static fallible copy_subdir(int from, int to, const char *name, const struct stat *st, int depth)
{
    if (mkdirat(to, name, 0700) < 0)
        return err_sys(errno, "copy directory '%s'", name);
    own_fd int in = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    own_fd int out = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (in < 0 || out < 0)
        return err_sys(errno, "copy directory '%s'", name);
    TRY_AS(copy_dir(in, out, depth + 1), "%s", name);
    TRY(same_owner(out, "", st));
    if (fchmod(out, st->st_mode & 07777) < 0)
        return err_sys(errno, "copy the mode of '%s'", name);
    return NULL;
}

static fallible copy_entry(int from, int to, const char *name, int depth)
{
    struct stat st;
    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(errno, "look at '%s'", name);
    if (S_ISREG(st.st_mode))
        return copy_file(from, to, name, &st);
    if (S_ISLNK(st.st_mode))
        return copy_link(from, to, name, &st);
    if (S_ISDIR(st.st_mode))
        return copy_subdir(from, to, name, &st, depth);
    return NULL; /* devices, sockets and pipes are no content */
}

/* @from: readable directory; taken by the directory stream as a copy. */
static fallible copy_dir(int from, int to, int depth)
{
    if (depth > COPY_DEPTH_MAX)
        return err_new(ERR_EXHAUSTED, "directories deeper than %d", COPY_DEPTH_MAX);
    int copy = openat(from, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *dir = copy < 0 ? NULL : fdopendir(copy);
    if (!dir)
        return err_sys(errno, "read a directory");
    for (struct dirent *entry; (entry = readdir(dir));)
        if (!str_eq(entry->d_name, ".") && !str_eq(entry->d_name, ".."))
            TRY(copy_entry(from, to, entry->d_name, depth));
    return NULL;
}

fallible copy_up(int from_fd, int to_fd)
{
    struct stat st;
    if (fstat(from_fd, &st) < 0)
        return err_sys(errno, "look at the directory");
    TRY(copy_dir(from_fd, to_fd, 0));
    own_fd int top = openat(to_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (top < 0)
        return err_sys(errno, "open the tmpfs");
    TRY(same_owner(top, "", &st));
    if (fchmod(top, st.st_mode & 07777) < 0)
        return err_sys(errno, "copy the directory's mode");
    return NULL;
}
