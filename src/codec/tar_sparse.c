// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/tar_read.h"

#include "base/mem.h"

fallible tar_add_segment(struct tar *t, uint64_t offset, uint64_t bytes)
{
    if (t->map_n == TAR_SPARSE_MAX)
        return tar_corrupt(t, "a sparse file with too many pieces");
    if (t->map_n == t->map_room) {
        t->map_room = t->map_room ? t->map_room * 2 : 64;
        t->map = mem_array(t->map, t->map_room, sizeof *t->map);
    }
    t->map[t->map_n++] = (struct tar_segment){ offset, bytes };
    return NULL;
}

fallible tar_sparse_map(struct tar *t, const char *p, size_t n)
{
    uint64_t offset = 0;
    bool second = false;
    t->map_n = 0;
    for (const char *end = p + n; p < end;) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        size_t len = (size_t)((comma ? comma : end) - p);
        uint64_t v;
        if (!tar_decimal(p, len, &v))
            return tar_corrupt(t, "a broken GNU.sparse.map");
        if (second)
            TRY(tar_add_segment(t, offset, v));
        offset = v;
        second = !second;
        p += len + 1;
    }
    return second ? tar_corrupt(t, "a broken GNU.sparse.map") : NULL;
}

/* Pairs of an old GNU sparse header until an empty one. */
static fallible gnu_pairs(struct tar *t, const unsigned char *p, size_t pairs)
{
    for (size_t i = 0; i < pairs && p[0] != 0; i++, p += 24) {
        int64_t offset, bytes;
        if (!tar_number(p, 0, 12, &offset) || !tar_number(p, 12, 12, &bytes) || offset < 0 || bytes < 0)
            return tar_corrupt(t, "a broken sparse map");
        TRY(tar_add_segment(t, (uint64_t)offset, (uint64_t)bytes));
    }
    return NULL;
}

fallible tar_gnu_sparse(struct tar *t)
{
    TRY(tar_field(t, H_REALSIZE, "size of the sparse file", &t->pending.real_size));
    t->pending.sparse = t->pending.has_real_size = true;
    TRY(gnu_pairs(t, t->block + AT_SPARSE, SPARSE_PAIRS));
    bool more = t->block[AT_MORE] != 0;
    while (more) {
        unsigned char block[TAR_BLOCK];
        TRY(tar_copy_bytes(t, block, TAR_BLOCK));
        TRY(gnu_pairs(t, block, EXTENSION_PAIRS));
        more = block[AT_EXTENSION_MORE] != 0;
    }
    return NULL;
}

/* One decimal number and its newline from the contents. */
static fallible map_number(struct tar *t, uint64_t *ret)
{
    char text[24];
    for (size_t n = 0; n < sizeof text && t->left > 0; n++, t->left--) {
        TRY(tar_copy_bytes(t, text + n, 1));
        if (text[n] != '\n')
            continue;
        t->left--;
        return tar_decimal(text, n, ret) ? NULL : tar_corrupt(t, "a broken sparse map");
    }
    return tar_corrupt(t, "a broken sparse map");
}

fallible tar_sparse_1_0(struct tar *t)
{
    uint64_t n = 0, begin = t->left;
    TRY(map_number(t, &n));
    if (n > TAR_SPARSE_MAX)
        return tar_corrupt(t, "a sparse file with too many pieces");
    t->map_n = 0;
    while (n-- > 0) {
        uint64_t offset = 0, bytes = 0;
        TRY(map_number(t, &offset));
        TRY(map_number(t, &bytes));
        TRY(tar_add_segment(t, offset, bytes));
    }
    size_t pad = tar_padding(begin - t->left);
    if (pad > t->left)
        return tar_corrupt(t, "a broken sparse map");
    t->left -= pad;
    return tar_skip(t, pad);
}

fallible tar_check_map(struct tar *t)
{
    uint64_t end = 0, sum = 0;
    for (size_t i = 0; i < t->map_n; i++) {
        const struct tar_segment *s = &t->map[i];
        if (s->offset < end || s->offset > t->entry.size || s->bytes > t->entry.size - s->offset)
            return tar_corrupt(t, "a sparse map that does not fit its file");
        end = s->offset + s->bytes;
        sum += s->bytes;
    }
    return sum == t->left ? NULL : tar_corrupt(t, "a sparse map that does not fit its contents");
}
