/*
 * check.h: what a killed husk left behind, and its repair. Each problem is found by comparing two truths that a whole
 * operation keeps equal: rows and folders, state and processes, control groups and containers.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_CHECK_H
#define HUSK_ENGINE_CHECK_H

#include "engine/container.h"

enum check_how { CHECK_LOOK, CHECK_REPAIR };
struct check_problem {
    char *text;    /* "container abc...: folder without a row" */
    char *failure; /* why the repair failed, or NULL */
    bool repaired;
};
struct check_result {
    struct check_problem *items;
    size_t n;
};
fallible check_run(struct engine *e, enum check_how how, struct check_result *ret);
void check_result_clear(struct check_result *r);

#endif
