/*
 * Any packet: a question is read or gets a verdict, and what we answer to it fits it; an answer from outside is judged,
 * read for addresses and cut without a step beyond its bytes.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdlib.h>
#include <string.h>

#include "base/own.h"
#include "dns/wire.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static void seen(void *ctx, const struct ip *a, uint32_t ttl_s)
{
    size_t *n = ctx;
    (void)ttl_s;
    *n += ip_is_set(a);
}

static void answer(const struct dns_query *q)
{
    unsigned char out[DNS_UDP_MAX];
    static const char *const names[] = { "web.back" };
    const struct ip addresses[] = { ip4_of(0x0a000001), ip4_of(0x0a000002) };
    struct dns_answer a = { .rcode = DNS_NOERROR };
    if (q->type == DNS_A) {
        a.addresses = addresses;
        a.addresses_n = ARRAY_SIZE(addresses);
    } else if (q->type == DNS_PTR) {
        a.names = names;
        a.names_n = 1;
    }
    size_t n = dns_answer_write(q, &a, q->udp_size, out);
    if (n > q->udp_size || (n && q->plain && !dns_reply_fits(out, n, q, q->id)))
        abort();
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
    struct dns_query q;
    struct ip ip;
    size_t addresses = 0;
    unsigned char refused[DNS_HEADER];
    own_mem unsigned char *copy = malloc(size + 1);
    if (!copy)
        return 0;
    memcpy(copy, data, size);
    enum dns_verdict verdict = dns_query_read(copy, size, &q);
    if (verdict == DNS_ASKED || verdict == DNS_VERSION) {
        if (strlen(q.name) >= sizeof q.name || q.udp_size < DNS_UDP_PLAIN || q.udp_size > DNS_UDP_MAX)
            abort();
        answer(&q);
        (void)dns_reverse_parse(q.name, &ip);
    }
    dns_reply_addresses(copy, size, seen, &addresses);
    if (size < DNS_HEADER)
        return 0;
    (void)dns_refuse(copy, DNS_REFUSED, refused);
    if (dns_reply_cut(copy, size) > size)
        abort();
    return 0;
}
