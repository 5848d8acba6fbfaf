// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/untar_dirs.h"

#include <errno.h>
#include <fcntl.h>

#include "base/mem.h"
#include "os/root.h"

/* Archives go through the tree depth first, so a few are enough; several layers at a time must fit 1,024 files. */
enum { CACHE_SIZE = 64 };

struct cached {
    char *path;
    size_t len;
    int fd;
};
struct remembered {
    struct tar_entry entry; /* path and xattrs are ours */
};
struct untar_dirs {
    int root_fd;
    struct cached cache[CACHE_SIZE];
    struct remembered *items;
    size_t n, room, bytes;
};

struct untar_dirs *untar_dirs_new(int root_fd)
{
    struct untar_dirs *d = mem_zalloc(sizeof *d);
    d->root_fd = root_fd;
    for (size_t i = 0; i < CACHE_SIZE; i++)
        d->cache[i].fd = -1;
    return d;
}

void untar_dirs_forget(struct untar_dirs *d)
{
    for (size_t i = 0; i < CACHE_SIZE; i++) {
        close_now(&d->cache[i].fd);
        free(take(d->cache[i].path));
    }
}

static void free_entry(struct tar_entry *e)
{
    for (size_t i = 0; i < e->xattrs_n; i++) {
        free((char *)e->xattrs[i].name);
        free((void *)e->xattrs[i].value);
    }
    free((void *)e->xattrs);
    free((char *)e->path);
}

void untar_dirs_free(struct untar_dirs *d)
{
    if (!d)
        return;
    untar_dirs_forget(d);
    for (size_t i = 0; i < d->n; i++)
        free_entry(&d->items[i].entry);
    free(d->items);
    free(d);
}

/* FNV-1a */
static uint32_t hash(const char *p, size_t n)
{
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 16777619u;
    return h;
}

fallible untar_dirs_open(struct untar_dirs *d, const char *path, size_t len, int *ret_fd)
{
    *ret_fd = d->root_fd;
    if (len == 0)
        return NULL;
    struct cached *c = &d->cache[hash(path, len) % CACHE_SIZE];
    if (c->fd >= 0 && c->len == len && memcmp(c->path, path, len) == 0) {
        *ret_fd = c->fd;
        return NULL;
    }
    close_now(&c->fd);
    free(take(c->path));
    c->path = mem_strndup(path, len);
    c->len = len;
    TRY(root_mkdirs(d->root_fd, c->path, 0755, &c->fd));
    *ret_fd = c->fd;
    return NULL;
}

fallible untar_dirs_remember(struct untar_dirs *d, const char *path, const struct tar_entry *e)
{
    size_t bytes = sizeof *d->items + strlen(path) + 1;
    for (size_t i = 0; i < e->xattrs_n; i++)
        bytes += sizeof *e->xattrs + strlen(e->xattrs[i].name) + 1 + e->xattrs[i].n;
    d->bytes += bytes;
    if (d->bytes > UNTAR_DIRS_BYTES_MAX)
        return err_new(ERR_EXHAUSTED, "the layer has too many directories: names and attributes of more than %d MiB",
                       UNTAR_DIRS_BYTES_MAX >> 20);
    if (d->n == d->room) {
        d->room = d->room ? d->room * 2 : 256;
        d->items = mem_array(d->items, d->room, sizeof *d->items);
    }
    struct tar_entry *copy = &d->items[d->n++].entry;
    *copy = *e;
    copy->path = mem_strdup(path);
    struct tar_xattr *xattrs = e->xattrs_n ? mem_array(NULL, e->xattrs_n, sizeof *xattrs) : NULL;
    for (size_t i = 0; i < e->xattrs_n; i++) {
        void *value = mem_alloc(e->xattrs[i].n + 1);
        memcpy(value, e->xattrs[i].value, e->xattrs[i].n);
        xattrs[i] = (struct tar_xattr){ mem_strdup(e->xattrs[i].name), value, e->xattrs[i].n };
    }
    copy->xattrs = xattrs;
    return NULL;
}

static fallible finish_one(struct untar_dirs *d, const struct tar_entry *e,
                           err *(*set)(void *ctx, int fd, const struct tar_entry *e), void *ctx)
{
    own_fd int fd = -1;
    err *problem = root_open(d->root_fd, e->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, &fd);
    /* A later entry put something else there. */
    if (problem && (err_errno(problem) == ENOTDIR || err_errno(problem) == ELOOP || err_errno(problem) == ENOENT)) {
        err_ignore(problem, "no directory any more");
        return NULL;
    }
    TRY(problem);
    return set(ctx, fd, e);
}

fallible untar_dirs_finish(struct untar_dirs *d, err *(*set)(void *ctx, int fd, const struct tar_entry *e), void *ctx)
{
    for (size_t i = 0; i < d->n; i++)
        TRY_AS(finish_one(d, &d->items[i].entry, set, ctx), "'%.*s'", 200, d->items[i].entry.path);
    return NULL;
}
