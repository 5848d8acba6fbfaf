// SPDX-License-Identifier: GPL-2.0-or-later
#include "network/address.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"

fallible ip_parse(const char *text, struct ip *ret)
{
    struct ip ip = { .family = AF_INET };
    size_t n = strlen(text);
    bool brackets = n > 2 && text[0] == '[' && text[n - 1] == ']';
    own_mem char *bare = mem_strndup(brackets ? text + 1 : text, brackets ? n - 2 : n);
    if (brackets || inet_pton(AF_INET, bare, ip.bytes) != 1) {
        ip.family = AF_INET6;
        if (inet_pton(AF_INET6, bare, ip.bytes) != 1)
            return err_new(ERR_INVALID, "'%s' is no IP address", text);
    }
    *ret = ip;
    return NULL;
}

fallible prefix_parse(const char *text, struct prefix *ret)
{
    struct prefix p = { .len = -1 };
    const char *slash = strchr(text, '/');
    own_mem char *address = slash ? mem_strndup(text, (size_t)(slash - text)) : mem_strdup(text);
    int64_t len = -1;
    TRY(ip_parse(address, &p.ip));
    if (slash)
        TRY_AS(parse_i64(slash + 1, 0, ip_bits(&p.ip), &len), "'%s': prefix length", text);
    p.len = (int)len;
    *ret = p;
    return NULL;
}

const char *ip_text(const struct ip *ip, char buf[IP_TEXT])
{
    if (!ip_is_set(ip) || !inet_ntop(ip->family, ip->bytes, buf, IP_TEXT))
        buf[0] = '\0';
    return buf;
}

const char *prefix_text(const struct prefix *p, char buf[PREFIX_TEXT])
{
    char ip[IP_TEXT];
    if (!ip_is_set(&p->ip))
        buf[0] = '\0';
    else if (p->len < 0)
        (void)snprintf(buf, PREFIX_TEXT, "%s", ip_text(&p->ip, ip));
    else
        (void)snprintf(buf, PREFIX_TEXT, "%s/%d", ip_text(&p->ip, ip), p->len);
    return buf;
}

static int rank(const struct ip *ip)
{
    return !ip->family ? 0 : ip->family == AF_INET ? 1 : 2;
}

int ip_compare(const struct ip *a, const struct ip *b)
{
    return rank(a) != rank(b) ? rank(a) - rank(b) : memcmp(a->bytes, b->bytes, sizeof a->bytes);
}

bool ip_equal(const struct ip *a, const struct ip *b)
{
    return ip_compare(a, b) == 0;
}

struct ip ip_add(struct ip ip, int64_t n)
{
    uint64_t rest = (uint64_t)n;
    unsigned carry = 0;
    for (size_t i = ip_size(&ip); i-- > 0;) {
        unsigned sum = ip.bytes[i] + (unsigned)(rest & 0xff) + carry;
        ip.bytes[i] = (uint8_t)sum;
        carry = sum >> 8;
        rest = n < 0 ? rest >> 8 | 0xffULL << 56 : rest >> 8; /* the sign goes on to the left */
    }
    return ip;
}

int64_t ip_distance(const struct ip *a, const struct ip *b)
{
    uint64_t high = 0, low = 0;
    int borrow = 0;
    size_t n = ip_size(a);
    if (a->family != b->family || ip_compare(a, b) > 0)
        return INT64_MAX;
    for (size_t i = n; i-- > 0;) {
        int d = b->bytes[i] - a->bytes[i] - borrow;
        borrow = d < 0;
        uint64_t byte = (uint64_t)(d & 0xff);
        if (n - 1 - i < 8)
            low |= byte << 8 * (n - 1 - i);
        else
            high |= byte;
    }
    return high || low > INT64_MAX ? INT64_MAX : (int64_t)low;
}

uint32_t ip4_number(const struct ip *ip)
{
    return (uint32_t)ip->bytes[0] << 24 | (uint32_t)ip->bytes[1] << 16 | (uint32_t)ip->bytes[2] << 8 | ip->bytes[3];
}

struct ip ip4_of(uint32_t number)
{
    return (struct ip){ AF_INET,
                        { (uint8_t)(number >> 24), (uint8_t)(number >> 16), (uint8_t)(number >> 8), (uint8_t)number } };
}

static struct ip with_host_bits(const struct prefix *p, uint8_t fill)
{
    struct ip ip = p->ip;
    for (int bit = p->len < 0 ? ip_bits(&ip) : p->len; bit < ip_bits(&ip); bit++) {
        uint8_t mask = (uint8_t)(0x80 >> bit % 8);
        ip.bytes[bit / 8] = (uint8_t)((ip.bytes[bit / 8] & ~mask) | (fill & mask));
    }
    return ip;
}

struct ip prefix_first(const struct prefix *p)
{
    return with_host_bits(p, 0);
}

struct ip prefix_last(const struct prefix *p)
{
    return with_host_bits(p, 0xff);
}

bool prefix_has(const struct prefix *p, const struct ip *ip)
{
    struct ip first = prefix_first(p), last = prefix_last(p);
    return p->ip.family && p->ip.family == ip->family && ip_compare(ip, &first) >= 0 && ip_compare(ip, &last) <= 0;
}

bool prefix_overlaps(const struct prefix *a, const struct prefix *b)
{
    return a->len <= b->len ? prefix_has(a, &b->ip) : prefix_has(b, &a->ip);
}

fallible mac_parse(const char *text, uint8_t ret[6])
{
    static const char digits[] = "0123456789abcdef";
    static const uint8_t zero[6] = { 0 };
    uint8_t mac[6] = { 0 };
    bool ok = strlen(text) == 17;
    for (size_t i = 0; ok && i < 17; i++) {
        char c = text[i] >= 'A' && text[i] <= 'F' ? (char)(text[i] - 'A' + 'a') : text[i];
        const char *digit = strchr(digits, c);
        if (i % 3 == 2)
            ok = c == ':' || c == '-';
        else if ((ok = c && digit))
            mac[i / 3] = (uint8_t)(mac[i / 3] << 4 | (digit - digits));
    }
    if (!ok)
        return err_new(ERR_INVALID, "'%s' is no hardware address such as 02:42:ac:11:00:02", text);
    if (mac[0] & 1 || memcmp(mac, zero, sizeof mac) == 0)
        return err_new(ERR_INVALID,
                       "'%s' is no single station's hardware address: the first number must be even, and not "
                       "all may be 0",
                       text);
    memcpy(ret, mac, sizeof mac);
    return NULL;
}

const char *mac_text(const uint8_t mac[6], char buf[MAC_TEXT])
{
    (void)snprintf(buf, MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]);
    return buf;
}

void mac_of_ip(const struct ip *ip, uint8_t ret[6])
{
    ret[0] = 0x02;
    ret[1] = 0x42;
    memcpy(ret + 2, ip->bytes + ip_size(ip) - 4, 4);
}
