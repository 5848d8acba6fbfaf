// SPDX-License-Identifier: GPL-2.0-or-later
#include "engine/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#include "engine/container_mount.h"
#include "engine/image_mount.h"
#include "engine/userns.h"
#include "engine/volume.h"
#include "os/linux.h"
#include "os/mount.h"
#include "os/root.h"
#include "os/sock.h"
#include "os/userns.h"

/* ---- children ---- */

fallible child_begin(err *(*fn)(void *ctx), void *ctx, struct child_work *ret)
{
    int pair[2];
    pid_t pid = 0;
    own_fd int pidfd = -1;
    TRY(sock_pair(pair));
    own_fd int ours = pair[0], theirs = pair[1];
    (void)fflush(NULL);
    TRY(proc_clone(0, -1, &pid, &pidfd));
    if (pid == 0) {
        char answer[ERR_ENCODED_MAX];
        close_now(&ours);
        (void)signal(SIGPIPE, SIG_IGN);
        err *e = fn(ctx);
        if (e)
            err_ignore(sock_send(theirs, answer, err_encode(e, answer, sizeof answer), NULL, 0), "nobody listens");
        _exit(e ? 1 : 0);
    }
    *ret = (struct child_work){ take_fd(&pidfd), take_fd(&ours) };
    return NULL;
}

fallible child_end(struct child_work *w)
{
    char answer[ERR_ENCODED_MAX];
    size_t n = 0;
    int status = 0;
    err *e = sock_recv(w->answer_fd, answer, sizeof answer, &n, NULL, 0, NULL);
    err *gone = proc_wait(w->pidfd, -1, &status);
    close_now(&w->answer_fd);
    close_now(&w->pidfd);
    if (!e && n)
        e = err_decode(answer, n);
    if (!e && !gone && status)
        e = err_new(ERR_UNAVAILABLE, "a process of husk's own was killed");
    err_ignore(gone, "the other end was closed, so it has ended");
    return e;
}

/* ---- one that runs ---- */

struct inside_work {
    struct container *c;
    enum inside what;
    inside_fn *fn;
    void *ctx;
    pid_t pid;     /* of one that runs */
    int pidfd;     /* of the same */
    int userns_fd; /* to enter; -1: ours */
};

static fallible become_root_of(int userns_fd)
{
    if (userns_fd < 0)
        return NULL;
    if (setns(userns_fd, CLONE_NEWUSER) < 0)
        return err_sys(errno, "enter the container's user namespace");
    if (setresgid(0, 0, 0) < 0 || setresuid(0, 0, 0) < 0)
        return err_sys(errno, "become root of the container's user namespace");
    (void)setgroups(0, NULL); /* refused where an ordinary user's are denied to him anyway */
    return NULL;
}

/* Whether it is in a user namespace other than ours; then a descriptor of it. */
static fallible other_userns(pid_t pid, int *ret_fd)
{
    char path[48];
    struct stat theirs, ours;
    (void)snprintf(path, sizeof path, "/proc/%d/ns/user", (int)pid);
    own_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &theirs) < 0 || stat("/proc/self/ns/user", &ours) < 0)
        return err_sys(errno, "look at '%s'", path);
    if (theirs.st_ino != ours.st_ino)
        *ret_fd = take_fd(&fd);
    return NULL;
}

struct clone_root {
    int pidfd, sock;
    bool userns;
};

/* Only in its mount namespace may its root be copied, and only there does "/" mean it. */
static err *clone_root(void *ctx)
{
    const struct clone_root *k = ctx;
    if (setns(k->pidfd, CLONE_NEWNS | (k->userns ? CLONE_NEWUSER : 0)) < 0)
        return err_sys(errno, "enter the container's mount namespace");
    own_fd int fd = open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "copy the container's root mount");
    return sock_send(k->sock, "r", 1, &fd, 1);
}

static fallible open_bare_root(const struct inside_work *w, int *ret_fd)
{
    int pair[2];
    char byte;
    size_t n = 0, fds = 0;
    struct child_work child;
    TRY(sock_pair(pair));
    own_fd int ours = pair[0], theirs = pair[1];
    struct clone_root k = { w->pidfd, theirs, w->userns_fd >= 0 };
    TRY(child_begin(clone_root, &k, &child));
    close_now(&theirs);
    err *e = sock_recv(ours, &byte, 1, &n, ret_fd, 1, &fds);
    err *ended = child_end(&child);
    if (ended) {
        err_ignore(e, "the child's own error says more");
        return ended;
    }
    return e ? e : fds == 1 ? NULL : err_new(ERR_INTERNAL, "no root came");
}

static fallible open_root_of(const struct inside_work *w, int *ret_fd)
{
    char path[48];
    if (w->what == INSIDE_ROOT)
        return open_bare_root(w, ret_fd);
    (void)snprintf(path, sizeof path, "/proc/%d/root", (int)w->pid);
    *ret_fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (*ret_fd < 0)
        return err_sys(errno, "open the container's root");
    struct pollfd p = { .fd = w->pidfd, .events = POLLIN };
    if (poll(&p, 1, 0) != 0) /* the pid may be another's by now */
        return err_new(ERR_CONFLICT, "container '%s' has just ended: try again", w->c->row.name);
    return NULL;
}

static err *work_running(void *ctx)
{
    const struct inside_work *w = ctx;
    own_fd int root = -1;
    TRY(open_root_of(w, &root));
    TRY(become_root_of(w->userns_fd));
    return w->fn(root, w->ctx);
}

static fallible inside_running(struct inside_work *w, const struct container_state *s)
{
    struct child_work child;
    own_fd int pidfd = -1, userns = -1;
    TRY(proc_open(s->init, &pidfd));
    TRY(other_userns(s->init.pid, &userns));
    w->pid = s->init.pid;
    w->pidfd = pidfd;
    w->userns_fd = userns;
    TRY(child_begin(work_running, w, &child));
    return child_end(&child);
}

/* ---- one that does not ---- */

static fallible place_image(const struct container *c, const struct container_mount *m, int target)
{
    own_fd int mount = -1;
    struct rootfs_source s = { .kind = ROOTFS_OVERLAY };
    err *e = image_mount_lowers(c->engine, m, &s.lowers);
    if (!e)
        e = source_mount(&s, -1, engine_is_rootless() || ids_in_userns(), NULL, &mount);
    rootfs_source_free(&s);
    TRY(e);
    TRY(mount_set(mount, MOUNT_ONE, MOUNT_ATTR_RDONLY, 0, 0));
    return mount_place(mount, target);
}

struct point {
    const struct inside_work *w;
    const char *target;
    int root;
    bool file;
};

static err *make_point(void *ctx)
{
    const struct point *p = ctx;
    own_fd int fd = -1;
    TRY(become_root_of(p->w->userns_fd));
    return p->file ? root_touch(p->root, p->target, 0644, &fd) : root_mkdirs(p->root, p->target, 0755, &fd);
}

/* Where it is mounted. Of one that was never started it may have to be made, as a start makes it: by its own root. -1:
 * it is not there, and below something that is read-only. */
static fallible open_point(const struct inside_work *w, const char *target, bool file, int root, int *ret_fd)
{
    struct point p = { w, target, root, file };
    struct child_work child;
    err *e = root_open(root, target, O_PATH, ret_fd);
    if (!err_is(e, ERR_NOT_FOUND))
        return e;
    err_free(e);
    TRY(child_begin(make_point, &p, &child));
    e = child_end(&child);
    if (err_errno(e) == EROFS) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    return root_open(root, target, O_PATH, ret_fd);
}

/* What is mounted on it when it runs, but for what is made new then: in our own mount namespace, on its folder. */
static fallible place_mount(const struct inside_work *w, const struct container_mount *m, int root)
{
    const struct container *c = w->c;
    own_fd int target = -1, mount = -1, top = -1, source = -1;
    struct stat st;
    bool image = strcmp(m->type, "image") == 0;
    if (!m->source || (!image && strcmp(m->type, "volume") != 0 && strcmp(m->type, "bind") != 0))
        return NULL;
    if (image) {
        TRY(open_point(w, m->target, false, root, &target));
        return target < 0 ? NULL : place_image(c, m, target);
    }
    own_mem char *path = mount_source_path(c->engine, m);
    top = open(path, O_PATH | O_CLOEXEC);
    if (top < 0)
        return err_sys(errno, "open '%s'", path);
    if (m->subpath)
        TRY(root_open(top, m->subpath, O_PATH, &source));
    if (fstat(m->subpath ? source : top, &st) < 0)
        return err_sys(errno, "look at '%s'", path);
    TRY(open_point(w, m->target, !S_ISDIR(st.st_mode), root, &target));
    if (target < 0)
        return NULL;
    TRY(mount_copy(m->subpath ? source : top, m->non_recursive ? MOUNT_ONE : MOUNT_RECURSIVE, &mount));
    if (m->read_only || m->overlay) /* a layer over it is there only while it runs */
        TRY(mount_set(mount, MOUNT_ONE, MOUNT_ATTR_RDONLY, 0, 0));
    return mount_place(mount, target);
}

static fallible open_folder(const struct container *c, int *ret_fd)
{
    *ret_fd = open(c->dir, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    return *ret_fd < 0 ? err_sys(errno, "open '%s'", c->dir) : NULL;
}

static fallible place_all(const struct inside_work *w, int take_mount, int *ret_root)
{
    own_fd int mount = take_mount, folder = -1;
    const struct container_config *config = w->c->config;
    if (w->what == INSIDE_ROOT || !config->mounts_n) {
        if (config->read_only)
            TRY(mount_set(mount, MOUNT_ONE, MOUNT_ATTR_RDONLY, 0, 0));
        *ret_root = take_fd(&mount);
        return NULL;
    }
    TRY(open_folder(w->c, &folder));
    TRY(mount_place(mount, folder));
    TRY(open_folder(w->c, ret_root)); /* now what is mounted there */
    for (size_t i = 0; i < config->mounts_n; i++)
        TRY_AS(place_mount(w, &config->mounts[i], *ret_root), "mount '%s'", config->mounts[i].target);
    return config->read_only ? mount_set(*ret_root, MOUNT_ONE, MOUNT_ATTR_RDONLY, 0, 0) : NULL;
}

static err *work_stopped(void *ctx)
{
    struct inside_work *w = ctx;
    struct rootfs_source source = { 0 };
    own_fd int base = -1, root = -1;
    TRY(container_mounted_root(w->c, &source)); /* while we are where it is mounted; its path stays */
    if (engine_is_rootless())
        TRY(userns_enter());
    else if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
        return err_sys(errno, "make a mount namespace");
    if (!source.dir)
        TRY(container_root(w->c, &source));
    err *e = source_mount(&source, w->userns_fd, engine_is_rootless() || ids_in_userns(), NULL, &base);
    rootfs_source_free(&source);
    TRY(e);
    TRY(place_all(w, take_fd(&base), &root));
    TRY(become_root_of(w->userns_fd));
    return w->fn(root, w->ctx);
}

static fallible inside_stopped(struct inside_work *w)
{
    const struct container_config *config;
    struct child_work child;
    own_fd int userns = -1;
    TRY(container_config(w->c, &config));
    if (engine_is_rootless() && config->uid_map.n && !userns_is_shifted(config)) /* those are in the default map */
        return err_new(ERR_UNSUPPORTED,
                       "container '%s' does not run, and its files have the owners of a map of its own: start it first",
                       w->c->row.name);
    if (config->userns_first) {
        own(id_map) struct id_map uids = { 0 }, gids = { 0 };
        TRY(userns_maps_of(config, &uids, &gids));
        TRY(source_userns(&uids, &gids, &userns));
    }
    w->userns_fd = userns;
    TRY(child_begin(work_stopped, w, &child));
    return child_end(&child);
}

static fallible work_inside(struct container *c, enum inside what, inside_fn *fn, void *ctx)
{
    struct container_state s = { 0 };
    struct inside_work w = { .c = c, .what = what, .fn = fn, .ctx = ctx, .pidfd = -1, .userns_fd = -1 };
    TRY(container_state(c, &s));
    bool runs = s.status == CONTAINER_RUNNING || s.status == CONTAINER_PAUSED;
    err *e = NULL;
    if (!runs)
        e = container_lock(c);
    if (!e && !runs) { /* it may have been started while we waited */
        container_state_clear(&s);
        e = container_state(c, &s);
        runs = s.status == CONTAINER_RUNNING || s.status == CONTAINER_PAUSED;
        if (!e && runs)
            container_unlock(c);
    }
    if (!e)
        e = runs ? inside_running(&w, &s) : inside_stopped(&w);
    container_unlock(c);
    container_state_clear(&s);
    return e;
}

fallible container_inside(struct container *c, enum inside what, inside_fn *fn, void *ctx)
{
    return container_inside_another(work_inside(c, what, fn, ctx));
}

static fallible running_root(struct container *c, const struct container_state *s, int *ret_mount_fd)
{
    own_fd int pidfd = -1, userns = -1;
    struct inside_work w = { .c = c, .pid = s->init.pid, .userns_fd = -1 };
    TRY(proc_open(s->init, &pidfd));
    err *e = ids_in_userns() ? err_new(ERR_DENIED, "we are in another") : other_userns(s->init.pid, &userns);
    w.pidfd = pidfd;
    w.userns_fd = userns;
    if (!e)
        e = open_bare_root(&w, ret_mount_fd);
    if (!e)
        return NULL;
    own_mem char *why = mem_strdup(err_text(e));
    err_ignore(e, "told in other words");
    return err_new(
        ERR_UNSUPPORTED,
        "container '%s' runs in a user namespace of its own, which gives its mounts to nobody (%s): stop it, "
        "or use husk cp and husk exec",
        c->row.name, why);
}

static fallible stopped_root(struct container *c, int *ret_mount_fd)
{
    const struct container_config *config;
    struct rootfs_source source = { 0 };
    own_fd int userns = -1;
    TRY(container_config(c, &config));
    if (config->userns_first) {
        own(id_map) struct id_map uids = { 0 }, gids = { 0 };
        TRY(userns_maps_of(config, &uids, &gids));
        TRY(source_userns(&uids, &gids, &userns));
    }
    TRY(container_root(c, &source));
    err *e = container_mounted_root(c, &source);
    if (!e)
        e = source_mount(&source, userns, ids_in_userns(), NULL, ret_mount_fd);
    rootfs_source_free(&source);
    return e;
}

fallible container_root_mount(struct container *c, int *ret_mount_fd)
{
    struct container_state s = { 0 };
    TRY(container_state(c, &s));
    bool runs = s.status == CONTAINER_RUNNING || s.status == CONTAINER_PAUSED;
    err *e = runs ? running_root(c, &s, ret_mount_fd) : stopped_root(c, ret_mount_fd);
    container_state_clear(&s);
    return e;
}

struct on_disk {
    err *(*fn)(void *ctx);
    void *ctx;
};

static err *work_on_disk(void *ctx)
{
    const struct on_disk *d = ctx;
    if (engine_is_rootless())
        TRY(userns_enter());
    return d->fn(d->ctx);
}

fallible on_disk_begin(err *(*fn)(void *ctx), void *ctx, struct child_work *ret)
{
    struct on_disk d = { fn, ctx };
    return child_begin(work_on_disk, &d, ret);
}
