// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/digest.h"
#include "codec/pool.h"
#include "image/blob.h"
#include "layers/diff_make.h"
#include "os/fs.h"

/* The tar is hashed, and beside that packed, and what comes out is hashed again and written. */
struct pack {
    struct packer *packer;
    struct digest *tar_hash, *hash; /* hash: NULL when the blob hashes, or when nothing is packed */
    struct lane *lane;              /* packs and writes, beside the making and hashing of the tar */
    struct blob *blob;              /* NULL: to out_fd */
    int out_fd;
    int64_t tar_size, size;
};

void diff_result_clear(struct diff_result *r)
{
    free(r->diff_id);
    free(r->digest);
    *r = (struct diff_result){ 0 };
}

static fallible packed(void *ctx, const void *bytes, size_t n)
{
    struct pack *p = ctx;
    p->size += (int64_t)n;
    if (p->blob)
        return blob_add(p->blob, bytes, n);
    if (p->hash)
        digest_add(p->hash, bytes, n);
    return fs_write_fd(p->out_fd, bytes, n, "the layer");
}

/* Of a stream: who feeds it has other work. */
static fallible to_hash_and_packer(void *ctx, const void *bytes, size_t n)
{
    struct pack *p = ctx;
    p->tar_size += (int64_t)n;
    if (p->tar_hash)
        digest_add(p->tar_hash, bytes, n);
    return packer_add(p->packer, bytes, n);
}

static fallible to_packer(void *ctx, const void *bytes, size_t n)
{
    struct pack *p = ctx;
    return packer_add(p->packer, bytes, n);
}

static fallible tar_bytes(void *ctx, const void *bytes, size_t n)
{
    struct pack *p = ctx;
    p->tar_size += (int64_t)n;
    if (p->tar_hash)
        digest_add(p->tar_hash, bytes, n);
    return lane_add(p->lane, bytes, n);
}

static const char *media_type(enum stream_form form)
{
    return form == STREAM_GZIP ? MEDIA_OCI_LAYER_GZIP : form == STREAM_ZSTD ? MEDIA_OCI_LAYER_ZSTD : MEDIA_OCI_LAYER;
}

/* Nothing is hashed twice: a blob hashes itself, and a tar that is not packed has one digest. */
static fallible begin(enum stream_form form, int level, struct pack *p)
{
    if (!p->blob || form != STREAM_PLAIN)
        TRY(digest_new(NULL, &p->tar_hash));
    if (!p->blob && form != STREAM_PLAIN)
        TRY(digest_new(NULL, &p->hash));
    return packer_new(form, level, packed, p, &p->packer);
}

static fallible end(struct pack *p)
{
    TRY(lane_end(p->lane));
    TRY(packer_end(p->packer));
    return p->blob ? blob_end(p->blob) : NULL;
}

static fallible pack_all(const struct diff *d, enum stream_form form, int level, struct pack *p)
{
    TRY(begin(form, level, p));
    p->lane = lane_new(to_packer, p);
    TRY(diff_tar(d, tar_bytes, p));
    return end(p);
}

static void clear(struct pack *p)
{
    lane_free(p->lane); /* before what it works with */
    packer_free(p->packer);
    digest_free(p->tar_hash);
    digest_free(p->hash);
}

static void answer(const struct pack *p, enum stream_form form, struct diff_result *ret)
{
    *ret = (struct diff_result){ .tar_size = p->tar_size, .size = p->size, .media_type = media_type(form) };
    if (p->blob)
        ret->digest = mem_strdup(blob_digest(p->blob));
    else if (p->hash)
        ret->digest = digest_end(p->hash);
    ret->diff_id = p->tar_hash ? digest_end(p->tar_hash) : mem_strdup(ret->digest);
    if (!ret->digest)
        ret->digest = mem_strdup(ret->diff_id);
}

static fallible pack_and_answer(const struct diff *d, enum stream_form form, int level, struct pack *p,
                                struct diff_result *ret)
{
    err *e = pack_all(d, form, level, p);
    if (!e)
        answer(p, form, ret);
    clear(p);
    return e ? err_wrap(e, "write the layer") : NULL;
}

fallible diff_pack(const struct diff *d, enum stream_form form, int level, int out_fd, struct diff_result *ret)
{
    struct pack p = { .out_fd = out_fd };
    return pack_and_answer(d, form, level, &p, ret);
}

fallible diff_put(const struct diff *d, enum stream_form form, int level, struct layout *l, struct diff_result *ret)
{
    struct pack p = { .out_fd = -1 };
    TRY(blob_begin_new(l, &p.blob));
    err *e = pack_and_answer(d, form, level, &p, ret);
    if (e)
        blob_discard(p.blob);
    else
        blob_free(p.blob);
    return e;
}

/* ---- while the tree is being made ---- */

/* A burst is what a batch of the builder's has: as much as that waits at most. */
enum { STREAM_PIECES = 96 };
struct diff_stream {
    struct diff d;
    enum stream_form form;
    struct pack p;
    struct diff_maker *maker;
};

static fallible to_lane(void *ctx, const void *bytes, size_t n)
{
    struct pack *p = ctx;
    return lane_add(p->lane, bytes, n);
}

fallible diff_stream_begin(const struct diff *d, enum stream_form form, int level, struct layout *l,
                           struct diff_stream **ret)
{
    own(diff_stream) struct diff_stream *s = mem_zalloc(sizeof *s);
    s->d = *d;
    s->form = form;
    s->p.out_fd = -1;
    TRY(blob_begin_new(l, &s->p.blob));
    TRY(begin(form, level, &s->p));
    s->p.lane = lane_new_deep(to_hash_and_packer, &s->p, STREAM_PIECES);
    s->maker = diff_maker_new(&s->d, to_lane, &s->p);
    *ret = take(s);
    return NULL;
}

fallible diff_stream_add(struct diff_stream *s, const struct diff_made *made)
{
    return err_wrap(diff_maker_add(s->maker, made), "write the layer");
}

fallible diff_stream_end(struct diff_stream *s, struct diff_result *ret)
{
    TRY_AS(diff_maker_end(s->maker), "write the layer");
    TRY_AS(end(&s->p), "write the layer");
    answer(&s->p, s->form, ret);
    blob_free(s->p.blob);
    s->p.blob = NULL;
    return NULL;
}

void diff_stream_free(struct diff_stream *s)
{
    if (!s)
        return;
    clear(&s->p);
    blob_discard(s->p.blob);
    diff_maker_free(s->maker);
    free(s);
}
