// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/trash.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/image_remove.h"
#include "engine/volume.h"
#include "image/layout.h"
#include "image/settings.h"
#include "os/fault.h"
#include "os/quota.h"

enum { ENTRIES_MAX = 1000, FREE_PART = 10 };

char *trash_path(const struct engine *e, const char *name)
{
    return mem_printf("%s/trash/%s", e->root, name);
}

char *trash_volume_path(const struct engine *e, int64_t item)
{
    return mem_printf("%s/trash/volume-%lld", e->root, (long long)item);
}

bool trash_keeps(const struct trash *t)
{
    return t && !t->off && t->keep_ns > 0;
}

fallible trash_begin(struct engine *e, const char *command, bool no_trash, struct trash *ret)
{
    struct settings s;
    struct statvfs fs;
    TRY(settings_read(&s));
    engine_ready_to_remove(e);
    *ret = (struct trash){
        .engine = e, .command = command, .keep_ns = s.trash_keep_ns, .size = s.trash_size, .off = no_trash
    };
    if (ret->size < 0)
        ret->size = statvfs(e->root, &fs) < 0 ? 0 : (int64_t)(fs.f_bavail * fs.f_frsize / FREE_PART);
    return NULL;
}

/* Never over what is there: then it was moved before. */
static fallible move(const char *from, const char *to)
{
    own_mem char *parent = mem_strndup(to, (size_t)(strrchr(to, '/') - to));
    for (int i = 0; i < 2; i++) {
        if (syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
            return NULL;
        if (errno != ENOENT || mkdir(parent, 0700) < 0)
            break;
    }
    return err_sys(errno, "move '%s' to '%s'", from, to);
}

/* What is in it but overlayfs' own work directory, which an ordinary user may not even read. */
static fallible container_bytes(const char *dir, int64_t *ret)
{
    own_dir DIR *d = opendir(dir);
    *ret = 0;
    for (const struct dirent *entry; d && (entry = readdir(d));) {
        struct stat st;
        uint64_t bytes = 0;
        own_mem char *path = mem_printf("%s/%s", dir, entry->d_name);
        if (entry->d_name[0] == '.' || strcmp(entry->d_name, "work") == 0 || lstat(path, &st) < 0)
            continue;
        if (S_ISDIR(st.st_mode))
            TRY(engine_disk_usage(path, &bytes));
        *ret += (int64_t)bytes + st.st_blocks * 512;
    }
    return NULL;
}

fallible trash_container(struct trash *t, const char *id)
{
    own_mem char *from = mem_printf("%s/containers/%s", t->engine->root, id), *to = trash_path(t->engine, id);
    int64_t bytes = 0;
    struct db *db;
    TRY(engine_db(t->engine, &db));
    TRY(container_bytes(from, &bytes));
    TRY(db_trash_container(db, id, t->command, bytes, &t->entry));
    fault_here(FAULT_TRASH_ROW);
    err_ignore(move(from, to), "the next sweep moves it");
    return NULL;
}

fallible trash_pod(struct trash *t, const struct db_pod *pod)
{
    own_mem char *from = mem_printf("%s/containers/%s", t->engine->root, pod->infra ? pod->infra : "");
    own_mem char *to = trash_path(t->engine, pod->infra ? pod->infra : "");
    int64_t bytes = 0;
    struct db *db;
    TRY(engine_db(t->engine, &db));
    if (pod->infra)
        TRY(container_bytes(from, &bytes));
    TRY(db_trash_pod(db, pod, t->command, bytes, &t->entry));
    fault_here(FAULT_TRASH_ROW);
    if (pod->infra)
        err_ignore(move(from, to), "the next sweep moves it");
    return NULL;
}

fallible trash_network(struct trash *t, const struct db_network *n)
{
    struct db *db;
    TRY(engine_db(t->engine, &db));
    TRY(db_trash_network(db, n, t->command, &t->entry));
    fault_here(FAULT_TRASH_ROW);
    return NULL;
}

fallible trash_image(struct trash *t, const char *id, const struct oci_descriptor *target)
{
    own_mem char *text = bind_write(&oci_descriptor_type, target, BIND_COMPACT), *name = image_name_of(target);
    struct db *db;
    TRY(engine_db(t->engine, &db));
    TRY(db_trash_image(db, name, id, text, t->command, &t->entry));
    t->images = true;
    fault_here(FAULT_TRASH_IMAGE);
    return NULL;
}

fallible trash_volume(struct trash *t, const char *name)
{
    own_mem char *from = mem_printf("%s/volumes/%s", t->engine->root, name);
    struct db *db;
    uint64_t bytes = 0;
    int64_t item = 0;
    TRY(engine_db(t->engine, &db));
    own_fd int fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0 && flock(fd, LOCK_EX) < 0)
        return err_sys(errno, "lock '%s'", from);
    TRY(volume_unmount(t->engine, name)); /* what is mounted on it is not its files */
    TRY(engine_disk_usage(from, &bytes));
    TRY(db_trash_volume(db, name, t->command, (int64_t)bytes, &t->entry, &item));
    own_mem char *to = trash_volume_path(t->engine, item);
    fault_here(FAULT_TRASH_VOLUME);
    err_ignore(move(from, to), "who makes one of that name moves it");
    return NULL;
}

/* Waits for whoever moves it just now. */
static fallible finish(const char *from, const char *to)
{
    own_fd int fd = open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "open '%s'", from);
    if (flock(fd, LOCK_EX) < 0)
        return err_sys(errno, "lock '%s'", from);
    err *e = move(from, to);
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    return NULL;
}

fallible trash_finish_container(struct engine *e, const char *id, bool *ret)
{
    own_mem char *from = mem_printf("%s/containers/%s", e->root, id), *to = trash_path(e, id);
    struct db *db = NULL;
    TRY(engine_db_if_there(e, &db));
    *ret = db && db_trash_has_container(db, id);
    return *ret ? finish(from, to) : NULL;
}

fallible trash_finish_volume(struct engine *e, const char *name, bool *ret)
{
    own_mem char *from = mem_printf("%s/volumes/%s", e->root, name);
    struct db *db = NULL;
    int64_t item = 0;
    *ret = false;
    TRY(engine_db_if_there(e, &db));
    if (db)
        TRY(db_trash_item_of(db, name, &item));
    own_mem char *to = trash_volume_path(e, item);
    *ret = item && access(to, F_OK) < 0;
    return *ret ? finish(from, to) : NULL;
}

bool trash_owns(struct engine *e, const char *name)
{
    struct db *db = NULL;
    err_ignore(engine_db_if_there(e, &db), "then nothing has a row");
    if (!db)
        return false;
    return str_starts(name, "volume-") ? db_trash_has_item(db, name + strlen("volume-"))
                                       : db_trash_has_container(db, name);
}

static fallible delete_volume(struct engine *e, const struct db_trash_volume *v)
{
    own_mem char *path = trash_volume_path(e, v->item);
    own_fd int fd = v->project ? open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC) : -1;
    if (fd >= 0)
        err_ignore(quota_clear(fd, (uint32_t)v->project), "a limit on a number that nothing has any more");
    return engine_remove_tree(path);
}

fallible trash_purge(struct engine *e, int64_t entry, bool *sweep)
{
    own(db_trash_parts) struct db_trash_parts p = { 0 };
    struct db *db;
    bool moved;
    TRY(engine_db(e, &db));
    TRY(db_trash_parts(db, entry, &p));
    *sweep |= p.images_n > 0;
    for (size_t i = 0; i < p.volumes_n; i++) /* one that was never moved must not be found by its name later */
        TRY(trash_finish_volume(e, p.volumes[i].name, &moved));
    err *failed;
    do
        failed = db_trash_forget(db, entry);
    while (engine_gave_room(e, &failed));
    TRY(failed);
    fault_here(FAULT_TRASH_FORGOTTEN);
    for (size_t i = 0; i < p.containers_n; i++) {
        own_mem char *path = trash_path(e, p.containers[i].id);
        TRY(engine_remove_tree(path));
    }
    for (size_t i = 0; i < p.volumes_n; i++)
        TRY(delete_volume(e, &p.volumes[i]));
    return NULL;
}

/* What images take is known only when their names are gone. What two entries share is the later one's, so that all of
 * them add up to what the trash keeps. */
static fallible settle_images(struct trash *t, struct db *db)
{
    own(db_trash_list) struct db_trash_list l = { 0 };
    uint64_t all = 0;
    int64_t others = 0;
    if (!t->images || !t->entry)
        return NULL;
    TRY(image_trash_bytes(t->engine, 0, &all));
    TRY(db_trash_list(db, &l));
    for (size_t i = 0; i < l.n; i++)
        others += l.items[i].id == t->entry ? 0 : l.items[i].image_bytes;
    return db_trash_set_image_bytes(db, t->entry, (int64_t)all > others ? (int64_t)all - others : 0);
}

fallible trash_end(struct trash *t)
{
    bool sweep = false;
    own(db_trash_list) struct db_trash_list l = { 0 };
    struct db *db = NULL;
    struct timespec now = { 0 };
    int64_t bytes = 0;
    if (t->off)
        return NULL;
    TRY(engine_db_if_there(t->engine, &db));
    if (!db)
        return NULL;
    TRY(settle_images(t, db));
    TRY(db_trash_bounds(db, &l));
    (void)clock_gettime(CLOCK_REALTIME, &now);
    int64_t since = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec - t->keep_ns;
    for (size_t i = 0; i < l.n; i++)
        bytes += l.items[i].bytes;
    for (size_t i = 0; i < l.n; i++) {
        if (l.items[i].at_ns > since && bytes <= t->size && l.n - i <= ENTRIES_MAX)
            break;
        log_debug("trash: entry %lld goes", (long long)l.items[i].id);
        TRY(trash_purge(t->engine, l.items[i].id, &sweep));
        bytes -= l.items[i].bytes;
        if (l.items[i].id == t->entry)
            t->entry = 0;
    }
    return sweep ? image_sweep(t->engine, false, NULL) : NULL;
}
