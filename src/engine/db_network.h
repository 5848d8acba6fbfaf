/*
 * db_network.h: networks, who is to be connected to which, and published ports, in husk.db.
 *
 *   network    what a user made: name, driver, configuration (JSON: engine/network.h)
 *   endpoint   one container on one network: its wishes (interface, static addresses, aliases) and its lease: ip4 and
 *              ip6, each unique on a network. A lease stays with a container until it is removed, or until another
 *              needs the address while the first does not run
 *   port       one published port: want_port is the wish (0: any), host_port what it is, or was at the last start
 *
 * For programs that read the tables by themselves: network.id is 64 hexadecimal digits, endpoint.network is such an id;
 * ip4 is a number (host order), ip6 a blob of 16 bytes; aliases are separated by spaces; host_ip is "" for all. Whether
 * a container is connected now is not here: it is while <run>/ID/network exists (see engine/network.h).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_DB_NETWORK_H
#define HUSK_ENGINE_DB_NETWORK_H

#include "engine/db.h"
#include "network/address.h"

struct db_network {
    char *id, *name, *driver;
    int64_t created_ns;
    char *config; /* JSON */
};
void db_network_clear(struct db_network *n);
static inline void own_drop_db_network(struct db_network *n)
{
    db_network_clear(n);
}

struct db_endpoint {
    char *container, *network; /* ids */
    int64_t position;          /* 0: the first network, which has the default route */
    char *interface;           /* its name inside: "eth0" */
    struct ip want_ip4, want_ip6;
    char *want_mac;
    struct strv aliases;
    char *options;      /* JSON object of the driver's, or NULL */
    struct ip ip4, ip6; /* the lease */
};
void db_endpoint_clear(struct db_endpoint *e);
struct db_endpoints {
    struct db_endpoint *items;
    size_t n;
};
void db_endpoints_clear(struct db_endpoints *l);
static inline void own_drop_db_endpoints(struct db_endpoints *l)
{
    db_endpoints_clear(l);
}

struct db_port {
    char *container, *proto; /* "tcp", "udp", "sctp" */
    int64_t container_port;
    char *host_ip;     /* "": all */
    int64_t want_port; /* 0: any that is free */
    int64_t host_port; /* 0: none yet */
};
struct db_ports {
    struct db_port *items;
    size_t n;
};
void db_ports_clear(struct db_ports *l);
static inline void own_drop_db_ports(struct db_ports *l)
{
    db_ports_clear(l);
}

/* EXISTS when the name is taken. */
fallible db_network_add(struct db *db, const struct db_network *n);
/* By name, whole ID, or a unique prefix of one. NOT_FOUND, CONFLICT (several). */
fallible db_network_find(struct db *db, const char *what, struct db_network *ret);
/* By name. */
fallible db_network_list(struct db *db, struct db_network **ret, size_t *ret_n);
fallible db_network_set_config(struct db *db, const char *id, const char *config);
/* CONFLICT, with a container that is on it. */
fallible db_network_must_be_unused(struct db *db, const char *id, const char *name);
/* With its endpoints. CONFLICT while it has any and they are not to go with it, with a container that has. */
enum db_users { DB_MUST_BE_UNUSED, DB_WITH_USERS };
fallible db_network_remove(struct db *db, const char *id, const char *name, enum db_users users);

/* EXISTS when the container is on that network already; CONFLICT when the lease in it is another's. */
fallible db_endpoint_add(struct db *db, const struct db_endpoint *e);
fallible db_endpoint_remove(struct db *db, const char *container, const char *network);
/* container or network NULL: any. In the order of networks within a container. */
fallible db_endpoint_list(struct db *db, const char *container, const char *network, struct db_endpoints *ret);
/* The lease; none takes it away. CONFLICT when it is another's. */
fallible db_endpoint_lease(struct db *db, const char *container, const char *network, const struct ip *ip4,
                           const struct ip *ip6);
/* Who has an address on a network; *ret NULL: nobody. Caller frees. */
fallible db_endpoint_holder(struct db *db, const char *network, const struct ip *ip, char **ret);
/* The highest lease of a family between two addresses; none when there is none. */
fallible db_endpoint_highest(struct db *db, const char *network, const struct ip *first, const struct ip *last,
                             struct ip *ret);

fallible db_port_add(struct db *db, const struct db_port *p);
fallible db_port_remove(struct db *db, const struct db_port *p);
/* container NULL: all. */
fallible db_port_list(struct db *db, const char *container, struct db_ports *ret);
/* All that have this port of the host's, or had it at their last start. */
fallible db_port_find(struct db *db, const char *proto, int64_t host_port, struct db_ports *ret);
fallible db_port_set(struct db *db, const struct db_port *p); /* host_port of the row with the same wish */

/* Several of the above at once. */
fallible db_begin(struct db *db);
fallible db_end(struct db *db, err *take_e); /* commits without an error, else undoes and answers it */

#endif
