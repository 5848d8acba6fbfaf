// SPDX-License-Identifier: GPL-2.0-or-later
#include <endian.h>
#include <errno.h>
#include <linux/netfilter.h>
#include <net/ethernet.h>
#include <string.h>

#include "network/firewall_parts.h"

/*
 * The table `bridge husk`: what a container sends comes from its own addresses, by its own port, where it is limited,
 * or its neighbours reach each other by who they are. In the family inet a packet comes from the bridge as a whole, so
 * there the address is all that tells whose it is, and who may make frames himself (NET_RAW) writes there what he
 * likes. Also what goes to neighbours, since those may forward: a namespace has the host's ip_forward. It is made with
 * the first such container of a host: other hosts' bridges have no hook.
 */

static const struct nft_set sets[] = {
    { "limited", { NFT_TYPE_IFNAME } },
    { "kept", { NFT_TYPE_IFNAME } },
    { "own4", { NFT_TYPE_IFNAME, NFT_TYPE_IP4 } },
    { "own6", { NFT_TYPE_IFNAME, NFT_TYPE_IP6 } },
};

enum { BEFORE_ALL = -300 };
/* linux/netfilter_bridge.h, which clashes with libc: NF_BR_PRE_ROUTING, NF_BR_LOCAL_IN */
static const struct nft_chain chains[] = {
    { "ports", "filter", 0, BEFORE_ALL },
    { "host", "filter", 1, BEFORE_ALL },
    { "own", NULL, 0, 0 },
};

static void is_protocol(struct nft *n, uint16_t protocol) /* meta protocol ... */
{
    const uint16_t v = htobe16(protocol);
    nft_meta(n, NFT_META_PROTOCOL, NFT_R0);
    nft_compare(n, NFT_EQUAL, NFT_R0, &v, sizeof v);
}

/* meta protocol ip iifname . ip saddr @own4 return. offset: of the sender in the header */
static void add_own(struct nft *n, uint16_t protocol, uint32_t offset, uint32_t len)
{
    nft_rule_begin(n, "own");
    is_protocol(n, protocol);
    nft_meta(n, NFT_META_IIFNAME, NFT_R0);
    nft_payload(n, NFT_PAYLOAD_NETWORK_HEADER, offset, len, NFT_R0 + IFNAME / 4);
    nft_lookup(n, len == 4 ? "own4" : "own6", NFT_R0, 0);
    nft_verdict(n, NFT_RETURN);
    nft_rule_end(n);
}

static const uint8_t of_link[] = { 0xfe, 0x80, 0, 0, 0, 0, 0, 0 }, unspecified[16];

static void from_prefix(struct nft *n, const uint8_t *lead, size_t len) /* ip6 saddr LEAD... */
{
    is_protocol(n, ETHERTYPE_IPV6);
    nft_payload(n, NFT_PAYLOAD_NETWORK_HEADER, 8, (uint32_t)len, NFT_R0);
    nft_compare(n, NFT_EQUAL, NFT_R0, lead, len);
}

static void is_icmp6(struct nft *n, enum nft_compare how) /* meta l4proto icmpv6 */
{
    const uint8_t icmp6 = IPPROTO_ICMPV6;
    nft_meta(n, NFT_META_L4PROTO, NFT_R0);
    nft_compare(n, how, NFT_R0, &icmp6, sizeof icmp6);
}

/* iifname != @limited return */
static void add_limited(struct nft *n)
{
    nft_rule_begin(n, "host");
    nft_meta(n, NFT_META_IIFNAME, NFT_R0);
    nft_unless(n, "limited", NFT_R0);
    nft_verdict(n, NFT_RETURN);
    nft_rule_end(n);
}

/* Where a neighbour is said to be is its own word alone: icmpv6 type nd-neighbor-advert, of an address of another's.
 * Whom to send by is nobody's (RFC 4861, 4.2, 4.4, 4.5): icmpv6 type nd-router-advert, nd-redirect. */
static void add_discovery(struct nft *n)
{
    static const struct {
        uint8_t type;
        bool of_own;
    } types[] = { { 134, false }, { 136, true }, { 137, false } };
    for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
        nft_rule_begin(n, "own");
        is_protocol(n, ETHERTYPE_IPV6);
        is_icmp6(n, NFT_EQUAL);
        nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, NFT_R0);
        nft_compare(n, NFT_EQUAL, NFT_R0, &types[i].type, 1);
        if (types[i].of_own) {
            nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 8, sizeof of_link, NFT_R0);
            nft_compare(n, NFT_UNEQUAL, NFT_R0, of_link, sizeof of_link);
            nft_meta(n, NFT_META_IIFNAME, NFT_R0);
            nft_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 8, 16, NFT_R0 + IFNAME / 4);
            nft_unless(n, "own6", NFT_R0);
        }
        nft_verdict(n, NF_DROP);
        nft_rule_end(n);
    }
}

/* A link's own addresses are nowhere forwarded; the search for a neighbour begins without one (RFC 4862, 5.4.2). */
static void add_ports(struct nft *n)
{
    static const char *const whose[] = { "limited", "kept" };
    for (size_t i = 0; i < ARRAY_SIZE(whose); i++) {
        nft_rule_begin(n, "ports");
        interface_in(n, NFT_META_IIFNAME, whose[i]);
        nft_goto(n, "own");
        nft_rule_end(n);
    }
    add_discovery(n);
    add_own(n, ETHERTYPE_IP, 12, 4);  /* RFC 791, 3.1 */
    add_own(n, ETHERTYPE_ARP, 14, 4); /* RFC 826: behind two types, two lengths, what is asked, the sender's MAC */
    add_own(n, ETHERTYPE_IPV6, 8, 16);
    nft_rule_begin(n, "own");
    from_prefix(n, of_link, sizeof of_link);
    nft_verdict(n, NFT_RETURN);
    nft_rule_end(n);
    nft_rule_begin(n, "own");
    from_prefix(n, unspecified, sizeof unspecified);
    is_icmp6(n, NFT_EQUAL);
    nft_verdict(n, NFT_RETURN);
    nft_rule_end(n);
    nft_rule_begin(n, "own");
    nft_verdict(n, NF_DROP);
    nft_rule_end(n);
}

/* To the host itself. From a link's own address no rule of `inet husk` knows whose it is: only where neighbours are is
 * asked so. A frame to 01:80:c2:00:00:0X (IEEE 802.1D, 7.12.6) comes from the port there, not from the bridge. */
static void add_host(struct nft *n)
{
    static const uint8_t reserved[] = { 0x01, 0x80, 0xc2, 0, 0 };
    add_limited(n);
    nft_rule_begin(n, "host");
    nft_payload(n, NFT_PAYLOAD_LL_HEADER, 0, sizeof reserved, NFT_R0);
    nft_compare(n, NFT_EQUAL, NFT_R0, reserved, sizeof reserved);
    nft_verdict(n, NF_DROP);
    nft_rule_end(n);
    nft_rule_begin(n, "host");
    from_prefix(n, of_link, sizeof of_link);
    is_icmp6(n, NFT_UNEQUAL);
    nft_verdict(n, NF_DROP);
    nft_rule_end(n);
}

static void enter(struct nft *n)
{
    n->family = NFPROTO_BRIDGE;
}

static void leave(struct nft *n)
{
    n->family = NFPROTO_INET;
}

/* All of it, whatever is there already: the same sets and chains are no conflict, and the chains are filled anew. */
void firewall_bridge(struct nft *n)
{
    enter(n);
    nft_table(n, NFT_ADD);
    for (size_t i = 0; i < ARRAY_SIZE(sets); i++)
        nft_add_set(n, &sets[i]);
    for (size_t i = 0; i < ARRAY_SIZE(chains); i++) {
        nft_add_chain(n, &chains[i]);
        nft_flush_chain(n, chains[i].name);
    }
    add_ports(n);
    add_host(n);
    leave(n);
}

/* The set that it is in, and its key there. */
static const char *element_of(const struct firewall_reach *r, uint8_t key[IFNAME + 16], size_t *ret_len)
{
    const bool address = ip_is_set(&r->from);
    memset(key, 0, IFNAME + 16);
    memcpy(key, r->port, strnlen(r->port, IFNAME - 1));
    if (address)
        memcpy(key + IFNAME, r->from.bytes, ip_size(&r->from));
    *ret_len = IFNAME + (address ? ip_size(&r->from) : 0);
    if (address)
        return r->from.family == AF_INET ? "own4" : "own6";
    return r->kept ? "kept" : "limited";
}

void firewall_bridge_put(struct nft *n, enum nft_what what, const struct firewall_reach *r)
{
    uint8_t key[IFNAME + 16];
    size_t len;
    const char *set = element_of(r, key, &len);
    enter(n);
    nft_element(n, what, set, &(struct nft_element){ .key = key, .key_len = len });
    leave(n);
}

fallible firewall_bridge_has(int sock, const struct firewall_reach *r, bool *ret)
{
    uint8_t key[IFNAME + 16];
    size_t len;
    const char *set = element_of(r, key, &len);
    return nft_has_in(sock, NFPROTO_BRIDGE, FIREWALL_TABLE, set, key, len, ret);
}

fallible firewall_bridge_why(err *take_e)
{
    int no = err_errno(take_e);
    if (no != EAFNOSUPPORT && no != EOPNOTSUPP)
        return take_e;
    err_free(take_e);
    return err_new(ERR_UNSUPPORTED, "--egress and --policy deny need a kernel whose nf_tables can filter bridges "
                                    "(CONFIG_NF_TABLES_BRIDGE): else who makes packets himself would pass it");
}
