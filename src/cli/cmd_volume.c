/*
 * husk volume: directories that outlive containers.
 * Compatible with: docker volume, podman volume.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/inspect_docs.h"
#include "cli/table.h"
#include "engine/grammar.h"
#include "engine/volume.h"

struct volume_opts {
    struct strv label, filter;
    bool quiet, force, all, dry_run;
    const char *format, *output;
};

#define T struct volume_opts
static const struct opt create_options[] = {
    OPT_STRS('l', "label", T, label, "KEY=VALUE", "A label"),
    OPT_END,
};
static const struct opt ls_options[] = {
    OPT_FLAG('q', "quiet", T, quiet, "Only names"),
    OPT_STRS('f', "filter", T, filter, "KEY=VALUE",
             "name=TEXT, label=KEY[=VALUE], label!=KEY[=VALUE], dangling=BOOL, anonymous=BOOL, until=TIME"),
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
    OPT_STRS(0, "filter", T, filter, "KEY=VALUE", "name=TEXT, label=KEY[=VALUE], label!=KEY[=VALUE], until=TIME"),
    OPT_FLAG(0, "dry-run", T, dry_run, "Only say what would be removed"),
    OPT_END,
};
static const struct opt export_options[] = {
    OPT_STR('o', "output", T, output, "FILE", "Write to a file instead of standard output"),
    OPT_END,
};
static const struct opt import_options[] = { OPT_END };
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
            first = volume_passes(db, &volumes[i], &o->filter, &wanted);
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
    struct volume_prune_options prune = { o->all, o->dry_run, &o->filter };
    TRY(volume_prune(engine, &prune, &removed, &bytes));
    for (size_t i = 0; i < removed.n; i++)
        printf("%s\n", removed.items[i]);
    printf("Total reclaimed space: %s\n", format_bytes(bytes, size));
    return NULL;
}

static fallible export_run(const void *opts_, struct args args)
{
    const struct volume_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    bool file = o->output && strcmp(o->output, "-") != 0;
    if (!file && isatty(STDOUT_FILENO))
        return err_new(ERR_INVALID, "an archive is not for a terminal: use --output, or redirect our output");
    TRY(engine_open(&engine));
    own_fd int fd = file ? open(o->output, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (file && fd < 0)
        return err_sys(errno, "--output: open '%s'", o->output);
    err *e = volume_export(engine, args.v[0], file ? fd : STDOUT_FILENO);
    if (e && file)
        (void)unlink(o->output); /* half an archive is none */
    return e;
}

static fallible import_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    bool file = args.n > 1 && strcmp(args.v[1], "-") != 0;
    TRY(engine_open(&engine));
    own_fd int fd = file ? open(args.v[1], O_RDONLY | O_CLOEXEC) : -1;
    if (file && fd < 0)
        return err_sys(errno, "open '%s'", args.v[1]);
    return volume_import(engine, args.v[0], file ? fd : STDIN_FILENO);
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
VOLUME_COMMAND(export, "export", "Write a volume's content as a tar archive", "VOLUME", 1, 1);
VOLUME_COMMAND(import, "import", "Unpack a tar archive into a volume", "VOLUME [FILE|-]", 1, 2);
VOLUME_COMMAND(prune, "prune", "Remove anonymous volumes that no container uses", NULL, 0, 0);

static const struct command *const volume_commands[] = {
    &cmd_volume_create, &cmd_volume_export, &cmd_volume_import, &cmd_volume_inspect,
    &cmd_volume_ls,     &cmd_volume_prune,  &cmd_volume_rm,     NULL,
};

const struct command cmd_volume = {
    .name = "volume",
    .args = "COMMAND",
    .summary = "Manage volumes",
    .sub = volume_commands,
};
