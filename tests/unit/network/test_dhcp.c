// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <string.h>

#include "network/dhcp.h"

static const uint8_t mac[6] = { 2, 0, 0, 0, 0, 1 };
enum { XID = 0x01020304, OPTIONS = 240, FILE_AT = 108 };

struct message {
    uint8_t bytes[600];
    size_t n;
};

static struct message answer(uint8_t type)
{
    struct message m = { .bytes = { 2, 1, 6, 0, 1, 2, 3, 4, [16] = 192, 0, 2, 100 }, .n = OPTIONS };
    const uint8_t cookie[] = { 99, 130, 83, 99 };
    memcpy(m.bytes + 28, mac, sizeof mac);
    memcpy(m.bytes + 236, cookie, sizeof cookie);
    memcpy(m.bytes + OPTIONS, (const uint8_t[]){ 53, 1, type }, 3);
    m.n += 3;
    return m;
}

static void add(struct message *m, uint8_t code, const void *bytes, size_t n)
{
    m->bytes[m->n++] = code;
    m->bytes[m->n++] = (uint8_t)n;
    memcpy(m->bytes + m->n, bytes, n);
    m->n += n;
}

static bool read_it(const struct message *m, struct dhcp_lease *ret)
{
    enum dhcp_type type;
    return dhcp_read(m->bytes, m->n, XID, mac, &type, ret);
}

static void check_ip(const struct ip *ip, const char *text)
{
    char buf[IP_TEXT];
    assert_string_equal(ip_text(ip, buf), text);
}

TEST(what_is_written_is_a_packet_whose_checksums_are_right)
{
    uint8_t p[DHCP_ASK_MAX];
    struct ip none = { 0 };
    const struct dhcp_ask a = { .type = DHCP_DISCOVER, .xid = XID, .hostname = "box", .mac = { 2, 0, 0, 0, 0, 1 } };
    size_t n = dhcp_write(&a, &none, p);
    uint32_t header = 0, udp = (uint32_t)(17 + n - 20);
    for (size_t i = 0; i < 20; i += 2)
        header += (uint32_t)(p[i] << 8 | p[i + 1]);
    for (size_t i = 12; i < n; i += 2)
        udp += (uint32_t)(p[i] << 8 | (i + 1 < n ? p[i + 1] : 0));
    assert_int_equal((header & 0xffff) + (header >> 16), 0xffff);
    while (udp >> 16)
        udp = (udp & 0xffff) + (udp >> 16);
    assert_int_equal(udp, 0xffff);
    assert_int_equal(p[16] & p[17] & p[18] & p[19], 0xff); /* to everybody */
    assert_memory_equal(p + 28 + OPTIONS,
                        ((const uint8_t[]){ 53, 1, 1, 61, 7, 1, 2, 0, 0, 0, 0, 1, 12, 3, 'b', 'o', 'x' }), 17);
}

TEST(a_lease_is_read_with_what_the_server_says)
{
    struct dhcp_lease l;
    struct message m = answer(5);
    add(&m, 1, "\xff\xff\xff\x00", 4);
    add(&m, 3, "\xc0\x00\x02\x02", 4);
    add(&m, 6, "\xc0\x00\x02\x35\xc0\x00\x02\x36", 8);
    add(&m, 15, "example.test", 12);
    add(&m, 26, "\x05\x78", 2);
    add(&m, 51, "\x00\x00\x02\x58", 4);
    assert_true(read_it(&m, &l));
    check_ip(&l.ip.ip, "192.0.2.100");
    check_ip(&l.router, "192.0.2.2");
    check_ip(&l.dns[1], "192.0.2.54");
    assert_int_equal(l.ip.len, 24);
    assert_string_equal(l.search, "example.test");
    assert_int_equal(l.mtu, 1400);
    assert_int_equal(l.lease_s, 600);
    assert_int_equal(l.renew_s, 300);
    assert_int_equal(l.rebind_s, 525);
}

TEST(routes_take_the_place_of_the_router_and_may_come_in_parts)
{
    struct dhcp_lease l;
    struct message m = answer(5);
    add(&m, 3, "\xc0\x00\x02\x02", 4);
    add(&m, 121, "\x18\xcb\x00", 3);
    add(&m, 121, "\x71\xc0\x00\x02\x07\x00\xc0\x00\x02\x09", 10);
    assert_true(read_it(&m, &l));
    assert_false(ip_is_set(&l.router));
    assert_int_equal(l.routes_n, 2);
    check_ip(&l.routes[0].to.ip, "203.0.113.0");
    check_ip(&l.routes[0].via, "192.0.2.7");
    assert_int_equal(l.routes[1].to.len, 0);
    check_ip(&l.routes[1].via, "192.0.2.9");
}

TEST(search_domains_are_names_of_dns_with_pointers_towards_the_beginning_alone)
{
    struct dhcp_lease l;
    struct message m = answer(5), loop = answer(5);
    add(&m, 15, "other.test", 10);
    add(&m, 119,
        "\x03"
        "eng\x07"
        "example\x04"
        "test\x00\x03"
        "mkt\xc0\x04",
        24);
    assert_true(read_it(&m, &l));
    assert_string_equal(l.search, "eng.example.test mkt.example.test");
    add(&loop, 119,
        "\x03"
        "eng\xc0\x00\xc0\x06",
        8);
    assert_true(read_it(&loop, &l));
    assert_string_equal(l.search, "");
}

TEST(what_would_be_another_line_of_a_file_is_no_domain)
{
    struct dhcp_lease l;
    struct message m = answer(5);
    add(&m, 15, "a\nnameserver 192.0.2.9", 22);
    assert_true(read_it(&m, &l));
    assert_string_equal(l.search, "");
}

TEST(options_may_stand_in_the_fields_of_names)
{
    struct dhcp_lease l;
    struct message m = answer(5);
    add(&m, 52, "\x01", 1);
    memcpy(m.bytes + FILE_AT,
           "\x0f\x04"
           "test\xff",
           7);
    assert_true(read_it(&m, &l));
    assert_string_equal(l.search, "test");
}

TEST(another_ones_answer_and_half_of_one_are_none)
{
    struct dhcp_lease l;
    enum dhcp_type type;
    struct message m = answer(5);
    assert_false(dhcp_read(m.bytes, m.n, XID + 1, mac, &type, &l));
    assert_false(dhcp_read(m.bytes, m.n, XID, (const uint8_t[6]){ 2, 0, 0, 0, 0, 2 }, &type, &l));
    assert_false(dhcp_read(m.bytes, OPTIONS - 1, XID, mac, &type, &l));
    m.bytes[16] = 0; /* an address of no host */
    assert_false(read_it(&m, &l));
    m = answer(6);
    m.bytes[16] = 0;
    assert_true(dhcp_read(m.bytes, m.n, XID, mac, &type, &l));
    assert_int_equal(type, DHCP_NAK);
}
