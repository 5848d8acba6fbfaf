/*
 * network_parts.h: what the verbs of engine/network.h share among themselves.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_NETWORK_PARTS_H
#define HUSK_ENGINE_NETWORK_PARTS_H

#include "engine/container_parts.h"
#include "engine/network.h"
#include "network/connect.h"
#include "network/reserve.h"

/* "DESTINATION,GATEWAY[,METRIC]" */
fallible network_route_parse(const char *text, struct network_route *ret);

/* What stays on its bridge passes the firewall. */
static inline bool network_is_filtered(const struct network_config *c)
{
    return c->policy_deny || c->flows;
}
/* For a network for which that begins now: the bridge's switches as they are, into c. Answers UNSUPPORTED where the
 * kernel has none. */
fallible network_filter_begin(struct engine *e, const struct network *n, int64_t *ret_was);
/* In one transaction with its reading, so that of two who change a network's row none is lost. fn: changes c. */
typedef err *network_change_fn(struct network_config *c, void *ctx);
fallible network_change_row(struct engine *e, const struct network *n, network_change_fn *fn, void *ctx);

/* The network's part of the firewall. Borrows from n. */
fallible network_firewall(const struct network *n, struct firewall_net *ret);

/* One endpoint as a link: what the start, or a live connect, is to make. default_route: it has the default routes. */
enum network_route_wish { NETWORK_NO_DEFAULT_ROUTE, NETWORK_DEFAULT_ROUTE };
fallible network_link_of(const struct network *n, const struct db_endpoint *at, const struct network_kernel *kernel,
                         enum network_route_wish wish, struct network_link *ret);
/* Leases what the endpoint's row lacks, makes the network's part of the kernel, and adds the link to the plan. */
struct container_network;
fallible network_prepare_link(struct engine *e, struct db_endpoint *at, const char *rate,
                              struct container_network *ret);
/* Whether a port of the host's leads to it: where the link is routed, that is open at its own address instead, and no
 * port of the host's is held. *at, its address of the host's, becomes that of the family which is led, where one is
 * not. CONFLICT for an address of a family that is routed. */
fallible network_port_is_led(const struct db_port *p, const struct network_link *to, struct ip *at, bool *ret);

#endif
