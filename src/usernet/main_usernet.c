// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * husk-usernet RUN: holds an ordinary user's network namespace and moves the bytes of its published ports. Started by
 * usernet_open(), as root of the user namespace that all containers on the user's networks are made in.
 *
 * It ends, and pasta with it, when nothing in the namespace is connected to a container and no command talks to it.
 * What is connected is asked of the kernel: a container's end of a veth pair dies with the container, and the other
 * end, which is here, with it.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/mem.h"
#include "os/linux.h"
#include "os/netlink.h"
#include "os/proc.h"
#include "os/sock.h"
#include "usernet/pump.h"
#include "usernet/usernet.h"

/* A user who runs one container after the other should not pay for a new pasta each time. */
enum { LINGER_MS = 1500, FILES_WANTED = 16384 };

struct holder {
    struct loop *loop;
    struct pump *pump;
    struct loop_source *linger;
    const char *run; /* the run-time folder */
    int listen_fd, link_fd, ask_fd, pasta_fd;
    size_t clients; /* that keep us */
    struct client *watchers;
    bool lost, whole; /* as in protocol.h */
};
struct client {
    struct holder *holder;
    int fd;
    struct loop_source *source;
    bool watches;
    struct client *next; /* of the watchers */
};

/* ---- who is connected ---- */

static err *count_link(void *ctx, const struct nlmsghdr *m)
{
    size_t *n = ctx, len = 0, kind_len = 0;
    if (m->nlmsg_type != RTM_NEWLINK)
        return NULL;
    const struct nlattr *info = netlink_find(m, sizeof(struct ifinfomsg), IFLA_LINKINFO, &len);
    const char *at = info ? (const char *)info + NLA_HDRLEN : NULL;
    if (!at || len < NLA_HDRLEN)
        return NULL;
    const struct nlattr *kind = (const void *)at; /* IFLA_INFO_KIND is the first */
    kind_len = (size_t)kind->nla_len - NLA_HDRLEN;
    if (kind->nla_type != IFLA_INFO_KIND || kind->nla_len < NLA_HDRLEN || kind->nla_len > len)
        return NULL;
    const char *word = at + NLA_HDRLEN;
    *n += (kind_len >= 4 && strncmp(word, "veth", kind_len) == 0);
    return NULL;
}

static fallible count_veths(const struct holder *h, size_t *ret)
{
    struct netlink_request r;
    const struct ifinfomsg fixed = { .ifi_family = AF_UNSPEC };
    *ret = 0;
    netlink_begin(&r, RTM_GETLINK, NLM_F_DUMP, &fixed, sizeof fixed);
    return netlink_ask(h->ask_fd, &r, count_link, ret);
}

static fallible start_lingering(struct holder *h)
{
    return loop_set_timer(h->linger, h->clients ? 0 : (uint64_t)LINGER_MS * 1000000);
}

static err *links_changed(void *ctx, uint32_t events)
{
    struct holder *h = ctx;
    char bytes[16384];
    (void)events;
    while (recv(h->link_fd, bytes, sizeof bytes, MSG_DONTWAIT) > 0)
        ;
    return start_lingering(h);
}

/* From here on nobody finds us; a command that was just about to speak hears that we are gone, and starts another. What
 * that one makes has the same names, so nothing is removed later. */
static void vanish(const struct holder *h)
{
    own_mem char *pasta = mem_printf("%s/" USERNET_PASTA, h->run), *sock = mem_printf("%s/" USERNET_SOCKET, h->run);
    if (h->pasta_fd >= 0)
        (void)pidfd_send_signal(h->pasta_fd, SIGKILL, NULL, 0);
    (void)unlink(pasta);
    (void)unlink(sock);
}

static err *lingered(void *ctx)
{
    struct holder *h = ctx;
    size_t n = 0;
    if (h->clients)
        return NULL;
    err *e = count_veths(h, &n);
    if (e) {
        err_ignore(e, "asked again: without an answer nobody is left alone");
        return start_lingering(h);
    }
    if (!n) {
        vanish(h);
        loop_quit(h->loop);
    }
    return NULL;
}

/* ---- commands ---- */

static void say(struct client *c, err *take_e, const int *fds, size_t n)
{
    const struct holder *h = c->holder;
    struct usernet_answer a = {
        .outside = h->pasta_fd >= 0, .lost = h->lost, .whole = h->whole, .failed = take_e != NULL, .pid = getpid()
    };
    if (take_e)
        a.error_n = (uint32_t)err_encode(take_e, a.error, sizeof a.error);
    err_ignore(take_e, "the command reports it");
    err_ignore(sock_send(c->fd, &a, sizeof a, fds, n), "the command is gone");
}

static fallible open_namespace(const char *name, int *ret_fd)
{
    own_mem char *path = mem_printf("/proc/self/ns/%s", name);
    *ret_fd = open(path, O_RDONLY | O_CLOEXEC);
    return *ret_fd < 0 ? err_sys(errno, "open '%s'", path) : NULL;
}

static void enter(struct client *c)
{
    own_fd int user = -1, net = -1;
    err *e = open_namespace("user", &user);
    if (!e)
        e = open_namespace("net", &net);
    say(c, e, (const int[]){ user, net }, e ? 0 : 2);
}

/* Into a container's for one call: root of the user namespace that it is below may do that. */
static fallible socket_in(const struct usernet_message *m, int netns, int *ret_fd)
{
    own_fd int own = -1;
    if (netns >= 0) {
        TRY(open_namespace("net", &own));
        if (setns(netns, CLONE_NEWNET) < 0)
            return err_sys(errno, "enter the container's network namespace");
    }
    *ret_fd = socket(m->domain, m->type | SOCK_CLOEXEC, (int)m->protocol);
    err *e = *ret_fd < 0 ? err_sys(errno, "make a socket in the user's networks") : NULL;
    if (own >= 0 && setns(own, CLONE_NEWNET) < 0)
        abort(); /* elsewhere we are of no use, and would do harm */
    return e;
}

static void give_socket(struct client *c, const struct usernet_message *m, int netns)
{
    own_fd int fd = -1;
    err *e = socket_in(m, netns, &fd);
    say(c, e, &fd, !e);
}

/* Who watches can start another: we, in here, have no outside to join to. */
static err *pasta_ended(void *ctx, uint32_t events)
{
    struct holder *h = ctx;
    (void)events;
    close_now(&h->pasta_fd); /* and with it its source: a closed descriptor leaves epoll by itself */
    h->lost = true;
    for (struct client *c = h->watchers; c; c = c->next)
        (void)shutdown(c->fd, SHUT_RDWR);
    return NULL;
}

static fallible begin_watching(struct client *c)
{
    struct holder *h = c->holder;
    if (c->watches)
        return NULL;
    c->watches = true;
    c->next = h->watchers;
    h->watchers = c;
    h->clients--;
    return start_lingering(h);
}

static void forget(struct client *c)
{
    struct holder *h = c->holder;
    struct client **at = &h->watchers;
    if (!c->watches) {
        h->clients--;
        return;
    }
    while (*at != c)
        at = &(*at)->next;
    *at = c->next;
}

static fallible keep_pasta(struct holder *h, int *fd)
{
    if (*fd < 0)
        return err_new(ERR_INVALID, "usernet: no descriptor of pasta's");
    close_now(&h->pasta_fd);
    h->pasta_fd = take_fd(fd);
    h->lost = false;
    return loop_add_fd(h->loop, h->pasta_fd, EPOLLIN, pasta_ended, h, NULL);
}

static void obey(struct client *c, const struct usernet_message *m, int *fd)
{
    struct holder *h = c->holder;
    err *e = NULL;
    switch ((enum usernet_kind)m->kind) {
    case USERNET_ENTER:
        enter(c);
        return;
    case USERNET_SOCKETS:
        give_socket(c, m, *fd);
        return;
    case USERNET_OUTSIDE:
        e = keep_pasta(h, fd);
        break;
    case USERNET_PUBLISH:
        e = *fd < 0 ? err_new(ERR_INVALID, "usernet: no socket to publish")
                    : pump_add(h->pump, m->container, &m->target, take_fd(fd));
        break;
    case USERNET_WITHDRAW:
        (void)pump_remove(h->pump, m->container, m->protocol, &m->host);
        break;
    case USERNET_WATCH:
        e = begin_watching(c);
        break;
    case USERNET_WHOLE:
        h->whole = true;
        break;
    default:
        e = err_new(ERR_INVALID, "usernet: an unknown message: is husk older or newer than its holder?");
    }
    say(c, e, NULL, 0);
}

static err *client_ready(void *ctx, uint32_t events)
{
    struct client *c = ctx;
    struct holder *h = c->holder;
    struct usernet_message m = { 0 };
    size_t n = 0, fds = 0;
    own_fd int fd = -1;
    (void)events;
    err *e = sock_recv(c->fd, &m, sizeof m, &n, &fd, 1, &fds);
    if (!e && n == sizeof m) {
        m.container[sizeof m.container - 1] = '\0';
        obey(c, &m, &fd);
        return NULL;
    }
    err_ignore(e, "the command is gone");
    loop_remove(c->source);
    close_now(&c->fd);
    forget(c);
    free(c);
    return start_lingering(h);
}

static err *client_comes(void *ctx, uint32_t events)
{
    struct holder *h = ctx;
    (void)events;
    own_fd int fd = accept4(h->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 || !sock_peer_is_ours(fd))
        return NULL;
    struct client *c = mem_zalloc(sizeof *c);
    *c = (struct client){ .holder = h, .fd = -1 };
    err *e = loop_add_fd(h->loop, fd, EPOLLIN, client_ready, c, &c->source);
    if (e) { /* for one command too many nobody's networks end */
        err_ignore(e, "the command sees that it is not heard");
        free(c);
        return NULL;
    }
    c->fd = take_fd(&fd);
    h->clients++;
    return loop_set_timer(h->linger, 0);
}

/* ---- life ---- */

static fallible watch_links(struct holder *h)
{
    struct sockaddr_nl groups = { .nl_family = AF_NETLINK, .nl_groups = RTMGRP_LINK };
    TRY(netlink_open(&h->ask_fd));
    h->link_fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC | SOCK_NONBLOCK, NETLINK_ROUTE);
    if (h->link_fd < 0 || bind(h->link_fd, (struct sockaddr *)&groups, sizeof groups) < 0)
        return err_sys(errno, "watch network devices");
    return loop_add_fd(h->loop, h->link_fd, EPOLLIN, links_changed, h, NULL);
}

static fallible hold(struct holder *h)
{
    TRY(usernet_routes());
    TRY(loop_new(&h->loop));
    TRY(pump_new(h->loop, &h->pump));
    TRY(loop_add_timer(h->loop, 0, lingered, h, &h->linger));
    TRY(watch_links(h));
    TRY(loop_add_fd(h->loop, h->listen_fd, EPOLLIN, client_comes, h, NULL));
    TRY(start_lingering(h));
    if (write(USERNET_READY_FD, "", 1) != 1)
        return err_sys(errno, "say that the holder is ready");
    (void)close(USERNET_READY_FD);
    return loop_run(h->loop);
}

int main(int argc, char **argv)
{
    struct holder h = {
        .run = argc > 1 ? argv[1] : "/", .listen_fd = USERNET_LISTEN_FD, .link_fd = -1, .ask_fd = -1, .pasta_fd = -1
    };
    proc_want_files(FILES_WANTED); /* each connection is two descriptors */
    (void)close_range(USERNET_READY_FD + 1, ~0u, 0);
    (void)fcntl(USERNET_LISTEN_FD, F_SETFD, FD_CLOEXEC);
    (void)prctl(PR_SET_NAME, "husk-usernet", 0, 0, 0);
    (void)signal(SIGPIPE, SIG_IGN); /* a socket whose peer is gone: of one connection, not of us all */
    err *e = hold(&h);
    (void)close(h.listen_fd);
    pump_free(h.pump);
    loop_free(h.loop);
    if (!e)
        return 0;
    char text[ERR_ENCODED_MAX]; /* to the starter, when it still listens */
    size_t n = err_encode(e, text, sizeof text);
    ssize_t said = send(USERNET_READY_FD, text, n, MSG_NOSIGNAL);
    err_free(e);
    return said > 0 ? 1 : 2;
}
