// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * husk-dns ROOT RUN: answers the names of containers. Started by resolver_connect(), with the socket that commands
 * speak to as descriptor 3; never by hand. It ends when no container is connected to a network any more.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "base/log.h"
#include "dns/confine.h"
#include "dns/egress.h"
#include "dns/ruleset.h"
#include "dns/server.h"
#include "dns/source.h"
#include "engine/resolver.h"
#include "os/linux.h"
#include "os/proc.h"
#include "os/sock.h"

/*
 * Who needs us is connected to us: a start until its container is, and then the container's monitor. When the last has
 * gone we end after a moment, since one container after the other should not pay for a new resolver each time. What
 * is on a network without a monitor, or was connected by hand, is looked for once a second. The first is waited for
 * longer: it is who started us, on a machine that may have much to do.
 */
enum { FIRST_MS = 10000, LOOK_MS = 1000, LINGER_MS = 100, FILES_WANTED = 65536 };

struct dns {
    struct loop *loop;
    struct dns_source *source;
    struct dns_server *server;
    struct loop_source *look;
    struct dns_egress *egress;
    struct ruleset *ruleset; /* NULL: no network yet */
    int listen_fd, watch_fd; /* watch_fd: of RESOLVER_WATCH; -1: none */
    size_t clients;
};
struct client {
    struct dns *dns;
    int fd;
    struct loop_source *source;
};

static bool in_use(struct dns *d)
{
    uint64_t serial = 0;
    const struct dns_names *names = dns_source_names(d->source, &serial);
    return names && dns_names_in_use(names);
}

static fallible look_again(struct dns *d)
{
    uint64_t ms = d->clients ? 0 : in_use(d) ? LOOK_MS : LINGER_MS;
    return loop_set_timer(d->look, ms * 1000000);
}

/* Unused: while nobody speaks to us, since whoever does may be about to connect a container. One that comes between
 * this look and our end hears that we are gone, and starts another. */
static err *look(void *ctx)
{
    struct dns *d = ctx;
    dns_server_sweep(d->server);
    if (!d->clients && !in_use(d)) {
        loop_quit(d->loop);
        return NULL;
    }
    return look_again(d);
}

static bool take_sockets(struct dns *d, const char *network, int *fds, size_t n)
{
    bool all = n > 0;
    for (size_t i = 0; i < n; i++) {
        err *e = dns_server_add(d->server, network, take_fd(&fds[i]));
        all &= !e;
        err_ignore(e, "the command hears that it failed");
    }
    return all;
}

/* The table is gone: whoever brings us back makes it anew (engine/network_door.h). */
static err *firewall_lost(void *ctx)
{
    loop_quit(((struct dns *)ctx)->loop);
    return NULL;
}

/* Sockets of the namespace in which the networks are now. */
static bool take_firewall(struct dns *d, int fds[2])
{
    struct ruleset *r = NULL;
    dns_egress_set_socket(d->egress, take_fd(&fds[0]));
    err *e = ruleset_new(d->loop, take_fd(&fds[1]), dns_egress_socket(d->egress), firewall_lost, d, &r);
    if (!e) {
        ruleset_free(d->ruleset);
        d->ruleset = r;
    }
    err_ignore(e, "the command hears that it failed");
    return e == NULL;
}

/* Our sockets are in a namespace that is nobody's now, or that has no outside any more. */
static err *networks_lost(void *ctx, uint32_t events)
{
    struct dns *d = ctx;
    (void)events;
    loop_quit(d->loop);
    return NULL;
}

/* The first one stays: whoever sent another had not heard yet that there is one. */
static bool watch(struct dns *d, int *fds, size_t n)
{
    if (n != 1)
        return false;
    if (d->watch_fd >= 0)
        return true;
    err *e = loop_add_fd(d->loop, fds[0], EPOLLIN, networks_lost, d, NULL);
    bool yes = !e;
    err_ignore(e, "the command hears that it failed");
    if (yes)
        d->watch_fd = take_fd(&fds[0]);
    return yes;
}

static bool obey(struct dns *d, const struct resolver_message *m, int *fds, size_t n)
{
    switch ((enum resolver_kind)m->kind) {
    case RESOLVER_HAVE:
        return *m->network ? dns_server_has(d->server, m->network) : d->watch_fd >= 0;
    case RESOLVER_WATCH:
        return watch(d, fds, n);
    case RESOLVER_ADD:
        return take_sockets(d, m->network, fds, n);
    case RESOLVER_FILTER:
        return n == 2 && take_firewall(d, fds);
    case RESOLVER_FORGET:
        dns_server_remove(d->server, m->network);
        return true;
    }
    return false;
}

static err *client_ready(void *ctx, uint32_t events)
{
    struct client *c = ctx;
    struct dns *d = c->dns;
    dns_server_sweep(d->server); /* a network that is gone may have left its address to the one that is asked about */
    struct resolver_message m = { 0 };
    int fds[RESOLVER_FDS_MAX] = { -1, -1, -1, -1 };
    size_t n = 0, fds_n = 0;
    (void)events;
    err *e = sock_recv(c->fd, &m, sizeof m, &n, fds, RESOLVER_FDS_MAX, &fds_n);
    bool good = !e && n == sizeof m;
    if (good) {
        m.network[sizeof m.network - 1] = '\0';
        char yes = obey(d, &m, fds, fds_n);
        e = sock_send(c->fd, &yes, 1, NULL, 0);
    }
    err_ignore(e, "the command is gone");
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close_now(&fds[i]);
    if (good)
        return NULL;
    loop_remove(c->source);
    close_now(&c->fd);
    free(c);
    d->clients--;
    return look_again(d);
}

static err *client_comes(void *ctx, uint32_t events)
{
    struct dns *d = ctx;
    (void)events;
    own_fd int fd = accept4(d->listen_fd, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0 || !sock_peer_is_ours(fd))
        return NULL;
    struct client *c = mem_zalloc(sizeof *c);
    *c = (struct client){ .dns = d, .fd = -1 };
    err *e = loop_add_fd(d->loop, fd, EPOLLIN, client_ready, c, &c->source);
    if (e) {
        free(c);
        return e;
    }
    c->fd = take_fd(&fd);
    d->clients++;
    return loop_set_timer(d->look, 0);
}

static void learn(void *ctx, const char *container, const struct dns_query *q, const unsigned char *bytes, size_t n)
{
    struct dns *d = ctx;
    uint64_t serial = 0;
    const struct dns_names *names = dns_source_names(d->source, &serial);
    if (names)
        dns_egress_learn(d->egress, names, container, q, bytes, n);
}

static const struct dns_names *names_now(void *ctx, uint64_t *ret_serial)
{
    return dns_source_names(((struct dns *)ctx)->source, ret_serial);
}

static fallible serve(struct dns *d, const char *root, const char *run)
{
    TRY(dns_source_open(root, run, &d->source));
    TRY(dns_confine(root));
    TRY(loop_new(&d->loop));
    const struct dns_server_hooks hooks = { .names = names_now, .outside = learn, .ctx = d };
    TRY(dns_server_new(d->loop, &hooks, &d->server));
    TRY(loop_add_timer(d->loop, 0, look, d, &d->look));
    TRY(loop_add_fd(d->loop, d->listen_fd, EPOLLIN, client_comes, d, NULL));
    TRY(loop_set_timer(d->look, (uint64_t)FIRST_MS * 1000000));
    return loop_run(d->loop);
}

int main(int argc, char **argv)
{
    struct dns d = { .listen_fd = RESOLVER_LISTEN_FD, .watch_fd = -1, .egress = dns_egress_new() };
    if (argc != 3) {
        fprintf(stderr, "husk-dns: it is started by husk, for containers on networks\n");
        return 2;
    }
    proc_want_files(FILES_WANTED);
    (void)close_range(RESOLVER_LISTEN_FD + 1, ~0u, 0);
    (void)fcntl(RESOLVER_LISTEN_FD, F_SETFD, FD_CLOEXEC);
    err *e = serve(&d, argv[1], argv[2]);
    (void)close(d.listen_fd);
    close_now(&d.watch_fd);
    if (e)
        log_error("husk-dns: %s", err_text(e));
    int status = e != NULL;
    err_free(e);
    dns_server_free(d.server);
    ruleset_free(d.ruleset);
    loop_free(d.loop);
    dns_source_free(d.source);
    dns_egress_free(d.egress);
    return status;
}
