// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/pull.h"

#include <string.h>

#include "base/log.h"
#include "codec/digest.h"
#include "codec/pool.h"
#include "codec/sha256_many.h"
#include "image/blob.h"
#include "layers/layer.h"
#include "layers/merged.h"
#include "layers/pipe.h"
#include "layers/unpack.h"

enum {
    CONFIG_MAX = 4 << 20,
    LAYERS_MAX = 500, /* as many as one overlay mount takes */
    DOWNLOADS = 3,    /* docker's number too */
    SHORT_ID = 12,
    WORTH_A_PIPE = 1 << 20, /* a smaller layer is there before a thread is */
};

struct pull {
    struct layout *l;
    const struct ref *ref;
    const struct pull_options *o;
    struct registry *registry;
    char *platform;                /* asked for, or NULL */
    struct registry_manifest *top; /* what the name stands for */
    struct registry_manifest *doc; /* the platform's manifest when top is an index, else NULL */
    struct oci_manifest *manifest;
    struct oci_image_config *config;
    const struct strv *only; /* layers, by diffID; NULL: all */
    char *config_text;
    bool fetched; /* anything at all */
};

static void pull_free(struct pull *p)
{
    registry_free(p->registry);
    free(p->platform);
    registry_manifest_free(p->top);
    registry_manifest_free(p->doc);
    oci_manifest_free(p->manifest);
    oci_image_config_free(p->config);
    free(p->config_text);
}

void pull_result_free(struct pull_result *r)
{
    if (!r)
        return;
    free(r->name);
    free(r->digest);
    free(r);
}

/* What a registry sends and is no valid document is the registry's fault, not the request's. */
static fallible sent_wrong(err *take_e)
{
    own(err) err *e = take_e;
    if (!err_is(e, ERR_INVALID))
        return take(e);
    return err_new(ERR_CORRUPT, "what the registry sends is wrong: %s", err_text(e));
}

static void say(const struct pull *p, const char *text)
{
    if (p->o->progress.line)
        p->o->progress.line(p->o->progress.ctx, text);
}

static void tell(const struct pull *p, size_t layer, enum progress_state state, int64_t done, int64_t total)
{
    if (p->o->progress.layer)
        p->o->progress.layer(p->o->progress.ctx, layer, state, done, total);
}

/* ---- a blob, from the registry or from what is here ---- */

struct watch {
    struct pull *p;
    struct pool *pool;
    size_t layer;
    int64_t total;
    struct follow *follow; /* NULL: nobody reads behind */
    bool fetched;          /* all of the blob: what is told now is how far it is unpacked */
};

static err *on_fetched(void *ctx, int64_t bytes)
{
    struct watch *w = ctx;
    tell(w->p, w->layer, PROGRESS_DOWNLOADING, bytes, w->total);
    if (w->pool && pool_stopping(w->pool))
        return err_new(ERR_CANCELLED, "another layer went wrong");
    return NULL;
}

/* Bytes that cannot become the blob, or for which there is no room, are not worth keeping for a next attempt. */
static bool worth_keeping(const err *e)
{
    return !err_is(e, ERR_CORRUPT) && !err_is(e, ERR_EXHAUSTED);
}

typedef err *get_blob_fn(struct registry *r, const char *digest, struct blob *blob, registry_progress *progress,
                         void *ctx);

/* It is in the store: whoever reads behind us reads it there. */
static fallible read_stored(struct pull *p, const struct oci_descriptor *d, struct watch *w)
{
    int fd = -1;
    if (!w || !w->follow)
        return NULL;
    TRY(layout_open_blob(p->l, d->digest, d->size, &fd));
    follow_begin(w->follow, fd, d->size);
    follow_all(w->follow);
    return NULL;
}

/* *ret_resumed: bytes of an earlier attempt are part of it. */
static fallible fetch_once(struct pull *p, const struct oci_descriptor *d, get_blob_fn *get,
                           registry_progress *progress, struct watch *w, bool *ret_resumed)
{
    own(blob) struct blob *b = NULL;
    TRY(blob_begin(p->l, d->digest, d->size, &b));
    if (!b)
        return read_stored(p, d, w);
    if (w && w->follow)
        TRY(blob_follow(b, w->follow));
    *ret_resumed = blob_bytes(b) > 0;
    err *e = blob_bytes(b) < d->size || !d->size ? get(p->registry, d->digest, b, progress, w) : NULL;
    if (!e)
        e = blob_end(b);
    if (e && !worth_keeping(e))
        blob_discard(take(b));
    return e;
}

static fallible fetch(struct pull *p, const struct oci_descriptor *d, registry_progress *progress, struct watch *w)
{
    bool resumed = false;
    if (layout_use_blob(p->l, d->digest, d->size))
        return read_stored(p, d, w);
    err *e = fetch_once(p, d, registry_get_blob, progress, w, &resumed);
    if (err_is(e, ERR_CORRUPT) && resumed) { /* perhaps it was the old bytes that were wrong */
        err_ignore(e, "once more, from the start");
        e = fetch_once(p, d, registry_get_blob, progress, w, &resumed);
    }
    if (err_is(e, ERR_CORRUPT) && registry_asks_mirror(p->registry)) {
        log_warn("mirror: %s", err_text(e));
        err_ignore(e, "the registry itself may have it right");
        e = fetch_once(p, d, registry_get_blob_past_mirrors, progress, w, &resumed);
    }
    return e;
}

/* ---- the documents ---- */

static fallible get_manifest(struct pull *p, const char *tag_or_digest, struct registry_manifest **ret)
{
    return registry_get_manifest(p->registry, tag_or_digest, ret);
}

static fallible digest_as(const char *like, const char *text, size_t len, char **ret)
{
    own(digest) struct digest *d = NULL;
    TRY(digest_new(like, &d));
    digest_add(d, text, len);
    *ret = digest_end(d);
    return NULL;
}

/* By digest, from the store when it is there: an image that did not change costs one request. */
static fallible get_named_manifest(struct pull *p, const struct oci_descriptor *d, struct registry_manifest **ret)
{
    own(registry_manifest) struct registry_manifest *m = mem_zalloc(sizeof *m);
    if (!layout_has_blob(p->l, d->digest, d->size))
        return get_manifest(p, d->digest, ret);
    TRY(layout_read_blob(p->l, d->digest, &m->text, &m->len));
    own_mem char *is = NULL;
    TRY(digest_as(d->digest, m->text, m->len, &is));
    if (strcmp(is, d->digest) != 0) /* somebody has changed the store: it is repaired on the way */
        return get_manifest(p, d->digest, ret);
    m->digest = mem_strdup(d->digest);
    m->media_type = mem_strdup(d->media_type);
    *ret = take(m);
    return NULL;
}

static fallible get_platform_manifest(struct pull *p)
{
    own(oci_index) struct oci_index *index = NULL;
    const struct oci_descriptor *chosen = NULL;
    TRY(sent_wrong(oci_index_read(p->top->text, p->top->len, &index)));
    TRY(platform_choose(index, p->platform, &chosen));
    if (!media_is_manifest(chosen->media_type))
        return err_new(ERR_UNSUPPORTED, "the index names a '%.100s' where an image manifest should be",
                       chosen->media_type);
    TRY(get_named_manifest(p, chosen, &p->doc));
    if ((int64_t)p->doc->len != chosen->size)
        return err_new(ERR_CORRUPT, "manifest %s has %zu bytes instead of the %lld that its index promises",
                       chosen->digest, p->doc->len, (long long)chosen->size);
    if (!media_is_manifest(p->doc->media_type))
        return err_new(ERR_CORRUPT, "manifest %s is itself an index", chosen->digest);
    return NULL;
}

static fallible get_documents(struct pull *p)
{
    TRY(get_manifest(p, p->ref->digest ? p->ref->digest : p->ref->tag, &p->top));
    if (media_is_index(p->top->media_type))
        TRY(get_platform_manifest(p));
    const struct registry_manifest *m = p->doc ? p->doc : p->top;
    return sent_wrong(oci_manifest_read(m->text, m->len, &p->manifest));
}

static fallible check_is_image(const struct oci_manifest *m)
{
    const char *type = m->config->media_type;
    if (strcmp(type, MEDIA_OCI_CONFIG) != 0 && strcmp(type, MEDIA_DOCKER_CONFIG) != 0)
        return err_new(ERR_UNSUPPORTED, "it is no container image but an artifact of type '%.100s'",
                       m->artifact_type ? m->artifact_type : type);
    if (m->config->size > CONFIG_MAX)
        return err_new(ERR_EXHAUSTED, "its config has more than %d bytes", CONFIG_MAX);
    if (m->layers_n > LAYERS_MAX)
        return err_new(ERR_EXHAUSTED, "it has %zu layers: more than %d cannot be mounted", m->layers_n, LAYERS_MAX);
    for (size_t i = 0; i < m->layers_n; i++)
        if (media_is_encrypted(m->layers[i].media_type))
            return err_new(ERR_UNSUPPORTED,
                           "its layers are encrypted: decrypt them with skopeo --decryption-key first");
    return NULL;
}

static fallible check_platform(const struct pull *p)
{
    struct oci_platform is = { .os = p->config->os,
                               .architecture = p->config->architecture,
                               .variant = p->config->variant };
    if (p->doc || platform_matches(&is, p->platform)) /* an index has said for what it is */
        return NULL;
    own_mem char *text = platform_text(&is);
    if (p->platform)
        return err_new(ERR_NOT_FOUND, "no image for platform %s: there is %.100s", p->platform, text);
    log_warn("the image is for %.100s, this machine is %s", text, platform_of_host());
    return NULL;
}

static fallible get_config(struct pull *p)
{
    size_t len = 0;
    const struct oci_descriptor *d = p->manifest->config;
    TRY(check_is_image(p->manifest));
    TRY_AS(fetch(p, d, NULL, NULL), "config");
    TRY(layout_read_blob(p->l, d->digest, &p->config_text, &len));
    TRY(sent_wrong(oci_image_config_read(p->config_text, len, &p->config)));
    if (p->config->rootfs->diff_ids.n != p->manifest->layers_n)
        return err_new(ERR_CORRUPT, "its config names %zu layers, its manifest %zu", p->config->rootfs->diff_ids.n,
                       p->manifest->layers_n);
    return check_platform(p);
}

/* ---- the layers ---- */

static void on_unpacked(void *ctx, uint64_t bytes_in)
{
    struct watch *w = ctx;
    if (__atomic_load_n(&w->fetched, __ATOMIC_RELAXED))
        tell(w->p, w->layer, PROGRESS_EXTRACTING, (int64_t)bytes_in, w->total);
}

static fallible fetch_blob(void *ctx, struct follow *f)
{
    struct watch *w = ctx;
    w->follow = f;
    TRY(fetch(w->p, &w->p->manifest->layers[w->layer], on_fetched, w));
    tell(w->p, w->layer, PROGRESS_EXTRACTING, 0, w->total);
    __atomic_store_n(&w->fetched, true, __ATOMIC_RELAXED);
    return NULL;
}

static fallible fetch_and_unpack(struct watch *w, const struct oci_descriptor *d, const char *diff_id)
{
    struct unpack u = {
        .diff_id = diff_id, .verified = str_eq(d->digest, diff_id), .progress = on_unpacked, .progress_ctx = w
    };
    if (d->size >= WORTH_A_PIPE && !layout_has_blob(w->p->l, d->digest, d->size))
        return pipe_run(w->p->l, &u, fetch_blob, w);
    TRY(fetch_blob(w, NULL));
    return layer_unpack_blob(w->p->l, d->digest, diff_id, on_unpacked, w);
}

/* Some images have one (empty) layer many times: the first one's job is enough for all. */
static bool seen_before(const struct pull *p, size_t layer)
{
    char *const *ids = p->config->rootfs->diff_ids.items;
    const struct oci_descriptor *d = p->manifest->layers;
    for (size_t i = 0; i < layer; i++)
        if (strcmp(ids[i], ids[layer]) == 0 && strcmp(d[i].digest, d[layer].digest) == 0)
            return true;
    return false;
}

static fallible get_layer(struct pull *p, struct pool *pool, size_t layer)
{
    const struct oci_descriptor *d = &p->manifest->layers[layer];
    const char *diff_id = p->config->rootfs->diff_ids.items[layer];
    struct watch w = { .p = p, .pool = pool, .layer = layer, .total = d->size };
    if (p->only && !strv_has(p->only, diff_id))
        return NULL;
    bool unpacked = layer_use(p->l, diff_id);
    if (seen_before(p, layer) || (unpacked && (p->o->drop_packed || layout_use_blob(p->l, d->digest, d->size)))) {
        tell(p, layer, PROGRESS_EXISTS, d->size, d->size);
        return NULL;
    }
    /* Unpacked from another packing of the same files: the blob is fetched all the same, because a name in index.json
     * promises all that it needs to whoever reads the layout. */
    tell(p, layer, PROGRESS_DOWNLOADING, 0, d->size);
    TRY(unpacked ? fetch(p, d, on_fetched, &w) : fetch_and_unpack(&w, d, diff_id));
    tell(p, layer, PROGRESS_DONE, d->size, d->size);
    __atomic_store_n(&p->fetched, true, __ATOMIC_RELAXED);
    return NULL;
}

static err *layer_job(struct pool *pool, void *ctx, size_t layer)
{
    struct pull *p = ctx;
    TRY_AS(get_layer(p, pool, layer), "layer %.*s", SHORT_ID, digest_hex(p->manifest->layers[layer].digest));
    return NULL;
}

static fallible get_layers(struct pull *p)
{
    size_t n = p->manifest->layers_n;
    own_strv struct strv ids = { 0 };
    for (size_t i = 0; i < n; i++)
        strv_add_printf(&ids, "%.*s", SHORT_ID, digest_hex(p->manifest->layers[i].digest));
    if (p->o->progress.begin)
        p->o->progress.begin(p->o->progress.ctx, n, (const char *const *)ids.items);
    size_t side_by_side = p->o->downloads ? p->o->downloads : DOWNLOADS;
    if (!p->o->downloads && n > DOWNLOADS && sha256_many_pays())
        side_by_side = SHA256_LANES;
    err *e = pool_run(side_by_side, n, layer_job, p);
    if (err_is(e, ERR_EXHAUSTED)) /* what the other layers have so far takes room that somebody needs now */
        err_ignore(layout_sweep_staging(p->l, 0), "the lack of room is the error to report");
    return e;
}

/* ---- the name ---- */

static fallible put_document(struct pull *p, const struct registry_manifest *m)
{
    own(blob) struct blob *b = NULL;
    TRY(blob_begin(p->l, m->digest, (int64_t)m->len, &b));
    if (!b)
        return NULL;
    TRY(blob_restart(b));
    TRY(blob_add(b, m->text, m->len));
    return blob_end(b);
}

/* The name under which it is kept: with a digest, the tag says nothing any more. */
static char *kept_name(const struct ref *ref)
{
    struct ref kept = *ref;
    if (kept.digest)
        kept.tag = NULL;
    return ref_full(&kept);
}

static bool names_it_already(struct pull *p, const char *name)
{
    own(oci_index) struct oci_index *index = NULL;
    err_ignore(layout_read_index(p->l, &index), "setting the name reads it again, and reports it");
    for (size_t i = 0; index && i < index->manifests_n; i++)
        if (str_eq(strmap_get(&index->manifests[i].annotations, "org.opencontainers.image.ref.name"), name))
            return str_eq(index->manifests[i].digest, p->top->digest);
    return false;
}

static fallible set_name(struct pull *p, struct pull_result *result)
{
    struct oci_descriptor target = { .media_type = p->top->media_type,
                                     .digest = p->top->digest,
                                     .size = (int64_t)p->top->len };
    result->name = kept_name(p->ref);
    result->digest = mem_strdup(p->top->digest);
    bool same = names_it_already(p, result->name);
    result->changed = !same || p->fetched;
    TRY(put_document(p, p->top));
    if (p->doc)
        TRY(put_document(p, p->doc));
    return same ? NULL : layout_set_name(p->l, result->name, &target);
}

static fallible begin(struct pull *p)
{
    TRY(registry_open(p->ref, &p->o->registry, &p->registry));
    if (p->o->platform)
        TRY(platform_parse(p->o->platform, &p->platform));
    TRY(get_documents(p));
    return p->o->admit ? p->o->admit(p->o->admit_ctx, p->top, p->doc) : NULL;
}

static fallible pull(struct pull *p, struct pull_result *result)
{
    own_mem char *line =
        mem_printf("%s: Pulling from %s", p->ref->digest ? p->ref->digest : p->ref->tag, p->ref->repository);
    TRY(begin(p));
    say(p, line);
    TRY(get_config(p));
    TRY(get_layers(p));
    err_ignore(merged_make(p->l, &p->config->rootfs->diff_ids), "a container's start tries again, or does without");
    return set_name(p, result);
}

fallible pull_image(struct layout *l, const struct ref *ref, const struct pull_options *options,
                    struct pull_result **ret)
{
    own(pull_result) struct pull_result *result = mem_zalloc(sizeof *result);
    struct pull p = { .l = l, .ref = ref, .o = options };
    own_mem char *shown = ref_familiar(ref);
    err *e = pull(&p, result);
    pull_free(&p);
    if (e)
        return err_wrap(e, "image '%s'", shown);
    *ret = take(result);
    return NULL;
}

/* ---- a part of it ---- */

static fallible some(struct pull *p)
{
    TRY(begin(p));
    TRY(get_config(p));
    return p->only->n ? get_layers(p) : NULL;
}

fallible pull_some(struct layout *l, const struct ref *ref, const struct pull_options *options,
                   const struct strv *diff_ids, char **ret_config)
{
    static const struct strv none = { 0 };
    struct pull p = { .l = l, .ref = ref, .o = options, .only = diff_ids ? diff_ids : &none };
    own_mem char *shown = ref_familiar(ref);
    err *e = some(&p);
    if (!e && ret_config)
        *ret_config = take(p.config_text);
    pull_free(&p);
    TRY_AS(e, "image '%s'", shown);
    return NULL;
}
