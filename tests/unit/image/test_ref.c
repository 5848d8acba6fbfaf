// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include "base/mem.h"
#include "image/ref.h"

#define HEX64  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define SHA    "sha256:" HEX64
#define SHA512 "sha512:" HEX64 HEX64

static const struct {
    const char *text, *full, *familiar;
} right[] = {
    { "busybox", "docker.io/library/busybox:latest", "busybox:latest" },
    { "busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36" },
    { "library/busybox", "docker.io/library/busybox:latest", "busybox:latest" },
    { "me/it:x", "docker.io/me/it:x", "me/it:x" },
    { "docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest" },
    { "index.docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest" },
    { "registry-1.docker.io/a/b", "docker.io/a/b:latest", "a/b:latest" },
    { "localhost/x", "localhost/x:latest", "localhost/x:latest" },
    { "localhost:5000", "docker.io/library/localhost:5000", "localhost:5000" },
    { "localhost:5000/x", "localhost:5000/x:latest", "localhost:5000/x:latest" },
    { "127.0.0.1:5000/a/b/c:t_1.2-3", "127.0.0.1:5000/a/b/c:t_1.2-3", "127.0.0.1:5000/a/b/c:t_1.2-3" },
    { "[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x:latest" },
    { "quay.io/a/b", "quay.io/a/b:latest", "quay.io/a/b:latest" },
    { "Host/a", "Host/a:latest", "Host/a:latest" },
    { "a__b/c.d-e--f", "docker.io/a__b/c.d-e--f:latest", "a__b/c.d-e--f:latest" },
    { "busybox@" SHA, "docker.io/library/busybox@" SHA, "busybox@" SHA },
    { "busybox:1@" SHA, "docker.io/library/busybox:1@" SHA, "busybox:1@" SHA },
    { "x.io/y@" SHA512, "x.io/y@" SHA512, "x.io/y@" SHA512 },
    { "docker.io/library/a.b", "docker.io/library/a.b:latest", "a.b:latest" },
    { "docker.io/a.b/c", "docker.io/a.b/c:latest", "docker.io/a.b/c:latest" },
    { "x:"
      "_",
      "docker.io/library/x:_", "x:_" },
};

TEST(names_have_one_full_form_and_one_that_people_read)
{
    for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
        own(ref) struct ref *r = NULL;
        own(ref) struct ref *again = NULL;
        CHECK_OK(ref_parse(right[i].text, &r));
        own_mem char *full = ref_full(r);
        own_mem char *familiar = ref_familiar(r);
        assert_string_equal(full, right[i].full);
        assert_string_equal(familiar, right[i].familiar);
        CHECK_OK(ref_parse(familiar, &again));
        own_mem char *full_again = ref_full(again);
        assert_string_equal(full_again, right[i].full);
    }
}

static const struct {
    const char *text, *message;
} wrong[] = {
    { "", "image name '': it is empty" },
    { "a b", "image name: character 2 is not a printable ASCII character" },
    { "a\033[31m", "image name: character 2 is not a printable ASCII character" },
    { "https://x.io/y", "image name 'https://x.io/y': it is a URL: leave out 'https://'" },
    { HEX64, "image name '" HEX64 "': 64 hex digits are an image's ID, not a name" },
    { "Busybox", "image name 'Busybox': repository 'Busybox' must be lower case" },
    { "x.io/Y", "image name 'x.io/Y': repository 'Y' must be lower case" },
    { "x:", "image name 'x:': the tag after ':' is empty" },
    { "x:-a", "image name 'x:-a': tag '-a' begins with '-'" },
    { "x:a+b", "image name 'x:a+b': tag 'a+b': character '+' is not allowed" },
    { "x@sha256:12", "image name 'x@sha256:12': digest 'sha256:12' is not 'sha256:' and 64 lower-case hex digits" },
    { "x@", "image name 'x@': digest '' is not 'sha256:' and 64 lower-case hex digits" },
    { "a//b", "image name 'a//b': a part of the repository's name is empty" },
    { "/a", "image name '/a': a part of the repository's name is empty" },
    { "docker.io/", "image name 'docker.io/': a part of the repository's name is empty" },
    { "a_/b", "image name 'a_/b': repository 'a_': '.', '_', '__' and '-' may only stand between letters or digits" },
    { "a___b",
      "image name 'a___b': repository 'a___b': '.', '_', '__' and '-' may only stand between letters or digits" },
    { "a$b", "image name 'a$b': repository 'a$b': character '$' is not allowed" },
    { "x.io:/a", "image name 'x.io:/a': registry 'x.io:': port '' is not a number" },
    { "x.io:99999/a", "image name 'x.io:99999/a': registry 'x.io:99999': port '99999' is not between 1 and 65535" },
    { "x.io:0/a", "image name 'x.io:0/a': registry 'x.io:0': port '0' is not between 1 and 65535" },
    { "-x.io/a", "image name '-x.io/a': registry '-x.io' is not a host name" },
    { "x..io/a", "image name 'x..io/a': registry 'x..io' is not a host name" },
    { "x.io./a", "image name 'x.io./a': registry 'x.io.' is not a host name" },
    { "x_y.io/a", "image name 'x_y.io/a': registry 'x_y.io': character '_' is not allowed" },
    { "[::1/a", "image name '[::1/a': registry '[' is not an IPv6 address in brackets" },
    { ":5000/a", "image name ':5000/a': the registry's name is empty" },
    { "../etc", "image name '../etc': registry '..' is not a host name" },
};

TEST(a_wrong_name_is_refused_with_the_part_that_is_wrong)
{
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct ref *r = NULL;
        CHECK_SAYS(ref_parse(wrong[i].text, &r), wrong[i].message);
        CHECK(r == NULL);
    }
}

TEST(long_names_and_tags_are_refused)
{
    char tag[200] = "x:", name[400] = "x.io/";
    struct ref *r = NULL;
    memset(tag + 2, 'a', 129);
    memset(name + 5, 'a', 251);
    CHECK_ERR(ref_parse(tag, &r), ERR_INVALID);
    CHECK_ERR(ref_parse(name, &r), ERR_INVALID);
    tag[2 + 128] = '\0';
    name[5 + 250] = '\0';
    own(ref) struct ref *r1 = NULL;
    own(ref) struct ref *r2 = NULL;
    CHECK_OK(ref_parse(tag, &r1));
    CHECK_OK(ref_parse(name, &r2));
}

TEST(digests_are_exactly_as_long_as_their_algorithm_says)
{
    CHECK(digest_valid(SHA));
    CHECK(digest_valid(SHA512));
    CHECK(!digest_valid("sha256:" HEX64 "0"));
    CHECK(!digest_valid("sha512:" HEX64));
    CHECK(!digest_valid("md5:" HEX64));
    CHECK(!digest_valid("sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef"));
    CHECK(!digest_valid("sha256:../../../../../../../../../../../../../../../../../../../../../x"));
    CHECK(!digest_valid(NULL));
    assert_string_equal(digest_hex(SHA), HEX64);
}
