// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cgroup/group.h"
#include "os/fs.h"

enum { FILE_MAX = 16 << 20 };

static fallible read_file(const struct part *p, const char *file, char **ret)
{
    own_mem char *path = mem_printf("%s/%s", p->dir, file);
    return fs_read_at(AT_FDCWD, path, FILE_MAX, ret, NULL);
}

static fallible write_file(const struct part *p, const char *file, const char *value)
{
    own_mem char *path = mem_printf("%s/%s", p->dir, file);
    return fs_write_at(AT_FDCWD, path, value);
}

/* "key value" lines; false when the key is not there. */
static bool keyed(const char *text, const char *key, uint64_t *ret)
{
    size_t n = strlen(key);
    for (const char *line = text; line && *line; line = strchr(line, '\n'), line = line ? line + 1 : NULL) {
        if (strncmp(line, key, n) == 0 && line[n] == ' ') {
            *ret = strtoull(line + n + 1, NULL, 10);
            return true;
        }
    }
    return false;
}

static bool read_keyed(const struct part *p, const char *file, const char *key, uint64_t *ret)
{
    own_mem char *text = NULL;
    err *e = p && p->there ? read_file(p, file, &text) : NULL;
    err_ignore(e, "not known then");
    return text && keyed(text, key, ret);
}

static struct opt_u64 read_number(const struct part *p, const char *file)
{
    own_mem char *text = NULL;
    err *e = p && p->there ? read_file(p, file, &text) : NULL;
    err_ignore(e, "not known then");
    if (!text || *text < '0' || *text > '9')
        return (struct opt_u64){ 0 };
    return (struct opt_u64){ .set = true, .v = strtoull(text, NULL, 10) };
}

/* ---- freezing ---- */

enum { FREEZE_TIMEOUT_MS = 10000 };

static fallible part_v2_or(const struct cgroup *g, const char *v1_controller, const char *act, struct part **ret)
{
    struct part *p = group_v2(g);
    if (!p || !p->there)
        p = group_part(g, v1_controller);
    if (!p || !p->there)
        return err_new(ERR_UNSUPPORTED, "%s: the container has no control group that could: start it with one", act);
    *ret = p;
    return NULL;
}

fallible cgroup_frozen(const struct cgroup *g, bool *ret)
{
    struct part *p = NULL;
    own_mem char *text = NULL;
    uint64_t v = 0;
    *ret = false;
    TRY(part_v2_or(g, "freezer", "look whether it is paused", &p));
    if (p->v2) {
        err_ignore(g->v2_fd >= 0 ? fs_read_at(g->v2_fd, "cgroup.events", FILE_MAX, &text, NULL)
                                 : read_file(p, "cgroup.events", &text),
                   "it has gone meanwhile");
        *ret = text && keyed(text, "frozen", &v) && v;
        return NULL;
    }
    TRY(read_file(p, "freezer.state", &text));
    *ret = str_starts(text, "FROZEN");
    return NULL;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* v2 tells by POLLPRI on cgroup.events; v1 has to be asked, and is helped along by writing again (a process that was
 * between two states when it was first told stays FREEZING). */
static fallible wait_frozen(const struct cgroup *g, const struct part *p, bool wanted)
{
    own_mem char *events = mem_printf("%s/cgroup.events", p->dir);
    own_fd int fd = p->v2 ? open(events, O_RDONLY | O_CLOEXEC) : -1;
    int64_t until = now_ms() + FREEZE_TIMEOUT_MS;
    for (bool is = !wanted;;) {
        char text[128];
        struct pollfd wait = { .fd = fd, .events = POLLPRI };
        if (fd >= 0)
            (void)!pread(fd, text, sizeof text, 0); /* arms the next POLLPRI */
        TRY(cgroup_frozen(g, &is));
        if (is == wanted)
            return NULL;
        if (now_ms() > until)
            return err_new(ERR_TIMEOUT, "it did not %s within %d seconds", wanted ? "freeze" : "thaw",
                           FREEZE_TIMEOUT_MS / 1000);
        (void)poll(&wait, 1, p->v2 ? 1000 : 2);
        if (!p->v2)
            TRY(write_file(p, "freezer.state", wanted ? "FROZEN" : "THAWED"));
    }
}

fallible cgroup_freeze(const struct cgroup *g, enum cgroup_freeze how)
{
    struct part *p = NULL;
    bool freeze = how == CGROUP_FREEZE;
    const char *act = freeze ? "pause" : "resume";
    TRY(part_v2_or(g, "freezer", act, &p));
    if (p->v2)
        TRY(write_file(p, "cgroup.freeze", freeze ? "1" : "0"));
    else
        TRY(write_file(p, "freezer.state", freeze ? "FROZEN" : "THAWED"));
    err *e = wait_frozen(g, p, freeze);
    if (e && freeze) /* half frozen is worse than not at all */
        err_ignore(write_file(p, p->v2 ? "cgroup.freeze" : "freezer.state", p->v2 ? "0" : "THAWED"), "taken back");
    return e ? err_wrap(e, "%s", act) : NULL;
}

/* ---- processes ---- */

static fallible add_pids(const char *dir, const char *file, pid_t **pids, size_t *n)
{
    own_mem char *path = mem_printf("%s/%s", dir, file), *text = NULL;
    err *e = fs_read_at(AT_FDCWD, path, FILE_MAX, &text, NULL);
    int errnum = err_errno(e);
    if (errnum == ENOENT || errnum == ENODEV || errnum == EOPNOTSUPP) { /* just removed; a threaded v2 group */
        err_ignore(e, "no processes there");
        return NULL;
    }
    TRY(e);
    for (char *at = text; *at;) {
        char *end = at;
        long pid = strtol(at, &end, 10);
        if (end == at)
            break;
        if (*n % 64 == 0)
            *pids = mem_array(*pids, *n + 64, sizeof **pids);
        (*pids)[(*n)++] = (pid_t)pid;
        at = end + strspn(end, "\n");
    }
    return NULL;
}

static fallible add_pids_below(const char *dir, const char *file, pid_t **pids, size_t *n)
{
    own_strv struct strv dirs = { 0 };
    strv_add(&dirs, dir);
    for (size_t i = 0; i < dirs.n; i++) {
        own_dir DIR *list = opendir(dirs.items[i]);
        TRY(add_pids(dirs.items[i], file, pids, n));
        for (struct dirent *entry; list && (entry = readdir(list));)
            if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
                strv_add_printf(&dirs, "%s/%s", dirs.items[i], entry->d_name);
    }
    return NULL;
}

static int by_number(const void *a, const void *b)
{
    const pid_t *x = a, *y = b;
    return (*x > *y) - (*x < *y);
}

/* file: "cgroup.procs", or on v2 "cgroup.threads" */
static fallible list_pids(const struct cgroup *g, const char *file, pid_t **ret, size_t *ret_n)
{
    pid_t *pids = NULL;
    size_t n = 0;
    const struct part *p = group_v2(g);
    group_complete(g);
    for (size_t i = 0; i < g->n && !(p && p->there); i++) /* one is enough: a process is in all of them or in none */
        p = &g->parts[i];
    err *e = p && p->there ? add_pids_below(p->dir, file, &pids, &n) : NULL;
    if (e) {
        free(pids);
        return e;
    }
    if (n)
        qsort(pids, n, sizeof *pids, by_number);
    *ret = pids;
    *ret_n = n;
    return NULL;
}

fallible cgroup_pids(const struct cgroup *g, pid_t **ret, size_t *ret_n)
{
    return list_pids(g, "cgroup.procs", ret, ret_n);
}

/* Without cgroup.kill (v1, Linux before 5.14): frozen, so that nobody forks meanwhile; a signal to a frozen v1 group is
 * acted on when it thaws. What a member that could not be frozen forked is caught in the next round. */
static fallible kill_one_by_one(const struct cgroup *g)
{
    enum { ROUNDS = 100 };
    const struct timespec pause = { .tv_nsec = 5000000 };
    for (int round = 0; round < ROUNDS; round++) {
        own_mem pid_t *pids = NULL;
        size_t n = 0;
        TRY(cgroup_pids(g, &pids, &n));
        if (!n)
            return NULL;
        err_ignore(cgroup_freeze(g, CGROUP_FREEZE), "then without");
        for (size_t i = 0; i < n; i++)
            (void)kill(pids[i], SIGKILL);
        err_ignore(cgroup_freeze(g, CGROUP_THAW), "then it was not frozen");
        cgroup_thaw_v1(g);
        (void)nanosleep(&pause, NULL);
    }
    return err_new(ERR_TIMEOUT, "processes in control group '%s' do not die", g->path);
}

fallible cgroup_kill(const struct cgroup *g)
{
    struct part *v2 = group_v2(g);
    if (v2 && v2->there) {
        err *e = write_file(v2, "cgroup.kill", "1");
        if (!e) {
            cgroup_thaw_v1(g);
            return NULL;
        }
        if (err_errno(e) != ENOENT)
            return err_wrap(e, "kill the processes of a control group");
        bool gone = access(v2->dir, F_OK) < 0;
        err_ignore(e, "this kernel has no cgroup.kill");
        if (gone)
            return NULL;
    }
    return kill_one_by_one(g);
}

bool cgroup_oom_killed(const struct cgroup *g)
{
    const struct part *p = group_part(g, "memory");
    uint64_t n = 0;
    return p && read_keyed(p, p->v2 ? "memory.events" : "memory.oom_control", "oom_kill", &n) && n > 0;
}

/* ---- statistics ---- */

static struct opt_u64 keyed_scaled(const struct part *p, const char *file, const char *key, uint64_t scale)
{
    uint64_t v = 0;
    bool set = read_keyed(p, file, key, &v);
    return (struct opt_u64){ .set = set, .v = v * scale };
}

static void cpu_stats(const struct cgroup *g, struct cgroup_stats *s)
{
    struct part *v2 = group_v2(g), *v1 = group_part(g, "cpuacct");
    if (v1 && v1->there) {
        uint64_t tick_ns = 1000000000 / (uint64_t)sysconf(_SC_CLK_TCK);
        s->cpu_usage_ns = read_number(v1, "cpuacct.usage");
        s->cpu_user_ns = keyed_scaled(v1, "cpuacct.stat", "user", tick_ns);
        s->cpu_system_ns = keyed_scaled(v1, "cpuacct.stat", "system", tick_ns);
        return;
    }
    /* A core file: it counts without the cpu controller, on hybrid hosts too. */
    s->cpu_usage_ns = keyed_scaled(v2, "cpu.stat", "usage_usec", 1000);
    s->cpu_user_ns = keyed_scaled(v2, "cpu.stat", "user_usec", 1000);
    s->cpu_system_ns = keyed_scaled(v2, "cpu.stat", "system_usec", 1000);
}

/* v1 says "no limit" with a number near 2^63, v2 with "max": both are an absent limit. */
static struct opt_i64 limit_of(const struct part *p, const char *file)
{
    const uint64_t no_limit = 1ull << 62;
    struct opt_u64 v = read_number(p, file);
    return (struct opt_i64){ .set = v.set && v.v < no_limit, .v = (int64_t)v.v };
}

/* The smallest limit from the group's directory up to the mount's, which is nobody's: a pod's, or systemd's of a user.
 * A directory that is not there has its processes in the next one above. */
static struct opt_i64 smallest_limit(const struct part *p, const char *file)
{
    struct opt_i64 smallest = { 0 };
    if (!p)
        return smallest;
    own_mem char *dir = mem_strdup(p->dir);
    for (size_t top = strlen(p->mount); strlen(dir) > top; *strrchr(dir, '/') = '\0') {
        struct opt_i64 v = limit_of(&(struct part){ .dir = dir, .there = true }, file);
        if (v.set && (!smallest.set || v.v < smallest.v))
            smallest = v;
    }
    return smallest;
}

static void memory_stats(const struct cgroup *g, struct cgroup_stats *s)
{
    const struct part *p = group_part(g, "memory");
    bool v2 = p && p->v2;
    s->memory_bytes = read_number(p, v2 ? "memory.current" : "memory.usage_in_bytes");
    s->memory_peak_bytes = read_number(p, v2 ? "memory.peak" : "memory.max_usage_in_bytes");
    s->memory_limit_bytes = limit_of(p, v2 ? "memory.max" : "memory.limit_in_bytes");
    s->memory_inactive_file_bytes = keyed_scaled(p, "memory.stat", v2 ? "inactive_file" : "total_inactive_file", 1);
}

/* v1: "8:0 Read 4096"; v2: "8:0 rbytes=4096 wbytes=0 ...". */
static void io_stats(const struct cgroup *g, struct cgroup_stats *s)
{
    const struct part *v1 = group_part(g, "blkio"), *p = v1 ? v1 : group_part(g, "io");
    own_mem char *text = NULL;
    if (!p || !p->there)
        return;
    err *e = read_file(p, p->v2 ? "io.stat" : "blkio.throttle.io_service_bytes_recursive", &text);
    if (e) {
        err_ignore(e, "not known then");
        return;
    }
    const char *keys[] = { p->v2 ? "rbytes=" : "Read ", p->v2 ? "wbytes=" : "Write " };
    struct opt_u64 *sums[] = { &s->io_read_bytes, &s->io_write_bytes };
    for (size_t i = 0; i < 2; i++) {
        sums[i]->set = true;
        for (const char *at = text; (at = strstr(at, keys[i])); at += strlen(keys[i]))
            sums[i]->v += strtoull(at + strlen(keys[i]), NULL, 10);
    }
}

enum { NEAR_BYTES = 256 << 10 };

/* v2 counts "max" in memory.events each time the limit was in the way, v1 the same in memory.failcnt,
 * but not when memory and swap together are what was reached: then the peak tells, as near as per-CPU counts let it. */
void cgroup_hits(const struct cgroup *g, struct cgroup_hits *ret)
{
    const struct part *memory = group_part(g, "memory"), *pids = group_part(g, "pids");
    struct cgroup_stats s = { 0 };
    uint64_t n = 0;
    *ret = (struct cgroup_hits){ .oom_killed = cgroup_oom_killed(g) };
    memory_stats(g, &s);
    ret->memory_limit_bytes = s.memory_limit_bytes;
    ret->memory_peak_bytes = s.memory_peak_bytes;
    if (memory && memory->v2)
        ret->memory_limited = read_keyed(memory, "memory.events", "oom", &n) && n > 0;
    else
        ret->memory_limited =
            s.memory_limit_bytes.set && (read_number(memory, "memory.failcnt").v > 0 ||
                                         s.memory_peak_bytes.v + NEAR_BYTES >= (uint64_t)s.memory_limit_bytes.v);
    ret->pids_limit = limit_of(pids, "pids.max");
    if (pids && read_keyed(pids, "pids.events", "max", &n))
        ret->pids_refused = n;
}

fallible cgroup_stats(const struct cgroup *g, struct cgroup_stats *ret)
{
    const struct part *pids = group_part(g, "pids");
    *ret = (struct cgroup_stats){ 0 };
    const struct part *memory = group_part(g, "memory");
    cpu_stats(g, ret);
    memory_stats(g, ret);
    ret->memory_bound_bytes = smallest_limit(memory, memory && memory->v2 ? "memory.max" : "memory.limit_in_bytes");
    io_stats(g, ret);
    ret->pids = read_number(pids, "pids.current");
    ret->pids_limit = limit_of(pids, "pids.max");
    if (!ret->pids.set) { /* what pids.current would count */
        const struct part *v2 = group_v2(g);
        own_mem pid_t *list = NULL;
        size_t n = 0;
        TRY(list_pids(g, v2 && v2->there ? "cgroup.threads" : "cgroup.procs", &list, &n));
        ret->pids = (struct opt_u64){ .set = true, .v = n };
    }
    return NULL;
}
