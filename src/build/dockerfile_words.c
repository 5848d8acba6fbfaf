// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * One joined line as an instruction: its word, its flags, and what follows in the form that the instruction has.
 */
#include <ctype.h>
#include <jansson.h>
#include <string.h>

#include "base/opt.h"
#include "build/dockerfile_parts.h"

void df_args_add(struct df_instruction *i, char *take_word, struct df_place place)
{
    i->places = mem_array(i->places, i->args.n + 1, sizeof *i->places);
    i->places[i->args.n] = place;
    strv_add_take(&i->args, take_word);
}

void df_instruction_clear(struct df_instruction *i)
{
    free(i->word);
    free(i->text);
    free(i->comment);
    for (size_t k = 0; k < i->flags_n; k++) {
        free(i->flags[k].name);
        free(i->flags[k].value);
    }
    free(i->flags);
    strv_free(&i->args);
    free(i->places);
    for (size_t k = 0; k < i->heredocs_n; k++) {
        free(i->heredocs[k].name);
        free(i->heredocs[k].text);
    }
    free(i->heredocs);
    if (i->trigger)
        df_instruction_clear(i->trigger);
    free(i->trigger);
    *i = (struct df_instruction){ 0 };
}

static size_t skip_space(const char *text, size_t at)
{
    while (isspace((unsigned char)text[at]))
        at++;
    return at;
}

/* ---- words ---- */

/* Ends at a blank that no quote and no escape character holds together. */
static size_t word_end(const char *text, size_t at, char escape)
{
    char quote = 0;
    for (; text[at]; at++) {
        char c = text[at];
        if (c == escape && quote != '\'' && text[at + 1]) {
            at++;
        } else if (quote) {
            if (c == quote)
                quote = 0;
        } else if (c == '"' || c == '\'') {
            quote = c;
        } else if (isspace((unsigned char)c)) {
            break;
        }
    }
    return at;
}

static void add_words(struct df_reader *r, const struct df_line *line, size_t at, struct df_instruction *i, bool quotes)
{
    const char *text = line->text.text;
    for (at = skip_space(text, at); text[at]; at = skip_space(text, at)) {
        size_t end = at;
        if (quotes)
            end = word_end(text, at, r->escape);
        else
            while (text[end] && !isspace((unsigned char)text[end]))
                end++;
        df_args_add(i, mem_strndup(text + at, end - at), df_line_place(line, at));
        at = end;
    }
}

/* A JSON list of strings, or nothing is added. */
static bool add_json(const struct df_line *line, size_t at, struct df_instruction *i)
{
    const char *text = line->text.text;
    at = skip_space(text, at);
    if (text[at] != '[')
        return false;
    json_t *list = json_loads(text + at, 0, NULL);
    bool good = json_is_array(list);
    for (size_t k = 0; good && k < json_array_size(list); k++)
        good = json_is_string(json_array_get(list, k));
    for (size_t k = 0; good && k < json_array_size(list); k++)
        df_args_add(i, mem_strdup(json_string_value(json_array_get(list, k))), df_line_place(line, at));
    json_decref(list);
    i->json = good;
    return good;
}

/* What is left, without blanks at its ends. */
static void add_rest(const struct df_line *line, size_t at, struct df_instruction *i)
{
    const char *text = line->text.text;
    at = skip_space(text, at);
    size_t end = line->text.len;
    while (end > at && isspace((unsigned char)text[end - 1]))
        end--;
    if (end > at)
        df_args_add(i, mem_strndup(text + at, end - at), df_line_place(line, at));
}

/* ---- the forms ---- */

static fallible pairs(struct df_reader *r, const struct df_line *line, size_t at, struct df_instruction *i)
{
    const char *text = line->text.text;
    const char *name = df_kind_name(i->kind);
    at = skip_space(text, at);
    struct df_place place = df_line_place(line, at);
    size_t end = word_end(text, at, r->escape);
    if (!text[at])
        return df_error(r->name, i->place, "%s: expected NAME=VALUE", name);
    if (!memchr(text + at, '=', end - at)) { /* the old form: everything behind the name is the value */
        size_t value = skip_space(text, end), last = line->text.len;
        while (last > value && isspace((unsigned char)text[last - 1]))
            last--;
        if (last <= value)
            return df_error(r->name, place, "%s: '%.*s' has no value: expected NAME=VALUE", name, (int)(end - at),
                            text + at);
        i->old_pair = true;
        df_args_add(i, mem_strndup(text + at, end - at), place);
        df_args_add(i, mem_strndup(text + value, last - value), df_line_place(line, value));
        return NULL;
    }
    for (; text[at]; at = skip_space(text, end)) {
        end = word_end(text, at, r->escape);
        place = df_line_place(line, at);
        const char *equals = memchr(text + at, '=', end - at);
        if (!equals)
            return df_error(r->name, place, "%s: '%.*s' has no '=': expected NAME=VALUE", name, (int)(end - at),
                            text + at);
        if (equals == text + at)
            return df_error(r->name, place, "%s: '%.*s' has no name: expected NAME=VALUE", name, (int)(end - at),
                            text + at);
        df_args_add(i, mem_strndup(text + at, (size_t)(equals - text) - at), place);
        df_args_add(i, mem_strndup(equals + 1, end - (size_t)(equals + 1 - text)),
                    df_line_place(line, (size_t)(equals + 1 - text)));
    }
    return NULL;
}

static fallible from(struct df_reader *r, const struct df_line *line, size_t at, struct df_instruction *i)
{
    add_words(r, line, at, i, false);
    if (i->args.n == 0)
        return df_error(r->name, i->place, "FROM: expected an image, a stage or scratch");
    if (i->args.n == 1)
        return NULL;
    if (strcasecmp(i->args.items[1], "as") != 0)
        return df_error(r->name, i->places[1], "FROM: '%s': expected AS and the stage's name, or the end of the line",
                        i->args.items[1]);
    if (i->args.n != 3)
        return df_error(r->name, i->places[i->args.n > 3 ? 3 : 1], "FROM: expected one name after AS");
    const char *name = i->args.items[2];
    if (!isalpha((unsigned char)name[0]))
        return df_error(r->name, i->places[2], "FROM: '%s': expected a stage's name that begins with a letter", name);
    for (const char *c = name; *c; c++)
        if (!isalnum((unsigned char)*c) && !strchr("-_.", *c))
            return df_error(r->name, i->places[2],
                            "FROM: '%s': expected letters, digits, '-', '_' and '.' in a stage's name", name);
    return NULL;
}

static fallible healthcheck(struct df_reader *r, const struct df_line *line, size_t at, struct df_instruction *i)
{
    const char *text = line->text.text;
    at = skip_space(text, at);
    size_t end = at;
    while (text[end] && !isspace((unsigned char)text[end]))
        end++;
    struct df_place place = df_line_place(line, at);
    if (end == at)
        return df_error(r->name, i->place, "HEALTHCHECK: expected CMD and a command, or NONE");
    own_mem char *word = mem_strndup(text + at, end - at);
    if (strcasecmp(word, "none") == 0) {
        df_args_add(i, mem_strdup("NONE"), place);
        end = skip_space(text, end);
        return text[end] ? df_error(r->name, df_line_place(line, end), "HEALTHCHECK: expected nothing after NONE")
                         : NULL;
    }
    if (strcasecmp(word, "cmd") != 0)
        return df_error(r->name, place, "HEALTHCHECK: '%s': expected CMD and a command, or NONE", word);
    df_args_add(i, mem_strdup("CMD"), place);
    if (!add_json(line, end, i))
        add_rest(line, end, i);
    return i->args.n > 1 ? NULL : df_error(r->name, place, "HEALTHCHECK CMD: expected a command");
}

static fallible onbuild(struct df_reader *r, const struct df_line *line, size_t at, struct df_instruction *i)
{
    const char *text = line->text.text;
    at = skip_space(text, at);
    if (!text[at])
        return df_error(r->name, i->place, "ONBUILD: expected an instruction");
    own(df_line) struct df_line rest = { 0 };
    for (size_t k = 0; k < line->segments_n; k++) { /* the same places for what is left */
        size_t from_at = line->segments[k].at,
               to = k + 1 < line->segments_n ? line->segments[k + 1].at : line->text.len;
        if (to <= at)
            continue;
        size_t start = from_at > at ? from_at : at;
        df_line_add(&rest, text + start, to - start, df_line_place(line, start));
    }
    i->trigger = mem_zalloc(sizeof *i->trigger);
    TRY(df_instruction_parse(r, &rest, i->trigger));
    enum df_kind inner = i->trigger->kind;
    if (inner == DF_ONBUILD || inner == DF_FROM || inner == DF_MAINTAINER)
        return df_error(r->name, i->trigger->place,
                        "ONBUILD %s: expected another instruction than ONBUILD, FROM and "
                        "MAINTAINER",
                        df_kind_name(inner));
    return NULL;
}

static fallible words(struct df_reader *r, const struct df_line *line, size_t at, struct df_instruction *i)
{
    if (!add_json(line, at, i))
        add_words(r, line, at, i, false);
    return NULL;
}

static fallible arg_words(struct df_reader *r, const struct df_line *line, size_t at, struct df_instruction *i)
{
    add_words(r, line, at, i, true);
    for (size_t k = 0; k < i->args.n; k++)
        if (i->args.items[k][0] == '=')
            return df_error(r->name, i->places[k], "ARG: '%s' has no name: expected NAME or NAME=VALUE",
                            i->args.items[k]);
    return NULL;
}

static fallible command(struct df_reader *r, const struct df_line *line, size_t at, struct df_instruction *i)
{
    (void)r;
    if (!add_json(line, at, i))
        add_rest(line, at, i);
    return NULL;
}

static fallible one_text(struct df_reader *r, const struct df_line *line, size_t at, struct df_instruction *i)
{
    (void)r;
    add_rest(line, at, i);
    return NULL;
}

/* ---- the table ---- */

typedef err *form_fn(struct df_reader *r, const struct df_line *line, size_t at, struct df_instruction *i);

/* Flags: a word needs a value; "?" behind it: it is true or false; "*": it may come more than once. */
static const struct row {
    const char *name;
    form_fn *form;
    size_t min_args;
    const char *expected; /* when there are fewer */
    const char *flags[10];
} rows[DF_KINDS] = {
    [DF_ADD] = { "ADD",
                 words,
                 2,
                 "sources and a destination",
                 { "chown", "chmod", "link?", "checksum", "keep-git-dir?", "unpack?", "exclude*" } },
    [DF_ARG] = { "ARG", arg_words, 1, "NAME or NAME=VALUE", { NULL } },
    [DF_CMD] = { "CMD", command, 0, "a command", { NULL } },
    [DF_COPY] = { "COPY",
                  words,
                  2,
                  "sources and a destination",
                  { "from", "chown", "chmod", "link?", "parents?", "exclude*" } },
    [DF_ENTRYPOINT] = { "ENTRYPOINT", command, 0, "a command", { NULL } },
    [DF_ENV] = { "ENV", pairs, 2, "NAME=VALUE", { NULL } },
    [DF_EXPOSE] = { "EXPOSE", words, 1, "a port such as 80 or 53/udp", { NULL } },
    [DF_FROM] = { "FROM", from, 1, "an image, a stage or scratch", { "platform" } },
    [DF_HEALTHCHECK] = { "HEALTHCHECK",
                         healthcheck,
                         1,
                         "CMD and a command, or NONE",
                         { "interval", "timeout", "start-period", "start-interval", "retries" } },
    [DF_LABEL] = { "LABEL", pairs, 2, "NAME=VALUE", { NULL } },
    [DF_MAINTAINER] = { "MAINTAINER", one_text, 1, "a name", { NULL } },
    [DF_ONBUILD] = { "ONBUILD", onbuild, 0, "an instruction", { NULL } },
    [DF_RUN] = { "RUN", command, 1, "a command", { "mount*", "network", "security", "device*" } },
    [DF_SHELL] = { "SHELL", command, 1, "a command as a JSON list: [\"/bin/sh\", \"-c\"]", { NULL } },
    [DF_STOPSIGNAL] = { "STOPSIGNAL", one_text, 1, "a signal", { NULL } },
    [DF_USER] = { "USER", one_text, 1, "a user", { NULL } },
    [DF_VOLUME] = { "VOLUME", words, 1, "a path", { NULL } },
    [DF_WORKDIR] = { "WORKDIR", one_text, 1, "a path", { NULL } },
};

const char *df_kind_name(enum df_kind kind)
{
    return rows[kind].name;
}

static const char *nearest_instruction(const char *word)
{
    const char *names[DF_KINDS], *same[DF_KINDS];
    size_t same_n = 0;
    own_mem char *upper = mem_strdup(word);
    for (char *c = upper; *c; c++)
        *c = (char)toupper((unsigned char)*c);
    for (size_t k = 0; k < DF_KINDS; k++) {
        names[k] = rows[k].name;
        if (names[k][0] == upper[0])
            same[same_n++] = names[k];
    }
    const char *near = nearest_word(upper, same, same_n); /* the first letter is seldom the wrong one */
    return near ? near : nearest_word(upper, names, DF_KINDS);
}

fallible df_flags_check(struct df_reader *r, const struct df_instruction *i)
{
    const struct row *row = &rows[i->kind];
    for (size_t f = 0; f < i->flags_n; f++) {
        const struct df_flag *flag = &i->flags[f];
        const char *names[ARRAY_SIZE(row->flags)], *found = NULL;
        own_strv struct strv plain = { 0 };
        size_t n = 0;
        for (; n < ARRAY_SIZE(row->flags) && row->flags[n]; n++) {
            strv_add_take(&plain, mem_strndup(row->flags[n], strcspn(row->flags[n], "?*")));
            names[n] = plain.items[n];
            if (strcmp(names[n], flag->name) == 0)
                found = row->flags[n];
        }
        const char *near = n && !found ? nearest_word(flag->name, names, n) : NULL;
        if (!found && near)
            return df_error(r->name, flag->place, "%s has no flag --%s: did you mean --%s?", row->name, flag->name,
                            near);
        if (!found)
            return df_error(r->name, flag->place, "%s has no flag --%s%s", row->name, flag->name,
                            n ? "" : ": it has none at all");
        bool boolean = found[strlen(found) - 1] == '?', repeats = found[strlen(found) - 1] == '*';
        if (!boolean && (!flag->value || !*flag->value))
            return df_error(r->name, flag->place, "%s --%s: expected --%s=VALUE", row->name, flag->name, flag->name);
        if (boolean && flag->value && strcasecmp(flag->value, "true") != 0 && strcasecmp(flag->value, "false") != 0 &&
            strcmp(flag->value, "0") != 0 && strcmp(flag->value, "1") != 0)
            return df_error(r->name, flag->place, "%s --%s=%s: expected true or false", row->name, flag->name,
                            flag->value);
        if (!repeats && df_flag(i, flag->name) != flag)
            return df_error(r->name, df_flag(i, flag->name)->place, "%s --%s: it is given twice", row->name,
                            flag->name);
    }
    return NULL;
}

fallible df_instruction_parse(struct df_reader *r, const struct df_line *line, struct df_instruction *ret)
{
    const char *text = line->text.text;
    size_t start = skip_space(text, 0), end = start;
    while (text[end] && !isspace((unsigned char)text[end]))
        end++;
    ret->place = df_line_place(line, start);
    ret->word = mem_strndup(text + start, end - start);
    ret->text = mem_strdup(text + start);
    ret->kind = DF_KINDS;
    for (size_t k = 0; k < DF_KINDS; k++)
        if (strcasecmp(ret->word, rows[k].name) == 0)
            ret->kind = (enum df_kind)k;
    if (ret->kind == DF_KINDS) {
        const char *near = nearest_instruction(ret->word);
        ret->kind = DF_ADD; /* any: it is not used */
        return near ? df_error(r->name, ret->place, "unknown instruction '%s': did you mean %s?", ret->word, near)
                    : df_error(r->name, ret->place, "unknown instruction '%s': expected one such as RUN or COPY",
                               ret->word);
    }
    const struct row *row = &rows[ret->kind];
    size_t at = skip_space(text, end);
    TRY(df_flags_parse(r, line, &at, ret));
    TRY(df_flags_check(r, ret));
    TRY(row->form(r, line, at, ret));
    if (ret->args.n < row->min_args)
        return df_error(r->name, ret->place, "%s: expected %s", row->name, row->expected);
    if (ret->kind == DF_SHELL && !ret->json)
        return df_error(r->name, ret->places[0], "SHELL: expected %s", row->expected);
    return NULL;
}
