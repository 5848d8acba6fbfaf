/*
 * weight.h: v1's weights as v2's.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CGROUP_WEIGHT_H
#define HUSK_CGROUP_WEIGHT_H

#include <stdint.h>

/* cpu.shares (2 to 262144, default 1024) -> cpu.weight (1 to 10000, default 100). The curve that runc 1.4 and crun 1.23
 * use: it meets all three points, where the older straight line made 1024 a 39. Source: kubernetes KEP-2254, #131216.
 */
uint64_t weight_of_shares(uint64_t shares);
/* blkio.weight (10 to 1000, default 500) -> io.weight (1 to 10000, default 100), a line, as all runtimes. */
uint64_t weight_of_blkio(uint64_t weight);

#endif
