// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/stream.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <isa-l/igzip_lib.h>
#define ZSTD_STATIC_LINKING_ONLY /* ZSTD_customMem: in the shared library since 1.0, only not promised for ever */
#include <zstd.h>
#include <zstd_errors.h>

#include "base/mem.h"
#include "codec/window.h"

/* 256 KiB is where ISA-L reaches its best rate. */
enum { IN_SIZE = 256 << 10 };

struct stream {
    struct stream_source source;
    enum stream_form form;
    uint64_t max_out, out, in;
    unsigned char *buf; /* packed bytes: [at, have) are not used yet */
    size_t at, have;
    bool source_ended, ended;
    bool in_member; /* in the middle of a gzip member or a zstd frame */
    struct inflate_state *inflate;
    ZSTD_DCtx *zstd;
    struct window *window; /* zstd's memory */
    struct archive *archive;
    err *source_error; /* libarchive's callback can only say "it failed" */
};

enum stream_form stream_form(const struct stream *s)
{
    return s->form;
}
uint64_t stream_bytes_out(const struct stream *s)
{
    return s->out;
}
uint64_t stream_bytes_in(const struct stream *s)
{
    return s->in;
}

static fallible read_fd(void *ctx, void *buf, size_t max, size_t *ret_n)
{
    ssize_t n;
    do {
        n = read(*(int *)ctx, buf, max);
    } while (n < 0 && errno == EINTR);
    if (n < 0)
        return err_sys(errno, "read the packed bytes");
    *ret_n = (size_t)n;
    return NULL;
}

struct stream_source stream_source_fd(int *fd)
{
    return (struct stream_source){ .read = read_fd, .ctx = fd };
}

/* More packed bytes behind those that are left. */
static fallible more_in(struct stream *s)
{
    if (s->at > 0) {
        memmove(s->buf, s->buf + s->at, s->have - s->at);
        s->have -= s->at;
        s->at = 0;
    }
    if (s->source_ended || s->have == IN_SIZE)
        return NULL;
    size_t n = 0;
    TRY(s->source.read(s->source.ctx, s->buf + s->have, IN_SIZE - s->have, &n));
    s->source_ended = n == 0;
    s->have += n;
    s->in += n;
    return NULL;
}

static fallible want_in(struct stream *s, size_t n)
{
    while (s->have - s->at < n && !s->source_ended)
        TRY(more_in(s));
    return NULL;
}

static fallible corrupt(const struct stream *s, const char *what)
{
    return err_new(ERR_CORRUPT, "%s: %s (byte %llu of the packed data, %llu of the unpacked)",
                   stream_form_name(s->form), what, (unsigned long long)(s->in - (s->have - s->at)),
                   (unsigned long long)s->out);
}

/* ---- gzip ---- */

static const char *inflate_error(int code)
{
    switch (code) {
    case ISAL_INVALID_BLOCK:
        return "a broken block";
    case ISAL_INVALID_SYMBOL:
        return "a broken symbol";
    case ISAL_INVALID_LOOKBACK:
        return "a reference to before the beginning";
    case ISAL_INVALID_WRAPPER:
        return "a broken header";
    case ISAL_UNSUPPORTED_METHOD:
        return "an unknown method";
    case ISAL_INCORRECT_CHECKSUM:
        return "the checksum is wrong";
    default:
        return "broken data";
    }
}

static void begin_member(struct stream *s)
{
    isal_inflate_init(s->inflate);
    s->inflate->crc_flag = ISAL_GZIP;
    s->in_member = true;
}

/* Between members: another one, the end, or the zero padding that tapes and some tools leave behind. */
static fallible next_member(struct stream *s)
{
    TRY(want_in(s, 3));
    if (s->have - s->at >= 3 && memcmp(s->buf + s->at, "\x1f\x8b\x08", 3) == 0) {
        begin_member(s);
        return NULL;
    }
    for (;;) {
        for (; s->at < s->have; s->at++)
            if (s->buf[s->at] != 0)
                return corrupt(s, "bytes that are no gzip follow");
        if (s->source_ended)
            break;
        TRY(more_in(s));
    }
    s->ended = true;
    return NULL;
}

static fallible read_gzip(struct stream *s, unsigned char *buf, size_t max, size_t *ret_n)
{
    size_t n = 0;
    while (n < max && !s->ended) {
        if (!s->in_member) {
            TRY(next_member(s));
            continue;
        }
        if (s->at == s->have)
            TRY(more_in(s));
        struct inflate_state *z = s->inflate;
        size_t before = s->have - s->at, room = max - n < UINT32_MAX ? max - n : UINT32_MAX;
        z->next_in = s->buf + s->at;
        z->avail_in = (uint32_t)before;
        z->next_out = buf + n;
        z->avail_out = (uint32_t)room;
        int code = isal_inflate(z);
        s->at = s->have - z->avail_in;
        size_t got = room - z->avail_out;
        n += got;
        s->out += got;
        if (code < 0)
            return corrupt(s, inflate_error(code));
        if (z->block_state == ISAL_BLOCK_FINISH)
            s->in_member = false;
        else if (got == 0 && before == 0 && s->source_ended)
            return corrupt(s, "it ends in the middle");
    }
    *ret_n = n;
    return NULL;
}

/* ---- zstd ---- */

static fallible open_zstd(struct stream *s)
{
    s->window = window_new();
    ZSTD_customMem memory = { window_alloc, window_release, s->window };
    s->zstd = ZSTD_createDCtx_advanced(memory);
    return s->zstd ? NULL : err_new(ERR_EXHAUSTED, "no memory to read zstd");
}

static void close_zstd(struct stream *s)
{
    ZSTD_freeDCtx(take(s->zstd));
    window_free(take(s->window));
}

static fallible zstd_failed(struct stream *s, size_t code)
{
    TRY(window_problem(s->window));
    if (ZSTD_getErrorCode(code) == ZSTD_error_memory_allocation)
        return err_new(ERR_EXHAUSTED, "no memory to read zstd");
    if (ZSTD_getErrorCode(code) == ZSTD_error_frameParameter_windowTooLarge)
        return err_new(ERR_UNSUPPORTED,
                       "zstd: it looks back over more than 128 MiB: pack it without --long=28 or more");
    return corrupt(s, ZSTD_getErrorName(code));
}

static fallible read_zstd(struct stream *s, unsigned char *buf, size_t max, size_t *ret_n)
{
    ZSTD_outBuffer out = { buf, max, 0 };
    while (out.pos < max && !s->ended) {
        if (s->at == s->have)
            TRY(more_in(s));
        if (s->at == s->have && s->source_ended && !s->in_member) {
            s->ended = true;
            close_zstd(s); /* before the files that were made of it are synced */
            break;
        }
        ZSTD_inBuffer in = { s->buf + s->at, s->have - s->at, 0 };
        size_t before = out.pos;
        size_t left = ZSTD_decompressStream(s->zstd, &out, &in);
        s->at += in.pos;
        s->out += out.pos - before;
        if (ZSTD_isError(left))
            return zstd_failed(s, left);
        window_used(s->window, out.pos - before);
        s->in_member = left != 0;
        if (s->in_member && in.pos == 0 && out.pos == before && s->source_ended)
            return corrupt(s, "it ends in the middle");
    }
    *ret_n = out.pos;
    return NULL;
}

/* ---- xz, bzip2: rare, so libarchive's filters without its formats ---- */

static la_ssize_t archive_in(struct archive *a, void *ctx, const void **ret)
{
    struct stream *s = ctx;
    /* The first bytes were read already, to see what it is; in_member says that they have been handed over. */
    if (s->in_member) {
        s->at = s->have;
        s->source_error = more_in(s);
        if (s->source_error)
            return ARCHIVE_FATAL;
    }
    s->in_member = true;
    *ret = s->buf;
    return (la_ssize_t)s->have;
}

static fallible archive_failed(struct stream *s)
{
    if (s->source_error)
        return take(s->source_error);
    const char *text = archive_error_string(s->archive);
    return corrupt(s, text ? text : "broken data");
}

static fallible open_archive(struct stream *s)
{
    s->archive = archive_read_new();
    if (!s->archive)
        return err_new(ERR_EXHAUSTED, "no memory to read %s", stream_form_name(s->form));
    int code = s->form == STREAM_XZ ? archive_read_support_filter_xz(s->archive)
                                    : archive_read_support_filter_bzip2(s->archive);
    /* ARCHIVE_WARN: it would run an external program, which this process may not. */
    if (code != ARCHIVE_OK)
        return err_new(ERR_UNSUPPORTED, "this libarchive cannot read %s: unpack the file first",
                       stream_form_name(s->form));
    struct archive_entry *entry;
    archive_read_support_format_raw(s->archive);
    archive_read_support_format_empty(s->archive);
    if (archive_read_open(s->archive, s, NULL, archive_in, NULL) != ARCHIVE_OK)
        return archive_failed(s);
    code = archive_read_next_header(s->archive, &entry);
    s->ended = code == ARCHIVE_EOF;
    return code == ARCHIVE_OK || s->ended ? NULL : archive_failed(s);
}

static fallible read_archive(struct stream *s, unsigned char *buf, size_t max, size_t *ret_n)
{
    size_t n = 0;
    while (n < max && !s->ended) {
        la_ssize_t got = archive_read_data(s->archive, buf + n, max - n);
        if (got < 0)
            return archive_failed(s);
        s->ended = got == 0;
        n += (size_t)got;
        s->out += (size_t)got;
    }
    *ret_n = n;
    return NULL;
}

/* ---- plain ---- */

static fallible read_plain(struct stream *s, unsigned char *buf, size_t max, size_t *ret_n)
{
    size_t n = s->have - s->at < max ? s->have - s->at : max;
    memcpy(buf, s->buf + s->at, n);
    s->at += n;
    while (n < max && !s->source_ended) {
        size_t got = 0;
        TRY(s->source.read(s->source.ctx, buf + n, max - n, &got));
        s->source_ended = got == 0;
        n += got;
        s->in += got;
    }
    s->out += n;
    *ret_n = n;
    return NULL;
}

/* ---- all ---- */

fallible stream_open(struct stream_source source, uint64_t max_out, struct stream **ret)
{
    own(stream) struct stream *s = mem_zalloc(sizeof *s);
    s->source = source;
    s->max_out = max_out ? max_out : UINT64_MAX;
    s->buf = mem_alloc(IN_SIZE);
    TRY(want_in(s, STREAM_MAGIC_SIZE));
    s->form = stream_form_of(s->buf, s->have);
    switch (s->form) {
    case STREAM_PLAIN:
        break;
    case STREAM_GZIP:
        s->inflate = mem_alloc(sizeof *s->inflate);
        begin_member(s);
        break;
    case STREAM_ZSTD:
        TRY(open_zstd(s));
        break;
    case STREAM_XZ:
    case STREAM_BZIP2:
        TRY(open_archive(s));
        break;
    }
    *ret = take(s);
    return NULL;
}

void stream_spill(struct stream *s, int dir_fd)
{
    if (s->window)
        window_in(s->window, dir_fd);
}

void stream_free(struct stream *s)
{
    if (!s)
        return;
    free(s->inflate);
    close_zstd(s);
    if (s->archive)
        archive_read_free(s->archive);
    err_free(s->source_error);
    free(s->buf);
    free(s);
}

static fallible read_form(struct stream *s, unsigned char *buf, size_t max, size_t *ret_n)
{
    switch (s->form) {
    case STREAM_PLAIN:
        return read_plain(s, buf, max, ret_n);
    case STREAM_GZIP:
        return read_gzip(s, buf, max, ret_n);
    case STREAM_ZSTD:
        return read_zstd(s, buf, max, ret_n);
    case STREAM_XZ:
    case STREAM_BZIP2:
        return read_archive(s, buf, max, ret_n);
    }
    return err_new(ERR_INTERNAL, "a stream of form %d", (int)s->form);
}

fallible stream_read(struct stream *s, void *buf, size_t max, size_t *ret_n)
{
    /* One byte over the limit is enough to know. */
    uint64_t left = s->max_out - s->out;
    size_t want = left < max ? (size_t)left + 1 : max;
    size_t n = 0;
    TRY(read_form(s, buf, want, &n));
    if (s->out > s->max_out)
        return err_new(ERR_EXHAUSTED, "more than %llu bytes come out of it", (unsigned long long)s->max_out);
    *ret_n = n;
    return NULL;
}

/* ---- packing ---- */

/* Bytes go in by whole pieces of this size, so that what comes out does not depend on how they arrived. */
enum { PACK_PIECE = 256 << 10, GZIP_LEVEL = 2, GZIP_LEVEL_MAX = 3, ZSTD_LEVEL = 3 };

struct packer {
    enum stream_form form;
    ZSTD_CCtx *zstd;
    struct isal_zstream *gzip;
    packer_write_fn *write;
    void *ctx;
    unsigned char *in, *out, *level_buf;
    size_t have, out_size;
};

static fallible open_gzip_packer(struct packer *p, int level)
{
    static const uint32_t bufs[] = { ISAL_DEF_LVL0_DEFAULT, ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT,
                                     ISAL_DEF_LVL3_DEFAULT };
    if (level < 1 || level > GZIP_LEVEL_MAX)
        return err_new(ERR_INVALID, "gzip level %d: it may be 1 to %d", level, GZIP_LEVEL_MAX);
    p->gzip = mem_alloc(sizeof *p->gzip);
    isal_deflate_init(p->gzip);
    p->gzip->level = (uint32_t)level;
    p->gzip->level_buf_size = bufs[level];
    p->gzip->level_buf = p->level_buf = mem_alloc(bufs[level]);
    p->gzip->gzip_flag = IGZIP_GZIP;
    return NULL;
}

static fallible open_zstd_packer(struct packer *p, int level)
{
    p->zstd = ZSTD_createCCtx();
    if (!p->zstd)
        return err_new(ERR_EXHAUSTED, "no memory to pack");
    if (ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel, level)))
        return err_new(ERR_INVALID, "zstd knows no level %d", level);
    return NULL;
}

fallible packer_new(enum stream_form form, int level, packer_write_fn *write, void *ctx, struct packer **ret)
{
    own(packer) struct packer *p = mem_zalloc(sizeof *p);
    p->form = form;
    p->write = write;
    p->ctx = ctx;
    p->out_size = PACK_PIECE;
    p->in = mem_alloc(PACK_PIECE);
    p->out = mem_alloc(PACK_PIECE);
    if (form == STREAM_GZIP)
        TRY(open_gzip_packer(p, level ? level : GZIP_LEVEL));
    else if (form == STREAM_ZSTD)
        TRY(open_zstd_packer(p, level ? level : ZSTD_LEVEL));
    else if (form != STREAM_PLAIN)
        return err_new(ERR_UNSUPPORTED, "nothing is packed with %s: gzip and zstd are what images use",
                       stream_form_name(form));
    *ret = take(p);
    return NULL;
}

static fallible pack_zstd(struct packer *p, const void *bytes, size_t n, bool end)
{
    ZSTD_inBuffer in = { bytes, n, 0 };
    size_t left;
    do {
        ZSTD_outBuffer out = { p->out, p->out_size, 0 };
        left = ZSTD_compressStream2(p->zstd, &out, &in, end ? ZSTD_e_end : ZSTD_e_continue);
        if (ZSTD_isError(left))
            return err_new(ERR_INTERNAL, "pack with zstd: %s", ZSTD_getErrorName(left));
        if (out.pos > 0)
            TRY(p->write(p->ctx, p->out, out.pos));
    } while (end ? left != 0 : in.pos < in.size);
    return NULL;
}

static fallible pack_gzip(struct packer *p, const void *bytes, size_t n, bool end)
{
    struct isal_zstream *z = p->gzip;
    z->next_in = (unsigned char *)(uintptr_t)bytes;
    z->avail_in = (uint32_t)n;
    z->end_of_stream = end;
    do {
        z->next_out = p->out;
        z->avail_out = (uint32_t)p->out_size;
        int code = isal_deflate(z);
        if (code != COMP_OK)
            return err_new(ERR_INTERNAL, "pack with gzip: code %d", code);
        if (z->avail_out < p->out_size)
            TRY(p->write(p->ctx, p->out, p->out_size - z->avail_out));
    } while (z->avail_out == 0 || z->avail_in > 0 || (end && z->internal_state.state != ZSTATE_END));
    return NULL;
}

static fallible pack(struct packer *p, const void *bytes, size_t n, bool end)
{
    if (p->form == STREAM_ZSTD)
        return pack_zstd(p, bytes, n, end);
    if (p->form == STREAM_GZIP)
        return pack_gzip(p, bytes, n, end);
    return n > 0 ? p->write(p->ctx, bytes, n) : NULL;
}

fallible packer_add(struct packer *p, const void *bytes, size_t n)
{
    const unsigned char *from = bytes;
    while (n > 0) {
        size_t room = PACK_PIECE - p->have, some = n < room ? n : room;
        if (p->have == 0 && n >= PACK_PIECE) { /* as it is, without a copy */
            TRY(pack(p, from, PACK_PIECE, false));
            some = PACK_PIECE;
        } else {
            memcpy(p->in + p->have, from, some);
            p->have += some;
            if (p->have == PACK_PIECE) {
                p->have = 0;
                TRY(pack(p, p->in, PACK_PIECE, false));
            }
        }
        from += some;
        n -= some;
    }
    return NULL;
}

fallible packer_end(struct packer *p)
{
    size_t n = p->have;
    p->have = 0;
    return pack(p, p->in, n, true);
}

void packer_free(struct packer *p)
{
    if (!p)
        return;
    ZSTD_freeCCtx(p->zstd);
    free(p->gzip);
    free(p->level_buf);
    free(p->in);
    free(p->out);
    free(p);
}
