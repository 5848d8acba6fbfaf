/*
 * network_start.h: a container's networks, from its rows to what its start does.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_NETWORK_START_H
#define HUSK_ENGINE_NETWORK_START_H

#include "engine/engine.h"
#include "engine/network_wish.h"
#include "network/connect.h"
#include "network/reserve.h"

struct container;

/* Finds each network of the wishes, and puts its ID in place of the name; makes the default network when it is asked
 * for and not there. */
fallible network_resolve(struct engine *e, struct network_wishes *w);
/* The rows of a new container, with addresses: within the transaction that makes the container's. */
fallible network_add_rows(struct engine *e, const char *container, struct network_wishes *w);

/* What a container has. */
struct container_network {
    struct network_plan plan;
    struct reserve reserve; /* published ports, until the monitor has them */
    char *hold;             /* their descriptors and dns_sock for the monitor: "12 13"; NULL: none */
    char *host_gateway;     /* the bridge's own address: what "host-gateway" is */
    struct strv dns;        /* the gateway's addresses on its first network with names, which answers them */
    json_t *cni;            /* with --network cni:NAME: what its plugins are to do (network/cni.h) */
    struct strv search;     /* domains of a DHCP server's, where there are no others */
    struct container *of;   /* whose it is, for network_dhcp_follow(); borrowed */
    struct strv pasta;      /* with --network pasta: its options for published ports */
    int dns_sock;           /* the resolver's, which does not end while it is open; -1: none */
};
void container_network_clear(struct container_network *n);

/**
 * network_prepare - before a start: addresses are leased, ports reserved, bridges and the firewall's table are there.
 * Errors: CONFLICT for an address or a port that another has, by its name.
 */
fallible network_prepare(struct container *c, struct container_network *ret);
/* The same without making or changing anything: for explain and inspect. */
fallible network_look(struct container *c, struct container_network *ret);
/* For the new monitor of a container whose monitor was killed: root's published ports are reserved again, and the
 * resolver is held. A port that somebody took meanwhile is a warning. */
fallible network_hold_again(struct container *c, struct container_network *ret);
/* CONFLICT where a running container of husk's has published the same port; else what was given. */
fallible network_port_holder(struct container *c, const struct db_port *p, err *take_e);
/* CONFLICT when its address of the host's is of a family that the container has no address of. */
fallible network_port_has_way(const struct db_port *p, bool has4, bool has6);
/* Of one on [::1]: UNSUPPORTED where the kernel leads nothing from there. */
fallible network_port_loopback(const struct db_port *p, const char *bridge);
/* The address at which the ports of a running container are open that hold none of the host's; none: it has no such
 * network. */
fallible network_port_open_at(struct container *c, struct ip *ret);
struct network;
/* A port that names no address of the host's is published where the network says. */
void network_port_bind(const struct network *n, struct db_port *p);
/* Takes out what a run left outside of its namespace; nothing to do is no error. */
fallible network_withdraw(const char *state_dir);

#endif
