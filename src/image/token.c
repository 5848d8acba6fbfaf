// SPDX-License-Identifier: GPL-2.0-or-later
#include <jansson.h>
#include <string.h>

#include "codec/bind.h"
#include "image/server.h"

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

static char *token_query(const struct server *s, const struct challenge *c)
{
    own_str struct str query = { 0 };
    own_mem char *service = http_escape(c->service ? c->service : "");
    own_mem char *scope = http_escape(s->scope);
    /* Our own words: a registry does not get to say what the token is good for. */
    if (*scope)
        str_printf(&query, "scope=%s", scope);
    for (size_t i = 0; i < s->also_pull.n; i++) {
        own_mem char *other = http_escape(s->also_pull.items[i]);
        str_printf(&query, "&scope=repository%%3A%s%%3Apull", other);
    }
    if (*service)
        str_printf(&query, "%sservice=%s", query.len ? "&" : "", service);
    return str_take(&query);
}

static fallible request_token(struct server *s, const struct challenge *c, struct http_answer **ret)
{
    own_mem char *query = token_query(s, c);
    own_mem char *text = NULL;
    own_mem char *basic = NULL;
    struct http_request request = { .url = c->realm, .body_max = SERVER_SMALL_MAX };
    if (s->auth && s->auth->identity_token) { /* OAuth2, RFC 6749 section 6 */
        own_mem char *token = http_escape(s->auth->identity_token);
        text = mem_printf("grant_type=refresh_token&client_id=husk&refresh_token=%s&%s", token, query);
        request.method = HTTP_POST;
        request.content_type = "application/x-www-form-urlencoded";
        request.text = text;
        request.text_len = strlen(text);
    } else {
        const char *offline = s->wants_identity ? "&offline_token=true&client_id=husk" : "";
        text = mem_printf("%s%c%s%s", c->realm, strchr(c->realm, '?') ? '&' : '?', query, offline);
        basic = has_password(s->auth) ? basic_header(s->auth) : NULL;
        request.url = text;
        request.authorization = basic;
    }
    return http_send(s->http, &request, ret);
}

/* What a login keeps instead of the password, when the server gives such a thing. */
static void keep_identity(struct server *s, const struct str *body)
{
    own_json json_t *doc = json_loadb(body->text ? body->text : "", body->len, 0, NULL);
    const char *token = json_string_value(json_object_get(doc, "refresh_token"));
    if (s->wants_identity && token && *token && !s->identity)
        s->identity = mem_strdup(token);
}

static fallible get_token(struct server *s, const struct challenge *c, char **ret_header)
{
    own(http_answer) struct http_answer *a = NULL;
    own_mem char *realm = c->realm ? http_printable(c->realm, 200) : NULL;
    if (!realm || (!str_starts(c->realm, "https://") && !str_starts(c->realm, "http://")))
        return err_new(ERR_CORRUPT, "'%s' wants a token from '%s', which is no URL", s->registry, realm ? realm : "");
    if (str_starts(c->realm, "http://") && str_starts(s->base, "https://") && !s->insecure && !s->loopback)
        return err_new(ERR_DENIED, "'%s' wants the credentials sent unencrypted to '%s'", s->registry, realm);
    TRY_AS(request_token(s, c, &a), "get a token");
    if (a->status == 401 || a->status == 403 || a->status == 400)
        return err_new(ERR_UNAUTHENTICATED, "'%s' gives no token for '%s': %s", realm,
                       *s->repository ? s->repository : s->registry,
                       s->auth ? "the credentials are refused" : "it needs credentials");
    if (a->status != 200)
        return err_new(ERR_UNAVAILABLE, "get a token: '%s' answers %d", realm, a->status);
    TRY_AS(read_token(&a->body, ret_header), "get a token from '%s'", realm);
    keep_identity(s, &a->body);
    return NULL;
}

fallible server_make_authorization(struct server *s, const struct http_answer *a, char **ret_header)
{
    own(challenge) struct challenge *c = NULL;
    TRY_AS(strongest_challenge(a, &c), "registry '%s'", s->registry);
    switch (c->scheme) {
    case CHALLENGE_NONE:
        return err_new(ERR_UNAUTHENTICATED, "registry '%s' refuses and does not say what it wants", s->registry);
    case CHALLENGE_BASIC:
        if (!has_password(s->auth))
            return err_new(ERR_UNAUTHENTICATED, "registry '%s' needs a user name and a password", s->registry);
        *ret_header = basic_header(s->auth);
        return NULL;
    case CHALLENGE_BEARER:
        return get_token(s, c, ret_header);
    }
    return err_new(ERR_INTERNAL, "challenge without a scheme");
}
