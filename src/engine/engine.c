// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/paths.h"
#include "image/room.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/userns.h"

fallible engine_open(struct engine **ret)
{
    own(engine) struct engine *e = mem_zalloc(sizeof *e);
    TRY(paths_root(&e->root));
    TRY(paths_run(&e->run));
    *ret = take(e);
    return NULL;
}

fallible engine_open_to_look(struct engine **ret)
{
    TRY(engine_open(ret));
    (*ret)->looks = true;
    return NULL;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    db_free(e->db);
    layout_free(e->layout);
    if (e->usernet) {
        usernet_set_door(NULL);
        usernet_close(e->usernet);
        free(e->usernet);
    }
    free(e->root);
    free(e->run);
    free(e);
}

fallible engine_db(struct engine *e, struct db **ret)
{
    if (!e->db)
        TRY(db_open(e->root, e->looks ? DB_LOOK : DB_MAKE, &e->db));
    *ret = e->db;
    return NULL;
}

static fallible settle_folder(struct engine *e, const char *folder)
{
    own_mem char *path = mem_printf("%s/%s", e->root, folder);
    own_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 || fsync(fd) < 0 ? err_sys(errno, "write '%s' to the disk", path) : NULL;
}

static fallible settle(struct engine *e, const char *folder)
{
    struct db *db;
    if (folder) /* first: a row without one would be worse than neither */
        TRY(settle_folder(e, folder));
    TRY(engine_db(e, &db));
    return db_settle(db);
}

void engine_settle(struct engine *e, const char *folder)
{
    own(err) err *failed = settle(e, folder);
    if (failed)
        log_warn("a power cut may lose what was just made: %s", err_text(failed));
}

fallible engine_db_if_there(struct engine *e, struct db **ret)
{
    if (!e->db) {
        own_mem char *path = mem_printf("%s/husk.db", e->root);
        bool looks = e->looks && access(path, F_OK) == 0;
        err *failed = db_open(e->root, looks ? DB_LOOK : DB_MUST_EXIST, &e->db);
        if (err_is(failed, ERR_NOT_FOUND)) {
            err_free(failed);
            *ret = NULL;
            return NULL;
        }
        TRY(failed);
    }
    *ret = e->db;
    return NULL;
}

bool engine_gave_room(struct engine *e, err **failed)
{
    struct layout *l;
    err *none = engine_layout(e, &l);
    if (none)
        err_ignore(none, "then the first error counts");
    return !none && room_given(l->fd, failed);
}

void engine_ready_to_remove(struct engine *e)
{
    struct db *db;
    err *failed;
    do
        failed = engine_db_if_there(e, &db);
    while (engine_gave_room(e, &failed));
    err_ignore(failed, "engine_db() says it");
}

fallible engine_layout(struct engine *e, struct layout **ret)
{
    if (!e->layout)
        TRY(layout_open(e->root, true, &e->layout));
    *ret = e->layout;
    return NULL;
}

bool engine_is_rootless(void)
{
    return !ids_is_root();
}

static err *remove_tree(void *ctx)
{
    return fs_remove_tree_at(AT_FDCWD, ctx);
}

struct usage {
    const char *path;
    int out;
};

static err *disk_usage(void *ctx)
{
    const struct usage *u = ctx;
    uint64_t bytes = 0;
    TRY(fs_disk_usage_at(AT_FDCWD, u->path, &bytes));
    return fs_write_fd(u->out, &bytes, sizeof bytes, "a pipe");
}

/* The answer comes over a pipe: the second try may be another process's. */
fallible engine_disk_usage(const char *path, uint64_t *ret_bytes)
{
    int ends[2];
    err *e = fs_disk_usage_at(AT_FDCWD, path, ret_bytes);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        *ret_bytes = 0;
        return NULL;
    }
    if (!e || !engine_is_rootless() || (err_errno(e) != EACCES && err_errno(e) != EPERM))
        return e;
    err_ignore(e, "files of subordinate ids: again as their root");
    if (pipe2(ends, O_CLOEXEC) < 0)
        return err_sys(errno, "make a pipe");
    own_fd int from = ends[0], to = ends[1];
    TRY(userns_call(disk_usage, &(struct usage){ path, to }));
    return fs_read_exact(from, ret_bytes, sizeof *ret_bytes, "a pipe");
}

fallible engine_remove_tree(const char *path)
{
    err *e = remove_tree((void *)path);
    if (!e || !engine_is_rootless() || (err_errno(e) != EACCES && err_errno(e) != EPERM))
        return e;
    err_ignore(e, "files of subordinate ids: again as their root");
    return userns_call(remove_tree, (void *)path);
}
