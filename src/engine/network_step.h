/*
 * network_step.h: a place on a network for what is no container: a build's RUN step.
 *
 * It leases its addresses by a row as a container does (docs/adr/0034), but there is no container's row beside it:
 * whose it is tells <run>/ID, which its maker has locked while it lives. A row without such a folder is what a killed
 * build left; network_step_sweep() takes it away. Nobody on the network knows it by a name.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_NETWORK_STEP_H
#define HUSK_ENGINE_NETWORK_STEP_H

#include "engine/network_start.h"

/**
 * network_step_prepare - the same as network_prepare(), for <run>/ID. For root.
 * @e:  of this process alone: its database is opened here.
 * @id: 64 hex digits; <run>/ID is there and locked.
 * @network: a network's name; "bridge": the default.
 * Errors: NOT_FOUND, EXHAUSTED, what the kernel says about bridges.
 */
fallible network_step_prepare(struct engine *e, const char *id, const char *network, struct container_network *ret);
/* Its end: nothing of it is in the firewall, and its addresses are free. */
fallible network_step_end(struct engine *e, const char *id);
/* Rows of steps that are no more. remove false: they are only counted. Without husk.db there are none. */
fallible network_step_sweep(struct engine *e, bool remove, int64_t *ret_n);

#endif
