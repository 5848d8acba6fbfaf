// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/container_parts.h"
#include "engine/health.h"
#include "monitor/attach.h"

/* The monitor tells the code to all who are connected, also of a --rm container whose record goes with its folder. */
static fallible hear_from_monitor(const struct container *c, bool *ret_heard, int *ret_code)
{
    own_fd int sock = -1;
    enum attach_end end;
    *ret_heard = false;
    err *e = attach_connect(c->state_dir, &sock);
    if (e) {
        err_ignore(e, "no monitor: the process itself is waited for");
        return NULL;
    }
    TRY(attach_run(&(struct attach){ .sock = sock, .no_stdout = true, .no_stderr = true, .detach_keys = "" }, &end,
                   ret_code));
    *ret_heard = end == ATTACH_EXITED;
    return NULL;
}

static fallible wait_running(struct container *c, const struct container_state *s, int *ret_code)
{
    struct container_state after = { 0 };
    own_fd int pidfd = -1;
    bool heard, gone;
    TRY(hear_from_monitor(c, &heard, ret_code));
    if (heard)
        return NULL;
    TRY(container_await(s, -1, &gone, &pidfd));
    TRY(container_settle(c, pidfd));
    if (access(c->dir, F_OK) < 0) { /* one of --rm: its record went with it */
        *ret_code = EXIT_UNKNOWN;
        return NULL;
    }
    TRY(container_state(c, &after));
    *ret_code = (int)after.exit_code;
    container_state_clear(&after);
    return NULL;
}

fallible container_wait(struct container *c, int *ret_code)
{
    struct container_state s = { 0 };
    err *e = NULL;
    TRY(container_state(c, &s));
    while (s.status == CONTAINER_RESTARTING) {
        container_state_clear(&s);
        (void)nanosleep(&(struct timespec){ .tv_nsec = 50000000 }, NULL);
        TRY(container_state(c, &s));
    }
    if (s.status == CONTAINER_RUNNING || s.status == CONTAINER_PAUSED)
        e = wait_running(c, &s, ret_code);
    else /* one that was never started does not run either: as docker, its code is 0 */
        *ret_code = (int)s.exit_code;
    container_state_clear(&s);
    return e;
}

fallible wait_condition_parse(const char *word, unsigned *ret)
{
    static const struct {
        const char *word;
        unsigned condition;
    } words[] = {
        { "not-running", WAIT_STOPPED }, { "stopped", WAIT_STOPPED },     { "exited", WAIT_STOPPED },
        { "created", WAIT_CREATED },     { "configured", WAIT_CREATED },  { "running", WAIT_RUNNING },
        { "paused", WAIT_PAUSED },       { "next-exit", WAIT_NEXT_EXIT }, { "removed", WAIT_REMOVED },
        { "healthy", WAIT_HEALTHY },     { "unhealthy", WAIT_UNHEALTHY },
    };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        if (strcmp(words[i].word, word) == 0) {
            *ret |= words[i].condition;
            return NULL;
        }
    return err_new(ERR_INVALID,
                   "'%s' is not one of not-running, stopped, created, running, paused, next-exit, removed, healthy, "
                   "unhealthy",
                   word);
}

static fallible is_removed(const struct container *c, bool *ret)
{
    struct db *db = NULL;
    TRY(engine_db_if_there(c->engine, &db));
    *ret = !db || !db_container_has(db, c->row.id);
    return NULL;
}

static unsigned condition_of(enum container_status s)
{
    switch (s) {
    case CONTAINER_CREATED:
        return WAIT_CREATED;
    case CONTAINER_RUNNING:
    case CONTAINER_RESTARTING: /* docker's word for both */
        return WAIT_RUNNING;
    case CONTAINER_PAUSED:
        return WAIT_PAUSED;
    case CONTAINER_EXITED:
        return WAIT_STOPPED;
    }
    return 0;
}

enum { WAIT_OF_HEALTH = WAIT_HEALTHY | WAIT_UNHEALTHY };

/* Of one that runs. Whether it is well is asked for last, since it is a file more to read. */
static unsigned condition_of_health(struct container *c)
{
    const char *word = health_word(c);
    return strcmp(word, "healthy") == 0 ? WAIT_HEALTHY : strcmp(word, "unhealthy") == 0 ? WAIT_UNHEALTHY : 0;
}

static fallible has_health_check(struct container *c)
{
    const struct container_config *config;
    TRY(container_config(c, &config));
    if (config->health)
        return NULL;
    return err_new(ERR_INVALID, "container '%s' has no health check: --health-cmd gives one when it is made",
                   c->row.name);
}

/* What has ended is not asked any more: to wait on would be for ever. */
static fallible ended_before(const struct container *c, unsigned conditions, int exit_code)
{
    return err_new(ERR_CONFLICT, "container '%s' does not run, so it is not going to be %s: exit code %d", c->row.name,
                   conditions & WAIT_HEALTHY ? "healthy" : "unhealthy", exit_code);
}

struct waiting {
    unsigned conditions;
    bool looked;
    int64_t last_end_ns; /* when it ended last, at the first look */
};

/* One look. *ret_met tells whether it is so. */
static fallible look(struct container *c, struct waiting *w, bool *ret_met, int *ret_code)
{
    struct container_state s = { 0 };
    TRY(is_removed(c, ret_met));
    if (*ret_met)
        return w->conditions & WAIT_REMOVED
                   ? NULL
                   : err_new(ERR_NOT_FOUND, "container '%s' was removed meanwhile", c->row.name);
    TRY(container_state(c, &s));
    unsigned now = condition_of(s.status);
    if (!w->looked)
        w->last_end_ns = s.finished_ns;
    w->looked = true;
    if ((w->conditions & WAIT_NEXT_EXIT) && ((now & (WAIT_RUNNING | WAIT_PAUSED)) || s.finished_ns != w->last_end_ns))
        w->conditions |= WAIT_STOPPED; /* it runs, or has meanwhile: the next end is the one */
    if ((w->conditions & WAIT_OF_HEALTH) && now == WAIT_RUNNING)
        now |= condition_of_health(c);
    *ret_met = (now & w->conditions) != 0;
    int64_t exit_code = s.exit_code;
    container_state_clear(&s);
    if (now != WAIT_STOPPED)
        return NULL;
    if (w->conditions && !(w->conditions & ~(unsigned)WAIT_OF_HEALTH))
        return ended_before(c, w->conditions, (int)exit_code);
    *ret_code = (int)exit_code;
    return NULL;
}

fallible container_wait_for(struct container *c, unsigned conditions, int interval_ms, int *ret_code)
{
    const struct timespec pause = { interval_ms / 1000, interval_ms % 1000 * 1000000L };
    struct waiting w = { .conditions = conditions };
    bool met = false;
    *ret_code = -1;
    if (conditions == WAIT_STOPPED)
        return container_wait(c, ret_code);
    if (conditions & WAIT_OF_HEALTH)
        TRY(has_health_check(c));
    for (;;) {
        TRY(look(c, &w, &met, ret_code));
        if (met)
            return NULL;
        (void)nanosleep(&pause, NULL);
    }
}
