// SPDX-License-Identifier: GPL-2.0-or-later
#include "spec/oci_image.h"

#include <string.h>

#define T struct oci_platform
static const struct bind_field platform_fields[] = {
    BIND_STR(T, architecture, "architecture"), BIND_STR(T, os, "os"),           BIND_STR(T, os_version, "os.version"),
    BIND_STRS(T, os_features, "os.features"),  BIND_STR(T, variant, "variant"), BIND_END,
};
#undef T
static const struct bind_type platform_type = { "platform", sizeof(struct oci_platform), platform_fields, false };

#define T struct oci_descriptor
static const struct bind_field descriptor_fields[] = {
    BIND_STR(T, media_type, "mediaType", .flags = BIND_REQUIRED),
    BIND_STR(T, digest, "digest", .flags = BIND_REQUIRED),
    BIND_I64(T, size, "size", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_STRS(T, urls, "urls"),
    BIND_MAP(T, annotations, "annotations"),
    BIND_OBJ(T, platform, "platform", platform_type),
    BIND_STR(T, data, "data"),
    BIND_STR(T, artifact_type, "artifactType"),
    BIND_REST(T, rest),
    BIND_END,
};
#undef T
const struct bind_type oci_descriptor_type = { "descriptor", sizeof(struct oci_descriptor), descriptor_fields, false };

#define T struct oci_index
static const struct bind_field index_fields[] = {
    BIND_I64(T, schema_version, "schemaVersion", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_STR(T, media_type, "mediaType"),
    BIND_STR(T, artifact_type, "artifactType"),
    BIND_OBJS(T, manifests, manifests_n, "manifests", oci_descriptor_type, .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_MAP(T, annotations, "annotations"),
    BIND_REST(T, rest),
    BIND_END,
};
#undef T
const struct bind_type oci_index_type = { "image index", sizeof(struct oci_index), index_fields, false };

#define T struct oci_manifest
static const struct bind_field manifest_fields[] = {
    BIND_I64(T, schema_version, "schemaVersion", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_STR(T, media_type, "mediaType"),
    BIND_STR(T, artifact_type, "artifactType"),
    BIND_OBJ(T, config, "config", oci_descriptor_type, .flags = BIND_REQUIRED),
    BIND_OBJS(T, layers, layers_n, "layers", oci_descriptor_type, .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_OBJ(T, subject, "subject", oci_descriptor_type),
    BIND_MAP(T, annotations, "annotations"),
    BIND_REST(T, rest),
    BIND_END,
};
#undef T
const struct bind_type oci_manifest_type = { "image manifest", sizeof(struct oci_manifest), manifest_fields, false };

#define T struct oci_healthcheck
static const struct bind_field healthcheck_fields[] = {
    BIND_STRS(T, test, "Test"),
    BIND_I64(T, interval, "Interval"),
    BIND_I64(T, timeout, "Timeout"),
    BIND_I64(T, start_period, "StartPeriod"),
    BIND_I64(T, start_interval, "StartInterval"),
    BIND_I64(T, retries, "Retries"),
    BIND_END,
};
#undef T
static const struct bind_type healthcheck_type = { "healthcheck", sizeof(struct oci_healthcheck), healthcheck_fields,
                                                   false };

#define T struct oci_image_run
static const struct bind_field run_fields[] = {
    BIND_STR(T, user, "User"),
    BIND_KEYS(T, exposed_ports, "ExposedPorts"),
    BIND_STRS(T, env, "Env"),
    BIND_STRS(T, entrypoint, "Entrypoint"),
    BIND_STRS(T, cmd, "Cmd"),
    BIND_KEYS(T, volumes, "Volumes"),
    BIND_STR(T, working_dir, "WorkingDir"),
    BIND_MAP(T, labels, "Labels"),
    BIND_STR(T, stop_signal, "StopSignal"),
    BIND_STRS(T, shell, "Shell"),
    BIND_STRS(T, on_build, "OnBuild"),
    BIND_OBJ(T, healthcheck, "Healthcheck", healthcheck_type),
    BIND_REST(T, rest),
    BIND_END,
};
#undef T
const struct bind_type oci_image_run_type = { "config", sizeof(struct oci_image_run), run_fields, false };

#define T struct oci_history
static const struct bind_field history_fields[] = {
    BIND_STR(T, created, "created"), BIND_STR(T, created_by, "created_by"),    BIND_STR(T, author, "author"),
    BIND_STR(T, comment, "comment"), BIND_BOOL(T, empty_layer, "empty_layer"), BIND_END,
};
#undef T
static const struct bind_type history_type = { "history", sizeof(struct oci_history), history_fields, false };

#define T struct oci_rootfs
static const struct bind_field rootfs_fields[] = {
    BIND_STR(T, type, "type", .flags = BIND_REQUIRED),
    BIND_STRS(T, diff_ids, "diff_ids", .flags = BIND_REQUIRED | BIND_ALWAYS),
    BIND_END,
};
#undef T
static const struct bind_type rootfs_type = { "rootfs", sizeof(struct oci_rootfs), rootfs_fields, false };

#define T struct oci_image_config
static const struct bind_field config_fields[] = {
    BIND_STR(T, created, "created"),
    BIND_STR(T, author, "author"),
    BIND_STR(T, architecture, "architecture", .flags = BIND_REQUIRED),
    BIND_STR(T, os, "os", .flags = BIND_REQUIRED),
    BIND_STR(T, os_version, "os.version"),
    BIND_STR(T, variant, "variant"),
    BIND_OBJ(T, config, "config", oci_image_run_type),
    BIND_OBJ(T, rootfs, "rootfs", rootfs_type, .flags = BIND_REQUIRED),
    BIND_OBJS(T, history, history_n, "history", history_type),
    BIND_REST(T, rest),
    BIND_END,
};
#undef T
const struct bind_type oci_image_config_type = { "image config", sizeof(struct oci_image_config), config_fields,
                                                 false };

void oci_index_free(struct oci_index *x)
{
    bind_free(&oci_index_type, x);
}

void oci_manifest_free(struct oci_manifest *x)
{
    bind_free(&oci_manifest_type, x);
}

void oci_image_config_free(struct oci_image_config *x)
{
    bind_free(&oci_image_config_type, x);
}

static const struct {
    const char *prefix;
    size_t digits;
} algorithms[] = {
    { "sha256:", 64 },
    { "sha512:", 128 },
};

bool digest_valid(const char *digest)
{
    for (size_t i = 0; digest && i < ARRAY_SIZE(algorithms); i++) {
        if (!str_starts(digest, algorithms[i].prefix))
            continue;
        const char *hex = digest + strlen(algorithms[i].prefix);
        return strspn(hex, "0123456789abcdef") == algorithms[i].digits && !hex[algorithms[i].digits];
    }
    return false;
}

const char *digest_hex(const char *digest)
{
    const char *colon = strchr(digest, ':');
    return colon ? colon + 1 : digest;
}

bool media_is_index(const char *media_type)
{
    return media_type && (strcmp(media_type, MEDIA_OCI_INDEX) == 0 || strcmp(media_type, MEDIA_DOCKER_LIST) == 0);
}

bool media_is_manifest(const char *media_type)
{
    return media_type &&
           (strcmp(media_type, MEDIA_OCI_MANIFEST) == 0 || strcmp(media_type, MEDIA_DOCKER_MANIFEST) == 0);
}

bool media_is_layer(const char *media_type)
{
    return media_type && (str_starts(media_type, "application/vnd.oci.image.layer.") ||
                          str_starts(media_type, "application/vnd.docker.image.rootfs."));
}

bool media_is_encrypted(const char *media_type)
{
    return media_type && (str_ends(media_type, "+encrypted") || strstr(media_type, "+encrypted;"));
}

static fallible check_digest(const char *digest)
{
    if (!digest_valid(digest))
        return err_new(ERR_INVALID, "digest: '%.200s' is not 'sha256:' and 64 hex digits", digest);
    return NULL;
}

static fallible check_descriptor(const struct oci_descriptor *d)
{
    TRY(check_digest(d->digest));
    if (d->size < 0)
        return err_new(ERR_INVALID, "size: %lld is negative", (long long)d->size);
    return NULL;
}

static fallible check_descriptors(const char *key, const struct oci_descriptor *list, size_t n)
{
    for (size_t i = 0; i < n; i++)
        TRY_AS(check_descriptor(&list[i]), "%s[%zu]", key, i);
    return NULL;
}

static fallible check_version(int64_t version)
{
    if (version != 2)
        return err_new(ERR_INVALID, "schemaVersion: %lld is not 2", (long long)version);
    return NULL;
}

/* A document that is both would be read as one by who signs it and as the other by who runs it. */
static fallible check_one_kind(const json_t *rest, const char *const *foreign)
{
    for (; *foreign; foreign++)
        if (json_object_get(rest, *foreign))
            return err_new(ERR_INVALID, "%s: not allowed here: a document is an index or a manifest", *foreign);
    return NULL;
}

static fallible check_index(const struct oci_index *x)
{
    static const char *const foreign[] = { "config", "layers", "fsLayers", NULL };
    TRY(check_version(x->schema_version));
    if (x->media_type && !media_is_index(x->media_type))
        return err_new(ERR_INVALID, "mediaType: '%.200s' is no index's", x->media_type);
    TRY(check_one_kind(x->rest, foreign));
    return check_descriptors("manifests", x->manifests, x->manifests_n);
}

static fallible check_manifest(const struct oci_manifest *x)
{
    static const char *const foreign[] = { "manifests", "fsLayers", NULL };
    TRY(check_version(x->schema_version));
    if (x->media_type && !media_is_manifest(x->media_type))
        return err_new(ERR_INVALID, "mediaType: '%.200s' is no manifest's", x->media_type);
    TRY(check_one_kind(x->rest, foreign));
    TRY_AS(check_descriptor(x->config), "config");
    if (x->subject)
        TRY_AS(check_descriptor(x->subject), "subject");
    return check_descriptors("layers", x->layers, x->layers_n);
}

static fallible check_config(const struct oci_image_config *x)
{
    if (strcmp(x->rootfs->type, "layers") != 0)
        return err_new(ERR_INVALID, "rootfs: type: '%.200s' is not 'layers'", x->rootfs->type);
    for (size_t i = 0; i < x->rootfs->diff_ids.n; i++)
        TRY_AS(check_digest(x->rootfs->diff_ids.items[i]), "rootfs: diff_ids[%zu]", i);
    return NULL;
}

fallible oci_index_read(const char *text, size_t len, struct oci_index **ret)
{
    own(oci_index) struct oci_index *x = NULL;
    TRY(bind_read(&oci_index_type, text, len, (void **)&x));
    TRY_AS(check_index(x), "%s", oci_index_type.name);
    *ret = take(x);
    return NULL;
}

fallible oci_manifest_read(const char *text, size_t len, struct oci_manifest **ret)
{
    own(oci_manifest) struct oci_manifest *x = NULL;
    TRY(bind_read(&oci_manifest_type, text, len, (void **)&x));
    TRY_AS(check_manifest(x), "%s", oci_manifest_type.name);
    *ret = take(x);
    return NULL;
}

fallible oci_image_config_read(const char *text, size_t len, struct oci_image_config **ret)
{
    own(oci_image_config) struct oci_image_config *x = NULL;
    TRY(bind_read(&oci_image_config_type, text, len, (void **)&x));
    TRY_AS(check_config(x), "%s", oci_image_config_type.name);
    *ret = take(x);
    return NULL;
}

bool oci_manifest_is_image(const struct oci_manifest *m)
{
    if (!str_eq(m->config->media_type, MEDIA_OCI_CONFIG) && !str_eq(m->config->media_type, MEDIA_DOCKER_CONFIG))
        return false;
    for (size_t i = 0; i < m->layers_n; i++)
        if (!media_is_layer(m->layers[i].media_type))
            return false;
    return true;
}
