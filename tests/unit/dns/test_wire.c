// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <arpa/inet.h>

#include "base/mem.h"
#include "dns/wire.h"

/* id 0x1234, RD, one question; with an OPT record of that size when udp is not 0. */
static size_t question(unsigned char *out, const char *name, uint16_t type, uint16_t udp)
{
    const unsigned char head[] = { 0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, (unsigned char)(udp ? 1 : 0) };
    size_t n = sizeof head;
    memcpy(out, head, n);
    for (const char *at = name; *at;) {
        size_t label = strcspn(at, ".");
        out[n++] = (unsigned char)label;
        memcpy(out + n, at, label);
        n += label;
        at += label + (at[label] == '.');
    }
    const unsigned char end[] = { 0, (unsigned char)(type >> 8), (unsigned char)type, 0, 1 };
    memcpy(out + n, end, sizeof end);
    n += sizeof end;
    if (udp) {
        const unsigned char opt[] = { 0, 0, 41, (unsigned char)(udp >> 8), (unsigned char)udp, 0, 0, 0, 0, 0, 0 };
        memcpy(out + n, opt, sizeof opt);
        n += sizeof opt;
    }
    return n;
}

static struct dns_query read_ok(const char *name, uint16_t type, uint16_t udp)
{
    unsigned char bytes[512];
    struct dns_query q = { 0 };
    CHECK(dns_query_read(bytes, question(bytes, name, type, udp), &q) == DNS_ASKED);
    return q;
}

TEST(a_question_is_read)
{
    struct dns_query q = read_ok("WeB.back", DNS_AAAA, 0);
    assert_string_equal(q.name, "web.back");
    CHECK(q.id == 0x1234 && q.type == DNS_AAAA && q.class == 1 && !q.edns && q.recursion && q.plain);
    CHECK(q.udp_size == DNS_UDP_PLAIN);
    CHECK(read_ok("a", DNS_A, 1232).udp_size == 1232);
    CHECK(read_ok("a", DNS_A, 100).udp_size == DNS_UDP_PLAIN);
    CHECK(read_ok("a", DNS_A, 65535).udp_size == DNS_UDP_MAX);
    CHECK(!read_ok("a b", DNS_A, 0).plain);
}

TEST(what_is_no_question_gets_its_verdict)
{
    unsigned char bytes[512];
    struct dns_query q;
    size_t n = question(bytes, "web", DNS_A, 1232);
    CHECK(dns_query_read(bytes, 11, &q) == DNS_DROP);
    CHECK(dns_query_read(bytes, 14, &q) == DNS_MALFORMED);
    bytes[2] |= 0x80;
    CHECK(dns_query_read(bytes, n, &q) == DNS_DROP);
    bytes[2] = 0x28; /* update */
    CHECK(dns_query_read(bytes, n, &q) == DNS_UNKNOWN);
    bytes[2] = 1;
    bytes[5] = 2;
    CHECK(dns_query_read(bytes, n, &q) == DNS_MALFORMED);
    bytes[5] = 1;
    bytes[n - 5] = 1; /* EDNS version 1: after type and size come the extended code and this */
    CHECK(dns_query_read(bytes, n, &q) == DNS_VERSION);
}

static void count(void *ctx, const struct ip *a, uint32_t ttl_s)
{
    size_t *n = ctx;
    *n += a->family == AF_INET && a->bytes[0] == 10 && ttl_s == 7;
}

TEST(an_answer_has_its_addresses_and_is_cut_where_it_does_not_fit)
{
    struct dns_query q = read_ok("many", DNS_A, 1232);
    struct ip addresses[60];
    unsigned char out[DNS_UDP_MAX];
    size_t seen = 0;
    for (size_t i = 0; i < ARRAY_SIZE(addresses); i++)
        addresses[i] = ip4_of(0x0a000000u + (uint32_t)i);
    const struct dns_answer a = { .addresses = addresses, .addresses_n = ARRAY_SIZE(addresses), .ttl_s = 7 };
    size_t n = dns_answer_write(&q, &a, q.udp_size, out);
    CHECK(n > DNS_UDP_PLAIN && n <= 1232);
    CHECK(dns_reply_fits(out, n, &q, 0x1234) && !dns_reply_truncated(out));
    CHECK(!dns_reply_fits(out, n, &q, 0x1235));
    dns_reply_addresses(out, n, count, &seen);
    CHECK(seen == ARRAY_SIZE(addresses));
    n = dns_answer_write(&q, &a, DNS_UDP_PLAIN, out);
    CHECK(n && n < 100 && dns_reply_truncated(out) && dns_reply_fits(out, n, &q, 0x1234));
}

TEST(an_answer_to_another_question_does_not_fit)
{
    struct dns_query q = read_ok("web", DNS_A, 0), other = read_ok("wob", DNS_A, 0), type = read_ok("web", DNS_AAAA, 0);
    unsigned char out[DNS_UDP_MAX];
    size_t n = dns_answer_write(&q, &(struct dns_answer){ .rcode = DNS_NXDOMAIN }, DNS_UDP_MAX, out);
    CHECK(n && dns_reply_rcode(out) == DNS_NXDOMAIN);
    CHECK(dns_reply_fits(out, n, &q, 0x1234));
    CHECK(!dns_reply_fits(out, n, &other, 0x1234) && !dns_reply_fits(out, n, &type, 0x1234));
}

TEST(a_long_answer_from_outside_is_cut_to_its_question)
{
    struct dns_query q = read_ok("web.example", DNS_A, 1232);
    const struct ip address = ip4_of(0x0a000001);
    unsigned char out[DNS_UDP_MAX];
    size_t n = dns_answer_write(&q, &(struct dns_answer){ .addresses = &address, .addresses_n = 1 }, DNS_UDP_MAX, out);
    size_t cut = dns_reply_cut(out, n);
    CHECK(cut == 12 + 13 + 4 && dns_reply_truncated(out) && dns_reply_fits(out, cut, &q, 0x1234));
}

TEST(addresses_are_read_from_names)
{
    struct ip a;
    char buf[IP_TEXT];
    CHECK(dns_reverse_parse("3.0.99.10.in-addr.arpa", &a));
    assert_string_equal(ip_text(&a, buf), "10.99.0.3");
    CHECK(dns_reverse_parse("2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.9.9.d.f.ip6.arpa", &a));
    assert_string_equal(ip_text(&a, buf), "fd99::2");
    CHECK(!dns_reverse_parse("256.0.99.10.in-addr.arpa", &a));
    CHECK(!dns_reverse_parse("99.10.in-addr.arpa", &a));
    CHECK(!dns_reverse_parse("g.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.9.9.d.f.ip6.arpa", &a));
}
