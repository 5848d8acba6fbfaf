// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/container.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include "engine/container_parts.h"
#include "engine/lowers.h"
#include "engine/network_policy.h"
#include "layers/layer.h"
#include "layers/mountpoints.h"
#include "os/fs.h"

struct container *container_new(struct engine *e, struct db_container *take_row)
{
    struct container *c = mem_zalloc(sizeof *c);
    c->engine = e;
    c->row = *take_row;
    *take_row = (struct db_container){ 0 };
    c->dir = mem_printf("%s/containers/%s", e->root, c->row.id);
    c->state_dir = mem_printf("%s/%s", e->run, c->row.id);
    c->lock_fd = -1;
    return c;
}

void container_free(struct container *c)
{
    if (!c)
        return;
    container_unlock(c);
    db_container_clear(&c->row);
    container_config_free(c->config);
    free(c->dir);
    free(c->state_dir);
    free(c);
}

fallible container_find(struct engine *e, const char *what, struct container **ret)
{
    struct db *db = NULL;
    struct db_container row;
    if (!*what)
        return err_new(ERR_INVALID, "a container's name cannot be empty");
    TRY(engine_db_if_there(e, &db));
    if (!db)
        return err_new(ERR_NOT_FOUND, "no such container: '%s'", what);
    TRY(db_container_find(db, what, &row));
    *ret = container_new(e, &row);
    container_mend(*ret);
    return NULL;
}

fallible container_config(struct container *c, const struct container_config **ret)
{
    if (!c->config) {
        void *config = NULL;
        TRY_AS(bind_read(&container_config_type, c->row.config, strlen(c->row.config), &config), "container %.12s",
               c->row.id);
        c->config = config;
    }
    *ret = c->config;
    return NULL;
}

fallible container_lock(struct container *c)
{
    struct stat st;
    if (c->lock_fd >= 0)
        return NULL;
    own_fd int fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT)
        return NULL; /* a row whose folder is gone: there is nothing to keep others from, and rm may go on */
    if (fd < 0)
        return err_sys(errno, "open '%s'", c->dir);
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return err_sys(errno, "lock '%s'", c->dir);
    if (fstat(fd, &st) < 0 || st.st_nlink == 0)
        return err_new(ERR_NOT_FOUND, "no such container: '%s'", c->row.name);
    c->lock_fd = take_fd(&fd);
    return NULL;
}

void container_unlock(struct container *c)
{
    close_now(&c->lock_fd);
}

fallible container_root(struct container *c, struct rootfs_source *ret)
{
    const struct container_config *config;
    struct layout *layout;
    struct rootfs_source root = { 0 };
    TRY(container_config(c, &config));
    if ((config->rootfs && !config->rootfs_overlay) || str_eq(config->storage, "vfs")) {
        root.kind = ROOTFS_DIR;
        root.dir = str_eq(config->storage, "vfs") ? mem_printf("%s/fs", c->dir) : mem_strdup(config->rootfs);
        root.idmap = config->userns_first != 0;
        *ret = root;
        return NULL;
    }
    TRY(engine_layout(c->engine, &layout));
    root.kind = ROOTFS_OVERLAY;
    own_mem char *mountpoints = NULL;
    TRY(mountpoints_path(layout, &mountpoints));
    err *e = NULL;
    if (config->rootfs)
        strv_add(&root.lowers, config->rootfs);
    else
        e = lowers_of(c->engine, &config->layers, &root.lowers);
    if (e) {
        strv_free(&root.lowers);
        return e;
    }
    strv_add_take(&root.lowers, take(mountpoints));
    root.upper = mem_printf("%s/upper", c->dir);
    root.work = mem_printf("%s/work", c->dir);
    root.idmap = config->userns_first != 0;
    root.fuse = str_eq(config->storage, "fuse-overlayfs");
    root.throw_away = config->auto_remove;
    *ret = root;
    return NULL;
}

fallible container_rename(struct container *c, const char *name)
{
    struct db *db;
    TRY(name_check(name));
    TRY(engine_db(c->engine, &db));
    TRY(db_container_rename(db, c->row.id, name));
    own_mem char *old = take(c->row.name);
    c->row.name = mem_strdup(name);
    container_say(c, "rename", "oldName", old, NULL);
    return network_policy_renamed(c);
}
