/*
 * husk network update: another name server for what is not on the network.
 * Compatible with: podman network update
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "cli/network.h"

struct update_opts {
    struct strv dns_add, dns_drop;
};
#define T struct update_opts
static const struct opt update_options[] = {
    OPT_STRS(0, "dns-add", T, dns_add, "IP", "One name server more"),
    OPT_STRS(0, "dns-drop", T, dns_drop, "IP", "One less"),
    OPT_END,
};
#undef T

static fallible update_run(const void *opts_, struct args args)
{
    const struct update_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(network) struct network *n = NULL;
    TRY(engine_open(&engine));
    TRY(network_find(engine, args.v[0], &n));
    TRY(network_set_dns(engine, n, &o->dns_add, &o->dns_drop));
    printf("%s\n", args.v[0]);
    return NULL;
}

NETWORK_COMMAND(update, struct update_opts, "update", "Change a network's name servers", "NETWORK", 1, 1, NULL);
