/*
 * leases.h: addresses that a DHCP server gave a container are kept for as long as it runs, and given back at its end.
 *
 * A lease is a file in the run-time folder (network/dhcp_client.h), made by whoever connected the container: its start,
 * or a live connect, which says MONITOR_LEASES. For each the monitor has a socket in the container's network namespace,
 * and no process. When what is leased is another address, or other name servers, "husk network-leases ID" lets the
 * container's files follow. The socket keeps the namespace, and the link in it, until the server has been told.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_LEASES_H
#define HUSK_MONITOR_LEASES_H

#include "monitor/monitor.h"
#include "os/loop.h"

enum { LEASES_MAX = 16 }; /* links of one container */
struct lease;
struct leases {
    const struct monitor_plan *plan;
    struct loop *loop;
    int state_fd; /* borrowed */
    struct lease *items[LEASES_MAX];
    size_t n;
};

/* Nothing to do for a plan without leases. What goes wrong is a lease that ends by itself. */
void leases_begin(struct leases *l, const struct monitor_plan *plan, struct loop *loop, int state_fd);
/* New ones are kept from now on, those whose file is gone no more. */
void leases_look(struct leases *l);
/* The container is dead: all are given back. */
void leases_end(struct leases *l);

#endif
