/*
 * husk system df, husk system prune: what the store takes on disk, and having it back.
 * Compatible with: docker system df, docker system prune; podman's likewise.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cli/network.h"
#include "cli/pod.h"
#include "cli/table.h"
#include "engine/build_cache.h"
#include "engine/filter.h"
#include "engine/image_remove.h"
#include "engine/image_rows.h"
#include "engine/trash.h"
#include "engine/usage.h"
#include "engine/volume.h"
#include "image/ref.h"
#include "monitor/events.h"

struct df_opts {
    bool verbose;
    const char *format;
};
struct prune_opts {
    bool all, volumes, force, dry_run, no_trash, build, external;
    struct strv filter;
};

#define T struct df_opts
static const struct opt df_rows[] = {
    OPT_FLAG('v', "verbose", T, verbose, "Each image, container and volume"),
    OPT_STR(0, "format", T, format, "FORMAT", "table, json, or a template such as '{{.Type}} {{.Size}}'"),
    OPT_END,
};
#undef T
#define T struct prune_opts
static const struct opt prune_rows[] = {
    OPT_FLAG('a', "all", T, all, "All images that no container uses, not only those without a name"),
    OPT_FLAG(0, "volumes", T, volumes, "Anonymous volumes that no container uses, too"),
    OPT_STRS(0, "filter", T, filter, "KEY=VALUE",
             "until=TIME (or a duration: older than), label=KEY[=VALUE], label!=..."),
    OPT_FLAG(0, "dry-run", T, dry_run, "Only show what would go"),
    TRASH_OPTION(T),
    OPT_FLAG('f', "force", T, force, "As with docker: husk never asks"),
    OPT_FLAG(0, "build", T, build, "As it always is: builds leave no containers"),
    OPT_FLAG(0, "external", T, external, "Refused: there are no containers of others"),
    OPT_END,
};
#undef T

static void put(json_t *row, const char *key, json_t *take_value)
{
    (void)json_object_set_new(row, key, take_value);
}
static void put_bytes(json_t *row, const char *key, uint64_t bytes)
{
    char size[32];
    put(row, key, json_string(format_bytes(bytes, size)));
}

/* ---- df ---- */

static const struct table_column kinds[] = {
    { "TYPE", "Type" }, { "TOTAL", "TotalCount" },        { "ACTIVE", "Active" },
    { "SIZE", "Size" }, { "RECLAIMABLE", "Reclaimable" }, { 0 },
};

static json_t *kind_row(const struct usage_row *u)
{
    char size[32], text[64];
    json_t *row = json_object();
    snprintf(text, sizeof text, "%s (%d%%)", format_bytes(u->reclaimable, size),
             u->bytes ? (int)(u->reclaimable * 100 / u->bytes) : 0);
    put(row, "Type", json_string(u->type));
    put(row, "TotalCount", json_sprintf("%zu", u->total));
    put(row, "Total", json_sprintf("%zu", u->total)); /* podman's name */
    put(row, "Active", json_sprintf("%zu", u->active));
    put_bytes(row, "Size", u->bytes);
    put(row, "Reclaimable", json_string(text));
    put(row, "RawSize", json_integer((json_int_t)u->bytes)); /* podman's names */
    put(row, "RawReclaimable", json_integer((json_int_t)u->reclaimable));
    return row;
}

static const struct table_column image_columns[] = {
    { "REPOSITORY", "Repository" },
    { "TAG", "Tag" },
    { "IMAGE ID", "ID" },
    { "SIZE", "Size" },
    { "SHARED SIZE", "SharedSize" },
    { "UNIQUE SIZE", "UniqueSize" },
    { "CONTAINERS", "Containers" },
    { 0 },
};
static const struct table_column container_columns[] = {
    { "CONTAINER ID", "ID" }, { "IMAGE", "Image" }, { "SIZE", "Size" },
    { "RUNNING", "Running" }, { "NAMES", "Names" }, { 0 },
};
static const struct table_column volume_columns[] = {
    { "VOLUME NAME", "Name" },
    { "IN USE", "Active" },
    { "SIZE", "Size" },
    { 0 },
};

static void put_name(json_t *row, const char *name)
{
    own(ref) struct ref *r = NULL;
    own(err) err *e = name ? ref_parse(name, &r) : NULL;
    own_mem char *familiar = r && !e ? ref_familiar(r) : mem_strdup("<none>");
    if (r && r->tag)
        familiar[strlen(familiar) - strlen(r->tag) - 1] = '\0';
    put(row, "Repository", json_string(familiar));
    put(row, "Tag", json_string(r && r->tag ? r->tag : "<none>"));
}

static json_t *image_row(const struct usage_image *i)
{
    json_t *row = json_object();
    put_name(row, i->name);
    put(row, "ID", json_stringn(digest_hex(i->id), 12));
    put_bytes(row, "Size", i->bytes);
    put_bytes(row, "SharedSize", i->shared);
    put_bytes(row, "UniqueSize", i->unique);
    put(row, "RawSize", json_integer((json_int_t)i->bytes));
    put(row, "RawUniqueSize", json_integer((json_int_t)i->unique));
    put(row, "RawSharedSize", json_integer((json_int_t)i->shared));
    put(row, "Containers", json_sprintf("%zu", i->containers));
    return row;
}

static json_t *item_row(const struct usage_item *i, bool container)
{
    json_t *row = json_object();
    put(row, container ? "Names" : "Name", json_string(i->name));
    put(row, container ? "Running" : "Active", json_string(i->active ? "yes" : "no"));
    if (container) {
        put(row, "ID", json_stringn(i->id, 12));
        put(row, "Image", json_string(i->image ? i->image : ""));
    }
    put_bytes(row, "Size", i->bytes);
    put(row, "RawSize", json_integer((json_int_t)i->bytes));
    return row;
}

struct part {
    const char *title, *key;
    const struct table_column *columns;
    json_t *rows;
};

static fallible print_verbose(const struct part *parts, size_t n, const char *format)
{
    own_json json_t *doc = json_object(), *one = json_array();
    for (size_t i = 0; !format && i < n; i++) {
        printf("%s%s space usage:\n\n", i ? "\n" : "", parts[i].title);
        TRY(table_print(parts[i].columns, parts[i].rows, NULL));
    }
    for (size_t i = 0; i < n; i++)
        (void)json_object_set(doc, parts[i].key, parts[i].rows);
    (void)json_array_append(one, doc);
    return format ? table_print(kinds, one, format) : NULL;
}

static fallible print_usage(const struct df_opts *o, const struct usage *u)
{
    own_json json_t *rows = json_array(), *images = json_array(), *containers = json_array(), *volumes = json_array();
    for (size_t i = 0; i < USAGE_KINDS; i++)
        (void)json_array_append_new(rows, kind_row(&u->rows[i]));
    if (!o->verbose)
        return table_print(kinds, rows, o->format);
    for (size_t i = 0; i < u->images_n; i++)
        (void)json_array_append_new(images, image_row(&u->images[i]));
    for (size_t i = 0; i < u->containers_n; i++)
        (void)json_array_append_new(containers, item_row(&u->containers[i], true));
    for (size_t i = 0; i < u->volumes_n; i++)
        (void)json_array_append_new(volumes, item_row(&u->volumes[i], false));
    const struct part parts[] = {
        { "Images", "Images", image_columns, images },
        { "Containers", "Containers", container_columns, containers },
        { "Local Volumes", "Volumes", volume_columns, volumes },
    };
    return print_verbose(parts, ARRAY_SIZE(parts), o->format);
}

static fallible df_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    struct usage u = { 0 };
    TRY(engine_open_to_look(&engine));
    TRY(usage_read(engine, &u));
    err *e = print_usage(opts_, &u);
    usage_clear(&u);
    return e;
}

/* ---- prune ---- */

struct pruning {
    struct engine *engine;
    const struct prune_opts *o;
    struct strv gone;   /* IDs of containers: with --dry-run what they use is looked at as if they were */
    struct strv builds; /* diffIDs that no entry of the build cache keeps any more; likewise */
    uint64_t bytes;
    struct trash trash;
};

static void print_list(const char *title, const struct strv *lines)
{
    if (lines->n > 0)
        printf("%s:\n", title);
    for (size_t i = 0; i < lines->n; i++)
        printf("%s\n", lines->items[i]);
    if (lines->n > 0)
        printf("\n");
}

/* Those of which nothing runs go whole; a filter is about containers, so none goes then. */
static fallible prune_pods(struct pruning *p)
{
    own(pod_list) struct pod_list list = { 0 };
    own_strv struct strv pods = { 0 };
    err *first = NULL;
    if (p->o->filter.n)
        return NULL;
    TRY(pod_list(p->engine, &list));
    for (size_t i = 0; i < list.n && !first; i++) {
        bool gone = false;
        first = pod_prune_one(list.items[i], p->o->dry_run, &p->trash, &p->gone, &p->bytes, &gone);
        if (gone)
            strv_add(&pods, list.items[i]->row.id);
    }
    print_list("Deleted Pods", &pods);
    return first;
}

static fallible prune_container(struct pruning *p, struct container *c, struct strv *gone)
{
    struct removal r = { 0 };
    TRY(container_removal(c, false, false, &r));
    strv_free(&r.volumes);
    if (!p->o->dry_run)
        TRY(container_remove(c, &(struct remove_options){ .trash = &p->trash }));
    strv_add(gone, c->row.id);
    p->bytes += r.bytes;
    return NULL;
}

static fallible prune_containers(struct pruning *p)
{
    struct container_list list;
    own_strv struct strv gone = { 0 };
    uint64_t before = p->bytes;
    err *first = NULL;
    TRY(container_list(p->engine, &(struct list_options){ .all = true, .filters = &p->o->filter }, &list));
    for (size_t i = 0; i < list.n && !first; i++) {
        enum container_status s = list.states[i].status;
        const struct db_container *row = &list.items[i]->row;
        if ((s == CONTAINER_CREATED || s == CONTAINER_EXITED) && !strv_has(&p->gone, row->id) &&
            !(row->pod && strstr(row->config, "\"infra\":true"))) /* it goes with its pod */
            first = prune_container(p, list.items[i], &gone);
    }
    container_list_clear(&list);
    print_list("Deleted Containers", &gone);
    if (!p->o->dry_run && !first)
        event_say_pruned(p->engine->run, "container", p->bytes - before);
    for (size_t i = 0; i < gone.n; i++)
        strv_add(&p->gone, gone.items[i]);
    return first;
}

static fallible prune_volumes(struct pruning *p)
{
    own_strv struct strv gone = { 0 };
    uint64_t freed = 0;
    if (!p->o->volumes)
        return NULL;
    TRY(volume_prune(p->engine,
                     &(struct volume_prune_options){
                         .trash = &p->trash, .dry_run = p->o->dry_run, .filters = &p->o->filter, .without = &p->gone },
                     &gone, &freed));
    p->bytes += freed;
    print_list("Deleted Volumes", &gone);
    return NULL;
}

static fallible prune_networks(struct pruning *p)
{
    own_strv struct strv gone = { 0 };
    const struct network_pruning wish = { .filters = &p->o->filter,
                                          .without = p->o->dry_run ? &p->gone : NULL,
                                          .trash = &p->trash,
                                          .dry_run = p->o->dry_run };
    TRY(network_prune_unused(p->engine, &wish, &gone));
    print_list("Deleted Networks", &gone);
    return NULL;
}

/* As docker: what no image has, and with --all everything; not the cache mounts, which are what steps keep on purpose.
 * A filter is about other things. */
static fallible prune_builds(struct pruning *p)
{
    own(image_rows) struct image_rows *images = NULL;
    own_strv struct strv keys = { 0 }, used = { 0 };
    struct layout *l;
    if (p->o->filter.n)
        return NULL;
    TRY(engine_layout(p->engine, &l));
    if (!p->o->all)
        TRY(image_rows(p->engine, &images));
    for (size_t i = 0; images && i < images->n; i++)
        strv_copy(&used, (char *const *)(uintptr_t)images->rows[i].layers, images->rows[i].layers_n);
    TRY(build_cache_forget(l, p->o->all ? NULL : &used, p->o->dry_run, &keys, &p->builds));
    print_list("Deleted build cache objects", &keys);
    return NULL;
}

static fallible prune_images(struct pruning *p)
{
    own_strv struct strv lines = { 0 };
    uint64_t freed = 0;
    struct prune_options wish = { .all = p->o->all,
                                  .dry_run = p->o->dry_run,
                                  .filters = &p->o->filter,
                                  .without = &p->gone,
                                  .without_builds = &p->builds,
                                  .without_trash = !p->o->filter.n,
                                  .trash = &p->trash };
    TRY(image_prune(p->engine, &wish, &lines, &freed));
    p->bytes += freed;
    print_list("Deleted Images", &lines);
    return NULL;
}

/* Whoever asks for room gets what earlier removals kept; what this one removes is kept in turn. */
static fallible prune_trash(struct pruning *p)
{
    own(db_trash_list) struct db_trash_list l = { 0 };
    struct db *db = NULL;
    bool sweep = false; /* prune_images() does */
    TRY(engine_db_if_there(p->engine, &db));
    if (db)
        TRY(db_trash_list(db, &l));
    for (size_t i = 0; i < l.n; i++) {
        if (!p->o->dry_run)
            TRY(trash_purge(p->engine, l.items[i].id, &sweep));
        p->bytes += (uint64_t)(l.items[i].bytes - l.items[i].image_bytes); /* the images': there too */
    }
    return NULL;
}

static fallible prune_all(struct pruning *p)
{
    if (!p->o->filter.n)
        TRY(prune_trash(p));
    TRY(prune_pods(p));
    TRY(prune_containers(p));
    TRY(prune_networks(p));
    TRY(prune_volumes(p));
    TRY(prune_builds(p));
    return prune_images(p);
}

/* What is true of containers, volumes, networks and images alike. */
static const struct filter_key prune_keys[] = {
    { "until", NULL, filter_when }, { "label", NULL, NULL }, { "label!", NULL, NULL }, { 0 }
};

static fallible prune_run(const void *opts_, struct args args)
{
    const struct prune_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    char size[32];
    if (o->external)
        return err_new(ERR_UNSUPPORTED, "--external: no other program keeps containers in husk's store: leave it out");
    TRY(filters_check(&o->filter, prune_keys));
    TRY(engine_open(&engine));
    struct pruning p = { .engine = engine, .o = o };
    TRY(trash_begin(engine, "system prune", o->no_trash, &p.trash));
    err *e = prune_all(&p);
    if (!o->dry_run)
        err_ignore(trash_end(&p.trash), "what was asked is done; the next removal tries again");
    strv_free(&p.gone);
    strv_free(&p.builds);
    TRY(e);
    printf("%s: %s\n", o->dry_run ? "Would be reclaimed" : "Total reclaimed space", format_bytes(p.bytes, size));
    say_kept(&p.trash);
    return NULL;
}

const struct command cmd_system_df = {
    .name = "df",
    .summary = "Show how much disk images, containers and volumes use",
    .detail = "Bytes on disk, as du(1) counts: the rows add up to what it says of the store. Trash is what\n"
              "`husk trash empty` gives back; Other is the database, the index and staging. Reclaimable is what\n"
              "`husk image prune -a` and the like would take out of the row.",
    .opts = df_rows,
    .opts_size = sizeof(struct df_opts),
    .max_args = 0,
    .fail_exit = 1,
    .run = df_run,
};
const struct command cmd_system_prune = {
    .name = "prune",
    .summary = "Remove containers that do not run, and what nothing needs",
    .detail =
        "Containers and pods that do not run, networks that none is on, images without a name and what builds\n"
        "remember of no image; with --all every image that no container uses and all that builds remember (cache\n"
        "mounts: husk builder prune --all).\n\n"
        "What earlier removals kept for `husk undo` is deleted; what this one removes is kept in its turn, but for\n"
        "what builds remember, so all of the space that it tells is free with --no-trash only, or when it expires.",
    .opts = prune_rows,
    .opts_size = sizeof(struct prune_opts),
    .max_args = 0,
    .fail_exit = 1,
    .run = prune_run,
};
