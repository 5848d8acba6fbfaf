// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/proxy.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"

struct address {
    int family;
    unsigned char bytes[16];
};

/* "10.1.2.3", "fd00::1", "[fd00::1]" */
static bool read_address(const char *text, struct address *ret)
{
    size_t n = strlen(text);
    own_mem char *bare = *text == '[' && n > 2 && text[n - 1] == ']' ? mem_strndup(text + 1, n - 2) : mem_strdup(text);
    ret->family = strchr(bare, ':') ? AF_INET6 : AF_INET;
    return inet_pton(ret->family, bare, ret->bytes) == 1;
}

static bool same_bits(const unsigned char *a, const unsigned char *b, size_t bits)
{
    size_t rest = bits % 8;
    return memcmp(a, b, bits / 8) == 0 && (!rest || (a[bits / 8] ^ b[bits / 8]) >> (8 - rest) == 0);
}

/* entry: "ADDRESS/BITS" */
static bool network_has(const char *entry, const struct address *a)
{
    own_mem char *net = mem_strndup(entry, strcspn(entry, "/"));
    struct address base;
    int64_t bits = 0;
    own(err) err *e = parse_i64(strchr(entry, '/') + 1, 0, 128, &bits);
    return !e && read_address(net, &base) && base.family == a->family && bits <= (a->family == AF_INET ? 32 : 128) &&
           same_bits(base.bytes, a->bytes, (size_t)bits);
}

/* Where ":PORT" begins in "x.io:80" or "[::1]:80"; a bare IPv6 address has none. */
static size_t host_length(const char *entry)
{
    const char *bracket = strchr(entry, ']'), *colon = strchr(bracket ? bracket : entry, ':');
    return colon && strchr(colon + 1, ':') ? strlen(entry) : colon ? (size_t)(colon - entry) : strlen(entry);
}

static bool name_fits(const char *name, const char *host)
{
    bool below = *name == '.' || str_starts(name, "*.");
    const char *domain = str_starts(name, "*.") ? name + 2 : *name == '.' ? name + 1 : name;
    size_t n = strlen(domain), len = strlen(host);
    if (!n || len < n || strcasecmp(host + len - n, domain) != 0)
        return false;
    return len == n ? !below : host[len - n - 1] == '.';
}

static bool entry_fits(const char *entry, const char *host, const char *port)
{
    struct address a, named;
    bool is_address = read_address(host, &a);
    if (strcmp(entry, "*") == 0)
        return true;
    if (strchr(entry, '/'))
        return is_address && network_has(entry, &a);
    size_t n = host_length(entry);
    own_mem char *name = mem_strndup(entry, n);
    if (entry[n] && strcmp(entry + n + 1, port) != 0)
        return false;
    if (read_address(name, &named))
        return is_address && named.family == a.family &&
               same_bits(named.bytes, a.bytes, a.family == AF_INET ? 32 : 128);
    return name_fits(name, host);
}

bool proxy_excludes(const char *list, const char *host, const char *port)
{
    for (const char *p = list ? list : ""; *p;) {
        p += strspn(p, ", \t");
        size_t n = strcspn(p, ", \t");
        own_mem char *entry = mem_strndup(p, n);
        if (n && entry_fits(entry, host, port))
            return true;
        p += n;
    }
    return false;
}

static const char *first_set(const char *const names[])
{
    for (size_t i = 0; names[i]; i++) {
        const char *value = getenv(names[i]);
        if (value && *value)
            return value;
    }
    return NULL;
}

char *proxy_for(const char *scheme, const char *host, const char *port)
{
    static const char *const secure[] = { "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL };
    static const char *const plain[] = { "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", NULL };
    static const char *const cgi[] = { "http_proxy", "all_proxy", "ALL_PROXY", NULL };
    static const char *const excluded[] = { "no_proxy", "NO_PROXY", NULL };
    const char *proxy = first_set(strcmp(scheme, "https") == 0 ? secure : getenv("REQUEST_METHOD") ? cgi : plain);
    return proxy && !proxy_excludes(first_set(excluded), host, port) ? mem_strdup(proxy) : NULL;
}
