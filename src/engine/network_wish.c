// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/network_wish.h"

#include <net/if.h>
#include <sched.h>
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "engine/engine.h"
#include "image/settings.h"
#include "network/cni.h"
#include "network/reserve.h"
#include "os/ids.h"
#include "usernet/usernet.h"

void network_wishes_clear(struct network_wishes *w)
{
    free(w->mode);
    db_endpoints_clear(&w->networks);
    db_ports_clear(&w->ports);
    *w = (struct network_wishes){ 0 };
}

bool network_mode_is_ours(const char *mode)
{
    return !str_eq(mode, "none") && !str_eq(mode, "host") && !str_starts(mode, "container:") &&
           !str_starts(mode, "ns:") && !network_cni(mode) && !network_pasta(mode, NULL);
}

const char *network_cni(const char *mode)
{
    return str_starts(mode, "cni:") ? mode + strlen("cni:") : NULL;
}

fallible network_cni_find(const char *name, json_t **ret_list, char **ret_plugins)
{
    struct settings s;
    TRY(settings_read(&s));
    TRY(cni_find(*s.cni_dirs ? s.cni_dirs : CNI_CONFIG_DIRS, name, ret_list));
    *ret_plugins = mem_strdup(*s.cni_plugins ? s.cni_plugins : CNI_PLUGIN_DIRS);
    return NULL;
}

/* Before anything is made: it is there. name: with what is wished. */
static fallible check_cni(const char *name)
{
    own_json json_t *list = NULL;
    own_mem char *plugins = NULL;
    struct db_endpoint wish = { 0 };
    if (usernet_needed())
        return err_new(ERR_UNSUPPORTED,
                       "--network cni:%s: CNI plugins change the host's network, which is root's: an "
                       "ordinary user's is --network bridge",
                       name);
    TRY_AS(network_wish_parse(name, &wish), "--network cni:%s", name);
    err *e = wish.interface || wish.options
                 ? err_new(ERR_INVALID, "cni:%s: plugins take ip, ip6, mac and alias", wish.network)
                 : network_cni_find(wish.network, &list, &plugins);
    db_endpoint_clear(&wish);
    return err_wrap(e, "--network");
}

bool network_pasta(const char *mode, struct strv *ret_options)
{
    if (!str_starts(mode, "pasta") || (mode[5] && mode[5] != ':'))
        return false;
    if (ret_options && mode[5])
        strv_split(ret_options, mode + 6, ',');
    return true;
}

fallible network_interface_check(const char *name)
{
    size_t n = strlen(name);
    if (!n || n >= IFNAMSIZ || strpbrk(name, "/: \t\n%") || str_eq(name, ".") || str_eq(name, "..") ||
        str_eq(name, "lo"))
        return err_new(ERR_INVALID, "'%s' is no name for a network interface: up to 15 letters, no '/', ':' or space",
                       name);
    return NULL;
}

/* ---- networks ---------------------------------------------------------------------------------------------------- */

static fallible want_ip(const char *text, int family, struct ip *slot)
{
    struct ip ip;
    TRY(ip_parse(text, &ip));
    if (family && ip.family != family)
        return err_new(ERR_INVALID, "'%s' is no IPv%d address", text, family == AF_INET ? 4 : 6);
    *slot = ip;
    return NULL;
}

static fallible want_mac(const char *text, char **slot)
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

static fallible want_alias(const char *text, struct db_endpoint *e)
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
        TRY(want_ip(value, 0, &ip));
        *(ip.family == AF_INET ? &e->want_ip4 : &e->want_ip6) = ip;
        return NULL;
    }
    if (str_eq(key, "ip6"))
        return want_ip(value, AF_INET6, &e->want_ip6);
    if (str_eq(key, "mac") || str_eq(key, "mac-address"))
        return want_mac(value, &e->want_mac);
    if (str_eq(key, "alias"))
        return want_alias(value, e);
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

static bool stands_alone(const char *word)
{
    return !network_mode_is_ours(word);
}

/* What is said as if it were the name of a network, and could not be one. */
static fallible check_name(const char *word)
{
    size_t n = strcspn(word, ":");
    own_mem char *name = mem_strndup(word, n);
    if (word[n] && (str_eq(name, "none") || str_eq(name, "host")))
        return err_new(ERR_INVALID, "--network: '%s' takes no options: it has no interface of husk's", name);
    if (str_eq(name, "slirp4netns"))
        return err_new(ERR_UNSUPPORTED, "--network: there is no slirp4netns: its work is done by 'bridge', or by "
                                        "'pasta' for a container alone");
    return NULL;
}

/* All words of both options; podman takes several names in one: "one,two". */
static void list_words(const struct create_options *o, struct strv *ret)
{
    const struct strv *lists[] = { &o->network, &o->net };
    for (size_t l = 0; l < ARRAY_SIZE(lists); l++)
        for (size_t i = 0; i < lists[l]->n; i++) {
            const char *word = lists[l]->items[i];
            if (strpbrk(word, ":=\""))
                strv_add(ret, word);
            else
                strv_split(ret, word, ',');
        }
}

static fallible read_networks(const struct create_options *o, struct network_wishes *w)
{
    own_strv struct strv words = { 0 };
    list_words(o, &words);
    for (size_t i = 0; i < words.n; i++) {
        const char *word = words.items[i];
        if (!*word) /* docker's word for the default */
            continue;
        if (stands_alone(word)) {
            if (words.n > 1)
                return err_new(ERR_INVALID, "--network: '%s' and other networks exclude each other", word);
            if (str_eq(word, "container:") || str_eq(word, "ns:") || str_eq(word, "cni:"))
                return err_new(ERR_INVALID, "--network: '%s' is followed by a name: %sNAME", word, word);
            if (network_pasta(word, NULL) && !usernet_needed())
                return err_new(ERR_UNSUPPORTED,
                               "--network pasta: it is an ordinary user's way out: root's is --network bridge");
            if (network_cni(word))
                TRY(check_cni(network_cni(word)));
            w->mode = mem_strdup(word);
            return NULL;
        }
        TRY(check_name(word));
        w->networks.items = mem_array(w->networks.items, w->networks.n + 1, sizeof *w->networks.items);
        TRY_AS(network_wish_parse(word, &w->networks.items[w->networks.n]), "--network");
        w->networks.n++;
    }
    return NULL;
}

/* Without a word: the default bridge, root's or the user's own. Where the kernel gives an ordinary user no way out of
 * that, his container has its loopback; in a container that may make no network namespace it has the one around it. */
static void add_default(struct network_wishes *w, bool rootless)
{
    if (rootless && geteuid() == 0 && !ids_may_clone(CLONE_NEWUSER | CLONE_NEWNET)) {
        log_info("--network: no network namespace may be made in this container: its own is used");
        w->mode = mem_strdup("host");
        return;
    }
    if (rootless && pasta_missing()) {
        w->mode = mem_strdup("none");
        w->fell_back = true;
        return;
    }
    w->networks.items = mem_zalloc(sizeof *w->networks.items);
    w->networks.items[w->networks.n++].network = mem_strdup("bridge");
}

static fallible finish_networks(struct network_wishes *w)
{
    for (size_t i = 0; i < w->networks.n; i++) {
        struct db_endpoint *e = &w->networks.items[i];
        e->position = (int64_t)i;
        if (str_eq(e->network, "default") || str_eq(e->network, "private")) {
            free(e->network);
            e->network = mem_strdup("bridge");
        }
        if (!e->interface)
            e->interface = mem_printf("eth%zu", i);
        for (size_t j = 0; j < i; j++) {
            if (str_eq(w->networks.items[j].interface, e->interface))
                return err_new(ERR_INVALID, "--network: two interfaces with the name '%s'", e->interface);
            if (str_eq(w->networks.items[j].network, e->network))
                return err_new(ERR_INVALID, "--network: '%s' twice", e->network);
        }
    }
    w->mode = mem_strdup(w->networks.items[0].network);
    return NULL;
}

/* The words of its own, behind what is said with --network. */
static fallible add_to_cni(const struct create_options *o, struct network_wishes *w)
{
    own_str struct str mode = { 0 };
    const char *const words[][2] = { { "ip", o->ip }, { "ip6", o->ip6 }, { "mac", o->mac_address } };
    str_add(&mode, w->mode);
    char separator = strchr(network_cni(w->mode), ':') ? ',' : ':';
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (words[i][1]) {
            str_printf(&mode, "%c%s=%s", separator, words[i][0], words[i][1]);
            separator = ',';
        }
    for (size_t i = 0; i < o->network_alias.n; i++, separator = ',')
        str_printf(&mode, "%calias=%s", separator, o->network_alias.items[i]);
    free(w->mode);
    w->mode = str_take(&mode);
    return check_cni(network_cni(w->mode));
}

/* --ip and its like say it for the first network; with --network none and the like they say nothing. */
static fallible add_single(const struct create_options *o, struct network_wishes *w)
{
    const char *asked = o->ip                ? "--ip"
                        : o->ip6             ? "--ip6"
                        : o->mac_address     ? "--mac-address"
                        : o->network_alias.n ? "--network-alias"
                        : o->link_local_ip.n ? "--link-local-ip"
                                             : NULL;
    if (!asked)
        return NULL;
    if (network_cni(w->mode) && !o->link_local_ip.n)
        return add_to_cni(o, w);
    if (!w->networks.n)
        return err_new(ERR_INVALID, "%s: with --network %s there is no interface of husk's that could have it", asked,
                       w->mode);
    struct db_endpoint *first = &w->networks.items[0];
    if (o->ip)
        TRY_AS(want_ip(o->ip, AF_INET, &first->want_ip4), "--ip");
    if (o->ip6)
        TRY_AS(want_ip(o->ip6, AF_INET6, &first->want_ip6), "--ip6");
    if (o->mac_address)
        TRY_AS(want_mac(o->mac_address, &first->want_mac), "--mac-address");
    for (size_t i = 0; i < o->link_local_ip.n; i++)
        TRY_AS(network_want_link_local(o->link_local_ip.items[i], first), "--link-local-ip");
    for (size_t i = 0; i < o->network_alias.n; i++) /* podman: on each network */
        for (size_t n = 0; n < w->networks.n; n++)
            TRY_AS(want_alias(o->network_alias.items[i], &w->networks.items[n]), "--network-alias");
    return NULL;
}

/* ---- ports ----------------------------------------------------------------------------------------------------- */

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

static fallible read_ports(const struct create_options *o, const struct strv *exposed, struct network_wishes *w)
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

fallible network_wishes_read(const struct create_options *o, const struct strv *exposed, struct network_wishes *ret)
{
    own(network_wishes) struct network_wishes w = { 0 };
    TRY(read_networks(o, &w));
    if (!w.mode && !w.networks.n)
        add_default(&w, engine_is_rootless());
    if (w.networks.n)
        TRY(finish_networks(&w));
    TRY(add_single(o, &w));
    TRY(read_ports(o, exposed, &w));
    *ret = w;
    w = (struct network_wishes){ 0 };
    return NULL;
}
