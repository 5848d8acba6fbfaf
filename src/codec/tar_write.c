// SPDX-License-Identifier: GPL-2.0-or-later
#include "base/mem.h"
#include "codec/tar.h"

static const char kinds[] = {
    [TAR_FILE] = '0',         [TAR_HARD_LINK] = '1', [TAR_SYMLINK] = '2', [TAR_CHAR] = '3',
    [TAR_BLOCK_DEVICE] = '4', [TAR_DIR] = '5',       [TAR_FIFO] = '6',
};

/* width - 1 octal digits; what does not fit is 0 here and in a PAX record. */
static void put_octal(unsigned char *field, int width, uint64_t v)
{
    char text[24];
    bool fits = width > 20 || v >> (3 * (width - 1)) == 0;
    snprintf(text, sizeof text, "%0*llo", width - 1, fits ? (unsigned long long)v : 0ULL);
    memcpy(field, text, (size_t)width - 1);
}

static void put_block(struct str *out, const char *path, const char *link, char kind, const struct tar_entry *e,
                      uint64_t size)
{
    unsigned char b[TAR_BLOCK] = { 0 };
    memcpy(b, path, strnlen(path, 100));
    put_octal(b + 100, 8, e->mode);
    put_octal(b + 108, 8, e->uid);
    put_octal(b + 116, 8, e->gid);
    put_octal(b + 124, 12, size);
    put_octal(b + 136, 12, e->mtime_s < 0 ? 0 : (uint64_t)e->mtime_s);
    memset(b + 148, ' ', 8);
    b[156] = (unsigned char)kind;
    memcpy(b + 157, link, strnlen(link, 100));
    memcpy(b + 257, "ustar\00000", 8);
    put_octal(b + 329, 8, e->major);
    put_octal(b + 337, 8, e->minor);
    unsigned sum = 0;
    for (size_t i = 0; i < TAR_BLOCK; i++)
        sum += b[i];
    put_octal(b + 148, 7, sum);
    b[154] = '\0';
    str_add_n(out, b, sizeof b);
}

/* The length counts its own digits too. */
static void put_record(struct str *out, const char *key, const void *value, size_t n)
{
    size_t body = strlen(key) + n + 3, len = body;
    for (size_t digits = 0, v = len; digits == 0 || v != len;) {
        v = len;
        digits = (size_t)snprintf(NULL, 0, "%zu", v);
        len = body + digits;
    }
    str_printf(out, "%zu %s=", len, key);
    str_add_n(out, value, n);
    str_add_char(out, '\n');
}

static void put_number(struct str *out, const char *key, uint64_t v, int octal_digits)
{
    char text[24];
    if (v >> (3 * octal_digits) != 0)
        put_record(out, key, text, (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)v));
}

static void put_time(struct str *out, const struct tar_entry *e)
{
    char text[48];
    bool before = e->mtime_s < 0;
    if (!before && e->mtime_ns == 0 && e->mtime_s >> 33 == 0)
        return;
    /* -1 s and 250 ms is written "-0.75" */
    uint64_t s = before ? (uint64_t)-e->mtime_s - (e->mtime_ns > 0) : (uint64_t)e->mtime_s;
    uint32_t ns = before && e->mtime_ns ? 1000000000 - e->mtime_ns : e->mtime_ns;
    put_record(out, "mtime", text,
               (size_t)snprintf(text, sizeof text, "%s%llu.%09u", before ? "-" : "", (unsigned long long)s, ns));
}

static void put_records(struct str *pax, const char *path, const struct tar_entry *e, uint64_t size)
{
    const char *link = e->link ? e->link : "";
    if (strlen(path) > 100)
        put_record(pax, "path", path, strlen(path));
    if (strlen(link) > 100)
        put_record(pax, "linkpath", link, strlen(link));
    put_number(pax, "size", size, 11);
    put_number(pax, "uid", e->uid, 7);
    put_number(pax, "gid", e->gid, 7);
    put_time(pax, e);
    for (size_t i = 0; i < e->xattrs_n; i++) {
        own_mem char *key = mem_printf("SCHILY.xattr.%s", e->xattrs[i].name);
        put_record(pax, key, e->xattrs[i].value, e->xattrs[i].n);
    }
}

static void put_pax(struct str *out, const struct str *pax)
{
    if (pax->len == 0)
        return;
    struct tar_entry x = { .mode = 0644 };
    put_block(out, "././@PaxHeader", "", 'x', &x, pax->len);
    str_add_n(out, pax->text, pax->len);
    tar_pad(out, pax->len);
}

void tar_write_header(struct str *out, const struct tar_entry *e)
{
    own_str struct str pax = { 0 };
    put_records(&pax, e->path, e, e->size);
    put_pax(out, &pax);
    put_block(out, e->path, e->link ? e->link : "", kinds[e->type], e, e->size);
}

void tar_write_sparse_header(struct str *out, const struct tar_entry *e, const struct tar_piece *pieces, size_t n)
{
    own_str struct str pax = { 0 }, map = { 0 };
    char text[24];
    uint64_t size = 0;
    str_printf(&map, "%zu\n", n);
    for (size_t i = 0; i < n; i++) {
        str_printf(&map, "%llu\n%llu\n", (unsigned long long)pieces[i].offset, (unsigned long long)pieces[i].bytes);
        size += pieces[i].bytes;
    }
    tar_pad(&map, map.len);
    size += map.len;
    put_record(&pax, "GNU.sparse.major", "1", 1);
    put_record(&pax, "GNU.sparse.minor", "0", 1);
    put_record(&pax, "GNU.sparse.name", e->path, strlen(e->path));
    put_record(&pax, "GNU.sparse.realsize", text,
               (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)e->size));
    put_records(&pax, "", e, size);
    put_pax(out, &pax);
    put_block(out, "GNUSparseFile.0/file", "", kinds[TAR_FILE], e, size);
    str_add_n(out, map.text, map.len);
}

void tar_pad(struct str *out, uint64_t size)
{
    static const char zeros[TAR_BLOCK];
    str_add_n(out, zeros, (size_t)(-size & (TAR_BLOCK - 1)));
}

void tar_end(struct str *out)
{
    static const char zeros[2 * TAR_BLOCK];
    str_add_n(out, zeros, sizeof zeros);
}
