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

/* PEM texts, so that no file has to be read once the program has confined itself; each may be NULL. */
struct http_certs {
    char *authorities;       /* besides the system's */
    char *certificate, *key; /* who we are */
};

struct http;
struct http_options {
    bool insecure;                  /* certificates are not checked, and a redirect may lead from https to http */
    bool no_proxy;                  /* the server is on this machine: see proxy.h for the others */
    uint64_t stall_ns;              /* TIMEOUT after this long without a byte */
    const struct http_certs *certs; /* borrowed, or NULL */
};
fallible http_new(const struct http_options *options, struct http **ret);
void http_free(struct http *h);
OWN_TYPE(http, struct http *, http_free)

struct http_answer {
    int status;
    char *content_type, *docker_content_digest, *content_range, *link, *retry_after;
    char *location;             /* resolved against the URL that was asked last: a whole URL, or NULL */
    char *range;                /* of an upload: "0-1023" */
    char *oci_subject;          /* the registry keeps the list of referrers itself */
    char *oci_filters_applied;  /* "artifactType" */
    char *oci_chunk_min_length; /* bytes */
    char *ratelimit_limit, *ratelimit_remaining; /* "100;w=21600" */
    int64_t content_length;                      /* of HEAD as well; -1: not said */
    int64_t last_modified;                       /* seconds since 1970; -1: not said */
    struct strv www_authenticate;
    struct str body; /* of at most request.body_max bytes */
    /* What went wrong may pass: headers had arrived, so the server is there, or its name could not be looked up for the
     * moment. */
    bool may_pass;
};
void http_answer_free(struct http_answer *a);
OWN_TYPE(http_answer, struct http_answer *, http_answer_free)

enum http_method { HTTP_GET, HTTP_HEAD, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE };

/* What is sent: read from where seek() has put it last. Both are called in the calling thread. */
struct http_upload {
    int64_t from, size; /* bytes from..from+size-1 of whatever it is */
    err *(*seek)(void *ctx, int64_t at);
    err *(*read)(void *ctx, void *buf, size_t max, size_t *ret_n); /* *ret_n 0: the end came too early */
    void *ctx;
};

struct http_request {
    enum http_method method;
    const char *url;
    const char *authorization; /* the header's value, or NULL */
    const char *accept;        /* or NULL */
    const char *content_type;  /* of what is sent, or NULL */
    const char *content_range; /* "0-1023", or NULL */
    const char *text;          /* sent, or NULL */
    size_t text_len;
    const struct http_upload *upload; /* sent instead of text, or NULL */
    int64_t range_from;               /* "Range: bytes=N-" when > 0 */
    size_t body_max;                  /* longer answers are CORRUPT */
    /* For answers 200 and 206: given the body instead of keeping it. Its error ends the transfer and is returned. */
    err *(*on_body)(void *ctx, const struct http_answer *answer, const void *bytes, size_t n);
    void *ctx;
};

/**
 * http_send - make a request, follow redirects, take the answer, whatever its status. What is sent is sent again only
 *             after 307 and 308; any other redirect of such a request is answered as it is.
 * @ret: also set when the transfer failed.
 * Errors: UNAVAILABLE (no such host, refused, lost: see may_pass), TIMEOUT, DENIED (certificate), CORRUPT (no HTTP, too
 * long), those of on_body and of the upload.
 */
fallible http_send(struct http *h, const struct http_request *request, struct http_answer **ret);

/* scheme, host and port are the same. */
bool http_same_origin(const char *url_a, const char *url_b);
/* Seconds since 1970 of an HTTP date ("Sun, 06 Nov 1994 08:49:37 GMT"), or -1. */
int64_t http_date(const char *text);
/* "a b/c" -> "a%20b%2Fc"; caller frees. */
char *http_escape(const char *text);
/* Bytes from a peer, fit for a message: printable, at most max characters. Caller frees. */
char *http_printable(const char *text, size_t max);

#endif
