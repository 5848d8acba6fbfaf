/*
 * husk volume: directories that outlive containers.
 * Compatible with: docker volume, podman volume.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/inspect_docs.h"
#include "cli/outfile.h"
#include "cli/table.h"
#include "engine/grammar.h"
#include "engine/trash.h"
#include "engine/volume.h"

struct volume_opts {
    struct strv label, filter, opt;
    bool quiet, force, all, dry_run, no_trash, ignore, noheading;
    bool cluster_only;
    const char *format, *output, *driver, *name, *cluster;
    struct opt_i64 uid, gid, time;
};

#define T                    struct volume_opts
#define CLUSTER_OPTION(name) OPT_STR(0, name, T, cluster, "VALUE", "Refused: it is for cluster volumes")
static const struct opt create_options[] = {
    OPT_STRS('l', "label", T, label, "KEY=VALUE", "A label"),
    OPT_STRS(
        'o', "opt", T, opt, "KEY=VALUE",
        "What it is: type=, device=, o= as mount(8) has them; o=bind for a directory of the host's; size=, inodes= "
        "for a quota"),
    OPT_STR('d', "driver", T, driver, "NAME", "Who makes it: local (default)"),
    OPT_STR(0, "name", T, name, "NAME", "Its name, as docker's old way to say it"),
    OPT_I64(0, "uid", T, uid, "UID", "Its owner"),
    OPT_I64(0, "gid", T, gid, "GID", "Its group"),
    OPT_FLAG(0, "ignore", T, ignore, "One that is there is fine, as it is anyway"),
    OPT_GROUP("Refused"),
    CLUSTER_OPTION("availability"),
    CLUSTER_OPTION("group"),
    CLUSTER_OPTION("limit-bytes"),
    CLUSTER_OPTION("required-bytes"),
    CLUSTER_OPTION("scope"),
    CLUSTER_OPTION("secret"),
    CLUSTER_OPTION("sharing"),
    CLUSTER_OPTION("topology-preferred"),
    CLUSTER_OPTION("topology-required"),
    CLUSTER_OPTION("type"),
    OPT_END,
};
static const struct opt ls_options[] = {
    OPT_FLAG(0, "cluster", T, cluster_only, "Refused: there are no cluster volumes"),
    OPT_FLAG('q', "quiet", T, quiet, "Only names"),
    OPT_FLAG('n', "noheading", T, noheading, "No line of headings"),
    OPT_STRS('f', "filter", T, filter, "KEY=VALUE",
             "name=TEXT, label=KEY[=VALUE], label!=KEY[=VALUE], dangling=BOOL, anonymous=BOOL, until=TIME, "
             "since=VOLUME, driver=NAME, opt=KEY[=VALUE]"),
    OPT_STR(0, "format", T, format, "FORMAT", "table, json, or a template such as '{{.Name}}'"),
    OPT_END,
};
static const struct opt inspect_options[] = {
    OPT_STR('f', "format", T, format, "FORMAT", "json, or a template such as '{{.Mountpoint}}'"),
    OPT_FLAG('a', "all", T, all, "All volumes"),
    OPT_END,
};
static const struct opt rm_options[] = {
    OPT_FLAG('f', "force", T, force, "A missing one is no error"),
    OPT_FLAG('a', "all", T, all, "All that no container uses"),
    OPT_I64('t', "time", T, time, "SECONDS", "Refused: no container is stopped for it"),
    OPT_FLAG(0, "dry-run", T, dry_run, "Only say what would be removed, and its size"),
    TRASH_OPTION(T),
    OPT_END,
};
static const struct opt prune_options[] = {
    OPT_FLAG('a', "all", T, all, "Those with names too"),
    OPT_FLAG('f', "force", T, force, "As with docker: husk never asks"),
    OPT_STRS(0, "filter", T, filter, "KEY=VALUE", "name=TEXT, label=KEY[=VALUE], label!=KEY[=VALUE], until=TIME"),
    OPT_FLAG(0, "dry-run", T, dry_run, "Only say what would be removed"),
    TRASH_OPTION(T),
    OPT_END,
};
static const struct opt export_options[] = {
    OPT_STR('o', "output", T, output, "FILE", "Write to a file instead of standard output"),
    OPT_END,
};
static const struct opt import_options[] = { OPT_END };
static const struct opt exists_options[] = { OPT_END };
static const struct opt mount_options[] = { OPT_END };
static const struct opt unmount_options[] = { OPT_END };
#undef T

static const struct table_column columns[] = { { "DRIVER", "Driver" }, { "VOLUME NAME", "Name" }, { 0 } };

static fallible read_wishes(const struct volume_opts *o, struct strmap *labels, struct strmap *options)
{
    for (size_t i = 0; i < o->label.n; i++)
        TRY_AS(grammar_label(o->label.items[i], labels), "--label");
    for (size_t i = 0; i < o->opt.n; i++)
        TRY_AS(grammar_label(o->opt.items[i], options), "--opt");
    if (o->driver)
        TRY_AS(grammar_volume_driver(o->driver), "--driver");
    const struct {
        const char *key;
        struct opt_i64 id;
    } ids[] = { { "uid", o->uid }, { "gid", o->gid } };
    for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
        own_mem char *text = mem_printf("%lld", (long long)ids[i].id.v);
        if (ids[i].id.set)
            strmap_set(options, ids[i].key, text);
    }
    return NULL;
}

static fallible create_run(const void *opts_, struct args args)
{
    const struct volume_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    struct strmap labels = { 0 }, options = { 0 };
    own_mem char *made = NULL;
    const char *name = args.n ? args.v[0] : o->name;
    if (o->cluster)
        return err_new(ERR_UNSUPPORTED,
                       "'%s': the options of cluster volumes are for swarms: a volume of this host has "
                       "--opt (type=, device=, o=, size=)",
                       o->cluster);
    err *e = engine_open(&engine);
    if (!e)
        e = read_wishes(o, &labels, &options);
    struct volume_wish wish = { .labels = &labels, .options = &options };
    if (!e && name)
        e = volume_create(engine, name, &wish);
    else if (!e)
        e = volume_create_anonymous(engine, &wish, &made);
    strmap_free(&labels);
    strmap_free(&options);
    if (err_is(e, ERR_EXISTS)) { /* docker: creating what is there is fine */
        err_free(e);
        e = NULL;
    }
    TRY(e);
    own_mem char *folder = mem_printf("volumes/%s", name ? name : made);
    engine_settle(engine, folder);
    printf("%s\n", name ? name : made);
    return NULL;
}

static fallible ls_rows(struct engine *engine, const struct volume_opts *o, json_t *rows)
{
    struct db *db = NULL;
    struct db_volume *volumes = NULL;
    size_t n = 0;
    err *first = NULL;
    TRY(volume_filters_check(&o->filter));
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

/* Docker's list has labels as one text, {{.Label "key"}}, and fields that it does not fill in itself. */
static void reshape(json_t *rows)
{
    json_t *row, *value;
    const char *key;
    size_t i;
    json_array_foreach (rows, i, row) {
        own_str struct str text = { 0 };
        json_t *labels = json_incref(json_object_get(row, "Labels"));
        json_object_foreach (labels, key, value)
            str_printf(&text, "%s%s=%s", text.len ? "," : "", key, json_string_value(value));
        (void)json_object_set_new(row, "Labels", json_string(text.text ? text.text : ""));
        (void)json_object_set_new(row, "",
                                  json_pack("{s:o, s:s, s:s, s:s, s:s, s:{}}", "Label", labels, "Links", "N/A", "Size",
                                            "N/A", "Group", "N/A", "Availability", "N/A", "Status"));
    }
}

static fallible ls_run(const void *opts_, struct args args)
{
    const struct volume_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_json json_t *rows = json_array();
    if (o->cluster_only)
        return err_new(ERR_UNSUPPORTED, "--cluster: there are no cluster volumes: leave it out");
    TRY(engine_open_to_look(&engine));
    TRY(ls_rows(engine, o, rows));
    reshape(rows);
    if (!o->quiet && !o->format && o->noheading)
        return table_print(columns, rows, "{{.Driver}}\t{{.Name}}");
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
    struct trash *trash;
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
    if (o->all == (args.n > 0))
        return err_new(ERR_INVALID, "needs one of VOLUME... and --all");
    TRY(engine_open_to_look(&engine));
    if (o->all)
        TRY(ls_rows(engine, o, docs));
    err *e = command_each("husk volume inspect", args, inspect_one, &(struct each){ engine, o, docs });
    return inspect_print(docs, o->format, e);
}

static err *rm_one(const char *name, void *ctx)
{
    const struct each *each = ctx;
    uint64_t bytes = 0;
    char size[32];
    bool look = each->opts->dry_run;
    err *e = look ? volume_removal(each->engine, name, &bytes) : volume_discard(each->engine, name, each->trash);
    if (each->opts->force && err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    if (look)
        printf("%s\t%s\n", name, format_bytes(bytes, size));
    else
        printf("%s\n", name);
    return NULL;
}

/* As podman's: every volume that no container uses. */
static fallible rm_all(struct engine *engine, bool dry_run, struct trash *trash)
{
    own_strv struct strv removed = { 0 };
    uint64_t bytes = 0;
    TRY(volume_prune(engine, &(struct volume_prune_options){ .all = true, .dry_run = dry_run, .trash = trash },
                     &removed, &bytes));
    for (size_t i = 0; i < removed.n; i++)
        printf("%s\n", removed.items[i]);
    return NULL;
}

static err *exists_one(const char *name, void *ctx)
{
    const struct each *each = ctx;
    struct db_volume v;
    err *e = volume_find(each->engine, name, &v);
    if (!e)
        db_volume_clear(&v);
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    return err_exit(1); /* no word: scripts ask for the status alone */
}

static fallible exists_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    TRY(engine_open_to_look(&engine));
    return exists_one(args.v[0], &(struct each){ engine, opts_, NULL });
}

static err *mount_one(const char *name, void *ctx)
{
    const struct each *each = ctx;
    struct db_volume v;
    TRY(volume_find(each->engine, name, &v));
    own_mem char *path = volume_data(each->engine, &v);
    db_volume_clear(&v);
    TRY(volume_mount(each->engine, name));
    printf("%s\n", path);
    return NULL;
}

static fallible mount_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    TRY(engine_open(&engine));
    return command_each("husk volume mount", args, mount_one, &(struct each){ engine, opts_, NULL });
}

static err *unmount_one(const char *name, void *ctx)
{
    const struct each *each = ctx;
    struct db_volume v;
    TRY(volume_find(each->engine, name, &v));
    db_volume_clear(&v);
    TRY(volume_unmount(each->engine, name));
    printf("%s\n", name);
    return NULL;
}

static fallible unmount_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    TRY(engine_open(&engine));
    return command_each("husk volume unmount", args, unmount_one, &(struct each){ engine, opts_, NULL });
}

static fallible rm_run(const void *opts_, struct args args)
{
    const struct volume_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    struct trash trash;
    if (o->all == (args.n > 0))
        return err_new(ERR_INVALID, "which volume? Name some, or say --all");
    if (o->time.set)
        return err_new(ERR_UNSUPPORTED, "--time: a volume in use is not removed, so nothing is stopped for it: remove "
                                        "the container first (husk rm -f)");
    TRY(engine_open(&engine));
    TRY(trash_begin(engine, "volume rm", o->no_trash, &trash));
    err *e = o->all ? rm_all(engine, o->dry_run, &trash)
                    : command_each("husk volume rm", args, rm_one, &(struct each){ engine, opts_, NULL, &trash });
    if (!o->dry_run)
        err_ignore(trash_end(&trash), "what was asked is done; the next removal tries again");
    return e;
}

static fallible prune_run(const void *opts_, struct args args)
{
    const struct volume_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_strv struct strv removed = { 0 };
    uint64_t bytes = 0;
    char size[32];
    TRY(engine_open(&engine));
    struct trash trash;
    TRY(trash_begin(engine, "volume prune", o->no_trash, &trash));
    struct volume_prune_options prune = {
        .trash = &trash, .all = o->all, .dry_run = o->dry_run, .filters = &o->filter
    };
    TRY(volume_prune(engine, &prune, &removed, &bytes));
    if (!o->dry_run)
        err_ignore(trash_end(&trash), "what was asked is done; the next removal tries again");
    for (size_t i = 0; i < removed.n; i++)
        printf("%s\n", removed.items[i]);
    printf("%s: %s\n", o->dry_run ? "Would be reclaimed" : "Total reclaimed space", format_bytes(bytes, size));
    say_kept(&trash);
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
    if (!file)
        return volume_export(engine, args.v[0], STDOUT_FILENO);
    own(outfile) struct outfile *out = NULL;
    TRY_AS(outfile_open(o->output, 0600, &out), "--output");
    own_fd int fd = outfile_fd(out);
    if (fd < 0)
        return err_sys(errno, "--output: open '%s'", o->output);
    TRY(volume_export(engine, args.v[0], fd));
    TRY_AS(outfile_finish(out), "--output '%s'", o->output);
    return NULL;
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
VOLUME_COMMAND(inspect, "inspect", "Show everything about volumes", "[VOLUME...]", 0, -1);
VOLUME_COMMAND(rm, "rm", "Remove volumes that no container uses", "VOLUME...", 0, -1);
VOLUME_COMMAND(exists, "exists", "Say by the exit status whether there is such a volume", "VOLUME", 1, 1);
VOLUME_COMMAND(mount, "mount", "Mount volumes that have a file system of their own, and print where they are",
               "VOLUME...", 1, -1);
VOLUME_COMMAND(unmount, "unmount", "Unmount volumes that have a file system of their own", "VOLUME...", 1, -1);
VOLUME_COMMAND(export, "export", "Write a volume's content as a tar archive", "VOLUME", 1, 1);
VOLUME_COMMAND(import, "import", "Unpack a tar archive into a volume", "VOLUME [FILE|-]", 1, 2);
VOLUME_COMMAND(prune, "prune", "Remove anonymous volumes that no container uses", NULL, 0, 0);

static const struct command *const volume_commands[] = {
    &cmd_volume_create,
    &cmd_volume_exists,
    &cmd_volume_export,
    &cmd_volume_import,
    &cmd_volume_inspect,
    &cmd_volume_ls,
    &cmd_volume_mount,
    &cmd_volume_prune,
    &cmd_volume_rm,
    &cmd_volume_unmount,
    NULL,
};

const struct command cmd_volume = {
    .name = "volume",
    .args = "COMMAND",
    .summary = "Manage volumes",
    .sub = volume_commands,
};
