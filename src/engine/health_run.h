/*
 * health_run.h: the question of a health check: a command in the container, its output kept, its time bounded.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_HEALTH_RUN_H
#define HUSK_ENGINE_HEALTH_RUN_H

#include "engine/health.h"

/* Always answers something: that the command cannot be run is an answer too. */
void health_run(struct container *c, const struct container_health *h, struct health_result *ret);

#endif
