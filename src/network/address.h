/*
 * address.h: IP addresses, networks and hardware addresses as values: text, arithmetic, comparison.
 *
 * Source: inet_pton(3), RFC 4291, RFC 5952 (text), RFC 4632 (CIDR); IEEE 802 (locally administered addresses).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_NETWORK_ADDRESS_H
#define HUSK_NETWORK_ADDRESS_H

#include <stdint.h>
#include <sys/socket.h>

#include "base/err.h"

/* Zero-initialised it is none. */
struct ip {
    int family;        /* 0: none; AF_INET: the first four bytes; AF_INET6 */
    uint8_t bytes[16]; /* network order; the rest is 0, so memcmp compares */
};
struct prefix {
    struct ip ip; /* as it was given: an address within, or the network's own */
    int len;      /* -1: none was given */
};
enum { IP_TEXT = 46, PREFIX_TEXT = 50, MAC_TEXT = 18 };

static inline bool ip_is_set(const struct ip *ip)
{
    return ip->family != 0;
}
static inline int ip_bits(const struct ip *ip)
{
    return ip->family == AF_INET6 ? 128 : 32;
}
static inline size_t ip_size(const struct ip *ip)
{
    return ip->family == AF_INET6 ? 16 : 4;
}
/* INVALID: "'x' is no IP address". Brackets around IPv6 are fine. */
fallible ip_parse(const char *text, struct ip *ret);
/* "ADDRESS/LENGTH"; the length may be left out, then it is -1. */
fallible prefix_parse(const char *text, struct prefix *ret);
/* "" for none. Answer buf. */
const char *ip_text(const struct ip *ip, char buf[IP_TEXT]);
const char *prefix_text(const struct prefix *p, char buf[PREFIX_TEXT]);

/* None of one family sorts before all; IPv4 before IPv6; else by number. */
int ip_compare(const struct ip *a, const struct ip *b);
bool ip_equal(const struct ip *a, const struct ip *b);
/* ip + n; beyond the last address it begins again at 0. n may be negative. */
struct ip ip_add(struct ip ip, int64_t n);
/* b - a when it fits and a <= b, else INT64_MAX. */
int64_t ip_distance(const struct ip *a, const struct ip *b);
/* 32 bits, host order, of an IPv4 address, and back. */
uint32_t ip4_number(const struct ip *ip);
struct ip ip4_of(uint32_t number);

struct ip prefix_first(const struct prefix *p); /* all host bits 0: the network */
struct ip prefix_last(const struct prefix *p);  /* all host bits 1: of IPv4 the broadcast */
bool prefix_has(const struct prefix *p, const struct ip *ip);
bool prefix_overlaps(const struct prefix *a, const struct prefix *b);

/* "02:42:0a:58:00:05" into six bytes; INVALID for text that is none, for groups and for zero. */
fallible mac_parse(const char *text, uint8_t ret[6]);
const char *mac_text(const uint8_t mac[6], char buf[MAC_TEXT]);
/* Made of the address, as docker does, so that who gets an address again is known by its neighbours already. */
void mac_of_ip(const struct ip *ip, uint8_t ret[6]);

#endif
