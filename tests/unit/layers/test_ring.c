// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include "base/mem.h"
#include "codec/pool.h"
#include "layers/ring.h"

enum { SLOTS = 3 * RING_SLOTS + 5, TAIL = 77 };

/* What a worker gets: slot k begins with the byte k, and all but the last are full. */
struct eater {
    size_t n, most, fails_at;
    int failures;
    bool wrong;
};

static fallible eat(void *ctx, const struct iovec *slots, size_t n)
{
    struct eater *e = ctx;
    for (size_t i = 0; i < n; i++, e->n++) {
        if (e->n >= e->fails_at) {
            e->failures++;
            return err_new(ERR_EXHAUSTED, "no room");
        }
        const unsigned char *b = slots[i].iov_base;
        size_t want = e->n == SLOTS - 1 ? TAIL : RING_SLOT_SIZE;
        e->wrong |= b[0] != e->n || slots[i].iov_len != want || (uintptr_t)b % RING_ALIGN;
    }
    e->most = n > e->most ? n : e->most;
    return NULL;
}

static fallible fill(struct ring *r)
{
    for (size_t k = 0; k < SLOTS; k++) {
        unsigned char *slot = NULL;
        TRY(ring_slot(r, &slot));
        slot[0] = (unsigned char)k;
        ring_publish(r, k == SLOTS - 1 ? TAIL : RING_SLOT_SIZE);
    }
    return NULL;
}

static fallible job(struct pool *pool, void *ctx, size_t number)
{
    (void)pool;
    if (number > 0)
        return ring_run(ctx, number - 1);
    err *e = fill(ctx);
    ring_end(ctx);
    return e;
}

/* With a thread for each, and with one for all: then who fills does the workers' work. */
TEST(each_worker_gets_all_slots_in_their_order_however_many_threads_there_are)
{
    for (size_t threads = 1; threads <= 3; threads++) {
        struct eater a = { .fails_at = SIZE_MAX }, b = a;
        own(ring) struct ring *r = ring_new();
        CHECK(ring_add_worker(r, 1, eat, &a) == 0 && ring_add_worker(r, RING_BATCH, eat, &b) == 1);
        CHECK_OK(pool_run(threads, 3, job, r));
        CHECK(a.n == SLOTS && b.n == SLOTS && !a.wrong && !b.wrong);
        CHECK(a.most == 1 && b.most > 1 && b.most <= RING_BATCH);
    }
}

TEST(without_workers_slots_are_filled_one_after_the_other)
{
    own(ring) struct ring *r = ring_new();
    CHECK_OK(pool_run(1, 1, job, r));
}

TEST(a_workers_error_is_the_one_that_is_told_whenever_it_fails)
{
    static const size_t at[] = { 0, RING_SLOTS, SLOTS - 1 };
    for (size_t threads = 1; threads <= 3; threads++)
        for (size_t i = 0; i < ARRAY_SIZE(at); i++) {
            struct eater a = { .fails_at = SIZE_MAX }, b = { .fails_at = at[i] };
            own(ring) struct ring *r = ring_new();
            (void)ring_add_worker(r, 1, eat, &a);
            (void)ring_add_worker(r, RING_BATCH, eat, &b);
            CHECK_ERR(pool_run(threads, 3, job, r), ERR_EXHAUSTED);
            CHECK(b.failures == 1 && !a.wrong && !b.wrong);
        }
}
