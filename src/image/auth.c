// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "codec/bind.h"
#include "image/auth_inside.h"
#include "os/fs.h"

#define HUB "docker.io"

void credentials_free(struct credentials *c)
{
    if (!c)
        return;
    if (c->password)
        explicit_bzero(c->password, strlen(c->password));
    if (c->identity_token)
        explicit_bzero(c->identity_token, strlen(c->identity_token));
    free(c->user);
    free(c->password);
    free(c->identity_token);
    free(c);
}

fallible credentials_parse(const char *pair, struct credentials **ret)
{
    const char *colon = strchr(pair, ':');
    if (!colon || colon == pair)
        return err_new(ERR_INVALID, "credentials are not of the form USER:PASSWORD");
    struct credentials *c = mem_zalloc(sizeof *c);
    c->user = mem_strndup(pair, (size_t)(colon - pair));
    c->password = mem_strdup(colon + 1);
    *ret = c;
    return NULL;
}

/* "https://host/v1/" and "host/v2/" are docker's spellings of "host"; other paths belong to the key (podman). */
char *auth_normal_key(const char *key)
{
    bool url = false;
    for (size_t i = 0; i < 2; i++) {
        const char *scheme = i ? "http://" : "https://";
        if (!str_starts(key, scheme))
            continue;
        key += strlen(scheme);
        url = true;
    }
    own_mem char *name = mem_strndup(key, url ? strcspn(key, "/") : strlen(key));
    size_t n = strlen(name);
    while (n && name[n - 1] == '/')
        name[--n] = '\0';
    if (n > 3 && (str_ends(name, "/v1") || str_ends(name, "/v2")))
        name[n - 3] = '\0';
    if (strcmp(name, "index.docker.io") == 0 || strcmp(name, "registry-1.docker.io") == 0)
        return mem_strdup(HUB);
    return mem_strdup(name);
}

/* The longest key that is the repository or a path above it; NULL: none. */
json_t *auth_longest_match(json_t *map, const char *full)
{
    const char *key;
    json_t *value, *best = NULL;
    size_t best_len = 0;
    json_object_foreach (map, key, value) {
        own_mem char *name = auth_normal_key(key);
        size_t n = strlen(name);
        if (n <= best_len || strncmp(full, name, n) != 0 || (full[n] && full[n] != '/'))
            continue;
        best = value;
        best_len = n;
    }
    return best;
}

static const char *string_at(json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s && *s ? s : NULL;
}

/* One entry of "auths". An empty one only says that credsStore has it. */
static fallible read_entry(json_t *entry, struct credentials **ret)
{
    own(credentials) struct credentials *c = NULL;
    const char *auth = string_at(entry, "auth"), *token = string_at(entry, "identitytoken");
    const char *user = string_at(entry, "username"), *password = string_at(entry, "password");
    if (auth) {
        own_mem char *pair = NULL;
        TRY(base64_decode(auth, &pair));
        TRY(credentials_parse(pair, &c));
    } else if (user && password) {
        c = mem_zalloc(sizeof *c);
        c->user = mem_strdup(user);
        c->password = mem_strdup(password);
    }
    if (token) {
        if (!c)
            c = mem_zalloc(sizeof *c);
        c->identity_token = mem_strdup(token);
    }
    *ret = take(c);
    return NULL;
}

fallible credentials_in_file(const char *text, size_t len, const char *registry, const char *repository,
                             struct credentials **ret, char **ret_helper)
{
    own_json json_t *doc = NULL;
    own_mem char *full = mem_printf("%s/%s", registry, repository);
    *ret = NULL;
    *ret_helper = NULL;
    TRY(json_parse("credentials", text, len, &doc));
    const char *helper = json_string_value(auth_longest_match(json_object_get(doc, "credHelpers"), full));
    if (!helper) {
        json_t *entry = auth_longest_match(json_object_get(doc, "auths"), full);
        if (entry)
            TRY_AS(read_entry(entry, ret), "auths: '%s'", registry);
        if (*ret)
            return NULL;
        helper = string_at(doc, "credsStore");
    }
    if (helper) {
        TRY(helper_check_name(helper));
        *ret_helper = mem_strdup(helper);
    }
    return NULL;
}

/* must: who named the file meant it. */
static fallible find_in(const char *path, bool must, const char *registry, const char *repository, uint64_t wait_ns,
                        struct credentials **ret)
{
    own_mem char *text = NULL;
    own_mem char *helper = NULL;
    size_t len = 0;
    err *e = fs_read_at(AT_FDCWD, path, AUTH_FILE_MAX, &text, &len);
    if (err_is(e, ERR_NOT_FOUND) && !must) {
        err_ignore(e, "most people have none");
        return NULL;
    }
    TRY(e);
    if (strspn(text, " \t\r\n") == len) /* as 'touch' makes it */
        return NULL;
    TRY_AS(credentials_in_file(text, len, registry, repository, ret, &helper), "%s", path);
    if (!helper)
        return NULL;
    own(err) err *failed = helper_get(helper, registry, wait_ns, ret);
    if (failed)
        log_warn("%s names a credential helper: going on without credentials: %s", path, err_text(failed));
    return NULL;
}

fallible credentials_from_helper(const char *name, const char *registry, uint64_t wait_ns, struct credentials **ret)
{
    own(err) err *failed = helper_get(name, registry, wait_ns, ret);
    if (failed)
        log_warn("registries.conf names a credential helper: going on without it: %s", err_text(failed));
    return NULL;
}

void auth_default_files(struct strv *files)
{
    const char *run = getenv("XDG_RUNTIME_DIR"), *docker = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
    const char *config = getenv("XDG_CONFIG_HOME");
    if (run && *run)
        strv_add_printf(files, "%s/containers/auth.json", run);
    else
        strv_add_printf(files, "/run/containers/%u/auth.json", (unsigned)getuid());
    if (config && *config)
        strv_add_printf(files, "%s/containers/auth.json", config);
    else if (home && *home)
        strv_add_printf(files, "%s/.config/containers/auth.json", home);
    if (docker && *docker)
        strv_add_printf(files, "%s/config.json", docker);
    else if (home && *home)
        strv_add_printf(files, "%s/.docker/config.json", home);
}

fallible credentials_find(const char *file, const char *registry, const char *repository, uint64_t wait_ns,
                          struct credentials **ret)
{
    own_strv struct strv files = { 0 };
    const char *only = file ? file : getenv("REGISTRY_AUTH_FILE");
    *ret = NULL;
    if (only && *only)
        strv_add(&files, only);
    else
        auth_default_files(&files);
    for (size_t i = 0; i < files.n && !*ret; i++)
        TRY_AS(find_in(files.items[i], only && *only, registry, repository, wait_ns, ret), "look for credentials");
    return NULL;
}
