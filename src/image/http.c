// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/http.h"

#include <curl/curl.h>
#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/parse.h"
#include "image/authorities.h"
#include "image/proxy.h"

enum { SHELF = 8, REDIRECTS_MAX = 8, CONNECT_MS_MAX = 30000, HEADER_MAX = 16384 };

struct http {
    struct http_options options;
    char *named;        /* texts of the authorities that the environment names; NULL: files say all */
    char *all;          /* these and the registry's own; NULL: there are none of either */
    bool other_folders; /* the environment names them: the system's does not count */
    bool looked;        /* for those three */
    pthread_mutex_t mutex;
    CURL *idle[SHELF];
    size_t idle_n;
};

static void init_curl(void)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK)
        abort();
}

/* Whom we believe. A text given to libcurl takes the place of the file of authorities, not of the folder, where the
 * system's are a second time. So that file is part of the text where another folder is named: hundreds of certificates,
 * which take longer to read than the rest of a small pull, and are read when somebody has to prove who he is. */
static void find_authorities(struct http *h)
{
    const char *file = getenv("SSL_CERT_FILE"), *folders = getenv("SSL_CERT_DIR");
    const char *own = h->options.certs ? h->options.certs->authorities : NULL;
    bool file_named = file && *file;
    h->other_folders = folders && *folders;
    if (h->other_folders || (file_named && own))
        h->named = authorities_of_folders(h->other_folders ? folders : "",
                                          file_named ? file : curl_version_info(CURLVERSION_NOW)->cainfo);
    if (h->named || own)
        h->all = mem_printf("%s%s%s", own ? own : "", own ? "\n" : "", h->named ? h->named : "");
}

fallible http_new(const struct http_options *options, struct http **ret)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, init_curl);
    struct http *h = mem_zalloc(sizeof *h);
    h->options = *options;
    pthread_mutex_init(&h->mutex, NULL);
    *ret = h;
    return NULL;
}

void http_free(struct http *h)
{
    if (!h)
        return;
    while (h->idle_n)
        curl_easy_cleanup(h->idle[--h->idle_n]);
    pthread_mutex_destroy(&h->mutex);
    free(h->named);
    free(h->all);
    free(h);
}

static CURL *take_handle(struct http *h)
{
    CURL *curl = NULL;
    pthread_mutex_lock(&h->mutex);
    if (h->idle_n)
        curl = h->idle[--h->idle_n];
    pthread_mutex_unlock(&h->mutex);
    if (!curl)
        curl = curl_easy_init();
    if (!curl)
        abort(); /* only memory can be missing */
    return curl;
}

/* Its connections stay open, for the next request. */
static void put_back(struct http *h, CURL *curl)
{
    curl_easy_reset(curl);
    pthread_mutex_lock(&h->mutex);
    bool room = h->idle_n < SHELF;
    if (room)
        h->idle[h->idle_n++] = curl;
    pthread_mutex_unlock(&h->mutex);
    if (!room)
        curl_easy_cleanup(curl);
}

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

int64_t http_date(const char *text)
{
    return curl_getdate(text, NULL);
}

char *http_printable(const char *text, size_t max)
{
    own_str struct str out = { 0 };
    for (; *text && out.len < max; text++)
        str_add_char(&out, *text >= ' ' && *text <= '~' ? *text : ' ');
    if (*text)
        str_add(&out, "...");
    return str_take(&out);
}

char *http_escape(const char *text)
{
    own_str struct str out = { 0 };
    for (; *text; text++) {
        bool plain = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z') ||
                     (*text >= '0' && *text <= '9') || strchr("-._~", *text);
        if (plain)
            str_add_char(&out, *text);
        else
            str_printf(&out, "%%%02X", (unsigned char)*text);
    }
    return str_take(&out);
}

/* ---- URLs ---- */

static char *url_part(const char *url, CURLUPart part)
{
    CURLU *u = curl_url();
    char *text = NULL, *copy = NULL;
    if (u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK &&
        curl_url_get(u, part, &text, CURLU_DEFAULT_PORT) == CURLUE_OK)
        copy = mem_strdup(text);
    curl_free(text);
    curl_url_cleanup(u);
    return copy;
}

bool http_same_origin(const char *url_a, const char *url_b)
{
    static const CURLUPart parts[] = { CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT };
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        own_mem char *a = url_part(url_a, parts[i]);
        own_mem char *b = url_part(url_b, parts[i]);
        if (!a || !b || strcasecmp(a, b) != 0)
            return false;
    }
    return true;
}

/* A Location may be relative. */
static char *join_url(const char *base, const char *location)
{
    CURLU *u = curl_url();
    char *text = NULL, *copy = NULL;
    if (u && curl_url_set(u, CURLUPART_URL, base, 0) == CURLUE_OK &&
        curl_url_set(u, CURLUPART_URL, location, CURLU_URLENCODE) == CURLUE_OK &&
        curl_url_get(u, CURLUPART_URL, &text, 0) == CURLUE_OK)
        copy = mem_strdup(text);
    curl_free(text);
    curl_url_cleanup(u);
    return copy;
}

/* ---- one transfer ---- */

struct transfer {
    struct http *h;
    const struct http_request *request;
    const char *url;
    const char *proxy; /* that it goes through, or NULL */
    struct http_answer *answer;
    int64_t sent; /* of the upload */
    err *failed;  /* of on_body, of the upload, or of a limit */
};

static bool is_redirect(int status)
{
    return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

static void reset_answer(struct transfer *t)
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

static size_t on_header(char *line, size_t size, size_t n, void *transfer)
{
    struct transfer *t = transfer;
    n *= size;
    if (n > HEADER_MAX) {
        t->failed = err_new(ERR_CORRUPT, "the answer has a header of more than %d bytes", HEADER_MAX);
        return 0;
    }
    own_mem char *text = mem_strndup(line, n);
    text[strcspn(text, "\r\n")] = '\0';
    if (str_starts(text, "HTTP/")) { /* after "100 Continue" comes another one */
        reset_answer(t);
        return n;
    }
    char *colon = strchr(text, ':');
    if (!colon)
        return n;
    *colon = '\0';
    keep_header(t->answer, text, colon + 1 + strspn(colon + 1, " \t"));
    return n;
}

static int status_of(CURL *curl)
{
    long status = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    return (int)status;
}

struct body_ctx {
    struct transfer *t;
    CURL *curl;
};

static size_t on_body(char *bytes, size_t size, size_t n, void *ctx)
{
    struct body_ctx *b = ctx;
    struct transfer *t = b->t;
    struct http_answer *a = t->answer;
    n *= size;
    if (!a->status) {
        a->status = status_of(b->curl);
        a->began = true;
    }
    if (t->request->on_body && (a->status == 200 || a->status == 206)) {
        t->failed = t->request->on_body(t->request->ctx, a, bytes, n);
        return t->failed ? 0 : n;
    }
    if (is_redirect(a->status) && a->location)
        return n; /* nobody reads it */
    if (a->body.len + n > t->request->body_max) {
        t->failed = err_new(ERR_CORRUPT, "the answer is longer than %zu bytes", t->request->body_max);
        return 0;
    }
    str_add_n(&a->body, bytes, n);
    return n;
}

static size_t on_upload(char *buf, size_t size, size_t n, void *transfer)
{
    struct transfer *t = transfer;
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
static int on_rewind(void *transfer, curl_off_t offset, int origin)
{
    struct transfer *t = transfer;
    const struct http_upload *u = t->request->upload;
    if (origin != SEEK_SET || t->failed)
        return CURL_SEEKFUNC_FAIL;
    t->failed = u->seek(u->ctx, u->from + offset);
    t->sent = offset;
    return t->failed ? CURL_SEEKFUNC_FAIL : CURL_SEEKFUNC_OK;
}

static char *origin_text(const char *url)
{
    own_mem char *host = url_part(url, CURLUPART_HOST);
    own_mem char *port = url_part(url, CURLUPART_PORT);
    return mem_printf("%s:%s", host ? host : "?", port ? port : "?");
}

/* Without what may be its password; caller frees. */
static char *proxy_shown(const char *proxy)
{
    const char *scheme = strstr(proxy, "://"), *host = scheme ? scheme + 3 : proxy, *at = strrchr(host, '@');
    return http_printable(at ? at + 1 : host, 200);
}

static fallible proxy_refuses(const struct transfer *t, int status)
{
    own_mem char *where = origin_text(t->url);
    own_mem char *proxy = proxy_shown(t->proxy);
    if (status == 407)
        return err_new(ERR_UNAUTHENTICATED,
                       "connect to %s: the proxy %s %s: a proxy's URL may have both, as http://USER:PASSWORD@HOST:PORT",
                       where, proxy,
                       strchr(t->proxy, '@') ? "refuses the user name or the password"
                                             : "wants a user name and a password");
    return err_new(ERR_UNAVAILABLE, "connect to %s: the proxy %s answers %d", where, proxy, status);
}

/* What went wrong between here and the proxy; NULL: nothing. */
static err *proxy_error(const struct transfer *t, CURL *curl, CURLcode code, const char *said)
{
    long status = 0, os_errno = 0, unproven = 0;
    if (!t->proxy)
        return NULL;
    own_mem char *where = origin_text(t->url);
    own_mem char *proxy = proxy_shown(t->proxy);
    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
    curl_easy_getinfo(curl, CURLINFO_HTTP_CONNECTCODE, &status);
    curl_easy_getinfo(curl, CURLINFO_PROXY_SSL_VERIFYRESULT, &unproven);
    if (code == CURLE_COULDNT_RESOLVE_PROXY)
        return err_new(ERR_UNAVAILABLE, "connect to %s: the proxy %s: no such host, or no name server answers", where,
                       proxy);
    if (code == CURLE_COULDNT_CONNECT && os_errno)
        return err_sys_as(ERR_UNAVAILABLE, (int)os_errno, "connect to %s: the proxy %s", where, proxy);
    if (unproven)
        return err_new(ERR_DENIED, "connect to %s: the proxy %s cannot prove who it is: %s", where, proxy, said);
    return status / 100 > 2 ? proxy_refuses(t, (int)status) : NULL;
}

static fallible transfer_error(const struct transfer *t, CURL *curl, CURLcode code, const char *said)
{
    own_mem char *where = origin_text(t->url);
    long os_errno = 0;
    TRY(proxy_error(t, curl, code, said));
    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
    switch ((int)code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return err_new(ERR_UNAVAILABLE, "connect to %s: no such host, or no name server answers", where);
    case CURLE_COULDNT_CONNECT:
        if (os_errno)
            return err_sys_as(ERR_UNAVAILABLE, (int)os_errno, "connect to %s", where);
        return err_new(ERR_UNAVAILABLE, "connect to %s: %s", where, said);
    case CURLE_OPERATION_TIMEDOUT:
        return err_new(ERR_TIMEOUT, "read from %s: nothing arrived for %llu seconds", where,
                       (unsigned long long)(t->h->options.stall_ns / 1000000000));
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return err_new(ERR_DENIED, "%s cannot prove who it is: %s: --tls-verify=false goes on all the same", where,
                       said);
    case CURLE_SSL_CONNECT_ERROR:
        return err_new(ERR_UNAVAILABLE, "%s does not speak TLS (%s): --tls-verify=false allows plain http", where,
                       said);
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_WEIRD_SERVER_REPLY:
    case CURLE_BAD_CONTENT_ENCODING:
        return err_new(ERR_CORRUPT, "%s does not speak HTTP: %s", where, said);
    case CURLE_URL_MALFORMAT:
        return err_new(ERR_INVALID, "'%.200s' is no URL", t->url);
    }
    return err_new(ERR_UNAVAILABLE, "read from %s: connection lost: %s", where, said);
}

static struct curl_slist *headers_of(const struct transfer *t, bool with_authorization)
{
    struct curl_slist *list = NULL;
    own_mem char *accept = mem_printf("Accept: %s", t->request->accept ? t->request->accept : "*/*");
    list = curl_slist_append(list, accept);
    if (t->request->range_from > 0) {
        own_mem char *range = mem_printf("Range: bytes=%lld-", (long long)t->request->range_from);
        list = curl_slist_append(list, range);
    }
    if (t->request->content_type) {
        own_mem char *type = mem_printf("Content-Type: %s", t->request->content_type);
        list = curl_slist_append(list, type);
    }
    if (t->request->content_range) {
        own_mem char *range = mem_printf("Content-Range: %s", t->request->content_range);
        list = curl_slist_append(list, range);
    }
    if (t->request->authorization && with_authorization) {
        own_mem char *line = mem_printf("Authorization: %s", t->request->authorization);
        list = curl_slist_append(list, line);
    }
    return list;
}

static void set_blob(CURL *curl, CURLoption option, char *text)
{
    struct curl_blob blob = { .data = text, .len = text ? strlen(text) : 0, .flags = CURL_BLOB_NOCOPY };
    if (text)
        curl_easy_setopt(curl, option, &blob);
}

static void set_certs(const struct http_certs *certs, CURL *curl)
{
    if (!certs)
        return;
    set_blob(curl, CURLOPT_SSLCERT_BLOB, certs->certificate);
    set_blob(curl, CURLOPT_SSLKEY_BLOB, certs->key);
}

static bool speaks_tls(const char *url)
{
    return url && strncasecmp(url, "http:", strlen("http:")) != 0;
}

/* For a proxy that speaks TLS as well, though what is of one registry is not of it. */
static void set_authorities(struct http *h, CURL *curl)
{
    const char *file = getenv("SSL_CERT_FILE");
    pthread_mutex_lock(&h->mutex);
    if (!h->looked)
        find_authorities(h);
    h->looked = true;
    pthread_mutex_unlock(&h->mutex);
    if (h->all && *h->all)
        set_blob(curl, CURLOPT_CAINFO_BLOB, h->all);
    else if (file && *file)
        curl_easy_setopt(curl, CURLOPT_CAINFO, file);
    if (h->named && *h->named)
        set_blob(curl, CURLOPT_PROXY_CAINFO_BLOB, h->named);
    else if (file && *file)
        curl_easy_setopt(curl, CURLOPT_PROXY_CAINFO, file);
    if (h->other_folders) {
        curl_easy_setopt(curl, CURLOPT_CAPATH, NULL);
        curl_easy_setopt(curl, CURLOPT_PROXY_CAPATH, NULL);
    }
}

static void set_options(const struct transfer *t, CURL *curl, char *said)
{
    const struct http_options *o = &t->h->options;
    long stall_s = (long)(o->stall_ns / 1000000000), connect_ms = (long)(o->stall_ns / 1000000);
    curl_easy_setopt(curl, CURLOPT_URL, t->url);
    curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(curl, CURLOPT_USERAGENT, "husk/" HUSK_VERSION);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, said);
    curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 256L << 10);
    curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT_MS, connect_ms < CONNECT_MS_MAX ? connect_ms : CONNECT_MS_MAX);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
    curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, stall_s ? stall_s : 1L);
    curl_easy_setopt(curl, CURLOPT_PROXY, t->proxy ? t->proxy : ""); /* "": nor what libcurl reads in the environment */
    curl_easy_setopt(curl, CURLOPT_NOPROXY, "");
    if (o->insecure) {
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(curl, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    if (speaks_tls(t->url) || speaks_tls(t->proxy))
        set_authorities(t->h, curl);
    set_certs(o->certs, curl);
}

static const char *const method_names[] = {
    [HTTP_GET] = "GET", [HTTP_HEAD] = "HEAD",   [HTTP_POST] = "POST",
    [HTTP_PUT] = "PUT", [HTTP_PATCH] = "PATCH", [HTTP_DELETE] = "DELETE",
};

static bool sends_something(const struct http_request *r)
{
    return r->method == HTTP_POST || r->method == HTTP_PUT || r->method == HTTP_PATCH;
}

static void set_method(struct transfer *t, CURL *curl)
{
    const struct http_request *r = t->request;
    if (r->method == HTTP_HEAD)
        curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else if (r->method != HTTP_GET)
        curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, method_names[r->method]);
    if (r->upload) {
        curl_easy_setopt(curl, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(curl, CURLOPT_UPLOAD_BUFFERSIZE, 256L << 10);
        curl_easy_setopt(curl, CURLOPT_INFILESIZE_LARGE, (curl_off_t)r->upload->size);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_upload);
        curl_easy_setopt(curl, CURLOPT_READDATA, t);
        curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, on_rewind);
        curl_easy_setopt(curl, CURLOPT_SEEKDATA, t);
    } else if (sends_something(r)) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->text_len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->text ? r->text : "");
    }
}

static fallible begin_upload(struct transfer *t)
{
    const struct http_upload *u = t->request->upload;
    t->sent = 0;
    return u ? u->seek(u->ctx, u->from) : NULL;
}

static fallible run_transfer(struct transfer *t, bool with_authorization)
{
    TRY(begin_upload(t));
    char said[CURL_ERROR_SIZE] = "";
    CURL *curl = take_handle(t->h);
    struct body_ctx body = { t, curl };
    struct curl_slist *headers = headers_of(t, with_authorization);
    reset_answer(t);
    set_options(t, curl, said);
    set_method(t, curl);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    log_debug("http: %s %s%s", method_names[t->request->method], t->url,
              t->request->authorization && with_authorization ? " (with authorization)" : "");
    CURLcode code = curl_easy_perform(curl);
    long version = 0;
    curl_easy_getinfo(curl, CURLINFO_HTTP_VERSION, &version);
    t->answer->status = status_of(curl);
    t->answer->began = t->answer->status != 0;
    log_debug("http: %d%s", t->answer->status, version == CURL_HTTP_VERSION_2_0 ? " by HTTP/2" : "");
    err *e = take(t->failed);
    if (!e && code != CURLE_OK)
        e = transfer_error(t, curl, code, *said ? said : curl_easy_strerror(code));
    if (!e && t->proxy && t->answer->status == 407)
        e = proxy_refuses(t, 407);
    curl_slist_free_all(headers);
    put_back(t->h, curl);
    return e;
}

static fallible check_redirect(const struct transfer *t, const char *from, const char *to)
{
    own_mem char *scheme = to ? url_part(to, CURLUPART_SCHEME) : NULL;
    own_mem char *shown = http_printable(t->answer->location, 200);
    if (!scheme || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        return err_new(ERR_CORRUPT, "it redirects to '%s', which is no http URL", shown);
    if (str_starts(from, "https:") && strcmp(scheme, "http") == 0 && !t->h->options.insecure)
        return err_new(ERR_DENIED, "it redirects from https to http: '%s'", shown);
    return NULL;
}

static void resolve_location(struct http_answer *a, const char *url)
{
    own_mem char *given = a->location;
    a->location = given ? join_url(url, given) : NULL;
}

static bool may_follow(const struct transfer *t)
{
    int status = t->answer->status;
    if (!is_redirect(status) || !t->answer->location)
        return false;
    return t->request->method == HTTP_GET || t->request->method == HTTP_HEAD ||
           ((status == 307 || status == 308) && (t->request->upload || !t->request->text_len));
}

static char *proxy_of(const struct http *h, const char *url)
{
    own_mem char *scheme = url_part(url, CURLUPART_SCHEME);
    own_mem char *host = url_part(url, CURLUPART_HOST);
    own_mem char *port = url_part(url, CURLUPART_PORT);
    return scheme && host && port && !h->options.no_proxy ? proxy_for(scheme, host, port) : NULL;
}

static fallible send_all(struct transfer *t)
{
    own_mem char *url = mem_strdup(t->request->url);
    for (int i = 0; i <= REDIRECTS_MAX; i++) {
        own_mem char *proxy = proxy_of(t->h, url);
        t->url = url;
        t->proxy = proxy;
        TRY(run_transfer(t, http_same_origin(url, t->request->url)));
        if (!may_follow(t)) {
            resolve_location(t->answer, url);
            return NULL;
        }
        own_mem char *next = join_url(url, t->answer->location);
        TRY(check_redirect(t, url, next));
        free(url);
        url = take(next);
    }
    return err_new(ERR_CORRUPT, "more than %d redirects", REDIRECTS_MAX);
}

fallible http_send(struct http *h, const struct http_request *request, struct http_answer **ret)
{
    struct transfer t = { .h = h, .request = request };
    err *e = send_all(&t);
    if (!t.answer)
        reset_answer(&t);
    *ret = t.answer;
    return e;
}
