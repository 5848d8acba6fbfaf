/*
 * logfile.h: the log file of a container, written by its monitor: whole entries only, rotated within limits.
 *
 * Every write(2) ends at the end of an entry; a short one (disk full) is cut back to the last whole entry, so a reader
 * never sees half of one unless the machine went down. What does not fit on the disk is dropped and counted; when
 * there is room again the log says how much is missing. The container is never held up.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_LOGFILE_H
#define HUSK_MONITOR_LOGFILE_H

#include <stdint.h>

#include "monitor/line.h"

#define LOGFILE_NAME "log.json"

enum { LOGFILE_BUFFER = 65536 + LINE_ENTRY_MAX };

struct logfile {
    int dir_fd; /* borrowed; -1: the log driver is "none" */
    int fd;
    int64_t size, max_bytes, max_files;
    int64_t max_age_s; /* a file whose last line is older goes; 0: none does */
    int64_t begun_s;   /* CLOCK_REALTIME of the current file's first line */
    bool packs;        /* rotated files are packed by somebody else (log_packed.h), so numbers change under a lock */
    int64_t rotations;
    const char *attrs;      /* of each line (line.h); borrowed; or NULL */
    int64_t dropped;        /* entries, in all */
    int64_t dropped_unsaid; /* of these, not yet mentioned in the log */
    int errnum;             /* why */
    size_t used;            /* bytes that wait in buffer */
    char *buffer;           /* LOGFILE_BUFFER bytes, borrowed */
};

/* Never fails: a file that cannot be opened is tried again with each write, and what was to go there is dropped. */
void logfile_open(struct logfile *f, int dir_fd, char *buffer, int64_t max_bytes, int64_t max_files);
/* Sets the age limit and removes what is beyond it now. Later that is looked at when lines are written: the current
 * file is rotated when it spans more than the limit divided by the number of files. */
void logfile_limit_age(struct logfile *f, int64_t max_age_s);
/* An entry waits in the buffer until the flush. */
void logfile_add(struct logfile *f, const char *text, size_t n, bool ended, enum line_stream stream, int64_t time_ns);
void logfile_flush(struct logfile *f);
/* A line of husk's own. */
void logfile_note(struct logfile *f, const char *text);

#endif
