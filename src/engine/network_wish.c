// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/network_wish_parts.h"

#include <net/if.h>
#include <sched.h>
#include <string.h>

#include "base/log.h"
#include "engine/engine.h"
#include "image/settings.h"
#include "network/cni.h"
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
        TRY_AS(network_want_ip(o->ip, AF_INET, &first->want_ip4), "--ip");
    if (o->ip6)
        TRY_AS(network_want_ip(o->ip6, AF_INET6, &first->want_ip6), "--ip6");
    if (o->mac_address)
        TRY_AS(network_want_mac(o->mac_address, &first->want_mac), "--mac-address");
    for (size_t i = 0; i < o->link_local_ip.n; i++)
        TRY_AS(network_want_link_local(o->link_local_ip.items[i], first), "--link-local-ip");
    for (size_t i = 0; i < o->network_alias.n; i++) /* podman: on each network */
        for (size_t n = 0; n < w->networks.n; n++)
            TRY_AS(network_want_alias(o->network_alias.items[i], &w->networks.items[n]), "--network-alias");
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
    TRY(network_ports_read(o, exposed, &w));
    *ret = w;
    w = (struct network_wishes){ 0 };
    return NULL;
}
