// SPDX-License-Identifier: GPL-2.0-or-later
#include "spec/oci_runtime.h"

#include "test.h"

static err *read_text(const char *text, struct oci_spec **ret)
{
    return oci_spec_read(text, strlen(text), ret);
}

TEST(the_documents_fields_reach_the_struct)
{
    own(oci_spec) struct oci_spec *s = NULL;
    CHECK_OK(
        read_text("{\"ociVersion\":\"1.2.0\",\"hostname\":\"h\",\"root\":{\"path\":\"r\",\"readonly\":true},"
                  "\"process\":{\"cwd\":\"/x\",\"args\":[\"a\",\"b\"],\"user\":{\"uid\":5,\"gid\":6,\"umask\":18}},"
                  "\"mounts\":[{\"destination\":\"/p\",\"options\":[\"ro\"]}],"
                  "\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"user\",\"path\":\"/n\"}],"
                  "\"sysctl\":{\"net.x\":\"1\"},\"resources\":{\"memory\":{\"limit\":-1}}}}",
                  &s));
    assert_string_equal(s->hostname, "h");
    CHECK(s->root->readonly && s->process->args.n == 2 && s->process->user->uid == 5);
    CHECK(s->process->user->umask.set && s->process->user->umask.v == 022);
    CHECK(oci_spec_namespace(s, "pid") && !oci_spec_namespace(s, "network"));
    assert_string_equal(oci_spec_namespace(s, "user")->path, "/n");
    assert_string_equal(strmap_get(&s->linux_->sysctl, "net.x"), "1");
    CHECK(s->linux_->resources->memory->limit.set && s->linux_->resources->memory->limit.v == -1);
}

TEST(numbers_beyond_int64_survive_both_ways)
{
    own(oci_spec) struct oci_spec *s = NULL;
    CHECK_OK(read_text("{\"ociVersion\":\"1.0.0\",\"process\":{\"cwd\":\"/\",\"rlimits\":[{\"type\":\"RLIMIT_CORE\","
                       "\"hard\":18446744073709551615,\"soft\":9223372036854775808}]},\"x\":[18446744073709551615]}",
                       &s));
    CHECK(s->process->rlimits[0].hard == UINT64_MAX);
    CHECK(s->process->rlimits[0].soft == (uint64_t)INT64_MAX + 1);
    own_mem char *text = bind_write(&oci_spec_type, s, BIND_COMPACT);
    CHECK(strstr(text, "\"hard\":18446744073709551615,\"soft\":9223372036854775808"));
    CHECK(strstr(text, "\"x\":[18446744073709551615]"));
}

TEST(digits_inside_strings_and_fractions_are_left_alone)
{
    own(oci_spec) struct oci_spec *s = NULL;
    CHECK_OK(read_text(
        "{\"ociVersion\":\"1.0.0\",\"hostname\":\"18446744073709551615\","
        "\"x\":[1844674407370955161.5,18446744073709551615e0,-9223372036854775808,\"\\\"18446744073709551615\"]}",
        &s));
    assert_string_equal(s->hostname, "18446744073709551615");
}

TEST(unknown_keys_are_written_back)
{
    own(oci_spec) struct oci_spec *s = NULL;
    CHECK_OK(
        read_text("{\"ociVersion\":\"1.0.0\",\"windows\":{\"a\":1},\"process\":{\"cwd\":\"/\",\"new\":true}}", &s));
    own_mem char *text = bind_write(&oci_spec_type, s, BIND_COMPACT);
    CHECK(strstr(text, "\"windows\":{\"a\":1}") && strstr(text, "\"new\":true"));
}

/* One row per way to be wrong: the message is part of the interface. */
static const struct {
    const char *text, *message;
} wrong[] = {
    { "[]", "config.json: expected an object, got array" },
    { "{}", "config.json: ociVersion: missing" },
    { "{\"ociVersion\":\"2.0.0\"}", "config.json: ociVersion: '2.0.0' is not a version that husk knows: 0.x and 1.x" },
    { "{\"ociVersion\":\"1.0.0\",\"process\":{}}", "config.json: process: cwd: missing" },
    { "{\"ociVersion\":\"1.0.0\",\"process\":{\"cwd\":\"x\"}}",
      "config.json: process: cwd: 'x' is not an absolute path" },
    { "{\"ociVersion\":\"1.0.0\",\"process\":{\"cwd\":\"/\",\"user\":{\"uid\":4294967295}}}",
      "config.json: process: user: 4294967295 is not a user or group id" },
    { "{\"ociVersion\":\"1.0.0\",\"process\":{\"cwd\":\"/\",\"user\":{\"uid\":4294967296}}}",
      "config.json: process: user: uid: 4294967296 is out of range: 0 to 4294967295" },
    { "{\"ociVersion\":\"1.0.0\",\"process\":{\"cwd\":\"/\",\"user\":{\"gid\":-1}}}",
      "config.json: process: user: gid: -1 is out of range: 0 to 4294967295" },
    { "{\"ociVersion\":\"1.0.0\",\"hostname\":18446744073709551615}",
      "config.json: hostname: expected a string, got int" },
    { "{\"ociVersion\":\"1.0.0\",\"linux\":{\"namespaces\":[{\"type\":\"moon\"}]}}",
      "config.json: linux: namespaces[0]: type: 'moon' is not a namespace" },
    { "{\"ociVersion\":\"1.0.0\",\"linux\":{\"namespaces\":[{\"type\":\"pid\"},{\"type\":\"pid\"}]}}",
      "config.json: linux: namespaces: 'pid' is there twice" },
    { "{\"ociVersion\":\"1.0.0\",\"hooks\":{\"poststop\":[{\"path\":\"x\"}]}}",
      "config.json: hooks: poststop[0]: path: 'x' is not an absolute path" },
    { "{\"ociVersion\":\"1.0.0\",\"hooks\":{\"prestart\":[{\"path\":\"/x\",\"timeout\":0}]}}",
      "config.json: hooks: prestart[0]: timeout: must be above 0" },
    { "{\"ociVersion\":\"1.0.0\",\"mounts\":[{\"source\":\"/\"}]}",
      "config.json: mounts: mounts[0]: destination: missing" },
    { "{\"ociVersion\":\"1.0.0\",\"linux\":{\"devices\":[{\"type\":\"x\",\"path\":\"/d\"}]}}",
      "config.json: linux: devices[0]: type: 'x' is none of c, b, u and p" },
    { "{\"ociVersion\":\"1.0.0\",\"linux\":{\"uidMappings\":[{\"containerID\":0,\"hostID\":4294967295,\"size\":2}]}}",
      "config.json: linux: uidMappings[0]: the range is empty or beyond 4294967294" },
};

TEST(each_wrong_document_says_what_is_wrong)
{
    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        struct oci_spec *s = NULL;
        CHECK_SAYS(read_text(wrong[i].text, &s), wrong[i].message);
        CHECK(s == NULL);
    }
}

TEST(rows_can_be_added)
{
    own(oci_spec) struct oci_spec *s = mem_zalloc(sizeof *s);
    s->oci_version = mem_strdup("1.0.0");
    oci_spec_add_mount(s)->destination = mem_strdup("/a");
    oci_spec_add_mount(s)->destination = mem_strdup("/b");
    oci_spec_add_namespace(s, "pid", NULL);
    own_mem char *text = bind_write(&oci_spec_type, s, BIND_COMPACT);
    assert_string_equal(text,
                        "{\"ociVersion\":\"1.0.0\",\"mounts\":[{\"destination\":\"/a\"},{\"destination\":\"/b\"}],"
                        "\"linux\":{\"namespaces\":[{\"type\":\"pid\"}]}}");
}
