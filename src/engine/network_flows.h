/*
 * network_flows.h: who spoke to whom on networks that count it, by names.
 *
 * The kernel counts by addresses (network/flows.h); an address says whose it is in the same table, put there when a
 * container starts on such a network. When another container gets an address, what the first did goes from the kernel
 * to <run>/flows, under its names: a line of JSON each, bounded, gone with a restart of the host as the kernel's is.
 *
 * Killed between the row and the firewall, the next start on the network or `network reload` carries it out. Killed
 * between the kernel and the file, what an earlier owner of an address did is lost; never is it another's.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_NETWORK_FLOWS_H
#define HUSK_ENGINE_NETWORK_FLOWS_H

#include "engine/network_parts.h"

#define FLOWS_FILE "flows"

/* UNSUPPORTED for other drivers than bridge, and without br_netfilter. What was counted stays its day. */
fallible network_flows_switch(struct engine *e, struct network *n, bool on);
/* What was counted is forgotten. */
fallible network_flows_reset(struct engine *e, const struct network *n);
/**
 * network_flows - objects of Network, From, FromIP, To, ToIP, Protocol, Port, PacketsSent, BytesSent, PacketsBack,
 * BytesBack, Refused, LastNs; From and To are "" where only the address is known, "host" for the host itself.
 * @only:     IDs of networks; none: all.
 * @ret_full: the kernel had no room for all.
 */
fallible network_flows(struct engine *e, const struct strv *only, json_t **ret, bool *ret_full);

/* Before a start, of one that is on the network: the addresses are its own from now on. */
fallible network_flows_meet(struct engine *e, const struct network *n, const struct db_endpoint *at);
/* Into a batch of a reload: all of it, or that it is no more; and afterwards. */
fallible network_flows_put(struct engine *e, const struct network *n, int sock, int route, struct nft *batch);
fallible network_flows_sweep(const struct network_list *l, int sock);
/* Whether the firewall has it as the network's row is. */
fallible network_flows_is_there(const struct network *n, int sock, bool *ret);

#endif
