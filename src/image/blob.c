// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/blob.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "codec/digest.h"
#include "os/fs.h"

/* libcurl hands out 16 KiB at a time: fewer and larger writes, and larger folios in the kernel. */
enum { PIECE = 256 << 10 };

struct blob {
    struct layout *l; /* borrowed */
    char *digest, *staged, *path;
    int64_t size, bytes, written; /* bytes: those in piece as well */
    struct digest *hash;
    int fd;               /* the staging file, locked */
    unsigned char *piece; /* not written yet; made when the first one is needed */
    size_t piece_n;
    struct follow *follow; /* borrowed, or NULL */
};

/* "tmp/blob-sha256-<hex>": one name per digest, so that writers of one blob meet. */
static char *stage_name(const char *digest)
{
    char *name = mem_printf("blob-%s", digest);
    *strchr(name, ':') = '-';
    return name;
}

/* What an earlier writer left counts if it is not longer than the whole. */
static fallible hash_what_is_there(struct blob *b)
{
    static const size_t room = 1 << 18;
    struct stat st;
    if (fstat(b->fd, &st) < 0)
        return err_sys(errno, "look at the staged blob");
    if (st.st_size > b->size)
        return blob_restart(b);
    own_mem char *buf = mem_alloc(room);
    for (;;) {
        ssize_t n = read(b->fd, buf, room);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read the staged blob");
        if (n == 0)
            return NULL;
        digest_add(b->hash, buf, (size_t)n);
        b->written = b->bytes += n;
    }
}

static fallible begin(struct layout *l, const char *digest, int64_t size, struct blob **ret)
{
    if (!digest_valid(digest))
        return err_new(ERR_INVALID, "'%.200s' is no digest", digest);
    if (layout_use_blob(l, digest, size))
        return NULL;
    own(blob) struct blob *b = mem_zalloc(sizeof *b);
    own_mem char *name = stage_name(digest);
    b->l = l;
    b->fd = -1;
    b->size = size;
    b->digest = mem_strdup(digest);
    b->path = layout_blob_path(digest);
    b->staged = mem_printf("tmp/%s", name);
    TRY(digest_new(digest, &b->hash));
    TRY(layout_stage(l, name, LAYOUT_STAGE_FILE, &b->fd));
    if (layout_use_blob(l, digest, size)) { /* another writer has finished it while we waited */
        blob_discard(take(b));
        return NULL;
    }
    TRY(hash_what_is_there(b));
    *ret = take(b);
    return NULL;
}

fallible blob_begin(struct layout *l, const char *digest, int64_t size, struct blob **ret)
{
    *ret = NULL;
    TRY_AS(begin(l, digest, size, ret), "stage blob %.100s", digest);
    return NULL;
}

fallible blob_begin_new(struct layout *l, struct blob **ret)
{
    own(blob) struct blob *b = mem_zalloc(sizeof *b);
    own_mem char *name = layout_stage_name("new");
    b->l = l;
    b->fd = -1;
    b->size = -1;
    b->staged = mem_printf("tmp/%s", name);
    TRY(digest_new(NULL, &b->hash));
    TRY_AS(layout_stage(l, name, LAYOUT_STAGE_FILE, &b->fd), "stage a new blob");
    *ret = take(b);
    return NULL;
}

const char *blob_digest(const struct blob *b)
{
    return b->digest;
}

int64_t blob_bytes(const struct blob *b)
{
    return b->bytes;
}

fallible blob_restart(struct blob *b)
{
    if (ftruncate(b->fd, 0) < 0 || lseek(b->fd, 0, SEEK_SET) < 0)
        return err_sys(errno, "empty staged blob %s", b->digest);
    digest_free(take(b->hash));
    b->bytes = b->written = 0;
    b->piece_n = 0;
    if (b->follow)
        follow_restarted(b->follow);
    return digest_new(b->digest, &b->hash);
}

static fallible write_piece(struct blob *b, const void *bytes, size_t n)
{
    TRY(fs_write_fd(b->fd, bytes, n, b->staged));
    b->written += (int64_t)n;
    if (b->follow)
        follow_grew(b->follow, b->written);
    digest_add(b->hash, bytes, n);
    return NULL;
}

fallible blob_follow(struct blob *b, struct follow *f)
{
    int fd = openat(b->l->fd, b->staged, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open staged blob %s", b->digest);
    b->follow = f;
    follow_begin(f, fd, b->written);
    return NULL;
}

static fallible flush(struct blob *b)
{
    size_t n = b->piece_n;
    b->piece_n = 0;
    return n ? write_piece(b, b->piece, n) : NULL;
}

fallible blob_add(struct blob *b, const void *bytes, size_t n)
{
    if (b->size >= 0 && (int64_t)n > b->size - b->bytes)
        return err_new(ERR_CORRUPT, "blob %s is longer than the %lld bytes that were promised", b->digest,
                       (long long)b->size);
    b->bytes += (int64_t)n;
    if (b->piece_n + n > PIECE)
        TRY(flush(b));
    if (n >= PIECE)
        return write_piece(b, bytes, n);
    if (!b->piece)
        b->piece = mem_alloc(PIECE);
    memcpy(b->piece + b->piece_n, bytes, n);
    b->piece_n += n;
    return NULL;
}

/* Blobs of algorithms other than sha256 are rare: their folder is made when the first one comes. */
static fallible make_folder(struct blob *b)
{
    own_mem char *dir = mem_strndup(b->path, (size_t)(strrchr(b->path, '/') - b->path));
    return fs_mkdirs_at(b->l->fd, dir, 0755);
}

/* It turns out what it is. */
static void name_it(struct blob *b)
{
    b->digest = digest_end(b->hash);
    b->path = layout_blob_path(b->digest);
    b->size = b->bytes;
}

static fallible check_digest(struct blob *b)
{
    if (b->bytes != b->size)
        return err_new(ERR_CORRUPT, "blob %s ends after %lld of the %lld bytes that were promised", b->digest,
                       (long long)b->bytes, (long long)b->size);
    own_mem char *is = digest_end(b->hash);
    if (strcmp(is, b->digest) != 0) {
        (void)unlinkat(b->l->fd, b->staged, 0);
        return err_new(ERR_CORRUPT, "blob %s has other content: its digest is %s", b->digest, is);
    }
    return NULL;
}

fallible blob_end(struct blob *b)
{
    TRY(flush(b));
    if (b->size < 0)
        name_it(b);
    else
        TRY(check_digest(b));
    if (b->follow)
        follow_all(b->follow);
    TRY(make_folder(b));
    if (fchmod(b->fd, 0644) < 0 || fdatasync(b->fd) < 0)
        return err_sys(errno, "sync blob %s", b->digest);
    bool was_there = faccessat(b->l->fd, b->path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
    if (renameat(b->l->fd, b->staged, b->l->fd, b->path) < 0)
        return err_sys(errno, "put blob %s in place", b->digest);
    if (!was_there)
        layout_note_added(b->l, b->path);
    return NULL;
}

void blob_free(struct blob *b)
{
    if (!b)
        return;
    err_ignore(flush(b), "a next attempt goes on with what there is");
    close_now(&b->fd);
    digest_free(b->hash);
    free(b->digest);
    free(b->staged);
    free(b->path);
    free(b->piece);
    free(b);
}

void blob_discard(struct blob *take_b)
{
    if (take_b) {
        (void)unlinkat(take_b->l->fd, take_b->staged, 0);
        take_b->piece_n = 0;
    }
    blob_free(take_b);
}

fallible blob_put(struct layout *l, const void *bytes, size_t n, char **ret_digest)
{
    own(blob) struct blob *b = NULL;
    own_mem char *digest = digest_of(bytes, n);
    TRY(blob_begin(l, digest, (int64_t)n, &b));
    if (b) {
        TRY(blob_restart(b));
        TRY(blob_add(b, bytes, n));
        TRY(blob_end(b));
    }
    *ret_digest = take(digest);
    return NULL;
}
