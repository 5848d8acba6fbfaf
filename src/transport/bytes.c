// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sendfile.h>

#include "codec/digest.h"
#include "codec/pool.h"
#include "os/fs.h"
#include "transport/transport.h"

enum { CHUNK = 256 << 10, AT_ONCE = 1 << 30 };

static fallible ended(int64_t missing)
{
    return err_new(ERR_CORRUPT, "it ends %lld bytes too early", (long long)missing);
}

/* The kernel's own ways, from a file: *left says what they could not do. */
static fallible move_by_kernel(int from_fd, int64_t *offset, int64_t *left, int to_fd)
{
    bool ranges = true;
    while (*left > 0) {
        size_t want = *left > AT_ONCE ? AT_ONCE : (size_t)*left;
        off_t at = *offset;
        ssize_t n = ranges ? copy_file_range(from_fd, &at, to_fd, NULL, want, 0) : sendfile(to_fd, from_fd, &at, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0 && ranges) { /* a pipe, another file system, a kernel that cannot: sendfile will say what is wrong */
            ranges = false;
            continue;
        }
        if (n < 0 && (errno == EINVAL || errno == ENOSYS))
            return NULL;
        if (n < 0)
            return err_sys(errno, "write it");
        if (n == 0)
            return ended(*left);
        *offset += n;
        *left -= n;
    }
    return NULL;
}

static fallible move_by_hand(int from_fd, int64_t offset, int64_t left, int to_fd, struct digest *hash)
{
    own_mem char *buf = mem_alloc(CHUNK);
    while (left > 0) {
        size_t want = left > CHUNK ? CHUNK : (size_t)left;
        ssize_t n = offset >= 0 ? pread(from_fd, buf, want, offset) : read(from_fd, buf, want);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read it");
        if (n == 0)
            return ended(left);
        if (hash)
            digest_add(hash, buf, (size_t)n);
        TRY(fs_write_fd(to_fd, buf, (size_t)n, "it"));
        left -= n;
        offset += offset >= 0 ? n : 0;
    }
    return NULL;
}

fallible bytes_move(int from_fd, int64_t offset, int64_t size, int to_fd, const char *digest)
{
    own(digest) struct digest *hash = NULL;
    int64_t left = size;
    if (!digest && offset >= 0)
        TRY(move_by_kernel(from_fd, &offset, &left, to_fd));
    if (digest)
        TRY(digest_new(digest, &hash));
    TRY(move_by_hand(from_fd, offset, left, to_fd, hash));
    if (!digest)
        return NULL;
    own_mem char *is = digest_end(hash);
    return strcmp(is, digest) == 0 ? NULL
                                   : err_new(ERR_CORRUPT, "blob %s has other content: its digest is %s", digest, is);
}

/* ---- a source that sends, a user that reads ---- */

struct piping {
    struct source *source;
    const struct oci_descriptor *d;
    blob_use *use;
    void *ctx;
    int fds[2];
    err *sending, *using;
};

/* Each side closes its end when it is done, well or not, so that the other is never left waiting. */
static err *piping_job(struct pool *pool, void *ctx, size_t job)
{
    struct piping *p = ctx;
    if (job == 0) {
        p->sending = p->source->ops->send(p->source, p->d, p->fds[1]);
        close_now(&p->fds[1]);
    } else {
        p->using = p->use(p->ctx, p->fds[0], -1);
        close_now(&p->fds[0]);
    }
    return NULL;
}

fallible source_with_blob(struct source *s, const struct oci_descriptor *d, blob_use *use, void *ctx)
{
    struct piping p = { .source = s, .d = d, .use = use, .ctx = ctx, .fds = { -1, -1 } };
    own_fd int fd = -1;
    int64_t offset = 0;
    TRY(s->ops->open(s, d, &fd, &offset));
    if (fd >= 0)
        return use(ctx, fd, offset);
    if (pipe2(p.fds, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    (void)fcntl(p.fds[0], F_SETPIPE_SZ, 1 << 20); /* fewer switches; a small one is as right */
    err_ignore(pool_run(2, 2, piping_job, &p), "its jobs keep their errors");
    /* A sender whose reader gave up says "broken pipe"; then it is the reader who knows why. */
    if (p.using && (!p.sending || err_errno(p.sending) == EPIPE)) {
        err_free(p.sending);
        return p.using;
    }
    err_free(p.sending ? p.using : NULL);
    return p.sending;
}

struct reading {
    const struct oci_descriptor *d;
    char *text;
    size_t len;
};

static err *read_into_memory(void *ctx, int fd, int64_t offset)
{
    struct reading *r = ctx;
    own_fd int memory = -1;
    TRY(fs_memfd("blob", &memory));
    TRY(bytes_move(fd, offset, r->d->size, memory, r->d->digest));
    if (lseek(memory, 0, SEEK_SET) < 0)
        return err_sys(errno, "read it again");
    return fs_read_fd(memory, "blob", (size_t)r->d->size, &r->text, &r->len);
}

fallible source_read_blob(struct source *s, const struct oci_descriptor *d, int64_t max, char **ret_text,
                          size_t *ret_len)
{
    struct reading r = { .d = d };
    if (d->size > max)
        return err_new(ERR_EXHAUSTED, "it has more than %lld bytes", (long long)max);
    err *e = source_with_blob(s, d, read_into_memory, &r);
    if (e) {
        free(r.text);
        return e;
    }
    *ret_text = r.text;
    *ret_len = r.len;
    return NULL;
}
