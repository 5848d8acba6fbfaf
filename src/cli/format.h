/*
 * format.h: --format: templates over JSON (codec/template.h), or the word "json".
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_FORMAT_H
#define HUSK_CLI_FORMAT_H

#include "codec/template.h"

/* The template with the document's values, without a newline at the end. INVALID names what is not understood or not
 * there. */
fallible format_render(const char *template, const json_t *doc, struct str *out);
/* The line above a table whose lines the template makes. headers: the fields' own, where they are not their names. */
fallible format_headers(const char *template, const json_t *headers, struct str *out);

#endif
