// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/image_name.h"

#include <string.h>

#include "engine/image_rows.h"
#include "image/layout.h"
#include "image/ref.h"
#include "monitor/events.h"

/* Of an index of which nothing is here: it is in no list of images. */
static fallible names_of_index(struct engine *e, const char *digest, struct strv *ret)
{
    own(oci_index) struct oci_index *index = NULL;
    TRY(layout_read_index(e->layout, &index));
    for (size_t i = 0; i < index->manifests_n; i++) {
        own_mem char *name = image_name_of(&index->manifests[i]);
        if (name && str_eq(index->manifests[i].digest, digest))
            strv_add(ret, name);
    }
    return NULL;
}

fallible image_names(struct engine *e, const struct image *image, struct strv *ret)
{
    own(image_rows) struct image_rows *images = NULL;
    if (!image->manifest)
        return names_of_index(e, image->manifest_digest, ret);
    TRY(image_rows(e, &images));
    for (size_t i = 0; i < images->n; i++)
        if (images->rows[i].name && strcmp(images->rows[i].id, image->id) == 0)
            strv_add(ret, images->rows[i].name);
    return NULL;
}

fallible image_unnamed(struct engine *e, const char *id, struct strv *ret)
{
    own(image_rows) struct image_rows *images = NULL;
    TRY(image_rows(e, &images));
    for (size_t i = 0; i < images->n; i++)
        if (!images->rows[i].name && strcmp(images->rows[i].id, id) == 0)
            strv_add(ret, images->rows[i].top);
    return NULL;
}

void image_event(struct engine *e, const struct image *image, const char *action, const char *name)
{
    own(ref) struct ref *r = NULL;
    const struct oci_image_run *run = image->config ? image->config->config : NULL;
    const struct strmap none = { 0 }, *labels = run ? &run->labels : &none;
    own_mem struct event_attribute *attributes = mem_array(NULL, labels->n + 1, sizeof *attributes);
    err_ignore(name ? ref_parse(name, &r) : NULL, "an ID is said as it is");
    own_mem char *familiar = r ? ref_familiar(r) : NULL;
    attributes[0] = (struct event_attribute){ "name", familiar ? familiar : name ? name : image->id };
    for (size_t i = 0; i < labels->n; i++)
        attributes[i + 1] = (struct event_attribute){ labels->items[i].key, labels->items[i].value };
    event_append(e->run, &(struct event){ .type = "image",
                                          .action = action,
                                          .id = image->id ? image->id : image->manifest_digest,
                                          .attributes = attributes,
                                          .attributes_n = labels->n + 1 });
}

fallible image_say_untagged(const char *full, struct strv *ret_lines)
{
    own(ref) struct ref *r = NULL;
    TRY(ref_parse(full, &r));
    own_mem char *familiar = ref_familiar(r);
    strv_add_printf(ret_lines, "Untagged: %s", familiar);
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
    TRY(image_find_name(l, what, &image));
    TRY(target_of(l, image, &made, &index, &target));
    own_mem char *full = ref_full(r);
    TRY(layout_set_name(l, full, target));
    image_event(e, image, "tag", full);
    return NULL;
}

/* ---- names that go ---- */

static fallible full_names(char *const *names, size_t n, const struct strv *has, const char *what, struct strv *ret)
{
    for (size_t i = 0; i < n; i++) {
        own(ref) struct ref *r = NULL;
        TRY(ref_parse(names[i], &r));
        own_mem char *full = ref_full(r);
        if (!strv_has(has, full))
            return err_new(ERR_INVALID, "'%s' is no name of image '%s'", names[i], what);
        strv_add(ret, full);
    }
    return NULL;
}

fallible image_untag(struct engine *e, const char *what, char *const *names, size_t n, struct strv *ret_lines)
{
    struct layout *l;
    own(image) struct image *image = NULL;
    own_strv struct strv has = { 0 }, going = { 0 };
    own_fd int lock = -1;
    TRY(engine_layout(e, &l));
    TRY(layout_lock(l, LAYOUT_ADDING, &lock));
    TRY(image_find_name(l, what, &image));
    TRY(image_names(e, image, &has));
    TRY(full_names(names, n, &has, what, &going));
    const struct strv *list = n ? &going : &has;
    if (!image->manifest && list->n >= has.n)
        return err_new(ERR_CONFLICT,
                       "'%s' is a list of images that are elsewhere: without a name nothing would lead to it; "
                       "remove it with 'husk rmi'",
                       what);
    for (size_t i = 0; i < list->n; i++) {
        TRY(layout_unname(l, list->items[i]));
        TRY(image_say_untagged(list->items[i], ret_lines));
        image_event(e, image, "untag", list->items[i]);
    }
    return NULL;
}
