/*
 * husk commit: a container's changes as an image.
 * Compatible with: docker commit, podman commit.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cli/cli.h"
#include "engine/commit.h"

struct commit_opts {
    const char *author, *message, *pause, *iidfile, *config, *format;
    struct strv change;
    bool quiet, volumes, squash, no_pause;
};

#define T struct commit_opts
static const struct opt commit_options[] = {
    OPT_STR('a', "author", T, author, "TEXT", "Who made it"),
    OPT_STRS('c', "change", T, change, "INSTRUCTION", "Set part of the config: 'CMD [\"sh\"]', 'ENV A=1' ..."),
    OPT_STR('m', "message", T, message, "TEXT", "Comment in the image's history"),
    OPT_STR('p', "pause", T, pause, "BOOL", "Pause the container meanwhile (default true)"),
    OPT_FLAG(0, "include-volumes", T, volumes, "The container's volumes become volumes of the image"),
    OPT_STR(0, "iidfile", T, iidfile, "FILE", "Write the image's ID to a file"),
    OPT_STR(0, "config", T, config, "FILE",
            "A configuration in JSON, which goes over the container's; '-': from input"),
    OPT_FLAG(0, "no-pause", T, no_pause, "The same as --pause=false"),
    OPT_STR('f', "format", T, format, "oci", "Refused but for oci: `husk push --format` makes others"),
    OPT_FLAG('s', "squash", T, squash, "Refused: `husk export` and `husk import` make one layer"),
    OPT_FLAG('q', "quiet", T, quiet, "With --iidfile: do not print the ID"),
    OPT_END,
};
#undef T

static fallible commit_run(const void *opts_, struct args args)
{
    const struct commit_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    struct commit_options commit = {
        .author = o->author,
        .message = o->message,
        .name = args.n > 1 ? args.v[1] : NULL,
        .changes = &o->change,
        .pause = true,
        .quiet = o->quiet,
        .volumes = o->volumes,
        .iidfile = o->iidfile,
        .config = o->config,
    };
    if (o->squash)
        return err_new(ERR_UNSUPPORTED,
                       "--squash: a layer on top of the image's is what a commit is: `husk export %s | "
                       "husk import -` makes an image of one layer",
                       args.v[0]);
    if (o->format && strcmp(o->format, "oci") != 0)
        return err_new(ERR_UNSUPPORTED,
                       "--format: '%s': images are kept as OCI has them: `husk push --format` makes "
                       "docker's on the way to a registry",
                       o->format);
    if (o->pause && o->no_pause)
        return err_new(ERR_INVALID, "--pause and --no-pause exclude each other");
    commit.pause = !o->no_pause;
    if (o->pause)
        TRY_AS(parse_bool(o->pause, &commit.pause), "--pause");
    TRY(engine_open(&engine));
    TRY(container_find(engine, args.v[0], &c));
    return container_commit(c, &commit);
}

const struct command cmd_commit = {
    .name = "commit",
    .args = "CONTAINER [IMAGE]",
    .summary = "Make an image of a container's changes",
    .opts = commit_options,
    .opts_size = sizeof(struct commit_opts),
    .min_args = 1,
    .max_args = 2,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = commit_run,
};
