/*
 * network_making.h: what the files behind network_create() share: what is wished (network_options.c), its addresses
 * (network_subnets.c), and the making (network_create.c). For these only.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_NETWORK_MAKING_H
#define HUSK_ENGINE_NETWORK_MAKING_H

#include "engine/network_parts.h"

bool network_driver_has_bridge(const char *driver);

/* What --opt says of --ipv4 and --ipv6, first. */
fallible network_options_families(struct network_options *o);
/* All but the addresses and whose its device is. INVALID, UNSUPPORTED: named by the option. */
fallible network_options_read(const struct network_options *o, const char *driver, struct network_config *c);

/* Subnets as they are wished, or chosen; gateways, ranges and reserved addresses. */
fallible network_subnets_set(struct engine *e, const struct network_options *o, const char *driver, const char *id,
                             struct network_config *c);
/* What a subnet would clash with, as words; "" when with nothing. link: whose routes do not count, or NULL. */
fallible network_clash(struct network_list *others, int sock, const struct prefix *subnet, const char *link,
                       struct str *ret);
/* Its parts, for a network that is only a configuration. others: NULL, where clashes do not matter. */
fallible network_subnet_given(struct network_list *others, int sock, const char *text, bool clashes_matter,
                              struct network_config *c);
fallible network_gateways_set(const struct network_options *o, const char *driver, int sock, struct network_config *c);
fallible network_range_set(const char *text, struct network_config *c);
fallible network_others_set(const struct network_options *o, struct network_config *c);

#endif
