/*
 * record.h: the exit record as the monitor writes it: its room on the disk is taken when the container starts, so a
 * disk that is full when the container ends does not cost the exit code.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_RECORD_H
#define HUSK_MONITOR_RECORD_H

#include "base/mem.h"
#include "monitor/monitor.h"

/* Takes the room. *ret_fd -1: there is none, record_finish() will try again. */
void record_reserve(int dir_fd, int *ret_fd);
/* Writes the record into its room, or anew, and gives it its name. */
fallible record_finish(int dir_fd, int reserved_fd, const struct monitor_exit *record);

#endif
