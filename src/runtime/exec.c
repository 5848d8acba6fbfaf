// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "os/fs.h"
#include "os/root.h"
#include "os/sock.h"
#include "runtime/start.h"

struct joining {
    const struct runtime_exec *x;
    struct runtime_state *state;
    struct cgroup *cgroup;
    int *tasks;
    size_t tasks_n;
    int init_fd, root_fd, order_fd, stub_fd, tty_fd, master_fd, agent, resctrl_fd;
    bool into_cgroup;
};

static void joining_clear(struct joining *j)
{
    int *fds[] = { &j->init_fd, &j->root_fd,   &j->order_fd, &j->stub_fd,
                   &j->tty_fd,  &j->master_fd, &j->agent,    &j->resctrl_fd };
    for (size_t i = 0; i < ARRAY_SIZE(fds); i++)
        close_now(fds[i]);
    for (size_t i = 0; i < j->tasks_n; i++)
        (void)close(j->tasks[i]);
    free(j->tasks);
    cgroup_free(j->cgroup);
    runtime_state_free(j->state);
}

/* Our own user namespace cannot be joined once more (setns(2): EINVAL). */
static bool same_userns(pid_t pid)
{
    char path[48];
    struct stat theirs, ours;
    (void)snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    return stat(path, &theirs) == 0 && stat("/proc/self/ns/user", &ours) == 0 && theirs.st_ino == ours.st_ino &&
           theirs.st_dev == ours.st_dev;
}

/* Its root, where that is not the root of its mount namespace: the host's would be a way out. */
static fallible open_root(struct joining *j)
{
    char path[48];
    (void)snprintf(path, sizeof path, "/proc/%d/root", (int)j->state->init.pid);
    j->root_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (j->root_fd < 0)
        return err_sys(errno, "open '%s'", path);
    if (!proc_alive(j->state->init)) /* or it may be that of whoever has the number now */
        return err_new(ERR_CONFLICT, "cannot exec in container '%s': it has just ended", j->state->id);
    return NULL;
}

/* A terminal of the container's own devpts, reached through its root and not by a name that its processes could lay. */
static fallible open_tty(struct joining *j)
{
    char path[48];
    struct stat st;
    int unlock = 0;
    own_fd int root = -1;
    (void)snprintf(path, sizeof path, "/proc/%d/root", (int)j->state->init.pid);
    root = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (root < 0)
        return err_sys(errno, "open '%s'", path);
    TRY(root_open(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY, &j->master_fd));
    if (fstat(j->master_fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(5, 2))
        return err_new(ERR_INVALID, "'/dev/pts/ptmx' in the container is no terminal master");
    if (ioctl(j->master_fd, TIOCSPTLCK, &unlock) < 0)
        return err_sys(errno, "unlock the terminal");
    j->tty_fd = ioctl(j->master_fd, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (j->tty_fd < 0)
        return err_sys(errno, "open the terminal's other end");
    const struct oci_console_size *size = j->x->process->console_size;
    struct winsize w = { .ws_row = size ? (unsigned short)size->height : 0,
                         .ws_col = size ? (unsigned short)size->width : 0 };
    if (size && ioctl(j->master_fd, TIOCSWINSZ, &w) < 0)
        return err_sys(errno, "set the terminal's size");
    return NULL;
}

/* Whether setgroups(2) is denied in its user namespace, as it is when one id was mapped without newgidmap(1). */
static bool groups_denied(pid_t pid)
{
    own_mem char *path = mem_printf("/proc/%d/setgroups", (int)pid), *text = NULL;
    err *e = fs_read_at(AT_FDCWD, path, 64, &text, NULL);
    if (e) {
        err_ignore(e, "it is allowed where the kernel has no such file");
        return false;
    }
    return str_starts(text, "deny");
}

static fallible compile(struct joining *j)
{
    const struct runtime_exec *x = j->x;
    bool own_userns = j->state->namespaces & CLONE_NEWUSER;
    uint64_t flags = j->state->namespaces | CLONE_NEWNS;
    if (own_userns && same_userns(j->state->init.pid))
        flags &= ~(uint64_t)CLONE_NEWUSER;
    const struct program p = {
        .process = x->process,
        .seccomp = x->seccomp,
        .seccomp_cache_dir = x->seccomp_cache_dir,
        .filter = x->filter,
        .personality = x->personality,
        .memory_policy = x->memory_policy,
        .annotations = &j->state->annotations,
        .own_userns = own_userns,
        .keep_groups = own_userns && groups_denied(j->state->init.pid),
        .new_session_keyring = !j->state->no_new_keyring,
        .join_pidfd = j->init_fd,
        .join_root = j->root_fd,
        .join_flags = flags,
        .tasks_fds = j->into_cgroup ? j->tasks : NULL,
        .tasks_fds_n = j->into_cgroup ? j->tasks_n : 0,
        .cgroup_fd = j->into_cgroup && j->cgroup ? cgroup_clone_fd(j->cgroup) : -1,
        .start_listen_fd = -1,
        .hook_state_fd = -1,
        .preserve_fds = x->preserve_fds,
        .new_session = true, /* as in plan.c */
    };
    close_now(&j->order_fd);
    return program_compile(&p, &j->order_fd);
}

/* "[CONTROLLER[,CONTROLLER]:]GROUP" */
static fallible descend(struct joining *j)
{
    if (!j->cgroup)
        return err_new(ERR_UNSUPPORTED, "container '%s' has no control group to have one below", j->state->id);
    for (size_t i = 0; i < j->x->cgroups->n; i++) {
        const char *text = j->x->cgroups->items[i], *colon = strchr(text, ':');
        own_strv struct strv controllers = { 0 };
        own_mem char *list = mem_strndup(text, colon ? (size_t)(colon - text) : 0);
        strv_split(&controllers, list, ',');
        if (!colon)
            TRY_AS(cgroup_descend(j->cgroup, NULL, text), "--cgroup");
        for (size_t k = 0; k < controllers.n; k++)
            TRY_AS(cgroup_descend(j->cgroup, controllers.items[k], colon + 1), "--cgroup");
        if (colon && !controllers.n)
            return err_new(ERR_INVALID, "--cgroup: '%s' names no controller before the colon", text);
    }
    return NULL;
}

static fallible open_resctrl(struct joining *j)
{
    err *e = resctrl_open(&j->resctrl_fd);
    if (err_is(e, ERR_UNSUPPORTED)) {
        err_ignore(e, "unmounted since, and its groups with it");
        return NULL;
    }
    return e;
}

static fallible prepare(struct joining *j)
{
    own_fd int dir = -1;
    TRY(state_open_group(j->x->state_dir, &j->state, &dir, &j->cgroup, &j->init_fd));
    bool frozen = j->state->status == RUNTIME_PAUSED && j->x->ignore_paused;
    if (j->state->status != RUNTIME_RUNNING && j->state->status != RUNTIME_CREATED && !frozen)
        return err_new(ERR_CONFLICT, "cannot exec in container '%s': it is %s", j->state->id,
                       runtime_status_word(j->state->status));
    if (j->init_fd < 0)
        TRY(proc_open(j->state->init, &j->init_fd));
    if (j->state->shares_mounts)
        TRY(open_root(j));
    j->into_cgroup = state_clones_into(j->state);
    if (j->x->cgroups && j->x->cgroups->n)
        TRY(descend(j));
    if (j->cgroup)
        TRY(cgroup_open_tasks(j->cgroup, &j->tasks, &j->tasks_n));
    if (j->state->resctrl_group)
        TRY(open_resctrl(j));
    if (j->x->process->terminal)
        TRY_AS(open_tty(j), "terminal");
    if (notify_wanted(j->x->seccomp))
        TRY(notify_connect(j->x->seccomp->listener_path, &j->agent));
    TRY(program_open_stub(&j->stub_fd));
    return NULL;
}

static _Noreturn void enter(const struct joining *j, int sock)
{
    err *e = j->into_cgroup || !j->cgroup ? NULL : state_join(j->state, j->cgroup, getpid());
    if (!e && j->resctrl_fd >= 0)
        e = resctrl_join(j->resctrl_fd, j->state->resctrl_group, j->state->resctrl_monitor);
    for (int i = 0; !e && i < 3; i++)
        if (j->x->stdio[i] >= 0 && dup2(j->x->stdio[i], i) < 0)
            e = err_sys(errno, "put stdio in place");
    if (!e)
        e = program_enter(j->stub_fd, j->order_fd, sock, j->tty_fd);
    steps_send_error(sock, e);
    _exit(1);
}

static err *take_listener(void *ctx, pid_t pid, int take_fd)
{
    struct joining *j = ctx;
    return notify_send(&j->agent, j->state, j->x->seccomp->listener_metadata, pid, take_fd);
}

static void reap(pid_t pid)
{
    own_fd int pidfd = -1;
    int status = 0;
    if (pid <= 0)
        return;
    err *e = proc_pidfd(pid, &pidfd);
    if (!e) {
        err_ignore(proc_signal(pidfd, SIGKILL), "most have ended by themselves");
        e = proc_wait(pidfd, -1, &status);
    }
    err_ignore(e, "it is a child of ours, and it failed already");
}

/* The process that enters is not the one that runs: setns(2) moves children into a pid namespace, never the caller. */
static fallible run(struct joining *j, struct program_said *ret)
{
    int pair[2], status = 0;
    TRY(sock_pair(pair));
    own_fd int ours = pair[0];
    own_fd int theirs = pair[1];
    /* Its own memory would be copied for an exec that follows at once. It changes nothing of ours: it only hands on
     * descriptors, and the call does not come back from enter(). */
    pid_t helper = vfork();
    if (helper < 0)
        return err_sys(errno, "make a process");
    if (helper == 0)
        enter(j, theirs);
    close_now(&theirs);
    err *e = program_wait(ours, j->into_cgroup && j->cgroup && cgroup_clone_fd(j->cgroup) >= 0, ret);
    while (waitpid(helper, &status, 0) < 0 && errno == EINTR)
        continue;
    if (e)
        reap(ret->pid);
    return e;
}

static fallible run_once_more(struct joining *j, struct program_said *said)
{
    log_debug("exec: the process was killed at birth in its control group; once more by cgroup.procs");
    reap(said->pid);
    j->into_cgroup = false;
    TRY(compile(j));
    return run(j, said);
}

/* A group of v2 that gives controllers to groups below it takes no process itself (EBUSY), and an init like systemd has
 * divided the container's: then to where the init is. Source: cgroup-v2.rst, "No Internal Process Constraint". */
static fallible run_beside_init(struct joining *j, struct program_said *said)
{
    err *e = run(j, said);
    if (!err_is(e, ERR_CONFLICT) || !j->cgroup || (j->x->cgroups && j->x->cgroups->n))
        return e;
    own_mem char *below = state_group_of_init(j->state, j->cgroup);
    if (!below)
        return e;
    err_ignore(e, "the group takes no process: once more in the one below it that the init is in");
    TRY(cgroup_descend(j->cgroup, "", below));
    TRY(compile(j));
    return run(j, said);
}

static fallible start_joining(struct joining *j, struct runtime_created *ret)
{
    struct program_said said = { .take_listener = take_listener, .ctx = j };
    struct timespec now;
    TRY(prepare(j));
    TRY(compile(j));
    TRY(run_beside_init(j, &said));
    if (said.stillborn)
        TRY(run_once_more(j, &said));
    TRY(proc_pidfd(said.pid, &ret->pidfd));
    TRY(proc_identify(said.pid, &ret->init));
    clock_gettime(CLOCK_REALTIME, &now);
    ret->started_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    if (j->x->process->terminal && j->x->console_sock >= 0)
        TRY(sock_send(j->x->console_sock, "/dev/pts", 8, &j->master_fd, 1));
    else if (j->x->process->terminal && j->x->ret_console_fd)
        *j->x->ret_console_fd = take_fd(&j->master_fd);
    return NULL;
}

fallible runtime_exec(const struct runtime_exec *x, struct runtime_created *ret)
{
    struct joining j = { .x = x,
                         .init_fd = -1,
                         .root_fd = -1,
                         .order_fd = -1,
                         .stub_fd = -1,
                         .tty_fd = -1,
                         .master_fd = -1,
                         .agent = -1,
                         .resctrl_fd = -1,
                         .into_cgroup = true };
    *ret = (struct runtime_created){ .pidfd = -1 };
    err *e = start_joining(&j, ret);
    if (e)
        close_now(&ret->pidfd);
    joining_clear(&j);
    return e;
}
