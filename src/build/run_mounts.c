// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/run_mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "build/ignore.h"
#include "build/ssh_socket.h"
#include "codec/digest.h"
#include "engine/lowers.h"
#include "engine/paths.h"
#include "layers/diff_walk.h"
#include "layers/mountpoints.h"
#include "os/fs.h"
#include "os/ids.h"
#include "os/mount.h"
#include "os/root.h"
#include "rootfs/source.h"

/* ---- layers as a directory ---- */

static fallible make_dir(const char *path)
{
    return mkdir(path, 0755) < 0 && errno != EEXIST ? err_sys(errno, "make '%s'", path) : NULL;
}

static fallible overlay(struct strv *take_lowers, const char *dir, bool writable, char **ret)
{
    struct rootfs_source source = { .kind = ROOTFS_OVERLAY, .lowers = *take_lowers };
    own_fd int mount_fd = -1, at = -1;
    own_mem char *root = mem_printf("%s/root", dir), *empty = mem_printf("%s/empty", dir);
    *take_lowers = (struct strv){ 0 };
    err *e = make_dir(root);
    if (!e && !(e = make_dir(empty)) && source.lowers.n < 2)
        strv_add(&source.lowers, empty); /* the kernel wants two, or one to write to */
    if (!e && source.lowers.n < 2)
        strv_add_take(&source.lowers, mem_strdup(root)); /* no layer at all: nothing over nothing */
    if (!e && writable) {
        source.upper = mem_printf("%s/upper", dir);
        source.work = mem_printf("%s/work", dir);
        source.throw_away = true; /* gone with the step */
        e = make_dir(source.upper);
        if (!e)
            e = make_dir(source.work);
    }
    if (!e)
        e = source_mount(&source, -1, ids_in_userns(), NULL, &mount_fd);
    rootfs_source_free(&source);
    TRY(e);
    TRY(fs_open_dir_at(AT_FDCWD, root, FS_MUST_EXIST, &at));
    TRY(mount_place(mount_fd, at));
    *ret = take(root);
    return NULL;
}

fallible build_mount_layers(struct engine *e, const struct strv *diff_ids, const char *dir, bool writable, char **ret)
{
    struct strv lowers = { 0 };
    err *failed = lowers_of(e, diff_ids, &lowers);
    if (!failed)
        return overlay(&lowers, dir, writable, ret);
    strv_free(&lowers);
    return failed;
}

/* ---- the context, without what .dockerignore keeps out ---- */

/* A layer over the context that has a whiteout where nothing shall be seen. */
static fallible hide(const struct ignore *ignore, int context_fd, const char *path, int hide_fd)
{
    own_strv struct strv names = { 0 };
    TRY(diff_names(context_fd, &names));
    for (size_t i = 0; i < names.n; i++) {
        const char *name = names.items[i];
        own_mem char *child = *path ? mem_printf("%s/%s", path, name) : mem_strdup(name);
        struct stat st;
        if (fstatat(context_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue;
        bool out = ignore_matches(ignore, child), dir = S_ISDIR(st.st_mode);
        if (out && !(dir && ignore_may_enter(ignore, child))) {
            if (mknodat(hide_fd, name, S_IFCHR, makedev(0, 0)) < 0)
                return err_sys(errno, "hide '%s' of the context", child);
            continue;
        }
        if (!dir)
            continue;
        own_fd int below = openat(context_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below < 0 || mkdirat(hide_fd, name, st.st_mode & 0777) < 0)
            return err_sys(errno, "look into '%s' of the context", child);
        own_fd int hide_below = openat(hide_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        TRY(hide(ignore, below, child, hide_below));
    }
    return NULL;
}

static fallible mount_context(const struct run_mount *m, const char *dir, bool writable, char **ret)
{
    struct strv lowers = { 0 };
    if (ignore_is_empty(m->ignore) && !writable) {
        *ret = mem_strdup(m->tree);
        return NULL;
    }
    if (!ignore_is_empty(m->ignore)) {
        own_mem char *hidden = mem_printf("%s/hide", dir);
        own_fd int context_fd = open(m->tree, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        TRY(make_dir(hidden));
        own_fd int hide_fd = open(hidden, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (context_fd < 0 || hide_fd < 0)
            return err_sys(errno, "open the context");
        TRY(hide(m->ignore, context_fd, "", hide_fd));
        strv_add(&lowers, hidden);
    }
    strv_add(&lowers, m->tree);
    return overlay(&lowers, dir, writable, ret);
}

/* ---- cache mounts ---- */

/* <root>/build/mounts/<hex of the id>; another one beside it when it is private and somebody has it. The lock is held
 * until this process ends. */
static fallible open_cache(const struct run_step *s, const struct run_mount *m, const char *from, char **ret)
{
    struct layout *l;
    TRY(engine_layout(s->engine, &l));
    own_mem char *word = mem_printf("%s%s%s", s->cache_ns ? s->cache_ns : "", s->cache_ns ? "/" : "",
                                    m->mount.id ? m->mount.id : m->mount.target);
    own_mem char *id = digest_of(word, strlen(word));
    for (int copy = 0;; copy++) {
        own_mem char *name = copy ? mem_printf("build/mounts/%s-%d", digest_hex(id), copy)
                                  : mem_printf("build/mounts/%s", digest_hex(id));
        own_mem char *fs = mem_printf("%s/fs", name);
        int lock = -1; /* stays open */
        struct stat st;
        TRY(fs_mkdirs_at(l->fd, name, 0700));
        own_fd int dir = openat(l->fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0)
            return err_sys(errno, "open '%s'", name);
        err *e = fs_lock_at(dir, "lock",
                            m->mount.sharing == BUILD_PRIVATE  ? FS_LOCK_TRY
                            : m->mount.sharing == BUILD_LOCKED ? FS_LOCK_EXCLUSIVE
                                                               : FS_LOCK_SHARED,
                            &lock);
        if (m->mount.sharing == BUILD_PRIVATE && err_is(e, ERR_CONFLICT) && copy < 64) {
            err_free(e);
            continue;
        }
        TRY(e);
        if (!m->mount.id || copy == 0)
            err_ignore(fs_replace_at(dir, "id", word, strlen(word), 0600, FS_SYNC_NONE), "only `builder du` shows it");
        if (fstatat(l->fd, fs, &st, AT_SYMLINK_NOFOLLOW) < 0) {
            /* made aside, so that a killed build leaves it whole or not at all */
            own_mem char *made = mem_printf("%s/fs.%d", name, (int)getpid());
            if (mkdirat(l->fd, made, m->mount.mode >= 0 ? (mode_t)m->mount.mode : 0755) < 0)
                return err_sys(errno, "make '%s'", made);
            own_fd int to = openat(l->fd, made, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
            own_fd int from_fd = from ? open(from, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
            if (from_fd >= 0)
                TRY(copy_up(from_fd, to));
            if (fchown(to, (uid_t)m->mount.uid, (gid_t)m->mount.gid) < 0)
                return err_sys(errno, "give '%s' to its user", made);
            if (renameat2(l->fd, made, l->fd, fs, RENAME_NOREPLACE) < 0) {
                err_ignore(fs_remove_tree_at(l->fd, made), "another was first");
                if (errno != EEXIST && errno != ENOTEMPTY)
                    return err_sys(errno, "make '%s'", fs);
            }
        }
        *ret = mem_printf("%s/%s", l->path, fs);
        return NULL;
    }
}

/* ---- secrets ---- */

static fallible secrets_dir(const struct run_step *s, char **ret)
{
    own_mem char *dir = mem_printf("%s/secrets", s->dir);
    TRY(make_dir(dir));
    if (mount("tmpfs", dir, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0700,size=64m") < 0)
        return err_sys(errno, "mount memory for secrets");
    *ret = take(dir);
    return NULL;
}

static fallible put_secret(const char *dir, size_t index, const struct run_mount *m)
{
    own_mem char *path = mem_printf("%s/%zu", dir, index);
    mode_t mode = m->mount.mode >= 0 ? (mode_t)m->mount.mode : 0400;
    own_fd int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(errno, "write a secret");
    TRY(fs_write_fd(fd, m->secret->bytes, m->secret->n, "a secret"));
    if (fchown(fd, (uid_t)m->mount.uid, (gid_t)m->mount.gid) < 0 || fchmod(fd, mode) < 0)
        return err_sys(errno, "give a secret to its user");
    return NULL;
}

/* ---- all of them ---- */

static bool is_file(const struct run_mount *m)
{
    return m->mount.type == BUILD_MOUNT_SECRET || m->mount.type == BUILD_MOUNT_SSH;
}

char *run_mounts_ssh_path(const struct run_mount *mounts, size_t i)
{
    size_t number = 0;
    for (size_t k = 0; k < i; k++)
        number += mounts[k].mount.type == BUILD_MOUNT_SSH;
    return mem_printf("/run/buildkit/ssh_agent.%zu", number);
}

static char *target_of(const struct run_step *s, size_t i)
{
    const struct build_mount *m = &s->mounts[i].mount;
    if (m->type == BUILD_MOUNT_SSH && !m->target)
        return run_mounts_ssh_path(s->mounts, i);
    if (!m->target)
        return NULL;
    own_mem char *absolute = m->target[0] == '/'
                                 ? mem_strdup(m->target)
                                 : mem_printf("%s/%s", s->workdir && *s->workdir ? s->workdir : "/", m->target);
    return paths_clean(absolute);
}

/* A path inside a directory, with its links followed there. */
static fallible inside(const char *root, const char *path, char **ret)
{
    own_fd int root_fd = open(root, O_PATH | O_DIRECTORY | O_CLOEXEC), fd = -1;
    if (root_fd < 0)
        return err_sys(errno, "open '%s'", root);
    TRY_AS(root_open(root_fd, path && *path ? path : "/", O_PATH, &fd), "--mount: source '%s'", path ? path : "/");
    *ret = fs_fd_path(fd);
    return NULL;
}

static fallible prepare_one(const struct run_step *s, size_t i, const char *secrets)
{
    struct run_mount *m = &s->mounts[i];
    own_mem char *dir = mem_printf("%s/mount-%zu", s->dir, i), *root = NULL, *source = NULL;
    bool layers = m->mount.from && !m->context;
    bool has_tree = m->mount.type == BUILD_MOUNT_BIND || (m->mount.type == BUILD_MOUNT_CACHE && m->mount.from);
    TRY(make_dir(dir));
    bool writable = m->mount.type == BUILD_MOUNT_BIND && !m->mount.read_only;
    if (has_tree) {
        TRY(layers ? build_mount_layers(s->engine, &m->lowers, dir, writable, &root)
                   : mount_context(m, dir, writable, &root));
        err *e = inside(root, m->mount.source, &source);
        if (m->may_be_missing && err_is(e, ERR_NOT_FOUND)) {
            err_free(e);
            source = mem_printf("%s/empty", dir);
            e = make_dir(source);
        }
        TRY(e);
    }
    if (m->mount.type == BUILD_MOUNT_CACHE) {
        own_mem char *from = take(source);
        TRY(open_cache(s, m, from, &source));
    }
    if (m->mount.type == BUILD_MOUNT_SECRET && m->secret && m->mount.target) {
        TRY(put_secret(secrets, i, m));
        source = mem_printf("%s/%zu", secrets, i);
    }
    if (m->mount.type == BUILD_MOUNT_SSH && m->socket) {
        TRY(ssh_socket_open(dir, m->socket, m->mount.mode >= 0 ? (mode_t)m->mount.mode : 0600, (uid_t)m->mount.uid,
                            (gid_t)m->mount.gid));
        source = mem_printf("%s/agent", dir);
    }
    free(m->mount.source);
    m->mount.source = take(source);
    return NULL;
}

static fallible make_point(const struct run_step *s, size_t i, int points)
{
    const struct run_mount *m = &s->mounts[i];
    own_mem char *target = target_of(s, i);
    own_fd int fd = -1;
    struct stat st;
    if (!target || (is_file(m) && !m->mount.source))
        return NULL;
    bool file =
        is_file(m) || (m->mount.type == BUILD_MOUNT_BIND && stat(m->mount.source, &st) == 0 && !S_ISDIR(st.st_mode));
    return file ? root_touch(points, target, 0644, &fd) : root_mkdirs(points, target, 0755, &fd);
}

fallible run_mounts_prepare(const struct run_step *s)
{
    own_mem char *points = mem_printf("%s/points", s->dir), *secrets = NULL;
    TRY(make_dir(points));
    if (s->script) {
        own_fd int at = open(points, O_PATH | O_DIRECTORY | O_CLOEXEC), made = -1;
        TRY(root_touch(at, s->script_target, 0755, &made));
    }
    if (s->mounts_n == 0)
        return NULL;
    if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
        return err_sys(errno, "make a mount namespace for the step");
    for (size_t i = 0; i < s->mounts_n; i++)
        if (s->mounts[i].secret && s->mounts[i].mount.target && !secrets)
            TRY(secrets_dir(s, &secrets));
    for (size_t i = 0; i < s->mounts_n; i++)
        TRY(prepare_one(s, i, secrets));
    own_fd int fd = open(points, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open '%s'", points);
    for (size_t i = 0; i < s->mounts_n; i++)
        TRY(make_point(s, i, fd));
    return NULL;
}

fallible run_mounts_add(const struct run_step *s, struct oci_spec *spec)
{
    if (s->script) {
        struct oci_mount *to = oci_spec_add_mount(spec);
        to->destination = mem_strdup(s->script_target);
        to->type = mem_strdup("bind");
        to->source = mem_strdup(s->script);
        strv_split(&to->options, "bind,rprivate,ro", ',');
    }
    for (size_t i = 0; i < s->mounts_n; i++) {
        const struct run_mount *m = &s->mounts[i];
        own_mem char *target = target_of(s, i);
        if (!target || (is_file(m) && !m->mount.source))
            continue;
        struct oci_mount *to = oci_spec_add_mount(spec);
        to->destination = take(target);
        if (m->mount.type == BUILD_MOUNT_TMPFS) {
            to->type = mem_strdup("tmpfs");
            to->source = mem_strdup("tmpfs");
            strv_add(&to->options, "nosuid");
            strv_add(&to->options, "nodev");
            if (m->mount.size)
                strv_add_printf(&to->options, "size=%lld", (long long)m->mount.size);
        } else {
            to->type = mem_strdup("bind");
            to->source = mem_strdup(m->mount.source);
            strv_add(&to->options, "rbind");
            strv_add(&to->options, "rprivate");
        }
        if (m->mount.read_only || m->mount.type == BUILD_MOUNT_SECRET)
            strv_add(&to->options, m->mount.type == BUILD_MOUNT_TMPFS ? "ro" : "rro");
    }
    return NULL;
}
