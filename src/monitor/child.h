/*
 * child.h: the monitor as another program: husk, in its place or in a child of it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_CHILD_H
#define HUSK_MONITOR_CHILD_H

#include "monitor/monitor.h"

/* The signals that the monitor does not hear. */
void child_set_signals(void (*how)(int));
/* "husk WORD ID", with signals as they are by default. Ends with 1 when that cannot be run. */
_Noreturn void child_become_husk(const struct monitor_plan *plan, const char *word);

#endif
