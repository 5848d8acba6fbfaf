/*
 * husk network inspect, husk network exists: one by its name.
 * Compatible with: docker network inspect, podman network inspect, podman network exists
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "cli/inspect_docs.h"
#include "cli/network.h"

struct inspect_opts {
    const char *format;
    bool verbose;
};
#define T struct inspect_opts
static const struct opt inspect_options[] = {
    OPT_STR('f', "format", T, format, "FORMAT", "json, or a template such as '{{.Driver}}'"),
    OPT_FLAG('v', "verbose", T, verbose, "As it always is"),
    OPT_END,
};
#undef T
static const struct opt exists_options[] = { OPT_END };

struct each {
    struct engine *engine;
    json_t *docs;
};

static err *inspect_one(const char *name, void *ctx)
{
    struct each *each = ctx;
    own(network) struct network *n = NULL;
    json_t *doc = NULL;
    TRY(network_find(each->engine, name, &n));
    TRY(inspect_network(each->engine, n, &doc));
    (void)json_array_append_new(each->docs, doc);
    return NULL;
}

static fallible inspect_run(const void *opts_, struct args args)
{
    const struct inspect_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_json json_t *docs = json_array();
    TRY(engine_open_to_look(&engine));
    err *e = command_each("husk network inspect", args, inspect_one, &(struct each){ engine, docs });
    return inspect_print(docs, o->format, e);
}

static fallible exists_run(const void *opts_, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(network) struct network *n = NULL;
    TRY(engine_open_to_look(&engine));
    err *e = network_find(engine, args.v[0], &n);
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    return err_exit(1);
}

NETWORK_COMMAND(inspect, struct inspect_opts, "inspect", "Show everything about networks", "NETWORK...", 1, -1, NULL);
NETWORK_COMMAND(exists, struct inspect_opts, "exists", "Say by the exit status whether there is a network", "NETWORK",
                1, 1, NULL);
