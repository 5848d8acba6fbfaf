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

static const char *const propagations[] = { "private", "rprivate", "shared",     "rshared",
                                            "slave",   "rslave",   "unbindable", "runbindable" };

static bool is_propagation(const char *word)
{
    for (size_t i = 0; i < ARRAY_SIZE(propagations); i++)
        if (strcmp(word, propagations[i]) == 0)
            return true;
    return false;
}

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

void container_mount_clear(struct container_mount *m)
{
    free(m->type);
    free(m->source);
    free(m->target);
    free(m->propagation);
    strv_free(&m->options);
    *m = (struct container_mount){ 0 };
}

static fallible set_target(struct container_mount *m, const char *target)
{
    if (target[0] != '/')
        return err_new(ERR_INVALID, "the path in the container, '%s', must be absolute", target);
    free(m->target);
    m->target = paths_clean(target);
    if (strcmp(m->target, "/") == 0)
        return err_new(ERR_INVALID, "the container's root cannot be mounted over");
    return NULL;
}

static fallible set_source(struct container_mount *m, const char *source)
{
    if (source[0] == '/' || source[0] == '.') {
        m->type = mem_strdup("bind");
        m->make_source = true;
        return paths_absolute(source, &m->source);
    }
    TRY(grammar_name("volume name (a path begins with '/' or '.')", source));
    m->type = mem_strdup("volume");
    m->source = mem_strdup(source);
    return NULL;
}

static fallible volume_option(struct container_mount *m, const char *word)
{
    if (strcmp(word, "ro") == 0 || strcmp(word, "readonly") == 0)
        m->read_only = true;
    else if (strcmp(word, "nocopy") == 0)
        m->nocopy = true;
    else if (is_propagation(word)) {
        free(m->propagation);
        m->propagation = mem_strdup(word);
    } else if (strcmp(word, "rw") != 0 && strcmp(word, "z") != 0 && strcmp(word, "Z") != 0 &&
               strcmp(word, "rbind") != 0) {
        /* z and Z relabel for SELinux; without SELinux, and husk has none, there is nothing to relabel */
        if (strcmp(word, "bind") != 0)
            return err_new(ERR_INVALID, "'%s' is not one of ro, rw, z, Z, nocopy, [r]shared, [r]slave, [r]private",
                           word);
        m->non_recursive = true;
    }
    return NULL;
}

static fallible volume_options(struct container_mount *m, const char *text)
{
    own_strv struct strv words = { 0 };
    strv_split(&words, text, ',');
    for (size_t i = 0; i < words.n; i++)
        TRY(volume_option(m, words.items[i]));
    return NULL;
}

static fallible check_mount(const struct container_mount *m)
{
    if (m->propagation && strcmp(m->type, "bind") != 0)
        return err_new(ERR_INVALID, "'%s' is for bind mounts only", m->propagation);
    if (m->nocopy && strcmp(m->type, "volume") != 0)
        return err_new(ERR_INVALID, "'nocopy' is for volumes only");
    return NULL;
}

static fallible parse_volume(const char *text, struct container_mount *m)
{
    own_strv struct strv parts = { 0 };
    strv_split(&parts, text, ':');
    if (parts.n == 0)
        return err_new(ERR_INVALID, "it is empty: [SOURCE:]TARGET[:OPTIONS]");
    if (parts.n > 3)
        return err_new(ERR_INVALID, "too many colons: it is [SOURCE:]TARGET[:OPTIONS]");
    for (size_t i = 0; i < parts.n; i++)
        if (!parts.items[i][0])
            return err_new(ERR_INVALID, "empty part: it is [SOURCE:]TARGET[:OPTIONS]");
    if (parts.n == 1) {
        m->type = mem_strdup("volume");
        m->anonymous = true;
        return set_target(m, parts.items[0]);
    }
    if (parts.n == 2 && parts.items[1][0] != '/' && parts.items[0][0] == '/') { /* TARGET:OPTIONS */
        m->type = mem_strdup("volume");
        m->anonymous = true;
        TRY(set_target(m, parts.items[0]));
        TRY(volume_options(m, parts.items[1]));
        return check_mount(m);
    }
    TRY(set_source(m, parts.items[0]));
    TRY(set_target(m, parts.items[1]));
    if (parts.n == 3)
        TRY(volume_options(m, parts.items[2]));
    return check_mount(m);
}

fallible grammar_volume(const char *text, struct container_mount *ret)
{
    *ret = (struct container_mount){ 0 };
    err *e = parse_volume(text, ret);
    if (!e)
        return NULL;
    container_mount_clear(ret);
    return err_wrap(e, "'%s'", text);
}

static fallible tmpfs_option(struct container_mount *m, const char *word)
{
    static const char *const flags[] = { "ro",   "rw",      "nosuid",   "suid",  "nodev",      "dev",         "noexec",
                                         "exec", "noatime", "relatime", "atime", "nodiratime", "strictatime", "sync" };
    static const char *const keys[] = {
        "size=", "mode=", "uid=", "gid=", "nr_inodes=", "nr_blocks=", "mpol=", "huge="
    };
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        if (strcmp(word, flags[i]) == 0) {
            strv_add(&m->options, word);
            return NULL;
        }
    for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
        if (str_starts(word, keys[i])) {
            strv_add(&m->options, word);
            return NULL;
        }
    return err_new(ERR_INVALID, "'%s' is no option of a tmpfs: size=, mode=, uid=, gid=, ro, noexec, exec ...", word);
}

/* What docker mounts a tmpfs with, unless said otherwise. */
static void tmpfs_defaults(struct container_mount *m)
{
    static const struct {
        const char *word, *opposite;
    } defaults[] = { { "nosuid", "suid" }, { "nodev", "dev" }, { "noexec", "exec" } };
    for (size_t i = 0; i < ARRAY_SIZE(defaults); i++)
        if (!strv_has(&m->options, defaults[i].word) && !strv_has(&m->options, defaults[i].opposite))
            strv_add(&m->options, defaults[i].word);
}

fallible grammar_tmpfs(const char *text, struct container_mount *ret)
{
    const char *colon = strchr(text, ':');
    own_mem char *target = colon ? mem_strndup(text, (size_t)(colon - text)) : mem_strdup(text);
    struct container_mount m = { .type = mem_strdup("tmpfs") };
    own_strv struct strv words = { 0 };
    if (colon)
        strv_split(&words, colon + 1, ',');
    err *e = set_target(&m, target);
    for (size_t i = 0; !e && i < words.n; i++)
        e = tmpfs_option(&m, words.items[i]);
    if (e) {
        container_mount_clear(&m);
        return err_wrap(e, "'%s'", text);
    }
    tmpfs_defaults(&m);
    m.read_only = strv_has(&m.options, "ro");
    *ret = m;
    return NULL;
}

static fallible flag_value(const char *value, bool *ret)
{
    if (!value) {
        *ret = true;
        return NULL;
    }
    return parse_bool(value, ret);
}

static fallible set_propagation(struct container_mount *m, const char *value)
{
    if (!is_propagation(value))
        return err_new(ERR_INVALID, "'%s' is not one of [r]private, [r]shared, [r]slave", value);
    free(m->propagation);
    m->propagation = mem_strdup(value);
    return NULL;
}

static fallible tmpfs_size(struct container_mount *m, const char *value)
{
    int64_t bytes;
    TRY(parse_bytes(value, &bytes));
    strv_add_printf(&m->options, "size=%lld", (long long)bytes);
    return NULL;
}

static fallible tmpfs_mode(struct container_mount *m, const char *value)
{
    if (!*value || strspn(value, "01234567") != strlen(value) || strlen(value) > 5)
        return err_new(ERR_INVALID, "'%s' is no octal file mode", value);
    strv_add_printf(&m->options, "mode=%s", value);
    return NULL;
}

/* One "key" or "key=value" of --mount; the source is kept as text until the type is known. */
static fallible mount_word(struct container_mount *m, const char *key, const char *value, char **source)
{
    static const char *const known[] = { "type",       "source",        "target",
                                         "readonly",   "volume-nocopy", "bind-propagation",
                                         "tmpfs-size", "tmpfs-mode",    "bind-nonrecursive" };
    static const char *const flags[] = { "readonly", "ro", "volume-nocopy", "bind-nonrecursive" };
    bool is_flag = false;
    for (size_t i = 0; i < ARRAY_SIZE(flags); i++)
        is_flag |= strcmp(key, flags[i]) == 0;
    if (!is_flag && (!value || !*value))
        return err_new(ERR_INVALID, "'%s' needs a value", key);
    if (strcmp(key, "type") == 0) {
        if (strcmp(value, "bind") != 0 && strcmp(value, "volume") != 0 && strcmp(value, "tmpfs") != 0)
            return err_new(ERR_INVALID, "type '%s' is not one of bind, volume, tmpfs", value);
        free(m->type);
        m->type = mem_strdup(value);
    } else if (strcmp(key, "source") == 0 || strcmp(key, "src") == 0) {
        free(*source);
        *source = mem_strdup(value);
    } else if (strcmp(key, "target") == 0 || strcmp(key, "dst") == 0 || strcmp(key, "destination") == 0) {
        return set_target(m, value);
    } else if (strcmp(key, "readonly") == 0 || strcmp(key, "ro") == 0) {
        return flag_value(value, &m->read_only);
    } else if (strcmp(key, "volume-nocopy") == 0) {
        return flag_value(value, &m->nocopy);
    } else if (strcmp(key, "bind-nonrecursive") == 0) {
        return flag_value(value, &m->non_recursive);
    } else if (strcmp(key, "bind-propagation") == 0) {
        return set_propagation(m, value);
    } else if (strcmp(key, "tmpfs-size") == 0) {
        return tmpfs_size(m, value);
    } else if (strcmp(key, "tmpfs-mode") == 0) {
        return tmpfs_mode(m, value);
    } else {
        const char *near = nearest_word(key, known, ARRAY_SIZE(known));
        return near ? err_new(ERR_INVALID, "unknown key '%s': did you mean '%s'?", key, near)
                    : err_new(ERR_INVALID, "unknown key '%s'", key);
    }
    return NULL;
}

static fallible mount_words(const char *text, struct container_mount *m, char **source)
{
    own_strv struct strv words = { 0 };
    strv_split(&words, text, ',');
    for (size_t i = 0; i < words.n; i++) {
        char *equals = strchr(words.items[i], '=');
        if (equals)
            *equals = '\0';
        TRY(mount_word(m, words.items[i], equals ? equals + 1 : NULL, source));
    }
    return NULL;
}

static fallible mount_source(struct container_mount *m, const char *source)
{
    if (!m->type)
        m->type = mem_strdup("volume");
    if (!m->target)
        return err_new(ERR_INVALID, "target=PATH is missing");
    bool tmpfs = strcmp(m->type, "tmpfs") == 0;
    if (m->options.n && !tmpfs)
        return err_new(ERR_INVALID, "tmpfs-size and tmpfs-mode are for type=tmpfs only");
    if (tmpfs) {
        if (source)
            return err_new(ERR_INVALID, "a tmpfs has no source");
        tmpfs_defaults(m);
    } else if (strcmp(m->type, "bind") == 0) {
        if (!source)
            return err_new(ERR_INVALID, "source=PATH is missing");
        TRY(paths_absolute(source, &m->source));
    } else if (source) {
        TRY(grammar_name("volume name", source));
        m->source = mem_strdup(source);
    } else {
        m->anonymous = true;
    }
    if (m->non_recursive && strcmp(m->type, "bind") != 0)
        return err_new(ERR_INVALID, "'bind-nonrecursive' is for bind mounts only");
    return check_mount(m);
}

fallible grammar_mount(const char *text, struct container_mount *ret)
{
    *ret = (struct container_mount){ 0 };
    own_mem char *source = NULL;
    err *e = mount_words(text, ret, &source);
    if (!e)
        e = mount_source(ret, source);
    if (!e)
        return NULL;
    container_mount_clear(ret);
    return err_wrap(e, "'%s'", text);
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
