// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <string.h>

#include "build/dockerfile_parts.h"

err *df_error(const char *name, struct df_place place, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    own_mem char *text = mem_vprintf(format, ap);
    va_end(ap);
    return err_new(ERR_INVALID, "%s:%d:%d: %s", name, place.line, place.column, text);
}

/* ---- joined lines ---- */

void df_line_clear(struct df_line *l)
{
    str_free(&l->text);
    free(l->segments);
    *l = (struct df_line){ 0 };
}

void df_line_add(struct df_line *l, const char *text, size_t n, struct df_place place)
{
    l->segments = mem_array(l->segments, l->segments_n + 1, sizeof *l->segments);
    l->segments[l->segments_n++] = (struct df_segment){ l->text.len, place };
    str_add_n(&l->text, text, n);
}

struct df_place df_line_place(const struct df_line *l, size_t at)
{
    size_t i = l->segments_n;
    while (i > 1 && l->segments[i - 1].at > at)
        i--;
    if (i == 0)
        return (struct df_place){ 0 };
    struct df_place p = l->segments[i - 1].place;
    p.column += (int)(at - l->segments[i - 1].at);
    return p;
}

bool df_read_line(struct df_reader *r, const char **ret_line, size_t *ret_n)
{
    if (r->at >= r->len)
        return false;
    const char *start = r->text + r->at;
    const char *end = memchr(start, '\n', r->len - r->at);
    *ret_line = start;
    *ret_n = end ? (size_t)(end - start) + 1 : r->len - r->at;
    r->at += *ret_n;
    r->line++;
    return true;
}

static size_t without_newline(const char *line, size_t n)
{
    if (n && line[n - 1] == '\n')
        n--;
    if (n && line[n - 1] == '\r')
        n--;
    return n;
}

static size_t leading_space(const char *line, size_t n)
{
    size_t i = 0;
    while (i < n && isspace((unsigned char)line[i]))
        i++;
    return i;
}

static bool is_comment(const char *line, size_t n)
{
    size_t i = leading_space(line, n);
    return i < n && line[i] == '#';
}

/* The escape character at the end, blanks behind it allowed, unless another stands before it: the length without. */
static bool continues(char escape, const char *line, size_t n, size_t *ret_n)
{
    size_t end = n;
    while (end && (line[end - 1] == ' ' || line[end - 1] == '\t'))
        end--;
    *ret_n = n;
    if (!end || line[end - 1] != escape || (end > 1 && line[end - 2] == escape))
        return false;
    *ret_n = end - 1;
    return true;
}

/* ---- directives ---- */

enum directive { DIRECTIVE_NONE, DIRECTIVE_ESCAPE, DIRECTIVE_SYNTAX, DIRECTIVE_CHECK };

/* "# name = value" */
static enum directive directive_of(const char *line, size_t n, char **ret_value, int *ret_column)
{
    static const char *const names[] = { "", "escape", "syntax", "check" };
    size_t i = 1;
    while (i < n && (line[i] == ' ' || line[i] == '\t'))
        i++;
    size_t name = i;
    while (i < n && isalnum((unsigned char)line[i]))
        i++;
    size_t name_n = i - name;
    while (i < n && (line[i] == ' ' || line[i] == '\t'))
        i++;
    if (!name_n || i >= n || line[i] != '=')
        return DIRECTIVE_NONE;
    i++;
    while (i < n && isspace((unsigned char)line[i]))
        i++;
    while (n > i && isspace((unsigned char)line[n - 1]))
        n--;
    for (size_t k = 1; i < n && k < ARRAY_SIZE(names); k++)
        if (strlen(names[k]) == name_n && strncasecmp(line + name, names[k], name_n) == 0) {
            *ret_value = mem_strndup(line + i, n - i);
            *ret_column = (int)i + 1;
            return (enum directive)k;
        }
    return DIRECTIVE_NONE;
}

static fallible take_directive(struct df_reader *r, struct dockerfile *f, enum directive d, char *take_value,
                               int column, unsigned *seen)
{
    own_mem char *value = take_value;
    struct df_place place = { r->line, column };
    if (*seen & (1U << d))
        return df_error(r->name, place, "this directive is there already: it may be given once");
    *seen |= 1U << d;
    if (d == DIRECTIVE_SYNTAX) {
        f->syntax = take(value);
        f->syntax_place = place;
    } else if (d == DIRECTIVE_CHECK) {
        f->check = take(value);
        f->check_place = place;
    } else {
        if (strcmp(value, "\\") != 0 && strcmp(value, "`") != 0)
            return df_error(r->name, place, "escape='%s': expected \\ or `", value);
        f->escape = r->escape = value[0];
    }
    return NULL;
}

static fallible read_directives(struct df_reader *r, struct dockerfile *f)
{
    unsigned seen = 0;
    for (;;) {
        const char *line;
        size_t n, before = r->at;
        char *value = NULL;
        int column = 0;
        if (!df_read_line(r, &line, &n))
            return NULL;
        n = without_newline(line, n);
        enum directive d = n && line[0] == '#' ? directive_of(line, n, &value, &column) : DIRECTIVE_NONE;
        if (d == DIRECTIVE_NONE) {
            r->at = before;
            r->line--;
            return NULL;
        }
        TRY(take_directive(r, f, d, value, column, &seen));
    }
}

/* ---- the file ---- */

static void note_empty(struct dockerfile *f, int line)
{
    f->empty_continuations =
        mem_array(f->empty_continuations, f->empty_continuations_n + 1, sizeof *f->empty_continuations);
    f->empty_continuations[f->empty_continuations_n++] = (struct df_place){ line, 1 };
}

/* One logical line. *ret_any false: there was none any more. */
static bool read_joined(struct df_reader *r, struct dockerfile *f, struct df_line *joined, struct str *comment)
{
    const char *line;
    size_t n;
    bool open = false, any = false;
    while (df_read_line(r, &line, &n)) {
        size_t kept, skip = 0;
        n = without_newline(line, n);
        if (is_comment(line, n)) {
            size_t at = leading_space(line, n) + 1;
            if (!open)
                str_printf(comment, "%.*s\n", (int)(n - at), line + at);
            continue;
        }
        if (leading_space(line, n) == n) {
            if (open && any)
                note_empty(f, r->line);
            else
                str_free(comment);
            continue;
        }
        if (!open)
            skip = leading_space(line, n);
        bool more = continues(r->escape, line + skip, n - skip, &kept);
        df_line_add(joined, line + skip, kept, (struct df_place){ r->line, (int)skip + 1 });
        any = any || kept > 0;
        open = more;
        if (!more && joined->text.len > 0)
            return true;
    }
    return joined->text.len > 0 && leading_space(joined->text.text, joined->text.len) < joined->text.len;
}

static fallible add_instruction(struct df_reader *r, struct dockerfile *f, const struct df_line *line, char *comment)
{
    f->items = mem_array(f->items, f->n + 1, sizeof *f->items);
    struct df_instruction *i = &f->items[f->n++];
    *i = (struct df_instruction){ .comment = comment };
    TRY(df_instruction_parse(r, line, i));
    struct df_instruction *inner = i->trigger ? i->trigger : i;
    if (inner->kind == DF_RUN || inner->kind == DF_COPY || inner->kind == DF_ADD)
        TRY(df_heredocs_read(r, line, inner));
    i->last_line = r->line;
    return NULL;
}

static fallible read_all(struct df_reader *r, struct dockerfile *f)
{
    for (;;) {
        own(df_line) struct df_line line = { 0 };
        own_str struct str comment = { 0 };
        if (!read_joined(r, f, &line, &comment))
            return NULL;
        TRY(add_instruction(r, f, &line, comment.len ? str_take(&comment) : NULL));
    }
}

static fallible check_order(const struct dockerfile *f)
{
    for (size_t i = 0; i < f->n; i++) {
        const struct df_instruction *x = &f->items[i];
        if (x->kind == DF_FROM)
            return NULL;
        if (x->kind != DF_ARG)
            return df_error(f->name, x->place, "%s before the first FROM: expected FROM, or ARG for its line",
                            df_kind_name(x->kind));
    }
    return err_new(ERR_INVALID, "%s: there is no FROM: a Dockerfile begins with one", f->name);
}

static fallible parse(const char *text, size_t len, const char *name, bool whole, struct dockerfile **ret)
{
    own(dockerfile) struct dockerfile *f = mem_zalloc(sizeof *f);
    struct df_reader r = { .name = name, .text = text, .len = len, .escape = '\\' };
    f->name = mem_strdup(name);
    f->escape = '\\';
    if (len > DOCKERFILE_MAX)
        return err_new(ERR_INVALID, "%s: it is larger than %d MiB", name, DOCKERFILE_MAX >> 20);
    if (memchr(text, '\0', len))
        return err_new(ERR_INVALID, "%s: it has a NUL byte: expected text", name);
    if (len >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0)
        r.at = 3;
    if (whole)
        TRY(read_directives(&r, f));
    TRY(read_all(&r, f));
    if (whole)
        TRY(check_order(f));
    *ret = take(f);
    return NULL;
}

fallible dockerfile_parse(const char *text, size_t len, const char *name, struct dockerfile **ret)
{
    return parse(text, len, name, true, ret);
}

fallible dockerfile_parse_one(const char *text, const char *name, struct dockerfile **ret)
{
    own(dockerfile) struct dockerfile *f = NULL;
    TRY(parse(text, strlen(text), name, false, &f));
    if (f->n != 1)
        return err_new(ERR_INVALID, "%s: expected one instruction, not %zu", name, f->n);
    *ret = take(f);
    return NULL;
}

void dockerfile_free(struct dockerfile *f)
{
    if (!f)
        return;
    for (size_t i = 0; i < f->n; i++)
        df_instruction_clear(&f->items[i]);
    free(f->items);
    free(f->name);
    free(f->syntax);
    free(f->check);
    free(f->empty_continuations);
    free(f);
}

const struct df_flag *df_flag(const struct df_instruction *i, const char *name)
{
    for (size_t k = i->flags_n; k-- > 0;)
        if (strcmp(i->flags[k].name, name) == 0)
            return &i->flags[k];
    return NULL;
}

bool df_flag_is_on(const struct df_instruction *i, const char *name)
{
    const struct df_flag *f = df_flag(i, name);
    return f && (!f->value || strcasecmp(f->value, "true") == 0 || strcmp(f->value, "1") == 0);
}
