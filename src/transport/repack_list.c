/*
 * A list whose images are packed otherwise, or once more: `manifest push --compression-format`, `--add-compression`.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "transport/repack.h"

#define ZSTD_MARK   "io.github.containers.compression.zstd"
#define ATTESTS_KEY "vnd.docker.reference.digest"

/* One image of the inner list, packed anew. */
struct part {
    char *old;
    struct source *source;
    struct registry_manifest *doc;
};
struct list_repacked {
    struct source s;
    struct source *inner;
    struct layout *l; /* borrowed */
    struct oci_index *index;
    struct registry_manifest *top;
    struct part *parts;
    size_t n;
    struct source *now; /* which of them the document given last is of; inner: it stays */
};

/* ---- one image of a source, as a source of its own ---- */

struct one_source {
    struct source s;
    struct source *list; /* borrowed */
    char *digest;
};

static fallible one_get(struct source *s_, const char *digest, struct registry_manifest **ret)
{
    struct one_source *s = (struct one_source *)s_;
    return s->list->ops->get(s->list, digest ? digest : s->digest, ret);
}
static fallible one_open(struct source *s_, const struct oci_descriptor *d, int *ret_fd, int64_t *ret_offset)
{
    struct one_source *s = (struct one_source *)s_;
    return s->list->ops->open(s->list, d, ret_fd, ret_offset);
}
static fallible one_send(struct source *s_, const struct oci_descriptor *d, int out_fd)
{
    struct one_source *s = (struct one_source *)s_;
    return s->list->ops->send(s->list, d, out_fd);
}
static void one_free(struct source *s_)
{
    struct one_source *s = (struct one_source *)s_;
    free(s->digest);
    free(s);
}
static const struct source_ops one_ops = { .get = one_get, .open = one_open, .send = one_send, .free = one_free };

static struct source *one_of(struct source *list, const char *digest)
{
    struct one_source *s = mem_zalloc(sizeof *s);
    s->s.ops = &one_ops;
    s->s.transport = list->transport;
    s->list = list;
    s->digest = mem_strdup(digest);
    return &s->s;
}

/* ---- what the images are ---- */

static bool is_layer(const char *type)
{
    return strstr(type, ".tar") && (str_ends(type, ".tar") || str_ends(type, "gzip") || str_ends(type, "zstd"));
}

/* How the layers of an image are packed: all with gzip, all with zstd, in some other way. REPACK_AS_THEY_ARE: it is no
 * image of tar layers, such as an index or an attestation. */
static fallible packed_how(struct source *list, const struct oci_descriptor *d, enum repack_layers *ret)
{
    own(registry_manifest) struct registry_manifest *doc = NULL;
    own(oci_manifest) struct oci_manifest *m = NULL;
    size_t gzip = 0, zstd = 0;
    *ret = REPACK_AS_THEY_ARE;
    if (!str_eq(d->media_type, MEDIA_OCI_MANIFEST) && !str_eq(d->media_type, MEDIA_DOCKER_MANIFEST))
        return NULL;
    TRY(list->ops->get(list, d->digest, &doc));
    TRY(oci_manifest_read(doc->text, doc->len, &m));
    if (!oci_manifest_is_image(m) || strmap_get(&d->annotations, ATTESTS_KEY))
        return NULL;
    for (size_t i = 0; i < m->layers_n; i++) {
        if (!is_layer(m->layers[i].media_type))
            return NULL;
        gzip += str_ends(m->layers[i].media_type, "gzip");
        zstd += str_ends(m->layers[i].media_type, "zstd");
    }
    *ret = gzip == m->layers_n ? REPACK_GZIP : zstd == m->layers_n ? REPACK_ZSTD : REPACK_PLAIN;
    return NULL;
}

static bool same_platform(const struct oci_platform *a, const struct oci_platform *b)
{
    return !a || !b ? a == b
                    : str_eq(a->os, b->os) && str_eq(a->architecture, b->architecture) &&
                          str_eq(a->variant, b->variant) && str_eq(a->os_version, b->os_version);
}

/* ---- packing ---- */

/* What was said of the old digest is said of the new one. */
static void rename_digest(struct oci_index *index, const char *old, const char *digest)
{
    for (size_t i = 0; i < index->manifests_n; i++)
        if (str_eq(strmap_get(&index->manifests[i].annotations, ATTESTS_KEY), old))
            strmap_set(&index->manifests[i].annotations, ATTESTS_KEY, digest);
}

static fallible pack_one(struct list_repacked *s, const char *digest, const struct repack *how,
                         struct oci_descriptor *d)
{
    struct part p = { .old = NULL };
    TRY(source_repacked(one_of(s->inner, digest), s->l, how, &p.source));
    err *e = p.source->ops->get(p.source, NULL, &p.doc);
    if (e) {
        source_free(p.source);
        return e;
    }
    p.old = mem_strdup(digest);
    s->parts = mem_array(s->parts, s->n + 1, sizeof *s->parts);
    s->parts[s->n++] = p;
    free(d->digest);
    free(d->media_type);
    d->digest = mem_strdup(p.doc->digest);
    d->media_type = mem_strdup(p.doc->media_type);
    d->size = (int64_t)p.doc->len;
    if (how->layers == REPACK_ZSTD)
        strmap_set(&d->annotations, ZSTD_MARK, "true");
    return NULL;
}

static fallible pack_those_there(struct list_repacked *s, const struct repack *how, enum repack_layers *packed)
{
    for (size_t i = 0; how->layers != REPACK_AS_THEY_ARE && i < s->index->manifests_n; i++) {
        struct oci_descriptor *d = &s->index->manifests[i];
        if (packed[i] == REPACK_AS_THEY_ARE || (packed[i] == how->layers && !how->force))
            continue;
        own_mem char *old = mem_strdup(d->digest);
        TRY_AS(pack_one(s, old, how, d), "image %.19s", old);
        rename_digest(s->index, old, d->digest);
    }
    return NULL;
}

static bool has_one(const struct list_repacked *s, const enum repack_layers *packed, size_t n, size_t like,
                    enum repack_layers how)
{
    for (size_t i = 0; i < n; i++)
        if (packed[i] == how && same_platform(s->index->manifests[i].platform, s->index->manifests[like].platform))
            return true;
    return false;
}

/* @packed: of the images as they came, n of them; those are what is packed once more, whatever became of them. */
static fallible add_packed(struct list_repacked *s, const struct strv *came, enum repack_layers *packed,
                           struct repack how)
{
    size_t n = came->n;
    for (size_t i = 0; i < n; i++) {
        if (packed[i] == REPACK_AS_THEY_ARE || has_one(s, packed, n, i, how.layers))
            continue;
        own(descriptor) struct oci_descriptor *d = descriptor_copy(&s->index->manifests[i]);
        TRY_AS(pack_one(s, came->items[i], &how, d), "image %.19s", came->items[i]);
        struct oci_index *index = s->index;
        index->manifests = mem_array(index->manifests, index->manifests_n + 1, sizeof *index->manifests);
        index->manifests[index->manifests_n++] = *d;
        free(take(d));
        /* that platform has one now: */
        packed[i] = packed[i] == REPACK_PLAIN ? how.layers : packed[i];
    }
    return NULL;
}

static fallible pack_all(struct list_repacked *s, struct repack how, const enum repack_layers *add, size_t add_n)
{
    own(registry_manifest) struct registry_manifest *doc = NULL;
    own_strv struct strv came = { 0 };
    TRY(s->inner->ops->get(s->inner, NULL, &doc));
    TRY(oci_index_read(doc->text, doc->len, &s->index));
    if (str_eq(doc->media_type, MEDIA_DOCKER_LIST))
        how.form = REPACK_DOCKER;
    size_t n = s->index->manifests_n;
    own_mem enum repack_layers *packed = mem_zalloc((n + 1) * sizeof *packed);
    for (size_t i = 0; i < n; i++) {
        TRY(packed_how(s->inner, &s->index->manifests[i], &packed[i]));
        strv_add(&came, s->index->manifests[i].digest);
    }
    TRY(pack_those_there(s, &how, packed));
    for (size_t i = 0; how.layers != REPACK_AS_THEY_ARE && i < n; i++)
        packed[i] = packed[i] == REPACK_AS_THEY_ARE ? packed[i] : how.layers;
    for (size_t i = 0; i < add_n; i++)
        TRY_AS(add_packed(s, &came, packed, (struct repack){ .layers = add[i], .form = how.form }),
               "--add-compression");
    own_mem char *text = bind_write(&oci_index_type, s->index, BIND_COMPACT);
    return doc_make(text, strlen(text), doc->media_type, NULL, &s->top);
}

/* ---- the source ---- */

static fallible repacked_get(struct source *s_, const char *digest, struct registry_manifest **ret)
{
    struct list_repacked *s = (struct list_repacked *)s_;
    if (!digest || str_eq(digest, s->top->digest)) {
        *ret = doc_copy(s->top);
        return NULL;
    }
    const struct part *part = NULL;
    for (size_t i = 0; i < s->n && !part; i++)
        part = str_eq(s->parts[i].doc->digest, digest) ? &s->parts[i] : NULL;
    own(registry_manifest) struct registry_manifest *doc = NULL;
    TRY(s->inner->ops->get(s->inner, part ? part->old : digest, &doc)); /* its blobs are meant from now on */
    s->s.near_repo = s->inner->near_repo;
    s->now = part ? part->source : s->inner;
    *ret = part ? doc_copy(part->doc) : take(doc);
    return NULL;
}

static fallible repacked_open(struct source *s_, const struct oci_descriptor *d, int *ret_fd, int64_t *ret_offset)
{
    struct list_repacked *s = (struct list_repacked *)s_;
    return s->now->ops->open(s->now, d, ret_fd, ret_offset);
}

static fallible repacked_send(struct source *s_, const struct oci_descriptor *d, int out_fd)
{
    struct list_repacked *s = (struct list_repacked *)s_;
    return s->now->ops->send(s->now, d, out_fd);
}

static void repacked_free(struct source *s_)
{
    struct list_repacked *s = (struct list_repacked *)s_;
    for (size_t i = 0; i < s->n; i++) {
        free(s->parts[i].old);
        source_free(s->parts[i].source);
        registry_manifest_free(s->parts[i].doc);
    }
    free(s->parts);
    oci_index_free(s->index);
    registry_manifest_free(s->top);
    source_free(s->inner);
    free(s);
}

static const struct source_ops list_repacked_ops = {
    .get = repacked_get, .open = repacked_open, .send = repacked_send, .free = repacked_free
};

fallible source_list_repacked(struct source *take_inner, struct layout *l, const struct repack *how,
                              const enum repack_layers *add, size_t add_n, struct source **ret)
{
    own(source) struct source *made = NULL;
    struct list_repacked *s = mem_zalloc(sizeof *s);
    made = &s->s;
    s->s.ops = &list_repacked_ops;
    s->s.transport = take_inner->transport;
    s->s.scope = mem_strdup(take_inner->scope);
    s->s.name = mem_strdup(take_inner->name);
    s->inner = s->now = take_inner;
    s->l = l;
    TRY(pack_all(s, *how, add, add_n));
    *ret = take(made);
    return NULL;
}
