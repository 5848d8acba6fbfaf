// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/verify.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "layers/diff_walk.h"
#include "layers/layer.h"

enum { CHUNK = 64 << 10 };

static fallible differs(const char *path, const char *in)
{
    return err_new(ERR_CONFLICT, "'/%s' differs: %s", path, in);
}

static fallible compare_bytes(int a_dir, int b_dir, const char *name, const char *path)
{
    own_fd int a = openat(a_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    own_fd int b = openat(b_dir, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (a < 0 || b < 0)
        return err_sys(errno, "open '/%s'", path);
    own_mem char *x = mem_alloc(CHUNK), *y = mem_alloc(CHUNK);
    for (off_t at = 0;; at += CHUNK) {
        ssize_t n = pread(a, x, CHUNK, at), m = pread(b, y, CHUNK, at);
        if (n < 0 || m < 0)
            return err_sys(errno, "read '/%s'", path);
        if (n != m || memcmp(x, y, (size_t)n) != 0)
            return differs(path, "its contents");
        if (n < CHUNK)
            return NULL;
    }
}

static fallible compare_links(int a_dir, int b_dir, const char *name, const char *path)
{
    char x[4096], y[4096];
    ssize_t n = readlinkat(a_dir, name, x, sizeof x), m = readlinkat(b_dir, name, y, sizeof y);
    return n == m && n >= 0 && memcmp(x, y, (size_t)n) == 0 ? NULL : differs(path, "where the link leads");
}

static fallible compare_dirs(int a_dir, int b_dir, const char *path);

static fallible compare_entry(int a_dir, int b_dir, const char *name, const char *path)
{
    struct stat a, b;
    if (fstatat(a_dir, name, &a, AT_SYMLINK_NOFOLLOW) < 0 || fstatat(b_dir, name, &b, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(errno, "look at '/%s'", path);
    if ((a.st_mode & S_IFMT) != (b.st_mode & S_IFMT))
        return differs(path, "its kind");
    if (S_ISREG(a.st_mode) && a.st_size == b.st_size)
        TRY(compare_bytes(a_dir, b_dir, name, path));
    if (S_ISREG(a.st_mode) && a.st_size != b.st_size)
        return differs(path, "its size");
    if (S_ISLNK(a.st_mode))
        TRY(compare_links(a_dir, b_dir, name, path));
    if (a.st_mode != b.st_mode)
        return differs(path, "its mode");
    if (a.st_uid != b.st_uid || a.st_gid != b.st_gid)
        return differs(path, "its owner");
    if (a.st_rdev != b.st_rdev)
        return differs(path, "its device");
    if (a.st_mtim.tv_sec != b.st_mtim.tv_sec || a.st_mtim.tv_nsec != b.st_mtim.tv_nsec)
        return differs(path, "its time");
    if (!S_ISDIR(a.st_mode))
        return NULL;
    own_fd int a_fd = openat(a_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    own_fd int b_fd = openat(b_dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (a_fd < 0 || b_fd < 0)
        return err_sys(errno, "open '/%s'", path);
    return compare_dirs(a_fd, b_fd, path);
}

static fallible compare_dirs(int a_dir, int b_dir, const char *path)
{
    own_strv struct strv a = { 0 }, b = { 0 };
    TRY(diff_names(a_dir, &a));
    TRY(diff_names(b_dir, &b));
    for (size_t i = 0; i < a.n || i < b.n; i++) {
        const char *x = i < a.n ? a.items[i] : NULL, *y = i < b.n ? b.items[i] : NULL;
        int order = !x ? 1 : !y ? -1 : strcmp(x, y);
        own_mem char *child = mem_printf("%s%s%s", path, *path ? "/" : "", order <= 0 && x ? x : y ? y : "");
        if (order < 0)
            return differs(child, "only the image has it");
        if (order > 0)
            return differs(child, "only what was built now has it");
        TRY(compare_entry(a_dir, b_dir, x, child));
    }
    return NULL;
}

static fallible compare_layers(struct layout *l, const char *image_id, const char *built_id)
{
    own_fd int a = -1, b = -1;
    TRY(layer_open(l, image_id, &a));
    TRY(layer_open(l, built_id, &b));
    own_fd int a_fd = openat(a, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_fd int b_fd = openat(b, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (a_fd < 0 || b_fd < 0)
        return err_sys(errno, "open the layers");
    TRY(compare_dirs(a_fd, b_fd, ""));
    return err_new(ERR_CONFLICT, "their files are the same, and their archives are not (attributes or links)");
}

fallible build_verify(struct layout *l, const struct image *image, const struct build_state *built, const char *id)
{
    const struct strv *have = &image->config->rootfs->diff_ids;
    const char *name = image->name ? image->name : image->id;
    for (size_t i = 0; i < have->n && i < built->layers_n; i++)
        if (!str_eq(have->items[i], built->layers[i].diff_id))
            TRY_AS(compare_layers(l, have->items[i], built->layers[i].diff_id), "--verify %s: layer %zu of %zu", name,
                   i + 1, have->n);
    if (have->n != built->layers_n)
        return err_new(ERR_CONFLICT, "--verify %s: it has %zu layers, and what was built has %zu", name, have->n,
                       built->layers_n);
    if (!str_eq(image->id, id))
        return err_new(ERR_CONFLICT,
                       "--verify %s: its files are the same and its config is not: compare `husk inspect %.19s` with "
                       "`husk inspect %.19s`",
                       name, image->id, id);
    return NULL;
}
