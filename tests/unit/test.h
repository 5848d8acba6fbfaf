/*
 * test.h: TEST(a_sentence_that_is_true_when_it_passes) { ... } registers itself; one main per file through cmocka.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_TEST_H
#define HUSK_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/err.h"

#define TEST(name)                                                                                                     \
    static void name(void **state);                                                                                    \
    static const struct CMUnitTest test_row_##name                                                                     \
        __attribute__((used, section("husk_tests"), aligned(sizeof(void *)))) = cmocka_unit_test(name);                \
    static void name(void **state __attribute__((unused)))

#define CHECK(condition) assert_true(condition)
/* The call succeeds; a failure prints what it said. */
#define CHECK_OK(call)                                                                                                 \
    do {                                                                                                               \
        own(err) err *check_err_ = (call);                                                                             \
        if (check_err_)                                                                                                \
            fail_msg("%s: %s", #call, err_text(check_err_));                                                           \
    } while (0)
/* The call fails with this kind. */
#define CHECK_ERR(call, kind_)                                                                                         \
    do {                                                                                                               \
        own(err) err *check_err_ = (call);                                                                             \
        if (!err_is(check_err_, kind_))                                                                                \
            fail_msg("%s: expected %s, got: %s", #call, err_kind_name(kind_), err_text(check_err_));                   \
    } while (0)
/* The call fails with exactly this text: messages are part of the interface. */
#define CHECK_SAYS(call, text_)                                                                                        \
    do {                                                                                                               \
        own(err) err *check_err_ = (call);                                                                             \
        assert_string_equal(err_text(check_err_), text_);                                                              \
    } while (0)

extern const struct CMUnitTest __start_husk_tests[], __stop_husk_tests[];

int main(void)
{
    return _cmocka_run_group_tests(__FILE__, __start_husk_tests, (size_t)(__stop_husk_tests - __start_husk_tests), NULL,
                                   NULL);
}

#endif
