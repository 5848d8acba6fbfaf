/*
 * line.h: one entry of a container's log, in the format of Docker's json-file driver:
 *
 *   {"log":"text\n","stream":"stdout","time":"2026-01-02T03:04:05.678901234Z"}
 *
 * A line of the program longer than 16 KiB becomes several entries, of which only the last ends in \n; a last line
 * without an end becomes one without \n. Bytes that are not UTF-8 become U+FFFD, as JSON cannot hold them. Lines of
 * husk's own ("2 lines are missing") carry "attrs":{"husk":"..."} and are written to no stream of the program's.
 * Source: moby, daemon/logger/copier.go and jsonfilelog/jsonlog/jsonlogbytes.go. One difference: an entry is never cut
 * within a character.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_MONITOR_LINE_H
#define HUSK_MONITOR_LINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum line_stream { LINE_STDOUT, LINE_STDERR, LINE_HUSK };

enum {
    LINE_TEXT_MAX = 16384, /* of the program, in one entry */
    LINE_ATTRS_MAX = 4096,
    /* each byte may become six, as in \u003c; and the rest of the entry */
    LINE_ENTRY_MAX = 6 * LINE_TEXT_MAX + LINE_ATTRS_MAX + 160,
};

/* Writes one entry, its newline included, and answers its length. out has room for LINE_ENTRY_MAX; n is at most
 * LINE_TEXT_MAX. ended: the text's own \n follows it. attrs: a flat object of strings as JSON, at most LINE_ATTRS_MAX
 * bytes, that goes with each line (tag, labels, environment); NULL: none. */
size_t line_encode(char *out, const char *text, size_t n, bool ended, enum line_stream stream, const char *attrs,
                   int64_t time_ns);

/* The text as the inside of a JSON string: at most six bytes for one, no NUL. Answers the end. */
char *line_escape(char *out, const char *text, size_t n);

/* RFC 3339 without trailing zeros, as Go's RFC3339Nano: at most 30 bytes, no NUL. Answers the length. */
size_t line_time(char *out, int64_t time_ns);

/* An entry, read. text and time point into the entry, which is changed: the text is decoded in place. */
struct line {
    char *text, *time, *attrs; /* attrs: "name=value,name=value", or NULL */
    size_t text_len, time_len, attrs_len;
    enum line_stream stream;
};
/* False when these bytes (one line of the file, without its newline) are no entry. */
bool line_decode(char *entry, size_t n, struct line *ret);
/* False when the time is none. */
bool line_time_parse(const char *text, size_t n, int64_t *ret_ns);

/* Cuts a stream into lines. */
struct line_cutter {
    size_t n;         /* bytes of a line that has not ended yet */
    bool in_piece;    /* an entry of this line has been written */
    int64_t piece_ns; /* its time: all entries of one line have the first one's */
    char *text;       /* LINE_TEXT_MAX bytes, borrowed; untouched while lines arrive whole */
};
typedef void line_fn(void *ctx, const char *text, size_t n, bool ended, int64_t time_ns);
void line_cut(struct line_cutter *c, const char *bytes, size_t n, line_fn *fn, void *ctx);
/* The stream has ended: what is left becomes an entry without \n. */
void line_cut_end(struct line_cutter *c, line_fn *fn, void *ctx);

#endif
