// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/table.h"

#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "cli/format.h"

enum { COLUMNS_MAX = 24, GAP = 3 };

size_t table_bytes_of(const char *text, size_t n)
{
    size_t i = 0;
    for (; text[i]; i++)
        if (((unsigned char)text[i] & 0xc0) != 0x80 && n-- == 0)
            break;
    return i;
}

/* Columns on a screen: code points, which is right for everything but the widest scripts. */
static size_t width_of(const char *text, size_t n)
{
    size_t w = 0;
    for (size_t i = 0; i < n; i++)
        w += ((unsigned char)text[i] & 0xc0) != 0x80;
    return w;
}

/* Lists may be long: printf() with widths would be much of their time. */
static void print_cell(const char *cell, size_t n, size_t gap)
{
    static const char blanks[] = "                                                                ";
    (void)fwrite(cell, 1, n, stdout);
    for (size_t some; gap; gap -= some) {
        some = gap < sizeof blanks - 1 ? gap : sizeof blanks - 1;
        (void)fwrite(blanks, 1, some, stdout);
    }
}

/* Lines with cells divided by tabs; every cell but a line's last is padded to its column. */
static void print_aligned(const struct strv *lines)
{
    size_t widths[COLUMNS_MAX] = { 0 };
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < lines->n; i++) {
            const char *cell = lines->items[i];
            for (size_t column = 0;; column++) {
                size_t n = strcspn(cell, "\t"), w = width_of(cell, n);
                bool last = !cell[n] || column + 1 == COLUMNS_MAX;
                if (pass == 0 && w > widths[column])
                    widths[column] = w;
                if (pass == 1)
                    print_cell(cell, last ? strlen(cell) : n, last ? 0 : widths[column] - w + GAP);
                if (last)
                    break;
                cell += n + 1;
            }
            if (pass == 1)
                putchar('\n');
        }
}

static const char *text_of(const json_t *row, const char *key)
{
    const char *text = json_string_value(json_object_get(row, key));
    return text ? text : "";
}

static void add_cell(struct str *line, const json_t *row, const char *key)
{
    const json_t *number = json_object_get(row, key);
    if (json_is_integer(number))
        str_printf(line, "%lld", (long long)json_integer_value(number));
    else
        str_add(line, text_of(row, key));
}

static void print_columns(const struct table_column *columns, const json_t *rows, bool heading)
{
    own_strv struct strv lines = { 0 };
    own_str struct str line = { 0 };
    for (const struct table_column *c = columns; c->header; c++)
        str_printf(&line, "%s%s", c == columns ? "" : "\t", c->header);
    if (heading)
        strv_add_take(&lines, str_take(&line));
    str_free(&line);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        for (const struct table_column *c = columns; c->header; c++) {
            str_add(&line, c == columns ? "" : "\t");
            add_cell(&line, json_array_get(rows, i), c->key);
        }
        strv_add_take(&lines, str_take(&line));
    }
    print_aligned(&lines);
}

/* The header line of "table TEMPLATE": the same template over the fields' headers. */
static fallible header_line(const struct table_column *columns, const char *template, struct str *out)
{
    /* of fields that no table shows by itself; the others' is the field's name in capitals */
    own_json json_t *headers = json_pack("{s:s, s:s, s:s, s:s}", "CreatedAt", "CREATED AT", "CreatedSince", "CREATED",
                                         "RunningFor", "CREATED", "LocalVolumes", "LOCAL VOLUMES");
    for (const struct table_column *c = columns; c->header; c++)
        (void)json_object_set_new(headers, c->key, json_string(c->header));
    return format_headers(template, headers, out);
}

static fallible print_table_template(const struct table_column *columns, const json_t *rows, const char *template,
                                     bool heading)
{
    own_strv struct strv lines = { 0 };
    own_str struct str line = { 0 };
    TRY(header_line(columns, template, &line));
    if (heading)
        strv_add_take(&lines, str_take(&line));
    str_free(&line);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        TRY(format_render(template, json_array_get(rows, i), &line));
        strv_add_take(&lines, str_take(&line));
    }
    print_aligned(&lines);
    return NULL;
}

static fallible print(const struct table_column *columns, const json_t *rows, const char *format, bool heading)
{
    if (!format || !*format || strcmp(format, "table") == 0) {
        print_columns(columns, rows, heading);
        return NULL;
    }
    if (str_starts(format, "table "))
        return print_table_template(columns, rows, format + strlen("table "), heading);
    for (size_t i = 0; i < json_array_size(rows); i++) {
        own_str struct str line = { 0 };
        TRY(format_render(format, json_array_get(rows, i), &line));
        printf("%s\n", line.text ? line.text : "");
    }
    return NULL;
}

fallible table_print(const struct table_column *columns, const json_t *rows, const char *format)
{
    return print(columns, rows, format, true);
}

fallible table_print_bare(const struct table_column *columns, const json_t *rows, const char *format)
{
    return print(columns, rows, format, false);
}

json_t *table_unprinted(json_t *row)
{
    if (!json_object_get(row, ""))
        (void)json_object_set_new(row, "", json_object());
    return json_object_get(row, "");
}

void table_set_labels(json_t *row, const struct strmap *labels)
{
    own_str struct str text = { 0 };
    json_t *map = json_object();
    for (size_t i = 0; i < labels->n; i++) {
        str_printf(&text, "%s%s=%s", i ? "," : "", labels->items[i].key, labels->items[i].value);
        (void)json_object_set_new(map, labels->items[i].key, json_string(labels->items[i].value));
    }
    (void)json_object_set_new(row, "Labels", json_string(text.text ? text.text : ""));
    (void)json_object_set_new(table_unprinted(row), "Label", map);
}

static char *join_cells(const struct strv *cells)
{
    own_str struct str line = { 0 };
    for (size_t i = 0; i < cells->n; i++)
        str_printf(&line, "%s%s", i ? "\t" : "", cells->items[i]);
    return str_take(&line);
}

void table_print_cells(const struct strv *titles, const struct strv *rows, size_t n)
{
    own_strv struct strv lines = { 0 };
    strv_add_take(&lines, join_cells(titles));
    for (size_t i = 0; i < n; i++)
        strv_add_take(&lines, join_cells(&rows[i]));
    print_aligned(&lines);
}
