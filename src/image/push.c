// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/push.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "base/parse.h"
#include "codec/digest.h"
#include "image/inside.h"
#include "image/retry.h"

/* A transfer that got this much further is going well: it may be interrupted anew. */
static const int64_t good_progress = 1 << 20;
/* After "413 Payload Too Large" pieces of the first size are tried, then halves, down to the second. */
static const int64_t piece_first = 64 << 20, piece_least = 1 << 20;

fallible registry_has_blob(struct registry *r, const char *digest, bool *ret_has)
{
    own(http_answer) struct http_answer *a = NULL;
    own_mem char *target = registry_target(r->server, "blobs", digest);
    struct http_request request = { .method = HTTP_HEAD, .body_max = SERVER_SMALL_MAX };
    TRY(server_try(r->server, target, &request, &a));
    if (a->status != 200 && a->status != 404)
        return server_error(r->server, a);
    *ret_has = a->status == 200;
    return NULL;
}

/* ---- where the bytes come from ---- */

static err *seek_fd(void *ctx, int64_t at)
{
    const int *fd = ctx;
    return lseek(*fd, at, SEEK_SET) < 0 ? err_sys(errno, "seek in the blob") : NULL;
}

static err *read_fd(void *ctx, void *buf, size_t max, size_t *ret_n)
{
    const int *fd = ctx;
    for (;;) {
        ssize_t n = read(*fd, buf, max);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read the blob");
        *ret_n = (size_t)n;
        return NULL;
    }
}

struct registry_source registry_source_fd(int *fd, int64_t size)
{
    return (struct registry_source){ .size = size, .seek = seek_fd, .read = read_fd, .ctx = fd };
}

/* ---- one upload ---- */

struct upload {
    struct server *server;
    const char *digest;
    const struct registry_source *source;
    registry_progress *progress;
    void *ctx;
    char *location; /* of the session; NULL: none is open */
    int64_t at;     /* bytes that the registry has */
    int64_t piece;  /* bytes per request; 0: all at once */
    int64_t sent;   /* of the request in hand, for progress */
    bool done, refused;
};

static err *seek_source(void *ctx, int64_t at)
{
    struct upload *u = ctx;
    u->sent = at;
    return u->source->seek(u->source->ctx, at);
}

static err *read_source(void *ctx, void *buf, size_t max, size_t *ret_n)
{
    struct upload *u = ctx;
    TRY(u->source->read(u->source->ctx, buf, max, ret_n));
    u->sent += (int64_t)*ret_n;
    return u->progress ? u->progress(u->ctx, u->sent) : NULL;
}

static void forget_session(struct upload *u)
{
    free(take(u->location));
    u->at = 0;
}

static fallible keep_location(struct upload *u, struct http_answer *a)
{
    if (!a->location)
        return err_new(ERR_CORRUPT, "registry '%s' does not say where to send the blob", u->server->registry);
    bool plain = str_starts(a->location, "http://"), own_server = http_same_origin(a->location, u->server->base);
    own_mem char *shown = http_printable(a->location, 200);
    if (!plain && !str_starts(a->location, "https://"))
        return err_new(ERR_CORRUPT, "registry '%s' wants the blob sent to '%s', which is no http URL",
                       u->server->registry, shown);
    if (plain && !own_server && str_starts(u->server->base, "https://") && !u->server->insecure && !u->server->loopback)
        return err_new(ERR_DENIED, "registry '%s' wants the blob sent unencrypted to '%s'", u->server->registry, shown);
    free(u->location);
    u->location = take(a->location);
    return NULL;
}

static void keep_least_piece(struct upload *u, const struct http_answer *a)
{
    int64_t least = 0;
    if (!a->oci_chunk_min_length || !u->piece)
        return;
    own(err) err *e = parse_i64(a->oci_chunk_min_length, 1, INT64_MAX, &least);
    if (!e && u->piece < least)
        u->piece = least;
}

static fallible open_session(struct upload *u, const char *query, struct http_answer **ret)
{
    own_mem char *what = mem_printf("uploads/%s", query);
    own_mem char *target = registry_target(u->server, "blobs", what);
    struct http_request request = { .method = HTTP_POST, .body_max = SERVER_SMALL_MAX };
    return server_try(u->server, target, &request, ret);
}

/* *ret: the answer, when it is no session: it was asked for as often as made sense. */
static fallible begin(struct upload *u, struct http_answer **ret)
{
    own(http_answer) struct http_answer *a = NULL;
    TRY(open_session(u, str_starts(u->digest, "sha512:") ? "?digest-algorithm=sha512" : "", &a));
    u->refused = a->status != 202;
    if (u->refused) {
        *ret = take(a);
        return NULL;
    }
    keep_least_piece(u, a);
    u->at = 0;
    return keep_location(u, a);
}

/* "0-1023": 1024 bytes. "0-0" is what registries say of an empty upload too. */
static bool read_range(const char *range, int64_t *ret_bytes)
{
    long long last = -1;
    if (!range || sscanf(str_starts(range, "bytes=") ? range + 6 : range, "0-%lld", &last) != 1 || last < 0)
        return false;
    *ret_bytes = last ? last + 1 : 0;
    return true;
}

static char *closing_url(const struct upload *u)
{
    own_mem char *digest = http_escape(u->digest);
    return mem_printf("%s%cdigest=%s", u->location, strchr(u->location, '?') ? '&' : '?', digest);
}

/* The rest, or the next piece of it. */
static fallible send_piece(struct upload *u, struct http_answer **ret)
{
    bool whole = !u->piece && !u->at;
    int64_t n = u->source->size - u->at;
    if (u->piece && n > u->piece)
        n = u->piece;
    struct http_upload body = { .from = u->at, .size = n, .seek = seek_source, .read = read_source, .ctx = u };
    own_mem char *range = mem_printf("%lld-%lld", (long long)u->at, (long long)(u->at + n - 1));
    own_mem char *url = whole ? closing_url(u) : mem_strdup(u->location);
    struct http_request request = {
        .method = whole ? HTTP_PUT : HTTP_PATCH,
        .content_type = "application/octet-stream",
        .content_range = whole ? NULL : range,
        .upload = n ? &body : NULL,
        .body_max = SERVER_SMALL_MAX,
    };
    TRY(server_send(u->server, url, &request, ret));
    struct http_answer *a = *ret;
    if (whole) {
        u->done = a->status == 201 || a->status == 204;
        return NULL;
    }
    if (a->status != 202 && a->status != 204 && a->status != 201)
        return NULL;
    int64_t has = u->at + n;
    if (a->range && !(read_range(a->range, &has) && has > u->at && has <= u->at + n))
        return err_new(ERR_CORRUPT, "registry '%s' says that it has other bytes than it was sent", u->server->registry);
    u->at = has;
    a->status = 202;
    return keep_location(u, a);
}

static fallible close_session(struct upload *u, struct http_answer **ret)
{
    own_mem char *url = closing_url(u);
    struct http_request request = { .method = HTTP_PUT,
                                    .content_type = "application/octet-stream",
                                    .body_max = SERVER_SMALL_MAX };
    TRY(server_send(u->server, url, &request, ret));
    u->done = (*ret)->status == 201 || (*ret)->status == 204;
    return NULL;
}

/* One request further. *ret: its answer; done, or status 202, is a success. */
static fallible advance(struct upload *u, struct http_answer **ret)
{
    if (!u->location)
        TRY(begin(u, ret));
    if (u->refused)
        return NULL;
    if (u->source->size && u->at == u->source->size)
        return close_session(u, ret);
    return send_piece(u, ret);
}

/* ---- when it goes wrong ---- */

/* How much did arrive? A registry that cannot say (or has finished meanwhile) is sent all of it again. */
static fallible ask_where(struct upload *u)
{
    own(http_answer) struct http_answer *a = NULL;
    struct http_request request = { .body_max = SERVER_SMALL_MAX };
    int64_t has = 0;
    bool there = false;
    TRY(registry_has_blob(&(struct registry){ .server = u->server }, u->digest, &there));
    u->done = there;
    if (there || !u->location)
        return NULL;
    err *e = server_try(u->server, u->location, &request, &a);
    bool known = !e && a->status == 204 && read_range(a->range, &has) && has <= u->source->size;
    err_ignore(e, "then from the start");
    if (!known || !has) {
        forget_session(u);
        return NULL;
    }
    log_debug("registry: upload: goes on after %lld bytes", (long long)has);
    u->at = has;
    if (a->location) {
        free(u->location);
        u->location = take(a->location);
    }
    return NULL;
}

static bool smaller_pieces(struct upload *u)
{
    int64_t size = u->source->size, next = u->piece ? u->piece / 2 : size > piece_first ? piece_first : size / 2;
    if (next < piece_least)
        return false;
    u->piece = next;
    forget_session(u);
    return true;
}

/* 201 with another digest never comes: a registry says 400 then. */
static fallible refused(struct upload *u, const struct http_answer *a)
{
    own_mem char *code = server_error_code(a);
    if (strcmp(code, "DIGEST_INVALID") == 0)
        return err_wrap(err_new(ERR_CORRUPT, "what was sent is not %s", u->digest), "registry '%s'",
                        u->server->registry);
    if (a->status == 413)
        return err_new(ERR_EXHAUSTED, "registry '%s' takes no blob of this size", u->server->registry);
    return server_error(u->server, a);
}

/* *ret_again: the upload has been put into a state from which it may go on. */
static fallible mend(struct upload *u, const struct http_answer *a, bool lost, bool *ret_again)
{
    *ret_again = true;
    if (!lost && a->status == 413) {
        *ret_again = smaller_pieces(u);
        return NULL;
    }
    if (lost || a->status == 416 || retry_is_worth(a))
        return ask_where(u);
    if (a->status == 404 && u->location) { /* the session has ended meanwhile */
        forget_session(u);
        return NULL;
    }
    *ret_again = false;
    return NULL;
}

static fallible send_all(struct upload *u)
{
    int64_t mark = 0;
    for (int attempt = 1; !u->done;) {
        own(http_answer) struct http_answer *a = NULL;
        bool again = false;
        err *e = advance(u, &a);
        // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): without an error or an end there is an answer
        if (!e && (u->done || a->status == 202)) {
            attempt = 1;
            continue;
        }
        bool lost = err_is(e, ERR_UNAVAILABLE);
        if (attempt >= u->server->attempts || u->refused || (e && !lost))
            return e ? e : refused(u, a);
        log_debug("registry: upload: attempt %d: %s %d", attempt, e ? err_text(e) : "answer", a ? a->status : 0);
        if ((lost || retry_is_worth(a)) && !retry_wait(u->server->backoff_ms, attempt, lost ? NULL : a))
            return e ? e : refused(u, a);
        err *e2 = mend(u, a, lost, &again);
        if (e2 || !again) {
            err_ignore(e2, "what came first says more");
            return e ? e : refused(u, a);
        }
        err_ignore(e, "tried again");
        attempt = u->at - mark >= good_progress ? 1 : attempt + 1;
        mark = u->at;
    }
    return NULL;
}

/* A registry that is left with half an upload is told so; what it says to that does not matter. */
static void cancel(struct upload *u)
{
    own(http_answer) struct http_answer *a = NULL;
    struct http_request request = { .method = HTTP_DELETE, .body_max = SERVER_SMALL_MAX };
    if (u->location)
        err_ignore(server_send(u->server, u->location, &request, &a), "it will time out");
}

fallible registry_put_blob(struct registry *r, const char *digest, const struct registry_source *source,
                           registry_progress *progress, void *ctx)
{
    struct upload u = {
        .server = r->server,
        .digest = digest,
        .source = source,
        .progress = progress,
        .ctx = ctx,
    };
    err *e = send_all(&u);
    if (e && !err_is(e, ERR_UNAVAILABLE))
        cancel(&u);
    free(u.location);
    return e;
}

void registry_will_mount(struct registry *r, const char *from_repository)
{
    server_also_pull(r->server, from_repository);
}

fallible registry_mount_blob(struct registry *r, const char *digest, const char *from_repository, bool *ret_mounted)
{
    own(http_answer) struct http_answer *a = NULL;
    struct upload u = { .server = r->server, .digest = digest };
    own_mem char *escaped = http_escape(digest);
    own_mem char *from = http_escape(from_repository);
    own_mem char *query = mem_printf("?mount=%s&from=%s", escaped, from);
    server_also_pull(r->server, from_repository);
    TRY(open_session(&u, query, &a));
    if (a->status != 201 && a->status != 202 && a->status != 401 && a->status != 403 && a->status != 404)
        return server_error(r->server, a);
    *ret_mounted = a->status == 201;
    if (a->status == 202) { /* it has begun an upload instead */
        u.location = take(a->location);
        cancel(&u);
        free(u.location);
    }
    return NULL;
}

/* ---- manifests ---- */

static fallible manifest_refused(struct server *s, const struct http_answer *a)
{
    own_mem char *code = server_error_code(a);
    own(err) err *e = server_error(s, a);
    if (strcmp(code, "MANIFEST_BLOB_UNKNOWN") == 0 || strcmp(code, "BLOB_UNKNOWN") == 0 ||
        strcmp(code, "MANIFEST_UNKNOWN") == 0)
        return err_new(ERR_CONFLICT, "%s", err_text(e));
    if (a->status == 400 || a->status == 413)
        return err_new(ERR_INVALID, "registry '%s' refuses the manifest (%s)", s->registry,
                       *code ? code : "it does not say why");
    return take(e);
}

fallible registry_put_manifest_alone(struct registry *r, const char *tag_or_digest, const char *media_type,
                                     const char *text, size_t len, bool *ret_lists_referrers)
{
    own(http_answer) struct http_answer *a = NULL;
    own_mem char *target = registry_target(r->server, "manifests", tag_or_digest);
    struct http_request request = {
        .method = HTTP_PUT,
        .content_type = media_type,
        .text = text,
        .text_len = len,
        .body_max = SERVER_SMALL_MAX,
    };
    TRY(server_try(r->server, target, &request, &a));
    if (a->status != 201 && a->status != 200 && a->status != 202)
        return manifest_refused(r->server, a);
    *ret_lists_referrers = a->oci_subject != NULL;
    if (digest_valid(a->docker_content_digest)) {
        own(digest) struct digest *d = NULL;
        TRY(digest_new(a->docker_content_digest, &d));
        digest_add(d, text, len);
        own_mem char *is = digest_end(d);
        if (strcmp(is, a->docker_content_digest) != 0)
            return err_new(ERR_CORRUPT, "registry '%s' was sent manifest %s and says that it has %s",
                           r->server->registry, is, a->docker_content_digest);
    }
    return NULL;
}

fallible registry_put_manifest(struct registry *r, const char *tag_or_digest, const char *media_type, const char *text,
                               size_t len, char **ret_digest)
{
    bool listed = false;
    own_mem char *digest = digest_of(text, len);
    TRY(registry_put_manifest_alone(r, tag_or_digest, media_type, text, len, &listed));
    if (!listed)
        TRY_AS(registry_add_referrer(r, digest, media_type, text, len), "list of referrers");
    if (ret_digest)
        *ret_digest = take(digest);
    return NULL;
}
