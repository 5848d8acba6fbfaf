/*
 * store: the store of this husk, as a source and as a sink.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "image/blob.h"
#include "layers/load.h"
#include "layers/restore.h"
#include "transport/repack.h"

#define NAME_KEY "org.opencontainers.image.ref.name"

/* ---- source ---- */

struct store_source {
    struct source s;
    struct layout *l;          /* borrowed */
    struct oci_descriptor top; /* what the name stands for; its strings are ours */
    struct ref *ref;           /* or NULL: found by ID */
};

static fallible read_doc(struct layout *l, const char *digest, const char *media_type, struct registry_manifest **ret)
{
    own_mem char *text = NULL;
    size_t len = 0;
    err *e = layout_read_blob(l, digest, &text, &len);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_ignore(e, "said in other words");
        return err_new(ERR_NOT_FOUND, "manifest %s is not in the store: it was not pulled for all platforms", digest);
    }
    TRY(e);
    return doc_make(text, len, media_type, digest, ret);
}

static fallible store_get(struct source *s_, const char *digest, struct registry_manifest **ret)
{
    struct store_source *s = (struct store_source *)s_;
    return read_doc(s->l, digest ? digest : s->top.digest, digest ? NULL : s->top.media_type, ret);
}

static fallible store_open(struct source *s_, const struct oci_descriptor *d, int *ret_fd, int64_t *ret_offset)
{
    struct store_source *s = (struct store_source *)s_;
    *ret_offset = 0;
    return restore_open(s->l, d->digest, d->size, ret_fd);
}

static const struct oci_descriptor *find_name(const struct oci_index *index, const char *full)
{
    for (size_t i = 0; i < index->manifests_n; i++)
        if (str_eq(strmap_get(&index->manifests[i].annotations, NAME_KEY), full))
            return &index->manifests[i];
    return NULL;
}

static fallible store_tagged(struct source *s_, const char *tag, struct registry_manifest **ret)
{
    struct store_source *s = (struct store_source *)s_;
    own(oci_index) struct oci_index *index = NULL;
    if (!s->ref)
        return err_new(ERR_NOT_FOUND, "the image has no name");
    own_mem char *full = mem_printf("%s/%s:%s", s->ref->registry, s->ref->repository, tag);
    TRY(layout_read_index(s->l, &index));
    const struct oci_descriptor *d = find_name(index, full);
    if (!d)
        return err_new(ERR_NOT_FOUND, "no '%s' in the store", full);
    return read_doc(s->l, d->digest, d->media_type, ret);
}

/* Artifacts without a name whose subject is the digest. */
fallible store_referrers_of(struct layout *l, const char *digest, struct oci_index **ret)
{
    own(oci_index) struct oci_index *index = NULL;
    TRY(layout_read_index(l, &index));
    size_t kept = 0;
    for (size_t i = 0; i < index->manifests_n; i++) {
        own(registry_manifest) struct registry_manifest *doc = NULL;
        own(oci_manifest) struct oci_manifest *m = NULL;
        struct oci_descriptor *d = &index->manifests[i];
        if (media_is_index(d->media_type) || strmap_get(&d->annotations, NAME_KEY))
            continue;
        err_ignore(read_doc(l, d->digest, d->media_type, &doc), "then it refers to nothing");
        err_ignore(doc ? oci_manifest_read(doc->text, doc->len, &m) : NULL, "then it refers to nothing");
        if (!m || !m->subject || !str_eq(m->subject->digest, digest))
            continue;
        struct oci_descriptor swap = index->manifests[kept];
        index->manifests[kept++] = *d;
        *d = swap;
    }
    size_t all = index->manifests_n;
    index->manifests_n = kept;
    *ret = NULL;
    if (kept) {
        own_mem char *text = bind_write(&oci_index_type, index, BIND_COMPACT);
        TRY(oci_index_read(text, strlen(text), ret));
    }
    index->manifests_n = all;
    return NULL;
}

static fallible store_referrers(struct source *s_, const char *digest, struct oci_index **ret)
{
    struct store_source *s = (struct store_source *)s_;
    return store_referrers_of(s->l, digest, ret);
}

static void store_source_free(struct source *s_)
{
    struct store_source *s = (struct store_source *)s_;
    free(s->top.media_type);
    free(s->top.digest);
    ref_free(s->ref);
    free(s);
}

static const struct source_ops store_source_ops = {
    .get = store_get,
    .open = store_open,
    .tagged = store_tagged,
    .referrers = store_referrers,
    .free = store_source_free,
};

/* A name wins over an ID, and stands for all platforms that it has. */
static fallible find_top(struct store_source *s, const char *what)
{
    own(oci_index) struct oci_index *index = NULL;
    own(image) struct image *image = NULL;
    TRY(layout_read_index(s->l, &index));
    err_ignore(ref_parse(what, &s->ref), "it may be an ID");
    own_mem char *full = s->ref ? ref_full(s->ref) : NULL;
    const struct oci_descriptor *d = full ? find_name(index, full) : NULL;
    if (d) {
        s->top = (struct oci_descriptor){ .media_type = mem_strdup(d->media_type), .digest = mem_strdup(d->digest) };
        s->s.name = take(full);
        return NULL;
    }
    TRY(image_find(s->l, what, NULL, &image));
    s->top.digest = mem_strdup(image->manifest_digest);
    s->top.media_type = mem_strdup(image->manifest->media_type);
    if (!image->name)
        ref_free(take(s->ref));
    else if (s->ref && s->ref->tag && !s->ref->digest)
        s->s.name = mem_strdup(image->name);
    return NULL;
}

fallible source_store(struct layout *l, const char *what, struct source **ret)
{
    own(source) struct source *made = NULL;
    struct store_source *s = mem_zalloc(sizeof *s);
    made = &s->s;
    s->s.ops = &store_source_ops;
    s->s.transport = "containers-storage";
    s->s.trusted = s->s.parallel = true;
    s->l = l;
    TRY(find_top(s, what));
    s->s.scope = mem_strdup(s->s.name ? s->s.name : "");
    *ret = take(made);
    return NULL;
}

fallible source_image(struct layout *l, const struct image *image, struct source **ret)
{
    struct store_source *s = mem_zalloc(sizeof *s);
    s->s.ops = &store_source_ops;
    s->s.transport = "containers-storage";
    s->s.trusted = s->s.parallel = true;
    s->l = l;
    s->top.digest = mem_strdup(image->manifest_digest);
    s->top.media_type = mem_strdup(image->manifest->media_type);
    err_ignore(image->name ? ref_parse(image->name, &s->ref) : NULL, "then it has no name");
    if (s->ref && s->ref->tag && !s->ref->digest)
        s->s.name = mem_strdup(image->name);
    s->s.scope = mem_strdup(s->s.name ? s->s.name : "");
    *ret = &s->s;
    return NULL;
}

fallible source_store_digest(struct layout *l, const char *digest, const char *media_type, struct source **ret)
{
    struct store_source *s = mem_zalloc(sizeof *s);
    s->s.ops = &store_source_ops;
    s->s.transport = "containers-storage";
    s->s.trusted = s->s.parallel = true;
    s->l = l;
    s->top.digest = mem_strdup(digest);
    s->top.media_type = mem_strdup(media_type);
    s->s.scope = mem_strdup("");
    *ret = &s->s;
    return NULL;
}

fallible source_store_sent(struct layout *l, const struct registry_manifest *doc, const char *name, struct source **ret)
{
    own(source) struct source *made = NULL;
    TRY(source_store_digest(l, doc->digest, doc->media_type, &made));
    struct store_source *s = (struct store_source *)made;
    made->transport = "ssh";
    if (name) {
        TRY(ref_parse(name, &s->ref));
        made->name = mem_strdup(name);
    }
    *ret = take(made);
    return NULL;
}

/* ---- sink ---- */

struct store_sink {
    struct sink s;
    struct layout *l; /* borrowed */
    const struct progress *progress;
};

static fallible store_has(struct sink *s_, const struct oci_descriptor *const *d, size_t n, bool *ret_has)
{
    for (size_t i = 0; i < n; i++)
        ret_has[i] = layout_has_blob(s_->store, d[i]->digest, d[i]->size);
    return NULL;
}

enum { CHUNK = 256 << 10 };

static fallible add_all(struct blob *b, const struct oci_descriptor *d, int fd, int64_t offset)
{
    own_mem char *buf = mem_alloc(CHUNK);
    for (int64_t left = d->size; left > 0;) {
        size_t want = left > CHUNK ? CHUNK : (size_t)left;
        ssize_t n = offset >= 0 ? pread(fd, buf, want, offset) : read(fd, buf, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read it");
        if (n == 0)
            break; /* blob_end() says what is missing */
        TRY(blob_add(b, buf, (size_t)n));
        left -= n;
        offset += offset >= 0 ? n : 0;
    }
    return NULL;
}

static fallible store_put(struct sink *s_, const struct oci_descriptor *d, int fd, int64_t offset, bool known)
{
    own(blob) struct blob *b = NULL;
    TRY(blob_begin(s_->store, d->digest, d->size, &b));
    if (!b)
        return NULL;
    TRY(blob_restart(b)); /* the source sends all of it */
    err *e = add_all(b, d, fd, offset);
    if (!e)
        e = blob_end(b);
    if (e)
        blob_discard(take(b));
    return e;
}

static fallible put_text(struct layout *l, const struct registry_manifest *doc)
{
    own(blob) struct blob *b = NULL;
    TRY(blob_begin(l, doc->digest, (int64_t)doc->len, &b));
    if (!b)
        return NULL;
    TRY(blob_restart(b));
    TRY(blob_add(b, doc->text, doc->len));
    return blob_end(b);
}

/* Artifacts have nothing to unpack. */
static fallible unpack(struct store_sink *s, const struct registry_manifest *doc)
{
    own(oci_manifest) struct oci_manifest *m = NULL;
    own(oci_image_config) struct oci_image_config *config = NULL;
    own_mem char *text = NULL;
    size_t len = 0;
    struct progress quiet = { 0 };
    TRY(oci_manifest_read(doc->text, doc->len, &m));
    if (!oci_manifest_is_image(m))
        return NULL;
    TRY(layout_read_blob(s->l, m->config->digest, &text, &len));
    TRY_AS(oci_image_config_read(text, len, &config), "config %.19s", m->config->digest);
    return load_unpack(s->l, m, config, s->progress ? s->progress : &quiet);
}

static fallible store_put_doc(struct sink *s_, const struct registry_manifest *doc, enum doc_place place,
                              const char *name)
{
    struct store_sink *s = (struct store_sink *)s_;
    struct oci_descriptor target = doc_descriptor(doc);
    if (!media_is_index(doc->media_type))
        TRY(unpack(s, doc));
    TRY(put_text(s->l, doc));
    if (place == DOC_PART)
        return NULL;
    return name ? layout_set_name(s->l, name, &target) : layout_add_unnamed(s->l, &target);
}

static fallible store_finish(struct sink *s_)
{
    return NULL;
}

static void store_sink_free(struct sink *s_)
{
    free(s_);
}

static const struct sink_ops store_sink_ops = {
    .has = store_has,
    .put = store_put,
    .put_doc = store_put_doc,
    .finish = store_finish,
    .free = store_sink_free,
};

fallible sink_store(struct layout *l, const char *full_name, const struct progress *progress, struct sink **ret)
{
    struct store_sink *s = mem_zalloc(sizeof *s);
    s->s.ops = &store_sink_ops;
    s->s.name = mem_strdup(full_name);
    s->s.parallel = true;
    s->s.store = s->l = l;
    s->progress = progress;
    *ret = &s->s;
    return NULL;
}
