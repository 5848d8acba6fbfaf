// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A start has three processes: the command, the one that becomes the monitor, and the container's first. The second is
 * forked here, starts the container through runtime_create() (so it is the parent that waits for it) and then execs
 * the monitor. It answers the command over a pipe: an encoded error, or nothing; the exec closes the pipe.
 */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "engine/container_parts.h"
#include "engine/hosts.h"
#include "engine/log_words.h"
#include "engine/network_dhcp.h"
#include "engine/paths.h"
#include "engine/pod.h"
#include "monitor/attach.h"
#include "monitor/monitor.h"
#include "monitor/restart.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/sock.h"

static fallible write_text(const struct container *c, struct container_plan *plan, int dir, const char *name,
                           const char *text)
{
    own_fd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_sys(errno, "write '%s/%s'", c->state_dir, name);
    if (engine_is_rootless() && c->config->uid_map.n) {
        TRY(fs_write_fd(fd, text, strlen(text), name));
        return container_give_file(plan, fd, 0, 0, 0644);
    }
    uid_t owner = (uid_t)c->config->userns_first; /* the container's root may edit them */
    gid_t group = c->config->userns_first_gid ? (gid_t)c->config->userns_first_gid : owner;
    if (owner && fchown(fd, owner, group) < 0)
        return err_sys(errno, "give '%s/%s' to the container", c->state_dir, name);
    return fs_write_fd(fd, text, strlen(text), name);
}

static fallible write_files(const struct container *c, struct container_plan *plan)
{
    const struct oci_spec *spec = plan->spec;
    own_mem char *hosts = NULL, *resolv = NULL;
    struct utsname host = { .nodename = "localhost" };
    if (!spec->hostname && uname(&host) < 0)
        return err_sys(errno, "ask for this host's name");
    own_mem char *hostname = mem_printf("%s\n", spec->hostname ? spec->hostname : host.nodename);
    own_fd int dir = open(c->state_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return err_sys(errno, "open '%s'", c->state_dir);
    if (!c->config->no_hosts) {
        TRY(hosts_text(c->config, spec->hostname, &plan->network, &plan->root, &hosts));
        TRY(write_text(c, plan, dir, "hosts", hosts));
    }
    if (!c->config->no_resolv) {
        TRY(resolv_text(c->config, &plan->network, &resolv));
        TRY(write_text(c, plan, dir, "resolv.conf", resolv));
    }
    return c->config->no_hostname ? NULL : write_text(c, plan, dir, "hostname", hostname);
}

static fallible write_config(struct container *c, const struct oci_spec *spec)
{
    const char *dir;
    own_fd int state_fd = -1;
    own_mem char *config = bind_write(&oci_spec_type, spec, BIND_COMPACT);
    TRY(container_record_dir(c, &dir));
    if (dir != c->dir)
        TRY(fs_open_dir_at(AT_FDCWD, dir, FS_MUST_EXIST, &state_fd));
    return fs_replace_at(state_fd >= 0 ? state_fd : c->lock_fd, "config.json", config, strlen(config), 0600,
                         FS_SYNC_NONE);
}

fallible container_show_files(struct container *c, struct container_plan *plan)
{
    own_fd int run = -1;
    TRY(container_lock(c));
    TRY(paths_open_run(c->engine->run, &run));
    if (mkdirat(run, c->row.id, 0700) == 0)
        return write_files(c, plan);
    return errno == EEXIST ? NULL : err_sys(errno, "make '%s'", c->state_dir);
}

/* Before the plan: an ordinary user's published ports are the holder's from then on, and what is withdrawn later goes
 * by the container's ID, the new ones with it. The record of how the last run ended stays until the start goes on. */
static fallible withdraw_last_run(struct container *c)
{
    if (access(c->state_dir, F_OK) < 0)
        return NULL;
    err_ignore(runtime_delete(c->state_dir, true), "what it leaves is in the folder, which goes before the start");
    return network_withdraw(c->state_dir);
}

static fallible make_state_dir(struct container *c)
{
    own_fd int run = -1;
    TRY(paths_open_run(c->engine->run, &run));
    if (mkdirat(run, c->row.id, 0700) == 0)
        return NULL;
    if (errno != EEXIST)
        return err_sys(errno, "make '%s'", c->state_dir);
    TRY(engine_remove_tree(c->state_dir));
    if (mkdirat(run, c->row.id, 0700) < 0)
        return err_sys(errno, "make '%s'", c->state_dir);
    return NULL;
}

/* What an earlier run left: its exit record, and run-time state that nobody deleted. */
static fallible clear_last_run(struct container *c)
{
    TRY(container_forget_cgroup(c)); /* before the record goes: it says that there is nothing to forget */
    TRY(make_state_dir(c));
    if (c->restarts) /* before the record goes as well: whoever looks meanwhile sees that it is restarting */
        TRY(container_note_restarts(c, c->restarts));
    static const char *const old[] = { "exit.json", SENDER_FILE, RESTART_STOPPED };
    for (size_t i = 0; i < ARRAY_SIZE(old); i++)
        if (unlinkat(c->lock_fd, old[i], 0) < 0 && errno != ENOENT)
            return err_sys(errno, "remove '%s/%s'", c->dir, old[i]);
    return NULL;
}

/* The parent's half: NULL when the other side became the monitor. */
static fallible read_answer(int fd)
{
    char answer[ERR_ENCODED_MAX];
    size_t n = 0;
    for (;;) {
        ssize_t got = read(fd, answer + n, sizeof answer - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return err_sys(errno, "hear how the start went");
        if (got == 0)
            break;
        n += (size_t)got;
        if (n == sizeof answer)
            break;
    }
    if (n == 0)
        return err_new(ERR_UNAVAILABLE, "the process that starts the container is gone");
    if (answer[0] != START_RUNS)
        return err_decode(answer, n);
    return n == 1 ? NULL : err_decode(answer + 1, n - 1);
}

/* Why it did not start is part of the container, for ps and inspect. */
static void note_failure(struct container *c, const err *e)
{
    bool gone = true;
    if (err_is(e, ERR_UNAVAILABLE)) { /* killed: it has not cleared up behind itself, and may still be dying in there */
        err *failed = container_forget_cgroup(c);
        gone = !failed;
        err_ignore(failed, "whoever starts or removes the container tries again");
    }
    struct monitor_exit record = {
        .cgroup_gone = gone,
        .exit_code = err_exit_status(e, 128),
        .error = (char *)err_text(e),
        .restart_count = c->restarts,
    };
    err_ignore(monitor_exit_write(c->dir, &record), "the error itself is reported");
}

static fallible fork_and_hear(struct container *c, const struct container_plan *plan, const struct log_words *log,
                              int client)
{
    int answer[2];
    if (pipe2(answer, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int ours = answer[0], theirs = answer[1];
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(errno, "fork");
    if (pid == 0)
        start_child(&(struct start_child){ c, plan, log, theirs, client });
    close_now(&theirs);
    err *e = read_answer(ours);
    if (e) /* it ends by itself after its word, or is gone already */
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
            ;
    return e;
}

/* The first client is this process: the program's terminal has our size from its first moment on, not 0x0 until the
 * client has sent it. */
static void size_console(struct oci_process *process)
{
    struct winsize size;
    if (!process->terminal ||
        (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) < 0 && ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0))
        return;
    if (!process->console_size)
        process->console_size = mem_zalloc(sizeof *process->console_size);
    *process->console_size = (struct oci_console_size){ .height = size.ws_row, .width = size.ws_col };
}

/* What is in a container could read, and type, in our terminal. */
static fallible check_streams(const struct container *c)
{
    if (strcmp(c->config->log->driver, "passthrough") != 0)
        return NULL;
    for (int fd = 0; fd < 3; fd++)
        if (isatty(fd))
            return err_new(ERR_INVALID,
                           "--log-driver passthrough: standard stream %d is a terminal, which a container "
                           "must not have: redirect it",
                           fd);
    return NULL;
}

static fallible start_planned(struct container *c, enum plan_limits limits, int *ret_sock)
{
    int client[2] = { -1, -1 };
    struct container_plan plan = CONTAINER_PLAN_NONE;
    TRY(withdraw_last_run(c));
    TRY(container_plan(c, limits, PLAN_NETWORK_MAKE, &plan));
    plan.network.plan.leased = network_dhcp_follow;
    plan.network.plan.leased_ctx = &plan.network;
    if (ret_sock)
        size_console(plan.spec->process);
    struct log_words log = { 0 };
    err *e = check_streams(c);
    if (!e)
        e = log_words_make(c, &log);
    if (!e)
        e = clear_last_run(c);
    if (!e)
        e = write_files(c, &plan);
    if (!e)
        e = container_write_secrets(c, &plan);
    if (!e)
        e = container_write_accounts(c, &plan);
    if (!e)
        e = write_config(c, plan.spec);
    if (!e) /* from here on no file is written of it */
        e = container_add_secret_env(c, &plan.spec->process->env);
    if (!e && ret_sock)
        e = sock_pair(client);
    own_fd int ours = client[0], theirs = client[1];
    if (!e)
        e = fork_and_hear(c, &plan, &log, theirs);
    log_words_clear(&log);
    container_plan_clear(&plan);
    if (!e && ret_sock)
        *ret_sock = take_fd(&ours);
    return e;
}

static fallible start_locked(struct container *c, int *ret_sock)
{
    err *e = container_prepare_mounts(c);
    if (!e)
        e = start_planned(c, PLAN_LIMITS, ret_sock);
    /* Root has cgroups nearly everywhere, so they are not asked for first; in a container they may be read-only. */
    if ((err_is(e, ERR_DENIED) || err_is(e, ERR_UNSUPPORTED)) && !spec_wants_cgroup(c->config)) {
        err_ignore(e, "again without the default limits, which nobody asked for; another cause will come again");
        e = start_planned(c, PLAN_NO_LIMITS, ret_sock);
    }
    if (!e)
        return NULL;
    note_failure(c, e);
    err_ignore(network_withdraw(c->state_dir), "the first error says what went wrong");
    err_ignore(engine_remove_tree(c->state_dir), "the first error says what went wrong");
    return e;
}

/* --requires: they were there before this one, so there is no circle. */
static fallible start_required(struct container *c)
{
    const struct container_config *config;
    TRY(container_config(c, &config));
    for (size_t i = 0; i < config->requires.n; i++) {
        own(container) struct container *other = NULL;
        TRY_AS(container_find(c->engine, config->requires.items[i], &other), "--requires");
        err *e = container_start(other, NULL);
        if (err_is(e, ERR_UNCHANGED)) {
            err_free(e);
            e = NULL;
        }
        TRY_AS(e, "--requires '%s'", other->row.name);
    }
    return NULL;
}

fallible container_inside_another(err *take_e)
{
    if (err_errno(take_e) != EPERM || geteuid() != 0)
        return take_e;
    if (!ids_in_userns() && !ids_may_administer())
        return err_wrap(take_e,
                        "root has no CAP_SYS_ADMIN here, as in a default container: start that one with --userns auto "
                        "(or --privileged), and husk works in it");
    if (ids_in_userns() && !ids_may_clone(CLONE_NEWUSER | CLONE_NEWNET) && ids_may_clone(CLONE_NEWUSER))
        return err_wrap(
            take_e, "nobody makes a network namespace here, as in a default container: say --network host, or start "
                    "that one with --nested");
    return take_e;
}

/* The last step, of one that waits for it. */
static fallible start_waiting(struct container *c, int *ret_sock)
{
    own_fd int sock = -1;
    TRY(image_admit_container(c));
    if (ret_sock) /* before: nothing that it prints is missed */
        TRY(attach_connect(c->state_dir, &sock));
    TRY_AS(runtime_start(c->state_dir), "start container");
    container_say(c, "start", NULL);
    if (ret_sock)
        *ret_sock = take_fd(&sock);
    container_unlock(c);
    return NULL;
}

fallible container_init(struct container *c)
{
    c->waits = true;
    err *e = container_start(c, NULL);
    c->waits = false;
    return e;
}

/* One that is dead already does not "run already": what came of it is known in a moment. */
static fallible settled_state(struct container *c, struct container_state *ret)
{
    TRY(container_state(c, ret));
    if (!ret->ending)
        return NULL;
    container_state_clear(ret);
    TRY(container_settle(c, -1));
    return container_state(c, ret);
}

fallible container_start(struct container *c, int *ret_sock)
{
    struct container_state s = { 0 };
    TRY(container_lock(c));
    if (c->lock_fd < 0)
        return err_new(ERR_CORRUPT, "container '%s' has lost its folder: remove it", c->row.name);
    TRY(settled_state(c, &s));
    enum container_status status = s.status;
    bool waits = s.waits;
    container_state_clear(&s);
    if (c->restore && status != CONTAINER_EXITED && status != CONTAINER_CREATED && status != CONTAINER_RESTARTING)
        return err_new(ERR_UNCHANGED, "container '%s' is running already", c->row.name);
    if (waits && c->waits)
        return err_new(ERR_UNCHANGED, "container '%s' is initialized already", c->row.name);
    if (waits)
        return start_waiting(c, ret_sock);
    if (c->waits && (status == CONTAINER_RUNNING || status == CONTAINER_PAUSED))
        return err_new(ERR_CONFLICT, "container '%s' is running: only one that does not run can be initialized",
                       c->row.name);
    if (status == CONTAINER_RUNNING || status == CONTAINER_PAUSED)
        return err_new(ERR_UNCHANGED, "container '%s' is running already", c->row.name);
    if (status == CONTAINER_RESTARTING && !c->restarts) { /* somebody does not want to wait */
        TRY(container_mark_stopped(c));
        container_end_backoff(c);
    }
    TRY(image_admit_container(c));
    TRY(start_required(c));
    if (c->row.pod)
        TRY_AS(pod_prepare(c->engine, c->row.pod), "start container");
    TRY_AS(container_inside_another(start_locked(c, ret_sock)), "start container");
    container_unlock(c);
    return NULL;
}
