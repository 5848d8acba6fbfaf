// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include "codec/bind.h"
#include "codec/json_plain.h"

static const char *const plain[] = {
    "{}",
    "[]",
    " [ ] \r\n\t",
    "{\"a\":\"\",\"\":[{},[]],\"b\":{\"c\":null}}",
    "[true , false,null ]",
    "[0,-0,7,-7,123456789012345678,1795768678850741141,9223372036854775807,-9223372036854775807]",
    "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\",\"a\\nb\",\"\\n\",\"end\\t\"]",
    "{\"a\\tb\":\"~ \x7f\"}",
};

TEST(a_plain_document_is_read_as_jansson_reads_it)
{
    for (size_t i = 0; i < ARRAY_SIZE(plain); i++) {
        own_json json_t *ours = json_plain(plain[i], strlen(plain[i]));
        own_json json_t *theirs = json_loads(plain[i], JSON_REJECT_DUPLICATES, NULL);
        if (!ours || !theirs)
            fail_msg("'%s' was read by %s", plain[i], ours ? "us alone" : theirs ? "jansson alone" : "nobody");
        own_mem char *a = json_dumps(ours, JSON_COMPACT), *b = json_dumps(theirs, JSON_COMPACT);
        assert_string_equal(a, b);
    }
}

static const char *const left[] = {
    "",
    " ",
    "1",
    "\"a\"",
    "null",
    "{",
    "[",
    "[1",
    "[1,",
    "[1,]",
    "[1 2]",
    "[,]",
    "{\"a\"}",
    "{\"a\":}",
    "{\"a\":1,}",
    "{a:1}",
    "{\"a\":1}}",
    "[1]x",
    "[\"a]",
    "[\"a\\",
    "[\"a\\\"]",
    "[\"\\x\"]",
    "[\"\\u0041\"]",
    "[\"\xc3\xa9\"]",
    "[\"\xff\"]",
    "[\"a\nb\"]",
    "[01]",
    "[-01]",
    "[-]",
    "[+1]",
    "[1.5]",
    "[1e3]",
    "[1.]",
    "[9223372036854775808]",
    "[18446744073709551615]",
    "[tru]",
    "[truely]",
    "[nulL]",
    "[True]",
    "{\"a\":1,\"a\":1}",
    "[/**/]",
};

TEST(whatever_is_not_plain_is_left_to_jansson)
{
    static const char nul[] = "[\"a\0b\"]";
    own_str struct str deep = { 0 }, key = { 0 };
    for (size_t i = 0; i < ARRAY_SIZE(left); i++) {
        own_json json_t *ours = json_plain(left[i], strlen(left[i]));
        if (ours)
            fail_msg("'%s' was read", left[i]);
    }
    assert_null(json_plain(nul, sizeof nul - 1));
    for (int i = 0; i < 100000; i++)
        str_add_char(&deep, '[');
    assert_null(json_plain(deep.text, deep.len));
    str_add(&key, "{\"");
    for (int i = 0; i < 300; i++)
        str_add_char(&key, 'k');
    str_add(&key, "\":1}");
    assert_null(json_plain(key.text, key.len));
}

/* Nothing behind the given length is looked at: each beginning is in memory of just its size (the sanitizers see). */
TEST(a_text_that_breaks_off_anywhere_is_left)
{
    const char *whole = "{\"a\":[1,\"x\\ny\",true,null],\"b\":{\"c\":-3}}";
    for (size_t n = 0; n < strlen(whole); n++) {
        own_mem char *part = malloc(n ? n : 1);
        memcpy(part, whole, n);
        assert_null(json_plain(part, n));
    }
}

TEST(numbers_beyond_64_bits_and_other_letters_still_arrive)
{
    own_json json_t *doc = NULL;
    const char *text = "{\"limit\":18446744073709551615,\"name\":\"\xc3\xa9\"}";
    CHECK_OK(json_parse("test", text, strlen(text), &doc));
    own_mem char *back = json_text(doc, BIND_COMPACT);
    assert_string_equal(back, text);
}
