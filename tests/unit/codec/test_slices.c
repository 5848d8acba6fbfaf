// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/slices.h"

#include <string.h>

#include "test.h"

static const struct {
    const char *text;
    int n; /* -1: not known */
} rows[] = {
    { "{\"manifests\":[]}", 0 },
    { "{\"manifests\":[{}]}", 1 },
    { " { \"v\" : 2 , \"manifests\" : [ { \"a\" : [ 1 ] } , { } ] , \"z\" : { \"manifests\" : [ { } ] } } ", 2 },
    { "{\"manifests\":[{\"a\":\"}]\\\"\\\\\"},{\"b\":{\"c\":[]}},{}],\"d\":\"manifests\"}", 3 },
    { "{\"v\":[{\"manifests\":[{}]}]}", -1 },
    { "{\"manifests\":[],\"manifests\":[{}]}", -1 },
    { "{\"manif\\u0065sts\":[{}],\"manifests\":[]}", -1 },
    { "{\"manifests\":[1]}", -1 },
    { "{\"manifests\":{}}", -1 },
    { "{\"manifests\":[{}{}]}", -1 },
    { "{\"manifests\":[{},]}", -1 },
    { "{\"manifests\":[{}]} x", -1 },
    { "{\"manifests\":[{\"a\":\"", -1 },
    { "{\"manifests\":[{\"a\":\"\\", -1 },
    { "[]", -1 },
    { "", -1 },
};

TEST(the_members_of_a_list_are_found_or_it_is_said_that_they_are_not)
{
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        own(slices) struct slices s = { 0 };
        bool known = slices_of(rows[i].text, strlen(rows[i].text), "manifests", &s);
        if ((known ? (int)s.n : -1) != rows[i].n)
            fprintf(stderr, "%s: %d\n", rows[i].text, known ? (int)s.n : -1);
        CHECK((known ? (int)s.n : -1) == rows[i].n);
    }
}

TEST(a_document_of_some_members_has_all_the_rest)
{
    static const char text[] = "{\"v\":2,\"manifests\": [{\"a\":1}, {\"a\":2}, {\"a\":3}],\"w\":3}";
    static const bool some[] = { true, false, true };
    own(slices) struct slices s = { 0 };
    size_t len = 0;
    CHECK(slices_of(text, strlen(text), "manifests", &s) && s.n == 3);
    own_mem char *part = slices_only(text, strlen(text), &s, some, &len);
    CHECK(str_eq(part, "{\"v\":2,\"manifests\": [{\"a\":1},{\"a\":3}],\"w\":3}"));
    CHECK(len == strlen(part));
    CHECK(slice_eq(&s.items[0], &s.items[0]) && !slice_eq(&s.items[0], &s.items[1]));
}
