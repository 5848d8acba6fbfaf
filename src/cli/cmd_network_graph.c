/*
 * husk network graph: what is connected to what, as text for a terminal or as an SVG picture.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cli/cli.h"
#include "cli/network.h"
#include "engine/network.h"
#include "engine/network_wish.h"

struct graph_opts {
    const char *format;
};
#define T struct graph_opts
static const struct opt network_graph_options[] = {
    OPT_STR(0, "format", T, format, "FORMAT", "text (default) or svg",
            .words = (const char *const[]){ "text", "svg", NULL }),
    OPT_END,
};
#undef T

/* A network with who is on it, and the ports of each that lead in from outside. */
struct branch {
    struct network *network; /* borrowed from the list */
    struct neighbours on;
};
struct graph {
    struct network_list networks;
    struct branch *branches;
    struct db_ports ports;
    struct strmap ways; /* a container's ID -> that of the network by which its ports lead in */
};

static void graph_clear(struct graph *g)
{
    for (size_t i = 0; g->branches && i < g->networks.n; i++)
        neighbours_clear(&g->branches[i].on);
    free(g->branches);
    network_list_clear(&g->networks);
    db_ports_clear(&g->ports);
    strmap_free(&g->ways);
}

static const struct network *network_by_id(const struct graph *g, const char *id)
{
    for (size_t i = 0; i < g->networks.n; i++)
        if (str_eq(g->networks.items[i]->row.id, id))
            return g->networks.items[i];
    return NULL;
}

/* The bridge that leads beyond itself: the one with the default route. */
static fallible find_way(struct db *db, struct graph *g, const char *container)
{
    own(db_endpoints) struct db_endpoints l = { 0 };
    const struct db_endpoint *best = NULL;
    if (strmap_get(&g->ways, container))
        return NULL;
    TRY(db_endpoint_list(db, container, NULL, &l));
    for (size_t i = 0; i < l.n; i++) {
        const struct network *n = network_by_id(g, l.items[i].network);
        if (!n || n->config->internal || n->config->no_default_route || !str_eq(n->row.driver, "bridge"))
            continue;
        if (!best || network_gateway_priority(&l.items[i]) > network_gateway_priority(best))
            best = &l.items[i];
    }
    if (best)
        strmap_set(&g->ways, container, best->network);
    return NULL;
}

static fallible graph_read(struct engine *e, struct graph *ret)
{
    struct graph g = { 0 };
    struct db *db = NULL;
    TRY(engine_db_if_there(e, &db));
    err *failed = network_list(e, &g.networks);
    if (!failed && db)
        failed = db_port_list(db, NULL, &g.ports);
    for (size_t i = 0; i < g.ports.n && !failed; i++)
        failed = find_way(db, &g, g.ports.items[i].container);
    g.branches = mem_zalloc((g.networks.n + 1) * sizeof *g.branches);
    for (size_t i = 0; i < g.networks.n && !failed; i++) {
        g.branches[i].network = g.networks.items[i];
        failed = network_neighbours(e, g.networks.items[i]->row.id, NULL, NULL, &g.branches[i].on);
    }
    if (failed) {
        graph_clear(&g);
        return failed;
    }
    *ret = g;
    return NULL;
}

/* "10.208.0.2, fd00::2" */
static void addresses(const struct neighbour *n, struct str *out)
{
    char text[IP_TEXT];
    if (ip_is_set(&n->ip4))
        str_add(out, ip_text(&n->ip4, text));
    if (ip_is_set(&n->ip6))
        str_printf(out, "%s%s", ip_is_set(&n->ip4) ? ", " : "", ip_text(&n->ip6, text));
}

/* "8080->80/tcp, ..." */
static void published(const struct graph *g, const char *container, struct str *out)
{
    for (size_t i = 0; i < g->ports.n; i++) {
        const struct db_port *p = &g->ports.items[i];
        if (str_eq(p->container, container) && p->host_port)
            str_printf(out, "%s%s%s%lld->%lld/%s", out->len ? ", " : "", p->host_ip, *p->host_ip ? ":" : "",
                       (long long)p->host_port, (long long)p->container_port, p->proto);
    }
}

static void subnets(const struct network *n, struct str *out)
{
    for (size_t i = 0; i < n->config->subnets_n; i++)
        str_printf(out, "%s%s", i ? ", " : "", n->config->subnets[i].subnet);
}

static void print_text(const struct graph *g)
{
    for (size_t i = 0; i < g->networks.n; i++) {
        const struct branch *b = &g->branches[i];
        own_str struct str where = { 0 };
        subnets(b->network, &where);
        printf("%s (%s%s%s%s%s)\n", b->network->row.name, b->network->row.driver, where.len ? ", " : "",
               where.len ? where.text : "", b->network->config->internal ? ", internal" : "",
               b->network->config->policy_deny ? ", policy deny" : "");
        for (size_t k = 0; b->network->config->policy_deny && k < b->network->config->policy.n; k++)
            printf("%s allow %s\n", b->on.n ? "│ " : "  ", b->network->config->policy.items[k]);
        for (size_t k = 0; k < b->on.n; k++) {
            own_str struct str at = { 0 }, ports = { 0 };
            addresses(&b->on.items[k], &at);
            if (str_eq(strmap_get(&g->ways, b->on.items[k].container), b->network->row.id))
                published(g, b->on.items[k].container, &ports);
            printf("%s %s  %s%s%s\n", k + 1 < b->on.n ? "├─" : "└─", b->on.items[k].name, at.len ? at.text : "-",
                   ports.len ? "  <- " : "", ports.len ? ports.text : "");
        }
    }
}

/* ---- a picture: networks on the left, containers on the right, a line for each connection --------------------------
 */

enum { ROW = 56, BOX_HEIGHT = 40, BOX_WIDTH = 250, LEFT = 20, RIGHT = 460, TOP = 20 };

static void escaped(const char *text)
{
    for (; *text; text++) {
        const char *as = *text == '<'   ? "&lt;"
                         : *text == '>' ? "&gt;"
                         : *text == '&' ? "&amp;"
                         : *text == '"' ? "&quot;"
                                        : NULL;
        if (as)
            fputs(as, stdout);
        else
            putchar(*text);
    }
}

static void box(int x, size_t row, const char *fill, const char *title, const char *below)
{
    int y = TOP + (int)row * ROW;
    printf("<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" rx=\"5\" fill=\"%s\" stroke=\"#333\"/>\n", x, y,
           BOX_WIDTH, BOX_HEIGHT, fill);
    printf("<text x=\"%d\" y=\"%d\" font-weight=\"bold\">", x + 10, y + 17);
    escaped(title);
    printf("</text>\n<text x=\"%d\" y=\"%d\" font-size=\"11\">", x + 10, y + 32);
    escaped(below);
    printf("</text>\n");
}

/* A container is one box, however many networks it is on. */
static size_t row_of(struct strv *seen, const char *container)
{
    for (size_t i = 0; i < seen->n; i++)
        if (str_eq(seen->items[i], container))
            return i;
    strv_add(seen, container);
    return seen->n - 1;
}

static void print_connection(const struct graph *g, size_t network, const struct neighbour *n, struct strv *seen)
{
    own_str struct str at = { 0 }, ports = { 0 };
    size_t known = seen->n, row = row_of(seen, n->container);
    int y1 = TOP + (int)network * ROW + BOX_HEIGHT / 2, y2 = TOP + (int)row * ROW + BOX_HEIGHT / 2;
    addresses(n, &at);
    printf("<line x1=\"%d\" y1=\"%d\" x2=\"%d\" y2=\"%d\" stroke=\"#666\"/>\n<text x=\"%d\" y=\"%d\" font-size=\"10\">",
           LEFT + BOX_WIDTH, y1, RIGHT, y2, LEFT + BOX_WIDTH + 10, (y1 + y2 * 3) / 4 - 3);
    escaped(at.len ? at.text : "");
    printf("</text>\n");
    published(g, n->container, &ports);
    if (row == known)
        box(RIGHT, row, "#dcefdc", n->name, ports.len ? ports.text : "");
}

static void print_svg(const struct graph *g)
{
    own_strv struct strv seen = { 0 };
    size_t containers = 0;
    for (size_t i = 0; i < g->networks.n; i++)
        containers += g->branches[i].on.n;
    size_t rows = containers > g->networks.n ? containers : g->networks.n;
    printf("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" font-family=\"sans-serif\" "
           "font-size=\"13\">\n",
           RIGHT + BOX_WIDTH + LEFT, 2 * TOP + (int)rows * ROW);
    for (size_t i = 0; i < g->networks.n; i++) {
        own_str struct str where = { 0 };
        subnets(g->branches[i].network, &where);
        if (g->branches[i].network->config->internal)
            str_add(&where, " (internal)");
        if (g->branches[i].network->config->policy_deny)
            str_printf(&where, " (policy deny, rules: %zu)", g->branches[i].network->config->policy.n);
        box(LEFT, i, "#dce6f5", g->branches[i].network->row.name, where.len ? where.text : "");
        for (size_t k = 0; k < g->branches[i].on.n; k++)
            print_connection(g, i, &g->branches[i].on.items[k], &seen);
    }
    printf("</svg>\n");
}

static fallible graph_run(const void *opts_, struct args args)
{
    const struct graph_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    struct graph g;
    (void)args;
    if (o->format && !str_eq(o->format, "text") && !str_eq(o->format, "svg"))
        return err_new(ERR_INVALID, "--format: '%s' is not one of text, svg", o->format);
    TRY(engine_open_to_look(&engine));
    TRY(graph_read(engine, &g));
    if (str_eq(o->format, "svg"))
        print_svg(&g);
    else
        print_text(&g);
    graph_clear(&g);
    return NULL;
}

const struct command cmd_network_graph = {
    .name = "graph",
    .summary = "Show which containers are connected to which networks",
    .opts = network_graph_options,
    .opts_size = sizeof(struct graph_opts),
    .fail_exit = 1,
    .run = graph_run,
};
