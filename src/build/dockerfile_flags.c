// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * What stands before and behind an instruction's words: its flags, and its here-documents.
 */
#include <ctype.h>
#include <string.h>

#include "build/dockerfile_parts.h"

/* ---- flags ---- */

/* One word without its quotes; a backslash takes the next character as it is. Answers where it ends. */
static size_t flag_word(const char *text, size_t at, struct str *ret)
{
    char quote = 0;
    for (; text[at]; at++) {
        char c = text[at];
        if (c == '\\') {
            if (text[at + 1])
                str_add_char(ret, text[++at]);
        } else if (quote) {
            if (c == quote)
                quote = 0;
            else
                str_add_char(ret, c);
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (isspace((unsigned char)c)) {
            break;
        } else {
            str_add_char(ret, c);
        }
    }
    return at;
}

fallible df_flags_parse(struct df_reader *r, const struct df_line *line, size_t *at, struct df_instruction *i)
{
    const char *text = line->text.text;
    while (text[*at] == '-' && text[*at + 1] == '-') {
        own_str struct str word = { 0 };
        size_t end = flag_word(text, *at, &word);
        struct df_place place = df_line_place(line, *at);
        *at = end;
        while (isspace((unsigned char)text[*at]))
            (*at)++;
        if (word.len == 2) /* "--": the flags are over */
            return NULL;
        size_t name = strcspn(word.text + 2, "=");
        if (!name)
            return df_error(r->name, place, "%s %s: expected --NAME=VALUE", df_kind_name(i->kind), word.text);
        i->flags = mem_array(i->flags, i->flags_n + 1, sizeof *i->flags);
        i->flags[i->flags_n++] = (struct df_flag){
            .name = mem_strndup(word.text + 2, name),
            .value = word.text[2 + name] ? mem_strdup(word.text + 3 + name) : NULL,
            .place = place,
        };
    }
    return NULL;
}

/* ---- here-documents ---- */

/* The word behind "<<" and "-": *ret_name without quotes. *at is moved behind it. */
static bool delimiter(const char *text, size_t *at, struct str *ret_name, bool *ret_expand)
{
    char quote = 0;
    *ret_expand = true;
    for (; text[*at]; (*at)++) {
        char c = text[*at];
        if (quote) {
            if (c == quote)
                quote = 0;
            else
                str_add_char(ret_name, c);
        } else if (c == '"' || c == '\'') {
            quote = c;
            *ret_expand = false;
        } else if (c == '\\' && text[*at + 1]) {
            str_add_char(ret_name, text[++*at]);
            *ret_expand = false;
        } else if (isspace((unsigned char)c) || strchr("<>|&;()", c)) {
            break;
        } else {
            str_add_char(ret_name, c);
        }
    }
    return ret_name->len > 0 && !quote;
}

bool df_heredoc_word(const char *word, struct df_heredoc *ret)
{
    own_str struct str name = { 0 };
    size_t at = strspn(word, "0123456789");
    if (strncmp(word + at, "<<", 2) != 0)
        return false;
    at += 2;
    bool chomp = word[at] == '-', expand = true;
    at += chomp;
    if (!delimiter(word, &at, &name, &expand) || word[at])
        return false;
    *ret = (struct df_heredoc){ .name = str_take(&name), .expand = expand, .chomp = chomp };
    return true;
}

char *df_heredoc_name(const char *word)
{
    struct df_heredoc h = { 0 };
    return df_heredoc_word(word, &h) ? h.name : NULL;
}

/* The next word of the shape <<NAME on the line that is not inside quotes; *at is moved behind it. */
static bool next_heredoc(const char *text, size_t *at, size_t *ret_start, struct df_heredoc *ret)
{
    char quote = 0;
    for (size_t i = *at; text[i]; i++) {
        char c = text[i];
        if (c == '\\' && quote != '\'' && text[i + 1]) {
            i++;
            continue;
        }
        if (quote || c == '"' || c == '\'') {
            quote = quote == c ? 0 : quote ? quote : c;
            continue;
        }
        if (c != '<' || text[i + 1] != '<')
            continue;
        size_t end = i + 2;
        bool chomp = text[end] == '-', expand = true;
        own_str struct str name = { 0 };
        end += chomp;
        size_t before = i; /* a descriptor's number may stand in front: "3<<EOF" */
        while (before && isdigit((unsigned char)text[before - 1]))
            before--;
        bool at_start = before == 0 || isspace((unsigned char)text[before - 1]);
        if (text[end] == '<') { /* "<<<" is a here-string of the shell's */
            i = end;
            continue;
        }
        if (!at_start || !delimiter(text, &end, &name, &expand)) {
            i = i + 1;
            continue;
        }
        *ret = (struct df_heredoc){ .name = str_take(&name), .expand = expand, .chomp = chomp };
        *ret_start = i;
        *at = end;
        return true;
    }
    return false;
}

static fallible read_text(struct df_reader *r, struct df_heredoc *h)
{
    own_str struct str text = { 0 };
    const char *line;
    size_t n, name = strlen(h->name);
    while (df_read_line(r, &line, &n)) {
        while (h->chomp && n && *line == '\t') {
            line++;
            n--;
        }
        size_t bare = n;
        if (bare && line[bare - 1] == '\n')
            bare--;
        if (bare && bare < n && line[bare - 1] == '\r')
            bare--;
        if (bare == name && memcmp(line, h->name, name) == 0) {
            h->text = str_take(&text);
            return NULL;
        }
        str_add_n(&text, line, n);
    }
    return df_error(r->name, h->place, "the here-document has no end: expected a line with '%s' alone", h->name);
}

fallible df_heredocs_read(struct df_reader *r, const struct df_line *line, struct df_instruction *i)
{
    size_t at = 0, start = 0;
    struct df_heredoc h;
    if (i->json)
        return NULL;
    while (next_heredoc(line->text.text, &at, &start, &h)) {
        h.place = df_line_place(line, start);
        i->heredocs = mem_array(i->heredocs, i->heredocs_n + 1, sizeof *i->heredocs);
        i->heredocs[i->heredocs_n++] = h;
        TRY(read_text(r, &i->heredocs[i->heredocs_n - 1]));
    }
    return NULL;
}
