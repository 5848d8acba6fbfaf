/*
 * rmi --platform: of an index of several platforms one image goes. The index stays, and with it the name; what is gone
 * is as if it had never been pulled.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "engine/image_name.h"
#include "engine/image_remove.h"
#include "engine/trash.h"
#include "image/auth.h"
#include "os/fs.h"

static const struct oci_descriptor *find_top(const struct image *image, const struct oci_index *index)
{
    for (size_t i = 0; image->name && i < index->manifests_n; i++) {
        own_mem char *name = image_name_of(&index->manifests[i]);
        if (str_eq(name, image->name))
            return &index->manifests[i];
    }
    return NULL;
}

/* Whether what is listed is the manifest, or an index of it; *ret_others: of which other platforms are here. */
static fallible is_part_of(struct layout *l, const struct oci_descriptor *top, const char *manifest, bool *ret,
                           bool *ret_others)
{
    own(oci_index) struct oci_index *index = NULL;
    own_mem char *text = NULL;
    size_t len = 0;
    *ret = str_eq(top->digest, manifest);
    *ret_others = false;
    if (!media_is_index(top->media_type))
        return NULL;
    TRY(layout_read_blob(l, top->digest, &text, &len));
    TRY_AS(oci_index_read(text, len, &index), "index %s", top->digest);
    for (size_t i = 0; i < index->manifests_n; i++) {
        const struct oci_descriptor *d = &index->manifests[i];
        if (str_eq(d->digest, manifest))
            *ret = true;
        else
            *ret_others = *ret_others || layout_has_blob(l, d->digest, d->size);
    }
    return NULL;
}

/* A container, the trash, or another name that is this one image's. */
static fallible check_others(struct engine *e, const struct image *image, const struct oci_index *index)
{
    struct sweep_kept kept = { 0 };
    own_mem char *user = NULL, *other = NULL;
    TRY(image_user(e, image->id, &user));
    if (user)
        return err_new(ERR_CONFLICT, "it is in use by container '%s': remove that first", user);
    for (size_t i = 0; !other && i < index->manifests_n; i++)
        if (str_eq(index->manifests[i].digest, image->manifest_digest)) {
            other = image_name_of(&index->manifests[i]);
            return err_new(ERR_CONFLICT, "it is image '%s' as well: remove that first", other ? other : image->id);
        }
    err *failed = image_kept(e, &kept);
    bool is_kept = strv_has(&kept.manifests, image->manifest_digest);
    sweep_kept_clear(&kept);
    TRY(failed);
    return is_kept ? err_new(ERR_CONFLICT, "the trash has it under another name: see 'husk trash'") : NULL;
}

/* While the manifest is in the store the image is here, so the trash has it itself, as its descriptor's `data`. The row
 * first: a kill leaves an image that is in the trash as well, which is removed again, or brought back as it is. */
static fallible to_trash(struct layout *l, struct trash *t, const struct image *image)
{
    own_mem char *text = NULL, *data = NULL;
    size_t len = 0;
    if (!trash_keeps(t))
        return NULL;
    TRY(layout_read_blob(l, image->manifest_digest, &text, &len));
    data = base64_encode(text, len);
    const char *type = image->manifest->media_type ? image->manifest->media_type : MEDIA_OCI_MANIFEST;
    err *e = trash_image(t, image->id,
                         &(struct oci_descriptor){ .media_type = (char *)(uintptr_t)type,
                                                   .digest = image->manifest_digest,
                                                   .size = (int64_t)len,
                                                   .data = data });
    if (!err_is(e, ERR_EXHAUSTED))
        return e;
    err_ignore(e, "then there is no room for a trash");
    return NULL;
}

fallible image_part_bring(struct layout *l, const struct oci_descriptor *d)
{
    own(oci_index) struct oci_index *index = NULL;
    own_mem char *text = NULL, *path = layout_blob_path(d->digest);
    struct oci_descriptor plain = { .media_type = d->media_type, .digest = d->digest, .size = d->size };
    bool others = false, has_home = false;
    TRY(base64_decode(d->data, &text));
    if ((int64_t)strlen(text) != d->size)
        return err_new(ERR_CORRUPT, "the manifest %s in the trash has another length", d->digest);
    TRY_AS(fs_replace_at(l->fd, path, text, strlen(text), 0644, FS_SYNC_DISK), "image store '%s'", l->path);
    TRY(layout_read_index(l, &index));
    for (size_t i = 0; !has_home && i < index->manifests_n; i++)
        TRY(is_part_of(l, &index->manifests[i], d->digest, &has_home, &others));
    return has_home ? NULL : layout_add_unnamed(l, &plain); /* all that led to it has gone since */
}

fallible image_part_keep(struct layout *l, const struct oci_descriptor *d, struct sweep_kept *ret)
{
    own(oci_manifest) struct oci_manifest *m = NULL;
    own(oci_image_config) struct oci_image_config *c = NULL;
    own_mem char *text = NULL, *config = NULL;
    size_t len = 0;
    TRY(base64_decode(d->data, &text));
    TRY(oci_manifest_read(text, strlen(text), &m));
    strv_add(&ret->blobs, m->config->digest);
    for (size_t i = 0; i < m->layers_n; i++)
        strv_add(&ret->blobs, m->layers[i].digest);
    TRY(layout_read_blob(l, m->config->digest, &config, &len));
    TRY(oci_image_config_read(config, len, &c));
    for (size_t i = 0; c->rootfs && i < c->rootfs->diff_ids.n; i++)
        strv_add(&ret->layers, c->rootfs->diff_ids.items[i]);
    return NULL;
}

static fallible remove_manifest(struct layout *l, struct trash *t, const struct image *image)
{
    own_mem char *path = layout_blob_path(image->manifest_digest);
    own_fd int lock = -1;
    struct timespec now = { 0 };
    struct stat st;
    int64_t since_ns = 0;
    (void)clock_gettime(CLOCK_REALTIME_COARSE, &now);
    TRY(layout_lock(l, LAYOUT_REMOVING, &lock));
    TRY(layout_oldest_adding(l, (int64_t)now.tv_sec * 1000000000 + now.tv_nsec + 1, &since_ns));
    if (fstatat(l->fd, path, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
        (int64_t)st.st_mtim.tv_sec * 1000000000 + st.st_mtim.tv_nsec >= since_ns)
        return err_new(ERR_CONFLICT, "it is being pulled or loaded now");
    TRY(to_trash(l, t, image));
    if (unlinkat(l->fd, path, 0) < 0 && errno != ENOENT)
        return err_sys(errno, "remove '%s/%s'", l->path, path);
    return NULL;
}

/* The one that is meant, once nothing needs it; *ret NULL: it is the only one here, and with it the image goes. */
static fallible find_one(struct engine *e, const char *what, const char *platform, struct image **ret)
{
    struct layout *l;
    own_mem char *wanted = NULL;
    own(image) struct image *image = NULL;
    own(oci_index) struct oci_index *index = NULL;
    bool others = false, is_part = false;
    TRY_AS(platform_parse(platform, &wanted), "--platform");
    TRY(engine_layout(e, &l));
    TRY(image_find(l, what, wanted, &image));
    TRY(layout_read_index(l, &index));
    const struct oci_descriptor *top = find_top(image, index);
    if (top)
        TRY(is_part_of(l, top, image->manifest_digest, &is_part, &others));
    if (!others)
        return NULL;
    TRY_AS(check_others(e, image, index), "image '%s' for %s", what, wanted);
    *ret = take(image);
    return NULL;
}

fallible image_platform_removal(struct engine *e, const char *what, const char *platform, bool force,
                                struct strv *ret_lines, uint64_t *ret_bytes)
{
    own(image) struct image *image = NULL;
    TRY(find_one(e, what, platform, &image));
    if (!image)
        return image_removal(e, what, force, ret_lines, ret_bytes);
    strv_add_printf(ret_lines, "Deleted: %s", image->id);
    return image_part_bytes(e, image->manifest_digest, ret_bytes);
}

fallible image_remove_platform(struct engine *e, const char *what, const char *platform, bool force,
                               struct trash *trash, struct strv *ret_lines)
{
    own(image) struct image *image = NULL;
    TRY(find_one(e, what, platform, &image));
    if (!image)
        return image_remove(e, what, force, trash, ret_lines);
    TRY_AS(remove_manifest(e->layout, trash, image), "image '%s' for '%s'", what, platform);
    TRY(image_sweep(e, false, NULL));
    strv_add_printf(ret_lines, "Deleted: %s", image->id);
    image_event(e, image, "delete", image->name);
    return NULL;
}
