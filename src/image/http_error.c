// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/http_transfer.h"

#include <netdb.h>
#include <string.h>

/* A look-up that took this long is not made again, only to hear why it failed: it may take as long as that. */
enum { LOOKUP_AGAIN_MAX_US = 2000000 };

/* Without what may be its password; caller frees. */
static char *proxy_shown(const char *proxy)
{
    const char *scheme = strstr(proxy, "://"), *host = scheme ? scheme + 3 : proxy, *at = strrchr(host, '@');
    return http_printable(at ? at + 1 : host, 200);
}

fallible http_proxy_refuses(const struct http_transfer *t, int status)
{
    own_mem char *where = http_origin(t->url);
    own_mem char *proxy = proxy_shown(t->proxy);
    if (status == 407)
        return err_new(ERR_UNAUTHENTICATED,
                       "connect to %s: the proxy %s %s: a proxy's URL may have both, as http://USER:PASSWORD@HOST:PORT",
                       where, proxy,
                       strchr(t->proxy, '@') ? "refuses the user name or the password"
                                             : "wants a user name and a password");
    return err_new(ERR_UNAVAILABLE, "connect to %s: the proxy %s answers %d", where, proxy, status);
}

/* Is there no such host, or can nobody say for now? libcurl has one error for both, so it is asked once more. */
static fallible lookup_error(const struct http_transfer *t, CURL *curl, const char *url, const char *whose)
{
    own_mem char *host = http_url_part(url, CURLUPART_HOST), *where = http_origin(t->url);
    struct addrinfo *found = NULL;
    curl_off_t took_us = 0;
    curl_easy_getinfo(curl, CURLINFO_TOTAL_TIME_T, &took_us);
    if (!host || took_us > LOOKUP_AGAIN_MAX_US)
        return err_new(ERR_UNAVAILABLE, "connect to %s: %sno such host, or no name server answers", where, whose);
    int error = getaddrinfo(host, NULL, &(struct addrinfo){ .ai_socktype = SOCK_STREAM }, &found);
    if (!error)
        freeaddrinfo(found); /* by now it is known */
    t->answer->may_pass = !error || error == EAI_AGAIN;
    if (t->answer->may_pass)
        return err_new(ERR_UNAVAILABLE,
                       "connect to %s: %s%s: the name servers in /etc/resolv.conf do not say where it is", where, whose,
                       gai_strerror(EAI_AGAIN));
    return err_new(ERR_UNAVAILABLE, "connect to %s: %sno such host", where, whose);
}

/* What went wrong between here and the proxy; NULL: nothing. */
static err *proxy_error(const struct http_transfer *t, CURL *curl, CURLcode code, const char *said)
{
    long status = 0, os_errno = 0, unproven = 0;
    if (!t->proxy)
        return NULL;
    own_mem char *where = http_origin(t->url);
    own_mem char *proxy = proxy_shown(t->proxy);
    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
    curl_easy_getinfo(curl, CURLINFO_HTTP_CONNECTCODE, &status);
    curl_easy_getinfo(curl, CURLINFO_PROXY_SSL_VERIFYRESULT, &unproven);
    if (code == CURLE_COULDNT_RESOLVE_PROXY) {
        own_mem char *whose = mem_printf("the proxy %s: ", proxy);
        return lookup_error(t, curl, t->proxy, whose);
    }
    if (code == CURLE_COULDNT_CONNECT && os_errno)
        return err_sys_as(ERR_UNAVAILABLE, (int)os_errno, "connect to %s: the proxy %s", where, proxy);
    if (unproven)
        return err_new(ERR_DENIED, "connect to %s: the proxy %s cannot prove who it is: %s", where, proxy, said);
    return status / 100 > 2 ? http_proxy_refuses(t, (int)status) : NULL;
}

fallible http_transfer_error(const struct http_transfer *t, CURL *curl, CURLcode code, const char *said)
{
    own_mem char *where = http_origin(t->url);
    curl_off_t begun_us = 0;
    long os_errno = 0;
    TRY(proxy_error(t, curl, code, said));
    curl_easy_getinfo(curl, CURLINFO_OS_ERRNO, &os_errno);
    switch ((int)code) {
    case CURLE_COULDNT_RESOLVE_HOST:
        return lookup_error(t, curl, t->url, "");
    case CURLE_COULDNT_CONNECT:
        if (os_errno)
            return err_sys_as(ERR_UNAVAILABLE, (int)os_errno, "connect to %s", where);
        return err_new(ERR_UNAVAILABLE, "connect to %s: %s", where, said);
    case CURLE_OPERATION_TIMEDOUT:
        curl_easy_getinfo(curl, CURLINFO_PRETRANSFER_TIME_T, &begun_us);
        if (!begun_us)
            return err_new(ERR_TIMEOUT, "connect to %s: %s", where, said);
        return err_new(ERR_TIMEOUT, "read from %s: nothing arrived for %llu seconds", where,
                       (unsigned long long)(t->options->stall_ns / 1000000000));
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
