// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include "build/stages.h"

static err *plan(const char *text, const char *target, struct dockerfile **ret_file, struct stages **ret)
{
    own_strv struct strv args = { 0 }, platform = { 0 };
    strv_add(&args, "GIVEN=from-outside");
    strv_add(&platform, "TARGETARCH=arm64");
    struct stages_input in = { &args, &platform, target };
    TRY(dockerfile_parse(text, strlen(text), "f", ret_file));
    return stages_of(*ret_file, &in, ret);
}

TEST(only_what_the_target_needs_is_used)
{
    static const char text[] = "FROM a AS one\nFROM b AS two\nRUN x\nFROM one AS three\nCOPY --from=two x y\n"
                               "FROM scratch AS four\nRUN --mount=from=0,target=/m x\n";
    static const struct {
        const char *target;
        bool used[4];
    } rows[] = {
        { "three", { true, true, true, false } }, { "four", { true, false, false, true } },
        { NULL, { true, false, false, true } },   { "1", { false, true, false, false } },
        { "ONE", { true, false, false, false } },
    };
    for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
        own(dockerfile) struct dockerfile *f = NULL;
        own(stages) struct stages *s = NULL;
        CHECK_OK(plan(text, rows[i].target, &f, &s));
        for (size_t k = 0; k < 4; k++)
            CHECK(s->items[k].used == rows[i].used[k]);
    }
}

TEST(from_sees_the_arguments_before_it)
{
    own(dockerfile) struct dockerfile *f = NULL;
    own(stages) struct stages *s = NULL;
    CHECK_OK(plan("ARG A=1\nARG B=b$A\nARG GIVEN=inside\nARG TARGETARCH\nFROM img:$B-$GIVEN-$TARGETARCH\n"
                  "FROM --platform=linux/$TARGETARCH scratch",
                  NULL, &f, &s));
    assert_string_equal(s->items[0].image, "img:b1-from-outside-arm64");
    assert_string_equal(s->items[1].platform, "linux/arm64");
    CHECK(s->items[1].base_kind == BASE_SCRATCH);
}

TEST(another_image_may_stand_in_the_first_from_alone)
{
    own_strv struct strv none = { 0 };
    own(dockerfile) struct dockerfile *f = NULL;
    own(stages) struct stages *s = NULL;
    static const char text[] = "FROM $NOT AS one\nFROM a";
    struct stages_input in = { .build_args = &none, .platform_args = &none, .from = "other:1" };
    CHECK_OK(dockerfile_parse(text, strlen(text), "f", &f));
    CHECK_OK(stages_of(f, &in, &s));
    assert_string_equal(s->items[0].image, "other:1");
    assert_string_equal(s->items[1].image, "a");
    CHECK(!s->items[0].used && s->items[1].used);
}

TEST(all_stages_are_used_when_that_is_asked_for)
{
    own_strv struct strv none = { 0 };
    own(dockerfile) struct dockerfile *f = NULL;
    own(stages) struct stages *s = NULL;
    static const char text[] = "FROM a AS one\nFROM b\nFROM scratch";
    struct stages_input in = { .build_args = &none, .platform_args = &none, .all = true };
    CHECK_OK(dockerfile_parse(text, strlen(text), "f", &f));
    CHECK_OK(stages_of(f, &in, &s));
    for (size_t i = 0; i < s->n; i++)
        CHECK(s->items[i].used);
}

static const struct {
    const char *text, *target, *message;
} wrong[] = {
    { "FROM $NO", NULL, "f:1:6: FROM $NO: the name is empty: expected an image, a stage or scratch" },
    { "FROM a AS x\nFROM b AS X", NULL, "f:2:11: FROM: a stage 'X' is there already" },
    { "FROM a AS x\nCOPY --from=x a b", NULL, "f:2:6: 'x' is this stage itself: expected an earlier one" },
    { "FROM a\nCOPY --from=y a b\nFROM b AS y", NULL, "f:2:6: stage 'y' comes later: expected an earlier one" },
    { "FROM a\nCOPY --from=3 a b", NULL, "f:2:6: there is no stage 3 before this one" },
    { "FROM a AS x\nFROM b AS y", "z", "--target: f has no stage 'z': expected x, y" },
    { "FROM a", "z", "--target: f has no stage 'z': expected a stage's number: none has a name" },
    { "FROM ${A", NULL, "f:1:6: '${A' has no end: expected '}'" },
};

TEST(mistakes_between_stages_are_told)
{
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        own(dockerfile) struct dockerfile *f = NULL;
        own(stages) struct stages *s = NULL;
        CHECK_SAYS(plan(wrong[i].text, wrong[i].target, &f, &s), wrong[i].message);
    }
}
