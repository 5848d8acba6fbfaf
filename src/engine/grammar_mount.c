// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "base/opt.h"
#include "engine/grammar.h"
#include "engine/paths.h"

static const char *const propagations[] = { "private", "rprivate", "shared",     "rshared",
                                            "slave",   "rslave",   "unbindable", "runbindable" };
/* What a bind or a volume may be told about its mount point, as mount(8) says it. */
static const char *const attributes[] = { "nosuid",  "suid",     "nodev", "dev",        "noexec",      "exec",
                                          "noatime", "relatime", "atime", "nodiratime", "strictatime", "nosymfollow" };

static bool is_one_of(const char *word, const char *const *words, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (strcmp(word, words[i]) == 0)
            return true;
    return false;
}
#define IS_ONE_OF(word, words) is_one_of(word, words, ARRAY_SIZE(words))

void container_mount_clear(struct container_mount *m)
{
    free(m->type);
    free(m->source);
    free(m->target);
    free(m->propagation);
    free(m->subpath);
    free(m->upper);
    free(m->work);
    strv_free(&m->options);
    strv_free(&m->lowers);
    strv_free(&m->driver_options);
    strv_free(&m->layers);
    strmap_free(&m->labels);
    *m = (struct container_mount){ 0 };
}

static bool is_type(const struct container_mount *m, const char *type)
{
    return str_eq(m->type, type);
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

static fallible set_propagation(struct container_mount *m, const char *value)
{
    if (!IS_ONE_OF(value, propagations))
        return err_new(ERR_INVALID, "'%s' is not one of [r]private, [r]shared, [r]slave", value);
    free(m->propagation);
    m->propagation = mem_strdup(value);
    return NULL;
}

/* A path inside the source, never out of it: it is opened beneath it when the container starts. */
static fallible set_subpath(struct container_mount *m, const char *value)
{
    own_strv struct strv parts = { 0 };
    strv_split(&parts, value, '/');
    if (value[0] == '/' || strv_has(&parts, ".."))
        return err_new(ERR_INVALID, "subpath '%s' must be relative, without '..'", value);
    free(m->subpath);
    m->subpath = mem_strdup(value);
    return NULL;
}

static void set_path(char **slot, const char *value)
{
    free(*slot);
    *slot = paths_clean(value);
}

/* The words that -v and --mount share. *ret_known false: it is none of them. */
static fallible common_word(struct container_mount *m, const char *word, bool *ret_known)
{
    *ret_known = true;
    if (strcmp(word, "ro") == 0 || strcmp(word, "readonly") == 0)
        m->read_only = true;
    else if (strcmp(word, "rw") == 0)
        m->read_only = false;
    else if (strcmp(word, "nocopy") == 0)
        m->nocopy = true;
    else if (strcmp(word, "copy") == 0 || strcmp(word, "copyup") == 0)
        m->nocopy = false;
    else if (strcmp(word, "U") == 0)
        m->chown = true;
    else if (strcmp(word, "idmap") == 0)
        m->idmap = true;
    else if (IS_ONE_OF(word, propagations))
        return set_propagation(m, word);
    else if (IS_ONE_OF(word, attributes))
        strv_add(&m->options, word);
    else if (strcmp(word, "bind") == 0)
        m->non_recursive = true;
    else if (strcmp(word, "rbind") == 0)
        m->non_recursive = false;
    else if (strcmp(word, "z") != 0 && strcmp(word, "Z") != 0)
        *ret_known = false; /* z and Z relabel for SELinux; husk sets no label, so there is nothing to relabel */
    return NULL;
}

static fallible volume_option(struct container_mount *m, const char *word)
{
    bool known;
    TRY(common_word(m, word, &known));
    if (known)
        return NULL;
    if (strcmp(word, "O") == 0) {
        m->overlay = true;
    } else if (str_starts(word, "upperdir=") && word[9] == '/') {
        set_path(&m->upper, word + 9);
    } else if (str_starts(word, "workdir=") && word[8] == '/') {
        set_path(&m->work, word + 8);
    } else if (str_starts(word, "subpath=") && word[8]) {
        return set_subpath(m, word + 8);
    } else {
        return err_new(ERR_INVALID,
                       "'%s' is not one of ro, rw, z, Z, U, O, nocopy, subpath=, noexec, nosuid, nodev, [r]shared, "
                       "[r]slave, [r]private",
                       word);
    }
    return NULL;
}

static fallible volume_options(struct container_mount *m, const char *text)
{
    own_strv struct strv words = { 0 };
    strv_split(&words, text, ',');
    if (strv_has(&words, "rw") && (strv_has(&words, "ro") || strv_has(&words, "readonly")))
        return err_new(ERR_INVALID, "'rw' and 'ro' exclude each other");
    for (size_t i = 0; i < words.n; i++)
        TRY(volume_option(m, words.items[i]));
    return NULL;
}

static fallible check_mount(const struct container_mount *m)
{
    bool bind = is_type(m, "bind"), volume = is_type(m, "volume");
    if (m->propagation && !bind)
        return err_new(ERR_INVALID, "'%s' is for bind mounts only", m->propagation);
    if (m->nocopy && !volume)
        return err_new(ERR_INVALID, "'nocopy' is for volumes only");
    if (m->subpath && !volume)
        return err_new(ERR_INVALID, "'subpath' is for volumes only");
    if (m->idmap && !volume && !bind)
        return err_new(ERR_INVALID, "'idmap' is for bind mounts and volumes only");
    if (m->overlay && m->anonymous)
        return err_new(ERR_INVALID, "'O' is for a bind mount or a volume with a name: there is nothing to lay it over");
    if (m->overlay && (m->subpath || m->propagation || m->idmap))
        return err_new(ERR_INVALID, "'O' cannot be had together with subpath, idmap or propagation");
    if ((m->upper || m->work) && !m->overlay)
        return err_new(ERR_INVALID, "upperdir= and workdir= are for 'O' only");
    if (!m->upper != !m->work)
        return err_new(ERR_INVALID, "upperdir= and workdir= belong together");
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
    static const char *const flags[] = { "ro",    "rw",     "nosuid",     "suid",        "nodev",
                                         "dev",   "noexec", "exec",       "noatime",     "relatime",
                                         "atime", "sync",   "nodiratime", "strictatime", "tmpcopyup" };
    static const char *const keys[] = {
        "size=", "mode=", "uid=", "gid=", "nr_inodes=", "nr_blocks=", "mpol=", "huge="
    };
    if (strcmp(word, "notmpcopyup") == 0)
        return NULL; /* as it is by default */
    if (strcmp(word, "U") == 0) {
        m->chown = true;
        return NULL;
    }
    if (IS_ONE_OF(word, flags)) {
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

static fallible tmpfs_size(struct container_mount *m, const char *value)
{
    int64_t bytes;
    TRY(parse_bytes(value, &bytes));
    strv_add_printf(&m->options, "size=%lld", (long long)bytes);
    return NULL;
}

static fallible octal_mode(struct container_mount *m, const char *value)
{
    if (!*value || strspn(value, "01234567") != strlen(value) || strlen(value) > 5)
        return err_new(ERR_INVALID, "'%s' is no octal file mode", value);
    strv_add_printf(&m->options, "mode=%s", value);
    return NULL;
}

/* --mount, word by word: what each key does with its value. */
typedef err *word_fn(struct container_mount *m, const char *value);

static err *set_type(struct container_mount *m, const char *value)
{
    static const char *const types[] = { "bind", "volume", "image", "tmpfs", "ramfs", "devpts" };
    if (strcmp(value, "npipe") == 0 || strcmp(value, "cluster") == 0)
        return err_new(ERR_UNSUPPORTED,
                       "type '%s' is docker's on %s: husk has bind, volume, image, tmpfs, ramfs, devpts", value,
                       *value == 'n' ? "Windows" : "a swarm");
    if (strcmp(value, "glob") == 0)
        return err_new(ERR_UNSUPPORTED, "type 'glob': husk matches no patterns: write a --mount for each path, or bind "
                                        "the directory that they are in");
    if (!IS_ONE_OF(value, types))
        return err_new(ERR_INVALID, "type '%s' is not one of bind, volume, image, tmpfs, ramfs, devpts", value);
    free(m->type);
    m->type = mem_strdup(value);
    return NULL;
}

static err *set_read_only(struct container_mount *m, const char *value)
{
    m->read_only = true;
    return value ? parse_bool(value, &m->read_only) : NULL;
}

static err *set_writable(struct container_mount *m, const char *value)
{
    bool writable = true;
    TRY(value ? parse_bool(value, &writable) : NULL);
    m->read_only = !writable;
    m->writable = writable;
    return NULL;
}

static err *set_nocopy(struct container_mount *m, const char *value)
{
    m->nocopy = true;
    return value ? parse_bool(value, &m->nocopy) : NULL;
}

static err *set_non_recursive(struct container_mount *m, const char *value)
{
    m->non_recursive = true;
    return value ? parse_bool(value, &m->non_recursive) : NULL;
}

/* Docker's four words. Read-only binds are read-only all the way down unless "writable" says otherwise. */
static err *set_recursive(struct container_mount *m, const char *value)
{
    m->non_recursive = strcmp(value, "disabled") == 0;
    m->below_writable = strcmp(value, "writable") == 0;
    if (m->non_recursive || m->below_writable || strcmp(value, "enabled") == 0 || strcmp(value, "readonly") == 0)
        return NULL;
    return err_new(ERR_INVALID, "bind-recursive '%s' is not one of enabled, disabled, writable, readonly", value);
}

static err *set_chown(struct container_mount *m, const char *value)
{
    m->chown = true;
    return value ? parse_bool(value, &m->chown) : NULL;
}

static err *set_idmap(struct container_mount *m, const char *value)
{
    if (value)
        return err_new(ERR_UNSUPPORTED, "idmap: a mount has the container's own map, not one in words");
    m->idmap = true;
    return NULL;
}

static err *set_relabel(struct container_mount *m, const char *value)
{
    (void)m; /* as z and Z */
    if (strcmp(value, "shared") == 0 || strcmp(value, "private") == 0)
        return NULL;
    return err_new(ERR_INVALID, "relabel '%s' is not one of shared, private", value);
}

static err *set_consistency(struct container_mount *m, const char *value)
{
    static const char *const words[] = { "default", "consistent", "cached", "delegated" };
    (void)m; /* of Docker Desktop's shared folders: on Linux all four are the same */
    if (IS_ONE_OF(value, words))
        return NULL;
    return err_new(ERR_INVALID, "consistency '%s' is not one of consistent, cached, delegated", value);
}

static err *set_driver(struct container_mount *m, const char *value)
{
    (void)m;
    return grammar_volume_driver(value);
}

static err *add_driver_option(struct container_mount *m, const char *value)
{
    if (!strchr(value, '=') || *value == '=')
        return err_new(ERR_INVALID, "volume-opt '%s': it is KEY=VALUE", value);
    strv_add(&m->driver_options, value);
    return NULL;
}

static err *add_label(struct container_mount *m, const char *value)
{
    return grammar_label(value, &m->labels);
}

static err *tmpfs_words(struct container_mount *m, const char *value)
{
    return tmpfs_option(m, value);
}

static err *set_bind_create(struct container_mount *m, const char *value)
{
    m->make_source = true;
    return value ? parse_bool(value, &m->make_source) : NULL;
}

static err *devpts_number(struct container_mount *m, const char *key, const char *value)
{
    int64_t n;
    TRY(parse_i64(value, 0, UINT32_MAX, &n));
    strv_add_printf(&m->options, "%s=%lld", key, (long long)n);
    return NULL;
}
static err *set_uid(struct container_mount *m, const char *value)
{
    return devpts_number(m, "uid", value);
}
static err *set_gid(struct container_mount *m, const char *value)
{
    return devpts_number(m, "gid", value);
}
static err *set_max(struct container_mount *m, const char *value)
{
    return devpts_number(m, "max", value);
}

enum value { VALUE, MAYBE }; /* must have one; may */
static const struct mount_key {
    const char *name;
    enum value value;
    word_fn *set;
    const char *types; /* which it is for, space-separated; NULL: all */
} mount_keys[] = {
    { "type", VALUE, set_type, NULL },
    { "target", VALUE, set_target, NULL },
    { "dst", VALUE, set_target, NULL },
    { "destination", VALUE, set_target, NULL },
    { "readonly", MAYBE, set_read_only, NULL },
    { "ro", MAYBE, set_read_only, NULL },
    { "rw", MAYBE, set_writable, NULL },
    { "consistency", VALUE, set_consistency, NULL },
    { "bind-propagation", VALUE, set_propagation, "bind" },
    { "bind-nonrecursive", MAYBE, set_non_recursive, "bind" },
    { "bind-recursive", VALUE, set_recursive, "bind" },
    { "bind-create-src", MAYBE, set_bind_create, "bind" },
    { "volume-nocopy", MAYBE, set_nocopy, "volume" },
    { "volume-subpath", VALUE, set_subpath, "volume" },
    { "subpath", VALUE, set_subpath, "volume image" },
    { "volume-label", VALUE, add_label, "volume" },
    { "volume-driver", VALUE, set_driver, "volume" },
    { "volume-opt", VALUE, add_driver_option, "volume" },
    { "tmpfs-size", VALUE, tmpfs_size, "tmpfs" },
    { "size", VALUE, tmpfs_size, "tmpfs" },
    { "tmpfs-mode", VALUE, octal_mode, "tmpfs ramfs" },
    { "mode", VALUE, octal_mode, "devpts tmpfs" },
    { "tmpfs-opt", VALUE, tmpfs_words, "tmpfs" },
    { "uid", VALUE, set_uid, "devpts tmpfs" },
    { "gid", VALUE, set_gid, "devpts tmpfs" },
    { "max", VALUE, set_max, "devpts" },
    { "U", MAYBE, set_chown, "bind volume tmpfs" },
    { "chown", MAYBE, set_chown, "bind volume tmpfs" },
    { "idmap", MAYBE, set_idmap, "bind volume" },
    { "relabel", VALUE, set_relabel, "bind volume" },
};

static fallible unknown_key(const char *key)
{
    const char *known[ARRAY_SIZE(mount_keys) + 1];
    for (size_t i = 0; i < ARRAY_SIZE(mount_keys); i++)
        known[i] = mount_keys[i].name;
    known[ARRAY_SIZE(mount_keys)] = "source";
    const char *near = nearest_word(key, known, ARRAY_SIZE(known));
    return near ? err_new(ERR_INVALID, "unknown key '%s': did you mean '%s'?", key, near)
                : err_new(ERR_INVALID, "unknown key '%s'", key);
}

static const struct mount_key *find_key(const char *key)
{
    for (size_t i = 0; i < ARRAY_SIZE(mount_keys); i++)
        if (strcmp(mount_keys[i].name, key) == 0)
            return &mount_keys[i];
    return NULL;
}

/* One "key" or "key=value" of --mount; the source is kept as text until the type is known. */
static fallible mount_word(struct container_mount *m, const char *key, const char *value, char **source)
{
    bool known;
    const struct mount_key *k = find_key(key);
    bool is_source = strcmp(key, "source") == 0 || strcmp(key, "src") == 0;
    if ((is_source || (k && k->value == VALUE)) && (!value || !*value))
        return err_new(ERR_INVALID, "'%s' needs a value", key);
    if (is_source) {
        free(*source);
        *source = mem_strdup(value);
        return NULL;
    }
    if (k)
        return k->set(m, value);
    if (value)
        return unknown_key(key);
    if (strcmp(key, "tmpcopyup") == 0 || strcmp(key, "notmpcopyup") == 0)
        return tmpfs_option(m, key);
    TRY(common_word(m, key, &known));
    return known ? NULL : unknown_key(key);
}

static bool has_word(const char *words, const char *word)
{
    own_strv struct strv list = { 0 };
    strv_split(&list, words, ' ');
    return strv_has(&list, word);
}

static fallible mount_words(const char *text, struct container_mount *m, char **source)
{
    own_strv struct strv words = { 0 };
    own_strv struct strv keys = { 0 };
    strv_split(&words, text, ',');
    for (size_t i = 0; i < words.n; i++) {
        char *equals = strchr(words.items[i], '=');
        if (equals)
            *equals = '\0';
        TRY(mount_word(m, words.items[i], equals ? equals + 1 : NULL, source));
        strv_add(&keys, words.items[i]);
    }
    if (!m->type)
        m->type = mem_strdup("volume");
    for (size_t i = 0; i < keys.n; i++) { /* the type may come last */
        const struct mount_key *k = find_key(keys.items[i]);
        if (k && k->types && !has_word(k->types, m->type))
            return err_new(ERR_INVALID, "'%s' is for type=%s only", k->name, k->types);
    }
    return NULL;
}

static fallible mount_source(struct container_mount *m, const char *source)
{
    if (!m->target)
        return err_new(ERR_INVALID, "target=PATH is missing");
    bool ram = is_type(m, "tmpfs") || is_type(m, "ramfs");
    if (ram || is_type(m, "devpts")) {
        if (source)
            return err_new(ERR_INVALID, "a %s has no source", m->type);
        if (ram)
            tmpfs_defaults(m);
    } else if (is_type(m, "bind")) {
        if (!source)
            return err_new(ERR_INVALID, "source=PATH is missing");
        TRY(paths_absolute(source, &m->source));
    } else if (is_type(m, "image")) {
        if (!source)
            return err_new(ERR_INVALID, "source=IMAGE is missing");
        m->source = mem_strdup(source);
        m->overlay = m->writable; /* read-only unless told otherwise */
        m->read_only = !m->writable;
        return NULL;
    } else if (source) {
        TRY(grammar_name("volume name", source));
        m->source = mem_strdup(source);
    } else {
        m->anonymous = true;
    }
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

fallible grammar_volume_driver(const char *name)
{
    if (strcmp(name, "local") == 0)
        return NULL;
    return err_new(ERR_UNSUPPORTED,
                   "volume driver '%s': husk has 'local' alone, whose --opt type=, device= and o= mount "
                   "what the kernel can mount; a plugin's volume is bound by its path",
                   name);
}
