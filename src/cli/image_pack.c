// SPDX-License-Identifier: GPL-2.0-or-later
#include "cli/image_pack.h"

const char *const pack_words[] = { "gzip", "zstd", "zstd:chunked", NULL };

bool pack_has_zstd(const struct image *image)
{
    for (size_t i = 0; i < image->manifest->layers_n; i++)
        if (str_ends(image->manifest->layers[i].media_type, "zstd"))
            return true;
    return false;
}

bool pack_wanted(const struct pack_opts *o)
{
    return o->compression || o->force || o->level.set;
}

fallible pack_word(const char *option, const char *word, enum repack_layers *ret)
{
    if (str_eq(word, "zstd:chunked"))
        return err_new(
            ERR_UNSUPPORTED,
            "%s zstd:chunked: husk fetches layers whole, and writes zstd without a table of chunks: say zstd", option);
    if (!str_eq(word, "gzip") && !str_eq(word, "zstd"))
        return err_new(ERR_INVALID, "%s '%s': gzip or zstd", option, word);
    *ret = str_eq(word, "zstd") ? REPACK_ZSTD : REPACK_GZIP;
    return NULL;
}

/* ISA-L has three levels of gzip, people know nine. */
fallible pack_read(const struct pack_opts *o, struct repack *ret)
{
    enum repack_layers layers = REPACK_AS_THEY_ARE;
    if (o->compression)
        TRY(pack_word("--compression-format", o->compression, &layers));
    if ((o->force || o->level.set) && !o->compression)
        return err_new(ERR_INVALID, "%s: say with --compression-format what layers are to be packed with",
                       o->force ? "--force-compression" : "--compression-level");
    bool zstd = layers == REPACK_ZSTD;
    if (o->level.set && (o->level.v < 1 || o->level.v > (zstd ? 22 : 9)))
        return err_new(ERR_INVALID, "--compression-level: %s has levels from 1 to %d", zstd ? "zstd" : "gzip",
                       zstd ? 22 : 9);
    *ret = (struct repack){
        .layers = layers,
        .level = (int)(zstd ? o->level.v : (o->level.v + 2) / 3),
        .force = o->force || o->level.set,
    };
    return NULL;
}
