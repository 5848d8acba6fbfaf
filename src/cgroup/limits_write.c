// SPDX-License-Identifier: GPL-2.0-or-later
/* limits_write.c: puts the values of limits.c into the group's files, and says in words what the kernel refuses. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "cgroup/group.h"
#include "os/fs.h"

struct writing {
    const struct cgroup *g;
    /* A write that was refused for what a later row will change (memory above memory+swap): made once more. */
    struct {
        const struct part *p;
        char *what, *file, *value;
    } again[4];
    size_t again_n;
    enum limits_when when;
};

static void writing_clear(struct writing *w)
{
    for (size_t i = 0; i < w->again_n; i++) {
        free(w->again[i].what);
        free(w->again[i].file);
        free(w->again[i].value);
    }
}
static inline void own_drop_writing(struct writing *w)
{
    writing_clear(w);
}

/* What this machine has in place of what was named; NULL where the kernel's word says all. */
static const char *instead(const char *file, int errnum)
{
    static const struct {
        const char *file, *text;
        int errnum;
    } rows[] = {
        { "hugetlb.", "sizes: ls /sys/kernel/mm/hugepages", ENOENT },
        { "rdma.max", "no RDMA device of that name is here: 'rdma dev' lists them", ENODEV },
        { "net_prio.", "no network interface of that name is here: 'ip link' lists them", ENODEV },
        { "misc.max", "what this machine has is in misc.capacity of the uppermost group", EINVAL },
        { "memory.memsw.", "memory and swap together: not less than the memory limit, which it needs", EINVAL },
        { "memory.limit_in_bytes", "-1 is no limit", EINVAL },
        { "memory.use_hierarchy", "since Linux 5.11 a group always counts those below it", EINVAL },
        { "cpu.cfs_quota_us", "a quota is 1000 microseconds or more, -1 is none", EINVAL },
        { "cpu.cfs_period_us", "a period is 1000 to 1000000 microseconds", EINVAL },
        { "cpu.cfs_burst_us", "a burst is not above the quota", EINVAL },
        { "cpu.shares", "the group is idle: --cpu-idle 0 comes first", EINVAL },
        { "cpu.weight", "the group is idle: --cpu-idle 0 comes first", EINVAL },
        { "cpu.max.burst", "a burst is not above the quota", EINVAL },
        { "cpu.max", "a quota is 1000 microseconds or more, a period 1000 to 1000000", EINVAL },
        { "cpuset.cpus", "this machine's: /sys/devices/system/cpu/online", EINVAL },
        { "cpuset.cpus", "this machine's: /sys/devices/system/cpu/online", ERANGE },
        { "cpuset.mems", "this machine's: /sys/devices/system/node/online", EINVAL },
        { "cpuset.mems", "this machine's: /sys/devices/system/node/online", ERANGE },
        { "blkio.throttle.", "no disk of these numbers is here: 'lsblk' lists them", ENODEV },
        { "io.max", "no disk of these numbers is here: 'lsblk' lists them", ENODEV },
        { "blkio.bfq.weight_device", "the disk's scheduler must be bfq: see queue/scheduler of it in /sys/block",
          EOPNOTSUPP },
        { "io.bfq.weight", "the disk's scheduler must be bfq: see queue/scheduler of it in /sys/block", EOPNOTSUPP },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (errnum == rows[i].errnum && str_starts(file, rows[i].file))
            return rows[i].text;
    return NULL;
}

/* The kernel answers only a number; what it means for this file is known here. */
static fallible explained(err *e, const char *what, const char *file, const char *value)
{
    int errnum = err_errno(e);
    const char *cure = instead(file, errnum);
    if (cure) {
        err_free(e);
        return err_new(ERR_INVALID, "%s: this machine does not take '%s' for %s (%s)", what, value, file, cure);
    }
    if (errnum == ENOENT) {
        err_free(e);
        return err_new(ERR_UNSUPPORTED, "%s: this kernel has no %s%s", what, file,
                       strstr(file, "swap") || strstr(file, "memsw") ? " (boot it with swapaccount=1)" : "");
    }
    if (errnum == EINVAL && strcmp(file, "cpu.rt_runtime_us") == 0) {
        err_free(e);
        return err_new(ERR_INVALID,
                       "%s: the group above has no realtime CPU time to give: write some into its cpu.rt_runtime_us",
                       what);
    }
    if (errnum == EBUSY && strstr(file, "memory"))
        return err_wrap(e, "%s: more than %s bytes are in use already", what, value);
    return err_wrap(e, "%s: value '%s'", what, value);
}

static fallible write_file(const struct part *p, const char *file, const char *value)
{
    own_mem char *path = mem_printf("%s/%s", p->dir, file);
    return fs_write_at(AT_FDCWD, path, value);
}

/* Since 5.16 the kernel takes a value and keeps none. */
static fallible check_kernel_memory(const struct part *p, const char *what, const char *file, const char *value)
{
    own_mem char *path = mem_printf("%s/%s", p->dir, file), *now = NULL;
    if (strcmp(file, "memory.kmem.limit_in_bytes") != 0 || value[0] == '-')
        return NULL;
    TRY(fs_read_at(AT_FDCWD, path, 64, &now, NULL));
    /* of pages: less than what was asked for, by less than one */
    int64_t asked = strtoll(value, NULL, 10), got = strtoll(now, NULL, 10);
    return got <= asked
               ? NULL
               : err_new(ERR_UNSUPPORTED,
                         "%s: Linux removed that limit in 5.16: the memory limit counts kernel memory too", what);
}

static fallible move_in(const struct cgroup *g, const struct part *to)
{
    own_mem pid_t *pids = NULL;
    size_t n = 0;
    TRY(cgroup_pids(g, &pids, &n));
    for (size_t i = 0; i < n; i++) {
        own_mem char *number = mem_printf("%d", pids[i]);
        err *e = write_file(to, "cgroup.procs", number);
        if (err_errno(e) != ESRCH)
            TRY(e);
        else
            err_ignore(e, "it has just ended");
    }
    return NULL;
}

static fallible ready_part(const struct writing *w, struct part *p, const char *file)
{
    bool made = !p->there;
    TRY(group_make_part(w->g, p));
    if (made && w->when == LIMITS_UPDATE) /* a hierarchy that the container had no need of until now */
        TRY(move_in(w->g, p));
    if (!p->v2)
        return NULL;
    own_mem char *controller = mem_strndup(file, strcspn(file, "."));
    if (strv_has(&p->controllers, controller))
        return group_enable_v2(p, w->g->path, controller);
    return NULL;
}

static err *write_limit(void *ctx, const struct part *const_part, const char *what, const char *file, const char *value)
{
    struct writing *w = ctx;
    struct part *p = &w->g->parts[const_part - w->g->parts];
    TRY_AS(ready_part(w, p, file), "%s", what);
    err *e = write_file(p, file, value);
    if (err_errno(e) == EINVAL && w->again_n < ARRAY_SIZE(w->again)) {
        err_ignore(e, "tried again when the other limits are there");
        w->again[w->again_n].p = p;
        w->again[w->again_n].what = mem_strdup(what);
        w->again[w->again_n].file = mem_strdup(file);
        w->again[w->again_n++].value = mem_strdup(value);
        return NULL;
    }
    return e ? explained(e, what, file, value) : check_kernel_memory(p, what, file, value);
}

static fallible write_again(const struct writing *w)
{
    for (size_t i = 0; i < w->again_n; i++) {
        err *e = write_file(w->again[i].p, w->again[i].file, w->again[i].value);
        if (e)
            return explained(e, w->again[i].what, w->again[i].file, w->again[i].value);
    }
    return NULL;
}

/* runtime-spec: "checkBeforeUpdate": a limit below what is in use would call the OOM killer. */
static fallible check_usage(const struct cgroup *g, const struct oci_resources *r)
{
    const struct oci_memory *m = r->memory;
    if (!m || !m->check_before_update.set || !m->check_before_update.v || !m->limit.set || m->limit.v <= 0)
        return NULL;
    struct cgroup_stats now;
    TRY(cgroup_stats(g, &now));
    if (now.memory_bytes.set && now.memory_bytes.v > (uint64_t)m->limit.v)
        return err_new(ERR_INVALID, "--memory: %llu bytes are in use, more than the new limit of %lld",
                       (unsigned long long)now.memory_bytes.v, (long long)m->limit.v);
    return NULL;
}

fallible limits_apply(const struct cgroup *g, const struct oci_resources *r, enum limits_when when)
{
    own(writing) struct writing w = { .g = g, .when = when };
    group_complete(g);
    TRY(check_usage(g, r));
    TRY(limits_walk(g, r, when, write_limit, &w));
    TRY(write_again(&w));
    return r->devices_n ? devices_apply(g, r->devices, r->devices_n) : NULL;
}

fallible cgroup_update(const struct cgroup *g, const struct oci_resources *resources)
{
    return limits_apply(g, resources, LIMITS_UPDATE);
}
