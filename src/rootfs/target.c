// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "os/fs.h"
#include "os/root.h"
#include "rootfs/rootfs_parts.h"

char *path_normal(const char *path)
{
    own_strv struct strv parts = { 0 };
    own_str struct str out = { 0 };
    strv_split(&parts, path, '/');
    for (size_t i = 0; i < parts.n; i++) {
        const char *part = parts.items[i];
        if (!*part || str_eq(part, "."))
            continue;
        if (str_eq(part, "..")) {
            char *slash = out.len ? strrchr(out.text, '/') : NULL;
            if (slash) {
                *slash = '\0';
                out.len = (size_t)(slash - out.text);
            }
            continue;
        }
        str_add_char(&out, '/');
        str_add(&out, part);
    }
    if (!out.len)
        str_add_char(&out, '/');
    return str_take(&out);
}

const struct oci_mount *mount_at(const struct oci_spec *spec, const char *path)
{
    for (size_t i = spec->mounts_n; i-- > 0;) {
        own_mem char *at = path_normal(spec->mounts[i].destination);
        if (str_eq(at, path))
            return &spec->mounts[i];
    }
    return NULL;
}

char *target_path(const struct rootfs *r, int fd)
{
    own_mem char *path = fs_fd_path(fd);
    own_mem char *root = r->root_path ? mem_strdup(r->root_path) : fs_fd_path(r->root_fd);
    size_t n = strlen(root);
    if (str_starts(path, root) && (path[n] == '/' || path[n] == '\0'))
        return mem_strdup(path[n] ? path + n : "/");
    return take(path);
}

/* What may be mounted over inside /proc: files that programs read for the size of their machine (lxcfs), and two
 * switches. Anything else there could redirect a write that we or a label-aware program mean for the kernel. */
static const char *const proc_allowed[] = {
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
};

static bool on_procfs(int fd)
{
    struct statfs fs;
    return fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;
}

static fallible check_proc(const struct rootfs *r, const struct oci_mount *m, int target_fd)
{
    if (!on_procfs(target_fd))
        return NULL;
    own_mem char *path = target_path(r, target_fd);
    if (str_eq(path, "/proc"))
        return NULL; /* /proc itself is looked at when its source is known */
    for (size_t i = 0; i < ARRAY_SIZE(proc_allowed); i++)
        if (str_eq(path, proc_allowed[i]))
            return NULL;
    return err_new(ERR_INVALID, "mount '%s': '%s' is inside /proc, where nothing may be mounted over", m->destination,
                   path);
}

/* These names are trusted by everything that follows: a link laid by the image would lead the mount elsewhere. */
static fallible open_trusted(const struct rootfs *r, const char *path, int *ret_fd)
{
    own_fd int fd = -1;
    struct stat st;
    err *e = root_open(r->root_fd, path, O_PATH | O_NOFOLLOW, &fd);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    if (e)
        return e;
    if (fstat(fd, &st) < 0)
        return err_sys(errno, "look at '%s'", path);
    if (!S_ISDIR(st.st_mode))
        return err_new(ERR_INVALID, "'%s' in the root file system is not a directory", path);
    *ret_fd = take_fd(&fd);
    return NULL;
}

fallible target_open(const struct rootfs *r, const struct oci_mount *m, enum target_kind kind, int *ret_fd)
{
    bool is_dir = kind != TARGET_FILE;
    own_fd int fd = -1;
    own_mem char *path = path_normal(m->destination);
    if (str_eq(path, "/proc") || str_eq(path, "/sys") || str_eq(path, "/dev"))
        TRY(open_trusted(r, path, &fd));
    if (str_eq(path, "/"))
        return err_new(ERR_INVALID, "mount '%s': the root itself cannot be mounted over", m->destination);
    if (!is_dir)
        close_now(&fd);
    if (is_dir && fd < 0) {
        mode_t before = kind == TARGET_OPEN_DIRECTORY ? umask(0) : 0;
        err *e = root_mkdirs(r->root_fd, path, kind == TARGET_OPEN_DIRECTORY ? 01777 : 0755, &fd);
        if (kind == TARGET_OPEN_DIRECTORY)
            (void)umask(before);
        TRY_AS(e, "mount point '%s'", m->destination);
    }
    if (!is_dir)
        TRY_AS(root_touch(r->root_fd, path, 0644, &fd), "mount point '%s'", m->destination);
    TRY(check_proc(r, m, fd));
    *ret_fd = take_fd(&fd);
    return NULL;
}
