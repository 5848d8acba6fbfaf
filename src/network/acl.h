/*
 * acl.h: who may speak to whom on one network: rules by name and label, and what they are in the firewall.
 *
 * A rule is "from=WHO to=WHO [port=PORT,...]". WHO is "*" (anybody), a container's name or alias on the network, or
 * "label=KEY[=VALUE]"; PORT is 80, 8000-8010, 53/udp, icmp (ping). Without ports everything may pass. Only the one who
 * begins needs a rule: answers pass.
 *
 * What the rules say about a container is its identity: 16 bytes, of the network, the rules as a whole, and one bit for
 * each WHO that it is. The firewall has an element {address : mark} for each container, a number that stands for its
 * identity, and for each two of them what may pass from the one to the other. So a container is one element more,
 * however many rules there are; and who has an identity of rules that were changed meanwhile may nothing, rather than
 * something else.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NETWORK_ACL_H
#define HUSK_NETWORK_ACL_H

#include "base/mem.h"
#include "codec/bind.h"
#include "network/firewall.h"

enum { ACL_NETWORK = 4, ACL_RULES = 4, ACL_BITS = 8 * (FIREWALL_IDENTITY - ACL_NETWORK - ACL_RULES) };

/* All NULL: anybody. */
struct acl_who {
    char *name;
    char *label, *value; /* value NULL: whatever it is */
};
struct acl_ports {
    uint8_t proto;        /* 0: all protocols */
    uint16_t first, last; /* of what has no ports: 0 and 65535 */
};
struct acl_rule {
    struct acl_who from, to;
    struct acl_ports *ports; /* none: everything */
    size_t ports_n;
    size_t from_bit, to_bit; /* of an identity */
};
struct acl {
    struct acl_rule *rules;
    size_t n;
    struct acl_who *whos; /* each once; borrowed from the rules */
    size_t whos_n;
    uint32_t sum; /* of the rules' texts */
};
void acl_clear(struct acl *p);
static inline void own_drop_acl(struct acl *p)
{
    acl_clear(p);
}

/* Words: "from=web", "to=label=tier=db", "port=5432,53/udp". INVALID. *ret_text: as one, always in the same form. */
fallible acl_rule_text(const struct strv *words, char **ret_text);
/* Such texts, in order. INVALID for more WHOs than there are bits. */
fallible acl_read(const struct strv *rules, struct acl *ret);

struct acl_identity {
    uint8_t bytes[FIREWALL_IDENTITY];
};
/* network: its ID, hex digits. */
struct acl_identity acl_identity(const struct acl *p, const char *network, const struct strv *names,
                                 const struct strmap *labels);
/* Whether an identity is of that network, whatever its rules. */
bool acl_is_of(const void *identity, const char *network);
/* CONFLICT when two that are different have the same number in the firewall, which one pair in four thousand million
 * has. */
fallible acl_distinct(const struct acl_identity *all, size_t n);
/* Adds to the batch what may pass among all of these, each once. only: but for those that have not to do with this one;
 * NULL: all. */
void acl_put(const struct acl *p, const struct acl_identity *all, size_t n, const struct acl_identity *only,
             struct nft *batch);

#endif
