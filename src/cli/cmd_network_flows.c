/*
 * husk network flows: who spoke to whom, by names, packets and bytes of both directions, and what was refused.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"
#include "cli/cli.h"
#include "cli/network.h"
#include "cli/table.h"
#include "engine/network_flows.h"

enum { NAME_SHOWN = 40 };

struct flows_opts {
    bool on, off, reset, watch, no_trunc;
    struct opt_i64 interval;
    const char *format;
};
#define T struct flows_opts
static const struct opt network_flows_options[] = {
    OPT_FLAG(0, "on", T, on, "Count from now on what passes on these networks"),
    OPT_FLAG(0, "off", T, off, "Count no more; what was counted stays for a day"),
    OPT_FLAG(0, "reset", T, reset, "Forget what was counted"),
    OPT_FLAG('w', "watch", T, watch, "Show it again every second"),
    OPT_I64('i', "interval", T, interval, "SECONDS", "The time between two of --watch (default 1)"),
    OPT_FLAG(0, "no-trunc", T, no_trunc, "Whole names, and the addresses beside them"),
    OPT_STR(0, "format", T, format, "FORMAT", "table, json, or a template such as '{{.From}} {{.To}} {{.BytesSent}}'"),
    OPT_END,
};
#undef T

static const struct table_column columns[] = {
    { "NETWORK", "Network" },      { "FROM", "FromShown" }, { "TO", "ToShown" },
    { "PORT", "PortShown" },       { "SENT", "Sent" },      { "BACK", "Back" },
    { "REFUSED", "RefusedShown" }, { "LAST", "Last" },      { 0 }
};

static const char *text_of(const json_t *o, const char *key)
{
    const char *s = json_string_value(json_object_get(o, key));
    return s ? s : "";
}
static int64_t number_of(const json_t *o, const char *key)
{
    return json_integer_value(json_object_get(o, key));
}

static void put(json_t *o, const char *key, json_t *take_value)
{
    (void)json_object_set_new(o, key, take_value);
}

static void put_side(json_t *o, const char *key, const char *name, const char *address, bool whole)
{
    own_mem char *text = !*name                      ? mem_strdup(address)
                         : whole                     ? mem_printf("%s (%s)", name, address)
                         : strlen(name) > NAME_SHOWN ? mem_printf("%.*s...", NAME_SHOWN - 3, name)
                                                     : mem_strdup(name);
    put(o, key, json_string(text));
}

static void put_amount(json_t *o, const char *key, int64_t packets, int64_t bytes)
{
    char text[32];
    own_mem char *amount =
        packets ? mem_printf("%s in %lld", format_bytes((uint64_t)bytes, text), (long long)packets) : mem_strdup("-");
    put(o, key, json_string(amount));
}

/* What a table shows, made of what was counted. */
static void complete(json_t *o, bool whole)
{
    char when[96];
    int64_t port = number_of(o, "Port");
    own_mem char *at =
        port ? mem_printf("%lld/%s", (long long)port, text_of(o, "Protocol")) : mem_strdup(text_of(o, "Protocol"));
    put_side(o, "FromShown", text_of(o, "From"), text_of(o, "FromIP"), whole);
    put_side(o, "ToShown", text_of(o, "To"), text_of(o, "ToIP"), whole);
    put(o, "PortShown", json_string(at));
    put_amount(o, "Sent", number_of(o, "PacketsSent"), number_of(o, "BytesSent"));
    put_amount(o, "Back", number_of(o, "PacketsBack"), number_of(o, "BytesBack"));
    own_mem char *refused = mem_printf("%lld", (long long)number_of(o, "Refused"));
    put(o, "RefusedShown", json_string(number_of(o, "Refused") ? refused : "-"));
    put(o, "Last", json_string(ago(number_of(o, "LastNs"), when)));
}

static int64_t bytes_of(const json_t *o)
{
    return number_of(o, "BytesSent") + number_of(o, "BytesBack");
}

/* Of each network the largest first. */
static int by_size(const void *a_, const void *b_)
{
    const json_t *a = *(json_t *const *)a_, *b = *(json_t *const *)b_;
    int c = strcmp(text_of(a, "Network"), text_of(b, "Network"));
    return c ? c : bytes_of(a) < bytes_of(b) ? 1 : bytes_of(a) > bytes_of(b) ? -1 : 0;
}

static json_t *sorted(json_t *rows)
{
    size_t n = json_array_size(rows);
    json_t *out = json_array();
    own_mem json_t **all = mem_array(NULL, n + 1, sizeof(json_t *));
    for (size_t i = 0; i < n; i++)
        all[i] = json_array_get(rows, i);
    qsort(all, n, sizeof *all, by_size);
    for (size_t i = 0; i < n; i++)
        (void)json_array_append(out, all[i]);
    return out;
}

static fallible show(struct engine *e, const struct flows_opts *o, const struct strv *only)
{
    own_json json_t *rows = NULL, *ordered = NULL;
    bool full;
    size_t i;
    json_t *row;
    TRY(network_flows(e, only, &rows, &full));
    if (full)
        fprintf(stderr, "husk network flows: the kernel's tables are full: not all is counted (--reset makes room)\n");
    json_array_foreach (rows, i, row)
        complete(row, o->no_trunc);
    ordered = sorted(rows);
    return table_print(columns, ordered, o->format);
}

static void pause_s(int64_t seconds)
{
    const struct timespec t = { .tv_sec = seconds };
    (void)nanosleep(&t, NULL);
}

/* That nothing is shown of one has a reason. */
static fallible say_uncounted(struct engine *e, const struct strv *only)
{
    struct network_list l = { 0 };
    TRY(network_list(e, &l));
    own_strv struct strv names = { 0 };
    bool any = false;
    for (size_t i = 0; i < l.n; i++) {
        if (only->n && !strv_has(only, l.items[i]->row.id))
            continue;
        any |= l.items[i]->config->flows;
        if (!l.items[i]->config->flows && (only->n || !names.n) && str_eq(l.items[i]->row.driver, "bridge"))
            strv_add(&names, l.items[i]->row.name);
    }
    for (size_t i = 0; i < names.n && (only->n || !any); i++)
        fprintf(stderr, "husk network flows: nothing is counted on '%s': husk network flows --on %s\n", names.items[i],
                names.items[i]);
    network_list_clear(&l);
    return NULL;
}

static fallible change(struct engine *e, const struct flows_opts *o, struct args args)
{
    for (int i = 0; i < args.n; i++) {
        own(network) struct network *n = NULL;
        TRY(network_find(e, args.v[i], &n));
        if (o->on || o->off)
            TRY(network_flows_switch(e, n, o->on));
        if (o->reset)
            TRY(network_flows_reset(e, n));
        printf("%s\n", args.v[i]);
    }
    return NULL;
}

static fallible flows_run(const void *opts_, struct args args)
{
    const struct flows_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_strv struct strv only = { 0 };
    if (o->on && o->off)
        return err_new(ERR_INVALID, "--on and --off exclude each other");
    if (o->interval.set && (o->interval.v < 1 || o->interval.v > 86400))
        return err_new(ERR_INVALID, "--interval: it is from 1 to 86400");
    if ((o->on || o->off || o->reset) && !args.n)
        return err_new(ERR_INVALID, "--on, --off and --reset need the name of a network");
    TRY(engine_open(&engine));
    if (o->on || o->off || o->reset)
        return change(engine, o, args);
    for (int i = 0; i < args.n; i++) {
        own(network) struct network *n = NULL;
        TRY(network_find(engine, args.v[i], &n));
        strv_add(&only, n->row.id);
    }
    TRY(say_uncounted(engine, &only));
    do {
        if (o->watch && isatty(STDOUT_FILENO))
            printf("\033[H\033[2J");
        TRY(show(engine, o, &only));
        if (fflush(stdout) != 0)
            return NULL;
        if (o->watch)
            pause_s(o->interval.set ? o->interval.v : 1);
    } while (o->watch);
    return NULL;
}

const struct command cmd_network_flows = {
    .name = "flows",
    .args = "[NETWORK...]",
    .summary = "Show who spoke to whom, how much, and what was refused",
    .detail =
        "Counting is begun by --on, or by 'network create --flows', and costs nothing where it is not. A flow is\n"
        "all that one address sent to a port of another, and what came back, however many connections that\n"
        "were; it is forgotten a day after its last packet. Containers that are gone keep their names. An\n"
        "address beyond the networks has the name by which the container asked for it. REFUSED are packets\n"
        "that a network's policy, --egress, --internal or the isolation of networks turned away.",
    .opts = network_flows_options,
    .opts_size = sizeof(struct flows_opts),
    .max_args = -1,
    .fail_exit = 1,
    .run = flows_run,
};
