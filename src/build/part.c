// SPDX-License-Identifier: GPL-2.0-or-later
#include "build/part.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layers/diff_walk.h"
#include "os/fs.h"

#define MARK ".husk-part-"

/* ---- what is left of others ---- */

static pid_t pid_of(const char *name, const char *final)
{
    size_t n = strlen(final);
    if (strncmp(name, final, n) != 0 || !str_starts(name + n, MARK))
        return -1;
    const char *digits = name + n + strlen(MARK);
    size_t len = strlen(digits);
    return len > 0 && len < 10 && strspn(digits, "0123456789") == len ? (pid_t)strtol(digits, NULL, 10) : -1;
}

bool part_is_inside(const char *name)
{
    return pid_of(name, "") > 0;
}

/* A pid says nothing of a process in another PID namespace, which the lock does; and a lock nothing of one that was
 * about to take it. Where neither can be had, it is left. */
static bool is_abandoned(int dir_fd, const char *name, pid_t pid)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || st.st_uid != geteuid() ||
        (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)))
        return false;
    if (pid != getpid() && (kill(pid, 0) == 0 || errno != ESRCH))
        return false;
    own_fd int fd = openat(dir_fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    return fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) == 0;
}

static fallible sweep(int dir_fd, const char *final)
{
    own_strv struct strv names = { 0 };
    own_fd int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open its directory");
    TRY(diff_names(fd, &names));
    for (size_t i = 0; i < names.n; i++) {
        pid_t pid = pid_of(names.items[i], final);
        if (pid > 0 && is_abandoned(fd, names.items[i], pid))
            TRY(fs_remove_tree_at(fd, names.items[i]));
    }
    return NULL;
}

/* ---- one of our own ---- */

static fallible make(struct part *p, enum part_kind kind)
{
    if (kind == PART_DIR && mkdirat(p->dir_fd, p->name, 0755) < 0)
        return err_sys(errno, "make '%s'", p->path);
    int flags = kind == PART_DIR ? O_RDONLY | O_DIRECTORY : O_WRONLY | O_CREAT | O_EXCL;
    p->fd = openat(p->dir_fd, p->name, flags | O_NOFOLLOW | O_CLOEXEC, 0644);
    if (p->fd < 0)
        return err_sys(errno, "make '%s'", p->path);
    (void)flock(p->fd, LOCK_EX | LOCK_NB); /* not every file system has it: then it is never anybody's to remove */
    return NULL;
}

fallible part_begin(const char *dest, enum part_kind kind, bool in_dir, struct part *ret)
{
    const char *slash = in_dir ? NULL : strrchr(dest, '/');
    own_mem char *dir = in_dir  ? mem_strdup(dest)
                        : slash ? mem_printf("%.*s", slash == dest ? 1 : (int)(slash - dest), dest)
                                : mem_strdup(".");
    struct part p = { .dir_fd = open(dir, O_PATH | O_DIRECTORY | O_CLOEXEC), .fd = -1 };
    if (p.dir_fd < 0)
        return err_sys(errno, "open '%s'", dir);
    p.final = mem_strdup(in_dir ? "" : slash ? slash + 1 : dest);
    p.name = mem_printf("%s" MARK "%d", p.final, (int)getpid());
    p.path = mem_printf("%s/%s", dir, p.name);
    /* a directory that may not be listed may still be written to */
    err_ignore(sweep(p.dir_fd, p.final), "the rest of a killed build is in nobody's way");
    err *e = make(&p, kind);
    if (e)
        part_clear(&p);
    else
        *ret = p;
    return e;
}

static void is_done(struct part *p)
{
    free(p->name);
    p->name = NULL;
}

fallible part_finish(struct part *p)
{
    if (renameat(p->dir_fd, p->name, p->dir_fd, p->final) < 0)
        return err_sys(errno, "give it its name");
    is_done(p);
    return NULL;
}

static fallible move_up(struct part *p, const char *name)
{
    if (renameat2(p->fd, name, p->dir_fd, name, RENAME_NOREPLACE) == 0)
        return NULL;
    if (errno == EINVAL && renameat(p->fd, name, p->dir_fd, name) == 0) /* a file system without it: NFS */
        return NULL;
    return err_sys(errno, "put '%s' in its place", name);
}

fallible part_spill(struct part *p)
{
    own_strv struct strv names = { 0 };
    err *e = NULL;
    size_t n = 0;
    TRY(diff_names(p->fd, &names));
    for (; !e && n < names.n; n += !e)
        e = move_up(p, names.items[n]);
    if (!e && unlinkat(p->dir_fd, p->name, AT_REMOVEDIR) < 0)
        e = err_sys(errno, "remove '%s'", p->path);
    if (!e)
        is_done(p);
    for (size_t i = 0; e && i < n; i++)
        err_ignore(fs_remove_tree_at(p->dir_fd, names.items[i]), "the first error is told");
    return e;
}

/* ---- into what is there ---- */

/* What a name is, without following a link. *ret_there false: nothing. */
static fallible look(int dir_fd, const char *name, bool *ret_there, bool *ret_dir)
{
    struct stat st;
    *ret_there = fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0;
    if (!*ret_there && errno != ENOENT)
        return err_sys(errno, "look at '%s'", name);
    *ret_dir = *ret_there && S_ISDIR(st.st_mode);
    return NULL;
}

typedef err *pair_fn(int from, int to, const char *name, const char *path, bool there, bool both_dirs);

/* Directories that both have are gone into, and told after what is in them. */
static fallible each_pair(int from, int to, const char *path, pair_fn *fn)
{
    own_strv struct strv names = { 0 };
    TRY(diff_names(from, &names));
    for (size_t i = 0; i < names.n; i++) {
        const char *name = names.items[i];
        own_mem char *below = mem_printf("%s%s%s", path, *path ? "/" : "", name);
        bool there, dir_there, there_from, dir;
        TRY(look(from, name, &there_from, &dir));
        TRY(look(to, name, &there, &dir_there));
        if (there && dir != dir_there)
            return err_new(ERR_CONFLICT, "'%s' is %s directory there, and %s in the image", below, dir ? "no" : "a",
                           dir ? "one" : "none");
        if (there && dir) {
            own_fd int a = openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            own_fd int b = openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (a < 0 || b < 0)
                return err_sys(errno, "open '%s'", below);
            TRY(each_pair(a, b, below, fn));
        }
        TRY(fn(from, to, name, below, there, there && dir));
    }
    return NULL;
}

static err *only_look(int from, int to, const char *name, const char *path, bool there, bool both_dirs)
{
    (void)from, (void)to, (void)name, (void)path, (void)there, (void)both_dirs;
    return NULL;
}

static err *put(int from, int to, const char *name, const char *path, bool there, bool both_dirs)
{
    (void)there;
    if (both_dirs ? unlinkat(from, name, AT_REMOVEDIR) < 0 : renameat(from, name, to, name) < 0)
        return err_sys(errno, "put '%s' in its place", path);
    return NULL;
}

fallible part_merge(struct part *p)
{
    own_fd int to = openat(p->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (to < 0)
        return err_sys(errno, "open it");
    TRY(each_pair(p->fd, to, "", only_look));
    TRY(each_pair(p->fd, to, "", put));
    if (unlinkat(p->dir_fd, p->name, AT_REMOVEDIR) < 0)
        return err_sys(errno, "remove '%s'", p->path);
    is_done(p);
    return NULL;
}

void part_clear(struct part *p)
{
    if (p->name && p->fd >= 0)
        err_ignore(fs_remove_tree_at(p->dir_fd, p->name), "the first error is told");
    free(p->name);
    free(p->path);
    free(p->final);
    close_now(&p->fd);
    close_now(&p->dir_fd);
}
