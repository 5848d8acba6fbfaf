// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "monitor/monitor.h"
#include "monitor/plan.h"
#include "os/fs.h"
#include "os/linux.h"
#include "os/sock.h"

enum { LOCK_TRIES = 100 };

/* ---- the program's stdio ---- */

/* Mode 0666: state_dir keeps strangers out, and a program that is not root may open its own /dev/stdout. */
static fallible make_fifo(int dir_fd, const char *name, int *ret_program, int *ret_ours)
{
    (void)unlinkat(dir_fd, name, 0);
    if (mkfifoat(dir_fd, name, 0600) < 0)
        return err_sys(errno, "make '%s'", name);
    /* Without O_NOFOLLOW, which a descriptor remembers: CRIU opens it again by its link in /proc, with the same flags.
     */
    own_fd int program = openat(dir_fd, name, O_RDWR | O_CLOEXEC);
    own_fd int ours = program < 0 ? -1 : openat(dir_fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (ours < 0 || fchmod(program, 0666) < 0)
        return err_sys(errno, "open '%s'", name);
    *ret_program = take_fd(&program);
    *ret_ours = take_fd(&ours);
    return NULL;
}

static fallible make_input(bool stdin_open, int *ret_program, int *ret_ours)
{
    int ends[2];
    if (!stdin_open) {
        *ret_program = open("/dev/null", O_RDONLY | O_CLOEXEC);
        return *ret_program < 0 ? err_sys(errno, "open '/dev/null'") : NULL;
    }
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    (void)fchmod(ends[0], 0666); /* for /dev/stdin, as above */
    (void)fcntl(ends[1], F_SETFL, O_WRONLY | O_NONBLOCK);
    *ret_program = ends[0];
    *ret_ours = ends[1];
    return NULL;
}

fallible monitor_stdio_make(const char *state_dir, bool stdin_open, int ret_program[3], struct monitor_fds *fds)
{
    own_fd int dir_fd = -1, in = -1, out = -1, errs = -1, our_in = -1, our_out = -1, our_err = -1;
    TRY(fs_open_dir_at(AT_FDCWD, state_dir, FS_MUST_EXIST, &dir_fd));
    TRY_AS(make_input(stdin_open, &in, &our_in), "make the container's stdin");
    TRY_AS(make_fifo(dir_fd, "stdout", &out, &our_out), "make the container's stdout");
    TRY_AS(make_fifo(dir_fd, "stderr", &errs, &our_err), "make the container's stderr");
    ret_program[0] = take_fd(&in);
    ret_program[1] = take_fd(&out);
    ret_program[2] = take_fd(&errs);
    fds->stdin_fd = take_fd(&our_in);
    fds->stdout_fd = take_fd(&our_out);
    fds->stderr_fd = take_fd(&our_err);
    return NULL;
}

/* ---- becoming the monitor ---- */

/* What "husk container-cleanup" needs of the environment. The rest may hold secrets and would stay in memory. */
static void keep_environment(struct strv *env)
{
    static const char *const prefixes[] = {
        "HUSK_", "XDG_", "PATH=", "HOME=", "USER=", "TMPDIR=", "DBUS_SESSION_BUS_ADDRESS="
    };
    for (char **e = environ; *e; e++)
        for (size_t i = 0; i < ARRAY_SIZE(prefixes); i++)
            if (str_starts(*e, prefixes[i])) {
                strv_add(env, *e);
                break;
            }
}

/* The numbers stay as they are, so that a caller whose exec fails still has the descriptor it reports by. */
static fallible keep_fds(const int fds[PLAN_FDS], const char *hold)
{
    own_fd int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0)
        return err_sys(errno, "open '/dev/null'");
    if (close_range(3, ~0u, CLOSE_RANGE_CLOEXEC) < 0)
        return err_sys(errno, "close what the monitor does not need");
    for (int i = 0; i < PLAN_FDS; i++)
        if (fds[i] >= 0 && fcntl(fds[i], F_SETFD, 0) < 0)
            return err_sys(errno, "keep descriptor %d", fds[i]);
    for (int fd; plan_next_hold(&hold, &fd);)
        if (fcntl(fd, F_SETFD, 0) < 0)
            return err_sys(errno, "keep descriptor %d", fd);
    for (int i = 0; i < 3; i++)
        if (dup2(null_fd, i) < 0)
            return err_sys(errno, "close standard stream %d", i);
    return NULL;
}

static fallible become(const struct monitor_plan *plan, const struct monitor_fds *fds, int dir_fd, int lock_fd)
{
    own_mem char *program = NULL;
    own_fd int listen_fd = -1;
    own_strv struct strv args = { 0 }, env = { 0 };
    TRY(self_find_program("husk-monitor", &program));
    TRY(sock_listen_at(dir_fd, "attach.sock", SOCK_SEQPACKET | SOCK_NONBLOCK, 0600, &listen_fd));
    const int kept[PLAN_FDS] = {
        [PLAN_FD_PIDFD] = fds->pidfd,        [PLAN_FD_STDIN] = fds->stdin_fd,
        [PLAN_FD_STDOUT] = fds->stdout_fd,   [PLAN_FD_STDERR] = fds->stderr_fd,
        [PLAN_FD_CONSOLE] = fds->console_fd, [PLAN_FD_CLIENT] = fds->client_fd,
        [PLAN_FD_LISTEN] = listen_fd,        [PLAN_FD_LOCK] = lock_fd,
    };
    strv_add(&args, "husk-monitor");
    plan_write(plan, kept, &args);
    keep_environment(&env);
    if (!env.n)
        strv_add(&env, "PATH=/usr/sbin:/usr/bin:/sbin:/bin");
    TRY(keep_fds(kept, plan->hold));
    (void)setsid(); /* refused when it leads a group already: then a session was made before */
    (void)chdir("/");
    (void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* stays over the exec: no stray is missed */
    execve(program, args.items, env.items);
    return err_sys(errno, "run '%s'", program);
}

/* Who looks whether a monitor lives holds the lock for a moment. */
static fallible lock_patiently(int dir_fd, int *ret_fd)
{
    const struct timespec pause = { .tv_nsec = 1000000 };
    err *e = fs_lock_at(dir_fd, "monitor.lock", FS_LOCK_TRY, ret_fd);
    for (int i = 0; i < LOCK_TRIES && err_is(e, ERR_CONFLICT); i++) {
        err_free(e);
        (void)nanosleep(&pause, NULL);
        e = fs_lock_at(dir_fd, "monitor.lock", FS_LOCK_TRY, ret_fd);
    }
    return e;
}

fallible monitor_exec(const struct monitor_plan *plan, const struct monitor_fds *fds)
{
    own_fd int dir_fd = -1, lock_fd = -1;
    TRY_AS(fs_open_dir_at(AT_FDCWD, plan->state_dir, FS_MUST_EXIST, &dir_fd), "start the monitor");
    TRY_AS(lock_patiently(dir_fd, &lock_fd), "start the monitor");
    TRY_AS(become(plan, fds, dir_fd, lock_fd), "start the monitor");
    return NULL;
}

/* ---- taking over ---- */

bool monitor_alive(const char *state_dir)
{
    own_mem char *path = mem_printf("%s/monitor.lock", state_dir);
    own_fd int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    return fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0; /* shared: those who look do not see each other */
}

static fallible open_fifo(int dir_fd, const char *name, int *ret)
{
    *ret = openat(dir_fd, name, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOFOLLOW);
    if (*ret < 0 && errno != ENOENT) /* it had a terminal, or our streams: its end is seen all the same */
        return err_sys(errno, "open '%s'", name);
    return NULL;
}

/* In a grandchild that nobody waits for. Its last word goes over the pipe; end of file is success. */
static _Noreturn void adopt(const struct monitor_plan *plan, int report_fd)
{
    struct monitor_fds fds = MONITOR_FDS_NONE;
    own_fd int dir_fd = -1;
    char text[ERR_ENCODED_MAX];
    (void)setsid();
    err *e = proc_open(plan->init, &fds.pidfd);
    if (!e)
        e = fs_open_dir_at(AT_FDCWD, plan->state_dir, FS_MUST_EXIST, &dir_fd);
    if (!e)
        e = open_fifo(dir_fd, "stdout", &fds.stdout_fd);
    if (!e)
        e = open_fifo(dir_fd, "stderr", &fds.stderr_fd);
    if (!e)
        e = monitor_exec(plan, &fds);
    size_t n = err_encode(e, text, sizeof text);
    if (write(report_fd, text, n) != (ssize_t)n)
        _exit(2);
    _exit(1);
}

fallible monitor_adopt(const struct monitor_plan *plan)
{
    int ends[2];
    char text[ERR_ENCODED_MAX];
    if (monitor_alive(plan->state_dir))
        return err_new(ERR_CONFLICT, "container '%s' has a monitor", plan->id);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int ours = ends[0], theirs = ends[1];
    pid_t child = fork();
    if (child < 0)
        return err_sys(errno, "make a process");
    if (child == 0) {
        if (fork() == 0)
            adopt(plan, theirs);
        _exit(0);
    }
    close_now(&theirs);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR)
        ;
    ssize_t n = read(ours, text, sizeof text);
    if (n < 0)
        return err_sys(errno, "start the monitor");
    return n == 0 ? NULL : err_wrap(err_decode(text, (size_t)n), "take over container '%s'", plan->id);
}
