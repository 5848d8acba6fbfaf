/*
 * network.h: networks as nouns that last between commands, and who is on them.
 *
 * A network is a row of husk.db with its configuration; what the kernel has of it (a bridge, the network's elements in
 * the table `inet husk`) is made when a container first needs it and goes when the network is removed. A container's
 * place on a network is an endpoint: wishes, and a lease of addresses. Everything here can be made anew from the rows.
 *
 *   <run>/ID/network    there while container ID is connected, as the start's last step makes it: what takes the
 *                       container's elements out of the firewall again (network/firewall.h). Whoever ends the
 *                       container carries it out and removes it; then the container has no name and no address any
 *                       more, whatever its rows say
 *
 * The names by which the containers of a network know each other are a container's name, its ID's first twelve digits,
 * its whole ID, and its aliases on that network.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_NETWORK_H
#define HUSK_ENGINE_NETWORK_H

#include "codec/bind.h"
#include "engine/db_network.h"
#include "engine/engine.h"

/* The default network of root's containers, as docker's "bridge": made on first use. */
#define NETWORK_DEFAULT        "husk"
#define NETWORK_DEFAULT_BRIDGE "husk0"

struct network_subnet {
    char *subnet;         /* "10.88.0.0/16" */
    char *gateway;        /* the bridge's own address; NULL: an internal network without one (macvlan ...) */
    char *range;          /* addresses are taken from here: a prefix, or "FIRST-LAST"; NULL: the whole subnet */
    struct strmap others; /* name -> address that no container may get (--aux-address) */
};
struct network_config {
    struct network_subnet *subnets; /* at most one of each family */
    size_t subnets_n;
    char *link;                  /* the host's interface: the bridge, or macvlan's and ipvlan's parent */
    bool link_theirs;            /* it was there before the network: used as it is, and stays */
    char *mode;                  /* of macvlan and ipvlan; NULL: the driver's default */
    bool ipv6;                   /* it was asked for; a subnet of that family is among the subnets */
    bool internal;               /* nothing beyond the network */
    bool no_isolate;             /* other networks of husk's may be reached */
    bool no_masquerade;          /* containers keep their addresses beyond the host */
    bool no_icc;                 /* its containers do not reach each other */
    bool no_dns;                 /* its containers get the host's name servers */
    bool policy_deny;            /* they reach each other as the rules allow: engine/network_policy.h */
    struct strv policy;          /* "from=WHO to=WHO port=PORT,..." */
    bool flows;                  /* what passes is counted: engine/network_flows.h */
    int64_t bridge_filtered;     /* BRIDGE_FILTERED_*, that the host had set before either was so */
    int64_t mtu, vlan;           /* 0: the default, none */
    int64_t metric;              /* of the default routes; 0: the kernel's */
    bool no_default_route;       /* its containers have none by it */
    bool unguarded4, unguarded6; /* from beyond the host all ports of its containers are reached */
    bool routed4, routed6;       /* others know the way to them: not masqueraded, and ports are open at their address */
    bool isolated4, isolated6;   /* the bridge has no address, so the host is no neighbour */
    bool unmanaged;              /* the bridge must be there: it is the host's */
    struct strv trusted;         /* the host's interfaces behind which they are, in any case */
    char *binding;               /* where ports are published that name no address; NULL: everywhere */
    struct strv dns;             /* name servers beyond the network's own */
    struct strv routes;          /* "DESTINATION,GATEWAY[,METRIC]" */
    struct strmap labels, options; /* options: as given with --opt, for inspect */
    bool dhcp;                     /* a DHCP server on the link gives the addresses: network/dhcp_client.h */
    bool config_only;              /* no network, but what others are made of: network_template.h */
    struct strv words;             /* that */
    char *config_from;             /* the name of the one that it was made of, or NULL */
};
extern const struct bind_type network_config_type;

struct network {
    struct db_network row;
    struct network_config *config;
};
void network_free(struct network *n);
OWN_TYPE(network, struct network *, network_free)

/* What a user may say about a new network. NULL, empty or unset: the default. */
struct network_options {
    const char *driver, *interface_name, *ipam_driver, *policy;
    struct strv subnet, gateway, range, aux_address, opt, label, dns, route;
    const char *config_from;
    bool internal, ipv6, ipv4_off, disable_dns, ignore, flows, config_only;
};
/**
 * network_create - make one; nothing of it is in the kernel yet.
 * Subnets that are not given are chosen where neither another network nor a route of the host's is.
 * Errors: EXISTS, CONFLICT (a subnet that was given clashes: with what), UNSUPPORTED (the driver), INVALID.
 */
fallible network_create(struct engine *e, const char *name, const struct network_options *o, struct network **ret);
/* CONFLICT while a container is on it, unless force: then they are disconnected. trash: where its row goes; NULL:
 * nowhere. */
struct trash;
fallible network_remove(struct engine *e, struct network *n, bool force, struct trash *trash);
/* Whether a row that was removed may be one again, under this name: EXISTS (the name, its bridge), CONFLICT (its
 * addresses are another's by now). */
fallible network_must_be_free(struct engine *e, const struct db_network *row, const char *name);
/* What would forbid that: CONFLICT. */
fallible network_removal(struct engine *e, struct network *n, bool force);
fallible network_set_dns(struct engine *e, struct network *n, const struct strv *add, const struct strv *drop);
/* Makes the network's part of the kernel, as it is when a container needs it. */
struct network_kernel {
    unsigned index; /* of the bridge or the parent */
    int mtu;        /* of its containers' interfaces; 0: the kernel's */
    int outer_mtu;  /* of what leaves by a gateway; 0: the same */
    bool big;       /* they send packets of more than 64 KiB: network/big_tcp.h */
    bool small;     /* but the bridge itself does not yet */
};
fallible network_ensure(struct engine *e, const struct network *n, struct network_kernel *ret);
/* Makes anew what the firewall has of all networks that are in the kernel, and of all connected containers. */
fallible network_reload(struct engine *e);
/* Asks the plugins of all that run on CNI networks whether what they made is there; where not, it is made anew. */
fallible network_cni_reload(struct engine *e);
/* What killed commands began to change on running containers (network_settle.h): counted, and finished when asked to.
 * No container may be locked. */
fallible network_settle_all(struct engine *e, bool finish, int64_t *ret_n);
/* How many networks that are in the kernel the firewall lacks, and how many published ports it has of no connected
 * container. network_reload() repairs both. */
fallible network_check(struct engine *e, int64_t *ret_missing, int64_t *ret_strays);
/* What the host's firewall has against them: sentences, "" when nothing. */
fallible network_obstacles(struct str *ret);
/* What else an ordinary user's lack on this host (ping to the outside), with the cure. Added to ret as a line. */
void network_lacks(struct str *ret);

struct container;
/* A container's place on another network, live when it runs. at: its wishes. CONFLICT when its network is none, host or
 * another container's. */
fallible network_connect_container(struct engine *e, struct network *n, struct container *c, struct db_endpoint *at);
/* NOT_FOUND when it is not on it. */
fallible network_disconnect(struct engine *e, struct network *n, struct container *c);
/* Ports of a container, live when it runs. */
fallible network_port_add(struct engine *e, struct container *c, struct db_ports *ports);
fallible network_port_remove(struct engine *e, struct container *c, const struct db_ports *ports);

/* By name, ID or unique prefix; "bridge" is the default network, which is made when it is not there yet. NOT_FOUND. */
fallible network_find(struct engine *e, const char *what, struct network **ret);
struct network_list {
    struct network **items;
    size_t n;
};
/* By name. Without husk.db there are none. */
fallible network_list(struct engine *e, struct network_list *ret);
void network_list_clear(struct network_list *l);

/* A container that is connected to a network now. */
struct neighbour {
    char *container;   /* ID */
    char *name;        /* the container's */
    struct strv names; /* all by which it is known there: see above */
    struct ip ip4, ip6;
};
struct neighbours {
    struct neighbour *items;
    size_t n;
};
void neighbours_clear(struct neighbours *l);
static inline void own_drop_neighbours(struct neighbours *l)
{
    neighbours_clear(l);
}
/**
 * network_neighbours - the containers that are connected to a network now.
 * @network: its ID.
 * @name:    only those that are known there by this name (letters of either case); NULL: all.
 * @ip:      only the one with this address; NULL: all.
 */
fallible network_neighbours(struct engine *e, const char *network, const char *name, const struct ip *ip,
                            struct neighbours *ret);
/* Whether a container is connected now: it has its <run>/ID/network. */
bool network_is_connected(const struct engine *e, const char *container);
/* Whether what it has published is open: that, or its pasta. */
bool network_is_published(const struct engine *e, const char *container);

#endif
