/*
 * server.h: one server of the registry API: where it is, who we are to it, and a request that is made again while that
 * helps. Inside the chapter only: registry.h and push.h are for others.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_IMAGE_SERVER_H
#define HUSK_IMAGE_SERVER_H

#include <pthread.h>

#include "image/auth.h"
#include "image/http.h"

enum { SERVER_SMALL_MAX = 1 << 20 /* tokens, error documents */ };

struct server_options {
    const char *registry, *repository;
    const char *scope; /* what a token is to be good for: "repository:x:pull,push"; "": nothing but to be logged in */
    bool insecure;
    uint64_t stall_ns;
    int attempts;                   /* also while nobody answers; 0: up to 5, of what may pass */
    uint64_t retry_delay_ns;        /* before the second; 0: 0.2 s */
    const struct credentials *auth; /* borrowed, or NULL */
    const struct http_certs *certs; /* borrowed, or NULL */
};

struct server {
    char *registry, *repository; /* as in the reference */
    char *scope;
    bool wants_identity; /* ask for a token that can be kept instead of the password */
    char *identity;      /* it */
    const struct credentials *auth;
    struct http *http;
    bool insecure, loopback;
    int attempts;
    bool patient;          /* a server that is not there may come */
    int64_t backoff_ms;    /* before the second; doubled each time */
    pthread_mutex_t mutex; /* for what follows */
    char *base;            /* "https://host:port" */
    bool base_sure;        /* it has answered */
    bool limit_told;       /* that few requests are left */
    char *authorization;   /* the header's value; NULL: not asked for yet */
    unsigned generation;   /* of authorization */
    struct strv also_pull; /* other repositories that tokens must be good for */
};
/* No request is made yet. */
fallible server_open(const struct server_options *options, struct server **ret);
void server_free(struct server *s);
OWN_TYPE(server, struct server *, server_free)

/* Another repository that is read from: a token that was not made for it is made anew. */
void server_also_pull(struct server *s, const char *repository);

/**
 * server_send - one request, with the authorization that it needs.
 * @target: below /v2/ ("library/x/manifests/1"), below the root ("/v1/search"), or a whole URL that the server has
 * named: it gets the authorization only when it is the server's own. Sets request->url while it works.
 * @ret: also set on errors. Its status may be anything.
 */
fallible server_send(struct server *s, const char *target, struct http_request *request, struct http_answer **ret);

/**
 * server_try - the same, again and again while the connection is lost or the server says "not now".
 * Not for requests with an upload.
 */
fallible server_try(struct server *s, const char *target, struct http_request *request, struct http_answer **ret);

/* GET, small and whole: the answer's status is 200, or it is an error. */
fallible server_get(struct server *s, const char *target, const char *accept, size_t max, struct http_answer **ret);

/* An answer whose status is not what it should be. NOT_FOUND, UNAUTHENTICATED, DENIED, UNAVAILABLE, CORRUPT ... */
fallible server_error(struct server *s, const struct http_answer *a);
/* The first error code of the answer's error document ("BLOB_UNKNOWN"), or "". Caller frees. */
char *server_error_code(const struct http_answer *a);

/* token.c: the authorization that a 401 asks for. */
fallible server_make_authorization(struct server *s, const struct http_answer *a, char **ret_header);

#endif
