/*
 * wire.h: DNS packets. Questions of containers and answers of strangers' servers are read here, by ldns, and by nothing
 * else; what is wrong in them is an answer to be given, not an error of ours.
 *
 * Source: RFC 1035 section 4 (format), RFC 6891 (EDNS0), RFC 2308 (NXDOMAIN and NODATA).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_DNS_WIRE_H
#define HUSK_DNS_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "network/address.h"

/* The longest packet that we send or take over UDP whatever a client offers: what fits one Ethernet frame, as the DNS
 * flag day of 2020 has it, is the client's to choose; this is our buffer. TCP has 16 bits of length. */
enum { DNS_UDP_MAX = 4096, DNS_UDP_PLAIN = 512, DNS_TCP_MAX = 65535, DNS_HEADER = 12, DNS_NAME_MAX = 256 };
enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_SOA = 6,
    DNS_PTR = 12,
    DNS_AAAA = 28,
    DNS_DS = 43,
    DNS_DNSKEY = 48,
    DNS_ANY = 255
};
enum dns_rcode { DNS_NOERROR, DNS_FORMERR, DNS_SERVFAIL, DNS_NXDOMAIN, DNS_NOTIMP, DNS_REFUSED, DNS_BADVERS = 16 };

struct dns_query {
    uint16_t id, type, class;
    uint16_t udp_size;       /* the most that the client takes in one datagram: 512 without EDNS */
    bool edns, recursion;    /* it has an OPT record; it asks for recursion */
    char name[DNS_NAME_MAX]; /* lower case, dots between labels, none at the end; "" is the root */
    bool plain;              /* false: a label has bytes that no host name has, and name is "" */
};

/* What to do with a packet that came for us. */
enum dns_verdict {
    DNS_ASKED,     /* one question of class IN, or another class, in *ret */
    DNS_DROP,      /* too short to be answered, or an answer itself: answering it could go on for ever */
    DNS_MALFORMED, /* FORMERR */
    DNS_UNKNOWN,   /* NOTIMP: an operation other than a query */
    DNS_VERSION,   /* BADVERS: an EDNS version other than 0 */
};
enum dns_verdict dns_query_read(const unsigned char *bytes, size_t n, struct dns_query *ret);

/* Records of one answer; all of the question's own name and type. */
struct dns_answer {
    enum dns_rcode rcode;
    const struct ip *addresses; /* A or AAAA, as the question asks: all of one family */
    size_t addresses_n;
    const char *const *names; /* PTR */
    size_t names_n;
    uint32_t ttl_s;
};
/**
 * dns_answer_write - the packet; one that would be longer than limit has no records and says that it was cut, so that
 * the client comes again over TCP.
 * @out: room for limit bytes. Answers the length; 0: nothing can be answered (no memory).
 */
size_t dns_answer_write(const struct dns_query *q, const struct dns_answer *a, size_t limit, unsigned char *out);
/* An answer without records to a packet of which only the header may be sound; n >= DNS_HEADER. Answers DNS_HEADER. */
size_t dns_refuse(const unsigned char *bytes, enum dns_rcode rcode, unsigned char out[DNS_HEADER]);

/* Whether bytes are an answer to exactly this question under this id: everything else that comes is dropped. */
bool dns_reply_fits(const unsigned char *bytes, size_t n, const struct dns_query *q, uint16_t id);
bool dns_reply_truncated(const unsigned char *bytes); /* of a packet that fits */
enum dns_rcode dns_reply_rcode(const unsigned char *bytes);
/* The address records of an answer, with the time to live of each. */
typedef void dns_address_fn(void *ctx, const struct ip *a, uint32_t ttl_s);
void dns_reply_addresses(const unsigned char *bytes, size_t n, dns_address_fn *fn, void *ctx);
/* Cuts an answer down to its header and question and says so, for a client that takes less. Answers the length, <= n.
 */
size_t dns_reply_cut(unsigned char *bytes, size_t n);

/* "4.3.2.10.in-addr.arpa" and the ip6.arpa form; false: none. */
bool dns_reverse_parse(const char *name, struct ip *ret);

#endif
