// SPDX-License-Identifier: GPL-2.0-or-later
#include "dns/resolvers.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <string.h>

#include "base/log.h"
#include "os/fs.h"

enum { RESOLV_MAX = 1 << 20 };
enum { LOOK_EVERY_NS = 1000000000 };
#define RESOLV_CONF "/etc/resolv.conf"

socklen_t resolver_size(const union resolver_address *a)
{
    return a->any.sa_family == AF_INET6 ? sizeof a->v6 : sizeof a->v4;
}

bool resolver_equal(const union resolver_address *a, const union resolver_address *b)
{
    if (a->any.sa_family != b->any.sa_family)
        return false;
    if (a->any.sa_family == AF_INET)
        return a->v4.sin_addr.s_addr == b->v4.sin_addr.s_addr && a->v4.sin_port == b->v4.sin_port;
    return memcmp(&a->v6.sin6_addr, &b->v6.sin6_addr, sizeof a->v6.sin6_addr) == 0 &&
           a->v6.sin6_port == b->v6.sin6_port;
}

bool resolver_parse(const char *text, union resolver_address *ret)
{
    union resolver_address a = { 0 };
    size_t n = strcspn(text, "%");
    own_mem char *address = mem_strndup(text, n);
    if (!text[n] && inet_pton(AF_INET, address, &a.v4.sin_addr) == 1) {
        a.v4.sin_family = AF_INET;
        a.v4.sin_port = htons(DNS_PORT);
    } else if (inet_pton(AF_INET6, address, &a.v6.sin6_addr) == 1) {
        a.v6.sin6_family = AF_INET6;
        a.v6.sin6_port = htons(DNS_PORT);
        if (text[n] && !(a.v6.sin6_scope_id = if_nametoindex(text + n + 1)))
            return false;
    } else {
        return false;
    }
    *ret = a;
    return true;
}

static void add(struct resolvers *r, const char *text)
{
    if (r->n < RESOLVERS_MAX && resolver_parse(text, &r->servers[r->n]))
        r->n++;
}

void resolvers_parse(const char *text, struct resolvers *ret)
{
    static const char word[] = "nameserver";
    *ret = (struct resolvers){ 0 };
    for (const char *line = text; *line;) {
        size_t n = strcspn(line, "\n");
        if (n > sizeof word && strncmp(line, word, sizeof word - 1) == 0 && strchr(" \t", line[sizeof word - 1])) {
            const char *at = line + sizeof word - 1;
            at += strspn(at, " \t");
            own_mem char *address = mem_strndup(at, strcspn(at, " \t\r\n#;"));
            add(ret, address);
        }
        line += n + (line[n] == '\n');
    }
}

void resolvers_of(const struct strv *texts, struct resolvers *ret)
{
    *ret = (struct resolvers){ 0 };
    for (size_t i = 0; i < texts->n; i++)
        add(ret, texts->items[i]);
}

static bool same_file(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

const struct resolvers *host_resolvers(struct host_resolvers *h, int64_t now_ns)
{
    struct stat st = { 0 };
    own_mem char *text = NULL;
    if (h->looked_ns && now_ns - h->looked_ns < LOOK_EVERY_NS)
        return &h->now;
    bool first = !h->looked_ns;
    h->looked_ns = now_ns;
    if (stat(RESOLV_CONF, &st) < 0)
        st = (struct stat){ 0 };
    if (!first && same_file(&st, &h->seen))
        return &h->now;
    h->seen = st;
    err *e = fs_read_at(AT_FDCWD, RESOLV_CONF, RESOLV_MAX, &text, NULL);
    if (e)
        log_debug("dns: %s", err_text(e));
    err_ignore(e, "no servers then, until there is such a file");
    resolvers_parse(text ? text : "", &h->now);
    return &h->now;
}
