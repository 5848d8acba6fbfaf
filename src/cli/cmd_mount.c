/*
 * husk mount, husk unmount: a container's root in the caller's own tree.
 * Compatible with: podman mount, podman unmount.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "engine/container_mount.h"

struct mount_opts {
    bool all, force, latest, no_trunc;
    const char *format;
};

#define T struct mount_opts
static const struct opt mount_options[] = {
    OPT_FLAG('a', "all", T, all, "All containers"),
    OPT_FLAG('l', "latest", T, latest, "The one that was made last"),
    OPT_FLAG(0, "no-trunc", T, no_trunc, "Whole IDs in the list"),
    OPT_STR(0, "format", T, format, "FORMAT", "Of the list: json, or a template such as '{{.Path}}'"),
    OPT_END,
};
static const struct opt unmount_options[] = {
    OPT_FLAG('a', "all", T, all, "All that are mounted"),
    OPT_FLAG('l', "latest", T, latest, "The one that was made last"),
    OPT_FLAG('f', "force", T, force, "One that is not mounted is no error"),
    OPT_END,
};
#undef T

static const struct table_column columns[] = { { "CONTAINER", "Container" }, { "PATH", "Path" }, { 0 } };

struct each {
    struct engine *engine;
    const struct mount_opts *opts;
    size_t n; /* containers named */
};

static fallible list(struct engine *engine, const struct mount_opts *o)
{
    own_strv struct strv mounted = { 0 };
    own_json json_t *rows = json_array();
    TRY(container_mounts(engine, &mounted));
    for (size_t i = 0; i < mounted.n; i++) {
        own_mem char *path = container_mount_path(engine, mounted.items[i]);
        (void)json_array_append_new(
            rows, json_pack("{s:s%, s:s}", "Container", mounted.items[i],
                            o->format || o->no_trunc ? strlen(mounted.items[i]) : (size_t)SHORT_ID_N, "Path", path));
    }
    return table_print_bare(columns, rows, o->format);
}

/* One: its path alone, for scripts. */
static err *mount_one(const char *arg, void *ctx)
{
    const struct each *each = ctx;
    own_mem char *path = NULL;
    own(container) struct container *c = NULL;
    TRY(container_find(each->engine, arg, &c));
    TRY(container_mount(c, &path));
    if (each->n > 1)
        printf("%s ", arg);
    printf("%s\n", path);
    return NULL;
}

static fallible mount_all(struct engine *engine)
{
    struct container_list all = { 0 };
    struct each each = { .engine = engine, .n = 2 };
    err *e = NULL;
    TRY(container_list(engine, &(struct list_options){ .all = true }, &all));
    for (size_t i = 0; i < all.n && !e; i++)
        e = mount_one(all.items[i]->row.id, &each);
    container_list_clear(&all);
    return e;
}

static fallible mount_run(const void *opts_, struct args args)
{
    const struct mount_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_mem char *newest = NULL;
    TRY(engine_open(&engine));
    if ((o->all || o->latest) && args.n)
        return err_new(ERR_INVALID, "%s takes no container's name", o->all ? "--all" : "--latest");
    if (o->latest) {
        TRY(only_one(engine, true, &args, &newest));
        return mount_one(newest, &(struct each){ engine, o, 1 });
    }
    if (o->all)
        return mount_all(engine);
    return args.n ? command_each("husk mount", args, mount_one, &(struct each){ engine, o, args.n }) : list(engine, o);
}

static err *unmount_one(const char *arg, void *ctx)
{
    const struct each *each = ctx;
    own(container) struct container *c = NULL;
    TRY(container_find(each->engine, arg, &c));
    err *e = container_unmount(c);
    if (each->opts->force && err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    if (!e)
        printf("%s\n", arg);
    return e;
}

static fallible unmount_run(const void *opts_, struct args args)
{
    const struct mount_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_strv struct strv mounted = { 0 };
    TRY(engine_open(&engine));
    struct each each = { engine, o, args.n };
    own_mem char *newest = NULL;
    if (o->all + o->latest + (args.n > 0) != 1)
        return err_new(ERR_INVALID, "needs one of CONTAINER..., --latest and --all");
    if (o->latest) {
        TRY(only_one(engine, true, &args, &newest));
        return unmount_one(newest, &each);
    }
    if (!o->all)
        return command_each("husk unmount", args, unmount_one, &each);
    TRY(container_mounts(engine, &mounted));
    for (size_t i = 0; i < mounted.n; i++)
        TRY(unmount_one(mounted.items[i], &each));
    return NULL;
}

const struct command cmd_mount = {
    .name = "mount",
    .args = "[CONTAINER...]",
    .summary = "Mount containers' roots, or list what is mounted",
    .detail = "Prints where. The mount is in the mount namespace of the caller and stays until `husk unmount`, until "
              "the container is removed, or until that namespace ends: an ordinary user does it inside `husk unshare`, "
              "with containers that do not run.",
    .opts = mount_options,
    .opts_size = sizeof(struct mount_opts),
    .max_args = -1,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 125,
    .run = mount_run,
};
#define UNMOUNT(id, word)                                                                                              \
    const struct command id = {                                                                                        \
        .name = word,                                                                                                  \
        .args = "[CONTAINER...]",                                                                                      \
        .summary = "Unmount containers' roots",                                                                        \
        .opts = unmount_options,                                                                                       \
        .opts_size = sizeof(struct mount_opts),                                                                        \
        .max_args = -1,                                                                                                \
        .complete_args = COMPLETE_CONTAINER,                                                                           \
        .fail_exit = 125,                                                                                              \
        .run = unmount_run,                                                                                            \
    }
UNMOUNT(cmd_unmount, "unmount");
UNMOUNT(cmd_umount, "umount");
