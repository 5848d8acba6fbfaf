/*
 * toml.h: TOML 1.0 as a JSON tree, for configuration files that a person wrote; bind.h makes structs of it.
 *
 * Tables are objects, arrays of tables arrays of objects; dates and times stay text. Strict: a key or a table that is
 * defined twice, text that is not UTF-8 and everything that the grammar does not name is refused with its line.
 * Bounded: nesting, and the number of tables.
 * Source: toml.io/en/v1.0.0.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CODEC_TOML_H
#define HUSK_CODEC_TOML_H

#include <jansson.h>
#include <stddef.h>

#include "base/err.h"

enum { TOML_DEPTH_MAX = 32, TOML_TABLES_MAX = 10000 };

/* Errors: INVALID ("line 3: ..."). @ret: an object. */
fallible toml_parse(const char *text, size_t len, json_t **ret);

#endif
