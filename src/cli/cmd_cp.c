/*
 * husk cp: files into, out of and between containers.
 * Compatible with: docker cp, podman cp.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "engine/copy.h"

struct cp_opts {
    struct copy_options copy;
    bool quiet;
};

#define T struct cp_opts
static const struct opt cp_options[] = {
    OPT_FLAG('a', "archive", T, copy.archive, "Keep owners and attributes; else all belongs to the other side's root"),
    OPT_FLAG('L', "follow-link", T, copy.follow, "What a link in the source leads to, not the link"),
    OPT_FLAG(0, "overwrite", T, copy.overwrite, "A file may take a directory's place, and the other way round"),
    OPT_FLAG('q', "quiet", T, quiet, "As with docker: husk prints nothing either way"),
    OPT_END,
};
#undef T

/* "NAME:PATH" is a container's unless a slash or dot at the beginning says that it is a file. */
static fallible side(struct engine *e, const char *text, struct copy_side *ret)
{
    const char *colon = strchr(text, ':');
    *ret = (struct copy_side){ .path = text };
    if (!colon || text[0] == '/' || text[0] == '.' || colon == text)
        return NULL;
    own_mem char *name = mem_strndup(text, (size_t)(colon - text));
    if (!colon[1])
        return err_new(ERR_INVALID, "'%s': the path in the container is missing", text);
    ret->path = colon + 1;
    return container_find(e, name, &ret->container);
}

static fallible cp_run(const void *opts_, struct args args)
{
    const struct cp_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    struct copy_side from = { 0 }, to = { 0 };
    TRY(engine_open(&engine));
    err *e = side(engine, args.v[0], &from);
    if (!e)
        e = side(engine, args.v[1], &to);
    if (!e && strcmp(args.v[1], "-") == 0 && isatty(STDOUT_FILENO))
        e = err_new(ERR_INVALID, "an archive is not for a terminal: redirect our output");
    if (!e)
        e = container_copy(&from, &to, &o->copy);
    container_free(from.container);
    container_free(to.container);
    return e;
}

const struct command cmd_cp = {
    .name = "cp",
    .args = "[CONTAINER:]SOURCE [CONTAINER:]TARGET",
    .summary = "Copy files into, out of and between containers",
    .detail =
        "Either side may be \"-\": a tar archive on standard output, or on standard input, there also packed (gzip,\n"
        "zstd, xz, bzip2). A source that ends in \"/.\" is what "
        "is in the directory. Links are followed inside the container only.",
    .opts = cp_options,
    .opts_size = sizeof(struct cp_opts),
    .min_args = 2,
    .max_args = 2,
    .complete_args = COMPLETE_COPY,
    .fail_exit = 1,
    .run = cp_run,
};
