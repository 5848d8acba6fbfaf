// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/usage.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/build_cache.h"
#include "engine/container.h"
#include "engine/image_remove.h"
#include "engine/trash.h"
#include "engine/volume.h"
#include "image/ref.h"
#include "os/fs.h"

void usage_clear(struct usage *u)
{
    for (size_t i = 0; i < u->images_n; i++) {
        free(u->images[i].name);
        free(u->images[i].id);
        free(u->images[i].created);
    }
    struct usage_item *lists[] = { u->containers, u->volumes };
    size_t ns[] = { u->containers_n, u->volumes_n };
    for (size_t l = 0; l < ARRAY_SIZE(lists); l++) {
        for (size_t i = 0; i < ns[l]; i++) {
            free(lists[l][i].name);
            free(lists[l][i].id);
            free(lists[l][i].image);
        }
        free(lists[l]);
    }
    free(u->images);
    *u = (struct usage){ 0 };
}

static uint64_t blocks_of(const char *path)
{
    struct stat st;
    return lstat(path, &st) < 0 ? 0 : (uint64_t)st.st_blocks * 512;
}

/* A directory with all that is in it; what is not there takes nothing. */
static fallible tree_bytes(const char *path, uint64_t *ret)
{
    *ret = 0;
    if (access(path, F_OK) < 0)
        return NULL;
    TRY(engine_disk_usage(path, ret));
    *ret += blocks_of(path);
    return NULL;
}

/* ---- images ---- */

/* What each blob and layer takes, and how many images have it. */
struct part {
    char *key; /* "blob HEX", "layer HEX" */
    uint64_t bytes;
    size_t images, last; /* last: number of the last image that was counted, plus one */
};
struct parts {
    struct part *items;
    size_t n, room; /* a hash table, at most half full */
};

static struct part *part_at(struct parts *p, const char *key)
{
    size_t h = 5381;
    for (const char *c = key; *c; c++)
        h = h * 33 ^ (unsigned char)*c;
    h &= p->room - 1;
    while (p->items[h].key && !str_eq(p->items[h].key, key))
        h = (h + 1) & (p->room - 1);
    return &p->items[h];
}

static struct part *part_add(struct parts *p, const char *key)
{
    if (p->n * 2 >= p->room) {
        struct parts bigger = { .room = p->room ? p->room * 2 : 256, .n = p->n };
        bigger.items = mem_zalloc(bigger.room * sizeof *bigger.items);
        for (size_t i = 0; i < p->room; i++)
            if (p->items[i].key)
                *part_at(&bigger, p->items[i].key) = p->items[i];
        free(p->items);
        *p = bigger;
    }
    struct part *part = part_at(p, key);
    if (!part->key) {
        part->key = mem_strdup(key);
        p->n++;
    }
    return part;
}

struct counting {
    struct engine *e;
    struct layout *l;
    struct parts parts;
};

static void part_bytes(struct counting *c, struct part *part, const char *digest, bool layer)
{
    own_mem char *blob = layout_blob_path(digest), *path = mem_printf("%s/%s", c->l->path, blob);
    if (!layer)
        part->bytes = blocks_of(path);
    else if (!layer_usage_now(c->l, digest, &part->bytes))
        part->bytes = 0;
}

typedef void part_fn(struct part *part, size_t image, struct usage_image *u);

static void count_part(struct part *part, size_t image, struct usage_image *u)
{
    part->images += part->last != image + 1;
    part->last = image + 1;
}
static void share_part(struct part *part, size_t image, struct usage_image *u)
{
    if (part->last == ~image) /* an image has a layer twice */
        return;
    part->last = ~image;
    u->bytes += part->bytes;
    *(part->images > 1 ? &u->shared : &u->unique) += part->bytes;
}

static void one_part(struct counting *c, const char *digest, bool layer, part_fn *fn, size_t image,
                     struct usage_image *u)
{
    own_mem char *key = mem_printf("%s %s", layer ? "layer" : "blob", digest);
    struct part *part = part_add(&c->parts, key);
    if (part->images == 0)
        part_bytes(c, part, digest, layer);
    fn(part, image, u);
}

static void each_part(struct counting *c, const struct image *i, part_fn *fn, size_t number, struct usage_image *u)
{
    one_part(c, i->manifest_digest, false, fn, number, u);
    one_part(c, i->id, false, fn, number, u);
    for (size_t k = 0; k < i->manifest->layers_n; k++)
        one_part(c, i->manifest->layers[k].digest, false, fn, number, u);
    for (size_t k = 0; k < i->config->rootfs->diff_ids.n; k++)
        one_part(c, i->config->rootfs->diff_ids.items[k], true, fn, number, u);
}

/* An image with several names is one. */
static bool is_named_again(struct image *const *images, size_t i)
{
    for (size_t k = 0; k < i; k++)
        if (str_eq(images[k]->manifest_digest, images[i]->manifest_digest))
            return true;
    return false;
}

static void add_images(struct counting *c, struct image *const *images, size_t n, const struct container_list *list,
                       struct usage *u)
{
    u->images = mem_zalloc((n + 1) * sizeof *u->images);
    for (size_t i = 0; i < n; i++)
        if (!is_named_again(images, i))
            each_part(c, images[i], count_part, i, NULL);
    for (size_t i = 0; i < n; i++) {
        if (is_named_again(images, i))
            continue;
        struct usage_image *one = &u->images[u->images_n++];
        one->name = mem_strdup(images[i]->name);
        one->id = mem_strdup(images[i]->id);
        one->created = mem_strdup(images[i]->config->created);
        each_part(c, images[i], share_part, i, one);
        for (size_t k = 0; k < list->n; k++)
            one->containers += str_eq(list->items[k]->row.image_id, one->id);
        u->rows[USAGE_IMAGES].active += one->containers > 0;
    }
    u->rows[USAGE_IMAGES].total = u->images_n;
}

/* All blobs and layers, whoever needs them; layers by what was measured once, for they never change. */
static fallible store_bytes(struct counting *c, uint64_t *ret)
{
    own_mem char *blobs = mem_printf("%s/blobs", c->l->path), *layers = mem_printf("%s/layers", c->l->path);
    uint64_t bytes = 0;
    TRY(tree_bytes(blobs, ret));
    *ret += blocks_of(layers);
    own_dir DIR *dir = opendir(layers);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        own_mem char *id = mem_printf("sha256:%s", entry->d_name);
        if (entry->d_name[0] != '.' && layer_usage_now(c->l, id, &bytes))
            *ret += bytes;
    }
    return NULL;
}

static fallible count_images(struct counting *c, const struct container_list *list, struct usage *u)
{
    struct image **images = NULL;
    size_t n = 0;
    own_strv struct strv lines = { 0 };
    struct usage_row *row = &u->rows[USAGE_IMAGES];
    TRY(layers_measure(c->l));
    TRY(store_bytes(c, &row->bytes));
    TRY(image_list(c->l, &images, &n));
    add_images(c, images, n, list, u);
    for (size_t i = 0; i < n; i++)
        image_free(images[i]);
    free(images);
    return image_prune(c->e, &(struct prune_options){ .all = true, .dry_run = true }, &lines, &row->reclaimable);
}

/* ---- containers, volumes, the rest ---- */

static void add_item(struct usage_item **items, size_t *n, const struct usage_item *item)
{
    *items = mem_array(*items, *n + 1, sizeof **items);
    (*items)[*n] = (struct usage_item){ .name = mem_strdup(item->name),
                                        .id = mem_strdup(item->id),
                                        .image = mem_strdup(item->image),
                                        .bytes = item->bytes,
                                        .active = item->active };
    ++*n;
}

static void add_to_row(struct usage_row *row, const struct usage_item *item)
{
    row->total++;
    row->active += item->active;
    row->reclaimable += item->active ? 0 : item->bytes;
}

static fallible count_containers(struct engine *e, const struct container_list *list, struct usage *u)
{
    own_mem char *all = mem_printf("%s/containers", e->root);
    for (size_t i = 0; i < list->n; i++) {
        const struct db_container *row = &list->items[i]->row;
        enum container_status s = list->states[i].status;
        struct usage_item item = { .name = row->name,
                                   .id = row->id,
                                   .image = row->image,
                                   .active = s == CONTAINER_RUNNING || s == CONTAINER_PAUSED };
        TRY(tree_bytes(list->items[i]->dir, &item.bytes));
        add_item(&u->containers, &u->containers_n, &item);
        add_to_row(&u->rows[USAGE_CONTAINERS], &item);
    }
    return tree_bytes(all, &u->rows[USAGE_CONTAINERS].bytes);
}

static fallible count_volume(struct engine *e, struct db *db, const char *name, struct usage *u)
{
    own_mem char *path = mem_printf("%s/volumes/%s", e->root, name);
    own_strv struct strv users = { 0 };
    struct usage_item item = { .name = (char *)(uintptr_t)name };
    TRY(db_volume_users(db, name, &users));
    item.active = users.n > 0;
    TRY(tree_bytes(path, &item.bytes));
    add_item(&u->volumes, &u->volumes_n, &item);
    add_to_row(&u->rows[USAGE_VOLUMES], &item);
    return NULL;
}

static fallible count_volumes(struct engine *e, struct usage *u)
{
    own_mem char *all = mem_printf("%s/volumes", e->root);
    struct db *db = NULL;
    struct db_volume *rows = NULL;
    size_t n = 0;
    err *first = NULL;
    TRY(engine_db_if_there(e, &db));
    if (db)
        TRY(db_volume_list(db, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        if (!first)
            first = count_volume(e, db, rows[i].name, u);
        db_volume_clear(&rows[i]);
    }
    free(rows);
    return first ? first : tree_bytes(all, &u->rows[USAGE_VOLUMES].bytes);
}

/* What is beside those folders: the database, the index, locks, staging. */
static fallible count_other(struct engine *e, struct usage *u)
{
    static const char *const counted[] = { ".", "..", "blobs", "layers", "containers", "volumes", "trash", "build" };
    uint64_t sum = blocks_of(e->root), bytes = 0;
    own_dir DIR *dir = opendir(e->root);
    if (!dir)
        return err_sys(errno, "list '%s'", e->root);
    for (struct dirent *entry; (entry = readdir(dir));) {
        bool already = false;
        for (size_t i = 0; i < ARRAY_SIZE(counted); i++)
            already |= strcmp(entry->d_name, counted[i]) == 0;
        own_mem char *path = mem_printf("%s/%s", e->root, entry->d_name);
        if (already)
            continue;
        if (entry->d_type == DT_DIR)
            TRY(tree_bytes(path, &bytes));
        else
            bytes = blocks_of(path);
        sum += bytes;
    }
    u->rows[USAGE_OTHER].bytes = sum;
    return NULL;
}

/* Its folders, and those blobs and layers that are kept for it alone. */
static fallible count_trash(struct engine *e, struct usage *u)
{
    own_mem char *all = trash_path(e, "");
    own(db_trash_list) struct db_trash_list l = { 0 };
    struct usage_row *row = &u->rows[USAGE_TRASH];
    struct db *db = NULL;
    uint64_t with = 0, without = 0;
    struct sweep_result r = { 0 };
    all[strlen(all) - 1] = '\0';
    TRY(tree_bytes(all, &row->bytes));
    TRY(engine_db_if_there(e, &db));
    if (db)
        TRY(db_trash_list(db, &l));
    row->total = l.n;
    for (size_t i = 0; i < l.n && !without; i++)
        if (l.items[i].images)
            TRY(image_trash_bytes(e, 0, &without));
    if (without) {
        TRY(image_sweep(e, true, &r));
        with = r.bytes;
    }
    row->bytes += without - with;
    row->reclaimable = row->bytes;
    u->rows[USAGE_IMAGES].bytes -= without - with;
    return NULL;
}

/* What builds remember, their cache mounts, and those layers that are kept for it alone. */
static fallible count_builds(struct counting *c, struct usage *u)
{
    own_mem char *all = mem_printf("%s/build", c->e->root);
    own_strv struct strv keys = { 0 }, digests = { 0 };
    struct usage_row *row = &u->rows[USAGE_BUILD_CACHE];
    struct sweep_result with = { 0 };
    uint64_t without = 0;
    TRY(tree_bytes(all, &row->bytes));
    TRY(build_cache_forget(c->l, NULL, true, &keys, &digests));
    row->total = keys.n;
    if (keys.n) {
        TRY(image_sweep_of_builds(c->e, &without));
        TRY(image_sweep(c->e, true, &with));
    }
    row->bytes += without - with.bytes;
    row->reclaimable = row->bytes;
    u->rows[USAGE_IMAGES].bytes -= without - with.bytes;
    return NULL;
}

static fallible read_all(struct counting *c, const struct container_list *list, struct usage *u)
{
    TRY(count_images(c, list, u));
    TRY(count_containers(c->e, list, u));
    TRY(count_volumes(c->e, u));
    TRY(count_trash(c->e, u));
    TRY(count_builds(c, u));
    return count_other(c->e, u);
}

fallible usage_images(struct engine *e, uint64_t *ret_bytes)
{
    struct counting c = { .e = e };
    TRY(engine_layout(e, &c.l));
    TRY(layers_measure(c.l));
    return store_bytes(&c, ret_bytes);
}

fallible usage_read(struct engine *e, struct usage *ret)
{
    static const char *const types[] = { "Images", "Containers", "Local Volumes", "Build Cache", "Trash", "Other" };
    struct counting c = { .e = e };
    struct usage u = { 0 };
    struct container_list list;
    for (size_t i = 0; i < USAGE_KINDS; i++)
        u.rows[i].type = types[i];
    TRY(engine_layout(e, &c.l));
    TRY(container_list(e, &(struct list_options){ .all = true }, &list));
    err *failed = read_all(&c, &list, &u);
    container_list_clear(&list);
    for (size_t i = 0; i < c.parts.room; i++)
        free(c.parts.items[i].key);
    free(c.parts.items);
    if (failed) {
        usage_clear(&u);
        return failed;
    }
    *ret = u;
    return NULL;
}
