// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/authorize.h"

#include <string.h>

#include "build/git.h"
#include "build/layer.h"
#include "image/auth.h"

/* A file ends with a newline more often than not. */
static char *text_of(const struct build_secret *s)
{
    size_t n = s->n;
    while (n && strchr("\r\n", s->bytes[n - 1]))
        n--;
    return mem_strndup(s->bytes, n);
}

/* The secret "WHAT.HOST" or "WHAT_HOST". */
static const struct build_secret *of_host(const struct build_secret *secrets, size_t n, const char *what,
                                          const char *url)
{
    const char *host = strstr(url, "://") + 3;
    size_t what_n = strlen(what), host_n = strcspn(host, "/?#");
    for (size_t i = 0; i < n; i++) {
        const char *id = secrets[i].id;
        if (strncmp(id, what, what_n) == 0 && (id[what_n] == '.' || id[what_n] == '_') &&
            strlen(id + what_n + 1) == host_n && strncmp(id + what_n + 1, host, host_n) == 0)
            return &secrets[i];
    }
    return NULL;
}

static const struct build_secret *of_any(const struct build_secret *secrets, size_t n, const char *what)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(secrets[i].id, what) == 0)
            return &secrets[i];
    return NULL;
}

void git_authorize(struct git_source *g, const struct build_secret *secrets, size_t n)
{
    if (!str_starts(g->url, "http://") && !str_starts(g->url, "https://"))
        return;
    const struct build_secret *header = of_host(secrets, n, "GIT_AUTH_HEADER", g->url);
    const struct build_secret *token = of_host(secrets, n, "GIT_AUTH_TOKEN", g->url);
    if (!header && !token) {
        header = of_any(secrets, n, "GIT_AUTH_HEADER");
        token = of_any(secrets, n, "GIT_AUTH_TOKEN");
    }
    if (!header && !token)
        return;
    own_mem char *text = text_of(header ? header : token);
    if (header) {
        g->header = mem_printf("Authorization: %s", text);
        return;
    }
    own_mem char *pair = mem_printf("x-access-token:%s", text);
    own_mem char *packed = base64_encode(pair, strlen(pair));
    g->header = mem_printf("Authorization: basic %s", packed);
}

char *authorize_url(const char *url, const struct build_secret *secrets, size_t n)
{
    const struct build_secret *header = of_host(secrets, n, "HTTP_AUTH_HEADER", url);
    const struct build_secret *token = of_host(secrets, n, "HTTP_AUTH_TOKEN", url);
    if (header)
        return text_of(header);
    own_mem char *text = token ? text_of(token) : NULL;
    return text ? mem_printf("Bearer %s", text) : NULL;
}
