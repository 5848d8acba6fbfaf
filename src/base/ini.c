// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/ini.h"

#include <string.h>

#include "base/mem.h"

static char *skip_blanks(char *p)
{
    return p + strspn(p, " \t\r");
}

static void cut_blanks(char *p)
{
    size_t n = strlen(p);
    while (n > 0 && strchr(" \t\r", p[n - 1]))
        p[--n] = '\0';
}

static bool only_comment(char *p)
{
    p = skip_blanks(p);
    return !*p || *p == '#';
}

/* "[section]" */
static fallible read_section(char *p, char **section)
{
    size_t n = strcspn(p + 1, "]#");
    if (p[1 + n] != ']' || !only_comment(p + n + 2))
        return err_new(ERR_INVALID, "'%.100s': expected [SECTION]", p);
    free(*section);
    *section = mem_strndup(p + 1, n);
    cut_blanks(*section);
    memmove(*section, skip_blanks(*section), strlen(skip_blanks(*section)) + 1);
    return NULL;
}

/* What stands behind "=": in quotes anything but a quote, else up to a comment. */
static fallible read_value(char *p, char **ret)
{
    if (*p != '"') {
        char *comment = strchr(p, '#');
        if (comment)
            *comment = '\0';
        cut_blanks(p);
        *ret = p;
        return *p ? NULL : err_new(ERR_INVALID, "a key without a value");
    }
    char *end = strchr(p + 1, '"');
    if (!end || !only_comment(end + 1))
        return err_new(ERR_INVALID, "'%.100s': expected a value in double quotes", p);
    *end = '\0';
    *ret = p + 1;
    return NULL;
}

static fallible read_line(char *p, char **section, ini_fn *fn, void *ctx)
{
    char *value = NULL;
    if (only_comment(p))
        return NULL;
    p = skip_blanks(p);
    if (*p == '[')
        return read_section(p, section);
    char *equals = strchr(p, '=');
    if (!equals || equals == p)
        return err_new(ERR_INVALID, "'%.100s': expected KEY = VALUE", p);
    *equals = '\0';
    cut_blanks(p);
    TRY(read_value(skip_blanks(equals + 1), &value));
    if (!*section)
        return err_new(ERR_INVALID, "'%.100s': a key before the first [SECTION]", p);
    return fn(ctx, *section, p, value);
}

fallible ini_parse(const char *name, const char *text, ini_fn *fn, void *ctx)
{
    own_mem char *copy = mem_strdup(text), *section = NULL;
    int number = 1;
    for (char *line = copy, *next; line; line = next, number++) {
        next = strchr(line, '\n');
        if (next)
            *next++ = '\0';
        TRY_AS(read_line(line, &section, fn, ctx), "%s:%d", name, number);
    }
    return NULL;
}
