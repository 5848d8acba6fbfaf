/*
 * husk diff, husk export: what a container changed, and its whole root as an archive.
 * Compatible with: docker diff, docker export, podman diff, podman export.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/outfile.h"

struct diff_opts {
    bool latest;
    const char *format, *output;
};

#define T struct diff_opts
static const char *const words_format[] = { "json", NULL };
static const struct opt diff_options[] = {
    OPT_STR(0, "format", T, format, "FORMAT", "json: an object of lists", .words = words_format),
    OPT_FLAG('l', "latest", T, latest, "Of the one that was made last"),
    OPT_END,
};
static const struct opt export_options[] = {
    OPT_STR('o', "output", T, output, "FILE", "Write to a file instead of standard output"),
    OPT_END,
};
#undef T

static err *print_change(void *ctx, enum diff_kind kind, const char *path)
{
    printf("%c %s\n", (char)kind, path);
    return NULL;
}

static err *add_change(void *ctx, enum diff_kind kind, const char *path)
{
    json_t *doc = ctx;
    const char *key = kind == DIFF_ADDED ? "added" : kind == DIFF_CHANGED ? "changed" : "deleted";
    json_t *text = json_string(path);
    if (!text)
        return err_new(ERR_UNSUPPORTED, "'%s' is not UTF-8, and JSON holds nothing else", path);
    if (!json_object_get(doc, key))
        (void)json_object_set_new(doc, key, json_array());
    (void)json_array_append_new(json_object_get(doc, key), text);
    return NULL;
}

static fallible diff_run(const void *opts_, struct args args)
{
    const struct diff_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    own_mem char *latest = NULL;
    own_json json_t *doc = json_object();
    TRY(engine_open_to_look(&engine));
    TRY(only_one(engine, o->latest, &args, &latest));
    TRY(container_find(engine, latest ? latest : args.v[0], &c));
    if (!o->format)
        return container_diff(c, print_change, NULL);
    TRY(container_diff(c, add_change, doc));
    own_mem char *text = json_text(doc, BIND_INDENTED);
    printf("%s\n", text);
    return NULL;
}

static fallible export_to(struct container *c, const char *path)
{
    own(outfile) struct outfile *file = NULL;
    TRY_AS(outfile_open(path, 0600, &file), "--output");
    own_fd int fd = outfile_fd(file);
    if (fd < 0)
        return err_sys(errno, "--output: open '%s'", path);
    TRY(container_export(c, fd));
    TRY_AS(outfile_finish(file), "--output '%s'", path);
    return NULL;
}

static fallible export_run(const void *opts_, struct args args)
{
    const struct diff_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    TRY(engine_open_to_look(&engine));
    TRY(container_find(engine, args.v[0], &c));
    if (o->output && strcmp(o->output, "-") != 0)
        return export_to(c, o->output);
    if (isatty(STDOUT_FILENO))
        return err_new(ERR_INVALID, "an archive is not for a terminal: use --output, or redirect our output");
    return container_export(c, STDOUT_FILENO);
}

const struct command cmd_diff = {
    .name = "diff",
    .args = "[CONTAINER]",
    .summary = "Show what a container added (A), changed (C) and deleted (D) in its root",
    .opts = diff_options,
    .opts_size = sizeof(struct diff_opts),
    .max_args = 1,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = diff_run,
};

const struct command cmd_export = {
    .name = "export",
    .args = "CONTAINER",
    .summary = "Write a container's root as a tar archive",
    .opts = export_options,
    .opts_size = sizeof(struct diff_opts),
    .min_args = 1,
    .max_args = 1,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = export_run,
};
