// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "image/ref.h"
#include "layers/layer.h"
#include "os/fs.h"
#include "os/userns.h"

/* An index that holds an index that holds ...: nobody does that deeper than once. */
enum { DEPTH_MAX = 8 };

/* What a killed pull began may be gone on with for a day. */
enum { STAGING_KEPT_SECONDS = 24 * 60 * 60 };

struct sweep {
    struct layout *layout;
    struct strv blobs, layers; /* that something needs: hex digits */
    size_t gone_n;             /* layers that were moved into staging */
    uint64_t freed;
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

static fallible need_config(struct sweep *s, const char *digest)
{
    own_mem char *text = NULL;
    own(oci_image_config) struct oci_image_config *config = NULL;
    size_t len = 0;
    if (!need(&s->blobs, digest) || !layout_has_blob(s->layout, digest, -1))
        return NULL;
    TRY(layout_read_blob(s->layout, digest, &text, &len));
    own(err) err *e = oci_image_config_read(text, len, &config);
    if (e) {
        log_debug("sweep: %s is no image's config, as an artifact's need not be: %s", digest, err_text(e));
        return NULL;
    }
    for (size_t i = 0; config->rootfs && i < config->rootfs->diff_ids.n; i++)
        (void)need(&s->layers, config->rootfs->diff_ids.items[i]);
    return NULL;
}

static fallible need_manifest(struct sweep *s, const char *digest)
{
    own_mem char *text = NULL;
    own(oci_manifest) struct oci_manifest *manifest = NULL;
    size_t len = 0;
    if (!need(&s->blobs, digest) || !layout_has_blob(s->layout, digest, -1))
        return NULL; /* a platform that was never pulled */
    TRY(layout_read_blob(s->layout, digest, &text, &len));
    TRY_AS(oci_manifest_read(text, len, &manifest), "manifest %s", digest);
    TRY(need_config(s, manifest->config->digest));
    for (size_t i = 0; i < manifest->layers_n; i++)
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

static fallible need_all_of(struct sweep *s, const struct oci_index *index, int depth)
{
    if (depth > DEPTH_MAX)
        return err_new(ERR_CORRUPT, "indexes within indexes, more than %d deep", DEPTH_MAX);
    for (size_t i = 0; i < index->manifests_n; i++) {
        const struct oci_descriptor *d = &index->manifests[i];
        if (is_index(d->media_type))
            TRY(need_index(s, d->digest, depth));
        else if (is_manifest(d->media_type) || !d->media_type)
            TRY(need_manifest(s, d->digest));
        else
            (void)need(&s->blobs, d->digest); /* somebody else's: skopeo, oras */
    }
    return NULL;
}

/* A digest that a container keeps names a manifest, or a layer. */
static fallible need_kept(struct sweep *s, const char *digest)
{
    if (!digest_valid(digest))
        return err_new(ERR_INVALID, "keep '%s': no digest", digest);
    (void)need(&s->layers, digest);
    return need_manifest(s, digest);
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

static fallible sweep_blobs(struct sweep *s, const char *path)
{
    own_dir DIR *dir = NULL;
    TRY(open_list(s->layout, path, &dir));
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        struct stat st;
        if (entry->d_name[0] == '.' || strv_has(&s->blobs, entry->d_name))
            continue;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        TRY_AS(fs_remove_tree_at(dirfd(dir), entry->d_name), "'%s/%s'", s->layout->path, path);
        s->freed += (uint64_t)st.st_blocks * 512;
        log_debug("sweep: removed blob %s", entry->d_name);
    }
    return NULL;
}

/* Moved away first: a layer is there whole or not at all, also when we are killed in the middle of its files. */
static fallible sweep_layers(struct sweep *s)
{
    own_dir DIR *dir = NULL;
    TRY(open_list(s->layout, "layers", &dir));
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        if (entry->d_name[0] == '.' || strv_has(&s->layers, entry->d_name))
            continue;
        own_mem char *id = mem_printf("sha256:%s", entry->d_name);
        own_mem char *name = layout_stage_name("gone");
        own_mem char *gone = mem_printf("tmp/%s", name);
        int64_t size = 0;
        err_ignore(layer_size(s->layout, id, &size), "it is removed all the same");
        if (renameat(dirfd(dir), entry->d_name, s->layout->fd, gone) < 0)
            return err_sys(errno, "remove layer '%s'", entry->d_name);
        s->freed += (uint64_t)size;
        s->gone_n++;
        log_debug("sweep: removed layer %s", entry->d_name);
    }
    return NULL;
}

/* Files of an ordinary user's layers belong to subordinate ids: this runs as root of his namespace. */
static fallible empty_staging(void *ctx)
{
    const struct sweep *s = ctx;
    own_dir DIR *dir = NULL;
    TRY(open_list(s->layout, "tmp", &dir));
    for (struct dirent *entry; dir && (entry = readdir(dir));)
        if (str_starts(entry->d_name, "gone-"))
            TRY_AS(fs_remove_tree_at(dirfd(dir), entry->d_name), "'%s/tmp'", s->layout->path);
    return layout_sweep_staging(s->layout, STAGING_KEPT_SECONDS);
}

static fallible sweep(struct sweep *s, const struct strv *keep)
{
    own(oci_index) struct oci_index *index = NULL;
    TRY(layout_read_index(s->layout, &index));
    TRY(need_all_of(s, index, 0));
    for (size_t i = 0; keep && i < keep->n; i++)
        TRY(need_kept(s, keep->items[i]));
    TRY(sweep_blobs(s, "blobs/sha256"));
    TRY(sweep_blobs(s, "blobs/sha512"));
    TRY(sweep_layers(s));
    return userns_call(empty_staging, s);
}

fallible layers_sweep(struct layout *l, const struct strv *keep_digests, uint64_t *ret_freed_bytes)
{
    struct sweep s = { .layout = l };
    own_fd int lock = -1;
    TRY(layout_lock(l, LAYOUT_REMOVING, &lock));
    err *e = sweep(&s, keep_digests);
    strv_free(&s.blobs);
    strv_free(&s.layers);
    if (!e && ret_freed_bytes)
        *ret_freed_bytes = s.freed;
    return e ? err_wrap(e, "sweep the image store") : NULL;
}
