/*
 * server.h: the sockets that containers ask, UDP and TCP, on the gateway address of each network.
 *
 * The sockets are made by others (engine/resolver.h) and handed in: this process needs neither rights nor the network
 * namespace they are in. What names there are is asked through a callback before each batch of questions, so an answer
 * is never older than the question.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_DNS_SERVER_H
#define HUSK_DNS_SERVER_H

#include "dns/forward.h"
#include "dns/names.h"

enum { SERVER_CONNS_MAX = 64, SERVER_CONNS_MAX_OF_ONE = 16, SERVER_IDLE_MS = 10000 };

struct dns_server;
struct dns_server_hooks {
    /* The names as of now; another pointer or another serial when they have changed. NULL: none can be read. */
    const struct dns_names *(*names)(void *ctx, uint64_t *ret_serial);
    /* An answer from outside for a container, before the container has it. */
    void (*outside)(void *ctx, const char *container, const struct dns_query *q, const unsigned char *bytes, size_t n);
    void *ctx;
};
fallible dns_server_new(struct loop *loop, const struct dns_server_hooks *hooks, struct dns_server **ret);
void dns_server_free(struct dns_server *s);
OWN_TYPE(dns_server, struct dns_server *, dns_server_free)

/* A bound UDP socket or a listening TCP one, of a network. */
fallible dns_server_add(struct dns_server *s, const char *network, int take_fd);
bool dns_server_has(const struct dns_server *s, const char *network);
void dns_server_remove(struct dns_server *s, const char *network);
/* Closes the sockets of networks that are no more. */
void dns_server_sweep(struct dns_server *s);

#endif
