/*
 * husk image, husk rmi, husk tag: names of images.
 * Compatible with: docker image, docker rmi, docker tag; podman's likewise.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "cli/elsewhere.h"
#include "cli/inspect_docs.h"
#include "engine/image_name.h"
#include "engine/image_remove.h"
#include "engine/image_rows.h"
#include "engine/trash.h"

struct image_opts {
    bool force, all, ignore, no_prune, dry_run, no_trash, build_cache, external;
    struct strv filter;
    const char *format, *platform;
};

#define T struct image_opts
static const struct opt rmi_options[] = {
    OPT_FLAG('f', "force", T, force, "Also while a container uses it, which then keeps what it needs"),
    OPT_FLAG('a', "all", T, all, "All images that no container uses; with --force all"),
    OPT_FLAG('i', "ignore", T, ignore, "A name that nobody has is no error"),
    OPT_FLAG(0, "no-prune", T, no_prune, "As with docker: husk keeps no untagged parents, so none would go"),
    OPT_FLAG(0, "dry-run", T, dry_run, "Only say what would go, and the room that would make"),
    OPT_STR(0, "platform", T, platform, "OS/ARCH[/VARIANT]",
            "Of a multi-platform image only this platform's, which is not kept in the trash"),
    TRASH_OPTION(T),
    OPT_END,
};
static const struct opt inspect_options[] = {
    OPT_STR('f', "format", T, format, "FORMAT", "json, or a template such as '{{.Config.Cmd}}'"),
    OPT_STR(0, "platform", T, platform, "OS/ARCH[/VARIANT]", "Of a multi-platform image (default: this machine's)"),
    OPT_END,
};
static const struct opt prune_options[] = {
    OPT_FLAG('a', "all", T, all, "Names that no container uses too"),
    OPT_STRS(0, "filter", T, filter, "KEY=VALUE",
             "until=TIME (or a duration: older than), label=KEY[=VALUE], label!=..., dangling=BOOL (false: as --all)"),
    OPT_FLAG(0, "dry-run", T, dry_run, "Only show what would go"),
    TRASH_OPTION(T),
    OPT_FLAG('f', "force", T, force, "As with docker: husk never asks"),
    OPT_FLAG(0, "build-cache", T, build_cache, "Refused: see husk builder prune"),
    OPT_FLAG(0, "external", T, external, "Refused: there are no images of others"),
    OPT_END,
};
#undef T
static const struct opt no_options[] = { OPT_END };

struct each {
    struct engine *engine;
    const struct image_opts *opts;
    json_t *docs;
    struct trash *trash;
};

static err *rmi_one(const char *arg, void *ctx)
{
    const struct each *each = ctx;
    own_strv struct strv lines = { 0 };
    uint64_t bytes = 0;
    char size[32];
    bool look = each->opts->dry_run, force = each->opts->force;
    const char *platform = each->opts->platform;
    err *e = look && platform ? image_platform_removal(each->engine, arg, platform, force, &lines, &bytes)
             : look           ? image_removal(each->engine, arg, force, &lines, &bytes)
             : platform       ? image_remove_platform(each->engine, arg, platform, force, each->trash, &lines)
                              : image_remove(each->engine, arg, force, each->trash, &lines);
    for (size_t i = 0; i < lines.n; i++)
        printf("%s\n", lines.items[i]);
    if (look && !e)
        printf("Would be reclaimed: %s\n", format_bytes(bytes, size));
    if ((each->opts->force || each->opts->ignore) && err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    return e;
}

/* Each by its names, and by its ID when it has none. */
static fallible all_images(struct engine *engine, bool used, struct strv *ret)
{
    own(image_rows) struct image_rows *images = NULL;
    TRY(image_rows(engine, &images));
    for (size_t i = 0; i < images->n; i++) {
        const char *what = images->rows[i].name ? images->rows[i].name : images->rows[i].id;
        own_mem char *user = NULL;
        TRY(image_user(engine, images->rows[i].id, &user));
        if ((used || !user) && !strv_has(ret, what))
            strv_add(ret, what);
    }
    return NULL;
}

static fallible rmi_run(const void *opts_, struct args args)
{
    const struct image_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_strv struct strv all = { 0 };
    struct trash trash;
    if (o->all == (args.n > 0))
        return err_new(ERR_INVALID, "needs one of IMAGE... and --all");
    if (o->platform && o->all)
        return err_new(ERR_INVALID, "--platform and --all exclude each other");
    TRY(engine_open(&engine));
    if (o->all) {
        TRY(all_images(engine, o->force, &all));
        args = (struct args){ all.items, (int)all.n };
    }
    TRY(trash_begin(engine, "rmi", o->no_trash, &trash));
    err *e = command_each("husk rmi", args, rmi_one, &(struct each){ engine, opts_, NULL, &trash });
    if (!o->dry_run)
        err_ignore(trash_end(&trash), "what was asked is done; the next removal tries again");
    return e;
}

static fallible tag_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    TRY(engine_open(&engine));
    return image_tag(engine, args.v[0], args.v[1]);
}

static fallible untag_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own_strv struct strv lines = { 0 };
    (void)opts_;
    TRY(engine_open(&engine));
    err *e = image_untag(engine, args.v[0], args.v + 1, (size_t)args.n - 1, &lines);
    for (size_t i = 0; i < lines.n; i++)
        printf("%s\n", lines.items[i]);
    return e;
}

static err *inspect_one(const char *arg, void *ctx)
{
    const struct each *each = ctx;
    struct layout *layout;
    own(image) struct image *image = NULL;
    json_t *doc = NULL;
    TRY(engine_layout(each->engine, &layout));
    TRY(image_find_here(layout, arg, each->opts->platform, &image));
    TRY(inspect_image(layout, image, &doc));
    (void)json_array_append_new(each->docs, doc);
    return NULL;
}

static fallible inspect_run(const void *opts_, struct args args)
{
    const struct image_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_json json_t *docs = json_array();
    TRY(engine_open_to_look(&engine));
    err *e = command_each("husk image inspect", args, inspect_one, &(struct each){ engine, o, docs, NULL });
    return inspect_print(docs, o->format, e);
}

static fallible exists_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(image) struct image *image = NULL;
    struct layout *layout;
    (void)opts_;
    TRY(engine_open_to_look(&engine));
    TRY(engine_layout(engine, &layout));
    err *e = image_find_name(layout, args.v[0], &image);
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    return err_exit(1);
}

static fallible prune_run(const void *opts_, struct args args)
{
    const struct image_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_strv struct strv lines = { 0 };
    uint64_t bytes = 0;
    char size[32];
    struct trash trash;
    if (o->build_cache || o->external)
        return err_new(ERR_UNSUPPORTED, "--%s",
                       o->build_cache ? "build-cache: husk builder prune removes what builds remember"
                                      : "external: no other program keeps images in husk's store: leave it "
                                        "out");
    TRY(engine_open(&engine));
    TRY(trash_begin(engine, "image prune", o->no_trash, &trash));
    struct prune_options wish = { .all = o->all, .dry_run = o->dry_run, .filters = &o->filter, .trash = &trash };
    for (size_t i = 0; i < o->filter.n; i++) { /* docker's word for it */
        bool dangling = true;
        if (str_starts(o->filter.items[i], "dangling="))
            err_ignore(parse_bool(strchr(o->filter.items[i], '=') + 1, &dangling), "said by who looks at them all");
        wish.all |= !dangling;
    }
    err *e = image_prune(engine, &wish, &lines, &bytes);
    if (!o->dry_run)
        err_ignore(trash_end(&trash), "what was asked is done; the next removal tries again");
    TRY(e);
    for (size_t i = 0; i < lines.n; i++)
        printf("%s\n", lines.items[i]);
    printf("%s: %s\n", o->dry_run ? "Would be reclaimed" : "Total reclaimed space", format_bytes(bytes, size));
    say_kept(&trash);
    return NULL;
}

#define IMAGE_COMMAND(id, word, arguments, what, options, min, max, function)                                          \
    const struct command id = {                                                                                        \
        .name = word,                                                                                                  \
        .args = arguments,                                                                                             \
        .summary = what,                                                                                               \
        .opts = options,                                                                                               \
        .opts_size = sizeof(struct image_opts),                                                                        \
        .min_args = min,                                                                                               \
        .max_args = max,                                                                                               \
        .complete_args = COMPLETE_IMAGE,                                                                               \
        .fail_exit = 1,                                                                                                \
        .run = function,                                                                                               \
    }
IMAGE_COMMAND(cmd_rmi, "rmi", "[IMAGE...]", "Remove images", rmi_options, 0, -1, rmi_run);
IMAGE_COMMAND(cmd_image_rm, "rm", "[IMAGE...]", "Remove images", rmi_options, 0, -1, rmi_run);
IMAGE_COMMAND(cmd_untag, "untag", "IMAGE [NAME...]", "Take names from an image, which stays", no_options, 1, -1,
              untag_run);
IMAGE_COMMAND(cmd_tag, "tag", "IMAGE NAME", "Give an image another name", no_options, 2, 2, tag_run);
IMAGE_COMMAND(cmd_image_inspect, "inspect", "IMAGE...", "Show everything about images", inspect_options, 1, -1,
              inspect_run);
IMAGE_COMMAND(cmd_image_prune, "prune", NULL, "Remove what no name and no container needs", prune_options, 0, 0,
              prune_run);

static const struct command cmd_image_exists = {
    .name = "exists",
    .args = "IMAGE",
    .summary = "Say by the exit status whether there is such an image",
    .opts = no_options,
    .min_args = 1,
    .max_args = 1,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 125,
    .run = exists_run,
};

/* Rows for the list of commands only: husk-look carries them out. */
#define LOOK_COMMAND(id, word, what)                                                                                   \
    static const struct command look_##id = { .name = word, .summary = what, .max_args = -1 }
LOOK_COMMAND(blame, "blame", "Show which layer and instruction made a file");
LOOK_COMMAND(cat, "cat", "Print files of an image");
LOOK_COMMAND(diff, "diff", "Show what is different between two images");
LOOK_COMMAND(files, "files", "List the files of an image");
LOOK_COMMAND(tree, "tree", "Show the layers of images, their sizes and who shares them");
LOOK_COMMAND(waste, "waste", "Show the bytes of an image that later layers hide");
const char *const image_look_words[] = { "blame", "cat", "diff", "files", "tree", "waste", NULL };

/* The same for husk-image. */
LOOK_COMMAND(key, "key", "Manage keys that images are signed with");
LOOK_COMMAND(serve, "serve", "Give and take images over standard input and output");
LOOK_COMMAND(sign, "sign", "Sign an image with a key");
LOOK_COMMAND(verify, "verify", "Check the signatures of an image");
const char *const image_trust_words[] = { "key", "serve", "sign", "verify", NULL };

static const struct command *const image_commands[] = {
    &look_blame,        &look_cat,     &look_diff,       &cmd_image_exists, &look_files,        &cmd_history,
    &cmd_image_inspect, &cmd_image_ls, &cmd_image_mount, &cmd_image_umount, &cmd_image_unmount, &cmd_image_prune,
    &cmd_image_rm,      &cmd_tag,      &cmd_untag,       &look_tree,        &look_waste,        &look_serve,
    &look_key,          &look_sign,    &look_verify,     &elsewhere_scp,    &elsewhere_trust,   NULL,
};

const struct command cmd_image = {
    .name = "image",
    .args = "COMMAND",
    .summary = "Manage images",
    .sub = image_commands,
};
