// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "base/log.h"
#include "base/parse.h"
#include "build/build_parts.h"
#include "engine/build_cache.h"
#include "os/fs.h"
#include "os/proc.h"
#include "os/sock.h"

/* A message to the one outside: words that end with zeros, "husk", "run", ...; it answers one byte when the shell ends.
 */
enum { WORDS_MAX = 64 << 10 };
struct debug {
    int sock, pidfd;
    const char *stage; /* of --debug=STAGE:N, owned; NULL: the last */
    size_t step;       /* 0: where one fails */
    char digits[13];   /* at the end of the names of the shell's container and of its image */
};
#define CONTAINER "husk-build-debug-"
#define IMAGE     "localhost/husk-build-debug:"
#define SHELLS    "build/shells" /* in the store: a file for each shell, locked by who started it, called as it is */
#define KEPT      "failed"       /* in the build's directory: the layer of the step that failed */

/* ---- outside ---- */

static fallible husk_program(char **ret)
{
    own_mem char *build = NULL;
    TRY(self_find_program("husk-build", &build));
    const char *libexec = strstr(build, "libexec/husk/husk-build");
    *ret = libexec ? mem_printf("%.*sbin/husk", (int)(libexec - build), build) : mem_strdup("husk");
    return NULL;
}

/* The container and the image of a shell whose build was killed. */
static void clear_up(const char *digits)
{
    own_mem char *husk = NULL, *image = mem_printf(IMAGE "%s", digits);
    own_mem char *container = mem_printf(CONTAINER "%s", digits);
    own_fd int null_fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    err *e = husk_program(&husk);
    char *rm[] = { husk, (char[]){ "rm" }, (char[]){ "-f" }, (char[]){ "--no-trash" }, container, NULL };
    char *rmi[] = { husk, (char[]){ "rmi" }, (char[]){ "-f" }, (char[]){ "--no-trash" }, image, NULL };
    char **const both[] = { rm, rmi };
    int status;
    for (size_t i = 0; i < ARRAY_SIZE(both) && !e; i++)
        e = spawn_wait(&(struct spawn){ .argv = both[i], .stdin_fd = -1, .stdout_fd = null_fd, .stderr_fd = null_fd },
                       &status);
    err_ignore(e, "the next build tries again");
}

/* Until the shell ends; when the build is killed meanwhile, its shell is nobody's. */
static fallible await_shell(const struct debug *d, const struct spawn *s, int sock)
{
    own_fd int pidfd = -1;
    int status;
    TRY(spawn_start(s, &pidfd));
    struct pollfd p[] = { { .fd = pidfd, .events = POLLIN }, { .fd = sock, .events = 0 } };
    while (poll(p, 2, -1) < 0 && errno == EINTR)
        ;
    if (p[1].revents)
        clear_up(d->digits);
    return spawn_end(s, pidfd, &status);
}

static void run_words(const struct debug *d, int sock, char *words, size_t n)
{
    own_strv struct strv argv = { 0 };
    own_mem char *mark = mem_printf("%s/" SHELLS "/%s", getenv("HUSK_ROOT"), d->digits);
    own_fd int lock = -1;
    own_mem char *dir = mem_printf("%s/" SHELLS, getenv("HUSK_ROOT"));
    err_ignore(fs_mkdirs_at(AT_FDCWD, dir, 0700), "without a mark the next build does not find a killed one's shell");
    lock = open(mark, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (lock >= 0)
        (void)flock(lock, LOCK_EX);
    for (size_t at = 0; at < n; at += strlen(words + at) + 1)
        strv_add(&argv, words + at);
    struct spawn s = { .argv = argv.items, .stdin_fd = STDIN_FILENO, .stdout_fd = STDERR_FILENO, .stderr_fd = -1 };
    if (isatty(STDOUT_FILENO))
        s.stdout_fd = -1;
    err *e = await_shell(d, &s, sock);
    if (e)
        log_error("--debug: %s", err_text(e));
    err_ignore(e, "it was told");
    (void)unlink(mark);
}

/* Both were killed, the build and who started its shell: the next build clears up. Before it is root of a user
 * namespace, since it runs husk. */
void debug_sweep(const struct build *b)
{
    own_mem char *path = mem_printf("%s/" SHELLS, b->engine->root);
    own_dir DIR *dir = opendir(path);
    for (const struct dirent *x; dir && (x = readdir(dir));) {
        own_mem char *mark = mem_printf("%s/%s", path, x->d_name);
        own_fd int fd = x->d_name[0] == '.' ? -1 : open(mark, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
        if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0)
            continue;
        clear_up(x->d_name);
        (void)unlink(mark);
    }
}

static _Noreturn void outside(const struct debug *d, int sock)
{
    char *words = mem_alloc(WORDS_MAX);
    size_t n = 0;
    (void)signal(SIGINT, SIG_IGN); /* it is for the shell */
    for (;;) {
        err *e = sock_recv(sock, words, WORDS_MAX - 1, &n, NULL, 0, NULL);
        if (e || !n)
            _exit(0);
        words[n] = '\0';
        run_words(d, sock, words, n);
        err_ignore(sock_send(sock, "", 1, NULL, 0), "the build is gone");
    }
}

/* "N", "STAGE:N" */
static fallible read_place(struct debug *d, const char *text)
{
    const char *colon = strrchr(text, ':');
    uint64_t n = 0;
    if (!*text)
        return NULL;
    own(err) err *bad = parse_u64(colon ? colon + 1 : text, 100000, &n);
    if (bad || !n)
        return err_new(ERR_INVALID,
                       "--debug=%s: expected the number of a step, or STAGE:NUMBER, as [STAGE 2/5] shows it", text);
    d->step = n;
    d->stage = colon ? mem_strndup(text, (size_t)(colon - text)) : NULL;
    return NULL;
}

fallible debug_open(struct build *b)
{
    int pair[2];
    pid_t pid;
    if (!b->o->debug)
        return NULL;
    if (strcmp(b->o->context, "-") == 0 || (b->o->file && strcmp(b->o->file, "-") == 0))
        return err_new(ERR_INVALID,
                       "--debug: standard input is the shell's: give the context and the Dockerfile as files");
    b->debug = mem_zalloc(sizeof *b->debug);
    b->debug->sock = b->debug->pidfd = -1;
    TRY(read_place(b->debug, b->o->debug));
    random_hex(b->debug->digits, 6);
    TRY(sock_pair(pair));
    own_fd int ours = pair[0], theirs = pair[1];
    TRY(proc_clone(0, -1, &pid, &b->debug->pidfd));
    if (pid == 0) {
        close_now(&ours);
        outside(b->debug, theirs);
    }
    b->debug->sock = take_fd(&ours);
    return NULL;
}

void debug_close(struct build *b)
{
    int status;
    if (!b->debug)
        return;
    close_now(&b->debug->sock);
    if (b->debug->pidfd >= 0)
        err_ignore(proc_wait(b->debug->pidfd, -1, &status), "it ends as we do");
    close_now(&b->debug->pidfd);
    free((char *)(uintptr_t)b->debug->stage);
    free(b->debug);
}

/* ---- the image of a step ---- */

static void add_word(struct str *words, const char *word)
{
    str_add_n(words, word, strlen(word) + 1);
}

static fallible ask(struct build *b, const struct build_state *s, const char *name)
{
    own_str struct str words = { 0 };
    own_mem char *program = NULL, *container = mem_printf(CONTAINER "%s", b->debug->digits);
    const struct strv *shell = &s->config->config->shell;
    char answer;
    size_t n = 0;
    TRY(husk_program(&program));
    add_word(&words, program);
    add_word(&words, "run");
    add_word(&words, "--rm");
    add_word(&words, "--name");
    add_word(&words, container);
    add_word(&words, isatty(STDIN_FILENO) && isatty(STDOUT_FILENO) ? "-it" : "-i");
    add_word(&words, "--pull=never");
    add_word(&words, "--entrypoint");
    add_word(&words, shell->n ? shell->items[0] : "/bin/sh");
    if (b->o->network && strcmp(b->o->network, "default") != 0) {
        add_word(&words, "--network");
        add_word(&words, b->o->network);
    }
    for (size_t i = 0; i < s->args.n; i++) {
        add_word(&words, "--env");
        add_word(&words, s->args.items[i]);
    }
    add_word(&words, name);
    if (words.len > WORDS_MAX - 2)
        return err_new(ERR_EXHAUSTED, "the arguments of the build are too long");
    TRY(sock_send(b->debug->sock, words.text, words.len, NULL, 0));
    return sock_recv(b->debug->sock, &answer, 1, &n, NULL, 0, NULL);
}

/* By a name for as long as the shell runs. */
static fallible open_shell(struct build *b, const struct build_state *s)
{
    own_mem char *digest = NULL, *name = mem_printf(IMAGE "%s", b->debug->digits);
    struct oci_descriptor target = { .media_type = (char *)MEDIA_OCI_MANIFEST };
    TRY(build_put_image(b, s, OUTPUT_SHELL, NULL, &digest, &target.size));
    target.digest = digest;
    TRY(layout_set_name(b->layout, name, &target));
    err *e = ask(b, s, name);
    err_ignore(layout_remove_name(b->layout, name), "the next build removes it");
    return e;
}

/* ---- a step that failed ---- */

void debug_keep(struct build_step *s, const char *dir)
{
    own(build_layer) struct build_layer layer = { 0 };
    struct build *b = s->b;
    struct layer_input in = { .dir = dir, .keep_times = true, .secrets = b->secrets, .secrets_n = b->secrets_n };
    err *e = build_layer_make(b->layout, &in, &layer);
    if (!e) {
        struct build_entry entry = { .diff_id = layer.diff_id,
                                     .digest = layer.digest,
                                     .media_type = layer.media_type,
                                     .size = layer.size,
                                     .tar_size = layer.tar_size,
                                     .empty = layer.empty };
        own_mem char *text = bind_write(&build_entry_type, &entry, BIND_COMPACT);
        own_mem char *name = mem_printf(KEPT "-%zu", s->stage);
        e = fs_replace_at(b->dir_fd, name, text, strlen(text), 0600, FS_SYNC_NONE);
    }
    if (e)
        log_warn("--debug: %s", err_text(e));
    err_ignore(e, "the step's own error is told");
}

static fallible failed_shell(struct build *b, size_t stage)
{
    own_mem char *name = mem_printf(KEPT "-%zu", stage), *text = NULL, *title = build_title(b, &b->runs[stage]);
    own(build_state) struct build_state *state = NULL;
    void *read = NULL;
    size_t len = 0;
    TRY(fs_read_at(b->dir_fd, name, WORDS_MAX, &text, &len));
    TRY(bind_read(&build_entry_type, text, len, &read));
    own(build_entry) struct build_entry *e = read;
    struct build_layer layer = { e->diff_id, e->digest, e->media_type, e->size, e->tar_size, e->empty };
    TRY(build_state_copy(b->runs[stage].state, &state));
    strv_copy(&state->args, b->runs[stage].state->args.items, b->runs[stage].state->args.n);
    build_state_add(state, &layer, "debug", 0);
    fprintf(stderr, "--debug: %s failed: a shell in what it left\n", title);
    return open_shell(b, state);
}

void debug_failed(struct build *b)
{
    for (size_t i = 0; i < b->stages->n; i++) {
        if (b->runs[i].status != STAGE_WORKS)
            continue;
        err *e = failed_shell(b, i);
        if (!e)
            return;
        if (!err_is(e, ERR_NOT_FOUND))
            log_warn("--debug: %s", err_text(e));
        err_ignore(e, "the step's own error is told");
    }
}

/* ---- a step that was named ---- */

static int wanted_stage(const struct build *b)
{
    const struct debug *d = b->debug;
    return d->stage ? stages_find(b->stages, d->stage, b->stages->n) : (int)b->stages->target;
}

size_t debug_stop(const struct build *b, size_t stage)
{
    return b->debug && b->debug->step && wanted_stage(b) == (int)stage ? b->debug->step : SIZE_MAX;
}

fallible debug_reached(struct build *b, size_t stage)
{
    const struct debug *d = b->debug;
    struct stage_run *r = &b->runs[stage];
    if (!d->step || r->status == STAGE_WORKS)
        return NULL;
    int wanted = wanted_stage(b);
    if (wanted == STAGE_NONE || !b->stages->items[wanted].used)
        return err_new(ERR_NOT_FOUND, "--debug=%s: no stage '%s' is built", b->o->debug, d->stage);
    if ((size_t)wanted != stage || !r->state)
        return NULL;
    if (r->status == STAGE_DONE && r->n < d->step)
        return err_new(ERR_NOT_FOUND, "--debug=%s: the stage has only %zu steps", b->o->debug, r->n);
    if (r->next < d->step)
        return NULL;
    b->debugged = true;
    fprintf(stderr, "--debug: a shell behind step %zu/%zu\n", d->step, r->n);
    return open_shell(b, r->state);
}
