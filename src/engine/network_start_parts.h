/*
 * network_start_parts.h: what the files behind network_start.h share: a network in the kernel (network_kernel.c), a
 * container's published ports (network_start_ports.c), and all that it has (network_start.c). For these only.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_NETWORK_START_PARTS_H
#define HUSK_ENGINE_NETWORK_START_PARTS_H

#include "engine/network_parts.h"
#include "engine/network_start.h"

/* Whether what is missing is made, or only told of. */
enum network_prepare { NETWORK_LOOK, NETWORK_MAKE };

/* What network_ensure() would answer. Of an ordinary user's networks that nobody is on, there is nothing to look at. */
fallible network_kernel_look(const struct network *n, struct network_kernel *ret);

/* The bridge that published ports lead to; NULL: none leads beyond itself. */
struct network_link *network_published_link(const struct network_plan *p);
/* Adds the container's ports to the plan, and with NETWORK_MAKE their reservations. CONFLICT, with who has one. */
fallible network_prepare_ports(struct container *c, enum network_prepare how, struct container_network *ret);
/* One of them, led to an address of this link; without a parent it is not the firewall that leads it. */
fallible network_prepare_port(struct container *c, struct db_port *p, const struct network_link *to,
                              enum network_prepare how, struct container_network *ret);
/* Those that pasta leads in, as its options. */
fallible network_prepare_pasta(struct container *c, enum network_prepare how, struct container_network *ret);
/* What a monitor held that is gone. */
void network_reserve_again(const struct db_port *p, const struct network_link *to, struct reserve *r);

#endif
