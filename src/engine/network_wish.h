/*
 * network_wish.h: the words of --network, --ip, --publish and the like, as rows for husk.db. Text in, structs out;
 * nothing is looked up.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_NETWORK_WISH_H
#define HUSK_ENGINE_NETWORK_WISH_H

#include "engine/db_network.h"
#include "engine/options.h"

struct network_wishes {
    char *mode;                   /* "none", "host", "container:NAME", "ns:PATH", or the first network's name */
    bool fell_back;               /* to none: an ordinary user's default network needs pasta (usernet/usernet.h) */
    struct db_endpoints networks; /* .network is a name yet, .container NULL */
    struct db_ports ports;        /* .container NULL */
};
void network_wishes_clear(struct network_wishes *w);
static inline void own_drop_network_wishes(struct network_wishes *w)
{
    network_wishes_clear(w);
}

/* Whether a mode is networks of husk's, so that the container has rows. */
bool network_mode_is_ours(const char *mode);
/* "IP" of --link-local-ip, into the endpoint's options. INVALID for another address. */
fallible network_want_link_local(const char *text, struct db_endpoint *e);
/* What the endpoint's options have of them. */
enum { NETWORK_LINK_LOCALS = 4 };
size_t network_link_locals(const struct db_endpoint *e, struct prefix ret[NETWORK_LINK_LOCALS]);
/* Whose gateway the default routes lead through: the highest's, of equal ones the first network's. */
/* Settings of an endpoint's interface, by its name, as the container's own; and whether there are any. */
void network_sysctls(const struct db_endpoint *e, struct strmap *add_to);
bool network_has_sysctls(const struct db_endpoint *e);
int64_t network_gateway_priority(const struct db_endpoint *e);
/* A name that others may have for a container. INVALID. */
fallible network_alias_check(const char *text);
/* The name of "cni:NAME", and behind it what is wished of its plugins (":ip=,ip6=,mac=,alias="), as
 * network_wish_parse() reads it; NULL: it is another mode. */
const char *network_cni(const char *mode);
/* The list of that name, where the settings say, and where plugins are. Errors: cni_find(). */
fallible network_cni_find(const char *name, json_t **ret_list, char **ret_plugins);
/* "pasta", "pasta:OPTION,..." (as podman has them): its words are added to *ret_options, unless that is NULL. */
bool network_pasta(const char *mode, struct strv *ret_options);

/**
 * network_wishes_read - what the user said, with docker's and podman's defaults.
 * @exposed: ports for --publish-all: "80/tcp", "53/udp"; the image's and --expose's.
 * Errors: INVALID, with the option in front.
 */
fallible network_wishes_read(const struct create_options *o, const struct strv *exposed, struct network_wishes *ret);

/* One --network: "NAME", "NAME:ip=,ip6=,mac=,alias=,interface=,gw-priority=", or docker's "name=NAME,ip=,alias=,...".
 */
fallible network_wish_parse(const char *text, struct db_endpoint *ret);
/* "[IP:][HOST[-LAST]:]CONTAINER[-LAST][/tcp|udp|sctp]": one row for each port. */
fallible network_port_parse(const char *text, struct db_ports *add_to);
/* That the host's address is one from which a port can be led to a bridge. */
fallible network_port_check(const struct db_port *p);
/* "PORT[-LAST][/PROTO]" as "80/tcp" each. */
fallible network_expose_parse(const char *text, struct strv *add_to);
/* The name of an interface: of 15 letters at most, none of them a slash or a space. */
fallible network_interface_check(const char *name);

#endif
