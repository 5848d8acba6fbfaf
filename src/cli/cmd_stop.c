/*
 * husk stop, husk restart: end containers gently.
 * Compatible with: docker stop, docker restart, podman stop, podman restart.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <stdio.h>
#include <string.h>

#include "cli/cli.h"
#include "engine/chain.h"
#include "engine/depend.h"

struct stop_opts {
    struct container_selection select;
    struct opt_i64 time, timeout;
    const char *signal;
    bool running;
};

#define T struct stop_opts
#define HOW                                                                                                            \
    OPT_STR('s', "signal", T, signal, "SIGNAL", "Instead of its stop signal"),                                         \
        OPT_I64('t', "time", T, time, "SECONDS", "Until it is killed (default 10, or its own; -1: never)",             \
                .exclusive = "time"),                                                                                  \
        OPT_I64(0, "timeout", T, timeout, "SECONDS", "The same as --time", .exclusive = "time")
static const struct opt stop_options[] = {
    HOW,
    SELECT_OPTIONS(T, 'a', "Every one that runs", 'f'),
    OPT_END,
};
static const struct opt restart_options[] = {
    HOW,
    SELECT_OPTIONS(T, 'a', "Every one, those that have ended too", 'f'),
    OPT_FLAG(0, "running", T, running, "Only those that run"),
    OPT_END,
};
#undef T

static fallible how(const struct stop_opts *o, struct stop_options *ret)
{
    *ret = (struct stop_options){ .timeout_s = o->time.set ? o->time : o->timeout };
    if (o->signal)
        TRY_AS(signal_parse(o->signal, &ret->signal), "--signal");
    return NULL;
}

static err *stop_one(struct container *c, const void *ctx)
{
    return container_stop(c, ctx);
}

static err *restart_one(struct container *c, const void *ctx)
{
    int code;
    TRY(container_restart(c, ctx));
    return chain_await(c, &code);
}

static fallible stop_run(const void *opts_, struct args args)
{
    const struct stop_opts *o = opts_;
    struct stop_options stop;
    TRY(how(o, &stop));
    return each_selected_at_once("husk stop", &o->select, SELECT_RUNNING, args, stop_one, &stop);
}

/* How many of the others are in its namespaces, or come after it for another reason; however indirectly. */
static fallible count_dependents(struct engine *e, const char *id, const struct strv *ids, size_t *ret)
{
    own_strv struct strv dependents = { 0 };
    *ret = 0;
    TRY(container_dependents(e, id, &dependents));
    for (size_t i = 0; i < ids->n; i++)
        *ret += !str_eq(ids->items[i], id) && strv_has(&dependents, ids->items[i]);
    return NULL;
}

/* What others depend on before them: it has more dependents than any of those. */
static fallible put_in_order(struct engine *e, struct strv *names, bool *ret_related)
{
    own_strv struct strv ids = { 0 };
    own_mem size_t *counts = mem_zalloc((names->n + 1) * sizeof *counts);
    for (size_t i = 0; i < names->n; i++) {
        own(container) struct container *c = NULL;
        err *failed = container_find(e, names->items[i], &c);
        strv_add(&ids, failed ? "" : c->row.id);
        err_ignore(failed, "said when its turn comes");
    }
    *ret_related = false;
    for (size_t i = 0; i < ids.n; i++) {
        char *name = names->items[i];
        size_t count = 0, at = i;
        if (*ids.items[i])
            TRY(count_dependents(e, ids.items[i], &ids, &count));
        *ret_related |= count > 0;
        for (; at > 0 && counts[at - 1] < count; at--) {
            counts[at] = counts[at - 1];
            names->items[at] = names->items[at - 1];
        }
        counts[at] = count;
        names->items[at] = name;
    }
    return NULL;
}

/* Processes that run stay in the network namespace they have, which with the old processes lost its interfaces. */
static fallible say_who_is_left(struct engine *e, const char *name, const struct strv *names)
{
    own(container) struct container *c = NULL;
    own_strv struct strv dependents = { 0 };
    TRY(container_find(e, name, &c));
    TRY(container_dependents(e, c->row.id, &dependents));
    for (size_t i = 0; i < dependents.n; i++) {
        own(container) struct container *d = NULL;
        struct container_state state = { 0 };
        const struct container_config *config;
        TRY(container_find(e, dependents.items[i], &d));
        TRY(container_config(d, &config));
        TRY(container_state(d, &state));
        bool runs = state.status == CONTAINER_RUNNING || state.status == CONTAINER_PAUSED;
        container_state_clear(&state);
        if (!runs || !str_starts(config->network, "container:") ||
            !str_eq(config->network + strlen("container:"), c->row.id) || strv_has(names, d->row.name) ||
            strv_has(names, d->row.id))
            continue;
        fprintf(stderr, "husk restart: '%s' is still in the network that '%s' had before: restart it, too\n",
                d->row.name, c->row.name);
    }
    return NULL;
}

static fallible restart_run(const void *opts_, struct args args)
{
    const struct stop_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_strv struct strv names = { 0 };
    struct container_selection select = o->select;
    struct stop_options stop;
    bool related = false;
    TRY(how(o, &stop));
    if (o->running && args.n)
        return err_new(ERR_INVALID, "--running and names exclude each other");
    select.all |= o->running;
    TRY(engine_open(&engine));
    TRY(container_select(engine, &select, o->running ? SELECT_RUNNING : SELECT_ALL, args.v, (size_t)args.n, &names));
    struct args found = { names.items, (int)names.n };
    if (found.n > 1)
        TRY(put_in_order(engine, &names, &related));
    err *e = related || found.n < 2 ? each_container("husk restart", found, restart_one, &stop)
                                    : each_at_once("husk restart", found, restart_one, &stop, false);
    for (size_t i = 0; i < names.n; i++)
        err_ignore(say_who_is_left(engine, names.items[i], &names), "what was asked is done, or its error is said");
    return e;
}

#define STOP_COMMAND(word, what, verb, which)                                                                          \
    {                                                                                                                  \
        .name = word, .args = "[CONTAINER...]", .summary = what, .opts = verb##_options,                               \
        .opts_size = sizeof(struct stop_opts), .max_args = -1, .complete_args = which, .fail_exit = 1,                 \
        .run = verb##_run,                                                                                             \
    }
const struct command cmd_stop = STOP_COMMAND(
    "stop", "Stop containers: their stop signal, then KILL; several at the same time", stop, COMPLETE_RUNNING);
const struct command cmd_restart = STOP_COMMAND(
    "restart", "Stop containers and start them again; several at the same time", restart, COMPLETE_CONTAINER);
