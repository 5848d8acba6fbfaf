// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/lowers.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "base/log.h"
#include "engine/paths.h"
#include "layers/layer.h"
#include "layers/merged.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/mount.h"

/* A folder of ours in which something is mounted: it is on another device than the folder that it is in. */
static bool is_mounted(const char *path)
{
    struct stat st, parent;
    own_mem char *above = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
    return lstat(path, &st) == 0 && lstat(above, &parent) == 0 && st.st_dev != parent.st_dev;
}

static fallible mount_one(struct engine *e, struct layout *l, const struct strv *diff_ids, const char *path)
{
    own_fd int run = -1;
    own_fd int lock = -1;
    own_fd int target = -1;
    own_fd int mount_fd = -1;
    TRY(paths_open_run(e->run, &run));
    TRY(fs_lock_at(run, "erofs.lock", FS_LOCK_EXCLUSIVE, &lock));
    if (is_mounted(path))
        return NULL; /* another was first */
    if (diff_ids->n == 1)
        TRY(layer_mount(l, diff_ids->items[0], &mount_fd));
    else
        TRY(merged_mount(l, diff_ids, &mount_fd));
    if (mount_fd < 0)
        return err_new(ERR_NOT_FOUND, "the index of the image's layers is gone");
    TRY(fs_open_dir_at(AT_FDCWD, path, FS_MAKE, &target));
    return mount_place(mount_fd, target);
}

static fallible add(struct engine *e, struct layout *l, const struct strv *diff_ids, const char *name,
                    struct strv *ret_paths)
{
    own_mem char *path = mem_printf("%s/erofs/%s", e->run, name);
    if (!is_mounted(path)) {
        if (geteuid() != 0 || ids_in_userns())
            return err_new(ERR_UNSUPPORTED,
                           "the image's layers are in EROFS's form, which only root can mount: pull it again with "
                           "HUSK_LAYERS=files");
        TRY(mount_one(e, l, diff_ids, path));
    }
    strv_add(ret_paths, path);
    return NULL;
}

/* One index over all layers: made when the image was pulled, or now. */
static fallible add_merged(struct engine *e, struct layout *l, const struct strv *diff_ids, struct strv *ret_paths,
                           bool *ret_done)
{
    char key[17];
    size_t before = ret_paths->n;
    if (!merged_exists(l, diff_ids)) {
        err_ignore(merged_make(l, diff_ids), "each layer is mounted by itself");
        if (!merged_exists(l, diff_ids))
            return NULL;
    }
    merged_key(diff_ids, key);
    err *failed = add(e, l, diff_ids, key, ret_paths);
    if (err_is(failed, ERR_NOT_FOUND)) {
        err_ignore(failed, "each layer is mounted by itself");
        return NULL;
    }
    *ret_done = ret_paths->n > before;
    return failed;
}

fallible lowers_of(struct engine *e, const struct strv *diff_ids, struct strv *ret_paths)
{
    struct layout *l;
    bool done = false;
    TRY(engine_layout(e, &l));
    bool any_erofs = faccessat(l->fd, "merged", F_OK, 0) == 0; /* one call for the stores that have none */
    if (any_erofs && diff_ids->n > 1)
        TRY(add_merged(e, l, diff_ids, ret_paths, &done));
    for (size_t i = diff_ids->n; !done && i-- > 0;) {
        char *id = diff_ids->items[i];
        if (any_erofs && layer_form_of(l, id) == LAYER_EROFS)
            TRY(add(e, l, &(struct strv){ &id, 1 }, digest_hex(id), ret_paths));
        else
            strv_add_take(ret_paths, layer_path(l, id));
    }
    return NULL;
}

fallible lowers_sweep(struct engine *e)
{
    struct layout *l;
    own_mem char *folder = mem_printf("%s/erofs", e->run);
    own_dir DIR *dir = opendir(folder);
    own_fd int run = -1;
    own_fd int lock = -1;
    if (!dir)
        return errno == ENOENT ? NULL : err_sys(errno, "read '%s'", folder);
    TRY(paths_open_run(e->run, &run));
    TRY(fs_lock_at(run, "erofs.lock", FS_LOCK_EXCLUSIVE, &lock));
    TRY(engine_layout(e, &l));
    for (const struct dirent *x; (x = readdir(dir));) {
        own_mem char *merged = mem_printf("merged/%s", x->d_name), *layer = mem_printf("sha256:%s", x->d_name);
        own_mem char *path = mem_printf("%s/%s", folder, x->d_name);
        if (x->d_name[0] == '.' || faccessat(l->fd, merged, F_OK, 0) == 0 || layer_form_of(l, layer) == LAYER_EROFS)
            continue;
        /* Containers that still use it have mounts of their own. */
        if (is_mounted(path) && umount2(path, MNT_DETACH | UMOUNT_NOFOLLOW) < 0)
            return err_sys(errno, "unmount '%s'", path);
        if (rmdir(path) < 0 && errno != ENOENT)
            return err_sys(errno, "remove '%s'", path);
    }
    (void)rmdir(folder); /* when it is empty */
    return NULL;
}
