/*
 * expand.h: variables and quotes of a Dockerfile's words.
 *
 *   $name ${name}            its value, or nothing
 *   ${name:-word} ${name-w}  word when it is unset or empty; when it is unset
 *   ${name:+word} ${name+w}  word when it is set and not empty; when it is set
 *   ${name:?word} ${name?w}  an error when it is unset or empty; when it is unset
 *   ${name#pat} ${name##pat} without the shortest, the longest beginning that the pattern (* ? \x) matches
 *   ${name%pat} ${name%%pat} the same at the end
 *   ${name/pat/with}  //     the first, every longest match replaced
 *
 * Words may hold variables again. '...' is taken as it is; in "..." the escape character goes before ", $ and itself;
 * elsewhere it takes the next character as it is. Source: dockerfile-reference.md "Environment replacement".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_EXPAND_H
#define HUSK_BUILD_EXPAND_H

#include "base/err.h"
#include "base/mem.h"

struct expand {
    /* "KEY=VALUE" lists; the first that has the name wins. NULL at the end. Borrowed. */
    const struct strv *env[4];
    char escape;
    bool raw_quotes; /* quotes are characters like others, the escape character works only before a $: here-documents */
    struct strv *ret_unset; /* NULL, or: names without a value that were asked for (with no modifier) are added */
};
/* Errors: INVALID, without a place: the caller knows it. Caller frees *ret. */
fallible expand_word(const struct expand *e, const char *word, char **ret);
/* The same, split at blanks that are not quoted, whether they were written or came out of a variable. */
fallible expand_words(const struct expand *e, const char *text, struct strv *ret);

/* The value of a name, or NULL. Borrowed. */
const char *expand_value(const struct expand *e, const char *name);

#endif
