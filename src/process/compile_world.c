// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>

#include "base/opt.h"
#include "os/fs.h"
#include "os/linux.h"
#include "process/compile.h"

/* A table of words that the configuration may use. */
struct word {
    const char *word;
    uint64_t value;
};

static fallible word_value(const struct word *words, size_t n, const char *what, const char *word, uint64_t *ret)
{
    const char *known[32];
    for (size_t i = 0; i < n; i++) {
        if (word && strcmp(words[i].word, word) == 0) {
            *ret = words[i].value;
            return NULL;
        }
        known[i] = words[i].word;
    }
    const char *near = word ? nearest_word(word, known, n) : NULL;
    return near ? err_new(ERR_INVALID, "%s: '%s' is not known: is it %s?", what, word, near)
                : err_new(ERR_INVALID, "%s: '%s' is not known", what, word ? word : "");
}

/* "0-3,7" as bits. */
static fallible parse_list(const char *what, const char *text, struct str *bits)
{
    enum { LIST_MAX = 65536 };
    own_strv struct strv parts = { 0 };
    strv_split(&parts, text, ',');
    for (size_t i = 0; i < parts.n; i++) {
        char *dash = strchr(parts.items[i], '-');
        uint64_t from = 0, to = 0;
        if (dash)
            *dash = '\0';
        TRY_AS(parse_u64(parts.items[i], LIST_MAX - 1, &from), "%s '%s'", what, text);
        to = from;
        if (dash)
            TRY_AS(parse_u64(dash + 1, LIST_MAX - 1, &to), "%s '%s'", what, text);
        if (to < from)
            return err_new(ERR_INVALID, "%s '%s': the range ends before it begins", what, text);
        while (bits->len <= to / 8)
            str_add_n(bits, "\0\0\0\0\0\0\0", 8);
        for (uint64_t n = from; n <= to; n++)
            bits->text[n / 8] = (char)(bits->text[n / 8] | 1 << n % 8);
    }
    return NULL;
}

static fallible add_affinity(struct writer *w, const char *list)
{
    own_str struct str bits = { 0 };
    if (!list)
        return NULL;
    TRY(parse_list("process.execCPUAffinity", list, &bits));
    if (bits.len)
        writer_add(w, ORDER_ROW_AFFINITY, bits.text, bits.len);
    return NULL;
}

static bool has_capability(int number)
{
    own_mem char *text = NULL;
    err *e = fs_read_at(AT_FDCWD, "/proc/self/status", 65536, &text, NULL);
    const char *at = e ? NULL : strstr(text, "\nCapEff:");
    err_ignore(e, "without /proc nothing is known to be allowed");
    return at && strtoull(at + 8, NULL, 16) >> number & 1;
}

enum { CAPABILITY_SYS_RESOURCE = 24 };

/* Only a process with CAP_SYS_RESOURCE outside of the container's user namespace raises a hard limit. */
static fallible check_raise(const struct order_rlimit *r, bool *ret_raises)
{
    struct rlimit now;
    if (getrlimit((rlimit_resource)r->resource, &now) < 0)
        return err_sys(errno, "read rlimit %s", r->name);
    *ret_raises = r->hard > now.rlim_max;
    if (*ret_raises && !has_capability(CAPABILITY_SYS_RESOURCE))
        return err_new(ERR_DENIED,
                       "rlimit %s: the hard limit asked for is above husk's own, %llu, and raising it needs "
                       "CAP_SYS_RESOURCE: ask for at most that, or start husk with a higher one",
                       r->name, (unsigned long long)now.rlim_max);
    return NULL;
}

static fallible read_rlimit(const struct oci_process *p, size_t i, struct order_rlimit *ret)
{
    int resource = 0;
    const struct oci_rlimit *from = &p->rlimits[i];
    TRY_AS(rlimit_parse(from->type ? from->type : "", &resource), "process.rlimits[%zu]", i);
    if (!str_eq(from->type, rlimit_name(resource)))
        return err_new(ERR_INVALID, "process.rlimits[%zu]: '%s' is no resource limit: is it %s?", i, from->type,
                       rlimit_name(resource));
    *ret = (struct order_rlimit){ .resource = (uint32_t)resource, .soft = from->soft, .hard = from->hard };
    snprintf(ret->name, sizeof ret->name, "%s", rlimit_name(resource));
    if (from->soft > from->hard)
        return err_new(ERR_INVALID, "rlimit %s: the soft limit %llu is above the hard one %llu", ret->name,
                       (unsigned long long)from->soft, (unsigned long long)from->hard);
    for (size_t k = 0; k < i; k++)
        if (strcasecmp(p->rlimits[k].type, from->type) == 0)
            return err_new(ERR_INVALID, "rlimit %s is given twice", ret->name);
    return NULL;
}

static fallible add_rlimits(struct writer *w, const struct oci_process *p)
{
    for (size_t i = 0; i < p->rlimits_n; i++) {
        struct order_rlimit r;
        bool raises = false;
        TRY(read_rlimit(p, i, &r));
        TRY(check_raise(&r, &raises));
        writer_add(w, ORDER_ROW_RLIMIT, &r, sizeof r);
    }
    return NULL;
}

/* Before the join, with the rights of outside: the hard limits that are above ours; the soft ones come later. */
static fallible add_raises(struct writer *w, const struct oci_process *p)
{
    for (size_t i = 0; i < p->rlimits_n; i++) {
        struct order_rlimit r;
        bool raises = false;
        TRY(read_rlimit(p, i, &r));
        TRY(check_raise(&r, &raises));
        struct rlimit now;
        if (!raises || getrlimit((rlimit_resource)r.resource, &now) < 0)
            continue;
        r.soft = now.rlim_cur;
        writer_add(w, ORDER_ROW_RLIMIT, &r, sizeof r);
    }
    return NULL;
}

fallible program_raise(const struct program *p, pid_t pid)
{
    if (!p->own_userns || !has_capability(CAPABILITY_SYS_RESOURCE))
        return NULL;
    for (size_t i = 0; i < p->process->rlimits_n; i++) {
        struct order_rlimit r;
        struct rlimit now;
        TRY(read_rlimit(p->process, i, &r));
        if (prlimit(pid, (rlimit_resource)r.resource, NULL, &now) < 0)
            return err_sys(errno, "read rlimit %s of the container", r.name);
        struct rlimit raised = { .rlim_cur = now.rlim_cur, .rlim_max = r.hard };
        if (r.hard > now.rlim_max && prlimit(pid, (rlimit_resource)r.resource, &raised, NULL) < 0)
            return err_sys(errno, "raise rlimit %s of the container", r.name);
    }
    if (p->process->oom_score_adj.set && p->process->oom_score_adj.v < 0) {
        char path[64], number[16];
        snprintf(path, sizeof path, "/proc/%d/oom_score_adj", pid);
        snprintf(number, sizeof number, "%d", (int)p->process->oom_score_adj.v);
        TRY_AS(fs_write_at(AT_FDCWD, path, number), "lower the container's OOM score");
    }
    return NULL;
}

static fallible add_join(struct writer *w, const struct program *p)
{
    struct order_join join = {
        .flags = p->join_flags,
        .pidfd = p->join_pidfd,
        .cgroup_fd = p->cgroup_fd,
        .tasks_n = (uint32_t)p->tasks_fds_n,
        .root = p->join_root,
    };
    TRY(add_raises(w, p->process));
    if (p->tasks_fds_n > ORDER_KEEP_MAX / 2)
        return err_new(ERR_INTERNAL, "%zu control groups to join are too many", p->tasks_fds_n);
    writer_begin(w, ORDER_ROW_JOIN, &join, sizeof join);
    for (size_t i = 0; i < p->tasks_fds_n; i++) {
        int32_t fd = p->tasks_fds[i];
        str_add_n(&w->bytes, &fd, sizeof fd);
        writer_keep(w, fd);
    }
    writer_end(w);
    writer_keep(w, p->join_pidfd);
    writer_keep(w, p->join_root);
    writer_keep(w, p->cgroup_fd);
    return NULL;
}

/* Source: runtime-spec config-linux.md, "Personality". */
static fallible add_personality(struct writer *w, const json_t *doc)
{
    static const struct word domains[] = { { "LINUX", PER_LINUX }, { "LINUX32", PER_LINUX32 } };
    uint64_t v = 0;
    if (!doc)
        return NULL;
    TRY(word_value(domains, ARRAY_SIZE(domains), "linux.personality.domain",
                   json_string_value(json_object_get(doc, "domain")), &v));
    if (json_array_size(json_object_get(doc, "flags")))
        return err_new(ERR_INVALID, "linux.personality.flags: the specification defines none");
    writer_number(w, ORDER_ROW_PERSONALITY, (int64_t)v);
    return NULL;
}

/* linux/sched/types.h cannot be included beside glibc's sched.h. */
struct sched_attr {
    uint32_t size, sched_policy;
    uint64_t sched_flags;
    int32_t sched_nice;
    uint32_t sched_priority;
    uint64_t sched_runtime, sched_deadline, sched_period;
    uint32_t sched_util_min, sched_util_max;
};

/* The kernel says EINVAL to most of this, clamps a nice value and ignores what another policy would read. */
static fallible check_scheduler(const struct oci_scheduler *s, uint64_t policy)
{
    bool fixed = policy == 1 || policy == 2, deadline = policy == 6;
    const char *what = "process.scheduler";
    if (s->nice.set && (s->nice.v < -20 || s->nice.v > 19))
        return err_new(ERR_INVALID, "%s.nice: %lld is not between -20 and 19", what, (long long)s->nice.v);
    if (s->nice.set && s->nice.v && policy != 0 && policy != 3)
        return err_new(ERR_INVALID, "%s.nice: is for SCHED_OTHER and SCHED_BATCH, not for %s", what, s->policy);
    if (fixed && (s->priority < 1 || s->priority > 99))
        return err_new(ERR_INVALID, "%s.priority: %lld: %s needs one between 1 and 99", what, (long long)s->priority,
                       s->policy);
    if (!fixed && s->priority)
        return err_new(ERR_INVALID, "%s.priority: is for SCHED_FIFO and SCHED_RR, not for %s", what, s->policy);
    if (!deadline && (s->runtime || s->deadline || s->period))
        return err_new(ERR_INVALID, "%s: runtime, deadline and period are for SCHED_DEADLINE, not for %s", what,
                       s->policy);
    if (deadline && (!s->runtime || s->runtime > s->deadline || (s->period && s->deadline > s->period)))
        return err_new(ERR_INVALID, "%s: SCHED_DEADLINE needs runtime <= deadline <= period, in nanoseconds", what);
    return NULL;
}

/* Source: runtime-spec config.md "scheduler"; sched_setattr(2). */
static fallible add_scheduler(struct writer *w, const struct oci_scheduler *s)
{
    static const struct word policies[] = {
        { "SCHED_OTHER", 0 }, { "SCHED_FIFO", 1 }, { "SCHED_RR", 2 },       { "SCHED_BATCH", 3 },
        { "SCHED_ISO", 4 },   { "SCHED_IDLE", 5 }, { "SCHED_DEADLINE", 6 },
    };
    static const struct word flags[] = {
        { "SCHED_FLAG_RESET_ON_FORK", 0x01 },  { "SCHED_FLAG_RECLAIM", 0x02 },
        { "SCHED_FLAG_DL_OVERRUN", 0x04 },     { "SCHED_FLAG_KEEP_POLICY", 0x08 },
        { "SCHED_FLAG_KEEP_PARAMS", 0x10 },    { "SCHED_FLAG_UTIL_CLAMP_MIN", 0x20 },
        { "SCHED_FLAG_UTIL_CLAMP_MAX", 0x40 },
    };
    uint64_t policy = 0;
    if (!s)
        return NULL;
    TRY(word_value(policies, ARRAY_SIZE(policies), "process.scheduler.policy", s->policy, &policy));
    TRY(check_scheduler(s, policy));
    struct sched_attr attr = { .size = sizeof attr,
                               .sched_policy = (uint32_t)policy,
                               .sched_nice = (int32_t)s->nice.v,
                               .sched_priority = (uint32_t)s->priority,
                               .sched_runtime = s->runtime,
                               .sched_deadline = s->deadline,
                               .sched_period = s->period };
    for (size_t i = 0; i < s->flags.n; i++) {
        uint64_t flag = 0;
        TRY(word_value(flags, ARRAY_SIZE(flags), "process.scheduler.flags", s->flags.items[i], &flag));
        attr.sched_flags |= flag;
    }
    writer_add(w, ORDER_ROW_SCHEDULER, &attr, sizeof attr);
    return NULL;
}

static fallible add_ioprio(struct writer *w, const struct oci_io_priority *p)
{
    static const struct word classes[] = {
        { "IOPRIO_CLASS_RT", IOPRIO_CLASS_RT },
        { "IOPRIO_CLASS_BE", IOPRIO_CLASS_BE },
        { "IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE },
    };
    uint64_t class = 0;
    if (!p)
        return NULL;
    TRY(word_value(classes, ARRAY_SIZE(classes), "process.ioPriority.class", p->klass, &class));
    if (p->priority < 0 || p->priority > 7)
        return err_new(ERR_INVALID, "process.ioPriority.priority: %lld is not between 0 and 7", (long long)p->priority);
    writer_number(w, ORDER_ROW_IOPRIO, (int64_t)(class << IOPRIO_CLASS_SHIFT) | p->priority);
    return NULL;
}

static const struct word policy_modes[] = {
    { "MPOL_DEFAULT", 0 },
    { "MPOL_PREFERRED", 1 },
    { "MPOL_BIND", 2 },
    { "MPOL_INTERLEAVE", 3 },
    { "MPOL_LOCAL", 4 },
    { "MPOL_PREFERRED_MANY", 5 },
    { "MPOL_WEIGHTED_INTERLEAVE", 6 },
};
static const struct word policy_flags[] = {
    { "MPOL_F_NUMA_BALANCING", 1 << 13 },
    { "MPOL_F_RELATIVE_NODES", 1 << 14 },
    { "MPOL_F_STATIC_NODES", 1 << 15 },
};

const char *program_policy_mode(size_t i)
{
    return i < ARRAY_SIZE(policy_modes) ? policy_modes[i].word : NULL;
}

const char *program_policy_flag(size_t i)
{
    return i < ARRAY_SIZE(policy_flags) ? policy_flags[i].word : NULL;
}

/* Source: runtime-spec config-linux.md, "Memory policy"; set_mempolicy(2). */
static fallible add_mempolicy(struct writer *w, const json_t *doc)
{
    own_str struct str bits = { 0 };
    uint64_t mode = 0, flag = 0;
    if (!doc)
        return NULL;
    TRY(word_value(policy_modes, ARRAY_SIZE(policy_modes), "linux.memoryPolicy.mode",
                   json_string_value(json_object_get(doc, "mode")), &mode));
    json_t *list = json_object_get(doc, "flags");
    for (size_t i = 0; i < json_array_size(list); i++) {
        TRY(word_value(policy_flags, ARRAY_SIZE(policy_flags), "linux.memoryPolicy.flags",
                       json_string_value(json_array_get(list, i)), &flag));
        mode |= flag;
    }
    const char *nodes = json_string_value(json_object_get(doc, "nodes"));
    if (nodes)
        TRY(parse_list("linux.memoryPolicy.nodes", nodes, &bits));
    struct order_mempolicy policy = { .mode = (uint32_t)mode, .bits = (uint32_t)bits.len * 8 };
    writer_begin(w, ORDER_ROW_MEMPOLICY, &policy, sizeof policy);
    if (bits.len)
        str_add_n(&w->bytes, bits.text, bits.len);
    writer_end(w);
    return NULL;
}

fallible program_lsm_check(enum program_lsm lsm, const char *what)
{
    own_mem char *text = NULL;
    bool apparmor = lsm == PROGRAM_APPARMOR;
    const char *path = apparmor ? "/sys/module/apparmor/parameters/enabled" : "/proc/filesystems";
    err *e = fs_read_at(AT_FDCWD, path, 65536, &text, NULL);
    bool there = !e && (apparmor ? text[0] == 'Y' : strstr(text, "\tselinuxfs\n") != NULL);
    err_ignore(e, "a kernel that was built without it");
    if (there)
        return NULL;
    return err_new(ERR_UNSUPPORTED, "%s needs %s, which this host runs without: leave it out", what,
                   apparmor ? "AppArmor" : "SELinux");
}

static void add_label(struct writer *w, enum order_label_kind kind, const char *text)
{
    struct order_label label = { .kind = (uint32_t)kind };
    if (!text || !*text)
        return;
    writer_begin(w, ORDER_ROW_LABEL, &label, sizeof label);
    writer_text(w, text);
    writer_end(w);
}

/* What exec will use is wrong now already. */
static fallible check_affinity(const struct oci_cpu_affinity *a)
{
    const char *const lists[] = { a ? a->initial : NULL, a ? a->final : NULL };
    for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
        own_str struct str bits = { 0 };
        if (lists[i])
            TRY(parse_list("process.execCPUAffinity", lists[i], &bits));
    }
    return NULL;
}

/* "unconfined" is what a program is where nothing confines: that needs no AppArmor. */
static fallible add_apparmor(struct writer *w, const char *profile)
{
    if (!profile || !*profile)
        return NULL;
    err *e = program_lsm_check(PROGRAM_APPARMOR, "process.apparmorProfile");
    if (e && str_eq(profile, "unconfined")) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    add_label(w, ORDER_LABEL_APPARMOR, profile);
    return NULL;
}

/* Where it is and what it has: the rows of world.c. */
fallible compile_world(struct writer *w, const struct program *p)
{
    const struct oci_process *process = p->process;
    bool join = p->join_pidfd >= 0;
    if (join && process->exec_cpu_affinity)
        TRY(add_affinity(w, process->exec_cpu_affinity->initial));
    if (!join)
        TRY(check_affinity(process->exec_cpu_affinity));
    if (process->oom_score_adj.set)
        writer_number(w, ORDER_ROW_OOM_SCORE, process->oom_score_adj.v);
    if (join) { /* nothing that our caller left open is ever to be found inside, not even by who may trace */
        writer_number(w, ORDER_ROW_CLOSE, p->preserve_fds);
        TRY(add_join(w, p));
    }
    if (join && process->exec_cpu_affinity)
        TRY(add_affinity(w, process->exec_cpu_affinity->final));
    if (p->new_session || process->terminal)
        writer_flag(w, ORDER_ROW_SESSION);
    if (process->terminal)
        writer_flag(w, ORDER_ROW_TERMINAL);
    if (!join)
        writer_number(w, ORDER_ROW_CLOSE, p->preserve_fds);
    if (p->new_session_keyring)
        writer_flag(w, ORDER_ROW_KEYRING);
    TRY(add_apparmor(w, process->apparmor_profile));
    if (process->selinux_label && *process->selinux_label)
        TRY(program_lsm_check(PROGRAM_SELINUX, "process.selinuxLabel"));
    add_label(w, ORDER_LABEL_SELINUX, process->selinux_label);
    TRY(add_personality(w, p->personality));
    TRY(add_scheduler(w, process->scheduler));
    TRY(add_ioprio(w, process->io_priority));
    TRY(add_mempolicy(w, p->memory_policy));
    return add_rlimits(w, process);
}
