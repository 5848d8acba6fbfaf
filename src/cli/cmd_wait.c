/*
 * husk wait: wait until containers end, and print their exit status.
 * Compatible with: docker wait, podman wait.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/cli.h"

struct wait_opts {
    struct container_selection select;
    struct strv condition;
    const char *interval;
};

#define T struct wait_opts
static const struct opt wait_options[] = {
    OPT_STRS(0, "condition", T, condition, "CONDITION",
             "not-running (default), stopped, created, running, paused, next-exit, removed"),
    OPT_STR('i', "interval", T, interval, "DURATION", "How often to look where nothing wakes us (default 250ms)"),
    OPT_FLAG('l', "latest", T, select.latest, "The one that was made last"),
    OPT_FLAG(0, "ignore", T, select.ignore, "A name that nobody has is no error"),
    OPT_END,
};
#undef T

struct wait {
    struct engine *engine;
    unsigned conditions;
    int interval_ms;
};

static err *wait_one(const char *arg, void *ctx)
{
    const struct wait *wait = ctx;
    own(container) struct container *c = NULL;
    int code = 0;
    TRY(container_find(wait->engine, arg, &c));
    TRY(container_wait_for(c, wait->conditions, wait->interval_ms, &code));
    printf("%d\n", code);
    (void)fflush(stdout);
    return NULL;
}

static fallible read_interval(const char *text, int *ret_ms)
{
    uint64_t ns = 0;
    int64_t ms = 0;
    err *e = parse_i64(text, 1, INT32_MAX, &ms); /* podman: a bare number is milliseconds */
    if (!e) {
        *ret_ms = (int)ms;
        return NULL;
    }
    err_free(e);
    TRY_AS(parse_duration_ns(text, &ns), "--interval");
    if (ns < 1000000 || ns / 1000000 > INT32_MAX)
        return err_new(ERR_INVALID, "--interval: '%s' is out of range", text);
    *ret_ms = (int)(ns / 1000000);
    return NULL;
}

static fallible wait_run(const void *opts_, struct args args)
{
    const struct wait_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_strv struct strv names = { 0 };
    struct wait wait = { .conditions = o->condition.n ? 0 : WAIT_STOPPED, .interval_ms = 250 };
    for (size_t i = 0; i < o->condition.n; i++)
        TRY_AS(wait_condition_parse(o->condition.items[i], &wait.conditions), "--condition");
    if (o->interval)
        TRY(read_interval(o->interval, &wait.interval_ms));
    TRY(engine_open(&engine));
    wait.engine = engine;
    TRY(container_select(engine, &o->select, SELECT_ALL, args.v, (size_t)args.n, &names));
    return command_each("husk wait", (struct args){ names.items, (int)names.n }, wait_one, &wait);
}

const struct command cmd_wait = {
    .name = "wait",
    .args = "[CONTAINER...]",
    .summary = "Wait until containers end and print their exit status",
    .opts = wait_options,
    .opts_size = sizeof(struct wait_opts),
    .max_args = -1,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = wait_run,
};
