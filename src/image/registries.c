// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/registries.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "codec/bind.h"
#include "codec/toml.h"
#include "os/fs.h"
#include "os/ids.h"

enum { FILE_SIZE_MAX = 1 << 20, ENTRIES_MAX = 5000 };

/* ---- the file's form ---- */

struct conf_mirror {
    char *location, *pull_from_mirror;
    bool insecure;
    json_t *rest;
};
struct conf_registry {
    char *prefix, *location, *from; /* from: the file that says so */
    bool insecure, blocked, mirror_by_digest_only;
    struct conf_mirror *mirrors;
    size_t mirrors_n;
    json_t *rest;
};
struct conf {
    struct strv unqualified, helpers;
    char *short_name_mode;
    struct conf_registry *registries;
    size_t registries_n;
    struct strmap aliases;
    json_t *rest;
};

#define T struct conf_mirror
static const struct bind_field mirror_fields[] = {
    BIND_STR(T, location, "location", .flags = BIND_REQUIRED),
    BIND_BOOL(T, insecure, "insecure"),
    BIND_STR(T, pull_from_mirror, "pull-from-mirror"),
    BIND_REST(T, rest),
    BIND_END,
};
#undef T
static const struct bind_type mirror_type = { "mirror", sizeof(struct conf_mirror), mirror_fields };
#define T struct conf_registry
static const struct bind_field registry_fields[] = {
    BIND_STR(T, prefix, "prefix"),
    BIND_STR(T, location, "location"),
    BIND_BOOL(T, insecure, "insecure"),
    BIND_BOOL(T, blocked, "blocked"),
    BIND_BOOL(T, mirror_by_digest_only, "mirror-by-digest-only"),
    BIND_OBJS(T, mirrors, mirrors_n, "mirror", mirror_type),
    BIND_REST(T, rest),
    BIND_END,
};
#undef T
static const struct bind_type registry_type = { "registry", sizeof(struct conf_registry), registry_fields };
#define T struct conf
static const struct bind_field conf_fields[] = {
    BIND_STRS(T, unqualified, "unqualified-search-registries"),
    BIND_STRS(T, helpers, "credential-helpers"),
    BIND_STR(T, short_name_mode, "short-name-mode"),
    BIND_OBJS(T, registries, registries_n, "registry", registry_type),
    BIND_MAP(T, aliases, "aliases"),
    BIND_REST(T, rest),
    BIND_END,
};
#undef T
static const struct bind_type conf_type = { "registries.conf", sizeof(struct conf), conf_fields };

static void conf_free(struct conf *c)
{
    bind_free(&conf_type, c);
}
OWN_TYPE(conf, struct conf *, conf_free)

/* All files together. */
struct registries {
    struct conf_registry *items;
    size_t n;
    struct strv unqualified, helpers;
    enum { MODE_PERMISSIVE, MODE_ENFORCING, MODE_DISABLED } mode;
    struct strmap aliases;
};

static void registry_clear(struct conf_registry *c)
{
    json_decref(c->rest);
    for (size_t i = 0; i < c->mirrors_n; i++) {
        json_decref(c->mirrors[i].rest);
        free(c->mirrors[i].location);
        free(c->mirrors[i].pull_from_mirror);
    }
    free(c->mirrors);
    free(c->prefix);
    free(c->location);
    free(c->from);
}

struct registries *registries_new(void)
{
    return mem_zalloc(sizeof(struct registries));
}

void registries_free(struct registries *r)
{
    if (!r)
        return;
    for (size_t i = 0; i < r->n; i++)
        registry_clear(&r->items[i]);
    free(r->items);
    strv_free(&r->unqualified);
    strv_free(&r->helpers);
    strmap_free(&r->aliases);
    free(r);
}

/* ---- reading ---- */

/* "x.io/y", without scheme and tag; for prefixes also "*.x.io". */
static fallible check_location(const char *what, const char *text)
{
    const char *host = str_starts(text, "*.") && strcmp(what, "prefix") == 0 ? text + 2 : text;
    if (!*host || strstr(host, "://") || *host == '/' || str_ends(host, "/") || strlen(text) > REF_NAME_MAX)
        return err_new(ERR_INVALID, "%s: '%.200s' is not of the form HOST[:PORT][/PATH]", what, text);
    return NULL;
}

static fallible check_mirror(const struct conf_mirror *m)
{
    static const char *const words[] = { "all", "digest-only", "tag-only" };
    TRY(check_location("location", m->location));
    for (size_t i = 0; m->pull_from_mirror && i < ARRAY_SIZE(words); i++)
        if (strcmp(m->pull_from_mirror, words[i]) == 0)
            return NULL;
    if (m->pull_from_mirror && *m->pull_from_mirror)
        return err_new(ERR_INVALID, "pull-from-mirror: '%.50s' is not one of all, digest-only, tag-only",
                       m->pull_from_mirror);
    return NULL;
}

static fallible check_registry(struct conf_registry *c)
{
    if (!c->location && !c->prefix)
        return err_new(ERR_INVALID, "a registry needs a location or a prefix");
    if (!c->prefix)
        c->prefix = mem_strdup(c->location);
    TRY(check_location("prefix", c->prefix));
    if (c->location)
        TRY(check_location("location", c->location));
    if (c->location && str_starts(c->location, "*."))
        return err_new(ERR_INVALID, "location: '%.200s': only a prefix may begin with '*.'", c->location);
    for (size_t i = 0; i < c->mirrors_n; i++) {
        TRY_AS(check_mirror(&c->mirrors[i]), "mirror[%zu]", i);
        if (c->mirror_by_digest_only && c->mirrors[i].pull_from_mirror && *c->mirrors[i].pull_from_mirror)
            return err_new(ERR_INVALID, "mirror-by-digest-only and pull-from-mirror exclude each other");
    }
    return NULL;
}

static fallible read_mode(struct registries *r, const char *word)
{
    if (!word || !*word)
        return NULL;
    if (strcmp(word, "enforcing") == 0)
        r->mode = MODE_ENFORCING;
    else if (strcmp(word, "permissive") == 0)
        r->mode = MODE_PERMISSIVE;
    else if (strcmp(word, "disabled") == 0)
        r->mode = MODE_DISABLED;
    else
        return err_new(ERR_INVALID, "short-name-mode: '%.50s' is not one of enforcing, permissive, disabled", word);
    return NULL;
}

static fallible set_registry(struct registries *r, struct conf_registry *take_c, const char *name)
{
    struct conf_registry c = *take_c;
    memset(take_c, 0, sizeof *take_c);
    c.from = mem_strdup(name);
    for (size_t i = 0; i < r->n; i++)
        if (strcmp(r->items[i].prefix, c.prefix) == 0) {
            registry_clear(&r->items[i]);
            r->items[i] = c;
            return NULL;
        }
    if (r->n >= ENTRIES_MAX) {
        registry_clear(&c);
        return err_new(ERR_EXHAUSTED, "more than %d registries", ENTRIES_MAX);
    }
    r->items = mem_array(r->items, r->n + 1, sizeof *r->items);
    r->items[r->n++] = c;
    return NULL;
}

/* An alias is a full name without tag or digest; an empty one takes back what an earlier file says. */
static fallible set_alias(struct registries *r, const char *alias, const char *value)
{
    own(ref) struct ref *ref = NULL;
    const char *slash = strrchr(value, '/');
    if (*value && (strpbrk(slash ? slash : value, ":@") || !slash))
        return err_new(ERR_INVALID, "aliases: '%.100s' = '%.200s' is no HOST[:PORT]/NAME without a tag", alias, value);
    if (*value)
        TRY_AS(ref_parse(value, &ref), "aliases: '%.100s'", alias);
    if (ref && ref->is_short)
        return err_new(ERR_INVALID, "aliases: '%.100s' = '%.200s' names no registry", alias, value);
    if (r->aliases.n >= ENTRIES_MAX)
        return err_new(ERR_EXHAUSTED, "more than %d aliases", ENTRIES_MAX);
    strmap_set(&r->aliases, alias, value);
    return NULL;
}

/* The file is not ours alone: a key of a newer podman is no reason to do nothing at all. */
static void tell_unknown(const char *name, const json_t *rest)
{
    const char *key;
    json_t *value;
    json_object_foreach ((json_t *)rest, key, value)
        log_warn("%s: husk does not know '%.100s': it is ignored", name, key);
}

static fallible add_conf(struct registries *r, struct conf *c, const char *name)
{
    tell_unknown(name, c->rest);
    for (size_t i = 0; i < c->registries_n; i++) {
        tell_unknown(name, c->registries[i].rest);
        for (size_t j = 0; j < c->registries[i].mirrors_n; j++)
            tell_unknown(name, c->registries[i].mirrors[j].rest);
    }
    TRY(read_mode(r, c->short_name_mode));
    for (size_t i = 0; i < c->unqualified.n; i++)
        TRY_AS(check_location("location", c->unqualified.items[i]), "unqualified-search-registries");
    if (c->helpers.n) {
        strv_free(&r->helpers);
        strv_copy(&r->helpers, c->helpers.items, c->helpers.n);
    }
    if (c->unqualified.n) {
        strv_free(&r->unqualified);
        strv_copy(&r->unqualified, c->unqualified.items, c->unqualified.n);
    }
    for (size_t i = 0; i < c->registries_n; i++) {
        TRY_AS(check_registry(&c->registries[i]), "registry[%zu]", i);
        TRY(set_registry(r, &c->registries[i], name));
    }
    for (size_t i = 0; i < c->aliases.n; i++)
        TRY(set_alias(r, c->aliases.items[i].key, c->aliases.items[i].value));
    return NULL;
}

fallible registries_add(struct registries *r, const char *name, const char *text, size_t len)
{
    own_json json_t *doc = NULL;
    own(conf) struct conf *c = NULL;
    TRY_AS(toml_parse(text, len, &doc), "%s", name);
    if (json_object_get(doc, "registries"))
        return err_new(ERR_INVALID,
                       "%s: it is of version 1, which nobody writes any more: see containers-registries.conf(5)", name);
    TRY_AS(bind_read_json(&conf_type, doc, (void **)&c), "%s", name);
    TRY_AS(add_conf(r, c, name), "%s", name);
    return NULL;
}

static fallible add_file(struct registries *r, const char *path, bool *ret_there)
{
    own_mem char *text = NULL;
    size_t len = 0;
    err *e = fs_read_at(AT_FDCWD, path, FILE_SIZE_MAX, &text, &len);
    *ret_there = !err_is(e, ERR_NOT_FOUND);
    if (!*ret_there) {
        err_ignore(e, "most have none");
        return NULL;
    }
    TRY(e);
    return registries_add(r, path, text, len);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static fallible add_drop_ins(struct registries *r, const char *dir)
{
    own_strv struct strv names = { 0 };
    own_dir DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT || errno == ENOTDIR ? NULL : err_sys(errno, "open '%s'", dir);
    for (struct dirent *e; (e = readdir(d));)
        if (str_ends(e->d_name, ".conf"))
            strv_add(&names, e->d_name);
    if (names.n)
        qsort(names.items, names.n, sizeof *names.items, by_name);
    for (size_t i = 0; i < names.n; i++) {
        own_mem char *path = mem_printf("%s/%s", dir, names.items[i]);
        bool there = false;
        TRY(add_file(r, path, &there));
    }
    return NULL;
}

/* "~/.config/containers", or NULL. Caller frees. */
static char *user_folder(void)
{
    const char *config = getenv("XDG_CONFIG_HOME"), *home = getenv("HOME");
    if (config && *config)
        return mem_printf("%s/containers", config);
    return home && *home ? mem_printf("%s/.config/containers", home) : NULL;
}

/* What podman has asked a person, and noted: it goes before what the other files say. Caller frees; or NULL. */
static char *noted_aliases(void)
{
    const char *cache = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    if (geteuid() == 0 && !ids_in_userns())
        return mem_strdup("/var/cache/containers/short-name-aliases.conf");
    if (cache && *cache)
        return mem_printf("%s/containers/short-name-aliases.conf", cache);
    return home && *home ? mem_printf("%s/.cache/containers/short-name-aliases.conf", home) : NULL;
}

fallible registries_load(struct registries **ret)
{
    own(registries) struct registries *r = registries_new();
    own_mem char *user = user_folder();
    const char *only = getenv("CONTAINERS_REGISTRIES_CONF");
    bool there = false;
    if (only && *only) {
        TRY(add_file(r, only, &there));
        if (!there)
            return err_new(ERR_NOT_FOUND, "$CONTAINERS_REGISTRIES_CONF: there is no file '%s'", only);
    }
    if (!there && user) {
        own_mem char *path = mem_printf("%s/registries.conf", user);
        TRY(add_file(r, path, &there));
    }
    if (!there)
        TRY(add_file(r, "/etc/containers/registries.conf", &there));
    TRY(add_drop_ins(r, "/etc/containers/registries.conf.d"));
    if (user) {
        own_mem char *dir = mem_printf("%s/registries.conf.d", user);
        TRY(add_drop_ins(r, dir));
    }
    own_mem char *noted = noted_aliases();
    if (noted)
        TRY(add_file(r, noted, &there));
    *ret = take(r);
    return NULL;
}

const struct strv *registries_helpers(const struct registries *r)
{
    return &r->helpers;
}

const struct strv *registries_search_list(const struct registries *r)
{
    return &r->unqualified;
}

/* ---- places ---- */

void registry_places_clear(struct registry_places *p)
{
    for (size_t i = 0; i < p->n; i++) {
        free(p->items[i].registry);
        free(p->items[i].repository);
    }
    free(p->items);
    *p = (struct registry_places){ 0 };
}

/* How many characters of "x.io/a/b" the prefix covers; 0: it does not fit. */
static size_t prefix_fits(const char *prefix, const char *name)
{
    if (str_starts(prefix, "*.")) {
        size_t host = strcspn(name, "/"), n = strlen(prefix + 1);
        const char *rest = strchr(prefix, '/');
        size_t host_n = rest ? (size_t)(rest - prefix - 1) : n; /* ".x.io" */
        if (host <= host_n || strncmp(name + host - host_n, prefix + 1, host_n) != 0)
            return 0;
        if (!rest)
            return host;
        size_t path = strlen(rest);
        return strncmp(name + host, rest, path) == 0 && (!name[host + path] || name[host + path] == '/') ? host + path
                                                                                                         : 0;
    }
    size_t n = strlen(prefix);
    return strncmp(name, prefix, n) == 0 && (!name[n] || name[n] == '/') ? n : 0;
}

static const struct conf_registry *find(const struct registries *r, const char *name, size_t *ret_covered)
{
    const struct conf_registry *best = NULL;
    size_t best_prefix = 0;
    for (size_t i = 0; i < r->n; i++) {
        size_t covered = prefix_fits(r->items[i].prefix, name), n = strlen(r->items[i].prefix);
        if (!covered || n < best_prefix)
            continue;
        best = &r->items[i];
        best_prefix = n;
        *ret_covered = covered;
    }
    return best;
}

static fallible add_place(struct registry_places *places, const char *location, const char *rest,
                          struct registry_place place)
{
    own(ref) struct ref *ref = NULL;
    own_mem char *name = mem_printf("%s%s", location, rest);
    TRY_AS(ref_parse(name, &ref), "location '%.200s'", location);
    if (ref->is_short)
        return err_new(ERR_INVALID, "location '%.200s' names no registry", location);
    place.registry = take(ref->registry);
    place.repository = take(ref->repository);
    places->items = mem_array(places->items, places->n + 1, sizeof *places->items);
    places->items[places->n++] = place;
    return NULL;
}

static enum place_for use_of(const struct conf_registry *c, const struct conf_mirror *m)
{
    if (c->mirror_by_digest_only || str_eq(m->pull_from_mirror, "digest-only"))
        return PLACE_FOR_DIGESTS;
    return str_eq(m->pull_from_mirror, "tag-only") ? PLACE_FOR_TAGS : PLACE_FOR_ALL;
}

static fallible blocked(const struct conf_registry *c)
{
    return err_new(ERR_DENIED, "'%s' is blocked in %s", c->prefix, c->from);
}

fallible registries_places(const struct registries *r, const struct ref *ref, struct registry_places *ret)
{
    own_mem char *name = mem_printf("%s/%s", ref->registry, ref->repository);
    size_t covered = 0;
    const struct conf_registry *c = find(r, name, &covered);
    if (!c)
        return add_place(ret, name, "", (struct registry_place){ 0 });
    if (c->blocked)
        return blocked(c);
    for (size_t i = 0; i < c->mirrors_n; i++)
        TRY_AS(add_place(ret, c->mirrors[i].location, name + covered,
                         (struct registry_place){
                             .mirror = true, .insecure = c->mirrors[i].insecure, .use = use_of(c, &c->mirrors[i]) }),
               "%s", c->from);
    if (!c->location)
        return add_place(ret, name, "", (struct registry_place){ .insecure = c->insecure });
    TRY_AS(add_place(ret, c->location, name + covered, (struct registry_place){ .insecure = c->insecure }), "%s",
           c->from);
    return NULL;
}

fallible registries_push_place(const struct registries *r, const struct ref *ref, struct registry_places *ret)
{
    own_mem char *name = mem_printf("%s/%s", ref->registry, ref->repository);
    size_t covered = 0;
    const struct conf_registry *c = find(r, name, &covered);
    if (c && c->blocked)
        return blocked(c);
    return add_place(ret, name, "", (struct registry_place){ .insecure = c && c->insecure });
}

/* ---- short names ---- */

/* ":tag@digest" of what was typed. */
static const char *suffix_of(const char *text)
{
    const char *slash = strrchr(text, '/'), *name = slash ? slash : text;
    return name + strcspn(name, ":@");
}

static fallible add_name(struct strv *names, const char *where, const char *separator, const char *text)
{
    own(ref) struct ref *ref = NULL;
    own_mem char *full = mem_printf("%s%s%s", where, separator, text);
    TRY(ref_parse(full, &ref));
    strv_add_take(names, ref_full(ref));
    return NULL;
}

fallible registries_resolve(const struct registries *r, const char *text, struct strv *ret_names)
{
    own(ref) struct ref *ref = NULL;
    TRY(ref_parse(text, &ref));
    if (!ref->is_short) {
        strv_add_take(ret_names, ref_full(ref));
        return NULL;
    }
    own_mem char *name = mem_strndup(text, (size_t)(suffix_of(text) - text));
    const char *alias = strmap_get(&r->aliases, name);
    if (alias && *alias)
        return add_name(ret_names, alias, "", suffix_of(text));
    if (!r->unqualified.n) {
        strv_add_take(ret_names, ref_full(ref));
        return NULL;
    }
    for (size_t i = 0; i < r->unqualified.n; i++)
        TRY_AS(add_name(ret_names, r->unqualified.items[i], "/", text), "unqualified-search-registries");
    if (r->mode != MODE_ENFORCING || ret_names->n < 2)
        return NULL;
    own_str struct str list = { 0 };
    for (size_t i = 0; i < ret_names->n; i++)
        str_printf(&list, "%s%s", i ? ", " : "", ret_names->items[i]);
    return err_new(ERR_INVALID, "short name '%s' is ambiguous (short-name-mode is \"enforcing\"): say which of %s",
                   text, list.text);
}
