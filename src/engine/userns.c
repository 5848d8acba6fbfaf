// SPDX-License-Identifier: GPL-2.0-or-later
/* --userns auto: ranges of subordinate ids that no other container has. */
#include "engine/userns.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "engine/users.h"
#include "os/fs.h"

enum { ACCOUNTS_MAX = 4 << 20, NOBODY = 65534 };

/* The ids that containers have now: ranges of the host's, of users and groups alike. An ordinary user's other maps have
 * all that he has: they are no leases. */
static fallible add_taken(const struct container_config *c, struct id_map *ret)
{
    bool leased = engine_is_rootless() ? c->uid_map.n && str_eq(c->userns, "auto") : c->userns_first != 0;
    return leased ? userns_maps_of(c, ret, ret) : NULL;
}

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
        if (!first)
            first = add_taken(config, ret);
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

fallible userns_must_be_free(struct engine *e, const struct container_config *c)
{
    own(id_map) struct id_map used = { 0 }, mine = { 0 };
    bool free_now = true;
    err *failed = add_taken(c, &mine);
    if (!failed && mine.n)
        failed = taken(e, &used);
    for (size_t i = 0; i < mine.n; i++)
        free_now &= !next_free(mine.ranges[i].outside, mine.ranges[i].count, &used);
    TRY(failed);
    return free_now ? NULL : err_new(ERR_CONFLICT, "the ids of its user namespace are another container's meanwhile");
}

static bool has_all(const struct id_map *map, int64_t first, int64_t count)
{
    for (size_t i = 0; i < map->n; i++)
        if (first >= map->ranges[i].outside && first + count <= (int64_t)map->ranges[i].outside + map->ranges[i].count)
            return true;
    return false;
}

static fallible choose(const char *file, const struct id_map *own, const struct id_map *used, int64_t count,
                       int64_t *ret)
{
    bool any = false, rootless = engine_is_rootless();
    for (size_t i = 0; i < own->n; i++) {
        const struct id_range *r = &own->ranges[i];
        for (int64_t first = r->outside; first + count <= (int64_t)r->outside + r->count;) {
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
                       "--userns auto: %lld in a row of %s ranges in %s are not free: give a smaller "
                       "size=, remove containers, or make the ranges longer",
                       (long long)count, rootless ? "your" : "root's", file);
    return err_new(ERR_UNSUPPORTED, "--userns auto: %s no %lld ids in a row in %s: %s",
                   rootless ? "you have" : "root has", (long long)count, file,
                   rootless ? "give a smaller size=, or as root run 'usermod --add-subuids 100000-165535 --add-subgids "
                              "100000-165535 NAME'"
                            : "add the line 'root:1000000000:6553600' to /etc/subuid and /etc/subgid");
}

/* The largest number in a file of accounts that is no "nobody". */
static int64_t largest_id(const struct rootfs_source *root, const char *path)
{
    own_mem char *text = NULL;
    int64_t largest = 0;
    own(err) err *missing = source_read_file(root, path, ACCOUNTS_MAX, &text);
    for (const char *line = missing ? "" : text; *line; line += strcspn(line, "\n"), line += *line == '\n') {
        unsigned id;
        if (sscanf(line, "%*[^:\n]:%*[^:\n]:%u", &id) == 1 && id < NOBODY && id > largest)
            largest = id;
    }
    return largest;
}

/* An ordinary user has not many: as many as the image knows, and its program needs. */
static fallible user_size(struct container *c, int64_t *ret)
{
    struct rootfs_source root = { 0 };
    TRY(container_root(c, &root));
    free(root.upper); /* not made yet */
    root.upper = NULL;
    int64_t users = largest_id(&root, "/etc/passwd"), groups = largest_id(&root, "/etc/group");
    rootfs_source_free(&root);
    unsigned user = 0, group = 0;
    if (c->config->user)
        (void)sscanf(c->config->user, "%u:%u", &user, &group);
    const int64_t least[] = { users + 1, groups + 1, (int64_t)user + 1, (int64_t)group + 1 };
    *ret = USERNS_USER_IDS;
    for (size_t i = 0; i < ARRAY_SIZE(least); i++)
        *ret = least[i] > *ret ? least[i] : *ret;
    return NULL;
}

/* Ranges of the user's own choice stay; the rest of [0, count) is the lease's. */
static fallible complete(struct strv *texts, int64_t first, int64_t count, const char *what)
{
    own(id_map) struct id_map map = { 0 }, forced = { 0 };
    TRY(userns_map_read(texts, &forced));
    id_map_add(&map, 0, (uint32_t)first, (uint32_t)count);
    for (size_t i = 0; i < forced.n; i++) {
        userns_map_cut(&map, forced.ranges[i].inside, forced.ranges[i].count);
        id_map_add(&map, forced.ranges[i].inside, forced.ranges[i].outside, forced.ranges[i].count);
    }
    TRY(userns_map_check(&map, what));
    strv_free(texts);
    userns_map_write(&map, texts);
    return NULL;
}

static fallible lease(struct container *c, const struct id_map *uids, const struct id_map *gids, struct id_map *used)
{
    struct container_config *k = c->config;
    int64_t count = k->userns_size ? k->userns_size : USERNS_IDS, first = 0, first_gid = 0;
    if (!k->userns_size && engine_is_rootless())
        TRY(user_size(c, &count));
    TRY(userns_map_read(&k->uid_map, used));
    TRY(userns_map_read(&k->gid_map, used));
    TRY(choose("/etc/subuid", uids, used, count, &first));
    if (has_all(gids, first, count) && !next_free(first, count, used))
        first_gid = first;
    else
        TRY(choose("/etc/subgid", gids, used, count, &first_gid));
    k->userns_size = count;
    if (engine_is_rootless() || k->uid_map.n || k->gid_map.n) {
        TRY(complete(&k->uid_map, first, count, "--userns auto: uidmapping"));
        TRY(complete(&k->gid_map, first_gid, count, "--userns auto: gidmapping"));
    }
    if (engine_is_rootless())
        return NULL;
    own(id_map) struct id_map of_uids = { 0 }, of_gids = { 0 };
    uint32_t root = 0, root_group = 0;
    k->userns_first = first;
    k->userns_first_gid = first_gid;
    TRY(userns_maps_of(k, &of_uids, &of_gids));
    if (!id_map_outside(&of_uids, 0, &root) || !id_map_outside(&of_gids, 0, &root_group) || !root)
        return err_new(ERR_INVALID, "--userns auto: uidmapping: the container's 0 would be the host's root");
    k->userns_first = root;
    k->userns_first_gid = root_group;
    return NULL;
}

fallible userns_lock(struct engine *e, int *ret_fd)
{
    own_mem char *path = mem_printf("%s/userns.lock", e->root);
    return fs_lock_at(AT_FDCWD, path, FS_LOCK_EXCLUSIVE, ret_fd);
}

fallible userns_allocate(struct container *c, int *ret_lock)
{
    own(id_map) struct id_map uids = { 0 }, gids = { 0 }, used = { 0 };
    own_fd int lock = -1;
    uid_t me = geteuid();
    own_mem char *name = engine_is_rootless() ? ids_user_name(me) : mem_strdup("root");
    TRY(ids_subordinate("/etc/subuid", name, me, &uids));
    TRY(ids_subordinate("/etc/subgid", name, me, &gids));
    TRY(userns_lock(c->engine, &lock));
    TRY(taken(c->engine, &used));
    TRY(lease(c, &uids, &gids, &used));
    *ret_lock = take_fd(&lock);
    return NULL;
}
