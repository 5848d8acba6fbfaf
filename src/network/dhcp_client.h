/*
 * dhcp_client.h: a lease of addresses for one interface of a container's, from a DHCP server on its link.
 *
 * It is a machine of states (RFC 2131, 4.4) around one packet socket that was opened in the container's network
 * namespace: dhcp_client_on_time() and dhcp_client_on_packet() move it, and it says when it wants to be called next.
 * The start of a container drives it until it has a lease (dhcp_acquire()), the monitor from then on
 * (monitor/leases.h). The socket hears what is sent to port 68 and nothing else, by a filter in the kernel.
 *
 *   <state_dir>/dhcp.INTERFACE   the lease as it came: a line "TIME MAC GATEWAY HOSTNAME", and after it the bytes of
 * the server's message (network/dhcp.h reads them). TIME: CLOCK_BOOTTIME, ms, from which the lease counts; MAC: of who
 * sent it, hexadecimal; GATEWAY: 1 when its router is to be the default route; HOSTNAME may be empty
 *
 * The kernel is told how long an address holds, so that it ends with its lease though nobody lives to end it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NETWORK_DHCP_CLIENT_H
#define HUSK_NETWORK_DHCP_CLIENT_H

#include <net/if.h>

#include "base/mem.h"
#include "network/dhcp.h"

#define DHCP_FILE_PREFIX "dhcp."
enum { DHCP_FILE_MAX = DHCP_PACKET_MAX + 256, DHCP_PATIENCE_MS = 10000 };

enum dhcp_state { DHCP_SELECTING, DHCP_REQUESTING, DHCP_BOUND, DHCP_RENEWING, DHCP_REBINDING };
enum dhcp_event {
    DHCP_NOTHING,
    DHCP_LEASED, /* there is a lease, or a longer one */
    DHCP_LOST,   /* the address may not be used any more: a new one is asked for */
};
struct dhcp_client {
    int sock; /* -1: none */
    unsigned index;
    char interface[IFNAMSIZ], hostname[65];
    uint8_t mac[6], server_mac[6]; /* of whom the lease came from: there a request is sent, whoever that leads to */
    bool gateway;
    enum dhcp_state state;
    struct dhcp_lease lease; /* or what was offered */
    uint32_t xid;
    unsigned tries;
    uint64_t begun_ms, asked_ms, leased_ms, due_ms; /* CLOCK_BOOTTIME */
    uint8_t message[DHCP_PACKET_MAX];               /* the server's, that gave the lease */
    size_t message_n;
};
uint64_t dhcp_now_ms(void);

/* Opens the socket on an interface of that namespace; the rest of c is zero but for gateway and hostname. */
fallible dhcp_client_open(struct dhcp_client *c, int netns, const char *interface);
/* The same with such a socket of another process's, if that is of this interface. */
bool dhcp_client_take(struct dhcp_client *c, int sock, const char *interface);
void dhcp_client_close(struct dhcp_client *c);
/* At due_ms or later. */
fallible dhcp_client_on_time(struct dhcp_client *c, enum dhcp_event *ret);
/* The socket is readable: one packet. */
fallible dhcp_client_on_packet(struct dhcp_client *c, enum dhcp_event *ret);
/* Tells the server that the address is free. */
void dhcp_client_release(struct dhcp_client *c);

/* Drives it until there is a lease. TIMEOUT after DHCP_PATIENCE_MS: nobody answered. */
fallible dhcp_acquire(struct dhcp_client *c);

/* Into the namespace: the address for as long as it holds, routes, the MTU. old: the lease before, whose address goes
 * where it is another; NULL: none. inside: rtnetlink's of the namespace. */
fallible dhcp_apply(int inside, const struct dhcp_client *c, const struct dhcp_lease *old);
fallible dhcp_take_away(int inside, const struct dhcp_client *c, const struct dhcp_lease *old);

fallible dhcp_file_write(int dir_fd, const struct dhcp_client *c);
/* Fills all but the socket and the index. NOT_FOUND; CORRUPT. */
fallible dhcp_file_read(int dir_fd, const char *interface, struct dhcp_client *ret);
void dhcp_file_remove(int dir_fd, const char *interface);

#endif
