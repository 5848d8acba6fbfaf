/*
 * image_pack.h: how layers are to be packed, as push, save and manifest push are told.
 */
// SPDX-License-Identifier: GPL-2.0-or-later
#ifndef HUSK_CLI_IMAGE_PACK_H
#define HUSK_CLI_IMAGE_PACK_H

#include "base/opt.h"
#include "image/layout.h"
#include "transport/repack.h"

struct pack_opts {
    const char *compression;
    struct opt_i64 level;
    bool force;
};

extern const char *const pack_words[];

/* Rows for a struct with a member 'struct pack_opts pack'. */
#define PACK_OPTIONS(T)                                                                                                \
    OPT_STR(0, "compression-format", T, pack.compression, "WORD",                                                      \
            "Pack layers that are packed otherwise with gzip or zstd", .words = pack_words, .exclusive = "packing"),   \
        OPT_I64(0, "compression-level", T, pack.level, "N",                                                            \
                "How well: gzip 1 to 9, zstd 1 to 22; layers are packed anew"),                                        \
        OPT_FLAG(0, "force-compression", T, pack.force, "Pack layers anew that are packed in this way already")

/* A docker-archive is read by dockers before version 23 as well, which know no zstd: "unexpected EOF" is all they say.
 * It has no manifest whose digest would have to stay, and podman writes nothing but plain layers there. */
bool pack_has_zstd(const struct image *image);
/* Is anything said? */
bool pack_wanted(const struct pack_opts *o);
/* INVALID: a level without a format, or one that there is not; UNSUPPORTED: zstd:chunked. The form stays the same. */
fallible pack_read(const struct pack_opts *o, struct repack *ret);
/* A word of @option as what layers become. */
fallible pack_word(const char *option, const char *word, enum repack_layers *ret);

#endif
