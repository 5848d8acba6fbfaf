/*
 * husk wait: wait until containers end, and print their exit status.
 * Compatible with: docker wait, podman wait.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cli.h"

struct wait_opts {
    struct container_selection select;
    struct strv condition;
    const char *interval;
    bool first;
};

#define T struct wait_opts
static const struct opt wait_options[] = {
    OPT_STRS(0, "condition", T, condition, "CONDITION",
             "not-running (default), stopped, created, running, paused, next-exit, removed, healthy, unhealthy"),
    OPT_STR('i', "interval", T, interval, "DURATION", "How often to look where nothing wakes us (default 250ms)"),
    OPT_FLAG(0, "exit-first-match", T, first, "Only until the first of them is there, whose status is printed"),
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

static fallible wait_for(struct wait *wait, const char *name, int *ret_code)
{
    own(container) struct container *c = NULL;
    TRY(container_find(wait->engine, name, &c));
    return container_wait_for(c, wait->conditions, wait->interval_ms, ret_code);
}

static err *wait_one(const char *arg, void *ctx)
{
    int code = 0;
    TRY(wait_for(ctx, arg, &code));
    printf("%d\n", code);
    (void)fflush(stdout);
    return NULL;
}

/* ---- the first of several: a process for each, since what is waited on differs from container to container ---- */

struct answer {
    bool failed;
    int code;
    char error[ERR_ENCODED_MAX];
};

static void wait_in_child(struct wait wait, const char *name, pid_t parent, int answer_fd) __attribute__((noreturn));
static void wait_in_child(struct wait wait, const char *name, pid_t parent, int answer_fd)
{
    struct answer a = { 0 };
    size_t n = 0;
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) /* it heard the first already */
        _exit(0);
    err *e = engine_open(&wait.engine);
    if (!e)
        e = wait_for(&wait, name, &a.code);
    a.failed = e != NULL;
    if (e)
        n = err_encode(e, a.error, sizeof a.error);
    _exit(write(answer_fd, &a, offsetof(struct answer, error) + n) < 0);
}

/* A datagram each, so that two ends at once stay two. */
static fallible hear_first(int fd)
{
    struct answer a = { 0 };
    ssize_t n = recv(fd, &a, sizeof a, 0);
    if (n < (ssize_t)offsetof(struct answer, error))
        return err_sys(errno, "wait");
    if (a.failed)
        return err_decode(a.error, (size_t)n - offsetof(struct answer, error));
    printf("%d\n", a.code);
    return NULL;
}

static fallible wait_first(struct wait wait, const struct strv *names)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) < 0)
        return err_sys(errno, "make a socket");
    own_fd int ours = pair[0], theirs = pair[1];
    const pid_t self = getpid();
    for (size_t i = 0; i < names->n; i++) {
        pid_t pid = fork();
        if (pid < 0)
            return err_sys(errno, "fork");
        if (pid == 0)
            wait_in_child(wait, names->items[i], self, theirs);
    }
    return hear_first(ours); /* the others go with us */
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
    if (o->first && names.n > 1) {
        engine_free(take(engine)); /* a database is not taken along by a fork */
        return wait_first(wait, &names);
    }
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
