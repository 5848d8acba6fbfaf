// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <endian.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include "network/conntrack.h"

static void add_tuple(struct netlink_batch *b, uint16_t attribute, const char *from, const char *to, uint8_t proto,
                      uint16_t from_port, uint16_t to_port)
{
    struct ip a, z;
    assert_null(ip_parse(from, &a));
    assert_null(ip_parse(to, &z));
    const bool v4 = a.family == AF_INET;
    size_t tuple = netlink_batch_nest(b, attribute), part = netlink_batch_nest(b, CTA_TUPLE_IP);
    netlink_batch_add(b, v4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC, a.bytes, ip_size(&a));
    netlink_batch_add(b, v4 ? CTA_IP_V4_DST : CTA_IP_V6_DST, z.bytes, ip_size(&z));
    netlink_batch_end_nest(b, part);
    part = netlink_batch_nest(b, CTA_TUPLE_PROTO);
    netlink_batch_add_u8(b, CTA_PROTO_NUM, proto);
    netlink_batch_add_u16(b, CTA_PROTO_SRC_PORT, htobe16(from_port));
    netlink_batch_add_u16(b, CTA_PROTO_DST_PORT, htobe16(to_port));
    netlink_batch_end_nest(b, part);
    netlink_batch_end_nest(b, tuple);
}

/* A client's connection from its port 4000, which is answered by server:server_port. */
static bool is_stale(const struct conntrack_stale *s, uint8_t proto, const char *client, const char *to, uint16_t port,
                     const char *server, uint16_t server_port, uint32_t status)
{
    own(netlink_batch) struct netlink_batch b = { 0 };
    const struct nfgenmsg head = { .nfgen_family = AF_INET };
    netlink_batch_begin(&b, "one", 0, 0, &head, sizeof head);
    add_tuple(&b, CTA_TUPLE_ORIG, client, to, proto, 4000, port);
    add_tuple(&b, CTA_TUPLE_REPLY, server, client, proto, server_port, 4000);
    netlink_batch_add_u32(&b, CTA_STATUS, htobe32(status));
    return conntrack_is_stale(s, (const void *)b.bytes);
}

TEST(connections_of_an_address_are_those_that_it_began_and_those_to_it)
{
    own(conntrack_stale) struct conntrack_stale s = { 0 };
    struct ip ip = ip4_of(0x0a000002);
    conntrack_add_ip(&s, &ip);
    conntrack_add_ip(&s, &ip);
    assert_int_equal(s.ips_n, 1);
    assert_true(is_stale(&s, IPPROTO_TCP, "10.0.0.2", "192.0.2.9", 80, "192.0.2.9", 80, IPS_SRC_NAT));
    assert_true(is_stale(&s, IPPROTO_TCP, "192.0.2.9", "192.0.2.1", 8080, "10.0.0.2", 80, IPS_DST_NAT));
    assert_true(is_stale(&s, IPPROTO_ICMP, "10.0.0.3", "10.0.0.2", 0, "10.0.0.2", 0, 0));
    assert_false(is_stale(&s, IPPROTO_TCP, "10.0.0.3", "10.0.0.22", 80, "10.0.0.22", 80, 0));
    assert_false(is_stale(&s, IPPROTO_TCP, "a00:2::", "2001:db8::2", 80, "2001:db8::2", 80, 0));
}

TEST(a_port_of_udp_has_those_that_lead_elsewhere)
{
    own(conntrack_stale) struct conntrack_stale s = { 0 };
    struct conntrack_udp u = {
        .at.family = AF_INET, .any = true, .port = 53, .to = ip4_of(0x0a000002), .to_port = 530
    };
    conntrack_add_udp(&s, &u);
    assert_true(is_stale(&s, IPPROTO_UDP, "192.0.2.9", "192.0.2.1", 53, "192.0.2.1", 53, 0));
    assert_true(is_stale(&s, IPPROTO_UDP, "192.0.2.9", "192.0.2.1", 53, "10.0.0.3", 530, IPS_DST_NAT));
    assert_true(is_stale(&s, IPPROTO_UDP, "192.0.2.9", "192.0.2.1", 53, "10.0.0.2", 531, IPS_DST_NAT));
    assert_false(is_stale(&s, IPPROTO_UDP, "192.0.2.9", "192.0.2.1", 53, "10.0.0.2", 530, IPS_DST_NAT));
    assert_false(is_stale(&s, IPPROTO_UDP, "10.0.0.3", "192.0.2.9", 53, "192.0.2.9", 53, IPS_SRC_NAT));
    assert_false(is_stale(&s, IPPROTO_TCP, "192.0.2.9", "192.0.2.1", 53, "10.0.0.3", 530, IPS_DST_NAT));
    assert_false(is_stale(&s, IPPROTO_UDP, "192.0.2.9", "192.0.2.1", 54, "10.0.0.3", 530, IPS_DST_NAT));
    assert_false(is_stale(&s, IPPROTO_UDP, "2001:db8::9", "2001:db8::1", 53, "2001:db8::1", 53, 0));
}

TEST(a_port_of_one_address_and_a_port_that_is_no_more)
{
    own(conntrack_stale) struct conntrack_stale s = { 0 };
    struct conntrack_udp u = { .port = 53 };
    assert_null(ip_parse("2001:db8::1", &u.at));
    conntrack_add_udp(&s, &u);
    assert_true(is_stale(&s, IPPROTO_UDP, "2001:db8::9", "2001:db8::1", 53, "fd00::2", 53, IPS_DST_NAT));
    assert_false(is_stale(&s, IPPROTO_UDP, "2001:db8::9", "2001:db8::2", 53, "fd00::2", 53, IPS_DST_NAT));
}

TEST(what_is_no_connection_is_not_stale)
{
    own(conntrack_stale) struct conntrack_stale s = { 0 };
    struct ip none = { .family = AF_INET };
    own(netlink_batch) struct netlink_batch b = { 0 };
    const struct nfgenmsg head = { .nfgen_family = AF_INET };
    conntrack_add_ip(&s, &none);
    netlink_batch_begin(&b, "one", 0, 0, &head, sizeof head);
    assert_false(conntrack_is_stale(&s, (const void *)b.bytes));
    (void)netlink_batch_nest(&b, CTA_TUPLE_ORIG);
    assert_false(conntrack_is_stale(&s, (const void *)b.bytes));
}
