// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/steps.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>

#include "base/log.h"
#include "base/mem.h"
#include "os/proc.h"
#include "os/sock.h"

enum message {
    MESSAGE_NONE = 0, /* end of file */
    MESSAGE_GO = 'g',
    MESSAGE_READY = 'r',
    MESSAGE_ERROR = 'E',
    MESSAGE_FD = 'n',
    MESSAGE_PAGE = 'm',
    MESSAGE_ASK = 'a',
    MESSAGE_DONE = 'd',
};

typedef err *fd_taker(void *ctx, int take_fd);

/* What is done with descriptors that come; either may be NULL, then they are closed. */
struct hands {
    fd_taker *taker, *serve;
    void *ctx;
};

static uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

static void send_byte(int sock, enum message what)
{
    char byte = (char)what;
    (void)send(sock, &byte, 1, MSG_NOSIGNAL); /* a peer that is gone is seen when it is waited for */
}

void steps_send_error(int sock, const err *e)
{
    char message[1 + ERR_ENCODED_MAX];
    message[0] = MESSAGE_ERROR;
    size_t n = err_encode(e, message + 1, sizeof message - 1);
    (void)send(sock, message, 1 + n, MSG_NOSIGNAL);
}

fallible steps_last_words(int page_fd)
{
    char words[sizeof(uint32_t) + ERR_ENCODED_MAX];
    uint32_t size = 0;
    ssize_t n = page_fd < 0 ? 0 : pread(page_fd, words, sizeof words, 0);
    if (n < (ssize_t)sizeof size)
        return NULL;
    memcpy(&size, words, sizeof size);
    return size && size <= (size_t)n - sizeof size ? err_decode(words + sizeof size, size) : NULL;
}

static fallible serve(int sock, const struct hands *hands, int *fd)
{
    if (*fd >= 0 && hands->serve)
        TRY(hands->serve(hands->ctx, take_fd(fd)));
    send_byte(sock, MESSAGE_DONE);
    return NULL;
}

/* The next word that is not for the hands. *ret_what MESSAGE_NONE: end of file, without a word. */
static fallible receive(int sock, enum message *ret_what, const struct hands *hands)
{
    char message[1 + ERR_ENCODED_MAX];
    own_fd int page = -1;
    for (;;) {
        own_fd int fd = -1;
        size_t n = 0, fds = 0;
        err *e = sock_recv(sock, message, sizeof message, &n, &fd, 1, &fds);
        if (err_errno(e) == ECONNRESET) { /* it died with our words unread; told once, before its own last words */
            err_free(e);
            e = sock_recv(sock, message, sizeof message, &n, &fd, 1, &fds);
        }
        if (e)
            return e;
        *ret_what = n ? (enum message)message[0] : MESSAGE_NONE;
        if (*ret_what == MESSAGE_ERROR)
            return err_decode(message + 1, n - 1);
        if (*ret_what == MESSAGE_NONE)
            return steps_last_words(page);
        if (*ret_what == MESSAGE_PAGE) {
            close_now(&page);
            page = take_fd(&fd);
        } else if (*ret_what == MESSAGE_ASK) {
            TRY(serve(sock, hands, &fd));
        } else if (*ret_what != MESSAGE_FD) {
            return NULL;
        } else if (fd >= 0 && hands->taker) {
            TRY(hands->taker(hands->ctx, take_fd(&fd)));
        }
    }
}

fallible steps_wait(int sock, fd_taker *taker, void *ctx)
{
    enum message what = MESSAGE_NONE;
    return receive(sock, &what, &(struct hands){ .taker = taker, .ctx = ctx });
}

fallible steps_ask(struct steps_run *run, int fd)
{
    char byte = MESSAGE_ASK;
    run->answered = false;
    return sock_send(run->sock, &byte, 1, &fd, 1);
}

/* The answer to what was asked may come before the word that is waited for, or be that. */
static fallible hear(struct steps_run *run, enum message wanted)
{
    static const struct hands none;
    for (enum message what = MESSAGE_NONE;;) {
        TRY(receive(run->sock, &what, &none));
        if (what == MESSAGE_NONE)
            return err_new(ERR_UNAVAILABLE, "the other side is gone");
        run->answered = run->answered || what == MESSAGE_DONE;
        if (what == wanted)
            return NULL;
    }
}

fallible steps_answer(struct steps_run *run)
{
    return run->answered ? NULL : hear(run, MESSAGE_DONE);
}

static bool row_needed(const struct steps_run *run, size_t i)
{
    return !run->rows[i].needed || run->rows[i].needed(run->ctx);
}

/* The next row that this start has, or n. */
static size_t next_row(const struct steps_run *run, size_t i)
{
    for (i++; i < run->n && !row_needed(run, i); i++)
        ;
    return i;
}

#ifdef HUSK_FAULT_INJECTION
static void fault(const struct steps_run *run, size_t i, enum side me)
{
    const char *asked = getenv("HUSK_FAULT");
    const char *prefix = me == SIDE_PARENT ? "kill-parent@" : "kill-child@";
    if (!asked || !str_starts(asked, prefix))
        return;
    char number[16];
    const char *row = asked + strlen(prefix);
    snprintf(number, sizeof number, "%zu", i);
    if (strcmp(row, number) == 0 || strcmp(row, run->rows[i].name) == 0)
        (void)kill(getpid(), SIGKILL), (void)raise(SIGKILL); /* PID 1 of a namespace ignores its own kill ... */
    if (strcmp(row, number) == 0 || strcmp(row, run->rows[i].name) == 0)
        _exit(137); /* ... so it at least goes without a word */
}
#else
static void fault(const struct steps_run *run, size_t i, enum side me)
{
    (void)run, (void)i, (void)me;
}
#endif

static fallible run_row(struct steps_run *run, size_t i)
{
    const struct step *row = &run->rows[i];
    run->times->begin_ns[i] = now_ns();
    TRY_AS(row->run(run->ctx), "%s", row->name);
    run->times->end_ns[i] = now_ns();
    return NULL;
}

void steps_cloned(struct steps_run *run, pid_t pid, int pidfd)
{
    run->pid = pid;
    run->pidfd = pidfd;
    if (pid) {
        own_drop_fd(&run->child_sock);
    } else {
        own_drop_fd(&run->sock);
        run->sock = run->child_sock;
    }
}

static fallible child_gone(const struct steps_run *run)
{
    int status = 0;
    const char *row = "start the child";
    err_ignore(proc_signal(run->pidfd, SIGKILL), "it may be dead already");
    err *e = proc_wait(run->pidfd, -1, &status);
    if (e)
        return e;
    for (size_t i = 0; i < run->n; i++)
        if (run->rows[i].side == SIDE_CHILD && run->times->begin_ns[i])
            row = run->rows[i].name;
    if (WIFSIGNALED(status))
        return err_new(ERR_UNAVAILABLE, "%s: the other side is gone: killed by %s", row, signal_name(WTERMSIG(status)));
    return err_new(ERR_UNAVAILABLE, "%s: the other side is gone: exit status %d", row, WEXITSTATUS(status));
}

static void kill_child(struct steps_run *run)
{
    int status = 0;
    if (run->pid <= 0)
        return;
    err_ignore(proc_signal(run->pidfd, SIGKILL), "it may be dead already");
    err_ignore(proc_wait(run->pidfd, -1, &status), "it may be reaped already");
    own_drop_fd(&run->pidfd);
    run->pid = 0;
}

static _Noreturn void child_failed(struct steps_run *run, err *take_e)
{
    steps_send_error(run->sock, take_e);
    _exit(1);
}

static _Noreturn void walk_child(struct steps_run *run, size_t i)
{
    enum side last = SIDE_CLONE; /* the row after the clone needs no word, whoever's it is */
    for (i = next_row(run, i); i < run->n; i = next_row(run, i)) {
        enum side side = run->rows[i].side;
        if (side == SIDE_CHILD) {
            if (last == SIDE_PARENT && hear(run, MESSAGE_GO))
                _exit(1); /* the parent failed and knows why, or is dead */
            err *e = run_row(run, i);
            if (e)
                child_failed(run, e);
            fault(run, i, SIDE_CHILD);
            size_t next = next_row(run, i);
            if (next < run->n && run->rows[next].side == SIDE_PARENT)
                send_byte(run->sock, MESSAGE_GO);
        }
        last = side;
    }
    child_failed(run, err_new(ERR_INTERNAL, "the last step of the child came back"));
}

static fallible parent_waits(struct steps_run *run)
{
    enum message what = MESSAGE_NONE;
    TRY(receive(run->sock, &what, &(struct hands){ .serve = run->serve, .ctx = run->ctx }));
    return what == MESSAGE_NONE ? child_gone(run) : NULL;
}

/* The end of file means success only when the child has come to its last row, which execs: before that it has died. */
static fallible last_word(struct steps_run *run)
{
    enum message what = MESSAGE_NONE;
    size_t last = run->n;
    for (size_t i = next_row(run, SIZE_MAX); i < run->n; i = next_row(run, i))
        if (run->rows[i].side == SIDE_CHILD)
            last = i;
    TRY(receive(run->sock, &what, &(struct hands){ run->take_fd, run->serve, run->ctx }));
    if (what == MESSAGE_NONE && last < run->n && !run->times->begin_ns[last])
        return child_gone(run);
    if (last < run->n)
        run->times->end_ns[last] = now_ns(); /* the child itself is a different program by now */
    return NULL;
}

static fallible walk_parent(struct steps_run *run)
{
    enum side last = SIDE_PARENT;
    for (size_t i = next_row(run, SIZE_MAX); i < run->n; i = next_row(run, i)) {
        enum side side = run->rows[i].side;
        if (side == SIDE_CHILD) {
            if (last == SIDE_PARENT)
                send_byte(run->sock, MESSAGE_GO);
            last = side;
            continue;
        }
        if (last == SIDE_CHILD)
            TRY(parent_waits(run));
        TRY(run_row(run, i));
        if (side == SIDE_CLONE && run->pid == 0)
            walk_child(run, i);
        last = side;
        fault(run, i, SIDE_PARENT);
    }
    return last_word(run);
}

fallible steps_walk(struct steps_run *run)
{
    int pair[2];
    if (run->n > STEPS_MAX)
        return err_new(ERR_INTERNAL, "%zu steps are more than %d", run->n, STEPS_MAX);
    run->pid = 0;
    run->pidfd = -1;
    run->times = mmap(NULL, sizeof *run->times, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (run->times == MAP_FAILED) {
        run->times = NULL;
        return err_sys(errno, "make a shared page");
    }
    TRY(sock_pair(pair));
    run->sock = pair[0];
    run->child_sock = pair[1];

    err *e = walk_parent(run);
    if (e)
        kill_child(run);
    own_drop_fd(&run->child_sock);
    own_drop_fd(&run->sock);
    return e;
}

void steps_end(struct steps_run *run)
{
    if (run->times)
        (void)munmap(run->times, sizeof *run->times);
    run->times = NULL;
}
