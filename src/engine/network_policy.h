/*
 * network_policy.h: rules among the containers of one network: kept in its row, in the firewall as network/acl.h
 * says.
 *
 * A network allows everything or, "deny", what its rules allow. What is changed holds for all connections that begin
 * afterwards; what passes already goes on. Killed between the row and the firewall, the next start on the network or
 * `network reload` carries it out.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_NETWORK_POLICY_H
#define HUSK_ENGINE_NETWORK_POLICY_H

#include "engine/network_parts.h"

/* "allow" or "deny"; INVALID for other words. UNSUPPORTED for other drivers than bridge, and without br_netfilter. */
fallible network_policy_default(struct engine *e, struct network *n, const char *word);
/* EXISTS when there is such a rule. *ret_text: as it is listed. */
fallible network_policy_add(struct engine *e, struct network *n, const struct strv *words, char **ret_text);
/* By its number in the list, from 1, or by its words. NOT_FOUND. */
fallible network_policy_remove(struct engine *e, struct network *n, const struct strv *words);

/* Before a start, of one that is on the network: who it is, into the plan; nothing where everything is allowed. */
fallible network_policy_look(struct engine *e, const struct network *n, const struct db_endpoint *at,
                             struct network_plan *p);
/* The same, and what may pass from and to such a one is in the firewall. */
fallible network_policy_prepare(struct engine *e, const struct network *n, const struct db_endpoint *at,
                                struct network_plan *p);
/* Into a batch of a reload: all of it, or that it is no more. */
fallible network_policy_put(struct engine *e, const struct network *n, int sock, int route, struct nft *batch);
/* Whether the firewall has the network as its row is. */
fallible network_policy_is_there(const struct network *n, int sock, bool *ret);
/* A container got another name. */
fallible network_policy_renamed(struct container *c);

#endif
