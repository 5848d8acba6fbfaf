// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/extents.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <isa-l.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "image/ref.h"
#include "os/fs.h"
#include "os/root.h"

enum { KEY_MAX = 40, PIECE = 256 << 10 };

struct file {
    char *path;
    uint64_t crc, size;
    bool known; /* the index has it */
};
struct extents {
    struct layout *layout;
    struct untar_watch watch;
    struct file *files;
    size_t n;
    uint64_t crc; /* of the file at hand */
    uint64_t shared_bytes;
    size_t shared;
};

/* ---- while it is unpacked ---- */

static void add_bytes(void *ctx, const unsigned char *bytes, size_t n)
{
    struct extents *x = ctx;
    x->crc = crc64_ecma_refl(x->crc, bytes, n);
}

static void add_file(void *ctx, const char *path, uint64_t size)
{
    struct extents *x = ctx;
    if (x->n < SHARED_FILES_MAX) {
        if ((x->n & (x->n - 1)) == 0)
            x->files = mem_array(x->files, x->n ? 2 * x->n : 1, sizeof *x->files);
        x->files[x->n++] = (struct file){ .path = mem_strdup(path), .crc = x->crc, .size = size };
    }
    x->crc = 0;
}

struct extents *extents_new(struct layout *l)
{
    if (!extents_possible(l))
        return NULL;
    struct extents *x = mem_zalloc(sizeof *x);
    x->layout = l;
    x->watch = (struct untar_watch){ .min = SHARED_MIN, .bytes = add_bytes, .file = add_file, .ctx = x };
    return x;
}

void extents_free(struct extents *x)
{
    if (!x)
        return;
    for (size_t i = 0; i < x->n; i++)
        free(x->files[i].path);
    free(x->files);
    free(x);
}

const struct untar_watch *extents_watch(const struct extents *x)
{
    return x ? &x->watch : NULL;
}

/* ---- when it is there ---- */

static void key_of(const struct file *f, char key[KEY_MAX])
{
    (void)snprintf(key, KEY_MAX, "%016llx-%llx", (unsigned long long)f->crc, (unsigned long long)f->size);
}

/* How far they are the same now. The kernel takes a piece at a time. */
static uint64_t dedupe(int from, int to, uint64_t size)
{
    own_mem struct file_dedupe_range *r = mem_zalloc(sizeof *r + sizeof *r->info);
    uint64_t done = 0;
    while (done < size) {
        *r = (struct file_dedupe_range){ .src_offset = done, .src_length = size - done, .dest_count = 1 };
        r->info[0] = (struct file_dedupe_range_info){ .dest_fd = to, .dest_offset = done };
        if (ioctl(from, FIDEDUPERANGE, r) < 0 || r->info[0].status != FILE_DEDUPE_RANGE_SAME ||
            r->info[0].bytes_deduped == 0)
            break;
        done += r->info[0].bytes_deduped;
    }
    return done;
}

static void share_one(struct extents *x, int index, int fs_fd, struct file *f)
{
    char key[KEY_MAX];
    struct stat st;
    key_of(f, key);
    own_fd int from = extents_open(x->layout, index, key), to = -1;
    f->known = from >= 0;
    if (from < 0)
        return;
    err_ignore(root_open(fs_fd, f->path, O_RDWR | O_NONBLOCK | O_NOFOLLOW, &to), "then it is not shared");
    if (to < 0 || fstat(to, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != f->size)
        return;
    uint64_t same = dedupe(from, to, f->size);
    x->shared_bytes += same;
    x->shared += same > 0;
}

static int open_index(struct layout *l)
{
    return openat(l->fd, "extents", O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

void extents_share(struct extents *x, int fs_fd)
{
    own_fd int index = open_index(x->layout);
    for (size_t i = 0; index >= 0 && i < x->n; i++)
        share_one(x, index, fs_fd, &x->files[i]);
    log_debug("%zu of %zu files share %llu bytes with other layers", x->shared, x->n,
              (unsigned long long)x->shared_bytes);
}

static void enter(struct layout *l, int index, const char *hex, const struct file *f)
{
    char key[KEY_MAX];
    key_of(f, key);
    own_mem char *text = mem_printf("%s/%s", hex, f->path);
    if (symlinkat(text, index, key) == 0 || errno != EEXIST)
        return;
    own_fd int there = extents_open(l, index, key); /* of this layer itself, or of another's now */
    if (there < 0 && unlinkat(index, key, 0) == 0)
        (void)symlinkat(text, index, key);
}

void extents_enter(struct extents *x, const char *diff_id)
{
    if (mkdirat(x->layout->fd, "extents", 0700) < 0 && errno != EEXIST)
        return;
    own_fd int index = open_index(x->layout);
    for (size_t i = 0; index >= 0 && i < x->n; i++)
        if (!x->files[i].known)
            enter(x->layout, index, digest_hex(diff_id), &x->files[i]);
}

/* ---- anew, from the layers that are there ---- */

struct anew {
    struct layout *l;
    int index; /* the new one */
    char *hex; /* of the layer at hand */
    unsigned char *buf;
};

static fallible enter_file(struct anew *a, int dir, const char *name, const char *path)
{
    struct stat st;
    struct file f = { .path = (char *)path };
    own_fd int fd = openat(dir, name, O_RDONLY | O_NONBLOCK | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(errno, "open '%s' of layer %.12s", path, a->hex);
    if (!S_ISREG(st.st_mode) || st.st_size < SHARED_MIN)
        return NULL;
    for (ssize_t n; (n = read(fd, a->buf, PIECE)) != 0;) {
        if (n < 0)
            return err_sys(errno, "read '%s' of layer %.12s", path, a->hex);
        f.crc = crc64_ecma_refl(f.crc, a->buf, (uint64_t)n);
        f.size += (uint64_t)n;
    }
    enter(a->l, a->index, a->hex, &f);
    return NULL;
}

/* Takes the directory. A tree is as deep as an archive's names can be (TAR_NAME_MAX). */
static fallible enter_dir(struct anew *a, int fd, const char *path)
{
    own_dir DIR *dir = fdopendir(fd);
    if (!dir) {
        (void)close(fd);
        return err_sys(errno, "list '%s' of layer %.12s", path, a->hex);
    }
    for (struct dirent *entry; (entry = readdir(dir));) {
        if (str_eq(entry->d_name, ".") || str_eq(entry->d_name, ".."))
            continue;
        own_mem char *below = *path ? mem_printf("%s/%s", path, entry->d_name) : mem_strdup(entry->d_name);
        struct stat st;
        if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
            return err_sys(errno, "look at '%s' of layer %.12s", below, a->hex);
        int sub = S_ISDIR(st.st_mode)
                      ? openat(dirfd(dir), entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC)
                      : -1;
        if (S_ISDIR(st.st_mode) && sub < 0)
            return err_sys(errno, "open '%s' of layer %.12s", below, a->hex);
        if (sub >= 0)
            TRY(enter_dir(a, sub, below));
        else if (S_ISREG(st.st_mode) && st.st_size >= SHARED_MIN)
            TRY(enter_file(a, dirfd(dir), entry->d_name, below));
    }
    return NULL;
}

static void enter_layers(struct anew *a)
{
    int layers = openat(a->l->fd, "layers", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    own_dir DIR *dir = layers < 0 ? NULL : fdopendir(layers);
    for (struct dirent *entry; dir && (entry = readdir(dir));) {
        own_mem char *path = mem_printf("%s/fs", entry->d_name);
        int fs =
            entry->d_name[0] == '.' ? -1 : openat(dirfd(dir), path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
        a->hex = entry->d_name;
        err *e = fs < 0 ? NULL : enter_dir(a, fs, "");
        if (e && faccessat(dirfd(dir), path, F_OK, 0) == 0) /* else a sweep took the layer meanwhile */
            log_warn("not all files of a layer can be found by others: %s", err_text(e));
        err_ignore(e, "what is not in the index is not shared");
    }
}

/* What others entered into the old one while the new one was made. */
static void carry_over(struct anew *a, const char *old_path)
{
    int fd = openat(a->l->fd, old_path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    own_dir DIR *old = fd < 0 ? NULL : fdopendir(fd);
    for (struct dirent *entry; old && (entry = readdir(old));) {
        char text[EXTENTS_ENTRY_MAX];
        own_fd int good = entry->d_name[0] == '.' ? -1 : extents_open(a->l, dirfd(old), entry->d_name);
        ssize_t n = good < 0 ? -1 : readlinkat(dirfd(old), entry->d_name, text, sizeof text - 1);
        if (n < 0)
            continue;
        text[n] = '\0';
        (void)symlinkat(text, a->index, entry->d_name);
    }
}

static fallible put_in_place(struct anew *a, const char *staged)
{
    if (renameat2(a->l->fd, staged, a->l->fd, "extents", RENAME_NOREPLACE) == 0)
        return NULL;
    if (errno != EEXIST || renameat2(a->l->fd, staged, a->l->fd, "extents", RENAME_EXCHANGE) < 0)
        return err_sys(errno, "put it in place");
    carry_over(a, staged);
    return NULL;
}

fallible extents_rebuild(struct layout *l)
{
    own_mem char *name = layout_stage_name("extents"), *staged = mem_printf("tmp/%s", name);
    own_mem unsigned char *buf = mem_alloc(PIECE);
    own_fd int index = -1;
    TRY(layout_stage(l, name, LAYOUT_STAGE_DIR, &index));
    struct anew a = { .l = l, .index = index, .buf = buf };
    enter_layers(&a);
    err *e = put_in_place(&a, staged);
    /* ours that did not become the index, or the old one; a file can have been in its place, too */
    if (unlinkat(l->fd, staged, 0) < 0 && errno != ENOENT)
        err_ignore(fs_remove_tree_at(l->fd, staged), "a sweep will remove it");
    return e ? err_wrap(e, "index of shared extents") : NULL;
}
