// SPDX-License-Identifier: GPL-2.0-or-later
/* What is wished of one interface: the words behind a network's name. */
#include <string.h>

#include "base/parse.h"
#include "codec/bind.h"
#include "engine/network_wish_parts.h"

fallible network_want_ip(const char *text, int family, struct ip *slot)
{
    struct ip ip;
    TRY(ip_parse(text, &ip));
    if (family && ip.family != family)
        return err_new(ERR_INVALID, "'%s' is no IPv%d address", text, family == AF_INET ? 4 : 6);
    *slot = ip;
    return NULL;
}

fallible network_want_mac(const char *text, char **slot)
{
    uint8_t mac[6];
    TRY(mac_parse(text, mac));
    free(*slot);
    *slot = mem_strdup(text);
    return NULL;
}

static bool is_dns_label(const char *text)
{
    size_t n = strlen(text);
    return n && n <= 253 && strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._") == n &&
           text[0] != '.' && text[0] != '-';
}

fallible network_alias_check(const char *text)
{
    return is_dns_label(text) ? NULL : err_new(ERR_INVALID, "'%s' is no name for a host", text);
}

static fallible link_local_of(const char *text, struct prefix *ret)
{
    TRY(ip_parse(text, &ret->ip));
    bool v4 = ret->ip.family == AF_INET;
    const uint8_t *b = ret->ip.bytes;
    ret->len = v4 ? 16 : 64; /* RFC 3927, 2.1; RFC 4291, 2.5.6 */
    if (v4 ? b[0] != 169 || b[1] != 254 : b[0] != 0xfe || (b[1] & 0xc0) != 0x80)
        return err_new(ERR_INVALID, "'%s' is no link-local address: those are 169.254.0.0/16 and fe80::/10", text);
    return NULL;
}

size_t network_link_locals(const struct db_endpoint *e, struct prefix ret[NETWORK_LINK_LOCALS])
{
    own_json json_t *o = e->options ? json_loads(e->options, 0, NULL) : NULL;
    size_t i, n = 0;
    json_t *text;
    json_array_foreach (json_object_get(o, "linkLocal"), i, text) {
        err *bad = n < NETWORK_LINK_LOCALS && json_is_string(text) ? link_local_of(json_string_value(text), &ret[n])
                                                                   : err_new(ERR_INVALID, "too many");
        n += !bad;
        err_ignore(bad, "it was checked when it was written");
    }
    return n;
}

fallible network_want_link_local(const char *text, struct db_endpoint *e)
{
    struct prefix p, there[NETWORK_LINK_LOCALS];
    own_json json_t *o = e->options ? json_loads(e->options, 0, NULL) : json_object();
    TRY(link_local_of(text, &p));
    if (network_link_locals(e, there) == NETWORK_LINK_LOCALS)
        return err_new(ERR_INVALID, "an interface has %d link-local addresses at most", NETWORK_LINK_LOCALS);
    json_t *list = json_object_get(o, "linkLocal");
    if (!list)
        (void)json_object_set_new(o, "linkLocal", list = json_array());
    (void)json_array_append_new(list, json_string(text));
    free(e->options);
    e->options = json_text(o, BIND_COMPACT);
    return NULL;
}

int64_t network_gateway_priority(const struct db_endpoint *e)
{
    own_json json_t *o = e->options ? json_loads(e->options, 0, NULL) : NULL;
    return json_integer_value(json_object_get(o, "gwPriority"));
}

static fallible want_priority(const char *text, struct db_endpoint *e)
{
    own_json json_t *o = e->options ? json_loads(e->options, 0, NULL) : json_object();
    int64_t n;
    TRY_AS(parse_i64(text, INT32_MIN, INT32_MAX, &n), "gw-priority");
    (void)json_object_set_new(o, "gwPriority", json_integer(n));
    free(e->options);
    e->options = json_text(o, BIND_COMPACT);
    return NULL;
}

fallible network_want_alias(const char *text, struct db_endpoint *e)
{
    TRY(network_alias_check(text));
    if (!strv_has(&e->aliases, text))
        strv_add(&e->aliases, text);
    return NULL;
}

/* docker's "net.ipv4.conf.IFNAME.forwarding=1,...": IFNAME is the interface, which may get its name later. */
static fallible want_sysctls(const char *text, struct db_endpoint *e)
{
    own_json json_t *o = e->options ? json_loads(e->options, 0, NULL) : json_object();
    own_strv struct strv words = { 0 };
    json_t *list = json_array();
    strv_split(&words, text, ',');
    (void)json_object_set_new(o, "sysctls", list);
    for (size_t i = 0; i < words.n; i++) {
        const char *name = strstr(words.items[i], ".IFNAME."), *equals = strchr(words.items[i], '=');
        if (!str_starts(words.items[i], "net.") || !name || !equals || name > equals)
            return err_new(ERR_INVALID, "'%s' is no setting of an interface: say net.ipv4.conf.IFNAME.SETTING=VALUE",
                           words.items[i]);
        (void)json_array_append_new(list, json_string(words.items[i]));
    }
    free(e->options);
    e->options = json_text(o, BIND_COMPACT);
    return NULL;
}

bool network_has_sysctls(const struct db_endpoint *e)
{
    own_json json_t *o = e->options ? json_loads(e->options, 0, NULL) : NULL;
    return json_array_size(json_object_get(o, "sysctls")) > 0;
}

void network_sysctls(const struct db_endpoint *e, struct strmap *add_to)
{
    own_json json_t *o = e->options ? json_loads(e->options, 0, NULL) : NULL;
    size_t i;
    json_t *word;
    json_array_foreach (json_object_get(o, "sysctls"), i, word) {
        const char *text = json_string_value(word), *name = text ? strstr(text, ".IFNAME.") : NULL;
        const char *equals = name ? strchr(name, '=') : NULL;
        if (!equals)
            continue;
        const char *rest = name + strlen(".IFNAME");
        own_mem char *key =
            mem_printf("%.*s.%s%.*s", (int)(name - text), text, e->interface, (int)(equals - rest), rest);
        strmap_set(add_to, key, equals + 1);
    }
}

static fallible set_wish(struct db_endpoint *e, const char *key, const char *value)
{
    if (str_eq(key, "name")) {
        free(e->network);
        e->network = mem_strdup(value);
        return NULL;
    }
    if (str_eq(key, "ip")) { /* podman gives both families so, docker only IPv4 */
        struct ip ip = { 0 };
        TRY(network_want_ip(value, 0, &ip));
        *(ip.family == AF_INET ? &e->want_ip4 : &e->want_ip6) = ip;
        return NULL;
    }
    if (str_eq(key, "ip6"))
        return network_want_ip(value, AF_INET6, &e->want_ip6);
    if (str_eq(key, "mac") || str_eq(key, "mac-address"))
        return network_want_mac(value, &e->want_mac);
    if (str_eq(key, "alias"))
        return network_want_alias(value, e);
    if (str_eq(key, "link-local-ip")) /* docker's word, of an option that is a list */
        return network_want_link_local(value, e);
    if (str_eq(key, "gw-priority"))
        return want_priority(value, e);
    if (str_eq(key, "host_interface_name"))
        return err_new(ERR_UNSUPPORTED,
                       "host_interface_name: the host's end of an interface has a name that tells whose it is");
    if (str_eq(key, "driver-opt")) {
        static const char docker_name[] = "com.docker.network.endpoint.ifname=";
        static const char docker_sysctls[] = "com.docker.network.endpoint.sysctls=";
        if (str_starts(value, docker_sysctls))
            return want_sysctls(value + strlen(docker_sysctls), e);
        if (!str_starts(value, docker_name))
            return err_new(ERR_UNSUPPORTED, "'%s' is no option of an interface of husk's: there are %sNAME and %s...",
                           value, docker_name, docker_sysctls);
        return set_wish(e, "interface", value + strlen(docker_name));
    }
    if (str_eq(key, "interface") || str_eq(key, "interface_name")) {
        TRY(network_interface_check(value));
        free(e->interface);
        e->interface = mem_strdup(value);
        return NULL;
    }
    return err_new(ERR_INVALID,
                   "'%s' is not one of ip, ip6, mac, alias, interface, gw-priority, link-local-ip, driver-opt", key);
}

/* Words between commas; those between quotes belong together, as docker reads them: "driver-opt=a=1,b=2". */
static void split_words(const char *text, struct strv *ret)
{
    own_str struct str word = { 0 };
    bool quoted = false;
    for (const char *at = text; *at; at++) {
        if (*at == '"') {
            quoted = !quoted;
        } else if (*at == ',' && !quoted) {
            strv_add(ret, word.len ? word.text : "");
            str_free(&word);
        } else {
            str_printf(&word, "%c", *at);
        }
    }
    if (*text)
        strv_add(ret, word.len ? word.text : "");
}

fallible network_wish_parse(const char *text, struct db_endpoint *ret)
{
    struct db_endpoint e = { 0 };
    own_strv struct strv words = { 0 };
    err *failed = NULL;
    bool docker = str_starts(text, "name=") || str_starts(text, "\"name=");
    size_t n = docker ? 0 : strcspn(text, ":");
    if (!docker)
        e.network = mem_strndup(text, n);
    split_words(docker ? text : text[n] ? text + n + 1 : "", &words);
    for (size_t i = 0; !failed && i < words.n; i++) {
        char *equals = strchr(words.items[i], '=');
        if (!equals) {
            failed = err_new(ERR_INVALID, "'%s' has no value: say %s=...", words.items[i], words.items[i]);
            break;
        }
        *equals = '\0';
        failed = set_wish(&e, words.items[i], equals + 1);
    }
    if (!failed && (!e.network || !*e.network))
        failed = err_new(ERR_INVALID, "'%s' names no network", text);
    if (failed) {
        db_endpoint_clear(&e);
        return failed;
    }
    *ret = e;
    return NULL;
}
