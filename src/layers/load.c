// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/load.h"

#include <string.h>

#include "base/log.h"
#include "codec/pool.h"
#include "codec/stream.h"
#include "image/blob.h"
#include "image/ref.h"
#include "layers/layer.h"
#include "layers/merged.h"
#include "layers/unpack.h"

enum { LAYERS_MAX = 500, INDEX_DEPTH_MAX = 4 };

#define NAME_KEY            "org.opencontainers.image.ref.name"
#define CONTAINERD_NAME_KEY "io.containerd.image.name"

struct load {
    struct layout *l;
    struct bundle *b;
    const struct load_options *o;
    struct load_result *result;
};

void load_result_clear(struct load_result *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->images[i].name);
        free(r->images[i].id);
    }
    free(r->images);
    *r = (struct load_result){ 0 };
}

/* ---- layers ---- */

struct unpacking {
    struct layout *l;
    const struct oci_manifest *manifest;
    const struct oci_image_config *config;
    const struct progress *progress;
};
struct watch {
    const struct unpacking *u;
    size_t layer;
};

static void tell(const struct unpacking *u, size_t layer, enum progress_state state, uint64_t done)
{
    if (u->progress->layer)
        u->progress->layer(u->progress->ctx, layer, state, (int64_t)done, u->manifest->layers[layer].size);
}

static void on_bytes(void *ctx, uint64_t bytes_in)
{
    const struct watch *w = ctx;
    tell(w->u, w->layer, PROGRESS_EXTRACTING, bytes_in);
}

static err *unpack_one(struct pool *pool, void *ctx, size_t layer)
{
    const struct unpacking *u = ctx;
    struct watch watch = { u, layer };
    const char *diff_id = u->config->rootfs->diff_ids.items[layer];
    bool was_there = layer_exists(u->l, diff_id);
    TRY(layer_unpack_blob(u->l, u->manifest->layers[layer].digest, diff_id, on_bytes, &watch));
    tell(u, layer, was_there ? PROGRESS_EXISTS : PROGRESS_DONE, (uint64_t)u->manifest->layers[layer].size);
    return NULL;
}

fallible load_unpack(struct layout *l, const struct oci_manifest *manifest, const struct oci_image_config *config,
                     const struct progress *progress)
{
    struct unpacking u = { l, manifest, config, progress };
    own_strv struct strv ids = { 0 };
    if (config->rootfs->diff_ids.n != manifest->layers_n)
        return err_new(ERR_CORRUPT, "the config names %zu layers, the manifest %zu", config->rootfs->diff_ids.n,
                       manifest->layers_n);
    if (manifest->layers_n > LAYERS_MAX)
        return err_new(ERR_UNSUPPORTED, "%zu layers: overlayfs takes at most %d", manifest->layers_n, LAYERS_MAX);
    for (size_t i = 0; i < manifest->layers_n; i++)
        strv_add_printf(&ids, "%.12s", digest_hex(manifest->layers[i].digest));
    if (progress->begin)
        progress->begin(progress->ctx, ids.n, (const char *const *)ids.items);
    TRY(pool_run(pool_cores(), manifest->layers_n, unpack_one, &u));
    err_ignore(merged_make(l, &config->rootfs->diff_ids), "a container's start tries again, or does without");
    return NULL;
}

/* ---- names ---- */

static void add_result(struct load *load, char *take_name, const char *id)
{
    struct load_result *r = load->result;
    r->images = mem_array(r->images, r->n + 1, sizeof *r->images);
    r->images[r->n++] = (struct loaded){ .name = take_name, .id = mem_strdup(id) };
}

/* A name that is none (other tools write what they like) leaves the image to its ID. */
static fallible keep(struct load *load, const char *name, const struct oci_descriptor *target, const char *id)
{
    own(ref) struct ref *ref = NULL;
    own(err) err *e = name ? ref_parse(name, &ref) : NULL;
    if (e)
        log_warn("image %s has no name: %s", id, err_text(e));
    if (ref && !ref->tag)
        ref_free(take(ref));
    if (!ref) {
        TRY(layout_add_unnamed(load->l, target));
        add_result(load, NULL, id);
        return NULL;
    }
    own_mem char *full = ref_full(ref);
    TRY(layout_set_name(load->l, full, target));
    add_result(load, ref_familiar(ref), id);
    return NULL;
}

static fallible read_config(struct load *load, const char *digest, struct oci_image_config **ret)
{
    own_mem char *text = NULL;
    size_t len = 0;
    TRY(layout_read_blob(load->l, digest, &text, &len));
    TRY_AS(oci_image_config_read(text, len, ret), "config %.19s", digest);
    return NULL;
}

static fallible check_platform(const struct load *load, const struct oci_image_config *c)
{
    struct oci_platform is = { .os = c->os, .architecture = c->architecture, .variant = c->variant };
    if (platform_matches(&is, load->o->platform))
        return NULL;
    own_mem char *text = platform_text(&is);
    if (load->o->platform)
        return err_new(ERR_NOT_FOUND, "no image for platform %s: it is for %.100s", load->o->platform, text);
    log_warn("the image is for %.100s, this machine is %s", text, platform_of_host());
    return NULL;
}

/* ---- docker-archive ---- */

#define T struct docker_image
static const struct bind_field docker_image_fields[] = {
    BIND_STR(T, config, "Config", .flags = BIND_REQUIRED),
    BIND_STRS(T, repo_tags, "RepoTags"),
    BIND_STRS(T, layers, "Layers"),
    BIND_END,
};
#undef T
static const struct bind_type docker_image_type = { "image", sizeof(struct docker_image), docker_image_fields };

void docker_image_free(struct docker_image *d)
{
    bind_free(&docker_image_type, d);
}

fallible docker_image_read(json_t *row, struct docker_image **ret)
{
    return bind_read_json(&docker_image_type, row, (void **)ret);
}

fallible load_layer_media_type(enum stream_form form, const char **ret)
{
    switch (form) {
    case STREAM_PLAIN:
        *ret = MEDIA_OCI_LAYER;
        return NULL;
    case STREAM_GZIP:
        *ret = MEDIA_OCI_LAYER_GZIP;
        return NULL;
    case STREAM_ZSTD:
        *ret = MEDIA_OCI_LAYER_ZSTD;
        return NULL;
    case STREAM_XZ:
    case STREAM_BZIP2:
        break;
    }
    return err_new(ERR_UNSUPPORTED, "a layer packed with %s: an image's may be plain, gzip or zstd",
                   stream_form_name(form));
}

static fallible layer_media_type(struct layout *l, const char *digest, const char **ret)
{
    own_fd int fd = -1;
    own(stream) struct stream *s = NULL;
    TRY(layout_open_blob(l, digest, -1, &fd));
    TRY(stream_open(stream_source_fd(&fd), 0, &s));
    return load_layer_media_type(stream_form(s), ret);
}

static fallible put_docker_layers(struct load *load, const struct docker_image *d, struct oci_manifest *m)
{
    m->layers = mem_array(NULL, d->layers.n + 1, sizeof *m->layers);
    for (size_t i = 0; i < d->layers.n; i++) {
        struct oci_descriptor *layer = &m->layers[m->layers_n++];
        const char *type = NULL;
        *layer = (struct oci_descriptor){ 0 };
        TRY(bundle_put(load->b, d->layers.items[i], NULL, -1, &layer->digest, &layer->size));
        TRY_AS(layer_media_type(load->l, layer->digest, &type), "'%.200s'", d->layers.items[i]);
        layer->media_type = mem_strdup(type);
    }
    return NULL;
}

static fallible put_docker_manifest(struct load *load, const struct docker_image *d, struct oci_manifest *m,
                                    struct oci_image_config **ret_config)
{
    m->schema_version = 2;
    m->media_type = mem_strdup(MEDIA_OCI_MANIFEST);
    m->config = mem_zalloc(sizeof *m->config);
    m->config->media_type = mem_strdup(MEDIA_OCI_CONFIG);
    TRY(bundle_put(load->b, d->config, NULL, -1, &m->config->digest, &m->config->size));
    TRY(read_config(load, m->config->digest, ret_config));
    TRY(check_platform(load, *ret_config));
    return put_docker_layers(load, d, m);
}

static fallible load_docker_image(struct load *load, const struct docker_image *d)
{
    own(oci_manifest) struct oci_manifest *m = mem_zalloc(sizeof *m);
    own(oci_image_config) struct oci_image_config *config = NULL;
    own_mem char *digest = NULL;
    TRY(put_docker_manifest(load, d, m, &config));
    TRY(load_unpack(load->l, m, config, &load->o->progress));
    own_mem char *text = bind_write(&oci_manifest_type, m, BIND_COMPACT);
    TRY(blob_put(load->l, text, strlen(text), &digest));
    struct oci_descriptor target = { .media_type = m->media_type, .digest = digest, .size = (int64_t)strlen(text) };
    for (size_t i = 0; i < d->repo_tags.n; i++)
        TRY(keep(load, d->repo_tags.items[i], &target, m->config->digest));
    return d->repo_tags.n ? NULL : keep(load, NULL, &target, m->config->digest);
}

static fallible load_docker(struct load *load)
{
    own_mem char *text = NULL;
    own_json json_t *doc = NULL;
    size_t len = 0;
    TRY(bundle_read(load->b, "manifest.json", &text, &len));
    TRY(json_parse("manifest.json", text, len, &doc));
    if (!json_is_array(doc) || json_array_size(doc) == 0)
        return err_new(ERR_INVALID, "manifest.json lists no images");
    for (size_t i = 0; i < json_array_size(doc); i++) {
        own(docker_image) struct docker_image *d = NULL;
        TRY_AS(docker_image_read(json_array_get(doc, i), &d), "manifest.json");
        TRY_AS(load_docker_image(load, d), "image '%.200s'", d->repo_tags.n ? d->repo_tags.items[0] : d->config);
    }
    return NULL;
}

/* ---- OCI ---- */

static fallible put_descriptor(struct load *load, const struct oci_descriptor *d)
{
    own_mem char *path = layout_blob_path(d->digest);
    TRY_AS(bundle_put(load->b, path, d->digest, d->size, NULL, NULL), "blob %.19s", d->digest);
    return NULL;
}

static fallible load_manifest(struct load *load, const struct oci_descriptor *d, char **ret_id)
{
    own(oci_manifest) struct oci_manifest *m = NULL;
    own(oci_image_config) struct oci_image_config *config = NULL;
    own_mem char *text = NULL;
    size_t len = 0;
    TRY(put_descriptor(load, d));
    TRY(layout_read_blob(load->l, d->digest, &text, &len));
    TRY_AS(oci_manifest_read(text, len, &m), "manifest %.19s", d->digest);
    for (size_t i = 0; i < m->layers_n; i++)
        if (media_is_encrypted(m->layers[i].media_type))
            return err_new(ERR_UNSUPPORTED,
                           "its layers are encrypted ('%.100s'): decrypt them with skopeo "
                           "--decryption-key first",
                           m->layers[i].media_type);
    TRY(put_descriptor(load, m->config));
    for (size_t i = 0; i < m->layers_n; i++)
        TRY(put_descriptor(load, &m->layers[i]));
    *ret_id = mem_strdup(m->config->digest);
    if (!oci_manifest_is_image(m)) /* an artifact, a signature: kept as it is */
        return NULL;
    TRY(read_config(load, m->config->digest, &config));
    TRY(check_platform(load, config));
    return load_unpack(load->l, m, config, &load->o->progress);
}

/* A manifest, or the platform's of an index. */
static fallible load_target(struct load *load, const struct oci_descriptor *d, int depth, char **ret_id)
{
    own(oci_index) struct oci_index *index = NULL;
    own_mem char *text = NULL;
    const struct oci_descriptor *chosen = NULL;
    size_t len = 0;
    if (!media_is_index(d->media_type))
        return load_manifest(load, d, ret_id);
    if (depth == INDEX_DEPTH_MAX)
        return err_new(ERR_CORRUPT, "indexes within indexes, more than %d deep", INDEX_DEPTH_MAX);
    TRY(put_descriptor(load, d));
    TRY(layout_read_blob(load->l, d->digest, &text, &len));
    TRY_AS(oci_index_read(text, len, &index), "index %.19s", d->digest);
    TRY(platform_choose(index, load->o->platform, &chosen));
    return load_target(load, chosen, depth + 1, ret_id);
}

static const char *name_of(const struct oci_descriptor *d)
{
    const char *name = strmap_get(&d->annotations, CONTAINERD_NAME_KEY);
    return name ? name : strmap_get(&d->annotations, NAME_KEY);
}

static fallible load_oci(struct load *load)
{
    own_mem char *text = NULL;
    own(oci_index) struct oci_index *index = NULL;
    size_t len = 0, images = 0;
    TRY(bundle_read(load->b, "index.json", &text, &len));
    TRY_AS(oci_index_read(text, len, &index), "index.json");
    for (size_t i = 0; i < index->manifests_n; i++) {
        const struct oci_descriptor *d = &index->manifests[i];
        own_mem char *id = NULL;
        if (!media_is_index(d->media_type) && !media_is_manifest(d->media_type))
            continue;
        TRY_AS(load_target(load, d, 0, &id), "image '%.200s'", name_of(d) ? name_of(d) : d->digest);
        TRY(keep(load, name_of(d), d, id));
        images++;
    }
    return images ? NULL : err_new(ERR_INVALID, "index.json lists no images");
}

fallible load_images(struct layout *l, struct bundle *b, const struct load_options *o, struct load_result *ret)
{
    struct load load = { .l = l, .b = b, .o = o, .result = ret };
    if (bundle_has(b, "index.json") && bundle_has(b, "oci-layout"))
        return load_oci(&load);
    if (bundle_has(b, "manifest.json"))
        return load_docker(&load);
    if (bundle_has(b, "repositories"))
        return err_new(ERR_UNSUPPORTED, "an archive of docker 1.9 or older, without a manifest.json: load it into a "
                                        "newer docker and save it again");
    if (bundle_empty(b))
        return err_new(ERR_INVALID, "it is empty");
    return err_new(ERR_INVALID, "it is neither a docker-archive (no manifest.json) nor an OCI layout (no index.json): "
                                "a root file system is read by 'husk import'");
}
