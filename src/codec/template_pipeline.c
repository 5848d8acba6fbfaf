// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/template_pipeline.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "codec/template_functions.h"

enum { ARGS_MAX = 64 };

/* ---- words ---- */

fallible template_wrong(const struct template_run *r, const char *what)
{
    size_t n = strcspn(r->p, "\n}");
    return err_new(ERR_INVALID, "%s at '%.*s'", what, n > 40 ? 40 : (int)n, r->p);
}

void template_skip_space(struct template_run *r)
{
    while (isspace((unsigned char)*r->p))
        r->p++;
}

/* " -}}" or "}}" */
static bool at_close(const struct template_run *r)
{
    return (r->p[0] == '}' && r->p[1] == '}') || (r->p[0] == '-' && r->p[1] == '}' && r->p[2] == '}');
}

fallible template_close(struct template_run *r)
{
    template_skip_space(r);
    if (!at_close(r))
        return *r->p ? template_wrong(r, "'}}' is expected") : err_new(ERR_INVALID, "'{{' without '}}'");
    r->trim = *r->p == '-';
    r->p += 2 + (*r->p == '-');
    return NULL;
}

static bool word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

size_t template_word_len(const char *p)
{
    size_t n = 0;
    while (word_char(p[n]))
        n++;
    return n;
}

bool template_take_word(struct template_run *r, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(r->p, word, n) != 0 || word_char(r->p[n]))
        return false;
    r->p += n;
    return true;
}

static bool take_char(struct template_run *r, char c)
{
    template_skip_space(r);
    if (*r->p != c)
        return false;
    r->p++;
    return true;
}

/* ---- operands ---- */

static bool is_open_map(const char *key)
{
    static const char *const maps[] = { "Labels",  "Annotations", "Networks", "Ports",      "Sysctls",
                                        "Options", "Attributes",  "Volumes",  "DriverOpts", "Storage" };
    for (size_t i = 0; i < ARRAY_SIZE(maps); i++)
        if (strcmp(maps[i], key) == 0)
            return true;
    return false;
}

static json_t *header_of(const char *name)
{
    own_mem char *upper = mem_strdup(name);
    for (char *p = upper; *p; p++)
        *p = (char)toupper((unsigned char)*p);
    json_t *v = json_string(upper);
    return v ? v : json_string("");
}

/* One step of a chain. parent: the field that v came from, NULL at the beginning. */
static fallible field_of(const struct template_run *r, const json_t *v, const char *name, const char *parent,
                         json_t **ret)
{
    json_t *next = *name ? json_object_get(v, name) : NULL;
    if (!next && *name && r->mode == TEMPLATE_VALUES)
        next = json_object_get(json_object_get(v, ""), name);
    if (!next && json_is_object(v) && (parent || v == r->doc))
        next = json_object_get(json_object_get(r->zeros, parent ? parent : ""), name);
    if (next)
        *ret = json_incref(next);
    else if (r->mode == TEMPLATE_HEADERS)
        *ret = header_of(name);
    else if (r->lenient || json_is_null(v) || (parent && is_open_map(parent)))
        *ret = json_null();
    else if (json_is_object(v))
        return err_new(ERR_INVALID, "there is no field '%s'%s%s", name, parent ? " in " : "", parent ? parent : "");
    else
        return err_new(ERR_INVALID, "'%s' is asked of what has no fields", name);
    return NULL;
}

/* ".A.B" after an operand: *v is replaced. */
static fallible chain(struct template_run *r, bool live, json_t **v)
{
    char name[TEMPLATE_WORD_MAX], parent[TEMPLATE_WORD_MAX] = "";
    while (*r->p == '.' && word_char(r->p[1])) {
        size_t n = template_word_len(r->p + 1);
        if (n >= sizeof name)
            return template_wrong(r, "a name is too long");
        memcpy(name, r->p + 1, n);
        name[n] = '\0';
        r->p += n + 1;
        if (live) {
            json_t *next = NULL;
            TRY(field_of(r, *v, name, *parent ? parent : NULL, &next));
            json_decref(*v);
            *v = next;
        }
        memcpy(parent, name, n + 1);
    }
    return NULL;
}

static const struct {
    char letter, value;
} escapes[] = { { 'n', '\n' }, { 't', '\t' }, { 'r', '\r' },  { 'a', '\a' }, { 'b', '\b' },
                { 'f', '\f' }, { 'v', '\v' }, { '\\', '\\' }, { '"', '"' },  { '\'', '\'' } };

static fallible quoted(struct template_run *r, char end, struct str *text)
{
    const char *begin = r->p++;
    str_add(text, "");
    for (; *r->p && *r->p != end; r->p++) {
        if (*r->p != '\\' || end == '`') {
            str_add_char(text, *r->p);
            continue;
        }
        size_t i = 0;
        r->p++;
        while (i < ARRAY_SIZE(escapes) && escapes[i].letter != *r->p)
            i++;
        if (i == ARRAY_SIZE(escapes))
            return template_wrong(r, "an unknown escape");
        str_add_char(text, escapes[i].value);
    }
    if (!*r->p) {
        r->p = begin;
        return template_wrong(r, "a quote is not closed");
    }
    r->p++;
    return NULL;
}

static fallible string_operand(struct template_run *r, json_t **ret)
{
    own_str struct str text = { 0 };
    char end = *r->p;
    TRY(quoted(r, end, &text));
    *ret = end == '\'' ? json_integer((unsigned char)text.text[0]) : json_string(text.text);
    return *ret ? NULL : err_new(ERR_INVALID, "a text in the template is not UTF-8");
}

static fallible number_operand(struct template_run *r, json_t **ret)
{
    char *end = NULL;
    size_t n = strspn(r->p, "+-0123456789.eExXabcdfABCDF_");
    own_mem char *word = mem_strndup(r->p, n);
    errno = 0;
    long long whole = strtoll(word, &end, 0);
    if (!*end && end != word && errno == 0) {
        *ret = json_integer(whole);
    } else {
        double real = strtod(word, &end);
        *ret = *end || end == word ? NULL : json_real(real);
    }
    if (!*ret)
        return template_wrong(r, "not a number");
    r->p += n;
    return NULL;
}

static fallible variable_operand(struct template_run *r, json_t **ret)
{
    size_t n = template_word_len(++r->p);
    for (size_t i = r->variables_n; i-- > 0;)
        if (strlen(r->variables[i].name) == n && strncmp(r->variables[i].name, r->p, n) == 0) {
            *ret = json_incref(r->variables[i].value);
            r->p += n;
            return NULL;
        }
    r->p--;
    return template_wrong(r, "an unknown variable");
}

static bool at_number(const struct template_run *r)
{
    return isdigit((unsigned char)*r->p) || ((*r->p == '-' || *r->p == '+') && isdigit((unsigned char)r->p[1]));
}

static fallible parenthesis(struct template_run *r, bool live, json_t **ret)
{
    if (++r->depth > TEMPLATE_DEPTH_MAX)
        return template_wrong(r, "nested too deeply");
    r->p++;
    TRY(template_pipeline(r, live, ret));
    if (!take_char(r, ')'))
        return template_wrong(r, "')' is expected");
    r->depth--;
    return NULL;
}

/* *ret is NULL when this is no operand: a function's name, or what ends a command. */
static fallible operand(struct template_run *r, bool live, const json_t *dot, json_t **ret)
{
    own_json json_t *v = NULL;
    if (*r->p == '"' || *r->p == '`' || *r->p == '\'')
        return string_operand(r, ret);
    if (at_number(r))
        return number_operand(r, ret);
    if (template_take_word(r, "true") || template_take_word(r, "false")) {
        *ret = json_boolean(r->p[-2] == 'u');
        return NULL;
    }
    if (template_take_word(r, "nil")) {
        *ret = json_null();
        return NULL;
    }
    if (*r->p == '$')
        TRY(variable_operand(r, &v));
    else if (*r->p == '(')
        TRY(parenthesis(r, live, &v));
    else if (*r->p == '.' && word_char(r->p[1]))
        v = json_incref((json_t *)dot);
    else if (*r->p == '.') {
        r->p++;
        v = json_incref((json_t *)dot);
    }
    if (v)
        TRY(chain(r, live, &v));
    *ret = take(v);
    return NULL;
}

/* ---- commands and pipelines ---- */

struct arguments {
    json_t *items[ARGS_MAX];
    size_t n;
};

static void own_drop_arguments(struct arguments *a)
{
    for (size_t i = 0; i < a->n; i++)
        json_decref(a->items[i]);
}

static fallible collect(struct template_run *r, bool live, json_t *take_piped, struct arguments *a)
{
    own_json json_t *piped = take_piped;
    for (;;) {
        json_t *v = NULL;
        template_skip_space(r);
        if (at_close(r) || *r->p == '|' || *r->p == ')' || !*r->p)
            break;
        if (a->n >= ARGS_MAX - 1)
            return template_wrong(r, "too many arguments");
        TRY(operand(r, live, r->variables[0].value, &v));
        if (!v)
            return template_wrong(r, "not understood");
        a->items[a->n++] = v;
    }
    if (piped)
        a->items[a->n++] = take(piped);
    return NULL;
}

/* {{.Label "key"}}: what has no field of that name but a method. */
static bool is_method(const struct template_run *r, const json_t *dot, json_t **ret_answers)
{
    char name[TEMPLATE_WORD_MAX];
    size_t n = *r->p == '.' ? template_word_len(r->p + 1) : 0, after;
    if (!n || n >= sizeof name)
        return false;
    memcpy(name, r->p + 1, n);
    name[n] = '\0';
    after = n + 1 + strspn(r->p + n + 1, " \t");
    *ret_answers = json_object_get(json_object_get(dot, ""), name);
    if (!json_is_object(*ret_answers))
        *ret_answers = NULL;
    return r->p[after] == '"' && (*ret_answers || r->mode == TEMPLATE_HEADERS);
}

static fallible method(struct template_run *r, const json_t *answers, json_t **ret)
{
    own_json json_t *key = NULL;
    r->p += 1 + template_word_len(r->p + 1);
    template_skip_space(r);
    TRY(string_operand(r, &key));
    const char *text = json_string_value(key);
    if (!text)
        return template_wrong(r, "a text is expected");
    if (r->mode == TEMPLATE_HEADERS) {
        *ret = json_incref(key);
        return NULL;
    }
    json_t *v = json_object_get(answers, text);
    *ret = v ? json_incref(v) : json_string("");
    return NULL;
}

static fallible function(struct template_run *r, bool live, json_t *take_piped, json_t **ret)
{
    own_json json_t *piped = take_piped;
    __attribute__((cleanup(own_drop_arguments))) struct arguments a = { 0 };
    size_t n = template_word_len(r->p);
    const struct template_function *f = template_function_find(r->p, n);
    if (!f && n)
        return err_new(ERR_INVALID,
                       "'%.*s' is no function: json, join, split, upper, lower, title, len, index, slice, eq, ne, and, "
                       "or, not, print, printf, println, truncate, pad and the comparisons are",
                       n > 40 ? 40 : (int)n, r->p);
    if (!f)
        return template_wrong(r, "a field or a function is expected");
    r->p += n;
    bool lenient = r->lenient;
    r->lenient |= f->lenient;
    TRY(collect(r, live, take(piped), &a));
    r->lenient = lenient;
    if (!live) {
        *ret = json_null();
        return NULL;
    }
    if (r->mode == TEMPLATE_HEADERS && !f->lenient) {
        const json_t *first = NULL;
        for (size_t i = 0; i < a.n && !first; i++)
            first = json_is_string(a.items[i]) ? a.items[i] : NULL;
        *ret = first ? json_incref((json_t *)first) : json_string("");
        return NULL;
    }
    if (a.n < f->min || a.n > f->max)
        return err_new(ERR_INVALID, "%s: wrong number of arguments", f->name);
    TRY_AS(f->call(a.items, a.n, ret), "%s", f->name);
    return *ret ? NULL : err_new(ERR_INVALID, "%s: the result is not UTF-8", f->name);
}

static fallible command(struct template_run *r, bool live, json_t *take_piped, json_t **ret)
{
    own_json json_t *piped = take_piped;
    const json_t *dot = r->variables[0].value;
    json_t *answers = NULL;
    template_skip_space(r);
    if (!piped && is_method(r, dot, &answers))
        return method(r, answers, ret);
    own_json json_t *v = NULL;
    TRY(operand(r, live, dot, &v));
    if (!v)
        return function(r, live, take(piped), ret);
    template_skip_space(r);
    if (piped || !(at_close(r) || *r->p == '|' || *r->p == ')' || !*r->p))
        return template_wrong(r, piped ? "a value cannot be given on to this" : "not understood");
    *ret = take(v);
    return NULL;
}

fallible template_pipeline(struct template_run *r, bool live, json_t **ret)
{
    own_json json_t *v = NULL;
    do {
        json_t *next = NULL;
        TRY(command(r, live, take(v), &next));
        v = next;
    } while (take_char(r, '|'));
    *ret = take(v);
    return NULL;
}

/* ---- variables ---- */

fallible template_declare(struct template_run *r, const char *name, size_t n, json_t *take_value)
{
    own_json json_t *value = take_value;
    if (r->variables_n == TEMPLATE_VARIABLES_MAX || n >= TEMPLATE_WORD_MAX)
        return err_new(ERR_INVALID, "too many variables, or too long a name");
    struct template_variable *v = &r->variables[r->variables_n++];
    memcpy(v->name, name, n);
    v->name[n] = '\0';
    v->value = take(value);
    return NULL;
}

void template_forget(struct template_run *r, size_t keep)
{
    while (r->variables_n > keep)
        json_decref(r->variables[--r->variables_n].value);
}

/* "$x :=" or "$x =": how many characters, 0 when this is none. */
static size_t assignment(const char *p, size_t *ret_name_len, bool *ret_new)
{
    if (*p != '$')
        return 0;
    size_t n = template_word_len(p + 1), at = n + 1;
    at += strspn(p + at, " \t\n");
    *ret_new = p[at] == ':' && p[at + 1] == '=';
    *ret_name_len = n;
    if (!*ret_new && p[at] != '=')
        return 0;
    return at + 1 + *ret_new;
}

static fallible assign(struct template_run *r, const char *name, size_t n, bool fresh, json_t *take_value)
{
    own_json json_t *value = take_value;
    if (fresh)
        return template_declare(r, name, n, take(value));
    for (size_t i = r->variables_n; i-- > 1;)
        if (strlen(r->variables[i].name) == n && strncmp(r->variables[i].name, name, n) == 0) {
            json_decref(r->variables[i].value);
            r->variables[i].value = take(value);
            return NULL;
        }
    return err_new(ERR_INVALID, "'$%.*s' was not declared with :=", (int)n, name);
}

fallible template_valued(struct template_run *r, bool live, json_t **ret, bool *ret_assigned)
{
    size_t name_len = 0;
    bool fresh = false;
    template_skip_space(r);
    const char *name = r->p + 1;
    size_t n = assignment(r->p, &name_len, &fresh);
    *ret_assigned = n > 0;
    r->p += n;
    own_json json_t *v = NULL;
    TRY(template_pipeline(r, live, &v));
    if (n)
        TRY(assign(r, name, name_len, fresh, json_incref(v)));
    *ret = take(v);
    return NULL;
}
