// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/build_cache.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>

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

static fallible read_entry(int dir_fd, const char *name, struct strv *ret)
{
    own_mem char *text = NULL;
    size_t len = 0;
    void *entry = NULL;
    TRY(fs_read_at(dir_fd, name, ENTRY_MAX, &text, &len));
    TRY(bind_read(&build_entry_type, text, len, &entry));
    const struct build_entry *e = entry;
    if (e->diff_id && digest_valid(e->diff_id))
        strv_add(ret, e->diff_id);
    build_entry_free(entry);
    return NULL;
}

fallible build_cache_keep(struct layout *l, struct strv *ret_digests)
{
    own_fd int fd = openat(l->fd, "build/cache", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "open '%s/build/cache'", l->path);
    own_dir DIR *dir = fdopendir(fd);
    if (!dir)
        return err_sys(errno, "read '%s/build/cache'", l->path);
    int dir_fd = take_fd(&fd);
    for (const struct dirent *x; (x = readdir(dir));)
        if (x->d_name[0] != '.')
            err_ignore(read_entry(dir_fd, x->d_name, ret_digests), "then it keeps nothing");
    return NULL;
}
