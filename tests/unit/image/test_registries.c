// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include <stdio.h>

#include "image/registries.h"

static const char conf[] = "unqualified-search-registries = ['a.io', 'b.io:5000']\n"
                           "[[registry]]\n"
                           "location = 'plain.io'\n"
                           "insecure = true\n"
                           "[[registry]]\n"
                           "prefix = 'moved.io/old'\n"
                           "location = 'new.io:5000/team/new'\n"
                           "[[registry]]\n"
                           "prefix = 'moved.io/old/deep'\n"
                           "location = 'deep.io'\n"
                           "[[registry]]\n"
                           "prefix = '*.wild.io'\n"
                           "location = 'tame.io'\n"
                           "[[registry]]\n"
                           "prefix = '*.keep.io'\n"
                           "insecure = true\n"
                           "[[registry]]\n"
                           "location = 'bad.io'\n"
                           "blocked = true\n"
                           "[[registry]]\n"
                           "prefix = 'docker.io'\n"
                           "location = 'registry-1.docker.io'\n"
                           "[[registry.mirror]]\n"
                           "location = 'm1.io/hub'\n"
                           "insecure = true\n"
                           "[[registry.mirror]]\n"
                           "location = 'm2.io'\n"
                           "pull-from-mirror = 'digest-only'\n"
                           "[aliases]\n"
                           "'short' = 'alias.io/x/short'\n"
                           "'team/short' = 'alias.io/team'\n";

/* "REGISTRY/REPOSITORY[ insecure][ mirror][ digests|tags]; ..." */
static char *places_text(const struct registry_places *p)
{
    static const char *const uses[] = {
        [PLACE_FOR_ALL] = "", [PLACE_FOR_DIGESTS] = " digests", [PLACE_FOR_TAGS] = " tags"
    };
    struct str s = { 0 };
    for (size_t i = 0; i < p->n; i++)
        str_printf(&s, "%s%s/%s%s%s%s", i ? "; " : "", p->items[i].registry, p->items[i].repository,
                   p->items[i].insecure ? " insecure" : "", p->items[i].mirror ? " mirror" : "", uses[p->items[i].use]);
    return str_take(&s);
}

static const struct {
    const char *name, *places;
} rows[] = {
    { "other.io/x", "other.io/x" },
    { "plain.io/x", "plain.io/x insecure" },
    { "plain.io:5000/x", "plain.io:5000/x" },
    { "plain.io.evil/x", "plain.io.evil/x" },
    { "moved.io/old", "new.io:5000/team/new" },
    { "moved.io/old/x:1", "new.io:5000/team/new/x" },
    { "moved.io/older", "moved.io/older" },
    { "moved.io/old/deep/x", "deep.io/x" },
    { "a.wild.io/x", "tame.io/x" },
    { "a.b.wild.io/x", "tame.io/x" },
    { "wild.io/x", "wild.io/x" },
    { "a.keep.io/x", "a.keep.io/x insecure" },
    { "busybox",
      "m1.io/hub/library/busybox insecure mirror; m2.io/library/busybox mirror digests; docker.io/library/busybox" },
};

static struct registries *with(const char *text)
{
    struct registries *r = registries_new();
    CHECK_OK(registries_add(r, "test.conf", text, strlen(text)));
    return r;
}

TEST(a_reference_leads_to_its_places)
{
    own(registries) struct registries *r = with(conf);
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        own(ref) struct ref *ref = NULL;
        struct registry_places p = { 0 };
        CHECK_OK(ref_parse(rows[i].name, &ref));
        CHECK_OK(registries_places(r, ref, &p));
        own_mem char *text = places_text(&p);
        registry_places_clear(&p);
        assert_string_equal(text, rows[i].places);
    }
}

TEST(a_blocked_registry_is_refused_for_pull_and_push)
{
    own(registries) struct registries *r = with(conf);
    own(ref) struct ref *ref = NULL;
    struct registry_places p = { 0 };
    CHECK_OK(ref_parse("bad.io/x", &ref));
    CHECK_ERR(registries_places(r, ref, &p), ERR_DENIED);
    CHECK_ERR(registries_push_place(r, ref, &p), ERR_DENIED);
    assert_int_equal(p.n, 0);
}

TEST(a_push_goes_to_the_registry_itself)
{
    own(registries) struct registries *r = with(conf);
    own(ref) struct ref *ref = NULL;
    struct registry_places p = { 0 };
    CHECK_OK(ref_parse("moved.io/old/x", &ref));
    CHECK_OK(registries_push_place(r, ref, &p));
    own_mem char *text = places_text(&p);
    registry_places_clear(&p);
    assert_string_equal(text, "moved.io/old/x");
}

static const struct {
    const char *conf, *typed, *names;
} short_names[] = {
    { "", "busybox", "docker.io/library/busybox:latest" },
    { conf, "x.io/y", "x.io/y:latest" },
    { conf, "localhost/y", "localhost/y:latest" },
    { conf, "short", "alias.io/x/short:latest" },
    { conf, "short:1", "alias.io/x/short:1" },
    { conf, "team/short:1", "alias.io/team:1" },
    { conf, "other:1", "a.io/other:1 b.io:5000/other:1" },
    { "unqualified-search-registries = ['docker.io']", "x", "docker.io/library/x:latest" },
    { "unqualified-search-registries = ['a.io']\nshort-name-mode = 'enforcing'", "x", "a.io/x:latest" },
};

TEST(a_name_without_a_registry_means_what_the_files_say)
{
    for (size_t i = 0; i < ARRAY_SIZE(short_names); i++) {
        own(registries) struct registries *r = with(short_names[i].conf);
        own_strv struct strv names = { 0 };
        own_str struct str text = { 0 };
        CHECK_OK(registries_resolve(r, short_names[i].typed, &names));
        for (size_t j = 0; j < names.n; j++)
            str_printf(&text, "%s%s", j ? " " : "", names.items[j]);
        assert_string_equal(text.text, short_names[i].names);
    }
}

TEST(an_ambiguous_name_is_refused_where_that_is_enforced)
{
    own(registries) struct registries *r =
        with("unqualified-search-registries = ['a.io', 'b.io']\nshort-name-mode = 'enforcing'");
    own_strv struct strv names = { 0 };
    CHECK_ERR(registries_resolve(r, "x", &names), ERR_INVALID);
}

TEST(a_later_file_overrides)
{
    own(registries) struct registries *r = with(conf);
    static const char later[] = "unqualified-search-registries = ['c.io']\n[[registry]]\nlocation = 'plain.io'\n"
                                "[aliases]\n'short' = ''\n'new' = 'n.io/new'";
    own_strv struct strv names = { 0 };
    own(ref) struct ref *ref = NULL;
    struct registry_places p = { 0 };
    CHECK_OK(registries_add(r, "later.conf", later, strlen(later)));
    CHECK_OK(registries_resolve(r, "short", &names));
    assert_string_equal(names.items[0], "c.io/short:latest");
    CHECK_OK(ref_parse("plain.io/x", &ref));
    CHECK_OK(registries_places(r, ref, &p));
    own_mem char *text = places_text(&p);
    registry_places_clear(&p);
    assert_string_equal(text, "plain.io/x");
}

static const struct {
    const char *conf, *message;
} wrong[] = {
    { "x", "t.conf: line 1: expected '=' after a key" },
    { "[registries.search]\nregistries = []",
      "t.conf: it is of version 1, which nobody writes any more: see containers-registries.conf(5)" },
    { "unqualified-search-registries = 'a.io'",
      "t.conf: registries.conf: unqualified-search-registries: expected an array, got string" },
    { "unqualified-search-registries = ['https://a.io']",
      "t.conf: unqualified-search-registries: location: 'https://a.io' is not of the form HOST[:PORT][/PATH]" },
    { "short-name-mode = 'x'", "t.conf: short-name-mode: 'x' is not one of enforcing, permissive, disabled" },
    { "[[registry]]\nblocked = true", "t.conf: registry[0]: a registry needs a location or a prefix" },
    { "[[registry]]\nlocation = 'https://x.io'",
      "t.conf: registry[0]: prefix: 'https://x.io' is not of the form HOST[:PORT][/PATH]" },
    { "[[registry]]\nprefix = '*.x.io'\nlocation = '*.y.io'",
      "t.conf: registry[0]: location: '*.y.io': only a prefix may begin with '*.'" },
    { "[[registry]]\nlocation = 'x.io'\n[[registry.mirror]]\nlocation = 'm.io'\npull-from-mirror = 'never'",
      "t.conf: registry[0]: mirror[0]: pull-from-mirror: 'never' is not one of all, digest-only, tag-only" },
    { "[[registry]]\nlocation = 'x.io'\n[[registry.mirror]]\ninsecure = true",
      "t.conf: registries.conf: registry: registry[0]: mirror: mirror[0]: location: missing" },
    { "[aliases]\na = 'b'", "t.conf: aliases: 'a' = 'b' is no HOST[:PORT]/NAME without a tag" },
    { "[aliases]\na = 'b/c'", "t.conf: aliases: 'a' = 'b/c' names no registry" },
    { "[aliases]\na = 'b.io/c:1'", "t.conf: aliases: 'a' = 'b.io/c:1' is no HOST[:PORT]/NAME without a tag" },
};

TEST(wrong_files_say_what_is_wrong)
{
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        own(registries) struct registries *r = registries_new();
        own(err) err *e = registries_add(r, "t.conf", wrong[i].conf, strlen(wrong[i].conf));
        if (!e)
            fail_msg("taken: %s", wrong[i].conf);
        assert_string_equal(err_text(e), wrong[i].message);
    }
}
