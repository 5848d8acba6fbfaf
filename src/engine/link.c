// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/link.h"

#include <stdlib.h>
#include <string.h>

#include "engine/network.h"
#include "engine/network_wish.h"

fallible link_read(struct engine *e, const char *text, char **ret)
{
    own(container) struct container *c = NULL;
    const char *colon = strchr(text, ':');
    own_mem char *name = mem_strndup(text, colon ? (size_t)(colon - text) : strlen(text));
    TRY_AS(network_alias_check(colon ? colon + 1 : name), "'%s'", text);
    TRY(container_find(e, name, &c));
    *ret = mem_printf("%s:%s", c->row.id, colon ? colon + 1 : name);
    return NULL;
}

/* The other's place on the default network, where both are; *ret_there false: they are not. */
static fallible on_default(struct engine *e, const char *own, const char *other, struct ip *ret, bool *ret_there)
{
    own(db_endpoints) struct db_endpoints mine = { 0 }, its = { 0 };
    own(network) struct network *n = NULL;
    struct db *db;
    *ret_there = false;
    TRY(engine_db(e, &db));
    TRY(db_endpoint_list(db, own, NULL, &mine));
    for (size_t i = 0; i < mine.n && !n; i++) {
        TRY(network_find(e, mine.items[i].network, &n));
        if (!str_eq(n->row.name, NETWORK_DEFAULT)) {
            network_free(n);
            n = NULL;
        }
    }
    if (!n)
        return NULL;
    TRY(db_endpoint_list(db, other, n->row.id, &its));
    *ret_there = its.n > 0;
    if (its.n)
        *ret = ip_is_set(&its.items[0].ip4) ? its.items[0].ip4 : its.items[0].ip6;
    return NULL;
}

/* As docker: letters large, and '_' for what no variable's name has. Caller frees. */
static char *variable(const char *text)
{
    char *name = mem_strdup(text);
    for (char *c = name; *c; c++) {
        if (*c >= 'a' && *c <= 'z')
            *c = (char)(*c - 'a' + 'A');
        else if (*c == '-' || *c == '.')
            *c = '_';
    }
    return name;
}

static int by_port(const void *a, const void *b)
{
    const char *p = *(char *const *)a, *q = *(char *const *)b; /* "80/tcp" */
    size_t m = strcspn(p, "/"), n = strcspn(q, "/");
    return m != n ? (m < n ? -1 : 1) : strcmp(p, q);
}

static void add_ports(struct strv *env, const char *name, const char *address, const struct strv *exposed)
{
    own_strv struct strv ports = { 0 };
    strv_copy(&ports, exposed->items, exposed->n);
    if (ports.n)
        qsort(ports.items, ports.n, sizeof *ports.items, by_port);
    for (size_t i = 0; i < ports.n; i++) {
        char *slash = strchr(ports.items[i], '/');
        const char *proto = slash ? slash + 1 : "tcp";
        if (slash)
            *slash = '\0';
        own_mem char *large = variable(proto), *key = mem_printf("%s_PORT_%s_%s", name, ports.items[i], large);
        if (!i)
            strv_add_printf(env, "%s_PORT=%s://%s:%s", name, proto, address, ports.items[i]);
        strv_add_printf(env, "%s=%s://%s:%s", key, proto, address, ports.items[i]);
        strv_add_printf(env, "%s_ADDR=%s", key, address);
        strv_add_printf(env, "%s_PORT=%s", key, ports.items[i]);
        strv_add_printf(env, "%s_PROTO=%s", key, proto);
    }
}

static fallible add_one(struct container *c, const char *id, const char *alias, struct strv *env)
{
    own(container) struct container *other = NULL;
    const struct container_config *config;
    struct ip ip = { 0 };
    char address[IP_TEXT];
    bool there;
    err *e = container_find(c->engine, id, &other);
    if (err_is(e, ERR_NOT_FOUND)) { /* removed since: the name leads nowhere, as with docker */
        err_free(e);
        return NULL;
    }
    TRY(e);
    TRY(on_default(c->engine, c->row.id, id, &ip, &there));
    if (!there)
        return NULL;
    if (!network_is_connected(c->engine, id))
        return err_new(ERR_CONFLICT, "--link: container '%s' does not run: start it first", other->row.name);
    TRY(container_config(other, &config));
    own_mem char *name = variable(alias);
    strv_add_printf(env, "%s_NAME=/%s/%s", name, c->row.name, alias);
    add_ports(env, name, ip_text(&ip, address), &config->exposed);
    for (size_t i = 0; i < config->env.n; i++)
        if (!str_starts(config->env.items[i], "PATH=") && !str_starts(config->env.items[i], "HOME="))
            strv_add_printf(env, "%s_ENV_%s", name, config->env.items[i]);
    return NULL;
}

fallible link_environment(struct container *c, struct oci_spec *spec)
{
    const struct container_config *config;
    TRY(container_config(c, &config));
    for (size_t i = 0; i < config->links.n; i++) {
        own_mem char *id = mem_strdup(config->links.items[i]);
        char *colon = strchr(id, ':');
        own_strv struct strv env = { 0 };
        if (!colon)
            continue;
        *colon = '\0';
        TRY(add_one(c, id, colon + 1, &env));
        for (size_t k = 0; k < env.n; k++) {
            own_mem char *key = mem_strndup(env.items[k], strcspn(env.items[k], "="));
            if (!strv_getenv(&spec->process->env, key)) /* what was said with --env holds */
                strv_add(&spec->process->env, env.items[k]);
        }
    }
    return NULL;
}

fallible link_add(struct container *c, const char *text)
{
    struct db *db;
    own_mem char *link = NULL, *doc = NULL;
    const struct container_config *config;
    TRY_AS(link_read(c->engine, text, &link), "--link");
    TRY(container_lock(c));
    TRY(container_config(c, &config));
    if (strv_has(&config->links, link))
        return NULL;
    strv_add(&c->config->links, link);
    doc = bind_write(&container_config_type, c->config, BIND_COMPACT);
    TRY(engine_db(c->engine, &db));
    return db_container_set_config(db, c->row.id, doc);
}
