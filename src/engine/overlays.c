// SPDX-License-Identifier: GPL-2.0-or-later
/* Mounts with a layer of the container's own over them (O), which lives from one start to the next. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/container_parts.h"
#include "engine/image_mount.h"
#include "engine/volume.h"
#include "os/fs.h"
#include "os/userns.h"

char *overlay_dir(const char *folder, size_t n)
{
    return mem_printf("%s/overlays/%zu", folder, n);
}

struct layer {
    const char *source, *dir;
};

/* upper's owner and mode are what the mount point shows. */
static err *make_layer(void *ctx)
{
    const struct layer *l = ctx;
    own_mem char *upper = mem_printf("%s/upper", l->dir), *work = mem_printf("%s/work", l->dir);
    struct stat st;
    if (stat(l->source, &st) < 0)
        return err_sys(errno, "look at '%s'", l->source);
    if (!S_ISDIR(st.st_mode))
        return err_new(ERR_INVALID, "O: '%s' is no directory", l->source);
    TRY(fs_mkdirs_at(AT_FDCWD, l->dir, 0711));
    if (mkdir(upper, 0755) < 0 || mkdir(work, 0700) < 0)
        return err_sys(errno, "make '%s'", upper);
    if (lchown(upper, st.st_uid, st.st_gid) < 0 && errno != EINVAL && errno != EPERM) /* an owner that is not mapped */
        return err_sys(errno, "give '%s' its owner", upper);
    if (chmod(upper, st.st_mode & 07777) < 0)
        return err_sys(errno, "set the mode of '%s'", upper);
    return NULL;
}

static fallible prepare(struct container *c, size_t i, bool *cleared)
{
    const struct container_mount *m = &c->config->mounts[i];
    if (m->mounted)
        TRY(volume_mount(c->engine, m->source));
    if (!m->overlay || m->upper)
        return NULL;
    own_mem char *all = mem_printf("%s/overlays", c->dir), *dir = overlay_dir(c->dir, i);
    own_strv struct strv lowers = { 0 };
    if (strcmp(m->type, "image") == 0)
        TRY(image_mount_lowers(c->engine, m, &lowers));
    own_mem char *source = lowers.n ? mem_strdup(lowers.items[0]) : mount_source_path(c->engine, m);
    if (!*cleared)
        TRY(engine_remove_tree(all));
    *cleared = true;
    struct layer l = { source, dir };
    return engine_is_rootless() ? userns_call(make_layer, &l) : make_layer(&l);
}

fallible container_prepare_mounts(struct container *c)
{
    const struct container_config *config;
    bool cleared = false;
    TRY(container_config(c, &config));
    for (size_t i = 0; i < config->mounts_n; i++)
        TRY_AS(prepare(c, i, &cleared), "mount '%s'", config->mounts[i].target);
    return NULL;
}

/* volume_mount() and images are for containers that stay. */
fallible overlays_make(const struct container_config *config, const char *folder)
{
    for (size_t i = 0; i < config->mounts_n; i++) {
        const struct container_mount *m = &config->mounts[i];
        own_mem char *dir = overlay_dir(folder, i);
        if (m->overlay && !m->upper)
            TRY_AS(make_layer(&(struct layer){ m->source, dir }), "mount '%s'", m->target);
    }
    return NULL;
}
