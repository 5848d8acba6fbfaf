// SPDX-License-Identifier: GPL-2.0-or-later
#include <fcntl.h>
#include <linux/bpf.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cgroup/devices.h"
#include "cgroup/group.h"
#include "cgroup/weight.h"
#include "os/fs.h"
#include "test.h"

/* ---- hosts that are not this one ---- */

enum host_kind { HOST_V1, HOST_V1_ALL, HOST_V2, HOST_HYBRID };

static void add_hierarchy(struct cgroup_host *h, const char *mount, const char *controllers, bool v2)
{
    h->items = mem_array(h->items, h->n + 1, sizeof *h->items);
    h->items[h->n] = (struct hierarchy){ .mount = mem_strdup(mount), .v2 = v2, .writable = true };
    strv_split(&h->items[h->n++].controllers, controllers, ' ');
}

static struct cgroup_host *host(enum host_kind kind)
{
    struct cgroup_host *h = mem_zalloc(sizeof *h);
    h->base = mem_strdup("/");
    if (kind == HOST_V2) {
        add_hierarchy(h, "/nowhere", "cpuset cpu io memory hugetlb pids rdma", true);
        return h;
    }
    add_hierarchy(h, "/nowhere/memory", "memory", false);
    add_hierarchy(h, "/nowhere/cpu,cpuacct", "cpu cpuacct", false);
    add_hierarchy(h, "/nowhere/pids", "pids", false);
    add_hierarchy(h, "/nowhere/cpuset", "cpuset", false);
    add_hierarchy(h, "/nowhere/blkio", "blkio", false);
    add_hierarchy(h, "/nowhere/devices", "devices", false);
    if (kind == HOST_V1_ALL) {
        add_hierarchy(h, "/nowhere/net_cls,net_prio", "net_cls net_prio", false);
        add_hierarchy(h, "/nowhere/hugetlb", "hugetlb", false);
        add_hierarchy(h, "/nowhere/rdma", "rdma", false);
    }
    if (kind == HOST_HYBRID)
        add_hierarchy(h, "/nowhere/unified", "hugetlb", true);
    return h;
}

static err *collect(void *ctx, const struct part *p, const char *what, const char *file, const char *value)
{
    (void)p, (void)what;
    str_printf(ctx, "%s=%s;", file, value);
    return NULL;
}

static err *writes(enum host_kind kind, const char *resources, struct str *ret)
{
    own(cgroup_host) struct cgroup_host *h = host(kind);
    own(cgroup) struct cgroup *g = NULL;
    struct oci_resources *r = NULL;
    CHECK_OK(bind_read(&oci_resources_type, resources, strlen(resources), (void **)&r));
    CHECK_OK(cgroup_open(h, "/husk/test", &g));
    err *e = limits_walk(g, r, LIMITS_NEW, collect, ret);
    bind_free(&oci_resources_type, r);
    return e;
}

/* ---- the table ---- */

static const struct {
    const char *resources, *v1, *v2;
} limits[] = {
    { "{}", "", "" },
    { "{\"memory\":{\"limit\":1048576}}", "memory.limit_in_bytes=1048576;", "memory.max=1048576;" },
    { "{\"memory\":{\"limit\":-1}}", "memory.limit_in_bytes=-1;", "memory.max=max;" },
    { "{\"memory\":{\"limit\":0}}", "", "" },
    { "{\"memory\":{\"kernel\":-1,\"kernelTCP\":-1}}",
      "memory.kmem.limit_in_bytes=-1;memory.kmem.tcp.limit_in_bytes=-1;", "" },
    { "{\"memory\":{\"limit\":100,\"swap\":300}}", "memory.limit_in_bytes=100;memory.memsw.limit_in_bytes=300;",
      "memory.max=100;memory.swap.max=200;" },
    { "{\"memory\":{\"limit\":100,\"swap\":100}}", "memory.limit_in_bytes=100;memory.memsw.limit_in_bytes=100;",
      "memory.max=100;memory.swap.max=0;" },
    { "{\"memory\":{\"limit\":100,\"swap\":-1}}", "memory.limit_in_bytes=100;memory.memsw.limit_in_bytes=-1;",
      "memory.max=100;memory.swap.max=max;" },
    { "{\"memory\":{\"reservation\":50}}", "memory.soft_limit_in_bytes=50;", "memory.low=50;" },
    { "{\"memory\":{\"swappiness\":0}}", "memory.swappiness=0;",
      "!--memory-swappiness is not possible with cgroup v2: its kernel interface is gone; leave it out" },
    { "{\"memory\":{\"disableOOMKiller\":true}}", "memory.oom_control=1;",
      "!--oom-kill-disable is not possible with cgroup v2: its kernel interface is gone; leave it out" },
    { "{\"memory\":{\"disableOOMKiller\":false}}", "memory.oom_control=0;", "" },
    { "{\"cpu\":{\"shares\":1024}}", "cpu.shares=1024;", "cpu.weight=100;" },
    { "{\"cpu\":{\"shares\":2}}", "cpu.shares=2;", "cpu.weight=1;" },
    { "{\"cpu\":{\"shares\":262144}}", "cpu.shares=262144;", "cpu.weight=10000;" },
    { "{\"cpu\":{\"quota\":50000,\"period\":100000}}", "cpu.cfs_period_us=100000;cpu.cfs_quota_us=50000;",
      "cpu.max=50000 100000;" },
    { "{\"cpu\":{\"quota\":-1}}", "cpu.cfs_quota_us=-1;", "cpu.max=max;" },
    { "{\"cpu\":{\"period\":50000}}", "cpu.cfs_period_us=50000;", "cpu.max=max 50000;" },
    { "{\"cpu\":{\"burst\":1000,\"idle\":1}}", "cpu.idle=1;cpu.cfs_burst_us=1000;", "cpu.idle=1;cpu.max.burst=1000;" },
    { "{\"cpu\":{\"realtimeRuntime\":950,\"realtimePeriod\":1000}}", "cpu.rt_period_us=1000;cpu.rt_runtime_us=950;",
      "!--cpu-rt-period is not possible with cgroup v2: its kernel interface is gone; leave it out" },
    { "{\"cpu\":{\"cpus\":\"0-1\",\"mems\":\"0\"}}", "cpuset.mems=0;cpuset.cpus=0-1;",
      "cpuset.mems=0;cpuset.cpus=0-1;" },
    { "{\"pids\":{\"limit\":10}}", "pids.max=10;", "pids.max=10;" },
    { "{\"pids\":{\"limit\":0}}", "pids.max=0;", "pids.max=0;" },
    { "{\"pids\":{\"limit\":-1}}", "pids.max=max;", "pids.max=max;" },
    { "{\"blockIO\":{\"weight\":500}}", "blkio.bfq.weight=500;", "io.bfq.weight=4950;" },
    { "{\"blockIO\":{\"throttleReadBpsDevice\":[{\"major\":8,\"minor\":0,\"rate\":1000},{\"major\":8,\"minor\":16,"
      "\"rate\":0}]}}",
      "blkio.throttle.read_bps_device=8:0 1000;blkio.throttle.read_bps_device=8:16 0;",
      "io.max=8:0 rbps=1000;io.max=8:16 rbps=max;" },
    { "{\"blockIO\":{\"throttleWriteIOPSDevice\":[{\"major\":8,\"minor\":0,\"rate\":7}]}}",
      "blkio.throttle.write_iops_device=8:0 7;", "io.max=8:0 wiops=7;" },
    { "{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4}]}",
      "!a huge page limit needs the hugetlb controller, which this host does not have (available: memory cpu cpuacct "
      "pids "
      "cpuset blkio devices)",
      "hugetlb.2MB.max=4;hugetlb.2MB.rsvd.max=4;" },
    { "{\"network\":{\"classID\":5}}",
      "!a network class needs the net_cls controller, which this host does not have (available: memory cpu cpuacct "
      "pids "
      "cpuset blkio devices)",
      "!a network class needs the net_cls controller, which this host does not have (available: cpuset cpu io memory "
      "hugetlb pids rdma)" },
    { "{\"rdma\":{\"mlx5_1\":{\"hcaHandles\":3,\"hcaObjects\":10000}}}",
      "!an RDMA limit needs the rdma controller, which this host does not have (available: memory cpu cpuacct pids "
      "cpuset "
      "blkio devices)",
      "rdma.max=mlx5_1 hca_handle=3 hca_object=10000;" },
    { "{\"unified\":{\"memory.high\":\"99\"}}",
      "!unified limit 'memory.high' needs cgroup v2, which this host does not have", "memory.high=99;" },
    { "{\"unified\":{\"../cgroup.kill\":\"1\"}}",
      "!unified limit '../cgroup.kill' needs cgroup v2, which this host does not have",
      "!unified limit '../cgroup.kill' is no file of a control group" },
};

static void check_writes(enum host_kind kind, const char *resources, const char *expected)
{
    own_str struct str got = { 0 };
    own(err) err *e = writes(kind, resources, &got);
    if (*expected == '!')
        assert_string_equal(err_text(e), expected + 1);
    else if (e)
        fail_msg("%s: %s", resources, err_text(e));
    else
        assert_string_equal(got.text ? got.text : "", expected);
}

TEST(each_limit_has_its_file_and_value_on_v1_and_on_v2)
{
    if (geteuid() != 0)
        skip(); /* the messages name the user */
    for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
        check_writes(HOST_V1, limits[i].resources, limits[i].v1);
        check_writes(HOST_V2, limits[i].resources, limits[i].v2);
    }
}

TEST(on_a_hybrid_host_each_controller_is_used_where_it_is)
{
    check_writes(HOST_HYBRID, "{\"memory\":{\"limit\":5},\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4}]}",
                 "memory.limit_in_bytes=5;hugetlb.2MB.max=4;hugetlb.2MB.rsvd.max=4;");
}

TEST(controllers_that_few_hosts_have_get_their_values_on_v1_too)
{
    static const struct {
        const char *resources, *expected;
    } rows[] = {
        { "{\"network\":{\"classID\":1048577}}", "net_cls.classid=1048577;" },
        { "{\"network\":{\"priorities\":[{\"name\":\"eth0\",\"priority\":5},{\"name\":\"lo\",\"priority\":0}]}}",
          "net_prio.ifpriomap=eth0 5;net_prio.ifpriomap=lo 0;" },
        { "{\"hugepageLimits\":[{\"pageSize\":\"2MB\",\"limit\":4194304},{\"pageSize\":\"1GB\",\"limit\":0}]}",
          "hugetlb.2MB.limit_in_bytes=4194304;hugetlb.2MB.rsvd.limit_in_bytes=4194304;hugetlb.1GB.limit_in_bytes=0;"
          "hugetlb.1GB.rsvd.limit_in_bytes=0;" },
        { "{\"rdma\":{\"mlx5_1\":{\"hcaHandles\":3},\"mlx4_0\":{\"hcaObjects\":7}}}",
          "rdma.max=mlx5_1 hca_handle=3;rdma.max=mlx4_0 hca_object=7;" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        check_writes(HOST_V1_ALL, rows[i].resources, rows[i].expected);
    check_writes(HOST_V2, "{\"unified\":{\"misc.max\":\"sev 1\\nsev_es 2\"}}", "misc.max=sev 1;misc.max=sev_es 2;");
}

/* No machine of ours has the devices: a directory has the files that the kernel would make. */
TEST(rdma_and_misc_limits_are_in_the_files_of_a_group_that_has_them)
{
    static const char resources[] = "{\"rdma\":{\"mlx5_1\":{\"hcaHandles\":3,\"hcaObjects\":10000}},"
                                    "\"unified\":{\"misc.max\":\"sev_es 2\",\"rdma.burst\":\"7\"}}";
    static const struct {
        const char *file, *before, *after;
    } files[] = { { "cgroup.controllers", "rdma misc\n", "rdma misc\n" },
                  { "rdma.max", "", "mlx5_1 hca_handle=3 hca_object=10000" },
                  { "misc.max", "", "sev_es 2" },
                  { "rdma.burst", "", "7" } };
    char top[] = "/tmp/husk-group-XXXXXX";
    own(cgroup) struct cgroup *g = NULL;
    struct oci_resources *r = NULL;
    assert_non_null(mkdtemp(top));
    own_mem char *dir = mem_printf("%s/g", top), *text = mem_printf("=/g\n2\t%s\trdma,misc\n", top);
    CHECK(mkdir(dir, 0755) == 0);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        own_mem char *path = mem_printf("%s/%s", dir, files[i].file);
        CHECK_OK(fs_write_out(AT_FDCWD, path, files[i].before, strlen(files[i].before)));
    }
    CHECK_OK(bind_read(&oci_resources_type, resources, strlen(resources), (void **)&r));
    CHECK_OK(cgroup_of_text(text, &g));
    CHECK_OK(cgroup_update(g, r));
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        own_mem char *path = mem_printf("%s/%s", dir, files[i].file), *now = NULL;
        CHECK_OK(fs_read_at(AT_FDCWD, path, 4096, &now, NULL));
        assert_string_equal(now, files[i].after);
    }
    own_mem char *misc = mem_printf("%s/misc.max", dir);
    CHECK(unlink(misc) == 0);
    CHECK_SAYS(cgroup_update(g, r), "a unified limit: this kernel has no misc.max");
    bind_free(&oci_resources_type, r);
    CHECK_OK(fs_remove_tree_at(AT_FDCWD, top));
}

TEST(memory_and_swap_that_contradict_each_other_are_refused)
{
    check_writes(HOST_V2, "{\"memory\":{\"limit\":100,\"swap\":50}}",
                 "!--memory-swap: memory and swap together cannot be less than memory alone");
    check_writes(HOST_V2, "{\"memory\":{\"swap\":50}}",
                 "!--memory-swap: a limit of memory and swap together needs a memory limit");
}

TEST(weights_meet_at_their_ends_and_defaults)
{
    static const struct {
        uint64_t shares, weight;
    } rows[] = { { 0, 1 },    { 2, 1 },      { 10, 4 },     { 100, 17 },
                 { 512, 59 }, { 1024, 100 }, { 2048, 174 }, { 262144, 10000 } };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        assert_int_equal(weight_of_shares(rows[i].shares), rows[i].weight);
    for (uint64_t s = 3; s < 262144; s += 7)
        CHECK(weight_of_shares(s) <= weight_of_shares(s + 7));
    CHECK(weight_of_blkio(10) == 1 && weight_of_blkio(1000) == 10000 && weight_of_blkio(100) == 910);
}

/* ---- paths ---- */

TEST(a_path_that_could_lead_out_is_refused)
{
    static const char *const bad[] = { "",        "/",      "..",     "/..",     "/husk/..", "/husk/../x", "../../x",
                                       "husk//x", "//husk", "/husk/", "/husk/.", "./x",      "/a\nb" };
    own(cgroup_host) struct cgroup_host *h = host(HOST_HYBRID);
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct cgroup *g = NULL;
        CHECK_ERR(cgroup_open(h, bad[i], &g), ERR_INVALID);
        CHECK_ERR(cgroup_create(h, bad[i], NULL, &g), ERR_INVALID);
    }
}

TEST(a_relative_path_starts_at_the_hosts_base)
{
    own(cgroup_host) struct cgroup_host *h = host(HOST_V2);
    own(cgroup) struct cgroup *a = NULL, *b = NULL, *c = NULL;
    CHECK_OK(cgroup_open(h, "husk/x", &a));
    assert_string_equal(cgroup_path(a), "/husk/x");
    free(h->base);
    h->base = mem_strdup("/user.slice/me");
    CHECK_OK(cgroup_open(h, "husk/..x", &b));
    assert_string_equal(cgroup_path(b), "/user.slice/me/husk/..x");
    CHECK_OK(cgroup_open(h, "/husk/x", &c));
    assert_string_equal(cgroup_path(c), "/husk/x");
}

TEST(a_group_as_text_is_the_same_group_elsewhere)
{
    static const enum host_kind kinds[] = { HOST_V1, HOST_V2, HOST_HYBRID };
    for (size_t k = 0; k < ARRAY_SIZE(kinds); k++) {
        own(cgroup_host) struct cgroup_host *h = host(kinds[k]);
        own(cgroup) struct cgroup *g = NULL, *copy = NULL;
        CHECK_OK(cgroup_open(h, "/husk/test", &g));
        own_mem char *text = cgroup_text(g);
        CHECK_OK(cgroup_of_text(text, &copy));
        assert_string_equal(cgroup_path(copy), "/husk/test");
        assert_int_equal(copy->n, g->n);
        for (size_t i = 0; i < g->n; i++) {
            assert_string_equal(copy->parts[i].dir, g->parts[i].dir);
            assert_string_equal(copy->parts[i].name, g->parts[i].name);
            assert_int_equal(copy->parts[i].v2, g->parts[i].v2);
            assert_int_equal(copy->parts[i].controllers.n, g->parts[i].controllers.n);
        }
        own_mem char *again = cgroup_text(copy);
        assert_string_equal(again, text);
    }
    static const char *const wrong[] = { "", "=", "husk/test\n", "/a\n1 /x y\n", "/a\n1\t/x\n", "/a\n1\tx\tmemory\n" };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct cgroup *none = NULL;
        CHECK_ERR(cgroup_of_text(wrong[i], &none), ERR_INVALID);
    }
}

TEST(a_group_as_text_tells_whether_it_is_frozen)
{
    char dir[] = "/tmp/husk-frozen.XXXXXX";
    bool frozen = false;
    CHECK(mkdtemp(dir) != NULL);
    own_mem char *group = mem_printf("%s/husk/one", dir), *events = mem_printf("%s/cgroup.events", group);
    own_mem char *hybrid = mem_printf("/husk/one\n1\t/nowhere\tmemory\n2\t%s\t\n", dir);
    own_mem char *alone = mem_printf("=/husk/one\n2\t%s\tmemory,pids\n", dir);
    CHECK(!cgroup_text_frozen(hybrid, &frozen));
    CHECK_OK(fs_mkdirs_at(-100, group, 0700));
    CHECK_OK(fs_replace_at(-100, events, "populated 1\nfrozen 1\n", 21, 0600, FS_SYNC_NONE));
    CHECK(cgroup_text_frozen(hybrid, &frozen) && frozen);
    CHECK_OK(fs_replace_at(-100, events, "populated 1\nfrozen 0\n", 21, 0600, FS_SYNC_NONE));
    CHECK(cgroup_text_frozen(alone, &frozen) && !frozen);
    CHECK(!cgroup_text_frozen("/husk/one\n1\t/nowhere\tmemory\n", &frozen));
    CHECK(!cgroup_text_frozen("/husk/one", &frozen) && !cgroup_text_frozen("", &frozen));
    CHECK_OK(fs_remove_tree_at(-100, dir));
}

TEST(this_host_is_understood)
{
    own(cgroup_host) struct cgroup_host *h = NULL;
    const char *why = NULL;
    CHECK_OK(cgroup_host_open(&h));
    if (access("/sys/fs/cgroup/cgroup.controllers", F_OK) == 0)
        assert_string_equal(cgroup_host_mode(h), "v2");
    if (access("/sys/fs/cgroup/unified/cgroup.procs", F_OK) == 0)
        assert_string_equal(cgroup_host_mode(h), "hybrid");
    CHECK(cgroup_host_usable(h, &why) == !why);
}

/* ---- devices ---- */

/* The instructions that devices_program() emits, run as the kernel would. */
static uint64_t run_program(const struct str *code, const struct bpf_cgroup_dev_ctx *ctx)
{
    const struct bpf_insn *insns = (const void *)code->text;
    uint64_t r[11] = { 0 };
    for (size_t pc = 0; pc < code->len / sizeof *insns; pc++) {
        const struct bpf_insn *i = &insns[pc];
        uint64_t k = (uint64_t)(int64_t)i->imm, *dst = &r[i->dst_reg];
        uint32_t word;
        switch (i->code) {
        case BPF_LDX | BPF_MEM | BPF_W:
            assert_int_equal(i->src_reg, BPF_REG_1);
            memcpy(&word, (const char *)ctx + i->off, sizeof word);
            *dst = word;
            break;
        case BPF_ALU64 | BPF_MOV | BPF_X:
            *dst = r[i->src_reg];
            break;
        case BPF_ALU64 | BPF_MOV | BPF_K:
            *dst = k;
            break;
        case BPF_ALU64 | BPF_RSH | BPF_K:
            *dst >>= k;
            break;
        case BPF_ALU64 | BPF_AND | BPF_K:
            *dst &= k;
            break;
        case BPF_JMP | BPF_JNE | BPF_K:
            pc += *dst != k ? (size_t)i->off : 0;
            break;
        case BPF_JMP | BPF_JEQ | BPF_K:
            pc += *dst == k ? (size_t)i->off : 0;
            break;
        case BPF_JMP32 | BPF_JNE | BPF_K:
            pc += (uint32_t)*dst != (uint32_t)k ? (size_t)i->off : 0;
            break;
        case BPF_JMP | BPF_EXIT:
            return r[0];
        default:
            fail_msg("instruction %#x", i->code);
        }
    }
    fail_msg("the program does not end");
    return 0;
}

#define ALL                                                                                                            \
    {                                                                                                                  \
        .allow = true, .access = (char[])                                                                              \
        {                                                                                                              \
            "rwm"                                                                                                      \
        }                                                                                                              \
    }
#define NOTHING                                                                                                        \
    {                                                                                                                  \
        .allow = false, .access = (char[])                                                                             \
        {                                                                                                              \
            "rwm"                                                                                                      \
        }                                                                                                              \
    }
#define RULE(allow_, type_, major_, minor_, access_)                                                                   \
    {                                                                                                                  \
        .allow = (allow_), .type = (char[]){ type_ }, .major = { (int64_t)(major_) >= 0, (major_) },                   \
        .minor = { (int64_t)(minor_) >= 0, (minor_) }, .access = (char[])                                              \
        {                                                                                                              \
            access_                                                                                                    \
        }                                                                                                              \
    }

static bool may(const struct oci_device_cgroup *rules, size_t n, char type, uint32_t major, uint32_t minor,
                unsigned access)
{
    own(device_rules) struct device_rules d = { 0 };
    own_str struct str code = { 0 };
    CHECK_OK(devices_read(rules, n, &d));
    devices_program(&d, &code);
    unsigned kind = type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;
    struct bpf_cgroup_dev_ctx ctx = { .access_type = access << 16 | kind, .major = major, .minor = minor };
    return run_program(&code, &ctx);
}
#define MAY(rules, ...) may(rules, ARRAY_SIZE(rules), __VA_ARGS__)
enum { M = BPF_DEVCG_ACC_MKNOD, R = BPF_DEVCG_ACC_READ, W = BPF_DEVCG_ACC_WRITE };

TEST(what_is_not_allowed_is_denied_and_access_must_be_covered_whole)
{
    struct oci_device_cgroup rules[] = { NOTHING, RULE(true, "c", 1, 3, "rw"), RULE(true, "c", 136, -1, "r"),
                                         RULE(true, "c", -1, -1, "m"), RULE(true, "c", 1, 3, "m") };
    CHECK(MAY(rules, 'c', 1, 3, R | W) && MAY(rules, 'c', 1, 3, R | W | M));
    CHECK(!MAY(rules, 'c', 1, 5, R) && !MAY(rules, 'b', 1, 3, R));
    CHECK(MAY(rules, 'c', 136, 77, R) && !MAY(rules, 'c', 136, 77, R | W));
    CHECK(MAY(rules, 'c', 9, 9, M) && !MAY(rules, 'b', 9, 9, M));
}

TEST(a_list_begins_at_deny_all)
{
    struct oci_device_cgroup rules[] = { RULE(true, "c", 10, 200, "rwm") };
    CHECK(MAY(rules, 'c', 10, 200, R | W | M) && !MAY(rules, 'b', 8, 0, R) && !MAY(rules, 'c', 1, 1, M));
    CHECK(!may(NULL, 0, 'c', 1, 1, R));
}

TEST(what_is_not_denied_is_allowed)
{
    struct oci_device_cgroup rules[] = { ALL, RULE(false, "b", 8, 0, "w"), RULE(false, "b", 8, 1, "rwm"),
                                         RULE(true, "b", 8, 1, "r") };
    CHECK(MAY(rules, 'b', 8, 0, R) && !MAY(rules, 'b', 8, 0, W) && !MAY(rules, 'b', 8, 0, R | W));
    CHECK(MAY(rules, 'b', 8, 1, R) && !MAY(rules, 'b', 8, 1, W) && MAY(rules, 'c', 8, 1, W));
}

TEST(a_rule_for_all_devices_forgets_those_before_it)
{
    struct oci_device_cgroup rules[] = { NOTHING, RULE(true, "c", 1, 3, "rwm"), NOTHING };
    CHECK(!MAY(rules, 'c', 1, 3, R));
    struct oci_device_cgroup partial[] = { NOTHING, RULE(true, "a", -1, -1, "m") }; /* not for all access: both kinds */
    CHECK(MAY(partial, 'c', 1, 3, M) && MAY(partial, 'b', 1, 3, M) && !MAY(partial, 'b', 1, 3, R));
    struct oci_device_cgroup taken_back[] = { NOTHING, RULE(true, "c", 1, 3, "rwm"), RULE(false, "c", 1, 3, "w") };
    CHECK(MAY(taken_back, 'c', 1, 3, R) && !MAY(taken_back, 'c', 1, 3, W));
}

TEST(device_numbers_at_the_end_of_their_range_are_compared_whole)
{
    struct oci_device_cgroup rules[] = { NOTHING, RULE(true, "c", 0xffffffff, 0x80000000, "r") };
    CHECK(MAY(rules, 'c', 0xffffffff, 0x80000000, R) && !MAY(rules, 'c', 0xfffffffe, 0x80000000, R));
}

TEST(a_device_rule_that_makes_no_sense_is_refused)
{
    struct device_rules d;
    struct oci_device_cgroup type = RULE(true, "x", 1, 3, "r"), access = RULE(true, "c", 1, 3, "rx"),
                             number = RULE(true, "c", (int64_t)1 << 32, 3, "r");
    CHECK_SAYS(devices_read(&type, 1, &d), "device rule: type 'x' is not a, b or c");
    CHECK_SAYS(devices_read(&access, 1, &d), "device rule: access 'rx' is not made of r, w and m");
    CHECK_SAYS(devices_read(&number, 1, &d), "device rule: major 4294967296 is no device number");
}

TEST(the_kernel_takes_the_program)
{
    struct oci_device_cgroup rules[] = { NOTHING, RULE(true, "c", 1, 3, "rw"), RULE(true, "c", 136, -1, "rwm") };
    own(device_rules) struct device_rules d = { 0 };
    own_fd int fd = -1;
    if (geteuid() != 0)
        skip();
    CHECK_OK(devices_read(rules, ARRAY_SIZE(rules), &d));
    CHECK_OK(devices_load(&d, &fd));
    CHECK(fd >= 0);
}
