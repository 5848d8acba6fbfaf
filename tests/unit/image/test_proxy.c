// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <stdio.h>
#include <stdlib.h>

#include "image/proxy.h"

/* Each row is what Go's httpproxy answers. */
static const struct {
    const char *list, *host, *port;
    bool excluded;
} rows[] = {
    { NULL, "x.io", "443", false },
    { "", "x.io", "443", false },
    { "*", "x.io", "443", true },
    { "x.io", "x.io", "443", true },
    { "x.io", "a.x.io", "443", true },
    { "x.io", "ax.io", "443", false },
    { "X.io", "x.IO", "443", true },
    { ".x.io", "a.x.io", "443", true },
    { ".x.io", "x.io", "443", false },
    { "*.x.io", "a.b.x.io", "443", true },
    { "*.x.io", "x.io", "443", false },
    { "x.io:443", "x.io", "443", true },
    { "x.io:5000", "x.io", "443", false },
    { "*.x.io:5000", "a.x.io", "5000", true },
    { " y.io ,, x.io", "x.io", "443", true },
    { "10.1.2.3", "10.1.2.3", "80", true },
    { "10.1.2.3:80", "10.1.2.3", "80", true },
    { "10.1.2.3:81", "10.1.2.3", "80", false },
    { "10.1.2.0/23", "10.1.3.9", "80", true },
    { "10.1.2.0/24", "10.1.3.9", "80", false },
    { "0.0.0.0/0", "10.1.3.9", "80", true },
    { "10.1.2.0/33", "10.1.2.3", "80", false },
    { "10.1.2.0/", "10.1.2.3", "80", false },
    { "/8", "10.1.2.3", "80", false },
    { "10.0.0.0/8", "ten.io", "80", false },
    { "fd00::/8", "[fd12::1]", "80", true },
    { "fd00::/8", "10.1.2.3", "80", false },
    { "::1", "[::1]", "80", true },
    { "[::1]", "[::1]", "80", true },
    { "[::1]:80", "[::1]", "80", true },
    { "[::1]:81", "[::1]", "80", false },
    { ".", "x.io", "80", false },
    { "*.", "x.io", "80", false },
    { "*:80", "x.io", "80", false },
};

TEST(no_proxy_means_what_it_means_to_docker_and_podman)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
        if (proxy_excludes(rows[i].list, rows[i].host, rows[i].port) != rows[i].excluded) {
            printf("'%s' and %s:%s\n", rows[i].list, rows[i].host, rows[i].port);
            CHECK(false);
        }
}

TEST(the_proxy_is_the_schemes_own_and_all_proxy_stands_in)
{
    static const char *const names[] = { "http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY",   "all_proxy",
                                         "ALL_PROXY",  "no_proxy",   "NO_PROXY",    "REQUEST_METHOD" };
    for (size_t i = 0; i < ARRAY_SIZE(names); i++)
        unsetenv(names[i]);
    CHECK(!proxy_for("https", "x.io", "443"));
    setenv("HTTP_PROXY", "http://plain", 1);
    CHECK(!proxy_for("https", "x.io", "443"));
    own_mem char *plain = proxy_for("http", "x.io", "80");
    assert_string_equal(plain, "http://plain");
    setenv("REQUEST_METHOD", "GET", 1); /* then it is a header that a client sent */
    CHECK(!proxy_for("http", "x.io", "80"));
    setenv("ALL_PROXY", "http://all", 1);
    own_mem char *all = proxy_for("https", "x.io", "443");
    assert_string_equal(all, "http://all");
    setenv("HTTPS_PROXY", "http://secure", 1);
    own_mem char *secure = proxy_for("https", "x.io", "443");
    assert_string_equal(secure, "http://secure");
    setenv("NO_PROXY", "x.io:443", 1);
    CHECK(!proxy_for("https", "x.io", "443"));
    own_mem char *other = proxy_for("https", "x.io", "5000");
    assert_string_equal(other, "http://secure");
}
