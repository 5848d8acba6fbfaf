// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/bundle.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "codec/digest.h"
#include "codec/stream.h"
#include "codec/tar.h"
#include "layers/untar.h"
#include "os/fs.h"
#include "os/root.h"

enum { DOCUMENT_MAX = 4 << 20, MEMBERS_MAX = 1 << 16, LINKS_MAX = 8, CHUNK = 256 << 10 };

struct member {
    char *path;
    char *link;   /* a link to that other member; else a file: */
    char *digest; /* of what lies in staging as `staged`, or, when that is NULL, in the store */
    char *staged;
    int64_t size;
};
struct bundle {
    struct layout *layout;
    int dir_fd; /* a directory, or -1: an archive */
    char *stage_name;
    int stage_fd; /* locked */
    struct member *members;
    size_t n;
    bool any; /* entries, also such as are no members */
};

static void free_member(struct member *m)
{
    free(m->path);
    free(m->link);
    free(m->digest);
    free(m->staged);
}

void bundle_free(struct bundle *b)
{
    if (!b)
        return;
    if (b->stage_name) {
        own_mem char *path = mem_printf("tmp/%s", b->stage_name);
        err_ignore(fs_remove_tree_at(b->layout->fd, path), "a sweep will remove it");
    }
    close_now(&b->stage_fd);
    for (size_t i = 0; i < b->n; i++)
        free_member(&b->members[i]);
    free(b->members);
    free(b->stage_name);
    free(b);
}

static fallible new_bundle(struct layout *l, int dir_fd, struct bundle **ret)
{
    own(bundle) struct bundle *b = mem_zalloc(sizeof *b);
    b->layout = l;
    b->dir_fd = dir_fd;
    b->stage_fd = -1;
    own_mem char *name = layout_stage_name("load");
    TRY(layout_stage(l, name, LAYOUT_STAGE_DIR, &b->stage_fd));
    b->stage_name = take(name);
    *ret = take(b);
    return NULL;
}

/* ---- members ---- */

static struct member *find_exactly(struct bundle *b, const char *path)
{
    /* From the end: in a tar a later member of the same name replaces the earlier one. */
    for (size_t i = b->n; i-- > 0;)
        if (strcmp(b->members[i].path, path) == 0)
            return &b->members[i];
    return NULL;
}

static fallible add_member(struct bundle *b, const char *path, struct member **ret)
{
    if (b->n == MEMBERS_MAX)
        return err_new(ERR_EXHAUSTED, "the archive has more than %d members of an image", MEMBERS_MAX);
    b->members = mem_array(b->members, b->n + 1, sizeof *b->members);
    *ret = &b->members[b->n++];
    **ret = (struct member){ .path = mem_strdup(path) };
    return NULL;
}

static fallible no_member(const char *path)
{
    return err_new(ERR_NOT_FOUND, "it has no file '%.200s'", path);
}

/* Follows links inside the archive: old docker saved a layer once and linked to it. */
static fallible find_member(struct bundle *b, const char *path, struct member **ret)
{
    char clean[TAR_NAME_MAX + 1];
    if (strlen(path) > TAR_NAME_MAX || !tar_clean_path(path, clean))
        return no_member(path);
    struct member *m = find_exactly(b, clean);
    for (int i = 0; m && m->link; i++)
        m = i < LINKS_MAX ? find_exactly(b, m->link) : NULL;
    *ret = m;
    return m ? NULL : no_member(path);
}

/* ---- spooling ---- */

struct spool {
    int fd;
    struct digest *digest;
    int64_t size;
};

static fallible spool_add(struct spool *s, const void *bytes, size_t n)
{
    TRY(fs_write_fd(s->fd, bytes, n, "the spooled file"));
    digest_add(s->digest, bytes, n);
    s->size += (int64_t)n;
    return NULL;
}

static fallible copy_entry(void *tar, struct spool *s)
{
    for (;;) {
        uint64_t offset;
        const unsigned char *bytes;
        size_t n;
        TRY(tar_data(tar, &offset, &bytes, &n));
        if (n == 0)
            return NULL;
        TRY(spool_add(s, bytes, n));
    }
}

static fallible copy_file(void *fd, struct spool *s)
{
    own_mem void *buf = mem_alloc(CHUNK);
    for (;;) {
        ssize_t n = read(*(int *)fd, buf, CHUNK);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read it");
        if (n == 0)
            return NULL;
        TRY(spool_add(s, buf, (size_t)n));
    }
}

/* algorithm: a digest of the kind wanted, or NULL. */
static fallible spool(struct bundle *b, struct member *m, const char *algorithm,
                      err *(*copy)(void *from, struct spool *s), void *from)
{
    own(digest) struct digest *digest = NULL;
    own_mem char *name = mem_printf("%zu", (size_t)(m - b->members));
    own_fd int fd = openat(b->stage_fd, name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
    if (fd < 0)
        return err_sys(errno, "create a file in the image store");
    TRY(digest_new(algorithm, &digest));
    struct spool s = { .fd = fd, .digest = digest };
    TRY(copy(from, &s));
    m->digest = digest_end(digest);
    m->size = s.size;
    m->staged = take(name);
    return NULL;
}

/* ---- archives ---- */

/* What images are made of; a root file system that was given by mistake must not be spooled whole. */
static bool is_wanted(const char *path)
{
    static const char *const ends[] = { ".json", "/json", ".tar", ".tar.gz", ".tgz", ".tar.zst" };
    if (str_eq(path, "oci-layout") || str_eq(path, "repositories"))
        return true;
    for (size_t i = 0; i < ARRAY_SIZE(ends); i++)
        if (str_ends(path, ends[i]))
            return true;
    size_t slashes = 0;
    for (const char *p = path; *p; p++)
        slashes += *p == '/';
    return slashes == 2 && str_starts(path, "blobs/");
}

/* "a/layer.tar" -> "../b/layer.tar" is "b/layer.tar" */
static fallible add_link(struct bundle *b, const char *path, const struct tar_entry *e)
{
    char clean[TAR_NAME_MAX + 1];
    struct member *m = NULL;
    const char *slash = strrchr(path, '/');
    bool relative = e->type == TAR_SYMLINK && e->link[0] != '/' && slash;
    own_mem char *target = relative ? mem_printf("%.*s/%s", (int)(slash - path), path, e->link) : mem_strdup(e->link);
    if (strlen(target) > TAR_NAME_MAX || !tar_clean_path(target, clean))
        return err_new(ERR_INVALID, "the link leads out of the archive");
    TRY(add_member(b, path, &m));
    m->link = mem_strdup(clean);
    return NULL;
}

static fallible take_entry(struct bundle *b, struct tar *t, const struct tar_entry *e)
{
    char path[TAR_NAME_MAX + 1];
    struct member *m = NULL;
    b->any = true;
    if (!tar_clean_path(e->path, path))
        return err_new(ERR_INVALID, "the name leads out of the archive");
    if (!is_wanted(path) || (e->type != TAR_FILE && e->type != TAR_SYMLINK && e->type != TAR_HARD_LINK))
        return NULL;
    if (e->type != TAR_FILE)
        return add_link(b, path, e);
    if (e->sparse)
        return err_new(ERR_INVALID, "a sparse file in an image archive");
    TRY(add_member(b, path, &m));
    return spool(b, m, NULL, copy_entry, t);
}

struct chunks {
    struct stream *stream;
    unsigned char *bytes;
};
static fallible next_chunk(void *ctx, const unsigned char **ret_bytes, size_t *ret_n)
{
    struct chunks *c = ctx;
    *ret_bytes = c->bytes;
    return stream_read(c->stream, c->bytes, CHUNK, ret_n);
}

static fallible spool_archive(struct bundle *b, int fd)
{
    struct untar_limits limits = { 0 };
    own(stream) struct stream *stream = NULL;
    own_mem unsigned char *bytes = mem_alloc(CHUNK);
    TRY(untar_limits_fill(&limits));
    TRY(stream_open(stream_source_fd(&fd), limits.bytes, &stream));
    stream_spill(stream, b->layout->fd);
    struct chunks chunks = { stream, bytes };
    own(tar) struct tar *t = tar_new((struct tar_source){ next_chunk, &chunks });
    for (uint64_t entries = 0;; entries++) {
        const struct tar_entry *e = NULL;
        TRY(tar_next(t, &e));
        if (!e)
            break;
        if (entries == limits.entries)
            return err_new(ERR_EXHAUSTED, "more than %llu entries", (unsigned long long)limits.entries);
        TRY_AS(take_entry(b, t, e), "'%.*s'", 200, e->path);
    }
    if (syncfs(b->stage_fd) < 0) /* once, for all that will be renamed */
        return err_sys(errno, "write the image store to disk");
    return NULL;
}

fallible bundle_open_archive(struct layout *l, int archive_fd, struct bundle **ret)
{
    own(bundle) struct bundle *b = NULL;
    TRY(new_bundle(l, -1, &b));
    TRY_AS(spool_archive(b, archive_fd), "read the archive");
    *ret = take(b);
    return NULL;
}

/* ---- directories ---- */

fallible bundle_open_dir(struct layout *l, int dir_fd, struct bundle **ret)
{
    return new_bundle(l, dir_fd, ret);
}

static fallible open_in_dir(struct bundle *b, const char *path, int *ret_fd)
{
    struct stat st;
    own_fd int fd = -1;
    /* O_NONBLOCK: a fifo must not keep us waiting */
    err *e = root_open(b->dir_fd, path, O_RDONLY | O_NONBLOCK, &fd);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_ignore(e, "said in our own words");
        return no_member(path);
    }
    TRY(e);
    if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        return err_new(ERR_INVALID, "'%.200s' is no file", path);
    *ret_fd = take_fd(&fd);
    return NULL;
}

/* ---- both ---- */

bool bundle_has(struct bundle *b, const char *path)
{
    own_fd int fd = -1;
    struct member *m = NULL;
    own(err) err *e = b->dir_fd >= 0 ? open_in_dir(b, path, &fd) : find_member(b, path, &m);
    return !e;
}

bool bundle_empty(const struct bundle *b)
{
    return b->dir_fd < 0 && !b->any;
}

static fallible open_member(struct bundle *b, const char *path, int *ret_fd)
{
    struct member *m = NULL;
    TRY(find_member(b, path, &m));
    if (!m->staged)
        return layout_open_blob(b->layout, m->digest, m->size, ret_fd);
    *ret_fd = openat(b->stage_fd, m->staged, O_RDONLY | O_CLOEXEC);
    return *ret_fd < 0 ? err_sys(errno, "open spooled file") : NULL;
}

fallible bundle_read(struct bundle *b, const char *path, char **ret_text, size_t *ret_len)
{
    own_fd int fd = -1;
    TRY(b->dir_fd >= 0 ? open_in_dir(b, path, &fd) : open_member(b, path, &fd));
    return fs_read_fd(fd, path, DOCUMENT_MAX, ret_text, ret_len);
}

/* A directory's file is spooled when it is wanted, and then like an archive's member. */
static fallible spool_from_dir(struct bundle *b, const char *path, const char *digest)
{
    struct member *m = find_exactly(b, path);
    own_fd int fd = -1;
    if (m)
        return NULL;
    TRY(open_in_dir(b, path, &fd));
    TRY(add_member(b, path, &m));
    TRY_AS(spool(b, m, digest, copy_file, &fd), "'%.200s'", path);
    own_fd int staged = openat(b->stage_fd, m->staged, O_RDONLY | O_CLOEXEC);
    if (staged < 0 || fdatasync(staged) < 0)
        return err_sys(errno, "write '%.200s' to disk", path);
    return NULL;
}

/* A digest of another kind than the spooled one's, which is sha256. */
static fallible hash_again(struct bundle *b, struct member *m, const char *wanted)
{
    own(digest) struct digest *d = NULL;
    own_mem unsigned char *buf = mem_alloc(CHUNK);
    own_fd int fd = openat(b->stage_fd, m->staged, O_RDONLY | O_CLOEXEC);
    TRY(digest_new(wanted, &d));
    for (ssize_t n = 1; n != 0;) {
        n = fd < 0 ? -1 : read(fd, buf, CHUNK);
        if (n < 0 && errno != EINTR)
            return err_sys(errno, "read spooled file");
        if (n > 0)
            digest_add(d, buf, (size_t)n);
    }
    free(m->digest);
    m->digest = digest_end(d);
    return NULL;
}

static fallible move_into_store(struct bundle *b, struct member *m)
{
    own_mem char *to = layout_blob_path(m->digest);
    if (!layout_has_blob(b->layout, m->digest, m->size)) {
        own_mem char *dir = mem_strndup(to, (size_t)(strrchr(to, '/') - to));
        TRY(fs_mkdirs_at(b->layout->fd, dir, 0755));
        if (renameat(b->stage_fd, m->staged, b->layout->fd, to) < 0)
            return err_sys(errno, "put blob %s in place", m->digest);
        layout_note_added(b->layout, to);
    }
    free(take(m->staged));
    return NULL;
}

static fallible put(struct bundle *b, const char *path, const char *digest, int64_t size, struct member **ret)
{
    struct member *m = NULL;
    if (b->dir_fd >= 0)
        TRY(spool_from_dir(b, path, digest));
    TRY(b->dir_fd >= 0 ? ((m = find_exactly(b, path)), (err *)NULL) : find_member(b, path, &m));
    if (size >= 0 && m->size != size)
        return err_new(ERR_CORRUPT, "'%.200s' has %lld bytes instead of %lld", path, (long long)m->size,
                       (long long)size);
    if (digest && m->staged && strncmp(digest, m->digest, strcspn(digest, ":")) != 0)
        TRY(hash_again(b, m, digest));
    if (digest && strcmp(digest, m->digest) != 0)
        return err_new(ERR_CORRUPT, "'%.200s' has the digest %s", path, m->digest);
    if (m->staged)
        TRY(move_into_store(b, m));
    *ret = m;
    return NULL;
}

fallible bundle_put(struct bundle *b, const char *path, const char *digest, int64_t size, char **ret_digest,
                    int64_t *ret_size)
{
    struct member *m = NULL;
    if (digest && layout_use_blob(b->layout, digest, size)) { /* it need not even be in the bundle */
        if (ret_digest)
            *ret_digest = mem_strdup(digest);
        if (ret_size && size >= 0)
            *ret_size = size;
        return NULL;
    }
    TRY(put(b, path, digest, size, &m));
    if (ret_digest)
        *ret_digest = mem_strdup(m->digest);
    if (ret_size)
        *ret_size = m->size;
    return NULL;
}
