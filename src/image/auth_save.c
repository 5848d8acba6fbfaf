// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "codec/bind.h"
#include "image/auth_inside.h"
#include "os/fs.h"

/* One file of credentials, held: its directory is locked, so that two logins at once both count. */
struct auth_file {
    char *path; /* links followed: the file itself is replaced, not the link to it */
    int dir;
    const char *name; /* in path */
    json_t *doc;      /* {} when there is no file */
    bool there;
};

static inline void own_drop_auth_file(struct auth_file *f)
{
    close_now(&f->dir);
    json_decref(f->doc);
    free(f->path);
}

static fallible read_doc(struct auth_file *f)
{
    own_mem char *text = NULL;
    size_t len = 0;
    err *e = fs_read_at(f->dir, f->name, AUTH_FILE_MAX, &text, &len);
    f->there = !e;
    if (err_is(e, ERR_NOT_FOUND) || (!e && !len)) {
        err_ignore(e, "it is to be made");
        f->doc = json_object();
        return NULL;
    }
    TRY(e);
    TRY(json_parse("credentials", text, len, &f->doc));
    return json_is_object(f->doc) ? NULL : err_new(ERR_INVALID, "credentials: expected an object");
}

/* make: the directory too. Without: *ret_there false when it is missing. */
static fallible auth_file_open(const char *path, bool make, struct auth_file *f, bool *ret_there)
{
    char *real = realpath(path, NULL);
    f->path = real ? mem_strdup(real) : mem_strdup(path);
    free(real);
    char *slash = strrchr(f->path, '/');
    own_mem char *dir = !slash             ? mem_strdup(".")
                        : slash == f->path ? mem_strdup("/")
                                           : mem_strndup(f->path, (size_t)(slash - f->path));
    f->name = slash ? slash + 1 : f->path;
    *ret_there = false;
    if (make)
        TRY(fs_mkdirs_at(AT_FDCWD, dir, 0700));
    f->dir = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (f->dir < 0 && errno == ENOENT && !make)
        return NULL;
    if (f->dir < 0 || flock(f->dir, LOCK_EX) < 0)
        return err_sys(errno, "open '%s'", dir);
    TRY_AS(read_doc(f), "%s", f->path);
    *ret_there = f->there;
    return NULL;
}

static fallible auth_file_write(struct auth_file *f)
{
    own_mem char *text = json_text(f->doc, BIND_INDENTED);
    own_mem char *line = mem_printf("%s\n", text);
    err *e = fs_replace_at(f->dir, f->name, line, strlen(line), 0600, FS_SYNC_DISK);
    explicit_bzero(text, strlen(text));
    explicit_bzero(line, strlen(line));
    return e ? err_wrap(e, "write '%s'", f->path) : NULL;
}

static json_t *object_at(json_t *doc, const char *key)
{
    json_t *o = json_object_get(doc, key);
    if (!json_is_object(o)) {
        o = json_object();
        json_object_set_new(doc, key, o);
    }
    return o;
}

/* Every spelling of this registry (NULL: of any). */
static bool remove_keys(json_t *map, const char *registry)
{
    own_strv struct strv gone = { 0 };
    const char *key;
    json_t *value;
    json_object_foreach (map, key, value) {
        own_mem char *name = auth_normal_key(key);
        if (!registry || strcmp(name, registry) == 0)
            strv_add(&gone, key);
    }
    for (size_t i = 0; i < gone.n; i++)
        json_object_del(map, gone.items[i]);
    return gone.n > 0;
}

/* NULL: the file keeps its credentials itself. Borrowed. */
static const char *helper_of(json_t *doc, const char *registry)
{
    const char *own_helper = json_string_value(auth_longest_match(json_object_get(doc, "credHelpers"), registry));
    const char *store = own_helper ? own_helper : json_string_value(json_object_get(doc, "credsStore"));
    return store && *store ? store : NULL;
}

static bool knows(json_t *doc, const char *registry)
{
    return auth_longest_match(json_object_get(doc, "credHelpers"), registry) ||
           auth_longest_match(json_object_get(doc, "auths"), registry);
}

/* ---- saving ---- */

static fallible choose_file(const char *file, const char *registry, char **ret)
{
    own_strv struct strv files = { 0 };
    const char *only = file ? file : getenv("REGISTRY_AUTH_FILE");
    if (only && *only) {
        *ret = mem_strdup(only);
        return NULL;
    }
    auth_default_files(&files);
    /* A file that is looked at before docker's would hide what is written there. */
    for (size_t i = 0; i < files.n; i++) {
        own(auth_file) struct auth_file f = { .dir = -1 };
        bool there = false;
        err *e = auth_file_open(files.items[i], false, &f, &there);
        bool last = i + 1 == files.n;
        if (err_is(e, ERR_DENIED) && !last) {
            err_ignore(e, "then it is not this one");
            continue;
        }
        TRY(e);
        if (last || (there && knows(f.doc, registry))) {
            *ret = mem_strdup(files.items[i]);
            return NULL;
        }
    }
    return err_new(ERR_NOT_FOUND, "there is no place for credentials: set HOME, or name a file with --authfile");
}

static json_t *entry_of(const struct credentials *c)
{
    own_mem char *pair = mem_printf("%s:%s", c->user ? c->user : "", c->identity_token ? "" : c->password);
    own_mem char *auth = base64_encode(pair, strlen(pair));
    json_t *entry = json_object();
    if (c->user)
        json_object_set_new(entry, "auth", json_string(auth));
    if (c->identity_token)
        json_object_set_new(entry, "identitytoken", json_string(c->identity_token));
    explicit_bzero(pair, strlen(pair));
    explicit_bzero(auth, strlen(auth));
    return entry;
}

fallible credentials_save(const char *file, const char *registry, const struct credentials *c, uint64_t wait_ns,
                          char **ret_where)
{
    own(auth_file) struct auth_file f = { .dir = -1 };
    own_mem char *path = NULL;
    bool there = false;
    TRY(choose_file(file, registry, &path));
    TRY(auth_file_open(path, true, &f, &there));
    const char *helper = helper_of(f.doc, registry);
    if (helper && strchr(registry, '/'))
        return err_new(ERR_UNSUPPORTED,
                       "%s keeps credentials with docker-credential-%s, which knows registries alone: "
                       "log in to '%.*s', or name another file with --authfile",
                       path, helper, (int)strcspn(registry, "/"), registry);
    if (helper)
        TRY(helper_store(helper, registry, c, wait_ns));
    json_t *auths = object_at(f.doc, "auths");
    remove_keys(auths, registry);
    json_object_set_new(auths, strcmp(registry, "docker.io") == 0 ? AUTH_HUB_SERVER : registry,
                        helper ? json_object() : entry_of(c));
    TRY(auth_file_write(&f));
    *ret_where = helper ? mem_printf("docker-credential-%s", helper) : mem_strdup(f.path);
    return NULL;
}

/* ---- forgetting ---- */

static fallible erase_with_helpers(json_t *doc, const char *registry, bool *ret_found)
{
    own_strv struct strv names = { 0 };
    const char *key;
    json_t *value;
    if (registry)
        strv_add(&names, registry);
    json_object_foreach (json_object_get(doc, "auths"), key, value)
        if (!registry)
            strv_add_take(&names, auth_normal_key(key));
    for (size_t i = 0; i < names.n; i++) {
        own(credentials) struct credentials *c = NULL;
        const char *helper = helper_of(doc, names.items[i]);
        if (!helper || strchr(names.items[i], '/'))
            continue;
        TRY(helper_get(helper, names.items[i], 0, &c));
        if (!c)
            continue;
        TRY(helper_erase(helper, names.items[i]));
        *ret_found = true;
    }
    return NULL;
}

static fallible erase_in(const char *path, const char *registry, bool *ret_found)
{
    own(auth_file) struct auth_file f = { .dir = -1 };
    bool there = false;
    TRY(auth_file_open(path, false, &f, &there));
    if (!there)
        return NULL;
    TRY(erase_with_helpers(f.doc, registry, ret_found));
    if (!remove_keys(json_object_get(f.doc, "auths"), registry))
        return NULL;
    *ret_found = true;
    return auth_file_write(&f);
}

fallible credentials_erase(const char *file, const char *registry, bool *ret_found)
{
    own_strv struct strv files = { 0 };
    const char *only = file ? file : getenv("REGISTRY_AUTH_FILE");
    if (only && *only)
        strv_add(&files, only);
    else
        auth_default_files(&files);
    *ret_found = false;
    for (size_t i = 0; i < files.n; i++)
        TRY(erase_in(files.items[i], registry, ret_found));
    return NULL;
}
