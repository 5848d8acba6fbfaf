// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/auth.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "base/log.h"
#include "codec/bind.h"
#include "os/fs.h"
#include "os/proc.h"

#define HUB        "docker.io"
#define HUB_SERVER "https://index.docker.io/v1/" /* docker's name for it in its files and to its helpers */
#define TOKEN_USER "<token>"                     /* a helper's user name when the secret is an identity token */

enum { AUTH_FILE_MAX = 1 << 20 };

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
static char *normal_key(const char *key)
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
static json_t *longest_match(json_t *map, const char *full)
{
    const char *key;
    json_t *value, *best = NULL;
    size_t best_len = 0;
    json_object_foreach (map, key, value) {
        own_mem char *name = normal_key(key);
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

static fallible check_helper(const char *name)
{
    if (!*name || strchr(name, '/'))
        return err_new(ERR_INVALID, "'%.100s' is not the name of a credential helper", name);
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
    const char *helper = json_string_value(longest_match(json_object_get(doc, "credHelpers"), full));
    if (!helper) {
        json_t *entry = longest_match(json_object_get(doc, "auths"), full);
        if (entry)
            TRY_AS(read_entry(entry, ret), "auths: '%s'", registry);
        if (*ret)
            return NULL;
        helper = string_at(doc, "credsStore");
    }
    if (helper) {
        TRY(check_helper(helper));
        *ret_helper = mem_strdup(helper);
    }
    return NULL;
}

static fallible read_helper_answer(const char *text, size_t len, struct credentials **ret)
{
    own_json json_t *doc = NULL;
    TRY(json_parse("its answer", text, len, &doc));
    const char *user = string_at(doc, "Username"), *secret = string_at(doc, "Secret");
    if (!user || !secret)
        return NULL;
    struct credentials *c = mem_zalloc(sizeof *c);
    if (strcmp(user, TOKEN_USER) == 0) {
        c->identity_token = mem_strdup(secret);
    } else {
        c->user = mem_strdup(user);
        c->password = mem_strdup(secret);
    }
    *ret = c;
    return NULL;
}

/* Protocol: the server's name on stdin, "get" as the argument, JSON on stdout; exit status 1 when it knows nothing. */
static fallible ask_helper(const char *program, const char *server, struct credentials **ret)
{
    own_fd int in = -1;
    own_fd int out = -1;
    own_mem char *answer = NULL;
    size_t len = 0;
    int status = 0;
    TRY(fs_memfd("server", &in));
    TRY(fs_memfd("answer", &out));
    TRY(fs_write_fd(in, server, strlen(server), "server"));
    (void)lseek(in, 0, SEEK_SET);
    char *argv[] = { mem_strdup(program), mem_strdup("get"), NULL };
    struct spawn s = { .argv = argv, .stdin_fd = in, .stdout_fd = out, .stderr_fd = -1 };
    err *e = spawn_wait(&s, &status);
    free(argv[0]);
    free(argv[1]);
    TRY(e);
    (void)lseek(out, 0, SEEK_SET);
    TRY(fs_read_fd(out, program, AUTH_FILE_MAX, &answer, &len));
    if (status == 0)
        return read_helper_answer(answer, len, ret);
    log_debug("%s knows nothing of %s: %s", program, server, answer);
    return NULL;
}

static fallible find_in(const char *path, const char *registry, const char *repository, struct credentials **ret)
{
    own_mem char *text = NULL;
    own_mem char *helper = NULL;
    size_t len = 0;
    err *e = fs_read_at(AT_FDCWD, path, AUTH_FILE_MAX, &text, &len);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_ignore(e, "most people have none");
        return NULL;
    }
    TRY(e);
    TRY_AS(credentials_in_file(text, len, registry, repository, ret, &helper), "%s", path);
    if (!helper)
        return NULL;
    own_mem char *program = mem_printf("docker-credential-%s", helper);
    own(err) err *failed = ask_helper(program, strcmp(registry, HUB) == 0 ? HUB_SERVER : registry, ret);
    if (failed)
        log_warn("%s names a credential helper: going on without credentials: %s", path, err_text(failed));
    return NULL;
}

static void add_default_files(struct strv *files)
{
    const char *run = getenv("XDG_RUNTIME_DIR"), *docker = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
    if (run && *run)
        strv_add_printf(files, "%s/containers/auth.json", run);
    else
        strv_add_printf(files, "/run/containers/%u/auth.json", (unsigned)getuid());
    if (docker && *docker)
        strv_add_printf(files, "%s/config.json", docker);
    else if (home && *home)
        strv_add_printf(files, "%s/.docker/config.json", home);
}

fallible credentials_find(const char *file, const char *registry, const char *repository, struct credentials **ret)
{
    own_strv struct strv files = { 0 };
    const char *only = file ? file : getenv("REGISTRY_AUTH_FILE");
    *ret = NULL;
    if (only && *only)
        strv_add(&files, only);
    else
        add_default_files(&files);
    for (size_t i = 0; i < files.n && !*ret; i++)
        TRY_AS(find_in(files.items[i], registry, repository, ret), "look for credentials");
    return NULL;
}
