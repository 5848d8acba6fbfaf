// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "cgroup/group.h"
#include "cgroup/weight.h"
#include "os/fs.h"

/*
 * A row's value, as text for its file: empty when it was not asked for; several lines are several writes.
 * p: where it goes, for the few values that depend on what the group has now.
 */
typedef err *value_fn(const struct part *p, const struct oci_resources *r, struct str *out);

struct limit {
    const char *controller; /* as both halves call it, but for blkio, which v2 calls io */
    const char *what;       /* for messages: the option that users know */
    const char *v1, *v2;    /* file; NULL: that half has no such thing; "A|B": the first that is there */
    value_fn *v1_value, *v2_value;
};

/* ---- values ---- */

static bool given(struct opt_i64 v)
{
    return v.set && v.v != 0; /* 0: every runtime's documents use it for "not set" here */
}

static void add_i64(struct str *out, int64_t v)
{
    str_printf(out, "%lld", (long long)v);
}
static void add_u64(struct str *out, uint64_t v)
{
    str_printf(out, "%llu", (unsigned long long)v);
}
static void add_max(struct str *out, int64_t v)
{
    if (v < 0)
        str_add(out, "max");
    else
        add_i64(out, v);
}

#define VALUE(name)                                                                                                    \
    static err *name(const struct part *p __attribute__((unused)), const struct oci_resources *r,                      \
                     struct str *out __attribute__((unused)))
/* A plain number of a section, in v1's and v2's spelling. */
#define VALUE_PLAIN(name, section, field, asked, add)                                                                  \
    VALUE(name)                                                                                                        \
    {                                                                                                                  \
        if (r->section && asked(r->section->field))                                                                    \
            add(out, r->section->field.v);                                                                             \
        return NULL;                                                                                                   \
    }
#define IS_SET(opt)   ((opt).set)
#define NOT_ZERO(opt) ((opt).set && (opt).v != 0)
#define A_LIMIT(opt)  ((opt).set && (opt).v > 0)

VALUE_PLAIN(memory_limit_v1, memory, limit, given, add_i64)
VALUE_PLAIN(memory_limit_v2, memory, limit, given, add_max)
VALUE_PLAIN(memory_reservation_v1, memory, reservation, given, add_i64)
VALUE_PLAIN(memory_reservation_v2, memory, reservation, given, add_max)
VALUE_PLAIN(memory_swap_v1, memory, swap, given, add_i64)
VALUE_PLAIN(memory_kernel, memory, kernel, given, add_i64)
VALUE_PLAIN(memory_kernel_tcp, memory, kernel_tcp, given, add_i64)
VALUE_PLAIN(memory_kernel_v2, memory, kernel, A_LIMIT, add_i64) /* "none" is what v2 has */
VALUE_PLAIN(memory_kernel_tcp_v2, memory, kernel_tcp, A_LIMIT, add_i64)
VALUE_PLAIN(memory_swappiness, memory, swappiness, IS_SET, add_u64)
VALUE_PLAIN(cpu_shares_v1, cpu, shares, NOT_ZERO, add_u64)
VALUE_PLAIN(cpu_idle, cpu, idle, IS_SET, add_i64)
VALUE_PLAIN(cpu_period_v1, cpu, period, NOT_ZERO, add_u64)
VALUE_PLAIN(cpu_quota_v1, cpu, quota, given, add_i64)
VALUE_PLAIN(cpu_burst, cpu, burst, IS_SET, add_u64)
VALUE_PLAIN(cpu_rt_period, cpu, realtime_period, NOT_ZERO, add_u64)
VALUE_PLAIN(cpu_rt_runtime, cpu, realtime_runtime, given, add_i64)
VALUE_PLAIN(pids_limit, pids, limit, IS_SET, add_max)
VALUE_PLAIN(block_leaf_weight, block_io, leaf_weight, NOT_ZERO, add_u64)
VALUE_PLAIN(block_weight_v1, block_io, weight, NOT_ZERO, add_u64)

/* v1 counts memory and swap together, v2 swap alone. */
VALUE(memory_swap_v2)
{
    const struct oci_memory *m = r->memory;
    if (!m || !given(m->swap))
        return NULL;
    if (m->swap.v < 0) {
        str_add(out, "max");
        return NULL;
    }
    if (!given(m->limit) || m->limit.v < 0)
        return err_new(ERR_INVALID, "a limit of memory and swap together needs a memory limit");
    if (m->swap.v < m->limit.v)
        return err_new(ERR_INVALID, "memory and swap together cannot be less than memory alone");
    add_i64(out, m->swap.v - m->limit.v);
    return NULL;
}

VALUE(memory_oom_v1)
{
    if (r->memory && r->memory->disable_oom_killer.set)
        str_add(out, r->memory->disable_oom_killer.v ? "1" : "0");
    return NULL;
}

VALUE(memory_hierarchy_v1)
{
    if (r->memory && r->memory->use_hierarchy.set)
        str_add(out, r->memory->use_hierarchy.v ? "1" : "0");
    return NULL;
}

/* v2 has only the one behaviour; asking for the other is an error (file NULL), asking for it is nothing to do. */
VALUE(memory_oom_v2)
{
    if (r->memory && r->memory->disable_oom_killer.set && r->memory->disable_oom_killer.v)
        str_add(out, "1");
    return NULL;
}
VALUE(memory_hierarchy_v2)
{
    if (r->memory && r->memory->use_hierarchy.set && !r->memory->use_hierarchy.v)
        str_add(out, "0");
    return NULL;
}

VALUE(cpu_weight_v2)
{
    if (r->cpu && NOT_ZERO(r->cpu->shares))
        add_u64(out, weight_of_shares(r->cpu->shares.v));
    return NULL;
}

/* "quota period" in one file. A period alone keeps the quota that is there. */
VALUE(cpu_max_v2)
{
    const struct oci_cpu *c = r->cpu;
    if (!c || (!given(c->quota) && !NOT_ZERO(c->period)))
        return NULL;
    if (given(c->quota)) {
        add_max(out, c->quota.v);
    } else {
        own_mem char *path = mem_printf("%s/cpu.max", p->dir), *now = NULL;
        err *e = p->there ? fs_read_at(AT_FDCWD, path, 256, &now, NULL) : NULL;
        err_ignore(e, "then it has no quota");
        str_add_n(out, now && *now ? now : "max", now && *now ? strcspn(now, " \n") : 3);
    }
    if (NOT_ZERO(c->period))
        str_printf(out, " %llu", (unsigned long long)c->period.v);
    return NULL;
}

VALUE(cpuset_cpus)
{
    str_add(out, r->cpu && r->cpu->cpus ? r->cpu->cpus : "");
    return NULL;
}
VALUE(cpuset_mems)
{
    str_add(out, r->cpu && r->cpu->mems ? r->cpu->mems : "");
    return NULL;
}

VALUE(block_weight_v2)
{
    if (r->block_io && NOT_ZERO(r->block_io->weight))
        add_u64(out, weight_of_blkio(r->block_io->weight.v));
    return NULL;
}
VALUE(block_weight_device)
{
    const struct oci_block_io *b = r->block_io;
    for (size_t i = 0; b && i < b->weight_device_n; i++)
        if (b->weight_device[i].weight.set)
            str_printf(out, "%lld:%lld %llu\n", (long long)b->weight_device[i].major,
                       (long long)b->weight_device[i].minor, (unsigned long long)b->weight_device[i].weight.v);
    return NULL;
}
VALUE(block_leaf_weight_device)
{
    const struct oci_block_io *b = r->block_io;
    for (size_t i = 0; b && i < b->weight_device_n; i++)
        if (b->weight_device[i].leaf_weight.set)
            str_printf(out, "%lld:%lld %llu\n", (long long)b->weight_device[i].major,
                       (long long)b->weight_device[i].minor, (unsigned long long)b->weight_device[i].leaf_weight.v);
    return NULL;
}

static void add_throttle(struct str *out, const struct oci_throttle_device *d, size_t n, const char *key)
{
    for (size_t i = 0; i < n; i++) {
        str_printf(out, "%lld:%lld %s", (long long)d[i].major, (long long)d[i].minor, key);
        if (*key && d[i].rate == 0)
            str_add(out, "max"); /* v1's way of lifting a limit */
        else
            add_u64(out, d[i].rate);
        str_add_char(out, '\n');
    }
}
#define VALUE_THROTTLE(name, field, v2_key)                                                                            \
    VALUE(name##_v1)                                                                                                   \
    {                                                                                                                  \
        if (r->block_io)                                                                                               \
            add_throttle(out, r->block_io->field, r->block_io->field##_n, "");                                         \
        return NULL;                                                                                                   \
    }                                                                                                                  \
    VALUE(name##_v2)                                                                                                   \
    {                                                                                                                  \
        if (r->block_io)                                                                                               \
            add_throttle(out, r->block_io->field, r->block_io->field##_n, v2_key);                                     \
        return NULL;                                                                                                   \
    }
VALUE_THROTTLE(read_bps, read_bps, "rbps=")
VALUE_THROTTLE(write_bps, write_bps, "wbps=")
VALUE_THROTTLE(read_iops, read_iops, "riops=")
VALUE_THROTTLE(write_iops, write_iops, "wiops=")

VALUE(net_class)
{
    if (r->network && NOT_ZERO(r->network->class_id))
        add_u64(out, r->network->class_id.v);
    return NULL;
}
VALUE(net_priorities)
{
    for (size_t i = 0; r->network && i < r->network->priorities_n; i++)
        str_printf(out, "%s %u\n", r->network->priorities[i].name, r->network->priorities[i].priority);
    return NULL;
}

VALUE(rdma_limits)
{
    const char *device = NULL;
    json_t *limits = NULL;
    json_object_foreach (r->rdma, device, limits) {
        json_t *handles = json_object_get(limits, "hcaHandles"), *objects = json_object_get(limits, "hcaObjects");
        str_add(out, device);
        if (json_is_integer(handles))
            str_printf(out, " hca_handle=%lld", (long long)json_integer_value(handles));
        if (json_is_integer(objects))
            str_printf(out, " hca_object=%lld", (long long)json_integer_value(objects));
        str_add_char(out, '\n');
    }
    return NULL;
}

/* ---- the table: rows are written in this order ---- */

/* clang-format off */
static const struct limit limits[] = {
    /* controller  what                    v1 file                               v2 file              values */
    { "memory", "hierarchical memory",     "memory.use_hierarchy",               NULL,                memory_hierarchy_v1, memory_hierarchy_v2 },
    { "memory", "--memory",                "memory.limit_in_bytes",              "memory.max",        memory_limit_v1, memory_limit_v2 },
    { "memory", "--memory-swap",           "memory.memsw.limit_in_bytes",        "memory.swap.max",   memory_swap_v1, memory_swap_v2 },
    { "memory", "--memory-reservation",    "memory.soft_limit_in_bytes",         "memory.low",        memory_reservation_v1, memory_reservation_v2 },
    { "memory", "--kernel-memory",         "memory.kmem.limit_in_bytes",         NULL,                memory_kernel, memory_kernel_v2 },
    { "memory", "a limit of TCP buffers",  "memory.kmem.tcp.limit_in_bytes",     NULL,                memory_kernel_tcp, memory_kernel_tcp_v2 },
    { "memory", "--memory-swappiness",     "memory.swappiness",                  NULL,                memory_swappiness, memory_swappiness },
    { "memory", "--oom-kill-disable",      "memory.oom_control",                 NULL,                memory_oom_v1, memory_oom_v2 },
    { "cpu",    "--cpu-shares",            "cpu.shares",                         "cpu.weight",        cpu_shares_v1, cpu_weight_v2 },
    { "cpu",    "an idle CPU class",       "cpu.idle",                           "cpu.idle",          cpu_idle, cpu_idle },
    { "cpu",    "--cpu-period",            "cpu.cfs_period_us",                  "cpu.max",           cpu_period_v1, cpu_max_v2 },
    { "cpu",    "--cpu-quota, --cpus",     "cpu.cfs_quota_us",                   "cpu.max",           cpu_quota_v1, NULL },
    { "cpu",    "a CPU burst",             "cpu.cfs_burst_us",                   "cpu.max.burst",     cpu_burst, cpu_burst },
    { "cpu",    "--cpu-rt-period",         "cpu.rt_period_us",                   NULL,                cpu_rt_period, cpu_rt_period },
    { "cpu",    "--cpu-rt-runtime",        "cpu.rt_runtime_us",                  NULL,                cpu_rt_runtime, cpu_rt_runtime },
    { "cpuset", "--cpuset-mems",           "cpuset.mems",                        "cpuset.mems",       cpuset_mems, cpuset_mems },
    { "cpuset", "--cpuset-cpus",           "cpuset.cpus",                        "cpuset.cpus",       cpuset_cpus, cpuset_cpus },
    { "pids",   "--pids-limit",            "pids.max",                           "pids.max",          pids_limit, pids_limit },
    { "blkio",  "--blkio-weight",          "blkio.bfq.weight|blkio.weight",      "io.bfq.weight|io.weight", block_weight_v1, block_weight_v2 },
    { "blkio",  "a leaf weight",           "blkio.leaf_weight",                  NULL,                block_leaf_weight, block_leaf_weight },
    { "blkio",  "--blkio-weight-device",   "blkio.bfq.weight_device|blkio.weight_device", "io.bfq.weight", block_weight_device, block_weight_device },
    { "blkio",  "a leaf weight",           "blkio.leaf_weight_device",           NULL,                block_leaf_weight_device, block_leaf_weight_device },
    { "blkio",  "--device-read-bps",       "blkio.throttle.read_bps_device",     "io.max",            read_bps_v1, read_bps_v2 },
    { "blkio",  "--device-write-bps",      "blkio.throttle.write_bps_device",    "io.max",            write_bps_v1, write_bps_v2 },
    { "blkio",  "--device-read-iops",      "blkio.throttle.read_iops_device",    "io.max",            read_iops_v1, read_iops_v2 },
    { "blkio",  "--device-write-iops",     "blkio.throttle.write_iops_device",   "io.max",            write_iops_v1, write_iops_v2 },
    { "net_cls",  "a network class",       "net_cls.classid",                    NULL,                net_class, net_class },
    { "net_prio", "a network priority",    "net_prio.ifpriomap",                 NULL,                net_priorities, net_priorities },
    { "rdma",   "an RDMA limit",           "rdma.max",                           "rdma.max",          rdma_limits, rdma_limits },
};
/* clang-format on */

/* ---- walking ---- */

static struct part *find_part(const struct cgroup *g, const char *controller)
{
    struct part *p = group_part(g, controller);
    return p || strcmp(controller, "blkio") != 0 ? p : group_part(g, "io");
}

/* The controllers that this process can use, for a message. */
static char *usable_controllers(const struct cgroup *g)
{
    own_str struct str list = { 0 };
    for (size_t i = 0; i < g->n; i++)
        for (size_t k = 0; k < g->parts[i].controllers.n; k++)
            str_printf(&list, "%s%s", list.len ? " " : "", g->parts[i].controllers.items[k]);
    return str_take(&list);
}

static fallible no_controller(const struct cgroup *g, const struct limit *l)
{
    own_mem char *have = usable_controllers(g);
    if (geteuid() != 0)
        return err_new(ERR_UNSUPPORTED,
                       "%s needs the %s controller, which is not available to user %u (available: %s): have it "
                       "delegated (with systemd: systemctl edit user@.service, Delegate=cpu cpuset io memory pids)",
                       l->what, l->controller, geteuid(), *have ? have : "none");
    return err_new(ERR_UNSUPPORTED, "%s needs the %s controller, which this host does not have (available: %s)",
                   l->what, l->controller, *have ? have : "none");
}

/* The first of "A|B" that the group has. Before it exists: the first. */
static char *pick_file(const struct part *p, const char *names)
{
    own_strv struct strv list = { 0 };
    strv_split(&list, names, '|');
    for (size_t i = 0; p->there && i < list.n; i++) {
        own_mem char *path = mem_printf("%s/%s", p->dir, list.items[i]);
        if (access(path, F_OK) == 0)
            return mem_strdup(list.items[i]);
    }
    return mem_strdup(list.items[0]);
}

static fallible each_line(const struct part *p, const char *what, const char *file, char *text, limits_each *each,
                          void *ctx)
{
    for (char *line = text; *line;) {
        size_t n = strcspn(line, "\n");
        char *next = line + n + (line[n] == '\n');
        line[n] = '\0';
        TRY(each(ctx, p, what, file, line));
        line = next;
    }
    return NULL;
}

static fallible walk_row(const struct cgroup *g, const struct limit *l, const struct oci_resources *r,
                         enum limits_when when, limits_each *each, void *ctx)
{
    own_str struct str value = { 0 };
    struct part *p = find_part(g, l->controller);
    struct part none = { .v2 = !p && group_v2(g) && g->n == 1, .dir = (char[]){ "" } };
    bool v2 = p ? p->v2 : none.v2;
    value_fn *fn = v2 ? l->v2_value : l->v1_value;
    const char *names = v2 ? l->v2 : l->v1;
    (void)when;
    if (!fn)
        return NULL;
    TRY_AS(fn(p ? p : &none, r, &value), "%s", l->what);
    if (!value.len)
        return NULL;
    if (!p)
        return no_controller(g, l);
    if (!names)
        return err_new(ERR_UNSUPPORTED, "%s is not possible with cgroup v2: its kernel interface is gone; leave it out",
                       l->what);
    own_mem char *file = pick_file(p, names);
    return each_line(p, l->what, file, value.text, each, ctx);
}

/* Source: runtime-spec, "Huge page limits". rsvd limits are of reservations, where the kernel has them. */
static fallible walk_hugetlb(const struct cgroup *g, const struct oci_resources *r, limits_each *each, void *ctx)
{
    static const struct limit row = { .controller = "hugetlb", .what = "a huge page limit" };
    const struct part *p = group_part(g, "hugetlb");
    for (size_t i = 0; i < r->hugepage_limits_n; i++) {
        const char *size = r->hugepage_limits[i].page_size;
        if (!p)
            return no_controller(g, &row);
        if (!size || !*size || strchr(size, '/'))
            return err_new(ERR_INVALID, "a huge page limit: '%s' is no page size", size ? size : "");
        static const char *const v1[] = { "limit_in_bytes", "rsvd.limit_in_bytes" };
        static const char *const v2[] = { "max", "rsvd.max" };
        for (size_t k = 0; k < 2; k++) {
            own_mem char *file = mem_printf("hugetlb.%s.%s", size, p->v2 ? v2[k] : v1[k]);
            own_mem char *path = mem_printf("%s/%s", p->dir, file);
            own_mem char *number = mem_printf("%llu", (unsigned long long)r->hugepage_limits[i].limit);
            if (k == 1 && p->there && access(path, F_OK) < 0)
                continue;
            TRY(each(ctx, p, row.what, file, number));
        }
    }
    return NULL;
}

static fallible walk_unified(const struct cgroup *g, const struct oci_resources *r, limits_each *each, void *ctx)
{
    const struct part *p = group_v2(g);
    for (size_t i = 0; i < r->unified.n; i++) {
        const char *file = r->unified.items[i].key;
        if (!p)
            return err_new(ERR_UNSUPPORTED, "unified limit '%s' needs cgroup v2, which this host does not have", file);
        if (strchr(file, '/') || !strchr(file, '.'))
            return err_new(ERR_INVALID, "unified limit '%s' is no file of a control group", file);
        own_mem char *lines = mem_strdup(r->unified.items[i].value);
        TRY(each_line(p, "a unified limit", file, lines, each, ctx));
    }
    return NULL;
}

fallible limits_walk(const struct cgroup *g, const struct oci_resources *r, enum limits_when when, limits_each *each,
                     void *ctx)
{
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++)
        TRY(walk_row(g, &limits[i], r, when, each, ctx));
    TRY(walk_hugetlb(g, r, each, ctx));
    return walk_unified(g, r, each, ctx);
}

/*
 * Which v1 hierarchies a container gets a group in from the start: each costs a directory to make, join and remove (see
 * docs/design/start.md), so only those that do something for every container: memory (OOM, statistics), devices
 * (rules), cpu (a container competes as one, however many processes it has; not one that a command waits for), and
 * freezer, pids, cpuacct and blkio where there is no v2, whose core files do the same. The last three also for whoever
 * reads v1's files. Any other is made when a limit asks for it, even later by an update, or when what runs inside may
 * divide its groups.
 */
bool limits_need(const struct cgroup_host *h, const struct part *p, const struct oci_resources *r, bool has_v2)
{
    static const struct {
        const char *controller;
        bool foreground, with_v2, for_readers; /* what it is for on a host with v2, the least first */
    } wanted[] = {
        { "memory", true, true, true },  { "pids", false, false, true },    { "cpu", false, true, true },
        { "blkio", false, false, true }, { "cpuacct", false, false, true }, { "freezer", false, false, false },
    };
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        if ((!has_v2 || (h->foreground ? wanted[i].foreground : wanted[i].with_v2) ||
             (h->v1_readers && wanted[i].for_readers)) &&
            strv_has(&p->controllers, wanted[i].controller))
            return true;
    return h->divisions || (r && r->devices_n && strv_has(&p->controllers, "devices"));
}
