// SPDX-License-Identifier: GPL-2.0-or-later
/* What a stream is, without what could read it: the static programs ask only that. */
#include <string.h>

#include "base/mem.h"
#include "codec/stream.h"

static const struct {
    const char *name, *magic;
    size_t n;
} forms[] = {
    [STREAM_PLAIN] = { "plain", "", 0 },
    [STREAM_GZIP] = { "gzip", "\x1f\x8b\x08", 3 },
    [STREAM_ZSTD] = { "zstd", "\x28\xb5\x2f\xfd", 4 },
    [STREAM_XZ] = { "xz", "\xfd\x37zXZ\0", 6 },
    [STREAM_BZIP2] = { "bzip2", "BZh", 3 },
};

const char *stream_form_name(enum stream_form form)
{
    return forms[form].name;
}

enum stream_form stream_form_of(const void *begin, size_t n)
{
    const unsigned char *bytes = begin;
    for (size_t i = 1; i < ARRAY_SIZE(forms); i++)
        if (n >= forms[i].n && memcmp(bytes, forms[i].magic, forms[i].n) == 0)
            /* "BZh" alone could begin a file's name in a tar; the first block's mark could not. */
            if (i != STREAM_BZIP2 || (n >= 10 && memcmp(bytes + 4, "1AY&SY", 6) == 0))
                return (enum stream_form)i;
    /* A frame to skip may come before the first that holds data. */
    if (n >= 4 && (bytes[0] & 0xf0) == 0x50 && memcmp(bytes + 1, "\x2a\x4d\x18", 3) == 0)
        return STREAM_ZSTD;
    return STREAM_PLAIN;
}
