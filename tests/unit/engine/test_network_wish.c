// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include "engine/network_wish.h"

/* Rows as one line: "tcp 80 <- 127.0.0.1:8080". */
static char *ports_line(const struct db_ports *l)
{
    struct str s = { 0 };
    for (size_t i = 0; i < l->n; i++)
        str_printf(&s, "%s%s %d <- %s:%d", i ? ", " : "", l->items[i].proto, (int)l->items[i].container_port,
                   l->items[i].host_ip, (int)l->items[i].want_port);
    return str_take(&s);
}

TEST(ports_are_read_in_all_of_their_forms)
{
    static const char *const rows[][2] = {
        { "80", "tcp 80 <- :0" },
        { "8080:80", "tcp 80 <- :8080" },
        { "8080:80/udp", "udp 80 <- :8080" },
        { "127.0.0.1:8080:80", "tcp 80 <- 127.0.0.1:8080" },
        { "127.0.0.1::80", "tcp 80 <- 127.0.0.1:0" },
        { "0.0.0.0:8080:80", "tcp 80 <- :8080" },
        { "[::1]:8080:80", "tcp 80 <- ::1:8080" },
        { "8000-8001:80-81/sctp", "sctp 80 <- :8000, sctp 81 <- :8001" },
        { "80-81", "tcp 80 <- :0, tcp 81 <- :0" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        own(db_ports) struct db_ports l = { 0 };
        CHECK_OK(network_port_parse(rows[i][0], &l));
        own_mem char *line = ports_line(&l);
        assert_string_equal(line, rows[i][1]);
    }
}

TEST(what_is_no_port_is_refused)
{
    static const char *const wrong[] = { "",        ":",     "x",         "0",           "65536", "80/icmp",
                                         "1:2:3:4", "90-80", "1-3:80-81", "1.2.3:80:80", "80:" };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        own(db_ports) struct db_ports l = { 0 };
        CHECK_ERR(network_port_parse(wrong[i], &l), ERR_INVALID);
    }
}

TEST(a_network_is_read_as_docker_and_as_podman_write_it)
{
    static const char *const texts[] = {
        "net:ip=10.0.0.5,mac=02:00:00:00:00:05,alias=web,alias=www,interface=lan,gw-priority=-3",
        "name=net,ip=10.0.0.5,mac-address=02:00:00:00:00:05,alias=web,alias=www,interface_name=lan,gw-priority=-3"
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        struct db_endpoint e;
        CHECK_OK(network_wish_parse(texts[i], &e));
        assert_string_equal(e.network, "net");
        assert_string_equal(e.interface, "lan");
        assert_string_equal(e.want_mac, "02:00:00:00:00:05");
        CHECK(network_gateway_priority(&e) == -3);
        CHECK(e.aliases.n == 2 && ip4_number(&e.want_ip4) == 0x0a000005);
        db_endpoint_clear(&e);
    }
}

TEST(what_is_no_network_is_refused)
{
    static const char *const wrong[] = {
        "",          ":ip=10.0.0.1",      "net:ip", "net:ip=x",         "net:nope=1",
        "net:mac=x", "net:interface=a/b", "name=",  "net:gw-priority=", "net:gw-priority=1x"
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct db_endpoint e;
        CHECK_ERR(network_wish_parse(wrong[i], &e), ERR_INVALID);
    }
}
