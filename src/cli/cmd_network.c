/*
 * husk network: what containers are connected to; husk network create.
 * Compatible with: docker network, podman network.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"
#include "cli/network.h"
#include "os/fs.h"

struct create_opts {
    struct network_options create;
    struct opt_bool ipv4;
    struct strv ipam_opt;
    const char *scope;
    bool ingress, attachable;
};
#define T struct create_opts
static const struct opt create_options[] = {
    OPT_STR('d', "driver", T, create.driver, "DRIVER", "bridge (default), macvlan, ipvlan"),
    OPT_STRS(0, "subnet", T, create.subnet, "SUBNET",
             "Its addresses: 10.9.0.0/24; one of each family (default: chosen)"),
    OPT_STRS(0, "gateway", T, create.gateway, "IP", "The address of the way out (default: a subnet's first)"),
    OPT_STRS(0, "ip-range", T, create.range, "RANGE",
             "Containers get addresses from it alone: 10.9.0.128/25, or FIRST-LAST"),
    OPT_STRS(0, "aux-address", T, create.aux_address, "[NAME=]IP", "An address that no container gets"),
    OPT_FLAG(0, "ipv6", T, create.ipv6, "IPv6 too: a unique local subnet, where none is given"),
    OPT_SWITCH(0, "ipv4", T, ipv4, "IPv4 (default true)"),
    OPT_FLAG(0, "internal", T, create.internal, "Its containers reach each other and the host, nothing beyond"),
    OPT_STRS('o', "opt", T, create.opt, "KEY=VALUE",
             "mtu= (default: 9000 among its containers, 1500 beyond), vlan=, isolate=, metric=, no_default_route=, "
             "parent= and mode= (macvlan, ipvlan), and docker's "
             "com.docker.network.bridge. name=, enable_icc=, enable_ip_masquerade=, host_binding_ipv4=, "
             "gateway_mode_ipv4= and _ipv6= (nat, nat-unprotected, routed, isolated), trusted_host_interfaces="),
    OPT_STR(0, "interface-name", T, create.interface_name, "NAME",
            "The bridge's name on the host, or the parent device"),
    OPT_STRS(0, "route", T, create.route, "DESTINATION,GATEWAY[,METRIC]", "A further route of its containers"),
    OPT_STRS(0, "dns", T, create.dns, "IP", "A name server for what is not on the network, instead of the host's"),
    OPT_FLAG(0, "disable-dns", T, create.disable_dns, "Its containers do not know each other by name"),
    OPT_STR(0, "ipam-driver", T, create.ipam_driver, "DRIVER",
            "default; none: no addresses are given; dhcp: a server's on the link (macvlan, or -o mode=unmanaged)"),
    OPT_STR(0, "policy", T, create.policy, "POLICY",
            "allow (default): its containers reach each other; deny: as its rules allow (husk network policy)",
            .words = (const char *const[]){ "allow", "deny", NULL }),
    OPT_FLAG(0, "flows", T, create.flows, "Count who speaks to whom on it (husk network flows)"),
    OPT_STRS(0, "label", T, create.label, "KEY=VALUE", "A label"),
    OPT_FLAG(0, "ignore", T, create.ignore, "One of that name that is there already is fine"),
    OPT_FLAG(0, "attachable", T, attachable, "As every network of husk's is"),
    OPT_STR(0, "scope", T, scope, "SCOPE", "local, as every network of husk's is"),
    OPT_FLAG(0, "config-only", T, create.config_only, "No network, but what others are made of with --config-from"),
    OPT_STR(0, "config-from", T, create.config_from, "NETWORK", "Make it of one that was made with --config-only"),
    OPT_GROUP("Refused"),
    OPT_FLAG(0, "ingress", T, ingress, "Refused: it is for swarms"),
    OPT_STRS(0, "ipam-opt", T, ipam_opt, "KEY=VALUE", "Refused: addresses have --subnet, --ip-range and --aux-address"),
    OPT_END,
};
#undef T

static fallible check_refused(const struct create_opts *o)
{
    if (o->ingress || (o->scope && !str_eq(o->scope, "local")))
        return err_new(ERR_UNSUPPORTED,
                       "--%s: networks are of one host, and published ports lead to its containers: "
                       "leave it out",
                       o->ingress ? "ingress" : "scope");
    if (o->ipam_opt.n)
        return err_new(ERR_UNSUPPORTED,
                       "--ipam-opt: addresses are given by --subnet, --ip-range and --aux-address, "
                       "which know no option '%s'",
                       o->ipam_opt.items[0]);
    return NULL;
}

static fallible create_run(const void *opts_, struct args args)
{
    const struct create_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(network) struct network *n = NULL;
    struct network_options wish = o->create;
    own_mem char *name = NULL;
    char hex[9];
    if (wish.ipam_driver && !str_eq(wish.ipam_driver, "default") && !str_eq(wish.ipam_driver, "host-local") &&
        !str_eq(wish.ipam_driver, "none") && !str_eq(wish.ipam_driver, "dhcp"))
        return err_new(ERR_UNSUPPORTED, "--ipam-driver: '%s' is not one of default, none, dhcp", wish.ipam_driver);
    TRY(check_refused(o));
    wish.ipv4_off = o->ipv4.set && !o->ipv4.v;
    TRY(engine_open(&engine));
    random_hex(hex, 4);
    name = args.n ? mem_strdup(args.v[0]) : mem_printf("net-%s", hex);
    err *e = network_create(engine, name, &wish, &n);
    if (err_is(e, ERR_EXISTS) && wish.ignore) {
        err_free(e);
        e = network_find(engine, name, &n);
    }
    TRY(e);
    engine_settle(engine, NULL);
    printf("%s\n", n->row.id);
    return NULL;
}

NETWORK_COMMAND(create, struct create_opts, "create", "Make a network", "[NAME]", 0, 1, NULL);

static const struct command *const network_commands[] = {
    &cmd_network_connect,    &cmd_network_create,
    &cmd_network_disconnect, &cmd_network_exists,
    &cmd_network_flows,      &cmd_network_graph,
    &cmd_network_inspect,    &cmd_network_ls,
    &cmd_network_policy,     &cmd_network_prune,
    &cmd_network_reload,     &cmd_network_rm,
    &cmd_network_update,     NULL,
};

const struct command cmd_network = {
    .name = "network",
    .args = "COMMAND",
    .summary = "Manage networks",
    .sub = network_commands,
};
