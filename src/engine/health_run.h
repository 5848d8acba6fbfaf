/*
 * health_run.h: the question of a health check: a command in the container, its output kept, its time bounded.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_HEALTH_RUN_H
#define HUSK_ENGINE_HEALTH_RUN_H

#include "engine/health.h"

struct health_question {
    const struct strv *test, *shell;
    int64_t timeout_ns;
    const char *timeout_option; /* its name, for words */
    size_t output_max;
};
/* Always answers something: that the command cannot be run is an answer too. */
void health_run(struct container *c, const struct health_question *q, struct health_result *ret);

#endif
