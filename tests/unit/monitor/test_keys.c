// SPDX-License-Identifier: GPL-2.0-or-later
#include "monitor/keys.h"

#include "test.h"

static const struct {
    const char *keys, *typed, *out;
    bool detaches;
} rows[] = {
    { NULL, "ls\n", "ls\n", false },        { NULL, "\x10\x11", "", true },
    { NULL, "ab\x10\x11more", "ab", true }, { NULL, "\x10x", "\x10x", false },
    { NULL, "\x10\x10\x11", "\x10", true }, { NULL, "\x11\x10", "\x11", false }, /* the last one is held back */
    { "ctrl-a", "x\x01", "x", true },       { "ctrl-a,d", "\x01\x01", "\x01", false },
    { "a,b,a,c", "ababac", "ab", true },    { "a,a,b", "aaab", "a", true },
    { "ctrl-\\", "\x1c", "", true },        { "", "\x10\x11", "\x10\x11", false },
};

TEST(typed_keys_go_on_or_detach)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        for (size_t step = 1; step <= 8; step += 7) { /* key by key, and pasted */
            struct keys keys;
            char out[64], part[8 + KEYS_MAX];
            size_t out_n = 0, len = strlen(rows[i].typed);
            bool detached = false;
            CHECK_OK(keys_parse(rows[i].keys, &keys));
            for (size_t at = 0; at < len && !detached; at += step) {
                size_t n = 0;
                detached = keys_filter(&keys, rows[i].typed + at, len - at < step ? len - at : step, part, &n);
                memcpy(out + out_n, part, n);
                out_n += n;
            }
            out[out_n] = '\0';
            assert_string_equal(out, rows[i].out);
            CHECK(detached == rows[i].detaches);
        }
}

TEST(wrong_words_are_named)
{
    struct keys keys;
    const char *cure = "write a character, or ctrl- and one of a-z @ [ \\ ] ^ _";
    static const char *const words[] = { "ctrl-A", "ctrl-", "esc", "ctrl-pp", "ctrl-1" };
    for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
        own(err) err *e = keys_parse(words[i], &keys);
        CHECK(err_is(e, ERR_INVALID));
        CHECK(strstr(err_text(e), words[i]) && strstr(err_text(e), cure));
    }
    CHECK_ERR(keys_parse("a,,b", &keys), ERR_INVALID);
    CHECK_ERR(keys_parse("a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", &keys), ERR_INVALID);
}
