/*
 * names.h: who has which name, and who may ask for it. A picture of the engine's database, made anew when that changes.
 *
 * A container sees the names of those with which it shares a network, each with its addresses on the shared networks.
 * A name of a container is: its own, its host name, its short and its whole ID, and the aliases that it has on a
 * network; each also with the network's name behind it ("web.backend"). Several containers may have one alias: all
 * their addresses are the answer, in an order that changes. What is a single word and nobody's name does not exist: it
 * is not asked of the host's servers, since no name of the Internet is one word and what containers are called is
 * nobody else's business.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_DNS_NAMES_H
#define HUSK_DNS_NAMES_H

#include "base/mem.h"
#include "dns/wire.h"
#include "network/egress.h"

struct dns_names;
struct dns_names *dns_names_new(void);
void dns_names_free(struct dns_names *n);
OWN_TYPE(dns_names, struct dns_names *, dns_names_free)

/* Each answers the index that the others refer to. Strings are copied. */
size_t dns_names_add_network(struct dns_names *n, const char *id, const char *name, bool internal,
                             const struct strv *servers);
void dns_names_add_subnet(struct dns_names *n, size_t network, const struct prefix *subnet);
/* What its containers send is counted. */
void dns_names_count_network(struct dns_names *n, size_t network);
/* servers: the container's own; empty: the network's, or the host's. egress: its words of --egress. */
size_t dns_names_add_container(struct dns_names *n, const char *id, const struct strv *servers,
                               const struct strv *egress);
/* What a container alone calls another one: any of its own names. */
void dns_names_add_link(struct dns_names *n, size_t container, const char *alias, const char *name);
/* names: without the network's. addresses: at most one of each family. The endpoints of a container come one after the
 * other. */
void dns_names_add_endpoint(struct dns_names *n, size_t container, size_t network, const struct ip *addresses,
                            size_t addresses_n, const struct strv *names);
/* Whether a container is connected now: what has a row but does not run has no name. */
typedef bool dns_connected(void *ctx, const char *id);
/* After the last addition, before the first question. */
void dns_names_seal(struct dns_names *n, dns_connected *connected, void *ctx);

/* Whether a container may only go where it is allowed to. */
bool dns_names_is_limited(const struct dns_names *n, const char *container);
/* Its addresses on networks that are counted. */
typedef void dns_counted_fn(void *ctx, const struct ip *own);
void dns_names_counted(const struct dns_names *n, const char *container, dns_counted_fn *fn, void *ctx);
/* What of its rules are about a name: fn is called with each of its addresses that may now reach a. */
typedef void dns_reach_fn(void *ctx, const struct firewall_reach *r);
void dns_names_reach(const struct dns_names *n, const char *container, const char *name, const struct ip *a,
                     uint64_t timeout_ms, dns_reach_fn *fn, void *ctx);
/* Whether any container is connected. */
bool dns_names_in_use(const struct dns_names *n);
/* The index of a network by its ID; false: there is none. */
bool dns_names_network(const struct dns_names *n, const char *id, size_t *ret);

enum { DNS_ANSWERS_MAX = 64, DNS_SERVERS_MAX = 3 };
enum dns_outcome {
    DNS_HERE,    /* addresses or names, or none of this type (NODATA) */
    DNS_NOWHERE, /* NXDOMAIN */
    DNS_OUTSIDE, /* the servers of *ret are to be asked */
    DNS_FORBID,  /* REFUSED: the asker is no neighbour, may not reach it, or it is not about the Internet's class */
};
struct dns_found {
    struct ip addresses[DNS_ANSWERS_MAX];
    char names[DNS_ANSWERS_MAX][DNS_NAME_MAX]; /* PTR */
    size_t addresses_n, names_n;
    const struct strv *servers; /* DNS_OUTSIDE: NULL: the host's. Borrowed from the names. */
    const char *container;      /* the asker's ID; NULL: none that we know. Borrowed. */
};
/**
 * dns_names_find - what a question is answered with.
 * @network: on whose gateway address it came. @asker: from where.
 * @turn: any number; which of several addresses comes first.
 */
enum dns_outcome dns_names_find(const struct dns_names *n, size_t network, const struct ip *asker,
                                const struct dns_query *q, unsigned turn, struct dns_found *ret);

#endif
