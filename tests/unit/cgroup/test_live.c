/*
 * Groups on the host that the test runs on, whatever it has: made below "/husk-test-PID" and removed again. Only where
 * the user may make groups; bats says the same things from outside, for each kind of host.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroup/group.h"
#include "os/fs.h"
#include "os/proc.h"
#include "test.h"

static struct cgroup_host *usable_host(void)
{
    struct cgroup_host *h = NULL;
    const char *why = NULL;
    CHECK_OK(cgroup_host_open(&h));
    if (!cgroup_host_usable(h, &why)) {
        cgroup_host_free(h);
        skip();
    }
    return h;
}

static char *test_path(const char *name)
{
    return mem_printf("husk-test-%d/%s", getpid(), name);
}

/* The group and the directory that holds all groups of this test. */
static void remove_group(const struct cgroup *g)
{
    CHECK_OK(cgroup_remove(g));
    for (size_t i = 0; i < g->n; i++) {
        char *slash = strrchr(g->parts[i].dir, '/');
        CHECK(access(g->parts[i].dir, F_OK) < 0);
        *slash = '\0';
        (void)rmdir(g->parts[i].dir);
        *slash = '/';
    }
}

static struct oci_resources *resources(const char *text)
{
    struct oci_resources *r = NULL;
    CHECK_OK(bind_read(&oci_resources_type, text, strlen(text), (void **)&r));
    return r;
}

static err *make(const struct cgroup_host *h, const char *name, const char *text, struct cgroup **ret)
{
    own_mem char *path = test_path(name);
    struct oci_resources *r = resources(text);
    err *e = cgroup_create(h, path, r, ret);
    bind_free(&oci_resources_type, r);
    return e;
}

static char *file_of(const struct cgroup *g, const char *controller, const char *v1, const char *v2)
{
    const struct part *p = group_part(g, controller);
    own_mem char *path = p ? mem_printf("%s/%s", p->dir, p->v2 ? v2 : v1) : NULL;
    char *text = NULL;
    if (!p)
        return mem_strdup("");
    CHECK_OK(fs_read_at(AT_FDCWD, path, 65536, &text, NULL));
    text[strcspn(text, "\n")] = '\0';
    return text;
}

/* A child in the group that sleeps, or does what it is told. */
static pid_t child_in(const struct cgroup *g, void (*what)(void))
{
    own_mem int *fds = NULL;
    size_t n = 0;
    pid_t pid = 0;
    int pidfd = -1;
    CHECK_OK(cgroup_open_tasks(g, &fds, &n));
    CHECK_OK(proc_clone(cgroup_clone_fd(g) >= 0 ? CLONE_INTO_CGROUP : 0, cgroup_clone_fd(g), &pid, &pidfd));
    if (pid == 0) {
        (void)prctl(PR_SET_PDEATHSIG, SIGKILL); /* a failed check leaves nobody behind */
        err *e = cgroup_join_self(fds, n);
        if (e)
            _exit(99);
        if (what)
            what();
        for (;;)
            pause();
    }
    for (size_t i = 0; i < n; i++)
        close(fds[i]);
    close(pidfd);
    return pid;
}

static bool is_in(const struct cgroup *g, pid_t pid)
{
    for (int tries = 0; tries < 500; tries++, usleep(2000)) {
        own_mem char *path = mem_printf("/proc/%d/cgroup", pid), *text = NULL;
        CHECK_OK(fs_read_at(AT_FDCWD, path, 65536, &text, NULL));
        size_t n = 0, wanted = 0;
        for (size_t i = 0; i < g->n; i++)
            wanted += g->parts[i].there;
        for (const char *at = text; (at = strstr(at, cgroup_path(g))); at++)
            n++;
        if (n == wanted)
            return true;
    }
    return false;
}

TEST(a_group_has_its_limits_and_a_child_is_in_it_everywhere)
{
    own(cgroup_host) struct cgroup_host *h = usable_host();
    own(cgroup) struct cgroup *g = NULL, *opened = NULL;
    if (strcmp(cgroup_host_mode(h), "v2") == 0 && !strv_has(&h->items[0].controllers, "memory"))
        skip();
    CHECK_OK(make(h, "limits",
                  "{\"memory\":{\"limit\":33554432},\"pids\":{\"limit\":7},\"cpu\":{\"quota\":20000,\"period\":100000,"
                  "\"shares\":512,\"cpus\":\"0\"}}",
                  &g));
    own_mem char *memory = file_of(g, "memory", "memory.limit_in_bytes", "memory.max");
    own_mem char *pids = file_of(g, "pids", "pids.max", "pids.max");
    own_mem char *cpus = file_of(g, "cpuset", "cpuset.cpus", "cpuset.cpus");
    own_mem char *quota = file_of(g, "cpu", "cpu.cfs_quota_us", "cpu.max");
    assert_string_equal(memory, "33554432");
    assert_string_equal(pids, "7");
    assert_string_equal(cpus, "0");
    CHECK(str_starts(quota, "20000"));

    pid_t pid = child_in(g, NULL);
    CHECK(is_in(g, pid));
    CHECK_OK(cgroup_open(h, cgroup_path(g), &opened));
    own_mem pid_t *list = NULL;
    size_t n = 0;
    CHECK_OK(cgroup_pids(opened, &list, &n));
    CHECK(n == 1 && list[0] == pid);
    struct cgroup_stats s;
    CHECK_OK(cgroup_stats(opened, &s));
    CHECK(s.memory_limit_bytes.set && s.memory_limit_bytes.v == 33554432 && s.pids_limit.v == 7 && s.pids.v == 1);
    CHECK(s.memory_bytes.set && s.memory_peak_bytes.v >= s.memory_bytes.v / 2 && s.cpu_usage_ns.set);
    CHECK(!cgroup_oom_killed(opened));

    own(cgroup) struct cgroup *again = NULL;
    CHECK_ERR(cgroup_create(h, cgroup_path(g), NULL, &again), ERR_CONFLICT);
    CHECK_OK(cgroup_kill(opened));
    CHECK(waitpid(pid, NULL, 0) == pid);
    remove_group(opened);
    CHECK_OK(cgroup_remove(opened)); /* once more is no error */
}

/* Fresh pages again and again, since what was touched before the group had a memory hierarchy is charged elsewhere. */
static void use_memory(void)
{
    enum { SIZE = 4 << 20 };
    void *before = NULL;
    for (;;) {
        void *bytes = mmap(NULL, SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (bytes == MAP_FAILED)
            _exit(98);
        memset(bytes, 1, SIZE);
        if (before)
            (void)munmap(before, SIZE);
        before = bytes;
        usleep(10000);
    }
}

TEST(limits_of_a_live_group_change_up_and_down_and_in_new_hierarchies)
{
    own(cgroup_host) struct cgroup_host *h = usable_host();
    own(cgroup) struct cgroup *g = NULL;
    static const char *const updates[] = {
        "{\"memory\":{\"limit\":67108864,\"swap\":67108864}}", "{\"memory\":{\"limit\":134217728,\"swap\":268435456}}",
        "{\"memory\":{\"limit\":33554432,\"swap\":33554432}}", "{\"memory\":{\"limit\":268435456,\"swap\":-1}}",
        "{\"cpu\":{\"cpus\":\"0\"},\"pids\":{\"limit\":5}}",
    };
    CHECK_OK(make(h, "update", "{}", &g));
    pid_t pid = child_in(g, use_memory);
    CHECK(is_in(g, pid));
    for (size_t i = 0; i < ARRAY_SIZE(updates); i++) {
        struct oci_resources *r = resources(updates[i]);
        CHECK_OK(cgroup_update(g, r));
        bind_free(&oci_resources_type, r);
    }
    own_mem char *memory = file_of(g, "memory", "memory.limit_in_bytes", "memory.max");
    own_mem char *cpus = file_of(g, "cpuset", "cpuset.cpus", "cpuset.cpus");
    assert_string_equal(memory, "268435456");
    assert_string_equal(cpus, "0");
    CHECK(is_in(g, pid)); /* in cpuset's hierarchy too, which was not made at first */

    struct cgroup_stats s = { 0 };
    for (int tries = 0; tries < 15000 && s.memory_bytes.v < 1 << 20; tries++, usleep(2000))
        CHECK_OK(cgroup_stats(g, &s));
    CHECK(s.memory_bytes.v >= 1 << 20); /* or the next check would be of a group that uses nothing yet */
    struct oci_resources *careful = resources("{\"memory\":{\"limit\":1,\"checkBeforeUpdate\":true}}");
    CHECK_ERR(cgroup_update(g, careful), ERR_INVALID);
    bind_free(&oci_resources_type, careful);
    CHECK_OK(cgroup_kill(g));
    CHECK(waitpid(pid, NULL, 0) == pid);
    remove_group(g);
}

TEST(a_frozen_group_is_killed_all_the_same)
{
    own(cgroup_host) struct cgroup_host *h = usable_host();
    own(cgroup) struct cgroup *g = NULL;
    bool frozen = true;
    int status = 0;
    CHECK_OK(make(h, "freeze", "{}", &g));
    pid_t pid = child_in(g, NULL);
    CHECK(is_in(g, pid));
    CHECK_OK(cgroup_frozen(g, &frozen));
    CHECK(!frozen);
    CHECK_OK(cgroup_freeze(g, CGROUP_FREEZE));
    CHECK_OK(cgroup_frozen(g, &frozen));
    CHECK(frozen);
    CHECK_OK(cgroup_freeze(g, CGROUP_THAW));
    CHECK_OK(cgroup_freeze(g, CGROUP_FREEZE));
    CHECK_OK(cgroup_kill(g));
    CHECK(waitpid(pid, &status, 0) == pid && WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    remove_group(g);
}

TEST(what_the_payload_made_below_is_removed_however_deep)
{
    own(cgroup_host) struct cgroup_host *h = usable_host();
    own(cgroup) struct cgroup *g = NULL;
    CHECK_OK(make(h, "deep", "{}", &g));
    for (size_t i = 0; i < g->n; i++) {
        if (!g->parts[i].there)
            continue;
        int at = open(g->parts[i].dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        CHECK(at >= 0);
        for (int wide = 0; wide < 20; wide++) {
            char name[32];
            snprintf(name, sizeof name, "wide-%d", wide);
            CHECK(mkdirat(at, name, 0755) == 0);
        }
        for (int depth = 0; depth < 300; depth++) {
            static const char name[] = "a-name-that-makes-the-path-longer-than-the-kernel-takes";
            CHECK(mkdirat(at, name, 0755) == 0);
            int below = openat(at, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
            CHECK(below >= 0);
            close(at);
            at = below;
        }
        close(at);
    }
    remove_group(g);
}

TEST(a_failed_limit_leaves_no_group)
{
    own(cgroup_host) struct cgroup_host *h = usable_host();
    struct cgroup *g = NULL;
    CHECK_ERR(make(h, "failed", "{\"pids\":{\"limit\":5},\"cpu\":{\"cpus\":\"4095\"}}", &g), ERR_INVALID);
    own_mem char *path = test_path("failed");
    own(cgroup) struct cgroup *opened = NULL;
    CHECK_OK(cgroup_open(h, path, &opened));
    for (size_t i = 0; i < opened->n; i++)
        CHECK(!opened->parts[i].there);
    remove_group(opened);
}

static void exit_42(void)
{
    _exit(42);
}

/* On some kernels a child that is cloned into a group is born dead when the group was ever killed: see cgroup.h. */
TEST(a_group_that_was_killed_is_made_anew_for_the_next_start)
{
    own(cgroup_host) struct cgroup_host *h = usable_host();
    own(cgroup) struct cgroup *g = NULL, *next = NULL;
    int status = 0;
    CHECK_OK(make(h, "again", "{}", &g));
    pid_t pid = child_in(g, NULL);
    CHECK(is_in(g, pid));
    CHECK_OK(cgroup_kill(g));
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK_OK(make(h, "again", "{}", &next)); /* not removed in between, as after a crash */
    pid = child_in(next, exit_42);
    CHECK(waitpid(pid, &status, 0) == pid);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 42);
    remove_group(next);
}
