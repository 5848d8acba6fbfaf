// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "base/mem.h"
#include "image/auth.h"

void challenge_free(struct challenge *c)
{
    if (!c)
        return;
    free(c->realm);
    free(c->service);
    free(c->scope);
    free(c->error);
    free(c);
}

/* RFC 9110: tchar */
static size_t token_length(const char *p)
{
    size_t n = 0;
    while (isalnum((unsigned char)p[n]) || (p[n] && strchr("!#$%&'*+-.^_`|~", p[n])))
        n++;
    return n;
}

static const char *skip(const char *p, const char *set)
{
    return p + strspn(p, set);
}

/* A token, or a quoted string with its backslashes taken out. NULL: malformed. */
static const char *read_value(const char *p, char **ret)
{
    own_str struct str value = { 0 };
    if (*p != '"') {
        /* Laxer than a token: realms were seen without quotes. */
        size_t n = strcspn(p, ", \t");
        *ret = mem_strndup(p, n);
        return p + n;
    }
    for (p++; *p && *p != '"'; p++) {
        if (*p == '\\' && p[1])
            p++;
        str_add_char(&value, *p);
    }
    if (*p != '"')
        return NULL;
    *ret = str_take(&value);
    return p + 1;
}

static void keep_first(char **slot, char **value)
{
    if (!*slot)
        *slot = take(*value);
}

static void set_param(struct challenge *c, const char *key, size_t len, char **value)
{
    static const char *const keys[] = { "realm", "service", "scope", "error" };
    char **slots[] = { &c->realm, &c->service, &c->scope, &c->error };
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (strlen(keys[i]) == len && strncasecmp(keys[i], key, len) == 0)
            keep_first(slots[i], value);
}

static enum challenge_scheme scheme_of(const char *word, size_t len)
{
    if (len == 6 && strncasecmp(word, "bearer", len) == 0)
        return CHALLENGE_BEARER;
    if (len == 5 && strncasecmp(word, "basic", len) == 0)
        return CHALLENGE_BASIC;
    return CHALLENGE_NONE;
}

/* One "key=value" after a scheme; NULL: malformed. */
static const char *read_param(const char *key, size_t len, const char *after_equals, struct challenge *c)
{
    own_mem char *value = NULL;
    const char *p = read_value(skip(after_equals, " \t"), &value);
    if (p && c->scheme != CHALLENGE_NONE)
        set_param(c, key, len, &value);
    return p;
}

static void keep_strongest(struct challenge **best, struct challenge **c)
{
    if (*c && (!*best || (*c)->scheme > (*best)->scheme)) {
        challenge_free(*best);
        *best = take(*c);
    }
    challenge_free(take(*c));
}

fallible challenge_parse(const char *header, struct challenge **ret)
{
    own(challenge) struct challenge *best = NULL;
    own(challenge) struct challenge *c = NULL;
    const char *p = skip(header, " \t,");
    while (*p) {
        size_t n = token_length(p);
        const char *after = skip(p + n, " \t");
        if (!n)
            return err_new(ERR_INVALID, "malformed WWW-Authenticate header");
        if (c && *after == '=') {
            p = read_param(p, n, after + 1, c);
            if (!p)
                return err_new(ERR_INVALID, "malformed WWW-Authenticate header: a quote is not closed");
        } else {
            keep_strongest(&best, &c);
            c = mem_zalloc(sizeof *c);
            c->scheme = scheme_of(p, n);
            p = after;
        }
        p = skip(p, " \t,=");
    }
    keep_strongest(&best, &c);
    *ret = best ? take(best) : mem_zalloc(sizeof **ret);
    return NULL;
}
