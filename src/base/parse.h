/*
 * parse.h: text a person wrote, to numbers: sizes, durations, ids. All of the text must be used, or it is an error.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_BASE_PARSE_H
#define HUSK_BASE_PARSE_H

#include <stdint.h>

#include "base/err.h"

/* "Not given" is a value: in the OCI documents 0 and absent differ. */
struct opt_i64 {
    bool set;
    int64_t v;
};
struct opt_u64 {
    bool set;
    uint64_t v;
};
struct opt_bool {
    bool set;
    bool v;
};

/* Decimal, optional sign; INVALID names the text and the range. */
fallible parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret);
fallible parse_u64(const char *text, uint64_t max, uint64_t *ret);
/* Bytes as docker writes them: "512", "64k", "1.5g", "10MB", "1GiB"; units are powers of 1024, any case. */
fallible parse_bytes(const char *text, int64_t *ret_bytes);
/* "1.5" CPUs and the like: a decimal fraction, times scale, rounded. parse_scaled("0.5", 1000, ...) is 500. */
fallible parse_scaled(const char *text, int64_t scale, int64_t *ret);
/* Go's duration: "300ms", "1m30s", "2h"; a bare number is seconds. */
fallible parse_duration_ns(const char *text, uint64_t *ret_ns);
/* true/false, yes/no, 1/0 */
fallible parse_bool(const char *text, bool *ret);

/* For people: "1.5MB" (powers of 1000, as docker prints), "About a minute ago". Written into a caller's buffer. */
const char *format_bytes(uint64_t bytes, char buf[32]);
/* docker's words for a duration: "3 seconds", "About an hour", "2 weeks" */
const char *format_duration(uint64_t seconds, char buf[64]);

/* RFC 3339 with nanoseconds, UTC. ns is since the epoch. */
const char *format_time_ns(int64_t ns, char buf[40]);
/* As docker's and podman's lists have it, in local time: "2026-11-27 11:54:28 +0000 UTC". */
const char *format_time_local(int64_t ns, char buf[40]);
fallible parse_time_ns(const char *text, int64_t *ret_ns);
/* What --since and --until take: RFC 3339, also without a zone (local time), only a date, or with a space; seconds
 * since the epoch with or without a fraction (0 is that too); or how long ago ("10m"). */
fallible parse_when_ns(const char *text, int64_t *ret_ns);

#endif
