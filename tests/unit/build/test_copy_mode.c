// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <sys/stat.h>

#include "build/copy.h"

static const struct {
    const char *text;
    uint32_t before, after;
} right[] = {
    { "0755", S_IFREG | 0600, 0755 },        { "644", S_IFREG | 04777, 0644 },
    { "1777", S_IFDIR | 0, 01777 },          { "a+x", S_IFREG | 0644, 0755 },
    { "+x", S_IFREG | 0600, 0711 },          { "u=rwX,go=rX", S_IFREG | 0600, 0644 },
    { "u=rwX,go=rX", S_IFREG | 0700, 0755 }, { "u=rwX,go=rX", S_IFDIR | 0700, 0755 },
    { "go-rwx", S_IFREG | 0777, 0700 },      { "u+s", S_IFREG | 0755, 04755 },
    { "o=", S_IFREG | 0777, 0770 },          { "g=u", S_IFREG | 0754, 0774 },
    { "u+x-w,o=g", S_IFREG | 0640, 0544 },   { "ug=o", S_IFREG | 0751, 0111 },
    { "u=rw", S_IFREG | 04755, 0655 },       { "u=rw", S_IFDIR | 04755, 04655 },
    { "a-X", S_IFREG | 0755, 0644 },         { "g+u-w", S_IFREG | 0700, 0750 },
};

TEST(modes_are_set_as_chmod_sets_them)
{
    for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
        struct copy_mode m = { 0 };
        CHECK_OK(copy_mode_parse(right[i].text, &m));
        if (copy_mode_apply(&m, right[i].before) != right[i].after)
            fail_msg("%s of %o is %o", right[i].text, right[i].before, copy_mode_apply(&m, right[i].before));
    }
}

TEST(mistakes_in_modes_are_told)
{
    struct copy_mode m;
    CHECK_SAYS(copy_mode_parse("", &m), "--chmod: expected an octal number or a word such as u=rwX,go=rX");
    CHECK_SAYS(copy_mode_parse("79", &m), "--chmod: '79': expected an octal number or a word such as u=rwX,go=rX");
    CHECK_SAYS(copy_mode_parse("17777", &m), "--chmod: '17777': expected at most 07777");
    CHECK_SAYS(copy_mode_parse("u=q", &m), "--chmod: 'q': expected some of r, w, x, X, s, t, or one of u, g, o");
    CHECK_SAYS(copy_mode_parse("g=ux", &m), "--chmod: '=ux': expected 'u' alone, as in g=u");
    CHECK_SAYS(copy_mode_parse("u", &m), "--chmod: 'u': expected an octal number or a word such as u=rwX,go=rX");
    CHECK_SAYS(copy_mode_parse("+r-r+r-r+r-r+r-r+r-r+r-r+r-r+r-r+r", &m), "--chmod: expected at most 16 changes");
}

TEST(without_a_wish_the_mode_stays)
{
    struct copy_mode none = { 0 };
    CHECK(copy_mode_apply(&none, S_IFREG | 04711) == 04711);
    CHECK(copy_mode_apply(NULL, S_IFDIR | 0750) == 0750);
}
