// SPDX-License-Identifier: GPL-2.0-or-later
#include "codec/tar_read.h"

#include "base/mem.h"

struct tar *tar_new(struct tar_source source)
{
    struct tar *t = mem_zalloc(sizeof *t);
    t->source = source;
    return t;
}

static void forget(struct tar *t)
{
    struct tar_pending *p = &t->pending;
    free(p->path);
    free(p->link);
    free(p->gnu_path);
    free(p->gnu_link);
    free(p->sparse_name);
    *p = (struct tar_pending){ 0 };
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

fallible tar_corrupt(const struct tar *t, const char *what)
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

fallible tar_copy_bytes(struct tar *t, void *to, size_t n)
{
    for (size_t have = 0; have < n;) {
        const unsigned char *p;
        size_t got;
        TRY(take_bytes(t, n - have, &p, &got));
        if (got == 0 && to == t->block && t->block_at == 0)
            return tar_corrupt(t, "it ends within the first header: it is no tar, nor one that is packed");
        if (got == 0)
            return tar_corrupt(t, "the archive ends in the middle of this entry");
        memcpy((char *)to + have, p, got);
        have += got;
    }
    return NULL;
}

fallible tar_skip(struct tar *t, uint64_t n)
{
    while (n > 0) {
        const unsigned char *p;
        size_t got;
        TRY(take_bytes(t, n, &p, &got));
        if (got == 0)
            return tar_corrupt(t, "the archive ends in the middle of this entry");
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
    return *ret_end ? NULL : tar_copy_bytes(t, t->block, TAR_BLOCK);
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
    return tar_number(b, H_CHECKSUM, &want) && (want == sum || want == signed_sum);
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

/* ---- entries ---- */

static fallible owner(const struct tar *t, bool has, uint64_t v, size_t at, size_t n, const char *what, uint32_t *ret)
{
    if (!has)
        TRY(tar_field(t, at, n, what, &v));
    /* 4294967295 means "no change" to chown(2) */
    if (v >= UINT32_MAX)
        return err_new(ERR_CORRUPT, "tar: byte %llu: the %s %llu is out of range", (unsigned long long)t->block_at,
                       what, (unsigned long long)v);
    *ret = (uint32_t)v;
    return NULL;
}

static fallible set_names(struct tar *t)
{
    struct tar_pending *p = &t->pending;
    char **path = p->sparse_name ? &p->sparse_name : p->gnu_path ? &p->gnu_path : &p->path;
    char **link = p->gnu_link ? &p->gnu_link : &p->link;
    t->path = *path ? take(*path) : header_path(t->block);
    t->link = *link ? take(*link) : text_field(t->block, H_LINK);
    if (!*t->path)
        return tar_corrupt(t, "an entry without a name");
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
    const struct tar_pending *p = &t->pending;
    struct tar_entry *e = &t->entry;
    uint64_t v = 0;
    TRY(tar_field(t, H_MODE, "mode", &v));
    e->mode = (uint32_t)v & 07777;
    TRY(owner(t, p->has_uid, p->uid, H_UID, "uid", &e->uid));
    TRY(owner(t, p->has_gid, p->gid, H_GID, "gid", &e->gid));
    e->mtime_s = p->mtime_s;
    e->mtime_ns = p->mtime_ns;
    if (!p->has_mtime && !tar_number(t->block, H_MTIME, &e->mtime_s))
        return tar_corrupt(t, "the time is no number");
    if (e->type == TAR_CHAR || e->type == TAR_BLOCK_DEVICE) {
        TRY(tar_field(t, H_MAJOR, "device number", &v));
        e->major = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
        TRY(tar_field(t, H_MINOR, "device number", &v));
        e->minor = v > UINT32_MAX ? UINT32_MAX : (uint32_t)v;
    }
    e->xattrs = t->xattrs;
    e->xattrs_n = t->xattrs_n;
    return NULL;
}

static fallible set_contents(struct tar *t, char kind, uint64_t size)
{
    struct tar_pending *p = &t->pending;
    struct tar_entry *e = &t->entry;
    /* Of these the size, if any, is not that of contents. */
    bool has_contents = e->type == TAR_FILE || kind == 'D';
    t->left = has_contents ? size : 0;
    t->pad = tar_padding(t->left);
    if (e->type != TAR_FILE)
        return NULL;
    e->size = size;
    if (kind == 'S')
        TRY(tar_gnu_sparse(t));
    e->sparse = p->sparse;
    if (!e->sparse)
        return NULL;
    if (!p->has_real_size)
        return tar_corrupt(t, "a sparse file without its size");
    e->size = p->real_size;
    if (p->sparse_major == 1 && p->sparse_minor == 0)
        TRY(tar_sparse_1_0(t));
    else if (p->sparse_major > 0)
        return err_new(ERR_UNSUPPORTED, "tar: byte %llu: sparse format %d.%d", (unsigned long long)t->block_at,
                       p->sparse_major, p->sparse_minor);
    return tar_check_map(t);
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
    struct tar_pending *p = &t->pending;
    uint64_t size = 0;
    if (!checksum_fits(t->block) && t->block_at == 0)
        return tar_corrupt(t, "no tar header (its checksum is wrong): it is no tar, nor one that is packed");
    if (!checksum_fits(t->block))
        return tar_corrupt(t, "no tar header (its checksum is wrong)");
    TRY(tar_field(t, H_SIZE, "size", &size));
    char kind = (char)t->block[AT_TYPE];
    switch (kind) {
    case 'x':
    case 'X': /* Solaris */
        return tar_read_pax(t, size);
    case 'L':
        return tar_read_gnu_name(t, size, &p->gnu_path);
    case 'K':
        return tar_read_gnu_name(t, size, &p->gnu_link);
    case 'g': /* for all that follow: git's comment; as in docker, nothing in it counts */
    case 'V': /* a label */
        TRY(tar_skip(t, size));
        return tar_skip(t, tar_padding(size));
    default:
        *ret_done = true;
        return make_entry(t, kind, p->has_size ? p->size : size);
    }
}

fallible tar_next(struct tar *t, const struct tar_entry **ret)
{
    TRY(tar_skip(t, t->left));
    TRY(skip_padding(t));
    t->left = t->pad = 0;
    forget(t);
    bool end = false, done = false, extended = false;
    *ret = NULL;
    while (!done) {
        TRY(read_block(t, &end));
        /* Two blocks of zeros are the end; some writers leave one, or none. */
        if (end || is_zero(t->block))
            return extended ? tar_corrupt(t, "the archive ends after an extended header") : NULL;
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
        return tar_corrupt(t, "the archive ends in the middle of this entry");
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
    /* tar_check_map() saw that the pieces hold exactly what is left */
    while (t->map[t->map_at].bytes == 0)
        t->map_at++;
    struct tar_segment *s = &t->map[t->map_at];
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
