// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/image_remove.h"

#include <string.h>

#include "base/log.h"
#include "engine/config.h"
#include "image/ref.h"
#include "layers/layer.h"
#include "monitor/events.h"

fallible image_kept(struct engine *e, struct strv *ret_digests)
{
    struct db *db = NULL;
    struct db_container *rows = NULL;
    size_t n = 0;
    err *first = NULL;
    TRY(engine_db_if_there(e, &db));
    if (db)
        TRY(db_container_list(db, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        void *config = NULL;
        if (rows[i].manifest)
            strv_add(ret_digests, rows[i].manifest);
        if (!first) /* a configuration that cannot be read: nothing may be swept, its layers are not known */
            first = bind_read(&container_config_type, rows[i].config, strlen(rows[i].config), &config);
        const struct container_config *c = config;
        for (size_t k = 0; c && k < c->layers.n; k++)
            strv_add(ret_digests, c->layers.items[k]);
        container_config_free(config);
        db_container_clear(&rows[i]);
    }
    free(rows);
    return first;
}

static fallible sweep(struct engine *e, struct layout *l, uint64_t *ret_bytes)
{
    own_strv struct strv kept = { 0 };
    TRY(image_kept(e, &kept));
    return layers_sweep(l, &kept, ret_bytes);
}

/* All names in the store that lead to this image. */
static fallible names_of(struct layout *l, const char *id, struct strv *ret)
{
    struct image **images = NULL;
    size_t n = 0;
    TRY(image_list(l, &images, &n));
    for (size_t i = 0; i < n; i++) {
        if (images[i]->name && strcmp(images[i]->id, id) == 0)
            strv_add(ret, images[i]->name);
        image_free(images[i]);
    }
    free(images);
    return NULL;
}

static fallible user_of(struct engine *e, const char *image_id, char **ret_name)
{
    struct db *db = NULL;
    struct db_container *rows = NULL;
    size_t n = 0;
    *ret_name = NULL;
    TRY(engine_db_if_there(e, &db));
    if (db)
        TRY(db_container_list(db, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        if (!*ret_name && str_eq(rows[i].image_id, image_id))
            *ret_name = mem_strdup(rows[i].name);
        db_container_clear(&rows[i]);
    }
    free(rows);
    return NULL;
}

static fallible remove_name(struct layout *l, const char *full, struct strv *ret_lines)
{
    own(ref) struct ref *r = NULL;
    TRY(layout_remove_name(l, full));
    TRY(ref_parse(full, &r));
    own_mem char *familiar = ref_familiar(r);
    strv_add_printf(ret_lines, "Untagged: %s", familiar);
    return NULL;
}

/* An image may be kept by its ID alone (loaded or imported without a name), with or without names beside it. */
static fallible remove_unnamed(struct layout *l, const struct image *image)
{
    err *e = layout_remove_unnamed(l, image->manifest_digest);
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    return NULL;
}

static fallible check_use(struct engine *e, const struct image *image, const char *what)
{
    own_mem char *user = NULL;
    TRY(user_of(e, image->id, &user));
    if (user)
        return err_new(ERR_CONFLICT, "image '%s' is in use by container '%s': remove that first, or force with -f",
                       what, user);
    return NULL;
}

fallible image_remove(struct engine *e, const char *what, bool force, struct strv *ret_lines)
{
    struct layout *l;
    own(image) struct image *image = NULL;
    own_strv struct strv names = { 0 };
    uint64_t bytes;
    TRY(engine_layout(e, &l));
    TRY(image_find(l, what, NULL, &image));
    TRY(names_of(l, image->id, &names));
    bool last = !image->name || names.n <= 1;
    if (!image->name && names.n > 1 && !force)
        return err_new(ERR_CONFLICT, "image '%s' has %zu names: remove them by name, or all with -f", what, names.n);
    if (last && !force)
        TRY(check_use(e, image, what));
    if (image->name)
        TRY(remove_name(l, image->name, ret_lines));
    for (size_t i = 0; !image->name && i < names.n; i++)
        TRY(remove_name(l, names.items[i], ret_lines));
    if (last)
        TRY(remove_unnamed(l, image));
    TRY(sweep(e, l, &bytes));
    event_say(e->run, "image", "untag", image->id, "name", image->name, NULL);
    if (!last)
        return NULL;
    strv_add_printf(ret_lines, "Deleted: %s", image->id);
    event_say(e->run, "image", "delete", image->id, "name", image->name, NULL);
    return NULL;
}

/* The descriptor that the name points at, so that a tag of a multi-platform image stays one. */
static fallible target_of(struct layout *l, const struct image *image, struct oci_descriptor *made,
                          struct oci_index **ret_index, const struct oci_descriptor **ret)
{
    TRY(layout_read_index(l, ret_index));
    for (size_t i = 0; image->name && i < (*ret_index)->manifests_n; i++) {
        const struct oci_descriptor *d = &(*ret_index)->manifests[i];
        if (str_eq(strmap_get(&d->annotations, "org.opencontainers.image.ref.name"), image->name)) {
            *ret = d;
            return NULL;
        }
    }
    for (size_t i = 0; i < (*ret_index)->manifests_n; i++)
        if (str_eq((*ret_index)->manifests[i].digest, image->manifest_digest)) {
            *ret = &(*ret_index)->manifests[i];
            return NULL;
        }
    own_mem char *text = NULL;
    size_t len;
    TRY(layout_read_blob(l, image->manifest_digest, &text, &len));
    *made = (struct oci_descriptor){
        .media_type = image->manifest->media_type ? image->manifest->media_type : (char *)MEDIA_OCI_MANIFEST,
        .digest = image->manifest_digest,
        .size = (int64_t)len,
    };
    *ret = made;
    return NULL;
}

fallible image_tag(struct engine *e, const char *what, const char *name)
{
    struct layout *l;
    own(image) struct image *image = NULL;
    own(oci_index) struct oci_index *index = NULL;
    own(ref) struct ref *r = NULL;
    own_fd int lock = -1;
    struct oci_descriptor made;
    const struct oci_descriptor *target;
    TRY(ref_parse(name, &r));
    if (r->digest)
        return err_new(ERR_INVALID, "'%s': a digest cannot be given, only a name and a tag", name);
    TRY(engine_layout(e, &l));
    TRY(layout_lock(l, LAYOUT_ADDING, &lock));
    TRY(image_find(l, what, NULL, &image));
    TRY(target_of(l, image, &made, &index, &target));
    own_mem char *full = ref_full(r);
    TRY(layout_set_name(l, full, target));
    event_say(e->run, "image", "tag", image->id, "name", name, NULL);
    return NULL;
}

/* all: names that no container uses go too, not only images without a name. */
static fallible prune_one(struct engine *e, struct layout *l, const struct image *image, bool all,
                          struct strv *ret_lines)
{
    own_mem char *user = NULL;
    if (image->name && !all)
        return NULL;
    TRY(user_of(e, image->id, &user));
    if (user)
        return NULL;
    if (image->name)
        return remove_name(l, image->name, ret_lines);
    TRY(remove_unnamed(l, image));
    strv_add_printf(ret_lines, "Deleted: %s", image->id);
    return NULL;
}

fallible image_prune(struct engine *e, bool all, struct strv *ret_lines, uint64_t *ret_bytes)
{
    struct layout *l;
    struct image **images = NULL;
    size_t n = 0;
    err *first = NULL;
    TRY(engine_layout(e, &l));
    TRY(image_list(l, &images, &n));
    for (size_t i = 0; i < n; i++) {
        if (!first)
            first = prune_one(e, l, images[i], all, ret_lines);
        image_free(images[i]);
    }
    free(images);
    return first ? first : sweep(e, l, ret_bytes);
}
