// SPDX-License-Identifier: GPL-2.0-or-later
/* Secrets at a start: files in the container's run-time folder, which is memory, and variables that no file has. */
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "engine/container_parts.h"
#include "engine/secret.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/userns.h"
#include "rootfs/source.h"

struct give {
    int fd;
    uint32_t uid, gid;
    mode_t mode;
};

static err *give_fd(void *ctx)
{
    const struct give *g = ctx;
    if (fchown(g->fd, g->uid, g->gid) < 0 || fchmod(g->fd, g->mode) < 0)
        return err_sys(errno, "give a file to the container's user");
    return NULL;
}

static bool outside_of(const struct oci_id_mapping *maps, size_t n, uint32_t inside, uint32_t *ret)
{
    for (size_t i = 0; i < n; i++)
        if (inside >= maps[i].container_id && inside - maps[i].container_id < maps[i].size) {
            *ret = maps[i].host_id + (inside - maps[i].container_id);
            return true;
        }
    *ret = inside;
    return n == 0;
}

static fallible as_default_root(struct container_plan *plan, struct give *g)
{
    own(id_map) struct id_map uids = { 0 }, gids = { 0 };
    own_mem char *note = NULL;
    if (plan->mounts_user_fd >= 0) /* has the default map as well */
        return userns_call_in(plan->mounts_user_fd, give_fd, g);
    if (plan->files_user_fd < 0) {
        TRY(ids_rootless_maps(&uids, &gids, &note));
        TRY(source_userns(&uids, &gids, &plan->files_user_fd));
    }
    return userns_call_in(plan->files_user_fd, give_fd, g);
}

fallible container_give_file(struct container_plan *plan, int fd, uint32_t uid, uint32_t gid, mode_t mode)
{
    const struct oci_linux *l = plan->spec->linux_;
    struct give g = { .fd = fd, .mode = mode };
    if (!outside_of(l->uid_mappings, l->uid_mappings_n, uid, &g.uid) ||
        !outside_of(l->gid_mappings, l->gid_mappings_n, gid, &g.gid))
        return err_new(ERR_INVALID, "user %u:%u is not mapped in the container's user namespace", uid, gid);
    if (!engine_is_rootless())
        return give_fd(&g);
    if (!l->uid_mappings_n) { /* it joins another's namespace, which is this user's own as well */
        g.uid = uid;
        g.gid = gid;
        return as_default_root(plan, &g);
    }
    own(id_map) struct id_map uids = { 0 }, gids = { 0 };
    own_mem char *note = NULL;
    TRY(ids_rootless_maps(&uids, &gids, &note)); /* as his own root: the same id, seen from there */
    if (!id_map_inside(&uids, g.uid, &g.uid) || !id_map_inside(&gids, g.gid, &g.gid))
        return err_new(ERR_INVALID, "user %u:%u of the container is none of yours", uid, gid);
    if (g.uid == 0 && g.gid == 0)
        return fchmod(fd, mode) < 0 ? err_sys(errno, "set a file's mode") : NULL;
    return as_default_root(plan, &g);
}

static fallible write_one(struct container *c, struct container_plan *plan, size_t i)
{
    const struct container_secret *want = &c->config->secrets[i];
    own(secret) struct secret s = { 0 };
    own_mem char *path = secret_file(c->state_dir, i);
    TRY(secret_find(c->engine, want->name, &s));
    own_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(errno, "write '%s'", path);
    TRY(fs_write_fd(fd, s.data, s.len, path));
    return container_give_file(plan, fd, (uint32_t)want->uid, (uint32_t)want->gid, (mode_t)want->mode);
}

fallible container_write_secrets(struct container *c, struct container_plan *plan)
{
    struct statfs fs;
    own_mem char *folder = mem_printf("%s/secrets", c->state_dir);
    if (!c->config->secrets_n)
        return NULL;
    if (statfs(c->state_dir, &fs) < 0 || (fs.f_type != TMPFS_MAGIC && fs.f_type != RAMFS_MAGIC))
        return err_new(ERR_CONFLICT,
                       "--secret: the run-time folder '%s' is on a disk, where a secret would stay readable: let "
                       "HUSK_RUN name a tmpfs",
                       c->engine->run);
    if (mkdir(folder, 0711) < 0)
        return err_sys(errno, "make '%s'", folder);
    for (size_t i = 0; i < c->config->secrets_n; i++)
        if (str_eq(c->config->secrets[i].type, "mount"))
            TRY_AS(write_one(c, plan, i), "--secret '%s'", c->config->secrets[i].name);
    return NULL;
}

fallible container_add_secret_env(struct container *c, struct strv *env)
{
    for (size_t i = 0; i < c->config->secrets_n; i++) {
        const struct container_secret *want = &c->config->secrets[i];
        own(secret) struct secret s = { 0 };
        if (!str_eq(want->type, "env"))
            continue;
        TRY_AS(secret_find(c->engine, want->name, &s), "--secret");
        if (memchr(s.data, '\0', s.len))
            return err_new(ERR_INVALID, "--secret '%s': it has a zero byte, which no variable can hold", want->name);
        own_mem char *assignment = mem_printf("%s=%s", want->target, s.data);
        strv_setenv(env, assignment);
        explicit_bzero(assignment, strlen(assignment));
    }
    return NULL;
}
