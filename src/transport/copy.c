// SPDX-License-Identifier: GPL-2.0-or-later
#include <string.h>

#include "base/log.h"
#include "codec/pool.h"
#include "image/blob.h"
#include "transport/transport.h"

enum { DEPTH_MAX = 4, SIDE_BY_SIDE = 3, ATTEMPTS = 3, SHORT_ID = 12, REFERRERS_MAX = 1000 };

struct copy {
    struct source *from;
    struct sink *to;
    const struct copy_options *o;
};

/* ---- blobs ---- */

struct blobs {
    struct copy *copy;
    const struct oci_descriptor **list; /* those that the sink lacks */
    size_t n;
};

static void tell(const struct copy *c, size_t i, enum progress_state state, int64_t size)
{
    if (c->o->progress.layer)
        c->o->progress.layer(c->o->progress.ctx, i, state, state == PROGRESS_DONE ? size : 0, size);
}

struct putting {
    struct copy *copy;
    const struct oci_descriptor *d;
};
static err *put_from(void *ctx, int fd, int64_t offset)
{
    struct putting *p = ctx;
    return p->copy->to->ops->put(p->copy->to, p->d, fd, offset, p->copy->from->trusted);
}

/* From a registry into the store, a transfer that was cut off goes on where it was. */
static fallible fetch(struct copy *c, const struct oci_descriptor *d)
{
    own(blob) struct blob *b = NULL;
    TRY(blob_begin(c->to->store, d->digest, d->size, &b));
    if (!b)
        return NULL;
    err *e = blob_bytes(b) < d->size || !d->size ? c->from->ops->fetch(c->from, d, b) : NULL;
    if (!e)
        e = blob_end(b);
    if (err_is(e, ERR_CORRUPT) || err_is(e, ERR_EXHAUSTED))
        blob_discard(take(b));
    return e;
}

/* A sink that loses its connection in the middle of a pipe gets the blob from its start. */
static fallible copy_blob(struct copy *c, const struct oci_descriptor *d)
{
    struct putting p = { c, d };
    if (c->to->store && c->from->ops->fetch)
        return fetch(c, d);
    for (int attempt = 1;; attempt++) {
        err *e = source_with_blob(c->from, d, put_from, &p);
        if (!err_is(e, ERR_UNAVAILABLE) || attempt == ATTEMPTS || !c->from->parallel)
            return e;
        err_ignore(e, "once more, from its start");
    }
}

static err *blob_job(struct pool *pool, void *ctx, size_t i)
{
    const struct blobs *b = ctx;
    const struct oci_descriptor *d = b->list[i];
    tell(b->copy, i, PROGRESS_DOWNLOADING, d->size);
    TRY_AS(copy_blob(b->copy, d), "blob %.*s", SHORT_ID, digest_hex(d->digest));
    tell(b->copy, i, PROGRESS_DONE, d->size);
    return NULL;
}

static fallible keep_missing(struct copy *c, const struct oci_descriptor **list, size_t *n)
{
    own_mem bool *has = mem_zalloc(*n * sizeof *has + 1);
    size_t missing = 0;
    TRY(c->to->ops->has(c->to, (const struct oci_descriptor *const *)list, *n, has));
    for (size_t i = 0; i < *n; i++)
        if (!has[i])
            list[missing++] = list[i];
    log_debug("copy: %zu of %zu blobs are there", *n - missing, *n);
    *n = missing;
    return NULL;
}

static void begin_progress(struct copy *c, const struct oci_descriptor *const *list, size_t n)
{
    own_strv struct strv ids = { 0 };
    for (size_t i = 0; i < n; i++)
        strv_add_printf(&ids, "%.*s", SHORT_ID, digest_hex(list[i]->digest));
    if (c->o->progress.begin)
        c->o->progress.begin(c->o->progress.ctx, n, (const char *const *)ids.items);
}

static fallible copy_blobs(struct copy *c, const struct oci_manifest *m)
{
    own_mem const struct oci_descriptor **list = NULL;
    size_t n = 0;
    TRY(doc_blobs(m, &list, &n));
    if (c->from->near_repo)
        c->to->near_repo = c->from->near_repo;
    TRY(keep_missing(c, list, &n));
    begin_progress(c, list, n);
    struct blobs b = { c, list, n };
    return pool_run(c->from->parallel && c->to->parallel ? SIDE_BY_SIDE : 1, n, blob_job, &b);
}

/* ---- documents ---- */

static fallible check_manifest(const struct oci_manifest *m)
{
    for (size_t i = 0; i < m->layers_n; i++)
        if (media_is_encrypted(m->layers[i].media_type))
            return err_new(ERR_UNSUPPORTED,
                           "its layers are encrypted ('%.100s'): decrypt them with skopeo "
                           "--decryption-key first",
                           m->layers[i].media_type);
    return NULL;
}

/* What comes from outside and is no valid document is that place's fault. */
static fallible given_wrong(err *take_e)
{
    own(err) err *e = take_e;
    if (!err_is(e, ERR_INVALID))
        return take(e);
    return err_new(ERR_CORRUPT, "what the source has is wrong: %s", err_text(e));
}

static fallible copy_manifest(struct copy *c, const struct registry_manifest *doc, enum doc_place place,
                              const char *name)
{
    own(oci_manifest) struct oci_manifest *m = NULL;
    TRY(given_wrong(oci_manifest_read(doc->text, doc->len, &m)));
    TRY(check_manifest(m));
    TRY(copy_blobs(c, m));
    return c->to->ops->put_doc(c->to, doc, place, name);
}

static fallible get_part(struct copy *c, const struct oci_descriptor *d, struct registry_manifest **ret)
{
    own(registry_manifest) struct registry_manifest *doc = NULL;
    TRY(given_wrong(c->from->ops->get(c->from, d->digest, &doc)));
    if ((int64_t)doc->len != d->size)
        return err_new(ERR_CORRUPT, "manifest %s has %zu bytes instead of the %lld that its index promises", d->digest,
                       doc->len, (long long)d->size);
    *ret = take(doc);
    return NULL;
}

static fallible copy_doc(struct copy *c, const struct registry_manifest *doc, enum doc_place place, const char *name,
                         int depth)
{
    own(oci_index) struct oci_index *index = NULL;
    if (!media_is_index(doc->media_type))
        return copy_manifest(c, doc, place, name);
    if (depth == DEPTH_MAX)
        return err_new(ERR_CORRUPT, "indexes within indexes, more than %d deep", DEPTH_MAX);
    TRY(given_wrong(oci_index_read(doc->text, doc->len, &index)));
    for (size_t i = 0; i < index->manifests_n; i++) {
        own(registry_manifest) struct registry_manifest *part = NULL;
        TRY_AS(get_part(c, &index->manifests[i], &part), "part %zu of the index", i + 1);
        TRY(copy_doc(c, part, DOC_PART, NULL, depth + 1));
    }
    return c->to->ops->put_doc(c->to, doc, place, name);
}

static fallible choose(struct copy *c, const struct registry_manifest *top, struct registry_manifest **ret)
{
    own(oci_index) struct oci_index *index = NULL;
    const struct oci_descriptor *d = NULL;
    TRY(given_wrong(oci_index_read(top->text, top->len, &index)));
    TRY(platform_choose(index, c->o->platform, &d));
    return get_part(c, d, ret);
}

/* ---- what belongs to it ---- */

static fallible copy_one_referrer(struct copy *c, const struct oci_descriptor *d)
{
    own(registry_manifest) struct registry_manifest *doc = NULL;
    TRY(get_part(c, d, &doc));
    return copy_doc(c, doc, DOC_REFERRER, NULL, 0);
}

static fallible copy_tagged(struct copy *c, const struct registry_manifest *doc, const char *name)
{
    static const char *const ends[] = { "sig", "att", "sbom" };
    own(ref) struct ref *ref = NULL;
    if (!c->from->ops->tagged || !name)
        return NULL;
    TRY(ref_parse(name, &ref));
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
        own(registry_manifest) struct registry_manifest *found = NULL;
        own_mem char *tag =
            mem_printf("%.*s-%s.%s", (int)strcspn(doc->digest, ":"), doc->digest, digest_hex(doc->digest), ends[i]);
        own_mem char *full = mem_printf("%s/%s:%s", ref->registry, ref->repository, tag);
        err *e = c->from->ops->tagged(c->from, tag, &found);
        if (err_is(e, ERR_NOT_FOUND)) {
            err_ignore(e, "it has none");
            continue;
        }
        TRY(e);
        TRY_AS(copy_doc(c, found, DOC_REFERRER, full, 0), "'%s'", tag);
    }
    return NULL;
}

static fallible copy_referrers(struct copy *c, const struct registry_manifest *doc, const char *name)
{
    own(oci_index) struct oci_index *index = NULL;
    TRY(copy_tagged(c, doc, name));
    if (c->from->ops->referrers)
        TRY(c->from->ops->referrers(c->from, doc->digest, &index));
    if (index && index->manifests_n > REFERRERS_MAX)
        return err_new(ERR_EXHAUSTED, "more than %d referrers", REFERRERS_MAX);
    for (size_t i = 0; index && i < index->manifests_n; i++)
        TRY_AS(copy_one_referrer(c, &index->manifests[i]), "referrer %.19s", index->manifests[i].digest);
    return NULL;
}

/* ---- all of it ---- */

static fallible copy(struct copy *c, char **ret_digest)
{
    own(registry_manifest) struct registry_manifest *top = NULL;
    own(registry_manifest) struct registry_manifest *chosen = NULL;
    TRY(given_wrong(c->from->ops->get(c->from, NULL, &top)));
    if (media_is_index(top->media_type) && !c->o->all)
        TRY(choose(c, top, &chosen));
    else if (media_is_index(top->media_type) && c->to->one_platform)
        return err_new(ERR_UNSUPPORTED, "a docker-archive has no room for an image of several platforms: choose one "
                                        "with --platform, or write an oci-archive");
    const struct registry_manifest *doc = chosen ? chosen : top;
    const char *name = c->to->name ? c->to->name : c->from->name;
    if (c->o->admit)
        TRY(c->o->admit(c->o->ctx, c->from, top, doc));
    if (c->o->referrers && c->to->referrers_first)
        TRY_AS(copy_referrers(c, doc, name), "what refers to it");
    TRY(copy_doc(c, doc, DOC_TOP, name, 0));
    if (c->o->referrers && !c->to->referrers_first)
        TRY_AS(copy_referrers(c, doc, name), "what refers to it");
    if (c->o->admitted)
        TRY(c->o->admitted(c->o->ctx, c->from, doc));
    if (ret_digest)
        *ret_digest = mem_strdup(doc->digest);
    return NULL;
}

fallible copy_image(struct source *from, struct sink *to, const struct copy_options *o, char **ret_digest)
{
    struct copy c = { from, to, o };
    return copy(&c, ret_digest);
}
