// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "codec/pool.h"

enum { JOBS = 100, BYTES = 5 << 20 };

struct many {
    int done[JOBS];
    size_t fails_at;
};

static fallible do_job(struct pool *pool, void *ctx, size_t job)
{
    struct many *m = ctx;
    (void)pool;
    if (job == m->fails_at)
        return err_new(ERR_CONFLICT, "job %zu", job);
    m->done[job]++;
    return NULL;
}

TEST(each_job_is_done_once_and_the_first_failure_is_told)
{
    struct many m = { .fails_at = JOBS };
    CHECK_OK(pool_run(4, JOBS, do_job, &m));
    for (size_t i = 0; i < JOBS; i++)
        CHECK(m.done[i] == 1);
    m.fails_at = 7;
    CHECK_ERR(pool_run(4, JOBS, do_job, &m), ERR_CONFLICT);
}

struct got {
    unsigned char *bytes;
    size_t n, fails_from;
    int failures;
};

static fallible gather(void *ctx, const void *bytes, size_t n)
{
    struct got *g = ctx;
    if (g->n >= g->fails_from) {
        g->failures++;
        return err_new(ERR_EXHAUSTED, "no room");
    }
    memcpy(g->bytes + g->n, bytes, n);
    g->n += n;
    return NULL;
}

static fallible feed(struct lane *l, const unsigned char *bytes, size_t n, size_t piece)
{
    for (size_t at = 0; at < n; at += piece)
        TRY(lane_add(l, bytes + at, n - at < piece ? n - at : piece));
    return lane_end(l);
}

TEST(a_lane_gets_the_bytes_in_their_order_whatever_the_pieces)
{
    static const size_t pieces[] = { 4097, LANE_PIECE, 3 * LANE_PIECE + 1, BYTES };
    own_mem unsigned char *bytes = mem_alloc(BYTES), *out = mem_alloc(BYTES);
    for (size_t i = 0; i < BYTES; i++)
        bytes[i] = (unsigned char)(i * 7 + i / 251);
    for (size_t i = 0; i < ARRAY_SIZE(pieces); i++) {
        struct got g = { .bytes = out, .fails_from = SIZE_MAX };
        own(lane) struct lane *l = lane_new(gather, &g);
        CHECK_OK(feed(l, bytes, BYTES, pieces[i]));
        CHECK(g.n == BYTES && memcmp(bytes, out, BYTES) == 0);
        CHECK(lane_waits(l) == 0);
    }
}

TEST(a_failure_in_a_lane_is_told_once_and_nothing_is_worked_on_after_it)
{
    own_mem unsigned char *bytes = mem_zalloc(BYTES), *out = mem_alloc(BYTES);
    static const size_t from[] = { 0, LANE_PIECE, BYTES - 1 - LANE_PIECE };
    for (size_t i = 0; i < ARRAY_SIZE(from); i++) {
        struct got g = { .bytes = out, .fails_from = from[i] };
        own(lane) struct lane *l = lane_new(gather, &g);
        CHECK_ERR(feed(l, bytes, BYTES, LANE_PIECE), ERR_EXHAUSTED);
        CHECK_OK(lane_end(l));
        CHECK(g.failures == 1);
    }
}

TEST(a_lane_that_got_nothing_or_was_not_ended_is_let_go)
{
    struct got g = { .bytes = mem_alloc(BYTES), .fails_from = SIZE_MAX };
    own(lane) struct lane *idle = lane_new(gather, &g);
    CHECK_OK(lane_end(idle));
    struct lane *busy = lane_new(gather, &g);
    for (int i = 0; i < 5; i++)
        CHECK_OK(lane_add(busy, "12345", 5));
    lane_free(busy);
    CHECK(g.n == 25);
    free(g.bytes);
}
