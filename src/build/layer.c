// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/layer.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "image/blob.h"
#include "layers/diff_walk.h"
#include "layers/layer.h"
#include "layers/unpack.h"
#include "os/fs.h"

enum { PACK_LEVEL = 1, SECRET_MIN = 6 };

/* ---- times ---- */

static fallible clamp(const struct layer_input *in, int dir_fd, const char *name, const struct stat *st)
{
    int64_t newest_s = in->newest_s;
    bool ours = in->begun_s && st->st_mtim.tv_sec >= in->begun_s;
    int64_t time_s = st->st_mtim.tv_sec < newest_s && !ours && !in->all_at_once ? st->st_mtim.tv_sec : newest_s;
    if (st->st_mtim.tv_sec == time_s && st->st_mtim.tv_nsec == 0)
        return NULL;
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = time_s } };
    if (utimensat(dir_fd, name, times, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(errno, "set the time of '%s'", name);
    return NULL;
}

static fallible clamp_tree(const struct layer_input *in, int dir_fd, size_t *entries)
{
    own_fd int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return err_sys(errno, "list the layer");
    (void)take_fd(&fd);
    for (const struct dirent *e; (e = readdir(dir));) {
        struct stat st;
        if (str_eq(e->d_name, ".") || str_eq(e->d_name, ".."))
            continue;
        (*entries)++;
        if ((in->keep_times || in->files_in_time) && e->d_type != DT_DIR && e->d_type != DT_UNKNOWN)
            continue;
        if (fstatat(dirfd(dir), e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return err_sys(errno, "look at '%s'", e->d_name);
        if (S_ISDIR(st.st_mode)) {
            own_fd int below = openat(dirfd(dir), e->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (below < 0)
                return err_sys(errno, "open '%s'", e->d_name);
            TRY(clamp_tree(in, below, entries));
        }
        if (!in->keep_times)
            TRY(clamp(in, dirfd(dir), e->d_name, &st));
    }
    return NULL;
}

/* ---- secrets ---- */

struct scan {
    const struct layer_input *in;
    char *tail; /* the end of what went by, so that a secret in two pieces is seen */
    size_t tail_n, longest;
};

static fallible look_for(const struct scan *s, const char *bytes, size_t n)
{
    for (size_t i = 0; i < s->in->secrets_n; i++) {
        const struct build_secret *secret = &s->in->secrets[i];
        if (secret->n >= SECRET_MIN && memmem(bytes, n, secret->bytes, secret->n))
            return err_new(ERR_DENIED,
                           "the layer has the secret '%s' in it, which would be in the image for everybody to read: "
                           "leave it in its mount, or remove the file in the same instruction",
                           secret->id);
    }
    return NULL;
}

static fallible scan_bytes(void *ctx, const void *bytes, size_t n)
{
    struct scan *s = ctx;
    TRY(look_for(s, bytes, n));
    size_t front = n < s->longest ? n : s->longest;
    memcpy(s->tail + s->tail_n, bytes, front);
    TRY(look_for(s, s->tail, s->tail_n + front));
    size_t all = s->tail_n + front, keep = s->longest - 1;
    if (n >= keep) {
        memcpy(s->tail, (const char *)bytes + n - keep, keep);
        s->tail_n = keep;
    } else {
        size_t drop = all > keep ? all - keep : 0;
        memmove(s->tail, s->tail + drop, all - drop);
        s->tail_n = all - drop;
    }
    return NULL;
}

bool build_layer_has_secrets(const struct build_secret *secrets, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (secrets[i].n >= SECRET_MIN)
            return true;
    return false;
}

static fallible scan_layer(const struct layer_input *in, const struct diff *d)
{
    struct scan s = { .in = in };
    if (!build_layer_has_secrets(in->secrets, in->secrets_n))
        return NULL;
    for (size_t i = 0; i < in->secrets_n; i++)
        if (in->secrets[i].n >= SECRET_MIN && in->secrets[i].n > s.longest)
            s.longest = in->secrets[i].n;
    s.tail = mem_zalloc(2 * s.longest + 1);
    err *e = diff_tar(d, scan_bytes, &s);
    memset(s.tail, 0, 2 * s.longest);
    free(s.tail);
    return e;
}

/* ---- the layer ---- */

static fallible publish(struct layout *l, const char *dir, const struct build_layer *layer)
{
    own_mem char *name = layout_stage_name("layer-built"), *staged = mem_printf("tmp/%s", name);
    own_mem char *upper = mem_printf("%s/upper", dir), *fs = mem_printf("%s/fs", staged);
    own_fd int stage_fd = -1;
    char size[32];
    bool ours = false;
    TRY(layout_stage(l, name, LAYOUT_STAGE_DIR, &stage_fd));
    int n = snprintf(size, sizeof size, "%lld\n", (long long)layer->tar_size);
    err *e = renameat(l->fd, upper, l->fd, fs) < 0 ? err_sys(errno, "move the layer") : NULL;
    if (!e)
        e = fs_replace_at(stage_fd, "size", size, (size_t)n, 0644, FS_SYNC_NONE);
    if (!e && (fchmod(stage_fd, 0755) < 0 || syncfs(stage_fd) < 0))
        e = err_sys(errno, "write the layer to disk");
    if (!e)
        e = layer_publish(l, staged, layer->diff_id, &ours);
    if (e || !ours)
        err_ignore(fs_remove_tree_at(l->fd, staged), "a sweep will remove it");
    return e;
}

static fallible root_unchanged(int upper, bool *ret)
{
    struct stat st;
    if (fstat(upper, &st) < 0)
        return err_sys(errno, "look at the layer");
    *ret = (st.st_mode & 07777) == 0755 && st.st_uid == 0 && st.st_gid == 0;
    return NULL;
}

fallible build_layer_stream(struct layout *l, int upper_fd, struct diff_stream **ret)
{
    return diff_stream_begin(&(struct diff){ .upper_fd = upper_fd }, STREAM_ZSTD, PACK_LEVEL, l, ret);
}

fallible build_layer_make(struct layout *l, const struct layer_input *in, struct build_layer *ret)
{
    own_mem char *path = mem_printf("%s/upper", in->dir);
    own_fd int upper = openat(l->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    own(diff_result) struct diff_result packed = { 0 };
    size_t entries = 0;
    bool plain_root = false;
    if (upper < 0)
        return err_sys(errno, "open '%s'", path);
    TRY(clamp_tree(in, upper, &entries));
    TRY(root_unchanged(upper, &plain_root));
    if (entries == 0 && plain_root) {
        *ret = (struct build_layer){ .empty = true };
        return NULL;
    }
    if (entries >= SETTLE_FILES)
        settle_some(in->settle);
    struct diff d = { .upper_fd = upper };
    TRY(scan_layer(in, &d));
    TRY(in->stream ? diff_stream_end(in->stream, &packed) : diff_put(&d, STREAM_ZSTD, PACK_LEVEL, l, &packed));
    struct build_layer made = { .diff_id = packed.diff_id,
                                .digest = packed.digest,
                                .media_type = mem_strdup(packed.media_type),
                                .size = packed.size,
                                .tar_size = packed.tar_size };
    packed.diff_id = packed.digest = NULL;
    err *e = layer_use(l, made.diff_id) ? NULL : publish(l, in->dir, &made);
    if (e)
        build_layer_clear(&made);
    else
        *ret = made;
    return e;
}

fallible build_layer_repack(struct layout *l, const struct build_layer *layer)
{
    own_fd int fd = -1;
    own(diff_result) struct diff_result packed = { 0 };
    if (layout_use_blob(l, layer->digest, layer->size))
        return NULL;
    TRY(layer_open(l, layer->diff_id, &fd));
    TRY(diff_put(&(struct diff){ .upper_fd = fd }, STREAM_ZSTD, PACK_LEVEL, l, &packed));
    if (!str_eq(packed.digest, layer->digest))
        return err_new(ERR_CORRUPT,
                       "layer %.12s packs to %s and not to %s: build with --no-cache, or `husk pull` its image again",
                       digest_hex(layer->diff_id), packed.digest, layer->digest);
    return NULL;
}
