/*
 * nft_parts.h: what the files behind nft.h share: objects and elements (nft.c), rules (nft_rule.c), questions
 * (nft_ask.c). For these only.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NETWORK_NFT_PARTS_H
#define HUSK_NETWORK_NFT_PARTS_H

#include <endian.h>
#include <linux/netfilter/nfnetlink.h>

#include "network/nft.h"

/* The type of a message of nf_tables: NFT_MSG_*. */
#define NFT_MESSAGE(message) ((uint16_t)(NFNL_SUBSYS_NFTABLES << 8 | (message)))

/* Begins a message of the batch. what: is named when the kernel refuses it. */
void nft_message(struct nft *n, const char *what, uint16_t message, uint16_t flags);

/* Numbers of nf_tables are in network order. */
static inline void nft_add_number(struct nft *n, uint16_t attribute, uint32_t v)
{
    netlink_batch_add_u32(&n->batch, attribute, htobe32(v));
}
/* The bytes of a key, of data or of a constant, as they are. */
void nft_add_value(struct nft *n, uint16_t attribute, const void *bytes, size_t len);

/* Of bytes that were kept: how many of left are this message's, what fills it up included; 0: not a whole one. The
 * length is looked at before it is rounded up, which in 32 bits makes 0 of the largest. */
static inline size_t nft_step(const struct nlmsghdr *m, size_t left)
{
    if (left < sizeof *m || m->nlmsg_len < sizeof *m || m->nlmsg_len > left)
        return 0;
    size_t step = NLMSG_ALIGN(m->nlmsg_len);
    return step <= left ? step : 0;
}

#endif
