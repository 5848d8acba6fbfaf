// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <unistd.h>

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "image/inside.h"
#include "image/retry.h"

/* A transfer that got this much further is going well: it may be interrupted anew. */
static const int64_t good_progress = 1 << 20;

struct blob_transfer {
    struct blob *blob; /* NULL: to out_fd, a pipe, which cannot begin again */
    int out_fd;
    int64_t sent, skip; /* into the pipe; of this answer, because the pipe has it */
    bool begun;         /* the first bytes of this answer have come */
    registry_progress *progress;
    void *ctx;
};

/* Does "bytes 100-199/200" begin where we left off? */
static bool range_begins_at(const char *content_range, int64_t at)
{
    long long from = -1;
    return content_range && sscanf(content_range, "bytes %lld-", &from) == 1 && from == at;
}

static int64_t bytes_so_far(const struct blob_transfer *t)
{
    return t->blob ? blob_bytes(t->blob) : t->sent;
}

static fallible begin_again(struct blob_transfer *t)
{
    if (t->blob)
        return blob_restart(t->blob);
    t->skip = t->sent;
    return NULL;
}

static fallible write_on(struct blob_transfer *t, const char *bytes, size_t n)
{
    size_t passed_over = t->skip > (int64_t)n ? n : (size_t)t->skip;
    t->skip -= (int64_t)passed_over;
    bytes += passed_over;
    n -= passed_over;
    while (n) {
        ssize_t done = write(t->out_fd, bytes, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) /* the reader has given up, and knows why: no reason to ask the registry again */
            return err_sys_as(ERR_CANCELLED, errno, "pass the blob on");
        bytes += done;
        n -= (size_t)done;
        t->sent += done;
    }
    return NULL;
}

static err *on_blob_bytes(void *ctx, const struct http_answer *a, const void *bytes, size_t n)
{
    struct blob_transfer *t = ctx;
    if (!t->begun) {
        t->begun = true;
        if (a->status == 206 && !range_begins_at(a->content_range, bytes_so_far(t)))
            return err_new(ERR_CORRUPT, "the registry goes on at another place than it was asked to");
        t->skip = 0;
        if (a->status == 200 && bytes_so_far(t) > 0)
            TRY(begin_again(t));
    }
    TRY(t->blob ? blob_add(t->blob, bytes, n) : write_on(t, bytes, n));
    return t->progress ? t->progress(t->ctx, bytes_so_far(t)) : NULL;
}

/* *ret_done false: it may be tried again. */
static fallible get_blob_once(struct server *s, const char *target, struct blob_transfer *t, struct http_answer **ret,
                              bool *ret_done)
{
    struct http_request request = {
        .range_from = bytes_so_far(t),
        .body_max = SERVER_SMALL_MAX,
        .on_body = on_blob_bytes,
        .ctx = t,
    };
    t->begun = false;
    err *e = server_send(s, target, &request, ret);
    const struct http_answer *a = *ret;
    *ret_done = false;
    if (err_is(e, ERR_UNAVAILABLE))
        return e;
    *ret_done = true;
    if (e)
        return e;
    if (a->status == 200 || a->status == 206)
        return NULL;
    *ret_done = !retry_is_worth(a);
    if (a->status == 416 && request.range_from > 0 && t->blob) { /* it has no such range: from the start, then */
        *ret_done = false;
        TRY(blob_restart(t->blob));
    }
    return a->status == 404
               ? err_new(ERR_CORRUPT, "registry '%s' does not have what its own manifest names", s->registry)
               : server_error(s, a);
}

static fallible get_blob(struct server *s, const char *target, struct blob_transfer *t)
{
    int64_t mark = bytes_so_far(t);
    bool any = false;
    for (int attempt = 1;; attempt++) {
        own(http_answer) struct http_answer *a = NULL;
        bool done = false;
        err *e = get_blob_once(s, target, t, &a, &done);
        any = any || (a && a->may_pass);
        if (!e || done || attempt >= s->attempts || !(any || s->patient))
            return e;
        if (bytes_so_far(t) - mark >= good_progress) {
            mark = bytes_so_far(t);
            attempt = 1;
        }
        log_debug("registry: blob: attempt %d: %s", attempt, err_text(e));
        if (!retry_wait(s->backoff_ms, attempt, a))
            return e;
        err_ignore(e, "tried again");
    }
}

static fallible get_from(struct registry *r, size_t i, const char *digest, struct blob_transfer *t)
{
    own_mem char *target = registry_target(r->servers[i], "blobs", digest);
    return get_blob(r->servers[i], target, t);
}

/* What a mirror does not have, or not right, may be had from the next one: the digest says that it is the same. */
fallible registry_get_blob(struct registry *r, const char *digest, struct blob *blob, registry_progress *progress,
                           void *ctx)
{
    size_t i = 0;
    while (r->servers[i] != r->server)
        i++;
    for (;; i++) {
        struct blob_transfer t = { .blob = blob, .progress = progress, .ctx = ctx };
        err *e = get_from(r, i, digest, &t);
        if (!e || i + 1 == r->n || err_is(e, ERR_CANCELLED) || err_is(e, ERR_EXHAUSTED))
            return e;
        log_warn("mirror '%s': %s", r->servers[i]->registry, err_text(e));
        err_ignore(e, "the next one may have it");
    }
}

bool registry_asks_mirror(const struct registry *r)
{
    return r->server != r->servers[r->n - 1];
}

fallible registry_get_blob_past_mirrors(struct registry *r, const char *digest, struct blob *blob,
                                        registry_progress *progress, void *ctx)
{
    struct blob_transfer t = { .blob = blob, .progress = progress, .ctx = ctx };
    return get_from(r, r->n - 1, digest, &t);
}

fallible registry_send_blob(struct registry *r, const char *digest, int out_fd)
{
    own_mem char *target = registry_target(r->server, "blobs", digest);
    struct blob_transfer t = { .out_fd = out_fd };
    return get_blob(r->server, target, &t);
}
