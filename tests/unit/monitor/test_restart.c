// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/restart.h"
#include "test.h"

TEST(a_policy_is_one_of_dockers_words)
{
    static const struct {
        const char *text;
        enum restart_policy policy;
        int64_t max;
    } good[] = {
        { "", RESTART_NO, 0 },
        { "no", RESTART_NO, 0 },
        { "always", RESTART_ALWAYS, 0 },
        { "unless-stopped", RESTART_UNLESS_STOPPED, 0 },
        { "on-failure", RESTART_ON_FAILURE, 0 },
        { "on-failure:5", RESTART_ON_FAILURE, 5 },
    };
    static const char *const bad[] = {
        "sometimes", "always:3", "on-failure:", "on-failure:-1", "on-failure:x", "no:1"
    };
    for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
        struct restart r = { .max = 99 };
        own(err) err *e = restart_parse(good[i].text, &r);
        CHECK(!e && r.policy == good[i].policy && r.max == good[i].max);
    }
    for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
        struct restart r;
        own(err) err *e = restart_parse(bad[i], &r);
        CHECK(err_is(e, ERR_INVALID));
    }
}

TEST(on_failure_restarts_what_failed_and_not_more_often_than_it_says)
{
    struct restart r = { RESTART_ON_FAILURE, 2 };
    CHECK(!restart_wanted(&r, 0, 0));
    CHECK(restart_wanted(&r, 1, 0));
    CHECK(restart_wanted(&r, 137, 1));
    CHECK(!restart_wanted(&r, 1, 2));
    r.max = 0;
    CHECK(restart_wanted(&r, 1, 1000000));
}

TEST(the_wait_doubles_from_a_tenth_of_a_second_to_a_minute)
{
    int64_t wait = 0, expected = 100000000;
    for (int i = 0; i < 20; i++) {
        wait = restart_delay_ns(wait, 1000);
        CHECK(wait == (expected < 60000000000 ? expected : 60000000000));
        expected *= 2;
    }
}

TEST(after_ten_seconds_of_running_the_wait_begins_anew)
{
    CHECK(restart_delay_ns(51200000000, 9999999999) == 60000000000);
    CHECK(restart_delay_ns(51200000000, 10000000000) == 100000000);
}
