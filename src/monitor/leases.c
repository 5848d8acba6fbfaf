// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/leases.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "monitor/child.h"
#include "monitor/plan.h"
#include "network/connect.h"
#include "network/dhcp_client.h"
#include "os/netlink.h"

/* A timer's clock stands while the machine sleeps, a lease's does not: so it is looked at from time to time. */
enum { LOOK_MS = 600000 };
#define MS 1000000ull

struct lease {
    struct leases *of;
    struct dhcp_client client;
    struct dhcp_lease applied; /* what the namespace has */
    bool has;
    struct loop_source *source, *timer;
};

static fallible set_timer(struct lease *l)
{
    uint64_t now = dhcp_now_ms(), due = l->client.due_ms, wait = due > now ? due - now : 1;
    return loop_set_timer(l->timer, (wait < LOOK_MS ? wait : LOOK_MS) * MS);
}

static bool is_another(const struct dhcp_lease *a, const struct dhcp_lease *b)
{
    bool same = ip_equal(&a->ip.ip, &b->ip.ip) && a->dns_n == b->dns_n && str_eq(a->search, b->search);
    for (size_t i = 0; same && i < a->dns_n; i++)
        same = ip_equal(&a->dns[i], &b->dns[i]);
    return !same;
}

static void let_files_follow(const struct leases *l)
{
    if (!l->plan->husk)
        return;
    pid_t pid = fork();
    if (pid == 0)
        child_become_husk(l->plan, "network-leases");
}

static fallible apply(struct lease *l, bool leased)
{
    own_fd int netns = -1, inside = -1;
    TRY(network_open_netns(l->of->plan->init.pid, &netns));
    TRY(netlink_open_in(netns, &inside));
    if (leased) {
        TRY(dhcp_apply(inside, &l->client, l->has ? &l->applied : NULL));
        return dhcp_file_write(l->of->state_fd, &l->client);
    }
    return l->has ? dhcp_take_away(inside, &l->client, &l->applied) : NULL;
}

static void on_event(struct lease *l, enum dhcp_event event)
{
    if (event == DHCP_NOTHING)
        return;
    const bool leased = event == DHCP_LEASED,
               another = leased && (!l->has || is_another(&l->applied, &l->client.lease));
    err_ignore(apply(l, leased), "the container has changed its interface, or ends; the next renewal tries again");
    l->has = leased;
    if (leased)
        l->applied = l->client.lease;
    if (another)
        let_files_follow(l->of);
}

static err *on_time(void *ctx)
{
    struct lease *l = ctx;
    enum dhcp_event event = DHCP_NOTHING;
    err_ignore(dhcp_client_on_time(&l->client, &event), "asked again in a moment");
    on_event(l, event);
    return set_timer(l);
}

static err *on_packet(void *ctx, uint32_t events)
{
    struct lease *l = ctx;
    enum dhcp_event event = DHCP_NOTHING;
    err_ignore(dhcp_client_on_packet(&l->client, &event), "the link is gone, or comes back");
    on_event(l, event);
    return set_timer(l);
}

static void drop(struct lease *l)
{
    if (l->source)
        loop_remove(l->source);
    if (l->timer)
        loop_remove(l->timer);
    dhcp_client_close(&l->client);
    free(l);
}

/* The start's own, which its plan holds to the end; or one that is opened in there. */
static fallible open_socket(const struct leases *all, const char *interface, struct dhcp_client *ret)
{
    own_fd int netns = -1;
    const char *at = all->plan->hold;
    for (int fd; plan_next_hold(&at, &fd);)
        if (dhcp_client_take(ret, fd, interface))
            return NULL;
    TRY(network_open_netns(all->plan->init.pid, &netns));
    return dhcp_client_open(ret, netns, interface);
}

static fallible keep(struct leases *all, const char *interface, struct dhcp_client *c)
{
    struct dhcp_client at = { .sock = -1 };
    TRY(open_socket(all, interface, &at));
    struct lease *l = mem_zalloc(sizeof *l);
    *l = (struct lease){ .of = all, .client = *c, .applied = c->lease, .has = true };
    l->client.sock = at.sock;
    l->client.index = at.index;
    err *e = loop_add_fd(all->loop, l->client.sock, EPOLLIN, on_packet, l, &l->source);
    if (!e)
        e = loop_add_timer(all->loop, MS, on_time, l, &l->timer);
    if (!e)
        e = set_timer(l);
    if (e) {
        drop(l);
        return e;
    }
    all->items[all->n++] = l;
    return NULL;
}

/* One whose file is gone, or is of another connection by the same name. */
static void drop_gone(struct leases *all)
{
    for (size_t i = 0; i < all->n;) {
        struct lease *l = all->items[i];
        struct dhcp_client c;
        err *e = dhcp_file_read(all->state_fd, l->client.interface, &c);
        bool same = !e && (!l->has || c.leased_ms == l->client.leased_ms);
        err_ignore(e, "it was given back");
        if (same) {
            i++;
            continue;
        }
        drop(l);
        all->items[i] = all->items[--all->n];
    }
}

static bool is_kept(const struct leases *all, const char *interface)
{
    for (size_t i = 0; i < all->n; i++)
        if (str_eq(all->items[i]->client.interface, interface))
            return true;
    return false;
}

void leases_look(struct leases *all)
{
    int fd = openat(all->state_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    if (!dir) {
        if (fd >= 0)
            (void)close(fd);
        return;
    }
    drop_gone(all);
    for (const struct dirent *d; (d = readdir(dir)) && all->n < LEASES_MAX;) {
        struct dhcp_client c;
        const char *interface = d->d_name + strlen(DHCP_FILE_PREFIX);
        if (!str_starts(d->d_name, DHCP_FILE_PREFIX) || strlen(interface) >= sizeof c.interface ||
            is_kept(all, interface))
            continue;
        err *e = dhcp_file_read(all->state_fd, interface, &c);
        if (!e)
            e = keep(all, interface, &c);
        err_ignore(e, "then the lease ends by itself, and the kernel takes the address");
    }
    (void)closedir(dir);
}

void leases_begin(struct leases *l, const struct monitor_plan *plan, struct loop *loop, int state_fd)
{
    *l = (struct leases){ .plan = plan, .loop = loop, .state_fd = state_fd };
    if (plan->leases)
        leases_look(l);
}

void leases_end(struct leases *all)
{
    while (all->n) {
        struct lease *l = all->items[--all->n];
        if (l->has)
            dhcp_client_release(&l->client);
        dhcp_file_remove(all->state_fd, l->client.interface);
        drop(l);
    }
}
