/*
 * dhcp.h: DHCP's messages for a client: what is asked, as bytes, and what a server answered. It is bytes of a
 * stranger's, so nothing here trusts a length, and names that would be written into a file have letters of names alone.
 *
 * A message travels in an IPv4 packet of UDP, which is written and read here too: before a lease there is no address
 * that the kernel could send from. The checksum of what comes is not looked at: from a neighbour on the same host it is
 * not filled in (packet(7), TP_STATUS_CSUMNOTREADY), and who is meant is told by the transaction's number.
 *
 * Source: RFC 2131 (messages, states), RFC 2132 (options), RFC 3396 (long ones in parts), RFC 3397 (119: search), RFC
 * 3442 (121: routes), RFC 768, RFC 791.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NETWORK_DHCP_H
#define HUSK_NETWORK_DHCP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "network/address.h"

enum { DHCP_SERVER_PORT = 67, DHCP_CLIENT_PORT = 68 };
enum { DHCP_ROUTES = 16, DHCP_SERVERS = 3, DHCP_NAME = 254, DHCP_SEARCH = 512 };
enum { DHCP_PACKET_MAX = 1500, DHCP_ASK_MAX = 600 }; /* bytes of what is read, and of what is written */

enum dhcp_type {
    DHCP_DISCOVER = 1,
    DHCP_OFFER = 2,
    DHCP_REQUEST = 3,
    DHCP_ACK = 5,
    DHCP_NAK = 6,
    DHCP_RELEASE = 7,
};

struct dhcp_lease {
    struct prefix ip; /* with the subnet's length */
    struct ip server; /* its identifier; none: it did not say */
    struct ip router; /* of a default route; none: there is none, or routes have it */
    struct {
        struct prefix to;
        struct ip via; /* none: on the link itself */
    } routes[DHCP_ROUTES];
    size_t routes_n;
    struct ip dns[DHCP_SERVERS];
    size_t dns_n;
    char search[DHCP_SEARCH]; /* domains with a space between; "": none */
    uint16_t mtu;             /* 0: not said */
    uint32_t lease_s, renew_s, rebind_s;
};

/* What a client says. */
struct dhcp_ask {
    enum dhcp_type type;
    uint32_t xid;
    uint16_t secs; /* since it began to ask */
    uint8_t mac[6];
    struct ip from;       /* the address that it has; none: none yet */
    struct ip wants;      /* the one that it asks for; none: the server's choice, or the one it has */
    struct ip server;     /* whom it has chosen; none: any */
    const char *hostname; /* NULL or "": none */
};

/**
 * dhcp_write - a whole packet, from its IPv4 header on.
 * @to: whom it is sent to; none: everybody on the link.
 * Answers its length.
 */
size_t dhcp_write(const struct dhcp_ask *a, const struct ip *to, uint8_t ret[DHCP_ASK_MAX]);

/* A packet from its IPv4 header on: the message in it; false: it is none for a client. */
bool dhcp_packet_read(const uint8_t *packet, size_t n, const uint8_t **ret_message, size_t *ret_n);
/* A message: false where it is no answer to this transaction of this station, or makes no sense: an offer without an
 * address. *ret is filled for DHCP_OFFER and DHCP_ACK. */
bool dhcp_read(const uint8_t *message, size_t n, uint32_t xid, const uint8_t mac[6], enum dhcp_type *ret_type,
               struct dhcp_lease *ret);
/* The transaction's number of a message; 0: it is too short. */
uint32_t dhcp_xid(const uint8_t *message, size_t n);

#endif
