// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/line.h"

#include "test.h"

#define AT 1700000000123456000ll

static void check_entry(const char *text, size_t n, bool ended, const char *want)
{
    static char out[LINE_ENTRY_MAX];
    size_t len = line_encode(out, text, n, ended, LINE_STDOUT, NULL, AT);
    out[len] = '\0';
    assert_string_equal(out, want);
}

#define ENTRY(text) "{\"log\":\"" text "\",\"stream\":\"stdout\",\"time\":\"2023-11-14T22:13:20.123456Z\"}\n"

/* As moby's jsonlogbytes.go writes them. */
TEST(entries_are_dockers_byte_for_byte)
{
    static const struct {
        const char *text;
        size_t n;
        bool ended;
        const char *entry;
    } rows[] = {
        { "hi", 2, true, ENTRY("hi\\n") },
        { "hi", 2, false, ENTRY("hi") },
        { "", 0, true, ENTRY("\\n") },
        { "a\"b\\c", 5, true, ENTRY("a\\\"b\\\\c\\n") },
        { "\t\r\n\x01\x1f\x7f", 6, false, ENTRY("\\u0009\\r\\n\\u0001\\u001f\x7f") },
        { "<a&b>", 5, false, ENTRY("\\u003ca\\u0026b\\u003e") },
        { "nul\0nul", 7, false, ENTRY("nul\\u0000nul") },
        { "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xa7", 9, false, ENTRY("\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\xa7") },
        { "\xe2\x80\xa8\xe2\x80\xa9", 6, false, ENTRY("\\u2028\\u2029") },
        { "\xff\xfe", 2, false, ENTRY("\\ufffd\\ufffd") },
        { "\xc3", 1, true, ENTRY("\\ufffd\\n") },
        { "\xc0\x80", 2, false, ENTRY("\\ufffd\\ufffd") },            /* overlong */
        { "\xed\xa0\x80", 3, false, ENTRY("\\ufffd\\ufffd\\ufffd") }, /* a surrogate */
        { "\xf4\x90\x80\x80", 4, false, ENTRY("\\ufffd\\ufffd\\ufffd\\ufffd") },
        { "\xe2\x82", 2, false, ENTRY("\\ufffd\\ufffd") },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        check_entry(rows[i].text, rows[i].n, rows[i].ended, rows[i].entry);
}

TEST(times_have_no_trailing_zeros_and_are_right_in_every_month)
{
    static const struct {
        int64_t ns;
        const char *text;
    } rows[] = {
        { 0, "1970-01-01T00:00:00Z" },
        { 1, "1970-01-01T00:00:00.000000001Z" },
        { 951782400000000000, "2000-02-29T00:00:00Z" },
        { 1709164799500000000, "2024-02-28T23:59:59.5Z" },
        { 1709251199999999999, "2024-02-29T23:59:59.999999999Z" },
        { 1735689599000000000, "2024-12-31T23:59:59Z" },
        { 4102444800000000000, "2100-01-01T00:00:00Z" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        char text[40];
        int64_t back = -1;
        text[line_time(text, rows[i].ns)] = '\0';
        assert_string_equal(text, rows[i].text);
        CHECK(line_time_parse(text, strlen(text), &back));
        CHECK(back == rows[i].ns);
    }
    for (int64_t day = 0; day < 40000; day++) {
        char text[40];
        int64_t back = -1;
        size_t n = line_time(text, day * 86400 * 1000000000);
        CHECK(line_time_parse(text, n, &back) && back == day * 86400 * 1000000000);
    }
}

TEST(what_is_written_is_read_back)
{
    static char text[LINE_TEXT_MAX], out[LINE_ENTRY_MAX];
    unsigned seed = 7;
    for (int round = 0; round < 2000; round++) {
        size_t n = (size_t)rand_r(&seed) % 300;
        struct line line;
        for (size_t i = 0; i < n; i++)
            text[i] = (char)(rand_r(&seed) % 128);
        size_t len = line_encode(out, text, n, true, round % 2 ? LINE_STDERR : LINE_STDOUT, NULL, AT + round);
        CHECK(out[len - 1] == '\n' && !memchr(out, '\n', len - 1));
        CHECK(line_decode(out, len - 1, &line));
        CHECK(line.text_len == n + 1 && memcmp(line.text, text, n) == 0 && line.text[n] == '\n');
        CHECK(line.stream == (round % 2 ? LINE_STDERR : LINE_STDOUT));
    }
}

TEST(the_longest_text_fits_the_room_for_an_entry)
{
    static char text[LINE_TEXT_MAX], out[LINE_ENTRY_MAX];
    memset(text, 1, sizeof text);
    size_t len = line_encode(out, text, sizeof text, true, LINE_HUSK, NULL, INT64_MAX / 2);
    CHECK(len > 6 * sizeof text && len <= sizeof out);
}

static bool decodes(const char *entry, struct line *line, char *copy)
{
    size_t n = strlen(entry);
    memcpy(copy, entry, n + 1);
    return line_decode(copy, n, line);
}

TEST(other_writers_entries_are_read_and_half_ones_are_not)
{
    struct line line;
    char copy[512];
    CHECK(decodes("{\"log\":\"a\\n\",\"stream\":\"stderr\",\"attrs\":{\"tag\":\"x\",\"n\":\"1\"},\"time\":\"T\"}",
                  &line, copy));
    CHECK(line.stream == LINE_STDERR && line.text_len == 2);
    CHECK(decodes("{ \"time\": \"T\", \"log\": \"\\ud83d\\udc27\\/\\b\" , \"stream\": \"stdout\" }", &line, copy));
    CHECK(line.text_len == 6 && memcmp(line.text, "\xf0\x9f\x90\xa7/\b", 6) == 0);
    CHECK(decodes("{\"log\":\"\\ud83d\",\"time\":\"T\"}", &line, copy) && line.text_len == 3);
    CHECK(decodes("{\"stream\":\"stdout\",\"time\":\"T\"}", &line, copy) && line.text_len == 0);
    CHECK(decodes("{\"log\":\"x\",\"stream\":\"stderr\",\"attrs\":{\"husk\":\"note\"},\"time\":\"T\"}", &line, copy));
    CHECK(line.stream == LINE_HUSK);

    const char whole[] = "{\"log\":\"a\\u003c\\n\",\"stream\":\"stdout\",\"attrs\":{\"a\":\"b\"},\"time\":\"T\"}";
    for (size_t n = 0; n < sizeof whole - 1; n++) {
        memcpy(copy, whole, n);
        CHECK(!line_decode(copy, n, &line));
    }
    CHECK(!decodes("{\"log\":\"a\"}", &line, copy)); /* no time */
    CHECK(!decodes("{\"log\":1,\"time\":\"T\"}", &line, copy));
    CHECK(!decodes("{\"log\":\"\\u12g4\",\"time\":\"T\"}", &line, copy));
    CHECK(!decodes("[]", &line, copy));
}

/* ---- cutting ---- */

struct seen {
    size_t n, len[64];
    bool ended[64];
    int64_t time[64];
    char all[200000];
    size_t all_n;
};

static void see(void *ctx, const char *text, size_t n, bool ended, int64_t time_ns)
{
    struct seen *s = ctx;
    CHECK(s->n < 64 && n <= LINE_TEXT_MAX);
    s->len[s->n] = n;
    s->ended[s->n] = ended;
    s->time[s->n++] = time_ns;
    memcpy(s->all + s->all_n, text, n);
    s->all_n += n;
}

static struct line_cutter cutter;
static struct seen seen;

static void cut(const char *bytes, size_t n, size_t step)
{
    static char text[LINE_TEXT_MAX];
    cutter = (struct line_cutter){ .text = text };
    memset(&seen, 0, sizeof seen);
    for (size_t at = 0; at < n; at += step)
        line_cut(&cutter, bytes + at, n - at < step ? n - at : step, see, &seen);
    line_cut_end(&cutter, see, &seen);
}

TEST(lines_are_the_same_however_they_arrive)
{
    const char text[] = "one\ntwo\n\nlast";
    for (size_t step = 1; step <= sizeof text; step++) {
        cut(text, sizeof text - 1, step);
        CHECK(seen.n == 4);
        CHECK(seen.len[0] == 3 && seen.len[1] == 3 && seen.len[2] == 0 && seen.len[3] == 4);
        CHECK(seen.ended[0] && seen.ended[1] && seen.ended[2] && !seen.ended[3]);
    }
}

TEST(a_line_beyond_16_KiB_is_pieces_with_one_time_and_one_end)
{
    static char text[50000];
    static const size_t steps[] = { 1, 7, 4096, 16383, 16384, 16385, 32767, 50000 };
    memset(text, 'x', sizeof text);
    text[40000] = '\n';
    for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
        cut(text, sizeof text, steps[i]);
        CHECK(seen.n == 4);
        CHECK(seen.len[0] == 16384 && seen.len[1] == 16384 && seen.len[2] == 40000 - 32768 && seen.len[3] == 9999);
        CHECK(!seen.ended[0] && !seen.ended[1] && seen.ended[2] && !seen.ended[3]);
        CHECK(seen.time[0] == seen.time[1] && seen.time[1] == seen.time[2] && seen.time[2] <= seen.time[3]);
    }
}

TEST(a_line_of_exactly_16_KiB_is_a_piece_and_an_end)
{
    static char text[LINE_TEXT_MAX + 1];
    memset(text, 'x', sizeof text - 1);
    text[LINE_TEXT_MAX] = '\n';
    cut(text, sizeof text, sizeof text);
    CHECK(seen.n == 2 && seen.len[0] == LINE_TEXT_MAX && !seen.ended[0] && seen.len[1] == 0 && seen.ended[1]);
}

TEST(a_piece_never_ends_within_a_character)
{
    static char text[60000];
    static const char penguin[] = "\xf0\x9f\x90\xa7";
    for (size_t offset = 0; offset < 4; offset++)
        for (size_t step = 1; step < 40000; step = step * 3 + 1) {
            size_t n = offset;
            memset(text, 'x', offset);
            for (; n + 4 < sizeof text; n += 4)
                memcpy(text + n, penguin, 4);
            cut(text, n, step);
            CHECK(seen.all_n == n && memcmp(seen.all, text, n) == 0);
            for (size_t i = 0, at = 0; i < seen.n; at += seen.len[i++])
                CHECK(at == 0 || (at - offset) % 4 == 0);
        }
    memset(text, 0xf0, sizeof text); /* binary is cut all the same */
    cut(text, sizeof text, 32767);
    CHECK(seen.all_n == sizeof text && seen.n <= 5);
}
