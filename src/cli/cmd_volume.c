/*
 * husk volume: directories that outlive containers.
 * Compatible with: docker volume, podman volume.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cli/cli.h"
#include "cli/inspect_docs.h"
#include "cli/table.h"
#include "engine/grammar.h"
#include "engine/volume.h"

struct volume_opts {
    struct strv label, filter;
    bool quiet, force, all;
    const char *format;
};

#define T struct volume_opts
static const struct opt create_options[] = {
    OPT_STRS('l', "label", T, label, "KEY=VALUE", "A label"),
    OPT_END,
};
static const struct opt ls_options[] = {
    OPT_FLAG('q', "quiet", T, quiet, "Only names"),
    OPT_STRS('f', "filter", T, filter, "KEY=VALUE", "name=TEXT, label=KEY[=VALUE], dangling=BOOL"),
    OPT_STR(0, "format", T, format, "FORMAT", "table, json, or a template such as '{{.Name}}'"),
    OPT_END,
};
static const struct opt inspect_options[] = {
    OPT_STR('f', "format", T, format, "FORMAT", "json, or a template such as '{{.Mountpoint}}'"),
    OPT_END,
};
static const struct opt rm_options[] = {
    OPT_FLAG('f', "force", T, force, "A missing one is no error"),
    OPT_END,
};
static const struct opt prune_options[] = {
    OPT_FLAG('a', "all", T, all, "Those with names too"),
    OPT_FLAG('f', "force", T, force, "As with docker: husk never asks"),
    OPT_END,
};
#undef T

static const struct table_column columns[] = { { "DRIVER", "Driver" }, { "VOLUME NAME", "Name" }, { 0 } };

static fallible create_run(const void *opts_, struct args args)
{
    const struct volume_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    struct strmap labels = { 0 };
    own_mem char *name = NULL;
    err *e = engine_open(&engine);
    for (size_t i = 0; !e && i < o->label.n; i++)
        e = grammar_label(o->label.items[i], &labels);
    if (!e && args.n)
        e = volume_create(engine, args.v[0], &labels);
    else if (!e)
        e = volume_create_anonymous(engine, &name);
    strmap_free(&labels);
    if (err_is(e, ERR_EXISTS)) { /* docker: creating what is there is fine */
        err_free(e);
        e = NULL;
    }
    TRY(e);
    printf("%s\n", args.n ? args.v[0] : name);
    return NULL;
}

static fallible passes(struct db *db, const struct db_volume *v, const struct strv *filters, bool *ret)
{
    *ret = true;
    for (size_t i = 0; *ret && i < filters->n; i++) {
        const char *f = filters->items[i];
        bool wish;
        if (str_starts(f, "name=")) {
            *ret = strstr(v->name, f + 5) != NULL;
        } else if (str_starts(f, "label=")) {
            own_json json_t *labels = json_loads(v->labels, 0, NULL);
            size_t n = strcspn(f + 6, "=");
            own_mem char *key = mem_strndup(f + 6, n);
            const char *value = json_string_value(json_object_get(labels, key));
            *ret = value && (!f[6 + n] || strcmp(value, f + 6 + n + 1) == 0);
        } else if (str_starts(f, "dangling=")) {
            own_strv struct strv users = { 0 };
            TRY_AS(parse_bool(f + 9, &wish), "--filter dangling");
            TRY(db_volume_users(db, v->name, &users));
            *ret = (users.n == 0) == wish;
        } else {
            return err_new(ERR_INVALID, "--filter: '%s' is not one of name=, label=, dangling=", f);
        }
    }
    return NULL;
}

static fallible ls_rows(struct engine *engine, const struct volume_opts *o, json_t *rows)
{
    struct db *db = NULL;
    struct db_volume *volumes = NULL;
    size_t n = 0;
    err *first = NULL;
    TRY(engine_db_if_there(engine, &db));
    if (db)
        TRY(db_volume_list(db, &volumes, &n));
    for (size_t i = 0; i < n; i++) {
        bool wanted = false;
        if (!first)
            first = passes(db, &volumes[i], &o->filter, &wanted);
        if (wanted)
            (void)json_array_append_new(rows, inspect_volume(engine, &volumes[i]));
        db_volume_clear(&volumes[i]);
    }
    free(volumes);
    return first;
}

static fallible ls_run(const void *opts_, struct args args)
{
    const struct volume_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_json json_t *rows = json_array();
    TRY(engine_open(&engine));
    TRY(ls_rows(engine, o, rows));
    if (!o->quiet || o->format)
        return table_print(columns, rows, o->format);
    for (size_t i = 0; i < json_array_size(rows); i++)
        printf("%s\n", json_string_value(json_object_get(json_array_get(rows, i), "Name")));
    return NULL;
}

struct each {
    struct engine *engine;
    const struct volume_opts *opts;
    json_t *docs;
};

static err *inspect_one(const char *name, void *ctx)
{
    struct each *each = ctx;
    struct db *db = NULL;
    struct db_volume v;
    TRY(engine_db_if_there(each->engine, &db));
    if (!db)
        return err_new(ERR_NOT_FOUND, "no such volume: '%s'", name);
    TRY(db_volume_find(db, name, &v));
    (void)json_array_append_new(each->docs, inspect_volume(each->engine, &v));
    db_volume_clear(&v);
    return NULL;
}

static fallible inspect_run(const void *opts_, struct args args)
{
    const struct volume_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_json json_t *docs = json_array();
    TRY(engine_open(&engine));
    TRY(command_each("husk volume inspect", args, inspect_one, &(struct each){ engine, o, docs }));
    return inspect_print(docs, o->format);
}

static err *rm_one(const char *name, void *ctx)
{
    const struct each *each = ctx;
    err *e = volume_remove(each->engine, name);
    if (each->opts->force && err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    printf("%s\n", name);
    return NULL;
}

static fallible rm_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    TRY(engine_open(&engine));
    return command_each("husk volume rm", args, rm_one, &(struct each){ engine, opts_, NULL });
}

static fallible prune_run(const void *opts_, struct args args)
{
    const struct volume_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_strv struct strv removed = { 0 };
    uint64_t bytes = 0;
    char size[32];
    TRY(engine_open(&engine));
    TRY(volume_prune(engine, o->all, &removed, &bytes));
    for (size_t i = 0; i < removed.n; i++)
        printf("%s\n", removed.items[i]);
    printf("Total reclaimed space: %s\n", format_bytes(bytes, size));
    return NULL;
}

#define VOLUME_COMMAND(id, word, what, arguments, min, max)                                                            \
    static const struct command cmd_volume_##id = {                                                                    \
        .name = word,                                                                                                  \
        .args = arguments,                                                                                             \
        .summary = what,                                                                                               \
        .opts = id##_options,                                                                                          \
        .opts_size = sizeof(struct volume_opts),                                                                       \
        .min_args = min,                                                                                               \
        .max_args = max,                                                                                               \
        .complete_args = COMPLETE_VOLUME,                                                                              \
        .fail_exit = 1,                                                                                                \
        .run = id##_run,                                                                                               \
    }
VOLUME_COMMAND(create, "create", "Make a volume", "[NAME]", 0, 1);
VOLUME_COMMAND(ls, "ls", "List volumes", NULL, 0, 0);
VOLUME_COMMAND(inspect, "inspect", "Show everything about volumes", "VOLUME...", 1, -1);
VOLUME_COMMAND(rm, "rm", "Remove volumes that no container uses", "VOLUME...", 1, -1);
VOLUME_COMMAND(prune, "prune", "Remove anonymous volumes that no container uses", NULL, 0, 0);

static const struct command *const volume_commands[] = {
    &cmd_volume_create, &cmd_volume_inspect, &cmd_volume_ls, &cmd_volume_prune, &cmd_volume_rm, NULL,
};

const struct command cmd_volume = {
    .name = "volume",
    .args = "COMMAND",
    .summary = "Manage volumes",
    .sub = volume_commands,
};
