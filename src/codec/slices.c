// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/slices.h"

#include <string.h>

struct scan {
    const char *at, *end;
};

static char skip_blanks(struct scan *s)
{
    while (s->at < s->end && (*s->at == ' ' || *s->at == '\t' || *s->at == '\n' || *s->at == '\r'))
        s->at++;
    return s->at < s->end ? *s->at : '\0';
}

static bool skip_char(struct scan *s, char c)
{
    if (skip_blanks(s) != c)
        return false;
    s->at++;
    return true;
}

/* From the quote to behind the other one, or NULL. */
static const char *behind_string(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\' && ++p == end)
            return NULL;
    return p < end ? p + 1 : NULL;
}

static bool skip_string(struct scan *s)
{
    const char *p = behind_string(s->at, s->end);
    s->at = p ? p : s->end;
    return p;
}

static bool skip_nested(struct scan *s)
{
    const char *p = s->at, *end = s->end;
    for (size_t depth = 0; p && p < end;) {
        char c = *p;
        if (c == '"') {
            p = behind_string(p, end);
            continue;
        }
        p++;
        if (c == '{' || c == '[')
            depth++;
        else if ((c == '}' || c == ']') && --depth == 0) {
            s->at = p;
            return true;
        }
    }
    return false;
}

static bool skip_value(struct scan *s)
{
    char c = skip_blanks(s);
    if (c == '"')
        return skip_string(s);
    if (c == '{' || c == '[')
        return skip_nested(s);
    const char *begin = s->at;
    while (s->at < s->end && !strchr(",]} \t\r\n", *s->at))
        s->at++;
    return s->at > begin;
}

static void add(struct slices *ret, const char *text, size_t len)
{
    if ((ret->n & (ret->n - 1)) == 0)
        ret->items = mem_array(ret->items, ret->n ? 2 * ret->n : 1, sizeof *ret->items);
    ret->items[ret->n++] = (struct slice){ text, len };
}

static bool read_list(struct scan *s, const char *text, struct slices *ret)
{
    if (ret->begin || !skip_char(s, '['))
        return false;
    ret->begin = (size_t)(s->at - text);
    while (skip_blanks(s) != ']') {
        if (ret->n && !skip_char(s, ','))
            return false;
        const char *begin = skip_blanks(s) == '{' ? s->at : NULL;
        if (!begin || !skip_nested(s))
            return false;
        add(ret, begin, (size_t)(s->at - begin));
    }
    ret->end = (size_t)(s->at++ - text);
    return true;
}

/* Is the string of these bytes, with its quotes, the key; *ret_sure false: it is escaped, and may be anything. */
static bool is_key(const char *begin, const char *end, const char *key, bool *ret_sure)
{
    size_t n = (size_t)(end - begin) - 2;
    *ret_sure = !memchr(begin, '\\', (size_t)(end - begin));
    return n == strlen(key) && memcmp(begin + 1, key, n) == 0;
}

static bool read_members(struct scan *s, const char *text, const char *key, struct slices *ret)
{
    if (!skip_char(s, '{'))
        return false;
    for (bool first = true; skip_blanks(s) != '}'; first = false) {
        bool sure = false;
        if (!first && !skip_char(s, ','))
            return false;
        const char *begin = skip_blanks(s) == '"' ? s->at : NULL;
        if (!begin || !skip_string(s))
            return false;
        bool wanted = is_key(begin, s->at, key, &sure);
        if (!sure || !skip_char(s, ':') || !(wanted ? read_list(s, text, ret) : skip_value(s)))
            return false;
    }
    s->at++;
    (void)skip_blanks(s);
    return s->at == s->end && ret->begin;
}

bool slices_of(const char *text, size_t len, const char *key, struct slices *ret)
{
    struct scan s = { text, text + len };
    *ret = (struct slices){ 0 };
    if (read_members(&s, text, key, ret))
        return true;
    free(ret->items);
    *ret = (struct slices){ 0 };
    return false;
}

bool slice_eq(const struct slice *a, const struct slice *b)
{
    return a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

char *slices_only(const char *text, size_t len, const struct slices *s, const bool *take, size_t *ret_len)
{
    own_str struct str out = { 0 };
    size_t n = 0;
    str_add_n(&out, text, s->begin);
    for (size_t i = 0; i < s->n; i++) {
        if (!take[i])
            continue;
        str_add_n(&out, ",", n++ ? 1 : 0);
        str_add_n(&out, s->items[i].text, s->items[i].len);
    }
    str_add_n(&out, text + s->end, len - s->end);
    *ret_len = out.len;
    return str_take(&out);
}
