// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>

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

size_t pool_cores(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) < 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : (size_t)n;
}
