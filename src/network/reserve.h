/*
 * reserve.h: a published port is the container's on the host too: a socket is bound to it, and never listens, so that
 * no other program can take it while the container runs, and so that a taken one is found before anything is started.
 *
 * Nothing is ever received on it: what comes to the port is led away before (network/firewall.h). Source: ip(7),
 * tcp(7), sock_diag(7), proc_pid_fd(5).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NETWORK_RESERVE_H
#define HUSK_NETWORK_RESERVE_H

#include "base/mem.h"
#include "network/address.h"

/* "tcp", "udp", "sctp" <-> IPPROTO_*; 0: none of these. */
uint8_t proto_number(const char *word);
const char *proto_word(uint8_t proto);

/*
 * Sockets that are kept; zero-initialised is none.
 *
 * The port of names is held so that the resolver can have it on its bridges' own addresses all the same: its sockets
 * are no obstacle, and ours none for it, as both have SO_REUSEPORT, which the kernel heeds among one user's sockets.
 */
enum { RESERVE_SHARED_PORT = 53 };
struct reserve {
    int *fds;
    size_t n;
    const struct ip *shared; /* those addresses; borrowed */
    size_t shared_n;
};
void reserve_clear(struct reserve *r);

/**
 * reserve_port - bind to a port of the host's.
 * @at:   one of its addresses; none: all of IPv4, and of IPv6 when that is asked for.
 * @port: 0: any free one; answered.
 * Errors: CONFLICT "port 80/tcp is taken by process 'nginx' (4711)", DENIED (an ordinary user's below 1024), INVALID
 * for an address that the host does not have.
 */
fallible reserve_port(struct reserve *r, uint8_t proto, const struct ip *at, bool ipv6, uint16_t *port);

/* A socket that was bound, or is to be, is one of those. */
fallible reserve_share(int sock);
/* Whether a socket is bound to exactly this address. */
fallible reserve_is_bound(uint8_t proto, const struct ip *at, uint16_t port, bool *ret);

/* Who holds a port: "process 'nginx' (4711)", or, where it is another user's, into which we may not look, "a process of
 * root's" or "a process of user 1000"; "" when nobody is found. Caller frees. */
char *reserve_holder(uint8_t proto, const struct ip *at, uint16_t port);

#endif
