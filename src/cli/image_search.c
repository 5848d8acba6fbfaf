/*
 * husk search, husk image tags: what a registry has.
 * Compatible with: docker search, podman search.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/log.h"
#include "cli/image_common.h"
#include "cli/image_remote.h"
#include "cli/table.h"
#include "image/search.h"

struct search_opts {
    bool no_trunc, list_tags, compatible;
    const char *format;
    struct strv filters;
    struct opt_i64 limit;
    struct remote_opts remote;
};
enum { LIMIT_DEFAULT = 25, LIMIT_MAX = 100, DESCRIPTION_WIDTH = 45 };

#define T struct search_opts
static const struct opt search_rows[] = {
    OPT_FLAG(0, "compatible", T, compatible, "With the column AUTOMATED, as docker once had it: no registry says it"),
    OPT_STRS('f', "filter", T, filters, "KEY=VALUE",
             "Only those with is-official=true|false, stars=NUMBER or more, is-automated=true|false (none is)"),
    OPT_STR(0, "format", T, format, "json|TEMPLATE", "Print this for each"),
    OPT_I64(0, "limit", T, limit, "NUMBER", "At most so many of each registry, 1 to 100 (default 25; tags: all)"),
    OPT_FLAG(0, "list-tags", T, list_tags, "The tags of a repository instead"),
    OPT_FLAG(0, "no-trunc", T, no_trunc, "Whole descriptions"),
    REMOTE_OPTIONS(T),
    OPT_END,
};
#undef T
struct tags_opts {
    const char *format;
    struct remote_opts remote;
};
#define T struct tags_opts
static const struct opt tags_rows[] = {
    OPT_STR(0, "format", T, format, "json|TEMPLATE", "Print this for each tag: its fields are Name and Tag"),
    REMOTE_OPTIONS(T),
    OPT_END,
};
#undef T

/* ---- tags ---- */

static const struct table_column tag_columns[] = { { "NAME", "Name" }, { "TAG", "Tag" }, { NULL, NULL } };

static fallible list_tags(const struct remote_opts *o, const char *text, struct ref **ret_ref, struct strv *ret_tags)
{
    own(ref) struct ref *ref = NULL;
    own(remote) struct remote *remote = NULL;
    own(registry) struct registry *registry = NULL;
    own_strv struct strv names = { 0 };
    const char *slash = strrchr(text, '/');
    if (strpbrk(slash ? slash : text, ":@"))
        return err_new(ERR_INVALID, "'%.300s': name a repository, without a tag or a digest", text);
    TRY(remote_resolve(text, &names));
    TRY(ref_parse(names.items[0], &ref));
    TRY(remote_prepare(o, ref, REGISTRY_PULL, &remote));
    TRY(image_confine(NULL, -1));
    TRY(registry_open(ref, &remote->options, &registry));
    TRY_AS(registry_list_tags(registry, ret_tags), "tags of '%s/%s'", ref->registry, ref->repository);
    *ret_ref = take(ref);
    return NULL;
}

static json_t *tag_rows(const struct ref *ref, const struct strv *tags)
{
    json_t *rows = json_array();
    own_mem char *name = mem_printf("%s/%s", ref->registry, ref->repository);
    for (size_t i = 0; i < tags->n; i++) {
        own_mem char *tag = http_printable(tags->items[i], 128);
        json_array_append_new(rows, json_pack("{s:s, s:s}", "Name", name, "Tag", tag));
    }
    return rows;
}

static fallible tags_run(const void *opts_, struct args args)
{
    const struct tags_opts *o = opts_;
    own(ref) struct ref *ref = NULL;
    own_strv struct strv tags = { 0 };
    TRY(list_tags(&o->remote, args.v[0], &ref, &tags));
    own_json json_t *rows = tag_rows(ref, &tags);
    return table_print(tag_columns, rows, o->format ? o->format : "{{.Tag}}");
}

/* ---- search ---- */

struct filter {
    int64_t stars;
    int official; /* -1: either */
    bool automated;
};

static fallible read_filters(const struct strv *words, struct filter *ret)
{
    *ret = (struct filter){ .official = -1 };
    for (size_t i = 0; i < words->n; i++) {
        const char *word = words->items[i];
        bool yes = false;
        if (str_starts(word, "stars=")) {
            TRY_AS(parse_i64(word + strlen("stars="), 0, INT64_MAX, &ret->stars), "--filter stars");
        } else if (str_starts(word, "is-official=")) {
            TRY_AS(parse_bool(word + strlen("is-official="), &yes), "--filter is-official");
            ret->official = yes;
        } else if (str_starts(word, "is-automated=")) {
            TRY_AS(parse_bool(word + strlen("is-automated="), &ret->automated), "--filter is-automated");
        } else {
            return err_new(ERR_INVALID,
                           "--filter '%.100s' is not one of is-official=true|false, is-automated=true|false, "
                           "stars=NUMBER",
                           word);
        }
    }
    return NULL;
}

static void keep_rows(json_t *rows, const struct filter *f, bool whole, const char *registry)
{
    for (size_t i = json_array_size(rows); i-- > 0;) {
        json_t *row = json_array_get(rows, i);
        bool official = json_is_true(json_object_get(row, "IsOfficial"));
        const char *text = json_string_value(json_object_get(row, "Description"));
        if (json_integer_value(json_object_get(row, "StarCount")) < f->stars ||
            (f->official >= 0 && official != (f->official == 1)) || f->automated) {
            json_array_remove(rows, i);
            continue;
        }
        if (!whole && text[table_bytes_of(text, DESCRIPTION_WIDTH)]) {
            own_mem char *cut = mem_printf("%.*s...", (int)table_bytes_of(text, DESCRIPTION_WIDTH - 3), text);
            json_object_set_new(row, "Description", json_string(cut));
        }
        if (strcmp(registry, "docker.io") != 0) { /* so that the name can be pulled as it is printed */
            own_mem char *full = mem_printf("%s/%s", registry, json_string_value(json_object_get(row, "Name")));
            json_object_set_new(row, "Name", json_string(full));
        }
        json_object_set_new(row, "Official", json_string(official ? "[OK]" : ""));
        /* docker's and podman's other names */
        json_object_set_new(row, "Index", json_string(registry));
        json_object_set(row, "Stars", json_object_get(row, "StarCount"));
        json_object_set_new(row, "Automated", json_string(""));
        json_object_set_new(row, "IsAutomated", json_false());
    }
}

static const struct table_column search_columns[] = {
    { "NAME", "Name" }, { "DESCRIPTION", "Description" }, { "STARS", "StarCount" }, { "OFFICIAL", "Official" },
    { NULL, NULL },
};
static const struct table_column compatible_columns[] = {
    { "NAME", "Name" },         { "DESCRIPTION", "Description" }, { "STARS", "StarCount" },
    { "OFFICIAL", "Official" }, { "AUTOMATED", "Automated" },     { NULL, NULL },
};

struct target {
    char *registry, *term;
    struct remote *remote;
};

static void target_clear(struct target *t)
{
    free(t->registry);
    free(t->term);
    remote_free(t->remote);
}

/* "HOST/TERM" is asked there; a TERM alone where names without a registry are looked for. */
static fallible find_targets(const struct search_opts *o, const char *text, struct target **ret, size_t *ret_n)
{
    own_strv struct strv registries = { 0 };
    const char *slash = strchr(text, '/'), *term = text;
    size_t first = slash ? (size_t)(slash - text) : 0;
    if (slash && (memchr(text, '.', first) || memchr(text, ':', first) || strncmp(text, "localhost/", 10) == 0)) {
        strv_add_take(&registries, mem_strndup(text, first));
        term = slash + 1;
    } else {
        TRY(remote_search_list(&registries));
    }
    struct target *targets = mem_zalloc((registries.n + 1) * sizeof *targets);
    *ret = targets;
    *ret_n = 0;
    for (size_t i = 0; i < registries.n; i++) {
        own(ref) struct ref *ref = NULL;
        own_mem char *any = mem_printf("%s/x", registries.items[i]);
        TRY(ref_parse(any, &ref));
        targets[i].term = mem_strdup(term);
        targets[i].registry = take(ref->registry);
        *ret_n = i + 1;
        ref->registry = mem_strdup(targets[i].registry);
        TRY(remote_prepare(&o->remote, ref, REGISTRY_PULL, &targets[i].remote));
    }
    return NULL;
}

static fallible read_limit(const struct search_opts *o, int64_t *ret)
{
    *ret = o->limit.set ? o->limit.v : LIMIT_DEFAULT;
    return *ret >= 1 && *ret <= LIMIT_MAX
               ? NULL
               : err_new(ERR_INVALID, "--limit: %lld is not between 1 and %d", (long long)*ret, LIMIT_MAX);
}

static fallible search_all(const struct search_opts *o, const struct target *targets, size_t n, size_t limit)
{
    own_json json_t *all = json_array();
    struct filter filter;
    TRY(read_filters(&o->filters, &filter));
    TRY(image_confine(NULL, -1));
    for (size_t i = 0; i < n; i++) {
        own_json json_t *rows = NULL;
        err *e = registry_search(targets[i].registry, targets[i].term, limit, &targets[i].remote->options, &rows);
        if (e && n == 1)
            return e;
        if (e) {
            log_warn("%s: %s", targets[i].registry, err_text(e));
            err_ignore(e, "the others are asked all the same");
            continue;
        }
        keep_rows(rows, &filter, o->no_trunc, targets[i].registry);
        json_array_extend(all, rows);
    }
    return table_print(o->compatible ? compatible_columns : search_columns, all, o->format);
}

static fallible search_run(const void *opts_, struct args args)
{
    const struct search_opts *o = opts_;
    int64_t limit = 0;
    TRY(read_limit(o, &limit));
    if (o->list_tags) {
        own(ref) struct ref *ref = NULL;
        own_strv struct strv tags = { 0 };
        if (o->filters.n || o->compatible)
            return err_new(ERR_INVALID, "--list-tags: a tag has nothing that --%s could look at",
                           o->compatible ? "compatible" : "filter");
        TRY(list_tags(&o->remote, args.v[0], &ref, &tags));
        own_json json_t *rows = tag_rows(ref, &tags);
        while (o->limit.set && json_array_size(rows) > (size_t)limit)
            (void)json_array_remove(rows, json_array_size(rows) - 1);
        return table_print(tag_columns, rows, o->format);
    }
    struct target *targets = NULL;
    size_t n = 0;
    if (!*args.v[0])
        return err_new(ERR_INVALID, "there is nothing to search for");
    err *e = find_targets(o, args.v[0], &targets, &n);
    if (!e)
        e = search_all(o, targets, n, (size_t)limit);
    for (size_t i = 0; i < n; i++)
        target_clear(&targets[i]);
    free(targets);
    return e;
}

const struct command cmd_search = {
    .name = "search",
    .args = "TERM",
    .summary = "Search a registry for images",
    .detail = "TERM is HOST/TERM, or a word alone for the registries where names without one are looked for "
              "(registries.conf's\n"
              "unqualified-search-registries, else docker.io). A registry that cannot be searched is asked for the "
              "list of all\n"
              "that it has.\n"
              "\n" REMOTE_DETAIL,
    .opts = search_rows,
    .opts_size = sizeof(struct search_opts),
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .run = search_run,
};
const struct command cmd_tags = {
    .name = "tags",
    .args = "REPOSITORY",
    .summary = "List the tags that a registry has of a repository",
    .detail = REMOTE_DETAIL,
    .opts = tags_rows,
    .opts_size = sizeof(struct tags_opts),
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .run = tags_run,
};
