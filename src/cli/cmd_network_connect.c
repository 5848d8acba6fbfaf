/*
 * husk network connect, husk network disconnect: of a container that runs, too.
 * Compatible with: docker network connect and disconnect, podman network connect and disconnect
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "cli/network.h"
#include "engine/link.h"
#include "engine/network_start.h"

struct connect_opts {
    struct strv alias, link, link_local_ip, driver_opt;
    const char *ip, *ip6, *mac, *interface;
    struct opt_i64 gw_priority;
    bool force;
};
#define T struct connect_opts
static const struct opt connect_options[] = {
    OPT_STRS(0, "alias", T, alias, "NAME", "Another name of it on the network"),
    OPT_STRS(0, "link", T, link, "CONTAINER[:ALIAS]", "What it calls a neighbour"),
    OPT_STRS(0, "link-local-ip", T, link_local_ip, "IP", "A further address: of 169.254.0.0/16 or fe80::/10"),
    OPT_STRS(0, "driver-opt", T, driver_opt, "KEY=VALUE",
             "com.docker.network.endpoint.ifname=NAME: the interface's name"),
    OPT_I64(0, "gw-priority", T, gw_priority, "N",
            "The default route leads through the network with the highest (default 0; of equal ones the first)"),
    OPT_STR(0, "ip", T, ip, "IP", "Its IPv4 address there"),
    OPT_STR(0, "ip6", T, ip6, "IP", "Its IPv6 address there"),
    OPT_STR(0, "mac-address", T, mac, "MAC", "Its hardware address there"),
    OPT_STR(0, "interface", T, interface, "NAME", "The interface's name (default: the next of eth0, eth1 ...)"),
    OPT_END,
};
static const struct opt disconnect_options[] = {
    OPT_FLAG('f', "force", T, force, "A container that is not on it is no error"),
    OPT_END,
};
#undef T

static fallible connect_run(const void *opts_, struct args args)
{
    const struct connect_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(network) struct network *n = NULL;
    own(container) struct container *c = NULL;
    own_str struct str text = { 0 };
    struct db_endpoint at = { 0 };
    str_printf(&text, "name=%s", args.v[0]);
    for (size_t i = 0; i < o->alias.n; i++)
        str_printf(&text, ",alias=%s", o->alias.items[i]);
    for (size_t i = 0; i < o->link_local_ip.n; i++)
        str_printf(&text, ",link-local-ip=%s", o->link_local_ip.items[i]);
    for (size_t i = 0; i < o->driver_opt.n; i++)
        str_printf(&text, ",\"driver-opt=%s\"", o->driver_opt.items[i]);
    const char *const words[][2] = {
        { "ip", o->ip }, { "ip6", o->ip6 }, { "mac", o->mac }, { "interface", o->interface }
    };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (words[i][1])
            str_printf(&text, ",%s=%s", words[i][0], words[i][1]);
    if (o->gw_priority.set)
        str_printf(&text, ",gw-priority=%lld", (long long)o->gw_priority.v);
    TRY(network_wish_parse(text.text, &at));
    err *e = network_has_sysctls(&at)
                 ? err_new(ERR_UNSUPPORTED, "--driver-opt: settings of an interface are said when the container is "
                                            "made: --network NAME:driver-opt=com.docker.network.endpoint.sysctls=...")
                 : engine_open(&engine);
    if (!e)
        e = network_find(engine, args.v[0], &n);
    if (!e)
        e = container_find(engine, args.v[1], &c);
    if (!e)
        for (size_t i = 0; i < o->link.n && !e; i++)
            e = link_add(c, o->link.items[i]);
    if (!e)
        e = network_connect_container(engine, n, c, &at);
    db_endpoint_clear(&at);
    return e;
}

static fallible disconnect_run(const void *opts_, struct args args)
{
    const struct connect_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(network) struct network *n = NULL;
    own(container) struct container *c = NULL;
    TRY(engine_open(&engine));
    TRY(network_find(engine, args.v[0], &n));
    TRY(container_find(engine, args.v[1], &c));
    err *e = network_disconnect(engine, n, c);
    if (!err_is(e, ERR_NOT_FOUND) || !o->force)
        return e;
    err_free(e);
    return NULL;
}

NETWORK_COMMAND(connect, struct connect_opts, "connect", "Connect a container to one network more", "NETWORK CONTAINER",
                2, 2, NULL);
NETWORK_COMMAND(disconnect, struct connect_opts, "disconnect", "Disconnect a container from a network",
                "NETWORK CONTAINER", 2, 2, NULL);
