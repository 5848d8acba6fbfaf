/*
 * network_lease.h: which addresses a container gets on a network. The database keeps each address unique; here it is
 * chosen. Called within a transaction (db_begin).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_NETWORK_LEASE_H
#define HUSK_ENGINE_NETWORK_LEASE_H

#include "engine/network.h"

/* A subnet's parts as values; none: the network has none of that family. */
struct network_range {
    struct prefix subnet;
    struct ip gateway, first, last; /* first and last that may be given */
};
fallible network_range(const struct network *n, int family, struct network_range *ret);

/**
 * network_lease - fill e->ip4 and e->ip6 by its wishes and what is free.
 * @held: the rows say that a container has an address which does not run: it may be taken from that one.
 * Errors: CONFLICT with who has an address that was asked for, EXHAUSTED when the network has none left, INVALID for a
 * wish outside of its subnet.
 */
fallible network_lease(struct engine *e, const struct network *n, struct db_endpoint *endpoint);

/* The hardware address of an endpoint: the one asked for, or one made of its IP address; without either as it was. */
fallible network_mac(const struct db_endpoint *at, uint8_t ret[6]);
/* A bridge with two stations of one address would give to the one what is for the other: CONFLICT with who has it. */
fallible network_mac_is_free(struct engine *e, const struct network *n, const struct db_endpoint *at);

#endif
