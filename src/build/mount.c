// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/mount.h"

#include <string.h>

#include "base/opt.h"
#include "base/parse.h"

static const char *const type_words[] = { "bind", "cache", "tmpfs", "secret", "ssh" };
static const char *const sharing_words[] = { "shared", "private", "locked" };

void build_mount_clear(struct build_mount *m)
{
    free(m->from);
    free(m->source);
    free(m->target);
    free(m->id);
    free(m->env);
    *m = (struct build_mount){ 0 };
}

/* Which types know a key. */
enum {
    B = 1 << BUILD_MOUNT_BIND,
    C = 1 << BUILD_MOUNT_CACHE,
    T = 1 << BUILD_MOUNT_TMPFS,
    S = 1 << BUILD_MOUNT_SECRET,
    H = 1 << BUILD_MOUNT_SSH
};
enum key {
    KEY_TYPE,
    KEY_TARGET,
    KEY_SOURCE,
    KEY_FROM,
    KEY_RO,
    KEY_RW,
    KEY_ID,
    KEY_SHARING,
    KEY_SIZE,
    KEY_MODE,
    KEY_UID,
    KEY_GID,
    KEY_REQUIRED,
    KEY_ENV
};
static const struct key_row {
    const char *word;
    enum key key;
    unsigned types;
} keys[] = {
    { "type", KEY_TYPE, B | C | T | S | H },
    { "target", KEY_TARGET, B | C | T | S | H },
    { "dst", KEY_TARGET, B | C | T | S | H },
    { "destination", KEY_TARGET, B | C | T | S | H },
    { "source", KEY_SOURCE, B | C },
    { "src", KEY_SOURCE, B | C },
    { "from", KEY_FROM, B | C },
    { "ro", KEY_RO, B | C | T | S | H },
    { "readonly", KEY_RO, B | C | T | S | H },
    { "rw", KEY_RW, B | C | T },
    { "readwrite", KEY_RW, B | C | T },
    { "id", KEY_ID, C | S | H },
    { "sharing", KEY_SHARING, C },
    { "size", KEY_SIZE, T },
    { "mode", KEY_MODE, C | S | H },
    { "uid", KEY_UID, C | S | H },
    { "gid", KEY_GID, C | S | H },
    { "required", KEY_REQUIRED, S | H },
    { "env", KEY_ENV, S },
};

static fallible word_of(const char *value, const char *const *words, size_t n, const char *what, unsigned *ret)
{
    own_str struct str all = { 0 };
    for (size_t i = 0; i < n; i++) {
        if (strcasecmp(words[i], value) == 0) {
            *ret = (unsigned)i;
            return NULL;
        }
        str_printf(&all, "%s%s", i ? ", " : "", words[i]);
    }
    return err_new(ERR_INVALID, "--mount: %s '%s': expected one of %s", what, value, all.text);
}

static fallible parse_mode(const char *text, int *ret)
{
    unsigned mode = 0;
    if (!*text || strlen(text) > 5 || strspn(text, "01234567") != strlen(text))
        return err_new(ERR_INVALID, "--mount: mode '%s': expected an octal number such as 0755", text);
    for (; *text; text++)
        mode = mode * 8 + (unsigned)(*text - '0');
    if (mode > 07777)
        return err_new(ERR_INVALID, "--mount: mode: expected at most 07777");
    *ret = (int)mode;
    return NULL;
}

static void set(char **slot, const char *value)
{
    free(*slot);
    *slot = mem_strdup(value);
}

static fallible set_key(const struct key_row *row, const char *value, struct build_mount *m)
{
    unsigned number = 0;
    bool on = true;
    switch (row->key) {
    case KEY_TYPE:
        return NULL; /* read first */
    case KEY_TARGET:
        set(&m->target, value);
        return NULL;
    case KEY_SOURCE:
        set(&m->source, value);
        return NULL;
    case KEY_FROM:
        set(&m->from, value);
        return NULL;
    case KEY_ID:
        set(&m->id, value);
        return NULL;
    case KEY_ENV:
        set(&m->env, value);
        return NULL;
    case KEY_RO:
    case KEY_RW:
        if (value)
            TRY_AS(parse_bool(value, &on), "--mount: %s", row->word);
        m->read_only = (row->key == KEY_RO) == on;
        return NULL;
    case KEY_REQUIRED:
        if (value)
            TRY_AS(parse_bool(value, &on), "--mount: required");
        m->required = on;
        return NULL;
    case KEY_SHARING:
        TRY(word_of(value, sharing_words, ARRAY_SIZE(sharing_words), "sharing", &number));
        m->sharing = (enum build_sharing)number;
        return NULL;
    case KEY_SIZE:
        TRY_AS(parse_bytes(value, &m->size), "--mount: size");
        return NULL;
    case KEY_MODE:
        return parse_mode(value, &m->mode);
    case KEY_UID:
        TRY_AS(parse_i64(value, 0, UINT32_MAX - 1, &m->uid), "--mount: uid");
        return NULL;
    case KEY_GID:
        TRY_AS(parse_i64(value, 0, UINT32_MAX - 1, &m->gid), "--mount: gid");
        return NULL;
    }
    return NULL;
}

static const struct key_row *find_key(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (strcasecmp(keys[i].word, word) == 0)
            return &keys[i];
    return NULL;
}

static fallible unknown_key(const char *word)
{
    const char *words[ARRAY_SIZE(keys)];
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        words[i] = keys[i].word;
    const char *near = nearest_word(word, words, ARRAY_SIZE(keys));
    if (near)
        return err_new(ERR_INVALID, "--mount: unknown key '%s': did you mean %s?", word, near);
    return err_new(ERR_INVALID, "--mount: unknown key '%s': expected one such as type, target or source", word);
}

/* known: the type is, and is no variable that nobody has looked up yet. */
static fallible add_part(const char *part, const struct expand *e, bool known, struct build_mount *m)
{
    size_t n = strcspn(part, "=");
    own_mem char *word = mem_strndup(part, n), *value = NULL;
    const struct key_row *row = find_key(word);
    if (!row)
        return unknown_key(word);
    if (known && !(row->types & 1U << m->type))
        return err_new(ERR_INVALID, "--mount: a mount of type %s has no %s", type_words[m->type], row->word);
    if (!part[n] && row->key != KEY_RO && row->key != KEY_RW && row->key != KEY_REQUIRED)
        return err_new(ERR_INVALID, "--mount: %s: expected %s=VALUE", row->word, row->word);
    if (part[n] && row->key == KEY_FROM && strchr(part + n, '$'))
        return err_new(ERR_INVALID, "--mount: from cannot have variables: give a stage that name with FROM ... AS");
    if (part[n] && e)
        TRY_AS(expand_word(e, part + n + 1, &value), "--mount: %s", row->word);
    else if (part[n])
        value = mem_strdup(part + n + 1);
    return !e && value && strchr(value, '$') ? NULL : set_key(row, value, m);
}

static fallible check(struct build_mount *m)
{
    if (!m->target && (m->type == BUILD_MOUNT_BIND || m->type == BUILD_MOUNT_CACHE || m->type == BUILD_MOUNT_TMPFS))
        return err_new(ERR_INVALID, "--mount: a mount of type %s needs target=PATH", type_words[m->type]);
    if (m->target && strcmp(m->target, "/") == 0)
        return err_new(ERR_INVALID, "--mount: the target cannot be /");
    if (m->type == BUILD_MOUNT_SECRET && !m->id) {
        if (!m->target)
            return m->env ? (set(&m->id, m->env), NULL) : err_new(ERR_INVALID, "--mount: a secret needs id=NAME");
        const char *slash = strrchr(m->target, '/');
        set(&m->id, slash ? slash + 1 : m->target);
    }
    if (m->type == BUILD_MOUNT_SECRET && !m->target && !m->env)
        m->target = mem_printf("/run/secrets/%s", m->id);
    if (m->type == BUILD_MOUNT_SSH && !m->id)
        m->id = mem_strdup("default");
    return NULL;
}

fallible build_mount_parse(const char *text, const struct expand *e, struct build_mount *ret)
{
    own_strv struct strv parts = { 0 };
    struct build_mount m = { .mode = -1 };
    unsigned type = BUILD_MOUNT_BIND;
    bool known = true;
    strv_split(&parts, text, ',');
    for (size_t i = 0; i < parts.n; i++) {
        own_mem char *value = NULL;
        if (!str_starts(parts.items[i], "type="))
            continue;
        if (e)
            TRY_AS(expand_word(e, parts.items[i] + 5, &value), "--mount: type");
        else
            value = mem_strdup(parts.items[i] + 5);
        known = e || !strchr(value, '$');
        if (known)
            TRY(word_of(value, type_words, ARRAY_SIZE(type_words), "type", &type));
    }
    m.type = (enum build_mount_type)type;
    m.read_only = m.type == BUILD_MOUNT_BIND;
    err *failed = NULL;
    for (size_t i = 0; !failed && i < parts.n; i++)
        failed = add_part(parts.items[i], e, known, &m);
    if (!failed && e)
        failed = check(&m);
    if (failed)
        build_mount_clear(&m);
    else
        *ret = m;
    return failed;
}
