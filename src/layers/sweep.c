// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>

#include "base/log.h"
#include "image/ref.h"
#include "image/room.h"
#include "layers/layer.h"
#include "layers/merged.h"
#include "os/fs.h"
#include "os/userns.h"

/* An index that holds an index that holds ...: nobody does that deeper than once. */
enum { DEPTH_MAX = 8, SHA256_DIGITS = 64 };

/* What a killed pull began may be gone on with for a day. */
enum { STAGING_KEPT_SECONDS = 24 * 60 * 60 };

struct sweep {
    struct layout *layout;
    const struct sweep_options *o;
    struct strv blobs, layers; /* that something needs: hex digits */
    struct strv merged;        /* keys of indexes that something needs */
    int64_t since_ns;          /* what was made or used from here on is kept */
    char *gone;                /* "tmp/gone-...", ours, locked, where things go first */
    int gone_fd;
    struct sweep_result result;
};

/* ---- what is needed ---- */

static bool is_index(const char *media_type)
{
    return str_eq(media_type, MEDIA_OCI_INDEX) || str_eq(media_type, MEDIA_DOCKER_LIST);
}
static bool is_manifest(const char *media_type)
{
    return str_eq(media_type, MEDIA_OCI_MANIFEST) || str_eq(media_type, MEDIA_DOCKER_MANIFEST);
}

static bool need(struct strv *list, const char *digest)
{
    if (!digest_valid(digest) || strv_has(list, digest_hex(digest)))
        return false;
    strv_add(list, digest_hex(digest));
    return true;
}

/* Its files are there, so its packed bytes need not be. */
static bool is_unpacked(const struct sweep *s, const struct oci_image_config *config, size_t layer)
{
    return config && config->rootfs && layer < config->rootfs->diff_ids.n &&
           layer_exists(s->layout, config->rootfs->diff_ids.items[layer]);
}

static fallible need_config(struct sweep *s, const char *digest, struct oci_image_config **ret)
{
    own_mem char *text = NULL;
    own(oci_image_config) struct oci_image_config *config = NULL;
    size_t len = 0;
    (void)need(&s->blobs, digest);
    if (!digest_valid(digest) || !layout_has_blob(s->layout, digest, -1))
        return NULL;
    TRY(layout_read_blob(s->layout, digest, &text, &len));
    own(err) err *e = oci_image_config_read(text, len, &config);
    if (e) {
        log_debug("sweep: %s is no image's config, as an artifact's need not be: %s", digest, err_text(e));
        return NULL;
    }
    for (size_t i = 0; config->rootfs && i < config->rootfs->diff_ids.n; i++)
        (void)need(&s->layers, config->rootfs->diff_ids.items[i]);
    char key[17];
    if (config->rootfs) {
        merged_key(&config->rootfs->diff_ids, key);
        strv_add(&s->merged, key);
    }
    *ret = take(config);
    return NULL;
}

static fallible need_manifest(struct sweep *s, const char *digest)
{
    own_mem char *text = NULL;
    own(oci_manifest) struct oci_manifest *manifest = NULL;
    own(oci_image_config) struct oci_image_config *config = NULL;
    size_t len = 0;
    if (!need(&s->blobs, digest) || !layout_has_blob(s->layout, digest, -1))
        return NULL; /* a platform that was never pulled */
    TRY(layout_read_blob(s->layout, digest, &text, &len));
    TRY_AS(oci_manifest_read(text, len, &manifest), "manifest %s", digest);
    TRY(need_config(s, manifest->config->digest, &config));
    for (size_t i = 0; i < manifest->layers_n; i++)
        if (!s->o->drop_packed || !is_unpacked(s, config, i))
            (void)need(&s->blobs, manifest->layers[i].digest);
    return NULL;
}

static fallible need_all_of(struct sweep *s, const struct oci_index *index, int depth);

static fallible need_index(struct sweep *s, const char *digest, int depth)
{
    own_mem char *text = NULL;
    own(oci_index) struct oci_index *index = NULL;
    size_t len = 0;
    if (!need(&s->blobs, digest) || !layout_has_blob(s->layout, digest, -1))
        return NULL;
    TRY(layout_read_blob(s->layout, digest, &text, &len));
    TRY_AS(oci_index_read(text, len, &index), "index %s", digest);
    return need_all_of(s, index, depth + 1);
}

/* "What if this image were gone?" */
static bool is_left_out(const struct sweep *s, const struct oci_descriptor *d)
{
    const char *name = strmap_get(&d->annotations, "org.opencontainers.image.ref.name");
    return s->o->without && strv_has(s->o->without, name ? name : d->digest);
}

static fallible need_all_of(struct sweep *s, const struct oci_index *index, int depth)
{
    if (depth > DEPTH_MAX)
        return err_new(ERR_CORRUPT, "indexes within indexes, more than %d deep", DEPTH_MAX);
    for (size_t i = 0; i < index->manifests_n; i++) {
        const struct oci_descriptor *d = &index->manifests[i];
        if (depth == 0 ? is_left_out(s, d) : str_eq(d->digest, s->o->without_part))
            continue;
        if (is_index(d->media_type))
            TRY(need_index(s, d->digest, depth));
        else if (is_manifest(d->media_type) || !d->media_type)
            TRY(need_manifest(s, d->digest));
        else
            (void)need(&s->blobs, d->digest); /* somebody else's: skopeo, oras */
    }
    return NULL;
}

static fallible need_each(struct sweep *s, const struct sweep_kept *kept)
{
    const struct strv *const lists[] = { &kept->indexes, &kept->manifests, &kept->blobs, &kept->layers };
    for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
        for (size_t i = 0; i < lists[l]->n; i++)
            if (!digest_valid(lists[l]->items[i]))
                return err_new(ERR_INVALID, "keep '%s': no digest", lists[l]->items[i]);
    for (size_t i = 0; i < kept->layers.n; i++)
        (void)need(&s->layers, kept->layers.items[i]);
    for (size_t i = 0; i < kept->blobs.n; i++)
        (void)need(&s->blobs, kept->blobs.items[i]);
    for (size_t i = 0; i < kept->manifests.n; i++)
        TRY(need_manifest(s, kept->manifests.items[i]));
    for (size_t i = 0; i < kept->indexes.n; i++)
        TRY(need_index(s, kept->indexes.items[i], 0));
    return NULL;
}

void sweep_kept_clear(struct sweep_kept *k)
{
    strv_free(&k->indexes);
    strv_free(&k->manifests);
    strv_free(&k->blobs);
    strv_free(&k->layers);
}

static fallible need_kept(struct sweep *s)
{
    struct sweep_kept kept = { 0 };
    err *e = s->o->keep ? s->o->keep(s->o->keep_ctx, &kept) : NULL;
    if (!e)
        e = need_each(s, &kept);
    sweep_kept_clear(&kept);
    return e;
}

/* ---- what is not ---- */

static fallible open_list(struct layout *l, const char *path, DIR **ret)
{
    own_fd int fd = openat(l->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return NULL;
    *ret = fd < 0 ? NULL : fdopendir(fd);
    if (!*ret)
        return err_sys(errno, "list '%s/%s'", l->path, path);
    (void)take_fd(&fd);
    return NULL;
}

static bool is_recent(const struct sweep *s, const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec >= s->since_ns;
}

/* Into our folder in staging. Whoever began to use it between our look and the move has renewed its time, and either
 * finds it gone or we see that here and put it back. */
static fallible move_away(struct sweep *s, DIR *dir, const char *name, bool layers, bool *ret_moved)
{
    struct stat st;
    own_mem char *gone = mem_printf("%s-%s", layers ? "layer" : "blob", name); /* a plain tar has one digest for both */
    *ret_moved = false;
    if (renameat(dirfd(dir), name, s->gone_fd, gone) < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "remove '%s'", name);
    *ret_moved = fstatat(s->gone_fd, gone, &st, AT_SYMLINK_NOFOLLOW) < 0 || !is_recent(s, &st);
    if (!*ret_moved && syscall(SYS_renameat2, s->gone_fd, gone, dirfd(dir), name, RENAME_NOREPLACE) < 0)
        *ret_moved = true; /* it was made anew meanwhile */
    return NULL;
}

static uint64_t layer_bytes(struct layout *l, const char *hex)
{
    own_mem char *id = mem_printf("sha256:%s", hex);
    int64_t size = 0;
    uint64_t bytes = 0;
    if (layer_usage(l, id, &bytes))
        return bytes;
    err_ignore(layer_size(l, id, &size), "it is removed all the same");
    return (uint64_t)size;
}

/* layers: a layer's directory; else a blob. */
static fallible sweep_entry(struct sweep *s, DIR *dir, const char *name, bool layers)
{
    struct stat st;
    bool moved = true;
    if (name[0] == '.' || strv_has(layers ? &s->layers : &s->blobs, name))
        return NULL;
    if (fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) < 0 || is_recent(s, &st))
        return NULL;
    uint64_t bytes = layers ? layer_bytes(s->layout, name) : (uint64_t)st.st_blocks * 512;
    if (!s->o->dry_run)
        TRY(move_away(s, dir, name, layers, &moved));
    if (!moved)
        return NULL;
    s->result.bytes += bytes;
    *(layers ? &s->result.layers : &s->result.blobs) += 1;
    log_debug("sweep: %s %s is not needed", layers ? "layer" : "blob", name);
    return NULL;
}

static fallible sweep_list(struct sweep *s, const char *path, bool layers)
{
    own_dir DIR *dir = NULL;
    TRY(open_list(s->layout, path, &dir));
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        TRY_AS(sweep_entry(s, dir, entry->d_name, layers), "'%s/%s'", s->layout->path, path);
    return NULL;
}

/* The clock that files get their times from, which is not quite clock_gettime()'s: that of a file just made. */
static fallible begin(struct sweep *s)
{
    own_mem char *name = layout_stage_name("gone");
    struct stat st;
    err *e;
    if (s->o->dry_run) { /* it makes nothing, so that it works on a full disk and on one that cannot be written */
        struct timespec now = { 0 };
        (void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
        return layout_oldest_adding(s->layout, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec, &s->since_ns);
    }
    s->gone = mem_printf("tmp/%s", name);
    do
        e = layout_stage(s->layout, name, LAYOUT_STAGE_DIR, &s->gone_fd);
    while (room_given(s->layout->fd, &e));
    TRY(e);
    if (fstat(s->gone_fd, &st) < 0)
        return err_sys(errno, "look at '%s'", s->gone);
    return layout_oldest_adding(s->layout, (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec, &s->since_ns);
}

/* An index can be made again from the layers, so nobody must be asked whether it is being used. */
static fallible sweep_merged(struct sweep *s)
{
    own_dir DIR *dir = NULL;
    TRY(open_list(s->layout, "merged", &dir));
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.' || strv_has(&s->merged, entry->d_name) || s->o->dry_run)
            continue;
        if (unlinkat(dirfd(dir), entry->d_name, 0) < 0)
            return err_sys(errno, "remove '%s/merged/%s'", s->layout->path, entry->d_name);
    }
    return NULL;
}

static bool leads_to_layer(const struct layout *l, int dir, const char *name)
{
    char text[SHA256_DIGITS + 1];
    ssize_t n = readlinkat(dir, name, text, SHA256_DIGITS);
    if (n != SHA256_DIGITS)
        return false;
    text[n] = '\0';
    own_mem char *path = mem_printf("layers/%s", text);
    return faccessat(l->fd, path, F_OK, 0) == 0;
}

/* Entries of layers/extents.h whose layer went: nothing that somebody could miss. */
static fallible sweep_extents(struct sweep *s)
{
    own_dir DIR *dir = NULL;
    if (s->o->dry_run || !s->result.layers)
        return NULL;
    TRY(open_list(s->layout, "extents", &dir));
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.' && !leads_to_layer(s->layout, dirfd(dir), entry->d_name))
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
    return NULL;
}

/* What is known of an image goes with its manifest; the record is made first, so a young one is kept. */
static fallible sweep_trust(struct sweep *s)
{
    own_dir DIR *dir = NULL;
    struct stat st;
    TRY(open_list(s->layout, "trust", &dir));
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        own_mem char *hex = mem_strndup(entry->d_name, strcspn(entry->d_name, "."));
        if (!*hex || strv_has(&s->blobs, hex) || s->o->dry_run ||
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0 || is_recent(s, &st))
            continue;
        if (unlinkat(dirfd(dir), entry->d_name, 0) < 0 && errno != ENOENT)
            return err_sys(errno, "remove '%s/trust/%s'", s->layout->path, entry->d_name);
    }
    return NULL;
}

/* The order matters: sessions that add are looked for first. One that has ended since has set its name, and the index
 * is read after; one that begins from here on keeps what it uses by its time. */
static fallible mark_and_move(struct sweep *s)
{
    own(oci_index) struct oci_index *index = NULL;
    own_fd int lock = -1;
    TRY(layout_lock(s->layout, LAYOUT_REMOVING, &lock));
    TRY(begin(s));
    TRY(need_kept(s));
    TRY(layout_read_index(s->layout, &index));
    TRY(need_all_of(s, index, 0));
    TRY(sweep_list(s, "blobs/sha256", false));
    TRY(sweep_list(s, "blobs/sha512", false));
    TRY(sweep_merged(s));
    TRY(sweep_trust(s));
    TRY(sweep_list(s, "layers", true));
    return sweep_extents(s);
}

/* Files of an ordinary user's layers belong to subordinate ids: this runs as root of his namespace. */
static fallible empty_staging(void *ctx)
{
    const struct sweep *s = ctx;
    TRY(fs_remove_tree_at(s->layout->fd, s->gone));
    return layout_sweep_staging(s->layout, STAGING_KEPT_SECONDS);
}

/* Whose command was killed: nobody holds it. */
static bool is_abandoned(int dir_fd, const char *name)
{
    own_fd int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) == 0;
}

/* Nothing that killed commands left, and nothing of ours: no need to become root of anything. */
static bool staging_is_clean(struct layout *l)
{
    own_dir DIR *dir = NULL;
    err *e = open_list(l, "tmp", &dir);
    err_ignore(e, "then the sweep says so");
    for (struct dirent *entry; !e && dir && (entry = readdir(dir));)
        if (entry->d_name[0] != '.' && !str_starts(entry->d_name, "blob-") &&
            (!str_starts(entry->d_name, "adding-") || is_abandoned(dirfd(dir), entry->d_name)))
            return false;
    return !e;
}

static fallible sweep(struct sweep *s)
{
    err *e = mark_and_move(s);
    if (s->o->dry_run || (e && s->result.blobs + s->result.layers == 0)) {
        (void)unlinkat(s->layout->fd, s->gone ? s->gone : "", AT_REMOVEDIR);
        return e;
    }
    TRY(e);
    if (unlinkat(s->layout->fd, s->gone, AT_REMOVEDIR) == 0 && staging_is_clean(s->layout))
        return NULL;
    return userns_call(empty_staging, s);
}

fallible layers_sweep(struct layout *l, const struct sweep_options *o, struct sweep_result *ret)
{
    struct sweep s = { .layout = l, .o = o, .gone_fd = -1 };
    err *e = sweep(&s);
    close_now(&s.gone_fd);
    free(s.gone);
    strv_free(&s.blobs);
    strv_free(&s.layers);
    strv_free(&s.merged);
    if (!e && ret)
        *ret = s.result;
    return e ? err_wrap(e, "sweep the image store") : NULL;
}

/* ---- what a failed session made ---- */

/* The clock of files stands still for a few milliseconds at a time: behind that moment, what is made now is not young.
 */
static int64_t next_tick_ns(void)
{
    struct timespec first, now;
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &first);
    do {
        (void)nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
        (void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
    } while (now.tv_sec == first.tv_sec && now.tv_nsec == first.tv_nsec);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool is_needed(const struct sweep *s, const char *path)
{
    const char *name = strrchr(path, '/') + 1;
    own_mem char *key = mem_strndup(name, strcspn(name, ".")); /* trust/HEX.json */
    const struct strv *needed = str_starts(path, "layers/")   ? &s->layers
                                : str_starts(path, "merged/") ? &s->merged
                                                              : &s->blobs;
    return strv_has(needed, key);
}

/* Into staging, where it is rubbish; locked meanwhile, for it may yet go back: see move_away(). No folder is made for
 * it, since that would need a block. */
static fallible take_back(struct sweep *s, const char *path, struct strv *rubbish)
{
    struct stat st;
    own_mem char *name = layout_stage_name("back");
    own_mem char *staged = mem_printf("tmp/%s", name);
    own_fd int fd = openat(s->layout->fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || is_needed(s, path) || fstat(fd, &st) < 0 || is_recent(s, &st) || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return NULL;
    if (renameat(s->layout->fd, path, s->layout->fd, staged) < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "remove '%s/%s'", s->layout->path, path);
    if (fstat(fd, &st) == 0 && is_recent(s, &st) &&
        syscall(SYS_renameat2, s->layout->fd, staged, s->layout->fd, path, RENAME_NOREPLACE) == 0)
        return NULL;
    log_debug("'%s' was made by what failed, and goes", path);
    s->result.layers += str_starts(path, "layers/");
    strv_add_take(rubbish, take(staged));
    return NULL;
}

static fallible take_back_all(struct sweep *s, struct strv *rubbish)
{
    own(oci_index) struct oci_index *index = NULL;
    own_fd int lock = -1;
    int64_t now_ns = next_tick_ns();
    TRY(layout_lock(s->layout, LAYOUT_REMOVING, &lock));
    TRY(layout_oldest_adding(s->layout, now_ns, &s->since_ns));
    TRY(layout_read_index(s->layout, &index));
    TRY(need_all_of(s, index, 0));
    for (const struct layout_added *a = s->layout->added; a; a = a->next)
        TRY(take_back(s, a->path, rubbish));
    return sweep_extents(s);
}

fallible layers_take_back(struct layout *l)
{
    static const struct sweep_options options = { 0 };
    struct sweep s = { .layout = l, .o = &options, .gone_fd = -1 };
    own_strv struct strv rubbish = { 0 };
    err *e = l->added ? take_back_all(&s, &rubbish) : NULL;
    for (size_t i = 0; i < rubbish.n; i++)
        err_ignore(fs_remove_tree_at(l->fd, rubbish.items[i]),
                   "it is rubbish in staging, which the next command sweeps");
    strv_free(&s.blobs);
    strv_free(&s.layers);
    strv_free(&s.merged);
    return e;
}
