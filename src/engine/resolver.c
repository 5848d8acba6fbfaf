// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/resolver.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter/nfnetlink.h>
#include <netinet/in.h>
#include <string.h>

#include "engine/paths.h"
#include "network/firewall.h"
#include "network/reserve.h"
#include "os/daemon.h"
#include "os/fs.h"
#include "os/proc.h"
#include "os/sock.h"

/* Questions that wait while the process is started, or is busy. */
enum { RECEIVE_BYTES = 1 << 20, BACKLOG = 64 };

static fallible ask(int sock, enum resolver_kind kind, const char *network, const int *fds, size_t n, bool *ret_yes)
{
    struct resolver_message m = { .kind = kind };
    char byte = 0;
    size_t got = 0;
    (void)snprintf(m.network, sizeof m.network, "%s", network);
    TRY(sock_send(sock, &m, sizeof m, fds, n));
    TRY(sock_recv(sock, &byte, 1, &got, NULL, 0, NULL));
    if (got != 1)
        return err_new(ERR_UNAVAILABLE, "the resolver is gone");
    *ret_yes = byte == 1;
    return NULL;
}

/* One that is just ending, or was killed, is none. */
static fallible connect_at(int run_fd, int *ret_sock, bool *ret_watches)
{
    own_fd int sock = -1;
    err *e = sock_connect_at(run_fd, RESOLVER_SOCKET, SOCK_SEQPACKET, &sock);
    if (!e)
        e = ask(sock, RESOLVER_HAVE, "", NULL, 0, ret_watches);
    if (e) {
        err_ignore(e, "it is not there, or was killed");
        *ret_sock = -1;
        return NULL;
    }
    *ret_sock = take_fd(&sock);
    return NULL;
}

static fallible start(const struct engine *e, int run_fd, int *ret_sock)
{
    own_mem char *path = NULL;
    own_fd int listen_fd = -1;
    bool watches;
    pid_t pid;
    TRY(self_find_program("husk-dns", &path));
    if (unlinkat(run_fd, RESOLVER_SOCKET, 0) < 0 && errno != ENOENT)
        return err_sys(errno, "remove the last resolver's socket");
    TRY(sock_listen_at(run_fd, RESOLVER_SOCKET, SOCK_SEQPACKET, 0600, &listen_fd));
    char *argv[] = { path, e->root, e->run, NULL };
    TRY(daemon_start(argv, &listen_fd, 1, NULL, NULL, &pid));
    close_now(&listen_fd);
    TRY(connect_at(run_fd, ret_sock, &watches));
    if (*ret_sock < 0)
        return err_new(ERR_UNAVAILABLE, "it ended at once");
    return NULL;
}

/* One that was started by somebody who was killed before this does not watch yet. */
static fallible let_watch(const struct engine *e, int sock, bool watches)
{
    own_fd int watch = -1;
    bool yes;
    if (!e->usernet || watches)
        return NULL;
    TRY(usernet_watch(e->run, &watch));
    return ask(sock, RESOLVER_WATCH, "", &watch, 1, &yes);
}

fallible resolver_find(const struct engine *e, int *ret_sock)
{
    own_fd int run_fd = open(e->run, O_PATH | O_DIRECTORY | O_CLOEXEC);
    bool watches;
    *ret_sock = -1;
    return run_fd < 0 ? NULL : connect_at(run_fd, ret_sock, &watches);
}

fallible resolver_connect(const struct engine *e, int *ret_sock, bool *ret_fresh)
{
    own_fd int run_fd = -1, lock = -1, sock = -1;
    bool watches = false;
    *ret_fresh = false;
    TRY(paths_open_run(e->run, &run_fd));
    TRY(connect_at(run_fd, &sock, &watches));
    if (sock < 0) {
        TRY(fs_lock_at(run_fd, "dns.lock", FS_LOCK_EXCLUSIVE, &lock));
        TRY(connect_at(run_fd, &sock, &watches)); /* somebody was faster */
        *ret_fresh = sock < 0;
        if (*ret_fresh)
            TRY_AS(start(e, run_fd, &sock), "start the resolver of names");
    }
    TRY(let_watch(e, sock, watches && !*ret_fresh));
    *ret_sock = take_fd(&sock);
    return NULL;
}

fallible resolver_lock(const struct engine *e, int *ret_fd)
{
    own_fd int run_fd = -1;
    TRY(paths_open_run(e->run, &run_fd));
    return fs_lock_at(run_fd, "dns.lock", FS_LOCK_EXCLUSIVE, ret_fd);
}

bool resolver_has(int sock, const char *network)
{
    bool yes = false;
    err_ignore(ask(sock, RESOLVER_HAVE, network, NULL, 0, &yes), "then it has not");
    return yes;
}

fallible resolver_forget(int sock, const char *network)
{
    bool yes;
    return ask(sock, RESOLVER_FORGET, network, NULL, 0, &yes);
}

static fallible make_socket(const struct usernet *u, int family, int type, int *ret_fd)
{
    if (u)
        return usernet_socket(u, -1, family, type, 0, ret_fd);
    *ret_fd = socket(family, type | SOCK_CLOEXEC, 0);
    return *ret_fd < 0 ? err_sys(errno, "make a socket") : NULL;
}

/* With SO_REUSEPORT another resolver's socket at the same address would get half of the questions. */
static fallible must_be_free(const struct usernet *u, const struct ip *gateway)
{
    bool taken = false;
    char text[IP_TEXT];
    if (u) /* in there is nobody else */
        return NULL;
    TRY(reserve_is_bound(IPPROTO_UDP, gateway, FIREWALL_NAMES_PORT, &taken));
    return taken ? err_sys(EADDRINUSE, "listen for names on port %d of %s", FIREWALL_NAMES_PORT, ip_text(gateway, text))
                 : NULL;
}

static fallible bind_one(const struct usernet *u, const struct ip *gateway, int type, int *ret_fd)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } a = { 0 };
    const int on = 1, bytes = RECEIVE_BYTES;
    bool v6 = gateway->family == AF_INET6;
    char text[IP_TEXT];
    own_fd int fd = -1;
    TRY(make_socket(u, gateway->family, type, &fd));
    if (fcntl(fd, F_SETFL, O_NONBLOCK) < 0)
        return err_sys(errno, "make a socket");
    a.any.sa_family = (sa_family_t)gateway->family;
    if (v6) {
        a.v6.sin6_port = htons(FIREWALL_NAMES_PORT);
        memcpy(&a.v6.sin6_addr, gateway->bytes, 16);
    } else {
        a.v4.sin_port = htons(FIREWALL_NAMES_PORT);
        memcpy(&a.v4.sin_addr, gateway->bytes, 4);
    }
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    /* An IPv6 address is not there at once: the kernel first looks whether another has it. */
    TRY(reserve_share(fd));
    if ((type == SOCK_STREAM && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) < 0) ||
        (v6 && setsockopt(fd, SOL_IPV6, IPV6_FREEBIND, &on, sizeof on) < 0) ||
        bind(fd, &a.any, v6 ? sizeof a.v6 : sizeof a.v4) < 0 || (type == SOCK_STREAM && listen(fd, BACKLOG) < 0))
        return err_sys(errno, "listen for names on port %d of %s", FIREWALL_NAMES_PORT, ip_text(gateway, text));
    *ret_fd = take_fd(&fd);
    return NULL;
}

/* Where that kernel has no nf_tables there is no bridge either, and this is not reached. */
static fallible give_filter(int sock)
{
    own_fd int filter = -1, changes = -1;
    const int group = NFNLGRP_NFTABLES;
    bool yes;
    TRY(nft_open(&filter));
    TRY(nft_open(&changes));
    if (setsockopt(changes, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) < 0)
        return err_sys(errno, "listen to changes of the firewall");
    const int fds[] = { filter, changes };
    return ask(sock, RESOLVER_FILTER, "", fds, 2, &yes);
}

fallible resolver_give(const struct usernet *u, int sock, const char *network, const struct ip *gateways, size_t n)
{
    int fds[RESOLVER_FDS_MAX] = { -1, -1, -1, -1 };
    size_t made = 0;
    bool yes = false;
    err *e = NULL;
    for (size_t i = 0; i < n && !e; i++)
        e = must_be_free(u, &gateways[i]);
    for (size_t i = 0; i < n && made + 2 <= RESOLVER_FDS_MAX && !e; i++) {
        e = bind_one(u, &gateways[i], SOCK_DGRAM, &fds[made]);
        made += !e;
        if (!e)
            e = bind_one(u, &gateways[i], SOCK_STREAM, &fds[made]);
        made += !e;
    }
    if (!e)
        e = give_filter(sock);
    if (!e)
        e = ask(sock, RESOLVER_ADD, network, fds, made, &yes);
    for (size_t i = 0; i < made; i++)
        (void)close(fds[i]);
    if (!e && !yes)
        e = err_new(ERR_UNAVAILABLE, "the resolver does not take the sockets of network %.12s", network);
    return e;
}
