// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/direct.h"

#include <errno.h>
#include <fcntl.h>

#include "base/log.h"

enum { PIECES_MAX = 16 };

static void go_past_cache(struct direct *d)
{
    int flags = fcntl(d->fd, F_GETFL);
    d->past_cache = flags >= 0 && d->at % DIRECT_ALIGN == 0 && fcntl(d->fd, F_SETFL, flags | O_DIRECT) == 0;
}

void direct_begin(struct direct *d, int fd, uint64_t at, uint64_t from)
{
    *d = (struct direct){ .fd = fd, .at = at, .from = from };
    if (at >= from)
        go_past_cache(d);
}

void direct_end(struct direct *d)
{
    int flags = d->past_cache ? fcntl(d->fd, F_GETFL) : -1;
    if (flags >= 0)
        (void)fcntl(d->fd, F_SETFL, flags & ~O_DIRECT);
    d->past_cache = false;
}

/* What pwritev() has not taken of them. */
static size_t left_of(struct iovec *v, size_t n, size_t written)
{
    size_t k = 0, kept = 0;
    for (; k < n && written >= v[k].iov_len; k++)
        written -= v[k].iov_len;
    for (; k < n; k++, written = 0)
        v[kept++] = (struct iovec){ (char *)v[k].iov_base + written, v[k].iov_len - written };
    return kept;
}

static bool is_aligned(const struct iovec *v)
{
    return (uintptr_t)v->iov_base % DIRECT_ALIGN == 0 && v->iov_len % DIRECT_ALIGN == 0;
}

static fallible write_all(struct direct *d, struct iovec *v, size_t n, const char *name)
{
    while (n > 0) {
        ssize_t w = pwritev(d->fd, v, (int)n, (off_t)d->at);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0 && errno == EINVAL && d->past_cache) { /* it takes the flag and not the write */
            log_debug("write '%s' through the page cache: the file system has no O_DIRECT for it", name);
            direct_end(d);
            continue;
        }
        if (w < 0)
            return err_sys(errno, "write '%s'", name);
        d->at += (uint64_t)w;
        n = left_of(v, n, (size_t)w);
        if (d->past_cache && n > 0 && (!is_aligned(v) || d->at % DIRECT_ALIGN != 0))
            direct_end(d); /* cut short in the middle of a block */
    }
    return NULL;
}

fallible direct_write(struct direct *d, const struct iovec *pieces, size_t n, const char *name)
{
    struct iovec v[PIECES_MAX];
    size_t some = 0;
    if (d->from && d->at >= d->from) { /* large after all */
        d->from = 0;
        if (!d->past_cache)
            go_past_cache(d);
    }
    while (n > 0) {
        for (some = 0; some < n && some < PIECES_MAX && (!d->past_cache || is_aligned(&pieces[some])); some++)
            v[some] = pieces[some];
        if (some > 0)
            TRY(write_all(d, v, some, name));
        else
            direct_end(d);
        pieces += some;
        n -= some;
    }
    return NULL;
}
