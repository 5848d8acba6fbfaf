/*
 * stats.h: what containers use now: from their control groups, or, without one, from their processes.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_STATS_H
#define HUSK_ENGINE_STATS_H

#include "engine/container.h"

struct container_stats {
    int64_t at_ns; /* CLOCK_MONOTONIC */
    uint64_t cpu_ns, memory_bytes, memory_limit_bytes, pids, net_in_bytes, net_out_bytes, read_bytes, write_bytes;
};
/* Of one that runs; all zero for one that does not. memory_bytes is without what the kernel can drop at once;
 * memory_limit_bytes is what bounds it first: its own limit, its pod's, another above, or the machine's memory. */
fallible container_stats(const struct container *c, struct container_stats *ret);
/* Percent of one processor between two looks. */
double stats_cpu_percent(const struct container_stats *before, const struct container_stats *now);

#endif
