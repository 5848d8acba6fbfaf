/*
 * restart.h: whether a container that has ended is started again, and after how long: docker's policies.
 *
 * The wait begins at 100 ms and doubles up to a minute; a container that ran for ten seconds begins anew. Source: moby,
 * restartmanager/restartmanager.go.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_RESTART_H
#define HUSK_MONITOR_RESTART_H

#include <stdint.h>

#include "base/err.h"

enum restart_policy { RESTART_NO, RESTART_ON_FAILURE, RESTART_ALWAYS, RESTART_UNLESS_STOPPED };
struct restart {
    enum restart_policy policy;
    int64_t max; /* on-failure: how many times at most; 0: no limit */
};

/* "no", "on-failure", "on-failure:5", "always", "unless-stopped"; "" is "no". INVALID names the rest. */
fallible restart_parse(const char *text, struct restart *ret);
/* "on-failure" ...; never NULL. */
const char *restart_word(enum restart_policy policy);
/* count: how often it has been restarted since somebody started it. A container that was stopped is not asked about. */
bool restart_wanted(const struct restart *r, int64_t exit_code, int64_t count);
/* last_ns: the last wait, 0 for none; ran_ns: how long it has run since. */
int64_t restart_delay_ns(int64_t last_ns, int64_t ran_ns);

/* The name of the mark in a container's folder that it was stopped, or killed, by somebody who meant it to stay so. */
#define RESTART_STOPPED "stopped"

#endif
