// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "network/cni.h"
#include "network/firewall.h"
#include "os/netlink.h"
#include "usernet/usernet.h"

static err *open_there(void *ctx, int netns_fd, int protocol, int *ret_sock)
{
    return usernet_socket(ctx, netns_fd, AF_NETLINK, SOCK_RAW, protocol, ret_sock);
}

void usernet_set_door(const struct usernet *u)
{
    static struct netlink_door door; /* as long as the process: see os/netlink.h */
    door = (struct netlink_door){ open_there, (void *)(uintptr_t)u };
    netlink_set_door(u ? &door : NULL);
}

static fallible end_here(const struct usernet *u, const char *id, int state_fd, int *ret_sock)
{
    bool had = netlink_has_door();
    if (!had)
        usernet_set_door(u);
    err *e = firewall_withdraw(state_fd, ret_sock);
    if (!had)
        usernet_set_door(NULL);
    return e ? e : usernet_withdraw(u, id, 0, NULL);
}

static fallible drop_note(int state_fd)
{
    if (unlinkat(state_fd, FIREWALL_FILE, 0) < 0 && errno != ENOENT)
        return err_sys(errno, "remove '%s'", FIREWALL_FILE);
    return NULL;
}

fallible usernet_end(const char *id, int state_fd, int *ret_sock)
{
    struct usernet u = USERNET_NONE;
    if (ret_sock)
        *ret_sock = -1;
    if (!usernet_needed()) {
        TRY(cni_end(state_fd));
        return firewall_withdraw(state_fd, ret_sock);
    }
    pasta_stop_at(state_fd);
    own_fd int run = openat(state_fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (run < 0)
        return err_sys(errno, "open the run-time folder");
    err *e = usernet_find_at(run, &u);
    if (err_is(e, ERR_NOT_FOUND)) { /* and with the holder everything that was in there */
        err_free(e);
        return drop_note(state_fd);
    }
    TRY(e);
    e = end_here(&u, id, state_fd, ret_sock);
    usernet_close(&u);
    return e;
}

static err *look_at_route(void *ctx, const struct nlmsghdr *m)
{
    bool *found = ctx;
    const struct rtmsg *r = NLMSG_DATA(m);
    *found |= m->nlmsg_type == RTM_NEWROUTE && r->rtm_dst_len == 0 && r->rtm_table == RT_TABLE_MAIN &&
              r->rtm_type == RTN_UNICAST;
    return NULL;
}

bool usernet_host_has_outside(void)
{
    static const int families[] = { AF_INET, AF_INET6 };
    own_fd int sock = -1;
    bool found = false;
    err *e = netlink_open_here(&sock);
    for (size_t i = 0; i < ARRAY_SIZE(families) && !e; i++) {
        struct netlink_request r;
        const struct rtmsg any = { .rtm_family = (unsigned char)families[i] };
        netlink_begin(&r, RTM_GETROUTE, NLM_F_DUMP, &any, sizeof any);
        e = netlink_ask(sock, &r, look_at_route, &found);
    }
    err_ignore(e, "pasta says what is wrong");
    return found;
}
