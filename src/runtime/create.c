// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <time.h>

#include "base/log.h"
#include "network/cni.h"
#include "os/fs.h"
#include "os/sock.h"
#include "runtime/start.h"
#include "usernet/usernet.h"

/* What a failed start has left outside of its processes. */
static void undo(struct start *s)
{
    netdev_give_back(&s->netdevs);
    if (s->c->network)
        err_ignore(firewall_withdraw(s->dir_fd, NULL), "the start's own error matters more");
    if (s->c->pasta)
        pasta_stop_at(s->dir_fd);
    if (s->c->cni)
        err_ignore(cni_end(s->dir_fd), "the start's own error matters more");
    if (s->resctrl_made)
        err_ignore(resctrl_remove(s->resctrl_fd, &s->state.resctrl_dirs), "the start's own error matters more");
    if (s->cgroup) {
        err_ignore(cgroup_kill(s->cgroup), "hooks may have put processes there");
        scope_hold_clear(&s->hold);
        err_ignore(state_remove_group(s->cgroup), "the start's own error matters more");
    }
    scope_hold_clear(&s->hold);
    if (s->scope.unit && s->state.cgroup_path) /* it was made */
        err_ignore(scope_stop(s->scope.manager, s->scope.unit), "the start's own error matters more");
    (void)unlinkat(s->dir_fd, START_SOCKET, 0);
    (void)unlinkat(s->dir_fd, STATE_FILE, 0);
    if (s->state.hooks && start_hooks_began(s)) {
        s->state.status = RUNTIME_STOPPED;
        hooks_run_poststop(&s->state);
    }
}

/* The kill trap (see cgroup.h): clone3 said yes, and the child was dead before its first row. */
static bool stillborn(const struct start *s, const err *e)
{
    if (!e || !s->into_cgroup || !s->cgroup || cgroup_clone_fd(s->cgroup) < 0 || err_kind(e) != ERR_UNAVAILABLE)
        return false;
    for (size_t i = 0; i < s->run.n; i++)
        if (s->run.rows[i].side == SIDE_CHILD && s->run.times->begin_ns[i])
            return false;
    return true;
}

/* What was kept of the hierarchies (cgroup/layout.h) may be why: nothing but groups was made by then. */
static bool stale(const struct start *s)
{
    if (!s->host || !cgroup_host_kept(s->host))
        return false;
    for (size_t i = 0; i < s->run.n; i++)
        if (s->run.rows[i].side == SIDE_CLONE && s->run.times->begin_ns[i])
            return false;
    return true;
}

static fallible receive_console(struct start *s)
{
    char name[64];
    size_t len = 0, n = 0;
    if (s->console_pair[0] < 0 || !s->c->ret_console_fd)
        return NULL;
    TRY(sock_recv(s->console_pair[0], name, sizeof name, &len, s->c->ret_console_fd, 1, &n));
    if (n != 1)
        return err_new(ERR_UNAVAILABLE, "terminal: the child sent none");
    return NULL;
}

static void log_rows(const struct steps_run *run)
{
    const struct steps_times *t = run->times;
    if (log_level() < LOG_LEVEL_DEBUG)
        return;
    for (size_t i = 0; i < run->n; i++)
        if (t->begin_ns[i] && t->end_ns[i]) // NOLINT(clang-analyzer-core.NullDereference): a walk that ended has times
            log_debug("%s: us=%llu", run->rows[i].name, (unsigned long long)(t->end_ns[i] - t->begin_ns[i]) / 1000);
}

static fallible finish(struct start *s, struct runtime_created *ret)
{
    struct timespec now;
    struct pollfd ended = { .fd = s->run.pidfd, .events = POLLIN };
    log_rows(&s->run);
    /* it waits for its start by now; its end without a word would look like an exec */
    if (s->c->wait_for_start && poll(&ended, 1, 0) > 0)
        return err_new(ERR_UNAVAILABLE, "the program's process ended before it was started");
    clock_gettime(CLOCK_REALTIME, &now);
    TRY(receive_console(s));
    if (!s->c->wait_for_start && s->state.hooks) {
        s->state.status = RUNTIME_RUNNING;
        TRY(hooks_run("poststart", s->state.hooks->poststart, s->state.hooks->poststart_n, &s->state));
    }
    ret->init = s->state.init;
    ret->cgroup_path = mem_strdup(s->cgroup_path);
    ret->cgroup_text = mem_strdup(s->state.cgroup_text);
    ret->times = *s->run.times; // NOLINT(clang-analyzer-core.NullDereference): as above
    ret->started_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    ret->pidfd = take_fd(&s->run.pidfd);
    ret->live = mem_zalloc(sizeof *ret->live);
    ret->live->dir_fd = take_fd(&s->dir_fd);
    ret->live->cgroup = take(s->cgroup);
    ret->live->state = s->state;
    s->state = (struct runtime_state){ 0 };
    return NULL;
}

static void reap(struct start *s)
{
    int status = 0;
    if (s->run.pidfd < 0)
        return;
    err_ignore(proc_signal(s->run.pidfd, SIGKILL), "it may be dead already");
    err_ignore(proc_wait(s->run.pidfd, -1, &status), "it may be reaped already");
    close_now(&s->run.pidfd);
}

static err *take_listener(void *ctx, int take_fd)
{
    struct start *s = ctx;
    return notify_send(&s->listener_sock, &s->state, s->state.listener_metadata, s->run.pid, take_fd);
}

static err *bring_up_loopback(void *ctx, int take_fd)
{
    own_fd int sock = take_fd;
    (void)ctx;
    TRY_AS(namespaces_loopback_up_by(sock), "bring up the loopback");
    return NULL;
}

/* A group too small for the start itself: its processes are not the program's yet. */
static err *too_small(const struct start *s, err *take_e)
{
    if (err_kind(take_e) != ERR_UNAVAILABLE || !s->cgroup || !cgroup_oom_killed(s->cgroup))
        return take_e;
    err_free(take_e);
    return err_new(ERR_EXHAUSTED, "the memory limit is too small to start a program in: it was killed for its memory");
}

/* Why a start that failed is made once more. */
struct again {
    bool stillborn, stale;
};

static fallible try_start(struct start *s, bool into_cgroup, struct runtime_created *ret, struct again *ret_again)
{
    s->into_cgroup = into_cgroup;
    TRY_AS(fs_open_dir_at(AT_FDCWD, s->c->state_dir, FS_MUST_EXIST, &s->dir_fd), "state directory");
    s->run = (struct steps_run){ .ctx = s, .pidfd = -1, .take_fd = take_listener, .serve = bring_up_loopback };
    s->run.rows = runtime_create_steps(&s->run.n);
    err *e = steps_walk(&s->run);
    *ret_again = (struct again){ .stillborn = s->run.times && stillborn(s, e), .stale = e && s->run.times && stale(s) };
    if (!e) {
        e = finish(s, ret);
        if (e)
            reap(s);
    }
    if (e) {
        e = too_small(s, e);
        undo(s);
    }
    steps_end(&s->run);
    return e;
}

static fallible start_once(const struct runtime_create *c, bool into_cgroup, struct runtime_created *ret,
                           struct again *ret_again)
{
    struct start s;
    err *e = start_plan(&s, c);
    if (!e)
        e = try_start(&s, into_cgroup, ret, ret_again);
    start_clear(&s);
    return e;
}

fallible runtime_create(const struct runtime_create *c, struct runtime_created *ret)
{
    struct again again = { 0 };
    *ret = (struct runtime_created){ .pidfd = -1 };
    err *e = start_once(c, true, ret, &again);
    if (e && again.stale) {
        own_mem char *near = start_root(c);
        log_debug("once more, with a look at where control groups are mounted: %s", err_text(e));
        err_free(e);
        cgroup_host_forget(near);
        e = start_once(c, true, ret, &again);
    }
    if (e && again.stillborn) {
        log_debug("the process was killed at birth in its control group; once more by cgroup.procs: %s", err_text(e));
        err_free(e);
        e = start_once(c, false, ret, &again);
    }
    return e;
}

void runtime_created_clear(struct runtime_created *c)
{
    close_now(&c->pidfd);
    free(c->cgroup_path);
    free(c->cgroup_text);
    runtime_live_free(c->live);
    *c = (struct runtime_created){ .pidfd = -1 };
}
