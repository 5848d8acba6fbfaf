/*
 * network.h: what `husk network prune` and `husk system prune` share.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_NETWORK_H
#define HUSK_CLI_NETWORK_H

#include "engine/trash.h"

struct network_pruning {
    const struct strv *filters;
    const struct strv *without; /* IDs of containers that do not count: they go first; NULL: none */
    struct trash *trash;        /* where their rows go */
    bool dry_run;
};
/* Removes the networks that no container is on, but not the default one; ret: their names. */
fallible network_prune_unused(struct engine *e, const struct network_pruning *p, struct strv *ret);

#endif
