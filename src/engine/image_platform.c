/*
 * rmi --platform: of an index of several platforms one image goes. The index stays, and with it the name; what is gone
 * is as if it had never been pulled.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>

#include "engine/image_name.h"
#include "engine/image_remove.h"
#include "monitor/events.h"

static const struct oci_descriptor *find_top(const struct image *image, const struct oci_index *index)
{
    for (size_t i = 0; image->name && i < index->manifests_n; i++) {
        own_mem char *name = image_name_of(&index->manifests[i]);
        if (str_eq(name, image->name))
            return &index->manifests[i];
    }
    return NULL;
}

/* Are other platforms of it here? */
static fallible has_others(struct layout *l, const struct oci_descriptor *top, const char *manifest, bool *ret)
{
    own(oci_index) struct oci_index *index = NULL;
    own_mem char *text = NULL;
    size_t len = 0;
    *ret = false;
    if (!media_is_index(top->media_type))
        return NULL;
    TRY(layout_read_blob(l, top->digest, &text, &len));
    TRY_AS(oci_index_read(text, len, &index), "index %s", top->digest);
    for (size_t i = 0; i < index->manifests_n; i++)
        *ret = *ret || (!str_eq(index->manifests[i].digest, manifest) &&
                        layout_has_blob(l, index->manifests[i].digest, index->manifests[i].size));
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

static fallible remove_manifest(struct layout *l, const struct image *image)
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
    bool others = false;
    TRY_AS(platform_parse(platform, &wanted), "--platform");
    TRY(engine_layout(e, &l));
    TRY(image_find(l, what, wanted, &image));
    TRY(layout_read_index(l, &index));
    const struct oci_descriptor *top = find_top(image, index);
    if (top)
        TRY(has_others(l, top, image->manifest_digest, &others));
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
    TRY_AS(remove_manifest(e->layout, image), "image '%s' for '%s'", what, platform);
    TRY(image_sweep(e, false, NULL));
    strv_add_printf(ret_lines, "Deleted: %s", image->id);
    image_event(e, image, "delete", image->name);
    return NULL;
}
