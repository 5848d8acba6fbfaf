// SPDX-License-Identifier: GPL-2.0-or-later
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "engine/container_mount.h"
#include "engine/container_parts.h"
#include "engine/mounts.h"
#include "engine/trash.h"
#include "engine/volume.h"
#include "layers/layer.h"
#include "os/fault.h"
#include "os/fs.h"

/* A folder may be without a row for the moment between its making and its lock. */
enum { SWEEP_AGE_S = 5 };

static fallible still_runs(const struct container *c, bool restarts)
{
    return err_new(ERR_CONFLICT, "container '%s' is %s: stop it first, or force with -f", c->row.name,
                   restarts ? "restarting" : "running");
}

static fallible must_not_run(struct container *c, bool force)
{
    struct container_state s = { 0 };
    own_fd int pidfd = -1;
    bool gone;
    TRY(container_state(c, &s));
    bool runs = s.status == CONTAINER_RUNNING || s.status == CONTAINER_PAUSED;
    bool restarts = s.status == CONTAINER_RESTARTING;
    if ((runs || restarts) && !force && !s.waits) {
        container_state_clear(&s);
        return still_runs(c, restarts);
    }
    if ((runs || restarts) && container_may_restart(c)) {
        err_ignore(container_mark_stopped(c), "on a full disk the restart finds that the container is gone");
        if (restarts)
            container_end_backoff(c);
    }
    if (runs)
        container_note_sender(c, "rm", SIGKILL, 0, 0);
    err *e = runs ? runtime_kill(c->state_dir, SIGKILL, false) : NULL;
    if (err_is(e, ERR_NOT_FOUND) || err_is(e, ERR_CONFLICT)) {
        err_free(e);
        e = NULL;
    }
    if (!e && runs)
        e = container_await(&s, -1, &gone, &pidfd);
    container_state_clear(&s);
    TRY(e);
    if (!runs)
        return NULL;
    e = container_settle(c, pidfd);
    if (err_is(e, ERR_EXHAUSTED)) {
        err_ignore(e, "what goes needs no record of its end, and rm is how a user makes room");
        e = NULL;
    }
    TRY(e);
    if (container_may_restart(c))
        container_end_backoff(c);
    return NULL;
}

/* Its volumes that nobody named: with -v, and always for --rm. */
static fallible anonymous_volumes(struct container *c, struct strv *ret)
{
    const struct container_config *config;
    TRY(container_config(c, &config));
    for (size_t i = 0; i < config->mounts_n; i++)
        if (config->mounts[i].anonymous && config->mounts[i].source)
            strv_add(ret, config->mounts[i].source);
    return NULL;
}

/* One whose pod is gone is a container like any other. */
static fallible must_not_be_infra(struct container *c)
{
    const struct container_config *config;
    own(db_pod) struct db_pod pod = { 0 };
    struct db *db;
    if (!c->row.pod)
        return NULL;
    TRY(container_config(c, &config));
    if (!config->infra)
        return NULL;
    TRY(engine_db(c->engine, &db));
    err *e = db_pod_find(db, c->row.pod, &pod);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    return err_new(ERR_CONFLICT, "container '%s' holds the namespaces of pod '%s': it goes with `husk pod rm %s`",
                   c->row.name, pod.name, pod.name);
}

fallible container_removal(struct container *c, bool force, bool volumes, struct removal *ret)
{
    struct container_state s = { 0 };
    struct removal r = { 0 };
    TRY(must_not_be_infra(c));
    TRY(container_state(c, &s));
    bool runs = s.status == CONTAINER_RUNNING || s.status == CONTAINER_PAUSED;
    bool restarts = s.status == CONTAINER_RESTARTING;
    runs &= !s.waits; /* nothing is lost that has not begun */
    container_state_clear(&s);
    if ((runs || restarts) && !force)
        return still_runs(c, restarts);
    if (volumes)
        TRY(anonymous_volumes(c, &r.volumes));
    TRY(engine_disk_usage(c->dir, &r.bytes));
    *ret = r;
    return NULL;
}

fallible container_size(struct container *c, uint64_t *ret_writable, uint64_t *ret_whole)
{
    const struct container_config *config;
    struct layout *layout;
    own_mem char *upper = mem_printf("%s/upper", c->dir);
    uint64_t writable = 0, whole = 0;
    TRY(container_config(c, &config));
    TRY(engine_disk_usage(upper, &writable));
    if (config->rootfs) {
        TRY(engine_disk_usage(config->rootfs, &whole));
    } else {
        TRY(engine_layout(c->engine, &layout));
        for (size_t i = 0; i < config->layers.n; i++) {
            int64_t bytes = 0;
            err_ignore(layer_size(layout, config->layers.items[i], &bytes), "a layer that is gone counts nothing");
            whole += (uint64_t)bytes;
        }
    }
    *ret_writable = writable;
    *ret_whole = whole + writable;
    return NULL;
}

static fallible remove_runtime(struct container *c)
{
    struct stat st;
    if (stat(c->state_dir, &st) < 0 && errno == ENOENT)
        return container_forget_cgroup(c);
    err *e = container_cgroup_gone(c) ? runtime_delete_ended(c->state_dir) : runtime_delete(c->state_dir, true);
    err_ignore(e, "what it leaves is in the folder that goes now");
    TRY(network_withdraw(c->state_dir));
    TRY(container_forget_cgroup(c));
    return engine_remove_tree(c->state_dir);
}

/* On a full disk even the removal of a row needs a block. rm is how a user makes room, so the container's own files go
 * first then; killed in between, it is an emptied container that rm removes again. */
static fallible remove_row(struct container *c, const struct db_pod *pod, struct db *db)
{
    static const char *const large[] = { "upper", "log.json" };
    err *e = pod ? db_pod_remove(db, pod) : db_container_remove(db, c->row.id);
    if (!err_is(e, ERR_EXHAUSTED))
        return e;
    err_ignore(e, "again, after making room");
    for (size_t i = 0; i < ARRAY_SIZE(large); i++) {
        own_mem char *path = mem_printf("%s/%s", c->dir, large[i]);
        TRY(engine_remove_tree(path));
    }
    do
        e = pod ? db_pod_remove(db, pod) : db_container_remove(db, c->row.id);
    while (engine_gave_room(c->engine, &e));
    return e;
}

/* *ret: it is in the trash, folder and all. On a full disk it goes the old way, which makes room. */
static fallible to_trash(struct container *c, const struct remove_options *o, bool *ret)
{
    *ret = false;
    if (!trash_keeps(o->trash))
        return NULL;
    err *e = o->pod ? trash_pod(o->trash, o->pod) : trash_container(o->trash, c->row.id);
    if (err_is(e, ERR_EXHAUSTED)) {
        err_ignore(e, "then there is no room for a trash");
        return NULL;
    }
    TRY(e);
    *ret = true;
    return NULL;
}

/* A volume's own file system is unmounted with the last container that has it. */
static void release_volumes(struct container *c)
{
    const struct container_config *config;
    if (!strstr(c->row.config, "\"mounted\"")) /* nothing is parsed for the many that have none */
        return;
    err_ignore(container_config(c, &config), "without it c->config stays NULL");
    for (size_t i = 0; c->config && i < c->config->mounts_n; i++) {
        const struct container_mount *m = &c->config->mounts[i];
        own_strv struct strv users = { 0 };
        if (!m->mounted)
            continue;
        err *e = db_volume_users(c->engine->db, m->source, &users);
        if (!e && !users.n)
            e = volume_unmount(c->engine, m->source);
        err_ignore(e, "volume rm unmounts it too");
    }
}

/* What `husk mount` has of it goes with it, as with podman. */
static void release_mount(const struct container *c)
{
    own_mem char *all = mem_printf("%s/mounts", c->engine->run);
    if (access(all, F_OK) < 0)
        return;
    own_mem char *path = container_mount_path(c->engine, c->row.id);
    if (mounts_has(path))
        err_ignore(mounts_remove(c->engine, path), "what is looked at stays until it is let go");
}

/* From here on nothing stops half way: the row goes first, what is left without it is swept by whoever comes next. */
fallible container_remove(struct container *c, const struct remove_options *o)
{
    own_strv struct strv volumes = { 0 };
    struct db *db;
    bool kept = false;
    TRY(container_lock(c));
    TRY(engine_db(c->engine, &db));
    if (!o->pod)
        TRY(must_not_be_infra(c));
    TRY(must_not_run(c, o->force));
    if (o->volumes)
        TRY(anonymous_volumes(c, &volumes));
    release_mount(c);
    TRY(remove_runtime(c));
    fault_here(FAULT_RUNTIME_GONE);
    TRY(to_trash(c, o, &kept));
    if (!kept)
        TRY(remove_row(c, o->pod, db));
    fault_here(FAULT_ROW_GONE);
    container_say(c, "destroy", NULL);
    release_volumes(c);
    if (!kept)
        TRY(engine_remove_tree(c->dir));
    for (size_t i = 0; i < volumes.n; i++) {
        err *e = volume_discard(c->engine, volumes.items[i], o->trash);
        if (err_is(e, ERR_CONFLICT) || err_is(e, ERR_NOT_FOUND)) { /* another container has it too, or it is gone */
            err_free(e);
            continue;
        }
        TRY(e);
    }
    return NULL;
}

/* Tries the lock: held means that somebody is at work in it. */
static bool nobody_holds(const char *path)
{
    struct stat st;
    own_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX | LOCK_NB) < 0 || fstat(fd, &st) < 0)
        return false;
    return time(NULL) - st.st_mtime >= SWEEP_AGE_S;
}

fallible container_sweep(struct engine *e, struct strv *ret_swept)
{
    struct db *db = NULL;
    own_mem char *parent = mem_printf("%s/containers", e->root);
    own_dir DIR *d = opendir(parent);
    if (!d)
        return NULL;
    TRY(engine_db_if_there(e, &db));
    for (const struct dirent *entry; (entry = readdir(d));) {
        own_mem char *path = mem_printf("%s/%s", parent, entry->d_name);
        own_mem char *state_dir = mem_printf("%s/%s", e->run, entry->d_name);
        if (entry->d_name[0] == '.' || (db && db_container_has(db, entry->d_name)) || !nobody_holds(path))
            continue;
        if (db && db_container_has(db, entry->d_name))
            continue; /* its row came between the look and the lock */
        bool trashed = false;
        TRY(trash_finish_container(e, entry->d_name, &trashed));
        if (!trashed)
            TRY(engine_remove_tree(path));
        err_ignore(runtime_delete(state_dir, true), "most often there is none");
        TRY(network_withdraw(state_dir));
        TRY(engine_remove_tree(state_dir));
        if (ret_swept)
            strv_add(ret_swept, entry->d_name);
    }
    return NULL;
}
