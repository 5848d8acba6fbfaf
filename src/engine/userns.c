// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/userns.h"

#include <fcntl.h>
#include <string.h>

#include "os/fs.h"
#include "os/ids.h"

static bool overlaps(int64_t a, int64_t b)
{
    return a < b + USERNS_IDS && b < a + USERNS_IDS;
}

/* The blocks that containers have now. */
static fallible taken(struct engine *e, int64_t **ret, size_t *ret_n)
{
    struct db *db;
    struct db_container *rows = NULL;
    size_t n = 0, found = 0;
    err *first = NULL;
    TRY(engine_db(e, &db));
    TRY(db_container_list(db, &rows, &n));
    int64_t *blocks = mem_array(NULL, n + 1, sizeof *blocks);
    for (size_t i = 0; i < n; i++) {
        void *config = NULL;
        if (!first)
            first = bind_read(&container_config_type, rows[i].config, strlen(rows[i].config), &config);
        const struct container_config *c = config;
        if (c && c->userns_first)
            blocks[found++] = c->userns_first;
        container_config_free(config);
        db_container_clear(&rows[i]);
    }
    free(rows);
    if (first) {
        free(blocks);
        return first;
    }
    *ret = blocks;
    *ret_n = found;
    return NULL;
}

static bool is_free(int64_t first, const int64_t *blocks, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (overlaps(first, blocks[i]))
            return false;
    return true;
}

static bool has_all(const struct id_map *map, int64_t first)
{
    for (size_t i = 0; i < map->n; i++)
        if (first >= map->ranges[i].outside &&
            first + USERNS_IDS <= (int64_t)map->ranges[i].outside + map->ranges[i].count)
            return true;
    return false;
}

static fallible choose(const struct id_map *uids, const struct id_map *gids, const int64_t *blocks, size_t n,
                       int64_t *ret)
{
    bool any = false;
    for (size_t i = 0; i < uids->n; i++) {
        const struct id_range *r = &uids->ranges[i];
        for (int64_t first = r->outside; first + USERNS_IDS <= (int64_t)r->outside + r->count; first += USERNS_IDS) {
            if (!has_all(gids, first))
                continue;
            any = true;
            if (is_free(first, blocks, n)) {
                *ret = first;
                return NULL;
            }
        }
    }
    if (any)
        return err_new(ERR_EXHAUSTED,
                       "--userns auto: all of root's ranges in /etc/subuid are in use: make them longer");
    return err_new(ERR_UNSUPPORTED, "--userns auto: root has no 65536 ids in both /etc/subuid and /etc/subgid: add the "
                                    "line 'root:1000000000:6553600' to both");
}

fallible userns_allocate(struct engine *e, struct container_config *config, int *ret_lock)
{
    own(id_map) struct id_map uids = { 0 }, gids = { 0 };
    own_fd int lock = -1;
    own_mem char *path = mem_printf("%s/userns.lock", e->root);
    int64_t *blocks = NULL;
    size_t n = 0;
    TRY(ids_subordinate("/etc/subuid", "root", 0, &uids));
    TRY(ids_subordinate("/etc/subgid", "root", 0, &gids));
    TRY(fs_lock_at(AT_FDCWD, path, FS_LOCK_EXCLUSIVE, &lock));
    TRY(taken(e, &blocks, &n));
    err *failed = choose(&uids, &gids, blocks, n, &config->userns_first);
    free(blocks);
    TRY(failed);
    *ret_lock = take_fd(&lock);
    return NULL;
}
