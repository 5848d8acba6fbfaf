/*
 * program.c: the rows that say what the process becomes: its directory, its program, the wait for the start, the exec.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/stat.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>

#include "init/pid1.h"
#include "init/stub.h"

enum { PATH_SIZE = 4096, MODE_TYPE = 0170000, MODE_REGULAR = 0100000, MODE_DIRECTORY = 0040000 };
#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* With the program's rights; where these do not suffice with ours, as the directory may be root's own and the program
 * is only to start in it (what runc does in the opposite order, which a root-squashed NFS then fails). */
static long change_dir(struct stub *s, const char *path)
{
    long ret = sys(__NR_chdir, path);
    if (ret != -EACCES || !s->caps_given)
        return ret;
    (void)caps_set(s, s->have_permitted, s->have_permitted);
    ret = sys(__NR_chdir, path);
    (void)caps_set(s, s->caps.effective, s->have_permitted);
    return ret;
}

STUB_ROW(row_cwd)
{
    (void)size;
    char where[PATH_SIZE];
    long ret = change_dir(s, payload);
    if (ret < 0)
        stub_fail_sys(s, ret, "enter work directory", payload);
    /* A leaked descriptor of a host directory would lead out (/proc/self/fd/7, CVE-2024-21626); none is open by now,
     * but the kernel knows for certain: it answers "(unreachable)" for a directory that is not below our root. */
    ret = sys(__NR_getcwd, where, sizeof where);
    if (ret < 0 || where[0] != '/')
        stub_fail(s, ORDER_ERR_DENIED, ret < 0 ? (int)-ret : 0,
                  "the work directory is not inside the container's root:", payload);
}

STUB_ROW(row_listen_pid)
{
    (void)payload, (void)size;
    s->listen_pid = true;
}

/* In the process that execs: with an init that is not the one that read the order. */
void set_listen_pid(struct stub *s)
{
    static struct text line; /* lives until the exec */
    if (!s->listen_pid)
        return;
    s->listen_pid = false;
    for (char **env = s->envp; *env; env++) {
        if (!text_starts(*env, "LISTEN_PID="))
            continue;
        line.n = 0;
        text_add(&line, "LISTEN_PID=");
        text_add_number(&line, sys(__NR_getpid));
        line.bytes[line.n] = '\0';
        *env = line.bytes;
    }
}

/* 0, or -errno: may the program that we are now run this file? */
static long check_file(const char *path)
{
    struct statx st;
    long ret = sys(__NR_statx, AT_FDCWD, path, 0, STATX_TYPE, &st);
    if (ret < 0)
        return ret;
    if ((st.stx_mode & MODE_TYPE) != MODE_REGULAR)
        return -EACCES;
    ret = sys(__NR_faccessat2, AT_FDCWD, path, 1 /* X_OK */, AT_EACCESS);
    return ret == -ENOSYS ? sys(__NR_faccessat, AT_FDCWD, path, 1) : ret;
}

static const char *path_variable(const struct stub *s)
{
    for (char **env = s->envp; *env; env++)
        if (text_starts(*env, "PATH="))
            return *env + 5;
    return DEFAULT_PATH;
}

/* As execvp(3): each directory in turn; one that may not be run is remembered, in case none after it may. */
static long look_in_path(const struct stub *s, const char *name, char *found)
{
    long answer = -ENOENT;
    for (const char *at = path_variable(s);;) {
        size_t n = 0;
        while (*at && *at != ':' && n < PATH_SIZE - 2)
            found[n++] = *at++;
        if (n == 0)
            found[n++] = '.';
        found[n++] = '/';
        size_t len = text_len(name);
        if ((*at == ':' || !*at) && n + len < PATH_SIZE) {
            memcpy(found + n, name, len + 1);
            long ret = check_file(found);
            if (ret == 0)
                return 0;
            if (ret != -ENOENT && ret != -ENOTDIR)
                answer = ret;
        }
        while (*at && *at != ':')
            at++;
        if (!*at++)
            return answer;
    }
}

static _Noreturn void exec_failed(const struct stub *s, long ret, const char *why)
{
    bool missing = ret == -ENOENT || ret == -ENOTDIR;
    struct text act = { 0 };
    text_add(&act, "exec '");
    text_add(&act, s->argv[0]);
    text_add(&act, "'");
    if (why) {
        text_add(&act, ": ");
        text_add(&act, why);
    }
    act.bytes[act.n < sizeof act.bytes ? act.n : sizeof act.bytes - 1] = '\0';
    stub_fail(s, missing ? ORDER_ERR_EXEC_MISSING : ORDER_ERR_EXEC_DENIED, (int)-ret, act.bytes, NULL);
}

STUB_ROW(row_lookup)
{
    (void)payload, (void)size;
    static char found[PATH_SIZE];
    const char *name = s->argv[0];
    bool has_slash = false;
    for (const char *c = name; *c; c++)
        has_slash |= *c == '/';
    long ret = !*name ? -ENOENT : has_slash ? check_file(name) : look_in_path(s, name, found);
    if (ret < 0)
        exec_failed(s, ret, has_slash || ret != -ENOENT ? NULL : "not in $PATH");
    s->program = has_slash ? name : found;
}

STUB_ROW(row_wait)
{
    (void)size;
    long listener = (long)((const struct order_number *)payload)->v;
    stub_say(s, ORDER_SAY_READY, "", 0);
    (void)sys(__NR_close, s->say_sock);
    s->say_sock = -1;
    for (;;) {
        char byte;
        long conn = sys(__NR_accept4, listener, 0, 0, SOCK_CLOEXEC);
        if (conn == -EINTR || conn == -ECONNABORTED)
            continue;
        if (conn < 0)
            stub_fail_sys(s, conn, "wait for the start", NULL);
        if (sys(__NR_recvfrom, conn, &byte, 1, 0, 0, 0) == 1) {
            (void)sys(__NR_close, listener);
            s->say_sock = (int)conn;
            return;
        }
        (void)sys(__NR_close, conn);
    }
}

static _Noreturn void hook_child(const struct order_hook *hook, char **texts)
{
    (void)sys(__NR_lseek, hook->stdin_fd, 0, SEEK_SET);
    (void)sys(__NR_dup3, hook->stdin_fd, 0, 0);
    (void)sys(__NR_execve, texts[0], texts + 1, texts + 1 + hook->args_n + 1);
    leave(127);
}

static char **hook_texts(const struct stub *s, const struct order_hook *hook, uint32_t size)
{
    const char *at = (const char *)(hook + 1), *end = (const char *)hook + size;
    if (hook->args_n > size || hook->env_n > size)
        stub_fail(s, ORDER_ERR_CORRUPT, 0, "read the order: a row is damaged", NULL);
    char **list = pages(((size_t)hook->args_n + hook->env_n + 4) * sizeof(char *)), **to = list;
    uint32_t counts[] = { 1, hook->args_n, hook->env_n };
    for (int part = 0; list && part < 3; part++) {
        for (uint32_t i = 0; i < counts[part]; i++) {
            *to++ = (char *)(uintptr_t)at;
            while (at < end && *at)
                at++;
            if (at++ >= end)
                stub_fail(s, ORDER_ERR_CORRUPT, 0, "read the order: a text runs past its row", NULL);
        }
        to += part > 0; /* the path is one text, not a list: args follow it at once */
    }
    if (!list)
        stub_fail(s, ORDER_ERR_EXHAUSTED, ENOMEM, "run a hook", NULL);
    return list;
}

STUB_ROW(row_hook)
{
    enum { PIDFD = 0x1000, ID_PIDFD = 3, EXITED = 4 };
    const struct order_hook *hook = payload;
    char **list = hook_texts(s, hook, size);
    int pidfd = -1;
    struct {
        uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls;
    } args = { .flags = PIDFD, .pidfd = (uint64_t)(uintptr_t)&pidfd, .exit_signal = SIGCHLD };
    long pid = sys(__NR_clone3, &args, sizeof args);
    if (pid == -ENOSYS) /* hidden by the filter of a container around us */
        pid = sys(__NR_clone, PIDFD | SIGCHLD, 0, &pidfd, 0, 0);
    if (pid < 0)
        stub_fail_sys(s, pid, "run hook", list[0]);
    if (pid == 0)
        hook_child(hook, list);

    struct pollfd wait = { .fd = pidfd, .events = POLLIN };
    struct {
        int64_t s, ns;
    } timeout = { hook->timeout_s, 0 };
    long n;
    while ((n = sys(__NR_ppoll, &wait, 1, hook->timeout_s ? &timeout : NULL, 0, 0)) == -EINTR)
        ;
    if (n == 0)
        (void)sys(__NR_pidfd_send_signal, pidfd, SIGKILL, 0, 0);
    siginfo_t info;
    while (sys(__NR_waitid, ID_PIDFD, pidfd, &info, EXITED, 0) == -EINTR)
        ;
    (void)sys(__NR_close, pidfd);
    if (n == 0)
        stub_fail(s, ORDER_ERR_TIMEOUT, 0, "startContainer: it took longer than its timeout: hook", list[0]);
    if (info.si_code != CLD_EXITED || info.si_status != 0)
        stub_fail(s, ORDER_ERR_UNAVAILABLE, 0,
                  info.si_status == 127 ? "startContainer: it could not be run: hook"
                                        : "startContainer: it failed: hook",
                  list[0]);
}

static _Noreturn void exec_program(void *ctx)
{
    struct stub *s = ctx;
    set_listen_pid(s);
    long ret = sys(__NR_execve, s->program, s->argv, s->envp);
    /* The file was there a moment ago: what is missing is what its first line or its ELF header names. A filter may
     * kill who looks once more. */
    exec_failed(s, ret, ret == -ENOENT && (s->filtered || check_file(s->program) == 0) ? "its interpreter" : NULL);
}

static void close_say_sock(void *ctx)
{
    struct stub *s = ctx;
    (void)sys(__NR_close, s->say_sock); /* the child's copy is what the starter waits for */
}

STUB_ROW(row_exec)
{
    (void)payload, (void)size;
    bool init = s->exec->flags & ORDER_EXEC_INIT;
    if (!s->filtered ||
        init) /* under a filter only where it must be: PID 1 stays, and is to hold no more than the program */
        caps_finish(s, -1);
    if (!init)
        exec_program(s);
    struct pid1 p = { .spawn = exec_program, .spawned = close_say_sock, .ctx = s, .name = s->argv[0] };
    p.verbosity = PID1_VERBOSITY;
    pid1_variables(&p, s->envp);
    pid1_run(&p);
}
