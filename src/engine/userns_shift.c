// SPDX-License-Identifier: GPL-2.0-or-later
/* An ordinary user's containers with a map of their own: how their files get the owners that the image says. */
#include <string.h>

#include "base/log.h"
#include "engine/storage.h"
#include "engine/userns.h"
#include "engine/users.h"

bool userns_is_shifted(const struct container_config *c)
{
    return engine_is_rootless() && c->uid_map.n && str_eq(c->storage, "fuse-overlayfs");
}

static fallible default_maps(struct id_map *uids, struct id_map *gids)
{
    own_mem char *note = NULL;
    return ids_rootless_maps(uids, gids, &note);
}

/* Those of the container, counted as the default map does. */
static fallible maps_in_default(const struct container_config *c, struct id_map *uids, struct id_map *gids)
{
    own(id_map) struct id_map base_uids = { 0 }, base_gids = { 0 }, own_uids = { 0 }, own_gids = { 0 };
    TRY(default_maps(&base_uids, &base_gids));
    TRY(userns_maps_of(c, &own_uids, &own_gids));
    TRY_AS(id_map_translate(&base_uids, &own_uids, uids), "users of the container");
    return err_wrap(id_map_translate(&base_gids, &own_gids, gids), "groups of the container");
}

static char *shift_text(const struct id_map *map)
{
    own_str struct str text = { 0 };
    for (size_t i = 0; i < map->n; i++)
        str_printf(&text, "%s%u:%u:%u", i ? ":" : "", map->ranges[i].inside, map->ranges[i].outside,
                   map->ranges[i].count);
    return str_take(&text);
}

fallible userns_shift(const struct container_config *c, struct rootfs_source *root)
{
    own(id_map) struct id_map uids = { 0 }, gids = { 0 };
    if (!userns_is_shifted(c))
        return NULL;
    TRY(maps_in_default(c, &uids, &gids));
    root->uid_shift = shift_text(&uids);
    root->gid_shift = shift_text(&gids);
    return NULL;
}

fallible userns_in_default(const struct container_config *c, uint32_t *uid, uint32_t *gid)
{
    own(id_map) struct id_map uids = { 0 }, gids = { 0 };
    if (!engine_is_rootless() || !c->uid_map.n)
        return NULL;
    TRY(maps_in_default(c, &uids, &gids));
    if (!id_map_outside(&uids, *uid, uid) || !id_map_outside(&gids, *gid, gid))
        return err_new(ERR_INVALID, "user %u:%u is not in the container's map", *uid, *gid);
    return NULL;
}

/* A map in which the store's files are right without anybody's help. */
static bool is_default(const struct id_map *in_default)
{
    for (size_t i = 0; i < in_default->n; i++)
        if (in_default->ranges[i].inside != in_default->ranges[i].outside)
            return false;
    return true;
}

/* Without help the files of the image's root, which are the caller's, show as whatever the caller is inside. */
static bool has_caller(const struct id_map *in_default)
{
    uint32_t inside;
    return id_map_inside(in_default, 0, &inside);
}

fallible userns_choose_storage(struct container *c)
{
    own(id_map) struct id_map uids = { 0 }, gids = { 0 };
    own_mem char *why = NULL;
    struct container_config *k = c->config;
    bool can = false;
    if (!engine_is_rootless() || !k->uid_map.n)
        return NULL;
    TRY(maps_in_default(k, &uids, &gids));
    if (is_default(&uids) && is_default(&gids))
        return NULL;
    if (k->rootfs && !k->rootfs_overlay)
        why = mem_printf("--rootfs '%s' is used in place: write '%s:O'", k->rootfs, k->rootfs);
    else if (str_eq(k->storage, "vfs"))
        why = mem_strdup("the storage driver is vfs");
    else
        TRY(storage_shifts(c->engine, &can, &why));
    if (can) {
        free(k->storage);
        k->storage = mem_strdup("fuse-overlayfs");
        return NULL;
    }
    if (!has_caller(&uids) || !has_caller(&gids))
        return err_new(
            ERR_UNSUPPORTED,
            "--userns %s: your own id is not in the map, so only fuse-overlayfs could show the image's files "
            "in it: %s",
            k->userns, why);
    log_info("user namespace: the files of the image's root show as yours: %s", why);
    return NULL;
}

static bool writes_to_host(const struct container_config *k)
{
    for (size_t i = 0; i < k->mounts_n; i++)
        if (strcmp(k->mounts[i].type, "bind") == 0 && k->mounts[i].source && !k->mounts[i].read_only &&
            !k->mounts[i].overlay && !k->mounts[i].idmap)
            return true;
    return false;
}

fallible userns_keep_user(struct container *c)
{
    own(id_map) struct id_map base_uids = { 0 }, base_gids = { 0 }, uids = { 0 }, gids = { 0 };
    struct container_config *k = c->config;
    struct rootfs_source root = { 0 };
    struct container_user user = { 0 };
    bool can = false;
    if (!engine_is_rootless() || !k->user || !str_eq(k->userns, "default") || k->uid_map.n || !writes_to_host(k) ||
        (k->rootfs && !k->rootfs_overlay) || str_eq(k->storage, "vfs"))
        return NULL;
    TRY(container_root(c, &root));
    free(root.upper); /* not made yet */
    root.upper = NULL;
    err *e = users_resolve(&root, k->user, NULL, &user);
    rootfs_source_free(&root);
    uint32_t uid = user.uid, gid = user.gid;
    container_user_clear(&user);
    if (e || !uid) {
        err_ignore(e, "the start says which user is not there");
        return NULL;
    }
    TRY(default_maps(&base_uids, &base_gids));
    if (base_uids.n < 2 || base_gids.n < 2)
        return NULL;
    TRY(storage_shifts(c->engine, &can, NULL));
    if (!can)
        return NULL;
    userns_map_keep(&base_uids, uid, &uids);
    userns_map_keep(&base_gids, gid, &gids);
    userns_map_write(&uids, &k->uid_map);
    userns_map_write(&gids, &k->gid_map);
    free(k->storage);
    k->storage = mem_strdup("fuse-overlayfs");
    return NULL;
}
