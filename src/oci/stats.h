/*
 * stats.h: what a control group counts, in the form of `runc events`. Source: runc, types/events.go.
 *
 * A number that the kernel does not count here is 0 or left out, as runc has it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_OCI_STATS_H
#define HUSK_OCI_STATS_H

#include "cgroup/cgroup.h"

/* The "data" of a "stats" event. Caller owns. */
json_t *stats_json(const struct cgroup *g);
/* The directory of the group that has this controller ("memory"), and whether it is v2's; NULL: none. Borrowed. */
const char *stats_dir(const struct cgroup *g, const char *controller, bool *ret_v2);
/* "total avg10=0.00 ..." as runc's psi object; NULL when the text is no pressure file's. Caller owns. */
json_t *stats_psi(const char *text);

#endif
