// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/registry.h"

#include <inttypes.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "base/log.h"
#include "codec/digest.h"
#include "image/http.h"

#define ACCEPT_MANIFESTS MEDIA_OCI_INDEX ", " MEDIA_DOCKER_LIST ", " MEDIA_OCI_MANIFEST ", " MEDIA_DOCKER_MANIFEST

enum {
    MANIFEST_MAX = 4 << 20,
    SMALL_MAX = 1 << 20, /* tokens, error documents, pages of tags */
    ATTEMPTS_MAX = 5,
    BACKOFF_MS = 200, /* before the second attempt; doubled each time */
    RETRY_AFTER_MAX_S = 60,
    TAG_PAGES_MAX = 1000,
};
/* A transfer that got this much further is going well: it may be interrupted anew. */
static const int64_t good_progress = 1 << 20;
static const uint64_t default_stall_ns = 30ull * 1000000000;

struct registry {
    char *registry, *repository; /* as in the reference */
    const struct credentials *auth;
    struct http *http;
    bool insecure, loopback;
    pthread_mutex_t mutex; /* for what follows */
    char *base;            /* "https://host:port": known after the first answer */
    char *authorization;   /* the header's value; NULL: not asked for yet */
    unsigned generation;   /* of authorization */
};

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

bool registry_named_insecure(const char *registry)
{
    const char *list = getenv("HUSK_INSECURE_REGISTRIES");
    own_strv struct strv names = { 0 };
    own_mem char *host = host_of(registry);
    strv_split(&names, list ? list : "", ',');
    for (size_t i = 0; i < names.n; i++) {
        const char *name = names.items[i] + strspn(names.items[i], " ");
        if (*name && (strcasecmp(name, registry) == 0 || strcasecmp(name, host) == 0))
            return true;
    }
    return false;
}

fallible registry_open(const struct ref *ref, const struct registry_options *options, struct registry **ret)
{
    own(registry) struct registry *r = mem_zalloc(sizeof *r);
    pthread_mutex_init(&r->mutex, NULL);
    r->registry = mem_strdup(ref->registry);
    r->repository = mem_strdup(ref->repository);
    r->auth = options->auth;
    r->insecure = options->insecure || registry_named_insecure(ref->registry);
    r->loopback = is_loopback(ref->registry);
    struct http_options http = {
        .insecure = r->insecure || r->loopback,
        .no_proxy = r->loopback,
        .stall_ns = options->stall_ns ? options->stall_ns : default_stall_ns,
    };
    TRY(http_new(&http, &r->http));
    *ret = take(r);
    return NULL;
}

void registry_free(struct registry *r)
{
    if (!r)
        return;
    if (r->authorization)
        explicit_bzero(r->authorization, strlen(r->authorization));
    free(r->authorization);
    free(r->registry);
    free(r->repository);
    free(r->base);
    http_free(r->http);
    pthread_mutex_destroy(&r->mutex);
    free(r);
}

/* Docker Hub's names are not where its registry is. */
static const char *server_of(const struct registry *r)
{
    return strcmp(r->registry, "docker.io") == 0 ? "registry-1.docker.io" : r->registry;
}

/* Does a registry (or at least an HTTP server) answer at "scheme://host"? */
static fallible knock(struct registry *r, const char *base)
{
    own(http_answer) struct http_answer *a = NULL;
    own_mem char *url = mem_printf("%s/v2/", base);
    struct http_request request = { .url = url, .body_max = SMALL_MAX };
    TRY(http_send(r->http, &request, &a));
    if (a->status == 400) /* what Go says to http on an https port */
        return err_new(ERR_UNAVAILABLE, "%s answers 400 to %s", server_of(r), url);
    return NULL;
}

static fallible choose_scheme(struct registry *r, char **ret_base)
{
    const char *first = r->loopback ? "http" : "https", *second = r->loopback ? "https" : "http";
    own_mem char *base = mem_printf("%s://%s", first, server_of(r));
    if (r->loopback || r->insecure) {
        own(err) err *e = knock(r, base);
        if (e) {
            free(base);
            base = mem_printf("%s://%s", second, server_of(r));
            err *e2 = knock(r, base);
            if (e2) {
                err_ignore(e2, "the first says more");
                return take(e);
            }
        }
    }
    *ret_base = take(base);
    return NULL;
}

static fallible find_base(struct registry *r)
{
    err *e = NULL;
    pthread_mutex_lock(&r->mutex);
    if (!r->base)
        e = choose_scheme(r, &r->base);
    pthread_mutex_unlock(&r->mutex);
    return e;
}

/* ---- who we are ---- */

static char *basic_header(const struct credentials *c)
{
    own_mem char *pair = mem_printf("%s:%s", c->user, c->password);
    own_mem char *encoded = base64_encode(pair, strlen(pair));
    explicit_bzero(pair, strlen(pair));
    return mem_printf("Basic %s", encoded);
}

static bool has_password(const struct credentials *c)
{
    return c && c->user && c->password;
}

static fallible strongest_challenge(const struct http_answer *a, struct challenge **ret)
{
    own(challenge) struct challenge *best = mem_zalloc(sizeof *best);
    for (size_t i = 0; i < a->www_authenticate.n; i++) {
        own(challenge) struct challenge *c = NULL;
        TRY(challenge_parse(a->www_authenticate.items[i], &c));
        if (c->scheme <= best->scheme)
            continue;
        challenge_free(best);
        best = take(c);
    }
    *ret = take(best);
    return NULL;
}

/* A token that could not stand in a header is none. */
static fallible read_token(const struct str *body, char **ret)
{
    own_json json_t *doc = NULL;
    TRY(json_parse("token", body->text ? body->text : "", body->len, &doc));
    const char *token = json_string_value(json_object_get(doc, "token"));
    if (!token || !*token)
        token = json_string_value(json_object_get(doc, "access_token"));
    if (!token || !*token)
        return err_new(ERR_CORRUPT, "there is no token in the answer");
    for (const char *p = token; *p; p++)
        if (*p <= ' ' || *p > '~')
            return err_new(ERR_CORRUPT, "the token has a character that no token has");
    *ret = mem_printf("Bearer %s", token);
    return NULL;
}

static char *token_query(const struct registry *r, const struct challenge *c)
{
    own_str struct str query = { 0 };
    own_mem char *service = http_escape(c->service ? c->service : "");
    own_mem char *repository = http_escape(r->repository);
    /* Our own words: a registry does not get to say what the token is good for. */
    str_printf(&query, "scope=repository%%3A%s%%3Apull", repository);
    if (*service)
        str_printf(&query, "&service=%s", service);
    return str_take(&query);
}

static fallible request_token(struct registry *r, const struct challenge *c, struct http_answer **ret)
{
    own_mem char *query = token_query(r, c);
    own_mem char *form = NULL;
    own_mem char *url = NULL;
    own_mem char *basic = NULL;
    if (r->auth && r->auth->identity_token) {
        own_mem char *token = http_escape(r->auth->identity_token);
        form = mem_printf("grant_type=refresh_token&client_id=husk&refresh_token=%s&%s", token, query);
        url = mem_strdup(c->realm);
    } else {
        url = mem_printf("%s%c%s", c->realm, strchr(c->realm, '?') ? '&' : '?', query);
        basic = has_password(r->auth) ? basic_header(r->auth) : NULL;
    }
    struct http_request request = { .url = url, .authorization = basic, .form = form, .body_max = SMALL_MAX };
    return http_send(r->http, &request, ret);
}

static fallible get_token(struct registry *r, const struct challenge *c, char **ret_header)
{
    own(http_answer) struct http_answer *a = NULL;
    own_mem char *realm = c->realm ? http_printable(c->realm, 200) : NULL;
    if (!realm || (!str_starts(c->realm, "https://") && !str_starts(c->realm, "http://")))
        return err_new(ERR_CORRUPT, "'%s' wants a token from '%s', which is no URL", r->registry, realm ? realm : "");
    if (str_starts(c->realm, "http://") && str_starts(r->base, "https://") && !r->insecure && !r->loopback)
        return err_new(ERR_DENIED, "'%s' wants the credentials sent unencrypted to '%s'", r->registry, realm);
    TRY_AS(request_token(r, c, &a), "get a token");
    if (a->status == 401 || a->status == 403 || a->status == 400)
        return err_new(ERR_UNAUTHENTICATED, "'%s' gives no token for '%s': %s", realm, r->repository,
                       r->auth ? "the credentials are refused" : "it needs credentials");
    if (a->status != 200)
        return err_new(ERR_UNAVAILABLE, "get a token: '%s' answers %d", realm, a->status);
    TRY_AS(read_token(&a->body, ret_header), "get a token from '%s'", realm);
    return NULL;
}

static fallible make_authorization(struct registry *r, const struct http_answer *a, char **ret_header)
{
    own(challenge) struct challenge *c = NULL;
    TRY_AS(strongest_challenge(a, &c), "registry '%s'", r->registry);
    switch (c->scheme) {
    case CHALLENGE_NONE:
        return err_new(ERR_UNAUTHENTICATED, "registry '%s' refuses and does not say what it wants", r->registry);
    case CHALLENGE_BASIC:
        if (!has_password(r->auth))
            return err_new(ERR_UNAUTHENTICATED, "registry '%s' needs a user name and a password", r->registry);
        *ret_header = basic_header(r->auth);
        return NULL;
    case CHALLENGE_BEARER:
        return get_token(r, c, ret_header);
    }
    return err_new(ERR_INTERNAL, "challenge without a scheme");
}

/* After a 401 to a request that carried the header of this generation. */
static fallible renew_authorization(struct registry *r, const struct http_answer *a, unsigned generation)
{
    err *e = NULL;
    char *header = NULL;
    pthread_mutex_lock(&r->mutex);
    if (r->generation == generation) { /* else another thread has renewed it already */
        e = make_authorization(r, a, &header);
        if (!e) {
            free(r->authorization);
            r->authorization = header;
            r->generation++;
        }
    }
    pthread_mutex_unlock(&r->mutex);
    return e;
}

static char *current_authorization(struct registry *r, unsigned *ret_generation)
{
    pthread_mutex_lock(&r->mutex);
    char *copy = mem_strdup(r->authorization);
    *ret_generation = r->generation;
    pthread_mutex_unlock(&r->mutex);
    return copy;
}

/* ---- what it says ---- */

/* The first error of a registry's error document: ": manifest unknown", or "". */
static char *error_words(const struct http_answer *a)
{
    own_json json_t *doc = a->body.len ? json_loadb(a->body.text, a->body.len, 0, NULL) : NULL;
    json_t *first = json_array_get(json_object_get(doc, "errors"), 0);
    const char *message = json_string_value(json_object_get(first, "message"));
    if (!message || !*message)
        message = json_string_value(json_object_get(first, "code"));
    own_mem char *shown = http_printable(message ? message : "", 200);
    return *shown ? mem_printf(": %s", shown) : mem_strdup("");
}

static bool has_error_document(const struct http_answer *a)
{
    own_json json_t *doc = a->body.len ? json_loadb(a->body.text, a->body.len, 0, NULL) : NULL;
    return json_array_size(json_object_get(doc, "errors")) > 0;
}

/* A server that knows nothing below /v2/ is no registry, and its 404 says nothing about the image. */
static bool is_registry(struct registry *r)
{
    own(http_answer) struct http_answer *a = NULL;
    own_mem char *url = mem_printf("%s/v2/", r->base);
    struct http_request request = { .url = url, .body_max = SMALL_MAX };
    own(err) err *e = http_send(r->http, &request, &a);
    return !e && (a->status == 200 || a->status == 401);
}

static fallible error_of_status(struct registry *r, const struct http_answer *a)
{
    own_mem char *words = error_words(a);
    switch (a->status) {
    case 401:
        return err_new(ERR_UNAUTHENTICATED, "registry '%s' %s%s", r->registry,
                       r->auth ? "refuses the credentials, or has no such image"
                               : "has no such image, or it needs credentials",
                       words);
    case 403:
        return err_new(ERR_DENIED, "registry '%s' forbids it%s", r->registry, words);
    case 404:
        if (!has_error_document(a) && !is_registry(r))
            return err_new(ERR_CORRUPT, "'%s' answers, but is not an image registry", r->registry);
        return err_new(ERR_NOT_FOUND, "registry '%s' has no such image%s", r->registry, words);
    case 429:
        return err_new(ERR_UNAVAILABLE, "registry '%s' says there were too many requests%s", r->registry, words);
    }
    if (a->status >= 200 && a->status < 300)
        return err_new(ERR_CORRUPT, "'%s' answers %d: it is not an image registry", r->registry, a->status);
    return err_new(ERR_UNAVAILABLE, "registry '%s' answers %d%s", r->registry, a->status, words);
}

/* ---- asking, again and again ---- */

static bool worth_a_retry(const struct http_answer *a)
{
    return a->status == 429 || a->status == 408 || a->status >= 500;
}

static void wait_before(int attempt, const struct http_answer *a)
{
    int64_t ms = (int64_t)BACKOFF_MS << (attempt - 1), seconds = 0;
    own(err) err *e = a && a->retry_after ? parse_i64(a->retry_after, 0, RETRY_AFTER_MAX_S, &seconds) : NULL;
    if (a && a->retry_after && !e)
        ms = seconds * 1000;
    nanosleep(&(struct timespec){ ms / 1000, ms % 1000 * 1000000 }, NULL);
}

/* One request with the authorization it needs; the answer's status may be anything but a first 401. */
static fallible send_authorized(struct registry *r, struct http_request *request, struct http_answer **ret)
{
    for (int renewed = 0;; renewed++) {
        own(http_answer) struct http_answer *a = NULL;
        unsigned generation = 0;
        own_mem char *authorization = current_authorization(r, &generation);
        request->authorization = authorization;
        err *e = http_send(r->http, request, &a);
        request->authorization = NULL;
        if (e || a->status != 401 || renewed) {
            *ret = take(a);
            return e;
        }
        TRY(renew_authorization(r, a, generation));
    }
}

/* A small answer, whole. The answer has status 200. */
static fallible get(struct registry *r, const char *url, const char *accept, size_t max, struct http_answer **ret)
{
    for (int attempt = 1;; attempt++) {
        own(http_answer) struct http_answer *a = NULL;
        struct http_request request = { .url = url, .accept = accept, .body_max = max };
        err *e = send_authorized(r, &request, &a);
        bool lost = err_is(e, ERR_UNAVAILABLE) && a && a->began;
        if (!e && a->status == 200) {
            *ret = take(a);
            return NULL;
        }
        if (attempt == ATTEMPTS_MAX || (e && !lost) || (!e && !worth_a_retry(a)))
            return e ? e : error_of_status(r, a);
        log_debug("registry: attempt %d: %s", attempt, e ? err_text(e) : "not now");
        err_ignore(e, "tried again");
        wait_before(attempt, a);
    }
}

/* ---- manifests ---- */

void registry_manifest_free(struct registry_manifest *m)
{
    if (!m)
        return;
    free(m->text);
    free(m->digest);
    free(m->media_type);
    free(m);
}

static char *plain_type(const char *content_type)
{
    return mem_strndup(content_type ? content_type : "", content_type ? strcspn(content_type, "; \t") : 0);
}

/* The document's own word counts; the header's, where it has none. */
static fallible find_media_type(const struct http_answer *a, char **ret)
{
    // NOLINTNEXTLINE(clang-analyzer-core.NullDereference): get() gives an answer, or an error
    own_mem char *header = plain_type(a->content_type);
    own_json json_t *doc = json_loadb(a->body.text ? a->body.text : "", a->body.len, JSON_REJECT_DUPLICATES, NULL);
    const char *said = json_string_value(json_object_get(doc, "mediaType"));
    const char *type = said ? said : header;
    own_mem char *shown = http_printable(type, 100);
    if (!json_is_object(doc))
        return err_new(ERR_CORRUPT, "what it sends as '%s' is no image manifest: it is not JSON", shown);
    if (json_integer_value(json_object_get(doc, "schemaVersion")) == 1)
        return err_new(ERR_UNSUPPORTED, "the image is in Docker's old schema 1, which nobody should use any more");
    if (!media_is_index(type) && !media_is_manifest(type) && !said) {
        if (json_object_get(doc, "manifests"))
            type = MEDIA_OCI_INDEX;
        else if (json_object_get(doc, "config"))
            type = MEDIA_OCI_MANIFEST;
    }
    if (!media_is_index(type) && !media_is_manifest(type))
        return err_new(ERR_CORRUPT, "what it sends is no image manifest but '%s'", shown);
    if ((media_is_index(header) || media_is_manifest(header)) && media_is_index(header) != media_is_index(type))
        return err_new(ERR_CORRUPT, "what it sends as '%s' calls itself '%s'", header, shown);
    *ret = mem_strdup(type);
    return NULL;
}

static fallible digest_as(const char *like, const struct str *body, char **ret)
{
    own(digest) struct digest *d = NULL;
    TRY(digest_new(like, &d));
    digest_add(d, body->text, body->len);
    *ret = digest_end(d);
    return NULL;
}

static fallible check_manifest_digest(const struct http_answer *a, const char *asked, char **ret)
{
    const char *promised = a->docker_content_digest;
    own_mem char *is = NULL;
    own_mem char *also = NULL;
    TRY(digest_as(digest_valid(asked) ? asked : NULL, &a->body, &is));
    if (digest_valid(asked) && strcmp(is, asked) != 0)
        return err_new(ERR_CORRUPT, "the manifest sent for digest %s has digest %s", asked, is);
    if (digest_valid(promised)) {
        TRY(digest_as(promised, &a->body, &also));
        if (strcmp(also, promised) != 0)
            return err_new(ERR_CORRUPT, "the manifest sent as %s has digest %s", promised, also);
    }
    *ret = take(is);
    return NULL;
}

fallible registry_get_manifest(struct registry *r, const char *tag_or_digest, struct registry_manifest **ret)
{
    own(http_answer) struct http_answer *a = NULL;
    own(registry_manifest) struct registry_manifest *m = mem_zalloc(sizeof *m);
    TRY(find_base(r));
    own_mem char *url = mem_printf("%s/v2/%s/manifests/%s", r->base, r->repository, tag_or_digest);
    TRY(get(r, url, ACCEPT_MANIFESTS, MANIFEST_MAX, &a));
    TRY_AS(find_media_type(a, &m->media_type), "registry '%s'", r->registry);
    TRY_AS(check_manifest_digest(a, tag_or_digest, &m->digest), "registry '%s'", r->registry);
    m->len = a->body.len;
    m->text = str_take(&a->body);
    *ret = take(m);
    return NULL;
}

/* ---- blobs ---- */

struct blob_transfer {
    struct blob *blob;
    bool begun; /* the first bytes of this answer have come */
    registry_progress *progress;
    void *ctx;
};

/* Does "bytes 100-199/200" begin where we left off? */
static bool range_begins_at(const char *content_range, int64_t at)
{
    long long from = -1;
    return content_range && sscanf(content_range, "bytes %lld-", &from) == 1 && from == at;
}

static err *on_blob_bytes(void *ctx, const struct http_answer *a, const void *bytes, size_t n)
{
    struct blob_transfer *t = ctx;
    if (!t->begun) {
        t->begun = true;
        if (a->status == 206 && !range_begins_at(a->content_range, blob_bytes(t->blob)))
            return err_new(ERR_CORRUPT, "the registry goes on at another place than it was asked to");
        if (a->status == 200 && blob_bytes(t->blob) > 0)
            TRY(blob_restart(t->blob));
    }
    TRY(blob_add(t->blob, bytes, n));
    return t->progress ? t->progress(t->ctx, blob_bytes(t->blob)) : NULL;
}

/* *ret_done false: it may be tried again. */
static fallible get_blob_once(struct registry *r, const char *url, struct blob_transfer *t, struct http_answer **ret,
                              bool *ret_done)
{
    struct http_request request = {
        .url = url,
        .range_from = blob_bytes(t->blob),
        .body_max = SMALL_MAX,
        .on_body = on_blob_bytes,
        .ctx = t,
    };
    t->begun = false;
    err *e = send_authorized(r, &request, ret);
    const struct http_answer *a = *ret;
    *ret_done = false;
    if (err_is(e, ERR_UNAVAILABLE))
        return e;
    *ret_done = true;
    if (e)
        return e;
    if (a->status == 200 || a->status == 206)
        return NULL;
    *ret_done = !worth_a_retry(a);
    if (a->status == 416 && request.range_from > 0) { /* it has no such range: from the start, then */
        *ret_done = false;
        TRY(blob_restart(t->blob));
    }
    return a->status == 404
               ? err_new(ERR_CORRUPT, "registry '%s' does not have what its own manifest names", r->registry)
               : error_of_status(r, a);
}

static fallible get_blob(struct registry *r, const char *url, struct blob_transfer *t)
{
    int64_t mark = blob_bytes(t->blob);
    bool any = false;
    for (int attempt = 1;; attempt++) {
        own(http_answer) struct http_answer *a = NULL;
        bool done = false;
        err *e = get_blob_once(r, url, t, &a, &done);
        any = any || (a && a->began);
        if (!e || done || attempt >= ATTEMPTS_MAX || !any)
            return e;
        if (blob_bytes(t->blob) - mark >= good_progress) {
            mark = blob_bytes(t->blob);
            attempt = 1;
        }
        log_debug("registry: blob: attempt %d: %s", attempt, err_text(e));
        err_ignore(e, "tried again");
        wait_before(attempt, a);
    }
}

fallible registry_get_blob(struct registry *r, const char *digest, struct blob *blob, registry_progress *progress,
                           void *ctx)
{
    TRY(find_base(r));
    own_mem char *url = mem_printf("%s/v2/%s/blobs/%s", r->base, r->repository, digest);
    struct blob_transfer t = { .blob = blob, .progress = progress, .ctx = ctx };
    return get_blob(r, url, &t);
}

/* ---- tags ---- */

/* Link: </v2/x/tags/list?last=b&n=2>; rel="next". NULL: that was the last page. Only paths on the same server. */
static char *next_page(const struct registry *r, const struct http_answer *a)
{
    const char *open = a->link ? strchr(a->link, '<') : NULL, *close = open ? strchr(open, '>') : NULL;
    if (!close || !strstr(close, "next"))
        return NULL;
    own_mem char *target = mem_strndup(open + 1, (size_t)(close - open - 1));
    if (target[0] == '/' && target[1] != '/')
        return mem_printf("%s%s", r->base, target);
    return http_same_origin(target, r->base) ? take(target) : NULL;
}

static fallible read_tags(const struct http_answer *a, struct strv *tags)
{
    own_json json_t *doc = NULL;
    TRY(json_parse("list of tags", a->body.text ? a->body.text : "", a->body.len, &doc));
    json_t *list = json_object_get(doc, "tags");
    for (size_t i = 0; i < json_array_size(list); i++)
        if (json_string_value(json_array_get(list, i)))
            strv_add(tags, json_string_value(json_array_get(list, i)));
    return NULL;
}

fallible registry_list_tags(struct registry *r, struct strv *ret_tags)
{
    TRY(find_base(r));
    own_mem char *url = mem_printf("%s/v2/%s/tags/list", r->base, r->repository);
    for (int page = 0; url && page < TAG_PAGES_MAX; page++) {
        own(http_answer) struct http_answer *a = NULL;
        TRY(get(r, url, "application/json", MANIFEST_MAX, &a));
        TRY_AS(read_tags(a, ret_tags), "registry '%s'", r->registry);
        free(url);
        url = next_page(r, a);
    }
    return NULL;
}
