// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "os/fs.h"
#include "os/sock.h"
#include "runtime/start.h"
#include "usernet/usernet.h"

enum { DEATH_MS = 10000 }; /* how long a killed process may take: its memory has to be freed first */

static fallible wrong_state(const struct runtime_state *s, const char *act)
{
    return err_new(ERR_CONFLICT, "cannot %s container '%s': it is %s", act, s->id, runtime_status_word(s->status));
}

fallible state_open_locked(const char *state_dir, struct runtime_state **ret, int *ret_dir_fd, int *ret_lock_fd)
{
    own_fd int dir = -1;
    TRY(fs_open_dir_at(AT_FDCWD, state_dir, FS_MUST_EXIST, &dir));
    TRY(fs_lock_at(dir, LOCK_FILE, FS_LOCK_EXCLUSIVE, ret_lock_fd));
    return state_open(state_dir, ret, ret_dir_fd);
}

/* What the starter of a created container gets from it. */
struct starting {
    const struct runtime_state *state;
    int agent; /* the seccomp agent's socket, or -1 */
};

static err *take_listener(void *ctx, int take_fd)
{
    struct starting *s = ctx;
    return notify_send(&s->agent, s->state, s->state->listener_metadata, s->state->init.pid, take_fd);
}

/* A program whose filter nobody answers for must not go on. */
static fallible started(struct starting *starting, int sock)
{
    own_fd int pidfd = -1;
    err *e = steps_wait(sock, take_listener, starting);
    if (e && starting->state->listener_path) {
        err *e2 = proc_open(starting->state->init, &pidfd);
        err_ignore(e2 ? e2 : proc_signal(pidfd, SIGKILL), "it may have ended");
    }
    return e;
}

/* Source: process/order.h, "The starter". */
fallible runtime_start(const char *state_dir)
{
    own(runtime_state) struct runtime_state *s = NULL;
    own_fd int dir = -1;
    own_fd int lock = -1;
    own_fd int sock = -1;
    TRY(state_open_locked(state_dir, &s, &dir, &lock));
    if (s->status != RUNTIME_CREATED)
        return wrong_state(s, "start");
    own_fd int agent = -1;
    if (s->listener_path)
        TRY(notify_connect(s->listener_path, &agent));
    TRY(sock_connect_at(dir, START_SOCKET, SOCK_SEQPACKET, &sock));
    if (send(sock, "s", 1, MSG_NOSIGNAL) < 0)
        return err_sys(errno, "tell the program to start");
    struct starting starting = { .state = s, .agent = take_fd(&agent) };
    err *e = started(&starting, sock);
    close_now(&starting.agent);
    (void)unlinkat(dir, START_SOCKET, 0);
    if (e)
        return e;
    s->status = RUNTIME_RUNNING;
    e = s->hooks ? hooks_run("poststart", s->hooks->poststart, s->hooks->poststart_n, s) : NULL;
    if (e) { /* the specification: an error, and the container is stopped */
        own_fd int pidfd = -1;
        err *gone = proc_open(s->init, &pidfd);
        err_ignore(gone ? gone : proc_signal(pidfd, SIGKILL), "it may have ended");
    }
    return e;
}

static fallible kill_group(const struct runtime_state *s, int signal)
{
    own(cgroup) struct cgroup *g = NULL;
    own_mem pid_t *pids = NULL;
    size_t n = 0;
    TRY(state_cgroup(s, &g));
    if (!g)
        return err_new(ERR_UNSUPPORTED, "container '%s' has no control group that would name all its processes", s->id);
    if (signal == SIGKILL)
        return cgroup_kill(g);
    TRY(cgroup_pids(g, &pids, &n));
    for (size_t i = 0; i < n; i++)
        if (kill(pids[i], signal) < 0 && errno != ESRCH)
            return err_sys(errno, "send %s to process %d", signal_name(signal), (int)pids[i]);
    return NULL;
}

/* v1's freezer holds even SIGKILL back. And the payload may have frozen itself, where its control groups are its own to
 * write. */
static fallible thaw(const struct runtime_state *s)
{
    own(cgroup) struct cgroup *g = NULL;
    TRY(state_cgroup(s, &g));
    if (g && s->status == RUNTIME_PAUSED)
        TRY(cgroup_freeze(g, CGROUP_THAW));
    if (g)
        cgroup_thaw_v1(g);
    return NULL;
}

fallible runtime_kill(const char *state_dir, int signal, bool all)
{
    own(runtime_state) struct runtime_state *s = NULL;
    own_fd int dir = -1;
    own_fd int pidfd = -1;
    TRY(state_open(state_dir, &s, &dir));
    bool shared_pids = !(s->namespaces & CLONE_NEWPID);
    /* a dead first process of a shared pid namespace leaves the others behind */
    if (s->cgroup_path && (all || (shared_pids && signal == SIGKILL)))
        return kill_group(s, signal);
    if (s->status == RUNTIME_STOPPED || s->status == RUNTIME_CREATING)
        return wrong_state(s, "signal");
    TRY(proc_open(s->init, &pidfd));
    TRY(proc_signal(pidfd, signal));
    return signal == SIGKILL ? thaw(s) : NULL;
}

/* Without a control group: whoever is in the first process's pid namespace. */
static fallible pids_of_namespace(const struct runtime_state *s, pid_t **ret, size_t *ret_n)
{
    char path[280];
    struct stat init, st;
    own_dir DIR *proc = opendir("/proc");
    (void)snprintf(path, sizeof path, "/proc/%d/ns/pid", (int)s->init.pid);
    if (!proc || stat(path, &init) < 0)
        return err_sys(errno, "look at '%s'", path);
    for (struct dirent *entry; (entry = readdir(proc));) {
        (void)snprintf(path, sizeof path, "/proc/%s/ns/pid", entry->d_name);
        if (entry->d_name[0] < '1' || entry->d_name[0] > '9' || stat(path, &st) < 0 || st.st_ino != init.st_ino)
            continue;
        *ret = mem_array(*ret, *ret_n + 1, sizeof **ret);
        (*ret)[(*ret_n)++] = (pid_t)strtol(entry->d_name, NULL, 10);
    }
    return NULL;
}

fallible runtime_pids(const char *state_dir, pid_t **ret, size_t *ret_n)
{
    own(runtime_state) struct runtime_state *s = NULL;
    own(cgroup) struct cgroup *g = NULL;
    own_fd int dir = -1;
    *ret = NULL;
    *ret_n = 0;
    TRY(state_open_group(state_dir, &s, &dir, &g, NULL));
    if (g)
        return cgroup_pids(g, ret, ret_n);
    if (s->status == RUNTIME_STOPPED || s->status == RUNTIME_CREATING)
        return NULL;
    if (!(s->namespaces & CLONE_NEWPID))
        return err_new(ERR_UNSUPPORTED,
                       "container '%s' has no control group and no pid namespace that would name its "
                       "processes",
                       s->id);
    return pids_of_namespace(s, ret, ret_n);
}

static fallible freeze(const char *state_dir, enum cgroup_freeze how)
{
    own(runtime_state) struct runtime_state *s = NULL;
    own(cgroup) struct cgroup *g = NULL;
    own_fd int dir = -1;
    own_fd int lock = -1;
    const char *act = how == CGROUP_FREEZE ? "pause" : "resume";
    TRY(state_open_locked(state_dir, &s, &dir, &lock));
    if (how == CGROUP_FREEZE ? s->status != RUNTIME_RUNNING && s->status != RUNTIME_CREATED
                             : s->status != RUNTIME_PAUSED)
        return wrong_state(s, act);
    TRY(state_cgroup(s, &g));
    if (!g)
        return err_new(ERR_UNSUPPORTED, "cannot %s container '%s': it has no control group", act, s->id);
    return cgroup_freeze(g, how);
}

fallible runtime_pause(const char *state_dir)
{
    return freeze(state_dir, CGROUP_FREEZE);
}

fallible runtime_resume(const char *state_dir)
{
    return freeze(state_dir, CGROUP_THAW);
}

fallible runtime_update(const char *state_dir, const struct oci_resources *resources)
{
    own(runtime_state) struct runtime_state *s = NULL;
    own(cgroup) struct cgroup *g = NULL;
    own_fd int dir = -1;
    own_fd int lock = -1;
    TRY(state_open_locked(state_dir, &s, &dir, &lock));
    if (s->status == RUNTIME_STOPPED || s->status == RUNTIME_CREATING)
        return wrong_state(s, "update");
    TRY(state_cgroup(s, &g));
    if (!g)
        return err_new(ERR_UNSUPPORTED, "cannot update container '%s': it has no control group", s->id);
    TRY(cgroup_update(g, resources));
    if (!s->scope)
        return NULL;
    /* or systemd's next reload would write the old ones again */
    own_strv struct strv properties = { 0 };
    TRY(scope_properties(cgroup_is_v2(g), resources, NULL, &properties));
    return scope_set(state_manager(s), s->scope, &properties);
}

static fallible wait_death(struct proc_id id, int pidfd)
{
    struct pollfd p = { .fd = pidfd, .events = POLLIN };
    if (poll(&p, 1, DEATH_MS) == 0)
        return err_new(ERR_TIMEOUT, "process %d is still there %d ms after SIGKILL", (int)id.pid, DEATH_MS);
    return NULL;
}

static fallible kill_all(const struct runtime_state *s, const struct cgroup *g)
{
    own_fd int pidfd = -1;
    err *e = s->init.pid ? proc_open(s->init, &pidfd) : NULL;
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        e = NULL;
    }
    TRY(e);
    if (pidfd >= 0)
        err_ignore(proc_signal(pidfd, SIGKILL), "it may have ended");
    /* When the first process has ended, most often nobody is left: one who is makes the removal of the group fail, and
     * is killed then. A write to cgroup.kill waits for the lock that every other start and end on the machine takes. */
    if (g && (pidfd >= 0 || s->status == RUNTIME_CREATING))
        TRY(cgroup_kill(g));
    return pidfd >= 0 ? wait_death(s->init, pidfd) : NULL;
}

static int64_t monotonic_ms(void)
{
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* On a busy machine a killed process takes its time to leave: what is not gone is killed and waited for. By the clock:
 * an attempt waits by itself, in each hierarchy. */
fallible state_remove_group(struct cgroup *g)
{
    const struct timespec pause = { .tv_nsec = 5000000 };
    for (int64_t end = monotonic_ms() + DEATH_MS;;) {
        err *e = cgroup_remove(g);
        if (!err_is(e, ERR_CONFLICT) || monotonic_ms() >= end)
            return e;
        err_free(e);
        err_ignore(cgroup_kill(g), "one that was being made when the others were killed");
        (void)nanosleep(&pause, NULL);
    }
}

static fallible remove_resctrl(const struct runtime_state *s)
{
    own_fd int fd = -1;
    err *e = resctrl_open(&fd);
    if (e) {
        err_ignore(e, "unmounted since, and its groups with it");
        return NULL;
    }
    return resctrl_remove(fd, &s->resctrl_dirs);
}

fallible state_remove(int dir, struct runtime_state *s, struct cgroup *g)
{
    TRY(kill_all(s, g)); /* what the first process left behind, too */
    if (g)
        TRY(state_remove_group(g));
    if (s->resctrl_dirs.n)
        TRY(remove_resctrl(s));
    TRY(usernet_end(s->id, dir, NULL));
    if (s->scope) /* its name is to be free when we are through */
        TRY(scope_stop(state_manager(s), s->scope));
    s->status = RUNTIME_STOPPED;
    hooks_run_poststop(s);
    (void)unlinkat(dir, START_SOCKET, 0);
    if (unlinkat(dir, STATE_FILE, 0) < 0 && errno != ENOENT)
        return err_sys(errno, "remove '" STATE_FILE "' of container '%s'", s->id);
    return NULL;
}

void runtime_live_free(struct runtime_live *l)
{
    if (!l)
        return;
    close_now(&l->dir_fd);
    cgroup_free(l->cgroup);
    state_clear(&l->state);
    free(l);
}

/* What an update meanwhile has made: it took the lock. */
static void learn_updates(struct runtime_live *l)
{
    own(runtime_state) struct runtime_state *s = NULL;
    if (faccessat(l->dir_fd, LOCK_FILE, F_OK, 0) < 0)
        return;
    if (l->cgroup)
        cgroup_forget(l->cgroup);
    own_mem char *dir = mem_printf("/proc/self/fd/%d", l->dir_fd);
    err *e = runtime_state_read(dir, &s);
    if (e) {
        err_ignore(e, "then nobody can have written more there");
        return;
    }
    strv_free(&l->state.resctrl_dirs);
    l->state.resctrl_dirs = s->resctrl_dirs;
    s->resctrl_dirs = (struct strv){ 0 };
}

fallible runtime_finish(struct runtime_created *c)
{
    struct runtime_live *l = c->live;
    learn_updates(l);
    l->state.init.pid = 0; /* reaped: the number may be another's by now */
    l->state.status = RUNTIME_STOPPED;
    err *e = state_remove(l->dir_fd, &l->state, l->cgroup);
    (void)unlinkat(l->dir_fd, LOCK_FILE, 0);
    runtime_created_clear(c);
    return e;
}

static fallible delete_container(const char *state_dir, bool force, bool group_gone)
{
    own(runtime_state) struct runtime_state *s = NULL;
    own_fd int dir = -1;
    own_fd int lock = -1;
    err *e = state_open_locked(state_dir, &s, &dir, &lock);
    if (err_is(e, ERR_NOT_FOUND) && force) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    bool live = s->status == RUNTIME_RUNNING || s->status == RUNTIME_PAUSED || s->status == RUNTIME_CREATING;
    if (live && !force)
        return wrong_state(s, "delete");
    own(cgroup) struct cgroup *g = NULL;
    if (!group_gone)
        TRY(state_cgroup(s, &g));
    TRY(state_remove(dir, s, g));
    (void)unlinkat(dir, LOCK_FILE, 0);
    return NULL;
}

fallible runtime_delete(const char *state_dir, bool force)
{
    return delete_container(state_dir, force, false);
}

fallible runtime_delete_ended(const char *state_dir)
{
    return delete_container(state_dir, true, true);
}
