// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/http_transfer.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <strings.h>

#include "base/log.h"
#include "base/parse.h"
#include "image/authorities.h"
#include "image/proxy.h"

enum { SHELF = 8, REDIRECTS_MAX = 8, CONNECT_MS_MAX = 30000 };

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

static struct curl_slist *headers_of(const struct http_transfer *t, bool with_authorization)
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

static void set_options(const struct http_transfer *t, CURL *curl, char *said)
{
    const struct http_options *o = t->options;
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

static void set_method(struct http_transfer *t, CURL *curl)
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
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, http_on_upload);
        curl_easy_setopt(curl, CURLOPT_READDATA, t);
        curl_easy_setopt(curl, CURLOPT_SEEKFUNCTION, http_on_rewind);
        curl_easy_setopt(curl, CURLOPT_SEEKDATA, t);
    } else if (sends_something(r)) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)r->text_len);
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, r->text ? r->text : "");
    }
}

static fallible begin_upload(struct http_transfer *t)
{
    const struct http_upload *u = t->request->upload;
    t->sent = 0;
    return u ? u->seek(u->ctx, u->from) : NULL;
}

static fallible run_transfer(struct http_transfer *t, bool with_authorization)
{
    TRY(begin_upload(t));
    char said[CURL_ERROR_SIZE] = "";
    CURL *curl = take_handle(t->h);
    struct http_body body = { t, curl };
    struct curl_slist *headers = headers_of(t, with_authorization);
    http_reset_answer(t);
    set_options(t, curl, said);
    set_method(t, curl);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, http_on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, t);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, http_on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &body);
    log_debug("http: %s %s%s", method_names[t->request->method], t->url,
              t->request->authorization && with_authorization ? " (with authorization)" : "");
    CURLcode code = curl_easy_perform(curl);
    long version = 0;
    curl_easy_getinfo(curl, CURLINFO_HTTP_VERSION, &version);
    t->answer->status = http_status(curl);
    t->answer->may_pass = t->answer->status != 0;
    log_debug("http: %d%s", t->answer->status, version == CURL_HTTP_VERSION_2_0 ? " by HTTP/2" : "");
    err *e = take(t->failed);
    if (!e && code != CURLE_OK)
        e = http_transfer_error(t, curl, code, *said ? said : curl_easy_strerror(code));
    if (!e && t->proxy && t->answer->status == 407)
        e = http_proxy_refuses(t, 407);
    curl_slist_free_all(headers);
    put_back(t->h, curl);
    return e;
}

static fallible check_redirect(const struct http_transfer *t, const char *from, const char *to)
{
    own_mem char *scheme = to ? http_url_part(to, CURLUPART_SCHEME) : NULL;
    own_mem char *shown = http_printable(t->answer->location, 200);
    if (!scheme || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        return err_new(ERR_CORRUPT, "it redirects to '%s', which is no http URL", shown);
    if (str_starts(from, "https:") && strcmp(scheme, "http") == 0 && !t->options->insecure)
        return err_new(ERR_DENIED, "it redirects from https to http: '%s'", shown);
    return NULL;
}

static void resolve_location(struct http_answer *a, const char *url)
{
    own_mem char *given = a->location;
    a->location = given ? http_join_url(url, given) : NULL;
}

static bool may_follow(const struct http_transfer *t)
{
    int status = t->answer->status;
    if (!http_is_redirect(status) || !t->answer->location)
        return false;
    return t->request->method == HTTP_GET || t->request->method == HTTP_HEAD ||
           ((status == 307 || status == 308) && (t->request->upload || !t->request->text_len));
}

static char *proxy_of(const struct http *h, const char *url)
{
    own_mem char *scheme = http_url_part(url, CURLUPART_SCHEME);
    own_mem char *host = http_url_part(url, CURLUPART_HOST);
    own_mem char *port = http_url_part(url, CURLUPART_PORT);
    return scheme && host && port && !h->options.no_proxy ? proxy_for(scheme, host, port) : NULL;
}

static fallible send_all(struct http_transfer *t)
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
        own_mem char *next = http_join_url(url, t->answer->location);
        TRY(check_redirect(t, url, next));
        free(url);
        url = take(next);
    }
    return err_new(ERR_CORRUPT, "more than %d redirects", REDIRECTS_MAX);
}

fallible http_send(struct http *h, const struct http_request *request, struct http_answer **ret)
{
    struct http_transfer t = { .h = h, .options = &h->options, .request = request };
    err *e = send_all(&t);
    if (!t.answer)
        http_reset_answer(&t);
    *ret = t.answer;
    return e;
}
