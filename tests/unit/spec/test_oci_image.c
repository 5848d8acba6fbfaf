// SPDX-License-Identifier: GPL-2.0-or-later
#include "test.h"

#include "spec/oci_image.h"

#define SHA        "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DESCRIPTOR "{\"mediaType\":\"x\",\"digest\":\"" SHA "\",\"size\":1}"

/* One row per way to be wrong: the message is part of the interface. */
static const struct {
    const char *text, *message;
} manifests[] = {
    { "{\"schemaVersion\":1,\"config\":" DESCRIPTOR ",\"layers\":[]}", "image manifest: schemaVersion: 1 is not 2" },
    { "{\"config\":" DESCRIPTOR ",\"layers\":[]}", "image manifest: schemaVersion: missing" },
    { "{\"schemaVersion\":2,\"layers\":[]}", "image manifest: config: missing" },
    { "{\"schemaVersion\":2,\"config\":" DESCRIPTOR "}", "image manifest: layers: missing" },
    { "{\"schemaVersion\":2,\"config\":{\"mediaType\":\"x\",\"digest\":\"sha256:../../etc/"
      "passwd\",\"size\":1},\"layers\":[]}",
      "image manifest: config: digest: 'sha256:../../etc/passwd' is not 'sha256:' and 64 hex digits" },
    { "{\"schemaVersion\":2,\"config\":" DESCRIPTOR ",\"layers\":[{\"mediaType\":\"x\",\"digest\":\"" SHA
      "\",\"size\":-1}]}",
      "image manifest: layers[0]: size: -1 is negative" },
    { "{\"schemaVersion\":2,\"config\":" DESCRIPTOR ",\"layers\":[],\"manifests\":[]}",
      "image manifest: manifests: not allowed here: a document is an index or a manifest" },
    { "{\"schemaVersion\":2,\"mediaType\":\"" MEDIA_OCI_INDEX "\",\"config\":" DESCRIPTOR ",\"layers\":[]}",
      "image manifest: mediaType: '" MEDIA_OCI_INDEX "' is no manifest's" },
};

TEST(a_wrong_manifest_is_refused_with_the_place)
{
    for (size_t i = 0; i < ARRAY_SIZE(manifests); i++) {
        struct oci_manifest *m = NULL;
        CHECK_SAYS(oci_manifest_read(manifests[i].text, strlen(manifests[i].text), &m), manifests[i].message);
        CHECK(m == NULL);
    }
}

TEST(an_index_with_layers_is_refused)
{
    static const char text[] = "{\"schemaVersion\":2,\"manifests\":[],\"layers\":[]}";
    struct oci_index *x = NULL;
    CHECK_SAYS(oci_index_read(text, strlen(text), &x),
               "image index: layers: not allowed here: a document is an index or a manifest");
}

TEST(a_config_is_read_whole)
{
    static const char text[] =
        "{\"architecture\":\"amd64\",\"os\":\"linux\",\"config\":{\"User\":\"1:2\",\"Env\":[\"A=b\"],\"Entrypoint\":"
        "null,"
        "\"Cmd\":[\"sh\"],\"ExposedPorts\":{\"80/tcp\":{}},\"Volumes\":{\"/v\":{}},\"Labels\":{\"k\":\"v\"},"
        "\"Healthcheck\":{\"Test\":[\"CMD\",\"x\"],\"Interval\":1000000000,\"Retries\":3},\"ArgsEscaped\":true},"
        "\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"" SHA
        "\"]},\"history\":[{\"created_by\":\"x\",\"empty_layer\":true}],"
        "\"container\":\"abc\"}";
    own(oci_image_config) struct oci_image_config *c = NULL;
    CHECK_OK(oci_image_config_read(text, strlen(text), &c));
    assert_string_equal(c->config->user, "1:2");
    assert_string_equal(c->config->volumes.items[0], "/v");
    assert_string_equal(c->config->exposed_ports.items[0], "80/tcp");
    assert_int_equal(c->config->healthcheck->interval, 1000000000);
    assert_string_equal(c->rootfs->diff_ids.items[0], SHA);
    CHECK(c->history[0].empty_layer);
    CHECK(json_object_get(c->rest, "container"));
    CHECK(json_object_get(c->config->rest, "ArgsEscaped"));
}

TEST(a_config_without_well_formed_layers_is_refused)
{
    static const char no_rootfs[] = "{\"architecture\":\"a\",\"os\":\"l\"}";
    static const char bad_id[] =
        "{\"architecture\":\"a\",\"os\":\"l\",\"rootfs\":{\"type\":\"layers\",\"diff_ids\":[\"x\"]}}";
    struct oci_image_config *c = NULL;
    CHECK_SAYS(oci_image_config_read(no_rootfs, strlen(no_rootfs), &c), "image config: rootfs: missing");
    CHECK_SAYS(oci_image_config_read(bad_id, strlen(bad_id), &c),
               "image config: rootfs: diff_ids[0]: digest: 'x' is not 'sha256:' and 64 hex digits");
}
