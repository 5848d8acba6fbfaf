// SPDX-License-Identifier: GPL-2.0-or-later
/* What connect.c does, as shell commands. */
#include "network/big_tcp.h"
#include "network/connect.h"

static void explain_sizes(const struct network_link *l, FILE *out)
{
    if (l->mtu && l->kind == NETWORK_BRIDGE)
        fprintf(out, "ip link set %s mtu %d\n", l->host, l->mtu);
    if (l->mtu)
        fprintf(out, "nsenter -t $pid -n ip link set %s mtu %d\n", l->name, l->mtu);
    if (!l->big)
        return;
    fprintf(out, "ip link set %s gso_max_size %d gso_ipv4_max_size %d\n", l->host, BIG_TCP_SIZE, BIG_TCP_SIZE);
    fprintf(out, "nsenter -t $pid -n ip link set %s gso_max_size %d gso_ipv4_max_size %d gso_max_segs %d\n", l->name,
            BIG_TCP_SIZE, BIG_TCP_SIZE, BIG_TCP_SEGMENTS);
    if (l->small)
        fprintf(out, "ip link set %s gso_max_size %d gso_ipv4_max_size %d\n", l->parent, BIG_TCP_SIZE, BIG_TCP_SIZE);
}

static void explain_default(const struct ip *gateway, const struct network_link *l, const char *mtu, FILE *out)
{
    char text[IP_TEXT];
    fprintf(out, "nsenter -t $pid -n ip route add default via %s dev %s", ip_text(gateway, text), l->name);
    if (l->metric)
        fprintf(out, " metric %u", l->metric);
    fprintf(out, " onlink%s\n", mtu);
}

static void explain_link(const struct network_link *l, FILE *out)
{
    char mac[MAC_TEXT], text[PREFIX_TEXT], mtu[24] = "";
    const struct prefix *const addresses[] = { &l->ip4, &l->ip6 };
    const struct ip *const gateways[] = { &l->gateway4, &l->gateway6 };
    mac_text(l->mac, mac);
    if (l->outer_mtu)
        (void)snprintf(mtu, sizeof mtu, " mtu %d", l->outer_mtu);
    if (l->kind == NETWORK_BRIDGE)
        fprintf(out, "ip link add %s master %s up type veth peer name %s address %s netns $pid\n", l->host, l->parent,
                l->name, mac);
    else
        fprintf(out, "ip link add link %s name %s netns $pid type %s mode %s\n", l->parent, l->name,
                l->kind == NETWORK_MACVLAN ? "macvlan" : "ipvlan",
                l->mode                      ? l->mode
                : l->kind == NETWORK_MACVLAN ? "bridge"
                                             : "l2");
    explain_sizes(l, out);
    if (l->hairpin)
        fprintf(out, "bridge link set dev %s hairpin on\n", l->host);
    if (l->apart)
        fprintf(out, "bridge link set dev %s isolated on\n", l->host);
    if (l->kind == NETWORK_BRIDGE)
        fprintf(out, "bridge fdb replace %s dev %s master static sticky\n", mac, l->host);
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
        if (ip_is_set(&addresses[i]->ip))
            fprintf(out, "nsenter -t $pid -n ip address add %s dev %s%s\n", prefix_text(addresses[i], text), l->name,
                    addresses[i]->ip.family == AF_INET6 ? " nodad" : "");
    fprintf(out, "nsenter -t $pid -n ip link set %s up\n", l->name);
    if (l->dhcp)
        fprintf(out, "nsenter -t $pid -n udhcpc -i %s -n -q # husk asks and renews by itself\n", l->name);
    if (l->rate.in)
        fprintf(out, "tc qdisc add dev %s root tbf rate %llubit burst 64k latency 50ms\n", l->host,
                (unsigned long long)l->rate.in);
    if (l->rate.out)
        fprintf(out, "nsenter -t $pid -n tc qdisc add dev %s root tbf rate %llubit burst 64k latency 50ms\n", l->name,
                (unsigned long long)l->rate.out);
    for (size_t i = 0; i < ARRAY_SIZE(gateways); i++)
        if (ip_is_set(gateways[i]))
            explain_default(gateways[i], l, mtu, out);
    for (size_t i = 0; i < l->routes_n; i++) {
        char via[IP_TEXT];
        fprintf(out, "nsenter -t $pid -n ip route add %s via %s dev %s onlink%s\n", prefix_text(&l->routes[i].to, text),
                ip_text(&l->routes[i].via, via), l->name, mtu);
    }
}

void network_explain(const struct network_plan *p, FILE *out)
{
    for (size_t i = 0; i < p->links_n; i++)
        explain_link(&p->links[i], out);
    for (size_t i = 0; i < p->ports_n; i++)
        firewall_explain_port(&p->ports[i], out);
}
