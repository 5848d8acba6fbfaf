/*
 * ini.h: husk's own configuration files: "[section]" and "key = value", a value in double quotes or bare, '#' begins a
 * comment. Strict: what is not understood is an error with the file's name and line, never passed over.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BASE_INI_H
#define HUSK_BASE_INI_H

#include "base/err.h"

/* An error that it returns gets the place in front. section: never "". */
typedef err *ini_fn(void *ctx, const char *section, const char *key, const char *value);
/**
 * ini_parse - every key of a text, in order.
 * @name: the file's, for messages: "/etc/husk/husk.conf:3: ...".
 * Errors: INVALID.
 */
fallible ini_parse(const char *name, const char *text, ini_fn *fn, void *ctx);

#endif
