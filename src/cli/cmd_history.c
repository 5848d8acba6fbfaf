/*
 * husk history: how an image was made, newest step first.
 * Compatible with: docker history, podman history.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "layers/layer.h"

struct history_opts {
    bool no_trunc, quiet;
    struct opt_bool human;
    const char *format, *platform;
};

#define T struct history_opts
static const struct opt history_options[] = {
    OPT_FLAG(0, "no-trunc", T, no_trunc, "Whole commands"),
    OPT_FLAG('q', "quiet", T, quiet, "Only IDs"),
    OPT_SWITCH('H', "human", T, human, "Sizes and times for people (default); --human=false: bytes and dates"),
    OPT_STR(0, "format", T, format, "FORMAT", "table, json, or a template such as '{{.CreatedBy}}'"),
    OPT_STR(0, "platform", T, platform, "OS/ARCH[/VARIANT]", "Of a multi-platform image (default: this machine's)"),
    OPT_END,
};
#undef T

static const struct table_column columns[] = {
    { "IMAGE", "ID" },  { "CREATED", "CreatedSince" }, { "CREATED BY", "CreatedBy" },
    { "SIZE", "Size" }, { "COMMENT", "Comment" },      { 0 },
};

enum { SHOWN_MAX = 45 }; /* characters, as docker counts them */

static char *one_line(const char *text, bool whole)
{
    own_mem char *line = mem_printf("%s", text ? text : "");
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < ' ' || *p == 0x7f)
            *p = ' ';
    if (whole || !line[table_bytes_of(line, SHOWN_MAX)])
        return take(line);
    return mem_printf("%.*s\xe2\x80\xa6", (int)table_bytes_of(line, SHOWN_MAX - 1), line);
}

static json_t *make_row(const struct oci_history *h, int64_t bytes, const char *id, const struct history_opts *o)
{
    bool whole = o->no_trunc, human = !o->human.set || o->human.v;
    char size[32], when[96];
    int64_t created = 0;
    own_mem char *by = one_line(h->created_by, whole), *comment = one_line(h->comment, whole);
    err_ignore(h->created ? parse_time_ns(h->created, &created) : NULL, "a time that cannot be read is not shown");
    json_t *row = json_object();
    (void)json_object_set_new(row, "ID", json_string(id));
    (void)json_object_set_new(row, "CreatedSince",
                              json_string(!created ? "N/A"
                                          : human  ? ago(created, when)
                                                   : h->created));
    (void)json_object_set_new(row, "CreatedAt", json_string(h->created ? h->created : ""));
    (void)json_object_set_new(row, "CreatedBy", json_string(by));
    (void)json_object_set_new(
        row, "Size", human ? json_string(format_bytes((uint64_t)bytes, size)) : json_sprintf("%lld", (long long)bytes));
    (void)json_object_set_new(row, "Comment", json_string(comment));
    /* podman's other words */
    (void)json_object_set(row, "Created", json_object_get(row, "CreatedSince"));
    (void)json_object_set_new(row, "Tags", json_array());
    return row;
}

static json_t *make_rows(struct layout *l, const struct image *image, const struct history_opts *o)
{
    const struct oci_image_config *c = image->config;
    json_t *rows = json_array();
    size_t layer = 0;
    for (size_t i = 0; i < c->history_n; i++) {
        int64_t bytes = 0;
        own_mem char *id = i + 1 < c->history_n ? mem_strdup("<missing>")
                           : o->no_trunc        ? mem_strdup(image->id)
                                                : mem_printf("%.12s", image->id + strlen("sha256:"));
        if (!c->history[i].empty_layer && layer < c->rootfs->diff_ids.n)
            err_ignore(layer_size(l, c->rootfs->diff_ids.items[layer++], &bytes), "a missing layer counts nothing");
        (void)json_array_insert_new(rows, 0, make_row(&c->history[i], bytes, id, o));
    }
    return rows;
}

static fallible history_run(const void *opts_, struct args args)
{
    const struct history_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(image) struct image *image = NULL;
    struct layout *layout;
    TRY(engine_open_to_look(&engine));
    TRY(engine_layout(engine, &layout));
    TRY(image_find_here(layout, args.v[0], o->platform, &image));
    own_json json_t *rows = make_rows(layout, image, o);
    for (size_t i = 0; o->quiet && !o->format && i < json_array_size(rows); i++)
        printf("%s\n", json_string_value(json_object_get(json_array_get(rows, i), "ID")));
    if (o->quiet && !o->format)
        return NULL;
    return table_print(columns, rows, o->format);
}

const struct command cmd_history = {
    .name = "history",
    .args = "IMAGE",
    .summary = "Show how an image was made",
    .opts = history_options,
    .opts_size = sizeof(struct history_opts),
    .min_args = 1,
    .max_args = 1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = history_run,
};
