// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/logfile.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/own.h"
#include "monitor/log_packed.h"

/* A file that a power cut left without its last newline gets one: what follows is whole again. */
static void mend_end(struct logfile *f)
{
    char last = '\n';
    if (f->size && pread(f->fd, &last, 1, f->size - 1) == 1 && last != '\n' && write(f->fd, "\n", 1) == 1)
        f->size++;
}

/* When the first line of a file that is there already was written; a file that says it not began now. */
static int64_t first_time(int fd)
{
    static const char key[] = "\"time\":\"";
    char block[1024];
    int64_t ns = 0;
    ssize_t n = pread(fd, block, sizeof block - 1, 0);
    block[n > 0 ? n : 0] = '\0';
    const char *at = strstr(block, key), *value = at ? at + sizeof key - 1 : NULL;
    if (value && line_time_parse(value, strcspn(value, "\""), &ns))
        return ns / 1000000000;
    return time(NULL);
}

static bool open_current(struct logfile *f)
{
    struct stat st;
    if (f->fd >= 0)
        return true;
    f->fd = openat(f->dir_fd, LOGFILE_NAME, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (f->fd < 0 || fstat(f->fd, &st) < 0) {
        f->errnum = errno;
        own_drop_fd(&f->fd);
        return false;
    }
    f->size = st.st_size;
    if (f->size)
        f->begun_s = first_time(f->fd);
    mend_end(f);
    return true;
}

void logfile_open(struct logfile *f, int dir_fd, char *buffer, int64_t max_bytes, int64_t max_files)
{
    *f = (struct logfile){ .dir_fd = dir_fd, .fd = -1, .max_bytes = max_bytes, .max_files = max_files };
    f->buffer = buffer;
    if (dir_fd >= 0 && faccessat(dir_fd, LOGFILE_NAME, F_OK, 0) == 0)
        (void)open_current(f); /* its size counts; one that is not there is made with the first line */
}

static void drop(struct logfile *f, size_t entries, int errnum)
{
    f->dropped += (int64_t)entries;
    f->dropped_unsaid += (int64_t)entries;
    f->errnum = errnum;
}

static size_t count_entries(const char *bytes, size_t n)
{
    size_t count = 0;
    for (const char *p = bytes, *end = bytes + n; (p = memchr(p, '\n', (size_t)(end - p))); p++)
        count++;
    return count;
}

/* Answers how many of the bytes are in the file: all, or up to the end of an entry. */
static size_t append(struct logfile *f, const char *bytes, size_t n)
{
    size_t done = 0;
    f->errnum = ENOSPC; /* the only reason for a short write to a file that does not say its own */
    while (done < n) {
        ssize_t r = write(f->fd, bytes + done, n - done);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            f->errnum = errno;
        if (r <= 0)
            break;
        done += (size_t)r;
    }
    if (done < n) {
        const char *end = memrchr(bytes, '\n', done);
        size_t whole = end ? (size_t)(end - bytes) + 1 : 0;
        if (whole < done && ftruncate(f->fd, f->size + (int64_t)whole) < 0)
            own_drop_fd(&f->fd); /* opened again, its end is mended */
        done = whole;
    }
    f->size += (int64_t)done;
    return done;
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Says what is missing, where it is missing. */
static bool say_dropped(struct logfile *f)
{
    char text[160], entry[1200];
    int len = snprintf(text, sizeof text, "husk: %" PRId64 " log lines are missing here: %s", f->dropped_unsaid,
                       strerror(f->errnum));
    size_t n = line_encode(entry, text, (size_t)len, true, LINE_HUSK, NULL, now_ns());
    if (append(f, entry, n) < n)
        return false;
    f->dropped_unsaid = 0;
    return true;
}

void logfile_flush(struct logfile *f)
{
    if (!f->used)
        return;
    size_t done = 0;
    if (open_current(f) && (!f->dropped_unsaid || say_dropped(f)) && f->fd >= 0)
        done = append(f, f->buffer, f->used);
    if (done < f->used)
        drop(f, count_entries(f->buffer + done, f->used - done), f->errnum);
    f->used = 0;
}

/* A number may stand for two files where they are packed: the original and the packed one. */
static int forms(const struct logfile *f)
{
    return f->packs ? 2 : 1;
}

static void remove_number(const struct logfile *f, int64_t number)
{
    char name[LOG_NAME_MAX];
    for (int packed = 0; packed < forms(f); packed++)
        (void)unlinkat(f->dir_fd, log_name(name, number, packed), 0);
}

/* log.json -> log.json.1 -> log.json.2 ...: from the oldest on, so that a kill in between leaves a gap in the numbers
 * and loses nothing. Readers know of gaps. */
static void rotate(struct logfile *f)
{
    char from[LOG_NAME_MAX], to[LOG_NAME_MAX];
    own_fd int lock = f->packs ? log_lock(f->dir_fd) : -1;
    remove_number(f, f->max_files < 2 ? 0 : f->max_files - 1);
    for (int64_t i = f->max_files - 1; i >= 1; i--)
        for (int packed = 0; packed < forms(f); packed++)
            (void)renameat(f->dir_fd, log_name(from, i - 1, packed), f->dir_fd, log_name(to, i, packed));
    close_now(&lock);
    own_drop_fd(&f->fd);
    f->begun_s = 0;
    f->rotations++;
    (void)open_current(f);
}

/* By the time of the last write. Numbers beyond the limit may be there from a time when it was higher. */
static void remove_aged(struct logfile *f, int64_t now_s)
{
    for (int64_t i = 1; i <= f->max_files; i++) {
        char name[LOG_NAME_MAX];
        struct stat st;
        for (int packed = 0; packed < forms(f); packed++)
            if (fstatat(f->dir_fd, log_name(name, i, packed), &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                now_s - st.st_mtime > f->max_age_s)
                (void)unlinkat(f->dir_fd, name, 0);
    }
}

void logfile_limit_age(struct logfile *f, int64_t max_age_s)
{
    struct stat st;
    f->max_age_s = max_age_s;
    if (f->dir_fd < 0 || max_age_s <= 0)
        return;
    int64_t now_s = time(NULL);
    remove_aged(f, now_s);
    if (f->fd < 0 || fstat(f->fd, &st) < 0 || now_s - st.st_mtime <= max_age_s)
        return;
    (void)unlinkat(f->dir_fd, LOGFILE_NAME, 0);
    own_drop_fd(&f->fd);
    f->begun_s = 0;
}

static bool spans_too_long(const struct logfile *f, int64_t now_s)
{
    return f->max_age_s > 0 && f->size > 0 && f->begun_s &&
           now_s - f->begun_s > f->max_age_s / (f->max_files > 1 ? f->max_files : 1);
}

void logfile_add(struct logfile *f, const char *text, size_t n, bool ended, enum line_stream stream, int64_t time_ns)
{
    if (f->dir_fd < 0)
        return;
    char *entry = f->buffer + f->used;
    size_t len = line_encode(entry, text, n, ended, stream, stream == LINE_HUSK ? NULL : f->attrs, time_ns);
    int64_t before = f->size + (int64_t)f->used;
    bool aged = spans_too_long(f, time_ns / 1000000000);
    if (aged || (f->max_bytes > 0 && before > 0 && before + (int64_t)len > f->max_bytes)) {
        logfile_flush(f);
        if (f->fd >= 0 && f->size > 0)
            rotate(f);
        if (aged)
            remove_aged(f, time_ns / 1000000000);
        memmove(f->buffer, entry, len);
    }
    if (!f->begun_s)
        f->begun_s = time_ns / 1000000000;
    f->used += len;
    if (LOGFILE_BUFFER - f->used < LINE_ENTRY_MAX)
        logfile_flush(f);
}

void logfile_note(struct logfile *f, const char *text)
{
    logfile_add(f, text, strlen(text), true, LINE_HUSK, now_ns());
    logfile_flush(f);
}
