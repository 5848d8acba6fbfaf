// SPDX-License-Identifier: GPL-2.0-or-later
/* What a new container's mounts need before it is made: volumes that exist and are filled, binds' sources, owners. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/userns.h"
#include "engine/users.h"
#include "engine/volume.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/root.h"
#include "os/userns.h"

static bool is_empty_dir(const char *path)
{
    own_dir DIR *d = opendir(path);
    if (!d)
        return false;
    for (const struct dirent *e; (e = readdir(d));)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0 && strcmp(e->d_name, "lost+found") != 0)
            return false;
    return true;
}
struct fill {
    const struct rootfs_source *image;
    const char *target, *volume;
    bool given; /* to the container's root, when the image has nothing there */
    uint32_t uid, gid;
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
        if (f->given && chown(f->volume, f->uid, f->gid) < 0)
            return err_sys(errno, "give volume '%s' to the container's root", f->volume);
        return NULL;
    }
    TRY(e);
    own_fd int to = open(f->volume, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (to < 0 || fstat(to, &st) < 0)
        return err_sys(errno, "open volume '%s'", f->volume);
    return copy_up(from, to);
}

static fallible copy_content(const struct container_config *config, const struct container_mount *m, const char *path,
                             const struct rootfs_source *image)
{
    struct fill fill = { .image = image, .target = m->target, .volume = path };
    if (m->nocopy || m->subpath || !is_empty_dir(path))
        return NULL;
    fill.given = engine_is_rootless() && config->uid_map.n;
    TRY(userns_in_default(config, &fill.uid, &fill.gid));
    return engine_is_rootless() ? userns_call(fill_volume, &fill) : fill_volume(&fill);
}

static void driver_options(const struct container_mount *m, struct strmap *ret)
{
    for (size_t i = 0; i < m->driver_options.n; i++) {
        const char *text = m->driver_options.items[i];
        size_t n = strcspn(text, "=");
        own_mem char *key = mem_strndup(text, n);
        strmap_set(ret, key, text[n] ? text + n + 1 : "");
    }
}

static fallible make_volume(struct engine *e, struct container_mount *m, struct strv *ret_made)
{
    struct strmap options = { 0 };
    driver_options(m, &options);
    struct volume_wish wish = { .labels = &m->labels, .options = &options };
    err *failed = m->source ? volume_create(e, m->source, &wish) : volume_create_anonymous(e, &wish, &m->source);
    strmap_free(&options);
    if (!failed && m->anonymous)
        strv_add(ret_made, m->source);
    if (!err_is(failed, ERR_EXISTS))
        return failed;
    err_free(failed); /* another container made it in this moment */
    return NULL;
}

/* What the volume's options mean for this mount. */
static fallible use_driver(struct engine *e, struct container_mount *m, char **ret_path)
{
    struct db_volume row;
    own(volume_driver) struct volume_driver d = { 0 };
    TRY(volume_find(e, m->source, &row));
    err *failed = volume_driver_of(&row, &d);
    db_volume_clear(&row);
    TRY(failed);
    m->nocopy |= d.nocopy;
    if (d.bind) {
        free(m->device);
        m->device = take(d.device);
        m->nocopy = true; /* a directory of the host's is the host's to fill */
    }
    m->mounted = volume_driver_mounts(&d);
    if (m->mounted)
        TRY(volume_mount(e, m->source));
    *ret_path = m->device ? mem_strdup(m->device) : volume_path(e, m->source);
    return NULL;
}

static fallible prepare_volume(struct engine *e, const struct container_config *config, struct container_mount *m,
                               const struct rootfs_source *image, struct strv *ret_made, char **ret_path)
{
    bool there = false;
    if (m->source) {
        struct db *db;
        struct db_volume row;
        TRY(engine_db(e, &db));
        err *failed = db_volume_find(db, m->source, &row);
        if (!failed) {
            db_volume_clear(&row);
            there = true;
        } else if (!err_is(failed, ERR_NOT_FOUND)) {
            return failed;
        }
        err_free(failed);
    }
    if (!there)
        TRY(make_volume(e, m, ret_made));
    TRY(use_driver(e, m, ret_path));
    return copy_content(config, m, *ret_path, image);
}

/* docker makes a directory even where a socket was meant, and then nothing can listen there any more. */
static fallible refuse_missing_socket(const char *path)
{
    if (str_ends(path, "/docker.sock") || str_ends(path, "/podman.sock"))
        return err_new(ERR_NOT_FOUND, "bind source '%s' does not exist: husk has no daemon and no such socket", path);
    if (str_ends(path, ".sock") || str_ends(path, ".socket"))
        return err_new(ERR_NOT_FOUND, "bind source '%s' does not exist: start what listens there first", path);
    return NULL;
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
    TRY(refuse_missing_socket(m->source));
    TRY_AS(fs_mkdirs_at(AT_FDCWD, m->source, 0755), "bind source '%s' does not exist", m->source);
    return NULL;
}

/* U: a tree is given away. Directories of the system's are not, whoever asks. */
static fallible refuse_system(const char *path)
{
    static const char *const theirs[] = { "/",      "/bin",   "/boot", "/dev",  "/etc",  "/home", "/lib",
                                          "/lib64", "/media", "/opt",  "/proc", "/root", "/run",  "/sbin",
                                          "/srv",   "/sys",   "/tmp",  "/usr",  "/var" };
    for (size_t i = 0; i < ARRAY_SIZE(theirs); i++)
        if (strcmp(path, theirs[i]) == 0)
            return err_new(ERR_INVALID, "U: '%s' is the system's: its owner will not be changed", path);
    return NULL;
}

struct give {
    const char *path;
    uint32_t uid, gid;
};

static err *give_tree(void *ctx)
{
    const struct give *g = ctx;
    return fs_chown_tree_at(AT_FDCWD, g->path, g->uid, g->gid);
}

/* A volume has the container's own ids on disk; a bind is seen through the container's map. */
static fallible give(const struct container_config *config, const struct container_mount *m, const char *path,
                     const struct rootfs_source *image)
{
    struct container_user user;
    TRY(refuse_system(path));
    TRY(users_resolve(image, config->user, &config->group_add, &user));
    struct give g = { path, user.uid, user.gid };
    container_user_clear(&user);
    if (strcmp(m->type, "bind") == 0 && !m->idmap) {
        g.uid += (uint32_t)config->userns_first;
        g.gid += (uint32_t)config->userns_first;
    }
    TRY_AS(userns_in_default(config, &g.uid, &g.gid), "U");
    return engine_is_rootless() ? userns_call(give_tree, &g) : give_tree(&g);
}

fallible volumes_prepare(struct engine *e, struct container_config *config, const struct rootfs_source *image,
                         struct strv *ret_made)
{
    for (size_t i = 0; i < config->mounts_n; i++) {
        struct container_mount *m = &config->mounts[i];
        own_mem char *path = NULL;
        if (strcmp(m->type, "volume") == 0) {
            TRY_AS(prepare_volume(e, config, m, image, ret_made, &path), "volume for '%s'", m->target);
        } else if (strcmp(m->type, "bind") == 0) {
            TRY(prepare_bind(m));
            path = mem_strdup(m->source);
        }
        if (path && m->chown && !m->overlay)
            TRY_AS(give(config, m, path, image), "mount for '%s'", m->target);
    }
    return NULL;
}
