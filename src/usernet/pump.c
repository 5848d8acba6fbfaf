// SPDX-License-Identifier: GPL-2.0-or-later
#include "usernet/pump.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "base/mem.h"

struct port {
    struct port *next;
    struct pump *pump;
    char container[65];
    union usernet_address host, target;
    int fd;
    bool tcp;
    struct loop_source *source;
};
struct pump {
    struct loop *loop;
    struct port *ports;
    struct pump_tcp *tcp;
    struct pump_udp *udp;
};

socklen_t pump_address_size(const union usernet_address *a)
{
    return a->any.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
}

static bool is_loopback(const union usernet_address *a)
{
    if (a->any.sa_family == AF_INET)
        return ntohl(a->v4.sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&a->v6.sin6_addr);
}

static bool bind_as(int fd, const union usernet_address *client)
{
    const int on = 1;
    bool v6 = client->any.sa_family == AF_INET6;
    return setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
           setsockopt(fd, v6 ? SOL_IPV6 : SOL_IP, v6 ? IPV6_TRANSPARENT : IP_TRANSPARENT, &on, sizeof on) == 0 &&
           bind(fd, &client->any, pump_address_size(client)) == 0;
}

int pump_inner(int type, const union usernet_address *client, const union usernet_address *target)
{
    own_fd int fd = socket(target->any.sa_family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    if (client->any.sa_family == target->any.sa_family && !is_loopback(client) && !bind_as(fd, client))
        return -1;
    if (connect(fd, &target->any, pump_address_size(target)) < 0 && errno != EINPROGRESS)
        return -1;
    return take_fd(&fd);
}

static err *readable(void *ctx, uint32_t events)
{
    struct port *port = ctx;
    (void)events;
    if (!port->tcp) {
        pump_udp_readable(port->pump->udp, port->fd, &port->target);
        return NULL;
    }
    for (int i = 0; i < 16; i++) {
        union usernet_address client = { 0 };
        socklen_t n = sizeof client;
        int fd = accept4(port->fd, &client.any, &n, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0)
            break;
        pump_tcp_add(port->pump->tcp, &client, &port->target, fd);
    }
    return NULL;
}

fallible pump_new(struct loop *loop, struct pump **ret)
{
    own(pump) struct pump *p = mem_zalloc(sizeof *p);
    p->loop = loop;
    TRY(pump_tcp_new(loop, &p->tcp));
    TRY(pump_udp_new(loop, &p->udp));
    *ret = take(p);
    return NULL;
}

static void port_free(struct port *port)
{
    struct pump *p = port->pump;
    for (struct port **at = &p->ports; *at; at = &(*at)->next)
        if (*at == port) {
            *at = port->next;
            break;
        }
    if (!port->tcp && p->udp)
        pump_udp_forget(p->udp, port->fd);
    if (port->source)
        loop_remove(port->source);
    close_now(&port->fd);
    free(port);
}

void pump_free(struct pump *p)
{
    if (!p)
        return;
    while (p->ports)
        port_free(p->ports);
    pump_tcp_free(p->tcp);
    pump_udp_free(p->udp);
    free(p);
}

/* The address that a client chose is the one to answer from. */
static fallible want_addresses(int fd, int family)
{
    const int on = 1;
    int level = family == AF_INET6 ? SOL_IPV6 : SOL_IP, option = family == AF_INET6 ? IPV6_RECVPKTINFO : IP_PKTINFO;
    if (setsockopt(fd, level, option, &on, sizeof on) < 0)
        return err_sys(errno, "ask for the address that datagrams come to");
    return NULL;
}

fallible pump_add(struct pump *p, const char *container, const union usernet_address *target, int take_fd_)
{
    int type = 0;
    socklen_t type_n = sizeof type, host_n = sizeof(union usernet_address);
    struct port *port = mem_zalloc(sizeof *port);
    *port = (struct port){ .next = p->ports, .pump = p, .target = *target, .fd = take_fd_ };
    p->ports = port;
    (void)snprintf(port->container, sizeof port->container, "%s", container);
    err *e = NULL;
    if (getsockopt(port->fd, SOL_SOCKET, SO_TYPE, &type, &type_n) < 0 ||
        getsockname(port->fd, &port->host.any, &host_n) < 0)
        e = err_sys(errno, "look at a published port");
    port->tcp = type == SOCK_STREAM;
    if (!e && !port->tcp)
        e = want_addresses(port->fd, port->host.any.sa_family);
    if (!e)
        e = loop_add_fd(p->loop, port->fd, EPOLLIN, readable, port, &port->source);
    if (e)
        port_free(port);
    return e;
}

static bool same_address(const union usernet_address *a, const union usernet_address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_port == b->v4.sin_port && a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr;
    return a->v6.sin6_port == b->v6.sin6_port &&
           memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0;
}

size_t pump_remove(struct pump *p, const char *container, uint32_t protocol, const union usernet_address *host)
{
    size_t n = 0;
    for (struct port *port = p->ports; port;) {
        struct port *next = port->next;
        bool this = strcmp(port->container, container) == 0 &&
                    (!protocol || (port->tcp == (protocol == IPPROTO_TCP) && same_address(&port->host, host)));
        if (this) {
            port_free(port);
            n++;
        }
        port = next;
    }
    return n;
}
