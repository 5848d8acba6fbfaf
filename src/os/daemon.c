// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "os/linux.h"

/* The child's answer: its pid, or an error. The exec closes the pipe. */
struct answer {
    pid_t pid;
    char error[ERR_ENCODED_MAX];
};

/* To 3, 4 ... without one treading on another: first all out of the way, then each to its place. The pipe goes behind.
 */
static fallible place(const int *fds, size_t n, int *pipe_fd)
{
    int high[DAEMON_FDS_MAX + 1];
    for (size_t i = 0; i <= n; i++)
        if ((high[i] = fcntl(i < n ? fds[i] : *pipe_fd, F_DUPFD_CLOEXEC, 64)) < 0)
            return err_sys(errno, "copy a descriptor");
    for (size_t i = 0; i < n; i++)
        if (dup2(high[i], 3 + (int)i) < 0)
            return err_sys(errno, "place a descriptor");
    if (dup3(high[n], 3 + (int)n, O_CLOEXEC) < 0)
        return err_sys(errno, "place a descriptor");
    *pipe_fd = 3 + (int)n;
    if (close_range(4 + (unsigned)n, ~0u, 0) < 0)
        return err_sys(errno, "close descriptors");
    return NULL;
}

static fallible become(char *const *argv, const int *fds, size_t n, daemon_prepare *prepare, void *ctx, int *pipe_fd)
{
    sigset_t none;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return err_sys(errno, "open '/dev/null'");
    for (int i = 0; i < 3; i++)
        if (dup2(null, i) < 0)
            return err_sys(errno, "place '/dev/null'");
    TRY(place(fds, n, pipe_fd));
    if (prepare)
        TRY(prepare(ctx));
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (chdir("/") < 0)
        return err_sys(errno, "go to '/'");
    (void)execv(argv[0], argv);
    return err_sys(errno, "run '%s'", argv[0]);
}

/* In the grandchild; returns only with an error to tell. */
static _Noreturn void child(char *const *argv, const int *fds, size_t n, daemon_prepare *prepare, void *ctx,
                            int pipe_fd)
{
    struct answer a = { .pid = 0 };
    err *e = become(argv, fds, n, prepare, ctx, &pipe_fd);
    size_t size = err_encode(e, a.error, sizeof a.error);
    if (write(pipe_fd, &a, offsetof(struct answer, error) + size) < 0)
        _exit(126);
    _exit(125);
}

static _Noreturn void middle(char *const *argv, const int *fds, size_t n, daemon_prepare *prepare, void *ctx,
                             int pipe_fd)
{
    (void)setsid();
    pid_t pid = fork();
    if (pid == 0)
        child(argv, fds, n, prepare, ctx, pipe_fd);
    struct answer a = { .pid = pid };
    ssize_t said = pid > 0 ? write(pipe_fd, &a.pid, sizeof a.pid) : -1;
    _exit(said == (ssize_t)sizeof a.pid ? 0 : 1);
}

/* Two messages at most: the pid, and an error when there is one; the order of the two is not known. */
static fallible hear(int fd, pid_t *ret_pid)
{
    struct answer a;
    char bytes[2 * sizeof(struct answer)];
    size_t n = 0;
    for (ssize_t got; n < sizeof bytes && (got = read(fd, bytes + n, sizeof bytes - n)) != 0;) {
        if (got < 0 && errno != EINTR)
            return err_sys(errno, "hear how a program started");
        n += got > 0 ? (size_t)got : 0;
    }
    if (n == sizeof a.pid) {
        memcpy(ret_pid, bytes, sizeof *ret_pid);
        return NULL;
    }
    if (n < 2 * sizeof a.pid)
        return err_new(ERR_UNAVAILABLE, "the process that was to start a program is gone");
    pid_t first;
    memcpy(&first, bytes, sizeof first);
    size_t at = first ? 2 * sizeof a.pid : sizeof a.pid; /* the error is between the pid and its own zero, or behind */
    size_t end = first ? n : n - sizeof a.pid;
    return err_decode(bytes + at, end - at);
}

fallible daemon_start(char *const *argv, const int *fds, size_t n, daemon_prepare *prepare, void *ctx, pid_t *ret_pid)
{
    int ends[2], status;
    if (n > DAEMON_FDS_MAX)
        return err_new(ERR_INTERNAL, "%zu descriptors for a program", n);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int ours = ends[0], theirs = ends[1];
    (void)fflush(NULL);
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(errno, "fork");
    if (pid == 0)
        middle(argv, fds, n, prepare, ctx, theirs);
    close_now(&theirs);
    err *e = hear(ours, ret_pid);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    return e;
}
