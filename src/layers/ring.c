// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/ring.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>

#include "base/mem.h"

struct worker {
    ring_work *work;
    void *ctx;
    size_t most;
    uint64_t done; /* slots so far */
    bool began;    /* it has a thread */
    bool busy;     /* some thread works for it */
    pthread_cond_t filled;
};

struct ring {
    pthread_mutex_t mutex;
    pthread_cond_t freed;
    struct iovec slots[RING_SLOTS];
    uint64_t filled; /* so far */
    struct worker workers[RING_WORKERS];
    size_t workers_n;
    bool ended, failed;
    err *problem; /* not told yet */
};

struct ring *ring_new(void)
{
    struct ring *r = mem_zalloc(sizeof *r);
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->freed, NULL);
    return r;
}

void ring_free(struct ring *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < RING_SLOTS; i++)
        free(r->slots[i].iov_base);
    err_free(r->problem);
    free(r);
}

size_t ring_add_worker(struct ring *r, size_t most, ring_work *work, void *ctx)
{
    struct worker *w = &r->workers[r->workers_n];
    *w = (struct worker){ .work = work, .ctx = ctx, .most = most < RING_BATCH ? most : RING_BATCH };
    pthread_cond_init(&w->filled, NULL);
    return r->workers_n++;
}

/* ---- one worker's; within the mutex ---- */

/* What it may have now, as it lies: a batch goes at most to the ring's end and around it. */
static size_t next_slots(const struct ring *r, const struct worker *w, struct iovec out[RING_BATCH])
{
    size_t n = 0;
    while (n < w->most && w->done + n < r->filled) {
        out[n] = r->slots[(w->done + n) % RING_SLOTS];
        n++;
    }
    return n;
}

/* After a failure nothing is worth doing, but slots must come free. */
static void work_on(struct ring *r, struct worker *w)
{
    struct iovec slots[RING_BATCH];
    size_t n = next_slots(r, w, slots);
    bool skip = r->failed;
    w->busy = true;
    pthread_mutex_unlock(&r->mutex);
    err *e = skip ? NULL : w->work(w->ctx, slots, n);
    pthread_mutex_lock(&r->mutex);
    w->busy = false;
    w->done += n;
    if (e && r->failed) {
        err_ignore(e, "another worker failed first");
    } else if (e) {
        r->problem = e;
        r->failed = true;
    }
    pthread_cond_signal(&r->freed);
    pthread_cond_signal(&w->filled); /* its thread may have begun meanwhile */
}

static err *untold(struct ring *r)
{
    err *e = r->problem;
    r->problem = NULL;
    return e;
}

fallible ring_run(struct ring *r, size_t worker)
{
    struct worker *w = &r->workers[worker];
    pthread_mutex_lock(&r->mutex);
    w->began = true;
    for (;;) {
        while (w->busy || (r->filled - w->done < RING_BATCH && !r->ended))
            pthread_cond_wait(&w->filled, &r->mutex);
        if (w->done == r->filled)
            break;
        for (uint64_t until = r->filled; w->done < until;)
            work_on(r, w);
    }
    err *e = untold(r);
    pthread_mutex_unlock(&r->mutex);
    return e;
}

/* ---- who fills ---- */

static bool is_full(struct ring *r)
{
    for (size_t i = 0; i < r->workers_n; i++) {
        struct worker *w = &r->workers[i];
        while (!w->began && r->filled - w->done == RING_SLOTS) /* not on its feet yet, or never */
            work_on(r, w);
        if (r->filled - w->done == RING_SLOTS)
            return true;
    }
    return false;
}

fallible ring_slot(struct ring *r, unsigned char **ret)
{
    pthread_mutex_lock(&r->mutex);
    while (!r->failed && is_full(r))
        pthread_cond_wait(&r->freed, &r->mutex);
    err *e = untold(r);
    if (!e && r->failed)
        e = err_new(ERR_CANCELLED, "what is read cannot be kept");
    pthread_mutex_unlock(&r->mutex);
    struct iovec *slot = &r->slots[r->workers_n ? r->filled % RING_SLOTS : 0];
    if (!e && !slot->iov_base && !(slot->iov_base = aligned_alloc(RING_ALIGN, RING_SLOT_SIZE)))
        e = err_new(ERR_EXHAUSTED, "no memory to unpack a layer");
    *ret = slot->iov_base;
    return e;
}

void ring_publish(struct ring *r, size_t n)
{
    pthread_mutex_lock(&r->mutex);
    r->slots[r->workers_n ? r->filled % RING_SLOTS : 0].iov_len = n;
    r->filled++;
    for (size_t i = 0; i < r->workers_n; i++)
        if (r->filled - r->workers[i].done >= RING_BATCH)
            pthread_cond_signal(&r->workers[i].filled);
    pthread_mutex_unlock(&r->mutex);
}

void ring_end(struct ring *r)
{
    pthread_mutex_lock(&r->mutex);
    r->ended = true;
    for (size_t i = 0; i < r->workers_n; i++)
        pthread_cond_signal(&r->workers[i].filled);
    pthread_mutex_unlock(&r->mutex);
}
