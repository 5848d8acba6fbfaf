/*
 * connect.h: what a network is in the kernel: the host's bridge, and a container's interface on it.
 *
 * All of it by rtnetlink, in this process. A container's end is made in its own namespace from the start, so nothing of
 * it is ever the host's, and the host's end dies with it. Source: rtnetlink(7), linux/if_link.h, linux/if_bridge.h,
 * ip-link(8).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NETWORK_CONNECT_H
#define HUSK_NETWORK_CONNECT_H

#include <net/if.h>
#include <stdio.h>

#include "base/mem.h"
#include "network/address.h"
#include "network/dhcp.h"
#include "network/firewall.h"
#include "network/rate.h"

/* ---- the host's side of a network ---- */

struct network_bridge {
    const char *name;
    struct prefix address4, address6; /* its own, with the subnet's length; none: not of that family */
    int mtu;                          /* 0: the kernel's, or that of big packets */
    bool big;                         /* its ports may send packets of more than 64 KiB: big_tcp.h */
    int vlan;                         /* its ports are in this VLAN alone; 0: no VLANs */
    bool loopback;                    /* 127.0.0.1 reaches published ports through it */
    bool internal;                    /* nothing is forwarded: the host's switch is left alone */
    bool theirs;                      /* the host's own: used as it is, never made, nor is its address changed */
    bool names;                       /* its addresses are asked for names, so it must have them */
};
/* What it is. */
struct bridge_state {
    unsigned index;
    bool made;
    int mtu;
    bool big;   /* its ports are to be so */
    bool small; /* and it itself is not yet: it is to be when it has a port */
};
/* Makes it when it is not there. ret->made tells. CONFLICT when there is an interface of that name that is no bridge;
 * of the host's own bridge: NOT_FOUND, and CONFLICT when it has not the addresses. */
fallible bridge_ensure(int sock, const struct network_bridge *b, struct bridge_state *ret);
/* Of which families what stays on a bridge passes the firewall too, by the bridge's own switches (the host may have one
 * for all bridges). UNSUPPORTED where the kernel has no br_netfilter; root's processes load it, and leave the host's
 * other bridges as they were. */
enum { BRIDGE_UNFILTERED = 0, BRIDGE_FILTERED_IP4 = 1, BRIDGE_FILTERED_IP6 = 2, BRIDGE_FILTERED = 3 };
fallible bridge_filter(int sock, const char *name, int64_t families);
/* The same, as it is; BRIDGE_UNFILTERED when there is no such bridge. */
fallible bridge_filter_read(int sock, const char *name, int64_t *ret_families);
/* Whether the kernel can, as above. */
fallible bridge_filter_check(void);
/* Lets connections of [::1] to published ports come back by a bridge. UNSUPPORTED where the kernel drops them. */
fallible bridge_lead_loopback(int sock, const char *name);
/* A missing one is no error; what is no bridge is nobody's that we made, and stays. CONFLICT when it has ports that are
 * not given up. */
fallible bridge_remove(int sock, const char *name);
/* The same without making it; what is not there yet: as it would be made. */
fallible bridge_look(int sock, const struct network_bridge *b, struct bridge_state *ret);
/* The names of the interfaces on it. */
fallible bridge_ports(int sock, unsigned index, struct strv *ret);
/* An interface's number (0: there is none), and whether it is a bridge. */
fallible link_look(int sock, const char *name, unsigned *ret_index, bool *ret_bridge);
/* The first address of an interface of that family that is valid beyond its own link, with its subnet's length: that in
 * a subnet, where one is given; none: it has none. */
fallible link_address(int sock, unsigned index, int family, const struct prefix *within, struct prefix *ret);
/* An interface's number; 0: there is none. */
fallible link_index(int sock, const char *name, unsigned *ret);
/* The number of any interface with a name; a missing one is no error. */
fallible link_remove(int sock, const char *name);

/* The host's device that macvlan and ipvlan live on; "DEVICE.N" that is not there is made: VLAN N of DEVICE.
 * *ret_index 0: there is no such device. */
fallible parent_ensure(int sock, const char *name, unsigned *ret_index);
/* Whether one of this name is there, or can be made then: NOT_FOUND. */
fallible parent_check(int sock, const char *name);
/* Removes such a VLAN again; other devices stay. */
fallible parent_remove(int sock, const char *name);

/* A route of the host's that a subnet would cover or be covered by: its destination as text, "" when there is none.
 * Default routes do not count. link: an interface whose routes do not count, or NULL. */
fallible route_clash(int sock, const struct prefix *subnet, const char *link, char ret[PREFIX_TEXT + 24]);

/* ---- one container's interface on it ---- */

enum network_kind { NETWORK_BRIDGE, NETWORK_MACVLAN, NETWORK_IPVLAN };
struct network_route {
    struct prefix to;
    struct ip via;
    uint32_t metric; /* 0: the kernel's */
};
enum { NETWORK_FURTHER = 4 }; /* addresses of one interface beside its own */
struct network_link {
    enum network_kind kind;
    char *parent;        /* the bridge, or the host's interface */
    unsigned index;      /* its number */
    char host[IFNAMSIZ]; /* the host's end of a veth pair */
    char *name;          /* inside */
    uint8_t mac[6];
    struct prefix ip4, ip6;                 /* its address with the subnet's length; none: not of that family */
    struct prefix further[NETWORK_FURTHER]; /* addresses beside it */
    size_t further_n;
    struct ip gateway4, gateway6; /* of default routes; none: no such route */
    bool preferred;               /* they take the place of what is there */
    uint32_t metric;              /* of theirs; 0: the kernel's */
    struct network_route *routes;
    size_t routes_n;
    int mtu;
    bool big;      /* it sends packets of more than 64 KiB to its neighbours: big_tcp.h */
    bool small;    /* its bridge does not yet */
    int outer_mtu; /* of what leaves by a gateway; 0: the interface's */
    int vlan;      /* of a bridge's port */
    char *mode;    /* macvlan: bridge, private, vepa, passthru; ipvlan: l2, l3, l3s; NULL: the first */
    bool hairpin;  /* it may reach itself through a published port */
    struct rate rate;
    bool dhcp;                /* its address is a DHCP server's to give, when it is there: network/dhcp_client.h */
    bool dhcp_route;          /* and its router is the default route's, in the place of another */
    char *hostname;           /* as which it asks; NULL: none */
    struct dhcp_lease *lease; /* what it has; NULL: it is not known yet */
    bool routed4, routed6;    /* what is published is open at its own address: firewall.h */
    bool apart;               /* other ports of the bridge that are so too are not reached */
};
void network_link_clear(struct network_link *l);

/* All that a start does: links, then the ports' elements. */
struct network_plan {
    struct network_link *links;
    size_t links_n;
    struct firewall_port *ports;
    size_t ports_n;
    struct firewall_reach *reach;
    size_t reach_n;
    struct firewall_who *who;
    size_t who_n;
    /* Called when a link has its lease, before the program runs, with the socket that can give it back; NULL: nobody
     * asks. */
    err *(*leased)(void *ctx, size_t link, const struct dhcp_lease *lease, int take_sock);
    void *leased_ctx;
};
struct firewall_part network_plan_part(const struct network_plan *p);
void network_plan_clear(struct network_plan *p);

/* The host's end of a container's n-th link: from its ID, so that whose it is can be told. */
void network_host_name(const char *id, int64_t position, char ret[IFNAMSIZ]);
#define NETWORK_HOST_PREFIX "hk"

/**
 * network_connect - connect a network namespace as planned.
 * @netns:  it: network_open_netns() of a process in it.
 * @dir_fd: the state directory: gets FIREWALL_FILE before anything outside of the namespace is made.
 * On an error what was made is gone again, but for links of a namespace that lives on: those are removed too.
 * Errors: EXISTS when an interface has the name already.
 */
fallible network_connect(const struct network_plan *p, int netns, int dir_fd);
fallible network_open_netns(pid_t pid, int *ret_fd);
/* One link alone, live. dir_fd: of the state directory, for one with a lease. */
fallible network_link_make(const struct network_link *l, pid_t pid, int dir_fd);
/* Takes an interface out of a namespace, and gives back its lease, if it has one; a missing one is no error. */
fallible network_link_remove(const char *name, pid_t pid, int dir_fd);

/* Its default routes: where the namespace has none, or those of a preferred one in the place of others. */
fallible network_link_routes(const struct network_link *l, pid_t pid);
/* A bridge's port: it may reach itself from now on. */
fallible network_link_hairpin(const struct network_link *l);

/* The shell commands that do the same; $pid is the container's. */
void network_explain(const struct network_plan *p, FILE *out);

#endif
