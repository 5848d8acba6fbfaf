/*
 * husk image mount, husk image unmount: an image's files in the caller's own tree.
 * Compatible with: podman image mount, podman image unmount.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "cli/table.h"
#include "engine/image_mount.h"

struct mount_opts {
    bool all, force;
    const char *format;
};

#define T struct mount_opts
static const struct opt mount_options[] = {
    OPT_FLAG('a', "all", T, all, "All images"),
    OPT_STR(0, "format", T, format, "FORMAT", "Of the list: json, or a template such as '{{.Path}}'"),
    OPT_END,
};
static const struct opt unmount_options[] = {
    OPT_FLAG('a', "all", T, all, "All that are mounted"),
    OPT_FLAG('f', "force", T, force, "One that is not mounted is no error"),
    OPT_END,
};
#undef T

static const struct table_column columns[] = { { "IMAGE", "Image" }, { "PATH", "Path" }, { 0 } };

struct each {
    struct engine *engine;
    const struct mount_opts *opts;
    size_t n; /* images named */
};

static fallible list(struct engine *engine, const char *format)
{
    own_strv struct strv mounted = { 0 };
    own_json json_t *rows = json_array();
    TRY(image_mounts(engine, &mounted));
    for (size_t i = 0; i < mounted.n; i++) {
        own_mem char *path = image_mount_path(engine, mounted.items[i]);
        (void)json_array_append_new(rows, json_pack("{s:s, s:s}", "Image", mounted.items[i], "Path", path));
    }
    return table_print_bare(columns, rows, format);
}

/* One: its path alone, for scripts. */
static err *mount_one(const char *arg, void *ctx)
{
    const struct each *each = ctx;
    own_mem char *path = NULL;
    TRY(image_mount(each->engine, arg, &path));
    if (each->n > 1)
        printf("%s ", arg);
    printf("%s\n", path);
    return NULL;
}

static fallible mount_all(struct engine *engine)
{
    struct layout *l;
    struct image **images = NULL;
    struct each each = { .engine = engine, .n = 2 };
    size_t n = 0;
    err *e = NULL;
    TRY(engine_layout(engine, &l));
    TRY(image_list(l, &images, &n));
    for (size_t i = 0; i < n; i++) {
        if (!e)
            e = mount_one(images[i]->name ? images[i]->name : images[i]->id, &each);
        image_free(images[i]);
    }
    free(images);
    return e;
}

static fallible mount_run(const void *opts_, struct args args)
{
    const struct mount_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    TRY(engine_open(&engine));
    if (o->all && args.n)
        return err_new(ERR_INVALID, "--all takes no image's name");
    if (o->all)
        return mount_all(engine);
    return args.n ? command_each("husk image mount", args, mount_one, &(struct each){ engine, o, args.n })
                  : list(engine, o->format);
}

static err *unmount_one(const char *arg, void *ctx)
{
    const struct each *each = ctx;
    own_strv struct strv gone = { 0 };
    err *e = image_unmount(each->engine, arg, &gone);
    if (each->opts->force && err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    for (size_t i = 0; i < gone.n; i++)
        printf("%s\n", gone.items[i]);
    return e;
}

static fallible unmount_run(const void *opts_, struct args args)
{
    const struct mount_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    TRY(engine_open(&engine));
    struct each each = { engine, o, args.n };
    if (!o->all == !args.n)
        return err_new(ERR_INVALID, "needs IMAGE..., or --all");
    return o->all ? unmount_one(NULL, &each) : command_each("husk image unmount", args, unmount_one, &each);
}

const struct command cmd_image_mount = {
    .name = "mount",
    .args = "[IMAGE...]",
    .summary = "Mount images read-only, or list what is mounted",
    .detail = "Prints where. The mount is in the mount namespace of the caller and stays until `husk image unmount`, "
              "or until "
              "that namespace ends: an ordinary user does it inside `husk unshare`.",
    .opts = mount_options,
    .opts_size = sizeof(struct mount_opts),
    .max_args = -1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 125,
    .run = mount_run,
};
#define UNMOUNT(id, word)                                                                                              \
    const struct command id = {                                                                                        \
        .name = word,                                                                                                  \
        .args = "IMAGE...",                                                                                            \
        .summary = "Unmount images",                                                                                   \
        .opts = unmount_options,                                                                                       \
        .opts_size = sizeof(struct mount_opts),                                                                        \
        .max_args = -1,                                                                                                \
        .complete_args = COMPLETE_IMAGE,                                                                               \
        .fail_exit = 125,                                                                                              \
        .run = unmount_run,                                                                                            \
    }
UNMOUNT(cmd_image_unmount, "unmount");
UNMOUNT(cmd_image_umount, "umount");
