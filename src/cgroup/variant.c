// SPDX-License-Identifier: GPL-2.0-or-later
#include "cgroup/variant.h"

#include <ctype.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { DEPTH_MAX = 8 };

struct reader {
    const char *text, *at;
};

static const struct {
    const char *word;
    char type;
    int bits;
    bool is_signed;
} numbers[] = {
    { "byte", 'y', 8, false },    { "int16", 'n', 16, true }, { "uint16", 'q', 16, false }, { "int32", 'i', 32, true },
    { "uint32", 'u', 32, false }, { "int64", 'x', 64, true }, { "uint64", 't', 64, false },
};

void variant_clear(struct variant *v)
{
    if (v->signature && strchr("sog", v->signature[0]))
        free(v->text);
    for (size_t i = 0; i < v->n; i++)
        variant_clear(&v->items[i]);
    free(v->items);
    free(v->signature);
    *v = (struct variant){ 0 };
}

static fallible wrong(const struct reader *r, const char *what)
{
    return err_new(ERR_INVALID, "'%s': %s at byte %zu", r->text, what, (size_t)(r->at - r->text));
}

static void skip(struct reader *r)
{
    r->at += strspn(r->at, " \t\n");
}

static bool eat(struct reader *r, char c)
{
    skip(r);
    if (*r->at != c)
        return false;
    r->at++;
    return true;
}

static bool eat_word(struct reader *r, const char *word)
{
    size_t n = strlen(word);
    skip(r);
    if (strncmp(r->at, word, n) != 0 || isalnum((unsigned char)r->at[n]))
        return false;
    r->at += n;
    return true;
}

static fallible read_number(struct reader *r, char type, int bits, bool is_signed, struct variant *ret)
{
    char *end = NULL;
    skip(r);
    if (!isdigit((unsigned char)*r->at) && !((*r->at == '-' || *r->at == '+') && isdigit((unsigned char)r->at[1])))
        return wrong(r, "expected a number");
    errno = 0;
    uint64_t v = 0;
    bool fits = true;
    if (is_signed) {
        long long s = strtoll(r->at, &end, 0);
        fits = bits == 64 || (s >= -(1LL << (bits - 1)) && s < (1LL << (bits - 1)));
        v = (uint64_t)s;
    } else {
        fits = *r->at != '-';
        v = strtoull(r->at, &end, 0);
        fits = fits && (bits == 64 || v < (1ULL << bits));
    }
    if (errno == ERANGE || !fits)
        return wrong(r, "the number is out of its type's range");
    if (isalnum((unsigned char)*end) || *end == '.')
        return wrong(r, "the number goes on strangely");
    r->at = end;
    ret->u = v;
    ret->signature = mem_printf("%c", type);
    return NULL;
}

static fallible read_double(struct reader *r, struct variant *ret)
{
    char *end = NULL;
    ret->d = strtod(r->at, &end);
    if (end == r->at || isalnum((unsigned char)*end))
        return wrong(r, "the number goes on strangely");
    r->at = end;
    ret->signature = mem_strdup("d");
    return NULL;
}

static fallible read_text(struct reader *r, char type, struct variant *ret)
{
    own_str struct str s = { 0 };
    char quote = *r->at++;
    for (; *r->at && *r->at != quote; r->at++) {
        if (*r->at == '\\') {
            r->at++;
            if (!*r->at || !strchr("\\'\"nt", *r->at))
                return wrong(r, "an escape that is not known");
            str_add_char(&s, *r->at == 'n' ? '\n' : *r->at == 't' ? '\t' : *r->at);
        } else {
            str_add_char(&s, *r->at);
        }
    }
    if (!*r->at)
        return wrong(r, "the text has no end");
    r->at++;
    ret->signature = mem_printf("%c", type);
    ret->text = str_take(&s);
    return NULL;
}

static fallible read_value(struct reader *r, int depth, struct variant *ret);

static fallible read_items(struct reader *r, char end, int depth, struct variant *ret)
{
    if (depth > DEPTH_MAX)
        return wrong(r, "nested too deeply");
    while (!eat(r, end)) {
        if (ret->n && !eat(r, ','))
            return wrong(r, "expected a comma");
        if (end == ')' && ret->n && eat(r, end)) /* ('one',) */
            return NULL;
        ret->items = mem_array(ret->items, ret->n + 1, sizeof *ret->items);
        ret->items[ret->n] = (struct variant){ 0 };
        TRY(read_value(r, depth, &ret->items[ret->n++]));
    }
    return NULL;
}

static fallible read_array(struct reader *r, const char *declared, int depth, struct variant *ret)
{
    TRY(read_items(r, ']', depth, ret));
    if (!ret->n && !declared)
        return wrong(r, "an empty array needs its type before it, as in '@as []'");
    for (size_t i = 1; i < ret->n; i++)
        if (!str_eq(ret->items[i].signature, ret->items[0].signature))
            return wrong(r, "the array has values of different types");
    ret->signature = ret->n ? mem_printf("a%s", ret->items[0].signature) : mem_strdup(declared);
    if (declared && !str_eq(declared, ret->signature))
        return wrong(r, "the array is not of the type before it");
    return NULL;
}

static fallible read_structure(struct reader *r, int depth, struct variant *ret)
{
    own_str struct str signature = { 0 };
    TRY(read_items(r, ')', depth, ret));
    if (!ret->n)
        return wrong(r, "a structure without a value");
    str_add_char(&signature, '(');
    for (size_t i = 0; i < ret->n; i++)
        str_add(&signature, ret->items[i].signature);
    str_add_char(&signature, ')');
    ret->signature = str_take(&signature);
    return NULL;
}

/* "@as [...]", "@a(su) []" */
static fallible read_declared(struct reader *r, int depth, struct variant *ret)
{
    size_t n = strspn(r->at, "aybnqiuxtdsog()");
    own_mem char *declared = mem_strndup(r->at, n);
    if (n < 2 || n > 64 || *declared != 'a')
        return wrong(r, "only an array has its type before it");
    r->at += n;
    if (!eat(r, '['))
        return wrong(r, "expected an array");
    return read_array(r, declared, depth + 1, ret);
}

static bool is_double(const char *at)
{
    at += *at == '-' || *at == '+';
    size_t digits = strspn(at, "0123456789");
    return digits && (at[digits] == '.' || at[digits] == 'e' || at[digits] == 'E');
}

static fallible read_value(struct reader *r, int depth, struct variant *ret)
{
    if (eat_word(r, "true") || eat_word(r, "false")) {
        ret->b = r->at[-2] == 'u'; /* tr-u-e, fal-s-e */
        ret->signature = mem_strdup("b");
        return NULL;
    }
    for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
        if (eat_word(r, numbers[i].word))
            return read_number(r, numbers[i].type, numbers[i].bits, numbers[i].is_signed, ret);
    char named = eat_word(r, "objectpath") ? 'o' : eat_word(r, "signature") ? 'g' : 's';
    bool want_double = eat_word(r, "double");
    skip(r);
    if (*r->at == '\'' || *r->at == '"')
        return read_text(r, named, ret);
    if (named != 's')
        return wrong(r, "expected a text");
    if (want_double || is_double(r->at))
        return read_double(r, ret);
    if (eat(r, '@'))
        return read_declared(r, depth, ret);
    if (eat(r, '['))
        return read_array(r, NULL, depth + 1, ret);
    if (eat(r, '('))
        return read_structure(r, depth + 1, ret);
    return read_number(r, 'i', 32, true, ret);
}

fallible variant_parse(const char *text, struct variant *ret)
{
    struct reader r = { text, text };
    own(variant) struct variant v = { 0 };
    TRY(read_value(&r, 0, &v));
    skip(&r);
    if (*r.at)
        return wrong(&r, "more than one value");
    *ret = v;
    v = (struct variant){ 0 };
    return NULL;
}
