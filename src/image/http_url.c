// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/http_transfer.h"

#include <string.h>
#include <strings.h>

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

char *http_url_part(const char *url, CURLUPart part)
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
        own_mem char *a = http_url_part(url_a, parts[i]);
        own_mem char *b = http_url_part(url_b, parts[i]);
        if (!a || !b || strcasecmp(a, b) != 0)
            return false;
    }
    return true;
}

/* A Location may be relative. */
char *http_join_url(const char *base, const char *location)
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

char *http_origin(const char *url)
{
    own_mem char *host = http_url_part(url, CURLUPART_HOST);
    own_mem char *port = http_url_part(url, CURLUPART_PORT);
    return mem_printf("%s:%s", host ? host : "?", port ? port : "?");
}
