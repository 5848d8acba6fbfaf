// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/root.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "base/mem.h"

static int openat2_call(int dir_fd, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct open_how how = { .flags = flags | O_CLOEXEC, .mode = mode, .resolve = resolve };
    for (int tries = 0;; tries++) {
        int fd = (int)syscall(SYS_openat2, dir_fd, path, &how, sizeof how);
        /* EAGAIN: a rename raced with "..", and the kernel could not prove that we stayed inside */
        if (fd >= 0 || errno != EAGAIN || tries == 64)
            return fd;
    }
}

enum { IN_ROOT = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS };

fallible root_open(int root_fd, const char *path, int flags, int *ret_fd)
{
    int fd = openat2_call(root_fd, *path ? path : "/", (uint64_t)(unsigned)flags, 0, IN_ROOT);
    if (fd < 0 && errno == ENOSYS)
        return err_sys(errno, "open '%s' in the root: needs openat2(2), Linux 5.6", path);
    if (fd < 0)
        return err_sys(errno, "open '%s' in the root", path);
    *ret_fd = fd;
    return NULL;
}

enum { LINKS_MAX = 40 }; /* as the kernel's own limit */

static fallible open_or_make(int root_fd, const char *path, size_t len, mode_t mode, int links, int *ret_fd);

/* What the link at a path names, as a path of the root. */
static fallible read_link(int parent, const char *name, const char *path, int links, char **ret)
{
    char text[4096];
    ssize_t n = readlinkat(parent, name, text, sizeof text - 1);
    if (n < 0 || links >= LINKS_MAX)
        return err_sys(n < 0 ? ENOENT : ELOOP, "make '%s' in the root", path);
    text[n] = '\0';
    *ret = *text == '/' ? mem_strdup(text) : mem_printf("%.*s%s", (int)(strlen(path) - strlen(name)), path, text);
    return NULL;
}

/* A link to where nothing is yet ("/var/run" -> "/run"): what it names is made, as the container would see the name. */
static fallible make_behind_link(int root_fd, int parent, const char *name, const char *part, mode_t mode, int links,
                                 int *ret_fd)
{
    own_mem char *target = NULL;
    TRY(read_link(parent, name, part, links, &target));
    return open_or_make(root_fd, target, strlen(target), mode, links + 1, ret_fd);
}

static fallible open_parent(int root_fd, const char *path, int links, int *ret_dir_fd, char **ret_name);

static bool last_is_dots(const char *path)
{
    const char *slash = strrchr(path, '/');
    const char *last = slash ? slash + 1 : path;
    return strcmp(last, ".") == 0 || strcmp(last, "..") == 0;
}

static fallible make_one(int root_fd, const char *part, mode_t mode, int links, int *ret_fd)
{
    own_fd int parent = -1;
    own_mem char *name = NULL;
    TRY(open_parent(root_fd, part, links, &parent, &name));
    bool made = mkdirat(parent, name, mode) == 0;
    if (!made && errno != EEXIST)
        return err_sys(errno, "make directory '%s' in the root", part);
    int fd = openat2_call(root_fd, part, O_PATH | O_DIRECTORY, 0, IN_ROOT);
    if (fd < 0 && errno == ENOENT && !made)
        return make_behind_link(root_fd, parent, name, part, mode, links, ret_fd);
    if (fd < 0)
        return err_sys(errno, "make directory '%s' in the root", part);
    *ret_fd = fd;
    return NULL;
}

/* One more level below an opened directory. A name made by us cannot be a link that we follow: it is opened by name
 * under the root again only through the kernel's own resolution. */
static fallible open_or_make(int root_fd, const char *path, size_t len, mode_t mode, int links, int *ret_fd)
{
    while (len > 1 && path[len - 1] == '/')
        len--;
    own_mem char *part = mem_strndup(path, len);
    int fd = openat2_call(root_fd, part, O_PATH | O_DIRECTORY, 0, IN_ROOT);
    if (fd >= 0) {
        *ret_fd = fd;
        return NULL;
    }
    if (errno != ENOENT)
        return err_sys(errno, "open directory '%s' in the root", part);

    if (!last_is_dots(part))
        return make_one(root_fd, part, mode, links, ret_fd);
    /* "missing/..": the directory before it has to be there for the kernel to go back */
    own_fd int before = -1;
    const char *slash = strrchr(part, '/');
    size_t dir_len = slash ? (size_t)(slash - part) : 0;
    TRY(open_or_make(root_fd, dir_len ? part : "/", dir_len ? dir_len : 1, mode, links, &before));
    fd = openat2_call(root_fd, part, O_PATH | O_DIRECTORY, 0, IN_ROOT);
    if (fd < 0)
        return err_sys(errno, "open directory '%s' in the root", part);
    *ret_fd = fd;
    return NULL;
}

fallible root_mkdirs(int root_fd, const char *path, mode_t mode, int *ret_fd)
{
    return open_or_make(root_fd, *path ? path : "/", *path ? strlen(path) : 1, mode, 0, ret_fd);
}

static fallible open_parent(int root_fd, const char *path, int links, int *ret_dir_fd, char **ret_name)
{
    size_t len = strlen(path);
    while (len && path[len - 1] == '/')
        len--;
    size_t start = len;
    while (start && path[start - 1] != '/')
        start--;
    own_mem char *name = mem_strndup(path + start, len - start);
    if (!*name || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return err_new(ERR_INVALID, "'%s' does not end in a name", path);
    own_mem char *dir = start ? mem_strndup(path, start) : mem_strdup("/");
    TRY(open_or_make(root_fd, dir, strlen(dir), 0755, links, ret_dir_fd));
    *ret_name = take(name);
    return NULL;
}

fallible root_parent(int root_fd, const char *path, int *ret_dir_fd, char **ret_name)
{
    return open_parent(root_fd, path, 0, ret_dir_fd, ret_name);
}

static fallible touch(int root_fd, const char *path, mode_t mode, int links, int *ret_fd)
{
    int fd = openat2_call(root_fd, path, O_PATH, 0, IN_ROOT);
    if (fd >= 0) {
        *ret_fd = fd;
        return NULL;
    }
    if (errno != ENOENT)
        return err_sys(errno, "open '%s' in the root", path);
    own_fd int parent = -1;
    own_mem char *name = NULL;
    TRY(open_parent(root_fd, path, links, &parent, &name));
    own_fd int made = openat(parent, name, O_CREAT | O_EXCL | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, mode);
    if (made < 0 && errno != EEXIST)
        return err_sys(errno, "make file '%s' in the root", path);
    fd = openat2_call(root_fd, path, O_PATH, 0, IN_ROOT);
    if (fd < 0 && errno == ENOENT && made < 0) { /* images have "/etc/resolv.conf" -> "../run/systemd/..." */
        own_mem char *target = NULL;
        TRY(read_link(parent, name, path, links, &target));
        return touch(root_fd, target, mode, links + 1, ret_fd);
    }
    if (fd < 0)
        return err_sys(errno, "make file '%s' in the root", path);
    *ret_fd = fd;
    return NULL;
}

fallible root_touch(int root_fd, const char *path, mode_t mode, int *ret_fd)
{
    return touch(root_fd, path, mode, 0, ret_fd);
}
