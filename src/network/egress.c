// SPDX-License-Identifier: GPL-2.0-or-later
#include "network/egress.h"

#include <string.h>
#include <strings.h>

#include "base/parse.h"

void egress_clear(struct egress *e)
{
    for (size_t i = 0; i < e->n; i++)
        free(e->rules[i].name);
    free(e->rules);
    *e = (struct egress){ 0 };
}

static fallible parse_ports(const char *text, const char *whole, struct egress_rule *r)
{
    const char *dash = strchr(text, '-');
    own_mem char *low = dash ? mem_strndup(text, (size_t)(dash - text)) : mem_strdup(text);
    int64_t first = 0, last = 0;
    err *e = parse_i64(low, 1, 65535, &first);
    last = first;
    if (!e && dash)
        e = parse_i64(dash + 1, first, 65535, &last);
    r->first = (uint16_t)first;
    r->last = (uint16_t)last;
    if (!e)
        return NULL;
    err_free(e);
    return err_new(ERR_INVALID, "'%s': '%s' is no port from 1 to 65535, or FIRST-LAST", whole, text);
}

/* "HOST", "HOST:PORT", "[IPV6]:PORT"; IPv6 without brackets has no port. NULL: none. */
static fallible split_host(const char *text, char **ret_host, const char **ret_port)
{
    const char *colon = strchr(text, ':'), *end = strchr(text, ']');
    *ret_port = NULL;
    if (*text == '[') {
        if (!end || (end[1] && end[1] != ':'))
            return err_new(ERR_INVALID, "'%s' is not [ADDRESS]:PORT", text);
        *ret_host = mem_strndup(text + 1, (size_t)(end - text - 1));
        *ret_port = end[1] ? end + 2 : NULL;
    } else if (colon && !strchr(colon + 1, ':')) {
        *ret_host = mem_strndup(text, (size_t)(colon - text));
        *ret_port = colon + 1;
    } else {
        *ret_host = mem_strdup(text);
    }
    return NULL;
}

static bool is_host_name(const char *text)
{
    const char *name = str_starts(text, "*.") ? text + 2 : text;
    size_t n = strlen(name);
    return n && n <= 253 && *name != '.' && !strstr(name, "..") &&
           strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_.") == n && strspn(name, "0123456789.") != n;
}

static fallible parse_host(const char *text, struct egress_rule *r)
{
    own_mem char *host = NULL;
    const char *port;
    TRY(split_host(text, &host, &port));
    for (char *c = host; *c; c++)
        if (*c >= 'A' && *c <= 'Z')
            *c = (char)(*c - 'A' + 'a');
    size_t n = strlen(host);
    if (n && host[n - 1] == '.')
        host[n - 1] = '\0';
    *r = (struct egress_rule){ .last = 65535 };
    if (port)
        TRY(parse_ports(port, text, r));
    err *e = prefix_parse(host, &r->to);
    if (!e) {
        r->to.len = r->to.len < 0 ? ip_bits(&r->to.ip) : r->to.len;
        return NULL;
    }
    err_free(e);
    if (!is_host_name(host))
        return err_new(ERR_INVALID, "'%s' is no address, network or name, with a port or without", text);
    r->name = take(host);
    return NULL;
}

fallible egress_parse(const char *text, struct egress *add_to)
{
    own_strv struct strv words = { 0 };
    add_to->limited = true;
    if (str_eq(text, "deny"))
        return NULL;
    if (!str_starts(text, "allow="))
        return err_new(ERR_INVALID, "'%s' is neither deny nor allow=HOST[:PORT],...", text);
    strv_split(&words, text + strlen("allow="), ',');
    if (!words.n)
        return err_new(ERR_INVALID, "'%s' allows nothing: say deny", text);
    for (size_t i = 0; i < words.n; i++) {
        struct egress_rule r;
        TRY(parse_host(words.items[i], &r));
        add_to->rules = mem_array(add_to->rules, add_to->n + 1, sizeof *add_to->rules);
        add_to->rules[add_to->n++] = r;
    }
    return NULL;
}

fallible egress_read(const struct strv *words, struct egress *ret)
{
    own(egress) struct egress e = { 0 };
    for (size_t i = 0; i < words->n; i++)
        TRY_AS(egress_parse(words->items[i], &e), "--egress");
    *ret = e;
    e = (struct egress){ 0 };
    return NULL;
}

bool egress_has_names(const struct egress *e)
{
    for (size_t i = 0; i < e->n; i++)
        if (e->rules[i].name)
            return true;
    return false;
}

bool egress_about(const struct egress_rule *r, const char *name)
{
    if (!r->name)
        return false;
    if (!str_starts(r->name, "*."))
        return strcmp(r->name, name) == 0;
    size_t tail = strlen(r->name) - 1, n = strlen(name); /* with its dot */
    return n > tail && strcmp(name + n - tail, r->name + 1) == 0;
}

bool egress_allows_name(const struct egress *e, const char *name)
{
    for (size_t i = 0; i < e->n; i++)
        if (egress_about(&e->rules[i], name))
            return true;
    return !e->limited;
}

static void add(struct firewall_reach **l, size_t *n, const struct firewall_reach *r)
{
    *l = mem_array(*l, *n + 1, sizeof **l);
    (*l)[(*n)++] = *r;
}

static void add_self(const struct ip *from, const char *port, struct firewall_reach **ret, size_t *ret_n)
{
    struct firewall_reach self = { .from = *from };
    memcpy(self.port, port, strnlen(port, sizeof self.port - 1));
    add(ret, ret_n, &self);
}

void egress_port(const struct egress *e, const char *port, struct firewall_reach **ret, size_t *ret_n)
{
    if (e->limited)
        add_self(&(struct ip){ 0 }, port, ret, ret_n);
}

/* Networks that overlap are one element of the kernel's set each, but not the same one twice. */
void egress_elements(const struct egress *e, const struct ip *from, const char *port, struct firewall_reach **ret,
                     size_t *ret_n)
{
    if (!e->limited || !ip_is_set(from))
        return;
    add_self(from, port, ret, ret_n);
    for (size_t i = 0; i < e->n; i++) {
        const struct egress_rule *r = &e->rules[i];
        if (!r->name && r->to.ip.family == from->family)
            add(ret, ret_n,
                &(struct firewall_reach){ *from, prefix_first(&r->to), prefix_last(&r->to), r->first, r->last, 0, "" });
    }
}
