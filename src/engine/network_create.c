// SPDX-License-Identifier: GPL-2.0-or-later
#include <net/if.h>
#include <string.h>
#include <time.h>

#include "engine/grammar.h"
#include "engine/network_lease.h"
#include "engine/network_making.h"
#include "engine/network_template.h"
#include "monitor/events.h"
#include "network/connect.h"
#include "os/fs.h"
#include "usernet/usernet.h"

bool network_driver_has_bridge(const char *driver)
{
    return str_eq(driver, "bridge");
}

/* ---- what must be so ----------------------------------------------------------------------------------------------
 */

static const char *const drivers[] = { "bridge", "macvlan", "ipvlan" };

static fallible check_driver(const char *driver)
{
    for (size_t i = 0; i < ARRAY_SIZE(drivers); i++)
        if (str_eq(driver, drivers[i]))
            return NULL;
    return err_new(ERR_UNSUPPORTED, "--driver: '%s' is not one of bridge, macvlan, ipvlan%s", driver,
                   str_eq(driver, "host") || str_eq(driver, "none") || str_eq(driver, "null")
                       ? ": 'host' and 'none' are there without being made"
                       : "");
}

static fallible check_name(const char *name)
{
    static const char *const words[] = { "bridge",    "host", "none",  "default",     "private",
                                         "container", "ns",   "pasta", "slirp4netns", "cni" };
    if (strlen(name) != 1 ||
        !strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")) /* as docker */
        TRY(grammar_name("network name", name));
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (str_eq(name, words[i]))
            return err_new(ERR_INVALID, "'%s' means something else to --network: choose another name", name);
    return NULL;
}

/* macvlan and ipvlan live on a device of the host's. */
static fallible set_link(const char *driver, const char *id, const char *name, struct network_config *c)
{
    if (c->link)
        return NULL;
    /* Another store of this host, $HUSK_ROOT, may have its default network at that bridge already. */
    if (network_driver_has_bridge(driver))
        c->link = str_eq(name, NETWORK_DEFAULT) && !if_nametoindex(NETWORK_DEFAULT_BRIDGE)
                      ? mem_strdup(NETWORK_DEFAULT_BRIDGE)
                      : mem_printf("husk-%.8s", id);
    else
        return err_new(ERR_INVALID, "--driver %s: say --opt parent=DEVICE, a network device of the host's", driver);
    return NULL;
}

static const char *holder_of_bridge(const struct network_list *others, const char *link)
{
    for (size_t i = 0; i < others->n; i++)
        if (network_driver_has_bridge(others->items[i]->row.driver) && str_eq(others->items[i]->config->link, link))
            return others->items[i]->row.name;
    return NULL;
}

static fallible bridge_is_free(struct engine *e, const char *link)
{
    struct network_list others = { 0 };
    TRY(network_list(e, &others));
    const char *holder = holder_of_bridge(&others, link);
    err *failed =
        holder ? err_new(ERR_CONFLICT, "the bridge '%s' is that of network '%s': choose another", link, holder) : NULL;
    network_list_clear(&others);
    return failed;
}

/* ---- back from the trash ---- */

static fallible must_be_free_among(struct network_list *others, const struct network_config *c, const char *name)
{
    own_fd int sock = -1;
    for (size_t i = 0; i < others->n; i++)
        if (str_eq(others->items[i]->row.name, name))
            return err_new(ERR_EXISTS,
                           "the name '%s' is taken by another network meanwhile: remove that, or say --name", name);
    if (c->link && holder_of_bridge(others, c->link))
        return err_new(ERR_CONFLICT, "network '%s' had the bridge '%s', which is that of network '%s' now: remove that",
                       name, c->link, holder_of_bridge(others, c->link));
    TRY(netlink_open_here(&sock));
    for (size_t i = 0; i < c->subnets_n; i++) {
        own_str struct str clash = { 0 };
        struct prefix p;
        TRY(prefix_parse(c->subnets[i].subnet, &p));
        TRY(network_clash(others, sock, &p, c->link_theirs ? c->link : NULL, &clash));
        if (clash.len)
            return err_new(ERR_CONFLICT,
                           "network '%s' had the addresses %s, which clash with %s now: remove that, or make another "
                           "network",
                           name, c->subnets[i].subnet, clash.text);
    }
    return NULL;
}

fallible network_must_be_free(struct engine *e, const struct db_network *row, const char *name)
{
    struct network_list others = { 0 };
    void *config = NULL;
    TRY(check_name(name));
    TRY_AS(bind_read(&network_config_type, row->config, strlen(row->config), &config), "network '%s'", name);
    err *failed = network_list(e, &others);
    if (!failed)
        failed = must_be_free_among(&others, config, name);
    network_list_clear(&others);
    bind_free(&network_config_type, config);
    return failed;
}

/* ---- making ---- */

/* Whether a device was made for another network of ours, a VLAN to be a parent. */
static fallible is_made_by_us(struct engine *e, const char *link, bool *ret)
{
    struct network_list others = { 0 };
    *ret = false;
    TRY(network_list(e, &others));
    for (size_t i = 0; i < others.n; i++)
        *ret |= str_eq(others.items[i]->config->link, link) && !others.items[i]->config->link_theirs;
    network_list_clear(&others);
    return NULL;
}

/* A device that was named and is there before the network is the host's, and stays so. Of an ordinary user's networks
 * the namespace may not be there yet. */
static fallible look_at_link(struct engine *e, const char *driver, struct network_config *c)
{
    own_fd int sock = -1;
    unsigned index;
    bool is_bridge, ours;
    if (usernet_needed())
        return NULL;
    TRY(netlink_open_here(&sock));
    TRY(link_look(sock, c->link, &index, &is_bridge));
    if (index && network_driver_has_bridge(driver) && !is_bridge)
        return err_new(ERR_CONFLICT, "'%s' is an interface of the host's and no bridge: choose another name", c->link);
    if (c->unmanaged && !index)
        return err_new(ERR_NOT_FOUND, "--opt mode=unmanaged: the host has no bridge '%s': make it first", c->link);
    if (!network_driver_has_bridge(driver))
        TRY(parent_check(sock, c->link));
    TRY(is_made_by_us(e, c->link, &ours));
    c->link_theirs = index && !ours;
    return NULL;
}

static fallible add_row(struct engine *e, const char *id, const char *name, const char *driver, struct network *n)
{
    struct timespec now = { 0 };
    struct db *db;
    TRY(engine_db(e, &db));
    (void)clock_gettime(CLOCK_REALTIME, &now);
    n->row = (struct db_network){
        .id = mem_strdup(id),
        .name = mem_strdup(name),
        .driver = mem_strdup(driver),
        .created_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec,
        .config = bind_write(&network_config_type, n->config, BIND_COMPACT),
    };
    TRY(db_network_add(db, &n->row));
    event_say(e->run, "network", "create", n->row.id, "name", name, "type", driver, NULL);
    return NULL;
}

static fallible create(struct engine *e, const char *name, const struct network_options *given, struct network **ret)
{
    own(network) struct network *n = mem_zalloc(sizeof *n);
    struct network_options all = *given; /* its lists are borrowed */
    const struct network_options *o = &all;
    const char *driver = o->driver && *o->driver ? o->driver : "bridge";
    char id[65];
    TRY(check_name(name));
    TRY(check_driver(driver));
    TRY(network_options_families(&all));
    if (!network_driver_has_bridge(driver) && usernet_needed())
        return err_new(ERR_UNSUPPORTED,
                       "--driver %s: the host's devices are root's, and an ordinary user's networks have pasta's "
                       "device alone, which leads to no neighbours: make a bridge",
                       driver);
    random_hex(id, 32);
    n->config = mem_zalloc(sizeof *n->config);
    TRY(network_options_read(o, driver, n->config));
    const bool named = n->config->link != NULL;
    TRY(set_link(driver, id, name, n->config));
    if (network_driver_has_bridge(driver))
        TRY(bridge_is_free(e, n->config->link));
    if (n->config->unmanaged && (!named || usernet_needed()))
        return err_new(ERR_INVALID, "--opt mode=unmanaged: say which of the host's bridges it is: --interface-name%s",
                       usernet_needed() ? "; an ordinary user has none" : "");
    if (named)
        TRY(look_at_link(e, driver, n->config));
    TRY(network_subnets_set(e, o, driver, id, n->config));
    n->config->config_from = mem_strdup(o->config_from);
    TRY(add_row(e, id, name, driver, n));
    *ret = take(n);
    return NULL;
}

/* Good for one driver at least: which, is said when a network is made of it. */
static fallible check_template(const struct network_options *o)
{
    err *first = NULL;
    for (size_t i = 0; i < ARRAY_SIZE(drivers); i++) {
        struct network_config *c = mem_zalloc(sizeof *c);
        err *e = o->driver && !str_eq(o->driver, drivers[i]) ? err_new(ERR_INVALID, "another driver")
                                                             : network_options_read(o, drivers[i], c);
        for (size_t j = 0; !e && j < o->subnet.n; j++)
            e = network_subnet_given(NULL, -1, o->subnet.items[j], false, c);
        if (!e)
            e = network_gateways_set(o, drivers[i], -1, c);
        for (size_t j = 0; !e && j < o->range.n; j++)
            e = err_wrap(network_range_set(o->range.items[j], c), "--ip-range");
        if (!e)
            e = network_others_set(o, c);
        bind_free(&network_config_type, c);
        if (!e) {
            err_free(first);
            return NULL;
        }
        if (!first && !(o->driver && !str_eq(o->driver, drivers[i])))
            first = e;
        else
            err_free(e);
    }
    return first;
}

static fallible create_template(struct engine *e, const char *name, const struct network_options *o,
                                struct network **ret)
{
    own(network) struct network *n = mem_zalloc(sizeof *n);
    char id[65];
    TRY(check_name(name));
    if (o->driver)
        TRY(check_driver(o->driver));
    TRY(check_template(o));
    random_hex(id, 32);
    n->config = mem_zalloc(sizeof *n->config);
    n->config->config_only = true;
    network_template_write(o, &n->config->words);
    for (size_t i = 0; i < o->label.n; i++)
        TRY_AS(grammar_label(o->label.items[i], &n->config->labels), "--label");
    TRY(add_row(e, id, name, NETWORK_TEMPLATE_DRIVER, n));
    *ret = take(n);
    return NULL;
}

fallible network_create(struct engine *e, const char *name, const struct network_options *o, struct network **ret)
{
    own(network) struct network *from = NULL;
    struct network_options all;
    if (o->config_only && o->config_from)
        return err_new(ERR_INVALID, "--config-only and --config-from exclude each other");
    if (o->config_only)
        return create_template(e, name, o, ret);
    if (!o->config_from)
        return create(e, name, o, ret);
    TRY_AS(network_find(e, o->config_from, &from), "--config-from");
    if (!from->config->config_only)
        return err_new(ERR_INVALID, "--config-from: '%s' is a network itself: say one that was made with --config-only",
                       from->row.name);
    TRY(network_template_read(&from->config->words, o, &all));
    all.config_from = from->row.name;
    err *failed = create(e, name, &all, ret);
    network_template_clear(&all);
    return failed;
}

fallible network_set_dns(struct engine *e, struct network *n, const struct strv *add, const struct strv *drop)
{
    struct db *db;
    struct strv kept = { 0 };
    struct ip ip;
    TRY(engine_db(e, &db));
    for (size_t i = 0; i < add->n; i++)
        TRY_AS(ip_parse(add->items[i], &ip), "--dns-add");
    for (size_t i = 0; i < n->config->dns.n; i++)
        if (!strv_has(drop, n->config->dns.items[i]))
            strv_add(&kept, n->config->dns.items[i]);
    for (size_t i = 0; i < add->n; i++)
        if (!strv_has(&kept, add->items[i]))
            strv_add(&kept, add->items[i]);
    strv_free(&n->config->dns);
    n->config->dns = kept;
    own_mem char *text = bind_write(&network_config_type, n->config, BIND_COMPACT);
    return db_network_set_config(db, n->row.id, text);
}
