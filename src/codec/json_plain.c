// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/json_plain.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "base/mem.h"

enum { LEVELS_MAX = 32, KEY_MAX = 255 };

struct reader {
    const char *at, *end;
    int level;
};

static json_t *read_value(struct reader *r);

static void skip_blanks(struct reader *r)
{
    while (r->at < r->end && (*r->at == ' ' || *r->at == '\n' || *r->at == '\r' || *r->at == '\t'))
        r->at++;
}

static bool take_char(struct reader *r, char c)
{
    skip_blanks(r);
    if (r->at == r->end || *r->at != c)
        return false;
    r->at++;
    return true;
}

static bool is_plain(char c)
{
    return (signed char)c >= ' ' && c != '"' && c != '\\';
}

/* 0: none that is plain. */
static char escaped(char c)
{
    static const char letters[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";
    const char *p = c ? strchr(letters, c) : NULL;
    return p ? meant[p - letters] : 0;
}

/* After the opening quote. A text without escapes is where it stands, else it is put into *out. */
static bool read_text(struct reader *r, struct str *out, const char **ret, size_t *ret_n)
{
    const char *from = r->at;
    while (r->at < r->end) {
        char c = *r->at;
        if (is_plain(c)) {
            r->at++;
            continue;
        }
        if (c == '"') {
            *ret = from;
            *ret_n = (size_t)(r->at++ - from);
            if (out->len) {
                str_add_n(out, *ret, *ret_n);
                *ret = out->text;
                *ret_n = out->len;
            }
            return true;
        }
        char meant = c == '\\' && r->end - r->at > 1 ? escaped(r->at[1]) : 0;
        if (!meant)
            return false;
        str_add_n(out, from, (size_t)(r->at - from));
        str_add_char(out, meant);
        from = r->at += 2;
    }
    return false;
}

static json_t *read_string(struct reader *r)
{
    own_str struct str unescaped = { 0 };
    const char *text;
    size_t n;
    return read_text(r, &unescaped, &text, &n) ? json_stringn_nocheck(text, n) : NULL;
}

static bool read_pair(struct reader *r, json_t *object)
{
    own_str struct str unescaped = { 0 };
    const char *text;
    char key[KEY_MAX + 1];
    size_t n, pairs = json_object_size(object);
    if (!take_char(r, '"') || !read_text(r, &unescaped, &text, &n) || n > KEY_MAX)
        return false;
    memcpy(key, text, n);
    key[n] = '\0';
    json_t *value = take_char(r, ':') ? read_value(r) : NULL;
    return value && json_object_set_new_nocheck(object, key, value) == 0 && json_object_size(object) == pairs + 1;
}

static bool read_item(struct reader *r, json_t *array)
{
    json_t *value = read_value(r);
    return value && json_array_append_new(array, value) == 0;
}

static json_t *read_all(struct reader *r, json_t *into, bool (*read_one)(struct reader *, json_t *), char close)
{
    bool ok = into && ++r->level <= LEVELS_MAX;
    if (ok && !take_char(r, close)) {
        do
            ok = read_one(r, into);
        while (ok && take_char(r, ','));
        ok = ok && take_char(r, close);
    }
    r->level--;
    if (ok)
        return into;
    json_decref(into);
    return NULL;
}

static json_t *read_integer(struct reader *r)
{
    json_int_t v = 0;
    bool negative = *r->at == '-';
    r->at += negative;
    const char *from = r->at;
    for (; r->at < r->end && *r->at >= '0' && *r->at <= '9'; r->at++) {
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *r->at - '0', &v))
            return NULL;
    }
    bool real = r->at < r->end && (*r->at == '.' || *r->at == 'e' || *r->at == 'E');
    if (r->at == from || real || (r->at - from > 1 && *from == '0'))
        return NULL;
    return json_integer(negative ? -v : v);
}

static json_t *read_word(struct reader *r, const char *word, json_t *value)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->at) < n || memcmp(r->at, word, n) != 0)
        return NULL;
    r->at += n;
    /* jansson reads a word to its last letter: "truely" is not one */
    return r->at < r->end && ((*r->at | 0x20) >= 'a' && (*r->at | 0x20) <= 'z') ? NULL : value;
}

static json_t *read_value(struct reader *r)
{
    skip_blanks(r);
    if (r->at == r->end)
        return NULL;
    switch (*r->at) {
    case '{':
        r->at++;
        return read_all(r, json_object(), read_pair, '}');
    case '[':
        r->at++;
        return read_all(r, json_array(), read_item, ']');
    case '"':
        r->at++;
        return read_string(r);
    case 't':
        return read_word(r, "true", json_true());
    case 'f':
        return read_word(r, "false", json_false());
    case 'n':
        return read_word(r, "null", json_null());
    default:
        return read_integer(r);
    }
}

json_t *json_plain(const char *text, size_t len)
{
    struct reader r = { .at = text, .end = text + len };
    skip_blanks(&r);
    if (r.at == r.end || (*r.at != '{' && *r.at != '['))
        return NULL;
    json_t *value = read_value(&r);
    skip_blanks(&r);
    if (value && r.at != r.end) {
        json_decref(value);
        return NULL;
    }
    return value;
}
