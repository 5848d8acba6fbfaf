// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A layer for a manifest. It is the store's blob as it is, unless the image shall have another packing: docker's form
 * knows gzip alone, and with --disable-compression there is none. What was packed otherwise once is remembered as a
 * step is (build/cache.h), so a build that is all cached packs nothing.
 */
#include <string.h>

#include "base/log.h"
#include "build/build_parts.h"
#include "codec/stream.h"
#include "image/blob.h"

enum { CHUNK = 256 << 10 };

static enum stream_form form_of(const char *media_type)
{
    size_t n = strlen(media_type);
    if (n > 4 && strcmp(media_type + n - 4, "zstd") == 0)
        return STREAM_ZSTD;
    return n > 4 && strcmp(media_type + n - 4, "gzip") == 0 ? STREAM_GZIP : STREAM_PLAIN;
}

/* --output compression=: what this build made, and with force-compression all; a level packs anew what has the form. */
static bool output_says(const struct build *b, const struct build_layer *l)
{
    return b->packing.set && (b->packing.force || l->tar_size > 0);
}

static enum stream_form wanted_form(const struct build *b, const struct build_layer *l, enum stream_form have)
{
    const struct opt_bool *plain = &b->o->image.plain_layers;
    if (output_says(b, l))
        return b->packing.form;
    if (plain->set && plain->v)
        return STREAM_PLAIN;
    return final_is_docker(b) ? STREAM_GZIP : have;
}

static struct oci_descriptor descriptor(const struct build_layer *l)
{
    return (struct oci_descriptor){ .media_type = mem_strdup(l->media_type),
                                    .digest = mem_strdup(l->digest),
                                    .size = l->size };
}

static fallible keep(struct build *b, const struct build_layer *l)
{
    if (l->tar_size > 0)
        TRY(build_layer_repack(b->layout, l));
    else if (!layout_use_blob(b->layout, l->digest, l->size))
        log_debug("build: the base image's layer %s is not kept packed", l->digest);
    return NULL;
}

struct packing {
    struct blob *blob;
    int64_t size;
};
static err *add_packed(void *ctx, const void *bytes, size_t n)
{
    struct packing *p = ctx;
    p->size += (int64_t)n;
    return blob_add(p->blob, bytes, n);
}

static fallible pack_stream(struct stream *from, enum stream_form form, int level, struct packing *p)
{
    own(packer) struct packer *packer = NULL;
    own_mem char *buf = mem_alloc(CHUNK);
    TRY(packer_new(form, level, add_packed, p, &packer));
    for (size_t n = 1; n > 0;) {
        TRY(stream_read(from, buf, CHUNK, &n));
        if (n)
            TRY(packer_add(packer, buf, n));
    }
    TRY(packer_end(packer));
    return blob_end(p->blob);
}

/* Out of the blob, not the files: another's tar may be any that makes them. */
static fallible pack(struct build *b, const struct build_layer *l, enum stream_form form, int level,
                     struct build_cached *ret)
{
    own(stream) struct stream *from = NULL;
    own_fd int fd = -1;
    struct packing p = { NULL, 0 };
    TRY(layout_open_blob(b->layout, l->digest, l->size, &fd));
    TRY(stream_open(stream_source_fd(&fd), 0, &from));
    TRY(blob_begin_new(b->layout, &p.blob));
    err *e = pack_stream(from, form, level, &p);
    if (e) {
        blob_discard(p.blob);
        return e;
    }
    *ret = (struct build_cached){ .layer = { .diff_id = mem_strdup(l->diff_id),
                                             .digest = mem_strdup(blob_digest(p.blob)),
                                             .media_type = mem_strdup(form == STREAM_GZIP   ? MEDIA_OCI_LAYER_GZIP
                                                                      : form == STREAM_ZSTD ? MEDIA_OCI_LAYER_ZSTD
                                                                                            : MEDIA_OCI_LAYER),
                                             .size = p.size },
                                  .what = mem_strdup("a layer packed otherwise") };
    blob_free(p.blob);
    return NULL;
}

static fallible packed_otherwise(struct build *b, const struct build_layer *l, enum stream_form form, int level,
                                 struct oci_descriptor *ret)
{
    struct step_parts parts = { 0 };
    own(build_cached) struct build_cached found = { 0 };
    bool hit = false;
    if (level)
        step_part(&parts, "level", "%d", level);
    step_part(&parts, "packed", "%d %s", (int)form, l->diff_id);
    own_mem char *key = step_key(&parts);
    step_parts_clear(&parts);
    TRY(build_cache_find(&b->cache, key, &found, &hit));
    if (!hit || !layout_use_blob(b->layout, found.layer.digest, found.layer.size)) {
        build_cached_clear(&found);
        TRY(keep(b, l)); /* its blob may be gone, and ours can be made again */
        TRY_AS(pack(b, l, form, level, &found), "pack layer %.12s otherwise", digest_hex(l->diff_id));
        err_ignore(build_cache_put(&b->cache, key, &found), "the next build packs it again");
    }
    *ret = descriptor(&found.layer);
    return NULL;
}

fallible pack_layer(struct build *b, const struct build_layer *l, bool final, struct oci_descriptor *ret)
{
    enum stream_form have = form_of(l->media_type), want = final ? wanted_form(b, l, have) : have;
    int level = final && output_says(b, l) ? b->packing.level : 0;
    if (have != want || level)
        return packed_otherwise(b, l, want, level, ret);
    TRY(keep(b, l));
    *ret = descriptor(l);
    return NULL;
}
