// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/extents.h"

#include <errno.h>
#include <fcntl.h>
#include <isa-l.h>
#include <linux/fs.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "base/log.h"
#include "base/mem.h"
#include "image/ref.h"
#include "os/fs.h"
#include "os/root.h"

enum { ENTRY_MAX = 64 + 1 + TAR_NAME_MAX + 1, KEY_MAX = 40, BLOCK = 4096 };

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

/* ---- can it? ---- */

static bool may_share(const struct layout *l)
{
    enum { XFS = 0x58465342, BTRFS = 0x9123683e, BCACHEFS = 0xca451a4e };
    struct statfs fs;
    if (statfs(l->path, &fs) < 0)
        return false;
    uint64_t type = (uint64_t)fs.f_type & UINT32_MAX;
    return type == XFS || type == BTRFS || type == (uint32_t)BCACHEFS;
}

static bool try_it(int dir)
{
    static const char block[BLOCK] = "the same";
    own_fd int a = openat(dir, "a", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    own_fd int b = openat(dir, "b", O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    return a >= 0 && b >= 0 && write(a, block, sizeof block) == sizeof block && ioctl(b, FICLONE, a) == 0;
}

/* xfs may have been made without reflink. */
static bool can_share(struct layout *l)
{
    if (!may_share(l))
        return false;
    own_mem char *name = layout_stage_name("probe"), *path = mem_printf("tmp/%s", name);
    own_fd int dir = -1;
    err *e = layout_stage(l, name, LAYOUT_STAGE_DIR, &dir);
    bool can = !e && try_it(dir);
    err_ignore(e, "then nothing is shared");
    err_ignore(fs_remove_tree_at(l->fd, path), "staging that nobody holds is swept");
    return can;
}

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
    if (!can_share(l))
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
    (void)snprintf(key, KEY_MAX, "extents/%016llx-%llx", (unsigned long long)f->crc, (unsigned long long)f->size);
}

/* The file that an entry leads to, in a layer and nowhere else; -1: nothing of that size is there. */
static int open_known(struct layout *l, const char *key, uint64_t size)
{
    char text[ENTRY_MAX];
    struct stat st;
    own_fd int dir = -1, fd = -1;
    ssize_t n = readlinkat(l->fd, key, text, sizeof text - 1);
    char *slash = n > 0 ? memchr(text, '/', (size_t)n) : NULL;
    if (!slash)
        return -1;
    text[n] = '\0';
    *slash = '\0';
    own_mem char *id = mem_printf("sha256:%s", text), *fs = mem_printf("layers/%s/fs", text);
    if (!digest_valid(id))
        return -1;
    dir = openat(l->fd, fs, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (dir >= 0)
        err_ignore(root_open(dir, slash + 1, O_RDONLY | O_NONBLOCK | O_NOFOLLOW, &fd), "then it is not shared");
    if (fd < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size != size)
        return -1;
    return take_fd(&fd);
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

static void share_one(struct extents *x, int fs_fd, struct file *f)
{
    char key[KEY_MAX];
    struct stat st;
    key_of(f, key);
    own_fd int from = open_known(x->layout, key, f->size), to = -1;
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

void extents_share(struct extents *x, int fs_fd)
{
    for (size_t i = 0; i < x->n; i++)
        share_one(x, fs_fd, &x->files[i]);
    log_debug("%zu of %zu files share %llu bytes with other layers", x->shared, x->n,
              (unsigned long long)x->shared_bytes);
}

void extents_enter(struct extents *x, const char *diff_id)
{
    if (mkdirat(x->layout->fd, "extents", 0700) < 0 && errno != EEXIST)
        return;
    for (size_t i = 0; i < x->n; i++) {
        char key[KEY_MAX];
        if (x->files[i].known)
            continue;
        key_of(&x->files[i], key);
        own_mem char *text = mem_printf("%s/%s", digest_hex(diff_id), x->files[i].path);
        if (symlinkat(text, x->layout->fd, key) == 0 || errno != EEXIST)
            continue;
        own_fd int there = open_known(x->layout, key, x->files[i].size); /* of this layer itself, or of another's now */
        if (there < 0 && unlinkat(x->layout->fd, key, 0) == 0)
            (void)symlinkat(text, x->layout->fd, key);
    }
}
