// SPDX-License-Identifier: GPL-2.0-or-later
#include "layers/merged.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/log.h"
#include "image/settings.h"
#include "layers/erofs.h"
#include "os/fs.h"

/* ---- which form ---- */

fallible layer_form_choose(struct layout *l)
{
    const char *word = getenv("HUSK_LAYERS");
    struct settings settings = { .layers = SETTINGS_LAYERS_AUTO };
    l->erofs = false;
    TRY(settings_read(&settings));
    l->share_extents = settings.share_extents;
    if (word && *word)
        settings.layers = str_eq(word, "erofs") ? SETTINGS_LAYERS_EROFS : SETTINGS_LAYERS_FILES;
    if (word && *word && !str_eq(word, "erofs") && !str_eq(word, "files") && !str_eq(word, "auto"))
        return err_new(ERR_INVALID, "HUSK_LAYERS: '%s' is not one of erofs, files, auto", word);
    if (settings.layers != SETTINGS_LAYERS_EROFS)
        return NULL; /* auto is files: docs/adr/0025 */
    if (!erofs_works(l->fd))
        return err_new(ERR_UNSUPPORTED, "layers = erofs: only root can mount EROFS from files, on Linux 6.12 or newer, "
                                        "and not from a tmpfs or an overlay: use HUSK_LAYERS=files");
    l->erofs = true;
    return NULL;
}

bool layer_is_erofs(int layer_fd)
{
    return faccessat(layer_fd, "erofs", F_OK, 0) == 0 || faccessat(layer_fd, "index", F_OK, 0) == 0;
}

static int open_folder(struct layout *l, const char *diff_id)
{
    own_mem char *path = mem_printf("layers/%s", digest_hex(diff_id));
    return openat(l->fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

enum layer_form layer_form_of(struct layout *l, const char *diff_id)
{
    own_fd int dir = open_folder(l, diff_id);
    return dir >= 0 && layer_is_erofs(dir) ? LAYER_EROFS : LAYER_FILES;
}

/* ---- files of a layer ---- */

static int open_part(int layer_fd, const char *part)
{
    return openat(layer_fd, part, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
}

fallible layer_tar_open(int layer_fd, struct layer_tar *ret)
{
    struct stat st;
    own_fd int fd = open_part(layer_fd, "erofs");
    *ret = (struct layer_tar){ .fd = -1, .at = EROFS_TAR_AT };
    if (fd >= 0) {
        TRY(erofs_tar_bytes(fd, &ret->bytes));
        ret->fd = take_fd(&fd);
        return NULL;
    }
    fd = errno == ENOENT ? open_part(layer_fd, "tar") : -1;
    if (fd < 0 || fstat(fd, &st) < 0)
        return err_sys(errno, "open the layer's tar");
    *ret = (struct layer_tar){ .fd = take_fd(&fd), .bytes = (uint64_t)st.st_size };
    return NULL;
}

fallible layer_tar_read(const struct layer_tar *t, uint64_t *done, void *buf, size_t max, size_t *ret_n)
{
    uint64_t left = t->bytes - *done;
    ssize_t n = left ? pread(t->fd, buf, left < max ? (size_t)left : max, (off_t)(t->at + *done)) : 0;
    if (n < 0)
        return err_sys(errno, "read the layer's tar");
    *done += (uint64_t)n;
    *ret_n = (size_t)n;
    return NULL;
}

/* Descriptors of all layers' tars, closed together. */
struct tars {
    struct layer_tar *items;
    int *fds; /* the same, as erofs_mount() wants them */
    size_t n;
};
static void own_drop_tars(struct tars *t)
{
    for (size_t i = 0; i < t->n; i++)
        (void)close(t->fds[i]);
    free(t->fds);
    free(t->items);
}

static fallible open_tars(struct layout *l, const struct strv *diff_ids, struct tars *t)
{
    t->fds = mem_array(NULL, diff_ids->n + 1, sizeof *t->fds);
    t->items = mem_array(NULL, diff_ids->n + 1, sizeof *t->items);
    for (size_t i = 0; i < diff_ids->n; i++) {
        own_fd int dir = open_folder(l, diff_ids->items[i]);
        if (dir < 0)
            return err_sys(errno, "open layer '%s'", diff_ids->items[i]);
        TRY_AS(layer_tar_open(dir, &t->items[i]), "layer '%s'", diff_ids->items[i]);
        t->fds[i] = t->items[i].fd;
        t->n++;
    }
    return NULL;
}

fallible layer_mount(struct layout *l, const char *diff_id, int *ret_mount_fd)
{
    own_fd int dir = open_folder(l, diff_id);
    own_fd int whole = open_part(dir, "erofs");
    own_fd int index = whole < 0 ? open_part(dir, "index") : -1;
    own_fd int tar = whole < 0 ? open_part(dir, "tar") : -1;
    if (whole < 0 && (index < 0 || tar < 0))
        return err_sys(errno, "open the files of layer '%s'", diff_id);
    TRY_AS(erofs_mount(whole < 0 ? index : whole, &tar, whole < 0, ret_mount_fd), "layer '%s'", diff_id);
    return NULL;
}

/* ---- indexes of several layers ---- */

void merged_key(const struct strv *diff_ids, char ret[17])
{
    uint64_t h = 0xcbf29ce484222325ULL;
    for (size_t i = 0; i < diff_ids->n; i++)
        for (const char *p = diff_ids->items[i]; *p; p++)
            h = (h ^ (unsigned char)*p) * 0x100000001b3ULL;
    (void)snprintf(ret, 17, "%016llx", (unsigned long long)h);
}

static char *merged_path(const struct strv *diff_ids)
{
    char key[17];
    merged_key(diff_ids, key);
    return mem_printf("merged/%s", key);
}

bool merged_exists(struct layout *l, const struct strv *diff_ids)
{
    own_mem char *path = merged_path(diff_ids);
    return faccessat(l->fd, path, F_OK, 0) == 0;
}

static fallible file_bytes(int fd, uint64_t *ret)
{
    struct stat st;
    if (fstat(fd, &st) < 0)
        return err_sys(errno, "look at the layer's file");
    *ret = (uint64_t)st.st_size;
    return NULL;
}

/* The tags of its device slots (layers/erofs.h) are the layers' digests, and their blocks those of the files: a layer
 * that was made anew may have its tar at another place. */
static fallible is_of(int fd, const struct strv *diff_ids, const struct tars *tars, bool *ret)
{
    enum { SLOTS = 1024 + 128, SLOT = 128, COUNT_AT = 1024 + 86, USED = 68, BLOCK = 512 };
    unsigned char count[2], s[USED];
    *ret = false;
    if (pread(fd, count, 2, COUNT_AT) != 2 || (size_t)(count[0] | count[1] << 8) != diff_ids->n)
        return NULL;
    for (size_t i = 0; i < diff_ids->n; i++) {
        uint64_t bytes;
        TRY(file_bytes(tars->fds[i], &bytes));
        if (pread(fd, s, USED, (off_t)(SLOTS + i * SLOT)) != USED ||
            strncmp((const char *)s, digest_hex(diff_ids->items[i]), 64) != 0 ||
            (s[64] | (uint32_t)s[65] << 8 | (uint32_t)s[66] << 16 | (uint32_t)s[67] << 24) !=
                (bytes + BLOCK - 1) / BLOCK)
            return NULL;
    }
    *ret = true;
    return NULL;
}

fallible merged_mount(struct layout *l, const struct strv *diff_ids, int *ret_mount_fd)
{
    own(tars) struct tars tars = { 0 };
    own_mem char *path = merged_path(diff_ids);
    own_fd int fd = openat(l->fd, path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
    bool fits = false;
    *ret_mount_fd = -1;
    if (fd < 0 && errno == ENOENT)
        return NULL;
    if (fd < 0)
        return err_sys(errno, "open '%s/%s'", l->path, path);
    TRY(open_tars(l, diff_ids, &tars));
    TRY(is_of(fd, diff_ids, &tars, &fits));
    if (!fits)
        return NULL;
    return erofs_mount(fd, tars.fds, tars.n, ret_mount_fd);
}

/* The whole tar is one piece of memory: passing over contents touches none of it. */
struct mapped {
    unsigned char *bytes;
    size_t n;
    bool given;
};
static fallible next_bytes(void *ctx, const unsigned char **ret_bytes, size_t *ret_n)
{
    struct mapped *m = ctx;
    *ret_bytes = m->bytes;
    *ret_n = m->given ? 0 : m->n;
    m->given = true;
    return NULL;
}

static fallible read_tar(struct erofs *e, const struct layer_tar *from, uint16_t device)
{
    struct untar_limits limits = { 0 };
    TRY(untar_limits_fill(&limits));
    size_t n = from->bytes ? (size_t)(from->at + from->bytes) : 0;
    unsigned char *bytes = n ? mmap(NULL, n, PROT_READ, MAP_PRIVATE, from->fd, 0) : NULL;
    if (bytes == MAP_FAILED)
        return err_sys(errno, "map the tar");
    if (n)
        (void)madvise(bytes, n, MADV_RANDOM); /* headers, far apart */
    struct mapped m = { .bytes = n ? bytes + from->at : NULL, .n = (size_t)from->bytes };
    own(tar) struct tar *t = tar_new((struct tar_source){ next_bytes, &m });
    err *failed = erofs_read_tar(e, t, &limits, device);
    if (n)
        (void)munmap(bytes, n);
    return failed;
}

/* The bytes from there to both ends. */
static fallible same_bytes(int a, int b, uint64_t at, uint64_t end, bool *ret)
{
    enum { PIECE = 64 << 10 };
    own_mem char *pa = mem_alloc(PIECE), *pb = mem_alloc(PIECE);
    *ret = false;
    for (; at < end; at += PIECE) {
        size_t want = end - at < PIECE ? (size_t)(end - at) : PIECE;
        ssize_t na = pread(a, pa, want, (off_t)at), nb = pread(b, pb, want, (off_t)at);
        if (na < 0 || nb < 0)
            return err_sys(errno, "read the index");
        if ((size_t)na != want || (size_t)nb != want || memcmp(pa, pb, want) != 0)
            return NULL;
    }
    *ret = true;
    return NULL;
}

/* As one file: what is before the tar and what is behind it. As two: the whole index. */
static fallible fits(const struct layer_tar *tar, int is, int want, bool *ret)
{
    uint64_t n = 0, m = 0;
    TRY(file_bytes(is, &n));
    TRY(file_bytes(want, &m));
    *ret = n == m;
    if (*ret && tar->at)
        TRY(same_bytes(is, want, 0, tar->at, ret));
    return *ret ? same_bytes(is, want, tar->at ? tar->at + tar->bytes : 0, n, ret) : NULL;
}

fallible layer_index_fits(int layer_fd, const char *diff_id, bool *ret)
{
    struct layer_tar tar;
    TRY(layer_tar_open(layer_fd, &tar));
    own_fd int tar_fd = tar.fd;
    own_fd int index = tar.at ? -1 : open_part(layer_fd, "index");
    own_fd int want = -1;
    own(erofs) struct erofs *e = erofs_new();
    struct erofs_device device = { .diff_id = diff_id, .bytes = tar.bytes };
    TRY(fs_memfd("index", &want));
    TRY(read_tar(e, &tar, 0));
    TRY(tar.at ? erofs_write_layer(e, tar.bytes, want) : erofs_write(e, &device, 1, want));
    return fits(&tar, tar.at ? tar_fd : index, want, ret);
}

/* By the layer's own index, which is in one place; headers are strewn over the whole tar, which nobody may have read
 * yet. */
static fallible read_layer(struct erofs **ret, const struct layer_tar *from, uint16_t device)
{
    own(erofs) struct erofs *e = erofs_new();
    own(err) err *no_index =
        from->at ? erofs_read_index(e, from->fd, device) : err_new(ERR_UNSUPPORTED, "the index is a file of its own");
    if (no_index) {
        log_debug("a layer's tar is read for its names: %s", err_text(no_index));
        erofs_free(e);
        e = erofs_new();
        TRY(read_tar(e, from, device));
    }
    *ret = take(e);
    return NULL;
}

static fallible merge(struct layout *l, const struct strv *diff_ids, struct erofs *all, struct erofs_device *devices)
{
    own(tars) struct tars tars = { 0 };
    TRY(open_tars(l, diff_ids, &tars));
    for (size_t i = 0; i < diff_ids->n; i++) {
        own(erofs) struct erofs *layer = NULL;
        devices[i].diff_id = diff_ids->items[i];
        devices[i].before = tars.items[i].at;
        TRY(file_bytes(tars.fds[i], &devices[i].bytes));
        TRY_AS(read_layer(&layer, &tars.items[i], (uint16_t)i), "layer '%s'", diff_ids->items[i]);
        erofs_merge(all, layer);
    }
    return NULL;
}

fallible merged_make(struct layout *l, const struct strv *diff_ids)
{
    own(erofs) struct erofs *all = erofs_new();
    own_mem struct erofs_device *devices = mem_array(NULL, diff_ids->n + 1, sizeof *devices);
    own_mem char *name = layout_stage_name("merged");
    own_mem char *path = merged_path(diff_ids), *staged = mem_printf("tmp/%s", name);
    own_fd int fd = -1;
    if (diff_ids->n < 2 || diff_ids->n > UINT16_MAX || merged_exists(l, diff_ids))
        return NULL;
    for (size_t i = 0; i < diff_ids->n; i++)
        if (layer_form_of(l, diff_ids->items[i]) != LAYER_EROFS)
            return NULL;
    TRY(merge(l, diff_ids, all, devices));
    TRY(layout_stage(l, name, LAYOUT_STAGE_FILE, &fd));
    err *e = erofs_write(all, devices, diff_ids->n, fd);
    if (!e && (fchmod(fd, 0644) < 0 || fdatasync(fd) < 0))
        e = err_sys(errno, "write it to disk");
    if (!e && mkdirat(l->fd, "merged", 0755) < 0 && errno != EEXIST)
        e = err_sys(errno, "make '%s/merged'", l->path);
    if (!e && renameat(l->fd, staged, l->fd, path) < 0)
        e = err_sys(errno, "put it in place");
    if (e)
        (void)unlinkat(l->fd, staged, 0);
    else
        layout_note_added(l, path);
    return e ? err_wrap(e, "index of %zu layers", diff_ids->n) : NULL;
}
