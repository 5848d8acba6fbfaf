// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/config.h"
#include "engine/grammar.h"
#include "engine/trash.h"
#include "engine/userns.h"
#include "layers/layer.h"
#include "monitor/events.h"
#include "os/fault.h"

/* Its image may have been removed since: the trash does not hold it. */
static fallible has_layers_and_ids(struct engine *e, const struct db_container *row)
{
    struct layout *l;
    void *read = NULL;
    err *failed = NULL;
    TRY(engine_layout(e, &l));
    TRY(bind_read(&container_config_type, row->config, strlen(row->config), &read));
    const struct container_config *c = read;
    failed = userns_must_be_free(e, c);
    if (failed)
        failed = err_wrap(failed, "container '%s'", row->name);
    for (size_t i = 0; i < c->layers.n && !failed; i++)
        if (!layer_exists(l, c->layers.items[i]))
            failed = err_new(ERR_CONFLICT,
                             "container '%s' needs layer %.12s of image '%s', which is gone: pull it, then undo again",
                             row->name, digest_hex(c->layers.items[i]), row->image ? row->image : "");
    container_config_free(read);
    return failed;
}

static fallible must_be_free(struct db *db, const struct db_trash_parts *p, const char *other)
{
    struct db_container c = { 0 };
    struct db_volume v = { 0 };
    for (size_t i = 0; i < p->containers_n; i++) {
        const char *name = other ? other : p->containers[i].name;
        err *e = db_container_find(db, name, &c);
        bool taken = !e && str_eq(c.name, name);
        db_container_clear(&c);
        err_ignore(e, "nobody has it");
        if (taken)
            return err_new(ERR_EXISTS,
                           "the name '%s' is taken by another container meanwhile: remove or rename that, or "
                           "say --name",
                           name);
    }
    for (size_t i = 0; i < p->volumes_n; i++) {
        const char *name = other ? other : p->volumes[i].name;
        err *e = db_volume_find(db, name, &v);
        bool taken = !e;
        db_volume_clear(&v);
        err_ignore(e, "nobody has it");
        if (taken)
            return err_new(ERR_EXISTS, "the name '%s' is taken by another volume meanwhile: remove that, or say --name",
                           name);
    }
    return NULL;
}

static fallible must_have_all(struct engine *e, const struct db_trash_parts *p, int64_t entry)
{
    for (size_t i = 0; i < p->containers_n; i++) {
        own_mem char *lacks = NULL;
        TRY(db_trash_lacks(e->db, p->containers[i].id, entry, &lacks));
        if (lacks)
            return err_new(ERR_CONFLICT, "container '%s' needs %s, which is gone: bring that back or make it first",
                           p->containers[i].name, lacks);
        TRY(has_layers_and_ids(e, &p->containers[i]));
    }
    return NULL;
}

/* Locked, so that no sweep takes it for rubbish before it has its row. One that was never moved is there already. */
static fallible bring_folder(const char *from, const char *to, int *ret_fd)
{
    struct stat st;
    bool moved = stat(from, &st) == 0;
    own_fd int fd = open(moved ? from : to, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "bring back '%s'", from);
    if (flock(fd, LOCK_EX) < 0)
        return err_sys(errno, "lock '%s'", from);
    if (moved && syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) < 0)
        return err_sys(errno, "move '%s' to '%s'", from, to);
    *ret_fd = take_fd(&fd);
    return NULL;
}

static fallible back_again(const char *from, const char *to, err *take_e)
{
    if (take_e)
        (void)syscall(SYS_renameat2, AT_FDCWD, to, AT_FDCWD, from, RENAME_NOREPLACE);
    return take_e;
}

static fallible bring_container(struct engine *e, const struct db_container *c, const char *name)
{
    own_mem char *from = trash_path(e, c->id), *to = mem_printf("%s/containers/%s", e->root, c->id);
    own_fd int fd = -1;
    TRY(bring_folder(from, to, &fd));
    fault_here(FAULT_UNDO_FOLDER);
    TRY(back_again(from, to, db_untrash_container(e->db, c->id, name)));
    event_say(e->run, "container", "undo", c->id, "name", name, NULL);
    return NULL;
}

static fallible bring_volume(struct engine *e, const struct db_trash_volume *v, const char *name)
{
    own_mem char *from = trash_volume_path(e, v->item), *to = mem_printf("%s/volumes/%s", e->root, name);
    own_fd int fd = -1;
    TRY(bring_folder(from, to, &fd));
    fault_here(FAULT_UNDO_VOLUME);
    TRY(back_again(from, to, db_untrash_volume(e->db, v->item, name)));
    event_say(e->run, "volume", "undo", name, "driver", "local", NULL);
    return NULL;
}

static fallible find_entry(struct db *db, int64_t wish, int64_t *ret)
{
    own(db_trash_list) struct db_trash_list l = { 0 };
    TRY(db_trash_list(db, &l));
    for (size_t i = l.n; i-- > 0;)
        if (!wish || l.items[i].id == wish) {
            *ret = l.items[i].id;
            return NULL;
        }
    return wish ? err_new(ERR_NOT_FOUND, "the trash has no entry %lld: see `husk trash ls`", (long long)wish)
                : err_new(ERR_NOT_FOUND, "the trash is empty: nothing can be undone");
}

fallible trash_undo(struct engine *e, int64_t entry, const char *name, struct strv *ret_lines)
{
    own(db_trash_parts) struct db_trash_parts p = { 0 };
    struct db *db;
    TRY(engine_db(e, &db));
    TRY(find_entry(db, entry, &entry));
    TRY(db_trash_parts(db, entry, &p));
    if (name && p.containers_n + p.volumes_n != 1)
        return err_new(ERR_INVALID, "--name is for one object: entry %lld has %zu", (long long)entry,
                       p.containers_n + p.volumes_n);
    if (name)
        TRY(grammar_name(p.containers_n ? "container name" : "volume name", name));
    TRY(must_be_free(db, &p, name));
    TRY(must_have_all(e, &p, entry));
    for (size_t i = 0; i < p.volumes_n; i++) { /* first: containers use them */
        const char *as = name ? name : p.volumes[i].name;
        TRY(bring_volume(e, &p.volumes[i], as));
        strv_add_printf(ret_lines, "volume %s", as);
    }
    for (size_t i = 0; i < p.containers_n; i++) {
        const char *as = name ? name : p.containers[i].name;
        TRY(bring_container(e, &p.containers[i], as));
        strv_add_printf(ret_lines, "container %s", as);
    }
    return db_trash_forget(db, entry);
}
