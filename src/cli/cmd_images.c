/*
 * husk images, husk image ls: list images.
 * Compatible with: docker images, podman images.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cli/cli.h"
#include "cli/images_filter.h"
#include "cli/images_history.h"
#include "cli/table.h"
#include "engine/image_rows.h"
#include "image/ref.h"

struct images_opts {
    bool quiet, no_trunc, digests, all, noheading, tree, history;
    const char *format, *sort;
    struct strv filter;
    bool details, recursive; /* husk image ls IMAGE PATH */
};

static const char *const sort_words[] = { "created", "id", "repository", "size", "tag", NULL };

#define T struct images_opts
#define IMAGES_ROWS                                                                                                    \
    OPT_FLAG('a', "all", T, all, "As with docker: husk keeps no intermediate images, so all are shown anyway"),        \
        OPT_FLAG('q', "quiet", T, quiet, "Only IDs"), OPT_FLAG(0, "no-trunc", T, no_trunc, "Whole IDs"),               \
        OPT_FLAG(0, "digests", T, digests, "With the manifests' digests"),                                             \
        OPT_FLAG(0, "history", T, history, "With the names that each has, and had as far as the events go back"),      \
        OPT_FLAG('n', "noheading", T, noheading, "Without the line above the table"),                                  \
        OPT_FLAG(0, "tree", T, tree, "As `husk image tree`: the layers, and who shares them"),                         \
        OPT_STRS('f', "filter", T, filter, "KEY=VALUE",                                                                \
                 "reference=PATTERN, label=KEY[=VALUE], label!=..., dangling=true, before=IMAGE, since=IMAGE, "        \
                 "until=TIME (or a duration: older than), containers=true, id=ID, digest=DIGEST, manifest=true"),      \
        OPT_STR(0, "format", T, format, "FORMAT", "table, json, or a template such as '{{.Repository}}:{{.Tag}}'"),    \
        OPT_STR(0, "sort", T, sort, "WORD", "By created (default, newest first), id, repository, size or tag",         \
                .words = sort_words)
static const struct opt images_options[] = { IMAGES_ROWS, OPT_END };
static const struct opt ls_options[] = {
    IMAGES_ROWS,
    OPT_GROUP("Files of an image (husk image ls IMAGE PATH)"),
    OPT_FLAG('l', "long", T, details, "With mode, owner, size, time and layer"),
    OPT_FLAG('R', "recursive", T, recursive, "All that is below, too"),
    OPT_END,
};
#undef T

static const struct table_column columns[] = {
    { "REPOSITORY", "Repository" }, { "TAG", "Tag" },   { "IMAGE ID", "ID" },
    { "CREATED", "CreatedSince" },  { "SIZE", "Size" }, { 0 },
};
static const struct table_column digest_columns[] = {
    { "REPOSITORY", "Repository" },
    { "TAG", "Tag" },
    { "DIGEST", "Digest" },
    { "IMAGE ID", "ID" },
    { "CREATED", "CreatedSince" },
    { "SIZE", "Size" },
    { 0 },
};

static const struct table_column history_columns[] = {
    { "REPOSITORY", "Repository" },
    { "TAG", "Tag" },
    { "IMAGE ID", "ID" },
    { "CREATED", "CreatedSince" },
    { "SIZE", "Size" },
    { "HISTORY", "History" },
    { 0 },
};
static const struct table_column digest_history_columns[] = {
    { "REPOSITORY", "Repository" }, { "TAG", "Tag" },   { "DIGEST", "Digest" },   { "IMAGE ID", "ID" },
    { "CREATED", "CreatedSince" },  { "SIZE", "Size" }, { "HISTORY", "History" }, { 0 },
};

static bool wants_history(const struct images_opts *o)
{
    return o->history || (o->format && strstr(o->format, ".History"));
}

static void set_name(json_t *row, const struct image_row *image)
{
    own(ref) struct ref *r = NULL;
    err *e = image->name ? ref_parse(image->name, &r) : NULL;
    err_ignore(e, "shown as <none>");
    own_mem char *familiar = r ? ref_familiar(r) : mem_strdup("<none>");
    const char *tag = r && r->tag ? r->tag : "<none>";
    if (r && r->digest)
        familiar[strcspn(familiar, "@")] = '\0';
    else if (r && r->tag)
        familiar[strlen(familiar) - strlen(r->tag) - 1] = '\0';
    (void)json_object_set_new(row, "Repository", json_string(familiar));
    (void)json_object_set_new(row, "Tag", json_string(tag));
}

/* What is sorted and filtered by, beside what is shown. */
struct row {
    json_t *json;
    int64_t created, bytes;
};

static const char *repository_of(const json_t *row)
{
    return json_string_value(json_object_get(row, "Repository"));
}

/* Podman's fields for templates: what is not printed with a row. */
static void add_unprinted(json_t *row, const struct image_row *image)
{
    json_t *o = table_unprinted(row), *labels = json_object(), *names = json_array(), *digests = json_array();
    for (size_t i = 0; i < image->labels_n; i++) {
        own_mem char *key = mem_strndup(image->labels[i], strcspn(image->labels[i], "="));
        const char *value = image->labels[i] + strlen(key);
        (void)json_object_set_new(labels, key, json_string(value + (*value == '=')));
    }
    if (image->name) {
        (void)json_array_append_new(names, json_string(image->name));
        (void)json_array_append_new(digests, json_sprintf("%s@%s", repository_of(row), image->top));
    }
    (void)json_object_set_new(o, "Labels", labels);
    (void)json_object_set(o, "Names", names);
    (void)json_object_set_new(o, "RepoTags", names);
    (void)json_object_set_new(o, "RepoDigests", digests);
    (void)json_object_set_new(o, "Digests", json_pack("[s]", image->top));
    (void)json_object_set_new(o, "IsManifestList", json_boolean(!str_eq(image->top, image->manifest_digest)));
    (void)json_object_set_new(o, "ReadOnly", json_false());
    (void)json_object_set_new(o, "ParentId", json_string(""));
    (void)json_object_set_new(o, "ConfigDigest", json_string(image->id));
}

/* What docker's and podman's templates ask for besides; a plain list has no time for it. */
static void add_other_words(json_t *row, const struct image_row *image)
{
    static const char *const uncounted[] = { "Containers", "SharedSize", "UniqueSize" }; /* docker says so, too */
    for (size_t i = 0; i < ARRAY_SIZE(uncounted); i++)
        (void)json_object_set_new(row, uncounted[i], json_string("N/A"));
    (void)json_object_set(row, "VirtualSize", json_object_get(row, "Size"));
    (void)json_object_set(row, "Created", json_object_get(row, "CreatedSince"));
    (void)json_object_set(row, "CreatedTime", json_object_get(row, "CreatedAt"));
    (void)json_object_set_new(row, "Id", json_string(digest_hex(image->id)));
    (void)json_object_set_new(row, "Dangling", json_boolean(!image->name));
    add_unprinted(row, image);
}

static struct row make_row(const struct image_row *image, const struct images_opts *o)
{
    char size[32], when[96], at[40];
    struct row r = { json_object(), images_created_ns(image->created), image->bytes };
    const char *id = digest_hex(image->id);
    set_name(r.json, image);
    (void)json_object_set_new(r.json, "ID", o->no_trunc ? json_string(image->id) : json_stringn(id, 12));
    if (o->quiet && !o->format)
        return r;
    (void)json_object_set_new(r.json, "CreatedSince", json_string(r.created ? ago(r.created, when) : "N/A"));
    (void)json_object_set_new(r.json, "Size", json_string(format_bytes((uint64_t)r.bytes, size)));
    if (!o->format && !o->digests) /* of hundreds of images, a quarter of the time for what no column shows */
        return r;
    (void)json_object_set_new(r.json, "Digest", json_string(image->manifest_digest));
    (void)json_object_set_new(r.json, "CreatedAt", json_string(r.created ? format_time_local(r.created, at) : "N/A"));
    if (o->format)
        add_other_words(r.json, image);
    return r;
}

/* ---- order ---- */

static int by_text(const struct row *a, const struct row *b, const char *key)
{
    return strcmp(json_string_value(json_object_get(a->json, key)), json_string_value(json_object_get(b->json, key)));
}
static int by_name(const void *a, const void *b)
{
    int order = by_text(a, b, "Repository");
    return order ? order : by_text(a, b, "Tag");
}
static int by_tag(const void *a, const void *b)
{
    int order = by_text(a, b, "Tag");
    return order ? order : by_text(a, b, "Repository");
}
static int by_id(const void *a, const void *b)
{
    int order = by_text(a, b, "ID");
    return order ? order : by_name(a, b);
}
static int by_size(const void *a_, const void *b_)
{
    const struct row *a = a_, *b = b_;
    return a->bytes != b->bytes ? (a->bytes < b->bytes ? -1 : 1) : by_name(a, b);
}
static int by_created(const void *a_, const void *b_)
{
    const struct row *a = a_, *b = b_;
    return a->created != b->created ? (a->created > b->created ? -1 : 1) : by_name(a, b);
}

static void sort_rows(struct row *rows, size_t n, const char *word)
{
    static int (*const orders[])(const void *a, const void *b) = { by_created, by_id, by_name, by_size, by_tag };
    size_t order = 0;
    for (size_t i = 0; word && sort_words[i]; i++)
        if (str_eq(sort_words[i], word))
            order = i;
    if (n)
        qsort(rows, n, sizeof *rows, orders[order]);
}

static fallible make_rows(struct engine *engine, const struct images_opts *o, const char *pattern, json_t *ret)
{
    own(images_filter) struct images_filter filter = { 0 };
    own(image_rows) struct image_rows *images = NULL;
    size_t rows_n = 0;
    for (size_t i = 0; i < o->filter.n; i++)
        TRY(images_filter_read(engine, o->filter.items[i], &filter));
    own_json json_t *history = NULL;
    TRY(image_rows(engine, &images));
    if (wants_history(o))
        TRY(images_history(engine, &history));
    own_mem struct row *rows = mem_array(NULL, images->n + 1, sizeof *rows);
    for (size_t i = 0; i < images->n; i++) {
        bool passes = !pattern || images_filter_reference(&images->rows[i], pattern);
        if (passes)
            TRY(images_filter_passes(engine, &images->rows[i], &filter, &passes));
        if (!passes)
            continue;
        rows[rows_n] = make_row(&images->rows[i], o);
        own_mem char *names = history ? images_history_of(history, images, &images->rows[i]) : NULL;
        if (names)
            (void)json_object_set_new(rows[rows_n].json, "History", json_string(names));
        rows_n++;
    }
    sort_rows(rows, rows_n, o->sort);
    for (size_t i = 0; i < rows_n; i++)
        (void)json_array_append_new(ret, rows[i].json);
    return NULL;
}

/* An image with several names is one ID. */
static void print_ids(const json_t *rows)
{
    own_strv struct strv seen = { 0 };
    for (size_t i = 0; i < json_array_size(rows); i++) {
        const char *id = json_string_value(json_object_get(json_array_get(rows, i), "ID"));
        if (strv_has(&seen, id))
            continue;
        strv_add(&seen, id);
        printf("%s\n", id);
    }
}

static fallible show_tree(const struct images_opts *o, const char *image)
{
    const char *argv[] = { "husk", "image", "tree", NULL, NULL, NULL };
    size_t n = 3;
    if (o->quiet || o->digests || o->history || o->filter.n || o->sort || o->format)
        return err_new(ERR_INVALID, "--tree goes with --no-trunc alone: see 'husk image tree --help'");
    if (o->no_trunc)
        argv[n++] = "--no-trunc";
    argv[n] = image;
    return exec_program("husk-look", (char *const *)argv);
}

static fallible images_run(const void *opts_, struct args args)
{
    const struct images_opts *o = opts_;
    if (o->tree)
        return show_tree(o, args.n ? args.v[0] : NULL);
    own(engine) struct engine *engine = NULL;
    own_json json_t *rows = json_array();
    TRY(engine_open_to_look(&engine));
    TRY(make_rows(engine, o, args.n ? args.v[0] : NULL, rows));
    const struct table_column *shown = o->history   ? (o->digests ? digest_history_columns : history_columns)
                                       : o->digests ? digest_columns
                                                    : columns;
    if (!o->quiet || o->format)
        return o->noheading ? table_print_bare(shown, rows, o->format) : table_print(shown, rows, o->format);
    print_ids(rows);
    return NULL;
}

/* Two arguments: the files of an image, which docker's `image ls` has no word for. */
static fallible ls_run(const void *opts_, struct args args)
{
    const struct images_opts *o = opts_;
    char *argv[10];
    size_t n = 0;
    if (args.n < 2) {
        if (o->details || o->recursive)
            return err_new(ERR_INVALID, "--long and --recursive are for files: husk image ls IMAGE PATH");
        return images_run(opts_, args);
    }
    if (o->quiet || o->no_trunc || o->digests || o->history || o->filter.n || o->sort || o->noheading || o->tree)
        return err_new(ERR_INVALID, "'%s' '%s': files are listed with --long, --recursive and --format only", args.v[0],
                       args.v[1]);
    argv[n++] = (char *)"husk";
    argv[n++] = (char *)"image";
    argv[n++] = (char *)"files";
    if (o->details)
        argv[n++] = (char *)"--long";
    if (o->recursive)
        argv[n++] = (char *)"--recursive";
    own_mem char *format = o->format ? mem_printf("--format=%s", o->format) : NULL;
    if (format)
        argv[n++] = format;
    argv[n++] = args.v[0];
    argv[n++] = args.v[1];
    argv[n] = NULL;
    return exec_program("husk-look", argv);
}

const struct command cmd_images = {
    .name = "images",
    .args = "[NAME]",
    .summary = "List images",
    .opts = images_options,
    .opts_size = sizeof(struct images_opts),
    .max_args = 1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = images_run,
};
const struct command cmd_image_ls = {
    .name = "ls",
    .args = "[NAME] | IMAGE PATH",
    .summary = "List images, or files of one",
    .opts = ls_options,
    .opts_size = sizeof(struct images_opts),
    .max_args = 2,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = ls_run,
};
