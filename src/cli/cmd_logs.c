/*
 * husk logs: what a container printed.
 * Compatible with: docker logs, podman logs.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cli/cli.h"
#include "monitor/attach.h"

struct logs_opts {
    bool follow, timestamps, latest;
    const char *tail, *since, *until;
};

#define T struct logs_opts
static const struct opt logs_options[] = {
    OPT_FLAG('f', "follow", T, follow, "Go on until the container ends"),
    OPT_STR('n', "tail", T, tail, "N", "Only the last lines (default: all)"),
    OPT_FLAG('l', "latest", T, latest, "The container that was made last"),
    OPT_FLAG('t', "timestamps", T, timestamps, "With the time of each line"),
    OPT_STR(0, "since", T, since, "TIME", "Since a time (2026-01-02T15:04:05Z) or as long ago (10m)"),
    OPT_STR(0, "until", T, until, "TIME", "Before a time or as long ago"),
    OPT_END,
};
#undef T

static bool has_ended(void *ctx)
{
    struct container_state s = { 0 };
    err *e = container_state(ctx, &s);
    bool ended = !e && s.status != CONTAINER_RUNNING && s.status != CONTAINER_PAUSED;
    err_ignore(e, "asked again in a second");
    container_state_clear(&s);
    return ended;
}

static fallible logs_run(const void *opts_, struct args args)
{
    const struct logs_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own(container) struct container *c = NULL;
    own_mem char *latest = NULL;
    const struct container_config *config;
    struct log_filter f = { .tail = -1, .follow = o->follow, .timestamps = o->timestamps, .ended = has_ended };
    if (o->tail && strcmp(o->tail, "all") != 0)
        TRY_AS(parse_i64(o->tail, -1, INT64_MAX, &f.tail), "--tail");
    if (o->since)
        TRY_AS(parse_when_ns(o->since, &f.since_ns), "--since");
    if (o->until)
        TRY_AS(parse_when_ns(o->until, &f.until_ns), "--until");
    TRY(engine_open(&engine));
    TRY(only_one(engine, o->latest, &args, &latest));
    TRY(container_find(engine, latest ? latest : args.v[0], &c));
    TRY(container_config(c, &config));
    if (strcmp(config->log->driver, "none") == 0)
        return err_new(ERR_UNSUPPORTED, "container '%s' keeps no log: it was made with --log-driver none", c->row.name);
    f.ended_ctx = c;
    return logs_print(c->dir, &f);
}

const struct command cmd_logs = {
    .name = "logs",
    .args = "[CONTAINER]",
    .summary = "Show what a container printed",
    .opts = logs_options,
    .opts_size = sizeof(struct logs_opts),
    .max_args = 1,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = logs_run,
};
