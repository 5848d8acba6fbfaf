// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/image_remove.h"

#include <string.h>
#include <time.h>

#include "base/parse.h"
#include "engine/build_cache.h"
#include "engine/config.h"
#include "engine/filter.h"
#include "engine/image_name.h"
#include "engine/image_rows.h"
#include "engine/lowers.h"
#include "engine/trash.h"
#include "image/ref.h"
#include "image/settings.h"
#include "monitor/events.h"

static bool leaves_out(const struct strv *without, const char *id)
{
    return without && strv_has(without, id);
}

static fallible kept_by_others(struct engine *e, const struct strv *without, struct sweep_kept *ret)
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
        if (leaves_out(without, rows[i].id)) {
            db_container_clear(&rows[i]);
            continue;
        }
        if (rows[i].manifest)
            strv_add(&ret->manifests, rows[i].manifest);
        if (!first) /* a configuration that cannot be read: nothing may be swept, its layers are not known */
            first = bind_read(&container_config_type, rows[i].config, strlen(rows[i].config), &config);
        const struct container_config *c = config;
        for (size_t k = 0; c && k < c->layers.n; k++)
            strv_add(&ret->layers, c->layers.items[k]);
        for (size_t k = 0; c && k < c->mounts_n; k++)
            for (size_t layer = 0; layer < c->mounts[k].layers.n; layer++)
                strv_add(&ret->layers, c->mounts[k].layers.items[layer]);
        container_config_free(config);
        db_container_clear(&rows[i]);
    }
    free(rows);
    return first;
}

static fallible keep_target(struct layout *l, const char *text, struct sweep_kept *ret)
{
    err *e = NULL;
    void *read = NULL;
    TRY_AS(bind_read(&oci_descriptor_type, text, strlen(text), &read), "an image in the trash");
    const struct oci_descriptor *d = read;
    if (d->data)
        e = image_part_keep(l, d, ret);
    else if (media_is_index(d->media_type))
        strv_add(&ret->indexes, d->digest);
    else if (media_is_manifest(d->media_type) || !d->media_type)
        strv_add(&ret->manifests, d->digest);
    else
        strv_add(&ret->blobs, d->digest);
    bind_free(&oci_descriptor_type, read);
    return e ? err_wrap(e, "an image in the trash") : NULL;
}

enum { NO_ENTRY = -1, EVERY_ENTRY = 0 };

static fallible kept_by_trash(struct engine *e, int64_t without, struct sweep_kept *ret)
{
    own(db_trash_parts) struct db_trash_parts p = { 0 };
    struct db *db = NULL;
    if (without == EVERY_ENTRY)
        return NULL;
    TRY(engine_db_if_there(e, &db));
    if (db)
        TRY(db_trash_read_images(db, 0, &p));
    for (size_t i = 0; i < p.images_n; i++)
        if (p.images[i].entry != without)
            TRY(keep_target(e->layout, p.images[i].target, ret));
    return NULL;
}

struct keeping {
    struct engine *e;
    const struct strv *without; /* containers */
    bool no_builds;
    const struct strv *without_builds; /* diffIDs */
    int64_t without_entry;             /* of the trash */
    const char *without_part;          /* as struct sweep_options has it */
};

static fallible kept_by_builds(struct layout *l, const struct strv *without, struct sweep_kept *ret)
{
    own_strv struct strv all = { 0 };
    TRY(build_cache_keep(l, &all));
    for (size_t i = 0; i < all.n; i++)
        if (!without || !strv_has(without, all.items[i]))
            strv_add(&ret->layers, all.items[i]);
    return NULL;
}

static err *kept_now(void *ctx, struct sweep_kept *ret)
{
    const struct keeping *k = ctx;
    struct layout *l;
    TRY(engine_layout(k->e, &l));
    if (!k->no_builds)
        TRY(kept_by_builds(l, k->without_builds, ret));
    TRY(kept_by_trash(k->e, k->without_entry, ret));
    return kept_by_others(k->e, k->without, ret);
}

fallible image_kept(struct engine *e, struct sweep_kept *ret)
{
    return kept_now(&(struct keeping){ .e = e, .without_entry = NO_ENTRY }, ret);
}

/* without: names, as struct sweep_options has them. */
static fallible sweep_keeping(struct keeping *keeping, const struct strv *without, bool dry_run,
                              struct sweep_result *ret)
{
    struct settings settings;
    struct layout *l;
    TRY(settings_read(&settings));
    TRY(engine_layout(keeping->e, &l));
    struct sweep_options o = { .keep = kept_now,
                               .keep_ctx = keeping,
                               .without = without,
                               .without_part = keeping->without_part,
                               .drop_packed = !settings.keep_blobs,
                               .dry_run = dry_run };
    TRY(layers_sweep(l, &o, ret));
    return dry_run ? NULL : lowers_sweep(keeping->e);
}

static fallible sweep(struct engine *e, const struct strv *without, bool dry_run, struct sweep_result *ret)
{
    return sweep_keeping(&(struct keeping){ .e = e, .without_entry = NO_ENTRY }, without, dry_run, ret);
}

fallible image_trash_bytes(struct engine *e, int64_t entry, uint64_t *ret)
{
    struct sweep_result r = { 0 };
    TRY(sweep_keeping(&(struct keeping){ .e = e, .without_entry = entry }, NULL, true, &r));
    *ret = r.bytes;
    return NULL;
}

fallible image_part_bytes(struct engine *e, const char *manifest, uint64_t *ret)
{
    struct sweep_result r = { 0 };
    TRY(layers_measure(e->layout));
    TRY(sweep_keeping(&(struct keeping){ .e = e, .without_entry = NO_ENTRY, .without_part = manifest }, NULL, true,
                      &r));
    *ret = r.bytes;
    return NULL;
}

fallible image_sweep_of_builds(struct engine *e, uint64_t *ret_bytes)
{
    struct layout *l;
    struct sweep_result r = { 0 };
    TRY(engine_layout(e, &l));
    TRY(layers_measure(l));
    TRY(sweep_keeping(&(struct keeping){ .e = e, .no_builds = true, .without_entry = NO_ENTRY }, NULL, true, &r));
    *ret_bytes = r.bytes;
    return NULL;
}

fallible image_sweep(struct engine *e, bool dry_run, struct sweep_result *ret)
{
    return sweep(e, NULL, dry_run, ret);
}

static fallible user_but(struct engine *e, const char *image_id, const struct strv *without, char **ret_name)
{
    struct db *db = NULL;
    struct db_container *rows = NULL;
    size_t n = 0;
    *ret_name = NULL;
    TRY(engine_db_if_there(e, &db));
    if (db)
        TRY(db_container_list(db, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        if (!*ret_name && str_eq(rows[i].image_id, image_id) && !leaves_out(without, rows[i].id))
            *ret_name = mem_strdup(rows[i].name);
        db_container_clear(&rows[i]);
    }
    free(rows);
    return NULL;
}

fallible image_user(struct engine *e, const char *image_id, char **ret_name)
{
    return user_but(e, image_id, NULL, ret_name);
}

/* The row first; so a kill leaves a name that is in the trash as well, which undo finds as it is. On a full disk the
 * name goes without one. name NULL: the image without a name, by this digest. The store is locked, or a sweep could
 * look at the trash before and at the names after. */
static fallible to_trash(struct layout *l, struct trash *t, const char *id, const char *name, const char *digest)
{
    own(oci_index) struct oci_index *index = NULL;
    if (!trash_keeps(t))
        return NULL;
    TRY(layout_read_index(l, &index));
    for (size_t i = 0; i < index->manifests_n; i++) {
        const struct oci_descriptor *d = &index->manifests[i];
        own_mem char *has = image_name_of(d);
        if (name ? !str_eq(has, name) : has || !str_eq(d->digest, digest))
            continue;
        err *e = trash_image(t, id, d);
        if (!err_is(e, ERR_EXHAUSTED))
            return e;
        err_ignore(e, "then there is no room for a trash");
        return NULL;
    }
    return NULL;
}

static fallible remove_name(struct layout *l, struct trash *t, const struct image *image, const char *full,
                            struct strv *ret_lines)
{
    own_fd int lock = -1;
    TRY(layout_lock(l, LAYOUT_ADDING, &lock));
    TRY(to_trash(l, t, image->id, full, NULL));
    TRY(layout_remove_name(l, full));
    return image_say_untagged(full, ret_lines);
}

/* An image may be kept by its ID alone (loaded or imported without a name), with or without names beside it. */
static fallible remove_unnamed(struct layout *l, struct trash *t, const char *id, const char *digest)
{
    own_fd int lock = -1;
    TRY(layout_lock(l, LAYOUT_ADDING, &lock));
    TRY(to_trash(l, t, id, NULL, digest));
    err *e = layout_remove_unnamed(l, digest);
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    return NULL;
}

static fallible check_use(struct engine *e, const struct image *image, const char *what)
{
    own_mem char *user = NULL;
    TRY(image_user(e, image->id, &user));
    if (user)
        return err_new(ERR_CONFLICT, "image '%s' is in use by container '%s': remove that first, or force with -f",
                       what, user);
    return NULL;
}

/* What is to go: the one name, or all of an ID; and with the last one the image. */
static fallible plan_removal(struct engine *e, const char *what, bool force, struct image **ret, struct strv *ret_names,
                             bool *ret_last)
{
    struct layout *l;
    own(image) struct image *image = NULL;
    own_strv struct strv names = { 0 };
    TRY(engine_layout(e, &l));
    TRY(image_find_name(l, what, &image));
    TRY(image_names(e, image, &names));
    *ret_last = !image->name || names.n <= 1;
    if (!image->name && names.n > 1 && !force)
        return err_new(ERR_CONFLICT, "image '%s' has %zu names: remove them by name, or all with -f", what, names.n);
    if (*ret_last && !force)
        TRY(check_use(e, image, what));
    if (image->name)
        strv_add(ret_names, image->name);
    for (size_t i = 0; !image->name && i < names.n; i++)
        strv_add(ret_names, names.items[i]);
    *ret = take(image);
    return NULL;
}

fallible image_removal(struct engine *e, const char *what, bool force, struct strv *ret_lines, uint64_t *ret_bytes)
{
    own(image) struct image *image = NULL;
    own_strv struct strv without = { 0 };
    struct sweep_result r = { 0 };
    bool last = false;
    TRY(plan_removal(e, what, force, &image, &without, &last));
    for (size_t i = 0; i < without.n; i++)
        TRY(image_say_untagged(without.items[i], ret_lines));
    if (last) {
        TRY(image_unnamed(e, image->id, &without));
        strv_add_printf(ret_lines, "Deleted: %s", image->id);
    }
    TRY(layers_measure(e->layout));
    TRY(sweep(e, &without, true, &r));
    *ret_bytes = r.bytes;
    return NULL;
}

fallible image_remove(struct engine *e, const char *what, bool force, struct trash *trash, struct strv *ret_lines)
{
    struct layout *l;
    own(image) struct image *image = NULL;
    own_strv struct strv names = { 0 };
    own_strv struct strv unnamed = { 0 };
    bool last = false;
    TRY(engine_layout(e, &l));
    TRY(plan_removal(e, what, force, &image, &names, &last));
    if (last)
        TRY(image_unnamed(e, image->id, &unnamed));
    for (size_t i = 0; i < names.n; i++)
        TRY(remove_name(l, trash, image, names.items[i], ret_lines));
    for (size_t i = 0; i < unnamed.n; i++)
        TRY(remove_unnamed(l, trash, image->id, unnamed.items[i]));
    TRY(image_sweep(e, false, NULL));
    for (size_t i = 0; i < names.n; i++)
        image_event(e, image, "untag", names.items[i]);
    if (!last)
        return NULL;
    strv_add_printf(ret_lines, "Deleted: %s", image->id);
    image_event(e, image, "delete", image->name);
    return NULL;
}

static const char *label_of(const struct image *image, const char *key)
{
    return image->config->config ? strmap_get(&image->config->config->labels, key) : NULL;
}

static bool label_matches(const struct image *image, const char *wanted)
{
    size_t n = strcspn(wanted, "=");
    own_mem char *key = mem_strndup(wanted, n);
    const char *value = label_of(image, key);
    return value && (!wanted[n] || str_eq(value, wanted + n + 1));
}

/* A time (RFC 3339, seconds since the epoch) or how long ago. */
static fallible until_ns(const char *text, int64_t *ret)
{
    int64_t s = 0;
    uint64_t ago_ns = 0;
    struct timespec now;
    if (strchr(text, 'T'))
        return parse_time_ns(text, ret);
    if (text[strspn(text, "0123456789")] == '\0') {
        TRY(parse_i64(text, 0, INT64_MAX / 1000000000, &s));
        *ret = s * 1000000000;
        return NULL;
    }
    TRY(parse_duration_ns(text, &ago_ns));
    (void)clock_gettime(CLOCK_REALTIME, &now);
    *ret = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - (int64_t)ago_ns;
    return NULL;
}

static fallible passes_one(const struct image *image, const char *f, bool *ret)
{
    int64_t until = 0, created = 0;
    if (str_starts(f, "label!=")) {
        *ret = !label_matches(image, f + 7);
    } else if (str_starts(f, "label=")) {
        *ret = label_matches(image, f + 6);
    } else if (str_starts(f, "until=")) {
        TRY_AS(until_ns(f + 6, &until), "--filter '%s'", f);
        own(err) err *e = image->config->created ? parse_time_ns(image->config->created, &created) : NULL;
        *ret = !e && created < until;
    } else { /* dangling: which ones are looked at at all */
        *ret = true;
    }
    return NULL;
}

static fallible check_until(const char *value)
{
    int64_t unused;
    return until_ns(value, &unused);
}

static const struct filter_key filter_keys[] = { { "until", NULL, check_until },
                                                 { "label", NULL, NULL },
                                                 { "label!", NULL, NULL },
                                                 { "dangling", NULL, filter_bool },
                                                 { 0 } };

static fallible passes(const struct image *image, const struct strv *filters, bool *ret)
{
    *ret = true;
    for (size_t i = 0; filters && *ret && i < filters->n; i++)
        TRY(passes_one(image, filters->items[i], ret));
    return NULL;
}

struct prune {
    struct engine *e;
    struct layout *l;
    const struct prune_options *o;
    struct strv *lines, without; /* as struct sweep_options has them */
};

static fallible prune_name(struct prune *p, const struct image *image)
{
    strv_add(&p->without, image->name);
    return p->o->dry_run ? image_say_untagged(image->name, p->lines)
                         : remove_name(p->l, p->o->trash, image, image->name, p->lines);
}

static fallible prune_one(struct prune *p, const struct image *image)
{
    own_mem char *user = NULL;
    bool wanted = false;
    if (image->name && !p->o->all)
        return NULL;
    TRY(passes(image, p->o->filters, &wanted));
    if (!wanted)
        return NULL;
    TRY(user_but(p->e, image->id, p->o->without, &user));
    if (user)
        return NULL;
    if (image->name) {
        TRY(prune_name(p, image));
        if (!p->o->dry_run)
            image_event(p->e, image, "untag", image->name);
        return NULL;
    }
    own_strv struct strv unnamed = { 0 };
    TRY(image_unnamed(p->e, image->id, &unnamed));
    for (size_t i = 0; i < unnamed.n; i++) {
        strv_add(&p->without, unnamed.items[i]);
        if (!p->o->dry_run)
            TRY(remove_unnamed(p->l, p->o->trash, image->id, unnamed.items[i]));
    }
    strv_add_printf(p->lines, "Deleted: %s", image->id);
    if (!p->o->dry_run)
        image_event(p->e, image, "delete", image->id);
    return NULL;
}

static fallible prune(struct prune *p, struct image **images, size_t n, uint64_t *ret_bytes)
{
    const struct prune_options *o = p->o;
    struct sweep_result r = { 0 };
    struct keeping keeping = { .e = p->e,
                               .without = o->without,
                               .without_builds = o->without_builds,
                               .without_entry = o->without_trash ? EVERY_ENTRY : NO_ENTRY };
    for (size_t i = 0; i < n; i++)
        TRY(prune_one(p, images[i]));
    if (o->dry_run || !trash_keeps(o->trash)) {
        TRY(sweep_keeping(&keeping, &p->without, o->dry_run, &r));
    } else { /* what --dry-run would say, though the trash keeps it */
        keeping.without_entry = o->trash->entry ? o->trash->entry : NO_ENTRY;
        TRY(sweep_keeping(&keeping, &p->without, true, &r));
        TRY(sweep(p->e, NULL, false, NULL));
    }
    *ret_bytes = r.bytes;
    return NULL;
}

fallible image_prune(struct engine *e, const struct prune_options *o, struct strv *ret_lines, uint64_t *ret_bytes)
{
    struct prune p = { .e = e, .o = o, .lines = ret_lines };
    struct image **images = NULL;
    size_t n = 0;
    TRY(filters_check(o->filters, filter_keys));
    TRY(engine_layout(e, &p.l));
    TRY(image_list(p.l, &images, &n));
    TRY(layers_measure(p.l));
    err *first = prune(&p, images, n, ret_bytes);
    if (!first && !o->dry_run)
        event_say_pruned(e->run, "image", *ret_bytes);
    for (size_t i = 0; i < n; i++)
        image_free(images[i]);
    free(images);
    strv_free(&p.without);
    return first;
}
