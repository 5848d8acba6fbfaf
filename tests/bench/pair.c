/*
 * pair: measure commands against each other, in turn, on a machine that is not quiet.
 *
 *   pair [-n ROUNDS] [-w WARMUP] [-g GAP_MS] [-c COUNT] [-j JOBS] [-k] [-e AFTER] NAME[@MNTNS|+PID] COMMAND
 *        [NAME COMMAND]...
 *
 * Each round runs every command once, beginning with another one each time, with an idle gap before each. Commands are
 * split at blanks; "%I" in one becomes a fresh number. With @MNTNS (a /proc/PID/ns/mnt) the command runs in that mount
 * namespace. Wall time ends when the command itself ends; CPU time and peak memory are those of everything it caused:
 * what outlives it becomes our child (PR_SET_CHILD_SUBREAPER) and is waited for, unless -k says that it stays.
 *
 * With +PID a daemon works for the command: the CPU time that it and its children use meanwhile counts too, and its
 * peak memory of that time. After each run AFTER, a program, is called with the command's name and is not measured: it
 * makes things as they were before.
 *
 * With -c one run is COUNT commands, JOBS of them at a time: wall time from the first one's begin to the last one's
 * end.
 *
 * Prints one line of tab-separated values per command, with a heading: milliseconds and KiB. A command that fails is
 * counted; the first failure's standard error is shown.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { COMMANDS_MAX = 16, ROUNDS_MAX = 1000, WORDS_MAX = 128, TEXT_MAX = 8192, ORPHANS_WAIT_MS = 10000, JOBS_MAX = 64 };

struct sample {
    double wall_ms, user_ms, sys_ms;
    long peak_kib;
};
struct entry {
    const char *name, *mount_ns, *command;
    int daemon; /* pid, or 0 */
    struct sample samples[ROUNDS_MAX];
    int n, failures;
};
static struct entry entries[COMMANDS_MAX]; /* a program that only measures may have globals */

static void die(const char *what)
{
    fprintf(stderr, "pair: %s: %s\n", what, strerror(errno));
    _exit(2);
}

static double now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e3 + (double)t.tv_nsec / 1e6;
}

static void sleep_ms(long ms)
{
    struct timespec t = { .tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000 };
    nanosleep(&t, NULL);
}

static double to_ms(struct timeval t)
{
    return (double)t.tv_sec * 1e3 + (double)t.tv_usec / 1e3;
}

/* Copies the command with every %I as one number of this run, and cuts it into words in place. */
static void split(const char *command, char *text, char **words)
{
    static unsigned run;
    size_t used = 0, n = 0;
    run++;
    for (const char *p = command; *p && used + 32 < TEXT_MAX; p++) {
        if (p[0] == '%' && p[1] == 'I') {
            used += (size_t)snprintf(text + used, TEXT_MAX - used, "%d-%u", (int)getpid(), run);
            p++;
        } else {
            text[used++] = *p;
        }
    }
    text[used] = '\0';
    char *rest = text;
    for (char *word; n + 1 < WORDS_MAX && (word = strsep(&rest, " "));)
        if (*word)
            words[n++] = word;
    words[n] = NULL;
}

static void become(const struct entry *e, char **words, int err_fd)
{
    int null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null_fd < 0 || dup2(null_fd, 0) < 0 || dup2(null_fd, 1) < 0 || dup2(err_fd, 2) < 0)
        die("redirect");
    if (e->mount_ns) {
        int ns = open(e->mount_ns, O_RDONLY | O_CLOEXEC);
        if (ns < 0 || setns(ns, CLONE_NEWNS) < 0)
            die(e->mount_ns);
    }
    execvp(words[0], words);
    die(words[0]);
}

static void add_usage(struct sample *s, const struct rusage *u)
{
    s->user_ms += to_ms(u->ru_utime);
    s->sys_ms += to_ms(u->ru_stime);
    if (u->ru_maxrss > s->peak_kib)
        s->peak_kib = u->ru_maxrss;
}

/* Everything that the command left behind is our child by now, or will be; answers false when it stays. */
static bool collect_orphans(struct sample *s)
{
    double end = now_ms() + ORPHANS_WAIT_MS;
    while (now_ms() < end) {
        struct rusage u;
        pid_t pid = wait4(-1, NULL, WNOHANG, &u);
        if (pid < 0)
            return errno == ECHILD;
        if (pid > 0)
            add_usage(s, &u);
        else
            sleep_ms(1);
    }
    return false;
}

/* What a daemon and the children that it has waited for have used so far. Source: proc(5), /proc/[pid]/stat. */
static void daemon_times(int pid, double *user_ms, double *sys_ms)
{
    char path[64], line[1024];
    unsigned long user = 0, sys = 0;
    long user_children = 0, sys_children = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, line, sizeof line - 1);
    close(fd);
    line[n > 0 ? n : 0] = '\0';
    const char *end = strrchr(line, ')');
    if (!end || sscanf(end + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu %ld %ld", &user, &sys,
                       &user_children, &sys_children) != 4)
        die("the daemon is gone");
    double tick_ms = 1000.0 / (double)sysconf(_SC_CLK_TCK);
    *user_ms = (double)(user + (unsigned long)user_children) * tick_ms;
    *sys_ms = (double)(sys + (unsigned long)sys_children) * tick_ms;
}

/* Its peak since the last call. Source: proc(5), clear_refs 5 and VmHWM. */
static long daemon_peak_kib(int pid)
{
    char path[64], text[4096];
    long kib = 0;
    snprintf(path, sizeof path, "/proc/%d/status", pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof text - 1);
    close(fd);
    text[n > 0 ? n : 0] = '\0';
    const char *at = strstr(text, "VmHWM:");
    if (at)
        kib = strtol(at + strlen("VmHWM:"), NULL, 10);
    snprintf(path, sizeof path, "/proc/%d/clear_refs", pid);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd >= 0 && write(fd, "5", 1) != 1)
        kib = 0;
    close(fd);
    return kib;
}

static void call_after(const char *after, const struct entry *e)
{
    pid_t pid = fork();
    if (pid == 0) {
        execlp(after, after, e->name, (char *)NULL);
        die(after);
    }
    int status = 0;
    if (pid < 0 || waitpid(pid, &status, 0) != pid || status != 0)
        fprintf(stderr, "pair: '%s %s' failed\n", after, e->name);
    while (waitpid(-1, NULL, 0) > 0) /* what it left behind */
        ;
}

static void show_failure(const struct entry *e, int status, int err_fd)
{
    char text[2048];
    ssize_t n = pread(err_fd, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = '\0';
    fprintf(stderr, "pair: %s: status 0x%x: %s\n  %s\n", e->name, (unsigned)status, e->command, text);
}

static pid_t start(const struct entry *e, int err_fd)
{
    static char text[TEXT_MAX], *words[WORDS_MAX];
    split(e->command, text, words);
    pid_t pid = vfork(); /* fork(2) would add the making and taking down of an address space of ours to every figure */
    if (pid == 0)
        become(e, words, err_fd);
    if (pid < 0)
        die("run");
    return pid;
}

/* What one run is: how many commands, how many of them at a time. */
struct many {
    long count, jobs;
};

/* Answers the first status that is not 0. */
static int run_all(const struct entry *e, struct many m, int err_fd, struct sample *s)
{
    pid_t running[JOBS_MAX] = { 0 };
    int failed = 0;
    long started = 0, ended = 0;
    for (; started < m.count && started < m.jobs; started++)
        running[started] = start(e, err_fd);
    while (ended < m.count) {
        struct rusage u;
        int status = 0, i = 0;
        pid_t pid = wait4(-1, &status, 0, &u);
        if (pid < 0)
            die("wait");
        add_usage(s, &u);
        while (i < JOBS_MAX && running[i] != pid)
            i++;
        if (i == JOBS_MAX) /* one that a command left behind */
            continue;
        ended++;
        failed = failed ? failed : status;
        running[i] = started < m.count ? start(e, err_fd) : 0;
        started++;
    }
    return failed;
}

static void run_once(struct entry *e, struct many m, bool counts, bool keep)
{
    struct sample s = { 0 };
    int err_fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (err_fd < 0)
        die("make a temporary file");

    double user_before = 0, sys_before = 0, user_after = 0, sys_after = 0;
    if (e->daemon) {
        (void)daemon_peak_kib(e->daemon);
        daemon_times(e->daemon, &user_before, &sys_before);
    }
    double begin = now_ms();
    int status = run_all(e, m, err_fd, &s);
    s.wall_ms = now_ms() - begin;
    bool alone = keep || collect_orphans(&s);
    if (e->daemon) {
        daemon_times(e->daemon, &user_after, &sys_after);
        s.user_ms += user_after - user_before;
        s.sys_ms += sys_after - sys_before;
        long kib = daemon_peak_kib(e->daemon);
        s.peak_kib = kib > s.peak_kib ? kib : s.peak_kib;
    }
    if (status != 0 || !alone) {
        if (e->failures++ == 0)
            show_failure(e, alone ? status : 0xffff, err_fd);
    } else if (counts) {
        e->samples[e->n++] = s;
    }
    close(err_fd);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

enum column { WALL, CPU, USER, SYS };
static double value(const struct sample *s, enum column column)
{
    switch (column) {
    case WALL:
        return s->wall_ms;
    case CPU:
        return s->user_ms + s->sys_ms;
    case USER:
        return s->user_ms;
    case SYS:
        return s->sys_ms;
    }
    return 0;
}

/* The share'th part of the sorted column: 0 the minimum, 0.5 the median. */
static double quantile(const struct entry *e, enum column column, double share)
{
    static double sorted[ROUNDS_MAX];
    if (e->n == 0)
        return 0;
    for (int i = 0; i < e->n; i++)
        sorted[i] = value(&e->samples[i], column);
    qsort(sorted, (size_t)e->n, sizeof *sorted, compare);
    return sorted[(int)(share * (e->n - 1) + 0.5)];
}

static void print_entry(const struct entry *e)
{
    long peak = 0;
    for (int i = 0; i < e->n; i++)
        if (e->samples[i].peak_kib > peak)
            peak = e->samples[i].peak_kib;
    printf("%s\t%d\t%d\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%.3f\t%ld\n", e->name, e->n, e->failures,
           quantile(e, WALL, 0), quantile(e, WALL, 0.5), quantile(e, WALL, 0.9), quantile(e, CPU, 0),
           quantile(e, CPU, 0.5), quantile(e, USER, 0.5), quantile(e, SYS, 0.5), peak);
}

static long number(const char *text, long max)
{
    char *end = NULL;
    long n = strtoul(text, &end, 10);
    if (*end || end == text || n < 0 || n > max) {
        fprintf(stderr, "pair: '%s' is not a number up to %ld\n", text, max);
        _exit(2);
    }
    return n;
}

static int read_commands(int argc, char **argv)
{
    int n = 0;
    for (int i = 0; i + 1 < argc && n < COMMANDS_MAX; i += 2, n++) {
        char *at = strchr(argv[i], '@');
        char *plus = strchr(argv[i], '+');
        if (at)
            *at++ = '\0';
        if (plus) {
            *plus++ = '\0';
            entries[n].daemon = (int)number(plus, 1 << 22);
        }
        entries[n].name = argv[i];
        entries[n].mount_ns = at;
        entries[n].command = argv[i + 1];
    }
    return n;
}

int main(int argc, char **argv)
{
    long rounds = 20, warmup = 2, gap_ms = 50;
    struct many m = { .count = 1, .jobs = 1 };
    bool keep = false;
    const char *after = NULL;
    for (int option; (option = getopt(argc, argv, "+n:w:g:c:j:ke:")) > 0;) {
        if (option == 'n')
            rounds = number(optarg, ROUNDS_MAX);
        else if (option == 'w')
            warmup = number(optarg, ROUNDS_MAX);
        else if (option == 'g')
            gap_ms = number(optarg, 60000);
        else if (option == 'c')
            m.count = number(optarg, 100000);
        else if (option == 'j')
            m.jobs = number(optarg, JOBS_MAX);
        else if (option == 'k')
            keep = true;
        else if (option == 'e')
            after = optarg;
        else
            return 2;
    }
    int n = read_commands(argc - optind, argv + optind);
    if (n == 0 || (argc - optind) % 2 != 0 || m.jobs < 1) {
        fprintf(stderr, "usage: pair [-n ROUNDS] [-w WARMUP] [-g GAP_MS] [-c COUNT] [-j JOBS] [-k] [-e AFTER] "
                        "NAME[@MNTNS|+PID] COMMAND ...\n");
        return 2;
    }
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) < 0)
        die("become a subreaper");
    for (long round = -warmup; round < rounds; round++) {
        for (int i = 0; i < n; i++) {
            sleep_ms(gap_ms);
            struct entry *e = &entries[(i + (int)(round + warmup)) % n];
            run_once(e, m, round >= 0, keep);
            if (after)
                call_after(after, e);
        }
    }
    printf("name\truns\tfailures\twall_min\twall\twall_p90\tcpu_min\tcpu\tuser\tsys\tpeak_kib\n");
    for (int i = 0; i < n; i++)
        print_entry(&entries[i]);
    return 0;
}
