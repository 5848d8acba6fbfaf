/*
 * http.h: one request and its answer, over libcurl, with the rules that a registry client needs: redirects are followed
 * here, so that the Authorization header never goes to another scheme, host or port; every answer has a size limit; a
 * transfer in which nothing arrives ends. May be used from several threads at once: each takes a connection of its own
 * from a shelf of idle ones.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_HTTP_H
#define HUSK_IMAGE_HTTP_H

#include <stdint.h>

#include "base/err.h"
#include "base/mem.h"

struct http;
struct http_options {
    bool insecure;     /* certificates are not checked, and a redirect may lead from https to http */
    bool no_proxy;     /* the server is on this machine: no http_proxy */
    uint64_t stall_ns; /* TIMEOUT after this long without a byte */
};
fallible http_new(const struct http_options *options, struct http **ret);
void http_free(struct http *h);
OWN_TYPE(http, struct http *, http_free)

struct http_answer {
    int status;
    char *content_type, *docker_content_digest, *content_range, *link, *retry_after;
    struct strv www_authenticate;
    struct str body; /* of at most request.body_max bytes */
    bool began;      /* also when the transfer failed: headers had arrived, so the server is there */
};
void http_answer_free(struct http_answer *a);
OWN_TYPE(http_answer, struct http_answer *, http_answer_free)

struct http_request {
    const char *url;
    const char *authorization; /* the header's value, or NULL */
    const char *accept;        /* or NULL */
    const char *form;          /* POST this instead of GET, or NULL */
    int64_t range_from;        /* "Range: bytes=N-" when > 0 */
    size_t body_max;           /* longer answers are CORRUPT */
    /* For answers 200 and 206: given the body instead of keeping it. Its error ends the transfer and is returned. */
    err *(*on_body)(void *ctx, const struct http_answer *answer, const void *bytes, size_t n);
    void *ctx;
};

/**
 * http_send - make a request, follow redirects, take the answer, whatever its status.
 * @ret: also set when the transfer failed.
 * Errors: UNAVAILABLE (no such host, refused, lost: see began), TIMEOUT, DENIED (certificate), CORRUPT (no HTTP, too
 * long), on_body's own.
 */
fallible http_send(struct http *h, const struct http_request *request, struct http_answer **ret);

/* scheme, host and port are the same. */
bool http_same_origin(const char *url_a, const char *url_b);
/* "a b/c" -> "a%20b%2Fc"; caller frees. */
char *http_escape(const char *text);
/* Bytes from a peer, fit for a message: printable, at most max characters. Caller frees. */
char *http_printable(const char *text, size_t max);

#endif
