// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <string.h>

#include "engine/filter.h"

static const char *const colours[] = { "red", "blue", NULL };
static const struct filter_key keys[] = {
    { "name", NULL, filter_regex }, { "label", NULL, NULL },       { "colour", colours, NULL },
    { "until", NULL, filter_when }, { "idle", NULL, filter_bool }, { 0 },
};

TEST(a_wrong_filter_is_told_with_what_is_allowed)
{
    static const char *const rows[][2] = {
        { "name", "--filter: 'name': it is KEY=VALUE" },
        { "colour=green", "--filter colour: 'green' is not one of red, blue" },
        { "nmae=x", "--filter: unknown key 'nmae': did you mean 'name'?" },
        { "quantity=1", "--filter: unknown key 'quantity': it is one of name, label, colour, until, idle" },
        { "name=(", "--filter name: '(' is no regular expression" },
        { "until=soon", "--filter until: 'soon'" },
        { "idle=perhaps", "--filter idle: " },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        own_strv struct strv filters = { 0 };
        strv_add(&filters, "colour=red");
        strv_add(&filters, rows[i][0]);
        own(err) err *e = filters_check(&filters, keys);
        CHECK(err_is(e, ERR_INVALID));
        CHECK(e && str_starts(err_text(e), rows[i][1]));
    }
    CHECK_OK(filters_check(NULL, keys));
}

/* ctx: "NAME COLOUR LABEL..." */
static err *fits(void *ctx, const char *key, const char *value, bool *ret)
{
    const struct strv *thing = ctx;
    if (strcmp(key, "label") == 0)
        *ret = strv_has(thing, value);
    else
        *ret = strcmp(thing->items[strcmp(key, "colour") == 0], value) == 0;
    return NULL;
}

TEST(of_one_key_any_value_may_fit_but_each_label_and_each_key_must)
{
    static const struct {
        const char *filters;
        bool passes;
    } rows[] = {
        { "", true },
        { "name=one", true },
        { "name=two", false },
        { "name=two name=one", true },
        { "name=one colour=red", true },
        { "name=one colour=blue", false },
        { "colour=blue colour=red name=one", true },
        { "label=big label=old", true },
        { "label=big label=new", false },
    };
    own_strv struct strv thing = { 0 };
    strv_split(&thing, "one red big old", ' ');
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        own_strv struct strv filters = { 0 };
        bool passes = !rows[i].passes;
        if (*rows[i].filters)
            strv_split(&filters, rows[i].filters, ' ');
        CHECK_OK(filters_check(&filters, keys));
        CHECK_OK(filters_pass(&filters, keys, fits, &thing, &passes));
        CHECK(passes == rows[i].passes);
    }
}

TEST(a_name_is_looked_for_as_it_stands_or_as_an_expression_with_its_slash)
{
    static const struct {
        const char *wish;
        bool fits;
    } rows[] = { { "web", true },  { "eb-1", true }, { "/web", true },     { "^web$", false }, { "^/web-1$", true },
                 { "^web", true }, { "w.b", true },  { "(db|web)", true }, { "db", false },    { "", true } };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        bool found = !rows[i].fits;
        CHECK_OK(filter_name("web-1", rows[i].wish, &found));
        CHECK(found == rows[i].fits);
    }
}
