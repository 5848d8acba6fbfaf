// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>

#include "base/log.h"
#include "build/build.h"
#include "build/cache.h"
#include "layers/diff_walk.h"
#include "layers/layer.h"
#include "os/fs.h"
#include "os/userns.h"

struct item {
    char *name; /* below build/cache or build/mounts */
    bool mount;
    int64_t used_s;
    uint64_t bytes;
};
struct pruning {
    struct engine *engine;
    const struct build_prune_wish *wish; /* NULL: nothing is removed, all is counted */
    struct item *items;
    size_t n;
    struct build_usage usage;
};

static fallible names_of(struct layout *l, const char *path, struct strv *ret)
{
    own_fd int fd = openat(l->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "open '%s/%s'", l->path, path);
    return diff_names(fd, ret);
}

static struct item *add(struct pruning *p, const char *name, bool mount, int64_t used_s)
{
    p->items = mem_array(p->items, p->n + 1, sizeof *p->items);
    p->items[p->n] = (struct item){ .name = mem_strdup(name), .mount = mount, .used_s = used_s };
    return &p->items[p->n++];
}

/* ---- what there is ---- */

/* To look at an entry is not to use it: its time stays. */
static fallible look(struct pruning *p, struct layout *l, struct build_cache *cache, const char *name,
                     struct strv *seen)
{
    own(build_cached) struct build_cached found = { 0 };
    struct stat st;
    bool hit = false;
    if (fstatat(cache->cache_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "look at a cache entry");
    TRY(build_cache_find(cache, name, &found, &hit));
    const struct timespec times[2] = { st.st_atim, st.st_mtim };
    (void)utimensat(cache->cache_fd, name, times, AT_SYMLINK_NOFOLLOW);
    struct item *item = add(p, name, false, st.st_mtim.tv_sec);
    if (!hit || found.layer.empty || strv_has(seen, found.layer.diff_id))
        return NULL;
    own_mem char *path = mem_printf("layers/%s", digest_hex(found.layer.diff_id));
    strv_add(seen, found.layer.diff_id);
    err_ignore(fs_disk_usage_at(l->fd, path, &item->bytes), "it counts as nothing");
    return NULL;
}

static fallible find_entries(struct pruning *p, struct layout *l)
{
    own_strv struct strv names = { 0 }, seen = { 0 };
    struct build_cache cache;
    TRY(names_of(l, "build/cache", &names));
    if (names.n == 0)
        return NULL;
    err *e = build_cache_open(l, &cache);
    for (size_t i = 0; !e && i < names.n; i++)
        e = look(p, l, &cache, names.items[i], &seen);
    build_cache_close(&cache);
    return e;
}

/* The file "id" in it is written by each build that has it. */
static fallible find_mounts(struct pruning *p, struct layout *l)
{
    own_strv struct strv names = { 0 };
    TRY(names_of(l, "build/mounts", &names));
    for (size_t i = 0; i < names.n; i++) {
        own_mem char *path = mem_printf("build/mounts/%s", names.items[i]), *id = mem_printf("%s/id", path);
        struct stat st;
        if (fstatat(l->fd, id, &st, AT_SYMLINK_NOFOLLOW) < 0 && fstatat(l->fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        struct item *item = add(p, names.items[i], true, st.st_mtim.tv_sec);
        TRY(fs_disk_usage_at(l->fd, path, &item->bytes));
    }
    return NULL;
}

/* ---- what goes ---- */

static int longest_unused_first(const void *a_, const void *b_)
{
    const struct item *a = a_, *b = b_;
    return a->used_s < b->used_s ? -1 : a->used_s > b->used_s;
}

/* A mount that a build has is left. */
static fallible remove_mount(struct layout *l, const char *path, bool *ret_gone)
{
    own_fd int lock = -1, dir = openat(l->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return NULL;
    err *e = fs_lock_at(dir, "lock", FS_LOCK_TRY, &lock);
    if (err_is(e, ERR_CONFLICT)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    *ret_gone = true;
    return fs_remove_tree_at(l->fd, path);
}

static fallible remove_item(struct layout *l, const struct item *item, bool *ret_gone)
{
    own_mem char *path = mem_printf("build/%s/%s", item->mount ? "mounts" : "cache", item->name);
    if (item->mount)
        return remove_mount(l, path, ret_gone);
    if (unlinkat(l->fd, path, 0) < 0 && errno != ENOENT)
        return err_sys(errno, "remove a cache entry");
    *ret_gone = true;
    return NULL;
}

static void count(struct pruning *p, const struct item *item)
{
    if (item->mount) {
        p->usage.mounts++;
        p->usage.mount_bytes += item->bytes;
    } else {
        p->usage.entries++;
        p->usage.bytes += item->bytes;
    }
}

/* How much of it is to stay: of BuildKit's three bounds, as its garbage collection has them. */
static fallible to_keep(const struct pruning *p, uint64_t all, uint64_t *ret)
{
    const struct build_prune_wish *w = p->wish;
    uint64_t keep = w->max_used.set ? (uint64_t)w->max_used.v : w->min_free.set ? all : 0;
    struct statvfs fs;
    if (w->min_free.set) {
        if (statvfs(p->engine->root, &fs) < 0)
            return err_sys(errno, "look how much is free for '%s'", p->engine->root);
        uint64_t is_free = (uint64_t)fs.f_bavail * fs.f_frsize, wish = (uint64_t)w->min_free.v;
        uint64_t lacks = wish > is_free ? wish - is_free : 0, may = lacks < all ? all - lacks : 0;
        keep = may < keep ? may : keep;
    }
    *ret = w->reserved.set && (uint64_t)w->reserved.v > keep ? (uint64_t)w->reserved.v : keep;
    return NULL;
}

static fallible choose(struct pruning *p, struct layout *l)
{
    const struct build_prune_wish *w = p->wish;
    bool bounded = w && (w->max_used.set || w->min_free.set || w->reserved.set);
    uint64_t left = 0, keep = 0;
    qsort(p->items, p->n, sizeof *p->items, longest_unused_first);
    for (size_t i = 0; i < p->n; i++)
        left += p->items[i].bytes;
    if (bounded)
        TRY(to_keep(p, left, &keep));
    for (size_t i = 0; i < p->n; i++) {
        const struct item *item = &p->items[i];
        bool gone = !w || w->dry_run;
        if (w && w->unused_since_s && item->used_s >= w->unused_since_s)
            continue;
        if (bounded && left <= keep)
            break;
        if (!gone)
            TRY(remove_item(l, item, &gone));
        if (gone) {
            left -= item->bytes;
            count(p, item);
        }
    }
    return NULL;
}

static fallible go(struct pruning *p)
{
    struct layout *l;
    TRY(engine_layout(p->engine, &l));
    err *e = p->wish && !p->wish->steps ? NULL : find_entries(p, l);
    if (!e && (!p->wish || p->wish->mounts))
        e = find_mounts(p, l);
    if (!e)
        e = choose(p, l);
    for (size_t i = 0; i < p->n; i++)
        free(p->items[i].name);
    free(p->items);
    return e;
}

/* ---- where it is done ---- */

struct in_userns {
    struct pruning *p;
    int fd;
};

/* Files of an ordinary user's cache belong to subordinate ids: it is done inside, and what it came to told outside. */
static err *inside(void *ctx)
{
    struct in_userns *x = ctx;
    TRY(go(x->p));
    return fs_write_fd(x->fd, &x->p->usage, sizeof x->p->usage, "a pipe");
}

static fallible with_userns(struct pruning *p)
{
    int ends[2];
    if (userns_is_root())
        return go(p);
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int from = ends[0], to = ends[1];
    struct in_userns x = { p, to };
    TRY(userns_call(inside, &x));
    return fs_read_exact(from, &p->usage, sizeof p->usage, "a pipe");
}

fallible build_usage(struct engine *e, struct build_usage *ret)
{
    struct pruning p = { .engine = e };
    TRY(with_userns(&p));
    *ret = p.usage;
    return NULL;
}

fallible build_prune(struct engine *e, const struct build_prune_wish *wish, struct build_usage *ret_removed)
{
    struct pruning p = { .engine = e, .wish = wish };
    TRY(with_userns(&p));
    *ret_removed = p.usage;
    return NULL;
}
