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

/* "usage" holds what fs/ takes; the few files beside it are looked at. */
bool layer_usage(struct layout *l, const char *diff_id, uint64_t *ret_bytes)
{
    own_mem char *dir = mem_printf("layers/%s", digest_hex(diff_id)), *path = mem_printf("%s/usage", dir), *text = NULL;
    static const char *const beside[] = { ".", "size", "opaque", "usage", "tree", "erofs", "tar", "index", "split" };
    own_fd int fd = openat(l->fd, dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
    uint64_t sum = 0;
    own(err) err *e = fs_read_at(l->fd, path, USAGE_FILE_MAX, &text, NULL);
    bool erofs = fd >= 0 && layer_is_erofs(fd); /* nothing but those few files */
    if (fd < 0 || (e && !erofs))
        return false;
    if (text)
        text[strcspn(text, "\n")] = '\0';
    own(err) err *wrong = text ? parse_u64(text, UINT64_MAX, &sum) : NULL;
    if (wrong)
        return false;
    for (size_t i = 0; i < ARRAY_SIZE(beside); i++) {
        struct stat st;
        if (fstatat(fd, beside[i], &st, AT_SYMLINK_NOFOLLOW) == 0)
            sum += (uint64_t)st.st_blocks * 512;
    }
    *ret_bytes = sum;
    return true;
}

static fallible measure(int dir_fd)
{
    char text[32];
    uint64_t bytes = 0;
    struct stat st, fs;
    if (fstat(dir_fd, &st) < 0 || fstatat(dir_fd, "fs", &fs, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(errno, "look at it");
    TRY(fs_disk_usage_at(dir_fd, "fs", &bytes));
    int n = snprintf(text, sizeof text, "%llu\n", (unsigned long long)bytes + (unsigned long long)fs.st_blocks * 512);
    TRY(fs_replace_at(dir_fd, "usage", text, (size_t)n, 0644, FS_SYNC_NONE));
    /* To be measured is not to be used: the time says when it was. */
    struct timespec times[2] = { st.st_atim, st.st_mtim };
    return futimens(dir_fd, times) < 0 ? err_sys(errno, "set its time") : NULL;
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
