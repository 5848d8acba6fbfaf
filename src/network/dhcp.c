// SPDX-License-Identifier: GPL-2.0-or-later
#include "network/dhcp.h"

#include <endian.h>
#include <netinet/in.h>
#include <string.h>

/* RFC 2131, 2: the fixed part, the cookie that begins the options, and the two fields that may hold options too. */
enum { FIXED = 236, OPTIONS = 240, SNAME = 44, SNAME_LEN = 64, FILE_AT = 108, FILE_LEN = 128, AT_LEAST = 300 };
enum { IP_HEADER = 20, UDP_HEADER = 8 };
enum option {
    PAD = 0,
    MASK = 1,
    ROUTER = 3,
    NAME_SERVERS = 6,
    HOST_NAME = 12,
    DOMAIN = 15,
    MTU = 26,
    WANTED = 50,
    LEASE_TIME = 51,
    OVERLOAD = 52,
    TYPE = 53,
    SERVER = 54,
    PARAMETERS = 55,
    LARGEST = 57,
    RENEW_TIME = 58,
    REBIND_TIME = 59,
    CLIENT = 61,
    SEARCH = 119,
    ROUTES = 121,
    END = 255,
};
static const uint8_t cookie[] = { 99, 130, 83, 99 };
static const uint8_t parameters[] = { MASK, ROUTES,     ROUTER,     NAME_SERVERS, DOMAIN,
                                      MTU,  LEASE_TIME, RENEW_TIME, REBIND_TIME,  SEARCH };

static uint16_t get16(const uint8_t *p)
{
    return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static void put16(uint8_t *p, uint16_t v)
{
    p[0] = (uint8_t)(v >> 8);
    p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
    put16(p, (uint16_t)(v >> 16));
    put16(p + 2, (uint16_t)v);
}

static struct ip ip4(const uint8_t *p)
{
    struct ip ip = { .family = AF_INET };
    memcpy(ip.bytes, p, 4);
    return ip;
}

/* ---- writing ------------------------------------------------------------------------------------------------------
 */

static uint8_t *option(uint8_t *at, uint8_t code, const void *bytes, size_t n)
{
    at[0] = code;
    at[1] = (uint8_t)n;
    memcpy(at + 2, bytes, n);
    return at + 2 + n;
}

static size_t write_message(const struct dhcp_ask *a, uint8_t *m)
{
    const uint8_t type = (uint8_t)a->type,
                  client[7] = { 1, a->mac[0], a->mac[1], a->mac[2], a->mac[3], a->mac[4], a->mac[5] };
    uint8_t largest[2];
    m[0] = 1; /* BOOTREQUEST */
    m[1] = 1; /* Ethernet */
    m[2] = sizeof a->mac;
    put32(m + 4, a->xid);
    put16(m + 8, a->secs);
    memcpy(m + 12, a->from.bytes, 4);
    memcpy(m + 28, a->mac, sizeof a->mac);
    memcpy(m + FIXED, cookie, sizeof cookie);
    uint8_t *at = option(m + OPTIONS, TYPE, &type, 1);
    at = option(at, CLIENT, client, sizeof client);
    if (ip_is_set(&a->server))
        at = option(at, SERVER, a->server.bytes, 4);
    if (ip_is_set(&a->wants))
        at = option(at, WANTED, a->wants.bytes, 4);
    if (a->type != DHCP_RELEASE) {
        size_t n = a->hostname ? strnlen(a->hostname, 63) : 0;
        put16(largest, DHCP_PACKET_MAX - IP_HEADER - UDP_HEADER);
        if (n)
            at = option(at, HOST_NAME, a->hostname, n);
        at = option(at, LARGEST, largest, sizeof largest);
        at = option(at, PARAMETERS, parameters, sizeof parameters);
    }
    *at++ = END;
    return at - m < AT_LEAST ? AT_LEAST : (size_t)(at - m); /* as BOOTP's were: older servers drop shorter ones */
}

static uint32_t add_words(uint32_t sum, const uint8_t *p, size_t n)
{
    for (; n > 1; p += 2, n -= 2)
        sum += get16(p);
    return n ? sum + (uint32_t)(*p << 8) : sum;
}

static uint16_t checksum(uint32_t sum)
{
    while (sum >> 16)
        sum = (sum & 0xffff) + (sum >> 16);
    return (uint16_t)~sum;
}

size_t dhcp_write(const struct dhcp_ask *a, const struct ip *to, uint8_t ret[DHCP_ASK_MAX])
{
    uint8_t *udp = ret + IP_HEADER;
    memset(ret, 0, DHCP_ASK_MAX);
    size_t n = UDP_HEADER + write_message(a, udp + UDP_HEADER);
    ret[0] = 0x45;
    ret[1] = 0x10; /* low delay, as other clients say */
    put16(ret + 2, (uint16_t)(IP_HEADER + n));
    ret[8] = 64;
    ret[9] = IPPROTO_UDP;
    memcpy(ret + 12, a->from.bytes, 4);
    if (ip_is_set(to))
        memcpy(ret + 16, to->bytes, 4);
    else
        memset(ret + 16, 0xff, 4);
    put16(ret + 10, checksum(add_words(0, ret, IP_HEADER)));
    put16(udp, DHCP_CLIENT_PORT);
    put16(udp + 2, DHCP_SERVER_PORT);
    put16(udp + 4, (uint16_t)n);
    uint16_t sum = checksum(add_words(add_words((uint32_t)(IPPROTO_UDP + n), ret + 12, 8), udp, n));
    put16(udp + 6, sum ? sum : 0xffff);
    return IP_HEADER + n;
}

/* ---- reading ------------------------------------------------------------------------------------------------------
 */

bool dhcp_packet_read(const uint8_t *p, size_t n, const uint8_t **ret_message, size_t *ret_n)
{
    if (n < IP_HEADER || p[0] >> 4 != 4 || p[9] != IPPROTO_UDP || (get16(p + 6) & 0x3fff))
        return false; /* no fragments: a message is shorter than a link's MTU */
    size_t header = (size_t)(p[0] & 15) * 4, total = get16(p + 2);
    if (header < IP_HEADER || total > n || total < header + UDP_HEADER)
        return false;
    const uint8_t *udp = p + header;
    size_t len = get16(udp + 4);
    if (get16(udp) != DHCP_SERVER_PORT || get16(udp + 2) != DHCP_CLIENT_PORT || len < UDP_HEADER ||
        len > total - header)
        return false;
    *ret_message = udp + UDP_HEADER;
    *ret_n = len - UDP_HEADER;
    return true;
}

struct bytes {
    const uint8_t *p;
    size_t n;
};

/* Appends the option's parts in one field; answers the length that there would be with room for all. */
static size_t gather_in(struct bytes in, uint8_t code, uint8_t *out, size_t room, size_t n)
{
    for (size_t at = 0; at < in.n && in.p[at] != END;) {
        if (in.p[at] == PAD) {
            at++;
            continue;
        }
        if (in.n - at < 2 || in.n - at - 2 < in.p[at + 1])
            break;
        size_t len = in.p[at + 1];
        if (in.p[at] == code) {
            if (n + len <= room)
                memcpy(out + n, in.p + at + 2, len);
            n += len;
        }
        at += 2 + len;
    }
    return n;
}

/* RFC 3396, 5: parts of an option, in this order of the fields, are one. 0: it is not there, or has no room. */
static size_t gather(struct bytes m, uint8_t code, uint8_t *out, size_t room)
{
    const struct bytes options = { m.p + OPTIONS, m.n - OPTIONS };
    uint8_t where = 0;
    size_t n = gather_in(options, code, out, room, 0);
    if (code == OVERLOAD)
        return n <= room ? n : 0;
    if (gather(m, OVERLOAD, &where, 1) == 1 && (where & 1))
        n = gather_in((struct bytes){ m.p + FILE_AT, FILE_LEN }, code, out, room, n);
    if (where & 2)
        n = gather_in((struct bytes){ m.p + SNAME, SNAME_LEN }, code, out, room, n);
    return n <= room ? n : 0;
}

static bool is_host(const struct ip *ip)
{
    return ip->bytes[0] && ip->bytes[0] != 127 && ip->bytes[0] < 224;
}

static struct ip address_of(struct bytes m, uint8_t code)
{
    uint8_t list[252];
    size_t n = gather(m, code, list, sizeof list);
    struct ip ip = n >= 4 ? ip4(list) : (struct ip){ 0 };
    return ip_is_set(&ip) && is_host(&ip) ? ip : (struct ip){ 0 };
}

static uint32_t number_of(struct bytes m, uint8_t code, uint32_t otherwise)
{
    uint8_t bytes[4];
    return gather(m, code, bytes, sizeof bytes) == 4 ? get32(bytes) : otherwise;
}

/* Without a mask, or with one that is none: as addresses were once divided. */
static int length_of(struct bytes m, const struct ip *ip)
{
    uint32_t mask = number_of(m, MASK, 0);
    int len = 0;
    while (len < 32 && (mask & (0x80000000u >> len)))
        len++;
    if (len && !(len < 32 && (mask << len)))
        return len;
    return ip->bytes[0] < 128 ? 8 : ip->bytes[0] < 192 ? 16 : 24;
}

/* Of another form than RFC 3442's: none of them. */
static void read_routes(struct bytes m, struct dhcp_lease *ret)
{
    uint8_t list[512];
    size_t n = gather(m, ROUTES, list, sizeof list), count = 0;
    for (size_t at = 0; at < n && count < DHCP_ROUTES; count++) {
        size_t len = list[at], bytes = (len + 7) / 8;
        if (len > 32 || n - at < 1 + bytes + 4)
            return;
        uint8_t to[4] = { 0 };
        memcpy(to, list + at + 1, bytes);
        ret->routes[count].to = (struct prefix){ ip4(to), (int)len };
        ret->routes[count].to.ip = prefix_first(&ret->routes[count].to);
        struct ip via = ip4(list + at + 1 + bytes);
        ret->routes[count].via = is_host(&via) ? via : (struct ip){ 0 };
        at += 1 + bytes + 4;
    }
    ret->routes_n = count;
}

static void read_servers(struct bytes m, struct dhcp_lease *ret)
{
    uint8_t list[252];
    size_t n = gather(m, NAME_SERVERS, list, sizeof list);
    for (size_t at = 0; at + 4 <= n && ret->dns_n < DHCP_SERVERS; at += 4) {
        struct ip ip = ip4(list + at);
        if (is_host(&ip))
            ret->dns[ret->dns_n++] = ip;
    }
}

/* A domain, into a file of lines and words. */
static void add_search(const char *name, size_t n, struct dhcp_lease *ret)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";
    size_t len = strlen(ret->search);
    while (n && (name[n - 1] == '.' || !name[n - 1]))
        n--;
    if (!n || n > DHCP_NAME || len + n + 2 > sizeof ret->search || name[0] == '-' || name[0] == '.')
        return;
    for (size_t i = 0; i < n; i++)
        if (!name[i] || !strchr(letters, name[i]))
            return;
    if (len)
        ret->search[len++] = ' ';
    memcpy(ret->search + len, name, n);
    ret->search[len + n] = '\0';
}

/* One name of RFC 1035, 4.1.4, whose end may be a pointer to an earlier one. Answers where the next begins; 0: it is
 * none. */
static size_t read_name(struct bytes l, size_t at, char name[DHCP_NAME + 2], size_t *ret_n)
{
    size_t next = 0, n = 0, before = at;
    for (;;) {
        if (at >= l.n)
            return 0;
        size_t len = l.p[at];
        if ((len & 0xc0) == 0xc0) {
            if (at + 1 >= l.n)
                return 0;
            size_t to = (len & 0x3f) << 8 | l.p[at + 1];
            next = next ? next : at + 2;
            if (to >= before) /* always towards the beginning: so it ends */
                return 0;
            at = before = to;
            continue;
        }
        if ((len & 0xc0) || l.n - at - 1 < len || n + len + 1 > DHCP_NAME + 1)
            return 0;
        at += 1 + len;
        if (!len) {
            *ret_n = n;
            return next ? next : at;
        }
        memcpy(name + n, l.p + at - len, len);
        n += len;
        name[n++] = '.';
    }
}

static void read_search(struct bytes m, struct dhcp_lease *ret)
{
    uint8_t list[512];
    char name[DHCP_NAME + 2];
    size_t n = gather(m, SEARCH, list, sizeof list), len = 0;
    for (size_t at = 0; at < n;) {
        at = read_name((struct bytes){ list, n }, at, name, &len);
        if (!at)
            break;
        add_search(name, len, ret);
    }
    if (*ret->search)
        return;
    n = gather(m, DOMAIN, list, sizeof list);
    add_search((const char *)list, n, ret);
}

/* RFC 2131, 4.4.5: halves and seven eighths, where the server says nothing, or nothing that is in that order. */
static void read_times(struct bytes m, struct dhcp_lease *ret)
{
    enum { HOUR = 3600 };
    uint32_t lease = number_of(m, LEASE_TIME, HOUR);
    ret->lease_s = lease ? lease : 1;
    ret->renew_s = number_of(m, RENEW_TIME, 0);
    ret->rebind_s = number_of(m, REBIND_TIME, 0);
    if (!ret->rebind_s || ret->rebind_s >= ret->lease_s)
        ret->rebind_s = (uint32_t)((uint64_t)ret->lease_s * 7 / 8);
    if (!ret->renew_s || ret->renew_s > ret->rebind_s)
        ret->renew_s = ret->lease_s / 2 < ret->rebind_s ? ret->lease_s / 2 : ret->rebind_s;
}

uint32_t dhcp_xid(const uint8_t *message, size_t n)
{
    return n < OPTIONS ? 0 : get32(message + 4);
}

bool dhcp_read(const uint8_t *message, size_t n, uint32_t xid, const uint8_t mac[6], enum dhcp_type *ret_type,
               struct dhcp_lease *ret)
{
    const struct bytes m = { message, n };
    struct dhcp_lease l = { 0 };
    uint8_t type = 0, mtu[2];
    if (n < OPTIONS || message[0] != 2 || message[1] != 1 || message[2] != 6 || get32(message + 4) != xid ||
        memcmp(message + 28, mac, 6) != 0 || memcmp(message + FIXED, cookie, sizeof cookie) != 0)
        return false;
    if (gather(m, TYPE, &type, 1) != 1 || (type != DHCP_OFFER && type != DHCP_ACK && type != DHCP_NAK))
        return false;
    *ret_type = type;
    if (type == DHCP_NAK)
        return true;
    l.ip.ip = ip4(message + 16);
    if (!is_host(&l.ip.ip))
        return false;
    l.ip.len = length_of(m, &l.ip.ip);
    l.server = address_of(m, SERVER);
    read_routes(m, &l);
    if (!l.routes_n) /* RFC 3442: not both */
        l.router = address_of(m, ROUTER);
    read_servers(m, &l);
    read_search(m, &l);
    if (gather(m, MTU, mtu, sizeof mtu) == 2 && get16(mtu) >= 576)
        l.mtu = get16(mtu);
    read_times(m, &l);
    *ret = l;
    return true;
}
