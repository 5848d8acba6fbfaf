/*
 * husk-systemd: one word with systemd over D-Bus, for cgroup/scope.c. Not for people.
 *
 *   husk-systemd start  system|user UNIT SLICE DESCRIPTION [NAME=VALUE...]   and stay in the scope until told to go
 *   husk-systemd set    system|user UNIT NAME=VALUE...
 *   husk-systemd attach system|user UNIT PID GROUP-BELOW
 *   husk-systemd stop   system|user UNIT
 *
 * Standard input is one end of a SOCK_SEQPACKET pair: see "What the helper answers" in scope.h.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <systemd/sd-bus.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/parse.h"
#include "cgroup/scope.h"
#include "cgroup/variant.h"
#include "os/fs.h"

#define SYSTEMD "org.freedesktop.systemd1"
#define OBJECT  "/org/freedesktop/systemd1"
#define MANAGER SYSTEMD ".Manager"

enum { JOB_SECONDS = 30 };

OWN_TYPE(sd_bus, sd_bus *, sd_bus_flush_close_unref)
OWN_TYPE(sd_message, sd_bus_message *, sd_bus_message_unref)

/* The job that is waited for. Its end may be told before its name is: those told are kept. */
struct job {
    char *path, *result;
    struct strv ended; /* "path result" */
};

static fallible bus_error(int r, const sd_bus_error *e, const char *act)
{
    bool gone = sd_bus_error_has_name(e, SYSTEMD ".NoSuchUnit") || sd_bus_error_has_name(e, SYSTEMD ".NotLoaded");
    bool taken = sd_bus_error_has_name(e, SYSTEMD ".UnitExists");
    return err_sys_as(gone    ? ERR_NOT_FOUND
                      : taken ? ERR_EXISTS
                              : err_kind_of_errno(-r),
                      -r, "%s: %s", act, e && e->message ? e->message : strerror(-r));
}

/* systemd's own socket works without a message bus, and as root it is what systemctl uses as well. */
static fallible connect_private(const char *path, sd_bus **ret)
{
    own(sd_bus) sd_bus *bus = NULL;
    own_mem char *address = mem_printf("unix:path=%s", path);
    int r = sd_bus_new(&bus);
    if (r >= 0)
        r = sd_bus_set_address(bus, address);
    if (r >= 0)
        r = sd_bus_start(bus);
    if (r < 0)
        return err_sys(-r, "connect to '%s'", path);
    *ret = take(bus);
    return NULL;
}

static fallible connect_systemd(bool user, sd_bus **ret)
{
    const char *runtime = getenv("XDG_RUNTIME_DIR");
    own_mem char *own = user && runtime ? mem_printf("%s/systemd/private", runtime) : NULL;
    const char *path = user ? own : "/run/systemd/private";
    if (path && access(path, W_OK) == 0) {
        err *e = connect_private(path, ret);
        if (!e)
            return NULL;
        err_ignore(e, "by the message bus, then");
    }
    int r = user ? sd_bus_open_user(ret) : sd_bus_open_system(ret);
    if (r >= 0)
        return NULL;
    return user ? err_sys_as(ERR_UNSUPPORTED, -r,
                             "no systemd of user %u answers (loginctl enable-linger, XDG_RUNTIME_DIR): leave control "
                             "groups to husk (cgroupfs)",
                             geteuid())
                : err_sys_as(ERR_UNSUPPORTED, -r, "the system's message bus does not answer");
}

/* ---- values ---- */

static int append(sd_bus_message *m, const struct variant *v)
{
    char type = v->signature[0];
    uint8_t y = (uint8_t)v->u;
    uint16_t q = (uint16_t)v->u;
    uint32_t u = (uint32_t)v->u;
    int b = type == 'b' && v->b;
    int r = 0;
    switch (type) {
    case 'b':
        return sd_bus_message_append_basic(m, type, &b);
    case 'y':
        return sd_bus_message_append_basic(m, type, &y);
    case 'n':
    case 'q':
        return sd_bus_message_append_basic(m, type, &q);
    case 'i':
    case 'u':
        return sd_bus_message_append_basic(m, type, &u);
    case 'x':
    case 't':
        return sd_bus_message_append_basic(m, type, &v->u);
    case 'd':
        return sd_bus_message_append_basic(m, type, &v->d);
    case 'a':
        r = sd_bus_message_open_container(m, 'a', v->signature + 1);
        break;
    case '(': {
        own_mem char *inner = mem_strndup(v->signature + 1, strlen(v->signature) - 2);
        r = sd_bus_message_open_container(m, 'r', inner);
        break;
    }
    default:
        return sd_bus_message_append_basic(m, type, v->text);
    }
    for (size_t i = 0; r >= 0 && i < v->n; i++)
        r = append(m, &v->items[i]);
    return r < 0 ? r : sd_bus_message_close_container(m);
}

/* "NAME=VALUE" as (sv) */
static fallible append_property(sd_bus_message *m, const char *word)
{
    own(variant) struct variant v = { 0 };
    const char *equals = strchr(word, '=');
    own_mem char *name = mem_strndup(word, equals ? (size_t)(equals - word) : strlen(word));
    if (!equals)
        return err_new(ERR_INVALID, "property '%s' has no value", name);
    TRY_AS(variant_parse(equals + 1, &v), "property %s", name);
    int r = sd_bus_message_open_container(m, 'r', "sv");
    if (r >= 0)
        r = sd_bus_message_append(m, "s", name);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'v', v.signature);
    if (r >= 0)
        r = append(m, &v);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    if (r >= 0)
        r = sd_bus_message_close_container(m);
    return r < 0 ? err_sys_as(ERR_INVALID, -r, "property %s: '%s'", name, equals + 1) : NULL;
}

static fallible append_properties(sd_bus_message *m, char **words, int n)
{
    for (int i = 0; i < n; i++)
        TRY(append_property(m, words[i]));
    return NULL;
}

/* ---- jobs ---- */

static int job_removed(sd_bus_message *m, void *ctx, sd_bus_error *e)
{
    struct job *job = ctx;
    const char *path = NULL, *unit = NULL, *result = NULL;
    uint32_t id = 0;
    (void)e;
    if (sd_bus_message_read(m, "uoss", &id, &path, &unit, &result) < 0)
        return 0;
    strv_add_printf(&job->ended, "%s %s", path, result);
    return 0;
}

static const char *result_of(const struct job *job)
{
    size_t n = strlen(job->path);
    for (size_t i = 0; i < job->ended.n; i++)
        if (strncmp(job->ended.items[i], job->path, n) == 0 && job->ended.items[i][n] == ' ')
            return job->ended.items[i] + n + 1;
    return NULL;
}

static fallible watch_jobs(sd_bus *bus, struct job *job)
{
    own(sd_message) sd_bus_message *reply = NULL;
    int r = sd_bus_match_signal(bus, NULL, NULL, OBJECT, MANAGER, "JobRemoved", job_removed, job);
    if (r >= 0)
        r = sd_bus_call_method(bus, SYSTEMD, OBJECT, MANAGER, "Subscribe", NULL, &reply, NULL);
    return r < 0 ? err_sys(-r, "listen for systemd's jobs") : NULL;
}

static fallible wait_job(sd_bus *bus, struct job *job)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    for (time_t until = now.tv_sec + JOB_SECONDS; !result_of(job);) {
        int r = sd_bus_process(bus, NULL);
        if (r == 0)
            r = sd_bus_wait(bus, 1000000);
        if (r < 0 && r != -EINTR)
            return err_sys(-r, "wait for systemd's job");
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec >= until)
            return err_new(ERR_TIMEOUT, "systemd's job did not end within %d seconds", JOB_SECONDS);
    }
    return NULL;
}

static void job_clear(struct job *job)
{
    free(job->path);
    strv_free(&job->ended);
}
static inline void own_drop_job(struct job *job)
{
    job_clear(job);
}

/* ---- the verbs ---- */

struct call {
    sd_bus *bus;
    const char *unit;
    char **words;
    int n;
};

/*
 * Delegate: what is below is the container's, systemd leaves it alone. CollectMode: a scope that ended badly is
 * forgotten as any other, or its name would stay taken. No default dependencies: a container is not ended before other
 * units.
 */
static fallible compose_start(const struct call *c, sd_bus_message **ret)
{
    own(sd_message) sd_bus_message *m = NULL;
    int r = sd_bus_message_new_method_call(c->bus, &m, SYSTEMD, OBJECT, MANAGER, "StartTransientUnit");
    if (r >= 0)
        r = sd_bus_message_append(m, "ss", c->unit, "fail");
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "(sv)");
    if (r >= 0)
        r = sd_bus_message_append(m, "(sv)(sv)(sv)(sv)(sv)(sv)", "Description", "s", c->words[1], "Slice", "s",
                                  c->words[0], "Delegate", "b", 1, "DefaultDependencies", "b", 0, "CollectMode", "s",
                                  "inactive-or-failed", "PIDs", "au", 1, (uint32_t)getpid());
    if (r >= 0)
        r = sd_bus_message_append(m, "(sv)(sv)(sv)", "CPUAccounting", "b", 1, "MemoryAccounting", "b", 1,
                                  "TasksAccounting", "b", 1);
    if (r < 0)
        return err_sys(-r, "compose the request");
    TRY(append_properties(m, c->words + 2, c->n - 2));
    r = sd_bus_message_close_container(m);
    if (r >= 0)
        r = sd_bus_message_append(m, "a(sa(sv))", 0);
    if (r < 0)
        return err_sys(-r, "compose the request");
    *ret = take(m);
    return NULL;
}

static fallible send_for_job(const struct call *c, sd_bus_message *m, const char *act, struct job *job)
{
    own(sd_message) sd_bus_message *reply = NULL;
    sd_bus_error error = SD_BUS_ERROR_NULL;
    const char *path = NULL;
    int r = sd_bus_call(c->bus, m, 0, &error, &reply);
    if (r >= 0)
        r = sd_bus_message_read(reply, "o", &path);
    err *e = r < 0 ? bus_error(r, &error, act) : NULL;
    sd_bus_error_free(&error);
    free(job->path);
    job->path = mem_strdup(path);
    return e;
}

/* The group that this process is in: v2's, or that of systemd's own hierarchy. */
static fallible own_group(char **ret)
{
    own_mem char *text = NULL;
    own_strv struct strv lines = { 0 };
    const char *found = NULL;
    TRY(fs_read_at(AT_FDCWD, "/proc/self/cgroup", 1 << 20, &text, NULL));
    strv_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.n; i++) {
        const char *path = strchr(lines.items[i], '/');
        if (path && (str_starts(lines.items[i], "0::") || (!found && strstr(lines.items[i], ":name=systemd:"))))
            found = path;
    }
    if (!found)
        return err_new(ERR_UNSUPPORTED, "systemd keeps no control groups here");
    *ret = mem_strdup(found);
    return NULL;
}

/* A scope whose last process has just gone is there until systemd has heard of it. */
static fallible start_job(const struct call *c, struct job *job)
{
    enum { TRIES = 25 };
    const struct timespec pause = { .tv_nsec = 40000000 };
    for (int i = 0;; i++) {
        own(sd_message) sd_bus_message *m = NULL;
        TRY(compose_start(c, &m));
        err *e = send_for_job(c, m, "start", job);
        if (!err_is(e, ERR_EXISTS))
            return e;
        err_free(e);
        if (i == TRIES)
            return err_new(ERR_EXISTS, "a unit of this name is there: choose another in linux.cgroupsPath, or "
                                       "'systemctl stop' it");
        (void)nanosleep(&pause, NULL);
    }
}

static fallible start(const struct call *c, char **ret_path)
{
    own(job) struct job job = { 0 };
    if (c->n < 2)
        return err_new(ERR_INVALID, "start: slice and description are missing");
    TRY(watch_jobs(c->bus, &job));
    TRY(start_job(c, &job));
    TRY(wait_job(c->bus, &job));
    if (!str_eq(result_of(&job), "done"))
        return err_new(ERR_UNAVAILABLE, "systemd could not start it: %s", result_of(&job));
    return own_group(ret_path);
}

static fallible set(const struct call *c)
{
    own(sd_message) sd_bus_message *m = NULL;
    own(sd_message) sd_bus_message *reply = NULL;
    sd_bus_error error = SD_BUS_ERROR_NULL;
    int r = sd_bus_message_new_method_call(c->bus, &m, SYSTEMD, OBJECT, MANAGER, "SetUnitProperties");
    if (r >= 0)
        r = sd_bus_message_append(m, "sb", c->unit, 1);
    if (r >= 0)
        r = sd_bus_message_open_container(m, 'a', "(sv)");
    if (r < 0)
        return err_sys(-r, "compose the request");
    TRY(append_properties(m, c->words, c->n));
    r = sd_bus_message_close_container(m);
    if (r >= 0)
        r = sd_bus_call(c->bus, m, 0, &error, &reply);
    err *e = r < 0 ? bus_error(r, &error, "set its properties") : NULL;
    sd_bus_error_free(&error);
    return e;
}

static fallible attach(const struct call *c)
{
    own(sd_message) sd_bus_message *reply = NULL;
    sd_bus_error error = SD_BUS_ERROR_NULL;
    int64_t pid = 0;
    if (c->n != 2)
        return err_new(ERR_INVALID, "attach: which process, and where below the unit's group?");
    TRY(parse_i64(c->words[0], 1, INT32_MAX, &pid));
    int r = sd_bus_call_method(c->bus, SYSTEMD, OBJECT, MANAGER, "AttachProcessesToUnit", &error, &reply, "ssau",
                               c->unit, c->words[1], 1, (uint32_t)pid);
    err *e = r < 0 ? bus_error(r, &error, "move a process into it") : NULL;
    sd_bus_error_free(&error);
    return e;
}

static fallible stop(const struct call *c)
{
    own(job) struct job job = { 0 };
    own(sd_message) sd_bus_message *m = NULL;
    TRY(watch_jobs(c->bus, &job));
    int r = sd_bus_message_new_method_call(c->bus, &m, SYSTEMD, OBJECT, MANAGER, "StopUnit");
    if (r >= 0)
        r = sd_bus_message_append(m, "ss", c->unit, "replace");
    if (r < 0)
        return err_sys(-r, "compose the request");
    err *e = send_for_job(c, m, "stop", &job);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_ignore(e, "it has ended already");
        return NULL;
    }
    TRY(e);
    return wait_job(c->bus, &job);
}

static fallible act(int argc, char **argv, char **ret_path)
{
    own(sd_bus) sd_bus *bus = NULL;
    if (argc < 4)
        return err_new(ERR_INVALID, "husk-systemd is husk's own: it is not run by hand");
    TRY(connect_systemd(str_eq(argv[2], "user"), &bus));
    const struct call c = { .bus = bus, .unit = argv[3], .words = argv + 4, .n = argc - 4 };
    if (str_eq(argv[1], "start"))
        return start(&c, ret_path);
    if (str_eq(argv[1], "set"))
        return set(&c);
    if (str_eq(argv[1], "attach"))
        return attach(&c);
    if (str_eq(argv[1], "stop"))
        return stop(&c);
    return err_new(ERR_INVALID, "unknown verb '%s'", argv[1]);
}

int main(int argc, char **argv)
{
    char message[1 + ERR_ENCODED_MAX] = { SCOPE_SAYS_OK };
    own_mem char *path = NULL;
    size_t n = 1;
    (void)signal(SIGPIPE, SIG_IGN);
    own(err) err *e = act(argc, argv, &path);
    if (e) {
        message[0] = SCOPE_SAYS_ERROR;
        n += err_encode(e, message + 1, sizeof message - 1);
    } else if (path) {
        n += (size_t)snprintf(message + 1, sizeof message - 1, "%s", path);
    }
    if (send(0, message, n, MSG_NOSIGNAL) < 0) {
        fprintf(stderr, "husk-systemd: %s\n", e ? err_text(e) : "nobody listens");
        return 1;
    }
    if (!e && str_eq(argv[1], "start"))
        (void)!read(0, message, sizeof message); /* until the other end is closed: the scope has its processes now */
    return e != NULL;
}
