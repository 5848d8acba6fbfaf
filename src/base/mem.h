/*
 * mem.h: memory that cannot fail, and strings made of it.
 *
 * mem_* aborts when the kernel has no memory: it overcommits, and a branch that no test reaches is worse than an abort.
 * Sizes that a peer chose are checked against a named limit first.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BASE_MEM_H
#define HUSK_BASE_MEM_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/own.h"

void *mem_alloc(size_t size) __attribute__((malloc));
void *mem_zalloc(size_t size) __attribute__((malloc));
void *mem_realloc(void *p, size_t size);
/* n elements of size bytes; the product is checked. */
void *mem_array(void *p, size_t n, size_t size);
/* NULL stays NULL. */
char *mem_strdup(const char *s);
char *mem_strndup(const char *s, size_t n);
char *mem_printf(const char *format, ...) __attribute__((format(printf, 1, 2)));
char *mem_vprintf(const char *format, va_list ap) __attribute__((format(printf, 1, 0)));

/* A string that grows. Zero-initialised is empty; `text` is NULL until the first byte, always NUL-terminated after. */
struct str {
    char *text;
    size_t len, room;
};
#define own_str own(str)
void str_free(struct str *s);
static inline void own_drop_str(struct str *s)
{
    str_free(s);
}
void str_add(struct str *s, const char *text);
void str_add_n(struct str *s, const void *bytes, size_t n);
void str_add_char(struct str *s, char c);
void str_printf(struct str *s, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The text (never NULL), handed out; s is empty again. */
char *str_take(struct str *s);

/* A NULL-terminated list of owned strings: argv, env, labels. Zero-initialised is empty; `items` may be NULL then. */
struct strv {
    char **items;
    size_t n;
};
#define own_strv own(strv)
void strv_free(struct strv *v);
static inline void own_drop_strv(struct strv *v)
{
    strv_free(v);
}
/* Adds a copy. */
void strv_add(struct strv *v, const char *item);
void strv_add_take(struct strv *v, char *take_item);
void strv_add_printf(struct strv *v, const char *format, ...) __attribute__((format(printf, 2, 3)));
void strv_copy(struct strv *to, char *const *items, size_t n);
bool strv_has(const struct strv *v, const char *item);
/* Drops the last item, which there must be. */
void strv_pop(struct strv *v);
/* Splits at every c; "" gives no items. */
void strv_split(struct strv *v, const char *text, char c);
/* Sets "KEY=value" in an environment list, replacing an entry with the same key. */
void strv_setenv(struct strv *env, const char *assignment);
/* The value of KEY in an environment list, or NULL. Borrowed. */
const char *strv_getenv(const struct strv *env, const char *key);

bool str_eq(const char *a, const char *b); /* NULL equals only NULL */
bool str_starts(const char *s, const char *prefix);
bool str_ends(const char *s, const char *suffix);

#endif
