// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "build/copy_parts.h"
#include "layers/diff_walk.h"
#include "os/fs.h"

/*
 * size: what it is believed to have. *ret_held: the buffer holds all of the file, so many bytes; -1: it does not.
 * A file of /proc and the like has more than its size says, so 0 bytes are read for.
 */
static fallible by_hand(int from, int to, off_t size, const char *name, unsigned char *buffer, ssize_t *ret_held)
{
    for (size_t pieces = 0;; pieces++) {
        ssize_t n = read(from, buffer, BATCH_BUFFER);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read '%s'", name);
        if (n > 0)
            TRY(fs_write_fd(to, buffer, (size_t)n, name));
        *ret_held = pieces ? -1 : n;
        if (n == 0 || (pieces == 0 && n == size && n < BATCH_BUFFER))
            return NULL;
    }
}

static fallible copy_bytes(struct copy_target *t, int from, int to, off_t size, const char *name, unsigned char *buffer,
                           ssize_t *ret_held)
{
    *ret_held = -1;
    if (size > 0 && !__atomic_load_n(&t->no_clone, __ATOMIC_RELAXED)) {
        if (ioctl(to, FICLONE, from) == 0)
            return NULL;
        if (errno == EOPNOTSUPP || errno == ENOTTY)
            __atomic_store_n(&t->no_clone, true, __ATOMIC_RELAXED);
    }
    if (size < BATCH_SMALL) /* one read and one write are less than what copy_file_range() does for a small file */
        return by_hand(from, to, size, name, buffer, ret_held);
    for (;;) {
        ssize_t n = copy_file_range(from, NULL, to, NULL, 1 << 30, 0);
        if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS || errno == EBADF))
            break;
        if (n < 0 && errno != EINTR)
            return err_sys(errno, "copy '%s'", name);
        if (n == 0)
            break;
    }
    TRY(by_hand(from, to, size, name, buffer, ret_held)); /* files of /proc and the like say 0 first */
    *ret_held = -1;                                       /* what came before is not in the buffer */
    return NULL;
}

static bool kept_attribute(const char *name)
{
    return strcmp(name, "security.capability") == 0 ||
           (strncmp(name, "user.", 5) == 0 && strncmp(name, "user.overlay.", 13) != 0);
}

static fallible copy_attributes(int from, int to, const char *name)
{
    char names[4096], value[4096];
    ssize_t n = flistxattr(from, names, sizeof names);
    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1) {
        if (!kept_attribute(names + at))
            continue;
        ssize_t len = fgetxattr(from, names + at, value, sizeof value);
        if (len >= 0 && fsetxattr(to, names + at, value, (size_t)len, 0) < 0 && errno != ENOTSUP)
            return err_sys(errno, "set the attribute '%s' of '%s'", names + at, name);
    }
    return NULL;
}

/* What stood there goes: a file of this layer that an earlier source put. */
static fallible create(struct copy_target *t, const char *path, mode_t mode, int *ret_fd)
{
    for (int attempt = 0;; attempt++) {
        *ret_fd = openat(t->upper_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode);
        if (*ret_fd >= 0)
            return NULL;
        if (errno != EEXIST || attempt)
            return err_sys(errno, "make '/%s'", path);
        if (unlinkat(t->upper_fd, path, 0) < 0)
            return errno == EISDIR || errno == EPERM
                       ? err_new(ERR_INVALID, "'/%s' is a directory: a file cannot take its place", path)
                       : err_sys(errno, "replace '/%s'", path);
    }
}

void copy_owner_of(const struct copy_owner *o, const struct stat *st, uint32_t *uid, uint32_t *gid)
{
    *uid = o->set ? o->uid : o->keep ? st->st_uid : 0;
    *gid = o->set ? o->gid : o->keep ? st->st_gid : 0;
}

/* As layer.c's clamp() does it for all that was not made here. */
struct timespec copy_time_of(const struct copy_job *job, struct timespec t)
{
    if (!job->clamps)
        return t;
    return (struct timespec){ .tv_sec = t.tv_sec < job->newest_s && !job->all_at_once ? t.tv_sec : job->newest_s };
}

fallible copy_link_again(struct copy_target *t, const struct source_entry *e, const char *path, bool *ret_done)
{
    *ret_done = false;
    if (e->st.st_nlink < 2)
        return NULL;
    for (size_t i = 0; i < t->inodes_n; i++) {
        if (t->inodes[i].ino != e->st.st_ino || t->inodes[i].dev != e->st.st_dev)
            continue;
        (void)unlinkat(t->upper_fd, path, 0);
        if (linkat(t->upper_fd, t->inodes[i].path, t->upper_fd, path, 0) < 0)
            return errno == ENOENT ? NULL : err_sys(errno, "link '/%s'", path);
        *ret_done = true;
        return NULL;
    }
    t->inodes = mem_array(t->inodes, t->inodes_n + 1, sizeof *t->inodes);
    t->inodes[t->inodes_n++] = (struct copy_inode){ e->st.st_dev, e->st.st_ino, mem_strdup(path) };
    return NULL;
}

static bool has_attributes(int fd)
{
    char names[4096];
    ssize_t n = flistxattr(fd, names, sizeof names);
    for (ssize_t at = 0; at < n; at += (ssize_t)strlen(names + at) + 1)
        if (diff_keeps_xattr(names + at))
            return true;
    return n < 0 && errno != ENOTSUP;
}

static fallible note_filled(const struct source_entry *e, int fd, const unsigned char *bytes, ssize_t held,
                            struct copy_filled **ret)
{
    bool whole = held >= 0 && held < BATCH_SMALL;
    struct copy_filled *f = mem_alloc(sizeof *f + (whole ? (size_t)held : 0));
    *ret = f;
    if (fstat(fd, &f->st) < 0)
        return err_sys(errno, "look at what '%s' became", e->path);
    f->whole = whole && f->st.st_size == held && !has_attributes(fd);
    f->st.st_nlink = e->st.st_nlink; /* the other names come later */
    if (f->whole)
        memcpy(f->bytes, bytes, (size_t)held);
    return NULL;
}

/* In any thread: nothing else knows of this file. ret: NULL, or what it became; the caller frees. */
fallible copy_fill_regular(struct copy_target *t, const struct copy_job *job, const struct source_entry *e,
                           const char *path, unsigned char *buffer, struct copy_filled **ret)
{
    own_fd int from = -1, to = -1;
    uint32_t uid, gid, mode = copy_mode_apply(job->mode, e->st.st_mode);
    ssize_t held;
    TRY(source_open(e, &from));
    TRY(create(t, path, mode & 0777, &to));
    TRY(copy_bytes(t, from, to, e->st.st_size, e->path, buffer, &held));
    copy_owner_of(job->owner, &e->st, &uid, &gid);
    if ((uid || gid || t->groups_inherit) && fchown(to, uid, gid) < 0)
        return err_sys(errno, "give '/%s' to %u:%u", path, uid, gid);
    if ((mode & 07000) && fchmod(to, mode) < 0)
        return err_sys(errno, "set the mode of '/%s'", path);
    TRY(copy_attributes(from, to, path));
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, copy_time_of(job, e->st.st_mtim) };
    if (futimens(to, times) < 0)
        return err_sys(errno, "set the time of '/%s'", path);
    return ret ? note_filled(e, to, buffer, held, ret) : NULL;
}

fallible copy_put_special(struct copy_target *t, const struct copy_job *job, const struct source_entry *e,
                          const char *path)
{
    uint32_t uid, gid;
    char target[4097];
    (void)unlinkat(t->upper_fd, path, 0);
    if (S_ISLNK(e->st.st_mode)) {
        ssize_t n = readlinkat(e->dir_fd, e->name, target, sizeof target - 1);
        if (n < 0)
            return err_sys(errno, "read the link '%s'", e->path);
        target[n] = '\0';
        if (symlinkat(target, t->upper_fd, path) < 0)
            return err_sys(errno, "make the link '/%s'", path);
    } else if (S_ISSOCK(e->st.st_mode)) {
        return NULL; /* nobody listens on a copy */
    } else if (mknodat(t->upper_fd, path, (e->st.st_mode & S_IFMT) | copy_mode_apply(job->mode, e->st.st_mode),
                       e->st.st_rdev) < 0) {
        return err_sys(errno, "make '/%s'", path);
    }
    copy_owner_of(job->owner, &e->st, &uid, &gid);
    TRY(copy_set_owner(t, path, uid, gid));
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, copy_time_of(job, e->st.st_mtim) };
    if (utimensat(t->upper_fd, path, times, AT_SYMLINK_NOFOLLOW) < 0)
        return err_sys(errno, "set the time of '/%s'", path);
    return NULL;
}

/* ---- one that is no file of a tree ---- */

fallible copy_file(struct copy_target *t, const char *dest, int fd, uint32_t file_mode, int64_t mtime_s,
                   const struct copy_owner *owner, const struct copy_mode *mode)
{
    own(copy_place) struct copy_place place = { 0 };
    own_fd int to = -1;
    TRY(copy_find_file(t, dest, owner, &place));
    own_mem char *path = copy_path(&place, place.file);
    uint32_t bits = copy_mode_apply(mode, S_IFREG | file_mode);
    TRY(create(t, path, bits & 0777, &to));
    if (!t->buffer)
        t->buffer = mem_alloc(BATCH_BUFFER);
    ssize_t held;
    TRY(by_hand(fd, to, -1, dest, t->buffer, &held));
    uint32_t uid = owner->set ? owner->uid : 0, gid = owner->set ? owner->gid : 0;
    if ((owner->set || t->groups_inherit) && fchown(to, uid, gid) < 0)
        return err_sys(errno, "give '%s' to %u:%u", dest, uid, gid);
    if ((bits & 07000) && fchmod(to, bits) < 0)
        return err_sys(errno, "set the mode of '%s'", dest);
    struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_sec = mtime_s } };
    if (mtime_s && futimens(to, times) < 0)
        return err_sys(errno, "set the time of '%s'", dest);
    return NULL;
}

fallible copy_text(struct copy_target *t, const char *dest, const char *text, size_t n, const struct copy_owner *owner,
                   const struct copy_mode *mode)
{
    own_fd int fd = -1;
    TRY(fs_memfd("here-document", &fd));
    TRY(fs_write_fd(fd, text, n, "here-document"));
    if (lseek(fd, 0, SEEK_SET) < 0)
        return err_sys(errno, "read a here-document");
    return copy_file(t, dest, fd, 0644, 0, owner, mode);
}
