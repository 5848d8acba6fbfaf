// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/proc.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/parse.h"
#include "os/fs.h"
#include "os/linux.h"

fallible proc_clone(uint64_t flags, int cgroup_fd, pid_t *ret_pid, int *ret_pidfd)
{
    int pidfd = -1;
    struct clone_args args = {
        .flags = flags | CLONE_PIDFD,
        .pidfd = (uint64_t)(uintptr_t)&pidfd,
        .exit_signal = flags & CLONE_PARENT ? 0 : SIGCHLD,
        .cgroup = flags & CLONE_INTO_CGROUP ? (uint64_t)(unsigned)cgroup_fd : 0,
    };
    /* Not through glibc's fork: it knows no flags. stdio is flushed so that nothing is printed twice. */
    (void)fflush(NULL);
    long pid = syscall(SYS_clone3, &args, sizeof args);
    /* In a container: filters hide clone3(2), whose flags they cannot read, and allow clone(2) with some. */
    if (pid < 0 && errno == ENOSYS && !(flags & CLONE_INTO_CGROUP))
        pid = syscall(SYS_clone, (unsigned long)(args.flags | args.exit_signal), NULL, &pidfd, NULL, NULL);
    if (pid < 0)
        return err_sys(errno, "make a process");
    *ret_pid = (pid_t)pid;
    *ret_pidfd = pid ? pidfd : -1;
    return NULL;
}

fallible proc_pidfd(pid_t pid, int *ret_pidfd)
{
    int fd = pidfd_open(pid, 0);
    /* Linux before 6.5 says EINVAL, later ones ENOENT, where no process has the number but a session or a group: its
     * leader is gone */
    if (fd < 0)
        return err_sys(pid > 0 && (errno == EINVAL || errno == ENOENT) ? ESRCH : errno, "open process %d", (int)pid);
    *ret_pidfd = fd;
    return NULL;
}

/* Field 3, the state, field 22, the start time, and field 52, the wait status of one that has ended. */
static fallible read_stat_all(pid_t pid, char *ret_state, struct proc_id *ret, int *ret_status)
{
    char path[32], buf[1024];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    own_fd int fd = openat(AT_FDCWD, path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, buf, sizeof buf - 1);
    if (n <= 0)
        return err_sys_as(ERR_NOT_FOUND, ESRCH, "look at process %d", (int)pid);
    buf[n] = '\0';
    /* The name may hold anything, ")" too: fields are counted from the last one. Field 22 is the 20th after it. */
    const char *p = strrchr(buf, ')');
    *ret_state = p && p[1] == ' ' ? p[2] : 'X';
    for (int field = 2; p && field < 22; field++) {
        p = strchr(p, ' ');
        if (p)
            p++;
    }
    if (!p)
        return err_new(ERR_INTERNAL, "look at process %d: '%s' has too few fields", (int)pid, path);
    *ret = (struct proc_id){ .pid = pid, .start_time = strtoull(p, NULL, 10) };
    for (int field = 22; p && field < 52; field++) {
        p = strchr(p, ' ');
        if (p)
            p++;
    }
    *ret_status = p ? (int)strtol(p, NULL, 10) : 0;
    return NULL;
}

static fallible read_stat(pid_t pid, char *ret_state, struct proc_id *ret)
{
    int status;
    return read_stat_all(pid, ret_state, ret, &status);
}

bool proc_zombie_status(struct proc_id id, int *ret_status)
{
    struct proc_id now;
    char state, path[40], link[64];
    err *e = read_stat_all(id.pid, &state, &now, ret_status);
    bool zombie = !e && state == 'Z' && now.start_time == id.start_time;
    err_ignore(e, "it has been reaped");
    /* To whom it is no business the status is 0; the same right shows the namespaces (ptrace(2), access mode checking).
     */
    snprintf(path, sizeof path, "/proc/%d/ns/user", (int)id.pid);
    return zombie && (*ret_status || readlink(path, link, sizeof link) > 0);
}

fallible proc_identify(pid_t pid, struct proc_id *ret)
{
    char state;
    return read_stat(pid, &state, ret);
}

uint64_t proc_clock_ns(void)
{
    struct timespec t;
    return clock_gettime(CLOCK_BOOTTIME, &t) == 0 ? (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec : 0;
}

bool proc_identify_born(pid_t pid, uint64_t before_ns, uint64_t after_ns, struct proc_id *ret)
{
    long ticks = sysconf(_SC_CLK_TCK);
    uint64_t tick_ns = ticks > 0 ? 1000000000 / (uint64_t)ticks : 1;
    *ret = (struct proc_id){ .pid = pid, .start_time = before_ns / tick_ns };
    return ticks > 0 && 1000000000 % ticks == 0 && before_ns && before_ns <= after_ns &&
           after_ns / tick_ns == ret->start_time;
}

fallible proc_open(struct proc_id id, int *ret_pidfd)
{
    own_fd int fd = -1;
    struct proc_id now;
    TRY(proc_pidfd(id.pid, &fd));
    TRY(proc_identify(id.pid, &now)); /* after the pidfd: from here on the pid cannot become another's unseen */
    if (now.start_time != id.start_time)
        return err_sys_as(ERR_NOT_FOUND, ESRCH, "open process %d", (int)id.pid);
    *ret_pidfd = take_fd(&fd);
    return NULL;
}

bool proc_alive(struct proc_id id)
{
    struct proc_id now;
    char state = 'X';
    err *e = read_stat(id.pid, &state, &now);
    if (e) {
        err_free(e);
        return false;
    }
    return now.start_time == id.start_time && state != 'Z' && state != 'X'; /* a zombie has ended */
}

fallible proc_signal(int pidfd, int signal)
{
    if (pidfd_send_signal(pidfd, signal, NULL, 0) < 0)
        return err_sys(errno, "send %s", signal_name(signal));
    return NULL;
}

fallible proc_wait(int pidfd, int timeout_ms, int *ret_status)
{
    if (timeout_ms >= 0) {
        struct pollfd p = { .fd = pidfd, .events = POLLIN };
        int n = poll(&p, 1, timeout_ms);
        if (n < 0)
            return err_sys(errno, "wait for a process");
        if (n == 0)
            return err_new(ERR_TIMEOUT, "wait for a process: still running after %d ms", timeout_ms);
    }
    siginfo_t info = { 0 };
    while (waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | __WALL) < 0)
        if (errno != EINTR)
            return err_sys(errno, "wait for a process");
    *ret_status = info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0) : W_EXITCODE(0, info.si_status);
    return NULL;
}

int proc_exit_code(int wait_status)
{
    return WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : 128 + WTERMSIG(wait_status);
}

static const struct {
    const char *name;
    int number;
} signals[] = {
// clang-format off
#define SIGNAL(s) { "SIG" #s, SIG##s }
    // clang-format on
    SIGNAL(HUP),           SIGNAL(INT),          SIGNAL(QUIT),          SIGNAL(ILL),    SIGNAL(TRAP), SIGNAL(ABRT),
    SIGNAL(BUS),           SIGNAL(FPE),          SIGNAL(KILL),          SIGNAL(USR1),   SIGNAL(SEGV), SIGNAL(USR2),
    SIGNAL(PIPE),          SIGNAL(ALRM),         SIGNAL(TERM),          SIGNAL(STKFLT), SIGNAL(CHLD), SIGNAL(CONT),
    SIGNAL(STOP),          SIGNAL(TSTP),         SIGNAL(TTIN),          SIGNAL(TTOU),   SIGNAL(URG),  SIGNAL(XCPU),
    SIGNAL(XFSZ),          SIGNAL(PROF),         SIGNAL(VTALRM),        SIGNAL(WINCH),  SIGNAL(IO),   SIGNAL(PWR),
    SIGNAL(SYS),
#undef SIGNAL
    { "SIGIOT", SIGABRT }, { "SIGPOLL", SIGIO }, { "SIGCLD", SIGCHLD },
};
/* The kernel's numbers, as docker counts them; glibc keeps the first two real-time signals to itself. */
enum { RTMIN_NUMBER = 34, RTMAX_NUMBER = 64 };

static bool real_time(const char *word, int *ret)
{
    int base = strncasecmp(word, "RTMIN", 5) == 0   ? RTMIN_NUMBER
               : strncasecmp(word, "RTMAX", 5) == 0 ? RTMAX_NUMBER
                                                    : 0;
    if (!base)
        return false;
    int64_t offset = 0;
    if (word[5]) {
        err *e = parse_i64(word + 5, -30, 30, &offset);
        if (e) {
            err_free(e);
            return false;
        }
    }
    *ret = base + (int)offset;
    return *ret >= RTMIN_NUMBER && *ret <= RTMAX_NUMBER;
}

fallible signal_parse(const char *word, int *ret)
{
    const char *bare = strncasecmp(word, "SIG", 3) == 0 ? word + 3 : word;
    if (isdigit((unsigned char)*word)) {
        int64_t n = 0;
        TRY(parse_i64(word, 1, RTMAX_NUMBER, &n));
        *ret = (int)n;
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++) {
        if (strcasecmp(bare, signals[i].name + 3) == 0) {
            *ret = signals[i].number;
            return NULL;
        }
    }
    if (real_time(bare, ret))
        return NULL;
    return err_new(ERR_INVALID, "'%s' is not a signal: use a name such as TERM or a number", word);
}

const char *signal_name(int number)
{
    for (size_t i = 0; i < ARRAY_SIZE(signals); i++)
        if (signals[i].number == number)
            return signals[i].name;
    return number >= RTMIN_NUMBER && number <= RTMAX_NUMBER ? "a real-time signal" : "signal 0";
}

static _Noreturn void run_spawned(const struct spawn *s)
{
    int in = s->stdin_fd >= 0 ? s->stdin_fd : open("/dev/null", O_RDWR | O_CLOEXEC);
    /* dup2 drops close-on-exec; a descriptor that already sits at its place has to lose the flag by hand */
    const int from[3] = { in, s->stdout_fd, s->stderr_fd };
    for (int to = 0; to < 3; to++) {
        if (from[to] == to)
            (void)fcntl(to, F_SETFD, 0);
        else if (from[to] >= 0)
            (void)dup2(from[to], to);
    }
    for (size_t i = 0; i < s->keep_n; i++)
        (void)fcntl(s->keep_fds[i], F_SETFD, 0);
    sigset_t none;
    sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    (void)signal(SIGPIPE, SIG_DFL);
    if (s->env)
        (void)execvpe(s->argv[0], s->argv, s->env);
    else
        (void)execvp(s->argv[0], s->argv);
    _exit(errno == ENOENT ? 127 : 126);
}

fallible spawn_start(const struct spawn *s, int *ret_pidfd)
{
    pid_t pid = 0;
    TRY_AS(proc_clone(0, -1, &pid, ret_pidfd), "run '%s'", s->argv[0]);
    if (pid == 0)
        run_spawned(s);
    return NULL;
}

fallible spawn_end(const struct spawn *s, int pidfd, int *ret_status)
{
    int status = 0;
    TRY_AS(proc_wait(pidfd, -1, &status), "run '%s'", s->argv[0]);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        return err_new(ERR_NOT_FOUND, "run '%s': not found or not runnable", s->argv[0]);
    *ret_status = status;
    return NULL;
}

fallible spawn_wait(const struct spawn *s, int *ret_status)
{
    own_fd int pidfd = -1;
    TRY(spawn_start(s, &pidfd));
    return spawn_end(s, pidfd, ret_status);
}

/* The last line, or, where a program shows how it is to be called, the first. */
static const char *reason(char *text)
{
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1]))
        text[--n] = '\0';
    const char *line = strrchr(text, '\n');
    if (!line || !strstr(text, "\nUsage:"))
        return line ? line + 1 : text;
    text[strcspn(text, "\n")] = '\0';
    return text;
}

fallible spawn_output(char *const *argv, size_t max, char **ret_text)
{
    own_fd int err_fd = -1;
    own_fd int out_read = -1;
    own_fd int out_write = -1;
    own_fd int pidfd = -1;
    own_mem char *text = NULL;
    int pipe_fds[2], status = 0;
    TRY(fs_memfd("stderr", &err_fd)); /* a file never blocks the child */
    if (pipe2(pipe_fds, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    out_read = pipe_fds[0];
    out_write = pipe_fds[1];
    struct spawn s = { .argv = argv, .stdin_fd = -1, .stdout_fd = out_write, .stderr_fd = err_fd };
    TRY(spawn_start(&s, &pidfd));
    close_now(&out_write);
    err *e = fs_read_fd(out_read, argv[0], max, &text, NULL);
    if (e)
        (void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
    err *e2 = spawn_end(&s, pidfd, &status);
    if (e) {
        err_free(e2);
        return e;
    }
    if (e2)
        return e2;
    if (status != 0) {
        own_mem char *said = NULL;
        (void)lseek(err_fd, 0, SEEK_SET);
        TRY(fs_read_fd(err_fd, "stderr", 1 << 20, &said, NULL));
        return err_new(ERR_UNAVAILABLE, "run '%s': exit status %d: %s", argv[0], proc_exit_code(status), reason(said));
    }
    *ret_text = take(text);
    return NULL;
}

fallible self_path(char **ret_path)
{
    char self[4096];
    ssize_t n = readlink("/proc/self/exe", self, sizeof self - 1);
    if (n < 0)
        return err_sys(errno, "find the running program");
    *ret_path = mem_strndup(self, (size_t)n);
    return NULL;
}

fallible self_find_program(const char *name, char **ret_path)
{
    const char *asked = getenv("HUSK_LIBEXEC");
    own_mem char *path = NULL;
    if (asked) {
        path = mem_printf("%s/%s", asked, name);
    } else {
        own_mem char *self = NULL;
        TRY(self_path(&self));
        char *slash = strrchr(self, '/');
        if (slash)
            *slash = '\0';
        /* from <prefix>/bin, or from <prefix>/libexec/husk itself */
        path = str_ends(self, "/libexec/husk") ? mem_printf("%s/%s", self, name)
                                               : mem_printf("%s/../libexec/husk/%s", self, name);
    }
    if (access(path, X_OK) < 0)
        return err_sys(errno, "find husk's program '%s' at '%s'", name, path);
    *ret_path = take(path);
    return NULL;
}

void proc_want_files(uint64_t n)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) < 0 || r.rlim_cur >= n)
        return;
    r.rlim_cur = r.rlim_max < n ? r.rlim_max : n;
    (void)setrlimit(RLIMIT_NOFILE, &r);
}
