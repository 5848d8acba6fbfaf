/*
 * stream.h: bytes out of a file that may be compressed. What it is, is seen from its first bytes, never from a name or
 * a media type: gzip (ISA-L; several members in a row are one stream), zstd (several frames likewise), xz and bzip2
 * (libarchive), or plain bytes as they are. Memory is bounded; so is the output, by the caller's limit.
 *
 * Only husk-image links this, but for what a stream is: stream_form.c.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CODEC_STREAM_H
#define HUSK_CODEC_STREAM_H

#include <stdint.h>

#include "base/err.h"

/* Where the packed bytes come from: up to max bytes into buf, *ret_n 0 at the end. */
struct stream_source {
    err *(*read)(void *ctx, void *buf, size_t max, size_t *ret_n);
    void *ctx;
};
/* A descriptor read from where it stands; &fd is the ctx and must outlive the stream. */
struct stream_source stream_source_fd(int *fd);

enum stream_form { STREAM_PLAIN, STREAM_GZIP, STREAM_ZSTD, STREAM_XZ, STREAM_BZIP2 };
const char *stream_form_name(enum stream_form form);
/* What a stream that begins so is; STREAM_MAGIC_SIZE bytes are enough. */
enum { STREAM_MAGIC_SIZE = 10 };
enum stream_form stream_form_of(const void *bytes, size_t n);

struct stream;
/**
 * stream_open - look at the first bytes and be ready to unpack.
 * @max_out: bytes that may come out; what is more is EXHAUSTED. 0: no limit.
 */
fallible stream_open(struct stream_source source, uint64_t max_out, struct stream **ret);
void stream_free(struct stream *s);
OWN_TYPE(stream, struct stream *, stream_free)

/* Before the first read: a zstd window of more than 8 MiB is in a nameless file of this folder, not in memory
 * (codec/window.h). The descriptor is copied. */
void stream_spill(struct stream *s, int dir_fd);

/**
 * stream_read - the next bytes: fills buf as far as there is anything; fewer than max only at the end, where 0 is
 *               answered for ever.
 * Errors: CORRUPT (with what is wrong; an end in the middle too), EXHAUSTED (over the limit), the source's own.
 */
fallible stream_read(struct stream *s, void *buf, size_t max, size_t *ret_n);
enum stream_form stream_form(const struct stream *s);
/* Bytes that came out, and packed bytes that went in, so far. */
uint64_t stream_bytes_out(const struct stream *s);
uint64_t stream_bytes_in(const struct stream *s);

/**
 * packer_new - the other way: all that is added comes out packed through write().
 * @form:  STREAM_GZIP (ISA-L), STREAM_ZSTD, or STREAM_PLAIN, which passes everything on.
 * @level: of gzip 1 to 3, of zstd what zstd knows; 0: 2 and 3.
 * The same bytes in the same calls, or in others, come out the same.
 */
struct packer;
typedef err *packer_write_fn(void *ctx, const void *bytes, size_t n);
fallible packer_new(enum stream_form form, int level, packer_write_fn *write, void *ctx, struct packer **ret);
fallible packer_add(struct packer *p, const void *bytes, size_t n);
fallible packer_end(struct packer *p);
void packer_free(struct packer *p);
OWN_TYPE(packer, struct packer *, packer_free)

#endif
