// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/storage.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "engine/lowers.h"
#include "engine/paths.h"
#include "layers/flatten.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/userns.h"

enum { REMEMBERED_MAX = 4096 };

/* ---- what works here ---- */

struct probe {
    const char *dir; /* of staging */
    bool fuse;
};

static fallible make_parts(const char *dir)
{
    static const char *const parts[] = { "low1", "low2", "low1/old", "upper", "work" };
    for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
        own_mem char *path = mem_printf("%s/%s", dir, parts[i]);
        if (mkdir(path, 0700) < 0 && errno != EEXIST)
            return err_sys(errno, "make '%s'", path);
    }
    return NULL;
}

/* What a container does: a new file, a whiteout, an opaque directory. An overlay whose upper directory cannot do that
 * is mounted all the same, read-only or half. */
static fallible use(int root)
{
    own_fd int file = openat(root, "new", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0)
        return err_sys(errno, "make a file");
    if (unlinkat(root, "old", AT_REMOVEDIR) < 0)
        return err_sys(errno, "remove a layer's directory");
    if (mkdirat(root, "old", 0700) < 0)
        return err_sys(errno, "make a directory over one that was removed");
    return NULL;
}

static err *try_it(void *ctx)
{
    const struct probe *p = ctx;
    own_fd int root = -1, dir = -1;
    struct rootfs_source s = { .kind = ROOTFS_OVERLAY, .fuse = p->fuse };
    s.upper = mem_printf("%s/upper", p->dir);
    s.work = mem_printf("%s/work", p->dir);
    strv_add_printf(&s.lowers, "%s/low1", p->dir);
    strv_add_printf(&s.lowers, "%s/low2", p->dir);
    err *e = source_mount(&s, -1, engine_is_rootless() || ids_in_userns(), NULL, &root);
    rootfs_source_free(&s);
    TRY(e);
    dir = openat(root, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return dir < 0 ? err_sys(errno, "open it") : use(dir);
}

static fallible try_driver(struct layout *l, bool fuse)
{
    own_mem char *name = layout_stage_name("probe");
    own_mem char *path = mem_printf("%s/tmp/%s", l->path, name);
    own_fd int fd = -1;
    TRY(layout_stage(l, name, LAYOUT_STAGE_DIR, &fd));
    err *e = make_parts(path);
    if (!e)
        e = userns_call(try_it, &(struct probe){ path, fuse });
    err_ignore(engine_remove_tree(path), "staging that nobody holds is swept");
    return e;
}

static fallible probe(struct engine *e, enum settings_driver *ret, char **ret_why)
{
    struct layout *l;
    TRY(engine_layout(e, &l));
    own(err) err *overlay = try_driver(l, false);
    int number = err_errno(overlay);
    *ret = SETTINGS_DRIVER_OVERLAY;
    if (!overlay)
        return NULL;
    if (number == ENOSPC || number == EDQUOT || number == EROFS) /* that says nothing about drivers */
        return take(overlay);
    own(err) err *fuse = try_driver(l, true);
    *ret = fuse ? SETTINGS_DRIVER_VFS : SETTINGS_DRIVER_FUSE;
    *ret_why = fuse ? mem_printf("%s; %s", err_text(overlay), err_text(fuse)) : mem_strdup(err_text(overlay));
    return NULL;
}

/* Of which store. As whom is the run-time folder's: a build asks as root of the user's namespace. */
static fallible key_of(struct engine *e, char **ret)
{
    struct layout *l;
    struct stat st;
    TRY(engine_layout(e, &l));
    if (fstat(l->fd, &st) < 0)
        return err_sys(errno, "look at '%s'", l->path);
    *ret = mem_printf("%llu:%llu", (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    return NULL;
}

/* "KEY WORD\nWHY" */
static bool recall(const struct engine *e, const char *key, enum settings_driver *ret, char **ret_why)
{
    own_mem char *path = mem_printf("%s/storage", e->run), *text = NULL;
    own(err) err *failed = fs_read_at(AT_FDCWD, path, REMEMBERED_MAX, &text, NULL);
    size_t n = strlen(key);
    char *why = failed ? NULL : strchr(text, '\n');
    if (!why || strncmp(text, key, n) != 0 || text[n] != ' ')
        return false;
    *why++ = '\0';
    for (size_t i = SETTINGS_DRIVER_OVERLAY; settings_driver_words[i]; i++) {
        if (!str_eq(text + n + 1, settings_driver_words[i]))
            continue;
        *ret = (enum settings_driver)i;
        *ret_why = *why ? mem_strdup(why) : NULL;
        return true;
    }
    return false;
}

static void remember(const struct engine *e, const char *key, enum settings_driver driver, const char *why)
{
    own_fd int run = -1;
    own_mem char *text = mem_printf("%s %s\n%s", key, settings_driver_words[driver], why ? why : "");
    err *failed = paths_open_run(e->run, &run);
    if (!failed)
        failed = fs_replace_at(run, "storage", text, strlen(text), 0600, FS_SYNC_NONE);
    err_ignore(failed, "it is asked again next time");
    if (driver == SETTINGS_DRIVER_VFS) /* once until the next boot: it costs disk and time that nobody expects */
        log_warn("storage: vfs is used, each container gets a copy of its image: %s", why);
    else if (why)
        log_info("storage: %s is used: %s", settings_driver_words[driver], why);
}

fallible storage_driver(struct engine *e, enum settings_driver *ret, char **ret_why)
{
    struct settings settings;
    own_mem char *key = NULL, *why = NULL;
    TRY(settings_read(&settings));
    *ret = settings.driver;
    if (*ret == SETTINGS_DRIVER_AUTO) {
        TRY(key_of(e, &key));
        if (!recall(e, key, ret, &why)) {
            TRY(probe(e, ret, &why));
            remember(e, key, *ret, why);
        }
    } else if (*ret != SETTINGS_DRIVER_OVERLAY) {
        why = mem_strdup("husk.conf says so");
    }
    if (ret_why)
        *ret_why = take(why);
    return NULL;
}

/* That it works is remembered for as long as the machine runs. */
fallible storage_shifts(struct engine *e, bool *ret, char **ret_why)
{
    struct layout *l;
    own_mem char *key = NULL, *path = mem_printf("%s/storage.shifts", e->run), *known = NULL;
    own_fd int run = -1;
    TRY(key_of(e, &key));
    own(err) err *unknown = fs_read_at(AT_FDCWD, path, REMEMBERED_MAX, &known, NULL);
    *ret = !unknown && str_eq(known, key);
    if (*ret)
        return NULL;
    TRY(engine_layout(e, &l));
    own(err) err *failed =
        access("/dev/fuse", R_OK | W_OK) < 0 ? err_sys(errno, "open '/dev/fuse'") : try_driver(l, true);
    *ret = !failed;
    if (failed) {
        if (ret_why)
            *ret_why =
                mem_printf("%s: is fuse-overlayfs installed, and may everybody open /dev/fuse?", err_text(failed));
        log_debug("storage: files cannot be shown with other owners: %s", err_text(failed));
        return NULL;
    }
    err *kept = paths_open_run(e->run, &run);
    if (!kept)
        kept = fs_replace_at(run, "storage.shifts", key, strlen(key), 0600, FS_SYNC_NONE);
    err_ignore(kept, "it is asked again next time");
    return NULL;
}

/* ---- vfs ---- */

struct copy {
    const struct strv *lowers;
    const char *dir, *changed; /* changed: NULL, or compare dir with it and leave the changes in upper */
    const char *upper;
};

static err *copy_all(void *ctx)
{
    const struct copy *k = ctx;
    return flatten(k->lowers, k->dir);
}

static fallible lowers_list(struct container *c, struct strv *ret)
{
    const struct container_config *config;
    TRY(container_config(c, &config));
    return lowers_of(c->engine, &config->layers, ret);
}

fallible storage_copy(struct container *c)
{
    own_strv struct strv lowers = { 0 };
    own_mem char *dir = mem_printf("%s/fs", c->dir);
    TRY(lowers_list(c, &lowers));
    if (mkdir(dir, 0755) < 0)
        return err_sys(errno, "make '%s'", dir);
    TRY(userns_call(copy_all, &(struct copy){ .lowers = &lowers, .dir = dir }));
    /* On disk before the row can be: files that a power cut left empty would look like the image's. */
    own_fd int fd = open(c->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return fd < 0 || syncfs(fd) < 0 ? err_sys(errno, "write '%s' to disk", dir) : NULL;
}

static err *compare_all(void *ctx)
{
    const struct copy *k = ctx;
    TRY(flatten(k->lowers, k->dir));
    return flatten_compare(k->dir, k->changed, k->upper, true);
}

static fallible stage_upper(struct container *c, const struct strv *lowers, const char *stage, char **ret_path)
{
    own_mem char *base = mem_printf("%s/base", stage), *upper = mem_printf("%s/upper", stage);
    own_mem char *changed = mem_printf("%s/fs", c->dir);
    if (mkdir(base, 0755) < 0 || mkdir(upper, 0755) < 0)
        return err_sys(errno, "make '%s'", base);
    TRY(userns_call(compare_all, &(struct copy){ lowers, base, changed, upper }));
    *ret_path = take(upper);
    return NULL;
}

static fallible lock_comparing(struct container *c, int *ret)
{
    own_fd int dir = open(c->dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir < 0)
        return err_sys(errno, "open '%s'", c->dir);
    return fs_lock_at(dir, "compare.lock", FS_LOCK_EXCLUSIVE, ret);
}

fallible storage_upper(struct container *c, char **ret_path, struct storage_hold *ret_hold)
{
    const struct container_config *config;
    struct layout *l;
    own_strv struct strv lowers = { 0 };
    own_fd int fd = -1;
    own_fd int lock = -1;
    *ret_hold = STORAGE_HOLD_NONE;
    TRY(container_config(c, &config));
    if (!str_eq(config->storage, "vfs")) {
        *ret_path = mem_printf("%s/upper", c->dir);
        return NULL;
    }
    TRY(engine_layout(c->engine, &l));
    TRY(lowers_list(c, &lowers));
    TRY(lock_comparing(c, &lock));
    own_mem char *name = layout_stage_name("vfs"), *stage = mem_printf("%s/tmp/%s", l->path, name);
    TRY(layout_stage(l, name, LAYOUT_STAGE_DIR, &fd));
    err *e = stage_upper(c, &lowers, stage, ret_path);
    if (e) {
        err_ignore(engine_remove_tree(stage), "staging that nobody holds is swept");
        return e;
    }
    *ret_hold = (struct storage_hold){ take_fd(&fd), take_fd(&lock) };
    return NULL;
}

void storage_upper_end(const char *path, struct storage_hold *take_hold)
{
    if (take_hold->stage < 0)
        return;
    own_mem char *stage = mem_strndup(path, (size_t)(strrchr(path, '/') - path));
    err_ignore(engine_remove_tree(stage), "staging that nobody holds is swept");
    close_now(&take_hold->stage);
    close_now(&take_hold->lock);
}
