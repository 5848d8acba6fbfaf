/*
 * docker-archive, oci-archive as a sink: a tar, written front to end. Both are an OCI image layout (index.json last, as
 * docker does); a docker-archive has docker's manifest.json as well, over the same blobs. So the one reads everywhere
 * that docker, podman and skopeo read archives, and gives the very manifest back where the reader knows layouts.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "codec/tar.h"
#include "os/fs.h"
#include "transport/layout_index.h"
#include "transport/transport.h"

struct archive_sink {
    struct sink s;
    int fd;
    enum archive_kind kind;
    struct strv written;     /* digests */
    struct oci_index *index; /* of what was put */
    json_t *images;          /* docker's manifest.json */
    bool begun;              /* the folders are written */
};

/* Readers that make missing folders themselves want them to be root's, which skopeo of an ordinary user cannot. */
static fallible add_folders(struct archive_sink *s)
{
    static const char *const folders[] = { "blobs/", "blobs/sha256/" };
    own_str struct str headers = { 0 };
    if (s->begun)
        return NULL;
    s->begun = true;
    for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
        tar_write_header(&headers,
                         &(struct tar_entry){ .type = TAR_DIR, .path = folders[i], .link = "", .mode = 0755 });
    return fs_write_fd(s->fd, headers.text, headers.len, "the archive");
}

static fallible add_header(struct archive_sink *s, const char *path, uint64_t size)
{
    own_str struct str header = { 0 };
    struct tar_entry e = { .type = TAR_FILE, .path = path, .mode = 0644, .size = size };
    TRY(add_folders(s));
    tar_write_header(&header, &e);
    return fs_write_fd(s->fd, header.text, header.len, "the archive");
}

static fallible add_padding(struct archive_sink *s, uint64_t size)
{
    own_str struct str padding = { 0 };
    tar_pad(&padding, size);
    return padding.len ? fs_write_fd(s->fd, padding.text, padding.len, "the archive") : NULL;
}

static fallible add_text(struct archive_sink *s, const char *path, const char *text, size_t len)
{
    TRY(add_header(s, path, len));
    TRY(fs_write_fd(s->fd, text, len, "the archive"));
    return add_padding(s, len);
}

static fallible archive_has(struct sink *s_, const struct oci_descriptor *const *d, size_t n, bool *ret_has)
{
    struct archive_sink *s = (struct archive_sink *)s_;
    for (size_t i = 0; i < n; i++)
        ret_has[i] = strv_has(&s->written, d[i]->digest);
    return NULL;
}

static fallible archive_put(struct sink *s_, const struct oci_descriptor *d, int fd, int64_t offset, bool known)
{
    struct archive_sink *s = (struct archive_sink *)s_;
    own_mem char *path = layout_blob_path(d->digest);
    TRY(add_header(s, path, (uint64_t)d->size));
    TRY(bytes_move(fd, offset, d->size, s->fd, known ? NULL : d->digest));
    strv_add(&s->written, d->digest);
    return add_padding(s, (uint64_t)d->size);
}

static fallible put_blob_of(struct archive_sink *s, const struct registry_manifest *doc)
{
    own_mem char *path = layout_blob_path(doc->digest);
    if (strv_has(&s->written, doc->digest))
        return NULL;
    TRY(add_text(s, path, doc->text, doc->len));
    strv_add(&s->written, doc->digest);
    return NULL;
}

/* ---- docker's manifest.json ---- */

static json_t *image_row(struct archive_sink *s, const char *config_path)
{
    json_t *row;
    size_t i;
    json_array_foreach (s->images, i, row)
        if (str_eq(json_string_value(json_object_get(row, "Config")), config_path))
            return row;
    return NULL;
}

static void add_repo_tag(json_t *row, const char *name)
{
    own(ref) struct ref *r = NULL;
    err_ignore(name ? ref_parse(name, &r) : NULL, "it has no name then");
    if (!r || !r->tag || r->digest)
        return;
    own_mem char *shown = ref_familiar(r);
    json_t *tags = json_object_get(row, "RepoTags");
    if (!json_is_array(tags)) {
        tags = json_array();
        (void)json_object_set_new(row, "RepoTags", tags);
    }
    (void)json_array_append_new(tags, json_string(shown));
}

static fallible add_docker_image(struct archive_sink *s, const struct registry_manifest *doc, const char *name)
{
    own(oci_manifest) struct oci_manifest *m = NULL;
    TRY(oci_manifest_read(doc->text, doc->len, &m));
    if (!oci_manifest_is_image(m))
        return err_new(ERR_UNSUPPORTED, "an artifact of type '%.100s' is no docker image: use an oci-archive",
                       m->artifact_type ? m->artifact_type : m->config->media_type);
    own_mem char *config = layout_blob_path(m->config->digest);
    json_t *row = image_row(s, config);
    if (!row) {
        row = json_object();
        json_t *layers = json_array();
        for (size_t i = 0; i < m->layers_n; i++) {
            own_mem char *path = layout_blob_path(m->layers[i].digest);
            (void)json_array_append_new(layers, json_string(path));
        }
        (void)json_object_set_new(row, "Config", json_string(config));
        (void)json_object_set_new(row, "RepoTags", json_null());
        (void)json_object_set_new(row, "Layers", layers);
        (void)json_array_append_new(s->images, row);
    }
    add_repo_tag(row, name);
    return NULL;
}

static fallible archive_put_doc(struct sink *s_, const struct registry_manifest *doc, enum doc_place place,
                                const char *name)
{
    struct archive_sink *s = (struct archive_sink *)s_;
    struct oci_descriptor target = doc_descriptor(doc);
    TRY(put_blob_of(s, doc));
    if (place == DOC_PART)
        return NULL;
    if (s->kind == ARCHIVE_DOCKER && place == DOC_TOP)
        TRY(add_docker_image(s, doc, name));
    layout_index_set(s->index, &target, name, name);
    return NULL;
}

static fallible archive_finish(struct sink *s_)
{
    struct archive_sink *s = (struct archive_sink *)s_;
    own_str struct str end = { 0 };
    own_mem char *index = bind_write(&oci_index_type, s->index, BIND_COMPACT);
    TRY(add_text(s, "index.json", index, strlen(index)));
    if (s->kind == ARCHIVE_DOCKER) {
        own_mem char *images = json_text(s->images, BIND_COMPACT);
        TRY(add_text(s, "manifest.json", images, strlen(images)));
    }
    TRY(add_text(s, "oci-layout", LAYOUT_VERSION_TEXT, strlen(LAYOUT_VERSION_TEXT)));
    tar_end(&end);
    return fs_write_fd(s->fd, end.text, end.len, "the archive");
}

static void archive_sink_free(struct sink *s_)
{
    struct archive_sink *s = (struct archive_sink *)s_;
    close_now(&s->fd);
    strv_free(&s->written);
    oci_index_free(s->index);
    json_decref(s->images);
    free(s);
}

static const struct sink_ops archive_sink_ops = {
    .has = archive_has,
    .put = archive_put,
    .put_doc = archive_put_doc,
    .finish = archive_finish,
    .free = archive_sink_free,
};

fallible sink_archive(int take_out_fd, enum archive_kind kind, struct sink **ret)
{
    struct archive_sink *s = mem_zalloc(sizeof *s);
    s->s.ops = &archive_sink_ops;
    s->s.one_platform = kind == ARCHIVE_DOCKER;
    s->fd = take_out_fd;
    s->kind = kind;
    s->index = mem_zalloc(sizeof *s->index);
    s->index->schema_version = 2;
    s->index->media_type = mem_strdup(MEDIA_OCI_INDEX);
    s->images = json_array();
    *ret = &s->s;
    return NULL;
}
