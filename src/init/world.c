/*
 * world.c: the rows that say where the process is and what it has: namespaces, terminal, descriptors, limits.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <asm/ioctls.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <linux/sched.h>
#include <sys/stat.h>

#include "init/stub.h"

/* From here on nobody of the same uid, in no namespace that we are about to enter, may trace us or open our
 * descriptors through /proc (CVE-2016-9962). The exec of the program lifts it. */
static void hide(void)
{
    (void)sys(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
}

STUB_ROW(row_affinity)
{
    long ret = sys(__NR_sched_setaffinity, 0, size, payload);
    if (ret < 0)
        stub_fail_sys(s, ret, "set the CPU affinity", NULL);
}

static void forget(struct stub *s, int fd)
{
    for (uint32_t i = 0; i < s->head->keep_n; i++)
        if (s->head->keep[i] == fd)
            s->head->keep[i] = -1;
    (void)sys(__NR_close, fd);
}

/* Writing "0" to a v1 tasks file moves the writer and needs no global lock; the kernel checks the opener's rights. */
static void join_cgroups(struct stub *s, const struct order_join *join)
{
    const int32_t *tasks = (const int32_t *)(join + 1);
    for (uint32_t i = 0; i < join->tasks_n; i++) {
        long ret = sys(__NR_write, tasks[i], "0", 1);
        if (ret < 0)
            stub_fail_sys(s, ret, "join a control group of the container", NULL);
        forget(s, tasks[i]);
    }
}

static void enter(struct stub *s, const struct order_join *join, uint64_t flags)
{
    long ret = flags ? sys(__NR_setns, join->pidfd, flags) : 0;
    if (ret < 0)
        stub_fail_sys(s, ret, "join the container's namespaces", NULL);
}

/* setns(2) has made the namespace's root ours; the container's is another, that nobody else can see. */
static void enter_root(struct stub *s, int root)
{
    if (root < 0)
        return;
    long ret = sys(__NR_fchdir, root);
    if (ret == 0)
        ret = sys(__NR_chroot, ".");
    if (ret < 0)
        stub_fail_sys(s, ret, "enter the container's root", NULL);
    forget(s, root);
}

STUB_ROW(row_join)
{
    const struct order_join *join = payload;
    if ((size - sizeof *join) / sizeof(int32_t) < join->tasks_n)
        stub_fail(s, ORDER_ERR_CORRUPT, 0, "read the order: a row is damaged", NULL);
    hide();
    /* The cgroup namespace comes after the clone: from inside of it our own group could not be left. */
    enter(s, join, join->flags & ~(uint64_t)CLONE_NEWCGROUP);
    enter_root(s, join->root);

    /* Only a child is in the pid namespace; CLONE_PARENT makes it the starter's, who can then wait for it. */
    struct clone_args args = { .flags = CLONE_PARENT };
    if (join->cgroup_fd >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = (uint64_t)join->cgroup_fd;
    }
    long pid = sys(__NR_clone3, &args, sizeof args);
    if (pid == -ENOSYS && join->cgroup_fd < 0) /* hidden by the filter of a container around us */
        pid = sys(__NR_clone, CLONE_PARENT, 0, 0, 0, 0);
    if (pid < 0)
        stub_fail_sys(s, pid, "make a process in the container", NULL);
    if (pid > 0) {
        int32_t number = (int32_t)pid;
        stub_say(s, ORDER_SAY_PID, &number, sizeof number);
        leave(0);
    }
    if (join->cgroup_fd >= 0) {
        stub_say(s, ORDER_SAY_HELLO, "", 0);
        forget(s, join->cgroup_fd);
    }
    join_cgroups(s, join);
    enter(s, join, join->flags & CLONE_NEWCGROUP);
    forget(s, join->pidfd);
}

STUB_ROW(row_oom_score)
{
    struct text number = { 0 };
    text_add_number(&number, (long)((const struct order_number *)payload)->v);
    long fd = proc_open("self/oom_score_adj", O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        stub_fail_sys(s, fd, "set the OOM score", NULL);
    long ret = sys(__NR_write, fd, number.bytes, number.n);
    if (ret == -EACCES)
        stub_fail_sys(s, ret, "set the OOM score (one below husk's own needs CAP_SYS_RESOURCE on the host)", NULL);
    if (ret < 0)
        stub_fail_sys(s, ret, "set the OOM score", NULL);
    (void)sys(__NR_close, fd);
}

STUB_ROW(row_session)
{
    (void)payload, (void)size;
    long ret = sys(__NR_setsid);
    if (ret < 0 && ret != -EPERM) /* EPERM: it leads a group, as after a clone by a shell; then a session is there */
        stub_fail_sys(s, ret, "start a session", NULL);
}

STUB_ROW(row_terminal)
{
    (void)payload, (void)size;
    char termios[64];
    long ret = sys(__NR_ioctl, s->tty_fd, TCGETS, termios);
    if (ret < 0)
        stub_fail_sys(s, ret, "take the terminal: it is none", NULL);
    for (int fd = 0; fd < 3; fd++) {
        ret = sys(__NR_dup3, s->tty_fd, fd, 0);
        if (ret < 0 && !(ret == -EINVAL && s->tty_fd == fd))
            stub_fail_sys(s, ret, "take the terminal", NULL);
    }
    ret = sys(__NR_ioctl, 0, TIOCSCTTY, 0);
    if (ret < 0)
        stub_fail_sys(s, ret, "take the terminal as the controlling one", NULL);
    if (s->tty_fd > 2)
        (void)sys(__NR_close, s->tty_fd);
    s->stdio_is_tty = true;
}

/* The terminal waits for its row, which may come later. */
static bool is_kept(const struct stub *s, int fd)
{
    for (uint32_t i = 0; i < s->head->keep_n; i++)
        if (s->head->keep[i] == fd)
            return true;
    return fd == s->say_sock || (fd == s->tty_fd && !s->stdio_is_tty);
}

STUB_ROW(row_close)
{
    (void)size;
    long first = 3 + (long)((const struct order_number *)payload)->v;
    hide();
    for (uint32_t pass = 0; pass <= s->head->keep_n + 2; pass++) {
        while (is_kept(s, (int)first))
            first++;
        long next = 0x7fffffff; /* the nearest kept one above */
        for (uint32_t i = 0; i < s->head->keep_n; i++)
            if (s->head->keep[i] > first && s->head->keep[i] < next)
                next = s->head->keep[i];
        if (s->say_sock > first && s->say_sock < next)
            next = s->say_sock;
        if (s->tty_fd > first && s->tty_fd < next && !s->stdio_is_tty)
            next = s->tty_fd;
        long ret = sys(__NR_close_range, first, next - 1, 0);
        if (ret < 0)
            stub_fail_sys(s, ret, "close husk's descriptors (close_range needs Linux 5.9)", NULL);
        if (next == 0x7fffffff)
            return;
        first = next;
    }
}

STUB_ROW(row_rlimit)
{
    (void)size;
    const struct order_rlimit *r = payload;
    struct {
        uint64_t soft, hard;
    } limit = { r->soft, r->hard };
    long ret = sys(__NR_prlimit64, 0, r->resource, &limit, 0);
    if (ret < 0)
        stub_fail_sys(s, ret, "set rlimit", r->name);
}

STUB_ROW(row_personality)
{
    (void)size;
    long ret = sys(__NR_personality, ((const struct order_number *)payload)->v);
    if (ret < 0)
        stub_fail_sys(s, ret, "set the personality", NULL);
}

STUB_ROW(row_scheduler)
{
    (void)size;
    long ret = sys(__NR_sched_setattr, 0, payload, 0);
    if (ret == -EPERM)
        stub_fail_sys(
            s, ret,
            "set the scheduler (a nice value below husk's own, real time and deadlines need CAP_SYS_NICE on the "
            "host, real time also a control group that has time for it)",
            NULL);
    if (ret < 0)
        stub_fail_sys(s, ret, "set the scheduler", NULL);
}

STUB_ROW(row_ioprio)
{
    enum { IOPRIO_WHO_PROCESS = 1 };
    (void)size;
    long ret = sys(__NR_ioprio_set, IOPRIO_WHO_PROCESS, 0, ((const struct order_number *)payload)->v);
    if (ret == -EPERM)
        stub_fail_sys(s, ret, "set the I/O priority (the real-time class needs CAP_SYS_NICE on the host)", NULL);
    if (ret < 0)
        stub_fail_sys(s, ret, "set the I/O priority", NULL);
}

STUB_ROW(row_mempolicy)
{
    (void)size;
    const struct order_mempolicy *m = payload;
    long ret = sys(__NR_set_mempolicy, m->mode, m->bits ? m + 1 : NULL, m->bits ? m->bits + 1 : 0);
    if (ret < 0)
        stub_fail_sys(s, ret, "set the memory policy (are the nodes in /sys/devices/system/node/online?)", NULL);
}
