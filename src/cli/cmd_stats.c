/*
 * husk stats: what containers use.
 * Compatible with: docker stats, podman stats.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cli/cli.h"
#include "cli/table.h"
#include "engine/stats.h"

struct stats_opts {
    bool all, latest, no_stream, no_trunc, no_reset;
    struct opt_i64 interval;
    const char *format;
};

#define T struct stats_opts
static const struct opt stats_options[] = {
    OPT_FLAG('a', "all", T, all, "Those that do not run too"),
    OPT_FLAG('l', "latest", T, latest, "Only the one that was made last"),
    OPT_FLAG(0, "no-stream", T, no_stream, "Once, and not again and again"),
    OPT_FLAG(0, "no-trunc", T, no_trunc, "Whole IDs"),
    OPT_FLAG(0, "no-reset", T, no_reset, "Do not clear the screen between two looks"),
    OPT_I64('i', "interval", T, interval, "SECONDS", "Between two looks (default 1)"),
    OPT_STR(0, "format", T, format, "FORMAT", "table, json, or a template such as '{{.Name}} {{.CPUPerc}}'"),
    OPT_END,
};
#undef T

static const struct table_column columns[] = {
    { "CONTAINER ID", "ID" },
    { "NAME", "Name" },
    { "CPU %", "CPUPerc" },
    { "MEM USAGE / LIMIT", "MemUsage" },
    { "MEM %", "MemPerc" },
    { "NET I/O", "NetIO" },
    { "BLOCK I/O", "BlockIO" },
    { "PIDS", "PIDs" },
    { 0 },
};

/* Docker's memory is in powers of 1024, all else in powers of 1000. */
static const char *binary_bytes(uint64_t bytes, char buf[32])
{
    static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB", "PiB" };
    double v = (double)bytes;
    size_t u = 0;
    for (; v >= 1024 && u + 1 < ARRAY_SIZE(units); u++)
        v /= 1024;
    (void)snprintf(buf, 32, "%.4g%s", v, units[u]);
    return buf;
}

static void set(json_t *row, const char *key, const char *text)
{
    (void)json_object_set_new(row, key, json_string(text));
}

static void set_pair(json_t *row, const char *key, uint64_t a, uint64_t b)
{
    char in[32], out[32], text[80];
    (void)snprintf(text, sizeof text, "%s / %s", format_bytes(a, in), format_bytes(b, out));
    set(row, key, text);
}

/* Podman's fields for templates; the printed row is docker's. */
static void add_unprinted(json_t *row, const struct container *c, const struct container_stats *now)
{
    char up[64];
    struct container_state state = { 0 };
    struct timespec t = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &t);
    err_ignore(container_state(c, &state), "then it is up since nobody knows when");
    int64_t up_ns = state.started_ns && now->at_ns ? t.tv_sec * 1000000000 + t.tv_nsec - state.started_ns : 0;
    container_state_clear(&state);
    const struct {
        const char *key;
        uint64_t n;
    } numbers[] = { { "CPUNano", now->cpu_ns },
                    { "NetInput", now->net_in_bytes },
                    { "NetOutput", now->net_out_bytes },
                    { "BlockInput", now->read_bytes },
                    { "BlockOutput", now->write_bytes },
                    { "Duration", up_ns > 0 ? (uint64_t)up_ns : 0 },
                    { "SystemNano", (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec } };
    json_t *o = table_unprinted(row);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        (void)json_object_set_new(o, numbers[i].key, json_integer((json_int_t)numbers[i].n));
    (void)json_object_set(o, "ContainerID", json_object_get(row, "ID"));
    (void)json_object_set(o, "MemUsageBytes", json_object_get(row, "MemUsage"));
    (void)json_object_set_new(o, "UpTime", json_string(format_duration((uint64_t)(up_ns / 1000000000), up)));
    (void)json_object_set_new(o, "Up", json_string(up));
    (void)json_object_set_new(o, "AvgCPU",
                              json_sprintf("%.2f%%", up_ns > 0 ? 100.0 * (double)now->cpu_ns / (double)up_ns : 0.0));
    (void)json_object_set(o, "AVGCPU", json_object_get(o, "AvgCPU"));
}

static json_t *make_row(const struct container *c, const struct container_stats *before,
                        const struct container_stats *now, bool whole)
{
    char text[96], used[32], limit[32];
    json_t *row = json_object();
    (void)snprintf(text, sizeof text, whole ? "%s" : SHORT_ID, c->row.id);
    set(row, "ID", text);
    set(row, "Container", text);
    set(row, "CID", text); /* CID, CPU, Mem, PIDS, Pod: podman's names in its lists of pods */
    set(row, "Name", c->row.name);
    (void)snprintf(text, sizeof text, whole ? "%s" : SHORT_ID, c->row.pod ? c->row.pod : "");
    set(row, "Pod", text);
    (void)snprintf(text, sizeof text, "%.2f%%", stats_cpu_percent(before, now));
    set(row, "CPUPerc", text);
    set(row, "CPU", text);
    (void)snprintf(text, sizeof text, "%s / %s", binary_bytes(now->memory_bytes, used),
                   binary_bytes(now->memory_limit_bytes, limit));
    set(row, "MemUsage", text);
    (void)snprintf(text, sizeof text, "%.2f%%",
                   now->memory_limit_bytes ? 100.0 * (double)now->memory_bytes / (double)now->memory_limit_bytes : 0);
    set(row, "MemPerc", text);
    set(row, "Mem", text);
    set(row, "MemLimit", limit);
    set_pair(row, "NetIO", now->net_in_bytes, now->net_out_bytes);
    set_pair(row, "BlockIO", now->read_bytes, now->write_bytes);
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)now->pids);
    set(row, "PIDs", text);
    set(row, "PIDS", text);
    add_unprinted(row, c, now);
    return row;
}

struct watched {
    struct container *c;
    struct container_stats before;
};
struct watch {
    struct watched *items;
    size_t n;
};

static void clear(struct watch *w)
{
    for (size_t i = 0; i < w->n; i++)
        container_free(w->items[i].c);
    free(w->items);
    *w = (struct watch){ 0 };
}

static fallible add(struct watch *w, struct container *take_c)
{
    own(container) struct container *c = take_c;
    const struct container_config *config;
    TRY(container_config(c, &config));
    w->items = mem_array(w->items, w->n + 1, sizeof *w->items);
    w->items[w->n] = (struct watched){ 0 };
    TRY(container_stats(c, &w->items[w->n].before));
    w->items[w->n++].c = take(c);
    return NULL;
}

/* Those that are named; else those that run now, which is asked anew each time. */
static fallible find_all(struct engine *e, const struct stats_opts *o, struct args args, struct watch *w)
{
    struct container_list list = { 0 };
    err *first = NULL;
    for (int i = 0; i < args.n; i++) {
        struct container *c = NULL;
        TRY(container_find(e, args.v[i], &c));
        TRY(add(w, c));
    }
    if (args.n)
        return NULL;
    TRY(container_list(e, &(struct list_options){ .all = o->all, .last = o->latest }, &list));
    for (size_t i = 0; i < list.n && !first; i++)
        first = add(w, take(list.items[i]));
    container_list_clear(&list);
    return first;
}

static void pause_ms(int64_t ms)
{
    struct timespec t = { ms / 1000, (long)(ms % 1000) * 1000000 };
    (void)nanosleep(&t, NULL);
}

static fallible look(struct watch *w, const struct stats_opts *o)
{
    own_json json_t *rows = json_array();
    for (size_t i = 0; i < w->n; i++) {
        struct container_stats now;
        TRY(container_stats(w->items[i].c, &now));
        (void)json_array_append_new(rows, make_row(w->items[i].c, &w->items[i].before, &now, o->no_trunc));
        w->items[i].before = now;
    }
    return table_print(columns, rows, o->format);
}

static fallible stats_run(const void *opts_, struct args args)
{
    const struct stats_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    struct watch w = { 0 };
    int64_t between_ms = (o->interval.set ? o->interval.v : 1) * 1000;
    bool redraw = !o->no_stream && !o->no_reset && isatty(STDOUT_FILENO) && !o->format;
    if (o->interval.set && (o->interval.v < 1 || o->interval.v > 86400))
        return err_new(ERR_INVALID, "--interval: it is from 1 to 86400");
    TRY(engine_open(&engine));
    err *e = find_all(engine, o, args, &w);
    if (!e)
        pause_ms(o->no_stream ? 500 : 200); /* a first look at what they do, soon */
    while (!e) {
        if (redraw)
            printf("\033[H\033[2J");
        e = look(&w, o);
        if (fflush(stdout) != 0 || o->no_stream)
            break;
        pause_ms(between_ms);
        if (!e && !args.n) {
            struct watch next = { 0 };
            e = find_all(engine, o, args, &next);
            for (size_t i = 0; i < next.n; i++)
                for (size_t k = 0; k < w.n; k++)
                    if (strcmp(next.items[i].c->row.id, w.items[k].c->row.id) == 0)
                        next.items[i].before = w.items[k].before;
            clear(&w);
            w = next;
        }
    }
    clear(&w);
    return e;
}

const struct command cmd_stats = {
    .name = "stats",
    .args = "[CONTAINER...]",
    .summary = "Show what containers use: processor, memory, network, disk, processes",
    .opts = stats_options,
    .opts_size = sizeof(struct stats_opts),
    .max_args = -1,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = stats_run,
};
