// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include "base/mem.h"
#include "network/address.h"

static struct ip ip(const char *text)
{
    struct ip r = { 0 };
    CHECK_OK(ip_parse(text, &r));
    return r;
}

static struct prefix prefix(const char *text)
{
    struct prefix r = { 0 };
    CHECK_OK(prefix_parse(text, &r));
    return r;
}

TEST(addresses_and_networks_are_read_and_written)
{
    static const char *const same[] = { "10.88.0.1", "0.0.0.0", "255.255.255.255", "fd00::1", "::", "::1" };
    char buf[PREFIX_TEXT];
    for (size_t i = 0; i < ARRAY_SIZE(same); i++) {
        struct ip a = ip(same[i]);
        assert_string_equal(ip_text(&a, buf), same[i]);
    }
    struct ip in_brackets = ip("[fd00::2]");
    assert_string_equal(ip_text(&in_brackets, buf), "fd00::2");
    struct prefix p = prefix("10.1.2.3/20"), bare = prefix("fd00::7");
    assert_string_equal(prefix_text(&p, buf), "10.1.2.3/20");
    assert_string_equal(prefix_text(&bare, buf), "fd00::7");
    CHECK(bare.len == -1);
}

TEST(what_is_no_address_is_refused_by_name)
{
    static const char *const wrong[] = { "",         "1.2.3",     "1.2.3.4.5",  "a.b.c.d",
                                         "fd00:::1", "[1.2.3.4]", "10.0.0.256", "1.2.3.4 " };
    struct ip r;
    struct prefix p;
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        CHECK_ERR(ip_parse(wrong[i], &r), ERR_INVALID);
    CHECK_SAYS(ip_parse("x", &r), "'x' is no IP address");
    CHECK_ERR(prefix_parse("10.0.0.0/33", &p), ERR_INVALID);
    CHECK_ERR(prefix_parse("fd00::/129", &p), ERR_INVALID);
    CHECK_ERR(prefix_parse("10.0.0.0/", &p), ERR_INVALID);
    CHECK_ERR(prefix_parse("10.0.0.0/-1", &p), ERR_INVALID);
}

TEST(addresses_are_numbers)
{
    struct ip a = ip("10.0.0.255"), b = ip_add(a, 1), c = ip_add(b, -1), six = ip("fd00::ffff:ffff:ffff:ffff");
    char buf[IP_TEXT];
    assert_string_equal(ip_text(&b, buf), "10.0.1.0");
    CHECK(ip_equal(&a, &c) && !ip_equal(&a, &b) && ip_compare(&a, &b) < 0);
    struct ip next = ip_add(six, 1), back = ip_add(next, -1);
    assert_string_equal(ip_text(&next, buf), "fd00:0:0:1::");
    CHECK(ip_equal(&six, &back));
    CHECK(ip_distance(&a, &b) == 1 && ip_distance(&b, &a) == INT64_MAX);
    struct ip zero = ip("::"), far = ip("fd00::");
    CHECK(ip_distance(&zero, &far) == INT64_MAX);
    CHECK(ip4_number(&a) == 0x0a0000ff);
    struct ip made = ip4_of(0x0a0000ff);
    CHECK(ip_equal(&made, &a));
}

TEST(networks_know_what_is_in_them)
{
    struct prefix p = prefix("10.88.5.0/20"), in = prefix("10.88.15.0/24"), out = prefix("10.88.16.0/24");
    struct prefix six = prefix("fd00:1::/64"), all = prefix("0.0.0.0/0");
    struct ip first = prefix_first(&p), last = prefix_last(&p), other = ip("fd00:1::5");
    char buf[IP_TEXT];
    assert_string_equal(ip_text(&first, buf), "10.88.0.0");
    assert_string_equal(ip_text(&last, buf), "10.88.15.255");
    CHECK(prefix_has(&p, &first) && prefix_has(&p, &last) && !prefix_has(&p, &other) && prefix_has(&six, &other));
    CHECK(prefix_overlaps(&p, &in) && prefix_overlaps(&in, &p) && !prefix_overlaps(&p, &out));
    CHECK(prefix_overlaps(&all, &out) && !prefix_overlaps(&all, &six));
}

TEST(hardware_addresses_are_read_and_made)
{
    uint8_t mac[6];
    char buf[MAC_TEXT];
    struct ip a = ip("10.88.0.5"), six = ip("fd00::1:2");
    CHECK_OK(mac_parse("02:42:AC-11:00:02", mac));
    assert_string_equal(mac_text(mac, buf), "02:42:ac:11:00:02");
    mac_of_ip(&a, mac);
    assert_string_equal(mac_text(mac, buf), "02:42:0a:58:00:05");
    mac_of_ip(&six, mac);
    assert_string_equal(mac_text(mac, buf), "02:42:00:01:00:02");
    static const char *const wrong[] = {
        "", "02:42", "02:42:ac:11:00:0g", "01:42:ac:11:00:02", "00:00:00:00:00:00", "02:42:ac:11:00:021"
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++)
        CHECK_ERR(mac_parse(wrong[i], mac), ERR_INVALID);
}
