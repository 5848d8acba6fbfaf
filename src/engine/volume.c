// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/volume.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "engine/grammar.h"
#include "monitor/events.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/root.h"
#include "os/userns.h"

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

/* The directory first: a directory without a row is rubbish, a row without a directory would be a broken promise. */
static fallible make(struct engine *e, const char *name, bool anonymous, const struct strmap *labels)
{
    own_mem char *path = volume_path(e, name);
    own_mem char *text = labels_text(labels);
    struct db *db;
    struct db_volume row = { .name = (char *)name, .created_ns = now_ns(), .anonymous = anonymous, .labels = text };
    TRY(engine_db(e, &db));
    TRY(fs_mkdirs_at(AT_FDCWD, path, 0755));
    TRY(db_volume_add(db, &row));
    event_say(e->run, "volume", "create", name, "driver", "local", NULL);
    return NULL;
}

fallible volume_create(struct engine *e, const char *name, const struct strmap *labels)
{
    TRY(grammar_name("volume name", name));
    return make(e, name, false, labels);
}

fallible volume_create_anonymous(struct engine *e, char **ret_name)
{
    char name[65];
    random_hex(name, 32);
    TRY(make(e, name, true, NULL));
    *ret_name = mem_strdup(name);
    return NULL;
}

fallible volume_remove(struct engine *e, const char *name)
{
    struct db *db = NULL;
    struct db_volume row;
    TRY(engine_db_if_there(e, &db));
    if (!db)
        return err_new(ERR_NOT_FOUND, "no such volume: '%s'", name);
    TRY(db_volume_find(db, name, &row));
    db_volume_clear(&row);
    TRY(db_volume_remove(db, name));
    event_say(e->run, "volume", "destroy", name, "driver", "local", NULL);
    own_mem char *path = mem_printf("%s/volumes/%s", e->root, name);
    return engine_remove_tree(path);
}

static bool label_matches(const struct db_volume *v, const char *wish)
{
    own_json json_t *labels = json_loads(v->labels, 0, NULL);
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

static fallible passes_one(struct db *db, const struct db_volume *v, const char *f, bool *ret)
{
    bool wish, used;
    int64_t until;
    if (str_starts(f, "name=")) {
        *ret = strstr(v->name, f + 5) != NULL;
    } else if (str_starts(f, "label!=")) {
        *ret = !label_matches(v, f + 7);
    } else if (str_starts(f, "label=")) {
        *ret = label_matches(v, f + 6);
    } else if (str_starts(f, "dangling=")) {
        TRY_AS(parse_bool(f + 9, &wish), "--filter dangling");
        TRY(is_used(db, v, &used));
        *ret = used != wish;
    } else if (str_starts(f, "anonymous=")) {
        TRY_AS(parse_bool(f + 10, &wish), "--filter anonymous");
        *ret = v->anonymous == wish;
    } else if (str_starts(f, "until=")) {
        TRY_AS(parse_when_ns(f + 6, &until), "--filter until");
        *ret = v->created_ns < until;
    } else {
        return err_new(ERR_INVALID,
                       "--filter: '%s' is not one of name=, label=, label!=, dangling=, anonymous=, until=", f);
    }
    return NULL;
}

fallible volume_passes(struct db *db, const struct db_volume *v, const struct strv *filters, bool *ret)
{
    *ret = true;
    for (size_t i = 0; *ret && filters && i < filters->n; i++)
        TRY(passes_one(db, v, filters->items[i], ret));
    return NULL;
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
    TRY(is_used(e->db, v, &used));
    if (used)
        return NULL;
    err_ignore(engine_disk_usage(path, &bytes), "only counted");
    err *failed = o->dry_run ? NULL : volume_remove(e, v->name);
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
    return first;
}

static bool is_empty_dir(const char *path)
{
    own_dir DIR *d = opendir(path);
    if (!d)
        return false;
    for (const struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            return false;
    return true;
}

struct fill {
    const struct rootfs_source *image;
    const char *target, *volume;
};

/* The image's directory at the target, as the container would have seen it, into the volume: with its owner and mode.
 */
static err *fill_volume(void *ctx)
{
    const struct fill *f = ctx;
    own_fd int mount = -1, from = -1;
    struct stat st;
    TRY(source_mount(f->image, -1, engine_is_rootless() || ids_in_userns(), NULL, &mount));
    err *e = root_open(mount, f->target, O_RDONLY | O_DIRECTORY, &from);
    if (err_is(e, ERR_NOT_FOUND) || err_errno(e) == ENOTDIR) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    own_fd int to = open(f->volume, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (to < 0 || fstat(to, &st) < 0)
        return err_sys(errno, "open volume '%s'", f->volume);
    return copy_up(from, to);
}

static fallible copy_content(struct engine *e, const struct container_mount *m, const struct rootfs_source *image)
{
    own_mem char *path = volume_path(e, m->source);
    struct fill fill = { image, m->target, path };
    if (m->nocopy || !is_empty_dir(path))
        return NULL;
    return engine_is_rootless() ? userns_call(fill_volume, &fill) : fill_volume(&fill);
}

static fallible prepare_volume(struct engine *e, struct container_mount *m, const struct rootfs_source *image,
                               struct strv *ret_made)
{
    if (m->source) {
        struct db *db;
        struct db_volume row;
        TRY(engine_db(e, &db));
        err *failed = db_volume_find(db, m->source, &row);
        if (!failed)
            db_volume_clear(&row);
        else if (err_is(failed, ERR_NOT_FOUND)) {
            err_free(failed);
            failed = make(e, m->source, false, NULL);
            if (err_is(failed, ERR_EXISTS)) { /* another container made it in this moment */
                err_free(failed);
                failed = NULL;
            }
        }
        TRY(failed);
    } else {
        TRY(volume_create_anonymous(e, &m->source));
        strv_add(ret_made, m->source);
    }
    return copy_content(e, m, image);
}

static fallible prepare_bind(const struct container_mount *m)
{
    struct stat st;
    if (stat(m->source, &st) == 0)
        return NULL;
    if (errno != ENOENT)
        return err_sys(errno, "bind source '%s'", m->source);
    if (!m->make_source)
        return err_new(ERR_NOT_FOUND, "bind source '%s' does not exist: make it, or use --volume, which does",
                       m->source);
    return fs_mkdirs_at(AT_FDCWD, m->source, 0755);
}

fallible volumes_prepare(struct engine *e, struct container_config *config, const struct rootfs_source *image,
                         struct strv *ret_made)
{
    for (size_t i = 0; i < config->mounts_n; i++) {
        struct container_mount *m = &config->mounts[i];
        if (strcmp(m->type, "volume") == 0)
            TRY_AS(prepare_volume(e, m, image, ret_made), "volume for '%s'", m->target);
        else if (strcmp(m->type, "bind") == 0)
            TRY(prepare_bind(m));
    }
    return NULL;
}
