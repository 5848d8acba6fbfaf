/*
 * oci_image.h: index, manifest and config of an image. Source: image-spec 1.1 (image-index.md, manifest.md, config.md,
 * descriptor.md, media-types.md) and Docker's v2 schema 2, whose documents differ only in media types.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_SPEC_OCI_IMAGE_H
#define HUSK_SPEC_OCI_IMAGE_H

#include "codec/bind.h"

#define MEDIA_OCI_INDEX         "application/vnd.oci.image.index.v1+json"
#define MEDIA_OCI_MANIFEST      "application/vnd.oci.image.manifest.v1+json"
#define MEDIA_OCI_CONFIG        "application/vnd.oci.image.config.v1+json"
#define MEDIA_OCI_LAYER         "application/vnd.oci.image.layer.v1.tar"
#define MEDIA_OCI_LAYER_GZIP    "application/vnd.oci.image.layer.v1.tar+gzip"
#define MEDIA_OCI_LAYER_ZSTD    "application/vnd.oci.image.layer.v1.tar+zstd"
#define MEDIA_DOCKER_LIST       "application/vnd.docker.distribution.manifest.list.v2+json"
#define MEDIA_DOCKER_MANIFEST   "application/vnd.docker.distribution.manifest.v2+json"
#define MEDIA_DOCKER_CONFIG     "application/vnd.docker.container.image.v1+json"
#define MEDIA_DOCKER_LAYER_GZIP "application/vnd.docker.image.rootfs.diff.tar.gzip"

struct oci_platform {
    char *architecture, *os, *os_version, *variant;
    struct strv os_features;
};
struct oci_descriptor {
    char *media_type, *digest;
    int64_t size;
    struct strv urls;
    struct strmap annotations;
    struct oci_platform *platform;
    char *data, *artifact_type;
    json_t *rest;
};
struct oci_index {
    int64_t schema_version;
    char *media_type, *artifact_type;
    struct oci_descriptor *manifests;
    size_t manifests_n;
    struct strmap annotations;
    json_t *rest;
};
struct oci_manifest {
    int64_t schema_version;
    char *media_type, *artifact_type;
    struct oci_descriptor *config;
    struct oci_descriptor *layers;
    size_t layers_n;
    struct oci_descriptor *subject;
    struct strmap annotations;
    json_t *rest;
};
struct oci_healthcheck { /* Docker's addition; durations in nanoseconds */
    struct strv test;
    int64_t interval, timeout, start_period, start_interval, retries;
};
struct oci_image_run { /* the document's "config" object */
    char *user, *working_dir, *stop_signal;
    struct strv exposed_ports, env, entrypoint, cmd, volumes, shell, on_build;
    struct strmap labels;
    struct oci_healthcheck *healthcheck;
    json_t *rest;
};
struct oci_history {
    char *created, *author, *created_by, *comment;
    bool empty_layer;
};
struct oci_rootfs {
    char *type;
    struct strv diff_ids;
};
struct oci_image_config {
    char *created, *author, *architecture, *os, *os_version, *variant;
    struct oci_image_run *config;
    struct oci_rootfs *rootfs;
    struct oci_history *history;
    size_t history_n;
    json_t *rest;
};

extern const struct bind_type oci_descriptor_type, oci_index_type, oci_manifest_type, oci_image_config_type,
    oci_image_run_type;

#define OCI_IMAGE_OWN(name, T)                                                                                         \
    void name##_free(struct T *x);                                                                                     \
    OWN_TYPE(name, struct T *, name##_free)
OCI_IMAGE_OWN(oci_index, oci_index)
OCI_IMAGE_OWN(oci_manifest, oci_manifest)
OCI_IMAGE_OWN(oci_image_config, oci_image_config)

/* A descriptor's digest: "sha256:" and 64 lower-case hex digits, or "sha512:" and 128. */
bool digest_valid(const char *digest);
/* The hex part. Borrowed. */
const char *digest_hex(const char *digest);

/* What a descriptor's or document's media type says it is. */
bool media_is_index(const char *media_type);
bool media_is_manifest(const char *media_type);
/* A file system layer, packed or not (artifacts and signatures have other things where layers are). */
bool media_is_layer(const char *media_type);
/* "...+encrypted", as imgcrypt writes it. */
bool media_is_encrypted(const char *media_type);

/* All check beyond the fields: schemaVersion 2, digests well-formed, sizes not negative, and that a document is not
 * index and manifest at once (CVE-2021-41190). Errors: INVALID. */
/* A container image: its config and layers are of the known kinds. Else: an artifact, a signature, a chart ... */
bool oci_manifest_is_image(const struct oci_manifest *m);
fallible oci_index_read(const char *text, size_t len, struct oci_index **ret);
fallible oci_manifest_read(const char *text, size_t len, struct oci_manifest **ret);
fallible oci_image_config_read(const char *text, size_t len, struct oci_image_config **ret);

#endif
