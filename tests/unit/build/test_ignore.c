// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include "build/ignore.h"

static const struct {
    const char *patterns, *path;
    bool ignored;
} rows[] = {
    { "", "a", false },
    { "# a\na", "a", true },
    { "#a", "#a", false },
    { " a \n", "a", true },
    { "a", "a/b/c", true },
    { "a", "b/a", false },
    { "/a", "a", true },
    { "./a/", "a/b", true },
    { "a/b", "a", false },
    { "a/b", "a/b", true },
    { "a/b", "a/bc", false },
    { "*", "a/b", true },
    { "*.c", "x.c", true },
    { "*.c", "d/x.c", false },
    { "*/*.c", "d/x.c", true },
    { "*/*.c", "d/e/x.c", false },
    { "**/*.c", "x.c", true },
    { "**/*.c", "d/e/x.c", true },
    { "**", "a/b", true },
    { "a/**", "a", false },
    { "a/**", "a/b/c", true },
    { "a/**/z", "a/z", true },
    { "a/**/z", "a/b/c/z", true },
    { "a/**/z", "a/b/c/y", false },
    { "**/node_modules", "x/node_modules/y", true },
    { "?x", "ax", true },
    { "?x", "x", false },
    { "?x", "/x", false },
    { "[a-c]x", "bx", true },
    { "[^a-c]x", "bx", false },
    { "[^a-c]x", "dx", true },
    { "\\*", "*", true },
    { "\\*", "a", false },
    { "*\n!keep", "keep", false },
    { "*\n!keep", "keep/below", false },
    { "*\n!keep", "other", true },
    { "*\n!keep\nkeep/not", "keep/not", true },
    { "*\n!keep\nkeep/not", "keep/yes", false },
    { "a\n!a/b", "a", true },
    { "a\n!a/b", "a/b", false },
    { "a\n!a/b", "a/c", true },
    { "!x\nx", "x", true },
    { "*.md\n!README*.md\nREADME-secret.md", "README-secret.md", true },
    { "*.md\n!README*.md\nREADME-secret.md", "README-x.md", false },
    { "..", "a", false },
    { ".", "a", false },
    { "a/../b", "b", true },
    { ".git", ".git/config", true },
    { "foo**", "foo", true },
    { "**foo", "d/foo", true },
    { "**/.*", "a/.hidden", true },
    { "dir/*/x?", "dir/q/xy", true },
};

TEST(files_are_kept_out_by_the_last_pattern_that_matches)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        own(ignore) struct ignore *g = NULL;
        CHECK_OK(ignore_parse(rows[i].patterns, "f", &g));
        if (ignore_matches(g, rows[i].path) != rows[i].ignored)
            fail_msg("'%s' on '%s' is not %d", rows[i].patterns, rows[i].path, rows[i].ignored);
    }
}

TEST(bad_patterns_are_told)
{
    own(ignore) struct ignore *g = NULL;
    CHECK_SAYS(ignore_parse("a\n!", "f", &g), "f:2: '!' alone: expected a pattern behind it");
    CHECK_SAYS(ignore_parse("a[", "f", &g), "f:1: 'a[' has a bad range: expected [a-z] or [^a-z]");
    CHECK_SAYS(ignore_parse("x\na/[]-]", "f", &g), "f:2: 'a/[]-]' has a bad range: expected [a-z] or [^a-z]");
}

TEST(only_directories_that_an_exception_may_be_in_are_entered)
{
    own(ignore) struct ignore *g = NULL, *plain = NULL;
    CHECK_OK(ignore_parse("*\n!a/b/c\n!x*/y", "f", &g));
    CHECK_OK(ignore_parse("*", "f", &plain));
    CHECK(ignore_may_enter(g, "a") && ignore_may_enter(g, "a/b") && ignore_may_enter(g, "xx"));
    CHECK(!ignore_may_enter(g, "ab") && !ignore_may_enter(g, "q"));
    CHECK(!ignore_may_enter(plain, "a") && !ignore_may_enter(NULL, "a"));
}

static const struct {
    const char *pattern, *name;
    bool matches, bad;
} globs[] = {
    { "a", "a", true, false },      { "*", "abc", true, false },       { "*", "a/b", false, false },
    { "a*c", "abbc", true, false }, { "a*c", "ab", false, false },     { "*a*b*", "xaxbx", true, false },
    { "a?", "ab", true, false },    { "a?", "a", false, false },       { "[ab]", "b", true, false },
    { "[!a]", "!", true, false },   { "[^a]", "b", true, false },      { "a/*/c", "a/b/c", true, false },
    { "a/*", "a", false, false },   { "[", "a", false, true },         { "[a-]", "a", false, true },
    { "\\[x", "[x", true, false },  { "a*/b*", "ax/by", true, false }, { "", "", true, false },
    { "**", "ab", true, false },    { "a", "", false, false },         { "*x", "xxx", true, false },
};

TEST(wildcards_match_as_in_go)
{
    for (size_t i = 0; i < ARRAY_SIZE(globs); i++) {
        bool bad = false;
        if (glob_match(globs[i].pattern, globs[i].name, &bad) != globs[i].matches || bad != globs[i].bad)
            fail_msg("'%s' on '%s' is not %d", globs[i].pattern, globs[i].name, globs[i].matches);
    }
}
