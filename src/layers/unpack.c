// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/unpack.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include "base/log.h"
#include "codec/digest.h"
#include "codec/pool.h"
#include "image/ref.h"
#include "layers/erofs.h"
#include "layers/extents.h"
#include "layers/layer.h"
#include "layers/merged.h"
#include "layers/ring.h"
#include "os/direct.h"
#include "os/fs.h"

enum { WORTH_KEEPING = 16 << 20 /* bytes of a tar that stay in memory for the first start */ };

/*
 * One thread unpacks into a ring of buffers and makes files out of them; another hashes the same buffers, and where the
 * tar is kept as it is a third one writes them. Hashing is the larger half of the work where the processor has no SHA
 * instructions.
 */
struct work {
    struct layout *layout;
    const struct unpack *u;
    struct stream *stream;
    struct digest *digest; /* NULL: nothing to hash */
    int fs_fd;             /* the files' directory; EROFS: -1 */
    int tar_fd;            /* EROFS: the layer's file */
    struct direct tar;     /* what is written of it */
    struct erofs *erofs;
    err *not_erofs;          /* why the layer must be files after all */
    struct extents *extents; /* NULL: none are shared */
    struct untar_limits limits;
    bool as_files;    /* whatever the store's setting */
    char **ret_aside; /* NULL: to be put in place */
    int *ret_aside_fd;

    struct ring *ring;
    unsigned char *again; /* the tar, read once more */
};

static fallible hash_slots(void *ctx, const struct iovec *slots, size_t n)
{
    for (size_t i = 0; i < n; i++)
        digest_add(ctx, slots[i].iov_base, slots[i].iov_len);
    return NULL;
}

static fallible write_slots(void *ctx, const struct iovec *slots, size_t n)
{
    return direct_write(ctx, slots, n, "tar");
}

static fallible next_bytes(void *ctx, const unsigned char **ret_bytes, size_t *ret_n)
{
    struct work *w = ctx;
    unsigned char *slot = NULL;
    size_t n = 0, some = 1;
    TRY(ring_slot(w->ring, &slot));
    for (; n < RING_SLOT_SIZE && some; n += some)
        TRY(stream_read(w->stream, slot + n, RING_SLOT_SIZE - n, &some));
    *ret_bytes = slot;
    *ret_n = n;
    if (n > 0)
        ring_publish(w->ring, n);
    if (w->u->progress)
        w->u->progress(w->u->progress_ctx, stream_bytes_in(w->stream));
    return NULL;
}

/* The tar goes to disk as it is read; what is in it is remembered for the index. */
static fallible write_tar(struct work *w)
{
    own(tar) struct tar *t = tar_new((struct tar_source){ next_bytes, w });
    err *e = erofs_read_tar(w->erofs, t, &w->limits, 0);
    if (!err_is(e, ERR_UNSUPPORTED)) {
        TRY(e);
        return tar_drain(t);
    }
    w->not_erofs = e;
    for (size_t n = 1; n > 0;) {
        const unsigned char *bytes;
        TRY(next_bytes(w, &bytes, &n));
    }
    return NULL;
}

static fallible write_files(struct work *w)
{
    if (w->erofs)
        return write_tar(w);
    own(tar) struct tar *t = tar_new((struct tar_source){ next_bytes, w });
    TRY(untar_from(t, w->fs_fd, &w->limits, w->u->origin, extents_watch(w->extents)));
    return tar_drain(t);
}

/* The first one unpacks, the others are the ring's workers. */
static fallible job(struct pool *pool, void *ctx, size_t number)
{
    struct work *w = ctx;
    (void)pool;
    if (number > 0)
        return ring_run(w->ring, number - 1);
    err *e = write_files(w);
    ring_end(w->ring);
    return e;
}

static fallible run_jobs(struct work *w)
{
    size_t jobs = 1;
    own(ring) struct ring *ring = ring_new();
    w->ring = ring;
    if (w->digest)
        jobs += ring_add_worker(ring, 1, hash_slots, w->digest) == jobs - 1;
    if (w->erofs)
        jobs += ring_add_worker(ring, RING_BATCH, write_slots, &w->tar) == jobs - 1;
    return pool_run(jobs, jobs, job, w);
}

/* ---- one layer in staging ---- */

static void short_id(const char *diff_id, char buf[16])
{
    snprintf(buf, 16, "%.12s", diff_id ? digest_hex(diff_id) : "");
}

/* What a layer's root hides is all of the image below it; overlayfs does not look for the mark there. */
static fallible mark_opaque_root(struct work *w, int stage_fd)
{
    char value[4];
    if (fgetxattr(w->fs_fd, "trusted.overlay.opaque", value, sizeof value) < 0 &&
        fgetxattr(w->fs_fd, "user.overlay.opaque", value, sizeof value) < 0)
        return NULL;
    return fs_replace_at(stage_fd, "opaque", "", 0, 0644, FS_SYNC_NONE);
}

static fallible write_size(struct work *w, int stage_fd)
{
    char text[32];
    int n = snprintf(text, sizeof text, "%llu\n", (unsigned long long)stream_bytes_out(w->stream));
    return fs_replace_at(stage_fd, "size", text, (size_t)n, 0644, FS_SYNC_NONE);
}

static fallible check_digest(struct work *w, char **ret_diff_id)
{
    const char *want = w->u->diff_id;
    own_mem char *got = w->digest ? digest_end(w->digest) : mem_strdup(want);
    if (want && !str_eq(got, want))
        return err_new(ERR_CORRUPT, "its contents have the digest %s instead of %s", got, want);
    *ret_diff_id = take(got);
    return NULL;
}

static fallible sync_staging(int stage_fd)
{
    /* All files of the layer at once: syncing each one costs 2.5 times as much. */
    if (fchmod(stage_fd, 0755) < 0 || syncfs(stage_fd) < 0)
        return err_sys(errno, "write the layer to disk");
    return NULL;
}

static fallible open_fs(struct work *w, int stage_fd, int *ret_fd)
{
    if (mkdirat(stage_fd, "fs", 0755) < 0)
        return err_sys(errno, "make the layer's directory");
    *ret_fd = openat(stage_fd, "fs", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (*ret_fd < 0)
        return err_sys(errno, "open the layer's directory");
    w->fs_fd = *ret_fd;
    return NULL;
}

static fallible next_of_file(void *ctx, const unsigned char **ret_bytes, size_t *ret_n)
{
    struct work *w = ctx;
    ssize_t n = read(w->tar_fd, w->again, RING_SLOT_SIZE);
    if (n < 0)
        return err_sys(errno, "read the tar");
    *ret_bytes = w->again;
    *ret_n = (size_t)n;
    return NULL;
}

/* A tar that EROFS cannot point into (sparse files): unpacked from the copy that was just written. */
static fallible unpack_after_all(struct work *w, int stage_fd)
{
    own_fd int fs_fd = -1;
    log_debug("a layer is unpacked, not indexed: %s", err_text(w->not_erofs));
    if (lseek(w->tar_fd, EROFS_TAR_AT, SEEK_SET) < 0)
        return err_sys(errno, "read the tar again");
    TRY(open_fs(w, stage_fd, &fs_fd));
    w->again = mem_alloc(RING_SLOT_SIZE);
    own(tar) struct tar *t = tar_new((struct tar_source){ next_of_file, w });
    TRY(untar(t, fs_fd, &w->limits));
    TRY(mark_opaque_root(w, stage_fd));
    TRY(write_size(w, stage_fd));
    if (unlinkat(stage_fd, "erofs", 0) < 0)
        return err_sys(errno, "remove the tar");
    return sync_staging(stage_fd);
}

/* Tar and index, one file, in the place of the files. */
static fallible fill_erofs(struct work *w, int stage_fd, char **ret_diff_id)
{
    own_fd int tar_fd = openat(stage_fd, "erofs", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    own(erofs) struct erofs *tree = erofs_new();
    /* Its being there says that some layer may be of this form. */
    if (mkdirat(w->layout->fd, "merged", 0755) < 0 && errno != EEXIST)
        return err_sys(errno, "make '%s/merged'", w->layout->path);
    if (tar_fd < 0)
        return err_sys(errno, "make the layer's file");
    w->tar_fd = tar_fd;
    w->erofs = tree;
    direct_begin(&w->tar, tar_fd, EROFS_TAR_AT, WORTH_KEEPING);
    err *e = run_jobs(w);
    direct_end(&w->tar);
    w->erofs = NULL;
    if (!e)
        e = check_digest(w, ret_diff_id);
    own(err) err *not_erofs = w->not_erofs;
    TRY(e);
    if (!not_erofs && erofs_opaque(tree))
        TRY(fs_replace_at(stage_fd, "opaque", "", 0, 0644, FS_SYNC_NONE));
    if (!not_erofs) {
        e = erofs_write_layer(tree, stream_bytes_out(w->stream), tar_fd);
        if (!err_is(e, ERR_UNSUPPORTED)) {
            TRY(e);
            return sync_staging(stage_fd);
        }
        not_erofs = w->not_erofs = e;
    }
    return unpack_after_all(w, stage_fd);
}

static fallible fill_staging(struct work *w, int stage_fd, char **ret_diff_id)
{
    if (w->layout->erofs && !w->u->origin && !w->as_files)
        return fill_erofs(w, stage_fd, ret_diff_id);
    own_fd int fs_fd = -1;
    TRY(open_fs(w, stage_fd, &fs_fd));
    TRY(run_jobs(w));
    TRY(check_digest(w, ret_diff_id));
    TRY(mark_opaque_root(w, stage_fd));
    TRY(write_size(w, stage_fd));
    TRY(sync_staging(stage_fd));
    if (w->extents) /* after the sync: the kernel would write each file by itself before it compares */
        extents_share(w->extents, fs_fd);
    return NULL;
}

/* A folder that is no layer: somebody took the files out of it. Or a sweep took all of it in this very moment. */
static fallible clear_place(struct layout *l, const char *path)
{
    own_mem char *name = layout_stage_name("broken");
    own_mem char *aside = mem_printf("tmp/%s", name);
    if (renameat(l->fd, path, l->fd, aside) < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "move '%s/%s' away", l->path, path);
    own_fd int dir = openat(l->fd, aside, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    /* A good one was put there between our looks: back with it. */
    if (dir >= 0 && (faccessat(dir, "fs", F_OK, 0) == 0 || layer_is_erofs(dir)) &&
        renameat2(l->fd, aside, l->fd, path, RENAME_NOREPLACE) == 0)
        return NULL;
    return fs_remove_tree_at(l->fd, aside);
}

fallible layer_publish(struct layout *l, const char *staged, const char *diff_id, bool *ret_ours)
{
    own_mem char *path = mem_printf("layers/%s", digest_hex(diff_id));
    *ret_ours = true;
    while (renameat2(l->fd, staged, l->fd, path, RENAME_NOREPLACE) < 0) {
        if (errno != EEXIST && errno != ENOTEMPTY)
            return err_sys(errno, "put it in place");
        if (layer_use(l, diff_id)) {
            *ret_ours = false;
            return NULL;
        }
        TRY(clear_place(l, path));
    }
    layout_note_added(l, path);
    own_fd int dir = openat(l->fd, "layers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0 || fsync(dir) < 0)
        return err_sys(errno, "write '%s/layers' to disk", l->path);
    return NULL;
}

/* In staging, whole and on disk. *ret_staged: "tmp/..."; whoever gets it removes or renames it. */
static fallible stage(struct work *w, char **ret_staged, int *ret_fd, char **ret_diff_id)
{
    char id[16];
    short_id(w->u->diff_id, id);
    own_mem char *prefix = mem_printf("layer-%s", id);
    own_mem char *name = layout_stage_name(prefix);
    own_mem char *staged = mem_printf("tmp/%s", name);
    own_fd int stage_fd = -1;
    TRY(layout_stage(w->layout, name, LAYOUT_STAGE_DIR, &stage_fd));
    err *e = fill_staging(w, stage_fd, ret_diff_id);
    if (e) {
        err_ignore(fs_remove_tree_at(w->layout->fd, staged), "a sweep will remove it");
        return e;
    }
    *ret_staged = take(staged);
    *ret_fd = take_fd(&stage_fd);
    return NULL;
}

static fallible unpack_staged(struct work *w, char **ret_diff_id)
{
    own_mem char *staged = NULL, *diff_id = NULL;
    own_fd int stage_fd = -1;
    bool ours = false;
    TRY(stage(w, &staged, &stage_fd, &diff_id));
    if (w->ret_aside) {
        *w->ret_aside = take(staged);
        *w->ret_aside_fd = take_fd(&stage_fd);
    } else {
        err *e = w->u->admit ? w->u->admit(w->u->admit_ctx) : NULL;
        if (!e)
            e = layer_publish(w->layout, staged, diff_id, &ours);
        if (e || !ours)
            err_ignore(fs_remove_tree_at(w->layout->fd, staged), "a sweep will remove it");
        TRY(e);
        if (ours && w->extents)
            extents_enter(w->extents, diff_id);
    }
    *ret_diff_id = take(diff_id);
    return NULL;
}

static fallible unpack(struct work *w, char **ret_diff_id)
{
    const struct unpack *u = w->u;
    own(stream) struct stream *stream = NULL;
    own(digest) struct digest *digest = NULL;
    own(extents) struct extents *extents = w->layout->share_extents && !w->ret_aside ? extents_new(w->layout) : NULL;
    w->extents = extents;
    TRY(untar_limits_fill(&w->limits));
    TRY(stream_open(u->source, w->limits.bytes, &stream));
    stream_spill(stream, w->layout->fd);
    bool known = u->verified && u->diff_id && stream_form(stream) == STREAM_PLAIN;
    if (!known)
        TRY(digest_new(u->diff_id, &digest));
    w->stream = stream;
    w->digest = digest;
    return unpack_staged(w, ret_diff_id);
}

static fallible unpack_with(struct work *w, char **ret_diff_id)
{
    char id[16];
    own_mem char *diff_id = NULL;
    w->fs_fd = -1;
    w->tar_fd = -1;
    w->limits = w->u->limits;
    err *e = unpack(w, &diff_id);
    free(w->again);
    short_id(w->u->diff_id, id);
    if (e)
        return err_wrap(e, "unpack layer%s%s", *id ? " " : "", id);
    log_debug("unpacked layer %s", diff_id);
    if (ret_diff_id)
        *ret_diff_id = take(diff_id);
    return NULL;
}

fallible layer_unpack(struct layout *l, const struct unpack *u, char **ret_diff_id)
{
    struct work w = { .layout = l, .u = u };
    if (u->diff_id && !digest_valid(u->diff_id))
        return err_new(ERR_INVALID, "unpack layer: '%.200s' is no digest", u->diff_id);
    if (!u->diff_id || !layer_use(l, u->diff_id))
        return unpack_with(&w, ret_diff_id);
    if (ret_diff_id)
        *ret_diff_id = mem_strdup(u->diff_id);
    return NULL;
}

fallible layer_unpack_aside(struct layout *l, const char *blob_digest, const char *diff_id, enum unpack_form form,
                            char **ret_name, int *ret_fd)
{
    own_fd int fd = -1;
    TRY(layout_open_blob(l, blob_digest, -1, &fd));
    struct unpack u = { .source = stream_source_fd(&fd), .diff_id = diff_id };
    struct work w = {
        .layout = l, .u = &u, .as_files = form == UNPACK_FILES, .ret_aside = ret_name, .ret_aside_fd = ret_fd
    };
    return unpack_with(&w, NULL);
}

fallible layer_unpack_blob(struct layout *l, const char *blob_digest, const char *diff_id,
                           void (*progress)(void *ctx, uint64_t bytes_in), void *progress_ctx)
{
    own_fd int fd = -1;
    if (layer_use(l, diff_id))
        return NULL;
    TRY(layout_open_blob(l, blob_digest, -1, &fd));
    struct unpack u = { .source = stream_source_fd(&fd),
                        .diff_id = diff_id,
                        .verified = str_eq(blob_digest, diff_id),
                        .progress = progress,
                        .progress_ctx = progress_ctx };
    return layer_unpack(l, &u, NULL);
}
