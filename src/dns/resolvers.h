/*
 * resolvers.h: the host's name servers, and those that a user named. Source: resolv.conf(5).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_DNS_RESOLVERS_H
#define HUSK_DNS_RESOLVERS_H

#include <netinet/in.h>
#include <stdint.h>
#include <sys/stat.h>

#include "base/mem.h"

enum { RESOLVERS_MAX = 3, DNS_PORT = 53 }; /* MAXNS */
union resolver_address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};
struct resolvers {
    union resolver_address servers[RESOLVERS_MAX];
    size_t n;
};
socklen_t resolver_size(const union resolver_address *a);
bool resolver_equal(const union resolver_address *a, const union resolver_address *b);
/* "192.0.2.1", "2001:db8::1", "fe80::1%eth0"; false: none of them. */
bool resolver_parse(const char *text, union resolver_address *ret);
/* Text with the format of resolv.conf(5): the first three of its "nameserver" lines that hold an address. */
void resolvers_parse(const char *text, struct resolvers *ret);
void resolvers_of(const struct strv *texts, struct resolvers *ret);

/* /etc/resolv.conf as it is now: looked at again once a second at most, read again when it has changed. No such file:
 * no servers. */
struct host_resolvers {
    struct resolvers now;
    struct stat seen;
    int64_t looked_ns;
};
const struct resolvers *host_resolvers(struct host_resolvers *h, int64_t now_ns);

#endif
