/*
 * journal.h: a container's lines for systemd's journal, in its native protocol: one datagram an entry, of lines
 * "NAME=value". No library is needed for that. Source: systemd, docs/JOURNAL_NATIVE_PROTOCOL.md; the field names are
 * those of docker's and podman's journald drivers.
 *
 * A journal that does not take an entry within a second has lost it: it is counted, and the container goes on. One that
 * was restarted is connected to again. With a buffer nothing waits: what the journal does not take now goes there, and
 * what does not fit into it is lost and counted.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_JOURNAL_H
#define HUSK_MONITOR_JOURNAL_H

#include <stdint.h>

#include "monitor/line.h"

#define JOURNAL_SOCKET "/run/systemd/journal/socket"

struct journal {
    const char *socket, *fields; /* borrowed; socket NULL: no journal is kept */
    int fd;                      /* -1: not connected */
    bool in_piece;               /* the last entry was a part of a line */
    int64_t dropped;             /* entries */
    char *buffer;                /* entries that wait, each behind its length; NULL: none may */
    size_t room, used, at;       /* what waits is from at to used */
};
/* fields: lines "NAME=value", each with its newline; or NULL. buffer: bytes; they cost memory when they are used. */
void journal_open(struct journal *j, const char *socket, const char *fields, int64_t buffer);
void journal_add(struct journal *j, const char *text, size_t n, bool ended, enum line_stream stream);
/* What waits goes as far as the journal takes it. True: some still waits. */
bool journal_retry(struct journal *j);
/* Before the end: it may take a second. */
void journal_end(struct journal *j);

#endif
