// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "codec/bind.h"
#include "image/auth_inside.h"
#include "image/http.h"
#include "os/fs.h"
#include "os/linux.h"
#include "os/proc.h"

#define TOKEN_USER "<token>" /* the user's name when the secret is an identity token */

/* Where nothing else was asked for: a helper may ask a person for the password of a keyring. */
static const uint64_t helper_wait_ns = 120ull * 1000000000;

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

static int64_t now_ms(void)
{
    struct timespec t = { 0 };
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* *ret_end: nothing more comes. */
static fallible read_some(int fd, struct str *answer, bool *ret_end)
{
    char bytes[16384];
    ssize_t n = read(fd, bytes, sizeof bytes);
    if (n < 0 && errno != EINTR)
        return err_sys(errno, "read its answer");
    if (n > 0 && answer->len + (size_t)n > AUTH_FILE_MAX)
        return err_new(ERR_CORRUPT, "its answer is longer than %d bytes", AUTH_FILE_MAX);
    if (n > 0)
        str_add_n(answer, bytes, (size_t)n);
    explicit_bzero(bytes, sizeof bytes);
    *ret_end = n == 0;
    return NULL;
}

/* Until it has ended: what it leaves running (an agent) may hold the pipe for ever, and is not waited for. */
static fallible listen_to(int pidfd, int out, uint64_t wait_ns, struct str *answer)
{
    int64_t end = now_ms() + (int64_t)(wait_ns / 1000000);
    struct pollfd fds[] = { { .fd = out, .events = POLLIN }, { .fd = pidfd, .events = POLLIN } };
    for (;;) {
        int64_t left = end - now_ms();
        bool over = false;
        int n = poll(fds, 2, left > 0 ? (int)left : 0);
        if (n < 0 && errno != EINTR)
            return err_sys(errno, "wait for its answer");
        if (n == 0)
            return err_new(ERR_TIMEOUT, "it has not ended after %.3g s, and is stopped", (double)wait_ns / 1e9);
        if (n > 0 && fds[0].revents)
            TRY(read_some(out, answer, &over));
        else if (n > 0 && fds[1].revents)
            return NULL;
        if (over)
            fds[0].fd = -1;
    }
}

/* Protocol: the verb is the argument, the question on stdin, the answer (or what went wrong) on stdout. */
static fallible run(const char *name, const char *verb, const char *input, uint64_t wait_ns, struct str *answer,
                    int *ret_status)
{
    own_fd int in = -1;
    own_fd int pidfd = -1;
    own_mem char *program = mem_printf("docker-credential-%s", name);
    own_mem char *verb_copy = mem_strdup(verb);
    int pair[2];
    TRY(helper_check_name(name));
    TRY(fs_memfd("question", &in));
    TRY(fs_write_fd(in, input, strlen(input), "question"));
    (void)lseek(in, 0, SEEK_SET);
    if (pipe2(pair, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int out = pair[0];
    own_fd int its_end = pair[1];
    char *argv[] = { program, verb_copy, NULL };
    struct spawn s = { .argv = argv, .stdin_fd = in, .stdout_fd = its_end, .stderr_fd = -1 };
    TRY(spawn_start(&s, &pidfd));
    close_now(&its_end);
    err *e = listen_to(pidfd, out, wait_ns ? wait_ns : helper_wait_ns, answer);
    if (e)
        (void)pidfd_send_signal(pidfd, SIGKILL, NULL, 0);
    err *e2 = spawn_end(&s, pidfd, ret_status);
    if (!e)
        return e2;
    err_ignore(e2, "it was killed");
    return err_wrap(e, "%s %s", program, verb);
}

/* What a helper says may be a secret. */
static inline void own_drop_answer(struct str *answer)
{
    if (answer->text)
        explicit_bzero(answer->text, answer->len);
    str_free(answer);
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

static fallible check_done(const char *name, const char *verb, int status, const struct str *answer)
{
    if (status == 0)
        return NULL;
    const char *text = answer->text ? answer->text : "";
    own_mem char *line = mem_strndup(text, strcspn(text, "\r\n"));
    own_mem char *shown = http_printable(*line ? line : "it does not say why it fails", 300);
    return err_new(ERR_UNAVAILABLE, "docker-credential-%s %s: %s", name, verb, shown);
}

fallible helper_get(const char *name, const char *registry, uint64_t wait_ns, struct credentials **ret)
{
    own(answer) struct str answer = { 0 };
    int status = 0;
    *ret = NULL;
    TRY(run(name, "get", server_name(registry), wait_ns, &answer, &status));
    if (status == 0) {
        TRY_AS(read_answer(answer.text ? answer.text : "", answer.len, ret), "docker-credential-%s get", name);
        return NULL;
    }
    /* Every helper says the one thing in the same words, and its caller is to look for them: the helpers' README. */
    if (answer.text && strstr(answer.text, "credentials not found"))
        log_debug("docker-credential-%s knows nothing of %s: %s", name, registry, answer.text);
    else
        return check_done(name, "get", status, &answer);
    return NULL;
}

fallible helper_store(const char *name, const char *registry, const struct credentials *c, uint64_t wait_ns)
{
    own(answer) struct str answer = { 0 };
    int status = 0;
    own_json json_t *doc = json_pack("{s:s, s:s, s:s}", "ServerURL", server_name(registry), "Username",
                                     c->identity_token ? TOKEN_USER : c->user, "Secret",
                                     c->identity_token ? c->identity_token : c->password);
    if (!doc)
        return err_new(ERR_INVALID, "the name or the password is no UTF-8: docker-credential-%s takes no other", name);
    own_mem char *input = json_text(doc, BIND_COMPACT);
    err *e = run(name, "store", input, wait_ns, &answer, &status);
    explicit_bzero(input, strlen(input));
    TRY(e);
    return check_done(name, "store", status, &answer);
}

fallible helper_erase(const char *name, const char *registry)
{
    own(answer) struct str answer = { 0 };
    int status = 0;
    TRY(run(name, "erase", server_name(registry), 0, &answer, &status));
    return check_done(name, "erase", status, &answer);
}
