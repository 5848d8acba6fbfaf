// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/bind.h"

#include "test.h"

struct limit {
    char *type;
    uint64_t hard;
};
struct process {
    bool terminal;
    char *cwd;
    struct strv args;
    struct opt_i64 oom;
    struct limit *limits;
    size_t limits_n;
    struct limit *one;
    struct strmap labels;
    json_t *rest;
};
#define T struct limit
static const struct bind_field limit_fields[] = {
    BIND_STR(T, type, "type", .flags = BIND_REQUIRED),
    BIND_U64(T, hard, "hard"),
    BIND_END,
};
#undef T
static const struct bind_type limit_type = { "limit", sizeof(struct limit), limit_fields, .strict = true };
#define T struct process
static const struct bind_field process_fields[] = {
    BIND_BOOL(T, terminal, "terminal"),
    BIND_STR(T, cwd, "cwd", .flags = BIND_REQUIRED),
    BIND_STRS(T, args, "args"),
    BIND_OPT_I64(T, oom, "oom"),
    BIND_OBJS(T, limits, limits_n, "limits", limit_type),
    BIND_OBJ(T, one, "one", limit_type),
    BIND_MAP(T, labels, "labels"),
    BIND_REST(T, rest),
    BIND_END,
};
#undef T
static const struct bind_type process_type = { "process", sizeof(struct process), process_fields };

static err *read_text(const char *text, struct process **ret)
{
    return bind_read(&process_type, text, strlen(text), (void **)ret);
}

TEST(a_document_survives_the_round_trip)
{
    static const char text[] =
        "{\"terminal\":true,\"cwd\":\"/\",\"args\":[\"a\",\"b\"],\"oom\":0,"
        "\"limits\":[{\"type\":\"X\",\"hard\":5}],\"one\":{\"type\":\"Y\"},\"labels\":{\"k\":\"v\"},\"own\":[1]}";
    struct process *p = NULL;
    CHECK_OK(read_text(text, &p));
    CHECK(p->terminal && p->oom.set && p->limits_n == 1 && p->limits[0].hard == 5);
    assert_string_equal(strmap_get(&p->labels, "k"), "v");
    own_mem char *again = bind_write(&process_type, p, BIND_COMPACT);
    assert_string_equal(again, text);
    bind_free(&process_type, p);
}

TEST(a_map_forgets_one_key_and_keeps_the_order_of_the_others)
{
    struct strmap m = { 0 };
    strmap_set(&m, "a", "1");
    strmap_set(&m, "b", "2");
    strmap_set(&m, "c", "3");
    strmap_unset(&m, "b");
    strmap_unset(&m, "nosuch");
    CHECK(m.n == 2 && !strmap_get(&m, "b"));
    assert_string_equal(m.items[0].key, "a");
    assert_string_equal(m.items[1].value, "3");
    strmap_unset(&m, "c");
    strmap_unset(&m, "a");
    CHECK(m.n == 0);
    strmap_free(&m);
}

TEST(wrong_documents_name_the_place)
{
    static const struct {
        const char *text, *says;
    } wrong[] = {
        { "[]", "process: expected an object, got array" },
        { "{}", "process: cwd: missing" },
        { "{\"cwd\":null}", "process: cwd: missing" },
        { "{\"cwd\":1}", "process: cwd: expected a string, got int" },
        { "{\"cwd\":\"/\",\"args\":[1]}", "process: args: args[0]: expected a string, got int" },
        { "{\"cwd\":\"/\",\"limits\":[{}]}", "process: limits: limits[0]: type: missing" },
        { "{\"cwd\":\"/\",\"limits\":[{\"type\":\"a\"},{\"type\":\"b\",\"hard\":-1}]}",
          "process: limits: limits[1]: hard: -1 is out of range: 0 to 9223372036854775807" },
        { "{\"cwd\":\"/\",\"one\":{\"type\":\"a\",\"herd\":1}}",
          "process: one: unknown key 'herd': did you mean 'hard'?" },
        { "{\"cwd\":\"/\",\"labels\":{\"a\":1}}", "process: labels: a: expected a string, got int" },
    };
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct process *p = NULL;
        CHECK_SAYS(read_text(wrong[i].text, &p), wrong[i].says);
        CHECK(p == NULL);
    }
    struct process *p = NULL;
    CHECK_ERR(read_text("{\"cwd\":\"/\",\"cwd\":\"/\"}", &p), ERR_INVALID);
    CHECK_ERR(read_text("{\"cwd\":\"\\u0000\"}", &p), ERR_INVALID);
    CHECK_ERR(read_text("{\"cwd\":\"\xff\"}", &p), ERR_INVALID);
}
