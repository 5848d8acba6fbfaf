// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/filter.h"

#include <regex.h>
#include <string.h>

#include "base/opt.h"

static char *list_of(const char *const *words)
{
    struct str all = { 0 };
    for (size_t i = 0; words[i]; i++)
        str_printf(&all, "%s%s", i ? ", " : "", words[i]);
    return str_take(&all);
}

static fallible unknown(const char *key, const struct filter_key *keys)
{
    enum { KEYS_MAX = 32 };
    const char *names[KEYS_MAX + 1] = { 0 };
    size_t n = 0;
    for (; n < KEYS_MAX && keys[n].name; n++)
        names[n] = keys[n].name;
    const char *near = nearest_word(key, names, n);
    own_mem char *all = list_of(names);
    return near ? err_new(ERR_INVALID, "--filter: unknown key '%s': did you mean '%s'?", key, near)
                : err_new(ERR_INVALID, "--filter: unknown key '%s': it is one of %s", key, all);
}

static fallible check_value(const struct filter_key *k, const char *value)
{
    if (k->check)
        return k->check(value);
    for (size_t i = 0; k->words && k->words[i]; i++)
        if (strcmp(k->words[i], value) == 0)
            return NULL;
    if (!k->words)
        return NULL;
    own_mem char *all = list_of(k->words);
    return err_new(ERR_INVALID, "'%s' is not one of %s", value, all);
}

static bool is_of(const char *filter, const char *key)
{
    size_t n = strlen(key);
    return strncmp(filter, key, n) == 0 && filter[n] == '=';
}

fallible filters_check(const struct strv *filters, const struct filter_key *keys)
{
    for (size_t i = 0; filters && i < filters->n; i++) {
        const char *f = filters->items[i];
        const struct filter_key *k = keys;
        size_t n = strcspn(f, "=");
        own_mem char *key = mem_strndup(f, n);
        if (!f[n])
            return err_new(ERR_INVALID, "--filter: '%s': it is KEY=VALUE", f);
        while (k->name && strcmp(k->name, key) != 0)
            k++;
        if (!k->name)
            return unknown(key, keys);
        TRY_AS(check_value(k, f + n + 1), "--filter %s", key);
    }
    return NULL;
}

fallible filters_pass(const struct strv *filters, const struct filter_key *keys, filter_fn *fits, void *ctx, bool *ret)
{
    *ret = true;
    for (; *ret && filters && keys->name; keys++) {
        bool asked = false, any = false, all = true;
        for (size_t i = 0; i < filters->n; i++) {
            bool hit = false;
            if (!is_of(filters->items[i], keys->name))
                continue;
            TRY_AS(fits(ctx, keys->name, filters->items[i] + strlen(keys->name) + 1, &hit), "--filter %s", keys->name);
            asked = true;
            any |= hit;
            all &= hit;
        }
        if (asked)
            *ret = str_starts(keys->name, "label") ? all : any;
    }
    return NULL;
}

fallible filter_bool(const char *value)
{
    bool unused;
    return parse_bool(value, &unused);
}

fallible filter_when(const char *value)
{
    int64_t unused;
    return parse_when_ns(value, &unused);
}

/* What is none of those that have signs in them is looked for as it stands, which costs less. */
static bool is_plain(const char *wish)
{
    return !strpbrk(wish, "^$.*+?()[]{}|\\");
}

fallible filter_regex(const char *value)
{
    regex_t expression;
    if (is_plain(value))
        return NULL;
    if (regcomp(&expression, value, REG_EXTENDED | REG_NOSUB) != 0)
        return err_new(ERR_INVALID, "'%s' is no regular expression", value);
    regfree(&expression);
    return NULL;
}

fallible filter_name(const char *name, const char *wish, bool *ret)
{
    regex_t expression;
    if (is_plain(wish)) {
        *ret = strstr(name, wish[0] == '/' ? wish + 1 : wish) != NULL;
        return NULL;
    }
    if (regcomp(&expression, wish, REG_EXTENDED | REG_NOSUB) != 0)
        return err_new(ERR_INVALID, "'%s' is no regular expression", wish);
    own_mem char *slashed = mem_printf("/%s", name);
    *ret = regexec(&expression, name, 0, NULL, 0) == 0 || regexec(&expression, slashed, 0, NULL, 0) == 0;
    regfree(&expression);
    return NULL;
}

bool filter_label(const struct strmap *labels, const char *wish)
{
    size_t n = strcspn(wish, "=");
    own_mem char *key = mem_strndup(wish, n);
    const char *value = strmap_get(labels, key);
    return value && (!wish[n] || strcmp(value, wish + n + 1) == 0);
}
