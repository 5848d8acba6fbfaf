// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/template_functions.h"

#include <ctype.h>
#include <inttypes.h>
#include <string.h>

enum { WIDTH_MAX = 4096 };

/* ---- values ---- */

bool template_truth(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_STRING:
        return json_string_length(v) > 0;
    case JSON_INTEGER:
        return json_integer_value(v) != 0;
    case JSON_REAL:
        return json_real_value(v) < 0 || json_real_value(v) > 0;
    case JSON_TRUE:
        return true;
    case JSON_FALSE:
    case JSON_NULL:
        return false;
    case JSON_ARRAY:
        return json_array_size(v) > 0;
    case JSON_OBJECT:
        return json_object_size(v) > 0;
    }
    return false;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

json_t *template_sorted_keys(const json_t *object)
{
    json_t *list = json_array();
    const char *key;
    json_t *value;
    size_t n = 0;
    own_mem const char **keys = mem_array(NULL, json_object_size(object) + 1, sizeof *keys);
    json_object_foreach ((json_t *)object, key, value)
        if (*key)
            keys[n++] = key;
    qsort(keys, n, sizeof *keys, by_text);
    for (size_t i = 0; i < n; i++)
        (void)json_array_append_new(list, json_string(keys[i]));
    return list;
}

/* The shortest text that reads back as the same number. */
static void print_real(double d, struct str *out)
{
    char text[40];
    for (int digits = 1; digits <= 17; digits++) {
        (void)snprintf(text, sizeof text, "%.*g", digits, d);
        double back = strtod(text, NULL);
        if (!(back < d) && !(back > d))
            break;
    }
    str_add(out, text);
}

static void print_list(const json_t *v, struct str *out)
{
    str_add_char(out, '[');
    for (size_t i = 0; i < json_array_size(v); i++) {
        if (i)
            str_add_char(out, ' ');
        template_print(json_array_get(v, i), out);
    }
    str_add_char(out, ']');
}

static void print_map(const json_t *v, struct str *out)
{
    own_json json_t *keys = template_sorted_keys(v);
    str_add(out, "map[");
    for (size_t i = 0; i < json_array_size(keys); i++) {
        const char *key = json_string_value(json_array_get(keys, i));
        str_printf(out, "%s%s:", i ? " " : "", key);
        template_print(json_object_get(v, key), out);
    }
    str_add_char(out, ']');
}

void template_print(const json_t *v, struct str *out)
{
    switch (json_typeof(v)) {
    case JSON_STRING:
        str_add(out, json_string_value(v));
        break;
    case JSON_INTEGER:
        str_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        break;
    case JSON_REAL:
        print_real(json_real_value(v), out);
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        str_add(out, json_is_true(v) ? "true" : "false");
        break;
    case JSON_NULL:
        str_add(out, "<nil>");
        break;
    case JSON_ARRAY:
        print_list(v, out);
        break;
    case JSON_OBJECT:
        print_map(v, out);
        break;
    }
}

static char *text_of(const json_t *v)
{
    own_str struct str s = { 0 };
    if (!json_is_null(v))
        template_print(v, &s);
    return str_take(&s);
}

static fallible string_of(const json_t *v, const char **ret)
{
    *ret = json_is_null(v) ? "" : json_string_value(v);
    return *ret ? NULL : err_new(ERR_INVALID, "a text is expected");
}

static fallible number_of(const json_t *v, int64_t min, int64_t max, int64_t *ret)
{
    if (!json_is_integer(v))
        return err_new(ERR_INVALID, "a whole number is expected");
    int64_t n = json_integer_value(v);
    if (n < min || n > max)
        return err_new(ERR_INVALID, "%" PRId64 " is out of range", n);
    *ret = n;
    return NULL;
}

/* ---- logic ---- */

static err *call_and(json_t *const *a, size_t n, json_t **ret)
{
    size_t i = 0;
    while (i + 1 < n && template_truth(a[i]))
        i++;
    *ret = json_incref(a[i]);
    return NULL;
}

static err *call_or(json_t *const *a, size_t n, json_t **ret)
{
    size_t i = 0;
    while (i + 1 < n && !template_truth(a[i]))
        i++;
    *ret = json_incref(a[i]);
    return NULL;
}

static err *call_not(json_t *const *a, size_t n, json_t **ret)
{
    *ret = json_boolean(!template_truth(a[0]));
    return NULL;
}

/* -1, 0, 1; for texts and numbers, which are the only ones with an order. */
static fallible compare(const json_t *a, const json_t *b, int *ret)
{
    if (json_is_string(a) && json_is_string(b)) {
        int c = strcmp(json_string_value(a), json_string_value(b));
        *ret = (c > 0) - (c < 0);
    } else if (json_is_integer(a) && json_is_integer(b)) {
        json_int_t x = json_integer_value(a), y = json_integer_value(b);
        *ret = (x > y) - (x < y);
    } else if (json_is_number(a) && json_is_number(b)) {
        double x = json_number_value(a), y = json_number_value(b);
        *ret = (x > y) - (x < y);
    } else {
        return err_new(ERR_INVALID, "these two cannot be compared");
    }
    return NULL;
}

static bool same(const json_t *a, const json_t *b)
{
    int order = 1;
    if (json_is_number(a) && json_is_number(b)) {
        err_ignore(compare(a, b, &order), "numbers always can be");
        return order == 0;
    }
    return json_equal(a, b);
}

static err *call_eq(json_t *const *a, size_t n, json_t **ret)
{
    bool any = false;
    for (size_t i = 1; i < n; i++)
        any |= same(a[0], a[i]);
    *ret = json_boolean(any);
    return NULL;
}

static err *call_ne(json_t *const *a, size_t n, json_t **ret)
{
    *ret = json_boolean(!same(a[0], a[1]));
    return NULL;
}

#define ORDER(name, condition)                                                                                         \
    static err *call_##name(json_t *const *a, size_t n, json_t **ret)                                                  \
    {                                                                                                                  \
        int c = 0;                                                                                                     \
        TRY(compare(a[0], a[1], &c));                                                                                  \
        *ret = json_boolean(condition);                                                                                \
        return NULL;                                                                                                   \
    }
ORDER(lt, c < 0)
ORDER(le, c <= 0)
ORDER(gt, c > 0)
ORDER(ge, c >= 0)

/* ---- lists and texts ---- */

static err *call_len(json_t *const *a, size_t n, json_t **ret)
{
    if (json_is_string(a[0]))
        *ret = json_integer((json_int_t)json_string_length(a[0]));
    else if (json_is_array(a[0]))
        *ret = json_integer((json_int_t)json_array_size(a[0]));
    else if (json_is_object(a[0]))
        *ret = json_integer((json_int_t)json_object_size(a[0]) - (json_object_get(a[0], "") ? 1 : 0));
    else if (json_is_null(a[0]))
        *ret = json_integer(0);
    else
        return err_new(ERR_INVALID, "numbers have no length");
    return NULL;
}

static err *call_index(json_t *const *a, size_t n, json_t **ret)
{
    const json_t *v = a[0];
    for (size_t i = 1; i < n; i++) {
        int64_t at = 0;
        if (json_is_object(v) && json_is_string(a[i])) {
            v = json_object_get(v, json_string_value(a[i]));
            if (!v) { /* a map answers with nothing; what is asked of that is nothing as well */
                *ret = json_string("");
                return NULL;
            }
            continue;
        }
        if (!json_is_array(v))
            return err_new(ERR_INVALID,
                           json_is_object(v) ? "a map is asked with a text" : "only lists and maps can be indexed");
        TRY(number_of(a[i], 0, INT64_MAX, &at));
        if ((uint64_t)at >= json_array_size(v))
            return err_new(ERR_INVALID, "%" PRId64 " is beyond the list's %zu", at, json_array_size(v));
        v = json_array_get(v, (size_t)at);
    }
    *ret = json_incref((json_t *)v);
    return NULL;
}

static err *call_slice(json_t *const *a, size_t n, json_t **ret)
{
    size_t len = json_is_string(a[0]) ? json_string_length(a[0]) : json_array_size(a[0]);
    int64_t from = 0, to = (int64_t)len;
    if (!json_is_string(a[0]) && !json_is_array(a[0]))
        return err_new(ERR_INVALID, "only texts and lists have parts");
    if (n > 1)
        TRY(number_of(a[1], 0, (int64_t)len, &from));
    if (n > 2)
        TRY(number_of(a[2], from, (int64_t)len, &to));
    if (json_is_string(a[0])) {
        *ret = json_stringn(json_string_value(a[0]) + from, (size_t)(to - from));
        return NULL;
    }
    *ret = json_array();
    for (int64_t i = from; i < to; i++)
        (void)json_array_append(*ret, json_array_get(a[0], (size_t)i));
    return NULL;
}

static err *call_json(json_t *const *a, size_t n, json_t **ret)
{
    json_t *shown = json_is_object(a[0]) && json_object_get(a[0], "") ? json_copy(a[0]) : json_incref(a[0]);
    if (shown != a[0])
        (void)json_object_del(shown, "");
    own_mem char *text = json_dumps(shown, JSON_COMPACT | JSON_ENCODE_ANY);
    json_decref(shown);
    *ret = json_string(text ? text : "");
    return NULL;
}

static err *call_join(json_t *const *a, size_t n, json_t **ret)
{
    own_str struct str s = { 0 };
    const char *between;
    TRY(string_of(a[1], &between));
    if (!json_is_array(a[0]) && !json_is_null(a[0]))
        return err_new(ERR_INVALID, "a list is expected");
    for (size_t i = 0; i < json_array_size(a[0]); i++) {
        str_add(&s, i ? between : "");
        template_print(json_array_get(a[0], i), &s);
    }
    *ret = json_string(s.text ? s.text : "");
    return NULL;
}

static err *call_split(json_t *const *a, size_t n, json_t **ret)
{
    const char *text, *at;
    TRY(string_of(a[0], &text));
    TRY(string_of(a[1], &at));
    size_t step = strlen(at);
    if (!step)
        return err_new(ERR_INVALID, "at what?");
    json_t *list = json_array();
    for (const char *end; (end = strstr(text, at)); text = end + step)
        (void)json_array_append_new(list, json_stringn(text, (size_t)(end - text)));
    (void)json_array_append_new(list, json_string(text));
    *ret = list;
    return NULL;
}

static fallible change_case(const json_t *v, bool upper, json_t **ret)
{
    own_mem char *text = text_of(v);
    for (char *p = text; *p; p++)
        *p = (char)(upper ? toupper((unsigned char)*p) : tolower((unsigned char)*p));
    *ret = json_string(text);
    return NULL;
}

static err *call_upper(json_t *const *a, size_t n, json_t **ret)
{
    return change_case(a[0], true, ret);
}

static err *call_lower(json_t *const *a, size_t n, json_t **ret)
{
    return change_case(a[0], false, ret);
}

static err *call_title(json_t *const *a, size_t n, json_t **ret)
{
    own_mem char *text = text_of(a[0]);
    bool begins = true;
    for (char *p = text; *p; p++) {
        if (begins)
            *p = (char)toupper((unsigned char)*p);
        begins = !isalnum((unsigned char)*p) && *p != '_' && *p != '\'' && (unsigned char)*p < 0x80;
    }
    *ret = json_string(text);
    return NULL;
}

static err *call_pad(json_t *const *a, size_t n, json_t **ret)
{
    const char *text;
    int64_t before = 0, after = 0;
    TRY(string_of(a[0], &text));
    TRY(number_of(a[1], 0, WIDTH_MAX, &before));
    TRY(number_of(a[2], 0, WIDTH_MAX, &after));
    if (!*text) {
        *ret = json_string("");
        return NULL;
    }
    own_mem char *padded = mem_printf("%*s%s%*s", (int)before, "", text, (int)after, "");
    *ret = json_string(padded);
    return NULL;
}

/* The bytes of the first n characters. */
static size_t prefix(const char *text, int64_t characters)
{
    size_t n = 0;
    while (text[n] && characters > 0) {
        n++;
        while (((unsigned char)text[n] & 0xc0) == 0x80)
            n++;
        characters--;
    }
    return n;
}

static err *call_truncate(json_t *const *a, size_t n, json_t **ret)
{
    const char *text;
    int64_t max = 0;
    TRY(string_of(a[0], &text));
    TRY(number_of(a[1], 0, INT32_MAX, &max));
    *ret = json_stringn(text, prefix(text, max));
    return NULL;
}

/* ---- printing ---- */

/* Go's print puts a space between two that are no texts, println between all. */
static err *call_print(json_t *const *a, size_t n, json_t **ret)
{
    own_str struct str s = { 0 };
    for (size_t i = 0; i < n; i++) {
        if (i && !json_is_string(a[i]) && !json_is_string(a[i - 1]))
            str_add_char(&s, ' ');
        template_print(a[i], &s);
    }
    *ret = json_string(s.text ? s.text : "");
    return NULL;
}

/* Of several values the text that print makes of them. */
static err *call_escaped(json_t *const *a, size_t n, void (*escape)(const char *, struct str *), json_t **ret)
{
    own_json json_t *text = NULL;
    own_str struct str s = { 0 };
    TRY(call_print(a, n, &text));
    escape(json_string_value(text), &s);
    *ret = json_string(s.text ? s.text : "");
    return NULL;
}

static err *call_html(json_t *const *a, size_t n, json_t **ret)
{
    return call_escaped(a, n, template_html, ret);
}

static err *call_js(json_t *const *a, size_t n, json_t **ret)
{
    return call_escaped(a, n, template_js, ret);
}

static err *call_urlquery(json_t *const *a, size_t n, json_t **ret)
{
    return call_escaped(a, n, template_urlquery, ret);
}

static err *call_println(json_t *const *a, size_t n, json_t **ret)
{
    own_str struct str s = { 0 };
    for (size_t i = 0; i < n; i++) {
        if (i)
            str_add_char(&s, ' ');
        template_print(a[i], &s);
    }
    str_add_char(&s, '\n');
    *ret = json_string(s.text);
    return NULL;
}

struct verb {
    bool left, zero, plus;
    int width, precision; /* -1: none */
    char letter;
};

static const char *read_number(const char *p, int *ret)
{
    int n = 0;
    for (; isdigit((unsigned char)*p); p++)
        n = n * 10 + (*p - '0') > WIDTH_MAX ? WIDTH_MAX : n * 10 + (*p - '0');
    *ret = n;
    return p;
}

/* After the '%'. */
static const char *read_verb(const char *p, struct verb *v)
{
    *v = (struct verb){ .precision = -1 };
    for (; *p && strchr("-+0 #", *p); p++) {
        v->left |= *p == '-';
        v->plus |= *p == '+';
        v->zero |= *p == '0';
    }
    p = read_number(p, &v->width);
    if (*p == '.')
        p = read_number(p + 1, &v->precision);
    v->letter = *p;
    return *p ? p + 1 : p;
}

static fallible integer_text(const struct verb *v, const json_t *value, struct str *out)
{
    int64_t n = 0;
    TRY(number_of(value, INT64_MIN, INT64_MAX, &n));
    uint64_t size = n < 0 ? -(uint64_t)n : (uint64_t)n;
    const char *sign = n < 0 ? "-" : v->plus ? "+" : "";
    int digits = v->zero && !v->left ? v->width - (int)strlen(sign) : 0;
    if (digits < 1)
        digits = 1;
    if (v->letter == 'd')
        str_printf(out, "%s%0*" PRIu64, sign, digits, size);
    else if (v->letter == 'x')
        str_printf(out, "%s%0*" PRIx64, sign, digits, size);
    else if (v->letter == 'X')
        str_printf(out, "%s%0*" PRIX64, sign, digits, size);
    else
        str_printf(out, "%s%0*" PRIo64, sign, digits, size);
    return NULL;
}

static void quote(const char *text, struct str *out)
{
    own_json json_t *s = json_string(text);
    own_mem char *quoted = s ? json_dumps(s, JSON_ENCODE_ANY) : NULL;
    str_add(out, quoted ? quoted : "\"\"");
}

static fallible verb_text(const struct verb *v, const json_t *value, struct str *out)
{
    own_mem char *text = NULL;
    switch (v->letter) {
    case 'd':
    case 'x':
    case 'X':
    case 'o':
        return integer_text(v, value, out);
    case 'f':
    case 'g':
    case 'e':
        if (!json_is_number(value))
            return err_new(ERR_INVALID, "%%%c: a number is expected", v->letter);
        text = mem_printf(v->letter == 'f'   ? "%.*f"
                          : v->letter == 'g' ? "%.*g"
                                             : "%.*e",
                          v->precision < 0 ? 6 : v->precision, json_number_value(value));
        str_add(out, text);
        return NULL;
    case 't':
        if (!json_is_boolean(value))
            return err_new(ERR_INVALID, "%%t: true or false is expected");
        template_print(value, out);
        return NULL;
    case 'q':
        text = text_of(value);
        quote(text, out);
        return NULL;
    case 's':
    case 'v':
        text = text_of(value);
        str_add_n(out, text, v->precision < 0 ? strlen(text) : prefix(text, v->precision));
        return NULL;
    default:
        return err_new(ERR_INVALID, "'%%%c' is not understood: s v d x X o f g e t q are", v->letter);
    }
}

static size_t characters(const char *text)
{
    size_t n = 0;
    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
    return n;
}

static fallible add_verb(const struct verb *v, const json_t *value, struct str *out)
{
    own_str struct str text = { 0 };
    TRY(verb_text(v, value, &text));
    const char *s = text.text ? text.text : "";
    size_t have = characters(s), pad = (size_t)v->width > have ? (size_t)v->width - have : 0;
    str_printf(out, "%*s%s%*s", v->left ? 0 : (int)pad, "", s, v->left ? (int)pad : 0, "");
    return NULL;
}

static err *call_printf(json_t *const *a, size_t n, json_t **ret)
{
    own_str struct str s = { 0 };
    const char *p;
    size_t next = 1;
    TRY(string_of(a[0], &p));
    while (*p) {
        struct verb v;
        if (*p != '%') {
            str_add_char(&s, *p++);
            continue;
        }
        p = read_verb(p + 1, &v);
        if (v.letter == '%') {
            str_add_char(&s, '%');
            continue;
        }
        if (!v.letter || next == n)
            return err_new(ERR_INVALID, "a value for '%%%c' is missing", v.letter ? v.letter : ' ');
        TRY(add_verb(&v, a[next++], &s));
    }
    if (next < n)
        return err_new(ERR_INVALID, "there are more values than the text has places for");
    *ret = json_string(s.text ? s.text : "");
    return NULL;
}

/* ---- the table ---- */

const struct template_function *template_function_find(const char *name, size_t n)
{
    enum { ANY = 1 << 20 };
    static const struct template_function functions[] = {
        { "and", 1, ANY, true, call_and },
        { "or", 1, ANY, true, call_or },
        { "not", 1, 1, true, call_not },
        { "eq", 2, ANY, true, call_eq },
        { "ne", 2, 2, true, call_ne },
        { "lt", 2, 2, false, call_lt },
        { "le", 2, 2, false, call_le },
        { "gt", 2, 2, false, call_gt },
        { "ge", 2, 2, false, call_ge },
        { "len", 1, 1, false, call_len },
        { "index", 1, ANY, false, call_index },
        { "slice", 1, 3, false, call_slice },
        { "json", 1, 1, false, call_json },
        { "join", 2, 2, false, call_join },
        { "split", 2, 2, false, call_split },
        { "upper", 1, 1, false, call_upper },
        { "lower", 1, 1, false, call_lower },
        { "title", 1, 1, false, call_title },
        { "pad", 3, 3, false, call_pad },
        { "truncate", 2, 2, false, call_truncate },
        { "print", 0, ANY, false, call_print },
        { "println", 0, ANY, false, call_println },
        { "printf", 1, ANY, false, call_printf },
        { "html", 1, ANY, false, call_html },
        { "js", 1, ANY, false, call_js },
        { "urlquery", 1, ANY, false, call_urlquery },
    };
    for (size_t i = 0; i < ARRAY_SIZE(functions); i++)
        if (strlen(functions[i].name) == n && strncmp(functions[i].name, name, n) == 0)
            return &functions[i];
    return NULL;
}
