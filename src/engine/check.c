// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "engine/check_images.h"
#include "engine/container_parts.h"
#include "engine/image_remove.h"
#include "engine/mounts.h"
#include "engine/network.h"
#include "engine/network_step.h"
#include "engine/trash.h"
#include "engine/volume.h"
#include "layers/layer.h"
#include "monitor/monitor.h"
#include "os/fs.h"

/* An object may be without its other half for the moment in which it is made. */
enum { YOUNG_S = 5, CGROUP_YOUNG_S = 60 };

struct check {
    struct engine *engine;
    struct db *db; /* NULL: none yet */
    enum check_how how;
    struct check_result result;
};

void check_result_clear(struct check_result *r)
{
    for (size_t i = 0; i < r->n; i++) {
        free(r->items[i].text);
        free(r->items[i].failure);
    }
    free(r->items);
    *r = (struct check_result){ 0 };
}

typedef err *repair_fn(struct check *c, const char *name);

/* One problem: noted, and repaired when that was asked. */
static void problem(struct check *c, repair_fn *repair, const char *name, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
static void problem(struct check *c, repair_fn *repair, const char *name, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    struct check_problem p = { .text = mem_vprintf(format, ap) };
    va_end(ap);
    if (c->how == CHECK_REPAIR) {
        err *e = repair(c, name);
        p.repaired = !e;
        p.failure = e ? mem_strdup(err_text(e)) : NULL;
        err_free(e);
    }
    c->result.items = mem_array(c->result.items, c->result.n + 1, sizeof *c->result.items);
    c->result.items[c->result.n++] = p;
}

static bool is_id(const char *name)
{
    return strlen(name) == 64 && strspn(name, "0123456789abcdef") == 64;
}

static bool has_row(const struct check *c, const char *id)
{
    return c->db && db_container_has(c->db, id);
}

/* Nobody is at work in it, and it is not just being made. */
static bool is_abandoned(const char *path)
{
    struct stat st;
    own_fd int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0 && fstat(fd, &st) == 0 && time(NULL) - st.st_mtime >= YOUNG_S;
}

typedef err *entry_fn(struct check *c, const char *dir, const char *name);

static fallible each_entry(struct check *c, const char *dir, entry_fn *fn)
{
    own_dir DIR *d = opendir(dir);
    if (!d)
        return errno == ENOENT ? NULL : err_sys(errno, "read '%s'", dir);
    for (const struct dirent *e; (e = readdir(d));)
        if (e->d_name[0] != '.')
            TRY(fn(c, dir, e->d_name));
    return NULL;
}

/* ---- folders without rows ---- */

static err *sweep_folder(struct check *c, const char *name)
{
    own_mem char *path = mem_printf("%s/containers/%s", c->engine->root, name);
    bool trashed = false;
    TRY(trash_finish_container(c->engine, name, &trashed));
    return trashed ? NULL : engine_remove_tree(path);
}

static err *check_folder(struct check *c, const char *dir, const char *name)
{
    own_mem char *path = mem_printf("%s/%s", dir, name);
    if (!has_row(c, name) && is_abandoned(path) && !has_row(c, name))
        problem(c, sweep_folder, name, "container %.12s: a folder without a row: its making or removal was cut short",
                name);
    return NULL;
}

static err *sweep_state(struct check *c, const char *name)
{
    own_mem char *path = mem_printf("%s/%s", c->engine->run, name);
    TRY(runtime_delete(path, true));
    TRY(network_withdraw(path));
    return engine_remove_tree(path);
}

static err *check_state_dir(struct check *c, const char *dir, const char *name)
{
    own_mem char *path = mem_printf("%s/%s", dir, name);
    if (is_id(name) && !has_row(c, name) && is_abandoned(path) && !has_row(c, name))
        problem(c, sweep_state, name, "container %.12s: run-time state without a row", name);
    return NULL;
}

/* ---- rows ---- */

static err *remove_row(struct check *c, const char *name)
{
    own(container) struct container *found = NULL;
    TRY(container_find(c->engine, name, &found));
    return container_remove(found, &(struct remove_options){ .force = true, .volumes = true });
}

static err *settle(struct check *c, const char *name)
{
    own(container) struct container *found = NULL;
    TRY(container_find(c->engine, name, &found));
    TRY(container_lock(found));
    TRY(container_settle(found, -1));
    return runtime_delete(found->state_dir, true);
}

static err *adopt(struct check *c, const char *name)
{
    own(container) struct container *found = NULL;
    TRY(container_find(c->engine, name, &found));
    return container_adopt(found);
}

/* Its run-time folder stays until the next start or its removal; that is no problem. */
static void check_dead(struct check *c, const struct container *k)
{
    own_mem char *record = mem_printf("%s/exit.json", k->dir);
    if (access(record, F_OK) < 0)
        problem(c, settle, k->row.id, "container '%s': it ended and nobody saw how: its monitor was killed too",
                k->row.name);
}

static fallible check_row(struct check *c, struct container *k)
{
    const struct container_config *config;
    struct container_state s = { 0 };
    if (access(k->dir, F_OK) < 0 && errno == ENOENT) {
        problem(c, remove_row, k->row.id, "container '%s': a row without a folder", k->row.name);
        return NULL;
    }
    TRY(container_config(k, &config));
    TRY(container_state(k, &s));
    bool watched = monitor_alive(k->state_dir);
    if (s.status == CONTAINER_RUNNING && !watched)
        problem(c, adopt, k->row.id, "container '%s': it runs without a monitor", k->row.name);
    else if (s.status == CONTAINER_EXITED && config->auto_remove && !watched)
        problem(c, remove_row, k->row.id, "container '%s': it was to be removed at its end", k->row.name);
    else if (s.status == CONTAINER_EXITED)
        check_dead(c, k);
    container_state_clear(&s);
    return NULL;
}

static fallible check_rows(struct check *c)
{
    struct db_container *rows = NULL;
    size_t n = 0;
    err *first = NULL;
    if (!c->db)
        return NULL;
    TRY(db_container_list(c->db, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        own(container) struct container *k = container_new(c->engine, &rows[i]);
        if (!first)
            first = check_row(c, k);
        db_container_clear(&rows[i]);
    }
    free(rows);
    return first;
}

/* ---- volumes ---- */

static err *sweep_volume(struct check *c, const char *name)
{
    own_mem char *path = mem_printf("%s/volumes/%s", c->engine->root, name);
    bool trashed = false;
    TRY(trash_finish_volume(c->engine, name, &trashed));
    return trashed ? NULL : engine_remove_tree(path);
}

static err *check_volume_dir(struct check *c, const char *dir, const char *name)
{
    own_mem char *path = mem_printf("%s/%s", dir, name);
    struct db_volume row;
    err *e = c->db ? db_volume_find(c->db, name, &row) : err_new(ERR_NOT_FOUND, "no rows yet");
    if (!e) {
        db_volume_clear(&row);
        return NULL;
    }
    bool missing = err_is(e, ERR_NOT_FOUND);
    if (!missing)
        return e;
    err_free(e);
    if (is_abandoned(path))
        problem(c, sweep_volume, name, "volume '%s': a folder without a row", name);
    return NULL;
}

static err *remake_volume(struct check *c, const char *name)
{
    own_mem char *path = volume_path(c->engine, name);
    return fs_mkdirs_at(AT_FDCWD, path, 0755);
}

static fallible check_volume_rows(struct check *c)
{
    struct db_volume *rows = NULL;
    size_t n = 0;
    if (!c->db)
        return NULL;
    TRY(db_volume_list(c->db, &rows, &n));
    for (size_t i = 0; i < n; i++) {
        own_mem char *path = volume_path(c->engine, rows[i].name);
        if (access(path, F_OK) < 0 && errno == ENOENT)
            problem(c, remake_volume, rows[i].name, "volume '%s': a row without its folder", rows[i].name);
        db_volume_clear(&rows[i]);
    }
    free(rows);
    return NULL;
}

/* ---- the trash ---- */

static err *sweep_trash(struct check *c, const char *name)
{
    own_mem char *path = trash_path(c->engine, name);
    return engine_remove_tree(path);
}

static err *check_trash_entry(struct check *c, const char *dir, const char *name)
{
    own_mem char *path = mem_printf("%s/%s", dir, name);
    if (!trash_owns(c->engine, name) && is_abandoned(path) && !trash_owns(c->engine, name))
        problem(c, sweep_trash, name, "trash: '%.80s' is in no entry: its deletion was cut short", name);
    return NULL;
}

/* ---- control groups ---- */

static err *remove_cgroup(struct check *c, const char *path)
{
    return rmdir(path) < 0 && errno != ENOENT ? err_sys(errno, "remove '%s'", path) : NULL;
}

/* Another store's containers have their groups here too: only what is old and empty is nobody's. To an ordinary user
 * another's groups are nothing that he could take away. */
static bool old_and_ours(const char *path, struct stat *ret)
{
    return stat(path, ret) == 0 && time(NULL) - ret->st_mtime >= CGROUP_YOUNG_S &&
           (geteuid() == 0 || ret->st_uid == geteuid());
}

/* A pod's own, with its members' below; nothing is in it itself. */
static err *check_cgroup(struct check *c, const char *dir, const char *name);
static err *check_pod_cgroup(struct check *c, const char *dir, const char *name)
{
    own_mem char *path = mem_printf("%s/%s", dir, name);
    own(db_pod) struct db_pod pod = { 0 };
    struct stat st;
    TRY(each_entry(c, path, check_cgroup));
    err *e = c->db ? db_pod_find(c->db, name + strlen("pod-"), &pod) : NULL;
    bool gone = !c->db || err_is(e, ERR_NOT_FOUND);
    err_ignore(e, "what cannot be read is left alone");
    if (gone && old_and_ours(path, &st) && st.st_nlink <= 2)
        problem(c, remove_cgroup, path, "control group '%s': empty, of no pod", path);
    return NULL;
}

static err *check_cgroup(struct check *c, const char *dir, const char *name)
{
    if (str_starts(name, "pod-") && is_id(name + strlen("pod-")))
        return check_pod_cgroup(c, dir, name);
    own_mem char *path = mem_printf("%s/%s", dir, name), *procs = mem_printf("%s/cgroup.procs", path), *text = NULL;
    struct stat st;
    if (!is_id(name) || has_row(c, name) || !old_and_ours(path, &st))
        return NULL;
    err *e = fs_read_at(AT_FDCWD, procs, 1 << 20, &text, NULL);
    if (e)
        err_ignore(e, "it went away, or is not ours to read");
    else if (!*text)
        problem(c, remove_cgroup, path, "control group '%s': empty, of no container", path);
    return NULL;
}

static err *check_hierarchy(struct check *c, const char *dir, const char *name)
{
    own_mem char *husk = mem_printf("%s/%s/husk", dir, name);
    err *e = each_entry(c, husk, check_cgroup);
    err_ignore(e, "not readable for us, so not ours");
    return NULL;
}

static fallible check_cgroups(struct check *c)
{
    err_ignore(each_entry(c, "/sys/fs/cgroup/husk", check_cgroup), "not readable for us, so not ours");
    return each_entry(c, "/sys/fs/cgroup", check_hierarchy);
}

/* ---- networks ---- */

static err *reload_networks(struct check *c, const char *name)
{
    return network_reload(c->engine);
}

static err *sweep_steps(struct check *c, const char *name)
{
    int64_t n;
    return network_step_sweep(c->engine, true, &n);
}

static err *settle_networks(struct check *c, const char *name)
{
    int64_t n;
    return network_settle_all(c->engine, true, &n);
}

static fallible check_networks(struct check *c)
{
    int64_t missing = 0, strays = 0, steps = 0, changes = 0;
    if (!c->db)
        return NULL;
    TRY(network_settle_all(c->engine, false, &changes));
    if (changes)
        problem(c, settle_networks, "",
                "networks: commands were killed while they changed the networks or ports of %lld running containers",
                (long long)changes);
    if (engine_is_rootless())
        return NULL;
    TRY(network_step_sweep(c->engine, false, &steps));
    if (steps)
        problem(c, sweep_steps, "", "networks: %lld addresses are held for build steps that were killed",
                (long long)steps);
    err *e = network_check(c->engine, &missing, &strays);
    if (e) {
        err_ignore(e, "where the firewall cannot be read, nothing of ours is in it");
        return NULL;
    }
    if (missing)
        problem(c, reload_networks, "", "networks: the firewall lacks %lld of them: it was loaded anew",
                (long long)missing);
    if (strays)
        problem(c, reload_networks, "", "networks: the firewall has %lld published ports of containers that do not run",
                (long long)strays);
    return NULL;
}

/* ---- places of mounts ---- */

static err *sweep_mounts(struct check *c, const char *name)
{
    (void)mounts_sweep(c->engine, MOUNTS_SWEEP);
    return NULL;
}

static void check_mounts(struct check *c)
{
    size_t n = mounts_sweep(c->engine, MOUNTS_LOOK);
    if (n)
        problem(c, sweep_mounts, "mounts", "%zu folders in '%s/mounts': their mount namespaces have ended", n,
                c->engine->run);
}

/* ---- images ---- */

static err *repair_image(struct check *c, const char *name)
{
    return image_program_run((const char *const[]){ "verify", "--quick", "--repair", "--quiet", name, NULL });
}

static err *rebuild_extents(struct check *c, const char *name)
{
    return image_program_run((const char *const[]){ "verify", "--extents", "--repair", "--quiet", NULL });
}

static err *sweep_images(struct check *c, const char *name)
{
    return image_sweep(c->engine, false, NULL);
}

static err *drop_build_name(struct check *c, const char *name)
{
    TRY(check_images_drop_build_name(c->engine, name));
    return image_sweep(c->engine, false, NULL);
}

static err *image_problem(void *ctx, enum check_image_kind kind, const char *name, const char *text)
{
    static repair_fn *const repairs[] = { [CHECK_IMAGE_BROKEN] = repair_image,
                                          [CHECK_IMAGE_STAGING] = sweep_images,
                                          [CHECK_IMAGE_EXTENTS] = rebuild_extents,
                                          [CHECK_IMAGE_BUILD_NAME] = drop_build_name };
    problem(ctx, repairs[kind], name, "%s", text);
    return NULL;
}

fallible check_run(struct engine *e, enum check_how how, struct check_result *ret)
{
    struct check c = { .engine = e, .how = how };
    own_mem char *containers = mem_printf("%s/containers", e->root), *volumes = mem_printf("%s/volumes", e->root);
    own_mem char *trash = trash_path(e, "");
    TRY(engine_db_if_there(e, &c.db));
    err *failed = check_rows(&c);
    if (!failed)
        failed = each_entry(&c, containers, check_folder);
    if (!failed)
        failed = each_entry(&c, e->run, check_state_dir);
    if (!failed)
        failed = check_volume_rows(&c);
    if (!failed)
        failed = each_entry(&c, volumes, check_volume_dir);
    if (!failed)
        failed = each_entry(&c, trash, check_trash_entry);
    if (!failed)
        failed = check_cgroups(&c);
    check_mounts(&c);
    if (!failed)
        failed = check_networks(&c);
    if (!failed)
        failed = check_images(e, image_problem, &c);
    if (failed) {
        check_result_clear(&c.result);
        return failed;
    }
    *ret = c.result;
    return NULL;
}
