// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/format.h"

#include <ctype.h>
#include <string.h>

/* As Go prints it: strings bare, numbers and booleans as they are, lists [a b], maps map[k:v]. */
static void print_value(const json_t *v, struct str *out)
{
    switch (json_typeof(v)) {
    case JSON_STRING:
        str_add(out, json_string_value(v));
        break;
    case JSON_INTEGER:
        str_printf(out, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        break;
    case JSON_REAL:
        str_printf(out, "%g", json_real_value(v));
        break;
    case JSON_TRUE:
    case JSON_FALSE:
        str_add(out, json_is_true(v) ? "true" : "false");
        break;
    case JSON_NULL:
        str_add(out, "<nil>");
        break;
    case JSON_ARRAY:
        str_add_char(out, '[');
        for (size_t i = 0; i < json_array_size(v); i++) {
            if (i)
                str_add_char(out, ' ');
            print_value(json_array_get(v, i), out);
        }
        str_add_char(out, ']');
        break;
    case JSON_OBJECT: {
        const char *key, *between = "";
        json_t *value;
        str_add(out, "map[");
        json_object_foreach ((json_t *)v, key, value) {
            str_printf(out, "%s%s:", between, key);
            print_value(value, out);
            between = " ";
        }
        str_add_char(out, ']');
        break;
    }
    }
}

/* ".A.B" from doc; "." is doc itself. */
static fallible look_up(const char *path, const json_t *doc, const json_t **ret)
{
    const json_t *at = doc;
    own_strv struct strv parts = { 0 };
    if (path[0] != '.')
        return err_new(ERR_INVALID, "'%s' is not understood: {{.Field}}, {{json .Field}}, {{index .Field \"key\"}}",
                       path);
    if (path[1])
        strv_split(&parts, path + 1, '.');
    for (size_t i = 0; i < parts.n; i++) {
        const json_t *next = json_object_get(at, parts.items[i]);
        if (!next)
            return err_new(ERR_INVALID, "there is no field '%s' in '%s'", parts.items[i], path);
        at = next;
    }
    *ret = at;
    return NULL;
}

/* Words of an action; a quoted one keeps its opening quote. */
static fallible split_words(const char *action, struct strv *ret)
{
    for (const char *p = action; *p;) {
        p += strspn(p, " \t");
        if (!*p)
            break;
        if (*p == '"') {
            const char *end = strchr(p + 1, '"');
            if (!end)
                return err_new(ERR_INVALID, "'%s': a quote is not closed", action);
            strv_add_take(ret, mem_strndup(p, (size_t)(end - p)));
            p = end + 1;
        } else {
            size_t n = strcspn(p, " \t");
            strv_add_take(ret, mem_strndup(p, n));
            p += n;
        }
    }
    return NULL;
}

static fallible take_index(const json_t *from, const char *word, const json_t **ret)
{
    int64_t i;
    if (word[0] == '"') {
        *ret = json_object_get(from, word + 1);
        return NULL;
    }
    TRY_AS(parse_i64(word, 0, INT32_MAX, &i), "index");
    *ret = json_array_get(from, (size_t)i);
    if (!*ret)
        return err_new(ERR_INVALID, "index %s is out of range", word);
    return NULL;
}

static void print_case(const json_t *v, bool upper, struct str *out)
{
    own_str struct str text = { 0 };
    print_value(v, &text);
    for (char *p = text.text; p && *p; p++)
        *p = (char)(upper ? toupper((unsigned char)*p) : tolower((unsigned char)*p));
    str_add(out, text.text ? text.text : "");
}

static fallible run_function(const struct strv *w, const json_t *doc, struct str *out)
{
    const json_t *v = NULL;
    const char *f = w->items[0];
    if (strcmp(f, "println") == 0 && w->n == 1) {
        str_add_char(out, '\n');
        return NULL;
    }
    if (w->n < 2)
        return err_new(ERR_INVALID, "'%s' is not understood: {{.Field}}, {{json .Field}}, {{index .Field \"key\"}}", f);
    TRY(look_up(w->items[1], doc, &v));
    if (strcmp(f, "json") == 0) {
        char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY);
        str_add(out, text ? text : "");
        free(text);
    } else if (strcmp(f, "len") == 0) {
        str_printf(out, "%zu",
                   json_is_array(v)    ? json_array_size(v)
                   : json_is_string(v) ? strlen(json_string_value(v))
                                       : json_object_size(v));
    } else if (strcmp(f, "upper") == 0 || strcmp(f, "lower") == 0) {
        print_case(v, f[0] == 'u', out);
    } else if (strcmp(f, "index") == 0 && w->n > 2) {
        for (size_t i = 2; v && i < w->n; i++)
            TRY(take_index(v, w->items[i], &v));
        if (v)
            print_value(v, out);
    } else {
        return err_new(ERR_INVALID, "'%s' is not understood: json, index, len, upper, lower and println are", f);
    }
    return NULL;
}

static fallible run_action(const char *action, const json_t *doc, struct str *out)
{
    static const char *const refused[] = { "if", "range", "with", "else", "end", "template", "define" };
    own_strv struct strv words = { 0 };
    const json_t *v;
    TRY(split_words(action, &words));
    if (words.n == 0)
        return err_new(ERR_INVALID, "an empty {{}}");
    for (size_t i = 0; i < ARRAY_SIZE(refused); i++)
        if (strcmp(words.items[0], refused[i]) == 0)
            return err_new(ERR_UNSUPPORTED, "{{%s}} is not understood by husk: use --format json and jq", refused[i]);
    if (words.items[0][0] == '"') {
        str_add(out, words.items[0] + 1);
        return NULL;
    }
    if (words.n > 1 || words.items[0][0] != '.')
        return run_function(&words, doc, out);
    TRY(look_up(words.items[0], doc, &v));
    print_value(v, out);
    return NULL;
}

fallible format_render(const char *template, const json_t *doc, struct str *out)
{
    for (const char *p = template; *p;) {
        if (p[0] == '{' && p[1] == '{') {
            const char *end = strstr(p, "}}");
            if (!end)
                return err_new(ERR_INVALID, "--format: '{{' without '}}'");
            own_mem char *action = mem_strndup(p + 2, (size_t)(end - p - 2));
            TRY_AS(run_action(action, doc, out), "--format");
            p = end + 2;
        } else if (p[0] == '\\' && (p[1] == 't' || p[1] == 'n')) {
            str_add_char(out, p[1] == 't' ? '\t' : '\n');
            p += 2;
        } else {
            str_add_char(out, *p++);
        }
    }
    return NULL;
}
