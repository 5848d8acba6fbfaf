// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/health_run.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "engine/container_parts.h"

/* What the command leaves behind may hold its output open: after its end so long is waited for the rest. */
enum { REST_MS = 100 };

static int64_t clock_ns(clockid_t clock)
{
    struct timespec t = { 0 };
    (void)clock_gettime(clock, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void arguments(const struct health_question *q, struct strv *ret)
{
    if (strcmp(q->test->items[0], "CMD-SHELL") != 0) {
        strv_copy(ret, q->test->items + 1, q->test->n - 1);
        return;
    }
    if (q->shell->n)
        strv_copy(ret, q->shell->items, q->shell->n);
    else
        strv_split(ret, "/bin/sh -c", ' ');
    strv_add(ret, q->test->items[1]);
}

struct hearing {
    int from, pidfd;
    pid_t pid;
    int64_t deadline_ns; /* CLOCK_MONOTONIC */
    char *text;          /* max + 1 bytes */
    size_t n, max;
    bool killed;
};

/* What is beyond the bound is read and dropped, so that the command does not wait. False: there is no more. */
static bool hear(struct hearing *h)
{
    char waste[4096];
    bool room = h->n < h->max;
    ssize_t got = read(h->from, room ? h->text + h->n : waste, room ? h->max - h->n : sizeof waste);
    if (got > 0 && room)
        h->n += (size_t)got;
    return got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN));
}

static int left_ms(const struct hearing *h)
{
    int64_t left = (h->deadline_ns - clock_ns(CLOCK_MONOTONIC)) / 1000000 + 1;
    return left < 0 ? 0 : left > 1000000 ? 1000000 : (int)left;
}

/* Until it ends, or its time does: then its whole session goes. It is ours and not reaped, so the number is its own. */
static int listen_to(struct hearing *h)
{
    struct pollfd p[] = { { h->from, POLLIN, 0 }, { h->pidfd, POLLIN, 0 } };
    int status = 0;
    while (!p[1].revents) {
        int n = poll(p, 2, left_ms(h));
        if (n == 0 && left_ms(h) == 0) {
            h->killed = true;
            (void)kill(-h->pid, SIGKILL);
            err_ignore(proc_signal(h->pidfd, SIGKILL), "it has ended just now");
            break;
        }
        if (n > 0 && p[0].revents && !hear(h))
            p[0].fd = -1;
    }
    err_ignore(proc_wait(h->pidfd, -1, &status), "it is our child");
    for (p[0].fd = h->from; poll(p, 1, REST_MS) > 0 && hear(h);)
        ;
    return proc_exit_code(status);
}

static fallible ask(struct container *c, const struct health_question *q, struct hearing *hearing, int *ret_code)
{
    static const struct exec_options plain = { 0 };
    struct runtime_created created = { .pidfd = -1 };
    own_strv struct strv args = { 0 };
    int ends[2];
    own_fd int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (null < 0)
        return err_sys(errno, "open '/dev/null'");
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int from = ends[0], to = ends[1];
    struct runtime_exec x = { .stdio = { null, to, to }, .new_session = true };
    arguments(q, &args);
    TRY(container_exec_start(c, &plain, args.items, args.n, &x, &created));
    own_drop_fd(&to);
    (void)fcntl(from, F_SETFL, O_NONBLOCK);
    hearing->from = from;
    hearing->pidfd = created.pidfd;
    hearing->pid = created.init.pid;
    *ret_code = listen_to(hearing);
    runtime_created_clear(&created);
    return NULL;
}

/* Any bytes become a JSON string's: what is not UTF-8 does not. */
static char *clean(const char *text, size_t n)
{
    own_json json_t *whole = json_stringn(text, n);
    if (whole && !memchr(text, '\0', n))
        return mem_strndup(text, n);
    char *out = mem_alloc(n + 1);
    for (size_t i = 0; i < n; i++)
        out[i] = text[i] && !((unsigned char)text[i] & 0x80) ? text[i] : '?';
    out[n] = '\0';
    return out;
}

void health_run(struct container *c, const struct health_question *q, struct health_result *ret)
{
    own_mem char *text = mem_alloc(q->output_max + 1);
    struct hearing hearing = { .text = text,
                               .max = q->output_max,
                               .deadline_ns = clock_ns(CLOCK_MONOTONIC) + q->timeout_ns };
    char words[64];
    int code = -1;
    ret->start_ns = clock_ns(CLOCK_REALTIME);
    err *e = ask(c, q, &hearing, &code);
    ret->end_ns = clock_ns(CLOCK_REALTIME);
    ret->exit_code = hearing.killed ? -1 : code;
    if (e) {
        ret->output = mem_strdup(err_text(e));
        err_free(e);
    } else if (hearing.killed) {
        (void)snprintf(words, sizeof words, "%.3g", (double)q->timeout_ns / 1e9);
        ret->output = mem_printf("no answer within %s seconds (%s)", words, q->timeout_option);
    } else {
        ret->output = clean(text, hearing.n);
    }
}
