// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include "network/egress.h"

static void read_one(const char *text, struct egress *ret)
{
    *ret = (struct egress){ 0 };
    CHECK_OK(egress_parse(text, ret));
}

TEST(hosts_are_addresses_networks_and_names_with_ports_or_without)
{
    static const struct {
        const char *text, *name, *to;
        uint16_t first, last;
    } rows[] = {
        { "192.0.2.1", NULL, "192.0.2.1/32", 0, 65535 },
        { "192.0.2.1:80", NULL, "192.0.2.1/32", 80, 80 },
        { "10.0.0.0/8:8000-8010", NULL, "10.0.0.0/8", 8000, 8010 },
        { "2001:db8::1", NULL, "2001:db8::1/128", 0, 65535 },
        { "2001:db8::/32", NULL, "2001:db8::/32", 0, 65535 },
        { "[2001:db8::1]:443", NULL, "2001:db8::1/128", 443, 443 },
        { "[2001:db8::/32]:443", NULL, "2001:db8::/32", 443, 443 },
        { "Example.ORG.", "example.org", NULL, 0, 65535 },
        { "*.example.org:443", "*.example.org", NULL, 443, 443 },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        own(egress) struct egress e = { 0 };
        own_mem char *word = mem_printf("allow=%s", rows[i].text);
        char text[PREFIX_TEXT];
        read_one(word, &e);
        assert_int_equal(e.n, 1);
        assert_int_equal(e.rules[0].first, rows[i].first);
        assert_int_equal(e.rules[0].last, rows[i].last);
        if (rows[i].name)
            assert_string_equal(e.rules[0].name, rows[i].name);
        else
            assert_string_equal(prefix_text(&e.rules[0].to, text), rows[i].to);
    }
}

TEST(what_is_no_host_is_refused)
{
    static const char *const wrong[] = { "",           "allow",        "allow=",      "denied",
                                         "allow=a b",  "allow=x:0",    "allow=x:1-",  "allow=x:9-8",
                                         "allow=[::1", "allow=[::1]x", "allow=1.2.3", "allow=10.0.0.0/33",
                                         "allow=*",    "allow=*.",     "allow=.x",    "allow=a..b",
                                         "allow=x,",   "allow=x:65536" };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        own(egress) struct egress e = { 0 };
        own(err) err *failed = egress_parse(wrong[i], &e);
        if (!failed && strcmp(wrong[i], "allow=x,") != 0) /* an empty word at the end is none */
            fail_msg("'%s' was taken", wrong[i]);
    }
}

TEST(names_are_themselves_or_below_a_star_and_nothing_else)
{
    own(egress) struct egress e = { 0 };
    read_one("allow=example.org,*.example.net", &e);
    assert_true(egress_allows_name(&e, "example.org"));
    assert_true(egress_allows_name(&e, "a.b.example.net"));
    assert_false(egress_allows_name(&e, "example.net"));
    assert_false(egress_allows_name(&e, "notexample.net"));
    assert_false(egress_allows_name(&e, "www.example.org"));
    assert_false(egress_allows_name(&e, ""));
    assert_true(egress_has_names(&e));
}

TEST(an_address_is_limited_and_reaches_networks_of_its_family)
{
    own(egress) struct egress e = { 0 };
    struct firewall_reach *reach = NULL;
    size_t n = 0;
    struct ip from = ip4_of(0x0a000002), none = { 0 };
    read_one("allow=10.1.0.0/16:80,2001:db8::/32,example.org", &e);
    egress_elements(&e, &none, "hk0", &reach, &n);
    assert_int_equal(n, 0);
    egress_elements(&e, &from, "hk0", &reach, &n);
    assert_int_equal(n, 2);
    assert_false(ip_is_set(&reach[0].to));
    assert_int_equal(ip4_number(&reach[1].to), 0x0a010000);
    assert_int_equal(ip4_number(&reach[1].to_last), 0x0a01ffff);
    assert_string_equal(reach[0].port, "hk0");
    assert_string_equal(reach[1].port, "");
    egress_port(&e, "hk0", &reach, &n);
    assert_int_equal(n, 3);
    assert_false(ip_is_set(&reach[2].from) || ip_is_set(&reach[2].to));
    assert_string_equal(reach[2].port, "hk0");
    free(reach);
}
