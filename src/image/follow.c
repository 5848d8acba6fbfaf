// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/follow.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "base/mem.h"

/* A reader that has caught up sleeps until there is this much: a thread that gets up for each piece costs more. */
enum { WORTH_WAKING = 1 << 20 };

struct follow {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    int fd; /* -1: not begun */
    uint64_t generation;
    int64_t bytes;
    bool all, ended, whole;
    bool waiting; /* the reader sleeps */

    /* the reader's own */
    int reading_fd;
    uint64_t reading; /* the generation */
    int64_t at;
};

struct follow *follow_new(void)
{
    struct follow *f = mem_zalloc(sizeof *f);
    f->fd = f->reading_fd = -1;
    pthread_mutex_init(&f->mutex, NULL);
    pthread_cond_init(&f->changed, NULL);
    return f;
}

void follow_free(struct follow *f)
{
    if (!f)
        return;
    close_now(&f->fd);
    close_now(&f->reading_fd);
    pthread_cond_destroy(&f->changed);
    pthread_mutex_destroy(&f->mutex);
    free(f);
}

/* ---- filling ---- */

static void lock(struct follow *f)
{
    pthread_mutex_lock(&f->mutex);
}

static void unlock(struct follow *f)
{
    bool news = f->all || f->ended || f->reading != f->generation || f->bytes - f->at >= WORTH_WAKING;
    if (f->waiting && news)
        pthread_cond_signal(&f->changed);
    pthread_mutex_unlock(&f->mutex);
}

void follow_begin(struct follow *f, int take_fd, int64_t bytes)
{
    lock(f);
    close_now(&f->fd);
    f->fd = take_fd;
    f->generation++;
    f->bytes = bytes;
    f->all = false;
    unlock(f);
}

void follow_grew(struct follow *f, int64_t bytes)
{
    lock(f);
    f->bytes = bytes;
    unlock(f);
}

void follow_restarted(struct follow *f)
{
    lock(f);
    if (f->bytes) { /* nobody can have read what was not there */
        f->generation++;
        f->bytes = 0;
    }
    unlock(f);
}

void follow_all(struct follow *f)
{
    lock(f);
    f->all = true;
    unlock(f);
}

void follow_end(struct follow *f, bool whole)
{
    lock(f);
    f->ended = true;
    f->whole = whole;
    unlock(f);
}

/* ---- reading; within the mutex ---- */

static void wait_for_news(struct follow *f)
{
    f->waiting = true;
    pthread_cond_wait(&f->changed, &f->mutex);
    f->waiting = false;
}

static bool is_current(const struct follow *f)
{
    return f->reading == f->generation && (!f->ended || f->whole);
}

static fallible not_these(void)
{
    return err_new(ERR_CANCELLED, "the transfer began again or was given up");
}

/* How much may be read now; 0: that was all. */
static fallible wait_for_bytes(struct follow *f, size_t max, size_t *ret_n)
{
    while (is_current(f) && !f->all && f->at == f->bytes)
        wait_for_news(f);
    if (!is_current(f))
        return not_these();
    size_t there = (size_t)(f->bytes - f->at);
    *ret_n = there < max ? there : max;
    return NULL;
}

static fallible read_behind(void *ctx, void *buf, size_t max, size_t *ret_n)
{
    struct follow *f = ctx;
    size_t n = 0;
    lock(f);
    err *e = wait_for_bytes(f, max, &n);
    if (!e && n && f->reading_fd < 0 && (f->reading_fd = fcntl(f->fd, F_DUPFD_CLOEXEC, 3)) < 0)
        e = err_sys(errno, "read the blob that arrives");
    unlock(f);
    *ret_n = 0;
    if (e || !n)
        return e;
    ssize_t got;
    do {
        got = pread(f->reading_fd, buf, n, f->at);
    } while (got < 0 && errno == EINTR);
    if (got < 0)
        return err_sys(errno, "read the blob that arrives");
    if (got == 0) /* emptied in this moment */
        return not_these();
    lock(f);
    f->at += got;
    unlock(f);
    *ret_n = (size_t)got;
    return NULL;
}

bool follow_caught_up(struct follow *f)
{
    lock(f);
    bool caught_up = is_current(f) && !f->all && !f->ended && f->at == f->bytes;
    unlock(f);
    return caught_up;
}

struct stream_source follow_source(struct follow *f)
{
    lock(f);
    while (f->fd < 0 && !f->ended)
        wait_for_news(f);
    close_now(&f->reading_fd);
    f->reading = f->generation;
    f->at = 0;
    unlock(f);
    return (struct stream_source){ .read = read_behind, .ctx = f };
}

fallible follow_settled(struct follow *f)
{
    lock(f);
    while (is_current(f) && !f->ended)
        wait_for_news(f);
    bool current = is_current(f);
    unlock(f);
    return current ? NULL : not_these();
}

bool follow_again(struct follow *f)
{
    lock(f);
    while (f->reading == f->generation && !f->ended)
        wait_for_news(f);
    bool again = f->reading != f->generation && (!f->ended || f->whole);
    unlock(f);
    return again;
}
