// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/restore.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "image/blob.h"
#include "image/ref.h"
#include "layers/layer.h"
#include "layers/merged.h"
#include "layers/tarsplit.h"
#include "os/fs.h"
#include "os/userns.h"

enum { RECORD_MAX = 256 << 20, CHUNK = 256 << 10 };

fallible restore_keep(struct layout *l, const char *diff_id, int record_fd)
{
    own_mem char *path = mem_printf("layers/%s", digest_hex(diff_id)), *bytes = NULL;
    own_fd int dir = openat(l->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    size_t len = 0;
    if (dir < 0)
        return err_sys(errno, "open '%s/%s'", l->path, path);
    if (faccessat(dir, "split", F_OK, 0) == 0)
        return NULL;
    if (lseek(record_fd, 0, SEEK_SET) < 0)
        return err_sys(errno, "read the tar-split record");
    TRY(fs_read_fd(record_fd, "the tar-split record", RECORD_MAX, &bytes, &len));
    return fs_replace_at(dir, "split", bytes, len, 0644, FS_SYNC_DISK);
}

struct restoring {
    struct layout *l;
    const char *diff_id;
    int64_t size;
};

static fallible send_all(struct stream_source from, err *(*use)(void *ctx, const void *bytes, size_t n), void *ctx)
{
    own_mem char *buf = mem_alloc(CHUNK);
    for (size_t n = 1; n > 0;) {
        TRY(from.read(from.ctx, buf, CHUNK, &n));
        if (n)
            TRY(use(ctx, buf, n));
    }
    return NULL;
}

static err *add_to_blob(void *blob, const void *bytes, size_t n)
{
    return blob_add(blob, bytes, n);
}

static fallible make_blob(struct restoring *r, struct stream_source from)
{
    own(blob) struct blob *blob = NULL;
    TRY(blob_begin(r->l, r->diff_id, r->size, &blob));
    if (!blob)
        return NULL;
    err *e = blob_restart(blob);
    if (!e)
        e = send_all(from, add_to_blob, blob);
    if (!e)
        e = blob_end(blob);
    if (e)
        blob_discard(take(blob));
    return e;
}

static fallible from_files(struct restoring *r, int record_fd)
{
    own(tarsplit) struct tarsplit *split = NULL;
    own_fd int files_fd = -1;
    TRY(layer_open(r->l, r->diff_id, &files_fd));
    TRY(tarsplit_open(record_fd, files_fd, &split));
    return make_blob(r, tarsplit_source(split));
}

struct reading {
    struct layer_tar tar;
    uint64_t done;
};
static err *read_tar(void *ctx, void *buf, size_t max, size_t *ret_n)
{
    struct reading *r = ctx;
    return layer_tar_read(&r->tar, &r->done, buf, max, ret_n);
}

/* Files of an ordinary user's layers belong to subordinate ids: this runs as root of his namespace. */
static err *restore(void *ctx)
{
    struct restoring *r = ctx;
    own_mem char *split = mem_printf("layers/%s/split", digest_hex(r->diff_id));
    own_mem char *path = mem_printf("layers/%s", digest_hex(r->diff_id));
    struct reading reading = { .tar.fd = -1 };
    own_fd int record_fd = openat(r->l->fd, split, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (record_fd >= 0)
        return from_files(r, record_fd);
    own_fd int dir = openat(r->l->fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir >= 0 && layer_is_erofs(dir)) {
        TRY(layer_tar_open(dir, &reading.tar));
        err *e = make_blob(r, (struct stream_source){ read_tar, &reading });
        (void)close(reading.tar.fd);
        return e;
    }
    return err_new(ERR_NOT_FOUND, "its packed bytes are not kept here: pull, load or import the image again");
}

bool restore_possible(struct layout *l, const char *diff_id)
{
    own_mem char *split = mem_printf("layers/%s/split", digest_hex(diff_id));
    return layer_form_of(l, diff_id) == LAYER_EROFS || faccessat(l->fd, split, F_OK, 0) == 0;
}

fallible restore_open(struct layout *l, const char *digest, int64_t size, int *ret_fd)
{
    struct restoring r = { l, digest, size };
    err *e = layout_open_blob(l, digest, size, ret_fd);
    if (!err_is(e, ERR_NOT_FOUND) || !digest_valid(digest))
        return e;
    err_ignore(e, "it is made, where that can be done");
    TRY(userns_call(restore, &r));
    return layout_open_blob(l, digest, size, ret_fd);
}

fallible restore_send(struct layout *l, const char *diff_id, err *(*use)(void *ctx, const void *bytes, size_t n),
                      void *ctx)
{
    own_mem char *path = mem_printf("layers/%s", digest_hex(diff_id));
    own_fd int dir = openat(l->fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC), fd = -1;
    int64_t size = 0;
    struct reading reading = { .tar.fd = -1 };
    if (dir >= 0 && layer_is_erofs(dir)) {
        TRY(layer_tar_open(dir, &reading.tar));
        err *e = send_all((struct stream_source){ read_tar, &reading }, use, ctx);
        (void)close(reading.tar.fd);
        return e;
    }
    TRY(layer_size(l, diff_id, &size));
    TRY(restore_open(l, diff_id, size, &fd));
    return send_all(stream_source_fd(&fd), use, ctx);
}
