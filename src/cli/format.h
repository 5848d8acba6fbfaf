/*
 * format.h: --format: the part of Go's templates that people use, over JSON.
 *
 * {{.A.B}}, {{json .A}}, {{index .A "key"}}, {{len .A}}, {{.}}, {{"text"}}, {{upper .A}}, {{lower .A}}, {{println}},
 * and "\t" "\n" in the text between. {{if}} and {{range}} are refused by name.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_FORMAT_H
#define HUSK_CLI_FORMAT_H

#include "codec/bind.h"

/* The template with the document's values, without a newline at the end. INVALID names what is not understood or not
 * there. */
fallible format_render(const char *template, const json_t *doc, struct str *out);

#endif
