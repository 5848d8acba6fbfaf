// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/ignore.h"

#include <ctype.h>
#include <string.h>

#include "codec/tar.h"

/* ---- one component ---- */

/* "[a-z]" at *pattern against c; *pattern is moved behind the bracket. */
static bool class_matches(const char **pattern, char c, bool *bad)
{
    const char *p = *pattern + 1;
    bool negated = *p == '^', found = false, any = false;
    p += negated;
    for (; *p && (*p != ']' || !any); any = true) {
        if (*p == '-' || *p == ']') {
            *bad = true;
            return false;
        }
        char low = *p == '\\' && p[1] ? *++p : *p;
        char high = low;
        p++;
        if (*p == '-') {
            p++;
            if (!*p || *p == ']' || *p == '-') {
                *bad = true;
                return false;
            }
            high = *p == '\\' && p[1] ? *++p : *p;
            p++;
        }
        found = found || ((unsigned char)c >= (unsigned char)low && (unsigned char)c <= (unsigned char)high);
    }
    if (*p != ']' || !any) {
        *bad = true;
        return false;
    }
    *pattern = p + 1;
    return found != negated;
}

/* A component of the pattern, up to its slash or end, against one of the name; *bad when it is malformed. */
static bool component_matches(const char *p, const char *name, size_t n, bool *bad)
{
    const char *star = NULL;
    size_t at = 0, star_at = 0;
    for (;;) {
        const char *here = p;
        bool ok = false;
        if (*p == '*') {
            star = ++p;
            star_at = at;
            continue;
        }
        if (!*p || *p == '/') {
            ok = at == n;
            if (ok)
                return true;
        } else if (at < n) {
            if (*p == '[') {
                ok = class_matches(&p, name[at], bad);
                if (*bad)
                    return false;
                at += ok;
            } else {
                if (*p == '\\' && p[1])
                    p++;
                ok = *p == '?' && here == p ? true : *p == name[at];
                p++;
                at += ok;
            }
        }
        if (ok)
            continue;
        if (!star || star_at >= n)
            return false;
        p = star;
        at = ++star_at;
    }
}

static const char *next_component(const char *p)
{
    p += strcspn(p, "/");
    return *p ? p + 1 : p;
}

bool glob_match(const char *pattern, const char *name, bool *ret_bad)
{
    bool bad = false;
    while (*pattern && *name) {
        size_t n = strcspn(name, "/");
        if (!component_matches(pattern, name, n, &bad)) {
            if (ret_bad)
                *ret_bad = bad;
            return false;
        }
        bool more_pattern = pattern[strcspn(pattern, "/")], more_name = name[n];
        if (more_pattern != more_name)
            return false;
        pattern = next_component(pattern);
        name = next_component(name);
    }
    return !*pattern && !*name;
}

bool glob_has_wildcards(const char *pattern)
{
    return strpbrk(pattern, "*?[\\") != NULL;
}

/* ---- patterns with ** ---- */

static bool is_double_star(const char *p)
{
    return p[0] == '*' && p[1] == '*' && (!p[2] || p[2] == '/');
}

/*
 * Inside a component two stars are any text, slashes too ("**foo", "a**"): the component is tried against every
 * ending of the name; this is rare and short.
 */
static bool text_matches(const char *p, const char *name, int *budget, bool *bad)
{
    for (; *p; p++) {
        if (--*budget < 0)
            return false;
        if (p[0] == '*' && p[1] == '*') {
            const char *rest = p + 2;
            rest += *rest == '/';
            if (!*rest)
                return true;
            if (text_matches(rest, name, budget, bad))
                return true;
            for (const char *slash = strchr(name, '/'); slash && *budget > 0; slash = strchr(slash + 1, '/'))
                if (text_matches(rest, slash + 1, budget, bad))
                    return true;
            return false;
        }
        if (*p == '*') {
            for (;; name++) {
                if (text_matches(p + 1, name, budget, bad))
                    return true;
                if (!*name || *name == '/')
                    return false;
            }
        }
        if (!*name)
            return false;
        if (*p == '?') {
            if (*name++ == '/')
                return false;
        } else if (*p == '[') {
            if (*name == '/' || !class_matches(&p, *name, bad))
                return false;
            p--;
            name++;
        } else {
            if (*p == '\\' && p[1])
                p++;
            if (*p != *name++)
                return false;
        }
    }
    return !*name;
}

enum { TEXT_BUDGET = 1 << 18 };

struct pattern {
    char *text;
    bool exception;    /* "!" */
    bool stars;        /* has ** somewhere */
    size_t components; /* when it has not */
    size_t literal;    /* bytes before the first character that is no plain one */
};
struct ignore {
    struct pattern *items;
    size_t n;
    bool exceptions;
};

/* All of path, not what is above it. */
static bool whole_match(const struct pattern *p, const char *path)
{
    bool bad = false;
    int budget = TEXT_BUDGET;
    if (strncmp(p->text, path, p->literal) != 0)
        return false;
    if (!p->stars)
        return glob_match(p->text, path, NULL);
    return text_matches(p->text, path, &budget, &bad);
}

/* It, or a directory above it. */
static bool pattern_matches(const struct pattern *p, const char *path)
{
    char part[TAR_NAME_MAX + 1];
    size_t len = strlen(path);
    if (len > TAR_NAME_MAX || strncmp(p->text, path, p->literal) != 0)
        return false;
    if (whole_match(p, path))
        return true;
    size_t slashes = 0;
    for (size_t i = 0; i < len; i++) {
        if (path[i] != '/')
            continue;
        slashes++;
        if (!p->stars && slashes != p->components)
            continue; /* it has so many components and no other number */
        memcpy(part, path, i);
        part[i] = '\0';
        if (whole_match(p, part))
            return true;
    }
    return false;
}

/* ---- the file ---- */

static fallible check_pattern(const char *text, const char *name, int line)
{
    for (const char *p = text; *p; p = next_component(p)) {
        bool bad = false;
        for (const char *c = p; *c && *c != '/';) { /* every class is looked at, whatever would be matched */
            if (*c == '[') {
                (void)class_matches(&c, 'x', &bad);
                if (bad)
                    break;
            } else {
                c += *c == '\\' && c[1] ? 2 : 1;
            }
        }
        if (bad)
            return err_new(ERR_INVALID, "%s:%d: '%s' has a bad range: expected [a-z] or [^a-z]", name, line, text);
        if (is_double_star(p) && !p[2])
            break;
    }
    return NULL;
}

static fallible add_pattern(struct ignore *g, const char *line, size_t n, const char *name, int number)
{
    bool exception = n && *line == '!';
    const char *text = line + exception;
    n -= exception;
    while (n && isspace((unsigned char)*text)) {
        text++;
        n--;
    }
    if (!n && exception)
        return err_new(ERR_INVALID, "%s:%d: '!' alone: expected a pattern behind it", name, number);
    own_mem char *raw = mem_strndup(text, n);
    own_mem char *clean = mem_alloc(n + 2);
    if (n > TAR_NAME_MAX)
        return err_new(ERR_INVALID, "%s:%d: the pattern is longer than %d bytes", name, number, TAR_NAME_MAX);
    if (!tar_clean_path(raw, clean) || !*clean)
        return NULL; /* "." and what is above the context match nothing in it */
    TRY(check_pattern(clean, name, number));
    struct pattern p = { .text = mem_strdup(clean), .exception = exception, .components = 1 };
    p.stars = strstr(clean, "**") != NULL;
    p.literal = strcspn(clean, "*?[\\");
    if (clean[p.literal] == '\0' || (p.literal && clean[p.literal - 1] == '/'))
        p.literal = clean[p.literal] ? p.literal - 1 : p.literal;
    for (const char *c = clean; *c; c++)
        p.components += *c == '/';
    g->items = mem_array(g->items, g->n + 1, sizeof *g->items);
    g->items[g->n++] = p;
    g->exceptions = g->exceptions || exception;
    return NULL;
}

fallible ignore_parse(const char *text, const char *name, struct ignore **ret)
{
    own(ignore) struct ignore *g = mem_zalloc(sizeof *g);
    if (strncmp(text, "\xef\xbb\xbf", 3) == 0)
        text += 3;
    for (int line = 1; *text; line++) {
        size_t n = strcspn(text, "\n"), end = n, start = 0;
        bool comment = *text == '#';
        while (start < end && isspace((unsigned char)text[start]))
            start++;
        while (end > start && isspace((unsigned char)text[end - 1]))
            end--;
        if (!comment && end > start)
            TRY(add_pattern(g, text + start, end - start, name, line));
        text += n + (text[n] == '\n');
    }
    *ret = take(g);
    return NULL;
}

fallible ignore_of(const struct strv *patterns, const char *name, struct ignore **ret)
{
    own(ignore) struct ignore *g = mem_zalloc(sizeof *g);
    for (size_t i = 0; i < patterns->n; i++)
        TRY(add_pattern(g, patterns->items[i], strlen(patterns->items[i]), name, (int)i + 1));
    *ret = take(g);
    return NULL;
}

void ignore_free(struct ignore *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n; i++)
        free(g->items[i].text);
    free(g->items);
    free(g);
}

bool ignore_is_empty(const struct ignore *g)
{
    return !g || g->n == 0;
}

bool ignore_matches(const struct ignore *g, const char *path)
{
    bool out = false;
    for (size_t i = 0; g && i < g->n; i++)
        if (g->items[i].exception == out && pattern_matches(&g->items[i], path))
            out = !g->items[i].exception;
    return out;
}

bool ignore_may_enter(const struct ignore *g, const char *dir)
{
    size_t len = strlen(dir);
    if (!g || !g->exceptions)
        return false;
    for (size_t i = 0; i < g->n; i++) {
        const struct pattern *p = &g->items[i];
        size_t plain = p->literal < len ? p->literal : len;
        if (p->exception && strncmp(p->text, dir, plain) == 0)
            return true;
    }
    return false;
}
