/*
 * conntrack.h: connections that the kernel remembers and that lead where nobody should get any more.
 *
 * The rules of a firewall are asked about the first packet of a connection alone; what follows goes by what the kernel
 * remembers of it. So whoever gets an ended container's address would have its connections, past --egress and past
 * rules among neighbours, and a client of UDP that keeps its port would go on sending to a container that was replaced,
 * for as long as it sends. Connections over TCP need no such care for ports: a client begins anew. Source:
 * linux/netfilter/nfnetlink_conntrack.h.
 *
 * There is no question for some connections: the kernel looks through its whole table, which is as large as the host's
 * memory makes it (262,144 places). So it is asked first how many there are, and where there are none, which costs
 * microseconds, that is all. Then it is told to delete what a filter means (Linux 6.8), for which it passes by empty
 * places: 0.2 ms for each filter. Before 6.8, for very many ports, and where connections may lead to where they should,
 * it is asked for all of them (9 ms) and told which.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NETWORK_CONNTRACK_H
#define HUSK_NETWORK_CONNTRACK_H

#include <stdbool.h>
#include <stddef.h>

#include "network/address.h"
#include "os/netlink.h"

/* A published port of UDP: connections to it, except those that lead to where it leads now. */
struct conntrack_udp {
    struct ip at; /* the host's address; with any, of that family */
    struct ip to; /* not set: all of them */
    uint16_t port, to_port;
    bool any;
};
struct conntrack_stale { /* zero-initialised is empty */
    struct ip *ips;      /* whoever began them, from and to these */
    struct conntrack_udp *udp;
    size_t ips_n, udp_n;
    bool fresh; /* no answers are under way from where the ports lead now: what leads there may be forgotten, too */
};
void conntrack_stale_clear(struct conntrack_stale *s);
static inline void own_drop_conntrack_stale(struct conntrack_stale *s)
{
    conntrack_stale_clear(s);
}
void conntrack_add_ip(struct conntrack_stale *s, const struct ip *ip); /* once, however often it is added */
void conntrack_add_udp(struct conntrack_stale *s, const struct conntrack_udp *u);

/**
 * conntrack_is_stale - whether a message of the kernel's tells of a connection that is to be forgotten.
 */
bool conntrack_is_stale(const struct conntrack_stale *s, const struct nlmsghdr *m);
/**
 * conntrack_forget - has the kernel forget them.
 * @sock: of NETLINK_NETFILTER.
 * Errors: the kernel's; EINVAL where it lacks CONFIG_NF_CT_NETLINK. Nothing stale is no question at all.
 */
fallible conntrack_forget(int sock, const struct conntrack_stale *s);

#endif
