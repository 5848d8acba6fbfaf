// SPDX-License-Identifier: GPL-2.0-or-later
#include "process/seccomp.h"

#include <errno.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#include <seccomp.h>

#include "process/bpf.h"
#include "process/seccomp_words.h"

/* ---- rules by number ---- */

/* What a number of one architecture gets: an unconditional action, or a list of conditional rules. */
struct entry {
    uint32_t number;
    bool conditional;
    uint32_t action;
    size_t *rules; /* indexes into compile.rules, in the document's order */
    size_t rules_n;
};
struct table {
    struct entry *entries;
    size_t n;
    uint32_t highest; /* named by the profile */
};
struct compile {
    uint32_t default_action;
    struct bpf_rule *rules; /* the conditional ones */
    size_t rules_n;
    bool notifies;
};

static void table_free(struct table *t)
{
    for (size_t i = 0; i < t->n; i++)
        free(t->entries[i].rules);
    free(t->entries);
}
static inline void own_drop_table(struct table *t)
{
    table_free(t);
}
static inline void own_drop_compile(struct compile *c)
{
    free(c->rules);
}

static struct entry *table_entry(struct table *t, uint32_t number)
{
    size_t low = 0, high = t->n;
    while (low < high) {
        size_t middle = (low + high) / 2;
        if (t->entries[middle].number < number)
            low = middle + 1;
        else
            high = middle;
    }
    if (low < t->n && t->entries[low].number == number)
        return &t->entries[low];
    if (t->n % 64 == 0)
        t->entries = mem_array(t->entries, t->n + 64, sizeof *t->entries);
    memmove(t->entries + low + 1, t->entries + low, (t->n - low) * sizeof *t->entries);
    t->entries[low] = (struct entry){ .number = number, .conditional = true };
    t->n++;
    return &t->entries[low];
}

/* The first unconditional rule wins over all. */
static void table_set(struct table *t, int number, uint32_t action)
{
    struct entry *e = table_entry(t, (uint32_t)number);
    if (e->conditional)
        e->action = action;
    e->conditional = false;
}

static void table_add_rule(struct table *t, int number, size_t rule)
{
    struct entry *e = table_entry(t, (uint32_t)number);
    e->rules = mem_array(e->rules, e->rules_n + 1, sizeof *e->rules);
    e->rules[e->rules_n++] = rule;
}

static size_t add_rule(struct compile *c, struct bpf_rule rule)
{
    c->rules = mem_array(c->rules, c->rules_n + 1, sizeof *c->rules);
    c->rules[c->rules_n] = rule;
    return c->rules_n++;
}

static fallible read_condition(const struct oci_seccomp_arg *arg, struct bpf_condition *ret)
{
    uint32_t op = 0;
    if (arg->index > 5)
        return err_new(ERR_INVALID, "args.index: %u is not between 0 and 5", arg->index);
    TRY(seccomp_operator_value(arg->op, &op));
    *ret =
        (struct bpf_condition){ .index = arg->index, .op = (enum bpf_cmp)op, .value = arg->value, .mask = UINT64_MAX };
    if (op == BPF_CMP_MASKED_EQ) {
        ret->mask = arg->value;
        ret->value = arg->value_two & arg->value;
    }
    return NULL;
}

/* Conditions on different arguments must all hold; two on the same one are alternatives, as in runc and crun. */
static bool same_index_twice(const struct oci_seccomp_rule *r)
{
    unsigned seen = 0;
    for (size_t i = 0; i < r->args_n; i++) {
        unsigned bit = 1u << (r->args[i].index & 31);
        if (seen & bit)
            return true;
        seen |= bit;
    }
    return false;
}

/* A rule of the profile, read. */
struct parsed {
    uint32_t action;
    bool redundant;    /* it says what the default says */
    size_t first, end; /* its conditional rules */
};

static fallible read_rule(struct compile *c, const struct oci_seccomp_rule *r, struct parsed *ret)
{
    bool alternatives = same_index_twice(r);
    struct bpf_rule rule = { 0 };
    TRY(seccomp_action_value("action", r->action, &r->errno_ret, &rule.action));
    *ret = (struct parsed){ .action = rule.action, .first = c->rules_n };
    ret->redundant = rule.action == c->default_action && r->args_n == 0;
    c->notifies |= rule.action == SECCOMP_RET_USER_NOTIF;
    for (size_t i = 0; i < r->args_n; i++) {
        TRY(read_condition(&r->args[i], &rule.conditions[rule.n++]));
        if (alternatives || i + 1 == r->args_n) {
            (void)add_rule(c, rule);
            rule.n = 0;
        }
    }
    ret->end = c->rules_n;
    return NULL;
}

static void add_multiplexed(struct table *t, struct compile *c, const char *name, uint32_t action)
{
    const struct seccomp_multiplexed *m = seccomp_multiplexed(name);
    struct bpf_rule rule = { .action = action, .n = 1 };
    if (!m)
        return;
    rule.conditions[0] =
        (struct bpf_condition){ .index = 0, .op = BPF_CMP_EQ, .value = m->first_argument, .mask = UINT64_MAX };
    table_add_rule(t, m->call, add_rule(c, rule));
}

static void add_name(struct table *t, struct compile *c, uint32_t arch, const char *name, const struct parsed *p)
{
    int number = seccomp_number(arch, name);
    bool plain = p->first == p->end;
    if (number >= 0 && (uint32_t)number > t->highest)
        t->highest = (uint32_t)number;
    if (p->redundant)
        return;
    if (arch == SCMP_ARCH_X86 && plain)
        add_multiplexed(t, c, name, p->action);
    if (number < 0) /* not on this architecture, or newer than we know: the default applies */
        return;
    if (plain)
        table_set(t, number, p->action);
    for (size_t i = p->first; i < p->end; i++)
        table_add_rule(t, number, i);
}

static void read_table(struct compile *c, const struct oci_seccomp *profile, const struct parsed *parsed, uint32_t arch,
                       struct table *ret)
{
    for (size_t i = 0; i < profile->syscalls_n; i++)
        for (size_t k = 0; k < profile->syscalls[i].names.n; k++)
            add_name(ret, c, arch, profile->syscalls[i].names.items[k], &parsed[i]);
}

/* ---- ranges ---- */

struct ranges {
    struct bpf_range *items;
    size_t n;
};
static inline void own_drop_ranges(struct ranges *r)
{
    free(r->items);
}

static void add_range(struct ranges *r, struct bpf_range range)
{
    struct bpf_range *last = r->n ? &r->items[r->n - 1] : NULL;
    if (last && last->from == range.from)
        r->n--, last = r->n ? last - 1 : NULL;
    if (last && !last->rules_n && !range.rules_n && last->action == range.action)
        return;
    if (r->n % 64 == 0)
        r->items = mem_array(r->items, r->n + 64, sizeof *r->items);
    r->items[r->n++] = range;
}

static void add_plain(struct ranges *r, uint32_t from, uint32_t action)
{
    add_range(r, (struct bpf_range){ .from = from, .action = action });
}

static bool is_permissive(uint32_t action)
{
    uint32_t kind = action & SECCOMP_RET_ACTION_FULL;
    return kind == SECCOMP_RET_ALLOW || kind == SECCOMP_RET_LOG || kind == SECCOMP_RET_TRACE;
}

/* The numbers from `from` on, which belong to one table; what is above the highest named looks missing. */
static void add_table(struct ranges *r, const struct compile *c, const struct table *t, uint32_t from)
{
    add_plain(r, from, c->default_action);
    for (size_t i = 0; i < t->n; i++) {
        const struct entry *e = &t->entries[i];
        if (e->conditional)
            add_range(r,
                      (struct bpf_range){
                          .from = e->number, .action = c->default_action, .rules = e->rules, .rules_n = e->rules_n });
        else
            add_plain(r, e->number, e->action);
        add_plain(r, e->number + 1, c->default_action);
    }
    if (t->highest > from && !is_permissive(c->default_action))
        add_plain(r, t->highest + 1, SECCOMP_RET_ERRNO | ENOSYS);
}

/* ---- the whole filter ---- */

enum { ARCH_LIST_MAX = 3 };

/* What this machine can run: its own architecture first. */
#if defined(__x86_64__)
static const uint32_t machine[] = { SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32 };
#elif defined(__aarch64__)
static const uint32_t machine[] = { SCMP_ARCH_AARCH64, SCMP_ARCH_ARM };
#else
#error "which architectures can this machine run?"
#endif

static fallible read_arches(const struct oci_seccomp *profile, bool ret_listed[ARCH_LIST_MAX])
{
    memset(ret_listed, 0, ARCH_LIST_MAX * sizeof *ret_listed);
    ret_listed[0] = true; /* or the program could not even exec */
    for (size_t i = 0; i < profile->architectures.n; i++) {
        uint32_t token = 0;
        TRY(seccomp_arch_value(profile->architectures.items[i], &token));
        for (size_t k = 0; k < ARRAY_SIZE(machine); k++)
            ret_listed[k] |= machine[k] == token;
    }
    return NULL;
}

static void add_arch(struct bpf_code *code, uint32_t audit_arch, const struct ranges *r, const struct compile *c,
                     enum bpf_width width)
{
    own(bpf_code) struct bpf_code block = { 0 };
    bpf_add(&block, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, nr));
    bpf_add_tree(&block, r->items, r->n, c->rules, width);
    bpf_add(code, BPF_JMP | BPF_JEQ | BPF_K, 1, 0, audit_arch);
    bpf_add(code, BPF_JMP | BPF_JA, 0, 0, (uint32_t)bpf_count(&block));
    str_add_n(&code->bytes, block.bytes.text, block.bytes.len);
}

static void add_listed(struct bpf_code *code, struct compile *c, const struct oci_seccomp *profile,
                       const struct parsed *parsed, const bool *listed, size_t i)
{
    own(table) struct table t = { 0 }, x32 = { 0 };
    own(ranges) struct ranges r = { 0 };
    read_table(c, profile, parsed, machine[i], &t);
    add_table(&r, c, &t, 0);
    if (machine[i] == SCMP_ARCH_X86_64) {
        /* x32 calls come with the same architecture and bit 30 of the number set. */
        if (listed[ARCH_LIST_MAX - 1]) {
            read_table(c, profile, parsed, SCMP_ARCH_X32, &x32);
            add_table(&r, c, &x32, SECCOMP_X32_BIT);
        } else {
            add_plain(&r, SECCOMP_X32_BIT, SECCOMP_RET_KILL_PROCESS);
        }
    }
    add_plain(&r, UINT32_MAX, c->default_action); /* -1: a tracer has cancelled the call */
    bool narrow = machine[i] == SCMP_ARCH_X86 || machine[i] == SCMP_ARCH_ARM;
    uint32_t audit = machine[i]; /* libseccomp's tokens are the kernel's AUDIT_ARCH_* */
    add_arch(code, audit, &r, c, narrow ? BPF_WIDTH_32 : BPF_WIDTH_64);
}

static fallible read_flags(const struct oci_seccomp *profile, uint32_t *ret)
{
    *ret = 0;
    for (size_t i = 0; i < profile->flags.n; i++) {
        uint32_t flag = 0;
        TRY(seccomp_flag_value(profile->flags.items[i], &flag));
        *ret |= flag;
    }
    return NULL;
}

static fallible check_notify(const struct oci_seccomp *profile, const struct parsed *parsed, uint32_t default_action)
{
    if (default_action == SECCOMP_RET_USER_NOTIF)
        return err_new(ERR_INVALID, "defaultAction: SCMP_ACT_NOTIFY cannot be it: the listener could not be handed on");
    for (size_t i = 0; i < profile->syscalls_n; i++)
        if (parsed[i].action == SECCOMP_RET_USER_NOTIF && strv_has(&profile->syscalls[i].names, "sendmsg"))
            return err_new(ERR_INVALID, "syscalls[%zu]: sendmsg cannot have SCMP_ACT_NOTIFY: it hands the listener on",
                           i);
    return NULL;
}

fallible seccomp_compile(const struct oci_seccomp *profile, struct seccomp_filter *ret)
{
    own(compile) struct compile c = { 0 };
    own(bpf_code) struct bpf_code code = { 0 };
    own_mem struct parsed *parsed = mem_array(NULL, profile->syscalls_n + 1, sizeof *parsed);
    bool listed[ARCH_LIST_MAX];
    struct seccomp_filter filter = { 0 };

    TRY(seccomp_action_value("defaultAction", profile->default_action, &profile->default_errno_ret, &c.default_action));
    TRY(read_arches(profile, listed));
    TRY(read_flags(profile, &filter.flags));
    for (size_t i = 0; i < profile->syscalls_n; i++)
        TRY_AS(read_rule(&c, &profile->syscalls[i], &parsed[i]), "syscalls[%zu]", i);
    TRY(check_notify(profile, parsed, c.default_action));

    bpf_add(&code, BPF_LD | BPF_W | BPF_ABS, 0, 0, offsetof(struct seccomp_data, arch));
    for (size_t i = 0; i < ARRAY_SIZE(machine); i++)
        if (listed[i] && machine[i] != SCMP_ARCH_X32)
            add_listed(&code, &c, profile, parsed, listed, i);
    bpf_add(&code, BPF_RET | BPF_K, 0, 0, SECCOMP_RET_KILL_PROCESS);

    bpf_share(&code);
    filter.n = bpf_count(&code);
    if (filter.n > BPF_MAXINSNS)
        return err_new(ERR_EXHAUSTED, "the filter has %zu instructions, and the kernel takes %d: use fewer conditions",
                       filter.n, BPF_MAXINSNS);
    filter.notifies = c.notifies;
    if (c.notifies) /* of one thread: TSYNC changes nothing, and the kernel refuses the pair */
        filter.flags = (filter.flags & ~(uint32_t)SECCOMP_FILTER_FLAG_TSYNC) | SECCOMP_FILTER_FLAG_NEW_LISTENER;
    else /* of a listener's answers alone; the kernel refuses it without one, and libseccomp leaves it out too */
        filter.flags &= ~(uint32_t)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
    filter.insns = (void *)str_take(&code.bytes);
    *ret = filter;
    return NULL;
}

void seccomp_filter_free(struct seccomp_filter *f)
{
    free(f->insns);
    *f = (struct seccomp_filter){ 0 };
}

static uint32_t answer(const struct seccomp_filter *f, int number)
{
    return bpf_answer(f->insns, f->n, machine[0], (uint32_t)number) & SECCOMP_RET_ACTION_FULL;
}

static bool allows(const struct seccomp_filter *f, int number)
{
    uint32_t action = answer(f, number);
    return action == SECCOMP_RET_ALLOW || action == SECCOMP_RET_LOG;
}

/* What husk-init does as process 1 once the program runs, and before that to start it. */
static fallible check_init(const struct seccomp_filter *f)
{
    static const struct {
        int number;
        bool may_fail; /* with an errno, but not kill */
        const char *name;
    } calls[] = {
        { SYS_clone, false, "clone" },
        { SYS_wait4, false, "wait4" },
        { SYS_kill, false, "kill" },
        { SYS_rt_sigtimedwait, false, "rt_sigtimedwait" },
        { SYS_rt_sigprocmask, false, "rt_sigprocmask" },
        { SYS_rt_sigaction, false, "rt_sigaction" },
        { SYS_sendto, false, "sendto" },
        { SYS_close, false, "close" },
        { SYS_exit_group, false, "exit_group" },
        { SYS_getpid, false, "getpid" },
        { SYS_capset, true, "capset" },
        { SYS_prctl, true, "prctl" },
        { SYS_setpgid, true, "setpgid" },
        { SYS_ioctl, true, "ioctl" },
        { SYS_close_range, true, "close_range" },
        { SYS_chdir, true, "chdir" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
        if (!allows(f, calls[i].number) && !(calls[i].may_fail && answer(f, calls[i].number) == SECCOMP_RET_ERRNO))
            return err_new(ERR_INVALID,
                           "the filter refuses %s, which husk-init needs as process 1: allow it, or start "
                           "the program without an init",
                           calls[i].name);
    return NULL;
}

fallible seccomp_check(const struct seccomp_filter *f, bool init)
{
    uint32_t action = answer(f, SYS_execve);
    if (!is_permissive(action) && action != SECCOMP_RET_USER_NOTIF)
        return err_new(ERR_INVALID, "the filter refuses execve, so that no program could be started: allow it");
    if (f->flags & SECCOMP_FILTER_FLAG_NEW_LISTENER && !allows(f, SYS_sendmsg))
        return err_new(ERR_INVALID, "nobody could hand on the seccomp listener (the filter must allow sendmsg)");
    return init ? check_init(f) : NULL;
}

bool seccomp_mutes(const struct seccomp_filter *f)
{
    return !allows(f, SYS_sendto) || !allows(f, SYS_exit_group);
}
