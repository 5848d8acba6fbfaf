/*
 * template.h: the part of Go's text/template that people write after --format, over a JSON document.
 *
 *   {{.A.B}} {{$}} {{$x := .A}} {{(index .A 0).B}}     fields, variables, parentheses
 *   {{if}} {{else if}} {{else}} {{end}} {{range $i, $v := .A}} {{break}} {{continue}} {{with}}
 *   and or not eq ne lt le gt ge len index slice print printf println
 *   json join split lower upper title pad truncate      docker's own
 *   {{- trim -}}, {{/" comment "/}} (with stars), pipes, "text" `text` 'c' 1 1.5 true false nil
 *
 * "\t" and "\n" in the text between actions are a tab and a newline, as docker has it. A field that is not there is an
 * error that names it, so that a misspelt script does not go on with nothing; where only its truth is asked (if, with,
 * and, or, not, eq, ne) it is nil, and so are missing keys of maps whose keys are the user's (Labels, Ports ...).
 * Source: Go, text/template; docker's templates package.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CODEC_TEMPLATE_H
#define HUSK_CODEC_TEMPLATE_H

#include "codec/bind.h"

/* HEADERS: the line above a table: each field is its document's text or else its own name in capitals, and functions
 * hand it on unchanged. */
enum template_mode { TEMPLATE_VALUES, TEMPLATE_HEADERS };
/* What comes out may be as long as this. */
enum { TEMPLATE_OUT_MAX = 64 << 20 };

/**
 * template_render - the template with the document's values, appended to out.
 * @doc: a member "" of an object is not printed: it has what {{.Name "key"}} answers, such as
 *       {"Label": {"key": "value"}}, and fields that are there for who asks for them by name.
 * Errors: INVALID names what is not understood or not there; UNSUPPORTED for define, template, block; EXHAUSTED.
 */
fallible template_render(const char *template, const json_t *doc, enum template_mode mode, struct str *out);
/**
 * template_render_with - the same with values of fields that are not there.
 * @zeros: {"Config": {"Volumes": {}}}: by the name of the field that they are in; "": the document's own. NULL: none.
 */
fallible template_render_with(const char *template, const json_t *doc, const json_t *zeros, enum template_mode mode,
                              struct str *out);

#endif
