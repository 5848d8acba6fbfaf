// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>

#include "base/log.h"
#include "build/build.h"
#include "build/cache.h"
#include "layers/diff_walk.h"
#include "layers/layer.h"
#include "os/fs.h"
#include "os/userns.h"

struct pruning {
    struct engine *engine;
    bool remove, mounts;
    struct build_usage usage;
};

static fallible names_of(struct layout *l, const char *path, struct strv *ret)
{
    own_fd int fd = openat(l->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "open '%s/%s'", l->path, path);
    return diff_names(fd, ret);
}

static fallible entries(struct pruning *p, struct layout *l)
{
    own_strv struct strv names = { 0 }, seen = { 0 };
    struct build_cache cache;
    TRY(names_of(l, "build/cache", &names));
    if (names.n == 0)
        return NULL;
    err *e = build_cache_open(l, &cache);
    for (size_t i = 0; !e && i < names.n; i++) {
        own(build_cached) struct build_cached found = { 0 };
        uint64_t bytes = 0;
        bool hit = false;
        e = build_cache_find(&cache, names.items[i], &found, &hit);
        p->usage.entries++;
        if (!e && hit && !found.layer.empty && !strv_has(&seen, found.layer.diff_id)) {
            own_mem char *path = mem_printf("layers/%s", digest_hex(found.layer.diff_id));
            strv_add(&seen, found.layer.diff_id);
            err_ignore(fs_disk_usage_at(l->fd, path, &bytes), "it counts as nothing");
            p->usage.bytes += bytes;
        }
        if (!e && p->remove && unlinkat(cache.cache_fd, names.items[i], 0) < 0 && errno != ENOENT)
            e = err_sys(errno, "remove a cache entry");
    }
    build_cache_close(&cache);
    return e;
}

/* One that a build has is left. */
static fallible mounts(struct pruning *p, struct layout *l)
{
    own_strv struct strv names = { 0 };
    TRY(names_of(l, "build/mounts", &names));
    for (size_t i = 0; i < names.n; i++) {
        own_mem char *path = mem_printf("build/mounts/%s", names.items[i]);
        own_fd int lock = -1, dir = openat(l->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        uint64_t bytes = 0;
        if (dir < 0)
            continue;
        err *e = p->remove ? fs_lock_at(dir, "lock", FS_LOCK_TRY, &lock) : NULL;
        if (err_is(e, ERR_CONFLICT)) {
            err_free(e);
            continue;
        }
        TRY(e);
        TRY(fs_disk_usage_at(l->fd, path, &bytes));
        p->usage.mounts++;
        p->usage.mount_bytes += bytes;
        if (p->remove)
            TRY(fs_remove_tree_at(l->fd, path));
    }
    return NULL;
}

static fallible go(struct pruning *p)
{
    struct layout *l;
    TRY(engine_layout(p->engine, &l));
    TRY(entries(p, l));
    return !p->remove || p->mounts ? mounts(p, l) : NULL;
}

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

fallible build_prune(struct engine *e, bool with_mounts, struct build_usage *ret_removed)
{
    struct pruning p = { .engine = e, .remove = true, .mounts = with_mounts };
    TRY(with_userns(&p));
    *ret_removed = p.usage;
    return NULL;
}
