// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/push.h"

#include <string.h>

#include "codec/pool.h"
#include "image/push.h"
#include "layers/layer.h"
#include "layers/restore.h"

enum { UPLOADS = 3, SHORT_ID = 12, MANIFESTS_MAX = 200 };

struct push_blob {
    char *digest;
    int64_t size;
    char *from; /* another repository of that registry which has it, or NULL */
};
struct push {
    struct layout *l;
    const struct ref *to;
    const struct push_options *o;
    struct registry *registry;
    char *platform;       /* asked for, or NULL */
    char *top;            /* digest: what gets the name */
    char *top_type;       /* media type */
    struct strv children; /* digests of the manifests of an index that goes along */
    struct strv child_types;
    struct push_blob *blobs;
    size_t blobs_n;
};

static void push_free(struct push *p)
{
    for (size_t i = 0; i < p->blobs_n; i++) {
        free(p->blobs[i].digest);
        free(p->blobs[i].from);
    }
    free(p->blobs);
    strv_free(&p->children);
    strv_free(&p->child_types);
    free(p->platform);
    free(p->top);
    free(p->top_type);
    registry_free(p->registry);
}

void push_result_free(struct push_result *r)
{
    if (!r)
        return;
    free(r->digest);
    free(r);
}

static void say(const struct push *p, const char *text)
{
    if (p->o->progress.line)
        p->o->progress.line(p->o->progress.ctx, text);
}

static void tell(const struct push *p, size_t blob, enum progress_state state, int64_t done)
{
    if (p->o->progress.layer)
        p->o->progress.layer(p->o->progress.ctx, blob, state, done, p->blobs[blob].size);
}

/* ---- what belongs to it ---- */

static fallible read_manifest(struct layout *l, const char *digest, struct oci_manifest **ret)
{
    own_mem char *text = NULL;
    size_t len = 0;
    TRY(layout_read_blob(l, digest, &text, &len));
    return oci_manifest_read(text, len, ret);
}

static void add_blob(struct push *p, const struct oci_descriptor *d)
{
    if (d->urls.n) /* a foreign layer: whoever pulls gets it from there */
        return;
    for (size_t i = 0; i < p->blobs_n; i++)
        if (strcmp(p->blobs[i].digest, d->digest) == 0)
            return;
    p->blobs = mem_array(p->blobs, p->blobs_n + 1, sizeof *p->blobs);
    p->blobs[p->blobs_n++] = (struct push_blob){ .digest = mem_strdup(d->digest), .size = d->size };
}

static fallible add_manifest(struct push *p, const char *digest)
{
    own(oci_manifest) struct oci_manifest *m = NULL;
    TRY(read_manifest(p->l, digest, &m));
    for (size_t i = 0; i < m->layers_n; i++)
        add_blob(p, &m->layers[i]);
    add_blob(p, m->config);
    return NULL;
}

static bool is_whole(struct layout *l, const char *digest)
{
    own(oci_manifest) struct oci_manifest *m = NULL;
    own(err) err *e = read_manifest(l, digest, &m);
    bool whole = !e && layout_has_blob(l, m->config->digest, m->config->size);
    for (size_t i = 0; whole && i < m->layers_n; i++)
        whole = m->layers[i].urls.n || layout_has_blob(l, m->layers[i].digest, m->layers[i].size);
    return whole;
}

static void set_top(struct push *p, const char *digest, const char *media_type)
{
    free(p->top);
    free(p->top_type);
    p->top = mem_strdup(digest);
    p->top_type = mem_strdup(media_type);
}

static fallible choose_one(struct push *p, const struct oci_index *index)
{
    const struct oci_descriptor *chosen = NULL;
    TRY(platform_choose(index, p->platform, &chosen));
    set_top(p, chosen->digest, chosen->media_type);
    return add_manifest(p, chosen->digest);
}

/* An index goes with all that it names; where some of that is not here, only one platform's manifest goes. */
static fallible add_index(struct push *p)
{
    own(oci_index) struct oci_index *index = NULL;
    own_mem char *text = NULL;
    size_t len = 0, here = 0;
    TRY(layout_read_blob(p->l, p->top, &text, &len));
    TRY(oci_index_read(text, len, &index));
    if (index->manifests_n > MANIFESTS_MAX)
        return err_new(ERR_EXHAUSTED, "its index names more than %d manifests", MANIFESTS_MAX);
    if (p->platform)
        return choose_one(p, index);
    for (size_t i = 0; i < index->manifests_n; i++)
        here += media_is_manifest(index->manifests[i].media_type) && is_whole(p->l, index->manifests[i].digest);
    if (here < index->manifests_n) {
        own_mem char *line = mem_printf("Only %zu of the %zu platforms are here: pushing %s alone", here,
                                        index->manifests_n, platform_of_host());
        say(p, line);
        return choose_one(p, index);
    }
    for (size_t i = 0; i < index->manifests_n; i++) {
        strv_add(&p->children, index->manifests[i].digest);
        strv_add(&p->child_types, index->manifests[i].media_type);
        TRY(add_manifest(p, index->manifests[i].digest));
    }
    return NULL;
}

/* By name as index.json has it, so that an index stays one; else as image_find() does. */
static fallible find_top(struct push *p, const char *what)
{
    own(oci_index) struct oci_index *index = NULL;
    own(ref) struct ref *ref = NULL;
    own(image) struct image *image = NULL;
    own(err) err *no_name = ref_parse(what, &ref);
    own_mem char *full = no_name ? NULL : ref_full(ref);
    TRY(layout_read_index(p->l, &index));
    for (size_t i = 0; full && i < index->manifests_n; i++) {
        const struct oci_descriptor *d = &index->manifests[i];
        if (str_eq(strmap_get(&d->annotations, "org.opencontainers.image.ref.name"), full)) {
            set_top(p, d->digest, d->media_type);
            return NULL;
        }
    }
    TRY(image_find(p->l, what, p->platform, &image));
    set_top(p, image->manifest_digest, image->manifest->media_type ? image->manifest->media_type : MEDIA_OCI_MANIFEST);
    return NULL;
}

static fallible collect(struct push *p)
{
    if (media_is_index(p->top_type))
        TRY(add_index(p));
    else
        TRY(add_manifest(p, p->top));
    if (p->to->digest && strcmp(p->to->digest, p->top) != 0)
        return err_new(ERR_INVALID, "its digest is %s, not %s", p->top, p->to->digest);
    return NULL;
}

/* ---- what the registry has already, in another repository ---- */

static void mark_blobs_of(struct push *p, const char *digest, const char *repository)
{
    own(oci_manifest) struct oci_manifest *m = NULL;
    own(err) err *e = read_manifest(p->l, digest, &m);
    for (size_t i = 0; !e && i < m->layers_n; i++)
        for (size_t j = 0; j < p->blobs_n; j++)
            if (!p->blobs[j].from && strcmp(p->blobs[j].digest, m->layers[i].digest) == 0)
                p->blobs[j].from = mem_strdup(repository);
}

/* Images here that came from (or went to) the same registry tell which of its repositories have a layer. */
static fallible find_mounts(struct push *p)
{
    own(oci_index) struct oci_index *index = NULL;
    TRY(layout_read_index(p->l, &index));
    for (size_t i = 0; i < index->manifests_n; i++) {
        const struct oci_descriptor *d = &index->manifests[i];
        const char *name = strmap_get(&d->annotations, "org.opencontainers.image.ref.name");
        own(ref) struct ref *ref = NULL;
        own(err) err *e = name ? ref_parse(name, &ref) : err_new(ERR_NOT_FOUND, "no name");
        if (e || strcmp(ref->registry, p->to->registry) != 0 || strcmp(ref->repository, p->to->repository) == 0)
            continue;
        if (media_is_manifest(d->media_type)) {
            mark_blobs_of(p, d->digest, ref->repository);
            continue;
        }
        own(oci_index) struct oci_index *inner = NULL;
        own_mem char *text = NULL;
        size_t len = 0;
        own(err) err *e2 = layout_read_blob(p->l, d->digest, &text, &len);
        own(err) err *e3 = e2 ? NULL : oci_index_read(text, len, &inner);
        for (size_t j = 0; !e2 && !e3 && j < inner->manifests_n; j++)
            mark_blobs_of(p, inner->manifests[j].digest, ref->repository);
    }
    return NULL;
}

/* ---- the blobs ---- */

struct watch {
    struct push *p;
    struct pool *pool;
    size_t blob;
};

static err *on_sent(void *ctx, int64_t bytes)
{
    struct watch *w = ctx;
    tell(w->p, w->blob, PROGRESS_PUSHING, bytes);
    return pool_stopping(w->pool) ? err_new(ERR_CANCELLED, "another layer went wrong") : NULL;
}

static fallible put_blob(struct push *p, struct pool *pool, size_t i)
{
    const struct push_blob *b = &p->blobs[i];
    struct watch w = { .p = p, .pool = pool, .blob = i };
    bool there = false;
    own_fd int fd = -1;
    TRY(registry_has_blob(p->registry, b->digest, &there));
    if (there) {
        tell(p, i, PROGRESS_REMOTE, b->size);
        return NULL;
    }
    if (b->from)
        TRY(registry_mount_blob(p->registry, b->digest, b->from, &there));
    if (there) {
        tell(p, i, PROGRESS_MOUNTED, b->size);
        return NULL;
    }
    TRY(restore_open(p->l, b->digest, b->size, &fd));
    tell(p, i, PROGRESS_PUSHING, 0);
    struct registry_source source = registry_source_fd(&fd, b->size);
    TRY(registry_put_blob(p->registry, b->digest, &source, on_sent, &w));
    tell(p, i, PROGRESS_PUSHED, b->size);
    return NULL;
}

static err *blob_job(struct pool *pool, void *ctx, size_t i)
{
    struct push *p = ctx;
    TRY_AS(put_blob(p, pool, i), "layer %.*s", SHORT_ID, digest_hex(p->blobs[i].digest));
    return NULL;
}

static fallible put_blobs(struct push *p)
{
    own_strv struct strv ids = { 0 };
    for (size_t i = 0; i < p->blobs_n; i++)
        if (p->blobs[i].from)
            registry_will_mount(p->registry, p->blobs[i].from);
    for (size_t i = 0; i < p->blobs_n; i++)
        strv_add_printf(&ids, "%.*s", SHORT_ID, digest_hex(p->blobs[i].digest));
    if (p->o->progress.begin)
        p->o->progress.begin(p->o->progress.ctx, p->blobs_n, (const char *const *)ids.items);
    return pool_run(p->o->uploads ? p->o->uploads : UPLOADS, p->blobs_n, blob_job, p);
}

/* ---- the manifests ---- */

static fallible put_manifest(struct push *p, const char *digest, const char *media_type, const char *as,
                             int64_t *ret_size)
{
    own_mem char *text = NULL;
    size_t len = 0;
    TRY(layout_read_blob(p->l, digest, &text, &len));
    TRY(registry_put_manifest(p->registry, as, media_type, text, len, NULL));
    *ret_size = (int64_t)len;
    return NULL;
}

static fallible put_manifests(struct push *p, struct push_result *result)
{
    for (size_t i = 0; i < p->children.n; i++)
        TRY_AS(put_manifest(p, p->children.items[i], p->child_types.items[i], p->children.items[i], &result->size),
               "manifest %.*s", SHORT_ID, digest_hex(p->children.items[i]));
    TRY(put_manifest(p, p->top, p->top_type, p->to->tag ? p->to->tag : p->top, &result->size));
    result->digest = mem_strdup(p->top);
    return NULL;
}

static fallible push(struct push *p, struct push_result *result)
{
    own_mem char *line = mem_printf("The push refers to repository [%s/%s]", p->to->registry, p->to->repository);
    TRY(collect(p));
    say(p, line);
    TRY(registry_open(p->to, &p->o->registry, &p->registry));
    TRY(find_mounts(p));
    TRY(put_blobs(p));
    return put_manifests(p, result);
}

fallible push_image(struct layout *l, const char *what, const struct ref *to, const struct push_options *options,
                    struct push_result **ret)
{
    own(push_result) struct push_result *result = mem_zalloc(sizeof *result);
    struct push p = { .l = l, .to = to, .o = options };
    err *e = options->platform ? platform_parse(options->platform, &p.platform) : NULL;
    e = e ? err_wrap(e, "--platform") : find_top(&p, what);
    if (!e) { /* until here the error names the image */
        e = push(&p, result);
        e = e ? err_wrap(e, "image '%s'", what) : NULL;
    }
    push_free(&p);
    TRY(e);
    *ret = take(result);
    return NULL;
}
