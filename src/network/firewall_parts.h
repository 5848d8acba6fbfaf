/*
 * firewall_parts.h: parts of rules, as nft(8) writes them, that the files of husk's tables share.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NETWORK_FIREWALL_PARTS_H
#define HUSK_NETWORK_FIREWALL_PARTS_H

#include <linux/netfilter/nf_tables.h>
#include <string.h>
#include <sys/socket.h>

#include "network/firewall.h"

enum { IFNAME = 16 };

/* Another field of an element's key: each begins at a multiple of 4 bytes. */
static inline void add_field(uint8_t *key, size_t *len, const void *bytes, size_t n)
{
    memcpy(key + *len, bytes, n);
    *len += NLA_ALIGN(n);
}

static inline void is_family(struct nft *n, int family) /* meta nfproto ... */
{
    const uint8_t v = (uint8_t)family;
    nft_meta(n, NFT_META_NFPROTO, NFT_R0);
    nft_compare(n, NFT_EQUAL, NFT_R0, &v, sizeof v);
}

enum side_of { SOURCE, DESTINATION };

static inline void load_address(struct nft *n, int family, enum side_of side,
                                uint32_t reg) /* ip saddr, ip6 daddr ... */
{
    uint32_t len = family == AF_INET ? 4 : 16;
    uint32_t offset = family == AF_INET ? 12 : 8; /* RFC 791, 3.1; RFC 8200, 3 */
    nft_payload(n, NFT_PAYLOAD_NETWORK_HEADER, offset + (side == DESTINATION ? len : 0), len, reg);
}

static inline void interface_in(struct nft *n, uint32_t key, const char *set) /* iifname @set */
{
    nft_meta(n, key, NFT_R0);
    nft_lookup(n, set, NFT_R0, 0);
}

static inline void load_port(struct nft *n, uint32_t reg) /* meta l4proto . th dport */
{
    nft_meta(n, NFT_META_L4PROTO, reg);
    nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, reg + 1);
}

/* ---- who a limited container's packets say that they are from: firewall_bridge.c ---- */

/* An element of the table `bridge husk`: r is without a destination. */
void firewall_bridge_put(struct nft *n, enum nft_what what, const struct firewall_reach *r);

/* ---- connections that lead where nobody should get any more: firewall_stale.c ---- */

/* Of what a part brings: to its ports of UDP, unless they lead to where they are to; and all of its limited addresses
 * and of those with rules, but for the ones that old, bytes of a batch that takes elements out, has too: a live
 * change's, whose connections go on. Then also to old's ports of UDP that are no more. part NULL: there is none. */
fallible firewall_forget_stale(int sock, const struct firewall_part *part, const void *old, size_t old_len);

/* ---- what passed, and what was refused: network/flows.h ---- */

enum { FLOWS_SETS_N = 10 };
extern const struct nft_set flows_sets[FLOWS_SETS_N];
/* The elements that are always in them. */
void flows_constants(struct nft *n);
/* The rules of the chain that counts what is refused on counted networks, and one that leads there. */
#define FLOWS_REFUSED "count_refused"
void flows_refused(struct nft *n);
void flows_count_refused(struct nft *n, const char *chain);

#endif
