// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/parse.h"
#include "image/ref.h"
#include "layers/layer.h"
#include "layers/merged.h"
#include "os/fs.h"
#include "os/userns.h"

enum { USAGE_FILE_MAX = 64 };

static uint64_t bytes_beside(int dir_fd)
{
    static const char *const beside[] = { ".", "size", "opaque", "usage", "tree", "erofs", "tar", "index", "split" };
    struct stat st;
    uint64_t sum = 0;
    for (size_t i = 0; i < ARRAY_SIZE(beside); i++)
        if (fstatat(dir_fd, beside[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
            sum += (uint64_t)st.st_blocks * 512;
    return sum;
}

static int open_layer(struct layout *l, const char *diff_id)
{
    own_mem char *dir = mem_printf("layers/%s", digest_hex(diff_id));
    return openat(l->fd, dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

/* "usage" holds what fs/ takes; the few files beside it are looked at. */
bool layer_usage(struct layout *l, const char *diff_id, uint64_t *ret_bytes)
{
    own_mem char *text = NULL;
    own_fd int fd = open_layer(l, diff_id);
    uint64_t sum = 0;
    if (fd < 0)
        return false;
    own(err) err *e = fs_read_at(fd, "usage", USAGE_FILE_MAX, &text, NULL);
    if (e && !layer_is_erofs(fd)) /* that is nothing but those few files */
        return false;
    if (text)
        text[strcspn(text, "\n")] = '\0';
    own(err) err *wrong = text ? parse_u64(text, UINT64_MAX, &sum) : NULL;
    if (wrong)
        return false;
    *ret_bytes = sum + bytes_beside(fd);
    return true;
}

static fallible files_bytes(int dir_fd, uint64_t *ret)
{
    struct stat fs;
    if (fstatat(dir_fd, "fs", &fs, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(errno, "look at it");
    TRY(fs_disk_usage_at(dir_fd, "fs", ret));
    *ret += (uint64_t)fs.st_blocks * 512;
    return NULL;
}

bool layer_usage_now(struct layout *l, const char *diff_id, uint64_t *ret_bytes)
{
    if (layer_usage(l, diff_id, ret_bytes))
        return true;
    own_fd int fd = open_layer(l, diff_id);
    own(err) err *e = fd < 0 ? NULL : files_bytes(fd, ret_bytes);
    if (fd < 0 || e)
        return false;
    *ret_bytes += bytes_beside(fd);
    return true;
}

/* On a full disk, whose owner wants to know what takes it, and on one that cannot be written, it is only not
 * remembered. */
static fallible remember(int dir_fd, const char *text, size_t n)
{
    err *e = fs_replace_at(dir_fd, "usage", text, n, 0644, FS_SYNC_NONE);
    int number = err_errno(e);
    if (number != ENOSPC && number != EDQUOT && number != EROFS)
        return e;
    err_ignore(e, "layer_usage_now() looks again");
    return NULL;
}

static fallible measure(int dir_fd)
{
    char text[32];
    uint64_t bytes = 0;
    struct stat st;
    if (fstat(dir_fd, &st) < 0)
        return err_sys(errno, "look at it");
    TRY(files_bytes(dir_fd, &bytes));
    int n = snprintf(text, sizeof text, "%llu\n", (unsigned long long)bytes);
    TRY(remember(dir_fd, text, (size_t)n));
    /* To be measured is not to be used: the time says when it was. */
    struct timespec times[2] = { st.st_atim, st.st_mtim };
    return futimens(dir_fd, times) < 0 && errno != EROFS ? err_sys(errno, "set its time") : NULL;
}

static fallible measure_all(void *ctx)
{
    struct layout *l = ctx;
    int fd = openat(l->fd, "layers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return err_sys(errno, "list '%s/layers'", l->path);
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (entry->d_name[0] == '.')
            continue;
        own_fd int layer = openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (layer >= 0 && faccessat(layer, "fs", F_OK, 0) == 0 && faccessat(layer, "usage", F_OK, 0) < 0)
            TRY_AS(measure(layer), "layer %.12s", entry->d_name);
    }
    return NULL;
}

static bool all_measured(struct layout *l)
{
    int fd = openat(l->fd, "layers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        own_mem char *path = mem_printf("%s/usage", entry->d_name);
        if (entry->d_name[0] != '.' && faccessat(dirfd(dir), path, F_OK, 0) < 0)
            return false;
    }
    return true;
}

fallible layers_measure(struct layout *l)
{
    return all_measured(l) ? NULL : userns_call(measure_all, l);
}
