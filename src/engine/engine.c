// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/engine.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "engine/paths.h"
#include "os/fs.h"
#include "os/userns.h"

fallible engine_open(struct engine **ret)
{
    own(engine) struct engine *e = mem_zalloc(sizeof *e);
    TRY(paths_root(&e->root));
    TRY(paths_run(&e->run));
    *ret = take(e);
    return NULL;
}

void engine_free(struct engine *e)
{
    if (!e)
        return;
    db_free(e->db);
    layout_free(e->layout);
    free(e->root);
    free(e->run);
    free(e);
}

fallible engine_db(struct engine *e, struct db **ret)
{
    if (!e->db)
        TRY(db_open(e->root, DB_MAKE, &e->db));
    *ret = e->db;
    return NULL;
}

fallible engine_db_if_there(struct engine *e, struct db **ret)
{
    if (!e->db) {
        err *failed = db_open(e->root, DB_MUST_EXIST, &e->db);
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

fallible engine_layout(struct engine *e, struct layout **ret)
{
    if (!e->layout)
        TRY(layout_open(e->root, true, &e->layout));
    *ret = e->layout;
    return NULL;
}

bool engine_is_rootless(void)
{
    return geteuid() != 0;
}

static err *remove_tree(void *ctx)
{
    return fs_remove_tree_at(AT_FDCWD, ctx);
}

fallible engine_remove_tree(const char *path)
{
    err *e = remove_tree((void *)path);
    if (!e || !engine_is_rootless() || (err_errno(e) != EACCES && err_errno(e) != EPERM))
        return e;
    err_ignore(e, "files of subordinate ids: again as their root");
    return userns_call(remove_tree, (void *)path);
}
