/*
 * husk login, husk logout: credentials for a registry, checked before they are kept.
 * Compatible with: docker login, podman login.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/wait.h>
#include <termios.h>

#include "cli/image_common.h"
#include "cli/image_remote.h"
#include "image/auth.h"
#include "os/fs.h"
#include "os/proc.h"

enum { SECRET_MAX = 64 << 10 };

struct login_opts {
    const char *username, *password, *secret, *compat_auth_file;
    bool password_stdin, get_login, verbose;
    struct remote_opts remote;
};
struct logout_opts {
    const char *authfile, *compat_auth_file;
    bool all;
};

#define COMPAT_AUTH_FILE(T)                                                                                            \
    OPT_STR(0, "compat-auth-file", T, compat_auth_file, "FILE", "As --authfile, for docker: no HOST/PATH in it")

#define T struct login_opts
static const struct opt login_rows[] = {
    COMPAT_AUTH_FILE(T),
    OPT_FLAG(0, "get-login", T, get_login, "Print the user's name that is stored, and do nothing else"),
    OPT_STR('p', "password", T, password, "PASSWORD", "The password; others may see it in the list of processes",
            .exclusive = "password"),
    OPT_FLAG(0, "password-stdin", T, password_stdin, "Read the password from standard input", .exclusive = "password"),
    OPT_STR(0, "secret", T, secret, "SECRET", "The password is in this secret of husk's", .exclusive = "password"),
    OPT_STR('u', "username", T, username, "NAME", "The user's name"),
    OPT_FLAG('v', "verbose", T, verbose, "Print which file is used, too"),
    REMOTE_OPTIONS(T),
    OPT_END,
};
#undef T
#define T struct logout_opts
static const struct opt logout_rows[] = {
    OPT_FLAG('a', "all", T, all, "Forget all registries"),
    OPT_STR(0, "authfile", T, authfile, "FILE", "Credentials are in this file"),
    COMPAT_AUTH_FILE(T),
    OPT_END,
};
#undef T

/* ---- which registry ---- */

/* docker's spellings are allowed: "https://x.io/v1/" is "x.io" and "". "x.io/team" (podman's): what is below it has
 * credentials of its own. Caller frees both. */
static fallible read_registry(struct args args, char **ret, char **ret_below)
{
    const char *text = args.n ? args.v[0] : "docker.io";
    const char *host = str_starts(text, "https://") ? text + 8 : str_starts(text, "http://") ? text + 7 : text;
    own_mem char *name = mem_strndup(host, strcspn(host, "/"));
    const char *rest = host + strlen(name);
    own(ref) struct ref *ref = NULL;
    bool whole = !*rest || strcmp(rest, "/") == 0 || strcmp(rest, "/v1/") == 0 || strcmp(rest, "/v2/") == 0;
    if (!whole && (host != text || str_ends(rest, "/") || strpbrk(rest, ":@")))
        return err_new(ERR_INVALID, "'%.200s' is no registry: name HOST or HOST:PORT, or HOST/PATH without a tag",
                       text);
    /* What a reference does not take for a registry would never be asked for these credentials. */
    own_mem char *image = mem_printf("%s%s/x", name, whole ? "" : rest);
    err *e = ref_parse(image, &ref);
    bool hub_by_itself = !e && strcmp(ref->registry, "docker.io") == 0 && !strstr(name, "docker.io");
    if (e || hub_by_itself) {
        err_ignore(e, "said better below");
        return err_new(ERR_INVALID, "'%.200s' is no registry: name HOST with a dot in it, or HOST:PORT", text);
    }
    *ret = take(ref->registry);
    *ret_below = mem_strdup(whole ? "" : rest + 1);
    return NULL;
}

/* ---- who ---- */

static fallible read_stdin_secret(char **ret)
{
    own_mem char *text = NULL;
    size_t len = 0;
    TRY(fs_read_fd(STDIN_FILENO, "standard input", SECRET_MAX, &text, &len));
    if (len && text[len - 1] == '\n')
        text[--len] = '\0';
    if (len && text[len - 1] == '\r')
        text[--len] = '\0';
    if (!len)
        return err_new(ERR_INVALID, "--password-stdin: there is no password on standard input");
    if (strlen(text) != len)
        return err_new(ERR_INVALID, "--password-stdin: the password has a NUL in it");
    *ret = take(text);
    return NULL;
}

/* What keeps secrets is husk itself: this program has none of its database. */
static fallible read_secret(const char *name, char **ret)
{
    own_mem char *husk = NULL;
    own_mem char *format = mem_strdup("--format={{.SecretData}}");
    own_mem char *what = mem_strdup(name);
    TRY(self_find_program("husk-image", &husk));
    char *libexec = strstr(husk, "libexec/husk/husk-image");
    own_mem char *program = libexec ? mem_printf("%.*sbin/husk", (int)(libexec - husk), husk) : mem_strdup("husk");
    char *argv[] = { program, (char *)"secret", (char *)"inspect", (char *)"--showsecret", format, (char *)"--", what,
                     NULL };
    TRY_AS(spawn_output(argv, SECRET_MAX, ret), "--secret");
    (*ret)[strcspn(*ret, "\r\n")] = '\0';
    return **ret ? NULL : err_new(ERR_INVALID, "--secret: '%s' has an empty first line", name);
}

/* From the terminal itself, whatever standard input and output are. */
static fallible ask(const char *question, bool secret, char **ret)
{
    own_fd int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    struct termios before, quiet;
    char line[1024];
    if (fd < 0)
        return err_new(ERR_INVALID, "there is no terminal to ask: give --username and --password-stdin");
    TRY(fs_write_fd(fd, question, strlen(question), "terminal"));
    if (tcgetattr(fd, &before) < 0)
        return err_sys(errno, "terminal");
    quiet = before;
    quiet.c_lflag &= ~(tcflag_t)ECHO;
    if (secret)
        (void)tcsetattr(fd, TCSADRAIN, &quiet);
    ssize_t n = read(fd, line, sizeof line);
    int error = errno;
    if (secret) {
        (void)tcsetattr(fd, TCSADRAIN, &before);
        err_ignore(fs_write_fd(fd, "\n", 1, "terminal"), "only for the eye");
    }
    if (n < 0)
        return err_sys(error, "read from the terminal");
    *ret = mem_strndup(line, (size_t)n);
    explicit_bzero(line, sizeof line);
    (*ret)[strcspn(*ret, "\r\n")] = '\0';
    return NULL;
}

/* A file that is named and not there is to be made. */
static fallible find_stored(const struct login_opts *o, const char *registry, const char *below,
                            struct credentials **ret)
{
    err *e = credentials_find(o->remote.authfile, registry, below, o->remote.timeout.v, ret);
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_ignore(e, "nobody has logged in yet");
    return NULL;
}

/* usual: who it was until now, or NULL: an empty answer means them. */
static fallible ask_user(const char *usual, char **ret)
{
    own_mem char *question = usual ? mem_printf("Username (%s): ", usual) : mem_strdup("Username: ");
    TRY(ask(question, false, ret));
    if (usual && !**ret) {
        free(*ret);
        *ret = mem_strdup(usual);
    }
    return NULL;
}

static fallible new_credentials(const struct login_opts *o, const char *usual, struct credentials **ret)
{
    own(credentials) struct credentials *c = mem_zalloc(sizeof *c);
    c->user = mem_strdup(o->username);
    c->password = mem_strdup(o->password);
    if (!c->user)
        TRY(ask_user(usual, &c->user));
    if (o->password_stdin)
        TRY(read_stdin_secret(&c->password));
    else if (o->secret)
        TRY(read_secret(o->secret, &c->password));
    else if (!c->password)
        TRY(ask("Password: ", true, &c->password));
    if (!*c->user || strchr(c->user, ':'))
        return err_new(ERR_INVALID, "'%.100s' is no user name: it is empty or has a colon", c->user);
    *ret = take(c);
    return NULL;
}

/* *ret_known: they were stored already. */
static fallible get_credentials(const struct login_opts *o, const char *registry, const char *below,
                                struct credentials **ret, bool *ret_known)
{
    *ret_known = false;
    TRY(remote_given(&o->remote, ret));
    if (*ret)
        return NULL;
    if ((o->password_stdin || o->secret) && !o->username)
        return err_new(ERR_INVALID, "--%s needs --username", o->secret ? "secret" : "password-stdin");
    if (!o->username && !o->password) {
        TRY(find_stored(o, registry, below, ret));
        *ret_known = *ret != NULL;
    }
    return *ret ? NULL : new_credentials(o, NULL, ret);
}

/* ---- the check ---- */

struct check {
    const char *registry;
    const struct registry_options *options;
    int answer; /* pipe: 'e' and an encoded error, or 't' and the identity token, or nothing */
};

static void check_in_child(const struct check *c)
{
    own_mem char *identity = NULL;
    char encoded[1 + ERR_ENCODED_MAX] = "e";
    err *e = image_confine(NULL, -1);
    if (!e)
        e = registry_login(c->registry, c->options, &identity);
    if (e) {
        size_t n = err_encode(e, encoded + 1, sizeof encoded - 1);
        err_ignore(fs_write_fd(c->answer, encoded, n + 1, "answer"), "the parent is gone");
    } else if (identity) {
        own_mem char *text = mem_printf("t%s", identity);
        err_ignore(fs_write_fd(c->answer, text, strlen(text), "answer"), "the parent is gone");
    }
    _exit(e ? 1 : 0);
}

/* The registry's bytes are read by a process that can write no file: the one that keeps the credentials is another. */
static fallible check(const char *registry, const struct registry_options *options, char **ret_identity)
{
    int pair[2], status = 0;
    own_mem char *answer = NULL;
    size_t len = 0;
    if (pipe2(pair, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int in = pair[0];
    own_fd int out = pair[1];
    pid_t pid = fork();
    if (pid < 0)
        return err_sys(errno, "fork");
    if (pid == 0)
        check_in_child(&(struct check){ registry, options, out });
    close_now(&out);
    err *e = fs_read_fd(in, "the check", SECRET_MAX, &answer, &len);
    while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
        ;
    TRY(e);
    if (len && answer[0] == 'e')
        return err_decode(answer + 1, len - 1);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != 0)
        return err_new(ERR_UNAVAILABLE, "the check of the credentials was killed");
    if (len && answer[0] == 't')
        *ret_identity = mem_strdup(answer + 1);
    return NULL;
}

/* ---- the commands ---- */

static fallible print_login(const struct login_opts *o, const char *registry, const char *below)
{
    own(credentials) struct credentials *c = NULL;
    TRY(find_stored(o, registry, below, &c));
    if (!c)
        return err_new(ERR_NOT_FOUND, "not logged in to %s%s%s", registry, *below ? "/" : "", below);
    printf("%s\n", c->user ? c->user : "<token>");
    return NULL;
}

static fallible check_with(const struct login_opts *o, const char *registry, const struct credentials *c,
                           char **ret_identity)
{
    own(remote) struct remote *remote = NULL;
    TRY(remote_prepare_login(&o->remote, registry, c, &remote));
    TRY_AS(check(registry, &remote->options, ret_identity), "log in to %s", registry);
    return NULL;
}

static bool has_terminal(void)
{
    own_fd int fd = open("/dev/tty", O_RDWR | O_CLOEXEC | O_NOCTTY);
    return fd >= 0;
}

/* Stored ones that are not valid any more are asked for anew, where there is somebody to ask. */
static fallible find_valid(const struct login_opts *o, const char *registry, const char *below,
                           struct credentials **ret, bool *ret_known)
{
    own_mem char *identity = NULL;
    TRY(get_credentials(o, registry, below, ret, ret_known));
    err *e = check_with(o, registry, *ret, &identity);
    if (*ret_known && err_is(e, ERR_UNAUTHENTICATED) && has_terminal()) {
        own(credentials) struct credentials *old = take(*ret);
        fprintf(stderr, "The stored credentials are not valid any more: %s\n", err_text(e));
        err_ignore(e, "asked for anew");
        *ret_known = false;
        TRY(new_credentials(o, old->user, ret));
        e = check_with(o, registry, *ret, &identity);
    }
    if (!e && identity && !*ret_known)
        (*ret)->identity_token = take(identity);
    return e;
}

/* --compat-auth-file is --authfile, but for what docker's form has no place for. */
static fallible compat_file(const char *compat, const char *below, const char **authfile)
{
    if (!compat)
        return NULL;
    if (*authfile)
        return err_new(ERR_INVALID, "--authfile and --compat-auth-file exclude each other");
    if (*below)
        return err_new(ERR_INVALID, "--compat-auth-file: docker's file knows registries alone, without '/%s'", below);
    *authfile = compat;
    return NULL;
}

static fallible login_run(const void *opts_, struct args args)
{
    struct login_opts o = *(const struct login_opts *)opts_;
    own_mem char *registry = NULL;
    own_mem char *below = NULL;
    own_mem char *where = NULL;
    own(credentials) struct credentials *c = NULL;
    bool known = false;
    TRY(read_registry(args, &registry, &below));
    TRY(compat_file(o.compat_auth_file, below, &o.remote.authfile));
    if (o.get_login)
        return print_login(&o, registry, below);
    if (o.password)
        fputs("husk login: others may see --password in the list of processes: --password-stdin is safer\n", stderr);
    TRY(find_valid(&o, registry, below, &c, &known));
    if (known) {
        printf("Already logged in to %s: the stored credentials are valid\n", registry);
        return NULL;
    }
    own_mem char *name = mem_printf("%s%s%s", registry, *below ? "/" : "", below);
    TRY_AS(credentials_save(o.remote.authfile, name, c, o.remote.timeout.v, &where), "keep the credentials");
    fprintf(stderr, "The credentials are kept in %s\n", where);
    if (o.verbose)
        printf("Used: %s\n", where);
    printf("Login Succeeded\n");
    return NULL;
}

static fallible logout_run(const void *opts_, struct args args)
{
    const struct logout_opts *o = opts_;
    const char *authfile = o->authfile;
    own_mem char *registry = NULL;
    own_mem char *below = NULL;
    bool found = false;
    if (o->all && args.n)
        return err_new(ERR_INVALID, "--all and '%s' exclude each other", args.v[0]);
    TRY(read_registry(args, &registry, &below));
    TRY(compat_file(o->compat_auth_file, below, &authfile));
    own_mem char *name = mem_printf("%s%s%s", registry, *below ? "/" : "", below);
    TRY(credentials_erase(authfile, o->all ? NULL : name, &found));
    if (o->all)
        printf("Removed login credentials for all registries\n");
    else
        printf(found ? "Removed login credentials for %s\n" : "Not logged in to %s\n", name);
    return NULL;
}

const struct command cmd_login = {
    .name = "login",
    .args = "[REGISTRY]",
    .summary = "Log in to a registry",
    .detail =
        "REGISTRY is HOST or HOST:PORT, by default docker.io, or HOST/PATH for what is below that path alone. The\n"
        "credentials are tried before they are kept: in the file that --authfile or $REGISTRY_AUTH_FILE names, in\n"
        "$XDG_RUNTIME_DIR/containers/auth.json or ~/.config/containers/auth.json when that file knows the registry\n"
        "already, else in $DOCKER_CONFIG/config.json or ~/.docker/config.json, by the credential helper\n"
        "(credHelpers, credsStore) that it names, if any. A registry that gives identity tokens has one kept instead "
        "of\n"
        "the password. What is missing, or stored and not valid any more, is asked for on the terminal.\n"
        "\n" REMOTE_DETAIL,
    .opts = login_rows,
    .opts_size = sizeof(struct login_opts),
    .max_args = 1,
    .fail_exit = 1,
    .run = login_run,
};
const struct command cmd_logout = {
    .name = "logout",
    .args = "[REGISTRY]",
    .summary = "Forget a registry's credentials",
    .detail = "REGISTRY is HOST, HOST:PORT or HOST/PATH, by default docker.io. It is forgotten in every file where "
              "husk login and\n"
              "husk pull look, and in the credential helpers that they name.",
    .opts = logout_rows,
    .opts_size = sizeof(struct logout_opts),
    .max_args = 1,
    .fail_exit = 1,
    .run = logout_run,
};
