// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/container_mount.h"

#include <unistd.h>

#include "engine/events.h"
#include "engine/inside.h"
#include "engine/mounts.h"

#define PREFIX "container-"

char *container_mount_path(const struct engine *e, const char *id)
{
    own_mem char *name = mem_printf(PREFIX "%s", id);
    return mounts_path(e, name);
}

fallible container_mounts(const struct engine *e, struct strv *ret_ids)
{
    (void)mounts_sweep(e, MOUNTS_SWEEP);
    return mounts_list(e, PREFIX, ret_ids);
}

fallible container_mount(struct container *c, char **ret_path)
{
    own_fd int mount = -1;
    TRY(mounts_may());
    (void)mounts_sweep(c->engine, MOUNTS_SWEEP);
    own_mem char *path = container_mount_path(c->engine, c->row.id);
    TRY(container_lock(c));
    err *e = NULL;
    if (!mounts_has(path)) {
        e = container_root_mount(c, &mount);
        if (!e)
            e = mounts_place(c->engine, path, mount);
    }
    container_unlock(c);
    TRY(e);
    container_say(c, "mount", NULL);
    *ret_path = take(path);
    return NULL;
}

fallible container_unmount(struct container *c)
{
    TRY(mounts_may());
    (void)mounts_sweep(c->engine, MOUNTS_SWEEP);
    own_mem char *path = container_mount_path(c->engine, c->row.id);
    if (!mounts_has(path))
        return err_new(ERR_NOT_FOUND, "container '%s' is not mounted here", c->row.name);
    TRY(mounts_remove(c->engine, path));
    container_say(c, "unmount", NULL);
    return NULL;
}

fallible container_mounted_root(const struct container *c, struct rootfs_source *root)
{
    own_mem char *all = mem_printf("%s/mounts", c->engine->run), *name = NULL, *path = NULL;
    if (access(all, F_OK) < 0)
        return NULL;
    path = container_mount_path(c->engine, c->row.id);
    name = mem_printf(PREFIX "%s", c->row.id);
    if (mounts_has(path)) {
        rootfs_source_free(root);
        *root = (struct rootfs_source){ .kind = ROOTFS_DIR, .dir = take(path) };
        return NULL;
    }
    if (mounts_elsewhere(c->engine, name))
        return err_new(
            ERR_CONFLICT,
            "container '%s' is mounted in another mount namespace (`husk unshare`): unmount it there, or end "
            "what runs in it",
            c->row.name);
    return NULL;
}
