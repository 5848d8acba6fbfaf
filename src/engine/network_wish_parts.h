/*
 * network_wish_parts.h: what the files behind network_wish.h share: which networks (network_wish.c), what of each
 * (network_wish_endpoint.c), which ports (network_wish_ports.c). For these only.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_NETWORK_WISH_PARTS_H
#define HUSK_ENGINE_NETWORK_WISH_PARTS_H

#include "engine/network_wish.h"

/* One wish, read into its place. family 0: either. INVALID. */
fallible network_want_ip(const char *text, int family, struct ip *slot);
fallible network_want_mac(const char *text, char **slot);
fallible network_want_alias(const char *text, struct db_endpoint *e);
/* What is published of a container with these networks, as rows. INVALID, UNSUPPORTED. */
fallible network_ports_read(const struct create_options *o, const struct strv *exposed, struct network_wishes *w);

#endif
