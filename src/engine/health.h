/*
 * health.h: is a container well? A command that runs in it tells: its monitor has it asked at intervals, and anybody
 * may ask at once. The answers are in <state_dir>/health.json, and go with the run that they are about.
 *
 * Rules as docker's: a success makes it healthy; `retries` failures in a row make it unhealthy; until the first
 * success, failures within the start period do not count. Source: moby, daemon/health.go. A startup check, as podman's,
 * is asked instead until it has succeeded; its answers change no status, and too many failures restart the container.
 * Source: podman-run(1), --health-startup-*.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_HEALTH_H
#define HUSK_ENGINE_HEALTH_H

#include "engine/container.h"

enum { HEALTH_LOG_MAX = 5, HEALTH_OUTPUT_MAX = 4096 };         /* by default */
enum { HEALTH_LOG_MOST = 1000, HEALTH_OUTPUT_MOST = 1 << 20 }; /* by --health-max-log-count and -size */
struct health_result {
    int64_t start_ns, end_ns; /* CLOCK_REALTIME */
    int64_t exit_code;        /* -1: it was not answered in time, or could not be asked */
    char *output;
};
struct health_state {
    char *status; /* "starting", "healthy", "unhealthy" */
    int64_t failing_streak;
    bool startup_over;                           /* of a startup check */
    int64_t startup_successes, startup_failures; /* in a row */
    struct health_result *log;                   /* oldest first */
    size_t log_n;
};
void health_state_free(struct health_state *s);
OWN_TYPE(health_state, struct health_state *, health_state_free)

/* "none", "starting", "healthy", "unhealthy". */
const char *health_word(struct container *c);
/* {"Status", "FailingStreak", "Log": [{"Start", "End", "ExitCode", "Output"}]}, docker's shape; caller's. */
json_t *health_doc(const struct health_state *s);
/* What is known; NULL where there is no health check. */
fallible health_read(struct container *c, struct health_state **ret);
enum health_asker { HEALTH_BY_HAND, HEALTH_BY_CLOCK };
struct health_answer_of {
    bool well;     /* this answer alone */
    bool starting; /* the startup check goes on */
};
/**
 * health_probe - ask once, keep the answer, and do what was wished for when it has become unhealthy.
 * @by: the clock does not ask a startup check that is only asked by hand.
 * Errors: CONFLICT when it does not run, or is paused; INVALID when there is no health check.
 */
fallible health_probe(struct container *c, enum health_asker by, struct health_answer_of *ret);

#endif
