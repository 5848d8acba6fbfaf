/*
 * resolver.h: the process that answers names for containers (libexec/husk/husk-dns): that it runs, and has its sockets.
 *
 * There is one for a run-time folder. Its sockets are made here, by whoever starts a container, in the network
 * namespace in which the network's bridge is, and handed over: so it needs no rights, and while one query follows the
 * other nothing is lost when it is started: what comes meanwhile waits in the socket. It ends by itself when no
 * container is connected to a network any more. What it answers is docs/design/dns.md.
 *
 *   <run>/dns        its socket: SOCK_SEQPACKET, one struct resolver_message, one byte back: 1 yes, 0 no
 *   <run>/dns.lock   held while somebody starts it
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_RESOLVER_H
#define HUSK_ENGINE_RESOLVER_H

#include <stdint.h>

#include "engine/engine.h"
#include "network/address.h"

enum { RESOLVER_LISTEN_FD = 3, RESOLVER_FDS_MAX = 4 };
#define RESOLVER_SOCKET "dns"
enum resolver_kind {
    RESOLVER_HAVE = 1, /* have you sockets of this network? Of "": do you watch the user's networks? */
    RESOLVER_ADD,      /* here they are: bound UDP and listening TCP ones */
    RESOLVER_FILTER, /* one socket to nftables, through which allowed names are filled in, one that hears of changes */
    RESOLVER_FORGET, /* the network's sockets are no more: close them */
    RESOLVER_WATCH,  /* one connection that breaks when the user's networks lose their holder or pasta: then end */
};
struct resolver_message {
    uint32_t kind;
    char network[65]; /* ID */
};

/**
 * resolver_connect - a connection to it; it is started when it does not run.
 * @ret_fresh: it was: it has no sockets yet, of any network.
 * It ends with the holder of an ordinary user's networks and with their pasta (usernet/usernet.h), which it watches: so
 * whoever brings it back, as the monitors of containers do (monitor/names.h), brings them back.
 */
fallible resolver_connect(const struct engine *e, int *ret_sock, bool *ret_fresh);
/* The same, but *ret_sock is -1 when it does not run. */
fallible resolver_find(const struct engine *e, int *ret_sock);
/* Held while somebody gives it sockets, so that no two do. */
fallible resolver_lock(const struct engine *e, int *ret_fd);
bool resolver_has(int sock, const char *network);
/* Binds port 53 of these addresses, in the user's networks where there are such, and hands the sockets over. */
fallible resolver_give(const struct usernet *u, int sock, const char *network, const struct ip *gateways, size_t n);
fallible resolver_forget(int sock, const char *network);

#endif
