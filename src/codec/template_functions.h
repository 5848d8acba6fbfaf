/*
 * template_functions.h: what templates call, and how values become text. For codec/template.c only.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CODEC_TEMPLATE_FUNCTIONS_H
#define HUSK_CODEC_TEMPLATE_FUNCTIONS_H

#include "codec/bind.h"

struct template_function {
    const char *name;
    size_t min, max; /* arguments */
    bool lenient;    /* a missing field among them is nil: only its truth is asked */
    /* args are borrowed; a *ret of NULL is text that is not UTF-8 */
    err *(*call)(json_t *const *args, size_t n, json_t **ret);
};
/* NULL when there is none of that name. */
const struct template_function *template_function_find(const char *name, size_t n);

bool template_truth(const json_t *v);
/* As Go prints it: strings bare, lists [a b], maps map[k:v] with sorted keys. */
void template_print(const json_t *v, struct str *out);
/* template_escape.c: for a page, for a string in a script, for a part of a query. */
void template_html(const char *text, struct str *out);
void template_js(const char *text, struct str *out);
void template_urlquery(const char *text, struct str *out);
/* A new list of an object's keys. */
json_t *template_sorted_keys(const json_t *object);

#endif
