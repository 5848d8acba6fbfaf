/*
 * table.h: lists for people and for scripts: aligned columns, or what --format asks for. A row is a JSON object.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_TABLE_H
#define HUSK_CLI_TABLE_H

#include "codec/bind.h"

struct table_column {
    const char *header, *key;
};
/**
 * table_print - rows on standard output.
 * @columns: ends with a NULL header.
 * @format:  NULL: the columns; "json": one object a line; "table TEMPLATE": aligned at its tabs, under the fields'
 *           headers; else a template for each row (cli/format.h).
 */
fallible table_print(const struct table_column *columns, const json_t *rows, const char *format);
/* The same without the line above a table. */
fallible table_print_bare(const struct table_column *columns, const json_t *rows, const char *format);

/* Where a row has what only a template that asks for it by name gets: codec/template.h, member "". Borrowed. */
json_t *table_unprinted(json_t *row);
/* Docker's Labels, one text "a=b,c=d", and what {{.Label "a"}} answers. */
void table_set_labels(json_t *row, const struct strmap *labels);

/* How many bytes the first n characters of a UTF-8 text take; all of them when it has no more. */
size_t table_bytes_of(const char *text, size_t n);

/* Rows of texts under their titles, aligned. */
void table_print_cells(const struct strv *titles, const struct strv *rows, size_t n);

#endif
