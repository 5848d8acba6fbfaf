// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/proc.h"

#include <sys/wait.h>
#include <unistd.h>

#include "test.h"

/* Whenever the clock says it, /proc says the same; most often it does. */
TEST(a_child_s_start_is_known_by_the_clock)
{
    enum { CHILDREN = 100 };
    int known = 0;
    for (int i = 0; i < CHILDREN; i++) {
        struct proc_id born, seen;
        uint64_t before = proc_clock_ns();
        pid_t pid = fork();
        if (pid == 0)
            _exit(0);
        uint64_t after = proc_clock_ns();
        assert_true(pid > 0);
        CHECK_OK(proc_identify(pid, &seen)); /* nobody has waited for it */
        if (proc_identify_born(pid, before, after, &born)) {
            known++;
            assert_int_equal(born.pid, seen.pid);
            assert_int_equal(born.start_time, seen.start_time);
        }
        CHECK(waitpid(pid, NULL, 0) == pid);
    }
    assert_true(known > 0);
}

TEST(two_looks_in_different_ticks_say_nothing)
{
    enum { TICK = 10000000 };
    struct proc_id id;
    assert_true(proc_identify_born(7, 5ULL * TICK, 6ULL * TICK - 1, &id));
    assert_int_equal(id.pid, 7);
    assert_int_equal(id.start_time, 5);
    assert_false(proc_identify_born(7, 5ULL * TICK, 6ULL * TICK, &id));
    assert_false(proc_identify_born(7, 6ULL * TICK - 1, 6ULL * TICK, &id));
    assert_false(proc_identify_born(7, 6ULL * TICK, 5ULL * TICK, &id));
    assert_false(proc_identify_born(7, 0, 0, &id)); /* no clock */
}
