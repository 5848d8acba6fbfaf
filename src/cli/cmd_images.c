/*
 * husk images, husk image ls: list images.
 * Compatible with: docker images, podman images.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "image/ref.h"
#include "layers/layer.h"

struct images_opts {
    bool quiet, no_trunc, digests, all;
    const char *format;
    struct strv filter;
};

#define T struct images_opts
static const struct opt images_options[] = {
    OPT_FLAG('a', "all", T, all, "As with docker: husk keeps no intermediate images, so all are shown anyway"),
    OPT_FLAG('q', "quiet", T, quiet, "Only IDs"),
    OPT_FLAG(0, "no-trunc", T, no_trunc, "Whole IDs"),
    OPT_FLAG(0, "digests", T, digests, "With the manifests' digests"),
    OPT_STRS('f', "filter", T, filter, "KEY=VALUE", "reference=PATTERN, label=KEY[=VALUE]"),
    OPT_STR(0, "format", T, format, "FORMAT", "table, json, or a template such as '{{.Repository}}:{{.Tag}}'"),
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

static int64_t unpacked_bytes(struct layout *l, const struct image *image)
{
    int64_t sum = 0, n;
    for (size_t i = 0; i < image->config->rootfs->diff_ids.n; i++) {
        err *e = layer_size(l, image->config->rootfs->diff_ids.items[i], &n);
        if (e)
            err_ignore(e, "a missing layer counts nothing");
        else
            sum += n;
    }
    return sum;
}

static void set_name(json_t *row, const struct image *image)
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

static json_t *make_row(struct layout *l, const struct image *image, bool whole)
{
    char size[32], when[96];
    int64_t created = 0;
    json_t *row = json_object();
    const char *id = digest_hex(image->id);
    set_name(row, image);
    (void)json_object_set_new(row, "ID", whole ? json_string(image->id) : json_stringn(id, 12));
    (void)json_object_set_new(row, "Digest", json_string(image->manifest_digest));
    err *e = image->config->created ? parse_time_ns(image->config->created, &created) : NULL;
    err_ignore(e, "a time that cannot be read is not shown");
    (void)json_object_set_new(row, "CreatedAt", json_string(image->config->created ? image->config->created : ""));
    (void)json_object_set_new(row, "CreatedSince", json_string(created ? ago(created, when) : "N/A"));
    (void)json_object_set_new(row, "Size", json_string(format_bytes((uint64_t)unpacked_bytes(l, image), size)));
    return row;
}

/* '*' for any text, '?' for one letter. */
static bool glob(const char *pattern, const char *text)
{
    if (*pattern == '*')
        return glob(pattern + 1, text) || (*text && glob(pattern, text + 1));
    if (!*pattern || !*text)
        return *pattern == *text;
    return (*pattern == '?' || *pattern == *text) && glob(pattern + 1, text + 1);
}

static bool reference_matches(const struct image *image, const char *pattern)
{
    own(ref) struct ref *r = NULL;
    err *e = image->name ? ref_parse(image->name, &r) : NULL;
    if (e || !r) {
        err_ignore(e, "no reference, no match");
        return false;
    }
    own_mem char *familiar = ref_familiar(r);
    if (glob(pattern, familiar))
        return true;
    if (r->tag)
        familiar[strlen(familiar) - strlen(r->tag) - 1] = '\0';
    return glob(pattern, familiar);
}

static fallible passes(const struct image *image, const struct strv *filters, bool *ret)
{
    *ret = true;
    for (size_t i = 0; *ret && i < filters->n; i++) {
        const char *f = filters->items[i];
        if (str_starts(f, "reference=")) {
            *ret = reference_matches(image, f + 10);
        } else if (str_starts(f, "label=")) {
            size_t n = strcspn(f + 6, "=");
            own_mem char *key = mem_strndup(f + 6, n);
            const char *value = image->config->config ? strmap_get(&image->config->config->labels, key) : NULL;
            *ret = value && (!f[6 + n] || strcmp(value, f + 6 + n + 1) == 0);
        } else {
            return err_new(ERR_INVALID, "--filter: '%s' is not one of reference=, label=", f);
        }
    }
    return NULL;
}

static fallible add_rows(struct layout *l, const struct images_opts *o, const char *pattern, json_t *rows)
{
    struct image **images = NULL;
    size_t n = 0;
    err *first = NULL;
    TRY(image_list(l, &images, &n));
    for (size_t i = 0; i < n; i++) {
        bool wanted = !pattern || reference_matches(images[i], pattern);
        if (!first && wanted)
            first = passes(images[i], &o->filter, &wanted);
        if (!first && wanted)
            (void)json_array_append_new(rows, make_row(l, images[i], o->no_trunc));
        image_free(images[i]);
    }
    free(images);
    return first;
}

static fallible images_run(const void *opts_, struct args args)
{
    const struct images_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_json json_t *rows = json_array();
    struct layout *layout;
    TRY(engine_open(&engine));
    TRY(engine_layout(engine, &layout));
    TRY(add_rows(layout, o, args.n ? args.v[0] : NULL, rows));
    if (!o->quiet || o->format)
        return table_print(o->digests ? digest_columns : columns, rows, o->format);
    for (size_t i = 0; i < json_array_size(rows); i++)
        printf("%s\n", json_string_value(json_object_get(json_array_get(rows, i), "ID")));
    return NULL;
}

#define IMAGES_COMMAND(word)                                                                                           \
    {                                                                                                                  \
        .name = word, .args = "[NAME]", .summary = "List images", .opts = images_options,                              \
        .opts_size = sizeof(struct images_opts), .max_args = 1, .complete_args = COMPLETE_IMAGE, .fail_exit = 1,       \
        .run = images_run,                                                                                             \
    }
const struct command cmd_images = IMAGES_COMMAND("images");
const struct command cmd_image_ls = IMAGES_COMMAND("ls");
