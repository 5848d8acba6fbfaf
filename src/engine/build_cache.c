// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/build_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "os/fs.h"

enum { ENTRY_MAX = 1 << 20 };

#define T struct build_entry
static const struct bind_field entry_fields[] = {
    BIND_STR(T, diff_id, "diffId"),
    BIND_STR(T, digest, "digest"),
    BIND_STR(T, media_type, "mediaType"),
    BIND_STR(T, what, "what"),
    BIND_I64(T, size, "size"),
    BIND_I64(T, tar_size, "tarSize"),
    BIND_I64(T, newest, "newest"),
    BIND_I64(T, made, "made"),
    BIND_BOOL(T, empty, "empty"),
    BIND_END,
};
#undef T
const struct bind_type build_entry_type = { .name = "build cache entry",
                                            .size = sizeof(struct build_entry),
                                            .fields = entry_fields };

void build_entry_free(struct build_entry *e)
{
    bind_free(&build_entry_type, e);
}

static fallible read_entry(int dir_fd, const char *name, struct build_entry **ret)
{
    own_mem char *text = NULL;
    size_t len = 0;
    void *entry = NULL;
    TRY(fs_read_at(dir_fd, name, ENTRY_MAX, &text, &len));
    TRY(bind_read(&build_entry_type, text, len, &entry));
    *ret = entry;
    return NULL;
}

/* *ret NULL: nothing was ever built. */
static fallible open_cache(struct layout *l, DIR **ret)
{
    own_fd int fd = openat(l->fd, "build/cache", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    *ret = NULL;
    if (fd < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "open '%s/build/cache'", l->path);
    *ret = fdopendir(fd);
    if (!*ret)
        return err_sys(errno, "read '%s/build/cache'", l->path);
    (void)take_fd(&fd);
    return NULL;
}

fallible build_cache_keep(struct layout *l, struct strv *ret_digests)
{
    own_dir DIR *dir = NULL;
    TRY(open_cache(l, &dir));
    for (const struct dirent *x; dir && (x = readdir(dir));) {
        own(build_entry) struct build_entry *e = NULL;
        if (x->d_name[0] == '.')
            continue;
        err_ignore(read_entry(dirfd(dir), x->d_name, &e), "then it keeps nothing");
        if (e && e->diff_id && digest_valid(e->diff_id))
            strv_add(ret_digests, e->diff_id);
    }
    return NULL;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

fallible build_cache_forget(struct layout *l, const struct strv *used, bool dry_run, struct strv *ret_keys,
                            struct strv *ret_digests)
{
    own_dir DIR *dir = NULL;
    TRY(open_cache(l, &dir));
    for (const struct dirent *x; dir && (x = readdir(dir));) {
        own(build_entry) struct build_entry *e = NULL;
        if (x->d_name[0] == '.')
            continue;
        err_ignore(read_entry(dirfd(dir), x->d_name, &e), "it is of no use, and goes");
        bool named = e && e->diff_id && digest_valid(e->diff_id);
        if (used && named && strv_has(used, e->diff_id))
            continue;
        if (!dry_run && unlinkat(dirfd(dir), x->d_name, 0) < 0)
            return err_sys(errno, "remove '%s/build/cache/%s'", l->path, x->d_name);
        strv_add(ret_keys, x->d_name);
        if (named)
            strv_add(ret_digests, e->diff_id);
    }
    if (ret_keys->n > 1)
        qsort(ret_keys->items, ret_keys->n, sizeof *ret_keys->items, by_text);
    return NULL;
}
