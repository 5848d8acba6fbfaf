/*
 * big_tcp.h: packets of more than 64 KiB among the containers of a bridge (the kernel's "BIG TCP").
 *
 * A bridge costs each packet a second way through the kernel, so fewer and larger ones make up for it. A sender may
 * hand over BIG_TCP_SIZE bytes at once where its interface says so, but a device that takes less, which is every
 * ordinary network card, then has them cut up by the processor into single segments. So the limit that tells the two
 * apart is the number of segments: among neighbours, whose MTU is BIG_TCP_MTU, BIG_TCP_SEGMENTS are more than
 * BIG_TCP_SIZE; to the outside, where the route's MTU is BIG_TCP_OUTER_MTU, they are just under 64 KiB, which every
 * card's own segmentation takes. Source: linux/if_link.h; the kernel's gso_features_check(), tcp_tso_segs(); ADR 70.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NETWORK_BIG_TCP_H
#define HUSK_NETWORK_BIG_TCP_H

#include "os/netlink.h"

enum { BIG_TCP_SIZE = 196608, BIG_TCP_MTU = 9000, BIG_TCP_OUTER_MTU = 1500, BIG_TCP_SEGMENTS = 44 };

/* Of a link's description (RTM_NEWLINK): whether the kernel can, for both families (Linux 6.3). */
bool big_tcp_is_known(const struct nlmsghdr *m);
/* Whether what this link itself sends may be so large. */
bool big_tcp_is_set(const struct nlmsghdr *m);
/* Attributes of an interface in the making that may send packets of that size. */
void big_tcp_add(struct netlink_batch *b);
/* The same, for an interface behind which somebody sends to the outside too. */
void big_tcp_add_sender(struct netlink_batch *b);
/* An interface that is there; a bridge must have a port, since its limit is that of its ports. What cannot take it (a
 * port of somebody else's is in the bridge) stays as it is. */
fallible big_tcp_set(int sock, unsigned index);
/* The host's loopback, by which the host's own way to a published port goes at first: what is connected to there has
 * its limit for good. IPv4 alone, since in IPv6 such packets have one header more, that a firewall may not expect; and
 * with the limit of segments, so whatever else is led away from there as before is. One that somebody has set stays. */
fallible big_tcp_widen_loopback(int sock);

#endif
