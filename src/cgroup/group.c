// SPDX-License-Identifier: GPL-2.0-or-later
#include "cgroup/group.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "os/fs.h"

enum { FILE_MAX = 4 << 20 };

void cgroup_free(struct cgroup *g)
{
    if (!g)
        return;
    for (size_t i = 0; i < g->n; i++) {
        free(g->parts[i].name);
        free(g->parts[i].mount);
        free(g->parts[i].dir);
        strv_free(&g->parts[i].controllers);
    }
    free(g->parts);
    free(g->path);
    own_drop_fd(&g->v2_fd);
    free(g);
}

const char *cgroup_path(const struct cgroup *g)
{
    return g->path;
}

bool cgroup_is_v2(const struct cgroup *g)
{
    return g->n == 1 && g->parts[0].v2;
}

/* ".." would lead to a group that is not ours (exec --cgroup ../.., a cgroupsPath of somebody's making). */
static fallible check_path(const char *path)
{
    const char *at = path + (*path == '/');
    if (!*at)
        return err_new(ERR_INVALID, "control group path '%s' names no group of its own", path);
    if (strchr(path, '\n'))
        return err_new(ERR_INVALID, "control group path has a newline in it");
    while (*at) {
        size_t n = strcspn(at, "/");
        if (n == 0 || (n == 1 && at[0] == '.') || (n == 2 && at[0] == '.' && at[1] == '.') || n > 255)
            return err_new(ERR_INVALID, "control group path '%s' has an empty, '.', '..' or too long part", path);
        at += n;
        if (*at == '/' && !*++at)
            return err_new(ERR_INVALID, "control group path '%s' ends with '/'", path);
    }
    return NULL;
}

static fallible group_new(const struct cgroup_host *h, const char *path, struct cgroup **ret)
{
    TRY(check_path(path));
    own(cgroup) struct cgroup *g = mem_zalloc(sizeof *g);
    g->v2_fd = -1;
    g->path = *path == '/' ? mem_strdup(path) : mem_printf("%s/%s", strcmp(h->base, "/") == 0 ? "" : h->base, path);
    g->parts = mem_array(NULL, h->n + 1, sizeof *g->parts);
    for (size_t i = 0; i < h->n; i++) {
        const struct hierarchy *x = &h->items[i];
        if (!x->writable)
            continue;
        bool alone = h->n == 1 && x->v2;
        struct part p = { .mount = mem_strdup(x->mount), .v2 = x->v2, .dir = mem_printf("%s%s", x->mount, g->path) };
        p.name = mem_strdup(alone ? "" : strrchr(x->mount, '/') + 1);
        strv_copy(&p.controllers, x->controllers.items, x->controllers.n);
        g->parts[g->n++] = p;
    }
    *ret = take(g);
    return NULL;
}

struct part *group_v2(const struct cgroup *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->parts[i].v2)
            return &g->parts[i];
    return NULL;
}

struct part *group_part(const struct cgroup *g, const char *controller)
{
    if (!*controller)
        return group_v2(g);
    group_complete(g);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < g->n; i++)
            if (g->parts[i].v2 == (pass == 1) && strv_has(&g->parts[i].controllers, controller))
                return &g->parts[i];
    return NULL;
}

/* ---- making ---- */

/* A v1 cpuset group takes no process until it has CPUs and memory nodes of its own: those of its parent. */
static fallible copy_cpuset(const char *dir)
{
    static const char *const files[] = { "cpuset.cpus", "cpuset.mems" };
    own_fd int fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), up = -1;
    if (fd < 0 || (up = openat(fd, "..", O_PATH | O_DIRECTORY | O_CLOEXEC)) < 0)
        return err_sys(errno, "open control group '%s'", dir);
    for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
        own_mem char *now = NULL, *above = NULL;
        TRY(fs_read_at(fd, files[i], FILE_MAX, &now, NULL));
        if (*now && *now != '\n')
            continue;
        TRY(fs_read_at(up, files[i], FILE_MAX, &above, NULL));
        TRY(fs_write_at(fd, files[i], above));
    }
    return NULL;
}

static fallible make_dir(const struct part *p, const char *dir, bool *ret_exists)
{
    *ret_exists = false;
    if (mkdir(dir, 0755) < 0) {
        if (errno != EEXIST)
            return err_sys(errno, "make control group '%s'", dir);
        *ret_exists = true;
    }
    if (!p->v2 && strv_has(&p->controllers, "cpuset"))
        TRY(copy_cpuset(dir));
    return NULL;
}

static bool has_processes(const char *dir)
{
    own_mem char *path = mem_printf("%s/cgroup.procs", dir), *text = NULL;
    err *e = fs_read_at(AT_FDCWD, path, FILE_MAX, &text, NULL);
    bool some = !e && *text;
    err_ignore(e, "a group that cannot be read is not made anew either");
    return some;
}

static fallible remove_tree(const char *dir);

/* Never an old directory: what a former container's group counted and was told (events, kills) would be taken for the
 * new one's, and a group that was once killed kills what is cloned into it (see cgroup.h). */
static fallible make_fresh(const struct part *p)
{
    bool exists = false;
    TRY(make_dir(p, p->dir, &exists));
    if (!exists)
        return NULL;
    if (has_processes(p->dir))
        return err_new(ERR_CONFLICT, "control group '%s' is in use: choose another name, or end what runs in it",
                       p->dir);
    TRY(remove_tree(p->dir));
    return make_dir(p, p->dir, &exists);
}

static fallible make_parents(const struct part *p)
{
    for (char *at = p->dir + strlen(p->mount) + 1; (at = strchr(at, '/')); at++) {
        own_mem char *dir = mem_strndup(p->dir, (size_t)(at - p->dir));
        bool exists = false;
        TRY(make_dir(p, dir, &exists));
    }
    return NULL;
}

fallible group_make_part(const struct cgroup *g, struct part *p)
{
    (void)g;
    if (p->there)
        return NULL;
    err *e = make_fresh(p);
    if (err_errno(e) == ENOENT) {
        err_free(e);
        TRY(make_parents(p));
        e = make_fresh(p);
    }
    p->there = !e;
    return e;
}

static bool lists_word(const char *text, const char *word)
{
    size_t n = strlen(word);
    for (const char *at = text; (at = strstr(at, word)); at += n)
        if ((at == text || at[-1] == ' ') && (at[n] == ' ' || at[n] == '\n' || !at[n]))
            return true;
    return false;
}

static fallible enable_at(const char *dir, const char *controller)
{
    own_mem char *file = mem_printf("%s/cgroup.subtree_control", dir), *now = NULL;
    own_mem char *word = mem_printf("+%s", controller);
    TRY(fs_read_at(AT_FDCWD, file, 4096, &now, NULL));
    if (lists_word(now, controller))
        return NULL;
    err *e = fs_write_at(AT_FDCWD, file, word);
    switch (err_errno(e)) {
    case 0:
        return e;
    case EBUSY:
        err_free(e);
        return err_new(ERR_DENIED,
                       "the %s controller cannot be passed down from '%s' while processes are in it: move them to a "
                       "child group first (mkdir %s/leaf && echo $$ > %s/leaf/cgroup.procs)",
                       controller, dir, dir, dir);
    case ENOENT:
        err_free(e);
        return err_new(
            ERR_UNSUPPORTED,
            "the %s controller is not available in '%s' (with systemd: systemctl edit user@.service, and set "
            "Delegate=yes)",
            controller, dir);
    default:
        return err_wrap(e, "pass the %s controller down", controller);
    }
}

/* A v2 group has the files of a controller only when every group above it passes it down. */
fallible group_enable_v2(const struct part *p, const char *path, const char *controller)
{
    own_mem char *probe = mem_printf("%s/cgroup.controllers", p->dir), *now = NULL;
    TRY(fs_read_at(AT_FDCWD, probe, 4096, &now, NULL));
    if (lists_word(now, controller))
        return NULL;
    for (const char *at = path; at; at = strchr(at + 1, '/')) {
        own_mem char *dir = mem_printf("%s%.*s", p->mount, (int)(at - path), path);
        own_mem char *has = mem_printf("%s/cgroup.controllers", dir), *list = NULL;
        TRY(fs_read_at(AT_FDCWD, has, 4096, &list, NULL));
        if (at != path && access(dir, W_OK) < 0) /* above what was delegated to us: it is there or it is not */
            continue;
        if (geteuid() != 0 && access(dir, W_OK) < 0)
            continue;
        TRY(enable_at(dir, controller));
    }
    return NULL;
}

/* Statistics and the defaults' limits come from these; the others are passed down when a limit asks for one. */
static fallible enable_defaults(const struct cgroup *g, const struct part *p)
{
    static const char *const wanted[] = { "cpu", "memory", "pids", "io" };
    for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
        if (group_part(g, wanted[i]) == p)
            err_ignore(group_enable_v2(p, g->path, wanted[i]), "a limit that needs it will say so");
    return NULL;
}

static fallible make_all(const struct cgroup_host *h, struct cgroup *g, const struct oci_resources *r)
{
    struct part *v2 = group_v2(g);
    for (size_t i = 0; i < g->n; i++) {
        struct part *p = &g->parts[i];
        if (p->v2 || limits_need(h, p, r, v2 != NULL))
            TRY(group_make_part(g, p));
    }
    if (!v2)
        return NULL;
    if (g->v2_fd < 0)
        g->v2_fd = openat(AT_FDCWD, v2->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (g->v2_fd < 0)
        return err_sys(errno, "open control group '%s'", v2->dir);
    return enable_defaults(g, v2);
}

fallible cgroup_create(const struct cgroup_host *h, const char *path, const struct oci_resources *resources,
                       struct cgroup **ret)
{
    own(cgroup) struct cgroup *g = NULL;
    if (h->why)
        return err_new(ERR_DENIED, "make a control group: %s", h->why);
    TRY(group_new(h, path, &g));
    err *e = make_all(h, g, resources);
    if (!e && resources)
        e = limits_apply(g, resources, LIMITS_NEW);
    if (e) {
        for (size_t i = 0; i < g->n; i++) /* only what we made ourselves */
            if (g->parts[i].there)
                (void)rmdir(g->parts[i].dir);
        return e;
    }
    *ret = take(g);
    return NULL;
}

fallible cgroup_adopt(const struct cgroup_host *h, const char *path, const struct oci_resources *resources,
                      struct cgroup **ret)
{
    own(cgroup) struct cgroup *g = NULL;
    TRY(cgroup_open(h, path, &g));
    TRY(make_all(h, g, resources)); /* v1: those that systemd has no use for */
    if (resources)
        TRY(limits_apply(g, resources, LIMITS_NEW));
    *ret = take(g);
    return NULL;
}

void group_complete(const struct cgroup *g)
{
    struct stat st;
    for (size_t i = 0; i < g->n; i++) {
        struct part *p = &g->parts[i];
        if (p->unknown)
            p->there = stat(p->dir, &st) == 0; /* access(2) makes credentials of its own each time */
        p->unknown = false;
    }
}

void group_look(struct cgroup *g)
{
    for (size_t i = 0; i < g->n; i++) {
        struct part *p = &g->parts[i];
        p->unknown = !p->v2;
        if (!p->v2)
            continue;
        g->v2_fd = openat(AT_FDCWD, p->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        p->there = g->v2_fd >= 0;
    }
    if (g->v2_fd < 0)
        group_complete(g);
}

void cgroup_forget(struct cgroup *g)
{
    for (size_t i = 0; i < g->n; i++)
        g->parts[i].unknown = g->parts[i].unknown || !g->parts[i].there;
}

bool cgroup_there(const struct cgroup *g)
{
    for (size_t i = 0; i < g->n; i++)
        if (g->parts[i].there)
            return true;
    return false;
}

fallible cgroup_open(const struct cgroup_host *h, const char *path, struct cgroup **ret)
{
    own(cgroup) struct cgroup *g = NULL;
    TRY(group_new(h, path, &g));
    group_look(g);
    *ret = take(g);
    return NULL;
}

fallible cgroup_find(const char *path, struct cgroup **ret)
{
    own(cgroup_host) struct cgroup_host *h = NULL;
    TRY(cgroup_host_open(&h));
    cgroup_host_use(h, path);
    return cgroup_open(h, path, ret);
}

static fallible descend(struct cgroup *g, struct part *p, const char *below)
{
    own_mem char *dir = mem_printf("%s/%s", p->dir, below);
    own_fd int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open control group '%s'", dir);
    free(p->dir);
    p->dir = take(dir);
    if (p->v2) {
        own_drop_fd(&g->v2_fd);
        g->v2_fd = take_fd(&fd);
    }
    return NULL;
}

fallible cgroup_descend(struct cgroup *g, const char *controller, const char *below)
{
    size_t found = 0;
    while (*below == '/')
        below++;
    if (!*below)
        return NULL;
    TRY(check_path(below));
    group_complete(g);
    struct part *only = controller ? group_part(g, controller) : NULL;
    if (controller && (!only || !only->there))
        return err_new(ERR_NOT_FOUND, "the container has no control group with the %s controller", controller);
    for (size_t i = 0; i < g->n; i++) {
        if (!g->parts[i].there || (only && only != &g->parts[i]))
            continue;
        err *e = descend(g, &g->parts[i], below);
        if (err_is(e, ERR_NOT_FOUND) && !only) {
            err_ignore(e, "another hierarchy may have it");
            continue;
        }
        TRY(e);
        found++;
    }
    return found ? NULL : err_new(ERR_NOT_FOUND, "the container has no control group '%s' below its own", below);
}

bool cgroup_dir(const struct cgroup *g, size_t i, const char **ret_name, const char **ret_dir, bool *ret_v2)
{
    group_complete(g);
    for (size_t k = 0; k < g->n; k++) {
        if (!g->parts[k].there || i-- > 0)
            continue;
        *ret_name = g->parts[k].name;
        *ret_dir = g->parts[k].dir;
        *ret_v2 = g->parts[k].v2;
        return true;
    }
    return false;
}

/* ---- joining ---- */

int cgroup_clone_fd(const struct cgroup *g)
{
    return g->v2_fd;
}

fallible cgroup_open_tasks(const struct cgroup *g, int **ret_fds, size_t *ret_n)
{
    int *fds = mem_array(NULL, g->n + 1, sizeof *fds);
    size_t n = 0;
    for (size_t i = 0; i < g->n; i++) {
        const struct part *p = &g->parts[i];
        if (p->v2 || (!p->there && !p->unknown))
            continue;
        own_mem char *path = mem_printf("%s/tasks", p->dir);
        int fd =
            openat(AT_FDCWD, path, O_WRONLY | O_CLOEXEC); /* not open(3): musl's makes another call for O_CLOEXEC */
        if (fd < 0 && errno == ENOENT && p->unknown)
            continue; /* the container has no group in this one */
        if (fd < 0) {
            int errnum = errno;
            while (n)
                (void)close(fds[--n]);
            free(fds);
            return err_sys(errnum, "open '%s'", path);
        }
        fds[n++] = fd;
    }
    *ret_fds = fds;
    *ret_n = n;
    return NULL;
}

fallible cgroup_join_self(const int *tasks_fds, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (write(tasks_fds[i], "0", 1) != 1)
            return err_sys(errno, "join the container's control group");
    return NULL;
}

fallible cgroup_add(const struct cgroup *g, pid_t pid)
{
    char number[16];
    snprintf(number, sizeof number, "%d", pid);
    group_complete(g);
    for (size_t i = 0; i < g->n; i++) {
        own_mem char *path = mem_printf("%s/cgroup.procs", g->parts[i].dir);
        if (g->parts[i].there)
            TRY(fs_write_at(AT_FDCWD, path, number));
    }
    return NULL;
}

/* ---- removing ---- */

static bool has_processes_at(int dir_fd)
{
    own_mem char *text = NULL;
    err *e = fs_read_at(dir_fd, "cgroup.procs", FILE_MAX, &text, NULL);
    bool some = !e && *text;
    err_ignore(e, "it may be gone");
    return some;
}

/* A process that was just killed holds its group for a moment longer; so does what it is still being charged for. */
static fallible remove_at(int dir_fd, const char *name)
{
    enum { TRIES = 12 };
    struct timespec pause = { .tv_nsec = 250000 };
    for (int i = 0;; i++) {
        if (unlinkat(dir_fd, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
            return NULL;
        if (errno != EBUSY || i == TRIES)
            return err_sys(errno, "remove control group '%s'", name);
        own_fd int fd = openat(dir_fd, name, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (fd >= 0 && i >= TRIES / 2 && has_processes_at(fd))
            return err_new(ERR_CONFLICT, "remove control group '%s': processes are in it", name);
        (void)nanosleep(&pause, NULL);
        pause.tv_nsec *= 2;
    }
}

static char *first_child(int dir_fd)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *list = fd < 0 ? NULL : fdopendir(fd);
    if (!list && fd >= 0)
        (void)close(fd);
    for (struct dirent *entry; list && (entry = readdir(list));)
        if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
            return mem_strdup(entry->d_name);
    return NULL;
}

/* What the payload made below, however deep: with one descriptor and by "..", so that neither a path nor the table of
 * descriptors can be made to overflow. */
static fallible remove_below(const char *dir)
{
    own_strv struct strv names = { 0 };
    own_fd int at = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (at < 0)
        return errno == ENOENT ? NULL : err_sys(errno, "open control group '%s'", dir);
    for (;;) {
        own_mem char *child = first_child(at);
        own_fd int next = openat(at, child ? child : "..", O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
        if (!child && !names.n)
            return NULL;
        if (next < 0)
            return err_sys(errno, "open a control group below '%s'", dir);
        close_now(&at);
        at = take_fd(&next);
        if (child) {
            strv_add_take(&names, take(child));
            continue;
        }
        TRY(remove_at(at, names.items[names.n - 1]));
        free(names.items[--names.n]);
        names.items[names.n] = NULL;
    }
}

static fallible remove_tree(const char *dir)
{
    if (rmdir(dir) == 0 || errno == ENOENT) /* nearly always */
        return NULL;
    TRY(remove_below(dir));
    return remove_at(AT_FDCWD, dir);
}

fallible cgroup_remove(const struct cgroup *g)
{
    err *first = NULL;
    for (size_t i = 0; i < g->n; i++) {
        const struct part *p = &g->parts[i];
        err *e = p->there || p->unknown ? remove_tree(p->dir) : NULL;
        if (e && first)
            err_ignore(e, "the first error is answered");
        else if (e)
            first = e;
    }
    return first;
}
