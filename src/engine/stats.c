// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/stats.h"

#include <ctype.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "cgroup/cgroup.h"
#include "os/fs.h"

enum { FILE_MAX = 1 << 20 };

/* *ret stays NULL when it cannot be read. Caller frees. */
static void read_proc(pid_t pid, const char *name, char **ret)
{
    char path[64];
    (void)snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    err_ignore(fs_read_at(AT_FDCWD, path, FILE_MAX, ret, NULL), "it has ended, or is not ours to read");
}

static uint64_t value_of(const char *text, const char *key)
{
    const char *at = text ? strstr(text, key) : NULL;
    return at ? strtoull(at + strlen(key), NULL, 10) : 0;
}

static uint64_t host_memory(void)
{
    own_mem char *text = NULL;
    err_ignore(fs_read_at(AT_FDCWD, "/proc/meminfo", FILE_MAX, &text, NULL), "no limit is shown then");
    return value_of(text, "MemTotal:") * 1024;
}

/* Every interface but the loopback: "  eth0: 1 2 3 4 5 6 7 8 9 ...", bytes in first and bytes out ninth. */
static void net_stats(pid_t pid, struct container_stats *s)
{
    own_mem char *text = NULL;
    read_proc(pid, "net/dev", &text);
    for (const char *line = text; line && *line; line = strchr(line, '\n'), line += line != NULL) {
        uint64_t in = 0, out = 0;
        const char *colon = strchr(line, ':'), *name = line + strspn(line, " ");
        if (!colon || strncmp(name, "lo:", 3) == 0)
            continue;
        if (sscanf(colon + 1, "%" SCNu64 " %*s %*s %*s %*s %*s %*s %*s %" SCNu64, &in, &out) == 2) {
            s->net_in_bytes += in;
            s->net_out_bytes += out;
        }
    }
}

/* utime and stime of a process and of its children that it has waited for: fields 14 to 17, after the name. */
static uint64_t cpu_ticks(pid_t pid)
{
    own_mem char *text = NULL;
    read_proc(pid, "stat", &text);
    const char *p = text ? strrchr(text, ')') : NULL;
    uint64_t t[4] = { 0 };
    if (p && sscanf(p + 1, " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64,
                    &t[0], &t[1], &t[2], &t[3]) != 4)
        return 0;
    return t[0] + t[1] + t[2] + t[3];
}

static fallible of_processes(const struct container *c, struct container_stats *s)
{
    own_mem pid_t *pids = NULL;
    size_t n = 0;
    TRY(runtime_pids(c->state_dir, &pids, &n));
    for (size_t i = 0; i < n; i++) {
        own_mem char *memory = NULL, *io = NULL;
        read_proc(pids[i], "smaps_rollup", &memory);
        read_proc(pids[i], "io", &io);
        s->cpu_ns += cpu_ticks(pids[i]) * (uint64_t)(1000000000 / sysconf(_SC_CLK_TCK));
        s->memory_bytes += value_of(memory, "\nPss:") * 1024;
        s->read_bytes += value_of(io, "\nread_bytes: ");
        s->write_bytes += value_of(io, "\nwrite_bytes: ");
    }
    s->pids = n;
    return NULL;
}

static fallible of_group(const char *path, struct container_stats *s)
{
    own(cgroup) struct cgroup *group = NULL;
    struct cgroup_stats g;
    TRY(cgroup_find(path, &group));
    TRY(cgroup_stats(group, &g));
    s->cpu_ns = g.cpu_usage_ns.v;
    s->memory_bytes = g.memory_bytes.v;
    if (g.memory_inactive_file_bytes.v < s->memory_bytes)
        s->memory_bytes -= g.memory_inactive_file_bytes.v;
    if (g.memory_bound_bytes.set && (uint64_t)g.memory_bound_bytes.v < s->memory_limit_bytes)
        s->memory_limit_bytes = (uint64_t)g.memory_bound_bytes.v;
    s->pids = g.pids.v;
    s->read_bytes = g.io_read_bytes.v;
    s->write_bytes = g.io_write_bytes.v;
    return NULL;
}

fallible container_stats(const struct container *c, struct container_stats *ret)
{
    own(runtime_state) struct runtime_state *state = NULL;
    struct container_stats s = { 0 };
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    s.at_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    *ret = s;
    err *e = runtime_state_read(c->state_dir, &state);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    if (state->status != RUNTIME_RUNNING && state->status != RUNTIME_PAUSED)
        return NULL;
    s.memory_limit_bytes = host_memory();
    e = state->cgroup_path ? of_group(state->cgroup_path, &s) : of_processes(c, &s);
    if (err_is(e, ERR_NOT_FOUND)) { /* it has just ended */
        err_free(e);
        return NULL;
    }
    TRY(e);
    if (!c->config || !str_eq(c->config->network, "host"))
        net_stats(state->init.pid, &s);
    *ret = s;
    return NULL;
}

double stats_cpu_percent(const struct container_stats *before, const struct container_stats *now)
{
    int64_t passed = now->at_ns - before->at_ns;
    if (passed <= 0 || now->cpu_ns < before->cpu_ns)
        return 0;
    return 100.0 * (double)(now->cpu_ns - before->cpu_ns) / (double)passed;
}
