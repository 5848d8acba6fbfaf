// SPDX-License-Identifier: GPL-2.0-or-later
/* Nothing is compiled: actions are evaluated as they are read, and the body of a range is read again for each round. */
#include "codec/template.h"

#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "codec/template_functions.h"

enum { DEPTH_MAX = 64, ARGS_MAX = 64, VARIABLES_MAX = 64, WORD_MAX = 256, ROUNDS_MAX = 1 << 18 };

struct variable {
    char name[WORD_MAX];
    json_t *value;
};

enum stop { STOP_END, STOP_ELSE, STOP_BREAK, STOP_CONTINUE, STOP_TEXT_END };

struct run {
    const char *p; /* where it is read */
    bool trim;     /* the text that follows loses its leading space */
    bool lenient;  /* what is missing is nil */
    enum template_mode mode;
    const json_t *doc, *zeros; /* zeros: template_render_with() */
    struct str *out;
    struct variable variables[VARIABLES_MAX];
    size_t variables_n;
    int depth, loops, rounds;
};

/* ---- words ---- */

static fallible wrong(const struct run *r, const char *what)
{
    size_t n = strcspn(r->p, "\n}");
    return err_new(ERR_INVALID, "%s at '%.*s'", what, n > 40 ? 40 : (int)n, r->p);
}

static void skip_space(struct run *r)
{
    while (isspace((unsigned char)*r->p))
        r->p++;
}

/* " -}}" or "}}" */
static bool at_close(const struct run *r)
{
    return (r->p[0] == '}' && r->p[1] == '}') || (r->p[0] == '-' && r->p[1] == '}' && r->p[2] == '}');
}

static fallible close_action(struct run *r)
{
    skip_space(r);
    if (!at_close(r))
        return *r->p ? wrong(r, "'}}' is expected") : err_new(ERR_INVALID, "'{{' without '}}'");
    r->trim = *r->p == '-';
    r->p += 2 + (*r->p == '-');
    return NULL;
}

static bool word_char(char c)
{
    return isalnum((unsigned char)c) || c == '_' || (unsigned char)c >= 0x80;
}

static size_t word_len(const char *p)
{
    size_t n = 0;
    while (word_char(p[n]))
        n++;
    return n;
}

static bool take_word(struct run *r, const char *word)
{
    size_t n = strlen(word);
    if (strncmp(r->p, word, n) != 0 || word_char(r->p[n]))
        return false;
    r->p += n;
    return true;
}

static bool take_char(struct run *r, char c)
{
    skip_space(r);
    if (*r->p != c)
        return false;
    r->p++;
    return true;
}

/* ---- operands ---- */

static fallible pipeline(struct run *r, bool live, json_t **ret);

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
static fallible field_of(const struct run *r, const json_t *v, const char *name, const char *parent, json_t **ret)
{
    json_t *next = *name ? json_object_get(v, name) : NULL;
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
static fallible chain(struct run *r, bool live, json_t **v)
{
    char name[WORD_MAX], parent[WORD_MAX] = "";
    while (*r->p == '.' && word_char(r->p[1])) {
        size_t n = word_len(r->p + 1);
        if (n >= sizeof name)
            return wrong(r, "a name is too long");
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

static fallible quoted(struct run *r, char end, struct str *text)
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
            return wrong(r, "an unknown escape");
        str_add_char(text, escapes[i].value);
    }
    if (!*r->p) {
        r->p = begin;
        return wrong(r, "a quote is not closed");
    }
    r->p++;
    return NULL;
}

static fallible string_operand(struct run *r, json_t **ret)
{
    own_str struct str text = { 0 };
    char end = *r->p;
    TRY(quoted(r, end, &text));
    *ret = end == '\'' ? json_integer((unsigned char)text.text[0]) : json_string(text.text);
    return *ret ? NULL : err_new(ERR_INVALID, "a text in the template is not UTF-8");
}

static fallible number_operand(struct run *r, json_t **ret)
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
        return wrong(r, "not a number");
    r->p += n;
    return NULL;
}

static fallible variable_operand(struct run *r, json_t **ret)
{
    size_t n = word_len(++r->p);
    for (size_t i = r->variables_n; i-- > 0;)
        if (strlen(r->variables[i].name) == n && strncmp(r->variables[i].name, r->p, n) == 0) {
            *ret = json_incref(r->variables[i].value);
            r->p += n;
            return NULL;
        }
    r->p--;
    return wrong(r, "an unknown variable");
}

static bool at_number(const struct run *r)
{
    return isdigit((unsigned char)*r->p) || ((*r->p == '-' || *r->p == '+') && isdigit((unsigned char)r->p[1]));
}

static fallible parenthesis(struct run *r, bool live, json_t **ret)
{
    if (++r->depth > DEPTH_MAX)
        return wrong(r, "nested too deeply");
    r->p++;
    TRY(pipeline(r, live, ret));
    if (!take_char(r, ')'))
        return wrong(r, "')' is expected");
    r->depth--;
    return NULL;
}

/* *ret is NULL when this is no operand: a function's name, or what ends a command. */
static fallible operand(struct run *r, bool live, const json_t *dot, json_t **ret)
{
    own_json json_t *v = NULL;
    if (*r->p == '"' || *r->p == '`' || *r->p == '\'')
        return string_operand(r, ret);
    if (at_number(r))
        return number_operand(r, ret);
    if (take_word(r, "true") || take_word(r, "false")) {
        *ret = json_boolean(r->p[-2] == 'u');
        return NULL;
    }
    if (take_word(r, "nil")) {
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

static fallible collect(struct run *r, bool live, json_t *take_piped, struct arguments *a)
{
    own_json json_t *piped = take_piped;
    for (;;) {
        json_t *v = NULL;
        skip_space(r);
        if (at_close(r) || *r->p == '|' || *r->p == ')' || !*r->p)
            break;
        if (a->n >= ARGS_MAX - 1)
            return wrong(r, "too many arguments");
        TRY(operand(r, live, r->variables[0].value, &v));
        if (!v)
            return wrong(r, "not understood");
        a->items[a->n++] = v;
    }
    if (piped)
        a->items[a->n++] = take(piped);
    return NULL;
}

/* {{.Label "key"}}: what has no field of that name but a method. */
static bool is_method(const struct run *r, const json_t *dot, json_t **ret_answers)
{
    char name[WORD_MAX];
    size_t n = *r->p == '.' ? word_len(r->p + 1) : 0, after;
    if (!n || n >= sizeof name)
        return false;
    memcpy(name, r->p + 1, n);
    name[n] = '\0';
    after = n + 1 + strspn(r->p + n + 1, " \t");
    *ret_answers = json_object_get(json_object_get(dot, ""), name);
    return r->p[after] == '"' && (*ret_answers || r->mode == TEMPLATE_HEADERS);
}

static fallible method(struct run *r, const json_t *answers, json_t **ret)
{
    own_json json_t *key = NULL;
    r->p += 1 + word_len(r->p + 1);
    skip_space(r);
    TRY(string_operand(r, &key));
    const char *text = json_string_value(key);
    if (!text)
        return wrong(r, "a text is expected");
    if (r->mode == TEMPLATE_HEADERS) {
        *ret = json_incref(key);
        return NULL;
    }
    json_t *v = json_object_get(answers, text);
    *ret = v ? json_incref(v) : json_string("");
    return NULL;
}

static fallible function(struct run *r, bool live, json_t *take_piped, json_t **ret)
{
    own_json json_t *piped = take_piped;
    __attribute__((cleanup(own_drop_arguments))) struct arguments a = { 0 };
    size_t n = word_len(r->p);
    const struct template_function *f = template_function_find(r->p, n);
    if (!f && n)
        return err_new(ERR_INVALID,
                       "'%.*s' is no function: json, join, split, upper, lower, title, len, index, slice, eq, ne, and, "
                       "or, not, print, printf, println, truncate, pad and the comparisons are",
                       n > 40 ? 40 : (int)n, r->p);
    if (!f)
        return wrong(r, "a field or a function is expected");
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

static fallible command(struct run *r, bool live, json_t *take_piped, json_t **ret)
{
    own_json json_t *piped = take_piped;
    const json_t *dot = r->variables[0].value;
    json_t *answers = NULL;
    skip_space(r);
    if (!piped && is_method(r, dot, &answers))
        return method(r, answers, ret);
    own_json json_t *v = NULL;
    TRY(operand(r, live, dot, &v));
    if (!v)
        return function(r, live, take(piped), ret);
    skip_space(r);
    if (piped || !(at_close(r) || *r->p == '|' || *r->p == ')' || !*r->p))
        return wrong(r, piped ? "a value cannot be given on to this" : "not understood");
    *ret = take(v);
    return NULL;
}

static fallible pipeline(struct run *r, bool live, json_t **ret)
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

static fallible declare(struct run *r, const char *name, size_t n, json_t *take_value)
{
    own_json json_t *value = take_value;
    if (r->variables_n == VARIABLES_MAX || n >= WORD_MAX)
        return err_new(ERR_INVALID, "too many variables, or too long a name");
    struct variable *v = &r->variables[r->variables_n++];
    memcpy(v->name, name, n);
    v->name[n] = '\0';
    v->value = take(value);
    return NULL;
}

static void forget(struct run *r, size_t keep)
{
    while (r->variables_n > keep)
        json_decref(r->variables[--r->variables_n].value);
}

/* "$x :=" or "$x =": how many characters, 0 when this is none. */
static size_t assignment(const char *p, size_t *ret_name_len, bool *ret_new)
{
    if (*p != '$')
        return 0;
    size_t n = word_len(p + 1), at = n + 1;
    at += strspn(p + at, " \t\n");
    *ret_new = p[at] == ':' && p[at + 1] == '=';
    *ret_name_len = n;
    if (!*ret_new && p[at] != '=')
        return 0;
    return at + 1 + *ret_new;
}

static fallible assign(struct run *r, const char *name, size_t n, bool fresh, json_t *take_value)
{
    own_json json_t *value = take_value;
    if (fresh)
        return declare(r, name, n, take(value));
    for (size_t i = r->variables_n; i-- > 1;)
        if (strlen(r->variables[i].name) == n && strncmp(r->variables[i].name, name, n) == 0) {
            json_decref(r->variables[i].value);
            r->variables[i].value = take(value);
            return NULL;
        }
    return err_new(ERR_INVALID, "'$%.*s' was not declared with :=", (int)n, name);
}

/* A pipeline that may go into a variable. *ret_assigned: then it is not printed. */
static fallible valued(struct run *r, bool live, json_t **ret, bool *ret_assigned)
{
    size_t name_len = 0;
    bool fresh = false;
    skip_space(r);
    const char *name = r->p + 1;
    size_t n = assignment(r->p, &name_len, &fresh);
    *ret_assigned = n > 0;
    r->p += n;
    own_json json_t *v = NULL;
    TRY(pipeline(r, live, &v));
    if (n)
        TRY(assign(r, name, name_len, fresh, json_incref(v)));
    *ret = take(v);
    return NULL;
}

/* ---- blocks ---- */

static fallible block(struct run *r, bool live, enum stop *ret);

/* After {{else}} or {{end}} has been seen: up to the end. */
static fallible must_end(enum stop stop)
{
    if (stop == STOP_TEXT_END)
        return err_new(ERR_INVALID, "a block is not closed with {{end}}");
    return stop == STOP_ELSE ? err_new(ERR_INVALID, "{{else}} twice") : NULL;
}

/* Dot is the variable "$" of the innermost with or range: slot 0, exchanged and put back. */
static json_t *set_dot(struct run *r, json_t *take_dot)
{
    json_t *old = r->variables[0].value;
    r->variables[0].value = take_dot;
    return old;
}

static bool is_jump(enum stop s)
{
    return s == STOP_BREAK || s == STOP_CONTINUE;
}

static fallible else_part(struct run *r, bool live, enum stop *ret_jump);

/* if and with: `with` makes the value the dot. */
static fallible conditional(struct run *r, bool live, bool with, enum stop *ret_jump)
{
    own_json json_t *v = NULL;
    size_t keep = r->variables_n;
    bool unused, lenient = r->lenient;
    enum stop stop = STOP_END, jump = STOP_END;
    r->lenient = true;
    TRY(valued(r, live, &v, &unused));
    r->lenient = lenient;
    TRY(close_action(r));
    bool yes = live && template_truth(v);
    json_t *old = with && yes ? set_dot(r, json_incref(v)) : NULL;
    err *e = block(r, yes, &stop);
    if (old)
        json_decref(set_dot(r, old));
    TRY(e);
    if (is_jump(stop)) { /* what is left of the block is only read */
        jump = stop;
        TRY(block(r, false, &stop));
    }
    if (stop == STOP_ELSE) {
        enum stop other = STOP_END;
        TRY(else_part(r, live && !yes, &other));
        if (is_jump(other))
            jump = other;
    } else {
        TRY(must_end(stop));
    }
    forget(r, keep);
    *ret_jump = jump;
    return NULL;
}

/* After "else" of an if or with: "}}", or another if or with whose {{end}} is ours. */
static fallible else_part(struct run *r, bool live, enum stop *ret_jump)
{
    enum stop stop = STOP_END;
    skip_space(r);
    if (take_word(r, "if"))
        return conditional(r, live, false, ret_jump);
    if (take_word(r, "with"))
        return conditional(r, live, true, ret_jump);
    TRY(close_action(r));
    TRY(block(r, live, &stop));
    if (is_jump(stop)) {
        *ret_jump = stop;
        TRY(block(r, false, &stop));
    }
    return must_end(stop);
}

struct range {
    char names[2][WORD_MAX];
    size_t names_n;
    const char *body;
    bool body_trim;
    enum stop end; /* how the body ended when it was last read: STOP_END or STOP_ELSE */
    bool broken;
};

/* "$i, $v :=" */
static fallible range_names(struct run *r, struct range *g)
{
    const char *p = r->p;
    size_t names = 0;
    while (*p == '$' && names < 2) {
        size_t n = word_len(p + 1);
        if (n >= WORD_MAX)
            return wrong(r, "a name is too long");
        memcpy(g->names[names], p + 1, n);
        g->names[names++][n] = '\0';
        p += n + 1;
        p += strspn(p, " \t\n");
        if (*p == ',')
            p += 1 + strspn(p + 1, " \t\n");
    }
    if (names && p[0] == ':' && p[1] == '=') {
        g->names_n = names;
        r->p = p + 2;
    }
    return NULL;
}

static fallible one_round(struct run *r, struct range *g, json_t *take_key, json_t *value)
{
    own_json json_t *key = take_key;
    size_t keep = r->variables_n;
    enum stop stop = STOP_END;
    r->p = g->body;
    r->trim = g->body_trim;
    err *e = NULL;
    if (g->names_n == 2)
        e = declare(r, g->names[0], strlen(g->names[0]), json_incref(key));
    if (!e && g->names_n)
        e = declare(r, g->names[g->names_n - 1], strlen(g->names[g->names_n - 1]), json_incref(value));
    json_t *old = set_dot(r, json_incref(value));
    if (!e)
        e = block(r, true, &stop);
    json_decref(set_dot(r, old));
    forget(r, keep);
    TRY(e);
    g->broken = stop == STOP_BREAK;
    if (is_jump(stop))
        TRY(block(r, false, &stop));
    g->end = stop;
    return NULL;
}

static fallible rounds(struct run *r, struct range *g, json_t *over, size_t *ret_n)
{
    own_json json_t *keys = json_is_object(over) ? template_sorted_keys(over) : NULL;
    size_t n = keys                    ? json_array_size(keys)
               : json_is_integer(over) ? (size_t)(json_integer_value(over) > 0 ? json_integer_value(over) : 0)
                                       : json_array_size(over);
    *ret_n = n;
    for (size_t i = 0; i < n && !g->broken; i++) {
        own_json json_t *number = json_integer((json_int_t)i);
        json_t *key = keys ? json_array_get(keys, i) : number;
        json_t *value = keys                    ? json_object_get(over, json_string_value(key))
                        : json_is_integer(over) ? number
                                                : json_array_get(over, i);
        if (r->rounds++ == ROUNDS_MAX)
            return err_new(ERR_EXHAUSTED, "range: more than %d rounds", ROUNDS_MAX);
        TRY(one_round(r, g, json_incref(key), value));
    }
    return NULL;
}

static fallible range(struct run *r, bool live)
{
    own_json json_t *over = NULL;
    struct range g = { 0 };
    size_t n = 0, keep = r->variables_n;
    bool lenient = r->lenient;
    skip_space(r);
    TRY(range_names(r, &g));
    r->lenient = true;
    TRY(pipeline(r, live, &over));
    r->lenient = lenient;
    TRY(close_action(r));
    if (live && !json_is_array(over) && !json_is_object(over) && !json_is_null(over) && !json_is_integer(over) &&
        r->mode == TEMPLATE_VALUES)
        return err_new(ERR_INVALID, "range: it goes over lists, maps and numbers");
    g.body = r->p;
    g.body_trim = r->trim;
    r->loops++;
    if (live)
        TRY(rounds(r, &g, over, &n));
    if (n == 0) { /* the body is read all the same, for where it ends; its variables have to be there */
        for (size_t i = 0; i < g.names_n; i++)
            TRY(declare(r, g.names[i], strlen(g.names[i]), json_null()));
        TRY(block(r, false, &g.end));
        forget(r, keep);
    }
    r->loops--;
    if (g.end == STOP_ELSE) {
        TRY(close_action(r));
        TRY(block(r, live && n == 0, &g.end));
    }
    return must_end(g.end);
}

/* ---- text and actions ---- */

static void add_text(struct run *r, const char *text, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        bool escape = text[i] == '\\' && i + 1 < n && (text[i + 1] == 't' || text[i + 1] == 'n');
        str_add_char(r->out, escape ? text[i + 1] == 't' ? '\t' : '\n' : text[i]);
        i += escape;
    }
}

/* Up to the next action and into it; false at the end of the template. */
static bool plain_text(struct run *r, bool live)
{
    const char *end = strstr(r->p, "{{");
    const char *next = end ? end : r->p + strlen(r->p), *last = next;
    bool trims = end && end[2] == '-' && isspace((unsigned char)end[3]);
    if (r->trim)
        skip_space(r);
    r->trim = false;
    while (trims && last > r->p && isspace((unsigned char)last[-1]))
        last--;
    if (live && last > r->p)
        add_text(r, r->p, (size_t)(last - r->p));
    r->p = next;
    if (end)
        r->p += 2 + trims;
    return end != NULL;
}

static fallible comment(struct run *r)
{
    const char *end = strstr(r->p, "*/");
    if (!end)
        return wrong(r, "a comment is not closed");
    r->p = end + 2;
    return close_action(r);
}

static fallible print_action(struct run *r, bool live)
{
    own_json json_t *v = NULL;
    bool assigned = false;
    TRY(valued(r, live, &v, &assigned));
    TRY(close_action(r));
    if (live && !assigned) {
        if (json_is_null(v))
            str_add(r->out, "<no value>");
        else
            template_print(v, r->out);
    }
    return r->out->len > TEMPLATE_OUT_MAX ? err_new(ERR_EXHAUSTED, "the result is too long") : NULL;
}

/* One action, after its "{{". *ret_stop is set when it ends the block. */
static fallible action(struct run *r, bool live, bool *ret_stops, enum stop *ret_stop)
{
    static const char *const refused[] = { "template", "define", "block" };
    enum stop jump = STOP_END;
    *ret_stops = true;
    skip_space(r);
    if (r->p[0] == '/' && r->p[1] == '*') {
        *ret_stops = false;
        return comment(r);
    }
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        if (take_word(r, refused[i]))
            return err_new(ERR_UNSUPPORTED, "{{%s}} is not understood by husk", refused[i]);
    if (take_word(r, "end")) {
        *ret_stop = STOP_END;
        return close_action(r);
    }
    if (take_word(r, "else")) { /* what follows it is read by whose else it is */
        *ret_stop = STOP_ELSE;
        return NULL;
    }
    bool stays = take_word(r, "continue");
    if (stays || take_word(r, "break")) {
        if (!r->loops)
            return err_new(ERR_INVALID, "{{break}} and {{continue}} belong into a {{range}}");
        *ret_stops = live;
        *ret_stop = stays ? STOP_CONTINUE : STOP_BREAK;
        return close_action(r);
    }
    *ret_stops = false;
    if (take_word(r, "range"))
        return range(r, live);
    bool with = take_word(r, "with");
    if (!with && !take_word(r, "if"))
        return print_action(r, live);
    TRY(conditional(r, live, with, &jump));
    *ret_stops = is_jump(jump);
    *ret_stop = jump;
    return NULL;
}

static fallible block(struct run *r, bool live, enum stop *ret)
{
    size_t keep = r->variables_n;
    if (++r->depth > DEPTH_MAX)
        return err_new(ERR_INVALID, "blocks are nested too deeply");
    for (;;) {
        bool stops = false;
        if (!plain_text(r, live)) {
            *ret = STOP_TEXT_END;
            break;
        }
        TRY(action(r, live, &stops, ret));
        if (stops)
            break;
    }
    forget(r, keep);
    r->depth--;
    return NULL;
}

fallible template_render(const char *template, const json_t *doc, enum template_mode mode, struct str *out)
{
    return template_render_with(template, doc, NULL, mode, out);
}

fallible template_render_with(const char *template, const json_t *doc, const json_t *zeros, enum template_mode mode,
                              struct str *out)
{
    struct run *r = mem_zalloc(sizeof *r);
    enum stop stop = STOP_END;
    r->p = template;
    r->mode = mode;
    r->doc = doc;
    r->zeros = zeros;
    r->out = out;
    r->variables[0].value = json_incref((json_t *)doc); /* dot, under a name that nobody can write */
    r->variables[0].name[0] = ' ';
    r->variables_n = 1;
    err *e = declare(r, "", 0, json_incref((json_t *)doc)); /* $ */
    if (!e)
        e = block(r, true, &stop);
    if (!e && stop != STOP_TEXT_END)
        e = err_new(ERR_INVALID, "{{%s}} without a block that it belongs to", stop == STOP_ELSE ? "else" : "end");
    forget(r, 0);
    free(r);
    return e;
}
