// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/batch.h"

#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "codec/pool.h"

/* Descriptors are few, so a batch has not more directories than that. A thread costs some 50 us: fewer files or bytes
 * than in ALONE_* are not worth one. */
enum {
    ITEMS_MAX = 4096,
    DIRS_MAX = 128,
    JOB_FILES = 256,
    JOB_BYTES = 8 << 20,
    ALONE_FILES = 64,
    ALONE_BYTES = 2 << 20,
    SMALL_BYTES = 16 << 20
};

/* Items that one thread takes at once. */
struct share_of {
    size_t from, to;
};
struct batch {
    batch_work *work;
    batch_after *after;
    void *ctx;
    struct batch_item *items;
    size_t n, working;
    size_t last; /* item that is worked on */
    int64_t bytes, small;
    int dirs[DIRS_MAX];
    size_t dirs_n;
    int last_dir; /* the caller's number of the directory that was duplicated last */
    struct share_of *jobs;
    size_t jobs_n;
};

struct batch *batch_new(batch_work *work, batch_after *after, void *ctx)
{
    struct batch *b = mem_zalloc(sizeof *b);
    b->work = work;
    b->after = after;
    b->ctx = ctx;
    b->last_dir = -1;
    b->items = mem_array(NULL, ITEMS_MAX, sizeof *b->items);
    return b;
}

static void clear(struct batch *b)
{
    for (size_t i = 0; i < b->n; i++) {
        free((char *)(uintptr_t)b->items[i].entry.name);
        free((char *)(uintptr_t)b->items[i].entry.path);
        free((char *)(uintptr_t)b->items[i].entry.to);
        free(b->items[i].dest);
        free(b->items[i].made);
    }
    for (size_t i = 0; i < b->dirs_n; i++)
        (void)close(b->dirs[i]);
    b->n = b->working = b->dirs_n = 0;
    b->bytes = b->small = 0;
    b->last_dir = -1;
}

void batch_free(struct batch *b)
{
    if (!b)
        return;
    clear(b);
    free(b->jobs);
    free(b->items);
    free(b);
}

/* ---- adding ---- */

static size_t parent_len(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash ? (size_t)(slash - path) : 0;
}

/* The same directory as that of the last one to be worked on? Its number alone does not say so: numbers are used again.
 */
static bool same_dir(const struct batch *b, const struct source_entry *e)
{
    const char *before = b->working ? b->items[b->last].entry.path : NULL;
    size_t len = parent_len(e->path);
    return before && *e->name && e->dir_fd == b->last_dir && parent_len(before) == len &&
           memcmp(before, e->path, len) == 0;
}

static fallible keep_dir(struct batch *b, const struct source_entry *e, int *ret)
{
    if (!same_dir(b, e)) {
        int fd = fcntl(e->dir_fd, F_DUPFD_CLOEXEC, 0);
        if (fd < 0)
            return err_sys(errno, "keep the directory of '%s' open", e->path);
        b->dirs[b->dirs_n++] = fd;
    }
    b->last_dir = *e->name ? e->dir_fd : -1;
    *ret = b->dirs[b->dirs_n - 1];
    return NULL;
}

fallible batch_add(struct batch *b, const struct source_entry *e, char *take_dest, bool work)
{
    own_mem char *dest = take_dest;
    int dir = -1;
    if (b->n == ITEMS_MAX || b->dirs_n == DIRS_MAX || b->small >= SMALL_BYTES)
        TRY(batch_run(b));
    if (work)
        TRY(keep_dir(b, e, &dir));
    struct batch_item *item = &b->items[b->n++];
    *item = (struct batch_item){ .entry = *e, .dest = take(dest), .work = work };
    item->entry.dir_fd = dir;
    item->entry.name = mem_strdup(e->name);
    item->entry.path = mem_strdup(e->path);
    item->entry.to = mem_strdup(e->to);
    if (!work)
        return NULL;
    b->working++;
    b->last = b->n - 1;
    b->bytes += e->st.st_size;
    b->small += e->st.st_size < BATCH_SMALL ? e->st.st_size : 0;
    return NULL;
}

struct batch_item *batch_last(struct batch *b)
{
    return &b->items[b->n - 1];
}

/* ---- working ---- */

static void cut(struct batch *b)
{
    int64_t bytes = 0;
    size_t begin = 0;
    int dir = -1;
    b->jobs = mem_array(b->jobs, b->n + 1, sizeof *b->jobs);
    b->jobs_n = 0;
    for (size_t i = 0; i < b->n; i++) {
        if (!b->items[i].work)
            continue;
        int here = b->items[i].entry.dir_fd;
        if (dir >= 0 && (here != dir || i - begin >= JOB_FILES || bytes >= JOB_BYTES)) {
            b->jobs[b->jobs_n++] = (struct share_of){ begin, i };
            begin = i;
            bytes = 0;
        }
        dir = here;
        bytes += b->items[i].entry.st.st_size;
    }
    b->jobs[b->jobs_n++] = (struct share_of){ begin, b->n };
}

static fallible job(struct pool *pool, void *ctx, size_t number)
{
    struct batch *b = ctx;
    own_mem unsigned char *buffer = mem_alloc(BATCH_BUFFER);
    for (size_t i = b->jobs[number].from; i < b->jobs[number].to && !pool_stopping(pool); i++)
        if (b->items[i].work)
            TRY(b->work(b->ctx, &b->items[i], buffer));
    return NULL;
}

fallible batch_run(struct batch *b)
{
    err *e = NULL;
    if (b->n == 0)
        return NULL;
    cut(b);
    bool alone = b->working < ALONE_FILES && b->bytes < ALONE_BYTES;
    if (b->working)
        e = pool_run(alone ? 1 : pool_cores(), b->jobs_n, job, b);
    for (size_t i = 0; b->after && !e && i < b->n; i++)
        e = b->after(b->ctx, &b->items[i]);
    clear(b);
    return e;
}
