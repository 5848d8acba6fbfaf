/*
 * husk port: the ports of the host that lead into a container.
 * Compatible with: docker port, podman port.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cli/cli.h"
#include "engine/network.h"
#include "engine/network_start.h"

struct port_opts {
    bool all, latest;
};

#define T struct port_opts
static const struct opt port_options[] = {
    OPT_FLAG('a', "all", T, all, "Of every container"),
    OPT_FLAG('l', "latest", T, latest, "Of the one that was made last"),
    OPT_END,
};
#undef T

/* open_at: where it is reached when no port of the host's leads to it. */
static void print_port(const struct db_port *p, const struct ip *open_at, bool with_container)
{
    char text[IP_TEXT];
    const char *at = *p->host_ip ? p->host_ip : "0.0.0.0";
    if (!p->host_port)
        at = ip_text(open_at, text);
    if (with_container)
        printf("%lld/%s -> ", (long long)p->container_port, p->proto);
    printf(strchr(at, ':') ? "[%s]:%lld\n" : "%s:%lld\n", at,
           (long long)(p->host_port ? p->host_port : p->container_port));
}

/* only: "80" or "80/udp"; NULL: all. */
static fallible show(struct engine *e, struct container *c, const char *only, bool with_name)
{
    own(db_ports) struct db_ports l = { 0 };
    struct db *db;
    struct ip open_at = { 0 };
    bool found = false;
    TRY(engine_db(e, &db));
    if (network_is_published(e, c->row.id))
        TRY(db_port_list(db, c->row.id, &l));
    for (size_t i = 0; i < l.n; i++)
        if (!l.items[i].host_port && !ip_is_set(&open_at))
            TRY(network_port_open_at(c, &open_at));
    for (size_t i = 0; i < l.n; i++) {
        own_mem char *key = mem_printf("%lld/%s", (long long)l.items[i].container_port, l.items[i].proto);
        own_mem char *wish = only ? mem_printf("%s%s", only, strchr(only, '/') ? "" : "/tcp") : NULL;
        if (wish && !str_eq(wish, key))
            continue;
        if (with_name)
            printf("%.12s\t", c->row.id);
        print_port(&l.items[i], &open_at, !only);
        found = true;
    }
    return only && !found ? err_new(ERR_NOT_FOUND, "no public port '%s' of container '%s'", only, c->row.name) : NULL;
}

static fallible show_all(struct engine *e)
{
    struct container_list l = { 0 };
    const struct strv none = { 0 };
    TRY(container_list(e, &(struct list_options){ .filters = &none }, &l));
    err *first = NULL;
    for (size_t i = 0; i < l.n && !first; i++)
        first = show(e, l.items[i], NULL, true);
    container_list_clear(&l);
    return first;
}

static fallible change(struct engine *e, bool add, struct args args)
{
    own(container) struct container *c = NULL;
    own(db_ports) struct db_ports ports = { 0 };
    TRY(container_find(e, args.v[1], &c));
    for (int i = 2; i < args.n; i++)
        TRY(network_port_parse(args.v[i], &ports));
    return add ? network_port_add(e, c, &ports) : network_port_remove(e, c, &ports);
}

static fallible port_run(const void *opts_, struct args args)
{
    const struct port_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    own_mem char *latest = NULL;
    TRY(engine_open_to_look(&engine));
    if (o->all)
        return args.n ? err_new(ERR_INVALID, "--all and names exclude each other") : show_all(engine);
    if (args.n > 2 && (str_eq(args.v[0], "add") || str_eq(args.v[0], "rm")))
        return change(engine, str_eq(args.v[0], "add"), args);
    TRY(only_one(engine, o->latest, &args, &latest));
    if (args.n > (latest ? 1 : 2))
        return err_new(ERR_INVALID, "one container and at most one port");
    TRY(container_find(engine, latest ? latest : args.v[0], &c));
    return show(engine, c, args.n == (latest ? 1 : 2) ? args.v[latest ? 0 : 1] : NULL, false);
}

const struct command cmd_port = {
    .name = "port",
    .args = "[CONTAINER [PORT[/PROTOCOL]]]",
    .summary = "Show or change the ports of the host that lead into a container",
    .detail = "`husk port add CONTAINER [IP:][HOST:]PORT...` publishes ports of a container, running or not, and\n"
              "`husk port rm CONTAINER [IP:][HOST:]PORT...` withdraws them.",
    .opts = port_options,
    .opts_size = sizeof(struct port_opts),
    .max_args = -1,
    .complete_args = COMPLETE_RUNNING,
    .fail_exit = 1,
    .run = port_run,
};
