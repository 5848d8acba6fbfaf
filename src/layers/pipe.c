// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/pipe.h"

#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "codec/pool.h"

enum {
    JOB_FETCH,
    JOB_UNPACK,
    JOBS,
    WORTH_WRITING = 16 << 20, /* packed bytes, of which the files are some 60 MiB */
};

struct pipe {
    struct layout *l;
    struct unpack u;
    struct follow *follow;
    pipe_fetch *fetch;
    void *ctx;
    struct stream_source behind;
    size_t unwritten; /* packed bytes of which the files may not be on disk */
    err *problem[JOBS];
};

static err *when_settled(void *ctx)
{
    const struct pipe *p = ctx;
    return follow_settled(p->follow);
}

/* While there is nothing to do but to wait for the network, what is unpacked goes to disk: else all of it would be
 * written after the last byte has come. */
static err *read_and_write_out(void *ctx, void *buf, size_t max, size_t *ret_n)
{
    struct pipe *p = ctx;
    if (p->unwritten >= WORTH_WRITING && follow_caught_up(p->follow)) {
        own_fd int dir = openat(p->l->fd, "layers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir >= 0)
            (void)syncfs(dir); /* the one at the end counts, and reports */
        p->unwritten = 0;
    }
    TRY(p->behind.read(p->behind.ctx, buf, max, ret_n));
    p->unwritten += *ret_n;
    return NULL;
}

/* From another mirror, or from the start: the bytes that were unpacked so far are then no part of the blob. */
static void unpack_behind(struct pipe *p)
{
    err **problem = &p->problem[JOB_UNPACK];
    for (;;) {
        p->behind = follow_source(p->follow);
        p->u.source = (struct stream_source){ .read = read_and_write_out, .ctx = p };
        *problem = layer_unpack(p->l, &p->u, NULL);
        if (!*problem || !follow_again(p->follow))
            return;
        log_debug("unpack again: %s", err_text(*problem));
        err_ignore(*problem, "it was about other bytes");
    }
}

/* Both are waited for, and which error counts is seen then: so no job fails as the pool sees it. */
static err *run_job(struct pool *pool, void *ctx, size_t job)
{
    struct pipe *p = ctx;
    (void)pool;
    if (job == JOB_UNPACK) {
        unpack_behind(p);
        return NULL;
    }
    p->problem[JOB_FETCH] = p->fetch(p->ctx, p->follow);
    follow_end(p->follow, !p->problem[JOB_FETCH]);
    return NULL;
}

fallible pipe_run(struct layout *l, const struct unpack *u, pipe_fetch *fetch, void *ctx)
{
    own(follow) struct follow *f = follow_new();
    struct pipe p = { .l = l, .u = *u, .follow = f, .fetch = fetch, .ctx = ctx };
    p.u.admit = when_settled;
    p.u.admit_ctx = &p;
    TRY(pool_run(JOBS, JOBS, run_job, &p));
    if (!p.problem[JOB_FETCH])
        return p.problem[JOB_UNPACK];
    err_free(p.problem[JOB_UNPACK]); /* it had no whole blob, so what it says is of no use */
    return p.problem[JOB_FETCH];
}
