// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/tar_read.h"

#include "base/mem.h"

/* The contents of an extended header, NUL-terminated. */
static fallible read_meta(struct tar *t, uint64_t size, char **ret)
{
    if (size > TAR_META_MAX)
        return err_new(ERR_CORRUPT, "tar: byte %llu: an extended header of %llu bytes; at most %d are read",
                       (unsigned long long)t->block_at, (unsigned long long)size, TAR_META_MAX);
    own_mem char *text = mem_alloc((size_t)size + 1);
    TRY(tar_copy_bytes(t, text, (size_t)size));
    text[size] = '\0';
    TRY(tar_skip(t, tar_padding(size)));
    *ret = take(text);
    return NULL;
}

static fallible add_xattr(struct tar *t, const char *name, const char *value, size_t n)
{
    if (!*name || t->xattrs_n == TAR_XATTRS_MAX)
        return tar_corrupt(t, *name ? "too many extended attributes" : "an extended attribute without a name");
    if (!t->xattrs)
        t->xattrs = mem_array(NULL, TAR_XATTRS_MAX, sizeof *t->xattrs);
    char *copy = mem_alloc(n + 1);
    memcpy(copy, value, n);
    t->xattrs[t->xattrs_n++] = (struct tar_xattr){ mem_strdup(name), copy, n };
    return NULL;
}

static fallible set_text(struct tar *t, char **slot, const char *value, size_t n)
{
    if (memchr(value, 0, n))
        return tar_corrupt(t, "a name with a NUL in it");
    free(*slot);
    *slot = n ? mem_strndup(value, n) : NULL; /* an empty value takes back what an earlier header said */
    return NULL;
}

static fallible set_number(struct tar *t, const char *key, const char *value, size_t n, bool *has, uint64_t *slot)
{
    if (n > 0 && !tar_decimal(value, n, slot))
        return err_new(ERR_CORRUPT, "tar: byte %llu: %s: '%.*s' is no number", (unsigned long long)t->block_at, key,
                       (int)(n < 40 ? n : 40), value);
    *has = n > 0;
    return NULL;
}

static fallible sparse_record(struct tar *t, const char *key, const char *value, size_t n)
{
    struct tar_pending *p = &t->pending;
    bool has = false;
    uint64_t v = 0;
    p->sparse = true;
    if (str_eq(key, "name"))
        return set_text(t, &p->sparse_name, value, n);
    if (str_eq(key, "map"))
        return tar_sparse_map(t, value, n);
    TRY(set_number(t, "GNU.sparse", value, n, &has, &v));
    if (str_eq(key, "size") || str_eq(key, "realsize")) {
        p->has_real_size = has;
        p->real_size = v;
    } else if (str_eq(key, "offset")) {
        p->has_sparse_offset = has;
        p->sparse_offset = v;
    } else if (str_eq(key, "numbytes")) {
        if (!p->has_sparse_offset)
            return tar_corrupt(t, "a GNU.sparse.numbytes without an offset");
        p->has_sparse_offset = false;
        return tar_add_segment(t, p->sparse_offset, v);
    } else if (str_eq(key, "major")) {
        p->sparse_major = v > 9 ? 9 : (int)v;
    } else if (str_eq(key, "minor")) {
        p->sparse_minor = v > 9 ? 9 : (int)v;
    }
    return NULL;
}

static fallible pax_record(struct tar *t, const char *key, const char *value, size_t n)
{
    struct tar_pending *p = &t->pending;
    if (str_eq(key, "path"))
        return set_text(t, &p->path, value, n);
    if (str_eq(key, "linkpath"))
        return set_text(t, &p->link, value, n);
    if (str_eq(key, "size"))
        return set_number(t, key, value, n, &p->has_size, &p->size);
    if (str_eq(key, "uid"))
        return set_number(t, key, value, n, &p->has_uid, &p->uid);
    if (str_eq(key, "gid"))
        return set_number(t, key, value, n, &p->has_gid, &p->gid);
    if (str_eq(key, "mtime")) {
        p->has_mtime = n > 0;
        return n == 0 || tar_seconds(value, n, &p->mtime_s, &p->mtime_ns) ? NULL : tar_corrupt(t, "mtime: no time");
    }
    if (str_starts(key, "SCHILY.xattr."))
        return add_xattr(t, key + strlen("SCHILY.xattr."), value, n);
    if (str_starts(key, "GNU.sparse."))
        return sparse_record(t, key + strlen("GNU.sparse."), value, n);
    return NULL; /* atime, ctime, names of owners, comments: not kept */
}

/* Each record is "LENGTH KEY=VALUE\n", the length that of the whole record. */
fallible tar_read_pax(struct tar *t, uint64_t size)
{
    own_mem char *text = NULL;
    TRY(read_meta(t, size, &text));
    for (char *p = text, *end = text + size; p < end && *p;) {
        char *space = memchr(p, ' ', (size_t)(end - p < 20 ? end - p : 20));
        uint64_t len;
        if (!space || !tar_decimal(p, (size_t)(space - p), &len) || len > (uint64_t)(end - p) ||
            len < (uint64_t)(space - p) + 4 || p[len - 1] != '\n')
            return tar_corrupt(t, "a broken PAX record");
        char *key = space + 1, *last = p + len - 1;
        char *equals = memchr(key, '=', (size_t)(last - key));
        if (!equals || memchr(key, 0, (size_t)(equals - key)))
            return tar_corrupt(t, "a broken PAX record");
        *equals = '\0';
        TRY(pax_record(t, key, equals + 1, (size_t)(last - equals - 1)));
        p += len;
    }
    return NULL;
}

fallible tar_read_gnu_name(struct tar *t, uint64_t size, char **slot)
{
    own_mem char *text = NULL;
    TRY(read_meta(t, size, &text));
    free(*slot);
    *slot = take(text); /* what is behind a NUL is not part of it */
    return NULL;
}
