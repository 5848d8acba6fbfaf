// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>

#include "base/mem.h"

struct pool {
    pthread_mutex_t mutex;
    pool_job *job;
    void *ctx;
    size_t jobs, next;
    err *first;
};

static bool take_job(struct pool *p, size_t *ret)
{
    pthread_mutex_lock(&p->mutex);
    bool any = !p->first && p->next < p->jobs;
    if (any)
        *ret = p->next++;
    pthread_mutex_unlock(&p->mutex);
    return any;
}

static void keep_first(struct pool *p, err *take_e)
{
    pthread_mutex_lock(&p->mutex);
    if (p->first)
        err_ignore(take_e, "another job failed first");
    else
        p->first = take_e;
    pthread_mutex_unlock(&p->mutex);
}

static void *work(void *pool)
{
    struct pool *p = pool;
    size_t job = 0;
    while (take_job(p, &job)) {
        err *e = p->job(p, p->ctx, job);
        if (e)
            keep_first(p, e);
    }
    return NULL;
}

bool pool_stopping(struct pool *p)
{
    pthread_mutex_lock(&p->mutex);
    bool stopping = p->first != NULL;
    pthread_mutex_unlock(&p->mutex);
    return stopping;
}

fallible pool_run(size_t threads, size_t jobs, pool_job *job, void *ctx)
{
    struct pool p = { .mutex = PTHREAD_MUTEX_INITIALIZER, .job = job, .ctx = ctx, .jobs = jobs };
    if (threads > jobs)
        threads = jobs;
    /* The calling thread is one of them, so there is always somebody to do the work. */
    size_t extra = threads ? threads - 1 : 0, begun = 0;
    pthread_t *ids = mem_array(NULL, extra + 1, sizeof *ids);
    while (begun < extra && pthread_create(&ids[begun], NULL, work, &p) == 0)
        begun++;
    (void)work(&p);
    for (size_t i = 0; i < begun; i++)
        pthread_join(ids[i], NULL);
    free(ids);
    return p.first;
}

/* ---- lanes ---- */

struct lane {
    lane_work *work;
    void *ctx;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t thread;
    enum { LANE_IDLE, LANE_RUNS, LANE_ALONE, LANE_ENDED } state;
    struct lane_piece {
        unsigned char *bytes;
        size_t n;
    } * pieces;
    size_t room;       /* of them */
    size_t put, taken; /* pieces so far; between them those that wait or are worked on */
    bool last;         /* nothing more will come */
    bool failed;
    err *problem; /* not told yet */
};

struct lane *lane_new(lane_work *todo, void *ctx)
{
    return lane_new_deep(todo, ctx, LANE_PIECES);
}

struct lane *lane_new_deep(lane_work *todo, void *ctx, size_t pieces)
{
    struct lane *l = mem_zalloc(sizeof *l);
    l->work = todo;
    l->ctx = ctx;
    l->room = pieces;
    l->pieces = mem_zalloc(pieces * sizeof *l->pieces);
    pthread_mutex_init(&l->mutex, NULL);
    pthread_cond_init(&l->changed, NULL);
    return l;
}

static void *lane_thread(void *lane)
{
    struct lane *l = lane;
    pthread_mutex_lock(&l->mutex);
    for (;;) {
        while (l->put == l->taken && !l->last)
            pthread_cond_wait(&l->changed, &l->mutex);
        if (l->put == l->taken)
            break;
        struct lane_piece *piece = &l->pieces[l->taken % l->room];
        bool skip = l->failed;
        pthread_mutex_unlock(&l->mutex);
        err *e = skip ? NULL : l->work(l->ctx, piece->bytes, piece->n);
        pthread_mutex_lock(&l->mutex);
        if (e) {
            l->problem = e;
            l->failed = true;
        }
        l->taken++;
        pthread_cond_signal(&l->changed);
    }
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

/* Within the mutex. */
static fallible lane_problem(struct lane *l)
{
    err *e = l->problem;
    l->problem = NULL;
    return e;
}

static fallible lane_put(struct lane *l, const void *bytes, size_t n)
{
    pthread_mutex_lock(&l->mutex);
    while (l->put - l->taken == l->room)
        pthread_cond_wait(&l->changed, &l->mutex);
    err *e = lane_problem(l);
    struct lane_piece *piece = &l->pieces[l->put % l->room];
    pthread_mutex_unlock(&l->mutex); /* the place is ours until it is counted */
    if (e)
        return e;
    if (!piece->bytes)
        piece->bytes = mem_alloc(LANE_PIECE);
    memcpy(piece->bytes, bytes, n);
    piece->n = n;
    pthread_mutex_lock(&l->mutex);
    l->put++;
    pthread_cond_signal(&l->changed);
    pthread_mutex_unlock(&l->mutex);
    return NULL;
}

fallible lane_add(struct lane *l, const void *bytes, size_t n)
{
    const unsigned char *from = bytes;
    if (l->state == LANE_IDLE && l->put > 0)
        l->state = pthread_create(&l->thread, NULL, lane_thread, l) == 0 ? LANE_RUNS : LANE_ALONE;
    while (n > 0) {
        size_t some = n < LANE_PIECE ? n : LANE_PIECE;
        if (l->state == LANE_RUNS) {
            TRY(lane_put(l, from, some));
        } else { /* the first piece, or there is no thread */
            l->put = l->taken = l->put + 1;
            TRY(l->work(l->ctx, from, some));
        }
        from += some;
        n -= some;
    }
    return NULL;
}

size_t lane_waits(struct lane *l)
{
    pthread_mutex_lock(&l->mutex);
    size_t n = l->put - l->taken;
    pthread_mutex_unlock(&l->mutex);
    return n;
}

fallible lane_end(struct lane *l)
{
    if (l->state == LANE_RUNS) {
        pthread_mutex_lock(&l->mutex);
        l->last = true;
        pthread_cond_signal(&l->changed);
        pthread_mutex_unlock(&l->mutex);
        pthread_join(l->thread, NULL);
    }
    l->state = LANE_ENDED;
    return lane_problem(l);
}

void lane_free(struct lane *l)
{
    if (!l)
        return;
    err_ignore(lane_end(l), "who wanted to know asked before");
    for (size_t i = 0; i < l->room; i++)
        free(l->pieces[i].bytes);
    free(l->pieces);
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->mutex);
    free(l);
}

size_t pool_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : (size_t)n;
}
