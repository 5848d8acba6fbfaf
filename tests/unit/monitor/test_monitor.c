// SPDX-License-Identifier: GPL-2.0-or-later
/* husk-monitor itself, watching ordinary programs in place of containers. */
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include "base/mem.h"
#include "monitor/attach.h"
#include "monitor/monitor.h"
#include "os/fs.h"
#include "os/sock.h"
#include "test.h"

struct box {
    char top[64];
    char *dir, *state;
    pid_t monitor;
    struct proc_id init;
    int client; /* our end of the first client's socket; -1: none */
    struct monitor_plan plan;
};

enum { TTY = 1, CLIENT = 2, INPUT = 4, ONCE = 8, REMOVE = 16, FEW_FILES = 32, SMALL_FILES = 64 };

static void make_box(struct box *b)
{
    *b = (struct box){ .top = "/tmp/husk-mon-XXXXXX", .client = -1 };
    CHECK(mkdtemp(b->top) != NULL);
    b->dir = mem_printf("%s/dir", b->top);
    b->state = mem_printf("%s/state", b->top);
    CHECK(mkdir(b->dir, 0700) == 0 && mkdir(b->state, 0700) == 0);
}

static void drop_box(struct box *b)
{
    close_now(&b->client);
    if (b->init.pid > 0)
        kill(-b->init.pid, SIGKILL); /* its session: what it left behind */
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, b->top));
    free(b->dir);
    free(b->state);
}

/* What runtime_create() does for a container: a child with these streams. */
static pid_t start_program(const char *script, const int stdio[3], bool tty)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    setsid();
    if (tty)
        ioctl(stdio[0], TIOCSCTTY, 0);
    for (int i = 0; i < 3; i++)
        dup2(stdio[i], i);
    close_range(3, ~0u, 0);
    execl("/bin/bash", "sh", "-c", script, NULL);
    _exit(127);
}

static void limit(int what, rlim_t n)
{
    struct rlimit r;
    getrlimit(what, &r);
    r.rlim_cur = n;
    setrlimit(what, &r);
}

/* The lowest number that is free, so that a limit on them means how many there are. */
static void move_down(int *fd)
{
    int lower = dup(*fd);
    fcntl(lower, F_SETFD, FD_CLOEXEC);
    if (lower < *fd) {
        close(*fd);
        *fd = lower;
    } else {
        close(lower);
    }
}

/* Enough to exec the monitor, too few for its loop. */
static void leave_few_files(struct monitor_fds *fds, int *report)
{
    for (int fd = 3; fd < 1024; fd++)
        if (fd != fds->pidfd && fd != fds->stdout_fd && fd != fds->stderr_fd && fd != *report)
            close(fd);
    move_down(&fds->pidfd);
    move_down(&fds->stdout_fd);
    move_down(&fds->stderr_fd);
    move_down(report);
    limit(RLIMIT_NOFILE, 11); /* enough for the folders and the record, not for the event loop */
}

static _Noreturn void become_monitor(struct box *b, const char *script, int flags, int client, int report)
{
    struct monitor_fds fds = MONITOR_FDS_NONE;
    int stdio[3] = { -1, -1, -1 };
    err *e = NULL;
    if (flags & TTY) {
        int slave = -1;
        if (openpty(&fds.console_fd, &slave, NULL, NULL, NULL) < 0)
            _exit(9);
        stdio[0] = stdio[1] = stdio[2] = slave;
    } else {
        e = monitor_stdio_make(b->state, flags & INPUT, stdio, &fds);
    }
    pid_t pid = e ? -1 : start_program(script, stdio, flags & TTY);
    for (int i = 0; i < (flags & TTY ? 1 : 3); i++)
        close_now(&stdio[i]);
    fds.client_fd = client;
    if (!e)
        e = proc_pidfd(pid, &fds.pidfd);
    if (!e)
        e = proc_identify(pid, &b->plan.init);
    if (!e && write(report, &b->plan.init, sizeof b->plan.init) != sizeof b->plan.init)
        _exit(9);
    if (flags & FEW_FILES)
        leave_few_files(&fds, &report);
    if (flags & SMALL_FILES)
        limit(RLIMIT_FSIZE, 5000);
    if (!e)
        e = monitor_exec(&b->plan, &fds);
    dprintf(2, "become_monitor: %s\n", err_text(e));
    kill(pid, SIGKILL);
    _exit(8);
}

static void start(struct box *b, const char *script, int flags)
{
    int pair[2] = { -1, -1 }, report[2];
    struct proc_id id;
    b->plan = (struct monitor_plan){ .id = "box",
                                     .dir = b->dir,
                                     .state_dir = b->state,
                                     .log_driver = "json-file",
                                     .log_max_bytes = 1 << 24,
                                     .log_max_files = 20,
                                     .stdin_open = flags & INPUT,
                                     .stdin_once = flags & ONCE,
                                     .remove = flags & REMOVE,
                                     .husk = b->plan.husk };
    CHECK(pipe2(report, O_CLOEXEC) == 0);
    if (flags & CLIENT)
        CHECK_OK(sock_pair(pair));
    b->monitor = fork();
    if (b->monitor == 0)
        become_monitor(b, script, flags, pair[1], report[1]);
    close(report[1]);
    CHECK(read(report[0], &b->init, sizeof b->init) == sizeof b->init);
    CHECK(read(report[0], &id, sizeof id) == 0); /* the exec has happened */
    close(report[0]);
    b->plan.init = b->init;
    if (flags & CLIENT)
        close(pair[1]);
    b->client = pair[0];
}

static struct monitor_exit *wait_exit(struct box *b)
{
    struct monitor_exit *x = NULL;
    for (int i = 0; i < 1500; i++) {
        own(err) err *e = monitor_exit_read(b->plan.remove ? b->state : b->dir, &x);
        if (!e)
            return x;
        usleep(10000);
    }
    fail_msg("no exit record");
    return NULL;
}

/* Its status: 0 when all was well. */
static int reap(struct box *b)
{
    int status = -1;
    CHECK(waitpid(b->monitor, &status, 0) == b->monitor);
    return status;
}

/* "" while there is none. */
static char *log_text(struct box *b)
{
    char *text = NULL;
    own_mem char *name = mem_printf("%s/log.json", b->dir);
    if (access(name, F_OK) < 0)
        return mem_strdup("");
    CHECK_OK(fs_read_at(AT_FDCWD, name, 1 << 28, &text, NULL));
    return text;
}

static bool wait_log(struct box *b, const char *words)
{
    for (int i = 0; i < 500; i++) {
        own_mem char *text = log_text(b);
        if (strstr(text, words))
            return true;
        usleep(10000);
    }
    return false;
}

static void check_exit(struct box *b, int64_t code, int64_t signal)
{
    own(monitor_exit) struct monitor_exit *x = wait_exit(b);
    if (x->exit_code != code || x->signal != signal)
        fail_msg("exit code %ld, signal %ld, %s", (long)x->exit_code, (long)x->signal, x->error ? x->error : "");
    CHECK(x->finished_ns > 1700000000000000000ll);
}

/* ---- without clients ---- */

TEST(code_signal_and_output_are_recorded_and_names_removed)
{
    static const struct {
        const char *script;
        int64_t code, signal;
    } rows[] = { { "exit 0", 0, 0 }, { "exit 32", 32, 0 }, { "kill -9 $$", 137, 9 }, { "kill -TERM $$", 143, 15 } };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct box b;
        make_box(&b);
        own_mem char *script = mem_printf("echo out; echo err >&2; printf last; %s", rows[i].script);
        own_mem char *sock = mem_printf("%s/attach.sock", b.state), *fifo = mem_printf("%s/stdout", b.state);
        start(&b, script, 0);
        CHECK(reap(&b) == 0);
        check_exit(&b, rows[i].code, rows[i].signal);
        own_mem char *log = log_text(&b);
        CHECK(strstr(log, "{\"log\":\"out\\n\",\"stream\":\"stdout\",\"time\":\"20"));
        CHECK(strstr(log, "{\"log\":\"err\\n\",\"stream\":\"stderr\",\"time\":\"20"));
        CHECK(strstr(log, "{\"log\":\"last\",\"stream\":\"stdout\",\"time\":\"20"));
        CHECK(access(sock, F_OK) < 0 && access(fifo, F_OK) < 0);
        CHECK(!monitor_alive(b.state));
        drop_box(&b);
    }
}

TEST(only_a_kill_ends_the_monitor_before_the_container)
{
    static const int signals[] = { SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGUSR1, SIGUSR2, SIGPIPE, SIGALRM, SIGTSTP };
    struct box b;
    make_box(&b);
    start(&b, "sleep 0.5; echo end; exit 5", 0);
    usleep(100000);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        kill(b.monitor, signals[i]);
    CHECK(monitor_alive(b.state));
    CHECK(reap(&b) == 0);
    check_exit(&b, 5, 0);
    drop_box(&b);
}

TEST(a_grandchild_with_the_pipe_does_not_hold_up_the_end)
{
    struct box b;
    make_box(&b);
    start(&b, "(while :; do echo more; sleep 0.01; done) & yes & sleep 0.2; exit 6", 0);
    CHECK(reap(&b) == 0);
    check_exit(&b, 6, 0);
    drop_box(&b);
}

TEST(closed_streams_cost_no_time)
{
    struct box b;
    struct rusage use;
    int status = 0;
    make_box(&b);
    start(&b, "exec >&- 2>&-; sleep 0.5; exit 4", 0);
    CHECK(wait4(b.monitor, &status, 0, &use) == b.monitor && status == 0);
    CHECK(use.ru_utime.tv_sec == 0 && use.ru_utime.tv_usec + use.ru_stime.tv_usec < 50000);
    check_exit(&b, 4, 0);
    drop_box(&b);
}

TEST(a_disk_that_is_full_for_the_log_does_not_stop_the_program)
{
    struct box b;
    make_box(&b);
    start(&b, "for i in {1..2000}; do echo line $i; done; exit 7", SMALL_FILES);
    CHECK(reap(&b) == 0);
    own(monitor_exit) struct monitor_exit *x = wait_exit(&b);
    own_mem char *log = log_text(&b);
    CHECK(x->exit_code == 7);
    int64_t kept = 0;
    for (const char *p = log; (p = strchr(p, '\n')); p++)
        kept++;
    CHECK(kept > 20 && kept + x->log_dropped == 2000);
    CHECK(log[strlen(log) - 1] == '\n');
    drop_box(&b);
}

TEST(without_descriptors_the_end_is_recorded_all_the_same)
{
    struct box b;
    make_box(&b);
    start(&b, "for i in {1..20000}; do echo line $i; done; exit 9", FEW_FILES);
    (void)reap(&b);
    own(monitor_exit) struct monitor_exit *x = wait_exit(&b);
    CHECK(x->exit_code == 9);
    CHECK(x->error && strstr(x->error, "watch the container: ") && strstr(x->error, "event loop"));
    drop_box(&b);
}

/* ---- clients ---- */

/* attach_run() in a child with these streams; its exit status: the code, 200 detached, 201 lost, 202 an error. */
static pid_t attach_child(int sock, struct attach a, int in, int out, int errs)
{
    pid_t pid = fork();
    if (pid)
        return pid;
    enum attach_end end = ATTACH_LOST;
    int code = 0;
    setsid();
    if (a.tty)
        ioctl(in, TIOCSCTTY, 0);
    if (in >= 0)
        dup2(in, 0);
    dup2(out >= 0 ? out : open("/dev/null", O_WRONLY | O_CLOEXEC), 1);
    if (errs >= 0)
        dup2(errs, 2);
    a.sock = fcntl(sock, F_DUPFD_CLOEXEC, 100);
    close_range(3, 99, 0);
    err *e = attach_run(&a, &end, &code);
    if (e)
        dprintf(2, "%s\n", err_text(e));
    _exit(e ? 202 : end == ATTACH_DETACHED ? 200 : end == ATTACH_LOST ? 201 : code);
}

static int status_of(pid_t pid)
{
    int status = 0;
    CHECK(waitpid(pid, &status, 0) == pid);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

static int out_file(void)
{
    int fd = -1;
    CHECK_OK(fs_memfd("out", &fd));
    return fd;
}

static char *contents(int fd)
{
    char *text = NULL;
    CHECK(lseek(fd, 0, SEEK_SET) == 0);
    CHECK_OK(fs_read_fd(fd, "out", 1 << 28, &text, NULL));
    return text;
}

TEST(the_first_client_sees_everything_from_the_first_byte)
{
    struct box b;
    own_fd int out = out_file(), errs = out_file();
    make_box(&b);
    start(&b, "echo to out; echo to err >&2; exit 33", CLIENT);
    CHECK(status_of(attach_child(b.client, (struct attach){ 0 }, -1, out, errs)) == 33);
    own_mem char *o = contents(out), *e = contents(errs);
    assert_string_equal(o, "to out\n");
    assert_string_equal(e, "to err\n");
    close_now(&b.client);
    CHECK(reap(&b) == 0);
    drop_box(&b);
}

/* Bytes in, bytes out: n of them through cat, with a reader that takes its time. */
static void check_through_cat(size_t n, bool slow)
{
    struct box b;
    int to[2], from[2];
    make_box(&b);
    b.plan.husk = NULL;
    CHECK(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
    start(&b, "cat; exit 12", CLIENT | INPUT | ONCE);
    pid_t client = attach_child(b.client, (struct attach){ .stdin_open = true }, to[0], from[1], -1);
    close(to[0]);
    close(from[1]);
    close_now(&b.client);
    pid_t writer = fork();
    if (writer == 0) {
        close(from[0]);
        unsigned seed = 1;
        for (size_t at = 0; at < n; at += sizeof(int[1024])) {
            int block[1024];
            for (size_t i = 0; i < 1024; i++)
                block[i] = rand_r(&seed);
            if (write(to[1], block, sizeof block) != sizeof block)
                _exit(1);
        }
        _exit(0);
    }
    close(to[1]);
    unsigned seed = 1;
    size_t got = 0, in_word = 0;
    char block[10000];
    int word = 0;
    for (ssize_t r; (r = read(from[0], block, sizeof block)) > 0; got += (size_t)r) {
        for (ssize_t i = 0; i < r; i++) {
            if (in_word == 0)
                word = rand_r(&seed);
            if (memcmp(block + i, (char *)&word + in_word, 1) != 0)
                fail_msg("byte %zu is wrong", got + (size_t)i);
            in_word = (in_word + 1) % sizeof word;
        }
        if (slow && got % 64 == 0)
            usleep(1000);
    }
    close(from[0]);
    CHECK(got == (n + 4095) / 4096 * 4096);
    CHECK(status_of(writer) == 0 && status_of(client) == 12);
    CHECK(reap(&b) == 0);
    drop_box(&b);
}

TEST(input_and_its_end_reach_the_program_and_nothing_is_lost)
{
    check_through_cat(0, false);
    check_through_cat(1, false);
    check_through_cat(8000000, false);
    check_through_cat(3000000, true);
}

TEST(input_stays_open_for_the_next_client_unless_it_is_the_first_ones)
{
    struct box b;
    int to[2];
    own_fd int out = out_file();
    make_box(&b);
    start(&b, "read a; read b; echo got $a $b; exit 3", INPUT);
    for (int i = 0; i < 2; i++) {
        own_fd int sock = -1;
        CHECK(pipe2(to, O_CLOEXEC) == 0);
        CHECK_OK(attach_connect(b.state, &sock));
        pid_t client = attach_child(sock, (struct attach){ .stdin_open = true }, to[0], out, -1);
        close(to[0]);
        close_now(&sock);
        CHECK(write(to[1], i ? "two\n" : "one\n", 4) == 4);
        close(to[1]);
        if (i == 0) {
            usleep(200000);
            kill(client, SIGKILL);
            CHECK(status_of(client) == 1009);
        } else {
            CHECK(status_of(client) == 3);
        }
    }
    CHECK(reap(&b) == 0);
    CHECK(wait_log(&b, "got one two"));
    drop_box(&b);
}

TEST(a_killed_client_ends_its_input_and_nothing_else)
{
    struct box b;
    int to[2];
    make_box(&b);
    CHECK(pipe2(to, O_CLOEXEC) == 0);
    start(&b, "cat; echo rest; exit 21", CLIENT | INPUT | ONCE);
    pid_t client = attach_child(b.client, (struct attach){ .stdin_open = true }, to[0], -1, -1);
    close_now(&b.client);
    CHECK(write(to[1], "word\n", 5) == 5);
    CHECK(wait_log(&b, "word"));
    kill(client, SIGKILL);
    CHECK(status_of(client) == 1009);
    CHECK(reap(&b) == 0);
    check_exit(&b, 21, 0);
    CHECK(wait_log(&b, "rest"));
    close(to[0]);
    close(to[1]);
    drop_box(&b);
}

TEST(signals_reach_the_program_even_while_output_and_input_are_stuck)
{
    struct box b;
    int to[2], from[2];
    make_box(&b);
    CHECK(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
    start(&b, "trap 'exit 44' TERM; (yes & yes >&2 & wait) & wait; wait", CLIENT | INPUT | ONCE);
    pid_t client =
        attach_child(b.client, (struct attach){ .stdin_open = true, .sig_proxy = true }, to[0], from[1], from[1]);
    close_now(&b.client);
    usleep(500000); /* nobody reads: everything is full */
    CHECK(kill(client, SIGTERM) == 0);
    close(from[1]);
    own(monitor_exit) struct monitor_exit *x = wait_exit(&b);
    CHECK(x->exit_code == 44);
    char sink[4096];
    while (read(from[0], sink, sizeof sink) > 0)
        ;
    CHECK(status_of(client) == 44);
    CHECK(reap(&b) == 0);
    close(to[0]);
    close(to[1]);
    close(from[0]);
    drop_box(&b);
}

TEST(a_late_client_that_takes_nothing_is_dropped_and_holds_nothing_up_for_long)
{
    struct box b;
    own_fd int sock = -1;
    struct timespec before, after;
    make_box(&b);
    start(&b, "read go; for i in {1..60000}; do echo line $i of many; done; exit 8", INPUT);
    CHECK_OK(attach_connect(b.state, &sock));
    int to[2];
    own_fd int second = -1, out = out_file();
    CHECK(pipe2(to, O_CLOEXEC) == 0);
    CHECK_OK(attach_connect(b.state, &second));
    pid_t client = attach_child(second, (struct attach){ .stdin_open = true }, to[0], out, -1);
    usleep(100000);
    clock_gettime(CLOCK_MONOTONIC, &before);
    CHECK(write(to[1], "go\n", 3) == 3);
    CHECK(status_of(client) == 8); /* the one who reads gets it all */
    clock_gettime(CLOCK_MONOTONIC, &after);
    CHECK(after.tv_sec - before.tv_sec >= 9 && after.tv_sec - before.tv_sec < 14);
    own_mem char *text = contents(out);
    CHECK(strstr(text, "line 1 of many\n") && strstr(text, "line 60000 of many\n"));
    CHECK(reap(&b) == 0);
    close(to[0]);
    close(to[1]);
    drop_box(&b);
}

TEST(a_client_that_wants_no_output_holds_nothing_up)
{
    struct box b;
    enum attach_end end;
    int code = 0;
    make_box(&b);
    start(&b, "read go; for i in {1..60000}; do echo line $i of many; done; exit 8", CLIENT | INPUT);
    own_fd int sock = -1, idle = -1, out = out_file();
    int to[2];
    CHECK_OK(attach_connect(b.state, &idle)); /* it reads nothing, having asked for nothing */
    CHECK(send(idle, "n\3", 2, 0) == 2);
    CHECK(pipe2(to, O_CLOEXEC) == 0 && write(to[1], "go\n", 3) == 3);
    CHECK_OK(attach_connect(b.state, &sock));
    pid_t reader = attach_child(b.client, (struct attach){ .stdin_open = true }, to[0], out, -1);
    close_now(&b.client);
    CHECK_OK(attach_run(&(struct attach){ .sock = sock, .no_stdout = true, .no_stderr = true }, &end, &code));
    CHECK(end == ATTACH_EXITED && code == 8);
    CHECK(status_of(reader) == 8);
    CHECK(reap(&b) == 0);
    close(to[0]);
    close(to[1]);
    drop_box(&b);
}

TEST(rm_is_left_to_the_client_that_says_so)
{
    for (int says_so = 0; says_so < 2; says_so++) {
        struct box b;
        enum attach_end end;
        int code = 0;
        make_box(&b);
        own_mem char *helper = mem_printf("%s/husk", b.top), *proof = mem_printf("%s/proof", b.top);
        own_mem char *script = mem_printf("#!/bin/sh\necho \"$@\" >%s\n", proof);
        CHECK_OK(fs_replace_at(AT_FDCWD, helper, script, strlen(script), 0700, FS_SYNC_NONE));
        b.plan.husk = helper;
        start(&b, "exit 13", CLIENT | REMOVE);
        CHECK_OK(attach_run(&(struct attach){ .sock = b.client }, &end, &code));
        CHECK(end == ATTACH_EXITED && code == 13);
        own(monitor_exit) struct monitor_exit *x = wait_exit(&b); /* there before anybody is told */
        CHECK(x->exit_code == 13);
        if (says_so)
            CHECK_OK(attach_cleaned(b.client));
        close_now(&b.client);
        CHECK(reap(&b) == 0);
        if (says_so) {
            CHECK(access(proof, F_OK) < 0);
        } else {
            own_mem char *words = NULL;
            CHECK_OK(fs_read_at(AT_FDCWD, proof, 100, &words, NULL));
            assert_string_equal(words, "container-cleanup box\n");
        }
        drop_box(&b);
    }
}

/* ---- the monitor is killed ---- */

TEST(another_monitor_takes_over_from_a_killed_one)
{
    struct box b;
    make_box(&b);
    prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* in place of init: the orphan is ours to reap */
    start(&b, "trap '' PIPE; echo one; sleep 0.3; echo two; for i in {1..20000}; do echo filler $i; done; exit 17", 0);
    CHECK(wait_log(&b, "one"));
    CHECK_ERR(monitor_adopt(&b.plan), ERR_CONFLICT);
    kill(b.monitor, SIGKILL);
    CHECK(status_of(b.monitor) == 1009);
    CHECK(!monitor_alive(b.state));
    usleep(600000); /* it writes, nobody reads, and it is not killed */
    CHECK(proc_alive(b.init));
    CHECK_OK(monitor_adopt(&b.plan));
    CHECK(monitor_alive(b.state));
    CHECK(status_of(b.init.pid) == 17);
    own(monitor_exit) struct monitor_exit *x = wait_exit(&b);
    CHECK(x->exit_code == 17 || (x->exit_code == 255 && x->error)); /* kernels before 6.15 do not tell */
    CHECK(wait_log(&b, "\"two\\n\""));
    CHECK(wait_log(&b, "filler 20000"));
    for (int i = 0; i < 1000 && monitor_alive(b.state); i++) /* it has a little to do behind the log */
        usleep(10000);
    CHECK_ERR(monitor_adopt(&b.plan), ERR_NOT_FOUND);
    for (int i = 0; i < 100 && waitpid(-1, NULL, WNOHANG) >= 0; i++)
        usleep(10000);
    prctl(PR_SET_CHILD_SUBREAPER, 0, 0, 0, 0);
    drop_box(&b);
}

TEST(a_monitor_that_cannot_start_says_why)
{
    struct box b;
    char text[2000] = "";
    int pipe_[2];
    make_box(&b);
    CHECK(pipe2(pipe_, O_CLOEXEC) == 0);
    pid_t child = fork();
    if (child == 0) {
        struct monitor_fds fds = MONITOR_FDS_NONE;
        b.plan = (struct monitor_plan){ .id = "box", .dir = b.dir, .state_dir = b.state };
        setenv("HUSK_LIBEXEC", "/nowhere", 1);
        err *e = monitor_exec(&b.plan, &fds);
        dprintf(pipe_[1], "%s", err_text(e));
        _exit(0);
    }
    close(pipe_[1]);
    CHECK(read(pipe_[0], text, sizeof text - 1) > 0);
    CHECK(strstr(text, "start the monitor: find husk's program 'husk-monitor' at '/nowhere/husk-monitor'"));
    CHECK(status_of(child) == 0);
    close(pipe_[0]);
    drop_box(&b);
}

/* ---- terminals ---- */

struct screen {
    int ours, theirs;
    char text[65536];
    size_t n;
};

static struct screen make_screen(unsigned short rows, unsigned short columns)
{
    struct screen s = { 0 };
    struct winsize size = { .ws_row = rows, .ws_col = columns };
    CHECK(openpty(&s.ours, &s.theirs, NULL, NULL, &size) == 0);
    fcntl(s.ours, F_SETFD, FD_CLOEXEC);
    fcntl(s.theirs, F_SETFD, FD_CLOEXEC);
    return s;
}

static bool sees(struct screen *s, const char *words)
{
    for (int i = 0; i < 500; i++) {
        struct pollfd p = { .fd = s->ours, .events = POLLIN };
        s->text[s->n] = '\0';
        if (strstr(s->text, words))
            return true;
        if (poll(&p, 1, 20) > 0) {
            ssize_t n = read(s->ours, s->text + s->n, sizeof s->text - s->n - 1);
            s->n += n > 0 ? (size_t)n : 0;
        }
    }
    fprintf(stderr, "screen: %s\n", s->text);
    return false;
}

static bool is_raw(const struct screen *s)
{
    struct termios t;
    CHECK(tcgetattr(s->theirs, &t) == 0);
    return !(t.c_lflag & ICANON);
}

static void drop_screen(struct screen *s)
{
    close(s->ours);
    close(s->theirs);
}

static void type(struct screen *s, const char *keys)
{
    CHECK(write(s->ours, keys, strlen(keys)) == (ssize_t)strlen(keys));
}

TEST(a_terminal_is_resized_typed_into_and_put_back)
{
    struct box b;
    struct screen s = make_screen(33, 101);
    make_box(&b);
    start(&b,
          "until [ \"$(stty size)\" != '0 0' ]; do sleep 0.01; done; read x; stty size; "
          "trap 'stty size; exit 5' WINCH; echo got $x; while :; do sleep 0.05; done",
          TTY | CLIENT | INPUT | ONCE);
    pid_t client =
        attach_child(b.client, (struct attach){ .tty = true, .stdin_open = true }, s.theirs, s.theirs, s.theirs);
    close_now(&b.client);
    for (int i = 0; i < 100 && !is_raw(&s); i++)
        usleep(10000);
    CHECK(is_raw(&s));
    type(&s, "word\r");
    CHECK(sees(&s, "33 101"));
    CHECK(sees(&s, "got word"));
    struct winsize size = { .ws_row = 44, .ws_col = 111 };
    CHECK(ioctl(s.ours, TIOCSWINSZ, &size) == 0);
    CHECK(sees(&s, "44 111"));
    CHECK(status_of(client) == 5);
    CHECK(!is_raw(&s));
    CHECK(reap(&b) == 0);
    drop_screen(&s);
    drop_box(&b);
}

TEST(detached_twice_attached_twice_and_the_terminal_put_back_each_time)
{
    struct box b;
    make_box(&b);
    start(&b, "echo ready; while read x; do [ \"$x\" = quit ] && exit 6; echo got $x; done", TTY | INPUT);
    for (int i = 0; i < 3; i++) {
        struct screen s = make_screen(24, 80);
        own_fd int sock = -1;
        CHECK_OK(attach_connect(b.state, &sock));
        pid_t client =
            attach_child(sock, (struct attach){ .tty = true, .stdin_open = true }, s.theirs, s.theirs, s.theirs);
        close_now(&sock);
        for (int j = 0; j < 100 && !is_raw(&s); j++)
            usleep(10000);
        type(&s, i == 0 ? "first\r" : i == 1 ? "second\r" : "quit\r");
        if (i < 2) {
            CHECK(sees(&s, i == 0 ? "got first" : "got second"));
            type(&s, "\x10\x11");
        }
        CHECK(status_of(client) == (i < 2 ? 200 : 6));
        CHECK(!is_raw(&s));
        drop_screen(&s);
    }
    CHECK(reap(&b) == 0);
    check_exit(&b, 6, 0);
    drop_box(&b);
}

TEST(a_killing_signal_puts_the_terminal_back)
{
    static const int signals[] = { SIGTERM, SIGHUP, SIGINT, SIGSEGV };
    struct box b;
    (void)signal(SIGHUP, SIG_DFL); /* who starts the tests may ignore it, as nohup(1) does */
    make_box(&b);
    start(&b, "sleep 100", TTY | INPUT);
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        struct screen s = make_screen(24, 80);
        own_fd int sock = -1;
        CHECK_OK(attach_connect(b.state, &sock));
        pid_t client =
            attach_child(sock, (struct attach){ .tty = true, .stdin_open = true }, s.theirs, s.theirs, s.theirs);
        close_now(&sock);
        for (int j = 0; j < 100 && !is_raw(&s); j++)
            usleep(10000);
        CHECK(is_raw(&s));
        kill(client, signals[i]);
        CHECK(status_of(client) == 1000 + signals[i]);
        CHECK(!is_raw(&s));
        drop_screen(&s);
    }
    CHECK(proc_alive(b.init));
    kill(b.init.pid, SIGKILL);
    CHECK(reap(&b) == 0);
    check_exit(&b, 137, 9);
    drop_box(&b);
}

TEST(a_lost_monitor_is_said)
{
    struct box b;
    make_box(&b);
    start(&b, "sleep 100", CLIENT);
    pid_t client = attach_child(b.client, (struct attach){ 0 }, -1, -1, -1);
    close_now(&b.client);
    kill(b.monitor, SIGKILL);
    CHECK(status_of(b.monitor) == 1009);
    CHECK(status_of(client) == 201);
    own_fd int sock = -1;
    own(err) err *e = attach_connect(b.state, &sock);
    CHECK(err_is(e, ERR_UNAVAILABLE) || err_is(e, ERR_NOT_FOUND));
    drop_box(&b);
}

TEST(a_console_for_exec_passes_keys_sizes_signals_and_the_code)
{
    struct screen s = make_screen(20, 70);
    pid_t client = fork();
    if (client == 0) {
        enum attach_end end;
        int master = -1, slave = -1, pidfd = -1, status = 0;
        setsid();
        ioctl(s.theirs, TIOCSCTTY, 0);
        for (int i = 0; i < 3; i++)
            dup2(s.theirs, i);
        if (openpty(&master, &slave, NULL, NULL, NULL) < 0)
            _exit(9);
        const int stdio[3] = { slave, slave, slave };
        pid_t pid =
            start_program("trap 'echo term' TERM; read x; stty size; echo got $x; read y; exit 19", stdio, true);
        close(slave);
        err *e = proc_pidfd(pid, &pidfd);
        if (!e)
            e = attach_console(master, pidfd, true, NULL, &end, &status);
        _exit(e ? 202 : proc_exit_code(status));
    }
    for (int j = 0; j < 100 && !is_raw(&s); j++)
        usleep(10000);
    type(&s, "word\r");
    CHECK(sees(&s, "20 70"));
    CHECK(sees(&s, "got word"));
    kill(client, SIGTERM);
    usleep(50000);
    type(&s, "\r");
    CHECK(sees(&s, "term"));
    CHECK(status_of(client) == 19);
    CHECK(!is_raw(&s));
    drop_screen(&s);
}
