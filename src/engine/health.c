// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/health.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "engine/container_parts.h"
#include "engine/health_run.h"
#include "os/fs.h"

enum { FILE_MAX = 16 << 20 };
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
    BIND_BOOL(T, startup_over, "startupOver"),
    BIND_I64(T, startup_successes, "startupSuccesses"),
    BIND_I64(T, startup_failures, "startupFailures"),
    BIND_OBJS(T, log, log_n, "log", result_type),
    BIND_END,
};
#undef T
static const struct bind_type state_type = { "health", sizeof(struct health_state), state_fields, false };

void health_state_free(struct health_state *s)
{
    bind_free(&state_type, s);
}

static struct health_state *nothing_known(void)
{
    struct health_state *s = mem_zalloc(sizeof *s);
    s->status = mem_strdup("starting");
    return s;
}

static fallible read_at(int dir_fd, struct health_state **ret)
{
    own_mem char *text = NULL;
    void *state = NULL;
    size_t len;
    err *e = fs_read_at(dir_fd, NAME, FILE_MAX, &text, &len);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        *ret = nothing_known();
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
    if (err_is(e, ERR_NOT_FOUND)) { /* it has not been started since the machine was */
        err_free(e);
        *ret = nothing_known();
        return NULL;
    }
    TRY(e);
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

json_t *health_doc(const struct health_state *s)
{
    json_t *log = json_array();
    for (size_t i = 0; i < s->log_n; i++) {
        const struct health_result *r = &s->log[i];
        char start[40], end[40];
        (void)json_array_append_new(log, json_pack("{s:s, s:s, s:I, s:s}", "Start", format_time_ns(r->start_ns, start),
                                                   "End", format_time_ns(r->end_ns, end), "ExitCode",
                                                   (json_int_t)r->exit_code, "Output", r->output ? r->output : ""));
    }
    return json_pack("{s:s, s:I, s:o}", "Status", s->status, "FailingStreak", (json_int_t)s->failing_streak, "Log",
                     log);
}

/* ---- one answer more ---- */

static void drop_oldest(struct health_state *s)
{
    free(s->log[0].output);
    memmove(s->log, s->log + 1, (s->log_n - 1) * sizeof *s->log);
    s->log_n--;
}

static void append(struct health_state *s, size_t most, const struct health_result *take_result)
{
    while (s->log_n >= most)
        drop_oldest(s);
    s->log = mem_array(s->log, s->log_n + 1, sizeof *s->log);
    s->log[s->log_n++] = *take_result;
}

static bool in_startup(const struct container_health *h, const struct health_state *s)
{
    return h->startup_test.n && !s->startup_over;
}

/* True: it failed too often. */
static bool judge_startup(const struct container_health *h, const struct health_result *r, struct health_state *s)
{
    if (r->exit_code == 0) {
        s->startup_failures = 0;
        s->startup_over = ++s->startup_successes >= h->startup_success;
        return false;
    }
    s->startup_successes = 0;
    return ++s->startup_failures >= h->startup_retries && h->startup_retries;
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

static fallible keep(int dir_fd, struct health_state *s)
{
    own_mem char *text = bind_write(&state_type, s, BIND_COMPACT);
    while (strlen(text) > FILE_MAX && s->log_n > 1) {
        drop_oldest(s);
        free(text);
        text = bind_write(&state_type, s, BIND_COMPACT);
    }
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
    const char *word = container_state_word(&s);
    bool runs = s.status == CONTAINER_RUNNING && !s.waits;
    *ret_started_ns = s.started_ns;
    container_state_clear(&s);
    if (runs)
        return NULL;
    return err_new(ERR_CONFLICT, "container '%s' is %s: only one that runs can be asked for its health", c->row.name,
                   word);
}

static size_t bound(int64_t wish, size_t otherwise, size_t most)
{
    return wish < 0 ? most : wish ? (size_t)wish : otherwise;
}

static void ask(struct container *c, const struct container_health *h, bool startup, struct health_result *ret)
{
    struct health_question q = { .test = &h->test,
                                 .shell = &h->shell,
                                 .timeout_ns = h->timeout_ns,
                                 .timeout_option = "--health-timeout",
                                 .output_max = bound(h->log_size, HEALTH_OUTPUT_MAX, HEALTH_OUTPUT_MOST) };
    if (startup) {
        q.test = &h->startup_test;
        q.timeout_ns = h->startup_timeout_ns;
        q.timeout_option = "--health-startup-timeout";
    }
    health_run(c, &q, ret);
}

/* --health-log-destination: to a directory of the host's, and to the events. */
static void publish(struct container *c, const struct container_health *h, const struct health_state *s)
{
    const struct health_result *last = &s->log[s->log_n - 1];
    if (h->log_events) {
        own_mem char *code = mem_printf("%lld", (long long)last->exit_code);
        container_say(c, "health_check", "exitCode", code, "output", last->output, NULL);
    }
    if (!h->log_dir)
        return;
    own_json json_t *doc = health_doc(s);
    own_mem char *text = json_dumps(doc, JSON_COMPACT), *name = mem_printf("%s-healthcheck.log", c->row.id);
    own_fd int fd = open(h->log_dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own(err) err *e = fd < 0 ? err_sys(errno, "open '%s'", h->log_dir)
                             : fs_replace_at(fd, name, text, strlen(text), 0600, FS_SYNC_NONE);
    if (e)
        log_warn("--health-log-destination: %s", err_text(e));
}

static void change(struct container *c, struct health_state *s, const char *now)
{
    own_mem char *action = mem_printf("health_status: %s", now);
    char *word = mem_strdup(now);
    free(s->status);
    s->status = word;
    container_say(c, action, NULL);
}

/* The folder by descriptor: when the container is started anew meanwhile, this answer is of the run before. */
static fallible probe(struct container *c, const struct container_health *h, int dir_fd, int64_t started_ns,
                      enum health_asker by, struct health_answer_of *ret, const char **ret_action)
{
    own(health_state) struct health_state *s = NULL;
    struct health_result r = { 0 };
    TRY(read_at(dir_fd, &s));
    bool startup = in_startup(h, s);
    if (startup && by == HEALTH_BY_CLOCK && !h->startup_interval_ns) {
        ret->starting = true;
        return NULL;
    }
    ask(c, h, startup, &r);
    ret->well = r.exit_code == 0;
    if (startup && judge_startup(h, &r, s))
        *ret_action = "restart";
    ret->starting = in_startup(h, s);
    const char *now = startup ? s->status : judge(h, &r, started_ns, s);
    append(s, bound(h->log_count, HEALTH_LOG_MAX, HEALTH_LOG_MOST), &r);
    bool changed = strcmp(s->status, now) != 0;
    if (changed)
        change(c, s, now);
    TRY(keep(dir_fd, s));
    publish(c, h, s);
    if (changed && strcmp(now, "unhealthy") == 0)
        *ret_action = h->on_unhealthy;
    return NULL;
}

fallible health_probe(struct container *c, enum health_asker by, struct health_answer_of *ret)
{
    const struct container_config *config;
    own_fd int dir_fd = -1, lock_fd = -1;
    int64_t started_ns = 0;
    const char *action = NULL;
    *ret = (struct health_answer_of){ 0 };
    TRY(container_config(c, &config));
    if (!config->health)
        return err_new(ERR_INVALID, "container '%s' has no health check: it is made with --health-cmd", c->row.name);
    TRY(must_run(c, &started_ns));
    TRY(fs_open_dir_at(AT_FDCWD, c->state_dir, FS_MUST_EXIST, &dir_fd));
    TRY(fs_lock_at(dir_fd, "health.lock", FS_LOCK_EXCLUSIVE, &lock_fd));
    TRY(probe(c, config->health, dir_fd, started_ns, by, ret, &action));
    own_drop_fd(&lock_fd);
    return act(c, action);
}
