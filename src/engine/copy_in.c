// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/log.h"
#include "codec/tar.h"
#include "engine/copy.h"
#include "engine/unpacked.h"
#include "os/fs.h"
#include "os/root.h"

enum { READ_MAX = 1 << 16, LINKS_MAX = 40 };

/* A directory's time and mode are set when all is in it. */
struct late_dir {
    char *path;
    uint32_t mode;
    struct timespec mtime;
};

struct copier {
    const struct copy_into *into;
    int root_fd, tar_fd;
    unsigned char *buffer;
    bool begun;
    char *from, *to; /* names that begin with from begin with to instead; to is in the root */
    struct late_dir *dirs;
    size_t dirs_n, dirs_room;
};

static err *next_bytes(void *ctx, const unsigned char **ret_bytes, size_t *ret_n)
{
    struct copier *c = ctx;
    ssize_t n;
    if (!c->begun && c->into->unpacked && c->into->unpacked->begin_n) {
        *ret_bytes = c->into->unpacked->begin;
        *ret_n = c->into->unpacked->begin_n;
        c->begun = true;
        return NULL;
    }
    while ((n = read(c->tar_fd, c->buffer, READ_MAX)) < 0 && errno == EINTR)
        ;
    if (n < 0)
        return err_sys(errno, "read the archive");
    *ret_bytes = c->buffer;
    *ret_n = (size_t)n;
    return NULL;
}

/* ---- names ---- */

static fallible look_at(int root_fd, const char *path, bool *ret_there, bool *ret_dir)
{
    own_fd int fd = -1;
    struct stat st;
    size_t n = strlen(path);
    *ret_there = *ret_dir = false;
    while (n > 1 && (path[n - 1] == '/' || (path[n - 1] == '.' && path[n - 2] == '/')))
        n--; /* what is no directory is there all the same */
    own_mem char *bare = mem_strndup(path, n);
    err *e = root_open(root_fd, bare, O_PATH, &fd);
    if (err_is(e, ERR_NOT_FOUND)) {
        err_free(e);
        return NULL;
    }
    TRY(e);
    if (fstat(fd, &st) < 0)
        return err_sys(errno, "look at '%s'", path);
    *ret_there = true;
    *ret_dir = S_ISDIR(st.st_mode);
    return NULL;
}

static bool says_dir(const char *path)
{
    return str_ends(path, "/") || str_ends(path, "/.") || strcmp(path, ".") == 0;
}

static fallible parent_must_be(int root_fd, const char *path)
{
    bool there, dir;
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    while (n && path[n - 1] != '/')
        n--;
    own_mem char *parent = n ? mem_strndup(path, n) : mem_strdup("/");
    TRY(look_at(root_fd, parent, &there, &dir));
    return there && dir ? NULL : err_new(ERR_NOT_FOUND, "directory '%s' does not exist", parent);
}

/* A link at the end stands for what it leads to, there or not, as with cp(1): the file is written, the link stays. *ret
 * is NULL where there is none. Each step is looked up in the root anew, so no link leads out of it. */
static fallible follow_links(int root_fd, const char *path, char **ret)
{
    own_mem char *at = NULL;
    own_mem char *text = mem_zalloc(PATH_MAX + 1);
    for (int i = 0; i < LINKS_MAX; i++) {
        own_fd int fd = -1;
        err *e = root_open(root_fd, at ? at : path, O_PATH | O_NOFOLLOW, &fd);
        ssize_t n = e ? -1 : readlinkat(fd, "", text, PATH_MAX);
        err_ignore(e, "what is not there is no link, and whoever makes it says why he cannot");
        if (n <= 0) { /* ENOENT: it is none */
            *ret = take(at);
            return NULL;
        }
        text[n] = '\0';
        const char *slash = strrchr(at ? at : path, '/');
        int dir = slash ? (int)(slash - (at ? at : path)) + 1 : 0;
        char *next = text[0] == '/' ? mem_strdup(text) : mem_printf("%.*s%s", dir, at ? at : path, text);
        free(at);
        at = next;
    }
    return err_sys(ELOOP, "follow the link '%s'", path);
}

/* What the first entry is called at the target. Source: docker cp, "Extended description". */
static fallible choose_names(struct copier *c, const struct tar_entry *first)
{
    const char *path = c->into->path;
    own_mem char *real = NULL;
    bool there, dir;
    TRY(look_at(c->root_fd, path, &there, &dir));
    if (!dir && !c->into->as_is && !says_dir(path)) {
        TRY(follow_links(c->root_fd, path, &real));
        path = real ? real : path;
    }
    if (c->into->as_is) {
        if (!dir)
            return err_new(there ? ERR_CONFLICT : ERR_NOT_FOUND, "'%s' %s: an archive is unpacked into a directory",
                           path, there ? "is no directory" : "does not exist");
        c->from = mem_strdup("");
        c->to = mem_strdup(path);
        return NULL;
    }
    c->from = mem_alloc(strlen(first->path) + 1);
    if (!tar_clean_path(first->path, c->from))
        return err_new(ERR_CORRUPT, "the archive's name '%s' leads out of it", first->path);
    if (!there) {
        TRY(parent_must_be(c->root_fd, path));
        if (says_dir(path) && first->type != TAR_DIR)
            return err_new(ERR_NOT_FOUND, "directory '%s' does not exist", path);
    }
    if (there && !dir && first->type == TAR_DIR && !c->into->overwrite)
        return err_new(ERR_CONFLICT, "'%s' is no directory: a directory cannot be copied onto it", path);
    if (there && !dir && says_dir(path))
        return err_new(ERR_CONFLICT, "'%s' is no directory", path);
    bool below = dir && *c->from && !(c->into->contents && first->type == TAR_DIR);
    c->to = below ? mem_printf("%s/%s", path, c->from) : mem_strdup(path);
    return NULL;
}

/* Its name in the root; caller frees. */
static fallible target_of(const struct copier *c, const char *path, char **ret)
{
    own_mem char *clean = mem_alloc(strlen(path) + 1);
    size_t n = strlen(c->from);
    if (!tar_clean_path(path, clean))
        return err_new(ERR_INVALID, "the name leads out of the archive");
    if (strncmp(clean, c->from, n) != 0 || (n && clean[n] && clean[n] != '/'))
        return err_new(ERR_INVALID, "the name is not below '%s'", c->from);
    const char *rest = clean + n + (n && clean[n] == '/');
    *ret = mem_printf("%s%s%s", c->to, *rest ? "/" : "", rest);
    return NULL;
}

/* ---- making ---- */

static void remember_dir(struct copier *c, const char *path, const struct tar_entry *t)
{
    if (c->dirs_n == c->dirs_room)
        c->dirs = mem_array(c->dirs, c->dirs_room = c->dirs_room ? c->dirs_room * 2 : 16, sizeof *c->dirs);
    c->dirs[c->dirs_n++] = (struct late_dir){ .path = mem_strdup(path),
                                              .mode = t->mode,
                                              .mtime = { .tv_sec = t->mtime_s, .tv_nsec = t->mtime_ns } };
}

static fallible set_owner(const struct copier *c, int dir, const char *name, const struct tar_entry *t)
{
    if (!c->into->owners)
        return NULL;
    if (fchownat(dir, name, t->uid, t->gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) == 0)
        return NULL;
    return errno == EPERM ? err_sys(EPERM, "give it to %u:%u: only root can; leave out --archive", t->uid, t->gid)
                          : err_sys(errno, "give it to %u:%u", t->uid, t->gid);
}

/* What an archive carries besides, with --archive: what cannot be set here is not what the copy is about. */
static void set_xattrs(const struct copier *c, int fd, const struct tar_entry *t)
{
    for (size_t i = 0; c->into->owners && i < t->xattrs_n; i++)
        if (fsetxattr(fd, t->xattrs[i].name, t->xattrs[i].value, t->xattrs[i].n, 0) < 0)
            log_debug("cp: attribute %s is not set: %s", t->xattrs[i].name, strerror(errno));
}

/* Room for a new name: a file there goes, a directory stays and is an error unless it may be overwritten. */
static fallible make_room(const struct copier *c, int dir, const char *name)
{
    struct stat st;
    if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
        return NULL;
    int why = errno;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !S_ISDIR(st.st_mode))
        return err_sys(why, "replace it");
    if (!c->into->overwrite)
        return err_new(ERR_CONFLICT, "a directory is there already, and cannot be replaced by what is none");
    return fs_remove_tree_at(dir, name);
}

/* `husk cp C:/file /dev/null` as root is no wish for a machine without one. */
static fallible spare_device(int dir, const char *name)
{
    struct stat st;
    if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || !(S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)))
        return NULL;
    return err_new(ERR_CONFLICT, "a device is there, and a file does not take its place: name another, or remove it");
}

static fallible write_pieces(struct tar *tar, int fd, uint64_t size)
{
    for (;;) {
        const unsigned char *bytes;
        uint64_t offset;
        size_t n;
        TRY(tar_data(tar, &offset, &bytes, &n));
        if (!n)
            break;
        while (n) {
            ssize_t w = pwrite(fd, bytes, n, (off_t)offset);
            if (w < 0 && errno == EINTR)
                continue;
            if (w <= 0)
                return err_sys(w < 0 ? errno : EIO, "write it");
            bytes += w;
            offset += (uint64_t)w;
            n -= (size_t)w;
        }
    }
    return ftruncate(fd, (off_t)size) < 0 ? err_sys(errno, "write it") : NULL;
}

static fallible fill_file(struct copier *c, struct tar *tar, const struct tar_entry *t, int fd)
{
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = t->mtime_s, .tv_nsec = t->mtime_ns } };
    TRY(write_pieces(tar, fd, t->size));
    TRY(set_owner(c, fd, "", t));
    if (fchmod(fd, t->mode) < 0) /* after the owner: a change of owner drops setuid */
        return err_sys(errno, "set its mode");
    set_xattrs(c, fd, t);
    return futimens(fd, times) < 0 ? err_sys(errno, "set its time") : NULL;
}

/* Half a file is none. */
static fallible make_file(struct copier *c, struct tar *tar, const struct tar_entry *t, int dir, const char *name)
{
    TRY(spare_device(dir, name));
    TRY(make_room(c, dir, name));
    own_fd int fd = openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(errno, "make it");
    err *e = fill_file(c, tar, t, fd);
    if (e)
        (void)unlinkat(dir, name, 0);
    return e;
}

static fallible make_dir(struct copier *c, const struct tar_entry *t, const char *path)
{
    own_fd int parent = -1, fd = -1;
    own_mem char *name = NULL;
    bool there, dir;
    TRY(look_at(c->root_fd, path, &there, &dir));
    if (dir) { /* what was there keeps its owner and mode: the content is what is copied */
        return NULL;
    }
    TRY(root_parent(c->root_fd, path, &parent, &name));
    TRY(make_room(c, parent, name));
    if (mkdirat(parent, name, 0700) < 0)
        return err_sys(errno, "make it");
    fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open it");
    TRY(set_owner(c, fd, "", t));
    set_xattrs(c, fd, t);
    remember_dir(c, path, t);
    return NULL;
}

static fallible make_hard_link(struct copier *c, const struct tar_entry *t, int dir, const char *name)
{
    own_mem char *path = NULL, *from = NULL;
    own_fd int parent = -1;
    TRY(target_of(c, t->link, &path));
    TRY(root_parent(c->root_fd, path, &parent, &from));
    TRY(make_room(c, dir, name));
    return linkat(parent, from, dir, name, 0) < 0 ? err_sys(errno, "link it to '%s'", path) : NULL;
}

static fallible make_other(struct copier *c, const struct tar_entry *t, int dir, const char *name)
{
    const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = t->mtime_s, .tv_nsec = t->mtime_ns } };
    mode_t kind = t->type == TAR_CHAR ? S_IFCHR : t->type == TAR_BLOCK_DEVICE ? S_IFBLK : S_IFIFO;
    TRY(make_room(c, dir, name));
    int r = t->type == TAR_SYMLINK ? symlinkat(t->link, dir, name)
                                   : mknodat(dir, name, kind | 0600, makedev(t->major, t->minor));
    if (r < 0)
        return err_sys(errno, t->type == TAR_SYMLINK ? "make the link" : "make the device or FIFO");
    TRY(set_owner(c, dir, name, t));
    if (t->type != TAR_SYMLINK && fchmodat(dir, name, t->mode, 0) < 0)
        return err_sys(errno, "set its mode");
    (void)utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW);
    return NULL;
}

static fallible make_entry(struct copier *c, struct tar *tar, const struct tar_entry *t)
{
    own_mem char *path = NULL, *name = NULL;
    own_fd int dir = -1;
    TRY(target_of(c, t->path, &path));
    if (t->type == TAR_DIR)
        return make_dir(c, t, path);
    TRY(root_parent(c->root_fd, path, &dir, &name));
    if (t->type == TAR_FILE)
        return make_file(c, tar, t, dir, name);
    return t->type == TAR_HARD_LINK ? make_hard_link(c, t, dir, name) : make_other(c, t, dir, name);
}

/* The innermost first, so that making one does not change the time of another. */
static fallible finish_dirs(struct copier *c)
{
    for (size_t i = c->dirs_n; i-- > 0;) {
        const struct late_dir *d = &c->dirs[i];
        const struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, d->mtime };
        own_fd int fd = -1;
        TRY(root_open(c->root_fd, d->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, &fd));
        if (futimens(fd, times) < 0 || fchmod(fd, d->mode) < 0)
            return err_sys(errno, "set mode and time of '%s'", d->path);
    }
    return NULL;
}

static fallible unpack(struct copier *c, struct tar *tar)
{
    const struct tar_entry *t;
    TRY(tar_next(tar, &t));
    if (!t)
        return c->into->as_is ? NULL : err_new(ERR_CORRUPT, "the archive is empty");
    TRY(choose_names(c, t));
    for (; t;) {
        own_mem char *name = mem_strdup(t->path);
        TRY_AS(make_entry(c, tar, t), "copy '%s'", name);
        TRY(tar_next(tar, &t));
    }
    TRY(finish_dirs(c));
    return tar_drain(tar); /* who writes it must not meet a closed pipe */
}

fallible copy_in(int root_fd, const struct copy_into *into, int tar_fd)
{
    struct copier c = { .into = into, .root_fd = root_fd, .tar_fd = tar_fd, .buffer = mem_alloc(READ_MAX) };
    own(tar) struct tar *tar = tar_new((struct tar_source){ next_bytes, &c });
    (void)umask(0);
    err *e = unpack(&c, tar);
    for (size_t i = 0; i < c.dirs_n; i++)
        free(c.dirs[i].path);
    free(c.dirs);
    free(c.from);
    free(c.to);
    free(c.buffer);
    return e;
}
