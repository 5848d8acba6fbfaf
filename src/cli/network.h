/*
 * network.h: what the files of `husk network` share, and `husk system prune` with them.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_NETWORK_H
#define HUSK_CLI_NETWORK_H

#include "cli/cli.h"
#include "engine/network.h"
#include "engine/trash.h"

#define NETWORK_COMMAND(id, type, word, what, arguments, min, max, more)                                               \
    const struct command cmd_network_##id = {                                                                          \
        .name = word,                                                                                                  \
        .args = arguments,                                                                                             \
        .summary = what,                                                                                               \
        .detail = more,                                                                                                \
        .opts = id##_options,                                                                                          \
        .opts_size = sizeof(type),                                                                                     \
        .min_args = min,                                                                                               \
        .max_args = max,                                                                                               \
        .fail_exit = 1,                                                                                                \
        .run = id##_run,                                                                                               \
    }
extern const struct command cmd_network_connect, cmd_network_disconnect, cmd_network_exists, cmd_network_flows,
    cmd_network_graph, cmd_network_inspect, cmd_network_ls, cmd_network_policy, cmd_network_prune, cmd_network_reload,
    cmd_network_rm, cmd_network_update;

/* Whether a container is on it, but for those with IDs in without, which may be NULL. */
fallible network_is_used(struct engine *e, const struct network *n, const struct strv *without, bool *ret);
/* Whether all filters fit it, and whether they are filters. */
fallible network_passes(struct engine *e, const struct network *n, const struct strv *filters, bool *ret);
fallible network_filters_check(const struct strv *filters);

struct network_pruning {
    const struct strv *filters;
    const struct strv *without; /* IDs of containers that do not count: they go first; NULL: none */
    struct trash *trash;        /* where their rows go */
    bool dry_run;
};
/* Removes the networks that no container is on, but not the default one; ret: their names. */
fallible network_prune_unused(struct engine *e, const struct network_pruning *p, struct strv *ret);

#endif
