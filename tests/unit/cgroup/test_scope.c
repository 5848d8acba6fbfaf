// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "cgroup/scope.h"
#include "cgroup/variant.h"
#include "test.h"

TEST(a_path_names_slice_prefix_and_name)
{
    static const struct {
        const char *path;
        enum scope_manager manager;
        const char *slice, *unit;
    } rows[] = {
        { NULL, SCOPE_SYSTEM, "system.slice", "husk-id.scope" },
        { "", SCOPE_USER, "user.slice", "husk-id.scope" },
        { "::", SCOPE_SYSTEM, "system.slice", "husk-id.scope" },
        { "a-b.slice:crio:x", SCOPE_SYSTEM, "a-b.slice", "crio-x.scope" },
        { ":docker:x", SCOPE_SYSTEM, "system.slice", "docker-x.scope" },
        { "a.slice::x", SCOPE_SYSTEM, "a.slice", "x.scope" },
        { "a.slice::x.scope", SCOPE_SYSTEM, "a.slice", "x.scope" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct scope_plan p = { 0 };
        CHECK_OK(scope_plan(rows[i].path, "id", rows[i].manager, &p));
        assert_string_equal(p.slice, rows[i].slice);
        assert_string_equal(p.unit, rows[i].unit);
        scope_plan_clear(&p);
    }
    static const char *const wrong[] = { "/a/b",  "a.slice",        "a.slice:b",    "a.slice:b:c:d",
                                         "a:b:c", "a.slice:../b:c", "x/y.slice:b:c" };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct scope_plan p = { 0 };
        own(err) err *e = scope_plan(wrong[i], "id", SCOPE_SYSTEM, &p);
        assert_true(err_is(e, ERR_INVALID));
        assert_null(p.unit);
    }
}

TEST(limits_become_properties)
{
    struct oci_memory memory = { .limit = { true, 52428800 },
                                 .swap = { true, 62428800 },
                                 .reservation = { true, 4096 } };
    char cpus[] = "0-2,9";
    struct oci_cpu cpu = {
        .shares = { true, 1024 }, .quota = { true, 12345 }, .period = { true, 100000 }, .cpus = cpus
    };
    struct oci_pids pids = { .limit = { true, -1 } };
    struct oci_resources r = { .memory = &memory, .cpu = &cpu, .pids = &pids };
    struct strmap notes = { 0 };
    own_strv struct strv got = { 0 };
    strmap_set(&notes, "org.systemd.property.TimeoutStopSec", "1.5");
    strmap_set(&notes, "org.systemd.property.Documentation", "['man:x(1)']");
    strmap_set(&notes, "other", "x");
    CHECK_OK(scope_properties(true, &r, &notes, &got));
    static const char *const wanted[] = {
        "MemoryMax=uint64 52428800",        "MemoryLow=uint64 4096",
        "MemorySwapMax=uint64 10000000",    "CPUWeight=uint64 100",
        "CPUQuotaPeriodUSec=uint64 100000", "CPUQuotaPerSecUSec=uint64 130000",
        "AllowedCPUs=@ay [byte 7, byte 2]", "TasksMax=uint64 18446744073709551615",
        "TimeoutStopUSec=uint64 1500000",   "Documentation=['man:x(1)']",
    };
    assert_int_equal(got.n, ARRAY_SIZE(wanted));
    for (size_t i = 0; i < got.n; i++) {
        struct variant v = { 0 };
        assert_string_equal(got.items[i], wanted[i]);
        CHECK_OK(variant_parse(strchr(got.items[i], '=') + 1, &v)); /* the helper can read every one */
        variant_clear(&v);
    }
    strmap_set(&notes, "org.systemd.property.a=b", "1");
    own_strv struct strv none = { 0 };
    own(err) err *bad = scope_properties(true, &r, &notes, &none);
    assert_true(err_is(bad, ERR_INVALID));
    strmap_free(&notes);
}

TEST(texts_become_values_of_their_types)
{
    static const struct {
        const char *text, *signature;
    } rows[] = {
        { "true", "b" },
        { "5", "i" },
        { "uint64 5", "t" },
        { "byte 0xff", "y" },
        { "-3", "i" },
        { "1.5", "d" },
        { "'a b'", "s" },
        { "\"q\\\"\"", "s" },
        { "['a', 'b']", "as" },
        { "@as []", "as" },
        { "('a', uint32 1)", "(su)" },
        { "[(1, true)]", "a(ib)" },
        { "objectpath '/a'", "o" },
        { " int64 -5 ", "x" },
        { "('one',)", "(s)" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        struct variant v = { 0 };
        CHECK_OK(variant_parse(rows[i].text, &v));
        assert_string_equal(v.signature, rows[i].signature);
        variant_clear(&v);
    }
    static const char *const wrong[] = {
        "",           "'a", "[]", "['a', 1]",    "byte 256", "uint32 -1", "5 5",  "5x",      "{}",
        "<5>",        "()", "[1", "int16 40000", "'\\x'",    "@as ['a'",  "@i 5", "@as [1]", "((((((((((1))))))))))",
        "99999999999"
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct variant v = { 0 };
        own(err) err *e = variant_parse(wrong[i], &v);
        assert_true(err_is(e, ERR_INVALID));
    }
}
