// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/health.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "engine/container_parts.h"
#include "engine/health_run.h"
#include "os/fs.h"

enum { FILE_MAX = 256 << 10 };
#define NAME "health.json"

#define T struct health_result
static const struct bind_field result_fields[] = {
    BIND_I64(T, start_ns, "start", .flags = BIND_ALWAYS),
    BIND_I64(T, end_ns, "end", .flags = BIND_ALWAYS),
    BIND_I64(T, exit_code, "exitCode", .flags = BIND_ALWAYS),
    BIND_STR(T, output, "output"),
    BIND_END,
};
#undef T
static const struct bind_type result_type = { "result", sizeof(struct health_result), result_fields, false };

#define T struct health_state
static const struct bind_field state_fields[] = {
    BIND_STR(T, status, "status", .flags = BIND_REQUIRED),
    BIND_I64(T, failing_streak, "failingStreak"),
    BIND_OBJS(T, log, log_n, "log", result_type),
    BIND_END,
};
#undef T
static const struct bind_type state_type = { "health", sizeof(struct health_state), state_fields, false };

void health_state_free(struct health_state *s)
{
    bind_free(&state_type, s);
}

static fallible read_at(int dir_fd, struct health_state **ret)
{
    own_mem char *text = NULL;
    void *state = NULL;
    size_t len;
    err *e = fs_read_at(dir_fd, NAME, FILE_MAX, &text, &len);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        *ret = mem_zalloc(sizeof **ret);
        (*ret)->status = mem_strdup("starting");
        return NULL;
    }
    TRY(e);
    TRY(bind_read(&state_type, text, len, &state));
    *ret = state;
    return NULL;
}

fallible health_read(struct container *c, struct health_state **ret)
{
    const struct container_config *config;
    own_fd int dir_fd = -1;
    *ret = NULL;
    TRY(container_config(c, &config));
    if (!config->health)
        return NULL;
    err *e = fs_open_dir_at(AT_FDCWD, c->state_dir, FS_MUST_EXIST, &dir_fd);
    err_ignore(e, "it has not been started since the machine was: nothing is known");
    return read_at(dir_fd, ret);
}

const char *health_word(struct container *c)
{
    static const char *const words[] = { "starting", "healthy", "unhealthy" };
    own(health_state) struct health_state *s = NULL;
    err_ignore(health_read(c, &s), "nothing is known then");
    for (size_t i = 0; s && i < ARRAY_SIZE(words); i++)
        if (strcmp(words[i], s->status) == 0)
            return words[i];
    return "none";
}

/* ---- one answer more ---- */

static void append(struct health_state *s, const struct health_result *take_result)
{
    if (s->log_n == HEALTH_LOG_MAX) {
        free(s->log[0].output);
        memmove(s->log, s->log + 1, (HEALTH_LOG_MAX - 1) * sizeof *s->log);
        s->log_n--;
    }
    s->log = mem_array(s->log, s->log_n + 1, sizeof *s->log);
    s->log[s->log_n++] = *take_result;
}

static const char *judge(const struct container_health *h, const struct health_result *r, int64_t started_ns,
                         struct health_state *s)
{
    if (r->exit_code == 0) {
        s->failing_streak = 0;
        return "healthy";
    }
    bool starting = strcmp(s->status, "starting") == 0;
    if (!starting || r->start_ns - started_ns >= h->start_period_ns)
        s->failing_streak++;
    return s->failing_streak >= h->retries ? "unhealthy" : s->status;
}

static fallible keep(int dir_fd, const struct health_state *s)
{
    own_mem char *text = bind_write(&state_type, s, BIND_COMPACT);
    return fs_replace_at(dir_fd, NAME, text, strlen(text), 0600, FS_SYNC_NONE);
}

/* To its policy this is an end like any other: it is not marked as stopped. */
static fallible kill_it(struct container *c)
{
    container_note_sender(c, "healthcheck", SIGKILL, 0, 0);
    TRY(runtime_kill(c->state_dir, SIGKILL, false));
    container_say(c, "kill", "signal", "9", NULL);
    return NULL;
}

static fallible act(struct container *c, const char *action)
{
    static const struct stop_options how = { .verb = "healthcheck" };
    if (str_eq(action, "restart"))
        return container_restart(c, &how);
    if (str_eq(action, "stop"))
        return container_stop(c, &how);
    return str_eq(action, "kill") ? kill_it(c) : NULL;
}

static fallible must_run(const struct container *c, int64_t *ret_started_ns)
{
    struct container_state s = { 0 };
    TRY(container_state(c, &s));
    enum container_status status = s.status;
    *ret_started_ns = s.started_ns;
    container_state_clear(&s);
    if (status == CONTAINER_RUNNING)
        return NULL;
    return err_new(ERR_CONFLICT, "container '%s' is %s: only one that runs can be asked for its health", c->row.name,
                   container_status_word(status));
}

/* The folder by descriptor: when the container is started anew meanwhile, this answer is of the run before. */
static fallible probe(struct container *c, const struct container_health *h, int dir_fd, int64_t started_ns,
                      bool *ret_well, bool *ret_worse)
{
    own(health_state) struct health_state *s = NULL;
    struct health_result r = { 0 };
    health_run(c, h, &r);
    *ret_well = r.exit_code == 0;
    err *e = read_at(dir_fd, &s);
    if (e) {
        free(r.output);
        return e;
    }
    own_mem char *before = mem_strdup(s->status);
    const char *now = judge(h, &r, started_ns, s);
    append(s, &r);
    bool changed = strcmp(before, now) != 0;
    if (changed) {
        free(s->status);
        s->status = mem_strdup(now);
    }
    TRY(keep(dir_fd, s));
    if (changed) {
        own_mem char *action = mem_printf("health_status: %s", s->status);
        container_say(c, action, NULL);
    }
    *ret_worse = changed && strcmp(s->status, "unhealthy") == 0;
    return NULL;
}

fallible health_probe(struct container *c, bool *ret_well)
{
    const struct container_config *config;
    own_fd int dir_fd = -1, lock_fd = -1;
    int64_t started_ns = 0;
    bool worse = false;
    TRY(container_config(c, &config));
    if (!config->health)
        return err_new(ERR_INVALID, "container '%s' has no health check: it is made with --health-cmd", c->row.name);
    TRY(must_run(c, &started_ns));
    TRY(fs_open_dir_at(AT_FDCWD, c->state_dir, FS_MUST_EXIST, &dir_fd));
    TRY(fs_lock_at(dir_fd, "health.lock", FS_LOCK_EXCLUSIVE, &lock_fd));
    TRY(probe(c, config->health, dir_fd, started_ns, ret_well, &worse));
    own_drop_fd(&lock_fd);
    return worse ? act(c, config->health->on_unhealthy) : NULL;
}
