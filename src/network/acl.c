// SPDX-License-Identifier: GPL-2.0-or-later
#include "network/acl.h"

#include <netinet/in.h>
#include <string.h>
#include <strings.h>

#include "base/parse.h"

enum { MASK_AT = ACL_NETWORK + ACL_RULES };

static void who_clear(struct acl_who *w)
{
    free(w->name);
    free(w->label);
    free(w->value);
    *w = (struct acl_who){ 0 };
}

static void rule_clear(struct acl_rule *r)
{
    who_clear(&r->from);
    who_clear(&r->to);
    free(r->ports);
    *r = (struct acl_rule){ 0 };
}

void acl_clear(struct acl *p)
{
    for (size_t i = 0; i < p->n; i++)
        rule_clear(&p->rules[i]);
    free(p->rules);
    free(p->whos);
    *p = (struct acl){ 0 };
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static fallible parse_who(const char *word, const char *text, struct acl_who *ret)
{
    if (ret->name || ret->label)
        return err_new(ERR_INVALID, "%s= is there twice", word);
    if (str_starts(text, "label=")) {
        const char *key = text + strlen("label="), *equals = strchr(key, '=');
        if (!*key || equals == key)
            return err_new(ERR_INVALID, "'%s=%s': say label=KEY or label=KEY=VALUE", word, text);
        ret->label = equals ? mem_strndup(key, (size_t)(equals - key)) : mem_strdup(key);
        ret->value = equals ? mem_strdup(equals + 1) : NULL;
        return NULL;
    }
    if (!*text || strpbrk(text, "=, \t\n") || (strchr(text, '*') && !str_eq(text, "*")))
        return err_new(ERR_INVALID, "'%s=%s' is none of *, a container's name or alias, label=KEY[=VALUE]", word, text);
    ret->name = mem_strdup(text);
    return NULL;
}

/* "80", "8000-8010/udp", "icmp", "tcp". */
static fallible parse_port(const char *text, struct acl_ports *ret)
{
    static const struct {
        const char *word;
        uint8_t proto;
    } protos[] = { { "tcp", IPPROTO_TCP }, { "udp", IPPROTO_UDP }, { "sctp", IPPROTO_SCTP }, { "icmp", IPPROTO_ICMP } };
    const char *slash = strchr(text, '/');
    own_mem char *numbers = slash ? mem_strndup(text, (size_t)(slash - text)) : mem_strdup(text);
    const char *proto = slash ? slash + 1 : NULL;
    int64_t first = 0, last = 65535;
    struct acl_ports p = { .proto = IPPROTO_TCP };
    if (!slash && *text && strspn(text, "0123456789-") != strlen(text)) {
        proto = text;
        *numbers = '\0';
    }
    for (size_t i = 0; proto && i < ARRAY_SIZE(protos); i++)
        if (str_eq(proto, protos[i].word)) {
            p.proto = protos[i].proto;
            proto = NULL;
        }
    if (*numbers) {
        char *dash = strchr(numbers, '-');
        err *e = NULL;
        if (dash)
            *dash = '\0';
        e = parse_i64(numbers, 1, 65535, &first);
        last = first;
        if (!e && dash)
            e = parse_i64(dash + 1, first, 65535, &last);
        if (e)
            proto = text;
        err_free(e);
    }
    if (proto || (*numbers && p.proto == IPPROTO_ICMP) || (slash && !*numbers) || !*text)
        return err_new(ERR_INVALID, "'port=%s' is not PORT[-LAST][/tcp|udp|sctp], tcp, udp, sctp or icmp", text);
    p.first = (uint16_t)first;
    p.last = (uint16_t)last;
    *ret = p;
    return NULL;
}

static void add_port(struct acl_rule *r, const struct acl_ports *p)
{
    r->ports = mem_array(r->ports, r->ports_n + 1, sizeof *r->ports);
    r->ports[r->ports_n++] = *p;
}

static fallible parse_ports(const char *text, struct acl_rule *r)
{
    own_strv struct strv words = { 0 };
    strv_split(&words, text, ',');
    if (!words.n)
        return err_new(ERR_INVALID, "port= is empty: without it everything may pass");
    for (size_t i = 0; i < words.n; i++) {
        struct acl_ports p;
        TRY(parse_port(words.items[i], &p));
        add_port(r, &p);
        if (p.proto == IPPROTO_ICMP) {
            p.proto = IPPROTO_ICMPV6;
            add_port(r, &p);
        }
    }
    return NULL;
}

static fallible fill_rule(const struct strv *words, struct acl_rule *r, const char **ret_port)
{
    *ret_port = NULL;
    for (size_t i = 0; i < words->n; i++) {
        const char *w = words->items[i];
        if (str_starts(w, "from="))
            TRY(parse_who("from", w + strlen("from="), &r->from));
        else if (str_starts(w, "to="))
            TRY(parse_who("to", w + strlen("to="), &r->to));
        else if (str_starts(w, "port=") && !*ret_port)
            TRY(parse_ports(*ret_port = w + strlen("port="), r));
        else
            return err_new(ERR_INVALID, "'%s' is not one of from=WHO, to=WHO, port=PORT,...", w);
    }
    if ((!r->from.name && !r->from.label) || (!r->to.name && !r->to.label))
        return err_new(ERR_INVALID, "a rule needs both from= and to=: say from=* for anybody");
    return NULL;
}

static void add_who(struct str *out, const char *word, const struct acl_who *w)
{
    if (w->name)
        str_printf(out, "%s=%s", word, w->name);
    else
        str_printf(out, "%s=label=%s%s%s", word, w->label, w->value ? "=" : "", w->value ? w->value : "");
}

fallible acl_rule_text(const struct strv *words, char **ret_text)
{
    struct acl_rule r = { 0 };
    own_str struct str text = { 0 };
    const char *port;
    err *e = fill_rule(words, &r, &port);
    if (!e) {
        add_who(&text, "from", &r.from);
        add_who(&text, " to", &r.to);
        if (port)
            str_printf(&text, " port=%s", port);
    }
    rule_clear(&r);
    TRY(e);
    *ret_text = str_take(&text);
    return NULL;
}

/* ---- rules ------------------------------------------------------------------------------------------------------- */

static bool same(const char *a, const char *b)
{
    return a && b ? str_eq(a, b) : a == b;
}

static fallible bit_of(struct acl *p, const struct acl_who *w, size_t *ret)
{
    for (size_t i = 0; i < p->whos_n; i++)
        if (same(p->whos[i].name, w->name) && same(p->whos[i].label, w->label) && same(p->whos[i].value, w->value)) {
            *ret = i;
            return NULL;
        }
    if (p->whos_n == ACL_BITS)
        return err_new(ERR_INVALID,
                       "the rules of a network can speak of %d different names and labels: use labels that "
                       "stand for several",
                       ACL_BITS);
    p->whos = mem_array(p->whos, p->whos_n + 1, sizeof *p->whos);
    p->whos[p->whos_n] = *w;
    *ret = p->whos_n++;
    return NULL;
}

/* FNV-1a: only to tell one set of rules from the next. */
static uint32_t sum_of(uint32_t sum, const char *text)
{
    for (const char *c = text;; c++) {
        sum = (sum ^ (uint8_t)*c) * 16777619u;
        if (!*c)
            return sum;
    }
}

/* A label's value may have spaces: words begin where the next one's name does. */
static void split_rule(const char *text, struct strv *ret)
{
    const char *to = strstr(text, " to="), *port = to ? strstr(to, " port=") : NULL;
    if (!to) {
        strv_add(ret, text);
        return;
    }
    strv_add_take(ret, mem_strndup(text, (size_t)(to - text)));
    strv_add_take(ret, port ? mem_strndup(to + 1, (size_t)(port - to - 1)) : mem_strdup(to + 1));
    if (port)
        strv_add(ret, port + 1);
}

fallible acl_read(const struct strv *rules, struct acl *ret)
{
    own(acl) struct acl p = { .sum = 2166136261u };
    for (size_t i = 0; i < rules->n; i++) {
        own_strv struct strv words = { 0 };
        const char *port;
        split_rule(rules->items[i], &words);
        p.rules = mem_array(p.rules, p.n + 1, sizeof *p.rules);
        struct acl_rule *r = &p.rules[p.n++];
        *r = (struct acl_rule){ 0 };
        TRY(fill_rule(&words, r, &port));
        TRY(bit_of(&p, &r->from, &r->from_bit));
        TRY(bit_of(&p, &r->to, &r->to_bit));
        p.sum = sum_of(p.sum, rules->items[i]);
    }
    *ret = p;
    p = (struct acl){ 0 };
    return NULL;
}

/* ---- identities -------------------------------------------------------------------------------------------------- */

static bool is_who(const struct acl_who *w, const struct strv *names, const struct strmap *labels)
{
    if (str_eq(w->name, "*"))
        return true;
    for (size_t i = 0; w->name && i < names->n; i++)
        if (strcasecmp(names->items[i], w->name) == 0)
            return true;
    const char *value = w->label ? strmap_get(labels, w->label) : NULL;
    return value && (!w->value || str_eq(value, w->value));
}

static void put_network(uint8_t to[ACL_NETWORK], const char *network)
{
    for (size_t i = 0; i < ACL_NETWORK; i++) {
        const char two[3] = { network[2 * i], network[2 * i + 1], 0 };
        to[i] = (uint8_t)strtoul(two, NULL, 16);
    }
}

struct acl_identity acl_identity(const struct acl *p, const char *network, const struct strv *names,
                                 const struct strmap *labels)
{
    struct acl_identity id = { { 0 } };
    put_network(id.bytes, network);
    for (size_t i = 0; i < ACL_RULES; i++)
        id.bytes[ACL_NETWORK + i] = (uint8_t)(p->sum >> (24 - 8 * i));
    for (size_t i = 0; i < p->whos_n; i++)
        if (is_who(&p->whos[i], names, labels))
            id.bytes[MASK_AT + i / 8] |= (uint8_t)(1 << i % 8);
    return id;
}

bool acl_is_of(const void *identity, const char *network)
{
    uint8_t bytes[ACL_NETWORK];
    put_network(bytes, network);
    return memcmp(bytes, identity, sizeof bytes) == 0;
}

static bool has_bit(const struct acl_identity *id, size_t bit)
{
    return id->bytes[MASK_AT + bit / 8] & 1 << bit % 8;
}

static int by_port(const void *a_, const void *b_)
{
    const struct acl_ports *a = a_, *b = b_;
    return a->proto != b->proto ? a->proto - b->proto : a->first - b->first;
}

/* What any rule lets pass from one to the other. The kernel's set takes no elements that overlap: they become one. */
static void put_pair(const struct acl *p, const struct acl_identity *from, const struct acl_identity *to,
                     struct nft *batch)
{
    struct acl_rule sum = { 0 };
    bool all = false;
    for (size_t i = 0; i < p->n; i++) {
        const struct acl_rule *r = &p->rules[i];
        if (!has_bit(from, r->from_bit) || !has_bit(to, r->to_bit))
            continue;
        all |= !r->ports_n;
        for (size_t j = 0; j < r->ports_n; j++)
            add_port(&sum, &r->ports[j]);
    }
    if (all) {
        firewall_allow(batch, from->bytes, to->bytes, 0, 0, UINT16_MAX);
        sum.ports_n = 0;
    }
    if (sum.ports_n)
        qsort(sum.ports, sum.ports_n, sizeof *sum.ports, by_port);
    for (size_t i = 0; i < sum.ports_n;) {
        struct acl_ports one = sum.ports[i++];
        for (; i < sum.ports_n && sum.ports[i].proto == one.proto && sum.ports[i].first <= one.last + 1; i++)
            if (sum.ports[i].last > one.last)
                one.last = sum.ports[i].last;
        firewall_allow(batch, from->bytes, to->bytes, one.proto, one.first, one.last);
    }
    free(sum.ports);
}

static bool is_first(const struct acl_identity *all, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (memcmp(&all[j], &all[i], sizeof *all) == 0)
            return false;
    return true;
}

fallible acl_distinct(const struct acl_identity *all, size_t n)
{
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            if (firewall_mark(all[i].bytes) == firewall_mark(all[j].bytes) &&
                memcmp(&all[i], &all[j], sizeof *all) != 0)
                return err_new(ERR_CONFLICT,
                               "the rules' names and labels give two different containers one number (%08x) "
                               "in the firewall: change the order of the rules",
                               firewall_mark(all[i].bytes));
    return NULL;
}

void acl_put(const struct acl *p, const struct acl_identity *all, size_t n, const struct acl_identity *only,
             struct nft *batch)
{
    for (size_t i = 0; i < n; i++) {
        bool mine = only && memcmp(&all[i], only, sizeof *only) == 0;
        if (!is_first(all, i))
            continue;
        if (!only || mine)
            firewall_identity(batch, all[i].bytes);
        for (size_t j = 0; j < n; j++)
            if (is_first(all, j) && (!only || mine || memcmp(&all[j], only, sizeof *only) == 0))
                put_pair(p, &all[i], &all[j], batch);
    }
}
