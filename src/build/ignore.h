/*
 * ignore.h: .dockerignore's patterns, and Go's filepath.Match that COPY's wildcards follow.
 *
 * A pattern is a path of components with * ? [a-z] [^a-z] and \x, none of which matches a slash, and ** for any number
 * of components. It is relative to the context, with or without a leading slash. A file is matched by a pattern when
 * the pattern matches it or a directory above it. The last pattern that matches decides; "!" in front lets the file in
 * again, also below a directory that an earlier one keeps out. "#" begins a comment, blank lines do not count.
 * Source: dockerfile-reference.md ".dockerignore file"; build/concepts/context.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BUILD_IGNORE_H
#define HUSK_BUILD_IGNORE_H

#include "base/err.h"
#include "base/mem.h"

struct ignore;
/**
 * ignore_parse - the text of a .dockerignore.
 * @name: for messages: "FILE:LINE: ...". Errors: INVALID (a bad pattern).
 */
fallible ignore_parse(const char *text, const char *name, struct ignore **ret);
/* The same from --exclude values: one pattern each. */
fallible ignore_of(const struct strv *patterns, const char *name, struct ignore **ret);
void ignore_free(struct ignore *i);
OWN_TYPE(ignore, struct ignore *, ignore_free)

/* Is the file kept out? path: "a/b", clean and relative. NULL ignores nothing. */
bool ignore_matches(const struct ignore *i, const char *path);
/* Could anything below this directory, which is kept out, be let in again? */
bool ignore_may_enter(const struct ignore *i, const char *dir);
/* Does it say anything at all? */
bool ignore_is_empty(const struct ignore *i);

/* Go's filepath.Match: all of name, component by component. *ret_bad: the pattern is malformed. May be NULL. */
bool glob_match(const char *pattern, const char *name, bool *ret_bad);
bool glob_has_wildcards(const char *pattern);

#endif
