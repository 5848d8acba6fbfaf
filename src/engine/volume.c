// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/filter.h"
#include "engine/grammar.h"
#include "engine/trash.h"
#include "monitor/events.h"
#include "os/fs.h"
#include "os/quota.h"

char *volume_path(const struct engine *e, const char *name)
{
    return mem_printf("%s/volumes/%s/_data", e->root, name);
}

static int64_t now_ns(void)
{
    struct timespec t = { 0 };
    (void)clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static char *labels_text(const struct strmap *labels)
{
    own_json json_t *object = json_object();
    for (size_t i = 0; labels && i < labels->n; i++)
        (void)json_object_set_new(object, labels->items[i].key, json_string(labels->items[i].value));
    return json_text(object, BIND_COMPACT);
}

/* Numbers of quotas are drawn, not counted: other stores on the same file system have some too. */
static uint32_t draw_project(void)
{
    char hex[9];
    random_hex(hex, 4);
    return (uint32_t)strtoul(hex, NULL, 16) | 0x10000; /* below are what people number by hand */
}

/* The empty directory as its options ask: owner and quota. */
static fallible set_up(const char *path, const struct volume_driver *d, uint32_t project)
{
    own_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open '%s'", path);
    if (project)
        TRY(quota_set(fd, project, d->size, d->inodes));
    if ((d->uid.set || d->gid.set) &&
        fchown(fd, d->uid.set ? (uid_t)d->uid.v : (uid_t)-1, d->gid.set ? (gid_t)d->gid.v : (gid_t)-1) < 0)
        return err_sys(errno, "give volume '%s' its owner", path);
    return NULL;
}

static fallible check_device(const struct volume_driver *d)
{
    struct stat st;
    if (d->bind && stat(d->device, &st) < 0)
        return err_sys(errno, "--opt device='%s'", d->device);
    if (d->bind && !S_ISDIR(st.st_mode))
        return err_new(ERR_INVALID, "--opt device='%s': it is no directory", d->device);
    if (volume_driver_mounts(d) && engine_is_rootless())
        return err_new(ERR_DENIED,
                       "--opt type=%s: only root may mount it where all containers see it: for a tmpfs say 'run "
                       "--tmpfs', for a directory of yours '--opt o=bind'",
                       d->type);
    return NULL;
}

/* The directory first: a directory without a row is rubbish, a row without a directory would be a broken promise. */
static fallible make(struct engine *e, const char *name, const struct volume_wish *wish)
{
    static const struct strmap none = { 0 };
    own(volume_driver) struct volume_driver d = { 0 };
    own_mem char *path = volume_path(e, name);
    own_mem char *labels = labels_text(wish->labels), *options = labels_text(wish->options);
    struct db *db;
    struct db_volume old;
    TRY(volume_driver_read(wish->options ? wish->options : &none, &d));
    TRY(check_device(&d));
    TRY(engine_db(e, &db));
    err *missing = db_volume_find(db, name, &old);
    if (!missing) {
        db_volume_clear(&old);
        return err_new(ERR_EXISTS, "there already is a volume '%s'", name);
    }
    if (!err_is(missing, ERR_NOT_FOUND))
        return missing;
    err_free(missing);
    own_mem char *place = mem_printf("%s/volumes/%s", e->root, name);
    bool old_files = false;
    if (access(place, F_OK) == 0) /* the trash's, when it was killed before it could move it */
        TRY(trash_finish_volume(e, name, &old_files));
    uint32_t project = d.size || d.inodes ? draw_project() : 0;
    struct db_volume row = { .name = (char *)name,
                             .created_ns = now_ns(),
                             .anonymous = wish->anonymous,
                             .labels = labels,
                             .options = options,
                             .project = project };
    TRY(fs_mkdirs_at(AT_FDCWD, path, 0755));
    err *failed = project || d.uid.set || d.gid.set ? set_up(path, &d, project) : NULL;
    if (failed) {
        own_mem char *folder = mem_printf("%s/volumes/%s", e->root, name);
        err_ignore(engine_remove_tree(folder), "undoing; the first error says what went wrong");
        return failed;
    }
    TRY(db_volume_add(db, &row));
    event_say(e->run, "volume", "create", name, "driver", "local", NULL);
    return NULL;
}

fallible volume_create(struct engine *e, const char *name, const struct volume_wish *wish)
{
    TRY(grammar_name("volume name", name));
    return make(e, name, wish);
}

fallible volume_create_anonymous(struct engine *e, const struct volume_wish *wish, char **ret_name)
{
    char name[65];
    struct volume_wish anonymous = wish ? *wish : (struct volume_wish){ 0 };
    anonymous.anonymous = true;
    random_hex(name, 32);
    TRY(make(e, name, &anonymous));
    *ret_name = mem_strdup(name);
    return NULL;
}

fallible volume_find(struct engine *e, const char *name, struct db_volume *ret)
{
    struct db *db = NULL;
    TRY(engine_db_if_there(e, &db));
    if (!db)
        return err_new(ERR_NOT_FOUND, "no such volume: '%s'", name);
    return db_volume_find(db, name, ret);
}

char *mount_source_path(const struct engine *e, const struct container_mount *m)
{
    if (strcmp(m->type, "volume") != 0)
        return mem_strdup(m->source);
    return m->device ? mem_strdup(m->device) : volume_path(e, m->source);
}

char *volume_data(const struct engine *e, const struct db_volume *v)
{
    own(volume_driver) struct volume_driver d = { 0 };
    err *failed = volume_driver_of(v, &d);
    err_ignore(failed, "checked when it was made");
    return d.bind ? take(d.device) : volume_path(e, v->name);
}

static void clear_quota(const char *path, uint32_t project)
{
    own_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd >= 0)
        err_ignore(quota_clear(fd, project), "a limit on a number that nothing has any more");
}

fallible volume_remove(struct engine *e, const char *name)
{
    struct db *db = NULL;
    struct db_volume row;
    TRY(volume_find(e, name, &row));
    uint32_t project = (uint32_t)row.project;
    db_volume_clear(&row);
    TRY(engine_db(e, &db));
    err *failed;
    do
        failed = db_volume_remove(db, name);
    while (engine_gave_room(e, &failed));
    TRY(failed);
    event_say(e->run, "volume", "destroy", name, "driver", "local", NULL);
    own_mem char *path = mem_printf("%s/volumes/%s", e->root, name);
    TRY(volume_unmount(e, name));
    if (project)
        clear_quota(path, project);
    return engine_remove_tree(path);
}

fallible volume_discard(struct engine *e, const char *name, struct trash *t)
{
    struct db_volume row;
    if (!trash_keeps(t))
        return volume_remove(e, name);
    TRY(volume_find(e, name, &row));
    db_volume_clear(&row);
    err *failed = trash_volume(t, name);
    if (err_is(failed, ERR_EXHAUSTED)) {
        err_ignore(failed, "then there is no room for a trash");
        return volume_remove(e, name);
    }
    TRY(failed);
    event_say(e->run, "volume", "destroy", name, "driver", "local", NULL);
    return NULL;
}

fallible volume_removal(struct engine *e, const char *name, uint64_t *ret_bytes)
{
    own_mem char *path = mem_printf("%s/volumes/%s", e->root, name);
    own_strv struct strv users = { 0 };
    struct db_volume row;
    TRY(volume_find(e, name, &row));
    db_volume_clear(&row);
    TRY(db_volume_users(e->db, name, &users));
    if (users.n)
        return db_volume_in_use(name, users.items[0]);
    return engine_disk_usage(path, ret_bytes);
}

static bool map_matches(const char *map, const char *wish)
{
    own_json json_t *labels = json_loads(map, 0, NULL);
    size_t n = strcspn(wish, "=");
    own_mem char *key = mem_strndup(wish, n);
    const char *value = json_string_value(json_object_get(labels, key));
    return value && (!wish[n] || strcmp(value, wish + n + 1) == 0);
}

static fallible is_used(struct db *db, const struct db_volume *v, bool *ret)
{
    own_strv struct strv users = { 0 };
    TRY(db_volume_users(db, v->name, &users));
    *ret = users.n > 0;
    return NULL;
}

static fallible used_by_others(struct db *db, const struct db_volume *v, const struct strv *without, bool *ret)
{
    own_strv struct strv users = { 0 };
    TRY(db_volume_users(db, v->name, &users));
    *ret = false;
    for (size_t i = 0; i < users.n; i++)
        *ret |= !without || !strv_has(without, users.items[i]);
    return NULL;
}

struct subject {
    struct db *db;
    const struct db_volume *v;
};

static fallible is_later(struct db *db, const struct db_volume *v, const char *than, bool *ret)
{
    struct db_volume other;
    TRY(db_volume_find(db, than, &other));
    *ret = v->created_ns > other.created_ns;
    db_volume_clear(&other);
    return NULL;
}

static err *fits(void *ctx, const char *key, const char *value, bool *ret)
{
    const struct subject *s = ctx;
    bool wish, used;
    int64_t until;
    if (strcmp(key, "name") == 0)
        return filter_name(s->v->name, value, ret);
    if (strcmp(key, "label!") == 0) {
        *ret = !map_matches(s->v->labels, value);
    } else if (strcmp(key, "label") == 0) {
        *ret = map_matches(s->v->labels, value);
    } else if (strcmp(key, "dangling") == 0) {
        TRY(parse_bool(value, &wish));
        TRY(is_used(s->db, s->v, &used));
        *ret = used != wish;
    } else if (strcmp(key, "anonymous") == 0) {
        TRY(parse_bool(value, &wish));
        *ret = s->v->anonymous == wish;
    } else if (strcmp(key, "until") == 0) {
        TRY(parse_when_ns(value, &until));
        *ret = s->v->created_ns < until;
    } else if (strcmp(key, "since") == 0 || strcmp(key, "after") == 0) {
        return is_later(s->db, s->v, value, ret);
    } else if (strcmp(key, "opt") == 0) {
        *ret = map_matches(s->v->options, value);
    } else { /* driver, scope */
        *ret = strcmp(value, "local") == 0;
    }
    return NULL;
}

static const struct filter_key keys[] = {
    { "name", NULL, filter_regex },
    { "label", NULL, NULL },
    { "label!", NULL, NULL },
    { "dangling", NULL, filter_bool },
    { "anonymous", NULL, filter_bool },
    { "until", NULL, filter_when },
    { "since", NULL, NULL },
    { "after", NULL, NULL },
    { "driver", NULL, NULL },
    { "scope", NULL, NULL },
    { "opt", NULL, NULL },
    { 0 },
};

fallible volume_filters_check(const struct strv *filters)
{
    return filters_check(filters, keys);
}

fallible volume_passes(struct db *db, const struct db_volume *v, const struct strv *filters, bool *ret)
{
    return filters_pass(filters, keys, fits, &(struct subject){ db, v }, ret);
}

static fallible prune_one(struct engine *e, const struct db_volume *v, const struct volume_prune_options *o,
                          struct strv *ret_removed, uint64_t *ret_bytes)
{
    own_mem char *path = mem_printf("%s/volumes/%s", e->root, v->name);
    uint64_t bytes = 0;
    bool wanted = false, used = false;
    TRY(volume_passes(e->db, v, o->filters, &wanted));
    if (!wanted)
        return NULL;
    TRY(used_by_others(e->db, v, o->without, &used));
    if (used)
        return NULL;
    err_ignore(engine_disk_usage(path, &bytes), "only counted");
    err *failed = o->dry_run ? NULL : volume_discard(e, v->name, o->trash);
    if (err_is(failed, ERR_CONFLICT)) {
        err_free(failed);
        return NULL;
    }
    TRY(failed);
    strv_add(ret_removed, v->name);
    *ret_bytes += bytes;
    return NULL;
}

fallible volume_prune(struct engine *e, const struct volume_prune_options *o, struct strv *ret_removed,
                      uint64_t *ret_bytes)
{
    struct db *db = NULL;
    struct db_volume *rows = NULL;
    size_t n = 0;
    *ret_bytes = 0;
    TRY(filters_check(o->filters, keys));
    TRY(engine_db_if_there(e, &db));
    if (!db)
        return NULL;
    TRY(db_volume_list(db, &rows, &n));
    err *first = NULL;
    for (size_t i = 0; i < n; i++) {
        if (!first && (o->all || rows[i].anonymous))
            first = prune_one(e, &rows[i], o, ret_removed, ret_bytes);
        db_volume_clear(&rows[i]);
    }
    free(rows);
    if (!first && !o->dry_run)
        event_say_pruned(e->run, "volume", *ret_bytes);
    return first;
}
