// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include "base/mem.h"
#include "dns/names.h"
#include "dns/resolvers.h"

static bool connected(void *ctx, const char *id)
{
    const char *gone = ctx;
    return strcmp(id, gone) != 0;
}

/* web on front; db on front and back; job on back, which is internal. */
struct world {
    struct dns_names *names;
    size_t front, back;
    struct dns_found found;
};

static void endpoint(struct dns_names *n, size_t container, size_t network, uint32_t number, const char *name,
                     const char *alias)
{
    own_strv struct strv names = { 0 };
    const struct ip ip = ip4_of(number);
    strv_add(&names, name);
    strv_add(&names, alias);
    dns_names_add_endpoint(n, container, network, &ip, 1, &names);
}

static void make(struct world *w, const char *gone)
{
    struct prefix front, back;
    struct strv none = { 0 };
    own_strv struct strv servers = { 0 };
    CHECK_OK(prefix_parse("10.1.0.0/24", &front));
    CHECK_OK(prefix_parse("10.2.0.0/24", &back));
    strv_add(&servers, "192.0.2.53");
    w->names = dns_names_new();
    w->front = dns_names_add_network(w->names, "f", "Front", false, &none);
    w->back = dns_names_add_network(w->names, "b", "back", true, &none);
    dns_names_add_subnet(w->names, w->front, &front);
    dns_names_add_subnet(w->names, w->back, &back);
    size_t web = dns_names_add_container(w->names, "web", &servers, &none);
    endpoint(w->names, web, w->front, 0x0a010002, "web", "all");
    size_t db = dns_names_add_container(w->names, "db", &none, &none);
    endpoint(w->names, db, w->front, 0x0a010003, "Db", "all");
    endpoint(w->names, db, w->back, 0x0a020003, "Db", "all");
    size_t job = dns_names_add_container(w->names, "job", &none, &none);
    endpoint(w->names, job, w->back, 0x0a020004, "job", "all");
    dns_names_seal(w->names, connected, (void *)(uintptr_t)gone);
}

static enum dns_outcome ask(struct world *w, size_t network, uint32_t from, const char *name, uint16_t type)
{
    struct dns_query q = { .type = type, .class = 1, .plain = true };
    const struct ip ip = ip4_of(from);
    (void)snprintf(q.name, sizeof q.name, "%s", name);
    return dns_names_find(w->names, network, &ip, &q, 0, &w->found);
}

TEST(a_container_sees_the_names_of_networks_that_it_shares)
{
    struct world w;
    make(&w, "");
    CHECK(ask(&w, w.front, 0x0a010002, "db", DNS_A) == DNS_HERE);
    CHECK(w.found.addresses_n == 1 && ip4_number(&w.found.addresses[0]) == 0x0a010003);
    CHECK(ask(&w, w.front, 0x0a010002, "db.front", DNS_A) == DNS_HERE);
    CHECK(ask(&w, w.front, 0x0a010002, "job", DNS_A) == DNS_NOWHERE);
    CHECK(ask(&w, w.front, 0x0a010003, "job", DNS_A) == DNS_HERE); /* db is on both */
    CHECK(ask(&w, w.front, 0x0a010002, "all", DNS_A) == DNS_HERE && w.found.addresses_n == 2);
    CHECK(ask(&w, w.back, 0x0a020003, "all", DNS_A) == DNS_HERE && w.found.addresses_n == 4);
    CHECK(ask(&w, w.front, 0x0a010002, "db", DNS_AAAA) == DNS_HERE && w.found.addresses_n == 0);
    dns_names_free(w.names);
}

TEST(what_one_container_calls_another_is_known_to_it_alone)
{
    struct world w;
    make(&w, "");
    dns_names_add_link(w.names, 0, "Shop", "DB"); /* 0: web */
    CHECK(ask(&w, w.front, 0x0a010002, "shop", DNS_A) == DNS_HERE);
    CHECK(w.found.addresses_n == 1 && ip4_number(&w.found.addresses[0]) == 0x0a010003);
    CHECK(ask(&w, w.front, 0x0a010003, "shop", DNS_A) == DNS_NOWHERE);
    dns_names_free(w.names);
}

TEST(addresses_have_names_and_those_of_nobody_have_none)
{
    struct world w;
    make(&w, "");
    CHECK(ask(&w, w.front, 0x0a010002, "3.0.1.10.in-addr.arpa", DNS_PTR) == DNS_HERE);
    CHECK(w.found.names_n == 1);
    assert_string_equal(w.found.names[0], "Db.front");
    CHECK(ask(&w, w.front, 0x0a010002, "9.0.1.10.in-addr.arpa", DNS_PTR) == DNS_NOWHERE);
    CHECK(ask(&w, w.front, 0x0a010002, "3.0.2.10.in-addr.arpa", DNS_PTR) == DNS_OUTSIDE); /* not its network */
    CHECK(ask(&w, w.front, 0x0a010002, "8.8.8.8.in-addr.arpa", DNS_PTR) == DNS_OUTSIDE);
    dns_names_free(w.names);
}

TEST(strangers_are_refused_and_internal_networks_ask_nobody)
{
    struct world w;
    make(&w, "");
    CHECK(ask(&w, w.front, 0x0a020004, "web", DNS_A) == DNS_FORBID);
    CHECK(ask(&w, w.front, 0x08080808, "web", DNS_A) == DNS_FORBID);
    CHECK(ask(&w, w.back, 0x0a020004, "example.org", DNS_A) == DNS_NOWHERE);
    CHECK(ask(&w, w.back, 0x0a020003, "example.org", DNS_A) == DNS_OUTSIDE); /* it is on the other as well */
    CHECK(ask(&w, w.front, 0x0a010002, "example.org", DNS_A) == DNS_OUTSIDE);
    CHECK(w.found.servers && w.found.servers->n == 1);
    assert_string_equal(w.found.container, "web");
    CHECK(ask(&w, w.front, 0x0a010002, "org", DNS_NS) == DNS_OUTSIDE);
    CHECK(ask(&w, w.front, 0x0a010001, "web", DNS_A) == DNS_HERE); /* the host */
    dns_names_free(w.names);
}

TEST(what_is_not_connected_has_no_name)
{
    struct world w;
    make(&w, "db");
    CHECK(ask(&w, w.front, 0x0a010002, "db", DNS_A) == DNS_NOWHERE);
    CHECK(ask(&w, w.front, 0x0a010002, "all", DNS_A) == DNS_HERE && w.found.addresses_n == 1);
    CHECK(ask(&w, w.front, 0x0a010002, "3.0.1.10.in-addr.arpa", DNS_PTR) == DNS_NOWHERE);
    CHECK(dns_names_in_use(w.names));
    dns_names_free(w.names);
}

TEST(the_hosts_servers_are_read_as_the_c_library_reads_them)
{
    struct resolvers r;
    resolvers_parse("# nameserver 1.1.1.1\nsearch x\nnameserver\t192.0.2.1 # first\nnameserver nonsense\n"
                    "nameservers 9.9.9.9\nnameserver ::1\nnameserver 127.0.0.53\nnameserver 192.0.2.4\n",
                    &r);
    CHECK(r.n == 3);
    CHECK(r.servers[0].any.sa_family == AF_INET && r.servers[1].any.sa_family == AF_INET6);
    CHECK(r.servers[2].v4.sin_port == htons(53));
    CHECK(resolver_equal(&r.servers[1], &r.servers[1]) && !resolver_equal(&r.servers[0], &r.servers[2]));
    resolvers_parse("", &r);
    CHECK(r.n == 0);
    resolvers_parse("nameserver fe80::1%lo", &r);
    CHECK(r.n == 1 && r.servers[0].v6.sin6_scope_id == 1);
    resolvers_parse("nameserver fe80::1%nothing0", &r);
    CHECK(r.n == 0);
}
