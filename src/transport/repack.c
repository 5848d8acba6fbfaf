/*
 * An image with its layers packed otherwise, and its manifest written for it: `save --compress`, `save --uncompressed`,
 * and docker's own form of a manifest. The config stays, and with it the image's ID: its diffIDs are of plain layers.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/digest.h"
#include "codec/stream.h"
#include "layers/layer.h"
#include "layers/restore.h"
#include "os/fs.h"
#include "transport/repack.h"

#define MEDIA_DOCKER_LAYER "application/vnd.docker.image.rootfs.diff.tar"

enum { CHUNK = 256 << 10, DOCUMENT_MAX = 4 << 20 };

struct repacked {
    char *digest; /* what it is now */
    char *diff_id;
    struct oci_descriptor old; /* borrowed from the manifest */
    int fd;                    /* where it lies; -1: it is unpacked when it is sent */
};
struct repack_source {
    struct source s;
    struct source *inner;
    struct layout *l; /* borrowed */
    struct repack how;
    struct oci_manifest *m;
    struct registry_manifest *doc;
    struct repacked *list;
    size_t n;
};

static bool is_gzip(const char *type)
{
    return str_ends(type, "gzip");
}
static bool is_zstd(const char *type)
{
    return str_ends(type, "zstd");
}
static bool is_plain(const char *type)
{
    return str_ends(type, ".tar");
}

/* What a layer is to become; AS_THEY_ARE: it stays. */
static enum repack_layers target_of(const struct repack *how, const char *type)
{
    switch (how->layers) {
    case REPACK_AS_THEY_ARE:
        return how->form == REPACK_DOCKER && is_zstd(type) ? REPACK_GZIP : REPACK_AS_THEY_ARE;
    case REPACK_GZIP:
        return is_gzip(type) && !how->force ? REPACK_AS_THEY_ARE : REPACK_GZIP;
    case REPACK_ZSTD:
        return is_zstd(type) && !how->force ? REPACK_AS_THEY_ARE : REPACK_ZSTD;
    case REPACK_PLAIN:
        return is_plain(type) ? REPACK_AS_THEY_ARE : REPACK_PLAIN;
    }
    return REPACK_AS_THEY_ARE;
}

/* ---- one layer ---- */

struct packing {
    int fd;
    struct digest *digest;
    int64_t size;
};
static err *add_packed(void *ctx, const void *bytes, size_t n)
{
    struct packing *p = ctx;
    TRY(fs_write_fd(p->fd, bytes, n, "the packed layer"));
    digest_add(p->digest, bytes, n);
    p->size += (int64_t)n;
    return NULL;
}

typedef err *plain_use(void *ctx, const void *bytes, size_t n);
struct unpacking {
    plain_use *use;
    void *ctx;
};
static err *unpack_from(void *ctx, int fd, int64_t offset)
{
    const struct unpacking *u = ctx;
    own_fd int own_end = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    own(stream) struct stream *stream = NULL;
    own_mem char *buf = mem_alloc(CHUNK);
    if (own_end < 0 || (offset > 0 && lseek(own_end, offset, SEEK_SET) < 0))
        return err_sys(errno, "open a layer");
    TRY(stream_open(stream_source_fd(&own_end), 0, &stream));
    for (;;) {
        size_t n = 0;
        TRY(stream_read(stream, buf, CHUNK, &n));
        if (n == 0)
            return NULL;
        TRY(u->use(u->ctx, buf, n));
    }
}

/* A file of the store, or what a registry sends. Packed bytes that are not kept are not missed where the tar is. */
static fallible unpack(struct repack_source *s, const struct repacked *r, plain_use *use, void *ctx)
{
    struct unpacking u = { use, ctx };
    err *e = source_with_blob(s->inner, &r->old, unpack_from, &u);
    if (!err_is(e, ERR_NOT_FOUND) || !restore_possible(s->l, r->diff_id))
        return e;
    err_ignore(e, "it is made of the layer");
    return restore_send(s->l, r->diff_id, use, ctx);
}

struct plain {
    struct packer *packer;
    struct digest *digest;
};
static err *add_plain(void *ctx, const void *bytes, size_t n)
{
    const struct plain *p = ctx;
    digest_add(p->digest, bytes, n);
    return packer_add(p->packer, bytes, n);
}

static fallible pack(struct repack_source *s, enum stream_form form, const char *diff_id, struct oci_descriptor *layer,
                     struct repacked *r)
{
    own(digest) struct digest *digest = NULL;
    own(digest) struct digest *plain = NULL;
    own(packer) struct packer *packer = NULL;
    own_fd int tmp = openat(s->l->fd, "tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (tmp < 0)
        return err_sys(errno, "make a temporary file");
    TRY(digest_new(NULL, &digest));
    struct packing p = { tmp, digest, 0 };
    TRY(packer_new(form, s->how.level, add_packed, &p, &packer));
    TRY(digest_new(NULL, &plain));
    TRY(unpack(s, r, add_plain, &(struct plain){ packer, plain }));
    TRY(packer_end(packer));
    own_mem char *found = digest_end(plain);
    if (!str_eq(found, diff_id)) /* it may have come from a registry just now */
        return err_new(ERR_CORRUPT, "it unpacks to %s, and the config names %s", found, diff_id);
    layer->digest = digest_end(digest);
    layer->size = p.size;
    r->fd = take_fd(&tmp);
    return NULL;
}

static fallible repack_layer(struct repack_source *s, struct oci_descriptor *layer, const char *diff_id)
{
    enum repack_layers to = target_of(&s->how, layer->media_type);
    if (to == REPACK_AS_THEY_ARE)
        return NULL;
    s->list = mem_array(s->list, s->n + 1, sizeof *s->list);
    struct repacked *r = &s->list[s->n++];
    *r = (struct repacked){ .old = { .media_type = layer->media_type, .digest = layer->digest, .size = layer->size },
                            .diff_id = mem_strdup(diff_id),
                            .fd = -1 };
    layer->digest = layer->media_type = NULL; /* they are old's, also where what follows fails */
    if (to == REPACK_PLAIN) {
        layer->digest = mem_strdup(diff_id);
        TRY(layer_size(s->l, diff_id, &layer->size));
        layer->media_type = mem_strdup(MEDIA_OCI_LAYER);
    } else {
        TRY(pack(s, to == REPACK_ZSTD ? STREAM_ZSTD : STREAM_GZIP, diff_id, layer, r));
        layer->media_type = mem_strdup(to == REPACK_ZSTD ? MEDIA_OCI_LAYER_ZSTD : MEDIA_OCI_LAYER_GZIP);
    }
    r->digest = mem_strdup(layer->digest);
    return NULL;
}

/* ---- the manifest ---- */

static void set_type(char **type, const char *to)
{
    free(*type);
    *type = mem_strdup(to);
}

static void to_docker(struct oci_manifest *m)
{
    set_type(&m->media_type, MEDIA_DOCKER_MANIFEST);
    set_type(&m->config->media_type, MEDIA_DOCKER_CONFIG);
    for (size_t i = 0; i < m->layers_n; i++)
        set_type(&m->layers[i].media_type,
                 is_plain(m->layers[i].media_type) ? MEDIA_DOCKER_LAYER : MEDIA_DOCKER_LAYER_GZIP);
}

static void to_oci(struct oci_manifest *m)
{
    set_type(&m->media_type, MEDIA_OCI_MANIFEST);
    set_type(&m->config->media_type, MEDIA_OCI_CONFIG);
    for (size_t i = 0; i < m->layers_n; i++)
        set_type(&m->layers[i].media_type, is_plain(m->layers[i].media_type)  ? MEDIA_OCI_LAYER
                                           : is_zstd(m->layers[i].media_type) ? MEDIA_OCI_LAYER_ZSTD
                                                                              : MEDIA_OCI_LAYER_GZIP);
}

/* All of one form, whatever the layers that were packed anew are called. */
static void shape(struct repack_source *s)
{
    bool docker = str_eq(s->m->media_type, MEDIA_DOCKER_MANIFEST);
    if (s->how.form == REPACK_DOCKER || (s->how.form == REPACK_SAME_FORM && docker && s->how.layers != REPACK_ZSTD))
        to_docker(s->m);
    else
        to_oci(s->m);
}

static fallible read_config(struct repack_source *s, struct oci_image_config **ret)
{
    own_mem char *text = NULL;
    size_t len = 0;
    TRY(source_read_blob(s->inner, s->m->config, DOCUMENT_MAX, &text, &len));
    TRY(oci_image_config_read(text, len, ret));
    if ((*ret)->rootfs->diff_ids.n != s->m->layers_n)
        return err_new(ERR_CORRUPT, "the config names %zu layers, the manifest %zu", (*ret)->rootfs->diff_ids.n,
                       s->m->layers_n);
    return NULL;
}

static fallible repack(struct repack_source *s)
{
    own(registry_manifest) struct registry_manifest *doc = NULL;
    own(oci_image_config) struct oci_image_config *config = NULL;
    TRY(s->inner->ops->get(s->inner, NULL, &doc));
    TRY(oci_manifest_read(doc->text, doc->len, &s->m));
    if (!oci_manifest_is_image(s->m))
        return err_new(ERR_UNSUPPORTED, "an artifact has no layers that could be packed otherwise");
    TRY(read_config(s, &config));
    for (size_t i = 0; i < s->m->layers_n; i++)
        TRY_AS(repack_layer(s, &s->m->layers[i], config->rootfs->diff_ids.items[i]), "layer %zu", i + 1);
    shape(s);
    own_mem char *text = bind_write(&oci_manifest_type, s->m, BIND_COMPACT);
    return doc_make(text, strlen(text), NULL, NULL, &s->doc);
}

/* ---- the source ---- */

static fallible repack_get(struct source *s_, const char *digest, struct registry_manifest **ret)
{
    struct repack_source *s = (struct repack_source *)s_;
    if (digest && !str_eq(digest, s->doc->digest))
        return s->inner->ops->get(s->inner, digest, ret);
    *ret = doc_copy(s->doc);
    return NULL;
}

static const struct repacked *find(const struct repack_source *s, const struct oci_descriptor *d)
{
    for (size_t i = 0; i < s->n; i++)
        if (str_eq(s->list[i].digest, d->digest))
            return &s->list[i];
    return NULL;
}

static fallible repack_open(struct source *s_, const struct oci_descriptor *d, int *ret_fd, int64_t *ret_offset)
{
    struct repack_source *s = (struct repack_source *)s_;
    const struct repacked *r = find(s, d);
    *ret_offset = 0;
    if (!r)
        return s->inner->ops->open(s->inner, d, ret_fd, ret_offset);
    if (r->fd < 0)
        return NULL;
    *ret_fd = fcntl(r->fd, F_DUPFD_CLOEXEC, 3);
    return *ret_fd < 0 ? err_sys(errno, "open the packed layer") : NULL;
}

static err *write_plain(void *fd, const void *bytes, size_t n)
{
    return fs_write_fd(*(int *)fd, bytes, n, "a pipe");
}

static fallible repack_send(struct source *s_, const struct oci_descriptor *d, int out_fd)
{
    struct repack_source *s = (struct repack_source *)s_;
    const struct repacked *r = find(s, d);
    if (!r)
        return s->inner->ops->send(s->inner, d, out_fd);
    return unpack(s, r, write_plain, &out_fd);
}

static void repack_free(struct source *s_)
{
    struct repack_source *s = (struct repack_source *)s_;
    source_free(s->inner);
    oci_manifest_free(s->m);
    registry_manifest_free(s->doc);
    for (size_t i = 0; i < s->n; i++) {
        free(s->list[i].digest);
        free(s->list[i].diff_id);
        free(s->list[i].old.digest);
        free(s->list[i].old.media_type);
        close_now(&s->list[i].fd);
    }
    free(s->list);
    free(s);
}

static const struct source_ops repack_ops = {
    .get = repack_get, .open = repack_open, .send = repack_send, .free = repack_free
};

fallible source_repacked(struct source *take_inner, struct layout *l, const struct repack *how, struct source **ret)
{
    own(source) struct source *made = NULL;
    struct repack_source *s = mem_zalloc(sizeof *s);
    made = &s->s;
    s->s.ops = &repack_ops;
    s->s.transport = take_inner->transport;
    s->s.scope = mem_strdup(take_inner->scope);
    s->s.name = mem_strdup(take_inner->name);
    s->inner = take_inner;
    s->l = l;
    s->how = *how;
    if (how->layers == REPACK_ZSTD && how->form == REPACK_DOCKER)
        return err_new(ERR_INVALID, "Docker's form of a manifest knows no zstd: choose gzip, or the form oci");
    TRY(repack(s));
    *ret = take(made);
    return NULL;
}
