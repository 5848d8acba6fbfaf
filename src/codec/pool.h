/*
 * pool.h: the only threads of husk: a few that work through a list of jobs side by side. Only husk-image links it.
 *
 * A job owns what it touches. After the first failure no further job begins; jobs that can stop early ask
 * pool_stopping().
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CODEC_POOL_H
#define HUSK_CODEC_POOL_H

#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

struct pool;
typedef err *pool_job(struct pool *pool, void *ctx, size_t job);

/**
 * pool_run - run job(ctx, 0) .. job(ctx, jobs-1), at most `threads` at a time, and wait for all that began.
 * Errors: the first one that happened.
 */
fallible pool_run(size_t threads, size_t jobs, pool_job *job, void *ctx);
/* Has another job failed? */
bool pool_stopping(struct pool *pool);
/* Cores this process may use, at least 1. */
size_t pool_cores(void);

#endif
