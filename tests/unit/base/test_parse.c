// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/parse.h"

#include "base/mem.h"
#include "test.h"

TEST(sizes_are_read_as_docker_writes_them)
{
    static const struct {
        const char *text;
        int64_t bytes;
    } good[] = {
        { "0", 0 },           { "512", 512 },         { "64k", 65536 },   { "1.5g", 1610612736 },
        { "10MB", 10485760 }, { "1GiB", 1073741824 }, { "2 m", 2097152 }, { ".5k", 512 },
        { "1b", 1 },
    };
    int64_t v = 0;
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        CHECK_OK(parse_bytes(good[i].text, &v));
        assert_int_equal(v, good[i].bytes);
    }
    CHECK_SAYS(parse_bytes("12q", &v), "'12q' has an unknown unit 'q': use b, k, m, g or t");
    CHECK_SAYS(parse_bytes("", &v), "'' is not a size: use a number with b, k, m, g or t");
    CHECK_ERR(parse_bytes("-1", &v), ERR_INVALID);
    CHECK_ERR(parse_bytes("1.2.3k", &v), ERR_INVALID);
    CHECK_ERR(parse_bytes("9999999999999g", &v), ERR_INVALID);
}

TEST(numbers_use_all_of_the_text)
{
    int64_t i = 0;
    uint64_t u = 0;
    CHECK_OK(parse_i64("-42", -100, 100, &i));
    assert_int_equal(i, -42);
    CHECK_SAYS(parse_i64("7x", 0, 10, &i), "'7x' is not a number");
    CHECK_SAYS(parse_i64("11", 0, 10, &i), "'11' is out of range: 0 to 10");
    CHECK_ERR(parse_i64(" 1", 0, 10, &i), ERR_INVALID);
    CHECK_ERR(parse_u64("18446744073709551616", UINT64_MAX, &u), ERR_INVALID);
    CHECK_OK(parse_scaled("1.5", 100000, &i));
    assert_int_equal(i, 150000);
    CHECK_ERR(parse_scaled("1.5x", 1000, &i), ERR_INVALID);
}

TEST(durations_are_gos)
{
    uint64_t ns = 0;
    CHECK_OK(parse_duration_ns("1m30s", &ns));
    assert_int_equal(ns, 90000000000);
    CHECK_OK(parse_duration_ns("300ms", &ns));
    assert_int_equal(ns, 300000000);
    CHECK_OK(parse_duration_ns("10", &ns));
    assert_int_equal(ns, 10000000000);
    CHECK_ERR(parse_duration_ns("1d", &ns), ERR_INVALID);
    CHECK_ERR(parse_duration_ns("", &ns), ERR_INVALID);
    CHECK_ERR(parse_duration_ns("m", &ns), ERR_INVALID);
}

TEST(times_survive_the_round_trip)
{
    char buf[40];
    int64_t ns = 0;
    CHECK_OK(parse_time_ns("2026-11-22T00:10:00.123456789Z", &ns));
    assert_string_equal(format_time_ns(ns, buf), "2026-11-22T00:10:00.123456789Z");
    CHECK_OK(parse_time_ns("2026-11-22T02:10:00.5+02:00", &ns));
    assert_string_equal(format_time_ns(ns, buf), "2026-11-22T00:10:00.500000000Z");
    CHECK_ERR(parse_time_ns("yesterday", &ns), ERR_INVALID);
}

TEST(people_read_sizes_and_ages)
{
    char buf[64];
    assert_string_equal(format_bytes(0, buf), "0B");
    assert_string_equal(format_bytes(4260000, buf), "4.26MB");
    assert_string_equal(format_bytes(124000000, buf), "124MB");
    assert_string_equal(format_duration(0, buf), "Less than a second");
    assert_string_equal(format_duration(59, buf), "59 seconds");
    assert_string_equal(format_duration(119, buf), "About a minute");
    assert_string_equal(format_duration(7200 + 60, buf), "2 hours");
    assert_string_equal(format_duration(86400 * 3, buf), "3 days");
}
