// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/ioprio.h>
#include <sched.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/resource.h>

#include "base/log.h"
#include "base/opt.h"
#include "os/fs.h"
#include "os/linux.h"
#include "process/landlock.h"
#include "process/order.h"
#include "process/program.h"
#include "process/seccomp.h"

_Static_assert((int)ORDER_ERR_INVALID == ERR_INVALID && (int)ORDER_ERR_NOT_FOUND == ERR_NOT_FOUND &&
                   (int)ORDER_ERR_CONFLICT == ERR_CONFLICT && (int)ORDER_ERR_DENIED == ERR_DENIED &&
                   (int)ORDER_ERR_UNSUPPORTED == ERR_UNSUPPORTED && (int)ORDER_ERR_UNAVAILABLE == ERR_UNAVAILABLE &&
                   (int)ORDER_ERR_EXHAUSTED == ERR_EXHAUSTED && (int)ORDER_ERR_TIMEOUT == ERR_TIMEOUT &&
                   (int)ORDER_ERR_CORRUPT == ERR_CORRUPT && (int)ORDER_ERR_EXEC_MISSING == ERR_EXEC_MISSING &&
                   (int)ORDER_ERR_EXEC_DENIED == ERR_EXEC_DENIED && (int)ORDER_ERR_INTERNAL == ERR_INTERNAL,
               "order.h has the kinds of err.h");

/* The order under construction. */
struct writer {
    struct str bytes;
    struct order_head head;
    size_t row; /* where the open row begins */
};

static void keep(struct writer *w, int fd)
{
    if (fd >= 0 && w->head.keep_n < ORDER_KEEP_MAX)
        w->head.keep[w->head.keep_n++] = fd;
}

static void row_begin(struct writer *w, enum order_kind kind, const void *fixed, size_t n)
{
    struct order_row row = { .kind = (uint32_t)kind };
    w->row = w->bytes.len;
    str_add_n(&w->bytes, &row, sizeof row);
    str_add_n(&w->bytes, fixed, n);
}

static void row_end(struct writer *w)
{
    static const char zeros[8] = { 0 };
    struct order_row *row = (void *)(w->bytes.text + w->row);
    row->size = (uint32_t)(w->bytes.len - w->row - sizeof *row);
    str_add_n(&w->bytes, zeros, -w->bytes.len & 7);
}

static void row_add(struct writer *w, enum order_kind kind, const void *fixed, size_t n)
{
    row_begin(w, kind, fixed, n);
    row_end(w);
}

static void row_flag(struct writer *w, enum order_kind kind)
{
    row_add(w, kind, "", 0);
}

static void row_number(struct writer *w, enum order_kind kind, int64_t v)
{
    struct order_number number = { .v = v };
    row_add(w, kind, &number, sizeof number);
}

static void add_text(struct writer *w, const char *text)
{
    str_add_n(&w->bytes, text, strlen(text) + 1);
}

static void add_texts(struct writer *w, const struct strv *texts)
{
    for (size_t i = 0; i < texts->n; i++)
        add_text(w, texts->items[i]);
}

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
        row_add(w, ORDER_ROW_AFFINITY, bits.text, bits.len);
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
        row_add(w, ORDER_ROW_RLIMIT, &r, sizeof r);
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
        row_add(w, ORDER_ROW_RLIMIT, &r, sizeof r);
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
    row_begin(w, ORDER_ROW_JOIN, &join, sizeof join);
    for (size_t i = 0; i < p->tasks_fds_n; i++) {
        int32_t fd = p->tasks_fds[i];
        str_add_n(&w->bytes, &fd, sizeof fd);
        keep(w, fd);
    }
    row_end(w);
    keep(w, p->join_pidfd);
    keep(w, p->join_root);
    keep(w, p->cgroup_fd);
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
    row_number(w, ORDER_ROW_PERSONALITY, (int64_t)v);
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
    row_add(w, ORDER_ROW_SCHEDULER, &attr, sizeof attr);
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
    row_number(w, ORDER_ROW_IOPRIO, (int64_t)(class << IOPRIO_CLASS_SHIFT) | p->priority);
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
    row_begin(w, ORDER_ROW_MEMPOLICY, &policy, sizeof policy);
    if (bits.len)
        str_add_n(&w->bytes, bits.text, bits.len);
    row_end(w);
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
    row_begin(w, ORDER_ROW_LABEL, &label, sizeof label);
    add_text(w, text);
    row_end(w);
}

static fallible check_id(const char *what, uint64_t id)
{
    /* setuid(-1) is "leave it as it is": the program would run as whoever we are (CVE-2024-40635 and its kin). */
    if (id >= UINT32_MAX)
        return err_new(ERR_INVALID, "%s %llu is not an id: the largest is %u", what, (unsigned long long)id,
                       UINT32_MAX - 1);
    return NULL;
}

static fallible add_ids(struct writer *w, const struct program *p)
{
    static const struct oci_user root = { 0 };
    const struct oci_user *user = p->process->user ? p->process->user : &root;
    TRY(check_id("process.user.uid:", user->uid));
    TRY(check_id("process.user.gid:", user->gid));
    size_t n = json_array_size(user->additional_gids);
    if (n > ORDER_GROUPS_MAX)
        return err_new(ERR_INVALID, "process.user.additionalGids: %zu groups are more than %d", n, ORDER_GROUPS_MAX);
    if (p->keep_groups && n)
        return err_new(ERR_DENIED, "process.user.additionalGids: this user namespace may not set groups (setgroups is "
                                   "denied): install uidmap and give the user a range in /etc/subgid");
    struct order_ids ids = { .uid = user->uid,
                             .gid = user->gid,
                             .set_groups = p->keep_groups               ? ORDER_GROUPS_KEEP
                                           : p->joined_userns && n == 0 ? ORDER_GROUPS_SET_IF_ALLOWED
                                                                        : ORDER_GROUPS_SET,
                             .groups_n = (uint32_t)n };
    row_begin(w, ORDER_ROW_IDS, &ids, sizeof ids);
    for (size_t i = 0; i < n; i++) {
        json_t *v = json_array_get(user->additional_gids, i);
        if (!json_is_integer(v) || json_integer_value(v) < 0)
            return err_new(ERR_INVALID, "process.user.additionalGids[%zu] is not an id", i);
        TRY(check_id("process.user.additionalGids:", (uint64_t)json_integer_value(v)));
        uint32_t gid = (uint32_t)json_integer_value(v);
        str_add_n(&w->bytes, &gid, sizeof gid);
    }
    row_end(w);
    return NULL;
}

struct cap_sets {
    uint64_t bounding;
    struct order_caps caps;
};

static fallible subset(const char *what, uint64_t set, const char *of, uint64_t all)
{
    for (int i = 0; i < 64; i++)
        if ((set & ~all) >> i & 1)
            return err_new(ERR_INVALID, "process.capabilities.%s has %s, which %s has not", what, capability_name(i),
                           of);
    return NULL;
}

static fallible read_caps(const struct program *p, struct cap_sets *ret)
{
    const struct oci_capabilities *c = p->process->capabilities;
    *ret = (struct cap_sets){ 0 };
    if (!c)
        return NULL;
    ret->bounding = capability_mask(&c->bounding);
    ret->caps.effective = capability_mask(&c->effective);
    ret->caps.permitted = capability_mask(&c->permitted);
    ret->caps.inheritable = capability_mask(&c->inheritable);
    ret->caps.ambient = capability_mask(&c->ambient);
    TRY(subset("effective", ret->caps.effective, "permitted", ret->caps.permitted));
    TRY(subset("inheritable", ret->caps.inheritable, "bounding", ret->bounding));
    /* What the kernel cannot raise is not raised; `runc spec` itself writes such documents, so no more than a word. */
    uint64_t possible = ret->caps.ambient & ret->caps.permitted & ret->caps.inheritable;
    if (possible != ret->caps.ambient)
        log_info("ambient capabilities that are not permitted and inheritable as well are left out");
    ret->caps.ambient = possible;
    return NULL;
}

/* The specification: what cannot be granted is a warning. A new user namespace has all of them. */
static fallible grantable(const struct program *p, struct cap_sets *sets)
{
    uint64_t have = 0, wanted = sets->bounding | sets->caps.permitted;
    if (p->own_userns)
        return NULL;
    TRY(capability_bounding_of(wanted | sets->caps.effective | sets->caps.inheritable | sets->caps.ambient, &have));
    uint64_t lost = wanted & ~have;
    for (int i = 0; i < 64; i++)
        if (lost >> i & 1)
            log_warn("%s is not given to the container: husk itself runs without it", capability_name(i));
    sets->bounding &= have;
    sets->caps.effective &= have;
    sets->caps.permitted &= have;
    sets->caps.inheritable &= have;
    sets->caps.ambient &= have;
    return NULL;
}

static fallible add_landlock(struct writer *w, const struct program *p)
{
    static const char zeros[8] = { 0 };
    own(landlock_rules) struct landlock_rules r = { 0 };
    const char *text = p->annotations ? strmap_get(p->annotations, LANDLOCK_ANNOTATION) : NULL;
    if (!text)
        return NULL;
    TRY_AS(landlock_rules_read(text, &r), "annotation " LANDLOCK_ANNOTATION);
    TRY(landlock_rules_fit(&r));
    if (!r.fs && !r.net && !r.scoped)
        return NULL;
    struct order_landlock order = { .fs = r.fs, .net = r.net, .scoped = r.scoped, .rules_n = (uint32_t)r.n };
    row_begin(w, ORDER_ROW_LANDLOCK, &order, sizeof order);
    for (size_t i = 0; i < r.n; i++) {
        size_t size = r.rules[i].path ? strlen(r.rules[i].path) + 1 : 0, padding = -size & 7;
        struct order_landlock_rule rule = { .access = r.rules[i].access,
                                            .port = (uint32_t)r.rules[i].port,
                                            .size = (uint32_t)(size + padding) };
        str_add_n(&w->bytes, &rule, sizeof rule);
        str_add_n(&w->bytes, r.rules[i].path ? r.rules[i].path : "", size);
        str_add_n(&w->bytes, zeros, padding);
    }
    row_end(w);
    return NULL;
}

static void add_filter(struct writer *w, const struct seccomp_filter *f)
{
    struct order_seccomp order = { .flags = f->flags, .insns_n = (uint32_t)f->n, .mute = seccomp_mutes(f) };
    row_begin(w, ORDER_ROW_SECCOMP, &order, sizeof order);
    str_add_n(&w->bytes, f->insns, f->n * sizeof *f->insns);
    row_end(w);
}

static fallible add_seccomp(struct writer *w, const struct program *p)
{
    own(seccomp_filter) struct seccomp_filter filter = { 0 };
    if (p->filter) {
        TRY_AS(seccomp_check(p->filter, p->init), "linux.seccomp");
        add_filter(w, p->filter);
    }
    if (p->filter || !p->seccomp)
        return NULL;
    TRY_AS(seccomp_compile_cached(p->seccomp, p->seccomp_cache_dir, &filter), "linux.seccomp");
    if (filter.notifies && (!p->seccomp->listener_path || !*p->seccomp->listener_path))
        return err_new(ERR_INVALID, "linux.seccomp: SCMP_ACT_NOTIFY needs listenerPath, the socket of who will answer");
    TRY_AS(seccomp_check(&filter, p->init), "linux.seccomp");
    add_filter(w, &filter);
    return NULL;
}

static fallible add_hooks(struct writer *w, const struct program *p)
{
    if (p->start_container_n > ORDER_HOOKS_MAX)
        return err_new(ERR_INVALID, "hooks.startContainer: %zu are more than %d", p->start_container_n,
                       ORDER_HOOKS_MAX);
    for (size_t i = 0; i < p->start_container_n; i++) {
        const struct oci_hook *h = &p->start_container[i];
        if (!h->path || h->path[0] != '/')
            return err_new(ERR_INVALID, "hooks.startContainer[%zu].path is not absolute", i);
        if (h->timeout.set && (h->timeout.v <= 0 || h->timeout.v > INT32_MAX))
            return err_new(ERR_INVALID, "hooks.startContainer[%zu].timeout: it must be above 0", i);
        struct order_hook hook = { .stdin_fd = p->hook_state_fd,
                                   .timeout_s = (int32_t)h->timeout.v,
                                   .args_n = (uint32_t)(h->args.n ? h->args.n : 1),
                                   .env_n = (uint32_t)h->env.n };
        row_begin(w, ORDER_ROW_HOOK, &hook, sizeof hook);
        add_text(w, h->path);
        if (!h->args.n)
            add_text(w, h->path);
        add_texts(w, &h->args);
        add_texts(w, &h->env);
        row_end(w);
    }
    if (p->start_container_n)
        keep(w, p->hook_state_fd);
    return NULL;
}

static void add_exec(struct writer *w, const struct program *p)
{
    struct order_exec exec = { .flags = p->init ? ORDER_EXEC_INIT : 0,
                               .args_n = (uint32_t)p->process->args.n,
                               .env_n = (uint32_t)p->process->env.n };
    row_begin(w, ORDER_ROW_EXEC, &exec, sizeof exec);
    add_texts(w, &p->process->args);
    add_texts(w, &p->process->env);
    row_end(w);
}

static fallible check_process(const struct oci_process *p)
{
    if (!p)
        return err_new(ERR_INVALID, "process: missing: there is nothing to run");
    if (!p->args.n)
        return err_new(ERR_INVALID, "process.args: missing: there is nothing to run");
    if (!p->cwd || p->cwd[0] != '/')
        return err_new(ERR_INVALID, "process.cwd: '%s' is not an absolute path", p->cwd ? p->cwd : "");
    if (p->console_size && (p->console_size->height > UINT16_MAX || p->console_size->width > UINT16_MAX))
        return err_new(ERR_INVALID, "process.consoleSize: %llu x %llu: a terminal has at most 65535 rows and columns",
                       (unsigned long long)p->console_size->height, (unsigned long long)p->console_size->width);
    if (p->oom_score_adj.set && (p->oom_score_adj.v < -1000 || p->oom_score_adj.v > 1000))
        return err_new(ERR_INVALID, "process.oomScoreAdj: %lld is not between -1000 and 1000",
                       (long long)p->oom_score_adj.v);
    return NULL;
}

/* Where it is and what it has: the rows of world.c. */
static fallible add_world(struct writer *w, const struct program *p)
{
    const struct oci_process *process = p->process;
    bool join = p->join_pidfd >= 0;
    if (join && process->exec_cpu_affinity)
        TRY(add_affinity(w, process->exec_cpu_affinity->initial));
    if (process->oom_score_adj.set)
        row_number(w, ORDER_ROW_OOM_SCORE, process->oom_score_adj.v);
    if (join) { /* nothing that our caller left open is ever to be found inside, not even by who may trace */
        row_number(w, ORDER_ROW_CLOSE, p->preserve_fds);
        TRY(add_join(w, p));
    }
    if (join && process->exec_cpu_affinity)
        TRY(add_affinity(w, process->exec_cpu_affinity->final));
    if (p->new_session || process->terminal)
        row_flag(w, ORDER_ROW_SESSION);
    if (process->terminal)
        row_flag(w, ORDER_ROW_TERMINAL);
    if (!join)
        row_number(w, ORDER_ROW_CLOSE, p->preserve_fds);
    if (p->new_session_keyring)
        row_flag(w, ORDER_ROW_KEYRING);
    if (process->apparmor_profile && *process->apparmor_profile)
        TRY(program_lsm_check(PROGRAM_APPARMOR, "process.apparmorProfile"));
    if (process->selinux_label && *process->selinux_label)
        TRY(program_lsm_check(PROGRAM_SELINUX, "process.selinuxLabel"));
    add_label(w, ORDER_LABEL_APPARMOR, process->apparmor_profile);
    add_label(w, ORDER_LABEL_SELINUX, process->selinux_label);
    TRY(add_personality(w, p->personality));
    TRY(add_scheduler(w, process->scheduler));
    TRY(add_ioprio(w, process->io_priority));
    TRY(add_mempolicy(w, p->memory_policy));
    return add_rlimits(w, process);
}

/* Who it is and what it may do: the rows of rights.c. */
static fallible add_rights(struct writer *w, const struct program *p)
{
    const struct oci_user *user = p->process->user;
    struct cap_sets sets;
    TRY(read_caps(p, &sets));
    TRY(grantable(p, &sets));
    if (user && user->uid)
        row_number(w, ORDER_ROW_STDIO_OWNER, user->uid);
    row_number(w, ORDER_ROW_BOUNDING, (int64_t)sets.bounding);
    TRY(add_ids(w, p));
    if (user && user->umask.set)
        row_number(w, ORDER_ROW_UMASK, (int64_t)(user->umask.v & 0777));
    row_add(w, ORDER_ROW_CAPS, &sets.caps, sizeof sets.caps);
    return NULL;
}

static fallible compile(struct writer *w, const struct program *p)
{
    TRY(check_process(p->process));
    w->head = (struct order_head){ .magic = ORDER_MAGIC, .version = ORDER_VERSION };
    str_add_n(&w->bytes, &w->head, sizeof w->head);
    TRY(add_world(w, p));
    TRY(add_rights(w, p));
    row_begin(w, ORDER_ROW_CWD, p->process->cwd, strlen(p->process->cwd) + 1);
    row_end(w);
    if (strv_getenv(&p->process->env, "LISTEN_PID"))
        row_flag(w, ORDER_ROW_LISTEN_PID);
    row_flag(w, ORDER_ROW_LOOKUP);
    if (p->start_listen_fd >= 0) {
        row_number(w, ORDER_ROW_WAIT, p->start_listen_fd);
        keep(w, p->start_listen_fd);
    }
    TRY(add_hooks(w, p));
    if (p->process->no_new_privileges)
        row_flag(w, ORDER_ROW_NNP);
    TRY(add_landlock(w, p));
    TRY(add_seccomp(w, p));
    add_exec(w, p);
    if (w->bytes.len > ORDER_SIZE_MAX)
        return err_new(ERR_INVALID, "process: arguments and environment are %zu bytes: more than any kernel takes",
                       w->bytes.len);
    w->head.size = (uint32_t)w->bytes.len;
    memcpy(w->bytes.text, &w->head, sizeof w->head);
    return NULL;
}

static void writer_free(struct writer *w)
{
    str_free(&w->bytes);
}
static inline void own_drop_writer(struct writer *w)
{
    writer_free(w);
}

fallible program_compile_bytes(const struct program *p, void **ret_bytes, size_t *ret_size)
{
    own(writer) struct writer w = { 0 };
    TRY(compile(&w, p));
    *ret_size = w.bytes.len;
    *ret_bytes = str_take(&w.bytes);
    return NULL;
}

fallible program_compile(const struct program *p, int *ret_order_fd)
{
    own(writer) struct writer w = { 0 };
    own_fd int fd = -1;
    TRY(compile(&w, p));
    TRY(fs_memfd("husk-order", &fd));
    TRY(fs_write_fd(fd, w.bytes.text, w.bytes.len, "order"));
    *ret_order_fd = take_fd(&fd);
    return NULL;
}
