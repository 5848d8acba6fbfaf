// SPDX-License-Identifier: GPL-2.0-or-later
#include "oci/stats.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/mem.h"
#include "os/fs.h"

enum { FILE_MAX = 1 << 20 };

const char *stats_dir(const struct cgroup *g, const char *controller, bool *ret_v2)
{
    const char *name = NULL, *dir = NULL, *found = NULL;
    bool v2 = false;
    for (size_t i = 0; cgroup_dir(g, i, &name, &dir, &v2); i++) {
        own_strv struct strv names = { 0 };
        strv_split(&names, name, ',');
        own_mem char *list = mem_printf("%s/cgroup.controllers", dir), *text = NULL;
        if (!v2 && strv_has(&names, controller)) {
            *ret_v2 = false;
            return dir; /* on a hybrid host the v1 half counts */
        }
        if (!v2)
            continue;
        err_ignore(fs_read_at(AT_FDCWD, list, 4096, &text, NULL), "then it has no controllers");
        own_strv struct strv have = { 0 };
        if (text)
            text[strcspn(text, "\n")] = '\0';
        strv_split(&have, text ? text : "", ' ');
        /* cpu.stat is there without its controller */
        if (strv_has(&have, controller) || str_eq(controller, "cpu"))
            found = dir;
    }
    *ret_v2 = found != NULL;
    return found;
}

/* NULL: there is no such file. */
static char *read_file(const char *dir, const char *file)
{
    char *text = NULL;
    if (!dir)
        return NULL;
    own_mem char *path = mem_printf("%s/%s", dir, file);
    err_ignore(fs_read_at(AT_FDCWD, path, FILE_MAX, &text, NULL), "not counted here");
    return text;
}

static uint64_t number(const char *dir, const char *file)
{
    own_mem char *text = read_file(dir, file);
    if (!text)
        return 0;
    return str_starts(text, "max") ? UINT64_MAX : strtoull(text, NULL, 10);
}

static uint64_t keyed(const char *text, const char *key)
{
    size_t n = strlen(key);
    for (const char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL)
        if (strncmp(at, key, n) == 0 && at[n] == ' ')
            return strtoull(at + n + 1, NULL, 10);
    return 0;
}

/* jansson has signed numbers only; what does not fit is "no limit", and runc's 2^64-1 cannot be said: 2^63-1 is. */
static json_t *count(uint64_t v)
{
    return json_integer(v > INT64_MAX ? INT64_MAX : (json_int_t)v);
}
static void add(json_t *to, const char *key, uint64_t v)
{
    json_object_set_new(to, key, count(v));
}
static void add_nonzero(json_t *to, const char *key, uint64_t v)
{
    if (v)
        add(to, key, v);
}

static json_t *psi_line(const char *text, const char *word)
{
    const char *line = strstr(text, word);
    double ten = 0, sixty = 0, all = 0;
    unsigned long long total = 0;
    if (!line || (line != text && line[-1] != '\n') ||
        sscanf(line + strlen(word), " avg10=%lf avg60=%lf avg300=%lf total=%llu", &ten, &sixty, &all, &total) != 4)
        return NULL;
    return json_pack("{s:f, s:f, s:f, s:o}", "avg10", ten, "avg60", sixty, "avg300", all, "total", count(total));
}

json_t *stats_psi(const char *text)
{
    json_t *some = text ? psi_line(text, "some") : NULL, *full = some ? psi_line(text, "full") : NULL;
    if (!some)
        return NULL;
    json_t *o = json_object();
    json_object_set_new(o, "some", some);
    json_object_set_new(
        o, "full",
        full ? full : json_pack("{s:f, s:f, s:f, s:i}", "avg10", 0.0, "avg60", 0.0, "avg300", 0.0, "total", 0));
    return o;
}

static void add_psi(json_t *to, const char *dir, const char *file)
{
    own_mem char *text = read_file(dir, file);
    json_t *psi = stats_psi(text);
    if (psi)
        json_object_set_new(to, "psi", psi);
}

/* Where v2's core files are: pressure is kept for every group, whatever controls it. */
static const char *v2_dir(const struct cgroup *g)
{
    const char *name = NULL, *dir = NULL;
    bool v2 = false;
    for (size_t i = 0; cgroup_dir(g, i, &name, &dir, &v2); i++)
        if (v2)
            return dir;
    return NULL;
}

static json_t *cpu_json(const struct cgroup *g, const struct cgroup_stats *s)
{
    bool v2 = false, acct_v2 = false;
    const char *dir = stats_dir(g, "cpu", &v2), *acct = stats_dir(g, "cpuacct", &acct_v2);
    own_mem char *stat = read_file(dir, "cpu.stat");
    own_mem char *each = acct_v2 ? NULL : read_file(acct, "cpuacct.usage_percpu");
    json_t *cpu = json_object(), *usage = json_object(), *throttling = json_object(), *percpu = json_array();
    add_nonzero(usage, "total", s->cpu_usage_ns.v);
    for (char *at = each, *end = NULL; at && *at; at = end) {
        uint64_t v = strtoull(at, &end, 10);
        if (end == at)
            break;
        json_array_append_new(percpu, count(v));
    }
    if (json_array_size(percpu))
        json_object_set(usage, "percpu", percpu);
    json_decref(percpu);
    add(usage, "kernel", s->cpu_system_ns.v);
    add(usage, "user", s->cpu_user_ns.v);
    add_nonzero(throttling, "periods", keyed(stat, "nr_periods"));
    add_nonzero(throttling, "throttledPeriods", keyed(stat, "nr_throttled"));
    add_nonzero(throttling, "throttledTime", v2 ? keyed(stat, "throttled_usec") * 1000 : keyed(stat, "throttled_time"));
    json_object_set_new(cpu, "usage", usage);
    json_object_set_new(cpu, "throttling", throttling);
    add_psi(cpu, v2_dir(g), "cpu.pressure");
    return cpu;
}

static json_t *entry(const char *dir, const char *limit, const char *usage, const char *max, const char *failures)
{
    json_t *o = json_object();
    add(o, "limit", limit ? number(dir, limit) : 0);
    add_nonzero(o, "usage", usage ? number(dir, usage) : 0);
    add_nonzero(o, "max", max ? number(dir, max) : 0);
    add(o, "failcnt", failures ? number(dir, failures) : 0);
    return o;
}

static json_t *raw_json(const char *stat)
{
    json_t *raw = json_object();
    for (const char *at = stat; at && *at;) {
        size_t key = strcspn(at, " \n"), line = strcspn(at, "\n");
        own_mem char *word = mem_strndup(at, key);
        if (key && at[key] == ' ')
            add(raw, word, strtoull(at + key + 1, NULL, 10));
        at += line + (at[line] == '\n');
    }
    return raw;
}

static json_t *memory_events(const char *dir)
{
    static const char *const words[] = { "low", "high", "max", "oom", "oom_kill", "oom_group_kill" };
    own_mem char *text = read_file(dir, "memory.events");
    json_t *o = json_object();
    for (size_t i = 0; i < ARRAY_SIZE(words); i++)
        add(o, words[i], keyed(text, words[i]));
    return o;
}

static json_t *memory_json(const struct cgroup *g)
{
    bool v2 = false;
    const char *dir = stats_dir(g, "memory", &v2);
    own_mem char *stat = read_file(dir, "memory.stat");
    json_t *m = json_object();
    add_nonzero(m, "cache", keyed(stat, v2 ? "file" : "cache"));
    if (v2) {
        json_object_set_new(m, "usage", entry(dir, "memory.max", "memory.current", "memory.peak", NULL));
        json_object_set_new(m, "swap", entry(dir, "memory.swap.max", "memory.swap.current", "memory.swap.peak", NULL));
        json_object_set_new(m, "kernel", entry(NULL, NULL, NULL, NULL, NULL));
        json_object_set_new(m, "kernelTCP", entry(NULL, NULL, NULL, NULL, NULL));
        json_object_set_new(m, "event_count", memory_events(dir));
    } else {
        json_object_set_new(m, "usage",
                            entry(dir, "memory.limit_in_bytes", "memory.usage_in_bytes", "memory.max_usage_in_bytes",
                                  "memory.failcnt"));
        json_object_set_new(m, "swap",
                            entry(dir, "memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes",
                                  "memory.memsw.max_usage_in_bytes", "memory.memsw.failcnt"));
        json_object_set_new(m, "kernel",
                            entry(dir, "memory.kmem.limit_in_bytes", "memory.kmem.usage_in_bytes",
                                  "memory.kmem.max_usage_in_bytes", "memory.kmem.failcnt"));
        json_object_set_new(m, "kernelTCP",
                            entry(dir, "memory.kmem.tcp.limit_in_bytes", "memory.kmem.tcp.usage_in_bytes",
                                  "memory.kmem.tcp.max_usage_in_bytes", "memory.kmem.tcp.failcnt"));
    }
    json_object_set_new(m, "raw", raw_json(stat));
    add_psi(m, v2_dir(g), "memory.pressure");
    return m;
}

static void add_io(json_t *to, unsigned major, unsigned minor, const char *op, uint64_t v)
{
    json_t *e = json_object();
    add_nonzero(e, "major", major);
    add_nonzero(e, "minor", minor);
    json_object_set_new(e, "op", json_string(op));
    add_nonzero(e, "value", v);
    json_array_append_new(to, e);
}

/* v1: "8:0 Read 4096" */
static json_t *blkio_v1(const char *dir, const char *file)
{
    own_mem char *text = read_file(dir, file);
    json_t *list = json_array();
    for (const char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
        unsigned major = 0, minor = 0;
        unsigned long long v = 0;
        char op[16];
        if (sscanf(at, "%u:%u %15s %llu", &major, &minor, op, &v) == 4)
            add_io(list, major, minor, op, v);
    }
    return list;
}

/* v2: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6" */
static void blkio_v2(const char *dir, json_t *bytes, json_t *operations)
{
    own_mem char *text = read_file(dir, "io.stat");
    for (const char *at = text; at && *at; at = strchr(at, '\n'), at = at ? at + 1 : NULL) {
        unsigned major = 0, minor = 0;
        unsigned long long rb = 0, wb = 0, ri = 0, wi = 0;
        if (sscanf(at, "%u:%u rbytes=%llu wbytes=%llu rios=%llu wios=%llu", &major, &minor, &rb, &wb, &ri, &wi) != 6)
            continue;
        add_io(bytes, major, minor, "Read", rb);
        add_io(bytes, major, minor, "Write", wb);
        add_io(operations, major, minor, "Read", ri);
        add_io(operations, major, minor, "Write", wi);
    }
}

static json_t *blkio_json(const struct cgroup *g)
{
    bool v2 = false, io_v2 = false;
    const char *dir = stats_dir(g, "blkio", &v2), *io = stats_dir(g, "io", &io_v2);
    json_t *o = json_object();
    json_t *bytes = dir ? blkio_v1(dir, "blkio.throttle.io_service_bytes_recursive") : json_array();
    json_t *operations = dir ? blkio_v1(dir, "blkio.throttle.io_serviced_recursive") : json_array();
    if (!dir && io)
        blkio_v2(io, bytes, operations);
    if (json_array_size(bytes))
        json_object_set(o, "ioServiceBytesRecursive", bytes);
    if (json_array_size(operations))
        json_object_set(o, "ioServicedRecursive", operations);
    json_decref(bytes);
    json_decref(operations);
    add_psi(o, v2_dir(g), "io.pressure");
    return o;
}

/* One entry per page size, by its limit's file. */
static json_t *hugetlb_json(const struct cgroup *g)
{
    bool v2 = false;
    const char *dir = stats_dir(g, "hugetlb", &v2), *end = NULL;
    json_t *all = json_object();
    own_dir DIR *list = dir ? opendir(dir) : NULL;
    for (struct dirent *e; list && (e = readdir(list));) {
        end = v2 ? ".max" : ".limit_in_bytes";
        if (!str_starts(e->d_name, "hugetlb.") || !str_ends(e->d_name, end) || strstr(e->d_name, ".rsvd."))
            continue;
        own_mem char *size = mem_strndup(e->d_name + 8, strlen(e->d_name) - 8 - strlen(end));
        own_mem char *usage = mem_printf("hugetlb.%s.%s", size, v2 ? "current" : "usage_in_bytes");
        own_mem char *max = mem_printf("hugetlb.%s.max_usage_in_bytes", size);
        own_mem char *failures = mem_printf("hugetlb.%s.%s", size, v2 ? "events" : "failcnt");
        own_mem char *events = v2 ? read_file(dir, failures) : NULL;
        json_t *o = json_object();
        add_nonzero(o, "usage", number(dir, usage));
        if (!v2)
            add_nonzero(o, "max", number(dir, max));
        add(o, "failcnt", v2 ? keyed(events, "max") : number(dir, failures));
        json_object_set_new(all, size, o);
    }
    return all;
}

/* "0-2,5" as numbers. */
static json_t *cpu_list(const char *text)
{
    json_t *list = json_array();
    for (char *at = (char *)text, *end = NULL; at && *at >= '0' && *at <= '9'; at = end + (*end == ',')) {
        unsigned long first = strtoul(at, &end, 10), last = first;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (; first <= last && json_array_size(list) < 65536; first++)
            json_array_append_new(list, json_integer((json_int_t)first));
    }
    return list;
}

static json_t *cpuset_json(const struct cgroup *g)
{
    static const char *const flags[] = { "cpu_exclusive",   "mem_hardwall",       "mem_exclusive",
                                         "memory_migrate",  "memory_spread_page", "memory_spread_slab",
                                         "memory_pressure", "sched_load_balance", "sched_relax_domain_level" };
    bool v2 = false;
    const char *dir = stats_dir(g, "cpuset", &v2);
    own_mem char *cpus = read_file(dir, v2 ? "cpuset.cpus.effective" : "cpuset.cpus");
    own_mem char *mems = read_file(dir, v2 ? "cpuset.mems.effective" : "cpuset.mems");
    json_t *o = json_object();
    if (cpus && *cpus >= '0')
        json_object_set_new(o, "cpus", cpu_list(cpus));
    if (mems && *mems >= '0')
        json_object_set_new(o, "mems", cpu_list(mems));
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
        own_mem char *file = mem_printf("cpuset.%s", flags[i]);
        own_mem char *text = v2 ? NULL : read_file(dir, file);
        json_object_set_new(o, flags[i], json_integer(text ? strtoll(text, NULL, 10) : 0));
    }
    return o;
}

json_t *stats_json(const struct cgroup *g)
{
    struct cgroup_stats s = { 0 };
    err_ignore(cgroup_stats(g, &s), "what can be read is shown");
    json_t *data = json_object(), *pids = json_object();
    add_nonzero(pids, "current", s.pids.v);
    add_nonzero(pids, "limit", s.pids_limit.set ? (uint64_t)s.pids_limit.v : 0);
    json_object_set_new(data, "cpu", cpu_json(g, &s));
    json_object_set_new(data, "cpuset", cpuset_json(g));
    json_object_set_new(data, "memory", memory_json(g));
    json_object_set_new(data, "pids", pids);
    json_object_set_new(data, "blkio", blkio_json(g));
    json_object_set_new(data, "hugetlb", hugetlb_json(g));
    json_object_set_new(data, "intel_rdt", json_object());
    json_object_set_new(data, "network_interfaces", json_null());
    return data;
}
