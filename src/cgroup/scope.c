// SPDX-License-Identifier: GPL-2.0-or-later
#include "cgroup/scope.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cgroup/weight.h"
#include "os/proc.h"
#include "os/sock.h"

#define PROPERTY "org.systemd.property."

void scope_plan_clear(struct scope_plan *p)
{
    free(p->slice);
    free(p->unit);
    *p = (struct scope_plan){ 0 };
}

fallible scope_plan(const char *cgroups_path, const char *id, enum scope_manager manager, struct scope_plan *ret)
{
    own_strv struct strv parts = { 0 };
    const char *text = cgroups_path && *cgroups_path ? cgroups_path : "::";
    const char *at = text;
    for (int i = 0; i < 3; i++) {
        size_t n = strcspn(at, ":");
        strv_add_take(&parts, mem_strndup(at, n));
        at += n;
        if (i < 2 && *at++ != ':')
            return err_new(ERR_INVALID, "linux.cgroupsPath '%s': with systemd it is 'slice:prefix:name'", text);
    }
    const char *slice = parts.items[0], *prefix = parts.items[1], *name = parts.items[2];
    if (*at || strchr(slice, '/') || strchr(prefix, '/') || strchr(name, '/'))
        return err_new(ERR_INVALID, "linux.cgroupsPath '%s': with systemd it is 'slice:prefix:name'", text);
    if (*slice && !str_ends(slice, ".slice"))
        return err_new(ERR_INVALID, "linux.cgroupsPath '%s': '%s' is no name of a slice (it ends with .slice)", text,
                       slice);
    bool default_name = !*name;
    ret->manager = manager;
    ret->slice = mem_strdup(*slice ? slice : manager == SCOPE_USER ? "user.slice" : "system.slice");
    if (!*prefix && !default_name && (str_ends(name, ".scope")))
        ret->unit = mem_strdup(name);
    else if (!*prefix && !default_name)
        ret->unit = mem_printf("%s.scope", name);
    else
        ret->unit = mem_printf("%s-%s.scope", *prefix ? prefix : "husk", default_name ? id : name);
    return NULL;
}

/* ---- properties ---- */

static void add_u64(struct strv *to, const char *name, uint64_t v)
{
    strv_add_printf(to, "%s=uint64 %llu", name, (unsigned long long)v);
}
static void add_limit(struct strv *to, const char *name, struct opt_i64 v)
{
    if (v.set && v.v != 0)
        add_u64(to, name, v.v < 0 ? UINT64_MAX : (uint64_t)v.v);
}

static void add_memory(struct strv *to, bool v2, const struct oci_memory *m)
{
    add_limit(to, v2 ? "MemoryMax" : "MemoryLimit", m->limit);
    if (!v2)
        return;
    add_limit(to, "MemoryLow", m->reservation);
    if (m->swap.set && m->swap.v < 0)
        add_u64(to, "MemorySwapMax", UINT64_MAX);
    else if (m->swap.set && m->limit.set && m->limit.v > 0 && m->swap.v >= m->limit.v)
        add_u64(to, "MemorySwapMax", (uint64_t)(m->swap.v - m->limit.v));
}

/* systemd counts in hundredths of a CPU, rounded up here, as runc does: a limit is never harder than asked. */
static void add_quota(struct strv *to, const struct oci_cpu *c)
{
    enum { USEC = 1000000, STEP = 10000 };
    uint64_t period = c->period.set && c->period.v ? c->period.v : 100000;
    if (c->period.set && c->period.v)
        add_u64(to, "CPUQuotaPeriodUSec", period);
    if (!c->quota.set || c->quota.v == 0)
        return;
    uint64_t per_second = UINT64_MAX;
    if (c->quota.v > 0) {
        per_second = (uint64_t)c->quota.v * USEC / period;
        per_second = (per_second + STEP - 1) / STEP * STEP;
    }
    add_u64(to, "CPUQuotaPerSecUSec", per_second);
}

/* "0-2,5" as a mask of bytes, lowest first. */
static fallible add_list(struct strv *to, const char *name, const char *list)
{
    enum { CPUS_MAX = 8192 };
    unsigned char mask[CPUS_MAX / 8] = { 0 };
    size_t used = 0;
    own_str struct str text = { 0 };
    if (!list || !*list)
        return NULL;
    for (const char *at = list; *at;) {
        char *end = NULL;
        unsigned long first = strtoul(at, &end, 10), last = first;
        bool digits = end != at;
        if (digits && *end == '-') {
            at = end + 1;
            last = strtoul(at, &end, 10);
            digits = end != at;
        }
        if (!digits || last >= CPUS_MAX || first > last || (*end && *end != ','))
            return err_new(ERR_INVALID, "'%s' is no list of CPUs or memory nodes", list);
        for (; first <= last; first++)
            mask[first / 8] |= (unsigned char)(1u << first % 8);
        used = last / 8 + 1 > used ? last / 8 + 1 : used;
        at = end + (*end == ',');
    }
    str_printf(&text, "%s=@ay [", name);
    for (size_t i = 0; i < used; i++)
        str_printf(&text, "%sbyte %u", i ? ", " : "", mask[i]);
    str_add_char(&text, ']');
    strv_add_take(to, str_take(&text));
    return NULL;
}

static fallible add_cpu(struct strv *to, bool v2, const struct oci_cpu *c)
{
    if (c->shares.set && c->shares.v)
        add_u64(to, v2 ? "CPUWeight" : "CPUShares", v2 ? weight_of_shares(c->shares.v) : c->shares.v);
    add_quota(to, c);
    if (!v2)
        return NULL;
    TRY(add_list(to, "AllowedCPUs", c->cpus));
    return add_list(to, "AllowedMemoryNodes", c->mems);
}

/* Those of v2's files that systemd has a property for, as plain numbers or "max". */
static void add_unified(struct strv *to, const struct strmap *unified)
{
    static const struct {
        const char *file, *property;
    } known[] = {
        { "memory.min", "MemoryMin" },          { "memory.low", "MemoryLow" }, { "memory.high", "MemoryHigh" },
        { "memory.max", "MemoryMax" },          { "pids.max", "TasksMax" },    { "cpu.weight", "CPUWeight" },
        { "memory.swap.max", "MemorySwapMax" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        const char *value = strmap_get(unified, known[i].file);
        uint64_t v = UINT64_MAX;
        if (!value)
            continue;
        err *e = str_eq(value, "max") ? NULL : parse_u64(value, UINT64_MAX, &v);
        if (!e)
            add_u64(to, known[i].property, v);
        err_ignore(e, "the file itself will say what is wrong with it");
    }
}

/* runc's rule: systemd's files have seconds where D-Bus has microseconds ("TimeoutStopSec", "TimeoutStopUSec"). */
static fallible add_annotation(struct strv *to, const char *name, const char *value)
{
    double seconds = 0;
    char *end = NULL;
    size_t n = strlen(name);
    if (!n || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789") != n)
        return err_new(ERR_INVALID, "annotation " PROPERTY "%s: no name of a property", name);
    if (n < 4 || !str_ends(name, "Sec") || str_ends(name, "USec")) {
        strv_add_printf(to, "%s=%s", name, value);
        return NULL;
    }
    const char *number = value;
    number += strcspn(number, " ") < strlen(number) && *number >= 'a' ? strcspn(number, " ") + 1 : 0; /* "uint64 5" */
    seconds = strtod(number, &end);
    if (end == number || *end || seconds < 0 || seconds > 1e12)
        return err_new(ERR_INVALID, "annotation " PROPERTY "%s: '%s' is no number of seconds", name, value);
    strv_add_printf(to, "%.*sUSec=uint64 %llu", (int)(n - 3), name, (unsigned long long)(seconds * 1e6));
    return NULL;
}

fallible scope_properties(bool v2, const struct oci_resources *r, const struct strmap *annotations,
                          struct strv *ret_properties)
{
    struct strv *to = ret_properties;
    if (r && r->memory)
        add_memory(to, v2, r->memory);
    if (r && r->cpu)
        TRY(add_cpu(to, v2, r->cpu));
    if (r && r->pids && r->pids->limit.set && r->pids->limit.v != 0)
        add_limit(to, "TasksMax", r->pids->limit);
    if (r && r->block_io && r->block_io->weight.set && r->block_io->weight.v)
        add_u64(to, v2 ? "IOWeight" : "BlockIOWeight",
                v2 ? weight_of_blkio(r->block_io->weight.v) : r->block_io->weight.v);
    if (r && v2)
        add_unified(to, &r->unified);
    for (size_t i = 0; annotations && i < annotations->n; i++)
        if (str_starts(annotations->items[i].key, PROPERTY))
            TRY(add_annotation(to, annotations->items[i].key + strlen(PROPERTY), annotations->items[i].value));
    return NULL;
}

/* ---- the helper ---- */

void scope_hold_clear(struct scope_hold *h)
{
    int status = 0;
    close_now(&h->sock); /* its sign to leave */
    if (h->pidfd >= 0)
        err_ignore(proc_wait(h->pidfd, 10000, &status), "it has nothing more to say");
    close_now(&h->pidfd);
}

static fallible read_answer(int sock, char **ret_path)
{
    char message[1 + ERR_ENCODED_MAX + 1];
    size_t n = 0;
    TRY(sock_recv(sock, message, sizeof message - 1, &n, NULL, 0, NULL));
    if (n == 0)
        return err_new(ERR_UNAVAILABLE, "husk-systemd ended without an answer");
    if (message[0] == SCOPE_SAYS_ERROR)
        return err_decode(message + 1, n - 1);
    message[n] = '\0';
    *ret_path = mem_strdup(message + 1);
    return NULL;
}

static fallible call(enum scope_manager manager, const char *verb, const char *unit, const struct strv *words,
                     char **ret_path, struct scope_hold *ret_hold)
{
    own_mem char *program = NULL;
    own_strv struct strv argv = { 0 };
    int pair[2];
    struct scope_hold hold = SCOPE_HOLD_NONE;
    if (manager == SCOPE_SYSTEM && access("/run/systemd/system", F_OK) < 0)
        return err_new(ERR_UNSUPPORTED, "systemd does not run this host: leave control groups to husk (cgroupfs)");
    TRY(self_find_program("husk-systemd", &program));
    strv_add(&argv, program);
    strv_add(&argv, verb);
    strv_add(&argv, manager == SCOPE_USER ? "user" : "system");
    strv_add(&argv, unit);
    for (size_t i = 0; words && i < words->n; i++)
        strv_add(&argv, words->items[i]);
    TRY(sock_pair(pair));
    own_fd int theirs = pair[1];
    hold.sock = pair[0];
    const struct spawn s = { .argv = argv.items, .stdin_fd = theirs, .stdout_fd = -1, .stderr_fd = -1 };
    err *e = spawn_start(&s, &hold.pidfd);
    close_now(&theirs);
    if (!e)
        e = read_answer(hold.sock, ret_path);
    if (!e && ret_hold) {
        *ret_hold = hold;
        return NULL;
    }
    scope_hold_clear(&hold);
    return e;
}

fallible scope_start(const struct scope_plan *p, const char *description, const struct strv *properties,
                     char **ret_path, struct scope_hold *ret_hold)
{
    own_strv struct strv words = { 0 };
    strv_add(&words, p->slice);
    strv_add(&words, description);
    for (size_t i = 0; i < properties->n; i++)
        strv_add(&words, properties->items[i]);
    return err_wrap(call(p->manager, "start", p->unit, &words, ret_path, ret_hold), "systemd: scope '%s'", p->unit);
}

fallible scope_set(enum scope_manager manager, const char *unit, const struct strv *properties)
{
    own_mem char *path = NULL;
    if (!properties->n)
        return NULL;
    return err_wrap(call(manager, "set", unit, properties, &path, NULL), "systemd: scope '%s'", unit);
}

fallible scope_attach(enum scope_manager manager, const char *unit, const char *below, pid_t pid)
{
    own_mem char *path = NULL;
    own_strv struct strv words = { 0 };
    strv_add_printf(&words, "%d", (int)pid);
    strv_add(&words, below ? below : "");
    return err_wrap(call(manager, "attach", unit, &words, &path, NULL), "systemd: scope '%s'", unit);
}

fallible scope_stop(enum scope_manager manager, const char *unit)
{
    own_mem char *path = NULL;
    return err_wrap(call(manager, "stop", unit, NULL, &path, NULL), "systemd: scope '%s'", unit);
}
