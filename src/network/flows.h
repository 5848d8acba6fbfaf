/*
 * flows.h: who spoke to whom: packets and bytes of each pair of addresses, protocol and port, counted by the kernel.
 *
 * A flow is all that a client's address sent to a server's address and port, and what came back, however many
 * connections that were, so what ended is in it. Sets that the packets fill themselves, of a bounded size: a flow goes
 * a day after its last packet. Nothing is counted, and no chain is in a packet's way for it, until a network asks for
 * it.
 *
 *   flows4, flows6      {client . server . protocol . port}: sent by the client
 *   answers4, answers6  the same key: by the server
 *   refused4, refused6  the same: what a rule of ours refused
 *   called4, called6    {address . address}: in the comment, what the first calls the second; an address with itself:
 *                       whose it is
 *   counted             {bridge}
 *   ported              {protocol}: those whose header begins with two ports; the others' port is 0
 *
 * Source: nft(8) "SET STATEMENT", "COUNTER"; linux/netfilter/nf_tables.h, NFTA_DYNSET_*.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NETWORK_FLOWS_H
#define HUSK_NETWORK_FLOWS_H

#include "network/firewall.h"

enum { FLOWS_MAX = 16384, FLOWS_CALLED_MAX = 65535, FLOWS_KEPT_S = 86400 };

struct flow {
    struct ip from, to;
    uint8_t proto;
    uint16_t port; /* of to; 0: the protocol has none */
    uint64_t packets, bytes, answer_packets, answer_bytes, refused;
    uint64_t age_ms; /* since the last packet */
};
struct flows {
    struct flow *items;
    size_t n;
    bool full; /* there was no room for all */
};
void flows_clear(struct flows *l);
static inline void own_drop_flows(struct flows *l)
{
    flows_clear(l);
}
/* All of the table's, sorted by addresses and ports. Without a table there are none. */
fallible flows_read(int sock, struct flows *ret);
/* Into a batch: one goes. Which sets have it is asked for by the numbers in it. */
void flows_forget(struct nft *n, const struct flow *f);

/* What an address calls another, or who it is itself (from = to). */
struct flows_name {
    struct ip from, to;
    char *name;
};
struct flows_names {
    struct flows_name *items;
    size_t n;
};
void flows_names_clear(struct flows_names *l);
static inline void own_drop_flows_names(struct flows_names *l)
{
    flows_names_clear(l);
}
fallible flows_names_read(int sock, struct flows_names *ret);
const char *flows_names_find(const struct flows_names *l, const struct ip *from, const struct ip *to); /* or NULL */
/* timeout_ms 0: it stays. One that is there keeps its name. */
void flows_name(struct nft *n, enum nft_what what, const struct ip *from, const struct ip *to, const char *name,
                uint64_t timeout_ms);

/* Into a batch: the chains that count, as they are to be. */
void flows_begin(struct nft *n);
/* They go when no bridge is counted any more. */
fallible flows_end(int sock);
fallible flows_is_counted(int sock, const char *bridge, bool *ret);
void flows_count(struct nft *n, enum nft_what what, const char *bridge);

#endif
