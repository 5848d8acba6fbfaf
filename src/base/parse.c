// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/parse.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <strings.h>
#include <time.h>

fallible parse_i64(const char *text, int64_t min, int64_t max, int64_t *ret)
{
    char *end = NULL;
    errno = 0;
    if (!isdigit((unsigned char)*text) && !((*text == '-' || *text == '+') && isdigit((unsigned char)text[1])))
        return err_new(ERR_INVALID, "'%s' is not a number", text);
    long long v = strtoll(text, &end, 10);
    if (*end)
        return err_new(ERR_INVALID, "'%s' is not a number", text);
    if (errno == ERANGE || v < min || v > max)
        return err_new(ERR_INVALID, "'%s' is out of range: %" PRId64 " to %" PRId64, text, min, max);
    *ret = v;
    return NULL;
}

fallible parse_u64(const char *text, uint64_t max, uint64_t *ret)
{
    char *end = NULL;
    errno = 0;
    if (!isdigit((unsigned char)*text))
        return err_new(ERR_INVALID, "'%s' is not a number", text);
    unsigned long long v = strtoull(text, &end, 10);
    if (*end)
        return err_new(ERR_INVALID, "'%s' is not a number", text);
    if (errno == ERANGE || v > max)
        return err_new(ERR_INVALID, "'%s' is out of range: 0 to %" PRIu64, text, max);
    *ret = v;
    return NULL;
}

/*
 * A decimal fraction as an integer count of 1/scale, without floating point: the same text gives the same number
 * everywhere. Digits beyond the ninth of the fraction are dropped. *ret_end is where it stopped.
 */
static fallible scaled_prefix(const char *text, int64_t scale, const char **ret_end, int64_t *ret)
{
    const char *p = text;
    int64_t whole = 0, fraction = 0, unit = 1;
    if (!isdigit((unsigned char)*p) && !(*p == '.' && isdigit((unsigned char)p[1])))
        return err_new(ERR_INVALID, "'%s' is not a number", text);
    for (; isdigit((unsigned char)*p); p++)
        if (__builtin_mul_overflow(whole, 10, &whole) || __builtin_add_overflow(whole, *p - '0', &whole))
            return err_new(ERR_INVALID, "'%s' is too large", text);
    if (*p == '.') {
        for (p++; isdigit((unsigned char)*p); p++) {
            if (unit >= 1000000000)
                continue;
            unit *= 10;
            fraction = fraction * 10 + (*p - '0');
        }
    }
    __int128 v = (__int128)whole * scale + ((__int128)fraction * scale + unit / 2) / unit;
    if (v > INT64_MAX)
        return err_new(ERR_INVALID, "'%s' is too large", text);
    *ret_end = p;
    *ret = (int64_t)v;
    return NULL;
}

fallible parse_scaled(const char *text, int64_t scale, int64_t *ret)
{
    const char *end = NULL;
    int64_t v = 0;
    TRY(scaled_prefix(text, scale, &end, &v));
    if (*end)
        return err_new(ERR_INVALID, "'%s' is not a number", text);
    *ret = v;
    return NULL;
}

fallible parse_bytes(const char *text, int64_t *ret_bytes)
{
    static const struct {
        const char *unit;
        int shift;
    } units[] = {
        { "", 0 },    { "b", 0 },    { "k", 10 }, { "kb", 10 }, { "kib", 10 }, { "m", 20 },
        { "mb", 20 }, { "mib", 20 }, { "g", 30 }, { "gb", 30 }, { "gib", 30 }, { "t", 40 },
        { "tb", 40 }, { "tib", 40 }, { "p", 50 }, { "pb", 50 }, { "pib", 50 },
    };
    const char *digits_end = text + strspn(text, "0123456789.");
    const char *unit = digits_end + strspn(digits_end, " ");
    if (digits_end == text)
        return err_new(ERR_INVALID, "'%s' is not a size: use a number with b, k, m, g or t", text);
    for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
        if (strcasecmp(unit, units[i].unit) != 0)
            continue;
        const char *end = NULL;
        int64_t v = 0;
        TRY(scaled_prefix(text, INT64_C(1) << units[i].shift, &end, &v));
        if (end != digits_end)
            return err_new(ERR_INVALID, "'%s' is not a size", text);
        *ret_bytes = v;
        return NULL;
    }
    return err_new(ERR_INVALID, "'%s' has an unknown unit '%s': use b, k, m, g or t", text, unit);
}

fallible parse_duration_ns(const char *text, uint64_t *ret_ns)
{
    static const struct {
        const char *unit;
        int64_t ns;
    } units[] = {
        { "ns", 1 },           { "us", 1000 },         { "\xc2\xb5s", 1000 },    { "ms", 1000000 },
        { "s", 1000000000LL }, { "m", 60000000000LL }, { "h", 3600000000000LL },
    };
    const char *p = text;
    uint64_t total = 0;
    if (!*p)
        return err_new(ERR_INVALID, "'' is not a duration");
    while (*p) {
        const char *digits_end = p + strspn(p, "0123456789.");
        const char *unit_end = digits_end + strcspn(digits_end, "0123456789.");
        size_t unit_len = (size_t)(unit_end - digits_end);
        int64_t scale = unit_len == 0 && p == text ? 1000000000LL : 0;
        for (size_t i = 0; i < ARRAY_SIZE(units); i++)
            if (unit_len == strlen(units[i].unit) && memcmp(digits_end, units[i].unit, unit_len) == 0)
                scale = units[i].ns;
        const char *end = NULL;
        int64_t v = 0;
        if (!scale)
            return err_new(ERR_INVALID, "'%s' is not a duration: use ns, us, ms, s, m or h", text);
        TRY(scaled_prefix(p, scale, &end, &v));
        if (end != digits_end || __builtin_add_overflow(total, (uint64_t)v, &total))
            return err_new(ERR_INVALID, "'%s' is not a duration", text);
        p = unit_end;
    }
    *ret_ns = total;
    return NULL;
}

fallible parse_bool(const char *text, bool *ret)
{
    static const struct {
        const char *word;
        bool v;
    } words[] = {
        { "true", true }, { "yes", true }, { "1", true }, { "false", false }, { "no", false }, { "0", false }
    };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        if (strcasecmp(text, words[i].word) == 0) {
            *ret = words[i].v;
            return NULL;
        }
    }
    return err_new(ERR_INVALID, "'%s' is neither true nor false", text);
}

const char *format_bytes(uint64_t bytes, char buf[32])
{
    static const char *const units[] = { "B", "kB", "MB", "GB", "TB", "PB" };
    size_t u = 0;
    double v = (double)bytes;
    while (v >= 1000.0 && u + 1 < ARRAY_SIZE(units)) {
        v /= 1000.0;
        u++;
    }
    if (u == 0 || v >= 100.0)
        snprintf(buf, 32, "%.0f%s", v, units[u]);
    else
        snprintf(buf, 32, v >= 10.0 ? "%.1f%s" : "%.2f%s", v, units[u]);
    return buf;
}

const char *format_duration(uint64_t seconds, char buf[64])
{
    static const struct {
        uint64_t below, unit;
        const char *text; /* with %llu when unit is not 0 */
    } rows[] = {
        { 1, 0, "Less than a second" },
        { 2, 0, "1 second" },
        { 60, 1, "%llu seconds" },
        { 120, 0, "About a minute" },
        { 3600, 60, "%llu minutes" },
        { 7200, 0, "About an hour" },
        { 48 * 3600, 3600, "%llu hours" },
        { 14 * 86400, 86400, "%llu days" },
        { 60 * 86400, 7 * 86400, "%llu weeks" },
        { 730 * 86400, 30 * 86400, "%llu months" },
        { UINT64_MAX, 365 * 86400, "%llu years" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        if (seconds >= rows[i].below)
            continue;
        if (!rows[i].unit) {
            snprintf(buf, 64, "%s", rows[i].text);
        } else {
            const char *space = strchr(rows[i].text, ' ');
            snprintf(buf, 64, "%" PRIu64 "%s", seconds / rows[i].unit, space);
        }
        break;
    }
    return buf;
}

const char *format_time_ns(int64_t ns, char buf[40])
{
    int64_t below = ns % 1000000000 < 0; /* before 1970 the nanoseconds still count upward */
    time_t seconds = (time_t)(ns / 1000000000 - below);
    struct tm tm;
    char date[24];
    gmtime_r(&seconds, &tm);
    strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(buf, 40, "%s.%09" PRId64 "Z", date, ns % 1000000000 + below * 1000000000);
    return buf;
}

const char *format_time_local(int64_t ns, char buf[40])
{
    time_t seconds = (time_t)(ns / 1000000000 - (ns % 1000000000 < 0));
    struct tm tm;
    *buf = '\0';
    if (!localtime_r(&seconds, &tm) || strftime(buf, 40, "%Y-%m-%d %H:%M:%S %z %Z", &tm) == 0)
        *buf = '\0';
    return buf;
}

fallible parse_time_ns(const char *text, int64_t *ret_ns)
{
    struct tm tm = { 0 };
    const char *p = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);
    int64_t fraction = 0;
    if (!p)
        return err_new(ERR_INVALID, "'%s' is not an RFC 3339 time", text);
    if (*p == '.') {
        int digits = 0;
        for (p++; isdigit((unsigned char)*p); p++)
            if (digits++ < 9)
                fraction = fraction * 10 + (*p - '0');
        for (; digits < 9; digits++)
            fraction *= 10;
    }
    int64_t offset = 0;
    if (*p == '+' || *p == '-') {
        int h = 0, m = 0;
        if (sscanf(p + 1, "%2d:%2d", &h, &m) != 2)
            return err_new(ERR_INVALID, "'%s' is not an RFC 3339 time", text);
        offset = (*p == '-' ? -1 : 1) * (h * 3600 + m * 60);
    } else if (*p != 'Z' && *p != 'z') {
        return err_new(ERR_INVALID, "'%s' is not an RFC 3339 time", text);
    }
    *ret_ns = ((int64_t)timegm(&tm) - offset) * 1000000000 + fraction;
    return NULL;
}

static int64_t now_ns(void)
{
    struct timespec now = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static bool local_time_ns(const char *text, int64_t *ret_ns)
{
    static const char *const forms[] = { "%Y-%m-%dT%H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%d" };
    for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
        struct tm tm = { .tm_isdst = -1 };
        const char *end = strptime(text, forms[i], &tm);
        if (end && !*end) {
            *ret_ns = (int64_t)mktime(&tm) * 1000000000;
            return true;
        }
    }
    return false;
}

fallible parse_when_ns(const char *text, int64_t *ret_ns)
{
    uint64_t ago;
    if (local_time_ns(text, ret_ns))
        return NULL;
    if (strcmp(text, "0") == 0) { /* docker's and podman's too: everything since 1970, not since now */
        *ret_ns = 0;
        return NULL;
    }
    err *e = parse_time_ns(text, ret_ns);
    if (!e)
        return NULL;
    err_free(e);
    if (strspn(text, "0123456789.") == strlen(text) && strcspn(text, ".") >= 9)
        return parse_scaled(text, 1000000000, ret_ns);
    e = parse_duration_ns(text, &ago);
    if (e) {
        err_free(e);
        return err_new(ERR_INVALID, "'%s' is neither a time such as 2026-01-02T15:04:05Z nor a duration such as 10m",
                       text);
    }
    *ret_ns = now_ns() - (int64_t)ago;
    return NULL;
}
