// SPDX-License-Identifier: GPL-2.0-or-later
#include "dns/wire.h"

#include <ctype.h>
#include <ldns/ldns.h>
#include <string.h>

#include "base/own.h"

OWN_TYPE(pkt, ldns_pkt *, ldns_pkt_free)

/* Bytes of the header: RFC 1035 section 4.1.1. */
enum { AT_FLAGS = 2, AT_CODES = 3, QR = 0x80, OPCODE = 0x78, TC = 0x02, RD = 0x01, RA = 0x80, RCODE = 0x0f };
/* The size that we offer, and the least that an offer means. */
enum { EDNS_SIZE = 1232, CLASS_IN = 1 };

static uint16_t be16(const unsigned char *b)
{
    return (uint16_t)(b[0] << 8 | b[1]);
}

static bool host_byte(unsigned char c)
{
    return isalnum(c) || c == '-' || c == '_' || c == '/' || c == '+' || c == '~' || c == '@' || c == '*';
}

/* A name of labels with their lengths before them, to text. */
static bool name_text(const ldns_rdf *owner, char out[DNS_NAME_MAX])
{
    const unsigned char *at = ldns_rdf_data(owner);
    size_t left = ldns_rdf_size(owner), n = 0;
    while (left && *at) {
        size_t label = *at++;
        left--;
        if (label > left || n + label + 2 > DNS_NAME_MAX)
            return false;
        if (n)
            out[n++] = '.';
        for (size_t i = 0; i < label; i++) {
            if (!host_byte(at[i]))
                return false;
            out[n++] = (char)tolower(at[i]);
        }
        at += label;
        left -= label;
    }
    out[n] = '\0';
    return true;
}

enum dns_verdict dns_query_read(const unsigned char *bytes, size_t n, struct dns_query *ret)
{
    own(pkt) ldns_pkt *p = NULL;
    struct dns_query q = { 0 };
    if (n < DNS_HEADER || bytes[AT_FLAGS] & QR)
        return DNS_DROP;
    if (bytes[AT_FLAGS] & OPCODE)
        return DNS_UNKNOWN;
    if (n > DNS_TCP_MAX || be16(bytes + 4) != 1 || ldns_wire2pkt(&p, bytes, n) != LDNS_STATUS_OK ||
        ldns_rr_list_rr_count(ldns_pkt_question(p)) != 1)
        return DNS_MALFORMED;
    const ldns_rr *question = ldns_rr_list_rr(ldns_pkt_question(p), 0);
    q.id = be16(bytes);
    q.recursion = bytes[AT_FLAGS] & RD;
    q.type = (uint16_t)ldns_rr_get_type(question);
    q.class = (uint16_t)ldns_rr_get_class(question);
    q.edns = ldns_pkt_edns(p);
    q.udp_size = DNS_UDP_PLAIN;
    if (q.edns && ldns_pkt_edns_udp_size(p) > DNS_UDP_PLAIN)
        q.udp_size = ldns_pkt_edns_udp_size(p);
    if (q.udp_size > DNS_UDP_MAX)
        q.udp_size = DNS_UDP_MAX;
    q.plain = name_text(ldns_rr_owner(question), q.name);
    if (!q.plain)
        q.name[0] = '\0';
    *ret = q;
    return q.edns && ldns_pkt_edns_version(p) != 0 ? DNS_VERSION : DNS_ASKED;
}

static ldns_rr *record_new(const ldns_rdf *owner, uint16_t type, uint32_t ttl_s, ldns_rdf *take_data)
{
    ldns_rr *rr = ldns_rr_new();
    if (!rr || !take_data) {
        ldns_rr_free(rr);
        ldns_rdf_deep_free(take_data);
        return NULL;
    }
    ldns_rr_set_owner(rr, ldns_rdf_clone(owner));
    ldns_rr_set_type(rr, type);
    ldns_rr_set_class(rr, LDNS_RR_CLASS_IN);
    ldns_rr_set_ttl(rr, ttl_s);
    (void)ldns_rr_push_rdf(rr, take_data);
    return rr;
}

static bool add_records(ldns_pkt *p, const struct dns_query *q, const struct dns_answer *a, const ldns_rdf *owner)
{
    for (size_t i = 0; i < a->addresses_n; i++) {
        const struct ip *x = &a->addresses[i];
        bool v6 = x->family == AF_INET6;
        ldns_rdf *data = ldns_rdf_new_frm_data(v6 ? LDNS_RDF_TYPE_AAAA : LDNS_RDF_TYPE_A, ip_size(x), x->bytes);
        ldns_rr *rr = record_new(owner, v6 ? DNS_AAAA : DNS_A, a->ttl_s, data);
        if (!rr || !ldns_pkt_push_rr(p, LDNS_SECTION_ANSWER, rr))
            return false;
    }
    for (size_t i = 0; i < a->names_n; i++) {
        ldns_rr *rr = record_new(owner, q->type, a->ttl_s, ldns_dname_new_frm_str(a->names[i]));
        if (!rr || !ldns_pkt_push_rr(p, LDNS_SECTION_ANSWER, rr))
            return false;
    }
    return true;
}

/* The question, and the flags and the OPT record that every answer has. */
static ldns_pkt *answer_new(const struct dns_query *q, enum dns_rcode rcode, const ldns_rdf *owner)
{
    own(pkt) ldns_pkt *p = ldns_pkt_new();
    ldns_rr *question = ldns_rr_new();
    if (!p || !question) {
        ldns_rr_free(question);
        return NULL;
    }
    ldns_rr_set_owner(question, ldns_rdf_clone(owner));
    ldns_rr_set_type(question, q->type);
    ldns_rr_set_class(question, q->class);
    ldns_rr_set_question(question, true);
    if (!ldns_pkt_push_rr(p, LDNS_SECTION_QUESTION, question))
        return NULL;
    ldns_pkt_set_id(p, q->id);
    ldns_pkt_set_qr(p, true);
    ldns_pkt_set_rd(p, q->recursion);
    ldns_pkt_set_ra(p, true);
    ldns_pkt_set_rcode(p, (unsigned char)(rcode & RCODE));
    if (q->edns) {
        ldns_pkt_set_edns_udp_size(p, EDNS_SIZE);
        ldns_pkt_set_edns_extended_rcode(p, (unsigned char)(rcode >> 4));
    }
    return take(p);
}

static size_t to_wire(const ldns_pkt *p, size_t limit, unsigned char *out)
{
    own_mem uint8_t *bytes = NULL;
    size_t n = 0;
    if (ldns_pkt2wire(&bytes, p, &n) != LDNS_STATUS_OK)
        return 0;
    if (n <= limit)
        memcpy(out, bytes, n);
    return n;
}

size_t dns_answer_write(const struct dns_query *q, const struct dns_answer *a, size_t limit, unsigned char *out)
{
    ldns_rdf *owner = *q->name ? ldns_dname_new_frm_str(q->name) : ldns_dname_new_frm_data(1, "");
    if (!owner)
        return 0;
    own(pkt) ldns_pkt *p = answer_new(q, a->rcode, owner);
    size_t n = p && add_records(p, q, a, owner) ? to_wire(p, limit, out) : 0;
    if (n > limit) {
        ldns_pkt_free(p);
        p = answer_new(q, a->rcode, owner);
        if (p)
            ldns_pkt_set_tc(p, true);
        n = p ? to_wire(p, limit, out) : 0;
    }
    ldns_rdf_deep_free(owner);
    return n <= limit ? n : 0;
}

size_t dns_refuse(const unsigned char *bytes, enum dns_rcode rcode, unsigned char out[DNS_HEADER])
{
    memset(out, 0, DNS_HEADER);
    memcpy(out, bytes, 2);
    out[AT_FLAGS] = (unsigned char)(QR | (bytes[AT_FLAGS] & (OPCODE | RD)));
    out[AT_CODES] = (unsigned char)(RA | (rcode & RCODE));
    return DNS_HEADER;
}

bool dns_reply_fits(const unsigned char *bytes, size_t n, const struct dns_query *q, uint16_t id)
{
    own(pkt) ldns_pkt *p = NULL;
    char name[DNS_NAME_MAX];
    if (n < DNS_HEADER || n > DNS_TCP_MAX || be16(bytes) != id || !(bytes[AT_FLAGS] & QR) || bytes[AT_FLAGS] & OPCODE ||
        be16(bytes + 4) != 1)
        return false;
    if (ldns_wire2pkt(&p, bytes, n) != LDNS_STATUS_OK || ldns_rr_list_rr_count(ldns_pkt_question(p)) != 1)
        return false;
    const ldns_rr *question = ldns_rr_list_rr(ldns_pkt_question(p), 0);
    if (ldns_rr_get_type(question) != q->type || ldns_rr_get_class(question) != q->class)
        return false;
    bool plain = name_text(ldns_rr_owner(question), name);
    return plain == q->plain && (!plain || strcmp(name, q->name) == 0);
}

bool dns_reply_truncated(const unsigned char *bytes)
{
    return bytes[AT_FLAGS] & TC;
}

enum dns_rcode dns_reply_rcode(const unsigned char *bytes)
{
    return (enum dns_rcode)(bytes[AT_CODES] & RCODE);
}

void dns_reply_addresses(const unsigned char *bytes, size_t n, dns_address_fn *fn, void *ctx)
{
    own(pkt) ldns_pkt *p = NULL;
    if (n < DNS_HEADER || n > DNS_TCP_MAX || ldns_wire2pkt(&p, bytes, n) != LDNS_STATUS_OK)
        return;
    const ldns_rr_list *answers = ldns_pkt_answer(p);
    for (size_t i = 0; i < ldns_rr_list_rr_count(answers); i++) {
        const ldns_rr *rr = ldns_rr_list_rr(answers, i);
        const ldns_rdf *data = ldns_rr_rdf(rr, 0);
        bool v6 = ldns_rr_get_type(rr) == LDNS_RR_TYPE_AAAA;
        struct ip a = { .family = v6 ? AF_INET6 : AF_INET };
        size_t size = ip_size(&a);
        if ((!v6 && ldns_rr_get_type(rr) != LDNS_RR_TYPE_A) || ldns_rr_get_class(rr) != LDNS_RR_CLASS_IN || !data ||
            ldns_rdf_size(data) != size)
            continue;
        memcpy(a.bytes, ldns_rdf_data(data), size);
        fn(ctx, &a, ldns_rr_ttl(rr));
    }
}

size_t dns_reply_cut(unsigned char *bytes, size_t n)
{
    size_t at = DNS_HEADER;
    while (at < n && bytes[at]) {
        if (bytes[at] & 0xc0) { /* a pointer in the first name of a packet leads nowhere sound */
            at = n;
            break;
        }
        at += (size_t)bytes[at] + 1;
    }
    at += 5; /* the root label, type and class */
    if (at > n) {
        at = DNS_HEADER;
        memset(bytes + 4, 0, 2);
    }
    memset(bytes + 6, 0, 6);
    bytes[AT_FLAGS] |= TC;
    return at;
}

static bool reverse4(const char *name, struct ip *ret)
{
    unsigned b[4];
    char rest[16] = "";
    if (sscanf(name, "%3u.%3u.%3u.%3u.%15s", &b[3], &b[2], &b[1], &b[0], rest) != 5 ||
        strcmp(rest, "in-addr.arpa") != 0)
        return false;
    for (int i = 0; i < 4; i++) {
        if (b[i] > 255)
            return false;
        ret->bytes[i] = (unsigned char)b[i];
    }
    ret->family = AF_INET;
    return true;
}

static int nibble(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

bool dns_reverse_parse(const char *name, struct ip *ret)
{
    struct ip a = { .family = AF_INET6 };
    if (strlen(name) != 64 + 8 || strcmp(name + 64, "ip6.arpa") != 0) {
        struct ip v4 = { 0 };
        if (!reverse4(name, &v4))
            return false;
        *ret = v4;
        return true;
    }
    for (int i = 0; i < 32; i++) {
        int v = nibble(name[2 * i]), at = 31 - i;
        if (v < 0 || name[2 * i + 1] != '.')
            return false;
        a.bytes[at / 2] |= (unsigned char)(at % 2 ? v : v << 4);
    }
    *ret = a;
    return true;
}
