// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/ending.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/ioctl.h>
#include <linux/types.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "cgroup/cgroup.h"
#include "monitor/plan.h"
#include "os/fs.h"
#include "os/linux.h"
#include "usernet/usernet.h"

enum { PATIENCE_SECONDS = 5 };

/* Linux 6.15, include/uapi/linux/pidfd.h: newer than the headers we build with. */
struct pidfd_info_v1 {
    __u64 mask, cgroupid;
    __u32 pid, tgid, ppid, ruid, rgid, euid, egid, suid, sgid, fsuid, fsgid;
    __s32 exit_code;
};
#define PIDFD_INFO_EXIT_BIT (1ull << 3)
#define PIDFD_GET_INFO_V1   _IOWR(0xFF, 11, struct pidfd_info_v1)

static void set_status(struct monitor_exit *record, int status)
{
    record->exit_code = proc_exit_code(status);
    record->signal = WIFSIGNALED(status) ? WTERMSIG(status) : 0;
}

/* Whose child it is reaps it when it likes: some programs that are PID 1 late, some never. */
static void ask_kernel(int pidfd, struct proc_id init, struct monitor_exit *record)
{
    int status;
    struct pidfd_info_v1 info = { .mask = PIDFD_INFO_EXIT_BIT };
    const struct timespec pause = { .tv_nsec = 10000000 };
    for (int i = 0; i < 1000; i++, (void)nanosleep(&pause, NULL)) {
        if (proc_zombie_status(init, &status)) {
            set_status(record, status);
            return;
        }
        info.mask = PIDFD_INFO_EXIT_BIT; /* it was reaped: the kernel remembers */
        if (ioctl(pidfd, PIDFD_GET_INFO_V1, &info) < 0 && errno != ESRCH)
            break;
        if (info.mask & PIDFD_INFO_EXIT_BIT) {
            set_status(record, info.exit_code);
            return;
        }
    }
    record->exit_code = 255;
    record->error = mem_strdup("the exit code is not known: its first monitor was killed");
}

void ending_note_task(const struct monitor_plan *plan, struct monitor_exit *record)
{
    char path[48];
    struct proc_id id = { 0 };
    own_mem char *text = NULL;
    if (!plan->chain)
        return;
    (void)snprintf(path, sizeof path, "/proc/%d/comm", (int)plan->init.pid);
    err *e = fs_read_at(AT_FDCWD, path, 64, &text, NULL);
    if (!e)
        e = proc_identify(plan->init.pid, &id);
    if (!e && id.start_time == plan->init.start_time) { /* else whoever inherited it has reaped it */
        text[strcspn(text, "\n")] = '\0';
        record->task = take(text);
    }
    err_ignore(e, "it has been reaped: then it is not known");
}

void ending_collect(const struct monitor_plan *plan, int pidfd, struct monitor_exit *record)
{
    struct timespec now;
    siginfo_t info = { 0 };
    int r;
    while ((r = waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | __WALL)) < 0 && errno == EINTR)
        ;
    if (r == 0)
        set_status(record, info.si_code == CLD_EXITED ? W_EXITCODE(info.si_status, 0) : info.si_status);
    else
        ask_kernel(pidfd, plan->init, record);
    clock_gettime(CLOCK_REALTIME, &now);
    record->finished_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static int64_t seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec;
}

/* With a pid namespace of its own nothing is left when the first process is dead; in the host's something may be, and
 * what is killed needs a moment. */
static fallible remove_group(const struct cgroup *group)
{
    own_mem pid_t *pids = NULL;
    size_t n = 0;
    int64_t begin = seconds();
    TRY(cgroup_pids(group, &pids, &n));
    if (n)
        TRY(cgroup_kill(group));
    err *e = cgroup_remove(group);
    while (err_is(e, ERR_CONFLICT) && seconds() - begin < PATIENCE_SECONDS) {
        err_free(e);
        TRY(cgroup_kill(group));
        e = cgroup_remove(group);
    }
    return e;
}

static fallible open_group(const struct monitor_plan *plan, struct cgroup **ret)
{
    own(cgroup_host) struct cgroup_host *host = NULL;
    if (plan->cgroup_text)
        return cgroup_of_text(plan->cgroup_text, ret);
    TRY(cgroup_host_open(&host));
    return cgroup_open(host, plan->cgroup_path, ret);
}

static fallible kill_group(const struct monitor_plan *plan)
{
    own(cgroup) struct cgroup *group = NULL;
    TRY(open_group(plan, &group));
    return cgroup_kill(group);
}

void ending_kill(const struct monitor_plan *plan, int pidfd)
{
    err_ignore(proc_signal(pidfd, SIGKILL), "it has ended by itself");
    if (plan->cgroup_path)
        err_ignore(kill_group(plan), "the first process is dead, and with it its namespace");
}

/* A program that ended well ran into nothing; to look costs half a dozen files. */
static void note_hits(const struct cgroup *group, struct monitor_exit *record)
{
    struct cgroup_hits hits;
    if (record->exit_code == 0) {
        record->oom_killed = cgroup_oom_killed(group);
        return;
    }
    cgroup_hits(group, &hits);
    record->oom_killed = hits.oom_killed;
    record->oom_limited = hits.oom_killed && hits.memory_limited;
    record->memory_limit = hits.memory_limit_bytes.set ? hits.memory_limit_bytes.v : 0;
    record->memory_peak = (int64_t)hits.memory_peak_bytes.v;
    record->pids_limit = hits.pids_limit.set ? hits.pids_limit.v : 0;
    record->pids_refused = (int64_t)hits.pids_refused;
}

static fallible clear_cgroup(const struct monitor_plan *plan, struct monitor_exit *record)
{
    own(cgroup) struct cgroup *group = NULL;
    TRY(open_group(plan, &group));
    note_hits(group, record);
    return remove_group(group);
}

void ending_clear_network(const struct monitor_plan *plan, int state_fd, int *ret_sock)
{
    err_ignore(usernet_end(plan->id, state_fd, ret_sock), "whoever finds the file tries again");
    const char *at = plan->hold;
    for (int fd; plan_next_hold(&at, &fd);)
        (void)close(fd);
}

void ending_clear_cgroup(const struct monitor_plan *plan, struct monitor_exit *record)
{
    err *e = plan->cgroup_path ? clear_cgroup(plan, record) : NULL;
    record->pid = plan->init.pid;
    record->cgroup_gone = !e;
    err_ignore(e, "whoever removes the container removes its cgroup");
}

static uint64_t world_of(long pid)
{
    char path[48];
    struct stat st;
    (void)snprintf(path, sizeof path, "/proc/%ld/ns/mnt", pid);
    return stat(path, &st) == 0 ? st.st_ino : 0;
}

uint64_t ending_world(const struct monitor_plan *plan)
{
    return plan->cgroup_path ? 0 : world_of(plan->init.pid);
}

/* When the first process had ended before anybody asked: what is younger than that and not in our world. What husk
 * keeps for others (names, networks) was started before, and a helper of this start has no work left. */
static bool is_stray(const struct monitor_plan *plan, uint64_t world, long pid)
{
    struct proc_id id = { 0 };
    uint64_t theirs = world_of(pid), ours = world_of(getpid());
    if (!theirs || theirs == ours)
        return false;
    if (world)
        return theirs == world;
    err *e = proc_identify((pid_t)pid, &id);
    bool younger = !e && id.start_time >= plan->init.start_time;
    err_ignore(e, "it has just ended");
    return younger;
}

/* Those that one kills leave us theirs. */
void ending_kill_strays(const struct monitor_plan *plan, uint64_t world)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/self/task/%d/children", (int)getpid());
    for (bool again = !plan->cgroup_path; again;) {
        own_mem char *text = NULL;
        again = false;
        err *e = fs_read_at(AT_FDCWD, path, 1 << 20, &text, NULL);
        err_ignore(e, "a kernel that does not tell them");
        for (char *p = text; p && *p;) {
            long pid = strtol(p, &p, 10);
            p += *p == ' ';
            if (pid <= 0 || !is_stray(plan, world, pid) || kill((pid_t)pid, SIGKILL) < 0)
                continue;
            again |= waitpid((pid_t)pid, NULL, __WALL) == pid;
        }
    }
}
