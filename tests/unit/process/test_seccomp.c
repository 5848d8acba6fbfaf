/*
 * Our filters decide as libseccomp's do: both programs are run, instruction by instruction, for every system call
 * number of every architecture and for arguments around all values that the profiles ask for.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <unistd.h>

#include <seccomp.h>

#include "generated/seccomp_containers.h"
#include "generated/seccomp_default.h"
#include "os/fs.h"
#include "process/profile.h"
#include "process/seccomp.h"
#include "test.h"

/* ---- the kernel's part ---- */

static uint32_t word_at(const struct seccomp_data *d, uint32_t offset)
{
    uint32_t v;
    assert_true(offset % 4 == 0 && offset + 4 <= sizeof *d);
    memcpy(&v, (const char *)d + offset, sizeof v);
    return v;
}

static bool jumps(uint16_t code, uint32_t a, uint32_t k)
{
    switch (BPF_OP(code)) {
    case BPF_JEQ:
        return a == k;
    case BPF_JGT:
        return a > k;
    case BPF_JGE:
        return a >= k;
    case BPF_JSET:
        return a & k;
    default:
        fail_msg("jump %#x", code);
        return false;
    }
}

static uint32_t run(const struct sock_filter *f, size_t n, const struct seccomp_data *d)
{
    uint32_t a = 0;
    for (size_t pc = 0; pc < n; pc++) {
        const struct sock_filter *i = &f[pc];
        switch (BPF_CLASS(i->code)) {
        case BPF_LD:
            a = word_at(d, i->k);
            break;
        case BPF_ALU:
            assert_int_equal(i->code, BPF_ALU | BPF_AND | BPF_K);
            a &= i->k;
            break;
        case BPF_JMP:
            pc += BPF_OP(i->code) == BPF_JA ? i->k : jumps(i->code, a, i->k) ? i->jt : i->jf;
            break;
        case BPF_RET:
            return i->k;
        default:
            fail_msg("instruction %#x", i->code);
        }
    }
    fail_msg("the filter does not return");
    return 0;
}

/* ---- libseccomp's filter for one architecture ---- */

static uint32_t scmp_action(const char *word, struct opt_u64 errno_ret)
{
    if (strcmp(word, "SCMP_ACT_ALLOW") == 0)
        return SCMP_ACT_ALLOW;
    assert_string_equal(word, "SCMP_ACT_ERRNO");
    return SCMP_ACT_ERRNO((uint32_t)(errno_ret.set ? errno_ret.v : EPERM));
}

static struct scmp_arg_cmp scmp_condition(const struct oci_seccomp_arg *a)
{
    static const struct {
        const char *word;
        enum scmp_compare op;
    } ops[] = {
        { "SCMP_CMP_NE", SCMP_CMP_NE },
        { "SCMP_CMP_LT", SCMP_CMP_LT },
        { "SCMP_CMP_LE", SCMP_CMP_LE },
        { "SCMP_CMP_EQ", SCMP_CMP_EQ },
        { "SCMP_CMP_GE", SCMP_CMP_GE },
        { "SCMP_CMP_GT", SCMP_CMP_GT },
        { "SCMP_CMP_MASKED_EQ", SCMP_CMP_MASKED_EQ },
    };
    for (size_t i = 0; i < ARRAY_SIZE(ops); i++)
        if (strcmp(ops[i].word, a->op) == 0)
            return (struct scmp_arg_cmp){ a->index, ops[i].op, a->value, a->value_two };
    fail_msg("operator %s", a->op);
    return (struct scmp_arg_cmp){ 0 };
}

static void add_rule(scmp_filter_ctx ctx, const struct oci_seccomp_rule *r, uint32_t default_action)
{
    struct scmp_arg_cmp args[6];
    uint32_t action = scmp_action(r->action, r->errno_ret);
    for (size_t k = 0; k < r->args_n; k++)
        args[k] = scmp_condition(&r->args[k]);
    if (action == default_action)
        return;
    for (size_t k = 0; k < r->names.n; k++) {
        int number = seccomp_syscall_resolve_name(r->names.items[k]);
        if (number == __NR_SCMP_ERROR)
            continue;
        int ret = seccomp_rule_add_array(ctx, action, number, (unsigned)r->args_n, args);
        assert_true(ret == 0 || ret == -EDOM);
    }
}

static size_t oracle(const struct oci_seccomp *p, uint32_t arch, struct sock_filter insns[8192])
{
    uint32_t default_action = scmp_action(p->default_action, p->default_errno_ret);
    scmp_filter_ctx ctx = seccomp_init(default_action);
    if (arch != seccomp_arch_native()) {
        assert_int_equal(seccomp_arch_add(ctx, arch), 0);
        assert_int_equal(seccomp_arch_remove(ctx, seccomp_arch_native()), 0);
    }
    for (size_t i = 0; i < p->syscalls_n; i++)
        add_rule(ctx, &p->syscalls[i], default_action);
    int fd = memfd_create("bpf", MFD_CLOEXEC);
    assert_int_equal(seccomp_export_bpf(ctx, fd), 0);
    ssize_t n = pread(fd, insns, 8192 * sizeof *insns, 0);
    close(fd);
    seccomp_release(ctx);
    assert_true(n > 0 && n % (ssize_t)sizeof *insns == 0);
    return (size_t)n / sizeof *insns;
}

/* ---- comparing ---- */

static uint32_t highest_named(const struct oci_seccomp *p, uint32_t arch)
{
    uint32_t highest = 0;
    for (size_t i = 0; i < p->syscalls_n; i++)
        for (size_t k = 0; k < p->syscalls[i].names.n; k++) {
            int n = seccomp_number(arch, p->syscalls[i].names.items[k]);
            if (n >= 0 && (uint32_t)n > highest)
                highest = (uint32_t)n;
        }
    return highest;
}

static const uint64_t samples[] = {
    0,          1,       2,          7,          8,          9,          10,          15,          16,
    17,         37,      38,         39,         40,         41,         131072,      131080,      0x7e020000,
    0x10000,    0x20000, 0x02000000, 0x00020000, 0x40000000, 0xffffffff, 0x100000000, 0x100000008, 0xffffffff00000000,
    UINT64_MAX,
};

/* Names that libseccomp's tables are too old for; what it says about their numbers does not count. */
static bool newer_than_libseccomp(uint32_t arch, uint32_t number)
{
    own_mem char *name = seccomp_syscall_resolve_num_arch(arch, (int)number);
    return !name;
}

struct counts {
    size_t compared, allowed;
};

static void compare_number(const struct oci_seccomp *p, const struct seccomp_filter *ours,
                           const struct sock_filter *theirs, size_t theirs_n, uint32_t arch, uint32_t number,
                           uint32_t highest, struct counts *counts)
{
    uint32_t audit = arch == SCMP_ARCH_X32 ? AUDIT_ARCH_X86_64 : arch;
    for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
        for (size_t k = 0; k < 4; k++) {
            static const uint64_t third[] = { 0, 9, 16, 0x100000009 };
            if (arch == SCMP_ARCH_X32 && (samples[i] > UINT32_MAX || third[k] > UINT32_MAX))
                continue; /* libseccomp looks at the low half only, though the kernel takes all 64 bits: see seccomp.h
                           */
            struct seccomp_data d = { .nr = (int)number,
                                      .arch = audit,
                                      .args = { samples[i], samples[i], third[k], 5 } };
            uint32_t got = run(ours->insns, ours->n, &d), want = run(theirs, theirs_n, &d);
            if (number > highest && number < UINT32_MAX)
                want = SECCOMP_RET_ERRNO | ENOSYS;
            else if (newer_than_libseccomp(arch, number))
                continue;
            if (got != want)
                fail_msg("%s: arch %#x call %u args %#llx,_,%llu: ours %#x, libseccomp's %#x", p->default_action, arch,
                         number, (unsigned long long)samples[i], (unsigned long long)third[k], got, want);
            counts->compared++;
            counts->allowed += got == SECCOMP_RET_ALLOW;
        }
    }
}

static void compare(const char *text, size_t len, uint64_t capabilities)
{
    static const uint32_t arches[] = { SCMP_ARCH_X86_64, SCMP_ARCH_X86, SCMP_ARCH_X32 };
    static struct sock_filter theirs[8192];
    struct oci_seccomp *p = NULL;
    struct seccomp_filter ours = { 0 };
    struct counts counts = { 0 };
    CHECK_OK(seccomp_profile_read(text, len, capabilities, &p));
    CHECK_OK(seccomp_compile(p, &ours));
    for (size_t i = 0; i < ARRAY_SIZE(arches); i++) {
        uint32_t base = arches[i] == SCMP_ARCH_X32 ? 0x40000000 : 0, highest = highest_named(p, arches[i]);
        size_t n = oracle(p, arches[i], theirs);
        for (uint32_t number = 0; number <= 600; number++)
            compare_number(p, &ours, theirs, n, arches[i], base | number, highest, &counts);
        compare_number(p, &ours, theirs, n, arches[i], base | 0x3ffffffe, highest, &counts);
        if (!base)
            compare_number(p, &ours, theirs, n, arches[i], UINT32_MAX, highest, &counts);
    }
    CHECK(counts.compared > 100000 && counts.allowed > 50000);
    seccomp_filter_free(&ours);
    bind_free(&oci_seccomp_type, p);
}

#if defined(__x86_64__)
enum { DOCKER_CAPS = 0xa80425fb };

TEST(dockers_default_profile_decides_as_libseccomp)
{
    compare((const char *)seccomp_default, sizeof seccomp_default, DOCKER_CAPS);
}

TEST(dockers_default_profile_decides_as_libseccomp_with_all_capabilities_and_with_none)
{
    compare((const char *)seccomp_default, sizeof seccomp_default, UINT64_MAX);
    compare((const char *)seccomp_default, sizeof seccomp_default, 0);
}

TEST(podmans_profile_decides_as_libseccomp)
{
    compare((const char *)seccomp_containers, sizeof seccomp_containers, DOCKER_CAPS);
    compare((const char *)seccomp_containers, sizeof seccomp_containers, UINT64_MAX);
    compare((const char *)seccomp_containers, sizeof seccomp_containers, 0);
}
#endif

/* ---- what libseccomp cannot tell us ---- */

static uint32_t decide(const char *profile, uint32_t arch, uint32_t number, uint64_t a0, uint64_t a1)
{
    struct oci_seccomp *p = NULL;
    struct seccomp_filter f = { 0 };
    struct seccomp_data d = { .nr = (int)number, .arch = arch, .args = { a0, a1 } };
    CHECK_OK(bind_read(&oci_seccomp_type, profile, strlen(profile), (void **)&p));
    CHECK_OK(seccomp_compile(p, &f));
    uint32_t answer = run(f.insns, f.n, &d);
    seccomp_filter_free(&f);
    bind_free(&oci_seccomp_type, p);
    return answer;
}

static bool holds(const char *op, uint64_t a, uint64_t v, uint64_t v2)
{
    if (strcmp(op, "NE") == 0)
        return a != v;
    if (strcmp(op, "LT") == 0)
        return a < v;
    if (strcmp(op, "LE") == 0)
        return a <= v;
    if (strcmp(op, "EQ") == 0)
        return a == v;
    if (strcmp(op, "GE") == 0)
        return a >= v;
    if (strcmp(op, "GT") == 0)
        return a > v;
    return (a & v) == (v2 & v);
}

TEST(every_operator_compares_all_64_bits)
{
    static const char *const ops[] = { "NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ" };
    static const uint64_t values[] = { 0, 1, 0xffffffff, 0x100000000, 0x100000001, 0x7fffffffffffffff };
    int number = seccomp_number(seccomp_arch_native(), "close");
    for (size_t o = 0; o < ARRAY_SIZE(ops); o++)
        for (size_t v = 0; v < ARRAY_SIZE(values); v++) {
            own_mem char *profile = mem_printf(
                "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"close\"],\"action\":\"SCMP_ACT_"
                "ERRNO\","
                "\"errnoRet\":7,\"args\":[{\"index\":0,\"value\":%llu,\"valueTwo\":%llu,\"op\":\"SCMP_CMP_%s\"}]}]}",
                (unsigned long long)values[v], (unsigned long long)values[v] >> 1, ops[o]);
            for (size_t i = 0; i < ARRAY_SIZE(samples); i++) {
                uint32_t want =
                    holds(ops[o], samples[i], values[v], values[v] >> 1) ? SECCOMP_RET_ERRNO | 7 : SECCOMP_RET_ALLOW;
                uint32_t got = decide(profile, seccomp_arch_native(), (uint32_t)number, samples[i], 0);
                if (got != want)
                    fail_msg("%#llx %s %#llx: %#x", (unsigned long long)samples[i], ops[o],
                             (unsigned long long)values[v], got);
            }
        }
}

#define CONDITION(i, v)          "{\"index\":" #i ",\"value\":" #v ",\"op\":\"SCMP_CMP_EQ\"}"
#define PROFILE(default_, rules) "{\"defaultAction\":\"" default_ "\",\"syscalls\":[" rules "]}"
#define RULE(name, action, args) "{\"names\":[\"" name "\"],\"action\":\"" action "\",\"args\":[" args "]}"

TEST(conditions_on_different_arguments_all_hold_and_on_one_are_alternatives)
{
    uint32_t arch = seccomp_arch_native(), number = (uint32_t)seccomp_number(arch, "close");
    static const char both[] =
        PROFILE("SCMP_ACT_ERRNO", RULE("close", "SCMP_ACT_ALLOW", CONDITION(0, 1) "," CONDITION(1, 2)));
    CHECK(decide(both, arch, number, 1, 2) == SECCOMP_RET_ALLOW);
    CHECK(decide(both, arch, number, 1, 3) == (SECCOMP_RET_ERRNO | EPERM));
    static const char either[] =
        PROFILE("SCMP_ACT_ERRNO", RULE("close", "SCMP_ACT_ALLOW", CONDITION(0, 1) "," CONDITION(0, 2)));
    CHECK(decide(either, arch, number, 1, 0) == SECCOMP_RET_ALLOW);
    CHECK(decide(either, arch, number, 2, 0) == SECCOMP_RET_ALLOW);
    CHECK(decide(either, arch, number, 3, 0) == (SECCOMP_RET_ERRNO | EPERM));
}

TEST(a_rule_without_conditions_wins_and_else_the_first_that_matches)
{
    uint32_t arch = seccomp_arch_native(), number = (uint32_t)seccomp_number(arch, "close");
    static const char plain[] = PROFILE(
        "SCMP_ACT_ERRNO", RULE("close", "SCMP_ACT_KILL", CONDITION(0, 1)) "," RULE("close", "SCMP_ACT_LOG", ""));
    CHECK(decide(plain, arch, number, 1, 0) == SECCOMP_RET_LOG);
    static const char first[] =
        PROFILE("SCMP_ACT_ERRNO",
                RULE("close", "SCMP_ACT_ERRNO", CONDITION(0, 1)) "," RULE("close", "SCMP_ACT_ALLOW", CONDITION(1, 2)));
    CHECK(decide(first, arch, number, 1, 2) == (SECCOMP_RET_ERRNO | EPERM));
    CHECK(decide(first, arch, number, 3, 2) == SECCOMP_RET_ALLOW);
}

TEST(a_call_newer_than_the_profile_looks_missing_unless_the_default_is_to_allow)
{
    uint32_t arch = seccomp_arch_native();
    static const char refuse[] = PROFILE("SCMP_ACT_ERRNO", RULE("mseal", "SCMP_ACT_ALLOW", ""));
    CHECK(decide(refuse, arch, 462, 0, 0) == SECCOMP_RET_ALLOW);
    CHECK(decide(refuse, arch, 461, 0, 0) == (SECCOMP_RET_ERRNO | EPERM));
    CHECK(decide(refuse, arch, 463, 0, 0) == (SECCOMP_RET_ERRNO | ENOSYS));
    CHECK(decide(refuse, arch, UINT32_MAX, 0, 0) == (SECCOMP_RET_ERRNO | EPERM));
    static const char allow[] = PROFILE("SCMP_ACT_ALLOW", RULE("mseal", "SCMP_ACT_ERRNO", ""));
    CHECK(decide(allow, arch, 463, 0, 0) == SECCOMP_RET_ALLOW);
}

#if defined(__x86_64__)
TEST(an_architecture_that_is_not_listed_kills_the_process)
{
    static const char only_native[] = PROFILE("SCMP_ACT_ALLOW", RULE("mseal", "SCMP_ACT_ERRNO", ""));
    CHECK(decide(only_native, AUDIT_ARCH_I386, 1, 0, 0) == SECCOMP_RET_KILL_PROCESS);
    CHECK(decide(only_native, AUDIT_ARCH_AARCH64, 1, 0, 0) == SECCOMP_RET_KILL_PROCESS);
    CHECK(decide(only_native, AUDIT_ARCH_X86_64, 0x40000000, 0, 0) == SECCOMP_RET_KILL_PROCESS); /* x32 */
    CHECK(decide(only_native, AUDIT_ARCH_X86_64, 0x40000001, 0, 0) == SECCOMP_RET_KILL_PROCESS);
    CHECK(decide(only_native, AUDIT_ARCH_X86_64, UINT32_MAX, 0, 0) == SECCOMP_RET_ALLOW);
}

TEST(a_condition_on_a_socket_call_does_not_open_socketcall)
{
    static const char profile[] =
        "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[\"SCMP_ARCH_X86\"],\"syscalls\":["
        "{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_"
        "EQ\"}]},"
        "{\"names\":[\"bind\"],\"action\":\"SCMP_ACT_ALLOW\"}]}";
    CHECK(decide(profile, AUDIT_ARCH_I386, 359, 1, 0) == SECCOMP_RET_ALLOW);
    CHECK(decide(profile, AUDIT_ARCH_I386, 102, 1, 0) == (SECCOMP_RET_ERRNO | EPERM)); /* socketcall(SOCKET) */
    CHECK(decide(profile, AUDIT_ARCH_I386, 102, 2, 0) == SECCOMP_RET_ALLOW);           /* socketcall(BIND) */
}
#endif

/* ---- the default's tables ---- */

TEST(the_embedded_tables_say_what_the_profiles_json_says)
{
    static const uint64_t masks[] = { 0, 0xa80425fb, UINT64_MAX, 1ull << 21, 1ull << 39, 1ull << 2, 1ull << 34 };
    for (size_t i = 0; i < ARRAY_SIZE(masks); i++) {
        struct oci_seccomp *table = NULL, *json = NULL;
        CHECK_OK(seccomp_profile_default(masks[i], &table));
        CHECK_OK(seccomp_profile_read((const char *)seccomp_default, sizeof seccomp_default, masks[i], &json));
        own_mem char *a = bind_write(&oci_seccomp_type, table, BIND_INDENTED);
        own_mem char *b = bind_write(&oci_seccomp_type, json, BIND_INDENTED);
        assert_string_equal(a, b);
        bind_free(&oci_seccomp_type, table);
        bind_free(&oci_seccomp_type, json);
    }
}

/* ---- messages ---- */

static const struct {
    const char *profile, *message;
} wrong[] = {
    { "{\"defaultAction\":\"SCMP_ACT_ALOW\"}", "defaultAction: 'SCMP_ACT_ALOW' is not known: is it SCMP_ACT_ALLOW?" },
    { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"architectures\":[\"x\"]}", "architectures: 'x' is not known" },
    { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"flags\":[\"TSYNC\"]}", "flags: 'TSYNC' is not known" },
    { "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"defaultErrnoRet\":1}",
      "defaultAction: SCMP_ACT_ALLOW answers no errno" },
    { "{\"defaultAction\":\"SCMP_ACT_NOTIFY\"}",
      "defaultAction: SCMP_ACT_NOTIFY cannot be it: the listener could not be handed on" },
    { PROFILE("SCMP_ACT_ALLOW", RULE("close", "SCMP_ACT_ERRNO", "{\"index\":6,\"value\":1,\"op\":\"SCMP_CMP_EQ\"}")),
      "syscalls[0]: args.index: 6 is not between 0 and 5" },
    { PROFILE("SCMP_ACT_ALLOW", RULE("close", "SCMP_ACT_ERRNO", "{\"index\":1,\"value\":1,\"op\":\"EQ\"}")),
      "syscalls[0]: args.op: 'EQ' is not known" },
    { PROFILE("SCMP_ACT_ALLOW", RULE("sendmsg", "SCMP_ACT_NOTIFY", "")),
      "syscalls[0]: sendmsg cannot have SCMP_ACT_NOTIFY: it hands the listener on" },
};

TEST(what_is_wrong_with_a_profile_is_said)
{
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct oci_seccomp *p = NULL;
        struct seccomp_filter f = { 0 };
        CHECK_OK(bind_read(&oci_seccomp_type, wrong[i].profile, strlen(wrong[i].profile), (void **)&p));
        CHECK_SAYS(seccomp_compile(p, &f), wrong[i].message);
        bind_free(&oci_seccomp_type, p);
    }
}

/* ---- the cache ---- */

TEST(the_cache_answers_the_same_filter_and_is_not_fooled_by_a_changed_file)
{
    char dir[] = "/tmp/husk-seccomp-XXXXXX";
    struct oci_seccomp *p = NULL;
    struct seccomp_filter made = { 0 }, kept = { 0 }, again = { 0 };
    CHECK(mkdtemp(dir) != NULL);
    CHECK_OK(seccomp_profile_default(0, &p));
    CHECK_OK(seccomp_compile_cached(p, dir, &made));
    CHECK_OK(seccomp_compile_cached(p, dir, &kept));
    CHECK(made.n == kept.n && memcmp(made.insns, kept.insns, made.n * sizeof *made.insns) == 0);

    /* Another profile's key in the same file, as a collision of hashes would have it: not used. */
    DIR *list = opendir(dir);
    struct dirent *entry = NULL;
    while ((entry = readdir(list)) && entry->d_name[0] == '.')
        ;
    CHECK(entry != NULL);
    int fd = openat(dirfd(list), entry->d_name, O_RDWR);
    CHECK(pwrite(fd, "X", 1, 20) == 1); /* in the key */
    CHECK(pwrite(fd, "\0\0\0\0\0\0\0\0", 8, 4000) == 8);
    close(fd);
    CHECK_OK(seccomp_compile_cached(p, dir, &again));
    CHECK(made.n == again.n && memcmp(made.insns, again.insns, made.n * sizeof *made.insns) == 0);
    closedir(list);
    seccomp_filter_free(&made);
    seccomp_filter_free(&kept);
    seccomp_filter_free(&again);
    bind_free(&oci_seccomp_type, p);
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, dir));
}

TEST(the_cache_keeps_a_bounded_number_of_files)
{
    char dir[] = "/tmp/husk-seccomp-XXXXXX";
    CHECK(mkdtemp(dir) != NULL);
    for (int i = 0; i < 3 * SECCOMP_CACHE_MAX; i++) {
        struct opt_u64 number = { .set = true, .v = (uint64_t)i };
        struct oci_seccomp p = { .default_action = (char[]){ "SCMP_ACT_ERRNO" }, .default_errno_ret = number };
        struct seccomp_filter f = { 0 };
        CHECK_OK(seccomp_compile_cached(&p, dir, &f));
        seccomp_filter_free(&f);
    }
    DIR *list = opendir(dir);
    int n = 0;
    while (readdir(list))
        n++;
    closedir(list);
    CHECK(n <= SECCOMP_CACHE_MAX + 2);
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, dir));
}

/* ---- by the text ---- */

static void finds(const char *json, const char *object)
{
    struct seccomp_text t = seccomp_text_find(json, strlen(json));
    CHECK(t.n == strlen(object) && memcmp(json + t.at, object, t.n) == 0);
}

TEST(the_object_is_found_in_the_text_where_a_reader_would_find_it)
{
    finds("{\"a\":{\"linux\":{\"seccomp\":{\"x\":1}}},\"linux\" : "
          "{\"b\":[{\"seccomp\":{\"y\":1}}],\n\"seccomp\"\t:\r{\"z\":\"}\\\"\"} }}",
          "{\"z\":\"}\\\"\"}");
    finds("{\"s\":\"\\\"linux\\\":{\\\"seccomp\\\":{\\\"x\\\":1}}\",\"linux\":{\"seccomp\":{\"v\":[1,{}]}}}",
          "{\"v\":[1,{}]}");
    finds("{\"linux\":{\"secc\\u006fmp\":{\"v\":1}}}", "");
    finds("{\"linux\":{\"seccomp\":null}}", "");
    finds("{\"linux\":[{\"seccomp\":{\"v\":1}}]}", "");
    finds("{\"linux\":{\"seccomp\":{\"v\":1", "");
    finds("{\"linux\":{\"seccomp\":{\"v\\", "");
    finds("{\"linux\":}", "");
    finds("", "");
}

#define CONFIG(errno_text)                                                                                             \
    "{\"ociVersion\":\"1.0.0\",\"linux\":{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":" \
    "[\"mkdir\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":" errno_text "}]}}}"

TEST(a_filter_is_known_by_its_text_byte_by_byte)
{
    char dir[] = "/tmp/husk-seccomp-XXXXXX";
    char known[] = CONFIG("17"), other[] = CONFIG("18");
    struct seccomp_filter made = { 0 }, kept = { 0 };
    struct oci_spec *spec = NULL, *blank = NULL;
    CHECK(mkdtemp(dir) != NULL);
    struct seccomp_text t = seccomp_text_find(known, strlen(known));
    CHECK_OK(oci_spec_read(known, strlen(known), &spec));
    CHECK(!seccomp_text_cached(known, t, dir, &kept));
    seccomp_text_keep(known, t, spec->linux_->seccomp, dir);
    CHECK(seccomp_text_cached(known, t, dir, &kept));
    CHECK_OK(seccomp_compile(spec->linux_->seccomp, &made));
    CHECK(made.n == kept.n && memcmp(made.insns, kept.insns, made.n * sizeof *made.insns) == 0);
    CHECK(!seccomp_text_cached(other, t, dir, &kept));
    CHECK_OK(oci_spec_read(known, seccomp_text_cut(known, strlen(known), t), &blank));
    CHECK(blank->linux_ && !blank->linux_->seccomp);
    seccomp_filter_free(&made);
    seccomp_filter_free(&kept);
    oci_spec_free(spec);
    oci_spec_free(blank);
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, dir));
}

TEST(a_profile_with_an_agent_or_that_nothing_can_start_under_is_not_kept_by_its_text)
{
    const char *texts[] = {
        "{\"linux\":{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"mkdir\"],\"action\":"
        "\"SCMP_ACT_NOTIFY\"}]}}}",
        "{\"linux\":{\"seccomp\":{\"defaultAction\":\"SCMP_ACT_ERRNO\"}}}",
    };
    for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
        char dir[] = "/tmp/husk-seccomp-XXXXXX";
        struct seccomp_filter kept = { 0 };
        void *profile = NULL;
        CHECK(mkdtemp(dir) != NULL);
        struct seccomp_text t = seccomp_text_find(texts[i], strlen(texts[i]));
        CHECK(t.n > 0);
        CHECK_OK(bind_read(&oci_seccomp_type, texts[i] + t.at, t.n, &profile));
        seccomp_text_keep(texts[i], t, profile, dir);
        CHECK(!seccomp_text_cached(texts[i], t, dir, &kept));
        bind_free(&oci_seccomp_type, profile);
        CHECK_OK(fs_remove_tree_at(AT_FDCWD, dir));
    }
}
