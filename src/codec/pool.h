/*
 * pool.h: the only threads of husk: a few that work through a list of jobs side by side, or one that is fed. Only
 * programs that hash and pack link it.
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
#include "base/own.h"

struct pool;
typedef err *pool_job(struct pool *pool, void *ctx, size_t job);

/**
 * pool_run - run job(ctx, 0) .. job(ctx, jobs-1), at most `threads` at a time, and wait for all that began.
 * Errors: the first one that happened.
 */
fallible pool_run(size_t threads, size_t jobs, pool_job *job, void *ctx);
/* Has another job failed? */
bool pool_stopping(struct pool *pool);
/*
 * A lane: one thread that is fed bytes and works them off in their order, while who feeds it makes the next. It is
 * begun with the second piece, so little costs no thread; where there can be none, lane_add() does the work itself.
 */
enum { LANE_PIECE = 256 << 10, LANE_PIECES = 8 };
struct lane;
typedef err *lane_work(void *ctx, const void *bytes, size_t n);
struct lane *lane_new(lane_work *work, void *ctx);
/* pieces: that may wait, for who feeds it in bursts; a piece takes memory when it is first needed. */
struct lane *lane_new_deep(lane_work *work, void *ctx, size_t pieces);
/* Copies; waits where too much is under way. Errors: the work's, of this piece or of an earlier one. */
fallible lane_add(struct lane *l, const void *bytes, size_t n);
/* Pieces that are not done yet. */
size_t lane_waits(struct lane *l);
/* Waits until all is done. Errors: the work's, if lane_add() did not tell it. */
fallible lane_end(struct lane *l);
/* Ends it too. */
void lane_free(struct lane *l);
OWN_TYPE(lane, struct lane *, lane_free)

/* Cores this process may use, at least 1. */
size_t pool_cores(void);

#endif
