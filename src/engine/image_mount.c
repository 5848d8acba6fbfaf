// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/image_mount.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "engine/container.h"
#include "engine/image_name.h"
#include "engine/lowers.h"
#include "engine/mounts.h"
#include "engine/paths.h"
#include "image/ref.h"
#include "layers/diff_walk.h"
#include "layers/layer.h"
#include "monitor/events.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/mount.h"

static bool is_image(const struct container_mount *m)
{
    return str_eq(m->type, "image");
}

/* ---- a container's mounts ---- */

static fallible resolve_one(struct engine *e, struct layout *l, const struct container_config *config,
                            struct container_mount *m)
{
    own(image) struct image *image = NULL;
    own_strv struct strv paths = { 0 };
    TRY(image_find(l, m->source, NULL, &image));
    strv_free(&m->layers);
    strv_copy(&m->layers, image->config->rootfs->diff_ids.items, image->config->rootfs->diff_ids.n);
    for (size_t i = 0; i < m->layers.n; i++)
        if (!layer_exists(l, m->layers.items[i]))
            return err_new(ERR_NOT_FOUND, "layer %s of image '%s' is not in the store: pull the image again",
                           m->layers.items[i], m->source);
    TRY(image_mount_lowers(e, m, &paths));
    if (config->storage && (paths.n > 1 || m->overlay))
        return err_new(ERR_UNSUPPORTED,
                       "this image needs an overlay there, which the storage driver %s has only for a container's root",
                       config->storage);
    return NULL;
}

fallible image_mount_resolve(struct engine *e, struct container_config *config)
{
    struct layout *l;
    for (size_t i = 0; i < config->mounts_n; i++) {
        if (!is_image(&config->mounts[i]))
            continue;
        TRY(engine_layout(e, &l));
        TRY_AS(resolve_one(e, l, config, &config->mounts[i]), "mount '%s'", config->mounts[i].target);
    }
    return NULL;
}

enum found { FOUND_NOTHING, FOUND_DIR, FOUND_FILE, FOUND_END };

static bool is_opaque(int dir)
{
    char value[4];
    return diff_mark(dir, "", "opaque", value, sizeof value) == 1 && value[0] == 'y';
}

/* One part of the path: what it is in this layer. *fd goes one directory on. */
static fallible step(int *fd, const char *part, enum found *ret, bool *ret_hides)
{
    struct stat st;
    *ret = FOUND_NOTHING;
    if (fstatat(*fd, part, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "look at '%s'", part);
    if (S_ISLNK(st.st_mode))
        return err_new(ERR_INVALID, "subpath: '%s' is a link: name what it leads to", part);
    *ret = S_ISDIR(st.st_mode)                                  ? FOUND_DIR
           : S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0) ? FOUND_END
                                                                : FOUND_FILE;
    if (*ret != FOUND_DIR)
        return NULL;
    int below = openat(*fd, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (below < 0)
        return err_sys(errno, "open '%s'", part);
    close_now(fd);
    *fd = below;
    *ret_hides |= is_opaque(below);
    return NULL;
}

/* FOUND_END: neither this layer nor one below has it. *ret_hides: those below are not looked at. */
static fallible look(const char *layer, const struct strv *parts, enum found *ret, bool *ret_hides)
{
    own_fd int fd = open(layer, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open layer '%s'", layer);
    *ret_hides = false;
    *ret = FOUND_DIR;
    for (size_t i = 0; i < parts->n && *ret == FOUND_DIR; i++) {
        TRY(step(&fd, parts->items[i], ret, ret_hides));
        if (*ret == FOUND_FILE && i + 1 < parts->n)
            *ret = FOUND_END;
    }
    return NULL;
}

static fallible subpaths(const struct strv *layers, const char *subpath, struct strv *ret)
{
    own_strv struct strv parts = { 0 };
    own_mem char *absolute = mem_printf("/%s", subpath), *clean = paths_clean(absolute);
    if (clean[1])
        strv_split(&parts, clean + 1, '/');
    for (size_t i = 0; i < layers->n; i++) {
        enum found found;
        bool hides = false;
        TRY(look(layers->items[i], &parts, &found, &hides));
        if (found == FOUND_DIR || (found == FOUND_FILE && !ret->n))
            strv_add_printf(ret, "%s%s", layers->items[i], clean[1] ? clean : "");
        if (found == FOUND_END || found == FOUND_FILE || hides)
            break;
    }
    return ret->n ? NULL : err_new(ERR_NOT_FOUND, "the image has no '%s'", subpath);
}

fallible image_mount_lowers(struct engine *e, const struct container_mount *m, struct strv *ret_paths)
{
    own_strv struct strv layers = { 0 };
    TRY(lowers_of(e, &m->layers, m->subpath ? &layers : ret_paths));
    return m->subpath ? subpaths(&layers, m->subpath, ret_paths) : NULL;
}

/* ---- husk image mount ---- */

char *image_mount_path(const struct engine *e, const char *digest)
{
    return mounts_path(e, digest_hex(digest));
}

fallible image_mount(struct engine *e, const char *what, char **ret_path)
{
    struct layout *l;
    own(image) struct image *image = NULL;
    own_fd int lock = -1, mount = -1;
    struct rootfs_source s = { .kind = ROOTFS_OVERLAY };
    TRY(mounts_may());
    (void)mounts_sweep(e, MOUNTS_SWEEP);
    TRY(engine_layout(e, &l));
    TRY(layout_lock(l, LAYOUT_ADDING, &lock));
    TRY(image_find(l, what, NULL, &image));
    own_mem char *path = image_mount_path(e, image->manifest_digest);
    if (!mounts_has(path)) {
        TRY(lowers_of(e, &image->config->rootfs->diff_ids, &s.lowers));
        err *failed = source_mount(&s, -1, ids_in_userns(), NULL, &mount);
        rootfs_source_free(&s);
        TRY_AS(failed, "mount image '%s'", what);
        TRY(mount_set(mount, MOUNT_ONE, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NODEV, 0, 0));
        TRY(mounts_place(e, path, mount));
    }
    image_event(e, image, "mount", image->name);
    *ret_path = take(path);
    return NULL;
}

fallible image_mounts(struct engine *e, struct strv *ret_digests)
{
    own_strv struct strv names = { 0 };
    (void)mounts_sweep(e, MOUNTS_SWEEP);
    TRY(mounts_list(e, "", &names));
    for (size_t i = 0; i < names.n; i++)
        if (!str_starts(names.items[i], "container-"))
            strv_add_printf(ret_digests, "sha256:%s", names.items[i]);
    return NULL;
}

fallible image_unmount(struct engine *e, const char *what, struct strv *ret_digests)
{
    struct layout *l;
    own(image) struct image *image = NULL;
    own_strv struct strv mounted = { 0 };
    TRY(mounts_may());
    TRY(image_mounts(e, &mounted));
    if (what) {
        TRY(engine_layout(e, &l));
        TRY(image_find(l, what, NULL, &image));
        if (!strv_has(&mounted, image->manifest_digest))
            return err_new(ERR_NOT_FOUND, "image '%s' is not mounted here", what);
    }
    for (size_t i = 0; i < mounted.n; i++) {
        if (image && !str_eq(mounted.items[i], image->manifest_digest))
            continue;
        own_mem char *path = image_mount_path(e, mounted.items[i]);
        TRY(mounts_remove(e, path));
        event_say(e->run, "image", "unmount", image ? image->id : mounted.items[i], "name",
                  image && image->name ? image->name : mounted.items[i], NULL);
        strv_add(ret_digests, mounted.items[i]);
    }
    return NULL;
}
