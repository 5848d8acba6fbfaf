// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/mem.h"

#include <stdio.h>
#include <string.h>

static _Noreturn void out_of_memory(size_t size)
{
    fprintf(stderr, "husk: no memory for %zu bytes\n", size);
    abort();
}

void *mem_alloc(size_t size)
{
    void *p = malloc(size ? size : 1);
    if (!p)
        out_of_memory(size);
    return p;
}

void *mem_zalloc(size_t size)
{
    void *p = calloc(1, size ? size : 1);
    if (!p)
        out_of_memory(size);
    return p;
}

void *mem_realloc(void *p, size_t size)
{
    void *q = realloc(p, size ? size : 1);
    if (!q)
        out_of_memory(size);
    return q;
}

void *mem_array(void *p, size_t n, size_t size)
{
    size_t bytes = 0;
    if (__builtin_mul_overflow(n, size, &bytes))
        out_of_memory(n);
    return mem_realloc(p, bytes);
}

char *mem_strdup(const char *s)
{
    return s ? mem_strndup(s, strlen(s)) : NULL;
}

char *mem_strndup(const char *s, size_t n)
{
    size_t len = strnlen(s, n);
    char *copy = mem_alloc(len + 1);
    memcpy(copy, s, len);
    copy[len] = '\0';
    return copy;
}

char *mem_printf(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    char *text = mem_vprintf(format, ap);
    va_end(ap);
    return text;
}

char *mem_vprintf(const char *format, va_list ap)
{
    char *text = NULL, small[256]; /* vasprintf() prints twice: to know the length, and again */
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(small, sizeof small, format, again);
    va_end(again);
    if (n >= 0 && (size_t)n < sizeof small)
        return mem_strndup(small, (size_t)n);
    if (vasprintf(&text, format, ap) < 0)
        out_of_memory(0);
    return text;
}

void str_free(struct str *s)
{
    free(s->text);
    *s = (struct str){ 0 };
}

void str_add_n(struct str *s, const void *bytes, size_t n)
{
    if (!s->text || s->len + n + 1 > s->room) {
        size_t room = s->room ? s->room * 2 : 64;
        while (room < s->len + n + 1)
            room *= 2;
        s->text = mem_realloc(s->text, room);
        s->room = room;
    }
    if (n)
        memcpy(s->text + s->len, bytes, n);
    s->len += n;
    s->text[s->len] = '\0';
}

void str_add(struct str *s, const char *text)
{
    str_add_n(s, text, strlen(text));
}

void str_add_char(struct str *s, char c)
{
    str_add_n(s, &c, 1);
}

void str_printf(struct str *s, const char *format, ...)
{
    va_list ap;
    char small[256];
    va_start(ap, format);
    int n = vsnprintf(small, sizeof small, format, ap);
    va_end(ap);
    if (n >= 0 && (size_t)n < sizeof small) {
        str_add_n(s, small, (size_t)n);
        return;
    }
    va_start(ap, format);
    own_mem char *text = mem_vprintf(format, ap);
    va_end(ap);
    str_add(s, text);
}

char *str_take(struct str *s)
{
    if (!s->text)
        str_add(s, "");
    char *text = s->text;
    *s = (struct str){ 0 };
    return text;
}

void strv_free(struct strv *v)
{
    for (size_t i = 0; i < v->n; i++)
        free(v->items[i]);
    free(v->items);
    *v = (struct strv){ 0 };
}

void strv_add_take(struct strv *v, char *take_item)
{
    v->items = mem_array(v->items, v->n + 2, sizeof *v->items);
    v->items[v->n++] = take_item;
    v->items[v->n] = NULL;
}

void strv_add(struct strv *v, const char *item)
{
    strv_add_take(v, mem_strdup(item));
}

void strv_add_printf(struct strv *v, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    strv_add_take(v, mem_vprintf(format, ap));
    va_end(ap);
}

void strv_copy(struct strv *to, char *const *items, size_t n)
{
    for (size_t i = 0; i < n; i++)
        strv_add(to, items[i]);
}

bool strv_has(const struct strv *v, const char *item)
{
    for (size_t i = 0; i < v->n; i++)
        if (strcmp(v->items[i], item) == 0)
            return true;
    return false;
}

void strv_split(struct strv *v, const char *text, char c)
{
    while (*text) {
        const char *end = strchrnul(text, c);
        strv_add_take(v, mem_strndup(text, (size_t)(end - text)));
        if (!*end)
            return;
        text = end + 1;
        if (!*text)
            strv_add(v, "");
    }
}

void strv_setenv(struct strv *env, const char *assignment)
{
    size_t key = (size_t)(strchrnul(assignment, '=') - assignment);
    for (size_t i = 0; i < env->n; i++) {
        if (strncmp(env->items[i], assignment, key) == 0 && env->items[i][key] == '=') {
            free(env->items[i]);
            env->items[i] = mem_strdup(assignment);
            return;
        }
    }
    strv_add(env, assignment);
}

const char *strv_getenv(const struct strv *env, const char *key)
{
    size_t len = strlen(key);
    for (size_t i = 0; i < env->n; i++)
        if (strncmp(env->items[i], key, len) == 0 && env->items[i][len] == '=')
            return env->items[i] + len + 1;
    return NULL;
}

bool str_eq(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

bool str_starts(const char *s, const char *prefix)
{
    return strncmp(s, prefix, strlen(prefix)) == 0;
}

bool str_ends(const char *s, const char *suffix)
{
    size_t n = strlen(s), m = strlen(suffix);
    return n >= m && memcmp(s + n - m, suffix, m) == 0;
}

void strv_pop(struct strv *v)
{
    v->n--;
    free(v->items[v->n]);
    v->items[v->n] = NULL;
}
