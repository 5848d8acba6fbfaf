/*
 * husk port: the ports of the host that lead into a container.
 * Compatible with: docker port, podman port.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cli/cli.h"

struct port_opts {
    bool all, latest;
};

#define T struct port_opts
static const struct opt port_options[] = {
    OPT_FLAG('a', "all", T, all, "Of every container"),
    OPT_FLAG('l', "latest", T, latest, "Of the one that was made last"),
    OPT_END,
};
#undef T

/* A container's ports are the network's work; none has any yet that the host's lead to. */
static fallible port_run(const void *opts_, struct args args)
{
    const struct port_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    own_mem char *latest = NULL;
    if (o->all)
        return args.n ? err_new(ERR_INVALID, "--all and names exclude each other") : NULL;
    TRY(engine_open(&engine));
    TRY(only_one(engine, o->latest, &args, &latest));
    const char *port = latest ? args.v[0] : args.v[1];
    if (args.n > (latest ? 1 : 2))
        return err_new(ERR_INVALID, "one container and at most one port");
    TRY(container_find(engine, latest ? latest : args.v[0], &c));
    if (args.n == (latest ? 1 : 2))
        return err_new(ERR_NOT_FOUND, "no public port '%s' of container '%s'", port, c->row.name);
    return NULL;
}

const struct command cmd_port = {
    .name = "port",
    .args = "[CONTAINER [PORT[/PROTOCOL]]]",
    .summary = "Show the ports of the host that lead into a container",
    .opts = port_options,
    .opts_size = sizeof(struct port_opts),
    .max_args = 2,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = port_run,
};
