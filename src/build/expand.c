// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/expand.h"

#include <ctype.h>
#include <string.h>

enum { DEPTH_MAX = 64, VALUE_MAX = 1 << 20 };

/* The text that comes out; when it is split, words end at blanks outside of quotes. */
struct out {
    struct str text;
    struct strv *words; /* NULL: not split */
    bool open;          /* a word has begun, perhaps an empty quoted one */
};
struct in {
    const struct expand *e;
    const char *at;
    int depth;
};

const char *expand_value(const struct expand *e, const char *name)
{
    for (size_t i = 0; i < ARRAY_SIZE(e->env) && e->env[i]; i++) {
        const char *value = strv_getenv(e->env[i], name);
        if (value)
            return value;
    }
    return NULL;
}

static void end_word(struct out *o)
{
    if (o->words && o->open)
        strv_add_take(o->words, str_take(&o->text));
    o->open = false;
}

static void put(struct out *o, char c)
{
    o->open = true;
    str_add_char(&o->text, c);
}

static void put_text(struct out *o, const char *text, bool quoted)
{
    if (quoted)
        o->open = true;
    for (; *text; text++) {
        if (o->words && !quoted && isspace((unsigned char)*text))
            end_word(o);
        else
            put(o, *text);
    }
}

static fallible until(struct in *in, const char *stops, bool quoted, struct out *o);

/* ---- patterns ---- */

/* How many bytes of text the pattern can match from its beginning: the most, or the least. -1: none. */
static long match_length(const char *pattern, const char *text, bool longest, long *budget)
{
    if (--*budget < 0)
        return -1;
    switch (*pattern) {
    case '\0':
        return 0;
    case '*': {
        long best = -1;
        for (size_t skip = 0;; skip++) {
            long rest = match_length(pattern + 1, text + skip, longest, budget);
            if (rest >= 0) {
                best = rest + (long)skip > best ? rest + (long)skip : best;
                if (!longest)
                    return rest + (long)skip;
            }
            if (!text[skip])
                return best;
        }
    }
    case '?': {
        long rest = *text ? match_length(pattern + 1, text + 1, longest, budget) : -1;
        return rest < 0 ? -1 : rest + 1;
    }
    default: {
        const char *literal = *pattern == '\\' && pattern[1] ? pattern + 1 : pattern;
        long rest = *text == *literal ? match_length(literal + 1, text + 1, longest, budget) : -1;
        return rest < 0 ? -1 : rest + 1;
    }
    }
}

static fallible checked(long budget)
{
    return budget < 0 ? err_new(ERR_INVALID, "the pattern takes too long to match") : NULL;
}

enum { MATCH_BUDGET = 1 << 20 };

static fallible strip_front(const char *value, const char *pattern, bool longest, char **ret)
{
    long budget = MATCH_BUDGET, n = match_length(pattern, value, longest, &budget);
    TRY(checked(budget));
    *ret = mem_strdup(n > 0 ? value + n : value);
    return NULL;
}

static fallible strip_back(const char *value, const char *pattern, bool longest, char **ret)
{
    size_t len = strlen(value), best = len;
    long budget = MATCH_BUDGET;
    for (size_t k = 0; k <= len; k++) {
        size_t at = longest ? k : len - k;
        long left = budget / 2 + 1; /* no one place uses up all of it */
        long before = left, n = match_length(pattern, value + at, true, &left);
        budget -= before - left;
        TRY(checked(left < 0 ? left : budget));
        if (n >= 0 && (size_t)n == len - at) {
            best = at;
            break;
        }
    }
    *ret = mem_strndup(value, best);
    return NULL;
}

static fallible replace(const char *value, const char *pattern, const char *with, bool all, char **ret)
{
    own_str struct str out = { 0 };
    long budget = MATCH_BUDGET;
    bool done = false;
    while (*value) {
        long n = done ? -1 : match_length(pattern, value, true, &budget);
        TRY(checked(budget));
        if (n <= 0) {
            str_add_char(&out, *value++);
            continue;
        }
        str_add(&out, with);
        if (out.len > VALUE_MAX)
            return err_new(ERR_INVALID, "the value grows beyond %d bytes", VALUE_MAX);
        value += n;
        done = !all;
    }
    *ret = str_take(&out);
    return NULL;
}

/* ---- ${...} ---- */

static char *name_of(struct in *in)
{
    const char *start = in->at;
    if (isalpha((unsigned char)*in->at) || *in->at == '_')
        while (isalnum((unsigned char)*in->at) || *in->at == '_')
            in->at++;
    else if (isdigit((unsigned char)*in->at))
        while (isdigit((unsigned char)*in->at))
            in->at++;
    else if (*in->at && strchr("@*#", *in->at))
        in->at++;
    return mem_strndup(start, (size_t)(in->at - start));
}

/* A word of a modifier, up to a stop that is left standing. */
static fallible modifier_word(struct in *in, const char *stops, char **ret)
{
    struct out o = { 0 };
    err *e = until(in, stops, true, &o);
    *ret = str_take(&o.text);
    if (e) {
        free(*ret);
        *ret = NULL;
    }
    return e;
}

/* In patterns a backslash keeps its meaning for the pattern: quotes are characters like others. */
static fallible pattern_word(struct in *in, const char *stops, char **ret)
{
    own_str struct str out = { 0 };
    while (*in->at && !strchr(stops, *in->at)) {
        if (*in->at == in->e->escape && in->at[1]) {
            str_add_char(&out, '\\');
            str_add_char(&out, in->at[1]);
            in->at += 2;
        } else if (*in->at == '$') {
            struct out value = { 0 };
            struct in one = { in->e, in->at, in->depth + 1 };
            err *e = until(&one, stops, true, &value); /* a variable in a pattern: the rest up to the stop */
            in->at = one.at;
            str_add(&out, value.text.text ? value.text.text : "");
            str_free(&value.text);
            TRY(e);
        } else {
            str_add_char(&out, *in->at++);
        }
    }
    *ret = str_take(&out);
    return NULL;
}

static fallible closed(struct in *in, const char *name)
{
    if (*in->at != '}')
        return err_new(ERR_INVALID, "'${%s' has no end: expected '}'", name);
    in->at++;
    return NULL;
}

static fallible with_default(struct in *in, const char *name, const char *value, char how, bool empty_counts,
                             char **ret)
{
    own_mem char *word = NULL;
    bool there = value && !(empty_counts && !*value);
    TRY(modifier_word(in, "}", &word));
    TRY(closed(in, name));
    if (how == '?' && !there)
        return err_new(ERR_INVALID, "%s: %s", name,
                       *word          ? word
                       : empty_counts ? "it may not be unset or empty"
                                      : "it may not be unset");
    if (how == '+')
        *ret = mem_strdup(there ? word : "");
    else
        *ret = mem_strdup(there ? value : how == '-' ? word : "");
    return NULL;
}

static fallible with_pattern(struct in *in, const char *name, const char *value, char how, char **ret)
{
    own_mem char *pattern = NULL, *with = NULL;
    bool twice = *in->at == how;
    in->at += twice;
    TRY(pattern_word(in, how == '/' ? "/}" : "}", &pattern));
    if (how == '/' && *in->at == '/') {
        in->at++;
        TRY(modifier_word(in, "}", &with));
    }
    TRY(closed(in, name));
    if (!value)
        value = "";
    if (how == '#')
        return strip_front(value, pattern, twice, ret);
    if (how == '%')
        return strip_back(value, pattern, twice, ret);
    return replace(value, pattern, with ? with : "", twice, ret);
}

static void note_unset(const struct in *in, const char *name, const char *value)
{
    if (!value && in->e->ret_unset && !strv_has(in->e->ret_unset, name))
        strv_add(in->e->ret_unset, name);
}

static fallible braces(struct in *in, char **ret)
{
    own_mem char *name = name_of(in);
    if (!*name)
        return err_new(ERR_INVALID, "'${%.8s': expected a variable's name", in->at);
    const char *value = expand_value(in->e, name);
    char c = *in->at;
    if (c == '}') {
        in->at++;
        note_unset(in, name, value);
        *ret = mem_strdup(value ? value : "");
        return NULL;
    }
    if (c)
        in->at++;
    if (c == ':') {
        char how = *in->at;
        if (!how || !strchr("-+?", how))
            return err_new(ERR_INVALID, "'${%s:%c': expected :-, :+ or :?", name, how ? how : ' ');
        in->at++;
        return with_default(in, name, value, how, true, ret);
    }
    if (c && strchr("-+?", c))
        return with_default(in, name, value, c, false, ret);
    if (c && strchr("#%/", c))
        return with_pattern(in, name, value, c, ret);
    if (!c)
        return closed(in, name);
    return err_new(ERR_INVALID, "'${%s%c': expected '}' or one of :- :+ :? - + ? # ## %% %%%% / //", name, c);
}

static fallible dollar(struct in *in, bool quoted, struct out *o)
{
    own_mem char *value = NULL;
    in->at++;
    if (*in->at == '{') {
        in->at++;
        TRY(braces(in, &value));
    } else {
        own_mem char *name = name_of(in);
        if (!*name) {
            put(o, '$');
            return NULL;
        }
        const char *found = expand_value(in->e, name);
        note_unset(in, name, found);
        value = mem_strdup(found ? found : "");
    }
    if (o->text.len + strlen(value) > VALUE_MAX)
        return err_new(ERR_INVALID, "the value grows beyond %d bytes", VALUE_MAX);
    put_text(o, value, quoted);
    return NULL;
}

/* ---- text ---- */

static fallible single_quoted(struct in *in, struct out *o)
{
    const char *end = strchr(in->at + 1, '\'');
    if (!end)
        return err_new(ERR_INVALID, "a single quote has no end: expected '");
    o->open = true;
    for (in->at++; in->at < end; in->at++)
        put(o, *in->at);
    in->at++;
    return NULL;
}

static fallible double_quoted(struct in *in, struct out *o)
{
    o->open = true;
    for (in->at++; *in->at != '"';) {
        if (!*in->at)
            return err_new(ERR_INVALID, "a double quote has no end: expected \"");
        if (*in->at == '$') {
            TRY(dollar(in, true, o));
            continue;
        }
        char next = in->at[1];
        if (*in->at == in->e->escape && (next == '"' || next == '$' || next == in->e->escape))
            in->at++;
        put(o, *in->at++);
    }
    in->at++;
    return NULL;
}

static void escaped(struct in *in, struct out *o)
{
    char next = in->at[1];
    if (!next || (in->e->raw_quotes && next != '$' && next != in->e->escape)) {
        put(o, *in->at++);
        return;
    }
    put(o, next);
    in->at += 2;
}

static fallible until(struct in *in, const char *stops, bool quoted, struct out *o)
{
    if (in->depth > DEPTH_MAX)
        return err_new(ERR_INVALID, "variables are nested more than %d deep", DEPTH_MAX);
    in->depth++;
    while (*in->at && !strchr(stops, *in->at)) {
        char c = *in->at;
        if (c == '$') {
            TRY(dollar(in, quoted, o));
        } else if (c == in->e->escape) {
            escaped(in, o);
        } else if (c == '\'' && !in->e->raw_quotes) {
            TRY(single_quoted(in, o));
        } else if (c == '"' && !in->e->raw_quotes) {
            TRY(double_quoted(in, o));
        } else {
            char text[2] = { c, 0 };
            put_text(o, text, quoted);
            in->at++;
        }
    }
    in->depth--;
    return NULL;
}

fallible expand_word(const struct expand *e, const char *word, char **ret)
{
    struct in in = { e, word, 0 };
    struct out o = { 0 };
    err *failed = until(&in, "", false, &o);
    if (failed)
        str_free(&o.text);
    else
        *ret = str_take(&o.text);
    return failed;
}

fallible expand_words(const struct expand *e, const char *text, struct strv *ret)
{
    struct in in = { e, text, 0 };
    struct out o = { .words = ret };
    err *failed = until(&in, "", false, &o);
    if (!failed)
        end_word(&o);
    str_free(&o.text);
    return failed;
}
