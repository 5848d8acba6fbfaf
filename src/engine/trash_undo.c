// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/config.h"
#include "engine/grammar.h"
#include "engine/image_remove.h"
#include "engine/network.h"
#include "engine/trash.h"
#include "engine/userns.h"
#include "image/layout.h"
#include "image/ref.h"
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
                             "container '%s' needs layer %.12s of image '%s', which is gone: undo its removal or pull "
                             "it, then undo again",
                             row->name, digest_hex(c->layers.items[i]), row->image ? row->image : "");
    container_config_free(read);
    return failed;
}

/* It goes and comes with its pod. */
static bool is_infra(const struct db_trash_parts *p, const char *id)
{
    for (size_t i = 0; i < p->pods_n; i++)
        if (str_eq(p->pods[i].infra, id))
            return true;
    return false;
}

static fallible pod_must_be_free(struct db *db, const char *name)
{
    struct db_pod pod = { 0 };
    err *e = db_pod_find(db, name, &pod);
    bool taken = !e && str_eq(pod.name, name);
    db_pod_clear(&pod);
    err_ignore(e, "nobody has it");
    return taken ? err_new(ERR_EXISTS, "the name '%s' is taken by another pod meanwhile: remove that, or say --name",
                           name)
                 : NULL;
}

static fallible must_be_free(struct engine *engine, const struct db_trash_parts *p, const char *other)
{
    struct db *db = engine->db;
    struct db_container c = { 0 };
    struct db_volume v = { 0 };
    for (size_t i = 0; i < p->pods_n; i++)
        TRY(pod_must_be_free(db, other ? other : p->pods[i].name));
    for (size_t i = 0; i < p->containers_n; i++) {
        const char *name = other && !is_infra(p, p->containers[i].id) ? other : p->containers[i].name;
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
    for (size_t i = 0; i < p->networks_n; i++)
        TRY(network_must_be_free(engine, &p->networks[i].row, other ? other : p->networks[i].row.name));
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
        own_mem char *lacks = NULL, *taken = NULL;
        TRY(db_trash_lacks(e->db, p->containers[i].id, entry, &lacks));
        if (lacks)
            return err_new(ERR_CONFLICT, "container '%s' needs %s, which is gone: bring that back or make it first",
                           p->containers[i].name, lacks);
        TRY(has_layers_and_ids(e, &p->containers[i]));
        TRY(db_trash_port_taken(e->db, p->containers[i].id, &taken));
        if (taken) /* as with create: two may wish for one, and the second start is refused */
            log_warn("container '%s': %s: only one of them can run", p->containers[i].name, taken);
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

static fallible bring_network(struct engine *e, const struct db_trash_network *n, const char *name)
{
    TRY(db_untrash_network(e->db, n->item, name));
    fault_here(FAULT_UNDO_NETWORK);
    event_say(e->run, "network", "undo", n->row.id, "name", name, "type", n->row.driver, NULL);
    return NULL;
}

static fallible bring_pod(struct engine *e, const struct db_pod *pod, const char *name)
{
    own_fd int fd = -1;
    if (pod->infra) {
        own_mem char *from = trash_path(e, pod->infra), *to = mem_printf("%s/containers/%s", e->root, pod->infra);
        TRY(bring_folder(from, to, &fd));
        fault_here(FAULT_UNDO_FOLDER);
        TRY(back_again(from, to, db_untrash_pod(e->db, pod, name)));
    } else {
        TRY(db_untrash_pod(e->db, pod, name));
    }
    event_say(e->run, "pod", "undo", pod->id, "name", name, NULL);
    return NULL;
}

/* ---- images ---- */

static fallible name_of(const struct db_trash_image *i, const char *other, char **ret)
{
    own(ref) struct ref *r = NULL;
    *ret = mem_strdup(i->name);
    if (!other)
        return NULL;
    TRY(ref_parse(other, &r));
    if (r->digest)
        return err_new(ERR_INVALID, "--name: '%s': a digest cannot be given, only a name and a tag", other);
    free(*ret);
    *ret = ref_full(r);
    return NULL;
}

/* One that another image has, not this one again: a pull, or an undo that was killed. */
static fallible image_must_be_free(struct layout *l, const struct oci_descriptor *d, const char *name)
{
    own(oci_index) struct oci_index *index = NULL;
    TRY(layout_read_index(l, &index));
    for (size_t i = 0; name && i < index->manifests_n; i++) {
        own_mem char *has = image_name_of(&index->manifests[i]);
        if (str_eq(has, name) && !str_eq(index->manifests[i].digest, d->digest))
            return err_new(ERR_EXISTS,
                           "the name '%s' is taken by another image meanwhile: tag or remove that, or say --name",
                           name);
    }
    return NULL;
}

static fallible bring_image_of(struct engine *e, const struct db_trash_image *i, const struct oci_descriptor *d,
                               const char *other, struct strv *ret_lines)
{
    struct layout *l;
    own_mem char *name = NULL;
    own(ref) struct ref *r = NULL;
    own_fd int lock = -1;
    TRY(engine_layout(e, &l));
    TRY(name_of(i, other, &name));
    TRY(layout_lock(l, LAYOUT_ADDING, &lock));
    TRY(image_must_be_free(l, d, name));
    if (d->data && name)
        return err_new(ERR_INVALID, "--name: what is brought back is one platform of an image, not an image alone");
    if (d->data)
        TRY(image_part_bring(l, d));
    else if (!layout_has_blob(l, d->digest, -1))
        return err_new(ERR_CONFLICT, "image '%s': its documents are gone: pull it again", name ? name : i->id);
    if (name)
        TRY(layout_set_name(l, name, d));
    else if (!d->data)
        TRY(layout_add_unnamed(l, d));
    fault_here(FAULT_UNDO_IMAGE);
    TRY(db_untrash_image(e->db, i->item));
    if (name)
        TRY(ref_parse(name, &r));
    own_mem char *familiar = r ? ref_familiar(r) : mem_strdup(i->id);
    strv_add_printf(ret_lines, "image %s", familiar);
    event_say(e->run, "image", "undo", i->id, "name", familiar, NULL);
    return NULL;
}

static fallible bring_image(struct engine *e, const struct db_trash_image *i, const char *other, struct strv *ret_lines)
{
    void *read = NULL;
    TRY_AS(bind_read(&oci_descriptor_type, i->target, strlen(i->target), &read), "an image in the trash");
    err *failed = bring_image_of(e, i, read, other, ret_lines);
    bind_free(&oci_descriptor_type, read);
    return failed;
}

/* All of it is back: who brought the last was killed before he could forget the entry. */
static bool is_empty(const struct db_trash *t)
{
    return !t->containers && !t->volumes && !t->pods && !t->networks && !t->images;
}

static fallible find_entry(struct db *db, int64_t wish, int64_t *ret)
{
    own(db_trash_list) struct db_trash_list l = { 0 };
    TRY(db_trash_list(db, &l));
    for (size_t i = l.n; i-- > 0;) {
        if (is_empty(&l.items[i])) {
            TRY(db_trash_forget(db, l.items[i].id));
        } else if (!wish || l.items[i].id == wish) {
            *ret = l.items[i].id;
            return NULL;
        }
    }
    return wish ? err_new(ERR_NOT_FOUND, "the trash has no entry %lld: see `husk trash ls`", (long long)wish)
                : err_new(ERR_NOT_FOUND, "the trash is empty: nothing can be undone");
}

/* --name: for one object, and a pod's infra is none. */
static fallible must_be_one(const struct db_trash_parts *p, int64_t entry, const char *name)
{
    size_t n = p->volumes_n + p->pods_n + p->images_n + p->networks_n;
    for (size_t i = 0; i < p->containers_n; i++)
        n += !is_infra(p, p->containers[i].id);
    if (n != 1)
        return err_new(ERR_INVALID, "--name is for one object: entry %lld has %zu", (long long)entry, n);
    if (p->images_n || p->networks_n)
        return NULL;
    return grammar_name(p->pods_n ? "pod name" : p->volumes_n ? "volume name" : "container name", name);
}

/* In this order: each may need what came before it. */
static fallible bring_all(struct engine *e, const struct db_trash_parts *p, const char *name, struct strv *ret_lines)
{
    for (size_t i = 0; i < p->images_n; i++)
        TRY(bring_image(e, &p->images[i], name, ret_lines));
    for (size_t i = 0; i < p->volumes_n; i++) {
        const char *as = name ? name : p->volumes[i].name;
        TRY(bring_volume(e, &p->volumes[i], as));
        strv_add_printf(ret_lines, "volume %s", as);
    }
    for (size_t i = 0; i < p->networks_n; i++) {
        const char *as = name ? name : p->networks[i].row.name;
        TRY(bring_network(e, &p->networks[i], as));
        strv_add_printf(ret_lines, "network %s", as);
    }
    for (size_t i = 0; i < p->pods_n; i++) {
        const char *as = name ? name : p->pods[i].name;
        TRY(bring_pod(e, &p->pods[i], as));
        strv_add_printf(ret_lines, "pod %s", as);
    }
    for (size_t i = 0; i < p->containers_n; i++) {
        const char *as = name ? name : p->containers[i].name;
        if (is_infra(p, p->containers[i].id))
            continue;
        TRY(bring_container(e, &p->containers[i], as));
        strv_add_printf(ret_lines, "container %s", as);
    }
    return NULL;
}

fallible trash_undo(struct engine *e, int64_t entry, const char *name, struct strv *ret_lines)
{
    own(db_trash_parts) struct db_trash_parts p = { 0 };
    own_fd int ids = -1;
    struct db *db;
    TRY(engine_db(e, &db));
    TRY(find_entry(db, entry, &entry));
    TRY(db_trash_parts(db, entry, &p));
    if (p.containers_n)
        TRY(userns_lock(e, &ids));
    if (name)
        TRY(must_be_one(&p, entry, name));
    TRY(must_be_free(e, &p, name));
    TRY(must_have_all(e, &p, entry));
    TRY(bring_all(e, &p, name, ret_lines));
    return db_trash_forget(db, entry);
}
