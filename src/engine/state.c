// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <string.h>
#include <sys/file.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "cgroup/cgroup.h"
#include "cgroup/scope.h"
#include "engine/container_parts.h"
#include "monitor/monitor.h"

/* How long a monitor may take from its container's end to the record on disk. */
enum { SETTLE_MS = 10000 };

const char *container_status_word(enum container_status s)
{
    static const char *const words[] = { "created", "running", "paused", "restarting", "exited" };
    return words[s];
}

const char *container_state_word(const struct container_state *s)
{
    return s->waits ? "initialized" : container_status_word(s->status);
}

void container_state_clear(struct container_state *s)
{
    free(s->error);
    *s = (struct container_state){ 0 };
}

/* A file of the last start: in the folder, or, of a container that goes when it ends, in the run-time folder. */
static bool has_file(const struct container *c, const char *name)
{
    own_mem char *path = mem_printf("%s/%s", c->dir, name);
    if (access(path, F_OK) == 0)
        return true;
    if (c->row.config &&
        !strstr(c->row.config, "\"autoRemove\":true")) /* a tmpfs remembers no absent names: each look is a slow one */
        return false;
    own_mem char *state_path = mem_printf("%s/%s", c->state_dir, name);
    return access(state_path, F_OK) == 0;
}

static bool was_started(const struct container *c)
{
    return has_file(c, "config.json");
}

/* It is not synced, since an end is nothing that anybody waits for: after a power cut it may be there without a word in
 * it, and then nobody saw how the container ended. */
static fallible exit_read(const struct container *c, struct monitor_exit **ret)
{
    err *e = monitor_exit_read(c->dir, ret);
    if (err_is(e, ERR_INVALID) || err_is(e, ERR_CORRUPT)) {
        err_free(e);
        return err_new(ERR_NOT_FOUND, "container '%s' has no exit record", c->row.name);
    }
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    return monitor_exit_read(c->state_dir, ret);
}

static void take_exit(struct monitor_exit *x, struct container_state *s)
{
    /* A start that failed leaves the container as it was, with the reason. */
    s->status = x->error && !x->started_ns && !x->restart_count ? CONTAINER_CREATED : CONTAINER_EXITED;
    s->exit_code = x->exit_code;
    s->started_ns = x->started_ns;
    s->finished_ns = x->finished_ns;
    s->oom_killed = x->oom_killed;
    s->timed_out = x->timed_out;
    s->error = take(x->error);
}

static fallible read_record(const struct container *c, struct container_state *s, bool *ret_there)
{
    own(monitor_exit) struct monitor_exit *x = NULL;
    *ret_there = false;
    if (!has_file(c, "exit.json")) /* the most frequent case of all, when many run */
        return NULL;
    err *e = exit_read(c, &x);
    *ret_there = e == NULL;
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    take_exit(x, s);
    s->restart_ns = x->restart_ns;
    return NULL;
}

/* Another husk is at work in it: a start is under way. */
static bool is_busy(const struct container *c)
{
    if (c->lock_fd >= 0)
        return false;
    own_fd int fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK;
}

fallible container_state(const struct container *c, struct container_state *ret)
{
    own(runtime_state) struct runtime_state *r = NULL;
    struct container_state s = { 0 };
    bool recorded = false, ending = false;
    TRY(read_record(c, &s, &recorded));
    /* Its monitor holds the lock while it waits, and husk the container's while it starts it again. */
    if (s.restart_ns && !container_was_stopped(c) && (monitor_alive(c->state_dir) || is_busy(c)))
        s.status = CONTAINER_RESTARTING;
    if (!recorded) {
        err_ignore(runtime_state_read(c->state_dir, &r), "no run-time state: it does not run");
        s.waits = r && r->status == RUNTIME_CREATED;
        bool runs = r && (s.waits || r->status == RUNTIME_RUNNING || r->status == RUNTIME_PAUSED);
        /* Dead, and its monitor is about to say how: it runs until that is said. The record may be there by now. */
        ending = r && !runs && (monitor_alive(c->state_dir) || is_busy(c));
        s.ending = ending;
        if (!runs && !ending)
            TRY(read_record(c, &s, &recorded));
        if (runs || ending) {
            s.status = r->status == RUNTIME_PAUSED ? CONTAINER_PAUSED : CONTAINER_RUNNING;
            s.init = r->init;
            s.started_ns = r->created_ns;
        } else if (!recorded && was_started(c) && is_busy(c)) {
            if (container_restarts_running(c) > 0)
                s.status = CONTAINER_RESTARTING;
        } else if (!recorded && was_started(c)) {
            s.status = CONTAINER_EXITED;
            s.exit_code = EXIT_UNKNOWN;
            s.started_ns = r ? r->created_ns : 0;
        }
    }
    *ret = s;
    return NULL;
}

/* Linux 6.15 keeps a reaped process's status as long as somebody holds its pidfd. Source: linux/pidfd.h. */
#define PIDFD_INFO_EXIT_BIT (1ULL << 3)
struct pidfd_info_v1 {
    uint64_t mask, cgroupid;
    uint32_t pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    int32_t exit_code;
    uint32_t coredump_mask, spare;
};
#define PIDFD_GET_INFO_V1 _IOWR(0xFF, 11, struct pidfd_info_v1)

static bool kernel_remembers(int pidfd, int *ret_code)
{
    struct pidfd_info_v1 info = { .mask = PIDFD_INFO_EXIT_BIT };
    if (pidfd < 0 || ioctl(pidfd, PIDFD_GET_INFO_V1, &info) < 0 || !(info.mask & PIDFD_INFO_EXIT_BIT))
        return false;
    *ret_code = proc_exit_code(info.exit_code);
    return true;
}

/* Its first process waits for whoever inherited it. */
static bool was_not_reaped(const struct container *c, int *ret_code)
{
    own(runtime_state) struct runtime_state *r = NULL;
    int status;
    err_ignore(runtime_state_read(c->state_dir, &r), "no run-time state: there is nobody to look at");
    if (!r || !proc_zombie_status(r->init, &status))
        return false;
    *ret_code = proc_exit_code(status);
    return true;
}

static bool has_record(const struct container *c)
{
    return has_file(c, "exit.json");
}

bool container_cgroup_gone(const struct container *c)
{
    own(monitor_exit) struct monitor_exit *x = NULL;
    err_ignore(exit_read(c, &x), "then it has to be looked for");
    return x && x->cgroup_gone;
}

static void pause_ms(long ms)
{
    struct timespec t = { ms / 1000, (ms % 1000) * 1000000 };
    (void)nanosleep(&t, NULL);
}

fallible container_settle(struct container *c, int pidfd)
{
    struct timespec now;
    for (long waited = 0, step = 1; waited < SETTLE_MS; waited += step, step = step < 50 ? step * 2 : 50) {
        if (has_record(c))
            return NULL;
        if (!monitor_alive(c->state_dir)) { /* its lock is held until the record is there */
            if (has_record(c))              /* it wrote, and ended, while we asked */
                return NULL;
            if (access(c->dir, F_OK) < 0) /* one of --rm: it went when it had ended */
                return NULL;
            break;
        }
        pause_ms(step);
    }
    int code = EXIT_UNKNOWN;
    char number[12];
    if (!kernel_remembers(pidfd, &code) && !was_not_reaped(c, &code))
        log_debug("container %.12s: nobody saw how it ended", c->row.id);
    if (clock_gettime(CLOCK_REALTIME, &now) < 0)
        return err_sys(errno, "read the clock");
    struct monitor_exit record = {
        .exit_code = code,
        .signal = code > 128 && code < 255 ? code - 128 : 0,
        .finished_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec,
    };
    TRY(monitor_exit_write(c->dir, &record));
    (void)snprintf(number, sizeof number, "%d", code);
    container_say(c, "die", "exitCode", number, NULL); /* there was no monitor to say it */
    return NULL;
}

fallible container_record_dir(struct container *c, const char **ret)
{
    const struct container_config *config;
    TRY(container_config(c, &config));
    *ret = config->auto_remove ? c->state_dir : c->dir;
    return NULL;
}

static fallible forget_scope(const char *path, const char *id)
{
    struct scope_plan plan = { 0 };
    err *e = scope_plan(path, id, geteuid() == 0 && !ids_in_userns() ? SCOPE_SYSTEM : SCOPE_USER, &plan);
    if (!e)
        e = scope_stop(plan.manager, plan.unit);
    scope_plan_clear(&plan);
    return e;
}

fallible container_forget_cgroup(struct container *c)
{
    const struct container_config *config;
    own(cgroup_host) struct cgroup_host *host = NULL;
    own(cgroup) struct cgroup *group = NULL;
    const char *why;
    if (!was_started(c) || container_cgroup_gone(c))
        return NULL;
    TRY(container_config(c, &config));
    own_mem char *path = spec_cgroup_path(c->row.id, config);
    if (config->cgroup_manager)
        return forget_scope(path, c->row.id);
    TRY(cgroup_host_open(&host));
    if (!cgroup_host_usable(host, &why))
        return NULL;
    TRY(cgroup_open(host, path, &group));
    TRY(cgroup_kill(group));
    return cgroup_remove(group);
}

fallible container_await(const struct container_state *state, int timeout_ms, bool *ret_gone, int *ret_pidfd)
{
    own_fd int pidfd = -1;
    err *e = proc_open(state->init, &pidfd);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        *ret_gone = true;
        *ret_pidfd = -1;
        return NULL;
    }
    TRY(e);
    struct pollfd p = { .fd = pidfd, .events = POLLIN };
    int n;
    while ((n = poll(&p, 1, timeout_ms)) < 0)
        if (errno != EINTR)
            return err_sys(errno, "wait for a container");
    *ret_gone = n > 0;
    *ret_pidfd = take_fd(&pidfd);
    return NULL;
}
