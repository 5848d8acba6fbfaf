// SPDX-License-Identifier: GPL-2.0-or-later
#include "dns/source.h"

#include <errno.h>
#include <fcntl.h>
#include <sqlite3.h>
#include <string.h>

#include "base/log.h"
#include "engine/network.h"

struct dns_source {
    sqlite3 *handle;
    sqlite3_stmt *version, *networks, *endpoints;
    int run_fd;
    int64_t seen;
    uint64_t serial;
    struct dns_names *names;
};

/* A container and its servers, and an endpoint of it, in a row; the endpoints of one are together. */
static const char networks_sql[] = "SELECT id, name, config FROM network";
static const char endpoints_sql[] =
    "SELECT e.container, e.network, e.ip4, e.ip6, e.aliases, c.name, json_extract(c.config, '$.dns'),"
    " json_extract(c.config, '$.hostname'), json_extract(c.config, '$.egress'), json_extract(c.config, '$.links')"
    " FROM endpoint e JOIN container c ON c.id = e.container"
    " WHERE e.ip4 IS NOT NULL OR e.ip6 IS NOT NULL ORDER BY e.container, e.position";

static fallible failed(const struct dns_source *s, const char *what)
{
    return err_new(ERR_UNAVAILABLE, "%s: %s", what, sqlite3_errmsg(s->handle));
}

static const char *text_of(sqlite3_stmt *row, int i)
{
    const char *text = (const char *)sqlite3_column_text(row, i);
    return text ? text : "";
}

static void add_subnets(struct dns_names *n, size_t index, const struct network_config *c)
{
    for (size_t i = 0; i < c->subnets_n; i++) {
        struct prefix subnet;
        err *e = c->subnets[i].subnet ? prefix_parse(c->subnets[i].subnet, &subnet) : err_new(ERR_INVALID, "no subnet");
        if (!e)
            dns_names_add_subnet(n, index, &subnet);
        err_ignore(e, "who asks from there is no neighbour then");
    }
}

static err *read_networks(struct dns_source *s, struct dns_names *n)
{
    int code;
    while ((code = sqlite3_step(s->networks)) == SQLITE_ROW) {
        void *config = NULL;
        const char *text = text_of(s->networks, 2);
        err *e = bind_read(&network_config_type, text, strlen(text), &config);
        const struct network_config *c = config;
        if (!e && !c->no_dns) {
            size_t index =
                dns_names_add_network(n, text_of(s->networks, 0), text_of(s->networks, 1), c->internal, &c->dns);
            add_subnets(n, index, c);
            if (c->flows)
                dns_names_count_network(n, index);
        }
        bind_free(&network_config_type, config);
        err_ignore(e, "a network that cannot be read has no names");
    }
    (void)sqlite3_reset(s->networks);
    return code == SQLITE_DONE ? NULL : failed(s, "read networks");
}

/* A JSON array of texts. */
static void read_texts(const char *text, struct strv *ret)
{
    json_t *list = *text ? json_loads(text, 0, NULL) : NULL;
    size_t i;
    json_t *item;
    json_array_foreach (list, i, item)
        if (json_is_string(item))
            strv_add(ret, json_string_value(item));
    json_decref(list);
}

/* "ID:ALIAS" each. */
static void add_links(struct dns_names *n, size_t container, const char *text)
{
    own_strv struct strv links = { 0 };
    read_texts(text, &links);
    for (size_t i = 0; i < links.n; i++) {
        char *colon = strchr(links.items[i], ':');
        if (!colon)
            continue;
        *colon = '\0';
        dns_names_add_link(n, container, colon + 1, links.items[i]);
    }
}

static size_t read_addresses(sqlite3_stmt *row, struct ip ret[2])
{
    size_t n = 0;
    if (sqlite3_column_type(row, 2) == SQLITE_INTEGER)
        ret[n++] = ip4_of((uint32_t)sqlite3_column_int64(row, 2));
    if (sqlite3_column_type(row, 3) == SQLITE_BLOB && sqlite3_column_bytes(row, 3) == 16) {
        ret[n] = (struct ip){ .family = AF_INET6 };
        memcpy(ret[n++].bytes, sqlite3_column_blob(row, 3), 16);
    }
    return n;
}

static err *read_endpoints(struct dns_source *s, struct dns_names *n)
{
    own_mem char *last = NULL;
    size_t container = 0, network;
    int code;
    while ((code = sqlite3_step(s->endpoints)) == SQLITE_ROW) {
        own_strv struct strv servers = { 0 }, egress = { 0 };
        own_strv struct strv names = { 0 };
        struct ip addresses[2];
        const char *id = text_of(s->endpoints, 0);
        if (!dns_names_network(n, text_of(s->endpoints, 1), &network))
            continue;
        if (!str_eq(last, id)) {
            read_texts(text_of(s->endpoints, 6), &servers);
            read_texts(text_of(s->endpoints, 8), &egress);
            container = dns_names_add_container(n, id, &servers, &egress);
            add_links(n, container, text_of(s->endpoints, 9));
            free(last);
            last = mem_strdup(id);
        }
        strv_add(&names, text_of(s->endpoints, 5));
        strv_add_take(&names, mem_strndup(id, 12));
        strv_add(&names, id);
        strv_split(&names, text_of(s->endpoints, 4), ' ');
        if (*text_of(s->endpoints, 7))
            strv_add(&names, text_of(s->endpoints, 7));
        dns_names_add_endpoint(n, container, network, addresses, read_addresses(s->endpoints, addresses), &names);
    }
    (void)sqlite3_reset(s->endpoints);
    return code == SQLITE_DONE ? NULL : failed(s, "read endpoints");
}

static bool is_connected(void *ctx, const char *id)
{
    const struct dns_source *s = ctx;
    char path[80];
    (void)snprintf(path, sizeof path, "%s/network", id);
    return faccessat(s->run_fd, path, F_OK, 0) == 0;
}

static fallible read_version(struct dns_source *s, int64_t *ret)
{
    int code = sqlite3_step(s->version);
    *ret = code == SQLITE_ROW ? sqlite3_column_int64(s->version, 0) : -1;
    (void)sqlite3_reset(s->version);
    return code == SQLITE_ROW ? NULL : failed(s, "look for changes");
}

/* One picture: both tables in one transaction. */
static fallible read_all(struct dns_source *s, struct dns_names **ret)
{
    own(dns_names) struct dns_names *n = dns_names_new();
    if (sqlite3_exec(s->handle, "BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        return failed(s, "read names");
    err *e = read_networks(s, n);
    if (!e)
        e = read_endpoints(s, n);
    (void)sqlite3_exec(s->handle, "COMMIT", NULL, NULL, NULL);
    if (e)
        return e;
    dns_names_seal(n, is_connected, s);
    *ret = take(n);
    return NULL;
}

static fallible refresh(struct dns_source *s)
{
    struct dns_names *names = NULL;
    int64_t version = 0;
    TRY(read_version(s, &version));
    if (s->names && version == s->seen)
        return NULL;
    TRY(read_all(s, &names));
    dns_names_free(s->names);
    s->names = names;
    s->seen = version; /* read before the rows: what changed in between is read once more */
    s->serial++;
    return NULL;
}

const struct dns_names *dns_source_names(void *source, uint64_t *ret_serial)
{
    struct dns_source *s = source;
    err *e = refresh(s);
    if (e)
        log_debug("dns: %s", err_text(e));
    err_ignore(e, "then the names are those that we have");
    *ret_serial = s->serial;
    return s->names;
}

static fallible prepare(struct dns_source *s, const char *sql, sqlite3_stmt **ret)
{
    return sqlite3_prepare_v3(s->handle, sql, -1, SQLITE_PREPARE_PERSISTENT, ret, NULL) == SQLITE_OK
               ? NULL
               : failed(s, "prepare to read");
}

fallible dns_source_open(const char *root, const char *run, struct dns_source **ret)
{
    own(dns_source) struct dns_source *s = mem_zalloc(sizeof *s);
    own_mem char *path = mem_printf("%s/husk.db", root);
    s->run_fd = open(run, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (s->run_fd < 0)
        return err_sys(errno, "open '%s'", run);
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    (void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
    if (sqlite3_open_v2(path, &s->handle, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) != SQLITE_OK)
        return failed(s, "open husk.db");
    (void)sqlite3_busy_timeout(s->handle, 1000);
    TRY(prepare(s, "PRAGMA data_version", &s->version));
    TRY(prepare(s, networks_sql, &s->networks));
    TRY(prepare(s, endpoints_sql, &s->endpoints));
    TRY(refresh(s));
    *ret = take(s);
    return NULL;
}

void dns_source_free(struct dns_source *s)
{
    if (!s)
        return;
    dns_names_free(s->names);
    (void)sqlite3_finalize(s->version);
    (void)sqlite3_finalize(s->networks);
    (void)sqlite3_finalize(s->endpoints);
    (void)sqlite3_close(s->handle);
    close_now(&s->run_fd);
    free(s);
}
