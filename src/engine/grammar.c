// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/grammar.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/opt.h"
#include "engine/paths.h"
#include "os/fs.h"

/* A file of a person's lines; more than this is a mistake. */
enum { TEXT_FILE_MAX = 1 << 20 };

static bool is_name(const char *text)
{
    static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    static const char rest[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-";
    size_t n = strlen(text);
    return n >= 2 && n <= 255 && strchr(first, text[0]) && strspn(text, rest) == n;
}

fallible grammar_name(const char *what, const char *text)
{
    if (is_name(text))
        return NULL;
    return err_new(ERR_INVALID,
                   "'%s' is no %s: letters, digits and '_', '.', '-', at least two, the first a letter or digit", text,
                   what);
}

void container_device_clear(struct container_device *d)
{
    free(d->host);
    free(d->path);
    free(d->access);
    *d = (struct container_device){ 0 };
}

static bool is_access(const char *text)
{
    return *text && strlen(text) <= 3 && strspn(text, "rwm") == strlen(text);
}

fallible grammar_device(const char *text, struct container_device *ret)
{
    own_strv struct strv parts = { 0 };
    strv_split(&parts, text, ':');
    const char *path = NULL, *access = "rwm";
    if (parts.n == 3) {
        path = parts.items[1];
        access = parts.items[2];
    } else if (parts.n == 2 && is_access(parts.items[1])) {
        access = parts.items[1];
    } else if (parts.n == 2) {
        path = parts.items[1];
    } else if (parts.n != 1) {
        return err_new(ERR_INVALID, "'%s': it is HOST[:PATH][:rwm]", text);
    }
    if (!path)
        path = parts.items[0];
    if (parts.items[0][0] != '/' || path[0] != '/')
        return err_new(ERR_INVALID, "'%s': a device's path must be absolute", text);
    if (!is_access(access))
        return err_new(ERR_INVALID, "'%s': '%s' is no access: letters of 'rwm'", text, access);
    *ret = (struct container_device){ paths_clean(parts.items[0]), paths_clean(path), mem_strdup(access) };
    return NULL;
}

static const char *const ulimit_names[] = { "core",     "cpu",        "data",   "fsize", "locks", "memlock",
                                            "msgqueue", "nice",       "nofile", "nproc", "rss",   "rtprio",
                                            "rttime",   "sigpending", "stack",  "as" };

static fallible parse_limit(const char *text, int64_t *ret)
{
    if (strcmp(text, "unlimited") == 0) {
        *ret = -1;
        return NULL;
    }
    return parse_i64(text, -1, INT64_MAX, ret);
}

fallible grammar_ulimit(const char *text, struct container_ulimit *ret)
{
    const char *equals = strchr(text, '=');
    if (!equals)
        return err_new(ERR_INVALID, "'%s': it is NAME=SOFT[:HARD]", text);
    own_mem char *name = mem_strndup(text, (size_t)(equals - text));
    bool known = false;
    for (size_t i = 0; i < ARRAY_SIZE(ulimit_names); i++)
        known |= strcmp(name, ulimit_names[i]) == 0;
    if (!known) {
        const char *near = nearest_word(name, ulimit_names, ARRAY_SIZE(ulimit_names));
        return near ? err_new(ERR_INVALID, "'%s': no such limit: did you mean '%s'?", name, near)
                    : err_new(ERR_INVALID, "'%s': no such limit: nofile, nproc, core, memlock, stack ...", name);
    }
    const char *colon = strchr(equals, ':');
    own_mem char *soft = colon ? mem_strndup(equals + 1, (size_t)(colon - equals - 1)) : mem_strdup(equals + 1);
    struct container_ulimit u = { 0 };
    TRY_AS(parse_limit(soft, &u.soft), "'%s'", text);
    u.hard = u.soft;
    if (colon)
        TRY_AS(parse_limit(colon + 1, &u.hard), "'%s'", text);
    if (u.hard != -1 && (u.soft == -1 || u.soft > u.hard))
        return err_new(ERR_INVALID, "'%s': the soft limit is above the hard one", text);
    u.name = take(name);
    *ret = u;
    return NULL;
}

static bool is_number_or_star(const char *text)
{
    return strcmp(text, "*") == 0 || (*text && strlen(text) < 10 && strspn(text, "0123456789") == strlen(text));
}

fallible grammar_device_rule(const char *text)
{
    own_strv struct strv words = { 0 };
    strv_split(&words, text, ' ');
    if (words.n == 3 && strlen(words.items[0]) == 1 && strchr("abc", words.items[0][0]) && is_access(words.items[2])) {
        own_strv struct strv numbers = { 0 };
        strv_split(&numbers, words.items[1], ':');
        if (numbers.n == 2 && is_number_or_star(numbers.items[0]) && is_number_or_star(numbers.items[1]))
            return NULL;
    }
    return err_new(ERR_INVALID, "'%s': it is 'TYPE MAJOR:MINOR ACCESS', such as 'c 1:3 rwm'", text);
}

fallible grammar_env(const char *text, struct strv *env)
{
    if (text[0] == '=' || !text[0])
        return err_new(ERR_INVALID, "'%s': it is KEY=VALUE, or KEY alone", text);
    if (strchr(text, '=')) {
        strv_setenv(env, text);
        return NULL;
    }
    const char *ours = getenv(text);
    if (ours) {
        own_mem char *assignment = mem_printf("%s=%s", text, ours);
        strv_setenv(env, assignment);
    }
    return NULL;
}

typedef err *line_fn(const char *line, void *ctx);

static fallible each_line(const char *path, line_fn *fn, void *ctx)
{
    own_mem char *text = NULL;
    own_strv struct strv lines = { 0 };
    size_t len;
    TRY(fs_read_at(AT_FDCWD, path, TEXT_FILE_MAX, &text, &len));
    if (memchr(text, '\0', len))
        return err_new(ERR_INVALID, "'%s' is no text file", path);
    strv_split(&lines, text, '\n');
    for (size_t i = 0; i < lines.n; i++) {
        char *line = lines.items[i];
        line += strspn(line, " \t");
        size_t n = strlen(line);
        if (n && line[n - 1] == '\r')
            line[n - 1] = '\0';
        if (*line && *line != '#')
            TRY_AS(fn(line, ctx), "'%s', line %zu", path, i + 1);
    }
    return NULL;
}

static err *env_line(const char *line, void *ctx)
{
    const char *space = strpbrk(line, " \t=");
    if (space && *space != '=')
        return err_new(ERR_INVALID, "'%.*s' has white space in its name", (int)strcspn(line, "="), line);
    return grammar_env(line, ctx);
}

fallible grammar_env_file(const char *path, struct strv *env)
{
    return each_line(path, env_line, env);
}

fallible grammar_label(const char *text, struct strmap *labels)
{
    const char *equals = strchr(text, '=');
    if (equals == text || !*text)
        return err_new(ERR_INVALID, "'%s': it is KEY=VALUE", text);
    own_mem char *key = equals ? mem_strndup(text, (size_t)(equals - text)) : mem_strdup(text);
    strmap_set(labels, key, equals ? equals + 1 : "");
    return NULL;
}

static err *label_line(const char *line, void *ctx)
{
    return grammar_label(line, ctx);
}

fallible grammar_label_file(const char *path, struct strmap *labels)
{
    return each_line(path, label_line, labels);
}

bool grammar_is_ip(const char *text)
{
    unsigned char bytes[16];
    return inet_pton(AF_INET, text, bytes) == 1 || inet_pton(AF_INET6, text, bytes) == 1;
}

fallible grammar_add_host(const char *text, char **ret)
{
    size_t n = strcspn(text, ":=");
    if (!n || !text[n] || !text[n + 1])
        return err_new(ERR_INVALID, "'%s': it is NAME:IP", text);
    own_mem char *name = mem_strndup(text, n);
    const char *ip = text + n + 1;
    size_t len = strlen(ip);
    own_mem char *bare = ip[0] == '[' && ip[len - 1] == ']' ? mem_strndup(ip + 1, len - 2) : mem_strdup(ip);
    if (strpbrk(name, " \t\n#"))
        return err_new(ERR_INVALID, "'%s' is no host name", name);
    if (strcmp(bare, "host-gateway") != 0 && !grammar_is_ip(bare))
        return err_new(ERR_INVALID, "'%s' is no IP address, nor host-gateway", bare);
    *ret = mem_printf("%s:%s", name, bare);
    return NULL;
}

fallible grammar_sysctl(const char *text, struct strmap *sysctl)
{
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return err_new(ERR_INVALID, "'%s': it is KEY=VALUE", text);
    own_mem char *key = mem_strndup(text, (size_t)(equals - text));
    strmap_set(sysctl, key, equals + 1);
    return NULL;
}

fallible grammar_user(const char *text, char **ret_user, char **ret_group)
{
    const char *colon = strchr(text, ':');
    own_mem char *user = colon ? mem_strndup(text, (size_t)(colon - text)) : mem_strdup(text);
    if ((colon && strchr(colon + 1, ':')) || strpbrk(text, " \t\n"))
        return err_new(ERR_INVALID, "'%s': it is USER[:GROUP]", text);
    *ret_group = colon && colon[1] ? mem_strdup(colon + 1) : NULL;
    *ret_user = take(user);
    return NULL;
}

fallible grammar_cpu_list(const char *text)
{
    for (const char *p = text; *p;) {
        size_t digits = strspn(p, "0123456789");
        p += digits;
        if (digits && *p == '-') {
            p++;
            digits = strspn(p, "0123456789");
            p += digits;
        }
        if (!digits || (*p && (*p != ',' || !p[1])))
            return err_new(ERR_INVALID, "'%s' is no list such as 0-3,7", text);
        p += *p == ',';
    }
    return *text ? NULL : err_new(ERR_INVALID, "it is empty: a list such as 0-3,7");
}
