/*
 * network_door.h: where networks are: on the host, or, of an ordinary user, in the namespace of his own that usernet/
 * holds; and the two processes that serve them.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_NETWORK_DOOR_H
#define HUSK_ENGINE_NETWORK_DOOR_H

#include "engine/network_parts.h"
#include "engine/network_start.h"

enum network_door {
    NETWORK_DOOR_FIND,    /* what is there: without a holder there is nothing */
    NETWORK_DOOR_INSIDE,  /* made when it is not there */
    NETWORK_DOOR_OUTSIDE, /* and joined to the outside */
};
/**
 * network_door - from now on the networks that this process touches are the right ones. For root: nothing to do.
 * When the holder has to be started again while containers run on networks, those are connected again.
 * Errors: NOT_FOUND for FIND without a holder; what usernet/usernet.h says.
 */
fallible network_door(struct engine *e, enum network_door how);

/* The ports of a plan, whose sockets are bound, lead to the container: of an ordinary user. */
fallible network_publish_user(struct container *c, const struct network_plan *p, const struct reserve *r);

/* All that it has published, in place of what the holder has of it: of an ordinary user. */
fallible network_publish_user_again(struct container *c);

/* Its containers ask the gateway for names. */
bool network_has_names(const struct network *n);
fallible network_gateways(const struct network *n, struct ip ret[2], size_t *ret_n);
/* Where the resolver is asked, on all networks. Caller frees. */
fallible network_all_gateways(struct engine *e, struct ip **ret, size_t *ret_n);
/* The resolver runs and has its sockets of these networks, and, when it was started just now, of all that are in use.
 * *ret_sock is -1 when none of them has names. */
fallible network_names(struct engine *e, const struct db_endpoints *endpoints, int *ret_sock);
/* The same for a container that is connected, when the resolver was killed, or ended because the firewall's table is
 * gone, or because the container's monitor was killed and nobody else needed it: what is gone is made anew. */
fallible network_names_again(struct container *c, int *ret_sock);

#endif
