// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/layer.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/parse.h"
#include "image/ref.h"
#include "layers/merged.h"
#include "os/fs.h"

enum { SIZE_FILE_MAX = 64 };

static bool there(struct layout *l, const char *diff_id, const char *what)
{
    own_mem char *path = mem_printf("layers/%s/%s", digest_hex(diff_id), what);
    return faccessat(l->fd, path, F_OK, 0) == 0;
}

bool layer_exists(struct layout *l, const char *diff_id)
{
    return digest_valid(diff_id) && (there(l, diff_id, "fs") || layer_form_of(l, diff_id) == LAYER_EROFS);
}

bool layer_use(struct layout *l, const char *diff_id)
{
    if (!layer_exists(l, diff_id))
        return false;
    own_mem char *path = mem_printf("layers/%s", digest_hex(diff_id));
    return layout_use(l, path);
}

char *layer_path(struct layout *l, const char *diff_id)
{
    return mem_printf("%s/layers/%s/fs", l->path, digest_hex(diff_id));
}

fallible layer_open(struct layout *l, const char *diff_id, int *ret_fd)
{
    if (!digest_valid(diff_id))
        return err_new(ERR_INVALID, "'%s' is no digest of a layer", diff_id);
    own_mem char *path = mem_printf("layers/%s/fs", digest_hex(diff_id));
    int fd = openat(l->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && layer_form_of(l, diff_id) == LAYER_EROFS)
        return layer_mount(l, diff_id, ret_fd);
    if (fd < 0 && errno == ENOENT)
        return err_new(ERR_NOT_FOUND, "layer '%s' is not in the image store: pull or load the image again", diff_id);
    if (fd < 0)
        return err_sys(errno, "open layer '%s'", diff_id);
    *ret_fd = fd;
    return NULL;
}

fallible layer_size(struct layout *l, const char *diff_id, int64_t *ret)
{
    own_mem char *text = NULL;
    if (!digest_valid(diff_id))
        return err_new(ERR_INVALID, "'%s' is no digest of a layer", diff_id);
    own_mem char *dir = mem_printf("layers/%s", digest_hex(diff_id)), *path = mem_printf("%s/size", dir);
    err *e = fs_read_at(l->fd, path, SIZE_FILE_MAX, &text, NULL);
    if (err_is(e, ERR_NOT_FOUND) && layer_form_of(l, diff_id) == LAYER_EROFS) {
        struct layer_tar tar;
        own_fd int fd = openat(l->fd, dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        err_ignore(e, "in EROFS's form the tar is there");
        TRY_AS(layer_tar_open(fd, &tar), "layer %.12s", digest_hex(diff_id));
        *ret = (int64_t)tar.bytes;
        (void)close(tar.fd);
        return NULL;
    }
    TRY_AS(e, "layer %.12s", digest_hex(diff_id));
    text[strcspn(text, "\n")] = '\0';
    TRY_AS(parse_i64(text, 0, INT64_MAX, ret), "layer %.12s: size", digest_hex(diff_id));
    return NULL;
}

fallible layer_paths(struct layout *l, const struct image *image, struct strv *ret_paths)
{
    const struct strv *ids = &image->config->rootfs->diff_ids;
    own_strv struct strv paths = { 0 };
    for (size_t i = ids->n; i-- > 0;) {
        if (!layer_exists(l, ids->items[i]))
            return err_new(ERR_NOT_FOUND, "layer '%s' is not in the image store: pull or load the image again",
                           ids->items[i]);
        bool files = there(l, ids->items[i], "fs");
        strv_add_take(&paths, files ? layer_path(l, ids->items[i])
                                    : mem_printf("%s/layers/%s/erofs", l->path, digest_hex(ids->items[i])));
        if (there(l, ids->items[i], "opaque"))
            break;
    }
    *ret_paths = paths;
    paths = (struct strv){ 0 };
    return NULL;
}
