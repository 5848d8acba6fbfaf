// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/http_transfer.h"

#include <string.h>
#include <strings.h>

#include "base/parse.h"

enum { HEADER_MAX = 16384 };

void http_answer_free(struct http_answer *a)
{
    if (!a)
        return;
    free(a->content_type);
    free(a->docker_content_digest);
    free(a->content_range);
    free(a->link);
    free(a->retry_after);
    free(a->location);
    free(a->range);
    free(a->oci_subject);
    free(a->oci_filters_applied);
    free(a->oci_chunk_min_length);
    free(a->ratelimit_limit);
    free(a->ratelimit_remaining);
    strv_free(&a->www_authenticate);
    str_free(&a->body);
    free(a);
}

bool http_is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

void http_reset_answer(struct http_transfer *t)
{
    http_answer_free(t->answer);
    t->answer = mem_zalloc(sizeof *t->answer);
    t->answer->content_length = t->answer->last_modified = -1;
}

static void keep_header(struct http_answer *a, const char *name, const char *value)
{
    const struct {
        const char *name;
        char **slot;
    } known[] = {
        { "Content-Type", &a->content_type },
        { "Docker-Content-Digest", &a->docker_content_digest },
        { "Content-Range", &a->content_range },
        { "Link", &a->link },
        { "Retry-After", &a->retry_after },
        { "Location", &a->location },
        { "Range", &a->range },
        { "OCI-Subject", &a->oci_subject },
        { "OCI-Filters-Applied", &a->oci_filters_applied },
        { "OCI-Chunk-Min-Length", &a->oci_chunk_min_length },
        { "RateLimit-Limit", &a->ratelimit_limit },
        { "RateLimit-Remaining", &a->ratelimit_remaining },
    };
    for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
        if (strcasecmp(name, known[i].name) != 0)
            continue;
        free(*known[i].slot);
        *known[i].slot = mem_strdup(value);
    }
    if (strcasecmp(name, "WWW-Authenticate") == 0 && a->www_authenticate.n < 16)
        strv_add(&a->www_authenticate, value);
    if (strcasecmp(name, "Content-Length") == 0)
        err_ignore(parse_i64(value, 0, INT64_MAX, &a->content_length), "as if it were not there");
    if (strcasecmp(name, "Last-Modified") == 0)
        a->last_modified = http_date(value);
}

size_t http_on_header(char *line, size_t size, size_t n, void *transfer)
{
    struct http_transfer *t = transfer;
    n *= size;
    if (n > HEADER_MAX) {
        t->failed = err_new(ERR_CORRUPT, "the answer has a header of more than %d bytes", HEADER_MAX);
        return 0;
    }
    own_mem char *text = mem_strndup(line, n);
    text[strcspn(text, "\r\n")] = '\0';
    if (str_starts(text, "HTTP/")) { /* after "100 Continue" comes another one */
        http_reset_answer(t);
        return n;
    }
    char *colon = strchr(text, ':');
    if (!colon)
        return n;
    *colon = '\0';
    keep_header(t->answer, text, colon + 1 + strspn(colon + 1, " \t"));
    return n;
}

int http_status(CURL *curl)
{
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

size_t http_on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct http_body *b = ctx;
    struct http_transfer *t = b->t;
    struct http_answer *a = t->answer;
    n *= size;
    if (!a->status) {
        a->status = http_status(b->curl);
        a->may_pass = true;
    }
    if (t->request->on_body && (a->status == 200 || a->status == 206)) {
        t->failed = t->request->on_body(t->request->ctx, a, bytes, n);
        return t->failed ? 0 : n;
    }
    if (http_is_redirect(a->status) && a->location)
        return n; /* nobody reads it */
    if (a->body.len + n > t->request->body_max) {
        t->failed = err_new(ERR_CORRUPT, "the answer is longer than %zu bytes", t->request->body_max);
        return 0;
    }
    str_add_n(&a->body, bytes, n);
    return n;
}

size_t http_on_upload(char *buf, size_t size, size_t n, void *transfer)
{
    struct http_transfer *t = transfer;
    const struct http_upload *u = t->request->upload;
    size_t max = size * n, got = 0;
    if ((int64_t)max > u->size - t->sent)
        max = (size_t)(u->size - t->sent);
    if (!max)
        return 0;
    t->failed = u->read(u->ctx, buf, max, &got);
    if (!t->failed && !got)
        t->failed =
            err_new(ERR_CORRUPT, "what is sent ends after %lld of %lld bytes", (long long)t->sent, (long long)u->size);
    if (t->failed)
        return CURL_READFUNC_ABORT;
    t->sent += (int64_t)got;
    return got;
}

/* From the start again: after a redirect, or when a connection that was kept turns out to be dead. */
int http_on_rewind(void *transfer, curl_off_t offset, int origin)
{
    struct http_transfer *t = transfer;
    const struct http_upload *u = t->request->upload;
    if (origin != SEEK_SET || t->failed)
        return CURL_SEEKFUNC_FAIL;
    t->failed = u->seek(u->ctx, u->from + offset);
    t->sent = offset;
    return t->failed ? CURL_SEEKFUNC_FAIL : CURL_SEEKFUNC_OK;
}
