// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/userns.h"

#include <fcntl.h>
#include <string.h>

#include "os/fs.h"
#include "os/ids.h"

fallible userns_maps_of(const struct container_config *c, struct id_map *uids, struct id_map *gids)
{
    if (c->uid_map.n) {
        TRY(userns_map_read(&c->uid_map, uids));
        return userns_map_read(&c->gid_map, gids);
    }
    uint32_t count = c->userns_size ? (uint32_t)c->userns_size : USERNS_IDS;
    id_map_add(uids, 0, (uint32_t)c->userns_first, count);
    id_map_add(gids, 0, (uint32_t)c->userns_first, count);
    return NULL;
}

/* The ids that containers have now: ranges of the host's, of users and groups alike. */
static fallible taken(struct engine *e, struct id_map *ret)
{
    struct db *db;
    struct db_container *rows = NULL;
    size_t n = 0;
    err *first = NULL;
    TRY(engine_db(e, &db));
    TRY(db_container_list(db, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        void *config = NULL;
        if (!first)
            first = bind_read(&container_config_type, rows[i].config, strlen(rows[i].config), &config);
        const struct container_config *c = config;
        if (!first && c && c->userns_first)
            first = userns_maps_of(c, ret, ret);
        container_config_free(config);
        db_container_clear(&rows[i]);
    }
    free(rows);
    return first;
}

/* The first id after whatever has one of these, or 0 when all are free. */
static int64_t next_free(int64_t first, int64_t count, const struct id_map *used)
{
    for (size_t i = 0; i < used->n; i++) {
        int64_t from = used->ranges[i].outside, to = from + used->ranges[i].count;
        if (first < to && from < first + count)
            return to;
    }
    return 0;
}

static bool has_all(const struct id_map *map, int64_t first, int64_t count)
{
    for (size_t i = 0; i < map->n; i++)
        if (first >= map->ranges[i].outside && first + count <= (int64_t)map->ranges[i].outside + map->ranges[i].count)
            return true;
    return false;
}

static fallible choose(const struct id_map *uids, const struct id_map *gids, const struct id_map *used, int64_t count,
                       int64_t *ret)
{
    bool any = false;
    for (size_t i = 0; i < uids->n; i++) {
        const struct id_range *r = &uids->ranges[i];
        for (int64_t first = r->outside; first + count <= (int64_t)r->outside + r->count;) {
            if (!has_all(gids, first, count)) {
                first += count;
                continue;
            }
            any = true;
            int64_t next = next_free(first, count, used);
            if (!next) {
                *ret = first;
                return NULL;
            }
            first = next;
        }
    }
    if (any)
        return err_new(ERR_EXHAUSTED,
                       "--userns auto: all of root's ranges in /etc/subuid are in use: make them longer");
    return err_new(ERR_UNSUPPORTED,
                   "--userns auto: root has no %lld ids in both /etc/subuid and /etc/subgid: add the line "
                   "'root:1000000000:6553600' to both",
                   (long long)count);
}

fallible userns_allocate(struct engine *e, struct container_config *config, int *ret_lock)
{
    own(id_map) struct id_map uids = { 0 }, gids = { 0 };
    own_fd int lock = -1;
    own_mem char *path = mem_printf("%s/userns.lock", e->root);
    own(id_map) struct id_map used = { 0 };
    TRY(ids_subordinate("/etc/subuid", "root", 0, &uids));
    TRY(ids_subordinate("/etc/subgid", "root", 0, &gids));
    TRY(fs_lock_at(AT_FDCWD, path, FS_LOCK_EXCLUSIVE, &lock));
    TRY(taken(e, &used));
    TRY(choose(&uids, &gids, &used, config->userns_size ? config->userns_size : USERNS_IDS, &config->userns_first));
    *ret_lock = take_fd(&lock);
    return NULL;
}
