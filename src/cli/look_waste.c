/*
 * husk image waste: bytes that every pull carries and no container sees, because a later layer replaced or removed
 * them.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>

#include "cli/look_common.h"
#include "cli/table.h"

struct waste_opts {
    bool no_trunc;
    const char *format;
    struct opt_i64 top;
};

#define T struct waste_opts
static const struct opt waste_options[] = {
    OPT_I64('n', "top", T, top, "NUMBER", "Show this many files, the largest first (default 20; 0: all)"),
    OPT_FLAG(0, "no-trunc", T, no_trunc, "Whole layer digests and instructions"),
    OPT_STR(0, "format", T, format, "FORMAT", "table, json (one document), or a template for each file"),
    OPT_END,
};
#undef T

struct wasted {
    char *path;
    size_t layer, hidden_by;
    uint64_t bytes;
    bool removed; /* by a whiteout; else replaced */
};
/* A file with several names in its layer is wasted when all of them are hidden. */
struct linked {
    size_t layer, hidden;
    ino_t ino;
};
struct waste {
    const struct seen *seen;
    struct wasted *items;
    size_t n, room;
    struct linked *linked; /* open addressing; a power of two */
    size_t linked_n, linked_room;
    uint64_t total, all; /* bytes hidden; bytes of all files in all layers */
};

static void own_drop_waste(struct waste *w)
{
    for (size_t i = 0; i < w->n; i++)
        free(w->items[i].path);
    free(w->items);
    free(w->linked);
}

static struct linked *find_linked(struct waste *w, size_t layer, ino_t ino)
{
    size_t at = (size_t)((ino * 0x9E3779B97F4A7C15ULL) >> 20 ^ layer) & (w->linked_room - 1);
    while (w->linked[at].hidden && (w->linked[at].ino != ino || w->linked[at].layer != layer))
        at = (at + 1) & (w->linked_room - 1);
    return &w->linked[at];
}

/* How many of its names were hidden so far, this one with them. */
static size_t count_link(struct waste *w, size_t layer, ino_t ino)
{
    if (2 * (w->linked_n + 1) > w->linked_room) {
        struct linked *old = w->linked;
        size_t room = w->linked_room;
        w->linked_room = room ? 2 * room : 64;
        w->linked = mem_zalloc(w->linked_room * sizeof *w->linked);
        for (size_t i = 0; i < room; i++)
            if (old[i].hidden)
                *find_linked(w, old[i].layer, old[i].ino) = old[i];
        free(old);
    }
    struct linked *l = find_linked(w, layer, ino);
    w->linked_n += !l->hidden;
    l->layer = layer;
    l->ino = ino;
    return ++l->hidden;
}

static void add(struct waste *w, const char *path, const struct view_version *v, bool removed)
{
    uint64_t bytes = (uint64_t)v->st.st_size;
    if (!S_ISREG(v->st.st_mode) || bytes == 0)
        return;
    if (v->st.st_nlink > 1 && count_link(w, v->layer, v->st.st_ino) < v->st.st_nlink)
        return;
    if (w->n == w->room)
        w->items = mem_array(w->items, w->room = 2 * w->room + 64, sizeof *w->items);
    w->items[w->n++] = (struct wasted){ mem_strdup(path), v->layer, v->hidden_by, bytes, removed };
    w->total += bytes;
}

static bool layer_removed(const struct view_versions *versions, size_t layer)
{
    for (size_t i = 0; i < versions->n; i++)
        if (versions->items[i].layer == layer)
            return versions->items[i].kind == VIEW_WHITEOUT;
    return true; /* it took a directory above away */
}

static fallible scan(struct waste *w, const struct view_dir *d, const char *path, int depth)
{
    own_strv struct strv names = { 0 };
    if (depth > 2048)
        return err_new(ERR_INVALID, "'%.200s ...': too deep", path);
    TRY(view_names(d, &names));
    for (size_t i = 0; i < names.n; i++) {
        own(view_versions) struct view_versions found = { 0 };
        own(view_dir) struct view_dir dir = { 0 };
        own_mem char *child = mem_printf("%s/%s", path, names.items[i]);
        TRY(view_look(d, names.items[i], VIEW_ALL, &found));
        for (size_t k = 0; k < found.n; k++) {
            const struct view_version *v = &found.items[k];
            if (S_ISREG(v->st.st_mode))
                w->all += (uint64_t)v->st.st_size / (v->st.st_nlink ? v->st.st_nlink : 1);
            if (v->hidden_by != VIEW_NOT_HIDDEN)
                add(w, child, v, layer_removed(&found, v->hidden_by));
        }
        TRY(view_enter(names.items[i], &found, &dir));
        if (dir.n)
            TRY(scan(w, &dir, child, depth + 1));
    }
    return NULL;
}

static int by_bytes(const void *a_, const void *b_)
{
    const struct wasted *a = a_, *b = b_;
    return a->bytes != b->bytes ? (a->bytes < b->bytes ? 1 : -1) : strcmp(a->path, b->path);
}

static char *layer_word(const struct waste *w, size_t layer, bool whole)
{
    const char *id = view_diff_id(w->seen->view, layer);
    return whole ? mem_strdup(id) : mem_printf("%.12s", digest_hex(id));
}

static json_t *make_row(const struct waste *w, const struct wasted *x, bool whole)
{
    char size[32];
    own_mem char *layer = layer_word(w, x->layer, whole), *by = layer_word(w, x->hidden_by, whole);
    own_mem char *instruction = look_instruction(look_history(w->seen->image->config, x->hidden_by));
    own_mem char *path = look_quote(x->path);
    if (!whole)
        look_shorten(instruction, 50);
    json_t *o =
        json_pack("{s:s, s:I, s:o, s:s, s:s, s:s}", "Size", format_bytes(x->bytes, size), "Bytes", (json_int_t)x->bytes,
                  "Path", look_json(path), "Layer", layer, "HiddenBy", by, "How", x->removed ? "removed" : "replaced");
    (void)json_object_set_new(o, "CreatedBy", look_json(instruction));
    return o;
}

static const struct table_column columns[] = {
    { "SIZE", "Size" },
    { "LAYER", "Layer" },
    { "HOW", "How" },
    { "BY LAYER", "HiddenBy" },
    { "PATH", "Path" },
    { "CREATED BY", "CreatedBy" },
    { 0 },
};

static fallible print(struct waste *w, const struct waste_opts *o)
{
    char total[32], all[32];
    own_json json_t *rows = json_array();
    size_t top = o->top.set ? (size_t)o->top.v : 20;
    if (w->n)
        qsort(w->items, w->n, sizeof *w->items, by_bytes);
    for (size_t i = 0; i < w->n && (top == 0 || i < top); i++)
        (void)json_array_append_new(rows, make_row(w, &w->items[i], o->no_trunc));
    if (o->format && str_eq(o->format, "json")) {
        own_json json_t *doc = json_pack("{s:I, s:I, s:I, s:O}", "WastedBytes", (json_int_t)w->total, "FileBytes",
                                         (json_int_t)w->all, "WastedFiles", (json_int_t)w->n, "Files", rows);
        own_mem char *text = json_dumps(doc, JSON_INDENT(2));
        printf("%s\n", text ? text : "{}");
        return NULL;
    }
    if (o->format && !str_starts(o->format, "table"))
        return table_print(columns, rows, o->format);
    if (w->n)
        TRY(table_print(columns, rows, o->format));
    if (json_array_size(rows) < w->n)
        printf("... and %zu more\n", w->n - json_array_size(rows));
    printf("%s%s of %s (%.1f%%) in %zu files are hidden by later layers\n", w->n ? "\n" : "",
           format_bytes(w->total, total), format_bytes(w->all, all),
           w->all ? 100.0 * (double)w->total / (double)w->all : 0, w->n);
    return NULL;
}

static fallible waste_run(const void *opts_, struct args args)
{
    const struct waste_opts *o = opts_;
    own(look) struct look *look = NULL;
    own(seen) struct seen *seen = NULL;
    own(view_dir) struct view_dir top = { 0 };
    own(view_dir) struct view_dir root = { 0 };
    own(view_versions) struct view_versions roots = { 0 };
    own(waste) struct waste w = { 0 };
    if (o->top.set && o->top.v < 0)
        return err_new(ERR_INVALID, "--top: '%lld' is no number of files", (long long)o->top.v);
    TRY(look_open(&look));
    TRY(look_at(look, args.v[0], &seen));
    TRY(look_confine(look, seen, NULL));
    w.seen = seen;
    TRY(view_top(seen->view, &top));
    TRY(view_look(&top, ".", VIEW_ALL, &roots));
    TRY(view_enter(".", &roots, &root));
    TRY(scan(&w, &root, "", 0));
    return print(&w, o);
}

const struct command cmd_image_waste = {
    .name = "waste",
    .args = "IMAGE",
    .summary = "Show the bytes of an image that later layers hide",
    .detail =
        "Files that a later layer replaced or removed are pulled and stored all the same. What to do: remove them in\n"
        "the instruction that makes them, or build in stages.",
    .opts = waste_options,
    .opts_size = sizeof(struct waste_opts),
    .min_args = 1,
    .max_args = 1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = waste_run,
};
