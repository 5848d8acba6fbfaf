// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/tar.h"

#include "base/mem.h"

/* The header block: field, offset, length. POSIX ustar; the last rows are GNU's and star's. */
#define H_NAME        0, 100
#define H_MODE        100, 8
#define H_UID         108, 8
#define H_GID         116, 8
#define H_SIZE        124, 12
#define H_MTIME       136, 12
#define H_CHECKSUM    148, 8
#define H_LINK        157, 100
#define H_MAJOR       329, 8
#define H_MINOR       337, 8
#define H_PREFIX      345, 155
#define H_STAR_PREFIX 345, 131
#define H_REALSIZE    483, 12
enum {
    AT_TYPE = 156,
    AT_MAGIC = 257,
    AT_STAR_TRAILER = 508,
    AT_SPARSE = 386, /* in an old GNU sparse header: 4 pairs of 12 + 12 bytes, then "there is more" */
    SPARSE_PAIRS = 4,
    AT_MORE = 482,
    EXTENSION_PAIRS = 21, /* in each block that follows */
    AT_EXTENSION_MORE = 504,
};

struct segment {
    uint64_t offset, bytes;
};

/* What extended headers said about the entry that follows them. */
struct pending {
    char *path, *link;         /* PAX */
    char *gnu_path, *gnu_link; /* 'L', 'K': they win, as in Go's reader */
    char *sparse_name;
    bool has_size, has_uid, has_gid, has_mtime, has_real_size;
    uint64_t size, uid, gid, real_size, sparse_offset;
    int64_t mtime_s;
    uint32_t mtime_ns;
    int sparse_major, sparse_minor;
    bool sparse, sparse_map_in_data, has_sparse_offset;
};

struct tar {
    struct tar_source source;
    const unsigned char *chunk; /* n bytes not used yet, the first of them at byte `at` of the archive */
    size_t n;
    uint64_t at;
    bool ended;
    unsigned char block[TAR_BLOCK];
    uint64_t block_at;

    uint64_t left; /* bytes of contents in the archive not given out yet */
    size_t pad;    /* and what fills the last block */
    uint64_t offset;
    struct segment *map;
    size_t map_n, map_room, map_at;

    struct pending pending;
    struct tar_xattr *xattrs;
    size_t xattrs_n;
    char *path, *link;
    struct tar_entry entry;
};

struct tar *tar_new(struct tar_source source)
{
    struct tar *t = mem_zalloc(sizeof *t);
    t->source = source;
    return t;
}

static void forget(struct tar *t)
{
    struct pending *p = &t->pending;
    free(p->path);
    free(p->link);
    free(p->gnu_path);
    free(p->gnu_link);
    free(p->sparse_name);
    *p = (struct pending){ 0 };
    for (size_t i = 0; i < t->xattrs_n; i++) {
        free((char *)t->xattrs[i].name);
        free((void *)t->xattrs[i].value);
    }
    t->xattrs_n = 0;
    t->map_n = t->map_at = 0;
    t->offset = 0;
    free(t->path);
    free(t->link);
    t->path = t->link = NULL;
}

void tar_free(struct tar *t)
{
    if (!t)
        return;
    forget(t);
    free(t->xattrs);
    free(t->map);
    free(t);
}

static fallible corrupt(const struct tar *t, const char *what)
{
    return err_new(ERR_CORRUPT, "tar: byte %llu: %s", (unsigned long long)t->block_at, what);
}

/* ---- bytes ---- */

static fallible fill(struct tar *t)
{
    if (t->n > 0 || t->ended)
        return NULL;
    TRY(t->source.next(t->source.ctx, &t->chunk, &t->n));
    t->ended = t->n == 0;
    return NULL;
}

/* Up to max bytes as they lie; 0 at the end. */
static fallible take_bytes(struct tar *t, uint64_t max, const unsigned char **ret, size_t *ret_n)
{
    TRY(fill(t));
    size_t n = t->n < max ? t->n : (size_t)max;
    *ret = t->chunk;
    *ret_n = n;
    t->chunk += n;
    t->n -= n;
    t->at += n;
    return NULL;
}

static fallible copy_bytes(struct tar *t, void *to, size_t n)
{
    for (size_t have = 0; have < n;) {
        const unsigned char *p;
        size_t got;
        TRY(take_bytes(t, n - have, &p, &got));
        if (got == 0 && to == t->block && t->block_at == 0)
            return corrupt(t, "it ends within the first header: it is no tar, nor one that is packed");
        if (got == 0)
            return corrupt(t, "the archive ends in the middle of this entry");
        memcpy((char *)to + have, p, got);
        have += got;
    }
    return NULL;
}

static fallible skip(struct tar *t, uint64_t n)
{
    while (n > 0) {
        const unsigned char *p;
        size_t got;
        TRY(take_bytes(t, n, &p, &got));
        if (got == 0)
            return corrupt(t, "the archive ends in the middle of this entry");
        n -= got;
    }
    return NULL;
}

/* What fills the last block of contents. umoci leaves it away at the end of an archive; Go's reader takes that. */
static fallible skip_padding(struct tar *t)
{
    while (t->pad > 0) {
        const unsigned char *p;
        size_t got;
        TRY(take_bytes(t, t->pad, &p, &got));
        if (got == 0)
            return NULL;
        t->pad -= got;
    }
    return NULL;
}

/* The next header block into t->block; *ret_end when there is none at all. */
static fallible read_block(struct tar *t, bool *ret_end)
{
    t->block_at = t->at;
    TRY(fill(t));
    *ret_end = t->n == 0;
    return *ret_end ? NULL : copy_bytes(t, t->block, TAR_BLOCK);
}

static size_t padding(uint64_t size)
{
    return (size_t)(-size & (TAR_BLOCK - 1));
}

/* ---- numbers ---- */

static bool octal(const unsigned char *p, size_t n, int64_t *ret)
{
    uint64_t v = 0;
    size_t i = 0;
    while (i < n && (p[i] == ' ' || p[i] == 0))
        i++;
    for (; i < n && p[i] >= '0' && p[i] <= '7'; i++) {
        if (v >> 60)
            return false;
        v = v << 3 | (uint64_t)(p[i] - '0');
    }
    *ret = (int64_t)v;
    return i == n || p[i] == ' ' || p[i] == 0;
}

/* GNU: two's complement, the first byte's high bit set, the next one the sign. */
static bool base256(const unsigned char *p, size_t n, int64_t *ret)
{
    bool negative = (p[0] & 0x40) != 0;
    uint64_t v = negative ? UINT64_MAX : 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = i > 0 ? p[i] : negative ? p[0] | 0x80 : p[0] & 0x3f;
        if (n - i > 8 && c != (negative ? 0xff : 0))
            return false;
        v = v << 8 | c;
    }
    *ret = (int64_t)v;
    return (*ret < 0) == negative;
}

static bool number(const unsigned char *block, size_t at, size_t n, int64_t *ret)
{
    const unsigned char *p = block + at;
    return p[0] & 0x80 ? base256(p, n, ret) : octal(p, n, ret);
}

/* A field that cannot be negative. */
static fallible field(const struct tar *t, size_t at, size_t n, const char *what, uint64_t *ret)
{
    int64_t v;
    if (!number(t->block, at, n, &v) || v < 0)
        return err_new(ERR_CORRUPT, "tar: byte %llu: the %s is no number", (unsigned long long)t->block_at, what);
    *ret = (uint64_t)v;
    return NULL;
}

static bool decimal(const char *p, size_t n, uint64_t *ret)
{
    uint64_t v = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i] < '0' || p[i] > '9' || v > (INT64_MAX - 9) / 10)
            return false;
        v = v * 10 + (uint64_t)(p[i] - '0');
    }
    *ret = v;
    return n > 0;
}

/* "-12.5" is 12.5 seconds before the epoch: the nanoseconds count upward from the second below. */
static bool seconds(const char *p, size_t n, int64_t *ret_s, uint32_t *ret_ns)
{
    bool negative = n > 0 && p[0] == '-';
    const char *dot = memchr(p, '.', n);
    size_t whole = (dot ? (size_t)(dot - p) : n) - negative;
    uint64_t s = 0;
    uint32_t ns = 0, scale = 100000000;
    if (!decimal(p + negative, whole, &s))
        return false;
    for (const char *d = dot ? dot + 1 : p + n; d < p + n; d++, scale /= 10) {
        if (*d < '0' || *d > '9')
            return false;
        ns += (uint32_t)(*d - '0') * scale;
    }
    *ret_s = negative ? -(int64_t)s - (ns > 0) : (int64_t)s;
    *ret_ns = negative && ns > 0 ? 1000000000 - ns : ns;
    return true;
}

/* ---- the header block ---- */

static bool checksum_fits(const unsigned char *b)
{
    int64_t want = 0, sum = 0, signed_sum = 0;
    for (size_t i = 0; i < TAR_BLOCK; i++) {
        unsigned char c = i >= 148 && i < 156 ? ' ' : b[i];
        sum += c;
        signed_sum += (signed char)c; /* some old tars added it up so */
    }
    return number(b, H_CHECKSUM, &want) && (want == sum || want == signed_sum);
}

static bool is_zero(const unsigned char *b)
{
    for (size_t i = 0; i < TAR_BLOCK; i++)
        if (b[i])
            return false;
    return true;
}

static char *text_field(const unsigned char *b, size_t at, size_t n)
{
    return mem_strndup((const char *)b + at, strnlen((const char *)b + at, n));
}

/* ustar has a second field for the front of a long name; GNU has other things there, unless an old Go wrote it. */
static char *header_path(const unsigned char *b)
{
    own_mem char *name = text_field(b, H_NAME);
    bool ustar = memcmp(b + AT_MAGIC, "ustar\0", 6) == 0, gnu = memcmp(b + AT_MAGIC, "ustar ", 6) == 0;
    unsigned char c = b[345];
    own_mem char *prefix = NULL;
    if (ustar && memcmp(b + AT_STAR_TRAILER, "tar\0", 4) == 0)
        prefix = text_field(b, H_STAR_PREFIX);
    else if (ustar || (gnu && c != 0 && c != ' ' && !(c & 0x80) && !(c >= '0' && c <= '9')))
        prefix = text_field(b, H_PREFIX);
    if (!prefix || !*prefix)
        return take(name);
    return mem_printf("%s/%s", prefix, name);
}

/* ---- extended headers ---- */

/* The contents of an extended header, NUL-terminated. */
static fallible read_meta(struct tar *t, uint64_t size, char **ret)
{
    if (size > TAR_META_MAX)
        return err_new(ERR_CORRUPT, "tar: byte %llu: an extended header of %llu bytes; at most %d are read",
                       (unsigned long long)t->block_at, (unsigned long long)size, TAR_META_MAX);
    own_mem char *text = mem_alloc((size_t)size + 1);
    TRY(copy_bytes(t, text, (size_t)size));
    text[size] = '\0';
    TRY(skip(t, padding(size)));
    *ret = take(text);
    return NULL;
}

static fallible add_segment(struct tar *t, uint64_t offset, uint64_t bytes)
{
    if (t->map_n == TAR_SPARSE_MAX)
        return corrupt(t, "a sparse file with too many pieces");
    if (t->map_n == t->map_room) {
        t->map_room = t->map_room ? t->map_room * 2 : 64;
        t->map = mem_array(t->map, t->map_room, sizeof *t->map);
    }
    t->map[t->map_n++] = (struct segment){ offset, bytes };
    return NULL;
}

static fallible add_xattr(struct tar *t, const char *name, const char *value, size_t n)
{
    if (!*name || t->xattrs_n == TAR_XATTRS_MAX)
        return corrupt(t, *name ? "too many extended attributes" : "an extended attribute without a name");
    if (!t->xattrs)
        t->xattrs = mem_array(NULL, TAR_XATTRS_MAX, sizeof *t->xattrs);
    char *copy = mem_alloc(n + 1);
    memcpy(copy, value, n);
    t->xattrs[t->xattrs_n++] = (struct tar_xattr){ mem_strdup(name), copy, n };
    return NULL;
}

/* GNU.sparse.map: "offset,bytes,offset,bytes" */
static fallible sparse_map(struct tar *t, const char *p, size_t n)
{
    uint64_t offset = 0;
    bool second = false;
    t->map_n = 0;
    for (const char *end = p + n; p < end;) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        size_t len = (size_t)((comma ? comma : end) - p);
        uint64_t v;
        if (!decimal(p, len, &v))
            return corrupt(t, "a broken GNU.sparse.map");
        if (second)
            TRY(add_segment(t, offset, v));
        offset = v;
        second = !second;
        p += len + 1;
    }
    return second ? corrupt(t, "a broken GNU.sparse.map") : NULL;
}

static fallible set_text(struct tar *t, char **slot, const char *value, size_t n)
{
    if (memchr(value, 0, n))
        return corrupt(t, "a name with a NUL in it");
    free(*slot);
    *slot = n ? mem_strndup(value, n) : NULL; /* an empty value takes back what an earlier header said */
    return NULL;
}

static fallible set_number(struct tar *t, const char *key, const char *value, size_t n, bool *has, uint64_t *slot)
{
    if (n > 0 && !decimal(value, n, slot))
        return err_new(ERR_CORRUPT, "tar: byte %llu: %s: '%.*s' is no number", (unsigned long long)t->block_at, key,
                       (int)(n < 40 ? n : 40), value);
    *has = n > 0;
    return NULL;
}

static fallible sparse_record(struct tar *t, const char *key, const char *value, size_t n)
{
    struct pending *p = &t->pending;
    bool has = false;
    uint64_t v = 0;
    p->sparse = true;
    if (str_eq(key, "name"))
        return set_text(t, &p->sparse_name, value, n);
    if (str_eq(key, "map"))
        return sparse_map(t, value, n);
    TRY(set_number(t, "GNU.sparse", value, n, &has, &v));
    if (str_eq(key, "size") || str_eq(key, "realsize")) {
        p->has_real_size = has;
        p->real_size = v;
    } else if (str_eq(key, "offset")) {
        p->has_sparse_offset = has;
        p->sparse_offset = v;
    } else if (str_eq(key, "numbytes")) {
        if (!p->has_sparse_offset)
            return corrupt(t, "a GNU.sparse.numbytes without an offset");
        p->has_sparse_offset = false;
        return add_segment(t, p->sparse_offset, v);
    } else if (str_eq(key, "major")) {
        p->sparse_major = v > 9 ? 9 : (int)v;
    } else if (str_eq(key, "minor")) {
        p->sparse_minor = v > 9 ? 9 : (int)v;
    }
    return NULL;
}

static fallible pax_record(struct tar *t, const char *key, const char *value, size_t n)
{
    struct pending *p = &t->pending;
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
        return n == 0 || seconds(value, n, &p->mtime_s, &p->mtime_ns) ? NULL : corrupt(t, "mtime: no time");
    }
    if (str_starts(key, "SCHILY.xattr."))
        return add_xattr(t, key + strlen("SCHILY.xattr."), value, n);
    if (str_starts(key, "GNU.sparse."))
        return sparse_record(t, key + strlen("GNU.sparse."), value, n);
    return NULL; /* atime, ctime, names of owners, comments: not kept */
}

/* Each record is "LENGTH KEY=VALUE\n", the length that of the whole record. */
static fallible read_pax(struct tar *t, uint64_t size)
{
    own_mem char *text = NULL;
    TRY(read_meta(t, size, &text));
    for (char *p = text, *end = text + size; p < end && *p;) {
        char *space = memchr(p, ' ', (size_t)(end - p < 20 ? end - p : 20));
        uint64_t len;
        if (!space || !decimal(p, (size_t)(space - p), &len) || len > (uint64_t)(end - p) ||
            len < (uint64_t)(space - p) + 4 || p[len - 1] != '\n')
            return corrupt(t, "a broken PAX record");
        char *key = space + 1, *last = p + len - 1;
        char *equals = memchr(key, '=', (size_t)(last - key));
        if (!equals || memchr(key, 0, (size_t)(equals - key)))
            return corrupt(t, "a broken PAX record");
        *equals = '\0';
        TRY(pax_record(t, key, equals + 1, (size_t)(last - equals - 1)));
        p += len;
    }
    return NULL;
}

static fallible read_gnu_name(struct tar *t, uint64_t size, char **slot)
{
    own_mem char *text = NULL;
    TRY(read_meta(t, size, &text));
    free(*slot);
    *slot = take(text); /* what is behind a NUL is not part of it */
    return NULL;
}

/* ---- sparse files ---- */

/* Pairs of an old GNU sparse header until an empty one. */
static fallible gnu_pairs(struct tar *t, const unsigned char *p, size_t pairs)
{
    for (size_t i = 0; i < pairs && p[0] != 0; i++, p += 24) {
        int64_t offset, bytes;
        if (!number(p, 0, 12, &offset) || !number(p, 12, 12, &bytes) || offset < 0 || bytes < 0)
            return corrupt(t, "a broken sparse map");
        TRY(add_segment(t, (uint64_t)offset, (uint64_t)bytes));
    }
    return NULL;
}

static fallible gnu_sparse(struct tar *t)
{
    TRY(field(t, H_REALSIZE, "size of the sparse file", &t->pending.real_size));
    t->pending.sparse = t->pending.has_real_size = true;
    TRY(gnu_pairs(t, t->block + AT_SPARSE, SPARSE_PAIRS));
    bool more = t->block[AT_MORE] != 0;
    while (more) {
        unsigned char block[TAR_BLOCK];
        TRY(copy_bytes(t, block, TAR_BLOCK));
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
        TRY(copy_bytes(t, text + n, 1));
        if (text[n] != '\n')
            continue;
        t->left--;
        return decimal(text, n, ret) ? NULL : corrupt(t, "a broken sparse map");
    }
    return corrupt(t, "a broken sparse map");
}

/* PAX sparse 1.0: the map is the first thing in the contents, filled up to whole blocks. */
static fallible sparse_1_0(struct tar *t)
{
    uint64_t n = 0, begin = t->left;
    TRY(map_number(t, &n));
    if (n > TAR_SPARSE_MAX)
        return corrupt(t, "a sparse file with too many pieces");
    t->map_n = 0;
    while (n-- > 0) {
        uint64_t offset = 0, bytes = 0;
        TRY(map_number(t, &offset));
        TRY(map_number(t, &bytes));
        TRY(add_segment(t, offset, bytes));
    }
    size_t pad = padding(begin - t->left);
    if (pad > t->left)
        return corrupt(t, "a broken sparse map");
    t->left -= pad;
    return skip(t, pad);
}

/* In order, within the file, and exactly as many bytes as there are. */
static fallible check_map(struct tar *t)
{
    uint64_t end = 0, sum = 0;
    for (size_t i = 0; i < t->map_n; i++) {
        const struct segment *s = &t->map[i];
        if (s->offset < end || s->offset > t->entry.size || s->bytes > t->entry.size - s->offset)
            return corrupt(t, "a sparse map that does not fit its file");
        end = s->offset + s->bytes;
        sum += s->bytes;
    }
    return sum == t->left ? NULL : corrupt(t, "a sparse map that does not fit its contents");
}

/* ---- entries ---- */

static fallible owner(const struct tar *t, bool has, uint64_t v, size_t at, size_t n, const char *what, uint32_t *ret)
{
    if (!has)
        TRY(field(t, at, n, what, &v));
    /* 4294967295 means "no change" to chown(2) */
    if (v >= UINT32_MAX)
        return err_new(ERR_CORRUPT, "tar: byte %llu: the %s %llu is out of range", (unsigned long long)t->block_at,
                       what, (unsigned long long)v);
    *ret = (uint32_t)v;
    return NULL;
}

static fallible set_names(struct tar *t)
{
    struct pending *p = &t->pending;
    char **path = p->sparse_name ? &p->sparse_name : p->gnu_path ? &p->gnu_path : &p->path;
    char **link = p->gnu_link ? &p->gnu_link : &p->link;
    t->path = *path ? take(*path) : header_path(t->block);
    t->link = *link ? take(*link) : text_field(t->block, H_LINK);
    if (!*t->path)
        return corrupt(t, "an entry without a name");
    if (strlen(t->path) > TAR_NAME_MAX || strlen(t->link) > TAR_NAME_MAX)
        return err_new(ERR_INVALID, "tar: byte %llu: a name longer than %d bytes", (unsigned long long)t->block_at,
                       TAR_NAME_MAX);
    t->entry.path = t->path;
    t->entry.link = t->link;
    return NULL;
}

static fallible entry_type(const struct tar *t, char c, enum tar_type *ret)
{
    switch (c) {
    case '\0':
    case '0':
        /* before ustar a directory was a file whose name ends so */
        *ret = str_ends(t->path, "/") ? TAR_DIR : TAR_FILE;
        return NULL;
    case '7': /* "contiguous" */
    case 'S':
        *ret = TAR_FILE;
        return NULL;
    case '1':
        *ret = TAR_HARD_LINK;
        return NULL;
    case '2':
        *ret = TAR_SYMLINK;
        return NULL;
    case '3':
        *ret = TAR_CHAR;
        return NULL;
    case '4':
        *ret = TAR_BLOCK_DEVICE;
        return NULL;
    case '5':
    case 'D': /* GNU: with a list of its names as contents */
        *ret = TAR_DIR;
        return NULL;
    case '6':
        *ret = TAR_FIFO;
        return NULL;
    default:
        return err_new(ERR_INVALID, "tar: byte %llu: '%s' is of the unknown kind 0x%02x",
                       (unsigned long long)t->block_at, t->path, (unsigned char)c);
    }
}

static fallible set_attributes(struct tar *t)
{
    const struct pending *p = &t->pending;
    struct tar_entry *e = &t->entry;
    uint64_t v = 0;
    TRY(field(t, H_MODE, "mode", &v));
    e->mode = (uint32_t)v & 07777;
    TRY(owner(t, p->has_uid, p->uid, H_UID, "uid", &e->uid));
    TRY(owner(t, p->has_gid, p->gid, H_GID, "gid", &e->gid));
    e->mtime_s = p->mtime_s;
    e->mtime_ns = p->mtime_ns;
    if (!p->has_mtime && !number(t->block, H_MTIME, &e->mtime_s))
        return corrupt(t, "the time is no number");
    if (e->type == TAR_CHAR || e->type == TAR_BLOCK_DEVICE) {
        TRY(field(t, H_MAJOR, "device number", &v));
        e->major = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
        TRY(field(t, H_MINOR, "device number", &v));
        e->minor = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
    }
    e->xattrs = t->xattrs;
    e->xattrs_n = t->xattrs_n;
    return NULL;
}

static fallible set_contents(struct tar *t, char kind, uint64_t size)
{
    struct pending *p = &t->pending;
    struct tar_entry *e = &t->entry;
    /* Of these the size, if any, is not that of contents. */
    bool has_contents = e->type == TAR_FILE || kind == 'D';
    t->left = has_contents ? size : 0;
    t->pad = padding(t->left);
    if (e->type != TAR_FILE)
        return NULL;
    e->size = size;
    if (kind == 'S')
        TRY(gnu_sparse(t));
    e->sparse = p->sparse;
    if (!e->sparse)
        return NULL;
    if (!p->has_real_size)
        return corrupt(t, "a sparse file without its size");
    e->size = p->real_size;
    if (p->sparse_major == 1 && p->sparse_minor == 0)
        TRY(sparse_1_0(t));
    else if (p->sparse_major > 0)
        return err_new(ERR_UNSUPPORTED, "tar: byte %llu: sparse format %d.%d", (unsigned long long)t->block_at,
                       p->sparse_major, p->sparse_minor);
    return check_map(t);
}

static fallible make_entry(struct tar *t, char kind, uint64_t size)
{
    t->entry = (struct tar_entry){ .at = t->block_at };
    TRY(set_names(t));
    TRY(entry_type(t, kind, &t->entry.type));
    TRY(set_attributes(t));
    return set_contents(t, kind, size);
}

/* One header block that is not zero. *ret_done: it was an entry's own. */
static fallible read_header(struct tar *t, bool *ret_done)
{
    struct pending *p = &t->pending;
    uint64_t size = 0;
    if (!checksum_fits(t->block) && t->block_at == 0)
        return corrupt(t, "no tar header (its checksum is wrong): it is no tar, nor one that is packed");
    if (!checksum_fits(t->block))
        return corrupt(t, "no tar header (its checksum is wrong)");
    TRY(field(t, H_SIZE, "size", &size));
    char kind = (char)t->block[AT_TYPE];
    switch (kind) {
    case 'x':
    case 'X': /* Solaris */
        return read_pax(t, size);
    case 'L':
        return read_gnu_name(t, size, &p->gnu_path);
    case 'K':
        return read_gnu_name(t, size, &p->gnu_link);
    case 'g': /* for all that follow: git's comment; as in docker, nothing in it counts */
    case 'V': /* a label */
        TRY(skip(t, size));
        return skip(t, padding(size));
    default:
        *ret_done = true;
        return make_entry(t, kind, p->has_size ? p->size : size);
    }
}

fallible tar_next(struct tar *t, const struct tar_entry **ret)
{
    TRY(skip(t, t->left));
    TRY(skip_padding(t));
    t->left = t->pad = 0;
    forget(t);
    bool end = false, done = false, extended = false;
    *ret = NULL;
    while (!done) {
        TRY(read_block(t, &end));
        /* Two blocks of zeros are the end; some writers leave one, or none. */
        if (end || is_zero(t->block))
            return extended ? corrupt(t, "the archive ends after an extended header") : NULL;
        TRY(read_header(t, &done));
        extended = true;
    }
    *ret = &t->entry;
    return NULL;
}

static fallible next_piece(struct tar *t, uint64_t max, const unsigned char **ret_bytes, size_t *ret_n)
{
    TRY(take_bytes(t, max < t->left ? max : t->left, ret_bytes, ret_n));
    if (*ret_n == 0)
        return corrupt(t, "the archive ends in the middle of this entry");
    t->left -= *ret_n;
    return NULL;
}

fallible tar_data(struct tar *t, uint64_t *ret_offset, const unsigned char **ret_bytes, size_t *ret_n)
{
    *ret_n = 0;
    if (t->entry.type != TAR_FILE || t->left == 0)
        return NULL;
    if (!t->entry.sparse) {
        *ret_offset = t->offset;
        TRY(next_piece(t, t->left, ret_bytes, ret_n));
        t->offset += *ret_n;
        return NULL;
    }
    /* check_map() saw that the pieces hold exactly what is left */
    while (t->map[t->map_at].bytes == 0)
        t->map_at++;
    struct segment *s = &t->map[t->map_at];
    *ret_offset = s->offset;
    TRY(next_piece(t, s->bytes, ret_bytes, ret_n));
    s->offset += *ret_n;
    s->bytes -= *ret_n;
    return NULL;
}

fallible tar_drain(struct tar *t)
{
    size_t n;
    do {
        const unsigned char *p;
        TRY(take_bytes(t, SIZE_MAX, &p, &n));
    } while (n > 0);
    return NULL;
}

bool tar_clean_path(const char *path, char *out)
{
    size_t n = 0;
    while (*path) {
        size_t len = strcspn(path, "/");
        if (len == 2 && path[0] == '.' && path[1] == '.') {
            if (n == 0)
                return false;
            while (n > 0 && out[n - 1] != '/')
                n--;
            n -= n > 0;
        } else if (len > 0 && !(len == 1 && path[0] == '.')) {
            if (n > 0)
                out[n++] = '/';
            memcpy(out + n, path, len);
            n += len;
        }
        path += len + (path[len] == '/');
    }
    out[n] = '\0';
    return true;
}
