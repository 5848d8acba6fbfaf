/*
 * husk secret: small texts that only containers that name them may read.
 * Compatible with: docker secret, podman secret.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/inspect_docs.h"
#include "cli/table.h"
#include "engine/filter.h"
#include "engine/grammar.h"
#include "engine/secret.h"
#include "os/fs.h"

struct secret_opts {
    struct strv label, filter, driver_opts;
    bool replace, ignore, dry_run, env, quiet, noheading, all, showsecret, pretty;
    const char *driver, *template_driver, *format;
};

#define T struct secret_opts
static const struct opt create_options[] = {
    OPT_STRS('l', "label", T, label, "KEY=VALUE", "A label"),
    OPT_STR('d', "driver", T, driver, "NAME", "Where it is kept: file (default)"),
    OPT_STRS(0, "driver-opts", T, driver_opts, "KEY=VALUE", "Options of the driver: file has none"),
    OPT_STR(0, "template-driver", T, template_driver, "NAME", "Refused: a secret is the bytes that were given"),
    OPT_FLAG(0, "env", T, env, "FILE is the name of an environment variable that has it"),
    OPT_FLAG(0, "replace", T, replace, "Take the place of one that is there"),
    OPT_FLAG(0, "ignore", T, ignore, "One that is there stays as it is, and is no error"),
    OPT_END,
};
static const struct opt ls_options[] = {
    OPT_STRS('f', "filter", T, filter, "KEY=VALUE", "name=TEXT, id=PREFIX, label=KEY[=VALUE], driver=NAME"),
    OPT_STR(0, "format", T, format, "FORMAT", "table, json, or a template such as '{{.Name}}'"),
    OPT_FLAG('q', "quiet", T, quiet, "Only IDs"),
    OPT_FLAG('n', "noheading", T, noheading, "No line of headings"),
    OPT_END,
};
static const struct opt inspect_options[] = {
    OPT_STR('f', "format", T, format, "FORMAT", "json, or a template such as '{{.Spec.Name}}'"),
    OPT_FLAG(0, "pretty", T, pretty, "As lines for people"),
    OPT_FLAG(0, "showsecret", T, showsecret, "The secret itself too"),
    OPT_END,
};
static const struct opt rm_options[] = {
    OPT_FLAG('a', "all", T, all, "All secrets"),
    OPT_FLAG('i', "ignore", T, ignore, "A missing one is no error"),
    OPT_FLAG(0, "dry-run", T, dry_run, "Only say what would be removed"),
    OPT_END,
};
static const struct opt exists_options[] = { OPT_END };
#undef T

static fallible read_data(const struct secret_opts *o, struct args args, char **ret, size_t *ret_n)
{
    const char *file = args.n > 1 ? args.v[1] : "-";
    if (o->env) {
        const char *value = getenv(file);
        if (!value)
            return err_new(ERR_NOT_FOUND, "--env: there is no environment variable '%s'", file);
        *ret = mem_strdup(value);
        *ret_n = strlen(value);
        return NULL;
    }
    if (strcmp(file, "-") == 0) {
        if (isatty(STDIN_FILENO))
            return err_new(ERR_INVALID, "a secret is not typed where it is seen: name a file, or redirect our input");
        return fs_read_fd(STDIN_FILENO, "standard input", SECRET_MAX_BYTES, ret, ret_n);
    }
    return fs_read_at(AT_FDCWD, file, SECRET_MAX_BYTES, ret, ret_n);
}

static fallible create_run(const void *opts_, struct args args)
{
    const struct secret_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    struct strmap labels = { 0 };
    own_mem char *id = NULL;
    char *data = NULL;
    size_t n = 0;
    if (o->driver && strcmp(o->driver, "file") != 0)
        return err_new(ERR_UNSUPPORTED,
                       "--driver '%s': husk has file alone: a program's secret comes by a pipe: "
                       "PROGRAM | husk secret create NAME -",
                       o->driver);
    if (o->template_driver)
        return err_new(ERR_UNSUPPORTED,
                       "--template-driver: a secret is the bytes that were given: fill the template in "
                       "before, such as by envsubst");
    if (o->driver_opts.n)
        return err_new(ERR_INVALID, "--driver-opts: the driver file has no option '%s'", o->driver_opts.items[0]);
    TRY(engine_open(&engine));
    err *e = read_data(o, args, &data, &n);
    for (size_t i = 0; !e && i < o->label.n; i++)
        e = grammar_label(o->label.items[i], &labels);
    if (!e)
        e = secret_create(engine, args.v[0], data, n, &labels, o->replace, &id);
    if (data)
        explicit_bzero(data, n);
    free(data);
    strmap_free(&labels);
    if (o->ignore && err_is(e, ERR_EXISTS)) {
        own(secret) struct secret s = { 0 };
        err_free(e);
        TRY(secret_find(engine, args.v[0], &s));
        printf("%s\n", s.id);
        return NULL;
    }
    TRY(e);
    printf("%s\n", id);
    return NULL;
}

static json_t *map_doc(const struct strmap *m)
{
    json_t *o = json_object();
    for (size_t i = 0; i < m->n; i++)
        (void)json_object_set_new(o, m->items[i].key, json_string(m->items[i].value));
    return o;
}

json_t *inspect_secret(const struct secret *s)
{
    char created[40], updated[40];
    return json_pack("{s:s, s:s, s:s, s:{s:s, s:{s:s, s:{}}, s:o}}", "ID", s->id, "CreatedAt",
                     format_time_ns(s->created_ns, created), "UpdatedAt", format_time_ns(s->updated_ns, updated),
                     "Spec", "Name", s->name, "Driver", "Name", "file", "Options", "Labels", map_doc(&s->labels));
}

static err *fits(void *ctx, const char *key, const char *value, bool *ret)
{
    const struct secret *s = ctx;
    if (str_eq(key, "name"))
        return filter_name(s->name, value, ret);
    if (str_eq(key, "driver"))
        *ret = str_eq(value, "file");
    else
        *ret = str_eq(key, "id") ? str_starts(s->id, value) : filter_label(&s->labels, value);
    return NULL;
}

static const struct filter_key keys[] = {
    { "name", NULL, filter_regex }, { "id", NULL, NULL }, { "label", NULL, NULL }, { "driver", NULL, NULL }, { 0 }
};

static fallible ls_rows(struct engine *engine, const struct secret_opts *o, json_t *rows)
{
    own_strv struct strv names = { 0 };
    TRY(secret_names(engine, &names));
    for (size_t i = 0; i < names.n; i++) {
        own(secret) struct secret s = { 0 };
        char created[96], updated[96];
        bool wanted;
        TRY(secret_find(engine, names.items[i], &s));
        TRY(filters_pass(&o->filter, keys, fits, &s, &wanted));
        if (!wanted)
            continue;
        json_t *row = json_pack("{s:s, s:s, s:s, s:s, s:s}", "ID", s.id, "Name", s.name, "Driver", "file", "CreatedAt",
                                ago(s.created_ns, created), "UpdatedAt", ago(s.updated_ns, updated));
        table_set_labels(row, &s.labels);
        (void)json_array_append_new(rows, row);
    }
    return NULL;
}

static fallible ls_run(const void *opts_, struct args args)
{
    static const struct table_column columns[] = { { "ID", "ID" },
                                                   { "NAME", "Name" },
                                                   { "DRIVER", "Driver" },
                                                   { "CREATED", "CreatedAt" },
                                                   { "UPDATED", "UpdatedAt" },
                                                   { 0 } };
    const struct secret_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_json json_t *rows = json_array();
    TRY(filters_check(&o->filter, keys));
    TRY(engine_open_to_look(&engine));
    TRY(ls_rows(engine, o, rows));
    if (o->quiet)
        return table_print(columns, rows, "{{.ID}}");
    return o->noheading ? table_print_bare(columns, rows, o->format) : table_print(columns, rows, o->format);
}

struct each {
    struct engine *engine;
    const struct secret_opts *opts;
    json_t *docs;
};

static err *inspect_one(const char *name, void *ctx)
{
    const struct each *each = ctx;
    own(secret) struct secret s = { 0 };
    char created[40], updated[40];
    TRY(secret_find(each->engine, name, &s));
    if (!each->opts->pretty) {
        json_t *doc = inspect_secret(&s);
        if (each->opts->showsecret)
            (void)json_object_set_new(doc, "SecretData", json_stringn_nocheck(s.data, s.len));
        (void)json_array_append_new(each->docs, doc);
        return NULL;
    }
    printf("ID:              %s\nName:            %s\nLabels:\n", s.id, s.name);
    for (size_t i = 0; i < s.labels.n; i++)
        printf(" - %s=%s\n", s.labels.items[i].key, s.labels.items[i].value);
    printf("Driver:          file\nCreated at:      %s\nUpdated at:      %s\n", format_time_ns(s.created_ns, created),
           format_time_ns(s.updated_ns, updated));
    return NULL;
}

static fallible inspect_run(const void *opts_, struct args args)
{
    const struct secret_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_json json_t *docs = json_array();
    TRY(engine_open_to_look(&engine));
    err *e = command_each("husk secret inspect", args, inspect_one, &(struct each){ engine, o, docs });
    return o->pretty ? e : inspect_print(docs, o->format, e);
}

static err *rm_one(const char *name, void *ctx)
{
    const struct each *each = ctx;
    own(secret) struct secret s = { 0 };
    err *e = each->opts->dry_run ? secret_find(each->engine, name, &s) : secret_remove(each->engine, name);
    if (each->opts->ignore && err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    printf("%s\n", name);
    return NULL;
}

static fallible rm_run(const void *opts_, struct args args)
{
    const struct secret_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_strv struct strv names = { 0 };
    if (o->all == (args.n > 0))
        return err_new(ERR_INVALID, "which secret? Name some, or say --all");
    TRY(engine_open(&engine));
    if (o->all)
        TRY(secret_names(engine, &names));
    return command_each("husk secret rm", o->all ? (struct args){ names.items, (int)names.n } : args, rm_one,
                        &(struct each){ engine, o, NULL });
}

static fallible exists_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(secret) struct secret s = { 0 };
    TRY(engine_open_to_look(&engine));
    err *e = secret_find(engine, args.v[0], &s);
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    return err_exit(1); /* no word: scripts ask for the status alone */
}

#define SECRET_COMMAND(id, word, what, arguments, min, max)                                                            \
    static const struct command cmd_secret_##id = {                                                                    \
        .name = word,                                                                                                  \
        .args = arguments,                                                                                             \
        .summary = what,                                                                                               \
        .opts = id##_options,                                                                                          \
        .opts_size = sizeof(struct secret_opts),                                                                       \
        .min_args = min,                                                                                               \
        .max_args = max,                                                                                               \
        .fail_exit = 1,                                                                                                \
        .run = id##_run,                                                                                               \
    }
SECRET_COMMAND(create, "create", "Keep a secret from a file or standard input", "NAME [FILE|-]", 1, 2);
SECRET_COMMAND(ls, "ls", "List secrets", NULL, 0, 0);
SECRET_COMMAND(inspect, "inspect", "Show what is known about secrets, without them", "SECRET...", 1, -1);
SECRET_COMMAND(rm, "rm", "Remove secrets for good", "[SECRET...]", 0, -1);
SECRET_COMMAND(exists, "exists", "Say by the exit status whether there is such a secret", "SECRET", 1, 1);

static const struct command *const secret_commands[] = { &cmd_secret_create, &cmd_secret_exists, &cmd_secret_inspect,
                                                         &cmd_secret_ls,     &cmd_secret_rm,     NULL };

const struct command cmd_secret = {
    .name = "secret",
    .args = "COMMAND",
    .summary = "Keep secrets for containers",
    .sub = secret_commands,
};
