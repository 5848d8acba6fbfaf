/*
 * pump.h: bytes of published ports, between a socket of the host's and one in the user's network namespace.
 *
 * A client's address is kept: the inner socket is bound to it although it is no address of ours (IP_TRANSPARENT), which
 * root of the namespace may do, and a rule brings the answers back (usernet/route.h). A client on this host's loopback
 * has no address that could be routed: the container sees the bridge's instead. So has an IPv6 client of a container
 * that only has an IPv4 address.
 *
 * Source: ip(7), IP_TRANSPARENT and IP_PKTINFO.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_USERNET_PUMP_H
#define HUSK_USERNET_PUMP_H

#include "os/loop.h"
#include "usernet/protocol.h"

enum { PUMP_TCP_MAX = 4096, PUMP_UDP_MAX = 4096, PUMP_UDP_IDLE_MS = 120000 };

struct pump;
fallible pump_new(struct loop *loop, struct pump **ret);
void pump_free(struct pump *p);
OWN_TYPE(pump, struct pump *, pump_free)

/* fd: a listening TCP or a bound UDP socket of the host's. */
fallible pump_add(struct pump *p, const char *container, const union usernet_address *target, int take_fd);
/* Ports of a container: all (protocol 0), or the one that is bound to host. Connections that run go on until the
 * container ends them, as behind a firewall that loses a rule; datagrams do not. Answers how many ports went. */
size_t pump_remove(struct pump *p, const char *container, uint32_t protocol, const union usernet_address *host);

/* tcp.c and udp.c: one port. */
struct port;
struct pump_tcp;
struct pump_udp;
socklen_t pump_address_size(const union usernet_address *a);
/* A socket in our network namespace towards target, bound to the client's address where that can be; -1 and errno. */
int pump_inner(int type, const union usernet_address *client, const union usernet_address *target);

fallible pump_tcp_new(struct loop *loop, struct pump_tcp **ret);
void pump_tcp_free(struct pump_tcp *t);
/* fd: an accepted connection. */
void pump_tcp_add(struct pump_tcp *t, const union usernet_address *client, const union usernet_address *target,
                  int take_fd);

fallible pump_udp_new(struct loop *loop, struct pump_udp **ret);
void pump_udp_free(struct pump_udp *u);
/* fd: the port's socket, readable now. */
void pump_udp_readable(struct pump_udp *u, int fd, const union usernet_address *target);
/* The port goes: its clients are forgotten. */
void pump_udp_forget(struct pump_udp *u, int fd);
OWN_TYPE(pump_tcp, struct pump_tcp *, pump_tcp_free)
OWN_TYPE(pump_udp, struct pump_udp *, pump_udp_free)

#endif
