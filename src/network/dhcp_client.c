// SPDX-License-Identifier: GPL-2.0-or-later
#include "network/dhcp_client.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"

enum { SECOND = 1000, MINUTE = 60 * SECOND, SHORT_LEASE_S = 600, REQUESTS = 3 };

uint64_t dhcp_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* ---- the socket ---------------------------------------------------------------------------------------------------
 */

/* IPv4's UDP to the client's port, no fragment: else a busy link would wake us for nothing. */
static fallible set_filter(int sock)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 9),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_UDP, 0, 6),
        BPF_STMT(BPF_LD | BPF_H | BPF_ABS, 6),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, 0x3fff, 4, 0),
        BPF_STMT(BPF_LDX | BPF_B | BPF_MSH, 0),
        BPF_STMT(BPF_LD | BPF_H | BPF_IND, 2),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, DHCP_CLIENT_PORT, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, DHCP_PACKET_MAX),
        BPF_STMT(BPF_RET | BPF_K, 0),
    };
    const struct sock_fprog program = { ARRAY_SIZE(code), code };
    return setsockopt(sock, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) < 0
               ? err_sys(errno, "filter a packet socket")
               : NULL;
}

static fallible open_here(struct dhcp_client *c)
{
    struct ifreq r = { 0 };
    own_fd int sock = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0); /* 0: it hears nothing yet */
    if (sock < 0)
        return err_sys(errno, "open a packet socket");
    TRY(set_filter(sock));
    (void)snprintf(r.ifr_name, sizeof r.ifr_name, "%s", c->interface);
    if (ioctl(sock, SIOCGIFINDEX, &r) < 0)
        return err_sys(errno, "find '%s'", c->interface);
    c->index = (unsigned)r.ifr_ifindex;
    if (ioctl(sock, SIOCGIFHWADDR, &r) < 0)
        return err_sys(errno, "look at '%s'", c->interface);
    memcpy(c->mac, r.ifr_hwaddr.sa_data, sizeof c->mac);
    const struct sockaddr_ll at = { .sll_family = AF_PACKET,
                                    .sll_protocol = htobe16(ETH_P_IP),
                                    .sll_ifindex = (int)c->index };
    if (bind(sock, (const struct sockaddr *)&at, sizeof at) < 0)
        return err_sys(errno, "listen on '%s'", c->interface);
    c->sock = take_fd(&sock);
    return NULL;
}

fallible dhcp_client_open(struct dhcp_client *c, int netns, const char *interface)
{
    c->sock = -1;
    (void)snprintf(c->interface, sizeof c->interface, "%s", interface);
    own_fd int own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
    if (own < 0)
        return err_sys(errno, "open '/proc/self/ns/net'");
    if (setns(netns, CLONE_NEWNET) < 0)
        return err_sys(errno, "enter the network namespace");
    err *e = open_here(c);
    if (setns(own, CLONE_NEWNET) < 0) {
        err_free(e);
        return err_sys(errno, "come back from the network namespace");
    }
    return e;
}

bool dhcp_client_take(struct dhcp_client *c, int sock, const char *interface)
{
    struct sockaddr_ll at = { 0 };
    struct ifreq r = { 0 };
    socklen_t n = sizeof at;
    if (getsockname(sock, (struct sockaddr *)&at, &n) < 0 || at.sll_family != AF_PACKET)
        return false;
    r.ifr_ifindex = at.sll_ifindex;
    if (ioctl(sock, SIOCGIFNAME, &r) < 0 || !str_eq(r.ifr_name, interface)) /* of the socket's namespace */
        return false;
    c->sock = fcntl(sock, F_DUPFD_CLOEXEC, 3);
    c->index = (unsigned)at.sll_ifindex;
    return c->sock >= 0;
}

void dhcp_client_close(struct dhcp_client *c)
{
    if (c->sock >= 0)
        close_now(&c->sock);
}

/* to none: everybody on the link. A link that is just coming up, or down for a while, is asked again later. */
static fallible send_ask(const struct dhcp_client *c, const struct dhcp_ask *a, const struct ip *to)
{
    uint8_t packet[DHCP_ASK_MAX];
    size_t n = dhcp_write(a, to, packet);
    struct sockaddr_ll at = {
        .sll_family = AF_PACKET, .sll_protocol = htobe16(ETH_P_IP), .sll_ifindex = (int)c->index, .sll_halen = ETH_ALEN
    };
    if (ip_is_set(to))
        memcpy(at.sll_addr, c->server_mac, ETH_ALEN);
    else
        memset(at.sll_addr, 0xff, ETH_ALEN);
    if (sendto(c->sock, packet, n, 0, (const struct sockaddr *)&at, sizeof at) >= 0 || errno == ENETDOWN ||
        errno == ENOBUFS || errno == EAGAIN || errno == EINTR)
        return NULL;
    return err_sys(errno, "ask for an address");
}

/* ---- the states (RFC 2131, 4.4) -----------------------------------------------------------------------------------
 */

static struct dhcp_ask ask(const struct dhcp_client *c, enum dhcp_type type, uint64_t now)
{
    struct dhcp_ask a = { .type = type, .xid = c->xid, .hostname = c->hostname };
    uint64_t secs = (now - c->begun_ms) / SECOND;
    a.secs = secs < UINT16_MAX ? (uint16_t)secs : UINT16_MAX;
    memcpy(a.mac, c->mac, sizeof a.mac);
    return a;
}

static void new_transaction(struct dhcp_client *c, uint64_t now)
{
    do
        if (getrandom(&c->xid, sizeof c->xid, GRND_NONBLOCK) != sizeof c->xid)
            c->xid = (uint32_t)now * 2654435761u ^ (uint32_t)getpid();
    while (!c->xid);
    c->begun_ms = now;
    c->tries = 0;
}

static void enter(struct dhcp_client *c, enum dhcp_state state, uint64_t now)
{
    c->state = state;
    c->tries = 0;
    c->due_ms = now;
    if (state != DHCP_REQUESTING) /* which is of the offer's */
        new_transaction(c, now);
}

/* 1, 1, 2, 4 ... 64 seconds. */
static uint64_t pause_of(unsigned tries)
{
    return (uint64_t)SECOND << (tries < 2 ? 0 : tries < 8 ? tries - 1 : 6);
}

static const struct ip anybody = { 0 };

static fallible discover(struct dhcp_client *c, uint64_t now)
{
    struct dhcp_ask a = ask(c, DHCP_DISCOVER, now);
    c->due_ms = now + pause_of(c->tries++);
    return send_ask(c, &a, &anybody);
}

static fallible request(struct dhcp_client *c, uint64_t now)
{
    struct dhcp_ask a = ask(c, DHCP_REQUEST, now);
    if (c->tries == REQUESTS) {
        enter(c, DHCP_SELECTING, now);
        return discover(c, now);
    }
    a.wants = c->lease.ip.ip;
    a.server = c->lease.server;
    c->asked_ms = now;
    c->due_ms = now + pause_of(c->tries++);
    return send_ask(c, &a, &anybody);
}

/* Again after half of what is left until then, but not more often than once a minute (4.4.5); of short leases more. */
static uint64_t again_before(const struct dhcp_client *c, uint64_t now, uint32_t until_s)
{
    uint64_t until = c->leased_ms + (uint64_t)until_s * SECOND,
             least = c->lease.lease_s < SHORT_LEASE_S ? SECOND : MINUTE;
    uint64_t half = until > now ? (until - now) / 2 : 0;
    uint64_t at = now + (half > least ? half : least);
    return at < until ? at : until;
}

static fallible extend(struct dhcp_client *c, uint64_t now)
{
    struct dhcp_ask a = ask(c, DHCP_REQUEST, now);
    bool renewing = c->state == DHCP_RENEWING && ip_is_set(&c->lease.server);
    a.from = c->lease.ip.ip;
    c->asked_ms = now;
    c->due_ms = again_before(c, now, c->state == DHCP_RENEWING ? c->lease.rebind_s : c->lease.lease_s);
    return send_ask(c, &a, renewing ? &c->lease.server : &anybody);
}

fallible dhcp_client_on_time(struct dhcp_client *c, enum dhcp_event *ret)
{
    uint64_t now = dhcp_now_ms(), held = c->leased_ms ? (now - c->leased_ms) / SECOND : 0;
    *ret = DHCP_NOTHING;
    if (now < c->due_ms)
        return NULL;
    bool bound = c->state >= DHCP_BOUND;
    if (bound && held >= c->lease.lease_s) {
        enter(c, DHCP_SELECTING, now);
        *ret = DHCP_LOST;
    } else if (bound && held >= c->lease.rebind_s && c->state != DHCP_REBINDING)
        enter(c, DHCP_REBINDING, now);
    else if (c->state == DHCP_BOUND)
        enter(c, DHCP_RENEWING, now);
    switch (c->state) {
    case DHCP_SELECTING:
        return discover(c, now);
    case DHCP_REQUESTING:
        return request(c, now);
    case DHCP_BOUND:
    case DHCP_RENEWING:
    case DHCP_REBINDING:
        return extend(c, now);
    }
    return NULL;
}

static void bind_lease(struct dhcp_client *c, const struct dhcp_lease *l, const uint8_t *message, size_t n,
                       const uint8_t from[6])
{
    c->lease = *l;
    c->state = DHCP_BOUND;
    c->leased_ms = c->asked_ms;
    c->due_ms = c->leased_ms + (uint64_t)l->renew_s * SECOND;
    memcpy(c->message, message, n);
    c->message_n = n;
    memcpy(c->server_mac, from, sizeof c->server_mac);
}

fallible dhcp_client_on_packet(struct dhcp_client *c, enum dhcp_event *ret)
{
    uint8_t packet[DHCP_PACKET_MAX];
    struct sockaddr_ll from = { 0 };
    socklen_t from_n = sizeof from;
    const uint8_t *message;
    size_t n;
    enum dhcp_type type;
    struct dhcp_lease l;
    uint64_t now = dhcp_now_ms();
    *ret = DHCP_NOTHING;
    ssize_t got = recvfrom(c->sock, packet, sizeof packet, 0, (struct sockaddr *)&from, &from_n);
    if (got < 0)
        return errno == EAGAIN || errno == EINTR || errno == ENETDOWN ? NULL : err_sys(errno, "hear a DHCP server");
    if (from.sll_pkttype == PACKET_OUTGOING || !dhcp_packet_read(packet, (size_t)got, &message, &n) ||
        !dhcp_read(message, n, c->xid, c->mac, &type, &l))
        return NULL;
    if (type == DHCP_OFFER && c->state == DHCP_SELECTING && ip_is_set(&l.server)) {
        c->lease = l;
        enter(c, DHCP_REQUESTING, now);
        return request(c, now);
    }
    if (c->state == DHCP_SELECTING || c->state == DHCP_BOUND)
        return NULL;
    if (type == DHCP_ACK) {
        bind_lease(c, &l, message, n, from.sll_addr);
        *ret = DHCP_LEASED;
    } else if (type == DHCP_NAK) {
        *ret = c->state == DHCP_REQUESTING ? DHCP_NOTHING : DHCP_LOST;
        enter(c, DHCP_SELECTING, now);
        c->due_ms = now + SECOND; /* a server that refuses everybody is not asked as fast as it answers */
    }
    return NULL;
}

void dhcp_client_release(struct dhcp_client *c)
{
    uint64_t now = dhcp_now_ms();
    if (c->sock < 0 || c->state < DHCP_BOUND || !ip_is_set(&c->lease.server))
        return;
    new_transaction(c, now);
    struct dhcp_ask a = ask(c, DHCP_RELEASE, now);
    a.from = c->lease.ip.ip;
    a.server = c->lease.server;
    err_ignore(send_ask(c, &a, &c->lease.server), "the lease ends by itself");
}

fallible dhcp_acquire(struct dhcp_client *c)
{
    enum dhcp_event event = DHCP_NOTHING;
    uint64_t now = dhcp_now_ms(), end = now + DHCP_PATIENCE_MS;
    enter(c, DHCP_SELECTING, now);
    while (event != DHCP_LEASED && (now = dhcp_now_ms()) < end) {
        TRY(dhcp_client_on_time(c, &event));
        uint64_t until = c->due_ms < end ? c->due_ms : end;
        struct pollfd p = { c->sock, POLLIN, 0 };
        if (poll(&p, 1, until > now ? (int)(until - now) + 1 : 1) > 0)
            TRY(dhcp_client_on_packet(c, &event));
    }
    if (event == DHCP_LEASED)
        return NULL;
    return err_new(ERR_TIMEOUT, "%s",
                   c->state == DHCP_REQUESTING
                       ? "a DHCP server offered an address and did not give it within 10 seconds"
                       : "no DHCP server answered within 10 seconds: is one on the link of the network's parent, and "
                         "is that up?");
}
