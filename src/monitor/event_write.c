// SPDX-License-Identifier: GPL-2.0-or-later
/* Apart from event_read.c: the monitor writes events and has no use for the rest. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "monitor/events.h"
#include "monitor/line.h"

enum { ATTRIBUTES_MAX = 64 };

/* A JSON string is at most six times its text, and the quotes. */
static void add_string(struct str *out, const char *text)
{
    char escaped[6 * 256];
    str_add_char(out, '"');
    for (size_t n = strlen(text); n;) {
        size_t part = n > 256 ? 256 : n;
        while (part > 1 && part < n && ((unsigned char)text[part] & 0xc0) == 0x80) /* not within a character */
            part--;
        str_add_n(out, escaped, (size_t)(line_escape(escaped, text, part) - escaped));
        text += part;
        n -= part;
    }
    str_add_char(out, '"');
}

static void add_attributes(struct str *out, const struct event *event, size_t tail)
{
    const char *between = "";
    for (size_t i = 0; i < event->attributes_n; i++) {
        const struct event_attribute *a = &event->attributes[i];
        size_t before = out->len;
        if (!a->value)
            continue;
        str_add(out, between);
        add_string(out, a->key);
        str_add_char(out, ':');
        add_string(out, a->value);
        if (out->len + tail > EVENT_MAX) {
            out->len = before;
            out->text[before] = '\0';
            return;
        }
        between = ",";
    }
}

static char *event_text(const struct event *event, size_t *ret_len)
{
    struct timespec now = { 0 };
    own_str struct str line = { 0 }, tail = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &now);
    str_printf(&tail, "}},\"scope\":\"local\",\"time\":%" PRId64 ",\"timeNano\":%" PRId64 "}\n", (int64_t)now.tv_sec,
               (int64_t)now.tv_sec * 1000000000 + now.tv_nsec);
    str_add(&line, "{\"Type\":");
    add_string(&line, event->type);
    str_add(&line, ",\"Action\":");
    add_string(&line, event->action);
    str_add(&line, ",\"Actor\":{\"ID\":");
    add_string(&line, event->id ? event->id : "");
    str_add(&line, ",\"Attributes\":{");
    add_attributes(&line, event, tail.len);
    str_add(&line, tail.text);
    *ret_len = line.len;
    return str_take(&line);
}

/* Two who find it full at once: the lock is the file's own, and the second sees that the name is another's by now. Who
 * opened it before writes into events.1, which readers still read. */
static void rotate(int dir, int fd, const struct stat *st)
{
    struct stat named;
    if (st->st_size < EVENTS_FILE_MAX || flock(fd, LOCK_EX | LOCK_NB) < 0)
        return;
    if (fstatat(dir, "events", &named, AT_SYMLINK_NOFOLLOW) == 0 && named.st_ino == st->st_ino &&
        named.st_dev == st->st_dev && renameat(dir, "events", dir, "events.1") < 0)
        log_debug("events: not rotated: %s", strerror(errno));
    (void)flock(fd, LOCK_UN);
}

static int open_log(int dir, struct stat *ret)
{
    own_fd int fd = dir < 0 ? -1 : openat(dir, "events", O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0 || fstat(fd, ret) < 0 || !S_ISREG(ret->st_mode) || ret->st_uid != geteuid())
        return -1;
    return take_fd(&fd);
}

int event_log_open(const char *run_dir)
{
    struct stat st;
    own_fd int dir = open(run_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    own_fd int fd = open_log(dir, &st);
    if (fd >= 0 && st.st_size >= EVENTS_FILE_MAX) {
        rotate(dir, fd, &st);
        close_now(&fd);
        fd = open_log(dir, &st);
    }
    if (fd < 0)
        log_debug("events: '%s/events' cannot be written: %s", run_dir, strerror(errno));
    return take_fd(&fd);
}

void event_log_append(int fd, const struct event *event)
{
    size_t len = 0;
    own_mem char *text = fd < 0 ? NULL : event_text(event, &len);
    if (text && write(fd, text, len) != (ssize_t)len)
        log_debug("events: %s %s is not written: %s", event->type, event->action, strerror(errno));
}

void event_append(const char *run_dir, const struct event *event)
{
    struct stat st;
    own_fd int dir = open(run_dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    own_fd int fd = open_log(dir, &st);
    if (fd < 0) {
        log_debug("events: '%s/events' cannot be written: %s", run_dir, strerror(errno));
        return;
    }
    event_log_append(fd, event);
    rotate(dir, fd, &st);
}

void event_say(const char *run_dir, const char *type, const char *action, const char *id, ...)
{
    struct event_attribute attributes[ATTRIBUTES_MAX];
    struct event event = { .type = type, .action = action, .id = id, .attributes = attributes };
    va_list ap;
    va_start(ap, id);
    for (const char *key; event.attributes_n < ATTRIBUTES_MAX && (key = va_arg(ap, const char *));)
        attributes[event.attributes_n++] = (struct event_attribute){ key, va_arg(ap, const char *) };
    va_end(ap);
    event_append(run_dir, &event);
}

void event_say_pruned(const char *run_dir, const char *type, uint64_t bytes)
{
    char number[24];
    (void)snprintf(number, sizeof number, "%" PRIu64, bytes);
    event_say(run_dir, type, "prune", "", "reclaimed", number, NULL);
}
