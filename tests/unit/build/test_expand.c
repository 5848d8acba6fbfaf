// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include "build/expand.h"

static const char *const variables[] = { "A=one",       "EMPTY=",   "PATHS=/a/b/c.tar.gz",
                                         "SPACES=x  y", "STAR=a*c", "V=3.14.15-alpha",
                                         "_u9=under" };

static struct strv env(void)
{
    struct strv v = { 0 };
    for (size_t i = 0; i < ARRAY_SIZE(variables); i++)
        strv_add(&v, variables[i]);
    return v;
}

static const struct {
    const char *word, *value;
} right[] = {
    { "", "" },
    { "plain", "plain" },
    { "$A", "one" },
    { "${A}two", "onetwo" },
    { "$A_", "" },
    { "${_u9}", "under" },
    { "$NO", "" },
    { "\\$A", "$A" },
    { "\\${A}", "${A}" },
    { "a\\ b", "a b" },
    { "'$A'", "$A" },
    { "\"$A\"", "one" },
    { "\"a 'b' $A\"", "a 'b' one" },
    { "'a \"b\"'", "a \"b\"" },
    { "\"\\\"\\$A\\\\\\x\"", "\"$A\\\\x" },
    { "$", "$" },
    { "a$", "a$" },
    { "$.x", "$.x" },
    { "end\\", "end\\" },
    { "${NO:-d}", "d" },
    { "${EMPTY:-d}", "d" },
    { "${EMPTY-d}", "" },
    { "${NO-d}", "d" },
    { "${A:-d}", "one" },
    { "${A:+s}", "s" },
    { "${EMPTY:+s}", "" },
    { "${EMPTY+s}", "s" },
    { "${NO+s}", "" },
    { "${NO:-$A}", "one" },
    { "${NO:-${NO2:-deep}}", "deep" },
    { "${NO:-\"q q\"}", "q q" },
    { "${A:?x}", "one" },
    { "${EMPTY?x}", "" },
    { "${PATHS#*/}", "a/b/c.tar.gz" },
    { "${PATHS##*/}", "c.tar.gz" },
    { "${PATHS%.*}", "/a/b/c.tar" },
    { "${PATHS%%.*}", "/a/b/c" },
    { "${PATHS%/*}", "/a/b" },
    { "${PATHS#nothing}", "/a/b/c.tar.gz" },
    { "${STAR#a\\*}", "c" },
    { "${V%%-*}", "3.14.15" },
    { "${V#?}", ".14.15-alpha" },
    { "${V/./_}", "3_14.15-alpha" },
    { "${V//./_}", "3_14_15-alpha" },
    { "${V//1?/x}", "3.x.x-alpha" },
    { "${V/-*}", "3.14.15" },
    { "${V//./$A}", "3one14one15-alpha" },
    { "${NO#x}", "" },
    { "${A/one/\"}\"}", "}" },
};

TEST(words_are_expanded)
{
    own_strv struct strv v = env();
    struct expand e = { .env = { &v }, .escape = '\\' };
    for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
        own_mem char *value = NULL;
        CHECK_OK(expand_word(&e, right[i].word, &value));
        if (strcmp(value, right[i].value) != 0)
            fail_msg("'%s' is '%s' and not '%s'", right[i].word, value, right[i].value);
    }
}

static const struct {
    const char *word, *message;
} wrong[] = {
    { "${", "'${': expected a variable's name" },
    { "${A", "'${A' has no end: expected '}'" },
    { "${A:", "'${A: ': expected :-, :+ or :?" },
    { "${A:x}", "'${A:x': expected :-, :+ or :?" },
    { "${A!x}", "'${A!': expected '}' or one of :- :+ :? - + ? # ## % %% / //" },
    { "${A:-x", "'${A' has no end: expected '}'" },
    { "${NO:?}", "NO: it may not be unset or empty" },
    { "${NO?}", "NO: it may not be unset" },
    { "${NO:?say so}", "NO: say so" },
    { "${-}", "'${-}': expected a variable's name" },
    { "'a", "a single quote has no end: expected '" },
    { "\"a", "a double quote has no end: expected \"" },
};

TEST(mistakes_in_words_are_told)
{
    own_strv struct strv v = env();
    struct expand e = { .env = { &v }, .escape = '\\' };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        char *value = NULL;
        CHECK_SAYS(expand_word(&e, wrong[i].word, &value), wrong[i].message);
    }
}

TEST(words_are_split_at_blanks_that_are_not_quoted)
{
    own_strv struct strv v = env();
    own_strv struct strv words = { 0 };
    struct expand e = { .env = { &v }, .escape = '\\' };
    CHECK_OK(expand_words(&e, " a $SPACES \"$SPACES\" '' b\\ c$EMPTY ", &words));
    static const char *const want[] = { "a", "x", "y", "x  y", "", "b c" };
    CHECK(words.n == ARRAY_SIZE(want));
    for (size_t i = 0; i < words.n; i++)
        assert_string_equal(words.items[i], want[i]);
}

TEST(the_first_list_that_has_a_name_wins_and_what_nobody_has_is_told)
{
    own_strv struct strv first = { 0 }, second = env(), unset = { 0 };
    own_mem char *value = NULL;
    strv_add(&first, "A=mine");
    struct expand e = { .env = { &first, &second }, .escape = '\\', .ret_unset = &unset };
    CHECK_OK(expand_word(&e, "$A $EMPTY $NO ${NO2:-x}", &value));
    assert_string_equal(value, "mine   x");
    CHECK(unset.n == 1);
    assert_string_equal(unset.items[0], "NO");
}

TEST(here_documents_keep_their_quotes)
{
    own_strv struct strv v = env();
    own_mem char *value = NULL;
    struct expand e = { .env = { &v }, .escape = '\\', .raw_quotes = true };
    CHECK_OK(expand_word(&e, "it's \"$A\" \\$A \\n\n", &value));
    assert_string_equal(value, "it's \"one\" $A \\n\n");
}
