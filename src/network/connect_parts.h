/*
 * connect_parts.h: what bridge.c and connect.c share.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NETWORK_CONNECT_PARTS_H
#define HUSK_NETWORK_CONNECT_PARTS_H

#include "network/connect.h"
#include "os/netlink.h"

/* Requests into a batch: an address of an interface; none adds nothing. */
void network_add_address(struct netlink_batch *batch, unsigned index, const struct prefix *p);
/* Requests that set an interface up; without IPv6 it gets no address of that family by itself. */
void network_set_up(struct netlink_batch *batch, unsigned index, bool ipv6);

#endif
