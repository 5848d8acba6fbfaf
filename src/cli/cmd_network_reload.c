/*
 * husk network reload: the firewall's part of all networks anew; and, for monitors, the resolver again, and files of
 * containers whose leases have changed.
 * Compatible with: podman network reload
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "cli/network.h"
#include "engine/container_parts.h"
#include "engine/hosts.h"
#include "engine/network_door.h"
#include "engine/network_start.h"

struct reload_opts {
    bool all, latest;
};
#define T struct reload_opts
static const struct opt reload_options[] = {
    OPT_FLAG('a', "all", T, all, "As without a name: of all"),
    OPT_FLAG('l', "latest", T, latest, "The container that was made last: all networks are made anew anyway"),
    OPT_END,
};
#undef T

static fallible reload_run(const void *opts_, struct args args)
{
    const struct reload_opts *o = opts_;
    own_mem char *latest = NULL;
    own(engine) struct engine *engine = NULL;
    own_str struct str obstacles = { 0 };
    struct network_list l = { 0 };
    int64_t finished;
    TRY(engine_open(&engine));
    for (int i = 0; i < args.n; i++) { /* podman names containers: all are reloaded, but a wrong name is said */
        own(container) struct container *c = NULL;
        TRY(container_find(engine, args.v[i], &c));
    }
    if (o->latest)
        TRY(only_one(engine, true, &args, &latest));
    TRY(network_reload(engine));
    TRY(network_cni_reload(engine));
    TRY(network_settle_all(engine, true, &finished));
    TRY(network_obstacles(&obstacles));
    network_lacks(&obstacles);
    if (obstacles.len)
        fprintf(stderr, "husk network reload: %s\n", obstacles.text);
    network_list_clear(&l);
    return NULL;
}

NETWORK_COMMAND(
    reload, struct reload_opts, "reload", "Make the firewall's part of all networks anew", "[CONTAINER...]", 0, -1,
    "After the host's firewall was loaded anew, which takes husk's table with it. Every start of a container "
    "looks for\nthat by itself and does the same.");

static const struct opt names_options[] = { OPT_END };

static fallible names_run(const void *opts, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    own_fd int sock = -1;
    TRY(engine_open(&engine));
    TRY(container_find(engine, args.v[0], &c));
    return network_names_again(c, &sock);
}

const struct command cmd_network_names = {
    .name = "network-names",
    .args = "CONTAINER",
    .summary = "The resolver of names again, for a container's monitor",
    .opts = names_options,
    .opts_size = 1,
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .hidden = true,
    .run = names_run,
};

static const struct opt leases_options[] = { OPT_END };

static fallible leases_run(const void *opts, struct args args)
{
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    struct container_network n = { .dns_sock = -1 };
    TRY(engine_open(&engine));
    TRY(container_find(engine, args.v[0], &c));
    TRY(container_lock(c));
    TRY(network_look(c, &n));
    err *e = hosts_follow(c, &n);
    container_network_clear(&n);
    return e;
}

const struct command cmd_network_leases = {
    .name = "network-leases",
    .args = "CONTAINER",
    .summary = "Its files follow what a DHCP server gave it, for a container's monitor",
    .opts = leases_options,
    .opts_size = 1,
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .hidden = true,
    .run = leases_run,
};
