// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/line.h"

#include <string.h>
#include <time.h>

/* What a byte needs in a JSON string, as docker writes it: 0 itself, 1 an escape, 2 a look at the bytes after it. */
static const unsigned char byte_class[256] = {
    [0x00 ... 0x1f] = 1, ['"'] = 1, ['\\'] = 1, ['<'] = 1, ['>'] = 1, ['&'] = 1, [0x80 ... 0xff] = 2,
};
static const char hex_digits[] = "0123456789abcdef";

/* Length of the character that starts here, or 0 when the bytes are no UTF-8 (overlong, surrogate, beyond U+10FFFF).
 * Source: Unicode 15, table 3-7. *ret_short: they may be one when more bytes come. */
static size_t utf8_length(const unsigned char *p, size_t n, bool *ret_short)
{
    unsigned char low = 0x80, high = 0xbf;
    size_t want = 0;
    if (p[0] < 0x80)
        return 1;
    if (p[0] >= 0xc2 && p[0] <= 0xdf)
        want = 2;
    else if (p[0] >= 0xe0 && p[0] <= 0xef)
        want = 3;
    else if (p[0] >= 0xf0 && p[0] <= 0xf4)
        want = 4;
    else
        return 0;
    if (p[0] == 0xe0)
        low = 0xa0;
    else if (p[0] == 0xed)
        high = 0x9f;
    else if (p[0] == 0xf0)
        low = 0x90;
    else if (p[0] == 0xf4)
        high = 0x8f;
    for (size_t i = 1; i < want; i++) {
        if (i == n) {
            *ret_short = true;
            return 0;
        }
        if (p[i] < low || p[i] > high)
            return 0;
        low = 0x80;
        high = 0xbf;
    }
    return want;
}

/* A literal: its length is known here, so the compiler moves it in a few registers. memcpy(3) costs more to call. */
#define PUT(out, literal) (memcpy((out), (literal), sizeof(literal) - 1), (out) + sizeof(literal) - 1)

static char *put_escaped(char *out, unsigned char c)
{
    *out++ = '\\';
    switch (c) {
    case '"':
    case '\\':
        *out++ = (char)c;
        return out;
    case '\n':
        *out++ = 'n';
        return out;
    case '\r':
        *out++ = 'r';
        return out;
    default:
        out = PUT(out, "u00");
        *out++ = hex_digits[c >> 4];
        *out++ = hex_digits[c & 15];
        return out;
    }
}

/* A byte of class 2; answers how many bytes it took. */
static size_t put_utf8(char **out, const unsigned char *p, size_t n)
{
    bool more = false;
    size_t len = utf8_length(p, n, &more);
    if (len == 0) {
        *out = PUT(*out, "\\ufffd");
        return 1;
    }
    if (len == 3 && p[0] == 0xe2 && p[1] == 0x80 && (p[2] & 0xfe) == 0xa8) { /* line ends to JavaScript */
        *out = PUT(*out, "\\u202");
        *(*out)++ = hex_digits[p[2] & 15];
        return len;
    }
    memcpy(*out, p, len);
    *out += len;
    return len;
}

char *line_escape(char *out, const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text, *end = p + n;
    while (p < end) {
        while (p < end && byte_class[*p] == 0) /* nearly all; copied while looked at, as lines are short */
            *out++ = (char)*p++;
        if (p == end)
            break;
        if (byte_class[*p] == 1)
            out = put_escaped(out, *p++);
        else
            p += put_utf8(&out, p, (size_t)(end - p));
    }
    return out;
}

static char *put_number(char *out, unsigned value, int digits)
{
    for (int i = digits - 1; i >= 0; i--) {
        out[i] = (char)('0' + value % 10);
        value /= 10;
    }
    return out + digits;
}

/* gmtime(3) would read the time zone's file into a process that is to stay small; this is the civil calendar.
 * Source: H. Hinnant, chrono-compatible low-level date algorithms. */
static char *put_date(char *out, int64_t days)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned)(z - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    unsigned day = doy - (153 * mp + 2) / 5 + 1, month = mp < 10 ? mp + 3 : mp - 9;
    out = put_number(out, (unsigned)(yoe + era * 400) + (month <= 2), 4);
    *out++ = '-';
    out = put_number(out, month, 2);
    *out++ = '-';
    return put_number(out, day, 2);
}

static int64_t days_of(int year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int era = (year >= 0 ? year : year - 399) / 400;
    unsigned yoe = (unsigned)(year - era * 400);
    unsigned doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return (int64_t)era * 146097 + (int64_t)(yoe * 365 + yoe / 4 - yoe / 100 + doy) - 719468;
}

size_t line_time(char *out, int64_t time_ns)
{
    int64_t seconds = time_ns / 1000000000;
    unsigned ns = (unsigned)(time_ns % 1000000000), in_day = (unsigned)(seconds % 86400);
    char *p = put_date(out, seconds / 86400);
    *p++ = 'T';
    p = put_number(p, in_day / 3600, 2);
    *p++ = ':';
    p = put_number(p, in_day / 60 % 60, 2);
    *p++ = ':';
    p = put_number(p, in_day % 60, 2);
    if (ns) {
        *p++ = '.';
        p = put_number(p, ns, 9);
        while (p[-1] == '0')
            p--;
    }
    *p++ = 'Z';
    return (size_t)(p - out);
}

static char *put_stream(char *out, enum line_stream stream)
{
    switch (stream) {
    case LINE_STDOUT:
        return PUT(out, "\",\"stream\":\"stdout\",");
    case LINE_STDERR:
        return PUT(out, "\",\"stream\":\"stderr\",");
    case LINE_HUSK:
        return PUT(out, "\",\"stream\":\"stderr\",\"attrs\":{\"husk\":\"note\"},");
    }
    return out;
}

size_t line_encode(char *out, const char *text, size_t n, bool ended, enum line_stream stream, const char *attrs,
                   int64_t time_ns)
{
    char *p = PUT(out, "{\"log\":\"");
    p = line_escape(p, text, n);
    if (ended)
        p = PUT(p, "\\n");
    p = put_stream(p, stream);
    if (attrs) {
        size_t len = strlen(attrs);
        p = PUT(p, "\"attrs\":");
        memcpy(p, attrs, len);
        p += len;
        *p++ = ',';
    }
    p = PUT(p, "\"time\":\"");
    p += line_time(p, time_ns);
    p = PUT(p, "\"}\n");
    return (size_t)(p - out);
}

/* ---- reading ---- */

struct reader {
    char *p, *end;
};

static bool skip(struct reader *r, char c)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\t'))
        r->p++;
    if (r->p == r->end || *r->p != c)
        return false;
    r->p++;
    return true;
}

static bool read_hex4(const char *p, const char *end, unsigned *ret)
{
    unsigned value = 0;
    if (end - p < 4)
        return false;
    for (int i = 0; i < 4; i++) {
        char c = p[i];
        if (c >= '0' && c <= '9')
            value = value * 16 + (unsigned)(c - '0');
        else if ((c | 32) >= 'a' && (c | 32) <= 'f')
            value = value * 16 + (unsigned)((c | 32) - 'a' + 10);
        else
            return false;
    }
    *ret = value;
    return true;
}

static char *put_code_point(char *out, unsigned c)
{
    if (c < 0x80) {
        *out++ = (char)c;
    } else if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
        *out++ = (char)(0x80 | (c & 63));
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 63));
        *out++ = (char)(0x80 | (c >> 6 & 63));
        *out++ = (char)(0x80 | (c & 63));
    }
    return out;
}

/* After the backslash; a \u may be the first half of a pair. */
static bool read_escape(struct reader *r, char **out)
{
    static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
    unsigned c = 0, low = 0;
    if (r->p == r->end)
        return false;
    char kind = *r->p++;
    const char *name = kind ? strchr(names, kind) : NULL;
    if (name) {
        *(*out)++ = values[name - names];
        return true;
    }
    if (kind != 'u' || !read_hex4(r->p, r->end, &c))
        return false;
    r->p += 4;
    if (c >= 0xd800 && c < 0xdc00 && r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u' &&
        read_hex4(r->p + 2, r->end, &low) && low >= 0xdc00 && low < 0xe000) {
        r->p += 6;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    } else if (c >= 0xd800 && c < 0xe000) {
        c = 0xfffd;
    }
    *out = put_code_point(*out, c);
    return true;
}

/* A string, decoded where it stands: no escape is shorter than what it means. */
static bool read_string(struct reader *r, char **ret, size_t *ret_n)
{
    if (!skip(r, '"'))
        return false;
    char *text = r->p, *out = r->p;
    while (r->p < r->end && *r->p != '"') {
        char *plain = r->p;
        while (r->p < r->end && *r->p != '"' && *r->p != '\\')
            r->p++;
        if (out != plain)
            memmove(out, plain, (size_t)(r->p - plain));
        out += r->p - plain;
        if (r->p < r->end && *r->p == '\\') {
            r->p++;
            if (!read_escape(r, &out))
                return false;
        }
    }
    if (r->p == r->end)
        return false;
    r->p++;
    *ret = text;
    *ret_n = (size_t)(out - text);
    return true;
}

/* Never past what was read: two quotes and a sign stood around each. */
static char *put_attr(char *out, const char *text, size_t n, char before)
{
    if (before)
        *out++ = before;
    memmove(out, text, n);
    return out + n;
}

/* {"name":"value",...}: a flat object of strings, of which "name=value,..." remains where it stood; husk's own attrs
 * are noticed. */
static bool read_attrs(struct reader *r, struct line *line, bool *ret_ours)
{
    char *text = NULL, *out = r->p;
    line->attrs = r->p;
    size_t n = 0;
    if (!skip(r, '{'))
        return false;
    if (skip(r, '}'))
        return true;
    do {
        if (!read_string(r, &text, &n))
            return false;
        if (n == 4 && memcmp(text, "husk", 4) == 0)
            *ret_ours = true;
        out = put_attr(out, text, n, out > line->attrs ? ',' : '\0');
        if (!skip(r, ':') || !read_string(r, &text, &n))
            return false;
        out = put_attr(out, text, n, '=');
    } while (skip(r, ','));
    line->attrs_len = (size_t)(out - line->attrs);
    return skip(r, '}');
}

static bool is_word(const char *text, size_t n, const char *word)
{
    return n == strlen(word) && memcmp(text, word, n) == 0;
}

static bool read_member(struct reader *r, struct line *line, bool *ours)
{
    char *key = NULL, *value = NULL;
    size_t key_n = 0, n = 0;
    if (!read_string(r, &key, &key_n) || !skip(r, ':'))
        return false;
    if (is_word(key, key_n, "attrs"))
        return read_attrs(r, line, ours);
    if (!read_string(r, &value, &n))
        return false;
    if (is_word(key, key_n, "log")) {
        line->text = value;
        line->text_len = n;
    } else if (is_word(key, key_n, "time")) {
        line->time = value;
        line->time_len = n;
    } else if (is_word(key, key_n, "stream")) {
        line->stream = is_word(value, n, "stderr") ? LINE_STDERR : LINE_STDOUT;
    }
    return true;
}

bool line_decode(char *entry, size_t n, struct line *ret)
{
    struct reader r = { entry, entry + n };
    struct line line = { 0 };
    bool ours = false;
    if (!skip(&r, '{'))
        return false;
    do
        if (!read_member(&r, &line, &ours))
            return false;
    while (skip(&r, ','));
    if (!skip(&r, '}') || r.p != r.end || !line.time)
        return false;
    if (!line.text) /* docker leaves an empty text out */
        line.text = line.time;
    if (ours)
        line.stream = LINE_HUSK;
    *ret = line;
    return true;
}

static bool read_digits(const char **p, const char *end, int digits, unsigned *ret)
{
    unsigned value = 0;
    if (end - *p < digits)
        return false;
    for (int i = 0; i < digits; i++, (*p)++) {
        if (**p < '0' || **p > '9')
            return false;
        value = value * 10 + (unsigned)(**p - '0');
    }
    *ret = value;
    return true;
}

bool line_time_parse(const char *text, size_t n, int64_t *ret_ns)
{
    static const char between[] = "--T::";
    static const int digits[] = { 4, 2, 2, 2, 2, 2 };
    const char *p = text, *end = text + n;
    unsigned part[6], fraction = 0;
    for (int i = 0; i < 6; i++) {
        if (i && (p == end || *p++ != between[i - 1]))
            return false;
        if (!read_digits(&p, end, digits[i], &part[i]))
            return false;
    }
    if (p < end && *p == '.') {
        p++;
        for (unsigned scale = 100000000; p < end && *p >= '0' && *p <= '9'; p++, scale /= 10)
            fraction += scale * (unsigned)(*p - '0');
    }
    if (end - p != 1 || *p != 'Z' || part[1] < 1 || part[1] > 12)
        return false;
    int64_t days = days_of((int)part[0], part[1], part[2]);
    *ret_ns = (days * 86400 + part[3] * 3600 + part[4] * 60 + part[5]) * 1000000000 + fraction;
    return true;
}

/* ---- cutting ---- */

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static void emit(struct line_cutter *c, const char *text, size_t n, bool ended, line_fn *fn, void *ctx)
{
    if (!c->in_piece)
        c->piece_ns = now_ns();
    fn(ctx, text, n, ended, c->piece_ns);
    c->in_piece = !ended;
}

/* How many bytes at the end are the beginning of a character that is still to come. */
static size_t cut_character(const char *text, size_t n)
{
    for (size_t back = 1; back <= 3 && back < n; back++) {
        const unsigned char *p = (const unsigned char *)text + n - back;
        bool more = false;
        if ((*p & 0xc0) == 0x80)
            continue;
        return utf8_length(p, back, &more) == 0 && more ? back : 0;
    }
    return 0;
}

void line_cut(struct line_cutter *c, const char *bytes, size_t n, line_fn *fn, void *ctx)
{
    while (n) {
        size_t room = LINE_TEXT_MAX - c->n, look = n < room ? n : room;
        const char *newline = memchr(bytes, '\n', look);
        size_t taken = newline ? (size_t)(newline - bytes) : look;
        if (!newline && look < room) { /* the rest is to come */
            memcpy(c->text + c->n, bytes, n);
            c->n += n;
            return;
        }
        const char *text = bytes;
        size_t len = taken;
        if (c->n) { /* the beginning came earlier */
            memcpy(c->text + c->n, bytes, taken);
            text = c->text;
            len += c->n;
        }
        size_t later = newline ? 0 : cut_character(text, len);
        emit(c, text, len - later, newline != NULL, fn, ctx);
        if (later)
            memmove(c->text, text + len - later, later);
        c->n = later;
        bytes += taken + (newline != NULL);
        n -= taken + (newline != NULL);
    }
}

void line_cut_end(struct line_cutter *c, line_fn *fn, void *ctx)
{
    if (c->n)
        emit(c, c->text, c->n, false, fn, ctx);
    c->n = 0;
    c->in_piece = false;
}
