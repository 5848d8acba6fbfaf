/*
 * network_dhcp.h: what the engine knows of leases (network/dhcp_client.h): who asks under which name, what a running
 * container has, and that its files follow. The monitor renews them (monitor/leases.h).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_NETWORK_DHCP_H
#define HUSK_ENGINE_NETWORK_DHCP_H

#include "engine/config.h"
#include "engine/container_parts.h"
#include "engine/network_start.h"
#include "network/dhcp_client.h"

/* What a running container's link has, into the link: its address, its gateway, the lease. Without one: nothing. */
void network_dhcp_look(const struct engine *e, const struct db_endpoint *at, struct network_link *l);
/* Of all links: the name to ask as, and name servers and domains of leases, where there are no others. */
void network_dhcp_prepare(struct container *c, const struct container_config *config, struct container_network *n);
/* The name to ask as, of one. */
fallible network_dhcp_name(struct container *c, struct network_link *l);
/* A start's: network_plan.leased, whose ctx is the container_network. Its files follow before the program runs, and the
 * monitor holds the socket: of a program that ends at once there would be no namespace to open one in. */
err *network_dhcp_follow(void *ctx, size_t link, const struct dhcp_lease *lease, int take_sock);
/* The monitor looks at the leases again; without one, who adopts the container does. */
fallible network_dhcp_tell(struct container *c);

#endif
