/*
 * events.h: what happened to containers, images, volumes, networks: one line of JSON each in <run>/events.
 *
 * Whoever acts appends, with one write(2) to a file opened with O_APPEND: no lock, no daemon, and a reader that is slow
 * holds nobody up. The file is bounded: beyond EVENTS_FILE_MAX it becomes events.1 and a new one begins, so that
 * between one and two times as much is kept. It goes with the machine's run-time folder, as the processes do.
 *
 * A line is docker's message: {"Type":"container","Action":"die","Actor":{"ID":"...","Attributes":{"exitCode":"0"}},
 * "scope":"local","time":1700000000,"timeNano":1700000000123456789}
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_EVENTS_H
#define HUSK_MONITOR_EVENTS_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum { EVENTS_FILE_MAX = 1 << 20, EVENT_MAX = 4096 };

struct event_attribute {
    const char *key, *value; /* value NULL: the attribute is left out */
};
struct event {
    const char *type;   /* "container", "image", "volume", "network", "pod", "secret", "builder" */
    const char *action; /* docker's word: "create", "start", "die", "pull" ... */
    const char *id;     /* of the object: a container's ID, an image's name or ID, a volume's name */
    const struct event_attribute *attributes;
    size_t attributes_n;
};

/**
 * event_append - say that it has happened.
 * @run_dir: the run-time folder (struct engine's run).
 *
 * It never fails, since what happened has happened: an event that cannot be written is in the debug log. Values that
 * would make the line longer than EVENT_MAX are left out, last first.
 */
void event_append(const char *run_dir, const struct event *event);
/* With attributes in a row: event_say(run, "volume", "create", name, "driver", "local", NULL). */
void event_say(const char *run_dir, const char *type, const char *action, const char *id, ...)
    __attribute__((sentinel));
/* What is said once of all that a command has taken away, as docker does: {"reclaimed":"BYTES"}, of no object. */
void event_say_pruned(const char *run_dir, const char *type, uint64_t bytes);

/*
 * For who gives the right to open files away before there is something to say: the file is opened, and when it is full
 * begun anew, now; what is said later goes there, even if it is events.1 by then. -1: it cannot be written, and the
 * other then says nothing.
 */
int event_log_open(const char *run_dir);
void event_log_append(int fd, const struct event *event);

/* Reads from the oldest line on, and then what comes, by inotify(7). */
struct events;
/* A missing file or folder is no error: nothing has happened yet; with EVENTS_FOLLOW the folder is made. */
enum events_mode { EVENTS_SO_FAR, EVENTS_FOLLOW };
fallible events_open(const char *run_dir, enum events_mode mode, struct events **ret);
void events_free(struct events *e);
OWN_TYPE(events, struct events *, events_free)
/**
 * events_next - the next line, without its newline.
 * @timeout_ms: how long to wait for one when there is none; -1: for ever. Never waits with EVENTS_SO_FAR.
 * @ret_line:   borrowed, until the next call; NULL: none in that time.
 */
fallible events_next(struct events *e, int timeout_ms, const char **ret_line);
/* Waiting ends with CANCELLED when nobody reads this pipe or socket any more. fd: borrowed; -1: none. */
void events_reader(struct events *e, int fd);

#endif
