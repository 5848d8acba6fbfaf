// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/mounts.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/paths.h"
#include "os/fs.h"
#include "os/mount.h"

enum { MOUNTS_MAX = 16 << 20 };

static unsigned long long our_namespace(void)
{
    struct stat st;
    return stat("/proc/self/ns/mnt", &st) == 0 ? (unsigned long long)st.st_ino : 0;
}

char *mounts_path(const struct engine *e, const char *name)
{
    return mem_printf("%s/mounts/%llu/%s", e->run, our_namespace(), name);
}

bool mounts_has(const char *path)
{
    own_mem char *list = NULL, *wanted = mem_printf(" %s ", path);
    own(err) err *e = fs_read_at(AT_FDCWD, "/proc/self/mountinfo", MOUNTS_MAX, &list, NULL);
    return !e && strstr(list, wanted);
}

fallible mounts_may(void)
{
    if (geteuid() == 0)
        return NULL;
    return err_new(ERR_DENIED,
                   "an ordinary user mounts only in a namespace of his own: run it, and what looks at the files, "
                   "inside `husk unshare`");
}

fallible mounts_list(const struct engine *e, const char *prefix, struct strv *ret_names)
{
    own_mem char *folder = mounts_path(e, "");
    own_dir DIR *dir = opendir(folder);
    if (!dir)
        return errno == ENOENT ? NULL : err_sys(errno, "read '%s'", folder);
    for (const struct dirent *x; (x = readdir(dir));) {
        own_mem char *path = mem_printf("%s%s", folder, x->d_name);
        if (x->d_name[0] != '.' && str_starts(x->d_name, prefix) && mounts_has(path))
            strv_add(ret_names, x->d_name + strlen(prefix));
    }
    return NULL;
}

fallible mounts_place(const struct engine *e, const char *path, int mount)
{
    own_fd int run = -1, target = -1;
    TRY(paths_open_run(e->run, &run));
    TRY(fs_open_dir_at(AT_FDCWD, path, FS_MAKE, &target));
    return mount_place(mount, target);
}

fallible mounts_remove(const struct engine *e, const char *path)
{
    own_mem char *ours = mounts_path(e, ""), *all = mem_printf("%s/mounts", e->run);
    if (mounts_has(path) && umount2(path, UMOUNT_NOFOLLOW) < 0)
        return err_sys(errno, "unmount '%s'", path);
    if (rmdir(path) < 0 && errno != ENOENT)
        return err_sys(errno, "remove '%s'", path);
    (void)rmdir(ours); /* when they are empty */
    (void)rmdir(all);
    return NULL;
}

/* ---- other namespaces ---- */

/* Of a process that may not be looked at: another user's cannot be in ours. One of ours may be in a user namespace
 * beside our own. */
static bool may_be_in_it(const char *pid)
{
    char path[64];
    struct stat st;
    (void)snprintf(path, sizeof path, "/proc/%.20s", pid);
    return stat(path, &st) == 0 && st.st_uid == geteuid();
}

static bool is_alive(const char *ns)
{
    own_dir DIR *proc = opendir("/proc");
    if (!proc)
        return true;
    for (const struct dirent *x; (x = readdir(proc));) {
        char path[64];
        struct stat st;
        if (!isdigit((unsigned char)x->d_name[0]))
            continue;
        (void)snprintf(path, sizeof path, "/proc/%.20s/ns/mnt", x->d_name);
        if (stat(path, &st) == 0) {
            (void)snprintf(path, sizeof path, "%llu", (unsigned long long)st.st_ino);
            if (str_eq(path, ns))
                return true;
        } else if ((errno == EACCES || errno == EPERM) && may_be_in_it(x->d_name)) {
            return true;
        }
    }
    return false;
}

static bool is_other(const struct dirent *x)
{
    char ours[32];
    (void)snprintf(ours, sizeof ours, "%llu", our_namespace());
    return x->d_name[0] != '.' && !str_eq(x->d_name, ours);
}

bool mounts_elsewhere(const struct engine *e, const char *name)
{
    own_mem char *folder = mem_printf("%s/mounts", e->run);
    own_dir DIR *dir = opendir(folder);
    for (const struct dirent *x; dir && (x = readdir(dir));) {
        own_mem char *path = mem_printf("%s/%s/%s", folder, x->d_name, name);
        if (is_other(x) && access(path, F_OK) == 0 && is_alive(x->d_name))
            return true;
    }
    return false;
}

/* Folders without a mount. rmdir(2) alone: what is mounted in ours is busy, and what has something in it stays. */
static size_t sweep_one(const char *path, enum mounts_how how)
{
    size_t n = 0;
    own_dir DIR *dir = opendir(path);
    for (const struct dirent *x; dir && (x = readdir(dir));) {
        own_mem char *below = mem_printf("%s/%s", path, x->d_name);
        if (x->d_name[0] == '.' || mounts_has(below))
            continue;
        n++;
        if (how == MOUNTS_SWEEP)
            (void)rmdir(below);
    }
    if (how == MOUNTS_SWEEP)
        (void)rmdir(path);
    return n;
}

size_t mounts_sweep(const struct engine *e, enum mounts_how how)
{
    size_t n = 0;
    own_mem char *folder = mem_printf("%s/mounts", e->run);
    own_dir DIR *dir = opendir(folder);
    for (const struct dirent *x; dir && (x = readdir(dir));) {
        own_mem char *path = mem_printf("%s/%s", folder, x->d_name);
        if (is_other(x) && !is_alive(x->d_name))
            n += sweep_one(path, how);
    }
    if (dir && how == MOUNTS_SWEEP)
        (void)rmdir(folder);
    return n;
}
