// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/log.h"
#include "codec/bind.h"
#include "image/auth_inside.h"
#include "image/http.h"
#include "os/fs.h"
#include "os/proc.h"

#define TOKEN_USER "<token>" /* the user's name when the secret is an identity token */

fallible helper_check_name(const char *name)
{
    if (!*name || strchr(name, '/'))
        return err_new(ERR_INVALID, "'%.100s' is not the name of a credential helper", name);
    return NULL;
}

static const char *server_name(const char *registry)
{
    return strcmp(registry, "docker.io") == 0 ? AUTH_HUB_SERVER : registry;
}

/* Protocol: the verb is the argument, the question on stdin, the answer (or what went wrong) on stdout. */
static fallible run(const char *name, const char *verb, const char *input, char **ret_answer, size_t *ret_len,
                    int *ret_status)
{
    own_fd int in = -1;
    own_fd int out = -1;
    own_mem char *program = mem_printf("docker-credential-%s", name);
    own_mem char *verb_copy = mem_strdup(verb);
    TRY(helper_check_name(name));
    TRY(fs_memfd("question", &in));
    TRY(fs_memfd("answer", &out));
    TRY(fs_write_fd(in, input, strlen(input), "question"));
    (void)lseek(in, 0, SEEK_SET);
    char *argv[] = { program, verb_copy, NULL };
    struct spawn s = { .argv = argv, .stdin_fd = in, .stdout_fd = out, .stderr_fd = -1 };
    TRY(spawn_wait(&s, ret_status));
    (void)lseek(out, 0, SEEK_SET);
    return fs_read_fd(out, program, AUTH_FILE_MAX, ret_answer, ret_len);
}

static const char *string_at(json_t *object, const char *key)
{
    const char *s = json_string_value(json_object_get(object, key));
    return s && *s ? s : NULL;
}

static fallible read_answer(const char *text, size_t len, struct credentials **ret)
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

static void wipe(char *text, size_t len)
{
    if (text)
        explicit_bzero(text, len);
}

static fallible check_done(const char *name, const char *verb, int status, const char *answer)
{
    if (status == 0)
        return NULL;
    own_mem char *line = mem_strndup(answer, strcspn(answer, "\r\n"));
    own_mem char *shown = http_printable(*line ? line : "it does not say why it fails", 300);
    return err_new(ERR_UNAVAILABLE, "docker-credential-%s %s: %s", name, verb, shown);
}

fallible helper_get(const char *name, const char *registry, struct credentials **ret)
{
    own_mem char *answer = NULL;
    size_t len = 0;
    int status = 0;
    *ret = NULL;
    TRY(run(name, "get", server_name(registry), &answer, &len, &status));
    if (status == 0) {
        err *e = read_answer(answer, len, ret);
        wipe(answer, len);
        return e;
    }
    /* Every helper says the one thing in the same words, and its caller is to look for them: the helpers' README. */
    if (strstr(answer, "credentials not found"))
        log_debug("docker-credential-%s knows nothing of %s: %s", name, registry, answer);
    else
        return check_done(name, "get", status, answer);
    return NULL;
}

fallible helper_store(const char *name, const char *registry, const struct credentials *c)
{
    own_mem char *answer = NULL;
    size_t len = 0;
    int status = 0;
    own_json json_t *doc = json_pack("{s:s, s:s, s:s}", "ServerURL", server_name(registry), "Username",
                                     c->identity_token ? TOKEN_USER : c->user, "Secret",
                                     c->identity_token ? c->identity_token : c->password);
    if (!doc)
        return err_new(ERR_INVALID, "the name or the password is no UTF-8: docker-credential-%s takes no other", name);
    own_mem char *input = json_text(doc, BIND_COMPACT);
    err *e = run(name, "store", input, &answer, &len, &status);
    wipe(input, strlen(input));
    TRY(e);
    return check_done(name, "store", status, answer);
}

fallible helper_erase(const char *name, const char *registry)
{
    own_mem char *answer = NULL;
    size_t len = 0;
    int status = 0;
    TRY(run(name, "erase", server_name(registry), &answer, &len, &status));
    return check_done(name, "erase", status, answer);
}
