// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/server.h"

#include <jansson.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "codec/bind.h"
#include "image/retry.h"

enum { FEW_LEFT_PERCENT = 10 };
static const uint64_t default_stall_ns = 30ull * 1000000000;

/* ---- where it is ---- */

static char *host_of(const char *registry)
{
    if (registry[0] == '[')
        return mem_strndup(registry + 1, strcspn(registry + 1, "]"));
    return mem_strndup(registry, strcspn(registry, ":"));
}

static bool is_loopback(const char *registry)
{
    own_mem char *host = host_of(registry);
    size_t n = strlen(host);
    return strcasecmp(host, "localhost") == 0 || strcmp(host, "::1") == 0 ||
           (str_starts(host, "127.") && strspn(host, "0123456789.") == n);
}

/* Docker Hub's names are not where its registry is. */
static const char *host_in_url(const struct server *s)
{
    return strcmp(s->registry, "docker.io") == 0 ? "registry-1.docker.io" : s->registry;
}

/* In the order in which they are tried; the second is NULL when the first is the only one allowed. */
static void schemes_of(const struct server *s, const char *ret_schemes[2])
{
    ret_schemes[0] = s->loopback ? "http" : "https";
    ret_schemes[1] = s->loopback ? "https" : s->insecure ? "http" : NULL;
}

fallible server_open(const struct server_options *options, struct server **ret)
{
    own(server) struct server *s = mem_zalloc(sizeof *s);
    const char *schemes[2];
    pthread_mutex_init(&s->mutex, NULL);
    s->registry = mem_strdup(options->registry);
    s->repository = mem_strdup(options->repository);
    s->scope = mem_strdup(options->scope);
    s->auth = options->auth;
    s->insecure = options->insecure;
    s->loopback = is_loopback(options->registry);
    s->patient = options->attempts > 1;
    s->attempts = options->attempts ? options->attempts : RETRY_ATTEMPTS;
    s->backoff_ms = options->retry_delay_ns ? (int64_t)(options->retry_delay_ns / 1000000) : RETRY_FIRST_MS;
    schemes_of(s, schemes);
    s->base = mem_printf("%s://%s", schemes[0], host_in_url(s));
    s->base_sure = !schemes[1];
    struct http_options http = {
        .insecure = s->insecure || s->loopback,
        .no_proxy = s->loopback,
        .stall_ns = options->stall_ns ? options->stall_ns : default_stall_ns,
        .certs = options->certs,
    };
    TRY(http_new(&http, &s->http));
    *ret = take(s);
    return NULL;
}

void server_free(struct server *s)
{
    if (!s)
        return;
    if (s->authorization)
        explicit_bzero(s->authorization, strlen(s->authorization));
    free(s->authorization);
    free(s->registry);
    free(s->repository);
    free(s->scope);
    if (s->identity)
        explicit_bzero(s->identity, strlen(s->identity));
    free(s->identity);
    free(s->base);
    strv_free(&s->also_pull);
    http_free(s->http);
    pthread_mutex_destroy(&s->mutex);
    free(s);
}

/* ---- who we are ---- */

/* After a 401 to a request that carried the header of this generation. */
static fallible renew_authorization(struct server *s, const struct http_answer *a, unsigned generation)
{
    err *e = NULL;
    char *header = NULL;
    pthread_mutex_lock(&s->mutex);
    if (s->generation == generation) { /* else another thread has renewed it already */
        e = server_make_authorization(s, a, &header);
        if (!e) {
            free(s->authorization);
            s->authorization = header;
            s->generation++;
        }
    }
    pthread_mutex_unlock(&s->mutex);
    return e;
}

static char *current_authorization(struct server *s, unsigned *ret_generation)
{
    pthread_mutex_lock(&s->mutex);
    char *copy = mem_strdup(s->authorization);
    *ret_generation = s->generation;
    pthread_mutex_unlock(&s->mutex);
    return copy;
}

void server_also_pull(struct server *s, const char *repository)
{
    pthread_mutex_lock(&s->mutex);
    if (!strv_has(&s->also_pull, repository) && strcmp(repository, s->repository) != 0) {
        strv_add(&s->also_pull, repository);
        if (s->authorization && str_starts(s->authorization, "Bearer ")) {
            free(take(s->authorization));
            s->generation++;
        }
    }
    pthread_mutex_unlock(&s->mutex);
}

/* ---- what it says ---- */

static json_t *first_error(const struct http_answer *a, json_t **ret_doc)
{
    *ret_doc = a->body.len ? json_loadb(a->body.text, a->body.len, 0, NULL) : NULL;
    return json_array_get(json_object_get(*ret_doc, "errors"), 0);
}

/* The first error of a registry's error document: ": manifest unknown", or "". */
static char *error_words(const struct http_answer *a)
{
    own_json json_t *doc = NULL;
    json_t *first = first_error(a, &doc);
    const char *message = json_string_value(json_object_get(first, "message"));
    if (!message || !*message)
        message = json_string_value(json_object_get(first, "code"));
    own_mem char *shown = http_printable(message ? message : "", 200);
    return *shown ? mem_printf(": %s", shown) : mem_strdup("");
}

char *server_error_code(const struct http_answer *a)
{
    own_json json_t *doc = NULL;
    const char *code = json_string_value(json_object_get(first_error(a, &doc), "code"));
    return mem_strdup(code ? code : "");
}

static bool has_error_document(const struct http_answer *a)
{
    own_json json_t *doc = NULL;
    return first_error(a, &doc) != NULL;
}

/* A server that knows nothing below /v2/ is no registry, and its 404 says nothing about the image. */
static bool is_registry(struct server *s)
{
    own(http_answer) struct http_answer *a = NULL;
    own_mem char *url = mem_printf("%s/v2/", s->base);
    struct http_request request = { .url = url, .body_max = SERVER_SMALL_MAX };
    own(err) err *e = http_send(s->http, &request, &a);
    return !e && (a->status == 200 || a->status == 401);
}

/* "100;w=21600": 100 in 6 hours. *ret_window_s 0: not said. */
static bool read_limit(const char *header, int64_t *ret_count, int64_t *ret_window_s)
{
    if (!header)
        return false;
    own_mem char *count = mem_strndup(header, strspn(header, "0123456789"));
    const char *window = strstr(header, "w=");
    own_mem char *seconds = window ? mem_strndup(window + 2, strspn(window + 2, "0123456789")) : NULL;
    *ret_window_s = 0;
    if (seconds)
        err_ignore(parse_i64(seconds, 0, INT64_MAX, ret_window_s), "then it is not said");
    own(err) err *e = parse_i64(count, 0, INT64_MAX, ret_count);
    return !e;
}

static char *window_text(int64_t seconds)
{
    if (seconds && seconds % 3600 == 0)
        return mem_printf(" in %lld h", (long long)seconds / 3600);
    return seconds ? mem_printf(" in %lld s", (long long)seconds) : mem_strdup("");
}

/* "; 3 of 100 requests in 6 h are left", or "". */
static char *limit_words(const struct http_answer *a, bool *ret_few)
{
    int64_t limit = 0, left = 0, window = 0, unused = 0;
    *ret_few = false;
    if (!read_limit(a->ratelimit_remaining, &left, &unused) || !read_limit(a->ratelimit_limit, &limit, &window))
        return mem_strdup("");
    own_mem char *in = window_text(window);
    *ret_few = left <= limit / (100 / FEW_LEFT_PERCENT);
    return mem_printf("; %lld of %lld requests%s are left", (long long)left, (long long)limit, in);
}

static void tell_limit(struct server *s, const struct http_answer *a)
{
    bool few = false;
    own_mem char *words = limit_words(a, &few);
    if (!*words)
        return;
    pthread_mutex_lock(&s->mutex);
    bool tell = few && !s->limit_told;
    s->limit_told = s->limit_told || few;
    pthread_mutex_unlock(&s->mutex);
    if (tell)
        log_warn("registry '%s'%s", s->registry, words + 1);
    else
        log_debug("registry '%s'%s", s->registry, words + 1);
}

static fallible too_many(const struct server *s, const struct http_answer *a, const char *words)
{
    bool few = false;
    own_mem char *left = limit_words(a, &few);
    int64_t wait = retry_asked_s(a);
    own_mem char *when = wait > 0 ? mem_printf("; it asks to wait for %lld s", (long long)wait) : mem_strdup("");
    return err_new(ERR_UNAVAILABLE, "registry '%s' says there were too many requests%s%s%s", s->registry, words, left,
                   when);
}

/* 401: who asks is not known, or may not do it; a registry tells nobody else which. */
static fallible unauthenticated(const struct server *s, const char *words)
{
    bool push = strstr(s->scope, "push") != NULL;
    if (s->auth && push)
        return err_new(ERR_UNAUTHENTICATED,
                       "registry '%s' refuses the credentials, or does not let them push to '%s'%s", s->registry,
                       s->repository, words);
    if (push)
        return err_new(ERR_UNAUTHENTICATED, "registry '%s' needs credentials for a push to '%s' ('husk login %s')%s",
                       s->registry, s->repository, s->registry, words);
    if (s->auth)
        return err_new(ERR_UNAUTHENTICATED, "registry '%s' refuses the credentials, or has no such image%s",
                       s->registry, words);
    return err_new(ERR_UNAUTHENTICATED, "registry '%s' has no such image, or it needs credentials ('husk login %s')%s",
                   s->registry, s->registry, words);
}

fallible server_error(struct server *s, const struct http_answer *a)
{
    own_mem char *words = error_words(a);
    switch (a->status) {
    case 401:
        return unauthenticated(s, words);
    case 403:
        return err_new(ERR_DENIED, "registry '%s' forbids it%s", s->registry, words);
    case 404:
        if (!has_error_document(a) && !is_registry(s))
            return err_new(ERR_CORRUPT, "'%s' answers, but is not an image registry", s->registry);
        return err_new(ERR_NOT_FOUND, "registry '%s' has no such image%s", s->registry, words);
    case 405:
        return err_new(ERR_UNSUPPORTED, "registry '%s' does not allow this%s", s->registry, words);
    case 429:
        return too_many(s, a, words);
    }
    if (a->status >= 200 && a->status < 300)
        return err_new(ERR_CORRUPT, "'%s' answers %d: it is not an image registry", s->registry, a->status);
    return err_new(ERR_UNAVAILABLE, "registry '%s' answers %d%s", s->registry, a->status, words);
}

/* ---- asking ---- */

static bool is_url(const char *target)
{
    return str_starts(target, "https://") || str_starts(target, "http://");
}

/* One request; *ret_renewed: it was answered 401, and there is a new authorization to try. */
static fallible send_once(struct server *s, const char *url, bool own_server, struct http_request *request,
                          struct http_answer **ret, bool *ret_renewed, bool *ret_was_authorized)
{
    unsigned generation = 0;
    own_mem char *authorization = own_server ? current_authorization(s, &generation) : NULL;
    *ret_renewed = false;
    *ret_was_authorized = authorization != NULL;
    request->authorization = authorization;
    request->url = url;
    err *e = http_send(s->http, request, ret);
    request->authorization = NULL;
    request->url = NULL;
    TRY(e);
    tell_limit(s, *ret);
    if ((*ret)->status != 401 || !own_server)
        return NULL;
    TRY(renew_authorization(s, *ret, generation));
    *ret_renewed = true;
    return NULL;
}

/* At a base that is known to be right, or is tried. An authorization that is refused is made anew once. */
static fallible send_at(struct server *s, const char *url, bool own_server, struct http_request *request,
                        struct http_answer **ret)
{
    for (int refused = 0, times = 0;; times++) {
        own(http_answer) struct http_answer *a = NULL;
        bool renewed = false, authorized = false;
        err *e = send_once(s, url, own_server, request, &a, &renewed, &authorized);
        refused += renewed && authorized;
        if (e || !renewed || refused > 1 || times > 3) {
            *ret = take(a);
            return e;
        }
    }
}

/* Does a registry (or at least an HTTP server) answer at "scheme://host"? */
static bool knock(struct server *s, const char *base)
{
    own(http_answer) struct http_answer *a = NULL;
    own_mem char *url = mem_printf("%s/v2/", base);
    struct http_request request = { .url = url, .body_max = SERVER_SMALL_MAX };
    own(err) err *e = http_send(s->http, &request, &a);
    if (err_is(e, ERR_UNAUTHENTICATED)) /* a proxy on the way does: asked again, it says so */
        return true;
    return !e && a->status != 400; /* what Go says to http on an https port */
}

/* The first scheme has led to nothing: is it the second? The mutex is not held: only the first request comes here. */
static bool turn_to_second_scheme(struct server *s)
{
    const char *schemes[2];
    schemes_of(s, schemes);
    own_mem char *base = mem_printf("%s://%s", schemes[1] ? schemes[1] : schemes[0], host_in_url(s));
    if (!knock(s, base))
        return false;
    free(s->base);
    s->base = take(base);
    return true;
}

static char *url_of(const struct server *s, const char *target)
{
    return mem_printf("%s%s%s", s->base, *target == '/' ? "" : "/v2/", target);
}

/* What is asked first also says which scheme is the right one, so that no request is spent on that alone. */
static fallible send_first(struct server *s, const char *target, struct http_request *request, struct http_answer **ret)
{
    own(http_answer) struct http_answer *a = NULL;
    own_mem char *url = url_of(s, target);
    err *e = send_at(s, url, true, request, &a);
    bool answered = a && a->status && a->status != 400;
    if (!answered && (!e || err_is(e, ERR_UNAVAILABLE) || err_is(e, ERR_CORRUPT) || err_is(e, ERR_TIMEOUT)) &&
        turn_to_second_scheme(s)) {
        err_ignore(e, "the other scheme works");
        s->base_sure = true;
        return server_send(s, target, request, ret);
    }
    s->base_sure = answered || !e;
    *ret = take(a);
    return e;
}

fallible server_send(struct server *s, const char *target, struct http_request *request, struct http_answer **ret)
{
    if (is_url(target))
        return send_at(s, target, http_same_origin(target, s->base), request, ret);
    if (!s->base_sure)
        return send_first(s, target, request, ret);
    own_mem char *url = url_of(s, target);
    return send_at(s, url, true, request, ret);
}

/* ---- again and again ---- */

fallible server_try(struct server *s, const char *target, struct http_request *request, struct http_answer **ret)
{
    for (int attempt = 1;; attempt++) {
        own(http_answer) struct http_answer *a = NULL;
        err *e = server_send(s, target, request, &a);
        bool lost = err_is(e, ERR_UNAVAILABLE) && ((a && a->may_pass) || s->patient);
        bool again = attempt < s->attempts && (e ? lost : retry_is_worth(a));
        if (again) {
            log_debug("registry: attempt %d: %s", attempt, e ? err_text(e) : "not now");
            again = retry_wait(s->backoff_ms, attempt, e ? NULL : a);
        }
        if (!again) {
            *ret = take(a);
            return e;
        }
        err_ignore(e, "tried again");
    }
}

fallible server_get(struct server *s, const char *target, const char *accept, size_t max, struct http_answer **ret)
{
    own(http_answer) struct http_answer *a = NULL;
    struct http_request request = { .accept = accept, .body_max = max };
    TRY(server_try(s, target, &request, &a));
    if (a->status != 200)
        return server_error(s, a);
    *ret = take(a);
    return NULL;
}
