// SPDX-License-Identifier: GPL-2.0-or-later
#include "network/firewall.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <string.h>

#include "base/mem.h"
#include "network/firewall_parts.h"
#include "os/fault.h"
#include "os/fs.h"

enum { IFNAME = 16, ATTEMPTS = 10, NOTE_MAX = 8 << 20 };

/* ---- the table ------------------------------------------------------------------------------------------------- */

static const struct nft_set sets[] = {
    { "bridges", { NFT_TYPE_IFNAME } },
    { "policed", { NFT_TYPE_IFNAME } },
    { "who4", { NFT_TYPE_IP4 }, { NFT_TYPE_MARK } },
    { "who6", { NFT_TYPE_IP6 }, { NFT_TYPE_MARK } },
    { "identities", { NFT_TYPE_IP6 } },
    { "allowed", { NFT_TYPE_MARK, NFT_TYPE_MARK, NFT_TYPE_PROTO, NFT_TYPE_PORT }, { 0 }, .interval = true },
    { "isolated", { NFT_TYPE_IFNAME } },
    { "internal", { NFT_TYPE_IFNAME } },
    { "pairs", { NFT_TYPE_IFNAME, NFT_TYPE_IFNAME } },
    { "nets4", { NFT_TYPE_IP4 }, { 0 }, .interval = true },
    { "nets6", { NFT_TYPE_IP6 }, { 0 }, .interval = true },
    { "same4", { NFT_TYPE_IP4, NFT_TYPE_IP4 }, { 0 }, .interval = true },
    { "same6", { NFT_TYPE_IP6, NFT_TYPE_IP6 }, { 0 }, .interval = true },
    { "egress4", { NFT_TYPE_IP4 } },
    { "egress6", { NFT_TYPE_IP6 } },
    { "reach4", { NFT_TYPE_IP4, NFT_TYPE_IP4, NFT_TYPE_PORT }, { 0 }, .interval = true, .timeout = true },
    { "reach6", { NFT_TYPE_IP6, NFT_TYPE_IP6, NFT_TYPE_PORT }, { 0 }, .interval = true, .timeout = true },
    { "names4", { NFT_TYPE_IP4, NFT_TYPE_PROTO, NFT_TYPE_PORT } },
    { "names6", { NFT_TYPE_IP6, NFT_TYPE_PROTO, NFT_TYPE_PORT } },
    { "ports4", { NFT_TYPE_PROTO, NFT_TYPE_PORT }, { NFT_TYPE_IP4, NFT_TYPE_PORT } },
    { "ports6", { NFT_TYPE_PROTO, NFT_TYPE_PORT }, { NFT_TYPE_IP6, NFT_TYPE_PORT } },
    { "at4", { NFT_TYPE_IP4, NFT_TYPE_PROTO, NFT_TYPE_PORT }, { NFT_TYPE_IP4, NFT_TYPE_PORT } },
    { "at6", { NFT_TYPE_IP6, NFT_TYPE_PROTO, NFT_TYPE_PORT }, { NFT_TYPE_IP6, NFT_TYPE_PORT } },
};
const char *const firewall_port_maps[] = { "ports4", "ports6", "at4", "at6", NULL };
const char *const firewall_who_maps[] = { "who4", "who6", NULL };

static const struct nft_chain chains[] = {
    { "guard", "filter", NF_INET_PRE_ROUTING, -300 }, /* before connections are tracked */
    { "input", "filter", NF_INET_LOCAL_IN, 0 },
    { "forward", "filter", NF_INET_FORWARD, 0 },
    { "prerouting", "nat", NF_INET_PRE_ROUTING, -100 },
    { "output", "nat", NF_INET_LOCAL_OUT, -100 },
    { "postrouting", "nat", NF_INET_POST_ROUTING, 100 },
    { "refused", NULL, 0, 0 },
    { "dropped", NULL, 0, 0 },
    { FLOWS_REFUSED, NULL, 0, 0 },
};

/* Parts of rules, as nft(8) writes them. */

static void in_loopback_net(struct nft *n, enum side_of side) /* ip saddr 127.0.0.0/8 */
{
    const uint8_t first = 127;
    is_family(n, AF_INET);
    nft_payload(n, NFT_PAYLOAD_NETWORK_HEADER, side == SOURCE ? 12 : 16, 1, NFT_R0);
    nft_compare(n, NFT_EQUAL, NFT_R0, &first, sizeof first);
}

static void has_bits(struct nft *n, uint32_t key, uint32_t bits) /* ct state established,related; ct status dnat */
{
    const uint32_t zero = 0;
    nft_ct(n, key, NFT_R0);
    nft_bits(n, NFT_R0, bits);
    nft_compare(n, NFT_UNEQUAL, NFT_R0, &zero, sizeof zero);
}

static void add_guard(struct nft *n)
{
    for (enum side_of side = SOURCE; side <= DESTINATION; side++) {
        nft_rule_begin(n, "guard");
        in_loopback_net(n, side); /* first: of every packet that comes, it is asked this much and seldom more */
        interface_in(n, NFT_META_IIFNAME, "bridges");
        nft_verdict(n, NF_DROP);
        nft_rule_end(n);
    }
}

static void load_names(struct nft *n, int family) /* ip daddr . meta l4proto . th dport @names4 */
{
    is_family(n, family);
    load_address(n, family, DESTINATION, NFT_R0);
    load_port(n, NFT_R0 + (family == AF_INET ? 1 : 4));
    nft_lookup(n, family == AF_INET ? "names4" : "names6", NFT_R0, 0);
}

static void load_both(struct nft *n) /* iifname . oifname @pairs */
{
    nft_meta(n, NFT_META_IIFNAME, NFT_R0);
    nft_meta(n, NFT_META_OIFNAME, NFT_R0 + IFNAME / 4);
    nft_lookup(n, "pairs", NFT_R0, 0);
}

/* What is refused is told so, lest it waits; a kernel may be without nft_reject. */
enum refusal { REJECT, DROP };

/* Where refused packets go: they are counted, and refused. A program that connects hears a reset at once, but an ICMP
 * only with its second attempt: when the first comes back, in the same call that sent it, its socket is still busy. So
 * TCP has a rule of its own before the other. */
static void add_refused(struct nft *n, enum refusal how)
{
    const uint8_t proto = IPPROTO_TCP;
    flows_refused(n);
    flows_count_refused(n, "refused");
    flows_count_refused(n, "dropped");
    for (int tcp = how == REJECT; tcp >= 0; tcp--) {
        nft_rule_begin(n, "refused");
        if (tcp) { /* meta l4proto tcp reject with tcp reset */
            nft_meta(n, NFT_META_L4PROTO, NFT_R0);
            nft_compare(n, NFT_EQUAL, NFT_R0, &proto, sizeof proto);
            nft_reset(n);
        } else if (how == REJECT) {
            nft_reject(n);
        } else {
            nft_verdict(n, NF_DROP);
        }
        nft_rule_end(n);
    }
    nft_rule_begin(n, "dropped");
    nft_verdict(n, NF_DROP);
    nft_rule_end(n);
}

/* ip saddr @egress4 ip saddr . ip daddr . th dport != @reach4 goto refused */
static void add_egress(struct nft *n, const char *chain, int family)
{
    uint32_t words = family == AF_INET ? 1 : 4;
    nft_rule_begin(n, chain);
    is_family(n, family);
    load_address(n, family, SOURCE, NFT_R0);
    nft_lookup(n, family == AF_INET ? "egress4" : "egress6", NFT_R0, 0);
    load_address(n, family, SOURCE, NFT_R0);
    load_address(n, family, DESTINATION, NFT_R0 + words);
    nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, NFT_R0 + 2 * words);
    nft_unless(n, family == AF_INET ? "reach4" : "reach6", NFT_R0);
    nft_goto(n, "refused");
    nft_rule_end(n);
}

/* meta mark set ip saddr map @who4 ct mark set ip daddr map @who4 meta mark . ct mark . meta l4proto . th dport
 * @allowed accept: the two marks hold who the two are, since nft(8) 1.0.6 aborts on a rule that looks up what two maps
 * gave. They are of a connection's first packet alone, and 0 again before anybody else sees it. */
static void add_allowed(struct nft *n, int family, const char *map)
{
    nft_rule_begin(n, "forward");
    load_both(n);
    is_family(n, family);
    load_address(n, family, SOURCE, NFT_R0);
    nft_lookup(n, map, NFT_R0, NFT_R0);
    nft_set_mark(n, NFT_MARK_OF_PACKET, NFT_R0);
    load_address(n, family, DESTINATION, NFT_R0);
    nft_lookup(n, map, NFT_R0, NFT_R0);
    nft_set_mark(n, NFT_MARK_OF_CONNECTION, NFT_R0);
    nft_meta(n, NFT_META_MARK, NFT_R0);
    nft_ct(n, NFT_CT_MARK, NFT_R0 + 1);
    load_port(n, NFT_R0 + 2);
    nft_lookup(n, "allowed", NFT_R0, 0);
    for (enum nft_mark mark = NFT_MARK_OF_PACKET; mark <= NFT_MARK_OF_CONNECTION; mark++) {
        nft_number(n, NFT_R0, 0);
        nft_set_mark(n, mark, NFT_R0);
    }
    nft_verdict(n, NF_ACCEPT);
    nft_rule_end(n);
}

/* Neighbours that pass here because their bridge is policed: who may begin, by their identities. */
static void add_policy(struct nft *n)
{
    static const int families[] = { AF_INET, AF_INET6 };
    static const uint8_t solicit = 135, advert = 136; /* RFC 4861, 4.3 and 4.4: where a neighbour is */
    for (size_t i = 0; i < 2; i++) {
        const uint8_t icmp6 = IPPROTO_ICMPV6;
        nft_rule_begin(n, "forward"); /* icmpv6 type nd-neighbor-solicit accept */
        interface_in(n, NFT_META_IIFNAME, "policed");
        is_family(n, AF_INET6);
        nft_meta(n, NFT_META_L4PROTO, NFT_R0);
        nft_compare(n, NFT_EQUAL, NFT_R0, &icmp6, sizeof icmp6);
        nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, NFT_R0);
        nft_compare(n, NFT_EQUAL, NFT_R0, i ? &advert : &solicit, 1);
        nft_verdict(n, NF_ACCEPT);
        nft_rule_end(n);
    }
    for (size_t i = 0; i < ARRAY_SIZE(families); i++)
        add_allowed(n, families[i], firewall_who_maps[i]);
    nft_rule_begin(n, "forward"); /* iifname . oifname @pairs goto refused */
    load_both(n);
    nft_goto(n, "refused");
    nft_rule_end(n);
}

enum { KNOWN = 1 << (IP_CT_ESTABLISHED + 1) | 1 << (IP_CT_RELATED + 1) };

/* The host itself: names may be asked of it, and where it is (IPv6's neighbour discovery). */
static void add_input(struct nft *n)
{
    static const int families[] = { AF_INET, AF_INET6 };
    const uint8_t icmp6 = IPPROTO_ICMPV6;
    nft_rule_begin(n, "input"); /* ct state established,related return */
    has_bits(n, NFT_CT_STATE, KNOWN);
    nft_verdict(n, NFT_RETURN);
    nft_rule_end(n);
    nft_rule_begin(n, "input"); /* iifname != @bridges return */
    nft_meta(n, NFT_META_IIFNAME, NFT_R0);
    nft_unless(n, "bridges", NFT_R0);
    nft_verdict(n, NFT_RETURN);
    nft_rule_end(n);
    nft_rule_begin(n, "input"); /* meta l4proto icmpv6 return */
    is_family(n, AF_INET6);
    nft_meta(n, NFT_META_L4PROTO, NFT_R0);
    nft_compare(n, NFT_EQUAL, NFT_R0, &icmp6, sizeof icmp6);
    nft_verdict(n, NFT_RETURN);
    nft_rule_end(n);
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        nft_rule_begin(n, "input");
        load_names(n, families[i]);
        nft_verdict(n, NFT_RETURN);
        nft_rule_end(n);
        add_egress(n, "input", families[i]);
    }
}

static void add_forward(struct nft *n)
{
    nft_rule_begin(n, "forward"); /* ct state established,related accept */
    has_bits(n, NFT_CT_STATE, KNOWN);
    nft_verdict(n, NF_ACCEPT);
    nft_rule_end(n);
    nft_rule_begin(n, "forward"); /* iifname . oifname @pairs iifname != @policed accept */
    load_both(n);
    nft_meta(n, NFT_META_IIFNAME, NFT_R0);
    nft_unless(n, "policed", NFT_R0);
    nft_verdict(n, NF_ACCEPT);
    nft_rule_end(n);
    add_policy(n);
    add_egress(n, "forward", AF_INET);
    add_egress(n, "forward", AF_INET6);
    static const uint32_t ways[] = { NFT_META_IIFNAME, NFT_META_OIFNAME };
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        nft_rule_begin(n, "forward"); /* iifname @internal goto dropped */
        interface_in(n, ways[i], "internal");
        nft_goto(n, "dropped");
        nft_rule_end(n);
    }
    nft_rule_begin(n, "forward"); /* ct status dnat accept: what is published is for all */
    has_bits(n, NFT_CT_STATUS, IPS_DST_NAT);
    nft_verdict(n, NF_ACCEPT);
    nft_rule_end(n);
    nft_rule_begin(n, "forward"); /* iifname @bridges oifname @isolated goto dropped */
    interface_in(n, NFT_META_IIFNAME, "bridges");
    interface_in(n, NFT_META_OIFNAME, "isolated");
    nft_goto(n, "dropped");
    nft_rule_end(n);
    nft_rule_begin(n, "forward"); /* iifname @isolated oifname @bridges goto dropped */
    interface_in(n, NFT_META_IIFNAME, "isolated");
    interface_in(n, NFT_META_OIFNAME, "bridges");
    nft_goto(n, "dropped");
    nft_rule_end(n);
}

/* The resolver is asked itself, whoever has published its port: ip daddr . meta l4proto . th dport @names4 return */
static void add_names(struct nft *n, const char *chain, int family)
{
    nft_rule_begin(n, chain);
    load_names(n, family);
    nft_verdict(n, NFT_RETURN);
    nft_rule_end(n);
}

/* ip daddr . meta l4proto . th dport map @at4; fib daddr type local, meta l4proto . th dport map @ports4 */
static void add_published(struct nft *n, const char *chain, int family)
{
    static const uint8_t loopback6[16] = { [15] = 1 };
    const uint32_t local = RTN_LOCAL;
    uint32_t words = family == AF_INET ? 1 : 4;
    for (int own_address = 1; own_address >= 0; own_address--) {
        uint32_t reg = NFT_R0;
        nft_rule_begin(n, chain);
        is_family(n, family);
        if (own_address) {
            load_address(n, family, DESTINATION, reg);
            reg += words;
        } else {
            nft_address_type(n, NFT_R0);
            nft_compare(n, NFT_EQUAL, NFT_R0, &local, sizeof local);
        }
        if (!own_address && family == AF_INET6) {
            load_address(n, family, DESTINATION, NFT_R0);
            nft_compare(n, NFT_UNEQUAL, NFT_R0, loopback6, sizeof loopback6);
        }
        load_port(n, reg);
        nft_lookup(n,
                   own_address         ? (family == AF_INET ? "at4" : "at6")
                   : family == AF_INET ? "ports4"
                                       : "ports6",
                   NFT_R0, NFT_R0);
        nft_dnat(n, family, NFT_R0, NFT_R0 + words);
        nft_rule_end(n);
    }
}

static void load_pair(struct nft *n, int family)
{
    is_family(n, family);
    load_address(n, family, SOURCE, NFT_R0);
    load_address(n, family, DESTINATION, NFT_R0 + (family == AF_INET ? 1 : 4));
    nft_lookup(n, family == AF_INET ? "same4" : "same6", NFT_R0, 0);
}

static void add_postrouting(struct nft *n)
{
    static const int families[] = { AF_INET, AF_INET6 };
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        /* Through a published port to a neighbour, or to itself: else the answer would not come back this way. */
        nft_rule_begin(n, "postrouting"); /* ct status dnat ip saddr . ip daddr @same4 masquerade */
        has_bits(n, NFT_CT_STATUS, IPS_DST_NAT);
        load_pair(n, families[i]);
        nft_masquerade(n);
        nft_rule_end(n);
        nft_rule_begin(n, "postrouting"); /* ip saddr . ip daddr @same4 return */
        load_pair(n, families[i]);
        nft_verdict(n, NFT_RETURN);
        nft_rule_end(n);
    }
    nft_rule_begin(n, "postrouting"); /* ip saddr 127.0.0.0/8 oifname @bridges masquerade */
    in_loopback_net(n, SOURCE);
    interface_in(n, NFT_META_OIFNAME, "bridges");
    nft_masquerade(n);
    nft_rule_end(n);
    nft_rule_begin(n, "postrouting"); /* oifname @bridges return: a neighbour network sees who it is */
    interface_in(n, NFT_META_OIFNAME, "bridges");
    nft_verdict(n, NFT_RETURN);
    nft_rule_end(n);
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        nft_rule_begin(n, "postrouting"); /* ip saddr @nets4 masquerade */
        is_family(n, families[i]);
        load_address(n, families[i], SOURCE, NFT_R0);
        nft_lookup(n, families[i] == AF_INET ? "nets4" : "nets6", NFT_R0, 0);
        nft_masquerade(n);
        nft_rule_end(n);
    }
}

static void add_table(struct nft *n, enum refusal how)
{
    nft_table(n, NFT_ADD); /* first, so that there is one to delete: one of another version's, or an empty one */
    nft_table(n, NFT_DELETE);
    nft_table(n, NFT_ADD);
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
        nft_add_set(n, &sets[i]);
    for (size_t i = 0; i < ARRAY_SIZE(flows_sets); i++)
        nft_add_set(n, &flows_sets[i]);
    flows_constants(n);
    for (size_t i = 0; i < ARRAY_SIZE(chains); i++)
        nft_add_chain(n, &chains[i]);
    add_guard(n);
    add_refused(n, how);
    add_input(n);
    add_forward(n);
    static const char *const ways[] = { "prerouting", "output" };
    for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
        add_names(n, ways[i], AF_INET);
        add_names(n, ways[i], AF_INET6);
        add_published(n, ways[i], AF_INET);
        add_published(n, ways[i], AF_INET6);
    }
    add_postrouting(n);
}

/* By a set that other versions of the table lack: whoever changes the table's form gives it another name. */
static err *no_element(void *ctx, const struct nft_element *e)
{
    return NULL;
}

fallible firewall_is_there(int sock, bool *ret)
{
    err *e = nft_each(sock, FIREWALL_TABLE, "counted", no_element, NULL);
    *ret = !e;
    if (err_errno(e) != ENOENT)
        return e;
    err_free(e);
    return NULL;
}

/* Two may find it missing at once: the ruleset's generation makes one of them look again. */
fallible firewall_ensure(int sock, bool *ret_made)
{
    enum refusal how = REJECT;
    *ret_made = false;
    for (int attempt = 0;; attempt++) {
        own(nft) struct nft n = { 0 };
        bool there;
        uint32_t generation;
        TRY(nft_generation(sock, &generation));
        TRY(firewall_is_there(sock, &there));
        if (there)
            return NULL;
        nft_begin(&n, FIREWALL_TABLE, generation);
        add_table(&n, how);
        err *e = nft_commit(sock, &n);
        *ret_made = !e;
        if (err_errno(e) == ENOENT && how == REJECT) {
            how = DROP;
            attempt--;
        } else if (err_errno(e) != ERESTART || attempt == ATTEMPTS)
            return err_wrap(e, "make the table 'inet " FIREWALL_TABLE "'");
        err_free(e);
    }
}

/* ---- elements -------------------------------------------------------------------------------------------------- */

fallible firewall_has(int sock, const char *bridge, bool *ret)
{
    char name[IFNAME] = "";
    memcpy(name, bridge, strnlen(bridge, IFNAME - 1));
    return nft_has(sock, FIREWALL_TABLE, "bridges", name, sizeof name, ret);
}

void firewall_begin(struct nft *n)
{
    nft_begin(n, FIREWALL_TABLE, 0);
}

static void add_subnet(struct nft *n, enum nft_what what, const struct firewall_net *net, const struct prefix *p)
{
    bool v4 = p->ip.family == AF_INET;
    size_t len = ip_size(&p->ip);
    if (!ip_is_set(&p->ip))
        return;
    struct ip first = prefix_first(p), last = prefix_last(p), after = ip_add(last, 1);
    uint8_t begin[32], end[32];
    for (size_t i = 0; i < 2; i++) {
        memcpy(begin + i * len, first.bytes, len);
        memcpy(end + i * len, last.bytes, len);
    }
    nft_element(n, what, v4 ? "same4" : "same6", &(struct nft_element){ .key = begin, .end = end, .key_len = 2 * len });
    if (net->masquerade && !net->internal)
        nft_interval(n, what, v4 ? "nets4" : "nets6", first.bytes, after.bytes, len);
}

static void put(uint8_t *to, size_t *len, const void *bytes, size_t n)
{
    memcpy(to + *len, bytes, n);
    *len += NLA_ALIGN(n);
}

static void add_resolver(struct nft *n, enum nft_what what, const struct ip *at)
{
    static const uint8_t protos[] = { IPPROTO_UDP, IPPROTO_TCP };
    const uint16_t port = htobe16(FIREWALL_NAMES_PORT);
    for (size_t i = 0; i < ARRAY_SIZE(protos) && ip_is_set(at); i++) {
        uint8_t key[24] = { 0 };
        size_t len = 0;
        put(key, &len, at->bytes, ip_size(at));
        put(key, &len, &protos[i], 1);
        put(key, &len, &port, sizeof port);
        nft_element(n, what, at->family == AF_INET ? "names4" : "names6",
                    &(struct nft_element){ .key = key, .key_len = len });
    }
}

void firewall_net(struct nft *n, enum nft_what what, const struct firewall_net *net)
{
    char pair[2 * IFNAME] = "";
    size_t len = strnlen(net->bridge, IFNAME - 1);
    memcpy(pair, net->bridge, len);
    memcpy(pair + IFNAME, net->bridge, len);
    const struct nft_element one = { .key = pair, .key_len = IFNAME }, two = { .key = pair, .key_len = 2 * IFNAME };
    nft_element(n, what, "bridges", &one);
    nft_element(n, what, "pairs", &two);
    if (net->isolated)
        nft_element(n, what, "isolated", &one);
    if (net->internal)
        nft_element(n, what, "internal", &one);
    if (net->policed)
        nft_element(n, what, "policed", &one);
    if (net->counted)
        nft_element(n, what, "counted", &one);
    add_subnet(n, what, net, &net->subnet4);
    add_subnet(n, what, net, &net->subnet6);
    add_resolver(n, what, &net->names4);
    add_resolver(n, what, &net->names6);
}

static bool add_entry(const struct firewall_port *port, const struct ip *to, struct firewall_entry *ret)
{
    const uint16_t host = htobe16(port->host), container = htobe16(port->container);
    bool v4 = to->family == AF_INET;
    struct firewall_entry e = { .map = v4 ? "ports4" : "ports6" };
    if (!ip_is_set(to) || (ip_is_set(&port->at) && port->at.family != to->family))
        return false;
    if (ip_is_set(&port->at)) {
        e.map = v4 ? "at4" : "at6";
        put(e.key, &e.key_len, port->at.bytes, ip_size(&port->at));
    }
    put(e.key, &e.key_len, &port->proto, sizeof port->proto);
    put(e.key, &e.key_len, &host, sizeof host);
    put(e.data, &e.data_len, to->bytes, ip_size(to));
    put(e.data, &e.data_len, &container, sizeof container);
    *ret = e;
    return true;
}

size_t firewall_port_entries(const struct firewall_port *port, struct firewall_entry ret[2])
{
    size_t n = 0;
    n += add_entry(port, &port->ip4, &ret[n]);
    n += add_entry(port, &port->ip6, &ret[n]);
    return n;
}

void firewall_put(struct nft *n, enum nft_what what, const struct firewall_entry *e)
{
    nft_element(
        n, what, e->map,
        &(struct nft_element){ .key = e->key, .key_len = e->key_len, .data = e->data, .data_len = e->data_len });
}

void firewall_port(struct nft *n, enum nft_what what, const struct firewall_port *port)
{
    struct firewall_entry entries[2];
    size_t count = firewall_port_entries(port, entries);
    for (size_t i = 0; i < count; i++)
        firewall_put(n, what, &entries[i]);
}

/* ---- egress ---------------------------------------------------------------------------------------------------- */

void firewall_reach(struct nft *n, enum nft_what what, const struct firewall_reach *r)
{
    const bool v4 = r->from.family == AF_INET;
    const uint16_t first = htobe16(r->first), last = htobe16(r->last);
    uint8_t key[36] = { 0 }, end[36] = { 0 };
    size_t len = 0, end_len = 0;
    if (!ip_is_set(&r->to)) {
        firewall_bridge_put(n, what, r);
        if (!ip_is_set(&r->from))
            return;
        nft_element(n, what, v4 ? "egress4" : "egress6",
                    &(struct nft_element){ .key = r->from.bytes, .key_len = ip_size(&r->from) });
        return;
    }
    put(key, &len, r->from.bytes, ip_size(&r->from));
    put(key, &len, r->to.bytes, ip_size(&r->to));
    put(key, &len, &first, sizeof first);
    put(end, &end_len, r->from.bytes, ip_size(&r->from));
    put(end, &end_len, r->to_last.bytes, ip_size(&r->to));
    put(end, &end_len, &last, sizeof last);
    nft_element(n, what, v4 ? "reach4" : "reach6",
                &(struct nft_element){ .key = key, .end = end, .key_len = len, .timeout_ms = r->timeout_ms });
}

struct forget {
    struct nft *n;
    const struct ip *from;
};

static err *forget_element(void *ctx, const struct nft_element *e)
{
    struct forget *f = ctx;
    size_t size = ip_size(f->from);
    if (e->end && e->key_len > size && memcmp(e->key, f->from->bytes, size) == 0)
        nft_element(f->n, NFT_DELETE, f->from->family == AF_INET ? "reach4" : "reach6", e);
    return NULL;
}

fallible firewall_forget_reach(int sock, const struct ip *from)
{
    own(nft) struct nft n = { 0 };
    struct forget f = { &n, from };
    size_t len;
    firewall_begin(&n);
    err *e = nft_each(sock, FIREWALL_TABLE, from->family == AF_INET ? "reach4" : "reach6", forget_element, &f);
    if (err_errno(e) == ENOENT) { /* no table yet: nothing to forget */
        err_free(e);
        return NULL;
    }
    TRY(e);
    if (n.empty)
        return NULL;
    void *bytes = (void *)(uintptr_t)nft_bytes(&n, &len);
    return nft_send(sock, bytes, len); /* some may go by themselves meanwhile */
}

/* ---- rules among neighbours ------------------------------------------------------------------------------------ */

/* FNV-1a. acl.c sees to it that no two of a network have the same. */
uint32_t firewall_mark(const uint8_t *identity)
{
    uint32_t mark = 2166136261u;
    for (size_t i = 0; i < FIREWALL_IDENTITY; i++)
        mark = (mark ^ identity[i]) * 16777619u;
    return mark;
}

void firewall_who(struct nft *n, enum nft_what what, const struct firewall_who *w)
{
    const uint32_t mark = firewall_mark(w->identity);
    nft_element(n, what, w->ip.family == AF_INET ? "who4" : "who6",
                &(struct nft_element){
                    .key = w->ip.bytes, .key_len = ip_size(&w->ip), .data = &mark, .data_len = sizeof mark });
}

void firewall_allow(struct nft *n, const uint8_t *from, const uint8_t *to, uint8_t proto, uint16_t first, uint16_t last)
{
    const uint8_t last_proto = proto ? proto : UINT8_MAX;
    const uint16_t low = htobe16(first), high = htobe16(last);
    const uint32_t marks[] = { firewall_mark(from), firewall_mark(to) };
    uint8_t key[16] = { 0 }, end[16] = { 0 };
    size_t len = 0, end_len = 0;
    put(key, &len, marks, sizeof marks);
    put(key, &len, &proto, sizeof proto);
    put(key, &len, &low, sizeof low);
    put(end, &end_len, marks, sizeof marks);
    put(end, &end_len, &last_proto, sizeof last_proto);
    put(end, &end_len, &high, sizeof high);
    nft_element(n, NFT_ADD, "allowed", &(struct nft_element){ .key = key, .end = end, .key_len = len });
}

void firewall_identity(struct nft *n, const uint8_t *identity)
{
    nft_element(n, NFT_ADD, "identities", &(struct nft_element){ .key = identity, .key_len = FIREWALL_IDENTITY });
}

fallible firewall_has_identity(int sock, const uint8_t *identity, bool *ret)
{
    return nft_has(sock, FIREWALL_TABLE, "identities", identity, FIREWALL_IDENTITY, ret);
}

fallible firewall_is_policed(int sock, const char *bridge, bool *ret)
{
    char name[IFNAME] = "";
    memcpy(name, bridge, strnlen(bridge, IFNAME - 1));
    return nft_has(sock, FIREWALL_TABLE, "policed", name, sizeof name, ret);
}

void firewall_police(struct nft *n, enum nft_what what, const char *bridge)
{
    char name[IFNAME] = "";
    memcpy(name, bridge, strnlen(bridge, IFNAME - 1));
    nft_element(n, what, "policed", &(struct nft_element){ .key = name, .key_len = sizeof name });
}

struct forget_policy {
    struct nft *n;
    bool (*is_of)(const void *identity, const char *network);
    const char *network, *set;
    uint32_t *marks; /* of the identities that go */
    size_t marks_n;
};

static err *forget_identity(void *ctx, const struct nft_element *e)
{
    struct forget_policy *f = ctx;
    if (e->key_len < FIREWALL_IDENTITY || !f->is_of(e->key, f->network))
        return NULL;
    f->marks = mem_array(f->marks, f->marks_n + 1, sizeof *f->marks);
    f->marks[f->marks_n++] = firewall_mark(e->key);
    nft_element(f->n, NFT_DELETE, f->set, e);
    return NULL;
}

static err *forget_mark(void *ctx, const struct nft_element *e)
{
    struct forget_policy *f = ctx;
    uint32_t mark; /* whose, or from whom */
    if ((e->data ? e->data_len : e->key_len) < sizeof mark)
        return NULL;
    memcpy(&mark, e->data ? e->data : e->key, sizeof mark);
    for (size_t i = 0; i < f->marks_n; i++)
        if (f->marks[i] == mark) {
            nft_element(f->n, NFT_DELETE, f->set, e);
            break;
        }
    return NULL;
}

fallible firewall_forget_policy(int sock, bool (*is_of)(const void *identity, const char *network), const char *network,
                                struct nft *n)
{
    static const struct {
        const char *set;
        err *(*fn)(void *ctx, const struct nft_element *e);
    } of[] = {
        { "identities", forget_identity }, { "who4", forget_mark }, { "who6", forget_mark }, { "allowed", forget_mark }
    };
    struct forget_policy f = { n, is_of, network, NULL, NULL, 0 };
    err *e = NULL;
    for (size_t i = 0; !e && i < ARRAY_SIZE(of); i++) {
        f.set = of[i].set;
        e = nft_each(sock, FIREWALL_TABLE, f.set, of[i].fn, &f);
        if (err_errno(e) == ENOENT) { /* no table: nothing to forget */
            err_free(e);
            e = NULL;
        }
    }
    free(f.marks);
    return e;
}

/* An address whose container was killed, and its monitor, may be there yet, as somebody else. */
static fallible replace_who(int sock, struct nft *n, const struct firewall_who *w)
{
    bool there;
    TRY(nft_has(sock, FIREWALL_TABLE, w->ip.family == AF_INET ? "who4" : "who6", w->ip.bytes, ip_size(&w->ip), &there));
    if (there)
        firewall_who(n, NFT_DELETE, w);
    return NULL;
}

/* ---- the file that undoes ---------------------------------------------------------------------------------------- */

void firewall_put_part(struct nft *n, enum nft_what what, const struct firewall_part *part)
{
    for (size_t i = 0; i < part->reach_n; i++)
        firewall_reach(n, what, &part->reach[i]);
    for (size_t i = 0; i < part->ports_n; i++)
        firewall_port(n, what, &part->ports[i]);
    for (size_t i = 0; i < part->who_n; i++)
        firewall_who(n, what, &part->who[i]);
}

fallible firewall_add_part(const struct firewall_part *part)
{
    own(nft) struct nft n = { 0 };
    own_fd int sock = -1;
    if (!part->ports_n && !part->reach_n && !part->who_n)
        return NULL;
    TRY(nft_open(&sock));
    for (size_t i = 0; i < part->reach_n; i++)
        if (!ip_is_set(&part->reach[i].to) && ip_is_set(&part->reach[i].from))
            TRY(firewall_forget_reach(sock, &part->reach[i].from));
    firewall_begin(&n);
    if (part->reach_n)
        firewall_bridge(&n);
    for (size_t i = 0; i < part->who_n; i++)
        TRY(replace_who(sock, &n, &part->who[i]));
    firewall_put_part(&n, NFT_ADD, part);
    err *e = nft_commit(sock, &n);
    return part->reach_n ? firewall_bridge_why(e) : e;
}

fallible firewall_note(int dir_fd, const struct firewall_part *part)
{
    own(nft) struct nft nft = { 0 };
    size_t len = 0;
    const void *bytes = "";
    if (part->ports_n || part->reach_n || part->who_n) {
        firewall_begin(&nft);
        firewall_put_part(&nft, NFT_DELETE, part);
        bytes = nft_bytes(&nft, &len);
    }
    return fs_replace_at(dir_fd, FIREWALL_FILE, bytes, len, 0600, FS_SYNC_NONE);
}

/* The file of both, before either is touched. */
static fallible note_both(int dir_fd, const void *old, size_t old_len, const struct firewall_part *part)
{
    own(nft) struct nft both = { 0 };
    const void *bytes = "";
    size_t len = 0;
    firewall_begin(&both);
    TRY(nft_add_bytes(&both, old, old_len));
    firewall_put_part(&both, NFT_DELETE, part);
    if (!both.empty)
        bytes = nft_bytes(&both, &len);
    return fs_replace_at(dir_fd, FIREWALL_FILE, bytes, len, 0600, FS_SYNC_NONE);
}

fallible firewall_replace(int dir_fd, const struct firewall_part *part)
{
    own_mem char *old = NULL;
    size_t len = 0;
    own_fd int sock = -1;
    TRY(fs_read_at(dir_fd, FIREWALL_FILE, NOTE_MAX, &old, &len));
    TRY(note_both(dir_fd, old, len, part));
    fault_here(FAULT_CHANGE_NOTED);
    if (len) {
        TRY(nft_open(&sock));
        TRY_AS(nft_send(sock, old, len), "withdraw published ports");
    }
    fault_here(FAULT_CHANGE_OUT);
    TRY(firewall_add_part(part));
    fault_here(FAULT_CHANGE_IN);
    return firewall_note(dir_fd, part);
}

fallible firewall_withdraw(int dir_fd)
{
    own_mem char *bytes = NULL;
    size_t len = 0;
    own_fd int sock = -1;
    err *e = fs_read_at(dir_fd, FIREWALL_FILE, NOTE_MAX, &bytes, &len);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    if (len) {
        TRY(nft_open(&sock));
        TRY_AS(nft_send(sock, bytes, len), "withdraw published ports");
    }
    fault_here(FAULT_WITHDRAWN);
    if (unlinkat(dir_fd, FIREWALL_FILE, 0) < 0 && errno != ENOENT)
        return err_sys(errno, "remove '%s'", FIREWALL_FILE);
    return NULL;
}

/* ---- others' tables -------------------------------------------------------------------------------------------- */

static err *look_for_drop(void *ctx, int family, const char *table, const char *chain, uint32_t hook, uint32_t policy)
{
    static const struct {
        int family;
        const char *word;
    } words[] = { { NFPROTO_INET, "inet" }, { NFPROTO_IPV4, "ip" }, { NFPROTO_IPV6, "ip6" } };
    struct str *out = ctx;
    if (hook != NF_INET_FORWARD || policy != NF_DROP)
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (words[i].family == family)
            str_printf(
                out,
                "%sthe chain '%s' of the firewall's table '%s %s' drops what it does not know, so it must accept "
                "what goes to and from husk's bridges: nft insert rule %s %s %s iifname BRIDGE accept, and the same "
                "with oifname",
                out->len ? "\n" : "", chain, words[i].word, table, words[i].word, table,
                str_eq(chain, "FORWARD") ? "DOCKER-USER" : chain);
    return NULL;
}

fallible firewall_obstacles(int sock, struct str *ret)
{
    return nft_each_chain(sock, look_for_drop, ret);
}

/* ---- explained ------------------------------------------------------------------------------------------------- */

void firewall_explain_port(const struct firewall_port *port, FILE *out)
{
    static const char *const protos[] = { [IPPROTO_TCP] = "tcp", [IPPROTO_UDP] = "udp", [IPPROTO_SCTP] = "sctp" };
    struct firewall_entry entries[2];
    size_t n = firewall_port_entries(port, entries);
    char text[IP_TEXT];
    for (size_t i = 0; i < n; i++) {
        const struct ip *to = strchr(entries[i].map, '4') ? &port->ip4 : &port->ip6;
        fprintf(out, "nft add element inet " FIREWALL_TABLE " %s '{ ", entries[i].map);
        if (ip_is_set(&port->at))
            fprintf(out, "%s . ", ip_text(&port->at, text));
        fprintf(out, "%s . %u : %s . %u }'\n", protos[port->proto], port->host, ip_text(to, text), port->container);
    }
}
