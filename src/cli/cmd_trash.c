/*
 * husk undo, husk trash: what was removed, back again or gone for good.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "cli/table.h"
#include "engine/image_remove.h"
#include "engine/trash.h"

struct trash_opts {
    const char *name, *format;
    bool quiet;
};
#define T struct trash_opts
static const struct opt undo_options[] = {
    OPT_STR(0, "name", T, name, "NAME", "Under another name; for an entry with one object"),
    OPT_END,
};
static const struct opt ls_options[] = {
    OPT_FLAG('q', "quiet", T, quiet, "Only IDs"),
    OPT_STR(0, "format", T, format, "FORMAT", "table, json, or a template such as '{{.ID}} {{.Names}}'"),
    OPT_END,
};
static const struct opt empty_options[] = { OPT_END };
#undef T

static fallible entry_id(const char *text, int64_t *ret)
{
    TRY_AS(parse_i64(text, 1, INT64_MAX, ret), "'%s' is no entry of the trash", text);
    return NULL;
}

static fallible undo_run(const void *opts_, struct args args)
{
    const struct trash_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_strv struct strv lines = { 0 };
    int64_t entry = 0;
    if (args.n)
        TRY(entry_id(args.v[0], &entry));
    TRY(engine_open(&engine));
    err *e = trash_undo(engine, entry, o->name, &lines);
    for (size_t i = 0; i < lines.n; i++)
        printf("%s\n", lines.items[i]);
    return e;
}

static const struct table_column columns[] = {
    { "ID", "ID" }, { "REMOVED", "Removed" }, { "COMMAND", "Command" }, { "SIZE", "Size" }, { "NAMES", "Names" }, { 0 },
};

static json_t *entry_row(const struct db_trash *t)
{
    json_t *row = json_object();
    char when[96], at[40], size[32];
    (void)json_object_set_new(row, "ID", json_sprintf("%lld", (long long)t->id));
    (void)json_object_set_new(row, "Removed", json_string(ago(t->at_ns, when)));
    (void)json_object_set_new(row, "RemovedAt", json_string(format_time_ns(t->at_ns, at)));
    (void)json_object_set_new(row, "Command", json_string(t->command));
    (void)json_object_set_new(row, "Size", json_string(format_bytes((uint64_t)t->bytes, size)));
    (void)json_object_set_new(row, "RawSize", json_integer(t->bytes));
    (void)json_object_set_new(row, "Names", json_string(t->names ? t->names : ""));
    (void)json_object_set_new(row, "Containers", json_integer(t->containers));
    (void)json_object_set_new(row, "Volumes", json_integer(t->volumes));
    (void)json_object_set_new(row, "Pods", json_integer(t->pods));
    (void)json_object_set_new(row, "Networks", json_integer(t->networks));
    (void)json_object_set_new(row, "Images", json_integer(t->images));
    return row;
}

static fallible ls_run(const void *opts_, struct args args)
{
    const struct trash_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(db_trash_list) struct db_trash_list l = { 0 };
    own_json json_t *rows = json_array();
    struct db *db = NULL;
    TRY(engine_open_to_look(&engine));
    TRY(engine_db_if_there(engine, &db));
    if (db)
        TRY(db_trash_list(db, &l));
    for (size_t i = l.n; i-- > 0;)
        (void)json_array_append_new(rows, entry_row(&l.items[i]));
    return table_print(columns, rows, o->format ? o->format : o->quiet ? "{{.ID}}" : NULL);
}

static fallible empty_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(db_trash_list) struct db_trash_list l = { 0 };
    struct db *db = NULL;
    int64_t bytes = 0, wish = 0;
    char size[32];
    bool sweep = false;
    TRY(engine_open(&engine));
    engine_ready_to_remove(engine);
    TRY(engine_db_if_there(engine, &db));
    if (db)
        TRY(db_trash_list(db, &l));
    for (int a = 0; a < args.n; a++) {
        bool there = false;
        TRY(entry_id(args.v[a], &wish));
        for (size_t i = 0; i < l.n; i++)
            there |= l.items[i].id == wish;
        if (!there)
            return err_new(ERR_NOT_FOUND, "the trash has no entry '%s': see `husk trash ls`", args.v[a]);
    }
    for (size_t i = 0; i < l.n; i++) {
        bool wanted = args.n == 0;
        for (int a = 0; a < args.n; a++) {
            TRY(entry_id(args.v[a], &wish));
            wanted |= wish == l.items[i].id;
        }
        if (!wanted)
            continue;
        TRY(trash_purge(engine, l.items[i].id, &sweep));
        bytes += l.items[i].bytes;
    }
    if (sweep)
        TRY(image_sweep(engine, false, NULL));
    printf("Total reclaimed space: %s\n", format_bytes((uint64_t)bytes, size));
    return NULL;
}

const struct command cmd_undo = {
    .name = "undo",
    .args = "[ENTRY]",
    .summary = "Bring back what was removed",
    .detail =
        "The last removal, or an entry of `husk trash ls`. Containers, volumes, pods, networks and images are kept\n"
        "for a day after `rm`, `volume rm`, `pod rm`, `network rm`, `rmi` and the prunes, as [trash] in husk.conf "
        "says;\n"
        "what --rm removes is not.",
    .opts = undo_options,
    .opts_size = sizeof(struct trash_opts),
    .max_args = 1,
    .fail_exit = 1,
    .run = undo_run,
};
static const struct command cmd_trash_ls = {
    .name = "ls",
    .summary = "List what was removed and can be had back",
    .opts = ls_options,
    .opts_size = sizeof(struct trash_opts),
    .max_args = 0,
    .fail_exit = 1,
    .run = ls_run,
};
static const struct command cmd_trash_empty = {
    .name = "empty",
    .args = "[ENTRY...]",
    .summary = "Delete what was removed for good",
    .opts = empty_options,
    .opts_size = 1,
    .max_args = -1,
    .fail_exit = 1,
    .run = empty_run,
};
static const struct command *const trash_commands[] = { &cmd_trash_empty, &cmd_trash_ls, NULL };
const struct command cmd_trash = {
    .name = "trash",
    .args = "COMMAND",
    .summary = "Manage what was removed",
    .sub = trash_commands,
};
