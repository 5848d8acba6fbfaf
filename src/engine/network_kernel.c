// SPDX-License-Identifier: GPL-2.0-or-later
/* A network in the kernel: its bridge or parent, and its part of the firewall. */
#include "base/log.h"
#include "engine/network_door.h"
#include "engine/network_flows.h"
#include "engine/network_lease.h"
#include "engine/network_making.h"
#include "engine/network_policy.h"
#include "engine/network_start_parts.h"
#include "network/big_tcp.h"
#include "network/flows.h"
#include "os/fault.h"
#include "usernet/usernet.h"

fallible network_firewall(const struct network *n, struct firewall_net *ret)
{
    struct network_range r4, r6;
    TRY(network_range(n, AF_INET, &r4));
    TRY(network_range(n, AF_INET6, &r6));
    *ret = (struct firewall_net){
        .bridge = n->config->link,
        .subnet4 = r4.subnet,
        .subnet6 = r6.subnet,
        .isolated = !n->config->no_isolate,
        .internal = n->config->internal,
        .masquerade4 = !n->config->no_masquerade && !n->config->routed4,
        .masquerade6 = !n->config->no_masquerade && !n->config->routed6,
        .routed4 = n->config->routed4,
        .routed6 = n->config->routed6,
        .guarded4 = n->config->routed4 || (!n->config->unguarded4 && !n->config->no_masquerade),
        .guarded6 = n->config->routed6 || (!n->config->unguarded6 && !n->config->no_masquerade),
        .trusted = &n->config->trusted,
        .policed = n->config->policy_deny,
        .counted = n->config->flows,
    };
    if (network_has_names(n)) {
        ret->names4 = r4.gateway;
        ret->names6 = r6.gateway;
    }
    return NULL;
}

/* A table that had to be made was flushed, or never was: then all that runs is put into it again. */
static fallible ensure_firewall(struct engine *e, const struct network *n)
{
    own(nft) struct nft nft = { 0 };
    own_fd int sock = -1;
    struct firewall_net net;
    bool there = false, made;
    TRY(nft_open(&sock));
    TRY(firewall_has(sock, n->config->link, &there));
    if (there) {
        TRY(network_policy_is_there(n, sock, &there)); /* not so: killed between the row and the firewall */
        if (there)
            TRY(network_flows_is_there(n, sock, &there));
        return there ? NULL : network_reload(e);
    }
    TRY(firewall_ensure(sock, &made));
    if (made)
        return network_reload(e);
    TRY(network_firewall(n, &net));
    firewall_begin(&nft);
    firewall_net(&nft, NFT_ADD, &net);
    if (net.counted)
        flows_begin(&nft);
    return nft_commit(sock, &nft);
}

static fallible say_obstacles(void)
{
    own_str struct str text = { 0 };
    own_strv struct strv lines = { 0 };
    TRY(network_obstacles(&text));
    strv_split(&lines, text.text ? text.text : "", '\n');
    for (size_t i = 0; i < lines.n; i++)
        log_warn("%s", lines.items[i]);
    return NULL;
}

/* An ordinary user's way out is pasta, which ends TCP connections itself: what comes to it in pieces of 1500 bytes
 * costs it a call each, and its own device takes 65520. */
static int mtu_of(const struct network *n)
{
    return !n->config->mtu && usernet_needed() ? USERNET_MTU : (int)n->config->mtu;
}

static fallible bridge_of(const struct network *n, struct network_bridge *ret)
{
    struct network_range r4, r6;
    TRY(network_range(n, AF_INET, &r4));
    TRY(network_range(n, AF_INET6, &r6));
    *ret = (struct network_bridge){
        .name = n->config->link,
        .address4 = { r4.gateway, r4.subnet.len },
        .address6 = { r6.gateway, r6.subnet.len },
        .mtu = mtu_of(n),
        .big = !n->config->mtu && !n->config->link_theirs,
        .vlan = (int)n->config->vlan,
        .loopback = !n->config->internal,
        .internal = n->config->internal,
        .theirs = n->config->link_theirs,
        .names = network_has_names(n),
    };
    return NULL;
}

/* A bridge of an older husk's, or one whose MTU somebody has set, is as it is. */
static void tell_sizes(const struct network *n, const struct bridge_state *b, struct network_kernel *ret)
{
    ret->index = b->index;
    ret->mtu = mtu_of(n) || !b->big ? mtu_of(n) : b->mtu;
    ret->outer_mtu = !mtu_of(n) && ret->mtu > BIG_TCP_OUTER_MTU ? BIG_TCP_OUTER_MTU : 0;
    ret->big = b->big;
    ret->small = b->small;
}

static fallible ensure_bridge(struct engine *e, const struct network *n, int sock, struct network_kernel *ret)
{
    struct network_bridge b;
    struct bridge_state state;
    TRY(bridge_of(n, &b));
    TRY_AS(bridge_ensure(sock, &b, &state), "network '%s'", n->row.name);
    tell_sizes(n, &state, ret);
    fault_here(FAULT_BRIDGE);
    if (network_is_filtered(n->config))
        TRY(bridge_filter(sock, n->config->link, BRIDGE_FILTERED));
    TRY(ensure_firewall(e, n));
    fault_here(FAULT_NETWORK);
    return state.made && !n->config->internal ? say_obstacles() : NULL;
}

fallible network_ensure(struct engine *e, const struct network *n, struct network_kernel *ret)
{
    own_fd int sock = -1;
    *ret = (struct network_kernel){ .mtu = mtu_of(n) };
    TRY(network_door(e, n->config->internal ? NETWORK_DOOR_INSIDE : NETWORK_DOOR_OUTSIDE));
    TRY(netlink_open(&sock));
    if (str_eq(n->row.driver, "bridge"))
        return ensure_bridge(e, n, sock, ret);
    TRY(parent_ensure(sock, n->config->link, &ret->index));
    if (!ret->index)
        return err_new(ERR_NOT_FOUND, "network '%s': the host has no network device '%s'", n->row.name,
                       n->config->link);
    return NULL;
}

/* What network_ensure() would answer. Of an ordinary user's networks that nobody is on, there is nothing to look at. */
fallible network_kernel_look(const struct network *n, struct network_kernel *ret)
{
    struct network_bridge b;
    struct bridge_state state = { 0 };
    own_fd int sock = -1;
    *ret = (struct network_kernel){ .mtu = mtu_of(n) };
    if (!str_eq(n->row.driver, "bridge") || (usernet_needed() && !netlink_has_door()))
        return NULL;
    TRY(bridge_of(n, &b));
    TRY(netlink_open(&sock));
    TRY(bridge_look(sock, &b, &state));
    tell_sizes(n, &state, ret);
    return NULL;
}
