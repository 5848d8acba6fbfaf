/*
 * firewall.h: husk's table of the firewall, `inet husk`: masquerading, isolation and published ports of bridges.
 *
 * The table is a fixed set of chains over sets and maps. A network is some elements of them, a published port one or
 * two; nothing a container does makes a chain or a rule. Other tables are never touched, and since a packet must pass
 * every table's chains, the host's own forward policy holds for what is published too.
 *
 *   bridges, isolated, internal {bridge}
 *   guarded4, guarded6          {bridge}: from beyond the host only what is published is reached, whoever knows the way
 *   routed4, routed6            {bridge}: others know the way to its containers: ICMP passes, and what is published
 *   open4, open6                {address . protocol . port}: that, at a container's own address
 *   policed                     {bridge}: where neighbours reach each other by rules alone (network/acl.h)
 *   counted                     {bridge}: what passes there is counted (network/flows.h, with sets of its own)
 *   who4, who6                  {address : mark}: of containers there, the number that their identity has
 *   identities                  {identity}: for which `allowed` is complete
 *   allowed                     [mark . mark . protocol . port]: what may pass from the first to the second
 *   egress4, egress6            {address}: containers that may only go where they are allowed to (network/egress.h)
 *   reach4, reach6              [address . destination . port]: there; with a time, where a name led to it
 *   pairs                       {bridge . bridge}: each with itself, what stays within one network; and the host's
 *                               interfaces that one trusts with it
 *   nets4, nets6                [subnet]: masqueraded beyond the host
 *   same4, same6                [subnet . subnet]: each with itself, not masqueraded, unless through a published port
 *   names4, names6              {address . protocol . port}: of the resolver: for who asks there no port is published
 *   ports4, ports6              {protocol . port : address . port}: of any of the host's addresses
 *   at4, at6                    {host's address . protocol . port : address . port}
 *
 * Beside it `bridge husk` (firewall_bridge.c), once a container is limited or its neighbours ask who it is: it sends
 * what comes from its own addresses, whatever it writes into its packets.
 *
 *   limited                     {port of a bridge}: of a container that --egress limits
 *   kept                        {port of a bridge}: of one on a network with rules among neighbours
 *   own4, own6                  {port . address}
 *
 * The loopback's 127.0.0.1 reaches published ports by route_localnet on the bridges only, with rules that drop what
 * comes from a bridge from or to 127.0.0.0/8 (CVE-2020-8558). IPv6 has nothing like it, so ::1 is left alone: a client
 * is refused there at once and goes on to 127.0.0.1; unless a port is published there by name: bridge_lead_loopback().
 *
 * `nft flush ruleset` takes all of it: firewall_has() tells, for the cost of one question, and the engine makes it
 * anew.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NETWORK_FIREWALL_H
#define HUSK_NETWORK_FIREWALL_H

#include <stdio.h>

#include "base/mem.h"
#include "network/address.h"
#include "network/nft.h"

#define FIREWALL_TABLE "husk"

/* One bridge network's part. */
struct firewall_net {
    const char *bridge;
    struct prefix subnet4, subnet6; /* none: not of that family */
    struct ip names4, names6;       /* where it is asked for names; none: there are none */
    bool isolated, internal;
    bool masquerade4, masquerade6; /* of what leaves, the source is the host's */
    bool guarded4, guarded6;       /* from beyond the host only what is published is reached */
    bool routed4, routed6;         /* and that is at a container's own address */
    const struct strv *trusted;    /* but for the host's interfaces of these names; NULL: none */
    /* With the switch of the bridge that bridge_filter() sets, without which nothing is seen of what stays on it. */
    bool policed, counted;
};
/* One published port; for a family, where the container has an address of it. */
struct firewall_port {
    uint8_t proto;            /* IPPROTO_TCP ... */
    uint16_t host, container; /* ports */
    struct ip at;             /* the host's address; none: all of both families */
    struct ip ip4, ip6;       /* the container's */
    bool open4, open6;        /* of that family nothing is led: the container's port itself is open */
};

enum { FIREWALL_NAMES_PORT = 53 };

/* Whether the table is there, as this version makes it. */
fallible firewall_is_there(int sock, bool *ret);
/* Whether the table is there with this bridge in it. */
fallible firewall_has(int sock, const char *bridge, bool *ret);
/* Makes the table when it is not there, or is another version's. *ret_made tells. */
fallible firewall_ensure(int sock, bool *ret_made);

/* The rest adds to a batch: between firewall_begin() and nft_commit(). */
void firewall_begin(struct nft *n);
void firewall_net(struct nft *n, enum nft_what what, const struct firewall_net *net);
void firewall_port(struct nft *n, enum nft_what what, const struct firewall_port *port);

/* For all addresses, or for one only, of one family: the map's element as it is in the kernel. */
struct firewall_entry {
    const char *map; /* "ports4" ..., or the set "open4" ... of keys alone */
    uint8_t key[24], data[20];
    size_t key_len, data_len;
};
/* At most one of each family. */
size_t firewall_port_entries(const struct firewall_port *port, struct firewall_entry ret[2]);
void firewall_put(struct nft *n, enum nft_what what, const struct firewall_entry *e);
/* The maps' names, and the sets', NULL-terminated. */
extern const char *const firewall_port_maps[];
extern const char *const firewall_open_sets[];
/* Clients of UDP that speak to one of these ports and are led elsewhere, since the rule was not there when they began,
 * are led there. */
fallible firewall_forget_clients(int sock, const struct firewall_entry *entries, size_t n);

/* Where a limited container may go; without a destination: that it is limited, by this port of the bridge and, from it,
 * with no other addresses than those of such elements. */
struct firewall_reach {
    struct ip from, to, to_last; /* from none: of the port itself */
    uint16_t first, last;        /* ports */
    uint64_t timeout_ms;         /* 0: it stays */
    char port[16];               /* the host's end of its link */
    bool kept;                   /* not limited: only kept to its own addresses */
};
/* Before such elements are added: the table `bridge husk`, as this version makes it. */
void firewall_bridge(struct nft *n);
/* Whether it has such an element. */
fallible firewall_bridge_has(int sock, const struct firewall_reach *r, bool *ret);
/* What a batch with it answered, said better. */
fallible firewall_bridge_why(err *take_e);
void firewall_reach(struct nft *n, enum nft_what what, const struct firewall_reach *r);
/* What another container with that address could reach. */
fallible firewall_forget_reach(int sock, const struct ip *from);

/* Who an address is, to rules among neighbours. Adding says so anew, whatever it was. */
enum { FIREWALL_IDENTITY = 16 };
struct firewall_who {
    struct ip ip;
    uint8_t identity[FIREWALL_IDENTITY];
};
void firewall_who(struct nft *n, enum nft_what what, const struct firewall_who *w);
/* The number that stands for an identity. */
uint32_t firewall_mark(const uint8_t *identity);
/* What may pass from one identity to another: proto 0: everything. Overlapping ones are refused by the kernel. */
void firewall_allow(struct nft *n, const uint8_t *from, const uint8_t *to, uint8_t proto, uint16_t first,
                    uint16_t last);
void firewall_identity(struct nft *n, const uint8_t *identity);
fallible firewall_has_identity(int sock, const uint8_t *identity, bool *ret);
fallible firewall_is_policed(int sock, const char *bridge, bool *ret);
void firewall_police(struct nft *n, enum nft_what what, const char *bridge);
/* Adds to the batch that all of a network's identities go, and who has them. is_of: whether one is. */
fallible firewall_forget_policy(int sock, bool (*is_of)(const void *identity, const char *network), const char *network,
                                struct nft *n);
extern const char *const firewall_who_maps[]; /* NULL-terminated */

/* One container's elements. Borrowed. */
struct firewall_part {
    const struct firewall_port *ports;
    const struct firewall_reach *reach;
    size_t ports_n, reach_n;
    const struct firewall_who *who;
    size_t who_n;
};
void firewall_put_part(struct nft *n, enum nft_what what, const struct firewall_part *part);
/* In a batch of its own; what an earlier container with the address could reach goes first, and its connections do
 * where they matter (network/conntrack.h). */
fallible firewall_add_part(const struct firewall_part *part);

/*
 * What a start added is taken out again by a file, which is written before it: <state_dir>/network holds the batch that
 * does it. It is there exactly while a container is connected.
 */
#define FIREWALL_FILE "network"
fallible firewall_note(int dir_fd, const struct firewall_part *part);
/* What the file tells of goes out and part comes in; killed at any moment, the file tells of all that is there. */
fallible firewall_replace(int dir_fd, const struct firewall_part *part);
/* Carries the file out and removes it; a missing one is no error. ret_sock, if not NULL, gets the socket that did, -1
 * where there was nothing to take out: to close it waits in the kernel until what was taken out is freed, 10 ms, so
 * whoever is waited for keeps it until nobody waits. */
fallible firewall_withdraw(int dir_fd, int *ret_sock);

/* Foreign chains in the way of forwarded packets, or of questions for names, as a sentence each with a cure; "" when
 * there are none. */
fallible firewall_obstacles(int sock, struct str *ret);

/* The shell commands that do the same. */
void firewall_explain_port(const struct firewall_port *port, FILE *out);

#endif
