/*
 * http_transfer.h: what the files of the HTTP client share: one transfer, and what libcurl calls during it.
 *
 * http.c keeps libcurl's handles, says what is asked and follows redirects; http_answer.c takes what arrives and gives
 * what is sent; http_error.c says in words what went wrong; http_url.c takes URLs apart. Source: curl_easy_setopt(3),
 * libcurl-errors(3).
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_HTTP_TRANSFER_H
#define HUSK_IMAGE_HTTP_TRANSFER_H

#include <curl/curl.h>

#include "image/http.h"

struct http_transfer {
    struct http *h;
    const struct http_options *options; /* h's */
    const struct http_request *request;
    const char *url;
    const char *proxy; /* that it goes through, or NULL */
    struct http_answer *answer;
    int64_t sent; /* of the upload */
    err *failed;  /* of on_body, of the upload, or of a limit */
};

struct http_body {
    struct http_transfer *t;
    CURL *curl;
};

/* What libcurl calls: CURLOPT_HEADERFUNCTION and WRITEFUNCTION (of a struct http_body), READFUNCTION, SEEKFUNCTION. */
size_t http_on_header(char *line, size_t size, size_t n, void *transfer);
size_t http_on_body(char *bytes, size_t size, size_t n, void *ctx);
size_t http_on_upload(char *buf, size_t size, size_t n, void *transfer);
int http_on_rewind(void *transfer, curl_off_t offset, int origin);
void http_reset_answer(struct http_transfer *t);
int http_status(CURL *curl); /* of the last answer, or 0 */
bool http_is_redirect(int status);

/* What went wrong, in words; said: libcurl's. */
fallible http_transfer_error(const struct http_transfer *t, CURL *curl, CURLcode code, const char *said);
fallible http_proxy_refuses(const struct http_transfer *t, int status);

/* Part of a URL, with the scheme's own port where it names none; NULL: there is none. Caller frees. */
char *http_url_part(const char *url, CURLUPart part);
/* A Location may be relative to the URL that answered; caller frees. */
char *http_join_url(const char *base, const char *location);
/* "HOST:PORT"; caller frees. */
char *http_origin(const char *url);

#endif
