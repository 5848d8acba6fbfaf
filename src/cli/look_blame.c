/*
 * husk image blame: which layers touched a path, and which instruction made each of them.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>

#include "cli/look_common.h"
#include "cli/table.h"

struct blame_opts {
    bool no_trunc;
    const char *format;
};

#define T struct blame_opts
static const struct opt blame_options[] = {
    OPT_FLAG(0, "no-trunc", T, no_trunc, "Whole layer digests and instructions"),
    OPT_STR(0, "format", T, format, "FORMAT", "table, json, or a template such as '{{.Layer}} {{.CreatedBy}}'"),
    OPT_END,
};
#undef T

static const struct table_column columns[] = {
    { "#", "Number" },  { "LAYER", "Layer" },          { "WHAT", "What" },
    { "SIZE", "Size" }, { "CREATED BY", "CreatedBy" }, { 0 },
};
static const struct table_column entry_columns[] = {
    { "#", "Number" },  { "LAYER", "Layer" },          { "NAME", "Name" },
    { "SIZE", "Size" }, { "CREATED BY", "CreatedBy" }, { 0 },
};

static void put(json_t *o, const char *key, json_t *take_value)
{
    (void)json_object_set_new(o, key, take_value);
}

static json_t *make_row(const struct seen *s, const struct view_version *v, bool whole)
{
    char size[32];
    const struct oci_history *h = look_history(s->image->config, v->layer);
    const char *id = view_diff_id(s->view, v->layer);
    own_mem char *by = look_instruction(h);
    json_t *o = json_object();
    if (!whole)
        look_shorten(by, 60);
    put(o, "Number", json_sprintf("%zu", v->layer + 1));
    put(o, "Layer", whole ? json_string(id) : json_stringn(digest_hex(id), 12));
    put(o, "CreatedBy", look_json(by));
    put(o, "CreatedAt", json_string(h && h->created ? h->created : ""));
    put(o, "Comment", look_json(h && h->comment ? h->comment : ""));
    put(o, "Size",
        json_string(v->kind == VIEW_OTHER && S_ISREG(v->st.st_mode) ? format_bytes((uint64_t)v->st.st_size, size)
                                                                    : ""));
    put(o, "Bytes", json_integer(S_ISREG(v->st.st_mode) ? v->st.st_size : 0));
    return o;
}

/* Compared with what was there before: lower, the next one below that a container would have seen. */
static const char *what_of(const struct view_version *v, const struct view_version *lower)
{
    bool was = lower && lower->kind != VIEW_WHITEOUT;
    if (v->kind == VIEW_WHITEOUT)
        return "removed";
    if (!was)
        return "added";
    if ((v->st.st_mode & S_IFMT) != (lower->st.st_mode & S_IFMT))
        return "replaced";
    if (v->kind == VIEW_DIR)
        return "touched";
    return "changed";
}

/* Below a directory that a layer took away, nothing of that layer's name is left. */
static void add_removed_parents(const struct seen *s, const struct view_versions *versions, size_t i, bool whole,
                                json_t *rows)
{
    const struct view_version *v = &versions->items[i];
    size_t by = v->hidden_by;
    if (by == VIEW_NOT_HIDDEN || (i > 0 && versions->items[i - 1].layer <= by) || v->kind == VIEW_WHITEOUT)
        return;
    struct view_version gone = { .kind = VIEW_WHITEOUT, .layer = by };
    json_t *row = make_row(s, &gone, whole);
    put(row, "What", json_string("removed"));
    (void)json_array_append_new(rows, row);
}

static json_t *versions_rows(const struct seen *s, const struct view_versions *versions, bool whole)
{
    json_t *rows = json_array();
    for (size_t i = versions->n; i-- > 0;) {
        const struct view_version *v = &versions->items[i];
        const struct view_version *lower = i + 1 < versions->n ? &versions->items[i + 1] : NULL;
        /* taken away by a parent in between: it is new again */
        if (lower && lower->hidden_by != VIEW_NOT_HIDDEN && lower->hidden_by < v->layer)
            lower = NULL;
        json_t *row = make_row(s, v, whole);
        put(row, "What", json_string(what_of(v, lower)));
        (void)json_array_append_new(rows, row);
        add_removed_parents(s, versions, i, whole, rows);
    }
    return rows;
}

static fallible entries_rows(const struct seen *s, const struct view_place *at, bool whole, json_t *rows)
{
    own(view_dir) struct view_dir dir = { 0 };
    own_strv struct strv names = { 0 };
    TRY(view_enter(at->name, &at->versions, &dir));
    TRY(view_names(&dir, &names));
    for (size_t i = 0; i < names.n; i++) {
        own(view_versions) struct view_versions found = { 0 };
        TRY(view_look(&dir, names.items[i], VIEW_VISIBLE, &found));
        const struct view_version *v = view_visible(&found);
        if (!v)
            continue;
        own_mem char *quoted = look_quote(names.items[i]);
        own_mem char *name = mem_printf("%s%s", quoted, v->kind == VIEW_DIR ? "/" : "");
        json_t *row = make_row(s, v, whole);
        put(row, "Name", look_json(name));
        (void)json_array_append_new(rows, row);
    }
    return NULL;
}

static fallible blame_run(const void *opts_, struct args args)
{
    const struct blame_opts *o = opts_;
    own(look) struct look *look = NULL;
    own(seen) struct seen *seen = NULL;
    own(view_place) struct view_place at = { 0 };
    TRY(look_open(&look));
    TRY(look_at(look, args.v[0], &seen));
    TRY(look_confine(look, seen, NULL));
    TRY(view_find(seen->view, args.v[1], VIEW_NO_FOLLOW, VIEW_ALL, &at));
    const struct view_version *v = view_visible(&at.versions);
    if (v && v->kind == VIEW_DIR) {
        own_json json_t *rows = json_array();
        TRY(entries_rows(seen, &at, o->no_trunc, rows));
        return table_print(entry_columns, rows, o->format);
    }
    own_json json_t *rows = versions_rows(seen, &at.versions, o->no_trunc);
    return table_print(columns, rows, o->format);
}

const struct command cmd_image_blame = {
    .name = "blame",
    .args = "IMAGE PATH",
    .summary = "Show which layer and instruction made a file",
    .detail =
        "For a file: every layer that added, changed or removed it, oldest first; also for one that is no longer\n"
        "there. For a directory: each entry with the layer that it is seen from.",
    .opts = blame_options,
    .opts_size = sizeof(struct blame_opts),
    .min_args = 2,
    .max_args = 2,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = blame_run,
};
