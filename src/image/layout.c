// SPDX-License-Identifier: GPL-2.0-or-later
#include "image/layout.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>

#include "base/log.h"
#include "image/room.h"
#include "os/fs.h"

#define NAME_KEY "org.opencontainers.image.ref.name"
/* What containerd and docker take the full name from when they import a layout. */
#define CONTAINERD_NAME_KEY "io.containerd.image.name"

enum { SMALL_BLOB_MAX = 4 << 20, INDEX_MAX = 64 << 20 };

static const char layout_version[] = "{\"imageLayoutVersion\":\"1.0.0\"}";

char *layout_default_path(void)
{
    const char *root = getenv("HUSK_ROOT");
    if (root && *root)
        return mem_strdup(root);
    if (geteuid() == 0)
        return mem_strdup("/var/lib/husk");
    const char *data = getenv("XDG_DATA_HOME");
    if (data && *data == '/')
        return mem_printf("%s/husk", data);
    const char *home = getenv("HOME");
    return mem_printf("%s/.local/share/husk", home && *home ? home : "/");
}

static bool exists(struct layout *l, const char *name)
{
    return faccessat(l->fd, name, F_OK, 0) == 0;
}

static fallible sync_dir(struct layout *l, const char *path)
{
    own_fd int fd = openat(l->fd, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || fsync(fd) < 0)
        return err_sys(errno, "write '%s/%s' to disk", l->path, path);
    return NULL;
}

/* Written whole into staging, then renamed: nothing half-made is ever at the name. */
static fallible replace(struct layout *l, const char *name, const char *text)
{
    own_mem char *staged = layout_stage_name(name);
    own_fd int fd = -1;
    TRY(layout_stage(l, staged, LAYOUT_STAGE_FILE, &fd));
    own_mem char *path = mem_printf("tmp/%s", staged);
    err *e = fs_write_fd(fd, text, strlen(text), name);
    if (!e && fsync(fd) < 0)
        e = err_sys(errno, "sync '%s'", name);
    if (!e && (fchmod(fd, 0644) < 0 || renameat(l->fd, path, l->fd, name) < 0))
        e = err_sys(errno, "replace '%s'", name);
    if (e)
        (void)unlinkat(l->fd, path, 0);
    return e ? e : sync_dir(l, "."); /* the name itself */
}

static fallible make_layout(struct layout *l)
{
    static const char *const dirs[] = { "blobs/sha256", "layers", "tmp" };
    own_fd int lock = -1;
    if (exists(l, "oci-layout") && exists(l, "index.json") && exists(l, "blobs/sha256") && exists(l, "layers") &&
        exists(l, "tmp"))
        return NULL;
    for (size_t i = 0; i < ARRAY_SIZE(dirs); i++)
        TRY(fs_mkdirs_at(l->fd, dirs[i], 0755));
    TRY(fs_lock_at(l->fd, "index.lock", FS_LOCK_EXCLUSIVE, &lock));
    if (!exists(l, "index.json")) {
        struct oci_index empty = { .schema_version = 2, .media_type = mem_strdup(MEDIA_OCI_INDEX) };
        own_mem char *text = bind_write(&oci_index_type, &empty, BIND_COMPACT);
        free(empty.media_type);
        TRY(replace(l, "index.json", text));
    }
    if (!exists(l, "oci-layout"))
        TRY(replace(l, "oci-layout", layout_version));
    room_keep(l->fd);
    return NULL;
}

/* Only the owner may enter: layers hold setuid programs for people who are not this machine's. */
static fallible make_store_dir(const char *path)
{
    const char *slash = strrchr(path, '/');
    if (slash && slash != path) {
        own_mem char *parent = mem_strndup(path, (size_t)(slash - path));
        TRY(fs_mkdirs_at(AT_FDCWD, parent, 0755));
    }
    if (mkdir(path, 0700) < 0 && errno != EEXIST)
        return err_sys(errno, "make directory '%s'", path);
    return NULL;
}

fallible layout_open(const char *path, bool make, struct layout **ret)
{
    own(layout) struct layout *l = mem_zalloc(sizeof *l);
    l->path = mem_strdup(path);
    l->fd = -1;
    if (make)
        TRY_AS(make_store_dir(path), "make the image store '%s'", path);
    TRY_AS(fs_open_dir_at(AT_FDCWD, path, FS_MUST_EXIST, &l->fd), "image store");
    if (make)
        TRY_AS(make_layout(l), "make the image store '%s'", path);
    *ret = take(l);
    return NULL;
}

void layout_free(struct layout *l)
{
    if (!l)
        return;
    while (l->added) {
        struct layout_added *a = l->added;
        l->added = a->next;
        free(a->path);
        free(a);
    }
    close_now(&l->fd);
    free(l->path);
    free(l);
}

void layout_note_added(struct layout *l, const char *path)
{
    struct layout_added *a = mem_zalloc(sizeof *a);
    a->path = mem_strdup(path);
    a->next = __atomic_load_n(&l->added, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(&l->added, &a->next, a, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
        continue;
}

fallible layout_lock(struct layout *l, enum layout_lock how, int *ret_fd)
{
    err *e = fs_lock_at(l->fd, "lock", how == LAYOUT_ADDING ? FS_LOCK_SHARED : FS_LOCK_EXCLUSIVE, ret_fd);
    if (err_errno(e) != EROFS)
        return e ? err_wrap(e, "image store '%s'", l->path) : NULL;
    err_ignore(e, "where nobody can write nothing goes either, and all can be read");
    *ret_fd = -1;
    return NULL;
}

char *layout_stage_name(const char *prefix)
{
    char random[17];
    random_hex(random, 8);
    return mem_printf("%s-%s", prefix, random);
}

static fallible lock_waiting(int fd, const char *path)
{
    while (flock(fd, LOCK_EX) < 0)
        if (errno != EINTR)
            return err_sys(errno, "lock '%s'", path);
    return NULL;
}

/* While we waited, the holder may have renamed it away or a sweep have removed it. */
static bool still_there(struct layout *l, int fd, const char *path)
{
    struct stat ours, there;
    return fstat(fd, &ours) == 0 && fstatat(l->fd, path, &there, AT_SYMLINK_NOFOLLOW) == 0 &&
           ours.st_ino == there.st_ino && ours.st_dev == there.st_dev;
}

static int open_staged(struct layout *l, const char *path, enum layout_stage_kind kind)
{
    if (kind == LAYOUT_STAGE_FILE)
        return openat(l->fd, path, O_RDWR | O_CREAT | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (mkdirat(l->fd, path, 0700) < 0 && errno != EEXIST)
        return -1;
    return openat(l->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

fallible layout_stage(struct layout *l, const char *name, enum layout_stage_kind kind, int *ret_fd)
{
    own_mem char *path = mem_printf("tmp/%s", name);
    for (;;) {
        own_fd int fd = open_staged(l, path, kind);
        if (fd < 0 && kind == LAYOUT_STAGE_DIR && errno == ENOENT && exists(l, "tmp"))
            continue; /* swept between our two calls */
        if (fd < 0)
            return err_sys(errno, "make '%s/%s'", l->path, path);
        TRY(lock_waiting(fd, path));
        if (!still_there(l, fd, path))
            continue;
        *ret_fd = take_fd(&fd);
        return NULL;
    }
}

fallible layout_begin_adding(struct layout *l, char **ret_name, int *ret_fd)
{
    own_mem char *name = layout_stage_name("adding");
    TRY(layout_stage(l, name, LAYOUT_STAGE_FILE, ret_fd));
    *ret_name = take(name);
    return NULL;
}

void layout_end_adding(struct layout *l, const char *name, int *take_fd)
{
    own_mem char *path = mem_printf("tmp/%s", name);
    (void)unlinkat(l->fd, path, 0);
    close_now(take_fd);
}

static int64_t mtime_ns(const struct stat *st)
{
    return (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec;
}

static fallible open_staging(struct layout *l, DIR **ret)
{
    own_fd int fd = openat(l->fd, "tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);
    if (!dir)
        return err_sys(errno, "list '%s/tmp'", l->path);
    (void)take_fd(&fd);
    *ret = dir;
    return NULL;
}

fallible layout_oldest_adding(struct layout *l, int64_t now_ns, int64_t *ret_ns)
{
    own_dir DIR *dir = NULL;
    TRY(open_staging(l, &dir));
    for (struct dirent *entry; (entry = readdir(dir));) {
        struct stat st;
        if (!str_starts(entry->d_name, "adding-"))
            continue;
        own_fd int fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
        if (fd >= 0 && flock(fd, LOCK_SH | LOCK_NB) < 0 && fstat(fd, &st) == 0 && mtime_ns(&st) < now_ns)
            now_ns = mtime_ns(&st);
    }
    *ret_ns = now_ns;
    return NULL;
}

/* A sweep may move it away between our look and our touch: then it is not there. If it did so after our touch it sees
 * that and puts it back. */
bool layout_use(struct layout *l, const char *path)
{
    own_fd int fd = openat(l->fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return fd >= 0 && futimens(fd, NULL) == 0 && still_there(l, fd, path);
}

void layout_touch_blob(struct layout *l, const char *digest)
{
    own_mem char *path = layout_blob_path(digest);
    (void)utimensat(l->fd, path, NULL, AT_SYMLINK_NOFOLLOW);
}

bool layout_use_blob(struct layout *l, const char *digest, int64_t expected_size)
{
    if (!layout_has_blob(l, digest, expected_size))
        return false;
    own_mem char *path = layout_blob_path(digest);
    return layout_use(l, path);
}

static bool is_rubbish(int tmp_fd, const char *name, uint64_t keep_blobs_seconds, int *ret_fd)
{
    struct stat st;
    if (fstatat(tmp_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return false;
    if (str_starts(name, "blob-") && keep_blobs_seconds && time(NULL) - st.st_ctime < (int64_t)keep_blobs_seconds)
        return false;
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))
        return true; /* never one of ours */
    *ret_fd = openat(tmp_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    return *ret_fd >= 0 && flock(*ret_fd, LOCK_EX | LOCK_NB) == 0;
}

fallible layout_sweep_staging(struct layout *l, uint64_t keep_blobs_seconds)
{
    own_dir DIR *dir = NULL;
    TRY(open_staging(l, &dir));
    int tmp_fd = dirfd(dir);
    for (struct dirent *entry; (entry = readdir(dir));) {
        own_fd int lock = -1;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        if (!is_rubbish(tmp_fd, entry->d_name, keep_blobs_seconds, &lock))
            continue;
        log_debug("sweep staging: %s", entry->d_name);
        TRY_AS(fs_remove_tree_at(tmp_fd, entry->d_name), "sweep '%s/tmp'", l->path);
    }
    return NULL;
}

char *layout_blob_path(const char *digest)
{
    const char *colon = strchrnul(digest, ':');
    return mem_printf("blobs/%.*s/%s", (int)(colon - digest), digest, digest_hex(digest));
}

fallible layout_open_blob(struct layout *l, const char *digest, int64_t expected_size, int *ret_fd)
{
    if (!digest_valid(digest))
        return err_new(ERR_INVALID, "open blob: '%.200s' is no digest", digest);
    own_mem char *path = layout_blob_path(digest);
    own_fd int fd = openat(l->fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    struct stat st;
    if (fd < 0)
        return err_sys(errno, "open blob %s", digest);
    if (fstat(fd, &st) < 0)
        return err_sys(errno, "look at blob %s", digest);
    if (!S_ISREG(st.st_mode))
        return err_new(ERR_CORRUPT, "blob %s is not a file", digest);
    if (expected_size >= 0 && st.st_size != expected_size)
        return err_new(ERR_CORRUPT, "blob %s has %lld bytes instead of %lld", digest, (long long)st.st_size,
                       (long long)expected_size);
    *ret_fd = take_fd(&fd);
    return NULL;
}

bool layout_has_blob(struct layout *l, const char *digest, int64_t expected_size)
{
    own_fd int fd = -1;
    own(err) err *e = layout_open_blob(l, digest, expected_size, &fd);
    return !e;
}

fallible layout_read_blob(struct layout *l, const char *digest, char **ret_text, size_t *ret_len)
{
    own_fd int fd = -1;
    TRY(layout_open_blob(l, digest, -1, &fd));
    return fs_read_fd(fd, digest, SMALL_BLOB_MAX, ret_text, ret_len);
}

fallible layout_read_index(struct layout *l, struct oci_index **ret)
{
    own_mem char *text = NULL;
    size_t len = 0;
    TRY_AS(fs_read_at(l->fd, "index.json", INDEX_MAX, &text, &len), "image store '%s'", l->path);
    own(err) err *e = oci_index_read(text, len, ret);
    if (e)
        return err_new(ERR_CORRUPT, "image store '%s': index.json: %s", l->path, err_text(e));
    return NULL;
}

static fallible write_index(struct layout *l, const struct oci_index *index)
{
    own_mem char *text = bind_write(&oci_index_type, index, BIND_COMPACT);
    TRY(sync_dir(l, "blobs/sha256")); /* what a name promises is there before the name is */
    return replace(l, "index.json", text);
}

/* Like bind's own writer and reader, so that every field, known or not, comes along. */
static struct oci_descriptor *copy_descriptor(const struct oci_descriptor *from)
{
    own_json json_t *doc = bind_write_json(&oci_descriptor_type, from);
    struct oci_descriptor *copy = NULL;
    err_ignore(bind_read_json(&oci_descriptor_type, doc, (void **)&copy), "what was just written can be read");
    return copy;
}

static struct oci_descriptor *find_name(struct oci_index *index, const char *full_name)
{
    for (size_t i = 0; i < index->manifests_n; i++)
        if (str_eq(strmap_get(&index->manifests[i].annotations, NAME_KEY), full_name))
            return &index->manifests[i];
    return NULL;
}

/* Takes out a descriptor, keeping the order of the others. */
static void drop_descriptor(struct oci_index *index, struct oci_descriptor *d)
{
    struct oci_descriptor *gone = mem_alloc(sizeof *gone);
    size_t i = (size_t)(d - index->manifests);
    *gone = *d;
    memmove(d, d + 1, (index->manifests_n - i - 1) * sizeof *d);
    index->manifests_n--;
    bind_free(&oci_descriptor_type, gone);
}

static void append_descriptor(struct oci_index *index, struct oci_descriptor *take_d)
{
    index->manifests = mem_array(index->manifests, index->manifests_n + 1, sizeof *index->manifests);
    index->manifests[index->manifests_n++] = *take_d;
    free(take_d);
}

/* What was kept without a name has one now: two entries would be two rows of a list, and its last name could go
 * without it. A build's own name is nobody's. */
static void drop_unnamed(struct oci_index *index, const char *digest)
{
    for (size_t i = index->manifests_n; i-- > 0;)
        if (str_eq(index->manifests[i].digest, digest) && !strmap_get(&index->manifests[i].annotations, NAME_KEY))
            drop_descriptor(index, &index->manifests[i]);
}

static fallible set_name(struct layout *l, const char *full_name, const struct oci_descriptor *target)
{
    own(oci_index) struct oci_index *index = NULL;
    TRY(layout_read_index(l, &index));
    struct oci_descriptor *added = copy_descriptor(target);
    if (!added)
        return err_new(ERR_INVALID, "not a descriptor");
    strmap_set(&added->annotations, NAME_KEY, full_name);
    strmap_set(&added->annotations, CONTAINERD_NAME_KEY, full_name);
    struct oci_descriptor *slot = find_name(index, full_name);
    if (!slot) {
        append_descriptor(index, added);
    } else {
        struct oci_descriptor old = *slot;
        *slot = *added;
        *added = old;
        bind_free(&oci_descriptor_type, added);
    }
    if (!str_starts(full_name, LAYOUT_BUILD_NAMES))
        drop_unnamed(index, target->digest);
    return write_index(l, index);
}

fallible layout_set_name(struct layout *l, const char *full_name, const struct oci_descriptor *target)
{
    own_fd int lock = -1;
    TRY(fs_lock_at(l->fd, "index.lock", FS_LOCK_EXCLUSIVE, &lock));
    TRY_AS(set_name(l, full_name, target), "name image '%s'", full_name);
    return NULL;
}

static fallible remove_name(struct layout *l, const char *full_name)
{
    own(oci_index) struct oci_index *index = NULL;
    TRY(layout_read_index(l, &index));
    struct oci_descriptor *slot = find_name(index, full_name);
    if (!slot)
        return err_new(ERR_NOT_FOUND, "no such image");
    drop_descriptor(index, slot);
    return write_index(l, index);
}

fallible layout_remove_name(struct layout *l, const char *full_name)
{
    own_fd int lock = -1;
    TRY(fs_lock_at(l->fd, "index.lock", FS_LOCK_EXCLUSIVE, &lock));
    err *e;
    do
        e = remove_name(l, full_name);
    while (room_given(l->fd, &e));
    TRY_AS(e, "remove image '%s'", full_name);
    return NULL;
}

static fallible unname(struct layout *l, const char *full_name)
{
    own(oci_index) struct oci_index *index = NULL;
    bool elsewhere = false;
    TRY(layout_read_index(l, &index));
    struct oci_descriptor *slot = find_name(index, full_name);
    if (!slot)
        return err_new(ERR_NOT_FOUND, "no such image");
    for (size_t i = 0; i < index->manifests_n; i++)
        elsewhere |= &index->manifests[i] != slot && str_eq(index->manifests[i].digest, slot->digest);
    if (elsewhere)
        drop_descriptor(index, slot);
    else
        strmap_free(&slot->annotations);
    return write_index(l, index);
}

fallible layout_unname(struct layout *l, const char *full_name)
{
    own_fd int lock = -1;
    TRY(fs_lock_at(l->fd, "index.lock", FS_LOCK_EXCLUSIVE, &lock));
    err *e;
    do
        e = unname(l, full_name);
    while (room_given(l->fd, &e));
    TRY_AS(e, "untag image '%s'", full_name);
    return NULL;
}

static fallible add_unnamed(struct layout *l, const struct oci_descriptor *target)
{
    own(oci_index) struct oci_index *index = NULL;
    TRY(layout_read_index(l, &index));
    for (size_t i = 0; i < index->manifests_n; i++)
        if (str_eq(index->manifests[i].digest, target->digest))
            return NULL;
    struct oci_descriptor *added = copy_descriptor(target);
    if (!added)
        return err_new(ERR_INVALID, "not a descriptor");
    strmap_free(&added->annotations); /* a name, perhaps, in the layout that it comes from */
    append_descriptor(index, added);
    return write_index(l, index);
}

fallible layout_add_unnamed(struct layout *l, const struct oci_descriptor *target)
{
    own_fd int lock = -1;
    TRY(fs_lock_at(l->fd, "index.lock", FS_LOCK_EXCLUSIVE, &lock));
    TRY_AS(add_unnamed(l, target), "keep image %s", target->digest);
    return NULL;
}

static fallible remove_unnamed(struct layout *l, const char *digest)
{
    own(oci_index) struct oci_index *index = NULL;
    TRY(layout_read_index(l, &index));
    for (size_t i = 0; i < index->manifests_n; i++) {
        struct oci_descriptor *d = &index->manifests[i];
        if (!str_eq(d->digest, digest) || strmap_get(&d->annotations, NAME_KEY))
            continue;
        drop_descriptor(index, d);
        return write_index(l, index);
    }
    return err_new(ERR_NOT_FOUND, "no such image");
}

fallible layout_remove_unnamed(struct layout *l, const char *digest)
{
    own_fd int lock = -1;
    TRY(fs_lock_at(l->fd, "index.lock", FS_LOCK_EXCLUSIVE, &lock));
    err *e;
    do
        e = remove_unnamed(l, digest);
    while (room_given(l->fd, &e));
    TRY_AS(e, "remove image %s", digest);
    return NULL;
}
