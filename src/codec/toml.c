// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/toml.h"

#include <stdint.h>
#include <string.h>

#include "base/mem.h"
#include "base/parse.h"
#include "codec/bind.h"

/* How a table came to be says what may still be added to it. Arrays of tables are here as well. */
enum origin {
    ORIGIN_IMPLICIT, /* [a.b] made a */
    ORIGIN_HEADER,   /* [a] */
    ORIGIN_DOTTED,   /* a.b = 1 made a */
    ORIGIN_ARRAY,    /* [[a]] */
};
struct mark {
    const json_t *what; /* in the tree */
    enum origin origin;
};
struct toml {
    const char *p, *end;
    int line;
    json_t *root;
    json_t *table; /* borrowed: where keys go now */
    struct mark *marks;
    size_t marks_n;
};

static fallible value(struct toml *t, int depth, json_t **ret);

/* ---- characters ---- */

static int peek(const struct toml *t, size_t ahead)
{
    return (size_t)(t->end - t->p) > ahead ? (unsigned char)t->p[ahead] : -1;
}

static bool next_is(const struct toml *t, const char *text)
{
    size_t n = strlen(text);
    return (size_t)(t->end - t->p) >= n && memcmp(t->p, text, n) == 0;
}

static bool accept(struct toml *t, const char *text)
{
    if (!next_is(t, text))
        return false;
    t->p += strlen(text);
    return true;
}

static fallible wrong(const struct toml *t, const char *what)
{
    return err_new(ERR_INVALID, "line %d: %s", t->line, what);
}

static bool is_control(int c)
{
    return (c >= 0 && c < ' ' && c != '\t') || c == 0x7f;
}

static void skip_blanks(struct toml *t)
{
    while (peek(t, 0) == ' ' || peek(t, 0) == '\t')
        t->p++;
}

static bool newline(struct toml *t)
{
    if (!accept(t, "\n") && !accept(t, "\r\n"))
        return false;
    t->line++;
    return true;
}

/* A comment and blanks, up to the end of the line. */
static fallible skip_comment(struct toml *t)
{
    skip_blanks(t);
    if (!accept(t, "#"))
        return NULL;
    while (t->p < t->end && *t->p != '\n' && !next_is(t, "\r\n")) {
        if (is_control((unsigned char)*t->p))
            return wrong(t, "a control character in a comment");
        t->p++;
    }
    return NULL;
}

static fallible end_of_line(struct toml *t)
{
    TRY(skip_comment(t));
    return t->p == t->end || newline(t) ? NULL : wrong(t, "expected the end of the line");
}

/* Inside an array anything of these may stand between two words. */
static fallible skip_lines(struct toml *t)
{
    do
        TRY(skip_comment(t));
    while (newline(t));
    return NULL;
}

/* ---- strings ---- */

static fallible add_code_point(struct toml *t, size_t digits, struct str *out)
{
    uint32_t c = 0;
    for (size_t i = 0; i < digits; i++) {
        int x = peek(t, i);
        const char *hex = "0123456789abcdefABCDEF", *at = x > 0 ? strchr(hex, x) : NULL;
        if (!at)
            return wrong(t, "a wrong \\u or \\U in a string");
        c = c << 4 | (uint32_t)(at - hex < 16 ? at - hex : at - hex - 6);
    }
    t->p += digits;
    if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff) || !c)
        return wrong(t, "\\u or \\U names no character that a text may have");
    if (c < 0x80) {
        str_add_char(out, (char)c);
        return NULL;
    }
    if (c >= 0x10000) {
        str_add_char(out, (char)(0xf0 | c >> 18));
        str_add_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
    } else if (c >= 0x800) {
        str_add_char(out, (char)(0xe0 | c >> 12));
    }
    str_add_char(out, c >= 0x800 ? (char)(0x80 | (c >> 6 & 0x3f)) : (char)(0xc0 | c >> 6));
    str_add_char(out, (char)(0x80 | (c & 0x3f)));
    return NULL;
}

/* A backslash at the end of a line takes all blanks and lines up to the next word with it. */
static bool skip_folded(struct toml *t)
{
    const char *begin = t->p;
    int line = t->line;
    skip_blanks(t);
    if (!newline(t)) {
        t->p = begin;
        t->line = line;
        return false;
    }
    do
        skip_blanks(t);
    while (newline(t));
    return true;
}

static fallible escape(struct toml *t, bool many_lines, struct str *out)
{
    static const char names[] = "btnfr\"\\", meaning[] = "\b\t\n\f\r\"\\";
    if (many_lines && skip_folded(t))
        return NULL;
    int c = peek(t, 0);
    if (c < 0)
        return wrong(t, "a string is not closed");
    t->p++;
    const char *at = c ? strchr(names, c) : NULL;
    if (at)
        str_add_char(out, meaning[at - names]);
    else if (c == 'u' || c == 'U')
        return add_code_point(t, c == 'u' ? 4 : 8, out);
    else
        return wrong(t, "an unknown escape in a string");
    return NULL;
}

/* After the opening quotes. Two quotes may stand before the three that close. */
static fallible string_lines(struct toml *t, char quote, struct str *out)
{
    const char three[] = { quote, quote, quote, '\0' };
    (void)newline(t);
    for (;;) {
        if (next_is(t, three)) {
            t->p += 3;
            for (int extra = 0; extra < 2 && peek(t, 0) == quote; extra++, t->p++)
                str_add_char(out, quote);
            return NULL;
        }
        int c = peek(t, 0);
        if (c < 0)
            return wrong(t, "a string is not closed");
        if (newline(t)) {
            str_add_char(out, '\n');
        } else if (is_control(c)) {
            return wrong(t, "a control character in a string");
        } else {
            t->p++;
            if (c == '\\' && quote == '"')
                TRY(escape(t, true, out));
            else
                str_add_char(out, (char)c);
        }
    }
}

static fallible string_line(struct toml *t, char quote, struct str *out)
{
    for (;;) {
        int c = peek(t, 0);
        if (c < 0 || c == '\n')
            return wrong(t, "a string is not closed");
        if (is_control(c))
            return wrong(t, "a control character in a string");
        t->p++;
        if (c == quote)
            return NULL;
        if (c == '\\' && quote == '"')
            TRY(escape(t, false, out));
        else
            str_add_char(out, (char)c);
    }
}

static fallible string(struct toml *t, bool may_have_lines, char **ret)
{
    own_str struct str out = { 0 };
    if (accept(t, "\"\"\""))
        TRY(may_have_lines ? string_lines(t, '"', &out) : wrong(t, "a key may not have lines"));
    else if (accept(t, "'''"))
        TRY(may_have_lines ? string_lines(t, '\'', &out) : wrong(t, "a key may not have lines"));
    else
        TRY(string_line(t, *t->p++, &out));
    own_mem char *text = str_take(&out);
    own_json json_t *fits = json_string(text); /* checks that it is UTF-8 */
    if (!fits)
        return wrong(t, "a string is not UTF-8");
    *ret = take(text);
    return NULL;
}

/* ---- numbers, words, dates ---- */

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* 1_000: digits on both sides of each underscore. *ret has none; NULL: not so. */
static char *without_underscores(const char *text, const char *digits)
{
    own_str struct str out = { 0 };
    for (const char *p = text; *p; p++) {
        if (*p != '_') {
            str_add_char(&out, *p);
            continue;
        }
        if (p == text || !p[1] || !strchr(digits, p[-1]) || !strchr(digits, p[1]))
            return NULL;
    }
    return str_take(&out);
}

static bool based_integer(const char *text, json_t **ret)
{
    static const struct {
        char letter;
        unsigned base;
        const char *digits;
    } bases[] = { { 'x', 16, "0123456789abcdefABCDEF" }, { 'o', 8, "01234567" }, { 'b', 2, "01" } };
    for (size_t i = 0; i < ARRAY_SIZE(bases); i++) {
        if (text[1] != bases[i].letter)
            continue;
        own_mem char *plain = without_underscores(text + 2, bases[i].digits);
        uint64_t n = 0;
        if (!plain || !*plain)
            return false;
        for (const char *p = plain; *p; p++) {
            const char *at = strchr(bases[i].digits, *p);
            if (!at || n > (uint64_t)INT64_MAX / bases[i].base)
                return false;
            size_t digit = (size_t)(at - bases[i].digits);
            n = n * bases[i].base + (digit < 16 ? digit : digit - 6);
        }
        if (n > INT64_MAX)
            return false;
        *ret = json_integer((json_int_t)n);
        return true;
    }
    return false;
}

static bool decimal_integer(const char *text, json_t **ret)
{
    int64_t n = 0;
    const char *digits = text + (*text == '+' || *text == '-');
    if (!*digits || strspn(digits, "0123456789") != strlen(digits) || (digits[0] == '0' && digits[1]))
        return false;
    own(err) err *e = parse_i64(*text == '+' ? digits : text, INT64_MIN, INT64_MAX, &n);
    if (e)
        return false;
    *ret = json_integer(n);
    return true;
}

/* [+-]digits[.digits][e[+-]digits]. JSON has no inf and no nan: they are refused. */
static bool floating(const char *text, json_t **ret)
{
    const char *p = text + (*text == '+' || *text == '-');
    size_t whole = strspn(p, "0123456789"), part = 0;
    if (!whole || (whole > 1 && *p == '0'))
        return false;
    p += whole;
    if (*p == '.') {
        part = strspn(++p, "0123456789");
        if (!part)
            return false;
        p += part;
    }
    if (*p == 'e' || *p == 'E') {
        p++;
        p += *p == '+' || *p == '-';
        size_t exponent = strspn(p, "0123456789");
        if (!exponent || exponent > 4)
            return false;
        p += exponent;
    }
    if (*p || (!part && !strpbrk(text, "eE")) || strlen(text) > 300)
        return false;
    own_mem char *array = mem_printf("[%s]", text + (*text == '+'));
    own_json json_t *list = json_loads(array, 0, NULL);
    *ret = json_incref(json_array_get(list, 0));
    return *ret != NULL;
}

/* 2024-01-31, 07:32:00, and both with T or a blank between and an offset after. */
static bool date_or_time(const char *text)
{
    static const char *const forms[] = { "dddd-dd-dd", "dd:dd:dd", "dddd-dd-ddTdd:dd:dd" };
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        size_t n = 0;
        while (forms[i][n] && text[n] &&
               (forms[i][n] == 'd'   ? is_digit(text[n])
                : forms[i][n] == 'T' ? strchr("Tt ", text[n]) != NULL
                                     : text[n] == forms[i][n]))
            n++;
        if (forms[i][n])
            continue;
        const char *rest = text + n;
        if (i && *rest == '.' && is_digit(rest[1]))
            rest += 1 + strspn(rest + 1, "0123456789");
        if (i == 2 && (*rest == 'Z' || *rest == 'z'))
            rest++;
        else if (i == 2 && (*rest == '+' || *rest == '-') && is_digit(rest[1]) && is_digit(rest[2]) && rest[3] == ':' &&
                 is_digit(rest[4]) && is_digit(rest[5]))
            rest += 6;
        if (!*rest)
            return true;
    }
    return false;
}

static fallible word(struct toml *t, json_t **ret)
{
    static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+-._:";
    size_t n = 0;
    while (peek(t, n) > 0 && strchr(letters, peek(t, n)))
        n++;
    if (n == 10 && peek(t, n) == ' ' && is_digit(peek(t, n + 1)) &&
        t->p[4] == '-') { /* a blank between date and time */
        n++;
        while (peek(t, n) > 0 && strchr(letters, peek(t, n)))
            n++;
    }
    own_mem char *text = mem_strndup(t->p, n);
    own_mem char *plain = without_underscores(text, "0123456789");
    bool based = text[0] == '0' && text[1] && strchr("xob", text[1]);
    *ret = NULL;
    if (strcmp(text, "true") == 0)
        *ret = json_true();
    else if (strcmp(text, "false") == 0)
        *ret = json_false();
    else if (date_or_time(text))
        *ret = json_string(text);
    else if (based ? !based_integer(text, ret) : !plain || (!decimal_integer(plain, ret) && !floating(plain, ret)))
        return err_new(ERR_INVALID, "line %d: '%.50s' is no value: text stands in quotes", t->line, text);
    t->p += n;
    return NULL;
}

/* ---- keys ---- */

static bool is_bare(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c) || c == '_' || c == '-';
}

static fallible one_key(struct toml *t, char **ret)
{
    if (peek(t, 0) == '"' || peek(t, 0) == '\'')
        return string(t, false, ret);
    size_t n = 0;
    while (is_bare(peek(t, n)))
        n++;
    if (!n)
        return wrong(t, "expected a key");
    *ret = mem_strndup(t->p, n);
    t->p += n;
    return NULL;
}

static fallible dotted_key(struct toml *t, struct strv *ret)
{
    do {
        char *part = NULL;
        skip_blanks(t);
        TRY(one_key(t, &part));
        strv_add_take(ret, part);
        skip_blanks(t);
        if (ret->n > TOML_DEPTH_MAX)
            return wrong(t, "a key of too many parts");
    } while (accept(t, "."));
    return NULL;
}

/* ---- tables ---- */

static struct mark *mark_of(struct toml *t, const json_t *what)
{
    for (size_t i = t->marks_n; i-- > 0;)
        if (t->marks[i].what == what)
            return &t->marks[i];
    return NULL;
}

static fallible make(struct toml *t, json_t *in, const char *key, json_t *take_what, enum origin origin, json_t **ret)
{
    own_json json_t *what = take_what;
    if (t->marks_n >= TOML_TABLES_MAX)
        return wrong(t, "too many tables");
    t->marks = mem_array(t->marks, t->marks_n + 1, sizeof *t->marks);
    t->marks[t->marks_n++] = (struct mark){ what, origin };
    *ret = what;
    if (json_is_array(in))
        json_array_append(in, what);
    else
        json_object_set(in, key, what);
    return NULL;
}

static fallible twice(const struct toml *t, const char *key)
{
    return err_new(ERR_INVALID, "line %d: '%.100s' is defined twice", t->line, key);
}

/* All parts of a header but the last: the tables on the way. */
static fallible walk_header(struct toml *t, const struct strv *keys, json_t **ret)
{
    json_t *at = t->root;
    for (size_t i = 0; i + 1 < keys->n; i++) {
        json_t *next = json_object_get(at, keys->items[i]);
        if (!next)
            TRY(make(t, at, keys->items[i], json_object(), ORIGIN_IMPLICIT, &next));
        const struct mark *m = mark_of(t, next);
        if (!m || m->origin == ORIGIN_DOTTED)
            return twice(t, keys->items[i]);
        at = m->origin == ORIGIN_ARRAY ? json_array_get(next, json_array_size(next) - 1) : next;
    }
    *ret = at;
    return NULL;
}

static fallible header(struct toml *t, bool array)
{
    own_strv struct strv keys = { 0 };
    json_t *in = NULL;
    TRY(dotted_key(t, &keys));
    if (!accept(t, array ? "]]" : "]"))
        return wrong(t, array ? "expected ']]'" : "expected ']'");
    TRY(walk_header(t, &keys, &in));
    const char *key = keys.items[keys.n - 1];
    json_t *there = json_object_get(in, key);
    struct mark *m = there ? mark_of(t, there) : NULL;
    if (array) {
        if (there && (!m || m->origin != ORIGIN_ARRAY))
            return twice(t, key);
        if (!there)
            TRY(make(t, in, key, json_array(), ORIGIN_ARRAY, &there));
        TRY(make(t, there, NULL, json_object(), ORIGIN_HEADER, &t->table));
    } else if (there) {
        if (!m || m->origin != ORIGIN_IMPLICIT)
            return twice(t, key);
        m->origin = ORIGIN_HEADER;
        t->table = there;
    } else {
        TRY(make(t, in, key, json_object(), ORIGIN_HEADER, &t->table));
    }
    return end_of_line(t);
}

static fallible pair(struct toml *t, json_t *table, int depth)
{
    own_strv struct strv keys = { 0 };
    json_t *v = NULL;
    TRY(dotted_key(t, &keys));
    if (!accept(t, "="))
        return wrong(t, "expected '=' after a key");
    skip_blanks(t);
    for (size_t i = 0; i + 1 < keys.n; i++) {
        json_t *next = json_object_get(table, keys.items[i]);
        if (!next)
            TRY(make(t, table, keys.items[i], json_object(), ORIGIN_DOTTED, &next));
        const struct mark *m = mark_of(t, next);
        if (!m || m->origin != ORIGIN_DOTTED)
            return twice(t, keys.items[i]);
        table = next;
    }
    const char *key = keys.items[keys.n - 1];
    if (json_object_get(table, key))
        return twice(t, key);
    TRY(value(t, depth, &v));
    json_object_set_new(table, key, v);
    return NULL;
}

/* ---- values ---- */

static fallible array(struct toml *t, int depth, json_t **ret)
{
    own_json json_t *list = json_array();
    for (;;) {
        json_t *item = NULL;
        TRY(skip_lines(t));
        if (accept(t, "]"))
            break;
        TRY(value(t, depth, &item));
        json_array_append_new(list, item);
        TRY(skip_lines(t));
        if (accept(t, ","))
            continue;
        if (!accept(t, "]"))
            return wrong(t, "expected ',' or ']' in an array");
        break;
    }
    *ret = take(list);
    return NULL;
}

/* { a = 1, b.c = 2 }, on one line. Without a mark, so nothing can be added to it later. */
static fallible inline_table(struct toml *t, int depth, json_t **ret)
{
    own_json json_t *table = json_object();
    skip_blanks(t);
    if (!accept(t, "}"))
        for (;;) {
            TRY(pair(t, table, depth));
            skip_blanks(t);
            if (accept(t, "}"))
                break;
            if (!accept(t, ","))
                return wrong(t, "expected ',' or '}' in a table");
        }
    *ret = take(table);
    return NULL;
}

static fallible value(struct toml *t, int depth, json_t **ret)
{
    if (depth > TOML_DEPTH_MAX)
        return wrong(t, "values are nested too deeply");
    int c = peek(t, 0);
    if (c == '"' || c == '\'') {
        own_mem char *text = NULL;
        TRY(string(t, true, &text));
        *ret = json_string(text);
        return NULL;
    }
    if (accept(t, "["))
        return array(t, depth + 1, ret);
    if (accept(t, "{"))
        return inline_table(t, depth + 1, ret);
    if (c < 0 || c == '\n' || c == '\r' || c == '#')
        return wrong(t, "expected a value");
    return word(t, ret);
}

/* ---- the document ---- */

static fallible document(struct toml *t)
{
    while (t->p < t->end) {
        skip_blanks(t);
        if (peek(t, 0) == '#' || peek(t, 0) == '\n' || next_is(t, "\r\n") || peek(t, 0) < 0) {
            TRY(end_of_line(t));
        } else if (accept(t, "[[")) {
            TRY(header(t, true));
        } else if (accept(t, "[")) {
            TRY(header(t, false));
        } else {
            TRY(pair(t, t->table, 0));
            TRY(end_of_line(t));
        }
    }
    return NULL;
}

fallible toml_parse(const char *text, size_t len, json_t **ret)
{
    own_json json_t *root = json_object();
    struct toml t = { .p = text, .end = text + len, .line = 1, .root = root, .table = root };
    (void)accept(&t, "\xef\xbb\xbf");
    err *e = document(&t);
    free(t.marks);
    TRY(e);
    *ret = take(root);
    return NULL;
}
