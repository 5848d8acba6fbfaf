// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "monitor/events.h"
#include "os/fs.h"

enum { ROOM = 4 * EVENT_MAX };

/* One of the two files, with what was read of it and is not handed out yet. */
struct file {
    int fd;
    size_t from, to; /* in buffer */
    char buffer[ROOM];
};

struct events {
    int dir, inotify, reader;
    struct file old, now; /* events.1 and events, or what was events.1 when it was opened */
};

void events_free(struct events *e)
{
    if (!e)
        return;
    close_now(&e->dir);
    close_now(&e->inotify);
    close_now(&e->old.fd);
    close_now(&e->now.fd);
    free(e);
}

static int open_file(const struct events *e, const char *name)
{
    return e->dir < 0 ? -1 : openat(e->dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
}

static bool same_file(int a, int b)
{
    struct stat x, y;
    return a >= 0 && b >= 0 && fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_ino == y.st_ino && x.st_dev == y.st_dev;
}

fallible events_open(const char *run_dir, enum events_mode mode, struct events **ret)
{
    own(events) struct events *e = mem_zalloc(sizeof *e);
    e->dir = e->inotify = e->reader = e->old.fd = e->now.fd = -1;
    if (mode == EVENTS_FOLLOW) {
        TRY(fs_mkdirs_at(AT_FDCWD, run_dir, 0700));
        e->inotify = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
        if (e->inotify < 0 || inotify_add_watch(e->inotify, run_dir, IN_MODIFY | IN_CREATE | IN_MOVED_TO) < 0)
            return err_sys(errno, "watch '%s' for events", run_dir);
    }
    e->dir = open(run_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (e->dir < 0 && errno != ENOENT)
        return err_sys(errno, "open '%s'", run_dir);
    e->now.fd = open_file(e, "events"); /* before the other: a rotation in between hides nothing */
    e->old.fd = open_file(e, "events.1");
    if (same_file(e->old.fd, e->now.fd)) /* renamed between the two opens */
        close_now(&e->old.fd);
    *ret = take(e);
    return NULL;
}

/* The next whole line of what is in the buffer. */
static const char *line_of(struct file *f)
{
    char *end = memchr(f->buffer + f->from, '\n', f->to - f->from);
    if (!end)
        return NULL;
    char *line = f->buffer + f->from;
    *end = '\0';
    f->from = (size_t)(end - f->buffer) + 1;
    return line;
}

static fallible fill(struct file *f, bool *ret_more)
{
    memmove(f->buffer, f->buffer + f->from, f->to - f->from);
    f->to -= f->from;
    f->from = 0;
    if (f->to == ROOM) /* no event is so long: something else was written here */
        f->to = 0;
    ssize_t n;
    while ((n = read(f->fd, f->buffer + f->to, ROOM - f->to)) < 0 && errno == EINTR)
        ;
    if (n < 0)
        return err_sys(errno, "read events");
    f->to += (size_t)n;
    *ret_more = n > 0;
    return NULL;
}

static fallible next_of(struct file *f, const char **ret)
{
    bool more = f->fd >= 0;
    *ret = f->fd >= 0 ? line_of(f) : NULL;
    while (!*ret && more) {
        TRY(fill(f, &more));
        *ret = line_of(f);
    }
    return NULL;
}

/* The file that is called "events" may be another than the one that was read so far. */
static bool turn_over(struct events *e)
{
    own_fd int fd = open_file(e, "events");
    if (fd < 0 || same_file(fd, e->now.fd))
        return false;
    close_now(&e->old.fd);
    e->old = e->now; /* who was late writes into it still */
    e->now.fd = take_fd(&fd);
    e->now.from = e->now.to = 0;
    return true;
}

static fallible next_there(struct events *e, const char **ret)
{
    do {
        TRY(next_of(&e->old, ret));
        if (!*ret)
            TRY(next_of(&e->now, ret));
    } while (!*ret && turn_over(e));
    return NULL;
}

static int64_t now_ms(void)
{
    struct timespec t = { 0 };
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static fallible wait_for_more(const struct events *e, int timeout_ms)
{
    char woken[4096];
    struct pollfd p[] = { { .fd = e->inotify, .events = POLLIN }, { .fd = e->reader } };
    if (poll(p, ARRAY_SIZE(p), timeout_ms) < 0 && errno != EINTR)
        return err_sys(errno, "wait for events");
    if (p[1].revents & (POLLERR | POLLHUP))
        return err_new(ERR_CANCELLED, "nobody reads the events");
    while (read(e->inotify, woken, sizeof woken) > 0)
        ;
    return NULL;
}

void events_reader(struct events *e, int fd)
{
    e->reader = fd;
}

fallible events_next(struct events *e, int timeout_ms, const char **ret_line)
{
    int64_t until = timeout_ms < 0 ? INT64_MAX : now_ms() + timeout_ms;
    for (;;) {
        TRY(next_there(e, ret_line));
        int64_t left = until == INT64_MAX ? -1 : until - now_ms();
        if (*ret_line || e->inotify < 0 || (until != INT64_MAX && left <= 0))
            return NULL;
        TRY(wait_for_more(e, (int)left));
    }
}
