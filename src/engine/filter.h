/*
 * filter.h: --filter KEY=VALUE of lists: which keys there are, what their values may be, how several go together.
 *
 * Of one key any value may fit, of labels all must; of different keys each must fit. As docker has it.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_ENGINE_FILTER_H
#define HUSK_ENGINE_FILTER_H

#include "codec/bind.h"

/* A table of these ends with a name NULL. */
struct filter_key {
    const char *name;
    const char *const *words;         /* the only values, NULL-terminated; NULL: any */
    err *(*check)(const char *value); /* NULL: any value will do */
};
/* Whatever there is to be filtered: a wrong filter is told though the list is empty. INVALID, with what is allowed. */
fallible filters_check(const struct strv *filters, const struct filter_key *keys);

/* Whether ctx fits one filter; the key is one of the table's. */
typedef err *filter_fn(void *ctx, const char *key, const char *value, bool *ret);
/* filters: NULL or checked before. */
fallible filters_pass(const struct strv *filters, const struct filter_key *keys, filter_fn *fits, void *ctx, bool *ret);

/* Checks for tables: "80" and the like; true, 1, no; a time or a duration (base/parse.h). */
fallible filter_bool(const char *value);
fallible filter_when(const char *value);
fallible filter_regex(const char *value);
/* Docker's name filter is a regular expression, over the name with and without its slash. */
fallible filter_name(const char *name, const char *wish, bool *ret);
/* wish: KEY, or KEY=VALUE. */
bool filter_label(const struct strmap *labels, const char *wish);

#endif
