// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include "codec/bind.h"
#include "codec/toml.h"

static const struct {
    const char *toml, *json;
} right[] = {
    { "", "{}" },
    { "\xef\xbb\xbf# only this\r\n", "{}" },
    { "a = 1", "{\"a\":1}" },
    { "a = 1 # one\nb=2\n", "{\"a\":1,\"b\":2}" },
    { "a.b.c = true\na.b.d = false\n", "{\"a\":{\"b\":{\"c\":true,\"d\":false}}}" },
    { "\"a b\" = 'c:\\d'\n'x.y' . z = \"\"", "{\"a b\":\"c:\\\\d\",\"x.y\":{\"z\":\"\"}}" },
    { "s = \"tab\\t quote\\\" \\u00e9 \\U0001F600\"", "{\"s\":\"tab\\t quote\\\" \xc3\xa9 \xf0\x9f\x98\x80\"}" },
    { "s = \"\"\"\none\ntwo \\\n   three\"\"\"\"\"", "{\"s\":\"one\\ntwo three\\\"\\\"\"}" },
    { "s = '''\na\\b''c'''", "{\"s\":\"a\\\\b''c\"}" },
    { "a = [ 1, 2, # two\n 3,\n]\n", "{\"a\":[1,2,3]}" },
    { "a = [[1], [\"x\", {y=1}], []]", "{\"a\":[[1],[\"x\",{\"y\":1}],[]]}" },
    { "n = [+1, -17, 1_000, 0xdead_BEEF, 0o755, 0b101, 0]", "{\"n\":[1,-17,1000,3735928559,493,5,0]}" },
    { "n = [9223372036854775807, -9223372036854775808, 0x7fffffffffffffff]",
      "{\"n\":[9223372036854775807,-9223372036854775808,9223372036854775807]}" },
    { "f = [1.5, -0.25, 5e2]", "{\"f\":[1.5,-0.25,500.0]}" },
    { "d = [1979-05-27T07:32:00Z, 1979-05-27 00:32:00.5-07:00, 1979-05-27, 07:32:00]",
      "{\"d\":[\"1979-05-27T07:32:00Z\",\"1979-05-27 00:32:00.5-07:00\",\"1979-05-27\",\"07:32:00\"]}" },
    { "[a.b]\nx=1\n[a]\ny=2\n[a.c]\n", "{\"a\":{\"b\":{\"x\":1},\"y\":2,\"c\":{}}}" },
    { "[[r]]\np='a'\n[[r.m]]\nl=1\n[[r.m]]\nl=2\n[[r]]\np='b'\n[r.t]\nu=1",
      "{\"r\":[{\"p\":\"a\",\"m\":[{\"l\":1},{\"l\":2}]},{\"p\":\"b\",\"t\":{\"u\":1}}]}" },
    { "t = { a = 1, b.c = \"x\" , d = {} }", "{\"t\":{\"a\":1,\"b\":{\"c\":\"x\"},\"d\":{}}}" },
    { "1234 = 1\n-_- = 2", "{\"1234\":1,\"-_-\":2}" },
};

TEST(documents_become_trees)
{
    for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
        own_json json_t *doc = NULL;
        CHECK_OK(toml_parse(right[i].toml, strlen(right[i].toml), &doc));
        own_mem char *text = json_text(doc, BIND_COMPACT);
        assert_string_equal(text, right[i].json);
    }
}

static const struct {
    const char *toml, *message;
} wrong[] = {
    { "a", "line 1: expected '=' after a key" },
    { "= 1", "line 1: expected a key" },
    { "\n\na = \n", "line 3: expected a value" },
    { "a = yes", "line 1: 'yes' is no value: text stands in quotes" },
    { "a = 1 b = 2", "line 1: expected the end of the line" },
    { "a = 1\na = 2", "line 2: 'a' is defined twice" },
    { "[a]\n[a]", "line 2: 'a' is defined twice" },
    { "[a]\nb=1\n[a.b]", "line 3: 'b' is defined twice" },
    { "a.b=1\n[a]", "line 2: 'a' is defined twice" },
    { "a={b=1}\na.c=2", "line 2: 'a' is defined twice" },
    { "a={b=1}\n[a.c]", "line 2: 'a' is defined twice" },
    { "a=[{}]\n[[a]]", "line 2: 'a' is defined twice" },
    { "[[a]]\n[a]", "line 2: 'a' is defined twice" },
    { "[a.b]\n[a]\nb.c=1", "line 3: 'b' is defined twice" },
    { "[a", "line 1: expected ']'" },
    { "[[a]", "line 1: expected ']]'" },
    { "a = \"x", "line 1: a string is not closed" },
    { "a = \"\"\"x\n", "line 2: a string is not closed" },
    { "a = \"\\q\"", "line 1: an unknown escape in a string" },
    { "a = \"\\ud800\"", "line 1: \\u or \\U names no character that a text may have" },
    { "a = \"\\u0000\"", "line 1: \\u or \\U names no character that a text may have" },
    { "a = \"\\u12\"", "line 1: a wrong \\u or \\U in a string" },
    { "a = \"\x01\"", "line 1: a control character in a string" },
    { "a = '\xff'", "line 1: a string is not UTF-8" },
    { "# \x02", "line 1: a control character in a comment" },
    { "a = [1 2]", "line 1: expected ',' or ']' in an array" },
    { "a = {b=1 c=2}", "line 1: expected ',' or '}' in a table" },
    { "a = {b=1,}", "line 1: expected a key" },
    { "a = 01", "line 1: '01' is no value: text stands in quotes" },
    { "a = 1__0", "line 1: '1__0' is no value: text stands in quotes" },
    { "a = 0x", "line 1: '0x' is no value: text stands in quotes" },
    { "a = 1.", "line 1: '1.' is no value: text stands in quotes" },
    { "a = 9223372036854775808", "line 1: '9223372036854775808' is no value: text stands in quotes" },
    { "a = 0x8000000000000000", "line 1: '0x8000000000000000' is no value: text stands in quotes" },
    { "a = inf", "line 1: 'inf' is no value: text stands in quotes" },
    { "a = 1979-13", "line 1: '1979-13' is no value: text stands in quotes" },
    { "'''a''' = 1", "line 1: a key may not have lines" },
};

TEST(wrong_documents_are_refused_with_their_line)
{
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        own_json json_t *doc = NULL;
        own(err) err *e = toml_parse(wrong[i].toml, strlen(wrong[i].toml), &doc);
        if (!e)
            fail_msg("taken: %s", wrong[i].toml);
        assert_string_equal(err_text(e), wrong[i].message);
        assert_null(doc);
    }
}

TEST(depth_and_size_are_bounded)
{
    own_str struct str deep = { 0 };
    own_str struct str many = { 0 };
    own_json json_t *doc = NULL;
    str_add(&deep, "a = ");
    for (int i = 0; i < 1000; i++)
        str_add_char(&deep, '[');
    own(err) err *e = toml_parse(deep.text, deep.len, &doc);
    assert_string_equal(err_text(e), "line 1: values are nested too deeply");
    for (int i = 0; i <= TOML_TABLES_MAX; i++)
        str_printf(&many, "[t%d]\n", i);
    own(err) err *e2 = toml_parse(many.text, many.len, &doc);
    assert_non_null(strstr(err_text(e2), "too many tables"));
}
