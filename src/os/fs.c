// SPDX-License-Identifier: GPL-2.0-or-later
#include "os/fs.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>

#include "base/mem.h"

fallible fs_read_fd(int fd, const char *name, size_t max, char **ret_text, size_t *ret_len)
{
    own_mem char *text = NULL;
    char small[4096]; /* files of /proc and cgroups tell no size and are short: they cost no large allocation */
    size_t len = 0, room = sizeof small;
    struct stat st = { 0 };
    if (fstat(fd, &st) == 0 && st.st_size > 0 && (size_t)st.st_size <= max) {
        room = (size_t)st.st_size + 1; /* one more than the size, so that the end is seen without growing */
        text = mem_alloc(room + 1);
    }
    for (;;) {
        ssize_t n = read(fd, (text ? text : small) + len, room - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return err_sys(errno, "read '%s'", name);
        if (n == 0)
            break;
        len += (size_t)n;
        /* a file of the disk, and all of it: its end needs no asking */
        if (text && len + 1 == room && len == (size_t)st.st_size)
            break;
        if (len > max)
            return err_new(ERR_EXHAUSTED, "read '%s': larger than %zu bytes", name, max);
        if (len == room) {
            bool first = !text;
            room *= 2;
            text = mem_realloc(text, room + 1);
            if (first)
                memcpy(text, small, len);
        }
    }
    if (!text) {
        text = mem_alloc(len + 1);
        memcpy(text, small, len);
    }
    text[len] = '\0';
    *ret_text = take(text);
    if (ret_len)
        *ret_len = len;
    return NULL;
}

fallible fs_read_at(int dir_fd, const char *path, size_t max, char **ret_text, size_t *ret_len)
{
    own_fd int fd = openat(dir_fd, path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open '%s'", path);
    return fs_read_fd(fd, path, max, ret_text, ret_len);
}

fallible fs_write_at(int dir_fd, const char *path, const char *text)
{
    own_fd int fd = openat(dir_fd, path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open '%s'", path);
    size_t len = strlen(text);
    ssize_t n = write(fd, text, len);
    if (n < 0)
        return err_sys(errno, "write '%.64s' to '%s'", text, path);
    if ((size_t)n != len)
        return err_new(ERR_INTERNAL, "write '%.64s' to '%s': only %zd bytes were taken", text, path, n);
    return NULL;
}

fallible fs_write_fd(int fd, const void *bytes, size_t n, const char *name)
{
    const char *p = bytes;
    while (n) {
        ssize_t w = write(fd, p, n);
        if (w < 0 && errno == EINTR)
            continue;
        if (w < 0)
            return err_sys(errno, "write '%s'", name);
        p += w;
        n -= (size_t)w;
    }
    return NULL;
}

fallible fs_read_exact(int fd, void *bytes, size_t n, const char *name)
{
    char *p = bytes;
    while (n) {
        ssize_t r = read(fd, p, n);
        if (r < 0 && errno == EINTR)
            continue;
        if (r < 0)
            return err_sys(errno, "read '%s'", name);
        if (r == 0)
            return err_new(ERR_CORRUPT, "read '%s': it ends %zu bytes early", name, n);
        p += r;
        n -= (size_t)r;
    }
    return NULL;
}

fallible fs_replace_at(int dir_fd, const char *name, const void *bytes, size_t n, mode_t mode, enum fs_sync sync)
{
    char suffix[17];
    random_hex(suffix, 8);
    own_mem char *staged = mem_printf("%s.%s.new", name, suffix);
    own_fd int fd = openat(dir_fd, staged, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
    if (fd < 0)
        return err_sys(errno, "create '%s'", name);
    err *e = fs_write_fd(fd, bytes, n, name);
    if (!e && sync == FS_SYNC_DISK && fsync(fd) < 0)
        e = err_sys(errno, "sync '%s'", name);
    if (!e && renameat(dir_fd, staged, dir_fd, name) < 0)
        e = err_sys(errno, "rename '%s'", name);
    if (e) {
        (void)unlinkat(dir_fd, staged, 0);
        return e;
    }
    if (sync == FS_SYNC_DISK) { /* the name itself */
        own_fd int dir = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (dir < 0 || fsync(dir) < 0)
            return err_sys(errno, "sync the directory of '%s'", name);
    }
    return NULL;
}

fallible fs_write_out(int dir_fd, const char *path, const void *bytes, size_t n)
{
    struct stat st;
    if (fstatat(dir_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0 || S_ISREG(st.st_mode))
        return fs_replace_at(dir_fd, path, bytes, n, 0644, FS_SYNC_NONE);
    own_fd int fd = openat(dir_fd, path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0644);
    return fd < 0 ? err_sys(errno, "open '%s'", path) : fs_write_fd(fd, bytes, n, path);
}

fallible fs_mkdirs_at(int dir_fd, const char *path, mode_t mode)
{
    if (mkdirat(dir_fd, path, mode) == 0 || errno == EEXIST)
        return NULL;
    if (errno != ENOENT)
        return err_sys(errno, "make directory '%s'", path);
    own_mem char *part = mem_strdup(path);
    for (char *slash = part + 1; (slash = strchr(slash, '/')); slash++) {
        *slash = '\0';
        if (mkdirat(dir_fd, part, mode) < 0 && errno != EEXIST)
            return err_sys(errno, "make directory '%s'", part);
        *slash = '/';
    }
    if (mkdirat(dir_fd, path, mode) < 0 && errno != EEXIST)
        return err_sys(errno, "make directory '%s'", path);
    return NULL;
}

fallible fs_open_dir_at(int dir_fd, const char *path, enum fs_make make, int *ret_fd)
{
    int fd = openat(dir_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && make == FS_MAKE) {
        TRY(fs_mkdirs_at(dir_fd, path, 0755));
        fd = openat(dir_fd, path, O_PATH | O_DIRECTORY | O_CLOEXEC);
    }
    if (fd < 0)
        return err_sys(errno, "open directory '%s'", path);
    *ret_fd = fd;
    return NULL;
}

/*
 * Removes what is in a directory. Directories that their owner made unreadable are opened up first. A hostile tree is
 * deeper than there are descriptors: what lies DEEP levels down is moved up to the top and removed from there.
 */
enum { DEEP = 64 };

struct removal {
    int top_fd; /* the tree's own directory */
    dev_t device;
};

static fallible empty_dir(const struct removal *r, int dir_fd, int depth, const char *name);

static fallible open_to_empty(int dir_fd, const char *name, int *ret_fd)
{
    int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == EACCES && fchmodat(dir_fd, name, 0700, 0) == 0)
        fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT)
        return err_sys(errno, "remove '%s'", name);
    *ret_fd = fd;
    return NULL;
}

static fallible move_up(const struct removal *r, int dir_fd, const char *name)
{
    char aside[40] = "deep-";
    random_hex(aside + strlen(aside), 16);
    if (renameat(dir_fd, name, r->top_fd, aside) < 0 && errno != ENOENT)
        return err_sys(errno, "remove '%s'", name);
    return NULL;
}

static fallible remove_one(const struct removal *r, int dir_fd, const char *name, unsigned char type, int depth)
{
    own_fd int fd = -1;
    if (type != DT_DIR) {
        if (unlinkat(dir_fd, name, 0) == 0 || errno == ENOENT)
            return NULL;
        if (errno != EISDIR && errno != EPERM)
            return err_sys(errno, "remove '%s'", name);
    }
    if (depth == DEEP && unlinkat(dir_fd, name, AT_REMOVEDIR) == 0)
        return NULL;
    if (depth == DEEP)
        return move_up(r, dir_fd, name);
    TRY(open_to_empty(dir_fd, name, &fd));
    if (fd < 0)
        return NULL;
    TRY(empty_dir(r, fd, depth + 1, name));
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return err_sys(errno, "remove '%s'", name);
    return NULL;
}

static fallible empty_dir(const struct removal *r, int dir_fd, int depth, const char *name)
{
    struct stat st;
    if (fstat(dir_fd, &st) < 0)
        return err_sys(errno, "look at '%s'", name);
    if (st.st_dev != r->device)
        return err_new(ERR_CONFLICT, "remove '%s': something is mounted there", name);
    if ((st.st_mode & 0700) != 0700)
        (void)fchmod(dir_fd, 0700);
    int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir)
        return err_sys(errno, "list '%s'", name);
    /* Removing while reading may skip entries on some file systems, so until nothing is left. */
    for (bool again = true; again;) {
        again = false;
        rewinddir(dir);
        for (struct dirent *entry; (entry = readdir(dir));) {
            if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
                continue;
            TRY(remove_one(r, dir_fd, entry->d_name, entry->d_type, depth));
            again = true;
        }
    }
    return NULL;
}

static fallible remove_tree(int dir_fd, const char *name, dev_t device)
{
    own_fd int fd = -1;
    TRY(open_to_empty(dir_fd, name, &fd));
    if (fd < 0)
        return NULL;
    struct removal r = { .top_fd = fd, .device = device };
    TRY(empty_dir(&r, fd, 0, name));
    if (unlinkat(dir_fd, name, AT_REMOVEDIR) < 0 && errno != ENOENT)
        return err_sys(errno, "remove '%s'", name);
    return NULL;
}

fallible fs_remove_tree_at(int dir_fd, const char *name)
{
    struct stat st;
    if (fstatat(dir_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0) {
        if (errno == ENOENT)
            return NULL;
        return err_sys(errno, "remove '%s'", name);
    }
    if (!S_ISDIR(st.st_mode)) {
        if (unlinkat(dir_fd, name, 0) < 0 && errno != ENOENT)
            return err_sys(errno, "remove '%s'", name);
        return NULL;
    }
    const char *last = strrchr(name, '/');
    own_fd int parent = -1;
    if (last) {
        own_mem char *dir = last == name ? mem_strdup("/") : mem_strndup(name, (size_t)(last - name));
        parent = openat(dir_fd, dir, O_PATH | O_DIRECTORY | O_CLOEXEC);
        if (parent < 0)
            return err_sys(errno, "open directory '%s'", dir);
    }
    return remove_tree(last ? parent : dir_fd, last ? last + 1 : name, st.st_dev);
}

static fallible chown_one(int dir_fd, const char *name, const struct stat *st, uid_t uid, gid_t gid)
{
    if (st->st_uid == uid && st->st_gid == gid)
        return NULL; /* an untouched inode is not written */
    if (fchownat(dir_fd, name, uid, gid, AT_SYMLINK_NOFOLLOW | AT_EMPTY_PATH) < 0)
        return err_sys(errno, "give '%s' to %u:%u", name, uid, gid);
    return NULL;
}

static fallible chown_dir(int dir_fd, dev_t device, uid_t uid, gid_t gid)
{
    int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir)
        return err_sys(errno, "list a directory");
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue; /* gone meanwhile */
        if (st.st_dev != device)
            continue;
        if (S_ISDIR(st.st_mode)) {
            own_fd int below = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
            if (below < 0)
                return err_sys(errno, "open directory '%s'", entry->d_name);
            TRY_AS(chown_dir(below, device, uid, gid), "%s", entry->d_name);
        }
        TRY(chown_one(dir_fd, entry->d_name, &st, uid, gid));
    }
    return NULL;
}

fallible fs_chown_tree_at(int dir_fd, const char *path, uid_t uid, gid_t gid)
{
    struct stat st;
    own_fd int fd = openat(dir_fd, path, O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(errno, "open '%s'", path);
    if (S_ISDIR(st.st_mode))
        TRY_AS(chown_dir(fd, st.st_dev, uid, gid), "'%s'", path);
    return chown_one(fd, "", &st, uid, gid);
}

/* Files with several names, of which the first was counted: a hash table of inode numbers, at most half full. */
struct usage {
    uint64_t bytes;
    ino_t *seen; /* 0: a free place */
    size_t seen_n, seen_room;
};

static bool seen_before(struct usage *u, ino_t ino)
{
    if (u->seen_n * 2 >= u->seen_room) {
        struct usage bigger = { .seen_room = u->seen_room ? u->seen_room * 2 : 256 };
        bigger.seen = mem_zalloc(bigger.seen_room * sizeof *bigger.seen);
        for (size_t i = 0; i < u->seen_room; i++)
            if (u->seen[i])
                (void)seen_before(&bigger, u->seen[i]);
        free(u->seen);
        u->seen = bigger.seen;
        u->seen_room = bigger.seen_room;
    }
    size_t i = (size_t)(ino * 0x9e3779b97f4a7c15ULL) & (u->seen_room - 1);
    for (; u->seen[i]; i = (i + 1) & (u->seen_room - 1))
        if (u->seen[i] == ino)
            return true;
    u->seen[i] = ino;
    u->seen_n++;
    return false;
}

static fallible usage_of_dir(struct usage *u, int dir_fd)
{
    int copy = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *dir = copy >= 0 ? fdopendir(copy) : NULL;
    if (!dir)
        return err_sys(errno, "list a directory");
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            continue; /* gone meanwhile */
        if (S_ISDIR(st.st_mode) || st.st_nlink < 2 || !seen_before(u, st.st_ino))
            u->bytes += (uint64_t)st.st_blocks * 512;
        if (!S_ISDIR(st.st_mode))
            continue;
        own_fd int below = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        if (below < 0 && errno == EACCES)
            return err_sys(errno, "open directory '%s'", entry->d_name);
        if (below >= 0)
            TRY(usage_of_dir(u, below));
    }
    return NULL;
}

fallible fs_disk_usage_at(int dir_fd, const char *name, uint64_t *ret_bytes)
{
    own_fd int fd = openat(dir_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0)
        return err_sys(errno, "open directory '%s'", name);
    struct usage u = { 0 };
    err *e = usage_of_dir(&u, fd);
    free(u.seen);
    TRY_AS(e, "measure '%s'", name);
    *ret_bytes = u.bytes;
    return NULL;
}

fallible fs_lock_at(int dir_fd, const char *name, enum fs_lock how, int *ret_fd)
{
    int operation = how == FS_LOCK_SHARED ? LOCK_SH : how == FS_LOCK_TRY ? LOCK_EX | LOCK_NB : LOCK_EX;
    own_fd int fd = openat(dir_fd, name, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_sys(errno, "open lock '%s'", name);
    while (flock(fd, operation) < 0) {
        if (errno == EWOULDBLOCK)
            return err_new(ERR_CONFLICT, "'%s' is locked by another process", name);
        if (errno != EINTR)
            return err_sys(errno, "lock '%s'", name);
    }
    *ret_fd = take_fd(&fd);
    return NULL;
}

void random_hex(char *buf, size_t n_bytes)
{
    static const char digits[] = "0123456789abcdef";
    unsigned char bytes[64];
    if (n_bytes > sizeof bytes || getrandom(bytes, n_bytes, 0) != (ssize_t)n_bytes)
        abort(); /* up to 256 bytes getrandom(2) neither fails nor answers short once the pool is up */
    for (size_t i = 0; i < n_bytes; i++) {
        buf[2 * i] = digits[bytes[i] >> 4];
        buf[2 * i + 1] = digits[bytes[i] & 15];
    }
    buf[2 * n_bytes] = '\0';
}

fallible fs_memfd(const char *name, int *ret_fd)
{
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (fd < 0)
        return err_sys(errno, "make a file in memory");
    *ret_fd = fd;
    return NULL;
}

char *fs_fd_path(int fd)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0)
        return mem_printf("fd %d", fd);
    return mem_strndup(path, (size_t)n);
}
