// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "monitor/attach.h"
#include "monitor/line.h"
#include "monitor/log_packed.h"
#include "monitor/logfile.h"
#include "monitor/relay.h"
#include "os/fs.h"

enum { BLOCK = 65536, OUT_ROOM = 65536, IDLE_MS = 1000, TRIES = 1000 };

struct sink {
    const struct log_filter *f;
    char *out; /* OUT_ROOM bytes that wait for one stream */
    size_t n;
    int fd;
    bool in_line; /* the last entry had no end: the next one goes on, without a time */
    bool past_until;
};

/* A file of the log as it was found. What was packed has another inode since, so those are told apart by their first
 * lines. */
struct found {
    int fd;
    bool packed;
    ino_t inode;   /* 0: it is packed */
    uint64_t head; /* 0: it has no line yet */
};

struct reader {
    int dir_fd, fd; /* the file that is read; -1: none yet */
    ino_t inode;    /* 0: it was packed, and fd is what was in it */
    int packed_fd;  /* then: the packed file; else -1 */
    uint64_t head;  /* and its first line's */
    char *buffer;   /* an entry that is not whole yet starts it */
    size_t n, room;
    struct sink *sink;
};

/* ---- out ---- */

static void hold(const struct sink *s, short type)
{
    struct flock lock = { .l_type = type, .l_whence = SEEK_SET };
    if (!s->f->locked)
        return;
    while (fcntl(s->f->lock_fd, F_SETLKW, &lock) < 0 && errno == EINTR)
        ;
}

static fallible flush(struct sink *s)
{
    size_t n = s->n;
    s->n = 0;
    if (!n)
        return NULL;
    hold(s, F_WRLCK);
    err *e = relay_write_all(s->fd, s->out, n);
    hold(s, F_UNLCK);
    return e;
}

static fallible put(struct sink *s, int fd, const char *bytes, size_t n)
{
    if (fd != s->fd || s->n + n > OUT_ROOM)
        TRY(flush(s));
    s->fd = fd;
    if (n > OUT_ROOM)
        return relay_write_all(fd, bytes, n);
    memcpy(s->out + s->n, bytes, n);
    s->n += n;
    return NULL;
}

/* docker's form: always nine digits, so that columns align. */
static fallible put_time(struct sink *s, int fd, const struct line *line)
{
    char text[48] = "0000-00-00T00:00:00.000000000Z ";
    size_t n = line->time_len > 1 && line->time_len <= 30 ? line->time_len - 1 : 0; /* without the Z */
    memcpy(text, line->time, n);
    return put(s, fd, text, 31);
}

static fallible put_head(struct sink *s, int fd, const struct line *line)
{
    const struct log_filter *f = s->f;
    if (f->prefix)
        TRY(put(s, fd, f->prefix, strlen(f->prefix)));
    if (f->timestamps)
        TRY(put_time(s, fd, line));
    if (!f->details)
        return NULL;
    if (line->attrs_len)
        TRY(put(s, fd, line->attrs, line->attrs_len));
    return put(s, fd, " ", 1);
}

static fallible put_line(struct sink *s, const struct line *line)
{
    const struct log_filter *f = s->f;
    int fd = line->stream == LINE_STDOUT ? STDOUT_FILENO : STDERR_FILENO;
    int64_t time = 0;
    if (f->since_ns || f->until_ns) {
        if (!line_time_parse(line->time, line->time_len, &time) || (f->since_ns && time < f->since_ns))
            return NULL;
        if (f->until_ns && time > f->until_ns) {
            s->past_until = true;
            return NULL;
        }
    }
    if (fd == STDOUT_FILENO ? f->no_stdout : f->no_stderr)
        return NULL;
    if (!s->in_line)
        TRY(put_head(s, fd, line));
    s->in_line = line->text_len == 0 || line->text[line->text_len - 1] != '\n';
    return put(s, fd, line->text, line->text_len);
}

/* ---- in ---- */

/* The whole entries of the buffer; half of one stays. What is no entry is skipped: a power cut may leave such. */
static fallible take_entries(struct reader *r)
{
    char *p = r->buffer, *end = r->buffer + r->n, *newline;
    while (!r->sink->past_until && (newline = memchr(p, '\n', (size_t)(end - p)))) {
        struct line line;
        if (line_decode(p, (size_t)(newline - p), &line))
            TRY(put_line(r->sink, &line));
        p = newline + 1;
    }
    memmove(r->buffer, p, (size_t)(end - p));
    r->n = (size_t)(end - p);
    return NULL;
}

static bool is_last(const struct reader *r)
{
    return r->sink->f->end_inode && r->inode == r->sink->f->end_inode;
}

/* To the end of the file as it is now. */
static fallible read_on(struct reader *r)
{
    while (!r->sink->past_until) {
        if (r->room - r->n < BLOCK)
            r->buffer = mem_realloc(r->buffer, r->room += 4 * BLOCK);
        size_t want = r->room - r->n - 1;
        if (is_last(r)) { /* what came later is somebody else's to show */
            off_t at = lseek(r->fd, 0, SEEK_CUR);
            uint64_t left =
                at >= 0 && (uint64_t)at < r->sink->f->end_offset ? r->sink->f->end_offset - (uint64_t)at : 0;
            want = left < want ? (size_t)left : want;
        }
        ssize_t n = read(r->fd, r->buffer + r->n, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read the log");
        if (n == 0)
            break;
        r->n += (size_t)n;
        TRY(take_entries(r));
        if (r->n > 2 * LINE_ENTRY_MAX)
            r->n = 0; /* no entry is as long */
    }
    return flush(r->sink);
}

/* ret->fd -1: there is none of that number. The original first: a packed one is there before the original goes. */
static fallible open_log(const struct reader *r, int64_t number, struct found *ret)
{
    char name[LOG_NAME_MAX];
    struct stat st;
    *ret = (struct found){ .fd = openat(r->dir_fd, log_name(name, number, false), O_RDONLY | O_CLOEXEC | O_NOFOLLOW) };
    if (ret->fd < 0 && number) {
        ret->fd = openat(r->dir_fd, log_name(name, number, true), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
        ret->packed = true;
    }
    if (ret->fd < 0)
        return NULL;
    if (fstat(ret->fd, &st) < 0) {
        err *e = err_sys(errno, "read the log");
        own_drop_fd(&ret->fd);
        return e;
    }
    ret->head = ret->packed ? log_packed_head(ret->fd) : log_head(ret->fd);
    ret->inode = ret->packed ? 0 : st.st_ino;
    return NULL;
}

static bool is_same(const struct found *a, const struct found *b)
{
    bool heads = a->head && b->head;
    if (a->inode && b->inode) /* a free number is soon another file's */
        return a->inode == b->inode && (!heads || a->head == b->head);
    return heads && a->head == b->head;
}

/* The highest number that exists; 0 when none does. What is renamed meanwhile readdir(3) may pass over. */
static fallible highest_number(int dir_fd, int64_t *ret)
{
    int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir)
        return err_sys(errno, "look for the log");
    *ret = 0;
    for (struct dirent *entry; (entry = readdir(dir));) {
        char *end = NULL;
        if (!str_starts(entry->d_name, LOGFILE_NAME "."))
            continue;
        int64_t number = strtoll(entry->d_name + sizeof LOGFILE_NAME, &end, 10);
        if ((!*end || strcmp(end, ".gz") == 0) && number > *ret && number <= LOG_NUMBER_MAX)
            *ret = number;
    }
    return NULL;
}

/*
 * The files from the newest to the oldest. Rotation may go on meanwhile. It gives each file the next higher number, the
 * oldest first, so whoever tries all numbers upwards may meet a file twice, but none that is ahead of him gets behind:
 * none is passed over. A list of names, made before, would have been another one by the time they are opened.
 */
struct walk {
    int64_t number, highest;
};

/* ret->fd -1: there are no more. */
static fallible walk_on(const struct reader *r, struct walk *w, struct found *ret)
{
    ret->fd = -1;
    for (int missing = 0;; missing++) {
        if (w->number > w->highest)
            TRY(highest_number(r->dir_fd, &w->highest));
        if (w->number > w->highest && missing > 1)
            return NULL;
        TRY(open_log(r, w->number++, ret));
        if (ret->fd >= 0)
            return NULL;
    }
}

/* Where the last `tail` entries of a file begin; *tail becomes how many are still to be found in older files. */
static fallible find_tail(int fd, int64_t *tail, off_t *ret_at)
{
    own_mem char *block = mem_alloc(BLOCK);
    off_t end = lseek(fd, 0, SEEK_END);
    bool first = true;
    while (end > 0) {
        size_t n = end < BLOCK ? (size_t)end : BLOCK;
        ssize_t r = pread(fd, block, n, end - (off_t)n);
        if (r != (ssize_t)n)
            return err_sys(r < 0 ? errno : EIO, "read the log");
        for (size_t i = n; i > 0; i--) {
            if (block[i - 1] != '\n')
                continue;
            if (!first && (*tail)-- == 1) {
                *ret_at = end - (off_t)n + (off_t)i;
                return NULL;
            }
            first = false;
        }
        end -= (off_t)n;
    }
    if (!first) /* the entry that begins the file */
        (*tail)--;
    *ret_at = 0;
    return NULL;
}

static bool has_seen(const struct found *seen, size_t n, const struct found *f)
{
    for (size_t i = 0; i < n; i++)
        if (is_same(&seen[i], f))
            return true;
    return false;
}

/* It becomes the one that is read, from `at` on. */
static fallible use_file(struct reader *r, struct found *take_f, off_t at)
{
    own_drop_fd(&r->fd);
    own_drop_fd(&r->packed_fd);
    r->n = 0; /* half an entry at the end of a file that is no longer written is lost to a power cut */
    r->inode = take_f->inode;
    r->head = take_f->head;
    if (take_f->packed) {
        r->packed_fd = take_fd(&take_f->fd);
        TRY(log_unpack(r->dir_fd, r->packed_fd, &r->fd));
    } else {
        r->fd = take_fd(&take_f->fd);
    }
    return lseek(r->fd, at, SEEK_SET) < 0 ? err_sys(errno, "read the log") : NULL;
}

/* Where in it the last `tail` entries begin. */
static fallible find_tail_in(const struct reader *r, const struct found *f, int64_t *tail, off_t *ret_at)
{
    own_fd int unpacked = -1;
    if (*tail == 0) {
        *ret_at = lseek(f->fd, 0, SEEK_END); /* the newest, which is not packed */
        return NULL;
    }
    if (f->packed)
        TRY(log_unpack(r->dir_fd, f->fd, &unpacked));
    return find_tail(f->packed ? unpacked : f->fd, tail, ret_at);
}

/* ret_f->fd is the caller's also after a failure. */
static fallible walk_back(const struct reader *r, struct found *ret_f, off_t *ret_at)
{
    int64_t tail = r->sink->f->tail;
    struct walk w = { .highest = -1 };
    own_mem struct found *seen = NULL;
    for (size_t n = 0; n == 0 || tail > 0;) {
        struct found f;
        TRY(walk_on(r, &w, &f));
        if (f.fd < 0)
            break;
        if (has_seen(seen, n, &f)) {
            own_drop_fd(&f.fd);
            continue;
        }
        seen = mem_array(seen, n + 1, sizeof *seen);
        seen[n++] = f;
        own_drop_fd(&ret_f->fd);
        *ret_f = f;
        TRY(find_tail_in(r, &f, &tail, ret_at));
    }
    return NULL;
}

/* The oldest file that has some of the last `tail` entries becomes the one that is read, from where they begin. */
static fallible find_start(struct reader *r)
{
    struct found f = { .fd = -1 };
    off_t at = 0;
    err *e = walk_back(r, &f, &at);
    if (!e && f.fd >= 0)
        e = use_file(r, &f, at);
    own_drop_fd(&f.fd);
    return e;
}

/* Ours still has a name: not to have met it means that it moved while we walked. */
static bool has_name(const struct reader *r)
{
    struct stat st;
    int fd = r->packed_fd >= 0 ? r->packed_fd : r->fd;
    return fd >= 0 && fstat(fd, &st) == 0 && st.st_nlink > 0;
}

/* Upwards until ours is met; *ret_newer is the one before it, or the oldest. */
static fallible walk_to_ours(const struct reader *r, struct found *ret_newer, bool *ret_met)
{
    bool packed = r->packed_fd >= 0;
    const struct found ours = { r->fd, packed, r->inode, packed ? r->head : log_head(r->fd) };
    struct walk w = { .highest = -1 };
    *ret_met = false;
    for (;;) {
        struct found f;
        TRY(walk_on(r, &w, &f));
        if (f.fd < 0)
            return NULL;
        *ret_met = r->fd >= 0 && is_same(&f, &ours);
        if (*ret_met) {
            own_drop_fd(&f.fd);
            return NULL;
        }
        own_drop_fd(&ret_newer->fd);
        *ret_newer = f;
    }
}

/* The file that follows the one we have read to its end: ours has a higher number now, or has been rotated away, and
 * then it is the oldest. ret->fd -1: ours is the newest. */
static fallible find_next(const struct reader *r, struct found *ret)
{
    struct stat st;
    ret->fd = -1;
    if (r->fd >= 0 && fstatat(r->dir_fd, LOGFILE_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == r->inode)
        return NULL;
    for (int tries = 0; tries < TRIES; tries++) {
        bool met, had_name = has_name(r);
        err *e = walk_to_ours(r, ret, &met);
        if (!e && (met || !had_name))
            return NULL;
        own_drop_fd(&ret->fd);
        TRY(e);
    }
    return err_new(ERR_UNAVAILABLE, "read the log: its files are rotated faster than they can be found");
}

/* Everything there is, file after file. Rotation may go on meanwhile: files are followed by inode, not by name. */
static fallible read_to_end(struct reader *r)
{
    for (;;) {
        struct found next;
        if (r->fd >= 0)
            TRY(read_on(r));
        if (r->fd >= 0 && is_last(r))
            return NULL;
        TRY(find_next(r, &next));
        if (next.fd < 0)
            return NULL;
        err *e = r->fd >= 0 ? read_on(r) : NULL; /* what came between the read and the rotation */
        if (!e)
            e = use_file(r, &next, 0);
        own_drop_fd(&next.fd);
        TRY(e);
    }
}

static fallible start(struct reader *r)
{
    /* all: from the oldest on, which is what follows on none */
    return r->sink->f->tail < 0 ? NULL : find_start(r);
}

/* ---- following ---- */

/* Whether something was deleted: the whole container is, with its record, or an old log is. */
static fallible take_events(int watch_fd, bool *ret_deleted)
{
    char events[4096] __attribute__((aligned(__alignof__(struct inotify_event))));
    ssize_t n = read(watch_fd, events, sizeof events);
    *ret_deleted = false;
    if (n < 0 && errno != EAGAIN && errno != EINTR)
        return err_sys(errno, "wait for the log");
    for (const char *at = events; at < events + n;) {
        const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
        *ret_deleted |= (event->mask & IN_DELETE) != 0;
        at += sizeof *event + event->len;
    }
    return NULL;
}

static fallible follow(struct reader *r, int watch_fd)
{
    const struct log_filter *f = r->sink->f;
    for (;;) {
        bool ended =
            faccessat(r->dir_fd, "exit.json", F_OK, 0) == 0; /* before the read: the record comes after the last line */
        TRY(read_to_end(r));
        if (ended || r->sink->past_until)
            return NULL;
        struct pollfd p = { .fd = watch_fd, .events = POLLIN };
        int n = poll(&p, 1, IDLE_MS);
        if (n < 0 && errno != EINTR)
            return err_sys(errno, "wait for the log");
        bool deleted = false;
        if (n > 0)
            TRY(take_events(watch_fd, &deleted));
        if ((n == 0 || deleted) && f->ended && f->ended(f->ended_ctx))
            return read_to_end(r);
    }
}

static fallible watch_dir(int dir_fd, int *ret_fd)
{
    char path[64];
    own_fd int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
    if (fd < 0)
        return err_sys(errno, "watch the log (fs.inotify.max_user_instances may be too small)");
    snprintf(path, sizeof path, "/proc/self/fd/%d", dir_fd);
    if (inotify_add_watch(fd, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE) < 0)
        return err_sys(errno, "watch the log (fs.inotify.max_user_watches may be too small)");
    *ret_fd = take_fd(&fd);
    return NULL;
}

static fallible print(struct reader *r)
{
    own_fd int watch_fd = -1;
    if (r->sink->f->follow)
        TRY(watch_dir(r->dir_fd, &watch_fd)); /* before the first read: nothing is missed */
    TRY(start(r));
    return watch_fd >= 0 ? follow(r, watch_fd) : read_to_end(r);
}

fallible logs_print(const char *dir, const struct log_filter *f)
{
    own_mem char *out = mem_alloc(OUT_ROOM);
    struct sink sink = { .f = f, .out = out, .fd = STDOUT_FILENO };
    struct reader r = { .dir_fd = -1, .fd = -1, .packed_fd = -1, .sink = &sink };
    TRY_AS(fs_open_dir_at(AT_FDCWD, dir, FS_MUST_EXIST, &r.dir_fd), "read the log");
    err *e = print(&r);
    own_drop_fd(&r.dir_fd);
    own_drop_fd(&r.fd);
    own_drop_fd(&r.packed_fd);
    free(r.buffer);
    return e;
}
