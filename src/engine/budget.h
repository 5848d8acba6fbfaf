/*
 * budget.h: what the settings of the store (image/settings.h) ask for when images were added: packed layers go
 * (keep_blobs = no), and what was used least goes until the images fit the budget.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_BUDGET_H
#define HUSK_ENGINE_BUDGET_H

#include "engine/engine.h"

/**
 * budget_settle - first what nothing needs, then images without a name, then named ones, those used longest ago first.
 * Images that a container uses, and those used since_ns or later (nanoseconds since the epoch), stay. Each one that
 * goes is told in a warning; so is a budget that cannot be kept.
 */
fallible budget_settle(struct engine *e, int64_t since_ns);

#endif
