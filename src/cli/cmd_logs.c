/*
 * husk logs: what containers printed.
 * Compatible with: docker logs, podman logs.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/cli.h"
#include "monitor/attach.h"

struct logs_opts {
    bool follow, timestamps, latest, names, color, details;
    const char *tail, *since, *until;
};

#define T struct logs_opts
static const struct opt logs_options[] = {
    OPT_FLAG('f', "follow", T, follow, "Go on until the container ends"),
    OPT_STR(0, "tail", T, tail, "N", "Only the last lines (default: all)"),
    OPT_STR('n', "lines", T, tail, "N", "The same as --tail"),
    OPT_FLAG('l', "latest", T, latest, "The container that was made last"),
    OPT_FLAG('t', "timestamps", T, timestamps, "With the time of each line"),
    OPT_FLAG(0, "details", T, details, "With the tag, labels and variables that --log-opt asked for"),
    OPT_FLAG(0, "names", T, names, "With the container's name before each line"),
    OPT_FLAG(0, "color", T, color, "Of several containers, each in its own colour"),
    OPT_STR(0, "since", T, since, "TIME", "Since a time (2026-01-02T15:04:05Z) or as long ago (10m)"),
    OPT_STR(0, "until", T, until, "TIME", "Before a time or as long ago"),
    OPT_END,
};
#undef T

static bool has_ended(void *ctx)
{
    struct container_state s = { 0 };
    err *e = container_state(ctx, &s);
    bool ended = !e && (s.status == CONTAINER_CREATED || s.status == CONTAINER_EXITED);
    err_ignore(e, "asked again in a second");
    container_state_clear(&s);
    return ended;
}

static fallible filter_of(const struct logs_opts *o, struct log_filter *ret)
{
    struct log_filter f = {
        .tail = -1, .follow = o->follow, .timestamps = o->timestamps, .details = o->details, .ended = has_ended
    };
    if (o->tail && strcmp(o->tail, "all") != 0)
        TRY_AS(parse_i64(o->tail, -1, INT64_MAX, &f.tail), "--tail");
    if (o->since)
        TRY_AS(parse_when_ns(o->since, &f.since_ns), "--since");
    if (o->until)
        TRY_AS(parse_when_ns(o->until, &f.until_ns), "--until");
    *ret = f;
    return NULL;
}

/* Six that can be told apart on dark and on light. */
static char *prefix_of(const struct container *c, const struct logs_opts *o, int number)
{
    char id[16];
    (void)snprintf(id, sizeof id, "%.12s", c->row.id);
    const char *word = o->names ? c->row.name : id;
    return o->color ? mem_printf("\033[%dm%s\033[0m ", 31 + number % 6, word) : mem_printf("%s ", word);
}

/* number -1: there is no other. */
static fallible print_one(struct engine *engine, const char *name, const struct logs_opts *o, struct log_filter f,
                          int number)
{
    own(container) struct container *c = NULL;
    const struct container_config *config;
    own_mem char *prefix = NULL;
    TRY(container_find(engine, name, &c));
    TRY(container_config(c, &config));
    if (str_eq(config->log->driver, "none") || str_eq(config->log->driver, "passthrough"))
        return err_new(ERR_UNSUPPORTED, "container '%s' keeps no log: it was made with --log-driver %s", c->row.name,
                       config->log->driver);
    if (number >= 0 || o->names)
        prefix = prefix_of(c, o, number >= 0 ? number : 0);
    f.prefix = prefix;
    f.ended_ctx = c;
    return logs_print(c->dir, &f);
}

/* Followed at the same time: a process each, which write whole pieces in turn. */
static fallible follow_several(struct args args, const struct logs_opts *o, struct log_filter f)
{
    own_fd int lock_fd = memfd_create("husk logs", MFD_CLOEXEC);
    bool failed = false;
    int status;
    if (lock_fd < 0)
        return err_sys(errno, "make a lock");
    f.locked = true;
    f.lock_fd = lock_fd;
    (void)fflush(NULL);
    for (int i = 0; i < args.n; i++) {
        pid_t pid = fork();
        if (pid < 0)
            return err_sys(errno, "fork");
        if (pid > 0)
            continue;
        own(engine) struct engine *engine = NULL;
        err *e = engine_open_to_look(&engine);
        if (!e)
            e = print_one(engine, args.v[i], o, f, i);
        if (e)
            fprintf(stderr, "husk logs: %s\n", err_text(e));
        _exit(e ? 1 : 0);
    }
    while (wait(&status) > 0 || errno == EINTR)
        failed |= status != 0;
    return failed ? err_exit(1) : NULL;
}

static fallible logs_run(const void *opts_, struct args args)
{
    const struct logs_opts *o = opts_;
    own(engine) struct engine *engine = NULL;
    own_mem char *latest = NULL;
    struct log_filter f;
    TRY(filter_of(o, &f));
    if (o->latest && args.n)
        return err_new(ERR_INVALID, "--latest and names exclude each other");
    if (args.n > 1 && o->follow)
        return follow_several(args, o, f);
    TRY(engine_open_to_look(&engine));
    TRY(only_one(engine, o->latest, &args, &latest));
    if (latest)
        return print_one(engine, latest, o, f, -1);
    for (int i = 0; i < args.n; i++)
        TRY(print_one(engine, args.v[i], o, f, args.n > 1 ? i : -1));
    return NULL;
}

const struct command cmd_logs = {
    .name = "logs",
    .args = "[CONTAINER...]",
    .summary = "Show what containers printed",
    .opts = logs_options,
    .opts_size = sizeof(struct logs_opts),
    .max_args = -1,
    .complete_args = COMPLETE_CONTAINER,
    .fail_exit = 1,
    .run = logs_run,
};
