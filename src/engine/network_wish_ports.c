// SPDX-License-Identifier: GPL-2.0-or-later
/* --publish, --publish-all and --expose. */
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "engine/network_wish_parts.h"
#include "network/reserve.h"
#include "usernet/usernet.h"

struct span {
    int64_t first, last;
};

static fallible parse_span(const char *text, const char *whole, struct span *ret)
{
    const char *dash = strchr(text, '-');
    own_mem char *first = dash ? mem_strndup(text, (size_t)(dash - text)) : mem_strdup(text);
    err *e = parse_i64(first, 1, 65535, &ret->first);
    ret->last = ret->first;
    if (!e && dash)
        e = parse_i64(dash + 1, ret->first, 65535, &ret->last);
    if (!e)
        return NULL;
    err_free(e);
    return err_new(ERR_INVALID,
                   "'%s' is not [IP:][HOST:]CONTAINER[/tcp|udp|sctp], with ports from 1 to 65535 or FIRST-LAST", whole);
}

static void add_port(struct db_ports *l, const char *proto, int64_t container, const char *ip, int64_t host)
{
    l->items = mem_array(l->items, l->n + 1, sizeof *l->items);
    l->items[l->n++] = (struct db_port){
        .proto = mem_strdup(proto), .container_port = container, .host_ip = mem_strdup(ip), .want_port = host
    };
}

/* Takes "/proto" off the text. */
static fallible split_proto(char *text, const char **ret)
{
    char *slash = strrchr(text, '/');
    *ret = "tcp";
    if (!slash)
        return NULL;
    *slash = '\0';
    *ret = slash + 1;
    for (char *at = slash + 1; *at; at++) /* docker takes "TCP" */
        *at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
    if (!proto_number(*ret))
        return err_new(ERR_INVALID, "'%s' is not one of tcp, udp, sctp", *ret);
    return NULL;
}

/* Takes what stands before the last colon off the text; NULL: there is none. Brackets hold colons together. */
static char *split_last(char *text)
{
    char *colon = strrchr(text, ':'), *bracket = strrchr(text, ']');
    if (!colon || (bracket && bracket > colon))
        return NULL;
    *colon = '\0';
    return colon + 1;
}

/* One container port and several of the host's: the first that is free now. */
static int64_t free_port(uint8_t proto, const char *ip, struct span host)
{
    struct ip at = { 0 };
    if (*ip)
        err_ignore(ip_parse(ip, &at), "it was parsed before");
    for (int64_t p = host.first; p <= host.last; p++) {
        struct reserve r = { 0 };
        uint16_t port = (uint16_t)p;
        err *e = reserve_port(&r, proto, &at, false, &port);
        reserve_clear(&r);
        if (!e)
            return p;
        err_free(e);
    }
    return host.first;
}

fallible network_port_parse(const char *text, struct db_ports *add_to)
{
    own_mem char *copy = mem_strdup(text);
    const char *proto, *ip = "";
    char *host = NULL, *container = copy;
    struct span c, h = { 0, 0 };
    struct ip address;
    char ip_buf[IP_TEXT] = "";
    TRY(split_proto(copy, &proto));
    char *right = split_last(copy);
    if (right) {
        container = right;
        host = copy;
        if ((right = split_last(copy))) {
            host = right;
            ip = copy;
        } else if (strchr(copy, '[') || (strchr(copy, '.') && strspn(copy, "0123456789.") == strlen(copy))) {
            ip = copy; /* IP:CONTAINER is not docker's, but can mean nothing else */
            host = NULL;
        }
    }
    TRY(parse_span(container, text, &c));
    if (host && *host && !str_eq(host, "0")) /* 0 is any, as it is to bind(2) */
        TRY(parse_span(host, text, &h));
    if (*ip) {
        TRY(ip_parse(ip, &address));
        ip = str_eq(ip, "0.0.0.0") ? "" : ip_text(&address, ip_buf);
    }
    int64_t n = c.last - c.first;
    if (h.first && n == 0 && h.last > h.first)
        h.first = h.last = free_port(proto_number(proto), ip, h);
    if (h.first && h.last - h.first != n)
        return err_new(ERR_INVALID, "'%s': %lld ports of the host for %lld of the container's", text,
                       (long long)(h.last - h.first + 1), (long long)(n + 1));
    for (int64_t i = 0; i <= n; i++)
        add_port(add_to, proto, c.first + i, ip, h.first ? h.first + i : 0);
    return NULL;
}

fallible network_expose_parse(const char *text, struct strv *add_to)
{
    own_mem char *copy = mem_strdup(text);
    const char *proto;
    struct span s;
    TRY(split_proto(copy, &proto));
    err *e = parse_span(copy, text, &s);
    if (e) {
        err_free(e);
        return err_new(ERR_INVALID, "'%s' is not PORT[-LAST][/tcp|udp|sctp], with ports from 1 to 65535", text);
    }
    for (int64_t p = s.first; p <= s.last; p++) {
        own_mem char *word = mem_printf("%lld/%s", (long long)p, proto);
        if (!strv_has(add_to, word))
            strv_add(add_to, word);
    }
    return NULL;
}

fallible network_port_check(const struct db_port *p)
{
    struct ip at = { 0 };
    if (*p->host_ip)
        TRY(ip_parse(p->host_ip, &at));
    if (at.family == AF_INET6 && at.bytes[0] == 0xfe && (at.bytes[1] & 0xc0) == 0x80)
        return err_new(ERR_UNSUPPORTED, "'%s' is an address of one interface alone: publish on another, or on all",
                       p->host_ip);
    if (str_eq(p->proto, "sctp") && usernet_needed())
        return err_new(ERR_UNSUPPORTED, "port %lld/sctp: an ordinary user's are TCP or UDP: SCTP needs root's firewall",
                       (long long)p->container_port);
    return NULL;
}

static bool is_published(const struct db_ports *l, const char *proto, int64_t port)
{
    for (size_t i = 0; i < l->n; i++)
        if (l->items[i].container_port == port && str_eq(l->items[i].proto, proto))
            return true;
    return false;
}

fallible network_ports_read(const struct create_options *o, const struct strv *exposed, struct network_wishes *w)
{
    for (size_t i = 0; i < o->publish.n; i++)
        TRY_AS(network_port_parse(o->publish.items[i], &w->ports), "--publish");
    for (size_t i = 0; o->publish_all && i < exposed->n; i++) {
        own_mem char *word = mem_strdup(exposed->items[i]);
        const char *proto;
        struct span s;
        TRY_AS(split_proto(word, &proto), "--publish-all");
        TRY_AS(parse_span(word, exposed->items[i], &s), "--publish-all");
        if (!is_published(&w->ports, proto, s.first))
            add_port(&w->ports, proto, s.first, "", 0);
    }
    for (size_t i = 0; i < w->ports.n; i++)
        for (size_t j = 0; j < i; j++) {
            const struct db_port *a = &w->ports.items[i], *b = &w->ports.items[j];
            if (a->want_port && a->want_port == b->want_port && str_eq(a->proto, b->proto) &&
                str_eq(a->host_ip, b->host_ip))
                return err_new(ERR_INVALID, "--publish: port %lld/%s of the host twice", (long long)a->want_port,
                               a->proto);
        }
    bool pasta = network_pasta(w->mode ? w->mode : "", NULL);
    for (size_t i = 0; i < w->ports.n && w->networks.n; i++)
        TRY_AS(network_port_check(&w->ports.items[i]), "--publish");
    for (size_t i = 0; i < w->ports.n && pasta; i++)
        if (str_eq(w->ports.items[i].proto, "sctp"))
            return err_new(ERR_INVALID, "--publish: pasta carries TCP and UDP: SCTP needs root's --network bridge");
    if (w->ports.n && !w->networks.n && !pasta && !network_cni(w->mode) && !str_eq(w->mode, "host"))
        return err_new(ERR_INVALID,
                       "--publish: with --network %s there is nothing that a port of the host's could lead to",
                       w->mode);
    if (str_eq(w->mode, "host")) { /* as docker: the program has the host's ports already */
        if (o->publish.n)
            log_warn("--publish: with --network host nothing is published: the program listens on the host's ports");
        db_ports_clear(&w->ports);
    }
    return NULL;
}
