/*
 * network_settle.h: what a running container has in the kernel is what its rows say, also after a command that changed
 * the rows was killed before the kernel's part, or within it.
 *
 *   <run>/ID/network.change   there while a command changes a running container's networks or ports: the interface, the
 *                             ID of its network and its end on the host (of a bridge's) that it is about, a line each;
 *                             or nothing when it is about ports
 *
 * The caller of each of these holds the container's lock, so whoever finds such a file knows that its writer is gone.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_NETWORK_SETTLE_H
#define HUSK_ENGINE_NETWORK_SETTLE_H

#include "engine/container.h"
#include "engine/db_network.h"
#include "engine/network.h"

#define NETWORK_CHANGE_FILE "network.change"

/* n, at: the network and the row that comes or goes. NULL: ports. */
fallible network_change_begin(struct container *c, const struct network *n, const struct db_endpoint *at);
/* Firewall, ports and default routes as the rows have them now; then the change is over. */
fallible network_change_end(struct container *c, pid_t pid);
/* The rows are as they were before the change: so is the rest, as far as that can be. */
void network_change_undo(struct container *c, pid_t pid);
/**
 * network_settle - carries out what a killed command has left.
 * @pid: of the running container.
 * @ret_network: NULL: there was nothing; else the network's ID, "" for ports. The caller frees it.
 */
fallible network_settle(struct container *c, pid_t pid, char **ret_network);
/* Its run-time folder. */
fallible network_open_state(const struct container *c, int *ret_fd);
/* The pid of a container that runs and is connected; else 0. */
fallible network_running_pid(struct container *c, pid_t *ret);

#endif
