/*
 * egress.h: where a container may go: the words of --egress, and what they are in the firewall and to the resolver.
 *
 * "deny" is nowhere, "allow=HOST[:PORT],..." only there; what is answered to somebody who came in, and neighbours on
 * the same bridge, are no matter of it. A host is an address, a network or a name, "*.NAME" any name below it. Names
 * are no addresses yet: those come into the firewall's sets as the resolver hands them to the container, and stay as
 * long as the answer may be kept. So names that are not allowed are not asked of anybody outside either.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NETWORK_EGRESS_H
#define HUSK_NETWORK_EGRESS_H

#include "network/firewall.h"

struct egress_rule {
    char *name;           /* lower case; NULL: to */
    struct prefix to;     /* with its length */
    uint16_t first, last; /* ports; 0 and 65535: all, and what has no ports */
};
struct egress {
    bool limited; /* there was a word: what is not allowed is denied */
    struct egress_rule *rules;
    size_t n;
};
void egress_clear(struct egress *e);
static inline void own_drop_egress(struct egress *e)
{
    egress_clear(e);
}

/* INVALID for what is neither; "deny" beside "allow=" is nothing new. */
fallible egress_parse(const char *text, struct egress *add_to);
/* The same for several words. */
fallible egress_read(const struct strv *words, struct egress *ret);
bool egress_has_names(const struct egress *e);
/* Whether a rule is about this name (lower case, no dot at the end). */
bool egress_about(const struct egress_rule *r, const char *name);
bool egress_allows_name(const struct egress *e, const char *name);

/* The elements of a container's address at a port of a bridge: that it is limited, and each network that it may reach.
 */
void egress_elements(const struct egress *e, const struct ip *from, const char *port, struct firewall_reach **ret,
                     size_t *ret_n);
/* Of the port itself, once. */
void egress_port(const struct egress *e, const char *port, struct firewall_reach **ret, size_t *ret_n);

#endif
