/*
 * husk create: make a container without starting it.
 * Compatible with: docker create, podman create.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "cli/create_more_options.h"

struct create_opts {
    struct create_options create;
    struct strv attach;
};

#define T struct create_opts
static const struct opt create_options[] = {
    CREATE_OPTIONS(T), CREATE_MORE_OPTIONS(T),
    OPT_STRS('a', "attach", T, attach, "STREAM", "Refused: see `husk start --attach`"), OPT_END
};
#undef T

static fallible create_run(const void *opts_, struct args args)
{
    const struct create_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    if (o->attach.n)
        return err_new(ERR_UNSUPPORTED, "--attach: nothing is attached before it runs: say `husk start --attach`");
    if (!o->create.rootfs && args.n < 1)
        return err_new(ERR_INVALID, "needs IMAGE, or --rootfs DIR: see '--help'");
    TRY(engine_open(&engine));
    TRY(container_create(engine, &o->create, args.v, (size_t)args.n, &c));
    container_keep(c);
    printf("%s\n", c->row.id);
    return NULL;
}

const struct command cmd_create = {
    .name = "create",
    .args = "IMAGE [COMMAND] [ARGUMENT...]",
    .summary = "Make a container without starting it",
    .opts = create_options,
    .opts_size = sizeof(struct create_opts),
    .min_args = 0,
    .max_args = -1,
    .stop_at_arg = true,
    .complete_args = COMPLETE_IMAGE,
    .fail_exit = 1,
    .run = create_run,
};
