/*
 * husk top: the processes of a container.
 * Compatible with: docker top, podman top.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "cli/table.h"
#include "engine/top.h"

struct top_opts {
    bool latest;
};

#define T struct top_opts
static const struct opt top_options[] = {
    OPT_FLAG('l', "latest", T, latest, "Of the one that was made last"),
    OPT_END,
};
#undef T

static fallible top_run(const void *opts_, struct args args)
{
    const struct top_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    own_mem char *latest = NULL;
    struct top_wish wish = { 0 };
    struct top top = { 0 };
    TRY(engine_open_to_look(&engine));
    TRY(only_one(engine, o->latest, &args, &latest));
    int skip = latest ? 0 : 1;
    TRY(container_find(engine, latest ? latest : args.v[0], &c));
    TRY(top_parse(args.v + skip, (size_t)(args.n - skip), &wish));
    err *e = container_top(c, &wish, &top);
    top_wish_clear(&wish);
    TRY(e);
    table_print_cells(&top.titles, top.rows, top.n);
    top_clear(&top);
    return NULL;
}

const struct command cmd_top = {
    .name = "top",
    .args = "[CONTAINER] [OPTION OF ps | COLUMN...]",
    .summary = "Show the processes of a container",
    .detail = "The processes are read from the host: the container needs no ps. Options are those of ps(1) that people "
              "use: -ef, aux, -o LIST; or columns as podman names them: pid hpid user comm args.",
    .opts = top_options,
    .opts_size = sizeof(struct top_opts),
    .max_args = -1,
    .stop_at_arg = true,
    .complete_args = COMPLETE_RUNNING,
    .fail_exit = 1,
    .run = top_run,
};
