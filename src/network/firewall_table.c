// SPDX-License-Identifier: GPL-2.0-or-later
/* The table `inet husk`: its sets, its chains and their rules, made whole when they are missing. */
#include "network/firewall.h"

#include <errno.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <stddef.h>
#include <string.h>

#include "network/firewall_parts.h"

enum { ATTEMPTS = 10 };

static const struct nft_set sets[] = {
    { "bridges", { NFT_TYPE_IFNAME } },
    { "policed", { NFT_TYPE_IFNAME } },
    { "who4", { NFT_TYPE_IP4 }, { NFT_TYPE_MARK } },
    { "who6", { NFT_TYPE_IP6 }, { NFT_TYPE_MARK } },
    { "identities", { NFT_TYPE_IP6 } },
    { "allowed", { NFT_TYPE_MARK, NFT_TYPE_MARK, NFT_TYPE_PROTO, NFT_TYPE_PORT }, { 0 }, .interval = true },
    { "isolated", { NFT_TYPE_IFNAME } },
    { "internal", { NFT_TYPE_IFNAME } },
    { "guarded4", { NFT_TYPE_IFNAME } },
    { "guarded6", { NFT_TYPE_IFNAME } },
    { "routed4", { NFT_TYPE_IFNAME } },
    { "routed6", { NFT_TYPE_IFNAME } },
    { "open4", { NFT_TYPE_IP4, NFT_TYPE_PROTO, NFT_TYPE_PORT } },
    { "open6", { NFT_TYPE_IP6, NFT_TYPE_PROTO, NFT_TYPE_PORT } },
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
const char *const firewall_open_sets[] = { "open4", "open6", NULL };
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

static void load_target(struct nft *n, int family, const char *set) /* ip daddr . meta l4proto . th dport @set */
{
    is_family(n, family);
    load_address(n, family, DESTINATION, NFT_R0);
    load_port(n, NFT_R0 + (family == AF_INET ? 1 : 4));
    nft_lookup(n, set, NFT_R0, 0);
}

static void load_names(struct nft *n, int family)
{
    load_target(n, family, family == AF_INET ? "names4" : "names6");
}

static void load_both(struct nft *n) /* iifname . oifname @pairs */
{
    nft_meta(n, NFT_META_IIFNAME, NFT_R0);
    nft_meta(n, NFT_META_OIFNAME, NFT_R0 + IFNAME / 4);
    nft_lookup(n, "pairs", NFT_R0, 0);
}

/* What is refused is told so, lest it waits; a kernel may be without nft_reject. */
enum refusal { REJECT, DROP };
/* And without marks of connections (CONFIG_NF_CONNTRACK_MARK): then registers hold who the two are. */
enum marks { MARKS, REGISTERS };
struct form {
    enum refusal how;
    enum marks marks;
};

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
static void add_allowed(struct nft *n, int family, const char *map, enum marks marks)
{
    nft_rule_begin(n, "forward");
    load_both(n);
    is_family(n, family);
    load_address(n, family, SOURCE, NFT_R0);
    nft_lookup(n, map, NFT_R0, NFT_R0);
    if (marks == REGISTERS) {
        load_address(n, family, DESTINATION, NFT_R0 + 1);
        nft_lookup(n, map, NFT_R0 + 1, NFT_R0 + 1);
        load_port(n, NFT_R0 + 2);
        nft_lookup(n, "allowed", NFT_R0, 0);
        nft_verdict(n, NF_ACCEPT);
        nft_rule_end(n);
        return;
    }
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
static void add_policy(struct nft *n, enum marks marks)
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
        add_allowed(n, families[i], firewall_who_maps[i], marks);
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

static void add_forward(struct nft *n, enum marks marks)
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
    add_policy(n, marks);
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
    static const int families[] = { AF_INET, AF_INET6 };
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        const uint8_t icmp = families[i] == AF_INET ? IPPROTO_ICMP : IPPROTO_ICMPV6;
        nft_rule_begin(n, "forward"); /* ip daddr . meta l4proto . th dport @open4 accept */
        load_target(n, families[i], firewall_open_sets[i]);
        nft_verdict(n, NF_ACCEPT);
        nft_rule_end(n);
        nft_rule_begin(n, "forward"); /* meta nfproto ipv4 meta l4proto icmp oifname @routed4 accept */
        is_family(n, families[i]);
        nft_meta(n, NFT_META_L4PROTO, NFT_R0);
        nft_compare(n, NFT_EQUAL, NFT_R0, &icmp, sizeof icmp);
        interface_in(n, NFT_META_OIFNAME, families[i] == AF_INET ? "routed4" : "routed6");
        nft_verdict(n, NF_ACCEPT);
        nft_rule_end(n);
    }
    for (size_t i = 0; i < ARRAY_SIZE(families); i++) {
        nft_rule_begin(n, "forward"); /* meta nfproto ipv4 iifname != @bridges oifname @guarded4 goto dropped */
        is_family(n, families[i]);
        nft_meta(n, NFT_META_IIFNAME, NFT_R0);
        nft_unless(n, "bridges", NFT_R0);
        interface_in(n, NFT_META_OIFNAME, families[i] == AF_INET ? "guarded4" : "guarded6");
        nft_goto(n, "dropped");
        nft_rule_end(n);
    }
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
        if (!own_address && family == AF_INET6) { /* whoever means ::1 says so: firewall.h */
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
    static const uint8_t loopback6[16] = { [15] = 1 };
    nft_rule_begin(n, "postrouting"); /* ip6 saddr ::1 oifname @bridges masquerade */
    is_family(n, AF_INET6);
    load_address(n, AF_INET6, SOURCE, NFT_R0);
    nft_compare(n, NFT_EQUAL, NFT_R0, loopback6, sizeof loopback6);
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

static void add_table(struct nft *n, struct form form)
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
    add_refused(n, form.how);
    add_input(n);
    add_forward(n, form.marks);
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
    err *e = nft_each(sock, FIREWALL_TABLE, "routed6", no_element, NULL);
    *ret = !e;
    if (err_errno(e) != ENOENT)
        return e;
    err_free(e);
    return NULL;
}

/* Two may find it missing at once: the ruleset's generation makes one of them look again. */
fallible firewall_ensure(int sock, bool *ret_made)
{
    struct form form = { REJECT, MARKS };
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
        add_table(&n, form);
        err *e = nft_commit(sock, &n);
        *ret_made = !e;
        if (err_errno(e) == ENOENT && form.how == REJECT) {
            form.how = DROP;
            attempt--;
        } else if (err_errno(e) == EOPNOTSUPP && form.marks == MARKS) {
            form.marks = REGISTERS;
            attempt--;
        } else if (err_errno(e) != ERESTART || attempt == ATTEMPTS)
            return err_wrap(e, "make the table 'inet " FIREWALL_TABLE "'");
        err_free(e);
    }
}
