/*
 * husk-oci update: change a container's limits.
 * Compatible with: runc update, crun update.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <string.h>

#include "oci/oci.h"
#include "os/fs.h"

enum { RESOURCES_MAX = 1 << 20 };

struct update_opts {
    const char *resources, *cpuset_cpus, *cpuset_mems, *l3_cache_schema, *mem_bw_schema;
    const char *memory, *memory_reservation, *memory_swap, *kernel_memory, *kernel_memory_tcp;
    struct opt_i64 blkio_weight, cpu_period, cpu_quota, cpu_burst, cpu_share, cpu_rt_period, cpu_rt_runtime, cpu_idle,
        pids_limit;
};
#define T struct update_opts
static const struct opt update_options[] = {
    OPT_STR('r', "resources", T, resources, "FILE", "Read the limits from FILE, or - for standard input; no others"),
    OPT_I64(0, "blkio-weight", T, blkio_weight, "N", "Share of the disks' time: 10 to 1000"),
    OPT_I64(0, "cpu-period", T, cpu_period, "MICROSECONDS", "The period of --cpu-quota"),
    OPT_I64(0, "cpu-quota", T, cpu_quota, "MICROSECONDS", "CPU time in each period; -1: no limit"),
    OPT_I64(0, "cpu-burst", T, cpu_burst, "MICROSECONDS", "Unused quota that may be saved up"),
    OPT_I64(0, "cpu-share", T, cpu_share, "N", "Share of the CPUs, beside other containers (default 1024)"),
    OPT_I64(0, "cpu-rt-period", T, cpu_rt_period, "MICROSECONDS", "The period of --cpu-rt-runtime (cgroup v1)"),
    OPT_I64(0, "cpu-rt-runtime", T, cpu_rt_runtime, "MICROSECONDS", "Realtime CPU time in each period (cgroup v1)"),
    OPT_STR(0, "cpuset-cpus", T, cpuset_cpus, "LIST", "CPUs to use: 0-3,7"),
    OPT_STR(0, "cpuset-mems", T, cpuset_mems, "LIST", "Memory nodes to use"),
    OPT_STR(0, "memory", T, memory, "BYTES", "Memory limit; -1: none"),
    OPT_STR(0, "memory-reservation", T, memory_reservation, "BYTES", "Memory that is left to it when others need some"),
    OPT_STR(0, "memory-swap", T, memory_swap, "BYTES", "Limit of memory and swap together; -1: none"),
    OPT_STR(0, "kernel-memory", T, kernel_memory, "BYTES", "Obsolete: the kernel counts it as memory"),
    OPT_STR(0, "kernel-memory-tcp", T, kernel_memory_tcp, "BYTES", "Limit of TCP buffers (cgroup v1)"),
    OPT_I64(0, "cpu-idle", T, cpu_idle, "0|1", "1: run only when no other wants the CPU"),
    OPT_I64(0, "pids-limit", T, pids_limit, "N", "How many processes; -1: no limit"),
    OPT_STR(0, "l3-cache-schema", T, l3_cache_schema, "TEXT", "Share of the caches: L3:0=7f0;1=1f (resctrl)"),
    OPT_STR(0, "mem-bw-schema", T, mem_bw_schema, "TEXT", "Share of memory bandwidth: MB:0=20;1=70 (resctrl)"),
    OPT_END,
};
#undef T

static fallible read_resources(const char *path, struct oci_resources **ret)
{
    own_mem char *text = NULL;
    size_t len = 0;
    void *read = NULL;
    if (str_eq(path, "-"))
        TRY(fs_read_fd(0, "standard input", RESOURCES_MAX, &text, &len));
    else
        TRY_AS(fs_read_at(AT_FDCWD, path, RESOURCES_MAX, &text, &len), "--resources");
    TRY_AS(bind_read(&oci_resources_type, text, len, &read), "--resources");
    *ret = read;
    return NULL;
}

static fallible read_bytes(const char *option, const char *text, struct opt_i64 *ret)
{
    if (!text || !*text)
        return NULL;
    ret->set = true;
    ret->v = -1;
    if (!str_eq(text, "-1"))
        TRY_AS(parse_bytes(text, &ret->v), "%s", option);
    return NULL;
}

static fallible to_unsigned(const char *option, struct opt_i64 given, struct opt_u64 *ret)
{
    if (given.set && given.v < 0)
        return err_new(ERR_INVALID, "%s: %lld is negative", option, (long long)given.v);
    *ret = (struct opt_u64){ given.set, (uint64_t)given.v };
    return NULL;
}

static fallible read_memory(const struct update_opts *o, struct oci_memory *m)
{
    TRY(read_bytes("--memory", o->memory, &m->limit));
    TRY(read_bytes("--memory-reservation", o->memory_reservation, &m->reservation));
    TRY(read_bytes("--memory-swap", o->memory_swap, &m->swap));
    TRY(read_bytes("--kernel-memory", o->kernel_memory, &m->kernel));
    return read_bytes("--kernel-memory-tcp", o->kernel_memory_tcp, &m->kernel_tcp);
}

static fallible read_cpu(const struct update_opts *o, struct oci_cpu *c)
{
    TRY(to_unsigned("--cpu-period", o->cpu_period, &c->period));
    TRY(to_unsigned("--cpu-burst", o->cpu_burst, &c->burst));
    TRY(to_unsigned("--cpu-share", o->cpu_share, &c->shares));
    TRY(to_unsigned("--cpu-rt-period", o->cpu_rt_period, &c->realtime_period));
    c->quota = o->cpu_quota;
    c->realtime_runtime = o->cpu_rt_runtime;
    c->idle = o->cpu_idle;
    c->cpus = mem_strdup(o->cpuset_cpus);
    c->mems = mem_strdup(o->cpuset_mems);
    return NULL;
}

static fallible read_options(const struct update_opts *o, struct oci_resources *r)
{
    r->memory = mem_zalloc(sizeof *r->memory);
    r->cpu = mem_zalloc(sizeof *r->cpu);
    r->pids = mem_zalloc(sizeof *r->pids);
    r->block_io = mem_zalloc(sizeof *r->block_io);
    TRY(read_memory(o, r->memory));
    TRY(read_cpu(o, r->cpu));
    TRY(to_unsigned("--blkio-weight", o->blkio_weight, &r->block_io->weight));
    r->pids->limit = o->pids_limit;
    return NULL;
}

static bool given(const char *text)
{
    return text && *text;
}

static bool names_limits(const struct update_opts *o)
{
    const char *const texts[] = { o->resources,          o->cpuset_cpus, o->cpuset_mems,   o->memory,
                                  o->memory_reservation, o->memory_swap, o->kernel_memory, o->kernel_memory_tcp };
    const bool numbers[] = { o->blkio_weight.set, o->cpu_period.set,     o->cpu_quota.set,
                             o->cpu_burst.set,    o->cpu_share.set,      o->cpu_rt_period.set,
                             o->cpu_idle.set,     o->cpu_rt_runtime.set, o->pids_limit.set };
    bool some = false;
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
        some = some || given(texts[i]);
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        some = some || numbers[i];
    return some;
}

static fallible update_run(const void *opts, struct args args)
{
    const struct update_opts *o = opts;
    own_mem char *dir = NULL;
    struct oci_resources *r = NULL;
    TRY(oci_state_dir(args.v[0], &dir));
    const struct runtime_rdt rdt = { o->l3_cache_schema, o->mem_bw_schema };
    bool with_rdt = given(rdt.l3_cache_schema) || given(rdt.mem_bw_schema);
    if (given(o->resources))
        TRY(read_resources(o->resources, &r));
    else
        r = mem_zalloc(sizeof *r);
    err *e = given(o->resources) ? NULL : read_options(o, r);
    /* "no memory limit" without a word on swap lifts both, or the kernel would refuse (runc does the same) */
    if (!e && r->memory && r->memory->limit.set && r->memory->limit.v == -1 && !r->memory->swap.set)
        r->memory->swap = r->memory->limit;
    /* first, since it is what most machines refuse: then no limit is changed either */
    if (!e && with_rdt)
        e = err_wrap(runtime_update_rdt(dir, &rdt), "--l3-cache-schema, --mem-bw-schema");
    if (!e && (!with_rdt || names_limits(o)))
        e = runtime_update(dir, r);
    bind_free(&oci_resources_type, r);
    return e;
}

const struct command oci_cmd_update = {
    .name = "update",
    .args = "ID",
    .summary = "Change a container's limits",
    .opts = update_options,
    .opts_size = sizeof(struct update_opts),
    .min_args = 1,
    .max_args = 1,
    .fail_exit = 1,
    .run = update_run,
};
